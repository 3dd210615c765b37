//! Whether a run is ready and healthy: beside the heart, a second pure function of what is, what happened, and what time
//! it is. It knows no sockets and no threads; what it wants looked at comes out as a [`VitalAction`].

use std::time::Duration;

use super::machine::Report;
use crate::spec::{HealthAction, HealthCheck, HealthSpec, ReadySpec};

/// The parts of a spec that are decided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct VitalsPolicy {
    /// How long a run may take until it is ready; it is ready when it runs where nothing is asked for.
    pub ready_within: Option<Duration>,
    /// What is asked for of its health.
    pub health: Option<HealthPolicy>,
}

/// The times of health checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HealthPolicy {
    /// From the end of a check to the next one.
    pub interval: Duration,
    /// Before the first one.
    pub first: Duration,
    /// For so long failures do not count until the first success.
    pub start_period: Duration,
    /// How many failures in a row count.
    pub retries: u32,
    /// Whether a run that is not healthy has failed.
    pub restarts: bool,
    /// How long it may be silent, where it says itself that it is well.
    pub watchdog: Option<Duration>,
}

impl VitalsPolicy {
    /// What a spec asks for.
    pub(super) fn new(ready: Option<&ReadySpec>, health: Option<&HealthSpec>) -> Self {
        let ms = Duration::from_millis;
        Self {
            ready_within: ready.map(|ready| ms(ready.timeout_ms)),
            health: health.map(|health| HealthPolicy {
                interval: ms(health.interval_ms),
                first: ms(health.initial_delay_ms.unwrap_or(health.interval_ms)),
                start_period: ms(health.start_period_ms),
                retries: health.retries.max(1),
                restarts: health.action == HealthAction::Restart,
                watchdog: (health.check == HealthCheck::Watchdog).then(|| ms(health.timeout_ms)),
            }),
        }
    }
}

/// How ready a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Readiness {
    /// There is none, or it is being ended.
    #[default]
    Down,
    /// It has until then.
    Pending {
        /// Until when.
        until: Duration,
    },
    /// It is.
    Ready,
    /// It was not in time.
    Late,
}

/// How healthy a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Health {
    /// Nothing is known yet, or nothing is asked for.
    #[default]
    Unknown,
    /// It is.
    Healthy,
    /// It is not.
    Unhealthy,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VitalEvent {
    /// The program was executed.
    Launched,
    /// The run has ended, or is being ended.
    Ended,
    /// What readiness is told by has come.
    Ready,
    /// It needs so much longer until it is ready.
    Extended(Duration),
    /// A check has come out.
    Checked {
        /// Whether well.
        well: bool,
    },
    /// It could not be checked.
    Unchecked,
    /// It says that it is well.
    Alive,
    /// It says that it is not.
    Troubled,
    /// It will say so in other intervals from now on.
    Silence(Duration),
    /// The time that [`Vitals::deadline`] named has come.
    Deadline,
}

/// What the supervisor has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VitalAction {
    /// Look for what readiness is told by, and say so by [`VitalEvent::Ready`].
    Await,
    /// Look no longer.
    LetGo,
    /// Check its health, and say so by [`VitalEvent::Checked`].
    Check,
    /// Tell the commands that wait, and the history.
    Report(Report),
    /// The run has failed.
    Unfit,
}

/// Readiness and health of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Vitals {
    /// The rules.
    pub policy: VitalsPolicy,
    /// How ready it is.
    pub readiness: Readiness,
    /// How healthy it is.
    pub health: Health,
    /// Checks that failed in a row.
    pub failures: u32,
    since: Duration,
    due: Option<Duration>,
    checking: bool,
}

