//! `tsm history`: all that happened to a process.

use std::fmt::{Display, Write as _};

use anstyle::AnsiColor;
use clap::Args;
use tsm_core::error::{BestEffort as _, Error};
use tsm_core::events::{Entry, Event, EventKind};
use tsm_core::sys::WaitStatus;
use tsm_core::view::Overview;

use super::list::select;
use super::why::{ordinal, out_of_memory, size, who};
use crate::app::{Context, Outcome};
use crate::output::{Output, complain, json};
use crate::{table, words};

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Which process
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Only the last so many events
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) tail: Option<usize>,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(context: &Context, args: &HistoryArgs) -> Outcome {
    let overview = Overview::read(&context.store())?;
    for damage in &overview.damaged {
        complain(&damage.error);
    }
    let names = std::slice::from_ref(&args.name);
    let views = select(overview.processes, names)?;
    let [view] = views.as_slice() else {
        let reason = format!("'{}' means {} of them; name one", args.name, views.len());
        return Err(Error::bad_value("process", reason).into());
    };
    let mut history = context.store().history(&view.name)?;
    if let Some(number) = args.tail {
        let older = history.entries.len().saturating_sub(number);
        history.entries.drain(..older);
    }
    if history.unreadable > 0 {
        context.output.remark(format_args!(
            "{} of it cannot be read and were left out: {}",
            match history.unreadable {
                1 => "1 line".to_owned(),
                number => format!("{number} lines"),
            },
            context.home.events(&view.name).display()
        ));
    }
    if args.json {
        let raw: Vec<_> = history.entries.iter().map(|entry| &entry.raw).collect();
        return Ok(json(&raw)?);
    }
    let mut text = String::new();
    for entry in &history.entries {
        let (at, happened, colour) = in_words(entry);
        writeln!(
            text,
            "{}  {}",
            context.output.paint(AnsiColor::BrightBlack, &at),
            match colour {
                Some(colour) => context.output.paint(colour, &table::printable(&happened)),
                None => table::printable(&happened),
            }
        )
        .best_effort("a String takes everything");
    }
    Ok(Output::raw(text.as_bytes())?)
}

fn in_words(entry: &Entry) -> (String, String, Option<AnsiColor>) {
    let Some(event) = &entry.event else {
        let field = |name: &str| entry.raw[name].as_str().unwrap_or("?").to_owned();
        let at = words::local_rfc3339(&field("at"));
        return (at, field("event"), None);
    };
    let at = words::local_rfc3339(&event.at);
    let (happened, colour) = happened(event);
    (at, happened, colour)
}

/// What is said of an event of a newer version.
const NO_WORDS: &str = "something that this version has no words for";

