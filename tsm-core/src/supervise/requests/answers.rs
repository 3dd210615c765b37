//! Answers: which command waits for which process, and what it is told when that is settled. A command that goes away is forgotten; what it
//! asked for is done all the same.

use crate::control::{Outcome, Reply, ReportedError, Verb};
use crate::error::Error;
use crate::supervise::machine::{Phase, Report};
use crate::supervise::service::Service;
use crate::supervise::supervisor::Supervisor;

/// A command that waits for a process to be settled.
#[derive(Clone, Copy)]
pub(in crate::supervise) struct Waiter {
    pub(in crate::supervise) connection: u32,
    verb: Verb,
    note: Option<&'static str>,
    /// Not only until it runs, but until it is ready.
    ready: bool,
}

impl Waiter {
    /// Not for the process, but for the worker to be through with its logs.
    fn waits_for_a_cut(&self) -> bool {
        matches!(self.verb, Verb::Rotate | Verb::Flush)
    }
}

impl Supervisor {
    pub(in crate::supervise) fn add_waiter(
        &mut self,
        connection: u32,
        id: u32,
        verb: Verb,
        note: Option<&'static str>,
    ) {
        self.clients.waiters.entry(id).or_default().push(Waiter {
            connection,
            verb,
            note,
            ready: false,
        });
    }

    /// Lets those of a connection that wait for a process wait until it is ready.
    pub(super) fn wait_until_ready(&mut self, connection: u32, id: u32) {
        for waiter in self.clients.waiters.entry(id).or_default() {
            waiter.ready |= waiter.connection == connection;
        }
        self.want_ready(id);
    }

    /// Whether somebody waits for a process to be ready.
    pub(in crate::supervise) fn is_readiness_wanted(&self, id: u32) -> bool {
        let waiters = self.clients.waiters.get(&id);
        waiters.is_some_and(|waiters| waiters.iter().any(|waiter| waiter.ready))
            || self.is_awaited_by_others(id)
    }

