//! Where the machine of a record begins, from what is known of its last run.

use std::time::Duration;

use crate::meta::{Meta, State};
use crate::spec::RestartPolicy;
use crate::supervise::machine::{Desired, Machine, Next, Phase, Policy, Rest, Stage};
use crate::sys::{Identity, WaitStatus, clock};

/// Why a process that ran before a reboot does not run.
pub(super) const REBOOT: &[u8] = b"reboot";

/// What a record tells of its last run, whatever has become of that since.
pub(super) struct OnRecord {
    pub(super) id: u32,
    pub(super) run: u64,
    pub(super) state: Option<State>,
    pub(super) desired: Desired,
    /// The record is of this boot.
    pub(super) this_boot: bool,
    /// It never ran before.
    pub(super) first_start: bool,
    /// It ran before a reboot, and does not now.
    pub(super) rebooted: bool,
    /// Its main process. A pid and a start time of another boot say nothing about this one.
    pub(super) identity: Option<Identity>,
}

/// The moment by both clocks: the one that time-outs are measured with, and the one of records.
#[derive(Clone, Copy)]
pub(super) struct Now {
    monotonic: Duration,
    unix_ms: u64,
}

impl Now {
    pub(super) fn read() -> Self {
        Self {
            monotonic: clock::monotonic(),
            unix_ms: clock::unix_ms(),
        }
    }
}

/// What was found of the main process that is on record.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Found {
    /// It is there, or its handle is.
    Up,
    /// It is gone, and nobody saw it end.
    Dead,
    /// None was looked for.
    Nobody,
}

impl OnRecord {
    pub(super) fn read(meta: &Meta, boot: &str) -> Self {
        let desired = match meta.desired.as_deref() {
            Some("up") => Desired::Up,
            Some("gone") => Desired::Gone,
            _ => Desired::Down,
        };
        let state = meta.state.clone();
        let run = meta.run.unwrap_or(0);
        let this_boot = meta.boot.as_deref() == Some(boot);
        let was_up = matches!(
            state,
            Some(
                State::Starting
                    | State::Running
                    | State::Stopping
                    | State::Backoff
                    | State::Waiting
            )
        );
        // An orderly shutdown stops a service and leaves its desired state up: it counts as one
        // that ran before the reboot.
        let was_shut_down = state == Some(State::Stopped) && meta.reason.as_deref() != Some(REBOOT);
        Self {
            id: meta.id,
            run,
            first_start: run <= 1 && meta.exit.is_none() && meta.request.is_some(),
            rebooted: (was_up || was_shut_down)
                && !this_boot
                && meta.boot.is_some()
                && desired == Desired::Up,
            identity: meta
                .pid
                .zip(meta.ticks)
                .filter(|_| this_boot)
                .map(|(pid, start)| Identity { pid, start }),
            state,
            desired,
            this_boot,
        }
    }

    pub(super) fn was_starting(&self) -> bool {
        self.state == Some(State::Starting)
    }

    /// The machine of this record, in the state that its supervisor was last heard of in.
    pub(super) fn machine(&self, found: Found, meta: &Meta, policy: Policy, now: Now) -> Machine {
        let phase = self.phase(found, meta, &policy, now);
        let mut machine = Machine::new(policy, self.desired, phase);
        machine.failures = meta.failures.unwrap_or(0);
        machine.restarts = meta.restarts.unwrap_or(0);
        // A run has its hook once nothing of it is left, and not before.
        let is_looked_at = matches!(
            phase,
            Phase::Ending {
                next: Next::Wait { .. } | Next::Launch { .. } | Next::Rest(Rest::Failed),
                ..
            }
        ) && meta.last_pid.is_some();
        machine.owes_hook = matches!(phase, Phase::Running { .. })
            || is_looked_at
            || (self.this_boot && self.state == Some(State::Stopping));
        machine
    }

