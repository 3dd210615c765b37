//! What a process has of its shell besides variables: umask, nice value, resource limits.

use serde::Serialize;
use tsm_core::spec::{ProcessSpec, ServiceLimits};
use tsm_core::sys::limits::{self, Limit};

use crate::words;

/// A resource limit as at the first start; `null` is unlimited.
#[derive(Serialize)]
pub(super) struct LimitView {
    name: &'static str,
    soft: Option<u64>,
    hard: Option<u64>,
}

pub(super) fn limit_views(spec: &ProcessSpec) -> Vec<LimitView> {
    let value = |value: u64| (value != u64::MAX).then_some(value);
    let view = |limit: &Limit| LimitView {
        name: limits::name(limit.resource),
        soft: value(limit.soft),
        hard: value(limit.hard),
    };
    spec.rlimits.iter().map(view).collect()
}

/// What of umask, nice value and limits is not as a system gives it to everybody.
pub(super) fn unusual(spec: Option<&ProcessSpec>) -> Vec<(&'static str, String)> {
    const USUAL_UMASK: u32 = 0o022;
    let Some(spec) = spec else { return Vec::new() };
    let mut lines = Vec::new();
    if spec.umask != USUAL_UMASK {
        lines.push(("Umask", format!("{:04o}", spec.umask)));
    }
    if let Some(nice) = spec.nice.filter(|nice| *nice != 0) {
        lines.push(("Nice", nice.to_string()));
    }
    if let Some(signal) = spec.reload_signal {
        lines.push(("Reload", signal.to_string()));
    }
    let own = in_words(&spec.limits);
    if !own.is_empty() {
        lines.push(("Held to", own));
    }
    let usual = limits::of_init();
    let words = |value: u64| match value {
        u64::MAX => "unlimited".to_owned(),
        value => value.to_string(),
    };
    let others: Vec<String> = spec
        .rlimits
        .iter()
        .filter(|limit| {
            usual
                .iter()
                .any(|u| u.resource == limit.resource && u != *limit)
        })
        .map(|limit| {
            let name = limits::name(limit.resource);
            if limit.soft == limit.hard {
                return format!("{name} {}", words(limit.soft));
            }
            format!(
                "{name} {} (at most {})",
                words(limit.soft),
                words(limit.hard)
            )
        })
        .collect();
    if !others.is_empty() {
        lines.push(("Limits", others.join(", ")));
    }
    lines
}

/// What a person limited.
fn in_words(limits: &ServiceLimits) -> String {
    let all = [
        limits
            .memory
            .map(|bytes| format!("{} of memory", words::size(bytes))),
        limits.cpu.map(|share| format!("{share} of a core")),
        limits.tasks.map(|tasks| format!("{tasks} tasks")),
        limits.nofile.map(|files| format!("{files} open files")),
        limits.nice.map(|nice| format!("nice value {nice}")),
        limits
            .oom_score_adj
            .map(|score| format!("OOM score {score}")),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