    /// Lets a connection wait for a process that is being started.
    pub(super) fn attach(&mut self, number: u32, id: u32, verb: Verb, until_ready: bool) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let name = service.name.clone();
        let running = matches!(service.machine.phase, Phase::Running { .. });
        self.say(number, &Reply::Accepted { names: vec![name] });
        if let Some(connection) = self.clients.connections.get_mut(&number) {
            connection.pending = 1;
        }
        if running && (!until_ready || self.is_ready(id)) {
            return self.settle(number, id, None, None);
        }
        self.add_waiter(number, id, verb, None);
        if until_ready {
            self.wait_until_ready(number, id);
        }
    }

    /// As [`Self::attach`], for a start that was begun by a supervisor that died: it may be over, and nothing more come of it.
    pub(super) fn attach_again(&mut self, number: u32, id: u32, until_ready: bool) {
        self.attach(number, id, Verb::Start, until_ready);
        let Some(service) = self.services.get(&id) else {
            return;
        };
        // It may have come to rest while no supervisor was there to settle it.
        if matches!(service.machine.phase, Phase::Resting(_)) || service.machine.has_failed() {
            if let Some(waiters) = self.clients.waiters.get_mut(&id) {
                waiters.retain(|waiter| waiter.connection != number);
            }
            let ran = service.meta.exit.is_some();
            let error = (!ran).then(|| self.start_error(id));
            self.settle(number, id, None, error);
        }
    }

    /// Tells the commands that wait for a process what became of it.
    pub(in crate::supervise) fn answer(&mut self, id: u32, report: Report) {
        // Taken before the record goes, which has the words.
        let start_error = self.start_error(id);
        if report == Report::StartFailed
            && self
                .services
                .get(&id)
                .is_some_and(|service| service.fresh && !self.is_needed(service))
        {
            // By the time that anybody hears of it, nothing of it is left.
            self.remove(id);
        }
        let Some(waiters) = self.clients.waiters.remove(&id) else {
            return;
        };
        let mut still = Vec::new();
        let is_ready = self.is_ready(id);
        let is_done = self.services.get(&id).is_some_and(Service::is_done);
        for waiter in waiters {
            let up = matches!(waiter.verb, Verb::Start | Verb::Restart);
            match report {
                Report::Started if up && waiter.ready && !is_ready => still.push(waiter),
                Report::Started | Report::Ready if up => {
                    self.settle(waiter.connection, id, waiter.note, None);
                }
                Report::NotReady if up && waiter.ready => {
                    let error = self.not_ready(id);
                    self.settle(waiter.connection, id, None, Some(error));
                }
                Report::Ended if up && waiter.ready && is_done => {
                    self.settle(waiter.connection, id, waiter.note, None);
                }
                Report::Ended | Report::GaveUp | Report::Backoff { .. } if up && waiter.ready => {
                    let error = self.ended_early(id);
                    self.settle(waiter.connection, id, None, Some(error));
                }
                Report::StartFailed | Report::Ended | Report::GaveUp | Report::Backoff { .. }
                    if up =>
                {
                    self.settle(waiter.connection, id, None, Some(start_error.clone()));
                }
                Report::Stopped if waiter.verb == Verb::Stop => {
                    self.settle(waiter.connection, id, waiter.note, None);
                }
                Report::Removed => {
                    let kept = self.clients.removal_errors.get(&id).cloned();
                    let overtaken = waiter.verb != Verb::Delete;
                    let error = kept.or_else(|| overtaken.then(|| self.overtaken(id, "deleted")));
                    self.settle(waiter.connection, id, None, error);
                }
                Report::Stopped if up => {
                    let error = self.overtaken(id, "stopped");
                    self.settle(waiter.connection, id, None, Some(error));
                }
                Report::Started if waiter.verb == Verb::Stop => {
                    let error = self.overtaken(id, "started");
                    self.settle(waiter.connection, id, None, Some(error));
                }
                Report::Resists if !waiter.waits_for_a_cut() => {
                    let error = Error::Resists {
                        name: self.name_of(id),
                        members: self.members_in_words(id),
                    };
                    self.settle(waiter.connection, id, None, Some((&error).into()));
                }
                _ => still.push(waiter),
            }
        }
        if !still.is_empty() {
            self.clients.waiters.entry(id).or_default().extend(still);
            if self.is_readiness_wanted(id) {
                self.want_ready(id);
            }
        } else if report == Report::Ready {
            self.unwant_ready(id);
        }
    }

    /// The worker is through with a log of a process: tells the commands that wait for that, or does what they ask for.
    /// `all`: with all that was in it.
    pub(in crate::supervise) fn answer_cut(
        &mut self,
        id: u32,
        all: bool,
        failed: Option<&ReportedError>,
    ) {
        if let Some(failed) = failed {
            for waiter in self.take_waiters(id, |waiter| waiter.verb == Verb::Rotate) {
                self.settle(waiter.connection, id, None, Some(failed.clone()));
            }
        }
        if self.are_logs_being_cut(id) {
            return;
        }
        for waiter in self.take_waiters(id, Waiter::waits_for_a_cut) {
            match waiter.verb {
                Verb::Flush => self.flush_on(waiter.connection, id),
                _ if all => self.settle(waiter.connection, id, waiter.note, None),
                _ => self.rotate_on(waiter.connection, id),
            }
        }
    }

    fn take_waiters(&mut self, id: u32, which: impl Fn(&Waiter) -> bool) -> Vec<Waiter> {
        let waiters = self.clients.waiters.remove(&id).unwrap_or_default();
        let (taken, still): (Vec<Waiter>, Vec<Waiter>) = waiters.into_iter().partition(which);
        if !still.is_empty() {
            self.clients.waiters.insert(id, still);
        }
        taken
    }

    /// Tells the commands that wait for a start that it waits for what does not come by itself.
    pub(in crate::supervise) fn tell_stuck(&mut self, id: u32, error: &ReportedError) {
        let starts = |waiter: &Waiter| matches!(waiter.verb, Verb::Start | Verb::Restart);
        for waiter in self.take_waiters(id, starts) {
            self.settle(waiter.connection, id, None, Some(error.clone()));
        }
    }

    /// What a command that waits until a process is ready is told where it is not in time.
    fn not_ready(&self, id: u32) -> ReportedError {
        let care = self.services.get(&id).and_then(|s| s.care.as_ref());
        let reason = care.map(|care| care.reason()).unwrap_or_default();
        (&Error::NotReady {
            name: self.name_of(id),
            reason,
        })
            .into()
    }

    /// … and where it ends before.
    fn ended_early(&self, id: u32) -> ReportedError {
        let service = self.services.get(&id);
        if service.is_some_and(|service| service.launch_error.is_some()) {
            return self.start_error(id);
        }
        let reason = service.and_then(|service| service.meta.reason.as_deref());
        let reason = reason.map(|reason| format!(" ({})", String::from_utf8_lossy(reason)));
        (&Error::EndedEarly {
            name: self.name_of(id),
            reason: reason.unwrap_or_default(),
        })
            .into()
    }

    pub(in crate::supervise) fn name_of(&self, id: u32) -> String {
        let service = self.services.get(&id).map(|service| &service.name);
        let name = service.or_else(|| self.clients.removed_names.get(&id));
        name.map_or_else(|| id.to_string(), ToString::to_string)
    }

    pub(super) fn overtaken(&self, id: u32, event: &'static str) -> ReportedError {
        (&Error::Overtaken {
            name: self.name_of(id),
            event,
        })
            .into()
    }

    pub(super) fn start_error(&self, id: u32) -> ReportedError {
        let reason = self
            .services
            .get(&id)
            .and_then(|service| service.launch_error.as_deref());
        let reason = reason
            .unwrap_or("it ended before it ran; see 'tsm logs'")
            .to_owned();
        (&Error::LaunchFailed {
            name: self.name_of(id),
            reason: reason.into(),
        })
            .into()
    }

    /// One outcome for one connection; with the last one it is done.
    pub(in crate::supervise) fn settle(
        &mut self,
        number: u32,
        id: u32,
        note: Option<&str>,
        error: Option<ReportedError>,
    ) {
        let name = self
            .services
            .get(&id)
            .map(|service| service.name.clone())
            .or_else(|| self.clients.removed_names.get(&id).cloned());
        let Some(name) = name else { return };
        if let (Some(suspects), Some(connection)) = (
            self.sweeping.suspects.get(&id),
            self.clients.connections.get_mut(&number),
        ) {
            for suspect in suspects {
                if !connection.notices.contains(suspect) {
                    connection.notices.push(suspect.clone());
                }
            }
        }
        let pid = self.services.get(&id).and_then(Service::live_pid);
        self.resurrected(number, id, error.as_ref());
        let outcome = Outcome {
            id,
            name,
            pid,
            note: note.map(str::to_owned),
            error,
        };
        self.tell_outcome(number, outcome);
    }

    /// One outcome for one connection, whether or not it has a record.
    pub(super) fn tell_outcome(&mut self, number: u32, outcome: Outcome) {
        self.say(number, &Reply::Outcome(outcome));
        let Some(connection) = self.clients.connections.get_mut(&number) else {
            return;
        };
        connection.pending = connection.pending.saturating_sub(1);
        if connection.pending == 0 {
            self.done(number);
        }
    }
}
