//! `tsm info`.

mod care;
mod unusual;

use std::fmt::Write as _;

use anstyle::AnsiColor;
use serde::Serialize;
use tsm_core::env::secret::cover_words;
use tsm_core::error::{BestEffort as _, Error};
use tsm_core::home::Home;
use tsm_core::launch::{self, ShellUse};
use tsm_core::meta::State;
use tsm_core::name::ProcessName;
use tsm_core::spec::{ProcessSpec, ServiceLimits};
use tsm_core::store::ProcessStore;
use tsm_core::sys::{Signal, clock};
use tsm_core::text::Text;
use tsm_core::view::ProcessView;

use unusual::{LimitView, limit_views, unusual};

use super::list::{overview_with_usage, select, tell_full_disks};
use crate::app::{Context, Outcome};
use crate::args::InfoArgs;
use crate::output::{Output, complain, json};
use crate::{table, words};

/// One process in full, as `info --json` prints it.
#[derive(Serialize)]
struct Info<'a> {
    #[serde(flatten)]
    view: &'a ProcessView,
    restart: Option<String>,
    max_restarts: Option<u32>,
    stop_signal: Option<String>,
    stop_timeout_ms: Option<u64>,
    user: Option<&'a str>,
    umask: Option<String>,
    nice: Option<i32>,
    limits: Vec<LimitView>,
    limits_lowered: Option<&'a str>,
    service_limits: Option<ServiceLimits>,
    reload_signal: Option<String>,
    declared: Option<care::Declared<'a>>,
    #[serde(skip)]
    spec: Option<&'a ProcessSpec>,
    program: Option<Vec<String>>,
    shell_state: Option<ShellInfo>,
    files: Files,
}

/// What only the shell knew in which it was started, and whether the program gets it.
#[derive(Serialize)]
struct ShellInfo {
    shell: Option<String>,
    used: bool,
    reason: Option<String>,
    summary: Option<String>,
}

#[derive(Serialize)]
struct Files {
    out: String,
    err: String,
    env: String,
    shell: String,
    meta: String,
    events: String,
}

pub(crate) fn run(context: &Context, args: &InfoArgs) -> Outcome {
    let store = context.store();
    let overview = overview_with_usage(context)?;
    for damage in &overview.damaged {
        complain(&damage.error);
    }
    let views = select(overview.processes, &args.selectors)?;
    let mut specs = Vec::new();
    for view in &views {
        // A damaged spec does not keep the rest from being shown.
        let spec = store.spec(&view.name).unwrap_or_else(|error| {
            complain(&error);
            None
        });
        specs.push(spec.map(|saved| saved.spec));
    }
    let infos: Vec<Info<'_>> = views
        .iter()
        .zip(&specs)
        .map(|(view, spec)| info(&context.home, view, spec.as_ref()))
        .collect();
    if args.json {
        match infos.as_slice() {
            [one] => json(one)?,
            several => json(&several)?,
        }
        return Ok(());
    }
    let text: Vec<String> = infos.iter().map(|info| in_words(context, info)).collect();
    Output::raw(text.join("\n").as_bytes())?;
    tell_full_disks(context, overview.disk_full, &views);
    Ok(())
}

fn info<'a>(home: &Home, view: &'a ProcessView, spec: Option<&'a ProcessSpec>) -> Info<'a> {
    let path = |path: std::path::PathBuf| path.display().to_string();
    let log = |file: Option<_>| file.map_or_else(|| "/dev/null".to_owned(), path);
    let name = &view.name;
    Info {
        view,
        restart: spec.map(|spec| spec.restart.to_string()),
        max_restarts: spec.and_then(|spec| spec.max_restarts),
        stop_signal: spec.map(|spec| spec.stop_signal.to_string()),
        stop_timeout_ms: spec.map(|spec| spec.stop_timeout_ms),
        user: spec
            .and_then(|spec| spec.user.as_ref())
            .map(|user| user.name.as_str()),
        umask: spec.map(|spec| format!("{:04o}", spec.umask)),
        nice: spec.and_then(|spec| spec.nice),
        limits: spec.map(limit_views).unwrap_or_default(),
        limits_lowered: view.lowered.as_deref(),
        service_limits: spec.map(|spec| spec.limits),
        reload_signal: spec.map(|spec| spec.reload_signal.unwrap_or(Signal::HUP).to_string()),
        declared: spec.map(care::Declared::of),
        spec,
        program: spec.map(|spec| {
            let words = spec.program.words.iter();
            cover_words(words.map(Text::to_string_lossy))
        }),
        shell_state: spec.and_then(|spec| shell_info(home, name, spec)),
        files: Files {
            out: log(view.log_files(home).0),
            err: log(view.error_log(home)),
            env: path(home.env(name)),
            shell: path(home.shell(name)),
            meta: path(home.meta(name)),
            events: path(home.events(name)),
        },
    }
}

/// `None` where the shell's hook handed nothing over.
fn shell_info(home: &Home, name: &ProcessName, spec: &ProcessSpec) -> Option<ShellInfo> {
    let store = ProcessStore::new(home.clone());
    let unknown = |error: Error| ShellInfo {
        shell: None,
        used: false,
        reason: Some(error.to_string()),
        summary: None,
    };
    let state = match store.shell(name) {
        Ok(state) => state?,
        Err(error) => return Some(unknown(error)),
    };
    let environment = match store.environment(name) {
        Ok(environment) => environment,
        Err(error) => return Some(unknown(error)),
    };
    let reason = match launch::shell_use(spec, &environment, state.shell()) {
        ShellUse::Used => None,
        ShellUse::NotUsed(reason) => Some(reason.to_owned()),
    };
    Some(ShellInfo {
        shell: Some(state.shell().to_string()),
        used: reason.is_none(),
        reason,
        summary: Some(state.summary()),
    })
}

