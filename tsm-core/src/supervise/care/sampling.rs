//! Limits that no cgroup holds a service to: the whole tree is looked at every ten seconds, only where some service asks for
//! that, and by the worker. What is over its limit has failed, and is ended as such.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::IoContext as _;
use crate::events::EventKind;
use crate::probe::{Usage, Usages};
use crate::spec::ServiceLimits;
use crate::supervise::machine::{Event, Phase};
use crate::supervise::supervisor::Supervisor;
use crate::supervise::worker::Urgency;
use crate::sys::{Identity, clock};
use crate::words;

/// How often trees are looked at.
const EVERY: Duration = Duration::from_secs(10);

/// What a service is held to by being looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervise) struct Watched {
    memory: Option<u64>,
    tasks: Option<u32>,
}

impl Watched {
    /// What of `limits` can be seen by looking; `None` where that is nothing.
    pub(in crate::supervise) fn of(limits: &ServiceLimits) -> Option<Box<Self>> {
        let watched = Self {
            memory: limits.memory,
            tasks: limits.tasks,
        };
        (watched.memory.is_some() || watched.tasks.is_some()).then(|| Box::new(watched))
    }

    /// What of `limits` an adopted service is not held to by its cgroup.
    pub(in crate::supervise) fn adopted(
        limits: &ServiceLimits,
        group: Option<&Path>,
    ) -> Option<Box<Self>> {
        let holds = |file: &str| group.is_some_and(|group| group.join(file).exists());
        Self::of(&ServiceLimits {
            memory: limits.memory.filter(|_| !holds("memory.max")),
            tasks: limits.tasks.filter(|_| !holds("pids.max")),
            ..ServiceLimits::default()
        })
    }

    /// Which limit is exceeded: its name, what is used, and what may be.
    fn exceeded(&self, usage: &Usage) -> Option<(&'static str, u64, u64)> {
        let memory = self.memory.filter(|&limit| usage.memory_bytes > limit);
        let tasks = self.tasks.map(u64::from);
        let tasks = tasks.filter(|&limit| usage.tasks > limit);
        let memory = memory.map(|limit| ("memory", usage.memory_bytes, limit));
        memory.or(tasks.map(|limit| ("tasks", usage.tasks, limit)))
    }
}

/// What a limit was exceeded by, for people.
fn in_words(limit: &str, used: u64, may: u64) -> String {
    match limit {
        "memory" => format!(
            "over its limit of {} of memory, with {}",
            words::size(may),
            words::size(used)
        ),
        _ => format!("over its limit of {may} {limit}, with {used}"),
    }
}

impl Supervisor {
    /// From now on, as long as something of it runs, this service is looked at.
    pub(in crate::supervise) fn watch_limits(&mut self, id: u32, watched: Option<Box<Watched>>) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        service.watched = watched;
        if service.watched.is_some() {
            self.sample_at
                .get_or_insert_with(|| clock::monotonic() + EVERY);
        }
    }

    /// Lets the worker look, when it is time.
    pub(in crate::supervise) fn sample_if_due(&mut self) {
        if self.sample_at.is_none_or(|at| at > clock::monotonic()) {
            return;
        }
        let leaders: Vec<(u32, Identity)> = self
            .services
            .iter()
            .filter(|(_, service)| service.watched.is_some())
            .filter(|(_, service)| matches!(service.machine.phase, Phase::Running { .. }))
            .filter_map(|(id, service)| Some((*id, service.leader.as_ref()?.identity)))
            .collect();
        let any = self
            .services
            .values()
            .any(|service| service.watched.is_some());
        self.sample_at = any.then(|| clock::monotonic() + EVERY);
        // Between two runs there is nothing to look at, but the next run is to be looked at again.
        if leaders.is_empty() {
            return;
        }
        let found: Arc<Mutex<Usages>> = Arc::default();
        let told = Arc::clone(&found);
        let measured = leaders.clone();
        // A large tree takes longer to read than the loop may wait.
        self.worker.submit(
            Urgency::Background,
            move |_| {
                let usages = Usages::measure(measured.into_iter()).doing("read /proc")?;
                *told.lock().unwrap_or_else(PoisonError::into_inner) = usages;
                Ok(())
            },
            move |supervisor, done| {
                if let Err(error) = done {
                    return supervisor.log.say(error);
                }
                let usages = found.lock().unwrap_or_else(PoisonError::into_inner);
                for (id, leader) in leaders {
                    if let Some(usage) = usages.get(id) {
                        supervisor.judge_usage(id, leader, &usage);
                    }
                }
            },
        );
    }

    fn judge_usage(&mut self, id: u32, leader: Identity, usage: &Usage) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        // That run may have ended since it was measured, and the next one may have begun.
        let same_run = service
            .leader
            .as_ref()
            .is_some_and(|l| l.identity == leader);
        let running = matches!(service.machine.phase, Phase::Running { .. });
        let exceeded = service
            .watched
            .as_ref()
            .filter(|_| same_run && running)
            .and_then(|watched| watched.exceeded(usage));
        let Some((limit, used, may)) = exceeded else {
            return;
        };
        let reason = in_words(limit, used, may);
        self.log
            .say(format_args!("'{}' is {reason}; it is ended", service.name));
        service.over_limit = Some(format!("it was {reason}").into());
        let run = service.run();
        self.note(
            id,
            EventKind::LimitHit {
                run,
                limit: limit.to_owned(),
                allowed: may,
                used: Some(used),
            },
        );
        self.step(id, Event::Unfit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::CpuSample;

    fn usage(memory_bytes: u64, tasks: u64) -> Usage {
        let sample = CpuSample {
            id: 1,
            start: 0,
            used: 0,
            at: 0,
        };
        Usage {
            memory_bytes,
            tasks,
            cpu_percent: 0.0,
            sample,
        }
    }

    #[test]
    fn only_what_is_over_a_limit_is_over_it() {
        let limits = ServiceLimits {
            memory: Some(1 << 20),
            tasks: Some(5),
            ..ServiceLimits::default()
        };
        let watched = Watched::of(&limits).unwrap();
        assert_eq!(watched.exceeded(&usage(1 << 20, 5)), None);
        assert_eq!(
            watched.exceeded(&usage(3 << 20, 9)),
            Some(("memory", 3 << 20, 1 << 20))
        );
        assert_eq!(watched.exceeded(&usage(0, 6)), Some(("tasks", 6, 5)));
        assert_eq!(
            in_words("memory", 3 << 20, 1 << 20),
            "over its limit of 1.0M of memory, with 3.0M"
        );
        assert_eq!(in_words("tasks", 6, 5), "over its limit of 5 tasks, with 6");
        assert_eq!(Watched::of(&ServiceLimits::default()), None);
    }
}
