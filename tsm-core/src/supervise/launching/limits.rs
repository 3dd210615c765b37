//! Limits that a service should have and this supervisor may not set (`CAP_SYS_RESOURCE`, `setrlimit(2)`): the service gets what can be had,
//! and its user is told what it has not.

use crate::events::EventKind;
use crate::supervise::supervisor::Supervisor;
use crate::sys;
use crate::sys::limits::Limit;

/// So many descriptors stay free when something new is started: for connections, `/proc`, records, logs, restarts.
pub(super) const KEPT_FOR_WORK: u64 = 32;

fn limit_in_words(value: u64) -> String {
    match value {
        u64::MAX => "unlimited".to_owned(),
        value => value.to_string(),
    }
}

impl Supervisor {
    /// Lowers limits that this supervisor may not set, and says so: it may have been started by something with lower ones
    /// than the shell that a service was started from, and a service with lower limits is better than none.
    pub(super) fn fit_limits(
        &mut self,
        id: u32,
        limits: &mut [Limit],
        nice: Option<i32>,
        insists_on_files: bool,
    ) {
        // Only hard limits count: a soft one may be anything up to its hard one (`setrlimit(2)`).
        let may = |own: &[Limit], limits: &[Limit]| {
            limits.iter().all(|limit| {
                own.iter()
                    .find(|o| o.resource == limit.resource)
                    .is_none_or(|o| limit.hard <= o.hard)
            })
        };
        let kept = limits.iter().position(sys::limits::is_open_files);
        let kept = kept.filter(|_| insists_on_files).map(|at| (at, limits[at]));
        let mut lowered = if may(&self.own_limits, limits) || sys::limits::may_raise_hard() {
            Vec::new()
        } else {
            sys::limits::fit(limits, &self.own_limits)
        };
        // A limit that the spec names is not lowered silently: where it cannot be had, the launch
        // fails and says so.
        if let Some((at, asked)) = kept {
            limits[at] = asked;
            lowered.retain(|limit| *limit != asked);
        }
        let late = nice.filter(|nice| !sys::limits::may_have_nice(*nice, &self.own_limits));
        let mut words: Vec<String> = lowered
            .iter()
            .map(|asked| {
                let given = limits.iter().find(|l| l.resource == asked.resource);
                format!(
                    "{} {} instead of {}",
                    sys::limits::name(asked.resource),
                    given.map_or_else(String::new, |given| limit_in_words(given.hard)),
                    limit_in_words(asked.hard)
                )
            })
            .collect();
        if let (Some(asked), Some(own)) = (late, sys::limits::nice()) {
            words.push(format!("nice {own} instead of {asked}"));
        }
        let words = words.join(", ");
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        // Taken out first, so that nothing stays there once all limits can be had again.
        let before = service.meta.lowered.take().unwrap_or_default();
        if words.is_empty() {
            return;
        }
        service.meta.lowered = Some(words.clone());
        // It is the same at every restart, and reported once.
        if before == words {
            return;
        }
        let notice = format!(
            "'{}' runs with lower limits than it should ({words}): its supervisor was started with these; 'tsm supervisor stop', then 'tsm restart {}' from a shell with higher ones",
            service.name, service.name
        );
        self.log.say(&notice);
        self.notices.push(notice);
        self.note(id, EventKind::LimitsLowered { limits: words });
    }

    /// Why nothing new is started where it would leave no descriptor to work with.
    pub(super) fn too_many_for_limit(&self) -> String {
        format!(
            "the supervisor may have {} open files at most and each process takes three; raise the hard limit ('ulimit -Hn') and say 'tsm supervisor stop': the next command starts one with the new limit",
            sys::limits::open_files_in(&self.own_limits)
        )
    }
}