fn in_words(context: &Context, info: &Info<'_>) -> String {
    let view = info.view;
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        writeln!(text, "{label}: {value}").best_effort("a String takes everything");
    };
    line("Process", &format!("{} (ID: {})", view.name, view.id));
    line("Status", &status(context, view));
    line("Script", &table::printable(&view.script.to_string_lossy()));
    if let Some(port) = view.port {
        line("Port", &port.to_string());
    }
    if view.started_s > 0 {
        line("Started", &words::local_time(view.started_s * 1000));
    }
    line(
        "Working Dir",
        &table::printable(&view.cwd.to_string_lossy()),
    );
    if !view.args.is_empty() {
        let args: Vec<&[u8]> = view.args.iter().map(Text::as_bytes).collect();
        let quoted = tsm_core::env::quote::quote_words(args.into_iter());
        line("Arguments", &String::from_utf8_lossy(&quoted));
    }
    if let Some(uptime) = view.uptime_ms {
        line("Uptime", &words::duration(uptime));
    }
    if let (Some(cpu), Some(memory)) = (view.cpu_percent, view.memory_bytes) {
        line(
            "Usage",
            &format!("{cpu:.1}% CPU, {} memory", words::size(memory)),
        );
    }
    if let Some(restart) = &info.restart {
        let limit = info
            .max_restarts
            .map(|n| format!(", given up after {n} in a row"))
            .unwrap_or_default();
        line(
            "Restart",
            &format!("{restart}{limit} ({} so far)", view.restarts),
        );
    }
    if let (Some(signal), Some(ms)) = (&info.stop_signal, info.stop_timeout_ms) {
        line(
            "Stop",
            &format!("{signal}, SIGKILL after {}", words::seconds(ms)),
        );
    }
    for (label, value) in care::lines(view, info.spec) {
        line(label, &value);
    }
    for (label, value) in unusual(info.spec) {
        line(label, &value);
    }
    if let Some(lowered) = info.limits_lowered {
        line(
            "Lowered",
            &format!("{} (as the supervisor itself)", table::printable(lowered)),
        );
    }
    if let Some(user) = info.user {
        line("User", user);
    }
    line("Namespace", &view.namespace);
    if let Some(group) = &view.cgroup {
        line("Cgroup", group);
    }
    if let Some(exit) = &view.exit {
        let at = exit.at.as_deref();
        let at = at
            .map(|at| format!(", {}", words::local_rfc3339(at)))
            .unwrap_or_default();
        line(
            "Last Exit",
            &format!("{}{at}", table::printable(&exit.reason)),
        );
    }
    line("Output", &info.files.out);
    line("Errors", &info.files.err);
    line("Environment", &info.files.env);
    if let Some(state) = &info.shell_state {
        let words = match (&state.reason, &state.shell, &state.summary) {
            (None, Some(shell), Some(summary)) => format!("{shell}, {summary}"),
            (reason, ..) => format!("not used ({})", reason.as_deref().unwrap_or("unknown")),
        };
        line("Shell state", &table::printable(&words));
    }
    text
}

fn status(context: &Context, view: &ProcessView) -> String {
    let reason = view
        .exit
        .as_ref()
        .map(|exit| table::printable(&exit.reason));
    let because = reason
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    let pid = view
        .pid
        .map(|pid| format!(" (PID: {pid})"))
        .unwrap_or_default();
    let (glyph, word, colour, more) = match &view.state {
        State::Running => ("✓", "Running", AnsiColor::Green, pid),
        State::Starting => ("…", "Starting", AnsiColor::Yellow, pid),
        State::Stopping => ("…", "Stopping", AnsiColor::Yellow, pid),
        State::Unsupervised => ("!", "Unsupervised", AnsiColor::Yellow, pid),
        State::Backoff => {
            let wait = view
                .next_ms
                .map(|at| at.saturating_sub(clock::unix_ms()))
                .map(words::seconds);
            let lane = if view.slow_lane { ", slow lane" } else { "" };
            let next = wait
                .map(|wait| format!(", next start in {wait}{lane}"))
                .unwrap_or_default();
            (
                "↻",
                "Backoff",
                AnsiColor::Yellow,
                format!("{because}{next}"),
            )
        }
        State::Waiting => {
            let waits = view.waits.as_deref().map(table::printable);
            let waits = waits.map(|waits| format!(" ({waits})")).unwrap_or_default();
            ("…", "Waiting", AnsiColor::Yellow, waits)
        }
        State::Done => ("✓", "Done", AnsiColor::Green, because),
        State::Failed => ("✗", "Failed", AnsiColor::Red, because),
        State::Exited => ("○", "Exited", AnsiColor::White, because),
        State::Stopped if because == " (reboot)" => ("○", "Stopped", AnsiColor::White, because),
        _ => ("○", "Stopped", AnsiColor::White, String::new()),
    };
    format!("{} {word}{more}", context.output.paint(colour, glyph))
}
