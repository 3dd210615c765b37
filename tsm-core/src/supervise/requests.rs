//! Connections: reading requests without trusting them, acting on them, and answering when processes are settled.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::fdstore::Keeper;
use super::machine::{Desired, Event, Machine, Phase, Report, Rest};
use super::service::{self, Service};
use super::supervisor::{Ending, Kind, Supervisor, token};
use crate::control::{
    ActRequest, Body, FrameBuffer, Outcome, PROTOCOL, Reply, ReportedError, Request, StartRequest,
    SupervisorStatus, Verb, encode,
};
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::logs::Stream;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::selector::Selector;
use crate::spec::SavedSpec;
use crate::sys::poll::{Interest, Ready};
use crate::sys::{self, clock};

/// How long a client may take to say what it wants, and to hear an answer that waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many connections may be open at once.
const MOST_CONNECTIONS: usize = 1024;

pub(super) struct Connection {
    socket: File,
    peer_pid: u32,
    incoming: FrameBuffer,
    outgoing: Vec<u8>,
    /// Outcomes that are still to come.
    pending: u32,
    /// Since when it keeps us waiting: for its request, or for taking what we say.
    waiting_since: Option<Duration>,
    done: bool,
}

impl Connection {
    /// When it is dropped for being slow.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.waiting_since.map(|since| since + PATIENCE)
    }
}

/// A command that waits for a process to be settled.
#[derive(Clone, Copy)]
pub(super) struct Waiter {
    connection: u32,
    verb: Verb,
    note: Option<&'static str>,
}

impl Supervisor {
    pub(super) fn accept_all(&mut self) {
        while let Ok(Some(socket)) = sys::socket::accept(&self.listener) {
            if let Err(error) = self.accept(socket) {
                self.log.say(format_args!("refused a connection: {error}"));
            }
        }
    }

