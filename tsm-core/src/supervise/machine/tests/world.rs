//! The little world that random and exhaustive tests put a machine into, and what can be done to it.

use super::*;

/// The world around a machine, as far as it matters: whether a leader and others of the run are alive.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) now: Duration,
    pub(super) leader: bool,
    pub(super) held: bool,
    pub(super) others: u32,
    pub(super) sweeps: u32,
    pub(super) launches: u32,
    pub(super) stop_wanted: bool,
    pub(super) removed: bool,
    /// A hook runs.
    pub(super) hook: bool,
    /// Runs whose end was not followed by the hook yet.
    pub(super) owed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Poke {
    Command(Event),
    LeaderEnds { success: bool },
    OtherAppears,
    OtherEnds,
    LaunchSucceeds,
    LaunchFails,
    TimePasses(u32),
    SweepIsDone,
    HookEnds,
}

impl World {
    pub(super) fn new(restart: RestartPolicy, max_restarts: Option<u32>, hooks: HookSet) -> Self {
        let policy = Policy {
            restart,
            max_restarts,
            stop_timeout: 10 * SECOND,
            hooks,
            backoff: Backoff::default(),
        };
        Self {
            machine: Machine::new(policy, Desired::Down, Phase::Resting(Rest::Stopped)),
            now: SECOND,
            leader: false,
            held: false,
            others: 0,
            sweeps: 0,
            launches: 0,
            stop_wanted: false,
            removed: false,
            hook: false,
            owed: false,
        }
    }

    pub(super) fn feed(&mut self, event: Event) {
        let (machine, actions) = self.machine.step(event, self.now, 0.3);
        self.machine = machine;
        for action in actions {
            match action {
                Action::Launch => {
                    assert!(
                        !self.leader && self.others == 0,
                        "started while something of it runs: {self:?}"
                    );
                    assert!(!self.owed || !self.machine.policy.hooks.post_stop);
                    assert!(!self.stop_wanted, "started after a stop: {self:?}");
                    assert!(!self.removed);
                    self.leader = true;
                    self.held = true;
                    self.launches += 1;
                }
                Action::Sweep => self.sweeps += 1,
                Action::PreStopHook => {
                    assert!(self.leader, "too late to stop: {self:?}");
                    self.hook = true;
                }
                Action::PostStopHook => {
                    assert!(!self.leader && self.owed, "for nothing: {self:?}");
                    self.owed = false;
                    self.hook = true;
                }
                Action::Remove => {
                    assert!(
                        !self.leader && self.others == 0,
                        "removed while something of it runs: {self:?}"
                    );
                    self.removed = true;
                }
                Action::Report(Report::Stopped) => {
                    assert!(!self.leader && self.others == 0, "{self:?}");
                }
                _ => {}
            }
        }
    }

    pub(super) fn poke(&mut self, poke: Poke) {
        if self.removed {
            return;
        }
        match poke {
            Poke::Command(event) => {
                match event {
                    Event::Stop { .. } | Event::Delete => self.stop_wanted = true,
                    Event::Start | Event::Restart if self.machine.desired != Desired::Gone => {
                        self.stop_wanted = false;
                    }
                    _ => {}
                }
                self.feed(event);
            }
            Poke::LeaderEnds { success } if self.leader && !self.held => {
                self.leader = false;
                self.feed(Event::Exited { success });
            }
            Poke::OtherAppears if self.leader && !self.held => self.others += 1,
            Poke::OtherEnds if self.others > 0 => {
                self.others -= 1;
                if self.others == 0 {
                    self.feed(Event::LeftGone);
                }
            }
            Poke::LaunchSucceeds if self.held => {
                self.held = false;
                if matches!(self.machine.phase, Phase::Launching { .. }) {
                    self.owed = true;
                }
                self.feed(Event::Launched);
            }
            Poke::LaunchFails if self.held => {
                self.held = false;
                self.leader = false;
                self.feed(Event::LaunchFailed);
            }
            Poke::HookEnds if self.hook => {
                self.hook = false;
                self.feed(Event::HookDone);
            }
            Poke::TimePasses(seconds) => {
                self.now += Duration::from_secs(u64::from(seconds));
                self.feed(Event::Deadline);
            }
            Poke::SweepIsDone if self.sweeps > 0 => {
                self.sweeps = 0;
                self.feed(Event::Swept {
                    group: u32::from(self.leader),
                    rest: self.others,
                });
            }
            _ => {}
        }
    }

    /// Lets everything end that can end.
    pub(super) fn settle(&mut self) {
        for _ in 0..200 {
            self.poke(Poke::LaunchSucceeds);
            self.poke(Poke::SweepIsDone);
            self.poke(Poke::HookEnds);
            self.poke(Poke::LeaderEnds { success: false });
            while self.others > 0 {
                self.poke(Poke::OtherEnds);
            }
            self.poke(Poke::SweepIsDone);
        }
    }
}
