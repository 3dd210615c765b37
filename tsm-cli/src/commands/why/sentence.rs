//! The sentence.

use tsm_core::events::OutOfMemory;
use tsm_core::sys::clock;
use tsm_core::why::{Cause, CoreDump, End, HitLimit, Why};

use crate::words;

/// Why a process is as it is, in one sentence.
pub(super) fn of(why: &Why) -> String {
    let end = || end_with_count(why);
    let next = || {
        let ms = why.next_start_at.as_deref().and_then(words::unix_ms);
        let left = ms.map(|at| words::seconds(at.saturating_sub(clock::unix_ms())));
        left.map(|left| format!("; next try in {left}"))
            .unwrap_or_default()
    };
    let by = |by: &Option<String>| {
        by.as_deref()
            .map(|by| format!(" by {}", who(by)))
            .unwrap_or_default()
    };
    match &why.cause {
        Cause::Starting { by: None } => format!("is being started again: {}", end()),
        Cause::Starting { by: asked } => format!("is being started{}", by(asked)),
        Cause::Waiting { reason } => reason.clone(),
        Cause::Running {
            since,
            by: asked,
            unhealthy,
        } => {
            let since_ms = since.as_deref().and_then(words::unix_ms);
            let ago = since_ms.map(|at| words::duration(clock::unix_ms().saturating_sub(at)));
            let mut up = ago.map_or_else(|| "runs".to_owned(), |ago| format!("runs for {ago}"));
            match unhealthy.as_deref() {
                None => {}
                Some("") => up.push_str(" and is not healthy"),
                Some(reason) => up = format!("{up} and is not healthy: {reason}"),
            }
            // What the check found may contain commas.
            let comma = if unhealthy.is_some() { ";" } else { "," };
            match (asked, &why.end) {
                (None, Some(_)) => {
                    format!("{up}{comma} started again; the run before: {}", end())
                }
                _ => format!("{up}{comma} started{}", by(asked)),
            }
        }
        Cause::Stopping {
            unfit: Some(unfit), ..
        } => format!("is being ended, because it {}", unfit.in_words()),
        Cause::Stopping { by: asked, .. } => format!("is being stopped{}", by(asked)),
        Cause::Resists { members } => {
            format!("does not end: {members} resist SIGKILL (uninterruptible?)")
        }
        Cause::Stopped { by: asked } => format!("stopped{}", by(asked)),
        Cause::ShutDown { by } => {
            format!("stopped with its supervisor, which was told to end ({by})")
        }
        Cause::Ended { policy } => {
            let policy = policy.as_deref().unwrap_or("on-failure");
            let well = why.end.as_ref().is_some_and(|end| end.code == Some(0));
            let rule = match (policy, well) {
                ("on-failure", true) => "its restart policy, on-failure, leaves it so".to_owned(),
                _ => format!("its restart policy is {policy}"),
            };
            format!("{}; {rule}", end())
        }
        Cause::ExecFailed { reason } => format!("exec failed: {reason}{}", next()),
        Cause::Backoff { slow: true } => {
            format!(
                "crashes again and again: {}; tried every 5 min{}",
                end(),
                next()
            )
        }
        Cause::Backoff { slow: false } => format!("{}{}", end(), next()),
        Cause::GaveUp { restarts: 0, .. } => format!(
            "gave up at once: no restarts are allowed (--max-restarts 0); {}",
            last_end(why)
        ),
        Cause::GaveUp {
            restarts,
            within_ms,
        } => {
            let times = match restarts {
                1 => "1 restart".to_owned(),
                n => format!("{n} restarts"),
            };
            let within = within_ms.map(|ms| format!(" in {}", span(ms)));
            format!(
                "gave up: {times}{}; {}",
                within.unwrap_or_default(),
                last_end(why)
            )
        }
        Cause::Rebooted => {
            "ran when the machine went down; 'tsm resurrect' starts what should run".to_owned()
        }
        Cause::EndedUnseen => {
            "ended while no supervisor was there; its exit status is unknown".to_owned()
        }
        Cause::Unsupervised => {
            "runs and nobody looks after it; any command that changes something brings a supervisor back".to_owned()
        }
        _ => format!("{}; its history tells of no more", why.state),
    }
}

