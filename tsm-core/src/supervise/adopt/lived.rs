//! Where the machine of a record begins, from what is known of its last run.

use std::time::Duration;

use crate::meta::{Meta, State};
use crate::spec::RestartPolicy;
use crate::supervise::machine::{Desired, Next, Phase, Policy, Rest, Stage};
use crate::sys::{WaitStatus, clock};

/// What is known of a record's last run.
#[derive(Clone, Copy)]
pub(super) struct Lived {
    /// It is there, or its handle is.
    pub(super) up: bool,
    /// It is gone, and nobody saw it end.
    pub(super) found_dead: bool,
    /// It ran before a reboot, and does not now.
    pub(super) rebooted: bool,
    /// The record is of this boot.
    pub(super) this_boot: bool,
    /// It never ran before.
    pub(super) first_start: bool,
}

impl Lived {
    /// Where the machine of a record begins that was in this state when its supervisor was last heard of.
    pub(super) fn phase(
        self,
        meta: &Meta,
        desired: Desired,
        policy: &Policy,
        now: Duration,
    ) -> Phase {
        let running = Phase::Running {
            since: running_since(meta, now),
        };
        if self.up {
            return running;
        }
        let Some(state) = &meta.state else {
            return Phase::Resting(Rest::Stopped);
        };
        match state {
            // Dead without a handle: it is told later, like any other end.
            State::Running | State::Starting | State::Stopping if self.found_dead => running,
            // What ran before a reboot has stopped, and only `resurrect` starts it.
            _ if self.rebooted => Phase::Resting(Rest::Stopped),
            State::Starting | State::Stopping if self.this_boot => Phase::Ending {
                stage: Stage::Check,
                leader: false,
                next: match desired {
                    // Its very first start: a command waits for it, and where it fails, no record stays.
                    Desired::Up => Next::Launch {
                        asked: self.first_start,
                    },
                    Desired::Down => Next::Rest(Rest::Stopped),
                    Desired::Gone => Next::Remove,
                },
            },
            State::Backoff if self.this_boot && desired == Desired::Up => {
                let left = meta.next_ms.unwrap_or(0).saturating_sub(clock::unix_ms());
                // The wall clock may have been set, so the wait is never longer than a delay after
                // so many restarts can be.
                let most = policy.backoff.longest(meta.failures.unwrap_or(0));
                let until = now + Duration::from_millis(left).min(most);
                let slow = meta.slow.unwrap_or(false);
                if meta.last_pid.is_none() {
                    return Phase::Waiting { until, slow };
                }
                // The supervisor before may have died while it ended what the run left behind.
                Phase::Ending {
                    stage: Stage::Check,
                    leader: false,
                    next: Next::Wait { until, slow },
                }
            }
            State::Waiting if self.this_boot && desired == Desired::Up => {
                Phase::Held { asked: false }
            }
            State::Exited | State::Done => Phase::Resting(Rest::Exited),
            // The same here, but for who was left alone: nobody saw how the run ended, and no other was to follow.
            State::Failed
                if self.this_boot
                    && meta.last_pid.is_some()
                    && !(policy.restart == RestartPolicy::No && ended_unseen(meta)) =>
            {
                Phase::Ending {
                    stage: Stage::Check,
                    leader: false,
                    next: Next::Rest(Rest::Failed),
                }
            }
            State::Failed => Phase::Resting(Rest::Failed),
            _ => Phase::Resting(Rest::Stopped),
        }
    }
}

/// Whether nobody can say how the last run of a record ended.
fn ended_unseen(meta: &Meta) -> bool {
    let exit = meta.exit.as_deref().and_then(WaitStatus::parse);
    exit == Some(WaitStatus::Unknown)
}

/// Since when a process has been up, by the clock that time-outs are measured with.
fn running_since(meta: &Meta, now: Duration) -> Duration {
    let up = clock::unix_ms().saturating_sub(meta.started_ms.unwrap_or(meta.start_time * 1000));
    now.saturating_sub(Duration::from_millis(up))
}
