//! What is asked of a process that exists: whether it can be, what its machine is told, and what the command is told where that is all.

use std::path::PathBuf;

use super::starting::refuse_taken_port;
use crate::control::{ActRequest, Asked, ReportedError, Verb};
use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::logs::Stream;
use crate::supervise::logs::upkeep::{Rotation, Segments};
use crate::supervise::machine::{Desired, Event, Phase, Rest};
use crate::supervise::service::Service;
use crate::supervise::supervisor::Supervisor;

/// What `reset` says of what was given up.
const STAYS_FAILED: &str =
    "is failed and stays so, with its restarts counted anew; 'tsm start' starts it";

/// One process of a request.
#[derive(Clone, Copy)]
pub(in crate::supervise) struct Acting<'a> {
    /// The connection that is answered.
    pub(in crate::supervise) number: u32,
    /// Which process.
    pub(in crate::supervise) id: u32,
    /// What is asked of it.
    pub(in crate::supervise) act: &'a ActRequest,
    /// Who asks.
    pub(in crate::supervise) asked: &'a Asked,
    /// It was selected among others, so that it is no mistake if there is nothing to do.
    pub(in crate::supervise) among_others: bool,
}

impl Acting<'_> {
    /// Whether the process bears the mark of this very request: a supervisor that died had begun it.
    fn was_begun(&self, request: Option<&str>) -> bool {
        request == Some(self.asked.token.as_str())
    }

    /// What the command found that keeps the process from being started again.
    fn why_it_cannot_start(&self) -> Option<ReportedError> {
        let found = self.act.cannot_start.iter().find(|f| f.id == self.id);
        found.map(|found| found.error.clone())
    }
}

impl Supervisor {
    /// Does with a process what is asked, or begins it.
    pub(in crate::supervise) fn act_on(&mut self, acting: Acting<'_>) {
        let Acting { number, id, .. } = acting;
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        self.sweeping.suspects.remove(&id);
        match acting.act.verb {
            Verb::Start => self.start_on(acting),
            Verb::Restart => self.restart_on(acting),
            Verb::Stop => self.stop_on(acting),
            Verb::Delete => {
                service.keep_logs = acting.act.options.keep_logs;
                let by = acting.asked.by.clone();
                self.order(acting, Event::Delete, EventKind::StopRequested { by }, None);
            }
            Verb::Update => self.settle(number, id, None, None),
            Verb::Rotate => self.rotate_on(number, id),
            Verb::Flush => self.flush_on(number, id),
            Verb::Reopen => {
                let done = self.reopen_logs(id);
                self.settle_with(number, id, done);
            }
            Verb::Signal | Verb::Reload => self.signal_on(acting),
            Verb::Reset => {
                let has_failed = service.machine.has_failed();
                let by = acting.asked.by.clone();
                self.note_request(id, EventKind::Reset { by }, acting.asked.resumed);
                self.step(id, Event::Reset);
                self.settle(number, id, has_failed.then_some(STAYS_FAILED), None);
            }
        }
    }

    fn start_on(&mut self, acting: Acting<'_>) {
        let Acting { number, id, .. } = acting;
        let Some(service) = self.services.get(&id) else {
            return;
        };
        // A task that is done stays done, unless a command names it.
        if service.is_done() && acting.among_others {
            return self.settle(number, id, Some("is done"), None);
        }
        let phase = service.machine.phase;
        let is_ending = matches!(phase, Phase::Ending { .. } | Phase::Lingering { .. });
        if service.live_pid().is_some() && !is_ending {
            if acting.among_others {
                return self.settle(number, id, Some("was running"), None);
            }
            // This very request had started it before the supervisor died.
            let done = if acting.was_begun(service.meta.request.as_deref()) {
                Ok(())
            } else {
                Err(self.already_there(id))
            };
            return self.settle_with(number, id, done);
        }
        // A process that is on its way up may be the one that listens.
        if matches!(phase, Phase::Resting(_)) {
            if let Some(error) = acting.why_it_cannot_start() {
                return self.settle(number, id, None, Some(error));
            }
            if let Err(error) = refuse_port_of(service, id, acting) {
                return self.settle_with(number, id, Err(error));
            }
        }
        let by = acting.asked.by.clone();
        self.order(acting, Event::Start, EventKind::StartRequested { by }, None);
    }

    fn restart_on(&mut self, acting: Acting<'_>) {
        let Acting { number, id, .. } = acting;
        let Some(service) = self.services.get(&id) else {
            return;
        };
        // Asked again after a supervisor died: a second restart would end what the first one
        // brought up.
        if acting.was_begun(service.meta.request.as_deref()) {
            let until_ready = acting.act.options.wait_ms.is_some();
            if service.live_pid().is_some()
                && matches!(service.machine.phase, Phase::Running { .. })
                && (!until_ready || self.is_ready(id))
            {
                return self.settle(number, id, None, None);
            }
            self.add_waiter(number, id, Verb::Restart, None);
            if until_ready {
                self.wait_until_ready(number, id);
            }
            return;
        }
        // What could not be started again is not stopped.
        if let Some(error) = acting.why_it_cannot_start() {
            return self.settle(number, id, None, Some(error));
        }
        if matches!(service.machine.phase, Phase::Resting(_))
            && let Err(error) = refuse_port_of(service, id, acting)
        {
            return self.settle_with(number, id, Err(error));
        }
        let shell = self.writer.store().shell(&service.name).map(drop);
        if let Err(error) = self.read_for_launch(id).map(drop).and(shell) {
            return self.settle_with(number, id, Err(error));
        }
        let by = acting.asked.by.clone();
        let kind = EventKind::RestartRequested { by };
        self.order(acting, Event::Restart, kind, None);
    }