    fn accept(&mut self, socket: OwnedFd) -> io::Result<()> {
        let (uid, peer_pid) = sys::socket::peer(&socket)?;
        if uid != 0 && uid != sys::account::effective_uid() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("from user {uid}"),
            ));
        }
        if self.connections.len() >= MOST_CONNECTIONS {
            return Err(io::Error::other("too many at once"));
        }
        let mut number = self.next_connection;
        while self.connections.contains_key(&number) {
            number = number.wrapping_add(1);
        }
        self.next_connection = number.wrapping_add(1);
        self.poll
            .add(&socket, token(Kind::Connection, number), Interest::Read)?;
        let connection = Connection {
            socket: socket.into(),
            peer_pid,
            incoming: FrameBuffer::default(),
            outgoing: Vec::new(),
            pending: 0,
            waiting_since: Some(clock::monotonic()),
            done: false,
        };
        self.connections.insert(number, connection);
        Ok(())
    }

    pub(super) fn on_connection(&mut self, number: u32, event: Ready) {
        if event.writable {
            self.flush_connection(number);
        }
        if !event.readable {
            return;
        }
        let mut bytes = [0; 16 * 1024];
        loop {
            let Some(connection) = self.connections.get_mut(&number) else {
                return;
            };
            match connection.socket.read(&mut bytes) {
                // The command went away (Ctrl-C): what it asked for goes on.
                Ok(0) => return self.drop_connection(number),
                Ok(length) => connection.incoming.push(&bytes[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.drop_connection(number),
            }
            self.understand(number);
        }
    }

    fn understand(&mut self, number: u32) {
        loop {
            let Some(connection) = self.connections.get_mut(&number) else {
                return;
            };
            let frame = match connection.incoming.next() {
                Ok(None) => return,
                Ok(Some((json, blob))) => serde_json::from_slice::<Request>(json)
                    .map(|request| (request, blob.to_vec()))
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            connection.waiting_since = None;
            match frame {
                Ok((request, blob)) => self.obey(number, request, &blob),
                Err(reason) => {
                    let error =
                        Error::bad_value("request", format!("it cannot be understood: {reason}"));
                    self.fail(number, &error);
                    return;
                }
            }
        }
    }

    fn obey(&mut self, number: u32, request: Request, blob: &[u8]) {
        if request.version > PROTOCOL {
            let reason = format!(
                "the supervisor is tsm {} and older than this command; 'tsm supervisor stop', and the next command starts a new one",
                env!("CARGO_PKG_VERSION")
            );
            return self.fail(number, &Error::bad_value("supervisor", reason));
        }
        let done = match request.body {
            Body::Start(start) => self.start_new(number, *start, blob, &request.token, &request.by),
            Body::Act(act) => self.act(number, &act, &request.token, &request.by),
            Body::Status => {
                let status = self.status();
                self.say(number, &Reply::Status(status));
                self.finish_connection(number);
                Ok(())
            }
            Body::Shutdown => {
                self.log.say(format_args!(
                    "told to end by {}; the services stay up",
                    request.by
                ));
                self.ending = Ending::LeaveServices;
                // The end of the connection is the answer: it comes when this supervisor has ended.
                self.say(number, &Reply::Accepted { names: Vec::new() });
                Ok(())
            }
            Body::Handover => {
                self.hand_over(number);
                Ok(())
            }
        };
        if let Err(error) = done {
            self.fail(number, &error);
        }
    }

    fn status(&self) -> SupervisorStatus {
        SupervisorStatus {
            pid: std::process::id(),
            guardian: self
                .guardian
                .filter(|_| self.store.keeper() == Keeper::Guardian),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.started_ms,
            processes: self.services.len() as u32,
            running: self
                .services
                .values()
                .filter(|service| service.live_pid().is_some())
                .count() as u32,
            foreground: self.options.foreground,
        }
    }

    /// Starts something new, or the same program again under the name that it has.
    fn start_new(
        &mut self,
        number: u32,
        start: StartRequest,
        blob: &[u8],
        asked: &str,
        by: &str,
    ) -> Result<()> {
        if self.ending != Ending::No {
            return Err(Error::bad_value("supervisor", "it is ending; try again"));
        }
        let mut environment = Environment::from_block(blob)
            .map_err(|error| Error::bad_value("environment", error.to_string()))?;
        environment.strip_captured();
        // Asked again, because the supervisor died in between: it was done, or is being done.
        if let Some(id) = self.id_of_request(asked) {
            return self.attach(number, id, Verb::Start);
        }
        let id = match &start.name {
            Some(name) => match self.id_of_name(name) {
                Some(id) => return Err(self.already_there(id)),
                None => None,
            },
            None => self.id_of_program(&start),
        };
        let id = if let Some(id) = id {
            let service = &self.services[&id];
            if !matches!(service.machine.phase, Phase::Resting(_)) {
                return Err(self.already_there(id));
            }
            let name = service.name.clone();
            self.write_intent(
                &SavedSpec {
                    version: 1,
                    id,
                    name,
                    spec: start.spec.clone(),
                },
                &environment,
            )?;
            id
        } else {
            let name = start
                .name
                .clone()
                .unwrap_or_else(|| self.unused_name(&start.suggested));
            self.create(name, &start, &environment)?
        };
        let Some(service) = self.services.get_mut(&id) else {
            return Ok(());
        };
        service.apply_spec(&start.spec);
        service.meta.request = Some(asked.to_owned());
        self.prepared.insert(id, (start.spec, environment));
        self.note(id, EventKind::StartRequested { by: by.to_owned() });
        self.attach(number, id, Verb::Start)?;
        self.step(id, Event::Start);
        Ok(())
    }

    /// A record for something new. Nothing of it stays where that fails.
    fn create(
        &mut self,
        name: ProcessName,
        start: &StartRequest,
        environment: &Environment,
    ) -> Result<u32> {
        let highest = self
            .services
            .keys()
            .next_back()
            .copied()
            .unwrap_or(0)
            .max(self.highest_id);
        let id = self.writer.allocate_id(highest)?;
        self.highest_id = self.highest_id.max(id);
        let saved = SavedSpec {
            version: 1,
            id,
            name: name.clone(),
            spec: start.spec.clone(),
        };
        if let Err(error) = self.write_intent(&saved, environment) {
            let _ = self.writer.remove(&name, true);
            return Err(error);
        }
        let mut meta = Meta {
            id,
            kind: crate::meta::Kind::Cli,
            ..Meta::default()
        };
        service::describe(&mut meta, &start.spec);
        let machine = Machine::new(
            service::policy_of(&start.spec),
            Desired::Up,
            Phase::Resting(Rest::Stopped),
        );
        let mut service = Service::new(name, meta, machine, start.spec.stop_signal);
        service.fresh = true;
        self.services.insert(id, service);
        Ok(id)
    }

    fn write_intent(&mut self, saved: &SavedSpec, environment: &Environment) -> Result<()> {
        self.writer.write_spec(saved)?;
        self.writer.write_environment(&saved.name, environment)?;
        let home = self.writer.home();
        let paths = [
            home.spec(&saved.name),
            home.env(&saved.name),
            home.meta(&saved.name),
            home.next_id(),
        ];
        self.syncer.sync_soon(paths);
        Ok(())
    }

    fn id_of_name(&self, name: &ProcessName) -> Option<u32> {
        self.services
            .iter()
            .find(|(_, service)| service.name == *name)
            .map(|(id, _)| *id)
    }

    fn id_of_request(&self, asked: &str) -> Option<u32> {
        self.services
            .iter()
            .find(|(_, service)| service.meta.request.as_deref() == Some(asked))
            .map(|(id, _)| *id)
    }

    /// The process whose script, arguments and working directory are these.
    fn id_of_program(&self, start: &StartRequest) -> Option<u32> {
        let args = (!start.spec.args.is_empty()).then(|| service::quoted_args(&start.spec));
        let same = |meta: &Meta| {
            meta.script == start.spec.script.as_bytes()
                && meta.cwd == start.spec.cwd.as_bytes()
                && meta.args == args
        };
        self.services
            .iter()
            .find(|(_, service)| same(&service.meta))
            .map(|(id, _)| *id)
    }

    fn unused_name(&self, suggested: &ProcessName) -> ProcessName {
        let taken = |name: &ProcessName| {
            self.id_of_name(name).is_some() || self.writer.home().meta(name).exists()
        };
        if !taken(suggested) {
            return suggested.clone();
        }
        let mut number = 2;
        loop {
            let name = suggested.numbered(number);
            if !taken(&name) {
                return name;
            }
            number += 1;
        }
    }

    fn already_there(&self, id: u32) -> Error {
        let service = &self.services[&id];
        let name = service.name.to_string();
        let state = service.meta.state.clone().unwrap_or_default();
        let state = service
            .live_pid()
            .map_or(state.clone(), |pid| format!("{state}, PID: {pid}"));
        let remedy = if service.live_pid().is_some() {
            format!("'tsm restart {name}' starts it anew, another --name starts a second one")
        } else {
            format!("'tsm start {name}' starts it again, 'tsm delete {name}' makes room")
        };
        Error::AlreadyThere {
            name,
            id,
            state,
            remedy,
        }
    }

    fn act(&mut self, number: u32, act: &ActRequest, asked: &str, by: &str) -> Result<()> {
        let mut ids = Vec::new();
        for text in &act.selectors {
            let selector: Selector = text.parse()?;
            let selected = self.select(&selector);
            if selected.is_empty() && !selector.may_be_empty() {
                if act.verb == Verb::Delete && self.deleted_by(asked) {
                    continue;
                }
                return Err(self.no_such_process(text));
            }
            for id in selected {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        let names = ids
            .iter()
            .filter_map(|id| self.services.get(id))
            .map(|service| service.name.clone())
            .collect();
        self.say(number, &Reply::Accepted { names });
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.pending = ids.len() as u32;
        }
        if ids.is_empty() {
            self.done(number);
        }
        for id in ids {
            self.act_on(number, id, act, asked, by);
        }
        Ok(())
    }

    fn act_on(&mut self, number: u32, id: u32, act: &ActRequest, asked: &str, by: &str) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let by = by.to_owned();
        let resting = matches!(service.machine.phase, Phase::Resting(_));
        let (event, kind, note) = match act.verb {
            Verb::Start
                if service.live_pid().is_some()
                    && !matches!(service.machine.phase, Phase::Ending { .. }) =>
            {
                // Asked again after a supervisor died: then this is what was asked for.
                if service.meta.request.as_deref() != Some(asked) {
                    let error = self.already_there(id);
                    return self.settle(number, id, None, Some((&error).into()));
                }
                return self.settle(number, id, None, None);
            }
            Verb::Start => (Event::Start, EventKind::StartRequested { by }, None),
            Verb::Restart if service.meta.request.as_deref() == Some(asked) => {
                if service.live_pid().is_some()
                    && matches!(service.machine.phase, Phase::Running { .. })
                {
                    return self.settle(number, id, None, None);
                }
                self.add_waiter(number, id, Verb::Restart, None);
                return;
            }
            Verb::Restart => (Event::Restart, EventKind::RestartRequested { by }, None),
            Verb::Stop if service.machine.phase == Phase::Resting(Rest::Stopped) => {
                if service.machine.desired == Desired::Down {
                    return self.settle(number, id, Some("was not running"), None);
                }
                (
                    Event::Stop {
                        force: act.options.force,
                    },
                    EventKind::StopRequested { by },
                    Some("was not running"),
                )
            }
            Verb::Stop => {
                let note = resting.then_some("was not running");
                (
                    Event::Stop {
                        force: act.options.force,
                    },
                    EventKind::StopRequested { by },
                    note,
                )
            }
            Verb::Delete => {
                service.keep_logs = act.options.keep_logs;
                (Event::Delete, EventKind::StopRequested { by }, None)
            }
        };
        if matches!(act.verb, Verb::Start | Verb::Restart | Verb::Delete) {
            service.meta.request = Some(asked.to_owned());
            service.dirty = true;
        }
        let home = self.writer.home();
        let paths: [PathBuf; 2] = [home.events(&service.name), home.meta(&service.name)];
        self.note(id, kind);
        self.add_waiter(number, id, act.verb, note);
        self.step(id, event);
        self.syncer.sync_soon(paths);
    }

    fn add_waiter(&mut self, connection: u32, id: u32, verb: Verb, note: Option<&'static str>) {
        self.waiters.entry(id).or_default().push(Waiter {
            connection,
            verb,
            note,
        });
    }

    /// Lets a connection wait for a process that is being started.
    fn attach(&mut self, number: u32, id: u32, verb: Verb) -> Result<()> {
        let Some(service) = self.services.get(&id) else {
            return Ok(());
        };
        let name = service.name.clone();
        let running = matches!(service.machine.phase, Phase::Running { .. });
        self.say(number, &Reply::Accepted { names: vec![name] });
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.pending = 1;
        }
        if running {
            self.settle(number, id, None, None);
        } else {
            self.add_waiter(number, id, verb, None);
        }
        Ok(())
    }

    /// Tells the commands that wait for a process what became of it.
    pub(super) fn answer(&mut self, id: u32, report: Report) {
        let Some(waiters) = self.waiters.remove(&id) else {
            return;
        };
        let mut still = Vec::new();
        for waiter in waiters {
            let up = matches!(waiter.verb, Verb::Start | Verb::Restart);
            match report {
                Report::Started if up => self.settle(waiter.connection, id, None, None),
                Report::StartFailed | Report::Ended | Report::GaveUp | Report::Backoff { .. }
                    if up =>
                {
                    let error = self.start_error(id);
                    self.settle(waiter.connection, id, None, Some(error));
                }
                Report::Stopped if waiter.verb == Verb::Stop => {
                    self.settle(waiter.connection, id, waiter.note, None)
                }
                Report::Removed => {
                    let error =
                        (waiter.verb != Verb::Delete).then(|| self.overtaken(id, "deleted"));
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
                Report::Resists => {
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
            self.waiters.entry(id).or_default().extend(still);
        }
        if report == Report::StartFailed
            && self.services.get(&id).is_some_and(|service| service.fresh)
        {
            self.remove(id);
        }
    }

    fn name_of(&self, id: u32) -> String {
        self.services
            .get(&id)
            .map_or_else(|| id.to_string(), |service| service.name.to_string())
    }

    fn overtaken(&self, id: u32, event: &'static str) -> ReportedError {
        (&Error::Overtaken {
            name: self.name_of(id),
            event,
        })
            .into()
    }

    fn start_error(&self, id: u32) -> ReportedError {
        let reason = self
            .services
            .get(&id)
            .and_then(|service| service.launch_error.as_deref());
        let reason = reason
            .unwrap_or("it ended before it ran; see 'tsm logs'")
            .to_owned();
        (&Error::LaunchFailed {
            name: self.name_of(id),
            reason,
        })
            .into()
    }

    /// Removes a process from the disk and from memory.
    pub(super) fn remove(&mut self, id: u32) {
        for stream in [Stream::Out, Stream::Err] {
            self.close_log(id, stream);
        }
        self.close_log_files(id);
        let Some(mut service) = self.services.remove(&id) else {
            return;
        };
        self.prepared.remove(&id);
        self.unsaved.remove(&id);
        self.awaited.remove(&id);
        if let Some(armed) = service.armed.take() {
            self.deadlines.remove(&(armed, id));
        }
        self.highest_id = self.highest_id.max(id);
        if let Err(error) = self.writer.remove(&service.name, service.keep_logs) {
            self.log.say(error);
        }
        if let Some(asked) = &service.meta.request {
            self.deleted
                .push_back((asked.clone(), id, service.name.clone()));
            if self.deleted.len() > 64 {
                self.deleted.pop_front();
            }
        }
        // Waiting commands are told the name that it had.
        self.removed_names.insert(id, service.name.clone());
        self.status_changed();
    }

    fn deleted_by(&self, asked: &str) -> bool {
        // A new supervisor does not know what its predecessor deleted; then nothing is left of it, which is what was
        // asked for, and a command that asks again says so by its token's attempt.
        self.deleted.iter().any(|(request, _, _)| request == asked)
    }

    /// One outcome for one connection; with the last one it is done.
    fn settle(&mut self, number: u32, id: u32, note: Option<&str>, error: Option<ReportedError>) {
        let name = self
            .services
            .get(&id)
            .map(|service| service.name.clone())
            .or_else(|| self.removed_names.get(&id).cloned());
        let Some(name) = name else { return };
        let pid = self.services.get(&id).and_then(Service::live_pid);
        let outcome = Outcome {
            id,
            name,
            pid,
            note: note.map(str::to_owned),
            error,
        };
        self.say(number, &Reply::Outcome(outcome));
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        connection.pending = connection.pending.saturating_sub(1);
        if connection.pending == 0 {
            self.done(number);
        }
    }

    fn done(&mut self, number: u32) {
        let notices = std::mem::take(&mut self.notices);
        self.say(number, &Reply::Done { notices });
        self.finish_connection(number);
    }

    fn fail(&mut self, number: u32, error: &Error) {
        self.say(number, &Reply::Failed(error.into()));
        self.finish_connection(number);
    }

    fn finish_connection(&mut self, number: u32) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.done = true;
        }
        self.flush_connection(number);
    }

    fn say(&mut self, number: u32, reply: &Reply) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        match encode(reply, &[]) {
            Ok(frame) => connection.outgoing.extend_from_slice(&frame),
            Err(error) => self.log.say(format_args!("cannot answer: {error}")),
        }
        self.flush_connection(number);
    }

    fn flush_connection(&mut self, number: u32) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        while !connection.outgoing.is_empty() {
            match connection.socket.write(&connection.outgoing) {
                Ok(written) => drop(connection.outgoing.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection
                        .waiting_since
                        .get_or_insert_with(clock::monotonic);
                    let _ = self.poll.modify(
                        &connection.socket,
                        token(Kind::Connection, number),
                        Interest::ReadWrite,
                    );
                    return;
                }
                Err(_) => return self.drop_connection(number),
            }
        }
        if connection.done {
            return self.drop_connection(number);
        }
        if connection.waiting_since.is_some()
            && !connection.incoming.is_partial()
            && connection.pending > 0
        {
            connection.waiting_since = None;
            let _ = self.poll.modify(
                &connection.socket,
                token(Kind::Connection, number),
                Interest::Read,
            );
        }
    }

    fn drop_connection(&mut self, number: u32) {
        if let Some(connection) = self.connections.remove(&number) {
            let _ = self.poll.remove(&connection.socket);
        }
        for waiters in self.waiters.values_mut() {
            waiters.retain(|waiter| waiter.connection != number);
        }
        self.waiters.retain(|_, waiters| !waiters.is_empty());
    }

    /// Drops those who stall.
    pub(super) fn drop_slow_connections(&mut self, now: Duration) {
        let slow: Vec<(u32, u32)> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.deadline().is_some_and(|at| at <= now))
            .map(|(number, connection)| (*number, connection.peer_pid))
            .collect();
        for (number, pid) in slow {
            self.log.say(format_args!(
                "dropped the connection of process {pid}: it stalled for {} s",
                PATIENCE.as_secs()
            ));
            self.drop_connection(number);
        }
    }

    /// This supervisor ends: what was said and not taken yet is said as far as it is taken at once.
    pub(super) fn flush_connections(&mut self) {
        let numbers: Vec<u32> = self.connections.keys().copied().collect();
        for number in numbers {
            self.flush_connection(number);
        }
    }

    /// The socket of a connection, for a handover.
    pub(super) fn take_connection(&mut self, number: u32) -> Option<OwnedFd> {
        let connection = self.connections.remove(&number)?;
        let _ = self.poll.remove(&connection.socket);
        Some(connection.socket.into())
    }
}