    fn phase(&self, found: Found, meta: &Meta, policy: &Policy, now: Now) -> Phase {
        let running = Phase::Running {
            since: running_since(meta, now),
        };
        if found == Found::Up {
            return running;
        }
        let Some(state) = &self.state else {
            return Phase::Resting(Rest::Stopped);
        };
        match state {
            // Dead without a handle: it is told later, like any other end.
            State::Running | State::Starting | State::Stopping if found == Found::Dead => running,
            // What ran before a reboot has stopped, and only `resurrect` starts it.
            _ if self.rebooted => Phase::Resting(Rest::Stopped),
            State::Starting | State::Stopping if self.this_boot => Phase::Ending {
                stage: Stage::Check,
                leader: false,
                next: match self.desired {
                    // Its very first start: a command waits for it, and where it fails, no record stays.
                    Desired::Up => Next::Launch {
                        asked: self.first_start,
                    },
                    Desired::Down => Next::Rest(Rest::Stopped),
                    Desired::Gone => Next::Remove,
                },
            },
            State::Backoff if self.this_boot && self.desired == Desired::Up => {
                let left = meta.next_ms.unwrap_or(0).saturating_sub(now.unix_ms);
                // The wall clock may have been set, so the wait is never longer than a delay after
                // so many restarts can be.
                let most = policy.backoff.longest(meta.failures.unwrap_or(0));
                let until = now.monotonic + Duration::from_millis(left).min(most);
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
            State::Waiting if self.this_boot && self.desired == Desired::Up => {
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
fn running_since(meta: &Meta, now: Now) -> Duration {
    let started_ms = meta.started_ms.unwrap_or(meta.start_time * 1000);
    let up = now.unix_ms.saturating_sub(started_ms);
    now.monotonic.saturating_sub(Duration::from_millis(up))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "this-boot";
    const NOW: Now = Now {
        monotonic: Duration::from_secs(1000),
        unix_ms: 5_000_000,
    };

    /// A record of this boot that is wanted up.
    fn record(state: State) -> Meta {
        Meta {
            id: 7,
            run: Some(3),
            boot: Some(BOOT.to_owned()),
            desired: Some("up".to_owned()),
            state: Some(state),
            started_ms: Some(NOW.unix_ms - 4000),
            ..Meta::default()
        }
    }

    fn with_pid(state: State) -> Meta {
        Meta {
            pid: Some(500),
            ticks: Some(9),
            ..record(state)
        }
    }

    fn begins(meta: &Meta, found: Found) -> Machine {
        let policy = super::super::Intent::of_original().policy;
        OnRecord::read(meta, BOOT).machine(found, meta, policy, NOW)
    }

    fn checked(next: Next) -> Phase {
        Phase::Ending {
            stage: Stage::Check,
            leader: false,
            next,
        }
    }

    #[test]
    fn what_is_up_runs_since_it_was_started() {
        let since = Duration::from_secs(996);
        for state in [State::Starting, State::Running, State::Stopping] {
            let machine = begins(&with_pid(state), Found::Up);
            assert_eq!(machine.phase, Phase::Running { since });
            assert!(machine.owes_hook);
        }
    }

    #[test]
    fn what_was_found_dead_is_told_later_like_any_other_end() {
        let machine = begins(&with_pid(State::Running), Found::Dead);
        assert!(matches!(machine.phase, Phase::Running { .. }));
    }

    #[test]
    fn a_start_or_stop_that_was_interrupted_is_looked_at_before_it_goes_on() {
        let launch = Next::Launch { asked: false };
        for (desired, next) in [
            ("up", launch),
            ("down", Next::Rest(Rest::Stopped)),
            ("gone", Next::Remove),
        ] {
            let meta = Meta {
                desired: Some(desired.to_owned()),
                ..record(State::Starting)
            };
            assert_eq!(begins(&meta, Found::Nobody).phase, checked(next));
        }
        // A command waits for the very first one.
        let first = Meta {
            run: Some(1),
            request: Some("r".to_owned()),
            ..record(State::Starting)
        };
        let phase = begins(&first, Found::Nobody).phase;
        assert_eq!(phase, checked(Next::Launch { asked: true }));
    }

    #[test]
    fn a_delay_goes_on_but_is_never_longer_than_it_can_be() {
        let waits = |next_ms| {
            let meta = Meta {
                failures: Some(2),
                next_ms: Some(next_ms),
                ..record(State::Backoff)
            };
            match begins(&meta, Found::Nobody).phase {
                Phase::Waiting { until, slow: false } => until.checked_sub(NOW.monotonic).unwrap(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(waits(NOW.unix_ms + 20), Duration::from_millis(20));
        assert_eq!(waits(0), Duration::ZERO);
        // The wall clock was set back by a day.
        assert!(waits(NOW.unix_ms + 86_400_000) < Duration::from_mins(1));
    }

    #[test]
    fn what_a_run_left_is_looked_for_before_the_next_one_waits() {
        let meta = Meta {
            last_pid: Some(500),
            ..record(State::Backoff)
        };
        let phase = begins(&meta, Found::Nobody).phase;
        assert!(
            matches!(
                phase,
                Phase::Ending {
                    next: Next::Wait { .. },
                    ..
                }
            ),
            "{phase:?}"
        );
    }

    #[test]
    fn what_ran_before_a_reboot_has_stopped_and_its_pid_names_nobody() {
        for state in [
            State::Starting,
            State::Running,
            State::Stopping,
            State::Backoff,
            State::Waiting,
            State::Stopped,
        ] {
            let meta = Meta {
                boot: Some("the-boot-before".to_owned()),
                ..with_pid(state)
            };
            let read = OnRecord::read(&meta, BOOT);
            assert!(read.rebooted && read.identity.is_none());
            let phase = begins(&meta, Found::Nobody).phase;
            assert_eq!(phase, Phase::Resting(Rest::Stopped));
        }
        // What nobody wanted up did not run before it.
        let down = Meta {
            boot: Some("the-boot-before".to_owned()),
            desired: Some("down".to_owned()),
            ..record(State::Running)
        };
        assert!(!OnRecord::read(&down, BOOT).rebooted);
    }

    #[test]
    fn what_rested_rests_on() {
        for (state, rest) in [
            (State::Stopped, Rest::Stopped),
            (State::Exited, Rest::Exited),
            (State::Done, Rest::Exited),
            (State::Failed, Rest::Failed),
        ] {
            let meta = Meta {
                desired: Some("down".to_owned()),
                ..record(state)
            };
            let machine = begins(&meta, Found::Nobody);
            assert_eq!(machine.phase, Phase::Resting(rest));
            assert!(!machine.owes_hook);
        }
    }
}