fn happened(event: &Event) -> (String, Option<AnsiColor>) {
    let bad = Some(AnsiColor::Red);
    match &event.kind {
        EventKind::StartRequested { by } => (format!("start asked for by {}", who(by)), None),
        EventKind::StopRequested { by } => (format!("stop asked for by {}", who(by)), None),
        EventKind::RestartRequested { by } => (format!("restart asked for by {}", who(by)), None),
        EventKind::LogDropped {
            stream,
            bytes,
            lines,
        } => {
            let text = format!(
                "the disk was full: {bytes} bytes ({lines} lines) of {stream} were dropped"
            );
            (text, bad)
        }
        EventKind::LogShrank {
            stream,
            before,
            after,
        } => (
            format!("somebody shortened its log of {stream} from {before} to {after} bytes"),
            bad,
        ),
        EventKind::LogRemoved { stream } => (
            format!("somebody removed or renamed its log of {stream}, which it writes itself"),
            bad,
        ),
        EventKind::LogBlocked { stream, reason } => (
            format!("its log of {stream} cannot be written: {reason}; what it prints waits"),
            bad,
        ),
        EventKind::LogUnblocked { stream } => {
            (format!("its log of {stream} is written again"), None)
        }
        EventKind::Configured { by, file } => (
            format!(
                "declared in another way by {file}, asked for by {}",
                who(by)
            ),
            None,
        ),
        EventKind::LimitsLowered { limits } => (
            format!("its supervisor may not give it all the limits it should have: {limits}"),
            bad,
        ),
        EventKind::Signalled { signal, by } => (format!("{signal} sent by {}", who(by)), None),
        EventKind::Reset { by } => (format!("restarts counted anew by {}", who(by)), None),
        EventKind::ShutDown { by } => (
            format!("its supervisor ends and takes it along ({by})"),
            None,
        ),
        EventKind::Started { run, pid } => (
            format!("started (run {run}, PID: {pid})"),
            Some(AnsiColor::Green),
        ),
        EventKind::Adopted { run, pid } => (
            format!("found by a new supervisor (run {run}, PID: {pid})"),
            None,
        ),
        EventKind::LaunchFailed { run, reason } => {
            (format!("exec failed: {reason} (run {run})"), bad)
        }
        EventKind::Exited {
            run,
            pid,
            status,
            uptime_ms,
            oom,
        } => {
            let status = WaitStatus::parse(status).unwrap_or(WaitStatus::Unknown);
            let text = format!(
                "{}{}, {} after start (run {run}, PID: {pid})",
                status.in_words(),
                detail("; ", oom.as_ref().map(out_of_memory)),
                words::seconds(*uptime_ms)
            );
            (text, (!status.is_success()).then_some(AnsiColor::Red))
        }
        EventKind::Backoff {
            delay_ms,
            failures,
            slow,
        } => (
            will_restart(*delay_ms, *failures, *slow),
            Some(AnsiColor::Yellow),
        ),
        EventKind::CrashLoop { failures, reason } => {
            let text = format!(
                "crashes again and again: {reason}, {failures} times in a row; tried every 5 min from now on"
            );
            (text, bad)
        }
        EventKind::GaveUp { failures } => {
            let text = format!("gave up after {failures} restarts in a row");
            (text, bad)
        }
        EventKind::EnvironmentChanged { by, names } => (environment_changed(by, names), None),
        EventKind::EnvironmentKept { reason } => {
            (format!("environment not changed after all: {reason}"), bad)
        }
        EventKind::Stopped => ("nothing of it is left".to_owned(), None),
        EventKind::Resists { members } => (format!("does not end: {members}"), bad),
        EventKind::Followed { run, pid } => (
            format!("put itself into the background, and is followed (run {run}, PID: {pid})"),
            None,
        ),
        EventKind::LimitHit {
            run,
            limit,
            allowed,
            used,
        } => (hit_limit(*run, limit, *allowed, *used), bad),
        EventKind::Ready { after_ms } => (
            format!("ready, {} after start", words::seconds(*after_ms)),
            Some(AnsiColor::Green),
        ),
        EventKind::NotReady { after_ms, reason } => {
            let text = format!(
                "not ready in time, {} after start{}",
                words::seconds(*after_ms),
                detail(": ", reason.as_ref())
            );
            (text, bad)
        }
        EventKind::Healthy => ("healthy".to_owned(), Some(AnsiColor::Green)),
        EventKind::Unhealthy { reason } => (format!("not healthy: {reason}"), bad),
        EventKind::FilesChanged { path } => (format!("{path} has changed"), None),
        EventKind::Scheduled { skipped: true } => (
            "its time has come, and it still runs: left out this time".to_owned(),
            Some(AnsiColor::Yellow),
        ),
        EventKind::Scheduled { skipped: false } => ("its time has come".to_owned(), None),
        EventKind::HookFailed { hook, reason } => {
            (format!("its {hook} hook failed: {reason}"), bad)
        }
        _ => (NO_WORDS.to_owned(), None),
    }
}

fn will_restart(delay_ms: u64, failures: u32, slow: bool) -> String {
    let delay = match delay_ms {
        0 => "at once".to_owned(),
        ms => format!("in {}", words::seconds(ms)),
    };
    let lane = if slow { ", slow lane" } else { "" };
    format!("restarts {delay} ({} in a row{lane})", ordinal(failures))
}

fn hit_limit(run: u64, limit: &str, allowed: u64, used: Option<u64>) -> String {
    let amount = |number: u64| match limit {
        "memory" => size(number),
        _ => number.to_string(),
    };
    format!(
        "hit its limit of {limit}, {}{} (run {run})",
        amount(allowed),
        detail("; it used ", used.map(amount))
    )
}

fn environment_changed(by: &str, names: &[String]) -> String {
    let names = if names.is_empty() {
        "the state of its shell".to_owned()
    } else {
        names.join(", ")
    };
    format!("environment changed by {}: {names}", who(by))
}

/// What stands behind the rest where it is known.
fn detail(lead: &str, what: Option<impl Display>) -> String {
    what.map(|what| format!("{lead}{what}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_words() {
        for name in EventKind::NAMES {
            let event = serde_json::json!({
                "at": "2026-11-26T19:00:00.000Z", "event": name, "run": 1, "pid": 2, "by": "mr from `tsm start`", "reason": "why",
                "status": "code:1", "uptime_ms": 1500, "delay_ms": 0, "failures": 2, "slow": false, "names": ["A"],
                "signal": "SIGHUP", "file": "tspm.yaml", "stream": "out", "bytes": 1, "lines": 1, "before": 2, "after": 1,
                "after_ms": 10, "path": "src/a.js", "skipped": false, "hook": "preStart", "limits": "nofile", "limit": "memory",
                "allowed": 1, "members": "71282 (sleep)",
            });
            let event: Event = serde_json::from_value(event).unwrap();
            assert_ne!(happened(&event).0, NO_WORDS, "{name}");
        }
    }
}
