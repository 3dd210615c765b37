//! What is asked for besides running, as the supervisor holds it: readiness, health, hooks. Only a process for which
//! something of it is asked has one of these.

mod awaiting;
mod checking;
pub(super) mod errands;
mod failure;
mod hooks;
mod log_scan;
pub(super) mod notices;
pub(super) mod sampling;
pub(super) mod saying;
pub(super) mod triggers;
mod watching;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::machine::{Event, Phase, Report};
use super::service::Service;
use super::supervisor::Supervisor;
use super::vitals::{Health, Readiness, VitalAction, VitalEvent, Vitals, VitalsPolicy};
use crate::events::EventKind;
use crate::spec::{
    HealthSpec, Hook, Hooks, Notice, ProcessSpec, ReadyCheck, ReadySpec, ScheduleSpec, WatchSpec,
};
use crate::sys::clock;
use awaiting::Awaiting;
use errands::{HookKind, Purpose};
use watching::Watching;

/// Whose time it is that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The vitals of a process.
    Vitals(u32),
    /// The next try whether a process is ready.
    Try(u32),
    /// An errand.
    Errand(u32),
    /// A notice that could not be delivered.
    Notice(u32),
}

/// How far the hook before a start is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PreStart {
    #[default]
    Due,
    UnderWay,
    Done,
}

#[derive(Default)]
pub(super) struct Care {
    pub(super) ready: Option<Box<ReadySpec>>,
    pub(super) health: Option<Box<HealthSpec>>,
    hooks: Option<Box<Hooks>>,
    pub(super) notify: Vec<Notice>,
    pub(super) vitals: Vitals,
    /// How its readiness is looked for, while it is.
    awaiting: Option<Awaiting>,
    /// Whether its declared port was seen to be listened on, where somebody asked and nothing else is declared.
    pub(super) port_seen: bool,
    /// Why the last check failed.
    pub(super) trouble: Option<String>,
    pub(super) watch: Option<Box<WatchSpec>>,
    pub(super) schedule: Option<Box<ScheduleSpec>>,
    /// Its start means that it waits for its time.
    task: bool,
    /// Its time has come.
    pub(super) is_due: bool,
    /// When that is, in Unix milliseconds.
    pub(super) due_ms: Option<u64>,
    /// Its files are, or are about to be, watched.
    pub(super) is_watched: bool,
    /// Tells this watching from those before.
    pub(super) watch_number: u64,
    watching: Option<Watching>,
    pub(super) pre_start: PreStart,
    armed: Option<Duration>,
}

impl Care {
    /// What a spec asks for; `None` where that is nothing.
    fn asked_for(spec: &ProcessSpec) -> Option<Self> {
        let hooks = spec.hooks.clone().filter(|hooks| !hooks.is_empty());
        let nothing = spec.ready.is_none()
            && spec.health.is_none()
            && hooks.is_none()
            && spec.watch.is_none()
            && spec.schedule.is_none()
            && spec.notify.is_empty();
        if nothing {
            return None;
        }
        let policy = VitalsPolicy::new(spec.ready.as_deref(), spec.health.as_deref());
        Some(Self {
            ready: spec.ready.clone(),
            health: spec.health.clone(),
            hooks,
            notify: spec.notify.clone(),
            watch: spec.watch.clone(),
            schedule: spec.schedule.clone(),
            task: spec.task,
            vitals: Vitals::new(policy),
            ..Self::default()
        })
    }

    /// Takes over what a spec asks for. What is known of a run that is there stays.
    pub(super) fn apply(care: &mut Option<Box<Self>>, spec: &ProcessSpec) {
        let new = Self::asked_for(spec);
        match (care.as_deref_mut(), new) {
            (None, new) => *care = new.map(Box::new),
            (Some(_), None) => *care = None,
            // Piece by piece: what a run under way is waiting for stays as it is.
            (Some(old), Some(new)) => {
                old.vitals.policy = new.vitals.policy;
                old.ready = new.ready;
                old.health = new.health;
                old.hooks = new.hooks;
                old.notify = new.notify;
                if old.watch != new.watch {
                    // The watch begins anew at the next look.
                    old.is_watched = false;
                    old.watch_number += 1;
                    old.watching = None;
                    old.watch = new.watch;
                }
                // Its next time was computed from the old schedule.
                if old.schedule != new.schedule {
                    old.due_ms = None;
                    old.schedule = new.schedule;
                }
                old.task = new.task;
            }
        }
    }

    /// Whether something besides its end starts it again.
    pub(super) fn has_triggers(&self) -> bool {
        self.watch.is_some() || self.schedule.is_some() || self.is_watched || self.due_ms.is_some()
    }

    /// Whether it is a task that runs by the clock.
    pub(super) fn is_scheduled_task(&self) -> bool {
        self.task && self.schedule.is_some()
    }

