//! How a run ends, stage by stage: the hook before, the group asked, the rest asked, all killed, the hook after. A stage is left
//! when nobody is left of the run, or when its time is over; nothing else of the machine knows the stages.

use std::time::Duration;

use super::{Action, Force, KILL_TIMEOUT, Machine, Next, Phase, REST_TIMEOUT, Report, Rest, Stage};

impl Machine {
    /// Asks a run to end, or has it wait until those that need it have ended.
    pub(super) fn end_in_turn(&mut self, next: Next, now: Duration) -> Vec<Action> {
        match self.phase {
            Phase::Running { since } if self.ties.needed => {
                self.phase = Phase::Lingering { since, next };
                Vec::new()
            }
            _ => self.ask_group(next, now),
        }
    }

    /// The leader is gone: what else is left is looked at before anything follows.
    pub(super) fn check(&mut self, next: Next) -> Vec<Action> {
        self.phase = Phase::Ending {
            stage: Stage::Check,
            leader: false,
            next,
        };
        vec![Action::Sweep]
    }

    /// Asks a run to end; before that comes the hook, where the program was executed and there is one.
    pub(super) fn ask_group(&mut self, next: Next, now: Duration) -> Vec<Action> {
        if self.policy.hooks.pre_stop && matches!(self.phase, Phase::Running { .. }) {
            self.phase = Phase::Ending {
                stage: Stage::PreStop,
                leader: true,
                next,
            };
            return vec![Action::PreStopHook];
        }
        let until = now + self.policy.stop_timeout;
        self.phase = Phase::Ending {
            stage: Stage::Group { until },
            leader: true,
            next,
        };
        // First it is noted who belongs to the run: when the leader is gone, its children have
        // another parent and are no longer found through it.
        vec![Action::Remember, Action::SignalGroup(Force::Ask)]
    }

    pub(super) fn hook_done(&mut self, now: Duration) -> Vec<Action> {
        match self.phase {
            Phase::Ending {
                stage: Stage::PreStop,
                leader: true,
                next,
            } => self.ask_group(next, now),
            Phase::Ending {
                stage: Stage::PostStop,
                leader: false,
                next: next @ Next::Rest(Rest::Exited | Rest::Failed),
            } => self.finish(next, now),
            Phase::Ending {
                stage: Stage::PostStop,
                leader: false,
                next,
            } => {
                // A run that ended by itself may have left something behind. That has to be gone
                // before anything follows, and before a stop that was asked for in the meantime is
                // complete.
                self.check(next)
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn kill(&mut self, leader: bool, next: Next, now: Duration) -> Vec<Action> {
        self.phase = Phase::Ending {
            stage: Stage::Kill {
                until: now + KILL_TIMEOUT,
            },
            leader,
            next,
        };
        vec![
            Action::Remember,
            Action::SignalGroup(Force::Kill),
            Action::Sweep,
        ]
    }

    pub(super) fn swept(&mut self, group: u32, rest: u32, now: Duration) -> Vec<Action> {
        let Phase::Ending {
            stage,
            leader,
            next,
        } = self.phase
        else {
            return Vec::new();
        };
        if !leader && group + rest == 0 {
            return self.finish(next, now);
        }
        // They have what the group left of its time, since they are asked after it.
        let left = match stage {
            Stage::Group { until } => until,
            _ => now,
        };
        let ask_rest = |machine: &mut Self| {
            machine.phase = Phase::Ending {
                stage: Stage::Rest {
                    until: left.max(now + REST_TIMEOUT),
                },
                leader,
                next,
            };
            vec![Action::SignalRest(Force::Ask)]
        };
        match stage {
            // The end of the hook decides.
            Stage::PostStop => Vec::new(),
            // Nobody has been asked to end yet.
            Stage::PreStop if leader => Vec::new(),
            // The leader ended while its hook ran: what is left is asked without waiting for the
            // hook.
            Stage::PreStop | Stage::Check if group > 0 => {
                let until = now + self.policy.stop_timeout;
                self.phase = Phase::Ending {
                    stage: Stage::Group { until },
                    leader,
                    next,
                };
                vec![Action::SignalGroup(Force::Ask)]
            }
            Stage::PreStop | Stage::Check => ask_rest(self),
            Stage::Group { .. } if !leader && group == 0 => ask_rest(self),
            Stage::Group { .. } => Vec::new(),
            // Somebody may have been forked since the last round and has not been asked.
            Stage::Rest { .. } if rest > 0 => vec![Action::SignalRest(Force::Ask)],
            Stage::Rest { .. } => Vec::new(),
            Stage::Kill { .. } | Stage::Resisting => {
                vec![
                    Action::SignalGroup(Force::Kill),
                    Action::SignalRest(Force::Kill),
                ]
            }
        }
    }

    pub(super) fn finish(&mut self, next: Next, now: Duration) -> Vec<Action> {
        // Taken before the hook runs, because its end leads here again.
        if std::mem::take(&mut self.owes_hook) && self.policy.hooks.post_stop {
            self.phase = Phase::Ending {
                stage: Stage::PostStop,
                leader: false,
                next,
            };
            return vec![Action::PostStopHook];
        }
        match next {
            Next::Rest(rest) => {
                self.phase = Phase::Resting(rest);
                let by_itself = rest != Rest::Stopped;
                vec![Action::Report(if by_itself {
                    Report::Ended
                } else {
                    Report::Stopped
                })]
            }
            Next::Launch { asked } => self.launch(asked),
            // Ending the run took longer than the delay.
            Next::Wait { until, .. } if until <= now => self.launch_again(),
            Next::Wait { until, slow } => {
                self.phase = Phase::Waiting { until, slow };
                Vec::new()
            }
            Next::Remove => {
                self.phase = Phase::Removed;
                vec![Action::Remove, Action::Report(Report::Removed)]
            }
        }
    }

    /// The time of a stage is over: what is left is treated less kindly.
    pub(super) fn stage_is_over(&mut self, now: Duration) -> Vec<Action> {
        match self.phase {
            Phase::Ending {
                stage: Stage::Group { .. },
                leader,
                next,
            } => {
                self.phase = Phase::Ending {
                    stage: Stage::Rest {
                        until: now + REST_TIMEOUT,
                    },
                    leader,
                    next,
                };
                // The sweep finds out who the rest are, and its answer has them asked.
                vec![Action::SignalGroup(Force::Kill), Action::Sweep]
            }
            Phase::Ending {
                stage: Stage::Rest { .. },
                leader,
                next,
            } => {
                self.phase = Phase::Ending {
                    stage: Stage::Kill {
                        until: now + KILL_TIMEOUT,
                    },
                    leader,
                    next,
                };
                vec![Action::SignalGroup(Force::Kill), Action::Sweep]
            }
            Phase::Ending {
                stage: Stage::Kill { .. },
                leader,
                next,
            } => {
                self.phase = Phase::Ending {
                    stage: Stage::Resisting,
                    leader,
                    next,
                };
                // No deadline from here on: the end of what resists is an event, and a person may
                // ask again.
                vec![Action::Report(Report::Resists)]
            }
            _ => Vec::new(),
        }
    }
}
