//! What is asked for of a process besides running, for people and programs.

use serde::Serialize;
use tsm_core::spec::{
    HealthAction, HealthCheck, HealthSpec, Hooks, HttpCheck, Notice, NoticeTarget, ProcessSpec,
    ReadyCheck, ReadySpec, ScheduleSpec, WatchSpec, Zone,
};
use tsm_core::view::ProcessView;

use crate::{table, words};

/// As `info --json` prints it, in the form of the spec.
#[derive(Serialize)]
pub(super) struct Declared<'a> {
    ready: Option<&'a ReadySpec>,
    health: Option<&'a HealthSpec>,
    hooks: Option<&'a Hooks>,
    watch: Option<&'a WatchSpec>,
    schedule: Option<&'a ScheduleSpec>,
    notify: &'a [Notice],
}

impl<'a> Declared<'a> {
    pub(super) fn of(spec: &'a ProcessSpec) -> Self {
        Self {
            ready: spec.ready.as_deref(),
            health: spec.health.as_deref(),
            hooks: spec.hooks.as_deref(),
            watch: spec.watch.as_deref(),
            schedule: spec.schedule.as_deref(),
            notify: &spec.notify,
        }
    }
}

/// The lines of `info`.
pub(super) fn lines(view: &ProcessView, spec: Option<&ProcessSpec>) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(status) = &view.status_text {
        lines.push(("Says", table::printable(status)));
    }
    let Some(spec) = spec else { return lines };
    if let Some(ready) = &spec.ready {
        let state = match view.ready {
            Some(true) => "yes",
            Some(false) => "not yet",
            None => "-",
        };
        let time = words::seconds(ready.timeout_ms);
        let by = by_ready(&ready.check, spec.port);
        lines.push(("Ready", format!("{state} ({by}, within {time})")));
    }
    if let Some(health) = &spec.health {
        let state = view.health.as_deref().unwrap_or("-");
        let by = by_health(health, spec.port);
        lines.push(("Health", format!("{state} ({by})")));
    }
    if let Some(hooks) = &spec.hooks {
        let all = [
            ("Before start", &hooks.pre_start),
            ("After start", &hooks.post_start),
            ("Before stop", &hooks.pre_stop),
            ("After stop", &hooks.post_stop),
        ];
        for (label, hook) in all {
            if let Some(hook) = hook {
                lines.push((label, table::printable(&hook.command.in_words())));
            }
        }
    }
    if let Some(watch) = &spec.watch {
        let paths = if watch.paths.is_empty() {
            ".".to_owned()
        } else {
            watch.paths.join(", ")
        };
        let then = match watch.signal {
            Some(signal) => format!("{signal}"),
            None => "restart".to_owned(),
        };
        lines.push(("Watch", table::printable(&format!("{paths}, then {then}"))));
    }
    if let Some(schedule) = &spec.schedule {
        let zone = match schedule.zone {
            Zone::Local => "local time",
            Zone::Utc => "UTC",
        };
        let next = view.next_run_at.as_deref().map(words::local_rfc3339);
        let next = next.map(|next| format!(", next {next}"));
        lines.push((
            "Schedule",
            format!("{} ({zone}){}", schedule.cron, next.unwrap_or_default()),
        ));
    }
    for notice in &spec.notify {
        let to = match &notice.to {
            NoticeTarget::Command(command) => command.in_words(),
            NoticeTarget::Webhook { url, .. } => url.clone(),
        };
        let on = if notice.on.is_empty() {
            "trouble".to_owned()
        } else {
            notice.on.join(", ")
        };
        lines.push(("Notice", table::printable(&format!("{to} (on {on})"))));
    }
    lines
}

fn by_ready(check: &ReadyCheck, declared: Option<u16>) -> String {
    let by = match check {
        ReadyCheck::Port(port) => match port.or(declared) {
            Some(port) => format!("port {port}"),
            None => "port".to_owned(),
        },
        ReadyCheck::Http(check) => address(check, declared),
        ReadyCheck::Log(pattern) => format!("a line like '{pattern}'"),
        ReadyCheck::Command(command) => command.in_words(),
        ReadyCheck::Notify => "it says so".to_owned(),
        ReadyCheck::Fd(number) => format!("descriptor {number}"),
    };
    table::printable(&by)
}

/// Where it is asked; where that cannot be told yet, as it was written.
fn address(check: &HttpCheck, declared: Option<u16>) -> String {
    check.at(declared).unwrap_or_else(|| check.clone()).url
}

fn by_health(health: &HealthSpec, declared: Option<u16>) -> String {
    let every = |by: String| {
        format!(
            "{by} every {}, unhealthy after {} in a row",
            words::seconds(health.interval_ms),
            health.retries
        )
    };
    let by = match &health.check {
        HealthCheck::Http(check) => every(address(check, declared)),
        HealthCheck::Tcp { host, port } => every(match port.or(declared) {
            Some(port) => format!("tcp {host}:{port}"),
            None => format!("tcp {host}"),
        }),
        HealthCheck::Command(command) => every(command.in_words()),
        HealthCheck::Watchdog => {
            format!("watchdog of {}", words::seconds(health.timeout_ms))
        }
    };
    let then = match health.action {
        HealthAction::Restart => "then restarted",
        HealthAction::Report => "only told",
    };
    table::printable(&format!("{by}, {then}"))
}