    pub(super) fn hook(&self, kind: HookKind) -> Option<&Hook> {
        let hooks = self.hooks.as_ref()?;
        match kind {
            HookKind::PreStart => hooks.pre_start.as_ref(),
            HookKind::PostStart => hooks.post_start.as_ref(),
            HookKind::PreStop => hooks.pre_stop.as_ref(),
            HookKind::PostStop => hooks.post_stop.as_ref(),
        }
    }

    /// The pipe by which the run says that it is ready.
    pub(super) fn ready_pipe(&self) -> Option<BorrowedFd<'_>> {
        match &self.awaiting {
            Some(Awaiting::Pipe { pipe, .. }) => Some(pipe.as_fd()),
            _ => None,
        }
    }

    /// The words of the record: whether it is ready, and how healthy.
    pub(super) fn words(&self) -> (Option<bool>, Option<&'static str>) {
        let ready = match self.vitals.readiness {
            Readiness::Down => None,
            _ if self.ready.is_none() => None,
            readiness => Some(readiness == Readiness::Ready),
        };
        let health = match (self.vitals.readiness, self.vitals.health) {
            _ if self.health.is_none() => None,
            (Readiness::Down, _) => None,
            (_, Health::Unknown) => Some("starting"),
            (_, Health::Healthy) => Some("healthy"),
            (_, Health::Unhealthy) => Some("unhealthy"),
        };
        (ready, health)
    }
}

impl Service {
    /// Whether it is ready: by what its spec says; where that says nothing, by its declared port; and where it has none,
    /// when it runs. A port is only looked for while somebody wants to know, see [`Supervisor::want_ready`]. A task of which
    /// nothing is said is of use when it is done.
    pub(super) fn is_ready(&self) -> bool {
        if !matches!(self.machine.phase, Phase::Running { .. }) {
            return false;
        }
        match self.care.as_deref() {
            Some(care) if care.ready.is_some() => care.vitals.readiness == Readiness::Ready,
            _ if self.task => false,
            // A port is the only thing that can be seen of a service that declares nothing else.
            care => self.meta.port.is_none() || care.is_some_and(|care| care.port_seen),
        }
    }

    /// Whether it is healthy: by its checks; where it has none, when it is ready.
    pub(super) fn is_healthy(&self) -> bool {
        match self.care.as_deref() {
            Some(care) if care.health.is_some() => {
                care.vitals.readiness == Readiness::Ready && care.vitals.health == Health::Healthy
            }
            _ => self.is_ready(),
        }
    }
}

impl Supervisor {
    /// Whether a process is ready, see [`Service::is_ready`].
    pub(super) fn is_ready(&self, id: u32) -> bool {
        self.services.get(&id).is_some_and(Service::is_ready)
    }

    /// Somebody waits for a process to be ready: [`Report::Ready`] comes when it is.
    pub(super) fn want_ready(&mut self, id: u32) {
        if self.is_ready(id) {
            return;
        }
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let (port, running) = (
            service.meta.port,
            matches!(service.machine.phase, Phase::Running { .. }),
        );
        let care = service.care.get_or_insert_default();
        let looked_for = care.ready.is_some() || care.awaiting.is_some();
        if let Some(port) = port.filter(|_| running && !looked_for) {
            self.await_port(id, port);
        }
    }

    /// Somebody waits no more: where nobody else does, its port is not looked for any longer.
    pub(super) fn unwant_ready(&mut self, id: u32) {
        if self.is_readiness_wanted(id) {
            return;
        }
        let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
        if let Some(care) = care.filter(|care| care.ready.is_none()) {
            care.awaiting = None;
        }
    }

    /// Feeds the vitals of a process, and does what comes out.
    pub(super) fn vital(&mut self, id: u32, event: VitalEvent) {
        let now = clock::monotonic();
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let Some(care) = service.care.as_deref_mut() else {
            return;
        };
        let (vitals, actions) = care.vitals.step(event, now);
        care.vitals = vitals;
        if event == VitalEvent::Ended {
            // What was seen of one run says nothing about the next.
            care.port_seen = false;
            care.trouble = None;
            service.meta.status = None;
            if let Some(awaiting) = care.awaiting.take() {
                self.end_awaiting(id, awaiting);
            }
            self.kill_errands(id, |purpose| {
                matches!(purpose, Purpose::Hook(HookKind::PostStart))
            });
        }
        self.vitals_changed(id, actions);
    }