fn end_with_count(why: &Why) -> String {
    let count = match why.failures {
        0 | 1 => String::new(),
        n => format!(", for the {} time", ordinal(n)),
    };
    format!("{}{count}", last_end(why))
}

fn last_end(why: &Why) -> String {
    why.end.as_ref().map_or_else(
        || "how its last run ended is not known".to_owned(),
        end_in_words,
    )
}

/// How a run ended: `exited with status 1, 3.2 s after start`.
fn end_in_words(end: &End) -> String {
    let unfit = end.unfit.as_ref();
    let unfit = unfit.map_or_else(String::new, |unfit| format!("{}; ", unfit.in_words()));
    let how = match &end.signal {
        Some(signal) => format!("{unfit}killed by {signal}"),
        // The reason also says what the run failed to become.
        None => end.reason.clone(),
    };
    let core = match &end.core {
        Some(CoreDump::File { path }) => format!(", core in {}", path.to_string_lossy()),
        Some(CoreDump::Handler { command, program }) => match command {
            Some(command) => format!(", core with '{command}'"),
            None => format!(", core given to {program}"),
        },
        Some(CoreDump::NotFound { pattern }) => {
            format!(", core dumped and not found any more ({pattern})")
        }
        None => String::new(),
    };
    let oom = end.oom.as_ref();
    let oom = oom.map_or_else(String::new, |oom| format!("; {}", out_of_memory(oom)));
    // The kernel's killer names the limit of memory itself.
    let limit = end
        .limit
        .as_ref()
        .filter(|limit| oom.is_empty() || limit.limit != "memory");
    let limit = limit.map_or_else(String::new, |hit| format!("; it {}", hit_limit(hit)));
    format!(
        "{how}{core}{oom}{limit}, {} after start",
        words::seconds(end.uptime_ms)
    )
}

/// `hit its limit of memory, 50 MiB (it used 61 MiB)`.
fn hit_limit(hit: &HitLimit) -> String {
    let amount = |number: u64| match hit.limit.as_str() {
        "memory" => size(number),
        _ => number.to_string(),
    };
    let used = hit.used.map(|used| format!(" (it used {})", amount(used)));
    let used = used.unwrap_or_default();
    format!(
        "hit its limit of {}, {}{used}",
        hit.limit,
        amount(hit.allowed)
    )
}

/// `the kernel's OOM killer: limit 512 MiB`.
pub(crate) fn out_of_memory(oom: &OutOfMemory) -> String {
    let limit = match oom.limit_bytes {
        Some(bytes) => format!("limit {}", size(bytes)),
        None => "the machine, or a group of processes that TSM did not limit, was out of memory"
            .to_owned(),
    };
    match &oom.since {
        None => format!("the kernel's OOM killer: {limit}"),
        Some(since) => format!(
            "the kernel's OOM killer was at work ({limit}; first seen since {})",
            words::local_rfc3339(since)
        ),
    }
}

pub(crate) fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes >= MIB && bytes.is_multiple_of(MIB) {
        format!("{} MiB", bytes / MIB)
    } else {
        words::size(bytes)
    }
}

/// A span of time that is not short: `4 min`.
fn span(ms: u64) -> String {
    match ms / 1000 {
        0..=119 => words::seconds(ms),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        _ => words::duration(ms),
    }
}

/// `5th`.
pub(crate) fn ordinal(number: u32) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// Who asked, as the history has it: a person, or a program that says so itself.
pub(crate) fn who(by: &str) -> String {
    let named = by.starts_with("uid ") || by.starts_with('`') || !by.contains(" from `");
    if named {
        by.to_owned()
    } else {
        format!("user {by}")
    }
}

#[cfg(test)]
mod tests {
    use tsm_core::meta::State;
    use tsm_core::why::Unfit;

    use super::*;

    fn end(code: Option<i32>, signal: Option<&str>) -> End {
        End {
            run: 5,
            pid: 70,
            at: "2026-01-01T00:00:00.000Z".to_owned(),
            uptime_ms: 3_200,
            code,
            signal: signal.map(str::to_owned),
            oom: None,
            limit: None,
            unfit: None,
            core: None,
            reason: format!("exited with status {}", code.unwrap_or(0)),
        }
    }