impl Vitals {
    /// Nothing runs yet.
    pub(super) fn new(policy: VitalsPolicy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// When [`VitalEvent::Deadline`] is due, if ever.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.readiness {
            Readiness::Pending { until } => Some(until),
            Readiness::Ready => self.due,
            Readiness::Down | Readiness::Late => None,
        }
    }

    /// A run that another supervisor began; how it was then. What was not ready yet has its time from `since` on.
    #[must_use]
    pub(super) fn adopted(
        mut self,
        ready: bool,
        health: Health,
        since: Duration,
        now: Duration,
    ) -> (Self, Vec<VitalAction>) {
        let actions = self.launched(since);
        self.health = health;
        if !ready {
            return (self, actions);
        }
        self.readiness = Readiness::Ready;
        self.plan_first(now);
        (self, Vec::new())
    }

    /// What it becomes by `event` at `now`, and what has to be done.
    #[must_use]
    pub(super) fn step(mut self, event: VitalEvent, now: Duration) -> (Self, Vec<VitalAction>) {
        let pending = matches!(self.readiness, Readiness::Pending { .. });
        let ready = self.readiness == Readiness::Ready;
        let actions = match event {
            VitalEvent::Launched => {
                let actions = self.launched(now);
                if self.readiness == Readiness::Ready {
                    self.plan_first(now);
                }
                actions
            }
            VitalEvent::Ended => {
                let was = self.readiness;
                // Nothing of one run says anything about the next.
                self = Self::new(self.policy);
                if was == Readiness::Down {
                    Vec::new()
                } else {
                    vec![VitalAction::LetGo]
                }
            }
            VitalEvent::Ready if pending => {
                self.readiness = Readiness::Ready;
                self.plan_first(now);
                vec![VitalAction::LetGo, VitalAction::Report(Report::Ready)]
            }
            VitalEvent::Extended(time) => {
                if let Readiness::Pending { until } = &mut self.readiness {
                    // It may ask for more time, and never ends up with less than it had.
                    *until = (now + time).max(*until);
                }
                Vec::new()
            }
            // An answer that comes after the run was over, or ready no more, is about something
            // else.
            VitalEvent::Checked { well } if ready && self.checking => {
                self.checking = false;
                let Some(health) = self.policy.health else {
                    return (self, Vec::new());
                };
                self.due = Some(now + health.interval);
                if well { self.well() } else { self.failed(now) }
            }
            VitalEvent::Unchecked if ready && self.checking => {
                // No thread or process could be had for the check, which is no failure of the
                // service.
                self.checking = false;
                self.due = self.policy.health.map(|health| now + health.interval);
                Vec::new()
            }
            VitalEvent::Alive if ready && self.watchdog().is_some() => {
                self.due = self.watchdog().map(|time| now + time);
                self.well()
            }
            VitalEvent::Silence(time) => {
                // The service may set its own time (`WATCHDOG_USEC=`, `sd_notify(3)`).
                if let Some(health) = &mut self.policy.health
                    && health.watchdog.is_some()
                {
                    health.watchdog = Some(time);
                    if ready {
                        self.due = Some(now + time);
                    }
                }
                Vec::new()
            }
            VitalEvent::Troubled if ready && self.watchdog().is_some() => self.unwell(),
            VitalEvent::Deadline => self.deadline_came(now),
            _ => Vec::new(),
        };
        (self, actions)
    }

    fn watchdog(&self) -> Option<Duration> {
        self.policy.health?.watchdog
    }

    fn launched(&mut self, since: Duration) -> Vec<VitalAction> {
        *self = Self::new(self.policy);
        self.since = since;
        let Some(time) = self.policy.ready_within else {
            self.readiness = Readiness::Ready;
            return Vec::new();
        };
        self.readiness = Readiness::Pending {
            until: since + time,
        };
        vec![VitalAction::Await]
    }

    fn plan_first(&mut self, now: Duration) {
        self.due = self
            .policy
            .health
            .map(|health| now + health.watchdog.unwrap_or(health.first));
    }

    fn deadline_came(&mut self, now: Duration) -> Vec<VitalAction> {
        if self.deadline().is_none_or(|due| now < due) {
            return Vec::new();
        }
        if self.readiness != Readiness::Ready {
            self.readiness = Readiness::Late;
            return vec![
                VitalAction::LetGo,
                VitalAction::Report(Report::NotReady),
                VitalAction::Unfit,
            ];
        }
        self.due = None;
        if self.watchdog().is_some() {
            return self.unwell();
        }
        self.checking = true;
        vec![VitalAction::Check]
    }

    fn well(&mut self) -> Vec<VitalAction> {
        self.failures = 0;
        if self.health == Health::Healthy {
            return Vec::new();
        }
        self.health = Health::Healthy;
        vec![VitalAction::Report(Report::Healthy)]
    }

    fn failed(&mut self, now: Duration) -> Vec<VitalAction> {
        let Some(health) = self.policy.health else {
            return Vec::new();
        };
        let is_starting = now.saturating_sub(self.since) < health.start_period;
        // A service that was well once has started, however much is left of that period.
        if is_starting && self.health == Health::Unknown {
            return Vec::new();
        }
        self.failures += 1;
        // A single failed check may be chance.
        if self.failures < health.retries {
            return Vec::new();
        }
        self.unwell()
    }

    fn unwell(&mut self) -> Vec<VitalAction> {
        let mut actions = Vec::new();
        if self.health != Health::Unhealthy {
            self.health = Health::Unhealthy;
            actions.push(VitalAction::Report(Report::Unhealthy));
        }
        if self.policy.health.is_some_and(|health| health.restarts) {
            // It is about to be ended, so nothing more is checked.
            self.due = None;
            actions.push(VitalAction::Unfit);
        }
        actions
    }
}

#[cfg(test)]
mod tests;
