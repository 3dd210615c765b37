//! How a launch came out, and what becomes of a child that could not execute its program.

use std::task::Poll;

use crate::error::{BestEffort as _, Error};
use crate::events::EventKind;
use crate::launch;
use crate::supervise::machine::{Event, Phase};
use crate::supervise::supervisor::{Kind, Supervisor, token};
use crate::sys;
use crate::sys::poll::Interest;

impl Supervisor {
    pub(in crate::supervise) fn launch_failed_with(&mut self, id: u32, error: Error) {
        let reason = match error {
            Error::LaunchFailed { reason, .. } => reason.to_string(),
            error => error.to_string(),
        };
        self.launch_failed(id, reason);
    }

    fn launch_failed(&mut self, id: u32, reason: String) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let (run, name) = (service.run(), service.name.clone());
        service.meta.reason = Some(reason.clone().into_bytes());
        service.launch_error = Some(reason.clone().into());
        service.dirty = true;
        let fresh = service.fresh;
        if fresh {
            // A first start that fails is not tried again, whichever supervisor tried it.
            service.machine.phase = Phase::Launching { asked: true };
        } else {
            // The command that made a first start is told; a restart has nobody but the log and the
            // history.
            self.log
                .say(format_args!("cannot start '{name}': {reason}"));
            self.note(id, EventKind::LaunchFailed { run, reason });
        }
        self.step(id, Event::LaunchFailed);
    }

    /// The report pipe of a launch has something: its end means that the program was executed.
    pub(in crate::supervise) fn on_report(&mut self, id: u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let Some(report) = &mut service.report else {
            return;
        };
        let outcome = match report.poll() {
            Ok(Poll::Ready(outcome)) => outcome,
            Ok(Poll::Pending) => return,
            Err(error) => {
                // Whether it runs becomes clear by its end.
                self.log
                    .say(format_args!("cannot read how a launch came out: {error}"));
                None
            }
        };
        // It is ours alone, so that closing it ends the watch.
        service.report = None;
        match outcome {
            None => {
                service.fresh = false;
                if !self.await_daemon(id) {
                    self.step(id, Event::Launched);
                }
            }
            Some(failure) => {
                // Read again rather than kept: failures are rare, and a kept spec would cost memory
                // at every launch.
                let reason = match self.read_for_launch(id) {
                    Ok((spec, environment)) => {
                        launch::failure_in_words(&spec, &environment, &failure)
                    }
                    Err(error) => error.to_string(),
                };
                self.forget_leader(id);
                self.launch_failed(id, reason);
            }
        }
    }

    /// The child of a failed launch: it is reaped when it ends, and counts for nothing.
    fn forget_leader(&mut self, id: u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        if let Some(leader) = service.leader.take() {
            leader
                .handle
                .signal(sys::Signal::KILL)
                .best_effort("it is on its way to its exit, which does nothing but end it");
            // Under a token of its own, so that its end is not taken for that of the next run's
            // leader.
            let pid = leader.identity.pid;
            let watched =
                self.poll
                    .modify(&leader.handle, token(Kind::Forgotten, pid), Interest::Read);
            match watched {
                Ok(()) => drop(self.launching.forgotten.insert(pid, leader.handle)),
                Err(_) => drop(leader.handle.reap()),
            }
        }
        let run = service.run();
        service.meta.pid = None;
        service.meta.ticks = None;
        // A successor must not take it for the leader of the run.
        self.store.forget(&format!("p{id}.{run}"));
        let Some(service) = self.services.get(&id) else {
            return;
        };
        if let Err(error) = self.writer.write_pid(&service.name, None) {
            self.log.say(error);
        }
    }

    /// The child of a failed launch has ended.
    pub(in crate::supervise) fn reap_forgotten(&mut self, pid: u32) {
        if let Some(handle) = self.launching.forgotten.remove(&pid) {
            handle.reap().best_effort("how it ended counts for nothing");
            self.poll.unwatch(&handle);
        }
    }
}
