//! The heart: what a process does next, as a pure function of what it is, what happened, and what time it is.
//!
//! Nothing here does I/O or reads a clock; the supervisor executes the [`Action`]s that come out and feeds back what
//! comes of them. So every policy is tested by plain calls, and by properties over random sequences of events.
//!
//! This file decides what follows what. `ending` has the stages in which a run ends, from the first signal to the last process;
//! `states` defines the words, and `policy` the rules that come from a spec.

mod ending;
mod policy;
mod states;

use std::time::Duration;

use crate::spec::RestartPolicy;

pub use policy::{
    BACKOFF_FIRST, BACKOFF_MAX, Backoff, HookSet, JITTER, KILL_TIMEOUT, Policy, REST_TIMEOUT, SLOW,
    SLOW_AFTER, STEADY,
};
pub use states::{Action, Desired, Event, Force, Next, Phase, Report, Rest, Stage, Ties};

/// An end with another exit status than 0.
const FAILED: Event = Event::Exited { success: false };

/// One process: the state, and the only function that changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The rules.
    pub policy: Policy,
    /// What a person wants.
    pub desired: Desired,
    /// Where it is.
    pub phase: Phase,
    /// Restarts in a row.
    pub failures: u32,
    /// Restarts that TSM made by itself, ever.
    pub restarts: u64,
    /// Something ran for which the hook after the end has not run yet.
    pub owes_hook: bool,
    /// How it is tied to others, at the moment.
    pub ties: Ties,
}

impl Machine {
    /// A process in a phase.
    pub fn new(policy: Policy, desired: Desired, phase: Phase) -> Self {
        Self {
            policy,
            desired,
            phase,
            failures: 0,
            restarts: 0,
            owes_hook: false,
            ties: Ties::default(),
        }
    }