    fn stop_on(&mut self, acting: Acting<'_>) {
        let Acting { number, id, .. } = acting;
        let Some(service) = self.services.get(&id) else {
            return;
        };
        if service.is_done() {
            return self.settle(number, id, Some("is done"), None);
        }
        let Phase::Resting(rest) = service.machine.phase else {
            return self.order_stop(acting, None);
        };
        let is_stopped = rest == Rest::Stopped && service.machine.desired == Desired::Down;
        if is_stopped && self.sweeping.unattributed.is_empty() {
            // If a supervisor that died had accepted the stop, this is its result.
            let note = (!acting.asked.resumed).then_some("was not running");
            return self.settle(number, id, note, None);
        }
        // Orphans that nobody could attribute may belong to it, so they are looked for once more.
        self.order_stop(acting, Some("was not running"));
    }

    fn order_stop(&mut self, acting: Acting<'_>, note: Option<&'static str>) {
        let force = acting.act.options.force;
        let by = acting.asked.by.clone();
        let kind = EventKind::StopRequested { by };
        self.order(acting, Event::Stop { force }, kind, note);
    }

    pub(super) fn rotate_on(&mut self, number: u32, id: u32) {
        // What the worker is cutting may have been less than all there is: once more when it is through.
        if self.are_logs_being_cut(id) {
            return self.add_waiter(number, id, Verb::Rotate, None);
        }
        let mut done = Vec::new();
        for stream in [Stream::Out, Stream::Err] {
            // What was printed so far belongs in this segment.
            self.drain(id, stream);
            match self.rotate_between_lines(id, stream) {
                Ok(rotation) => done.push(rotation),
                Err(error) => return self.settle_with(number, id, Err(error)),
            }
        }
        let note = if done.contains(&Rotation::Later) {
            Some("rotates at the end of the line that it is printing")
        } else if done.contains(&Rotation::Done) {
            None
        } else {
            Some("has nothing in its logs that a segment could be made of")
        };
        if self.are_logs_being_cut(id) {
            return self.add_waiter(number, id, Verb::Rotate, note);
        }
        self.settle(number, id, note, None);
    }

    pub(super) fn flush_on(&mut self, number: u32, id: u32) {
        // The worker may be copying the very bytes that would be removed.
        if self.are_logs_being_cut(id) {
            return self.add_waiter(number, id, Verb::Flush, None);
        }
        match self.flush_logs(id) {
            Ok(Segments::Gone) => self.settle(number, id, None, None),
            Ok(Segments::Kept) => {
                let note = "keeps the segments beside its log, which may be another program's: that lies outside of the home";
                self.settle(number, id, Some(note), None);
            }
            Err(error) => self.settle_with(number, id, Err(error)),
        }
    }

    /// Tells the machine, on record first, and lets the command wait for what comes of it.
    fn order(
        &mut self,
        acting: Acting<'_>,
        event: Event,
        kind: EventKind,
        note: Option<&'static str>,
    ) {
        let Acting {
            number, id, act, ..
        } = acting;
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        // By this mark, a command that asks again after the supervisor died finds that it was
        // heard.
        if matches!(act.verb, Verb::Start | Verb::Restart | Verb::Delete) {
            service.meta.request = Some(acting.asked.token.clone());
            service.dirty = true;
        }
        let home = self.writer.home();
        let paths: [PathBuf; 2] = [home.events(&service.name), home.meta(&service.name)];
        // Noted before the machine is told, so that the history has the request before what comes
        // of it.
        self.note_request(id, kind, acting.asked.resumed);
        // Before the machine, which may settle it at once.
        self.add_waiter(number, id, act.verb, note);
        let is_up = matches!(act.verb, Verb::Start | Verb::Restart);
        if is_up && act.options.wait_ms.is_some() {
            self.wait_until_ready(number, id);
        }
        self.step(id, event);
        // Synced afterwards: nobody waits for the disk before a process is started or stopped.
        self.worker.sync_soon(paths);
    }

    /// Tells a command how something came out that was done at once.
    fn settle_with(&mut self, number: u32, id: u32, done: Result<()>) {
        let error = done.err();
        let reported = error.as_ref().map(|error: &Error| error.into());
        self.settle(number, id, None, reported);
    }
}

/// Refuses to start a process that rests, and whose port somebody else has.
fn refuse_port_of(service: &Service, id: u32, acting: Acting<'_>) -> Result<()> {
    let taken = &acting.act.taken_ports;
    refuse_taken_port(&service.name, service.meta.port, Some(id), taken)
}