    /// The vitals of a process were stepped: its timer and its record follow, and then what is to be done.
    pub(super) fn vitals_changed(&mut self, id: u32, actions: Vec<VitalAction>) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let Some(care) = service.care.as_deref_mut() else {
            return;
        };
        // At most one timer for each service, so the old one goes first.
        if let Some(armed) = care.armed.take() {
            self.timers.remove(&(armed, Timer::Vitals(id)));
        }
        if let Some(deadline) = care.vitals.deadline() {
            care.armed = Some(deadline);
            self.timers.insert((deadline, Timer::Vitals(id)));
        }
        let (ready, health) = care.words();
        let health = health.map(str::to_owned);
        if (service.meta.ready, &service.meta.health) != (ready, &health) {
            service.meta.ready = ready;
            service.meta.health = health;
            service.dirty = true;
            // The record first: should we die while acting, our successor knows how far it was.
            self.save(id);
        }
        for action in actions {
            match action {
                VitalAction::Await => self.await_ready(id),
                VitalAction::LetGo => self.let_go(id),
                VitalAction::Check => self.check_health(id),
                VitalAction::Report(report) => self.report(id, report),
                VitalAction::Unfit => self.unfit(id),
            }
        }
    }

    /// What is looked for is found, or of no interest any more.
    fn let_go(&mut self, id: u32) {
        let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
        if let Some(awaiting) = care.and_then(|care| care.awaiting.take()) {
            self.end_awaiting(id, awaiting);
        }
        self.kill_errands(id, |purpose| {
            matches!(purpose, Purpose::Ready | Purpose::Health)
        });
    }

    /// The run has failed, and is ended. Why stands in the record from now on, so that a successor knows as well.
    fn unfit(&mut self, id: u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        // A stop may have come first, and then it is being ended anyway.
        if !matches!(service.machine.phase, Phase::Running { .. }) {
            return;
        }
        let care = service.care.as_deref();
        let reason = care.map(Care::reason).unwrap_or_default();
        self.log.say(format_args!("'{}' {reason}", service.name));
        service.meta.reason = Some(reason.into_bytes());
        service.dirty = true;
        self.step(id, Event::Unfit);
    }

    /// What became of the vitals, in the history.
    pub(super) fn note_vitals(&mut self, id: u32, report: Report) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let Some(care) = service.care.as_deref() else {
            return;
        };
        let now_ms = clock::unix_ms();
        let after_ms = now_ms.saturating_sub(service.meta.started_ms.unwrap_or(now_ms));
        let kind = match report {
            Report::Ready => EventKind::Ready { after_ms },
            Report::NotReady => EventKind::NotReady {
                after_ms,
                reason: care.trouble.clone(),
            },
            Report::Healthy => EventKind::Healthy,
            Report::Unhealthy => EventKind::Unhealthy {
                reason: care.trouble_in_words(),
            },
            _ => return,
        };
        self.note(id, kind);
    }

    /// Goes on looking after a run that another supervisor began. `pipe` is that by which it says that it is ready.
    pub(super) fn adopt_vitals(&mut self, id: u32, pipe: Option<OwnedFd>) {
        let now = clock::monotonic();
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let Phase::Running { since } = service.machine.phase else {
            return;
        };
        let (run, since_ms) = (service.run(), service.meta.started_ms);
        // Without a word on record nothing was asked for, and that counts as ready.
        let ready = service.meta.ready != Some(false);
        let health = match service.meta.health.as_deref() {
            Some("healthy") => Health::Healthy,
            Some("unhealthy") => Health::Unhealthy,
            _ => Health::Unknown,
        };
        let Some(care) = service.care.as_deref_mut() else {
            return;
        };
        let pattern = match care.ready.as_ref().map(|ready| &ready.check) {
            Some(ReadyCheck::Log(pattern)) if !ready => Some(pattern.clone()),
            _ => None,
        };
        let (vitals, actions) = care.vitals.adopted(ready, health, since, now);
        care.vitals = vitals;
        if let Some(pipe) = pipe {
            self.take_ready_pipe(id, run, pipe);
        }
        if let Some(pattern) = pattern {
            // From the beginning of the run: the line may have come while there was no supervisor.
            self.begin_log_scan(id, &pattern, since_ms);
        }
        self.vitals_changed(id, actions);
    }

    pub(super) fn fire_timers(&mut self) {
        let now = clock::monotonic();
        while let Some(&(at, timer)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Vitals(id) => {
                    let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
                    if let Some(care) = care {
                        care.armed = None;
                    }
                    self.vital(id, VitalEvent::Deadline);
                }
                Timer::Try(id) => self.try_ready(id),
                Timer::Errand(number) => self.errand_overdue(number),
                Timer::Notice(number) => self.deliver_again(number),
            }
        }
    }
}

impl Care {
    /// Why the run has failed, for people.
    pub(super) fn reason(&self) -> String {
        let trouble = self.trouble.as_deref();
        if self.vitals.readiness == Readiness::Late {
            let ready = self.ready.as_ref();
            let time = ready.map_or(0, |ready| ready.timeout_ms);
            let because = trouble.map(|t| format!(" ({t})")).unwrap_or_default();
            return format!(
                "was not ready within {}{because}",
                crate::words::seconds(time)
            );
        }
        format!("was not healthy: {}", self.trouble_in_words())
    }

    fn trouble_in_words(&self) -> String {
        let silent = || {
            let health = self.health.as_ref()?;
            let time = crate::words::seconds(health.timeout_ms);
            Some(format!("it sent no WATCHDOG=1 for {time}"))
        };
        let trouble = self.trouble.clone();
        trouble.or_else(silent).unwrap_or_default()
    }
}