    /// When [`Event::Deadline`] is due, if ever.
    pub fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Waiting { until, .. } => Some(until),
            Phase::Ending {
                stage: Stage::Group { until } | Stage::Rest { until } | Stage::Kill { until },
                ..
            } => Some(until),
            _ => None,
        }
    }

    /// Whether its last run failed and no other follows, though something of it may still be ended.
    pub(in crate::supervise) fn has_failed(&self) -> bool {
        matches!(
            self.phase,
            Phase::Resting(Rest::Failed)
                | Phase::Ending {
                    leader: false,
                    next: Next::Rest(Rest::Failed),
                    ..
                }
        )
    }

    /// What it becomes by `event` at `now`, and what has to be done. `jitter` is drawn from 0 to 1.
    #[must_use]
    pub fn step(mut self, event: Event, now: Duration, jitter: f64) -> (Self, Vec<Action>) {
        let actions = match event {
            Event::Start | Event::Restart => self.wanted_up(event == Event::Restart, now),
            Event::Stop { force } => self.wanted_down(Desired::Down, force, now),
            Event::Delete => self.wanted_down(Desired::Gone, false, now),
            Event::ShutDown { force } => self.wanted_down(self.desired, force, now),
            Event::Launched => match self.phase {
                Phase::Launching { .. } => {
                    self.phase = Phase::Running { since: now };
                    self.owes_hook = true;
                    vec![Action::Report(Report::Started)]
                }
                // A stop may have come first; the run is being ended then.
                _ => Vec::new(),
            },
            Event::Unfit => self.unfit(now, jitter),
            Event::HookDone => self.hook_done(now),
            Event::LaunchFailed => self.launch_failed(now, jitter),
            Event::NeverExecuted => match self.phase {
                Phase::Launching { asked } => self.launch(asked),
                // A person waits for a first start; a restart goes by the rules of restarts.
                Phase::Running { .. } => self.launch(self.restarts == 0),
                // It is being ended anyway, and has one process less to wait for.
                _ => self.leader_ended(),
            },
            Event::Exited { success } => match self.phase {
                Phase::Running { since } => {
                    self.ended_by_itself(success, now.saturating_sub(since), now, jitter)
                }
                Phase::Launching { .. } => {
                    self.ended_by_itself(success, Duration::ZERO, now, jitter)
                }
                // It was to end anyway.
                Phase::Lingering { next, .. } => self.check(next),
                _ => self.leader_ended(),
            },
            // Who was left behind may have been meant to stay, and no restart needs them gone.
            Event::EndedUnseen
                if matches!(self.phase, Phase::Running { .. })
                    && self.policy.restart == RestartPolicy::No =>
            {
                self.finish(Next::Rest(Rest::Failed), now)
            }
            Event::EndedUnseen => return self.step(FAILED, now, jitter),
            Event::Tied => match self.phase {
                Phase::Held { asked } if !self.ties.held => self.launch(asked),
                Phase::Lingering { since, next } if !self.ties.needed => {
                    self.phase = Phase::Running { since };
                    self.ask_group(next, now)
                }
                _ => Vec::new(),
            },
            Event::Swept { group, rest } => self.swept(group, rest, now),
            // While the leader lives, its own end is what asks for the next sweep.
            Event::LeftGone => match self.phase {
                Phase::Ending { leader: false, .. } => vec![Action::Sweep],
                _ => Vec::new(),
            },
            Event::Deadline => self.deadline_came(now),
            Event::Reset => self.reset(now),
        };
        (self, actions)
    }

    fn reset(&mut self, now: Duration) -> Vec<Action> {
        (self.failures, self.restarts) = (0, 0);
        match &mut self.phase {
            // A person wants this one, so it does not count as a restart that TSM made by itself.
            Phase::Waiting { .. } => self.launch(false),
            Phase::Ending {
                next: Next::Wait { until, slow },
                ..
            } => {
                // The ending itself is not cut short; the launch follows once nothing of the run is
                // left.
                (*until, *slow) = (now, false);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn wanted_up(&mut self, end_first: bool, now: Duration) -> Vec<Action> {
        if self.desired == Desired::Gone {
            return Vec::new();
        }
        self.desired = Desired::Up;
        // Back-off and slow lane are for restarts that nobody asked for.
        self.failures = 0;
        let next = Next::Launch { asked: true };
        match self.phase {
            Phase::Running { .. } | Phase::Launching { .. } if end_first => {
                self.end_in_turn(next, now)
            }
            // It is up already, and up once: another run must not begin beside it.
            Phase::Running { .. } | Phase::Launching { .. } | Phase::Removed => Vec::new(),
            // Something of an earlier run may still be there and hold its port: that is ended
            // first.
            Phase::Resting(_) | Phase::Waiting { .. } => self.check(next),
            Phase::Held { .. } => {
                self.phase = Phase::Held { asked: true };
                vec![Action::Report(Report::Held)]
            }
            Phase::Lingering { since, .. } if end_first => {
                self.phase = Phase::Lingering { since, next };
                Vec::new()
            }
            // It has not been asked to end yet, so that it need not.
            Phase::Lingering { since, .. } => {
                self.phase = Phase::Running { since };
                vec![Action::Report(Report::Started)]
            }
            // A process that resisted may end by now, and whoever asks gets an answer in any case.
            Phase::Ending {
                stage: Stage::Resisting,
                leader,
                ..
            } => self.kill(leader, next, now),
            Phase::Ending { stage, leader, .. } => {
                self.phase = Phase::Ending {
                    stage,
                    leader,
                    next,
                };
                Vec::new()
            }
        }
    }

    fn wanted_down(&mut self, desired: Desired, force: bool, now: Duration) -> Vec<Action> {
        // A service that is to be deleted stays so, though a kill may still hurry it.
        if (self.desired == Desired::Gone && !force) || self.phase == Phase::Removed {
            return Vec::new();
        }
        self.desired = desired;
        let next = if desired == Desired::Gone {
            Next::Remove
        } else {
            Next::Rest(Rest::Stopped)
        };
        match self.phase {
            Phase::Running { .. } | Phase::Launching { .. } if !force => {
                self.end_in_turn(next, now)
            }
            Phase::Resting(_) | Phase::Waiting { .. } | Phase::Held { .. } => self.check(next),
            Phase::Lingering { since, .. } if !force => {
                self.phase = Phase::Lingering { since, next };
                Vec::new()
            }
            // Asking again does not extend the time of an ending that is under way.
            Phase::Ending { stage, leader, .. } if !force && stage != Stage::Resisting => {
                self.phase = Phase::Ending {
                    stage,
                    leader,
                    next,
                };
                Vec::new()
            }
            Phase::Running { .. } | Phase::Launching { .. } | Phase::Lingering { .. } => {
                self.kill(true, next, now)
            }
            Phase::Ending { leader, .. } => self.kill(leader, next, now),
            Phase::Removed => Vec::new(),
        }
    }

    fn launch(&mut self, asked: bool) -> Vec<Action> {
        if self.ties.held {
            self.phase = Phase::Held { asked };
            return vec![Action::Report(Report::Held)];
        }
        self.phase = Phase::Launching { asked };
        vec![Action::Launch]
    }

    fn launch_again(&mut self) -> Vec<Action> {
        self.restarts += 1;
        self.launch(false)
    }

    fn launch_failed(&mut self, now: Duration, jitter: f64) -> Vec<Action> {
        match self.phase {
            // A person waits and reads the reason. Only restarts are tried again.
            Phase::Launching { asked: true } => {
                self.phase = Phase::Resting(Rest::Failed);
                vec![Action::Report(Report::StartFailed)]
            }
            Phase::Launching { asked: false } => {
                self.ended_by_itself(false, Duration::ZERO, now, jitter)
            }
            _ => self.leader_ended(),
        }
    }

    /// The leader ended while the run is being ended anyway.
    fn leader_ended(&mut self) -> Vec<Action> {
        match self.phase {
            Phase::Ending {
                stage,
                leader: true,
                next,
            } => {
                self.phase = Phase::Ending {
                    stage,
                    leader: false,
                    next,
                };
                vec![Action::Sweep]
            }
            _ => Vec::new(),
        }
    }

    fn ended_by_itself(
        &mut self,
        success: bool,
        uptime: Duration,
        now: Duration,
        jitter: f64,
    ) -> Vec<Action> {
        let (next, report) = self.what_follows(success, uptime, now, jitter);
        if next == Next::Rest(Rest::Exited) {
            // A script that ended well may have been meant to leave a process.
            return self.finish(next, now);
        }
        // Leftovers of a failed run are ended whether another run follows or not. A delay counts
        // from now.
        let sweep = self.check(next);
        match report {
            Report::Ended => sweep,
            _ => [vec![Action::Report(report)], sweep].concat(),
        }
    }

    /// What the rules of restarts say after a run of this length, and what is told of that.
    fn what_follows(
        &mut self,
        success: bool,
        uptime: Duration,
        now: Duration,
        jitter: f64,
    ) -> (Next, Report) {
        let again = match self.policy.restart {
            RestartPolicy::No => false,
            RestartPolicy::OnFailure => !success,
            RestartPolicy::Always => true,
        };
        if !again {
            let rest = if success { Rest::Exited } else { Rest::Failed };
            return (Next::Rest(rest), Report::Ended);
        }
        // Looked at when a run ends, so that no timer has to run for it.
        if uptime >= self.policy.backoff.steady {
            self.failures = 0;
        }
        if self
            .policy
            .max_restarts
            .is_some_and(|max| self.failures >= max)
        {
            return (Next::Rest(Rest::Failed), Report::GaveUp);
        }
        self.failures += 1;
        let (delay, slow) = self.policy.backoff.delay(self.failures, jitter);
        let until = now + delay;
        (Next::Wait { until, slow }, Report::Backoff { delay, slow })
    }

    /// A run that failed without having ended: it is ended, and what follows is what would follow its end.
    fn unfit(&mut self, now: Duration, jitter: f64) -> Vec<Action> {
        let Phase::Running { since } = self.phase else {
            return Vec::new();
        };
        let (next, report) = self.what_follows(false, now.saturating_sub(since), now, jitter);
        let mut actions = Vec::new();
        if report != Report::Ended {
            actions.push(Action::Report(report));
        }
        actions.extend(self.ask_group(next, now));
        actions
    }

    fn deadline_came(&mut self, now: Duration) -> Vec<Action> {
        // The phase may have moved on since this deadline was set.
        if self.deadline().is_none_or(|due| now < due) {
            return Vec::new();
        }
        match self.phase {
            Phase::Waiting { .. } => self.launch_again(),
            _ => self.stage_is_over(now),
        }
    }
}

#[cfg(test)]
mod tests;