    fn why(cause: Cause, end: Option<End>, failures: u32) -> Why {
        Why {
            id: 1,
            name: "api".parse().unwrap(),
            state: State::Backoff,
            pid: None,
            well: false,
            cause,
            end,
            failures,
            failing_since: None,
            next_start_at: None,
            ran_well: None,
            changes: Vec::new(),
            stderr: Vec::new(),
            stderr_of_before: false,
            log_losses: Vec::new(),
        }
    }

    #[test]
    fn the_sentences_are_those_that_operators_were_promised() {
        let backoff = Cause::Backoff { slow: false };
        let crash = why(backoff.clone(), Some(end(Some(1), None)), 5);
        assert_eq!(
            of(&crash),
            "exited with status 1, 3.2 s after start, for the 5th time"
        );
        let mut killed = end(None, Some("SIGKILL"));
        killed.oom = Some(OutOfMemory {
            limit_bytes: Some(512 << 20),
            since: None,
        });
        assert_eq!(
            of(&why(backoff.clone(), Some(killed), 1)),
            "killed by SIGKILL; the kernel's OOM killer: limit 512 MiB, 3.2 s after start"
        );
        let mut dumped = end(None, Some("SIGSEGV"));
        dumped.core = Some(CoreDump::File {
            path: "/srv/core.70".into(),
        });
        assert_eq!(
            of(&why(backoff, Some(dumped), 1)),
            "killed by SIGSEGV, core in /srv/core.70, 3.2 s after start"
        );
        let by = Some("mr from `tsm stop` on pts/3".to_owned());
        assert_eq!(
            of(&why(Cause::Stopped { by }, None, 0)),
            "stopped by user mr from `tsm stop` on pts/3"
        );
        let gave_up = Cause::GaveUp {
            restarts: 16,
            within_ms: Some(240_000),
        };
        assert_eq!(
            of(&why(gave_up, Some(end(Some(1), None)), 17)),
            "gave up: 16 restarts in 4 min; exited with status 1, 3.2 s after start"
        );
        let reason = "cannot execute /srv/x: No such file or directory".to_owned();
        assert_eq!(
            of(&why(Cause::ExecFailed { reason }, None, 0)),
            "exec failed: cannot execute /srv/x: No such file or directory"
        );
    }

    #[test]
    fn what_a_run_was_not_stands_before_how_it_ended() {
        let mut late = end(None, Some("SIGTERM"));
        late.unfit = Some(Unfit::NotReady {
            after_ms: 1_002,
            reason: Some("status 503".to_owned()),
        });
        let gave_up = Cause::GaveUp {
            restarts: 0,
            within_ms: Some(0),
        };
        assert_eq!(
            of(&why(gave_up, Some(late), 1)),
            "gave up at once: no restarts are allowed (--max-restarts 0); was not ready within 1.0 s (status 503); killed by SIGTERM, \
             3.2 s after start"
        );
        let unfit = Unfit::Unhealthy {
            reason: "no answer".to_owned(),
        };
        let mut sick = end(None, Some("SIGTERM"));
        sick.unfit = Some(unfit.clone());
        assert_eq!(
            of(&why(Cause::Backoff { slow: false }, Some(sick), 2)),
            "was not healthy: no answer; killed by SIGTERM, 3.2 s after start, for the 2nd time"
        );
        let stopping = Cause::Stopping {
            by: None,
            unfit: Some(unfit),
        };
        assert_eq!(
            of(&why(stopping, None, 1)),
            "is being ended, because it was not healthy: no answer"
        );
        let running = |unhealthy: &str| Cause::Running {
            since: None,
            by: Some("x".to_owned()),
            unhealthy: Some(unhealthy.to_owned()),
        };
        assert_eq!(
            of(&why(running("no answer"), None, 0)),
            "runs and is not healthy: no answer; started by x"
        );
        assert_eq!(
            of(&why(running(""), None, 0)),
            "runs and is not healthy; started by x"
        );
    }

    #[test]
    fn numbers_in_a_row_have_their_endings() {
        let words: Vec<String> = [1, 2, 3, 4, 11, 12, 13, 21, 22, 103, 111]
            .map(ordinal)
            .to_vec();
        assert_eq!(
            words.join(" "),
            "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 103rd 111th"
        );
    }
}
