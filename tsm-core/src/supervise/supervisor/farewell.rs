//! How a supervisor ends: what tells it to, when it is through, and what it leaves behind. It may as well be killed: nothing that is
//! done here is needed by who comes next.

use super::{Ending, Supervisor};
use crate::error::IoContext as _;
use crate::supervise::machine::{Event, Phase, Stage};
use crate::sys::Signal;

impl Supervisor {
    pub(super) fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::CHLD => self.reap_strangers(),
            Signal::HUP => {
                self.read_defaults();
                self.reload();
            }
            _ if !self.options.foreground => {
                self.log
                    .say(format_args!("{signal}: ending; the services stay up"));
                self.leave_services();
            }
            _ => self.stop_all(&signal.to_string()),
        }
    }

    /// Ends, and leaves the services up. Who would start another one hears of it first: should this one be killed before it is through,
    /// it has ended all the same.
    pub(in crate::supervise) fn leave_services(&mut self) {
        self.ending = Ending::LeaveServices;
        self.store.notify("STOPPING=1");
    }

    /// Stops all services in order, and ends then; asked once more, it kills them.
    pub(super) fn stop_all(&mut self, by: &str) {
        let again = self.ending == Ending::StopServices;
        let what = if again { "killing" } else { "stopping" };
        self.log.say(format_args!("{by}: {what} all services"));
        self.ending = Ending::StopServices;
        self.announce_stopping();
        let mut ids: Vec<u32> = self.services.keys().copied().collect();
        self.in_order(&mut ids, true);
        for id in ids {
            let runs = self
                .services
                .get(&id)
                .is_some_and(|s| s.live_pid().is_some());
            if runs && !again {
                let by = by.to_owned();
                self.note(id, crate::events::EventKind::ShutDown { by });
            }
            self.step(id, Event::ShutDown { force: again });
        }
    }

    pub(super) fn is_over(&mut self) -> bool {
        match self.ending {
            Ending::No => false,
            Ending::StopServices => {
                // What resists SIGKILL counts as ended here, as it would otherwise keep the
                // supervisor for good.
                let over = self.services.values().all(|s| {
                    matches!(s.machine.phase, Phase::Resting(_) | Phase::Removed)
                        || matches!(
                            s.machine.phase,
                            Phase::Ending {
                                stage: Stage::Resisting,
                                ..
                            }
                        )
                });
                if over {
                    self.say_goodbye();
                }
                over
            }
            Ending::LeaveServices | Ending::HandedOver => {
                self.say_goodbye();
                true
            }
        }
    }

    fn say_goodbye(&mut self) {
        // After a handover, only the successor writes into the home.
        if self.ending != Ending::HandedOver {
            let ids: Vec<u32> = self.services.keys().copied().collect();
            for id in ids {
                self.save(id);
            }
            self.write_waiting_events();
            self.write_status();
            self.tell_of_lost_bytes();
        }
        self.flush_connections();
        self.kill_all_errands();
        // Before the lock is released, since another supervisor writes here afterwards.
        for error in self.worker.finish() {
            self.log.say(error);
        }
        self.store.notify("STOPPING=1");
        for name in ["lock", "socket"] {
            self.store.forget(name);
        }
        if self.ending != Ending::HandedOver {
            // The keeper holds both a moment longer; the next supervisor need not wait for it. First the lock, then the
            // socket: who finds no socket starts a supervisor, and that must get the lock.
            let in_use = self.services.values().any(|s| s.live_pid().is_some());
            let released = self.writer.release(in_use);
            let path = self.writer.home().socket();
            let removed = std::fs::remove_file(&path).at("remove", &path);
            for failed in [released.err(), removed.err()].into_iter().flatten() {
                self.log.say(failed);
            }
        }
        self.log.say("supervisor ended");
    }
}
