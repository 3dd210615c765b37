//! Requests: starting something new, and acting on processes that exist.

pub(super) mod answers;
mod applying;
pub(super) mod connections;
mod crowding;
mod mending;
mod reloading;
pub(super) mod resurrecting;
mod updating;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, PathBuf};

use super::machine::{Desired, Event, Machine, Phase, Rest};
use super::service::{self, Service};
use super::supervisor::{Ending, Supervisor};
use crate::control::{
    ActRequest, Asked, Body, Reply, ReportedError, StartRequest, TakenPort, Verb,
};
use crate::env::Snapshot;
use crate::error::{Error, IoContext as _, Result};
use crate::events::EventKind;
use crate::fail;
use crate::logs::Stream;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::selector::Selector;
use crate::spec::{LogSettings, LogTarget, ProcessSpec, SavedSpec};
use crate::store::Staged;
use crate::sys::listening;
use updating::refuse_too_large;

impl Supervisor {
    /// Starts something new, or the same program again under the name that it has.
    pub(super) fn start_new(
        &mut self,
        number: u32,
        mut start: StartRequest,
        blob: &[u8],
        asked: &Asked,
    ) -> Result<()> {
        if self.ending != Ending::No {
            return Err(Error::bad_value("supervisor", "it is ending; try again"));
        }
        start.spec.logs.check()?;
        if let Some(reason) = super::logs::direct::refusal(&start.spec, &self.log_defaults) {
            return Err(Error::bad_value("--log-mode", reason));
        }
        let mut snapshot = Snapshot::from_bytes(blob, start.shell_bytes)
            .map_err(|error| Error::bad_value("snapshot", error.to_string()))?;
        snapshot.environment.strip_captured();
        // Asked again, because the supervisor died in between: it was done, or is being done.
        if let Some(id) = self.id_of_request(asked) {
            self.attach_again(number, id, start.wait_ms.is_some());
            return Ok(());
        }
        let id = match &start.name {
            Some(name) => match self.adopt_appeared(name)? {
                Some(id) => return Err(self.already_there(id)),
                None => None,
            },
            None => self.id_of_program(&start),
        };
        let asked = asked.clone();
        let Some(id) = id else {
            let name = start
                .name
                .clone()
                .unwrap_or_else(|| self.unused_name(&start.suggested));
            if start.any_port {
                start.spec.port = Some(self.any_port(&name)?);
            }
            refuse_taken_port(&name, start.spec.port, None, &start.taken_ports)?;
            let id = self.create(name, &start.spec, &snapshot)?;
            self.attach(number, id, Verb::Start, start.wait_ms.is_some());
            self.begin(id, start.spec, snapshot, asked);
            return Ok(());
        };
        let service = &self.services[&id];
        if !matches!(service.machine.phase, Phase::Resting(_)) {
            return Err(self.already_there(id));
        }
        if start.any_port {
            // The one that it had, where it had one.
            let before = service.meta.port.filter(|port| listening::is_free(*port));
            let name = service.name.clone();
            start.spec.port = Some(match before {
                Some(port) => port,
                None => self.any_port(&name)?,
            });
        }
        let name = &self.services[&id].name;
        refuse_taken_port(name, start.spec.port, Some(id), &start.taken_ports)?;
        let Some((_, staged)) = self.stage(id, start.spec.clone(), &snapshot)? else {
            return Ok(());
        };
        // What cannot be read is replaced all the same; in what they differ is not known then.
        if let Ok((_, before)) = self.read_whole(id) {
            self.note_environment(id, &before, &snapshot, &asked);
        }
        self.replace_intent(id, staged, move |supervisor, replaced| match replaced {
            Ok(()) => {
                supervisor.attach(number, id, Verb::Start, start.wait_ms.is_some());
                supervisor.begin(id, start.spec, snapshot, asked);
            }
            Err(error) => {
                supervisor.note_kept_environment(id, &error);
                supervisor.fail(number, &error);
            }
        });
        Ok(())
    }

    /// A port that nobody declares and nobody listens on: the same for the same name, as long as it is free.
    pub(super) fn any_port(&self, name: &ProcessName) -> Result<u16> {
        // Below those that the kernel gives to clients (ip_local_port_range).
        const FIRST: u16 = 20_000;
        const COUNT: u16 = 10_000;
        let seed = name.as_str().bytes().fold(0_u32, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        let declared: HashSet<u16> = self.services.values().filter_map(|s| s.meta.port).collect();
        (0..COUNT)
            .map(|step| FIRST + ((seed % u32::from(COUNT)) as u16 + step) % COUNT)
            .find(|port| !declared.contains(port) && listening::is_free(*port))
            .ok_or_else(|| Error::bad_value("--port auto", "no port from 20000 on is free"))
    }

    /// Begins the first run with a new spec and snapshot, which are on disk.
    pub(super) fn begin(&mut self, id: u32, spec: ProcessSpec, snapshot: Snapshot, asked: Asked) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        service.apply_spec(&spec);
        service.meta.request = Some(asked.token);
        self.index_needs();
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let home = self.writer.home();
        let name = &service.name;
        let paths = [
            home.spec(name),
            home.env(name),
            home.meta(name),
            home.next_id(),
        ];
        let shell = snapshot.shell.is_some().then(|| home.shell(name));
        self.helper.sync_soon(paths.into_iter().chain(shell));
        self.watch_age(id, Stream::Out);
        self.watch_age(id, Stream::Err);
        self.prepared.insert(id, (spec, snapshot.environment));
        self.note_request(
            id,
            EventKind::StartRequested { by: asked.by },
            asked.resumed,
        );
        self.step(id, Event::Start);
    }

    /// Whether a request is about a process whose spec and environment are just being replaced.
    pub(super) fn must_wait(&self, body: &Body) -> bool {
        let is_being_replaced = |id: &u32| self.being_replaced.contains(id);
        match body {
            Body::Status | Body::Samples(_) | Body::Shutdown => false,
            _ if self.is_quieting() => true,
            _ if self.being_replaced.is_empty() => false,
            Body::Start(start) => match &start.name {
                Some(name) => self.id_of_name(name),
                None => self.id_of_program(start),
            }
            .is_some_and(|id| is_being_replaced(&id)),
            Body::Act(act) => act
                .selectors
                .iter()
                .filter_map(|text| text.parse::<Selector>().ok())
                .any(|selector| self.select(&selector).iter().any(is_being_replaced)),
            Body::Apply(apply) => apply
                .items
                .iter()
                .filter_map(|item| self.id_of_name(&item.name))
                .any(|id| is_being_replaced(&id)),
            Body::Handover | Body::Mend => true,
            Body::Save { .. } | Body::Resurrect(_) | Body::Upgrade { .. } => false,
        }
    }

    /// A record for something new. Nothing of it stays where that fails.
    pub(super) fn create(
        &mut self,
        name: ProcessName,
        spec: &ProcessSpec,
        snapshot: &Snapshot,
    ) -> Result<u32> {
        refuse_too_large(&name, spec, snapshot)?;
        let highest = self
            .services
            .keys()
            .next_back()
            .copied()
            .unwrap_or(0)
            .max(self.highest_id);
        let id = self.writer.allocate_id(highest)?;
        self.highest_id = self.highest_id.max(id);
        let saved = SavedSpec::new(id, name.clone(), spec.clone());
        // Nothing is replaced: a torn one is void, because the record comes last.
        let staged = self.writer.stage(&saved, snapshot)?;
        let written = staged
            .iter()
            .try_for_each(Staged::commit)
            .and_then(|()| self.make_logs(&name, &spec.logs));
        if let Err(error) = written {
            let _ = self.writer.remove(&name, true);
            return Err(error);
        }
        let mut meta = Meta {
            id,
            kind: crate::meta::Kind::Cli,
            ..Meta::default()
        };
        service::describe(&mut meta, spec);
        let machine = Machine::new(
            service::policy_of(spec),
            Desired::Up,
            Phase::Resting(Rest::Stopped),
        );
        let mut service = Service::new(name, meta, machine, spec.stop_signal);
        service.fresh = true;
        service.begun_here = true;
        self.services.insert(id, service);
        Ok(id)
    }

    /// Makes both logs, so that whoever wants to follow them finds them.
    pub(super) fn make_logs(&self, name: &ProcessName, settings: &LogSettings) -> Result<()> {
        let home = self.writer.home();
        for (target, own) in [
            (&settings.out, home.out_log(name)),
            (&settings.err, home.err_log(name)),
        ] {
            let log = match target {
                None => {
                    // Another file is named by `--out` and `--err`; a link here is none of TSM's.
                    if std::fs::symlink_metadata(&own).is_ok_and(|meta| meta.is_symlink()) {
                        let link = std::io::Error::from_raw_os_error(libc::ELOOP);
                        return Err(link).at("open the log", &own);
                    }
                    own
                }
                Some(LogTarget::File(path)) => {
                    let path = path.as_path().to_owned();
                    crate::sys::guarded::refuse_changeable(&path).at("open the log", &path)?;
                    path
                }
                Some(LogTarget::Same | LogTarget::Null) => continue,
            };
            // One that its service writes itself is there, and is not to be opened.
            if !crate::logs::direct::is_direct(&log) {
                super::logs::mover::open(&log).at("open the log", &log)?;
            }
        }
        Ok(())
    }

    pub(super) fn id_of_name(&self, name: &ProcessName) -> Option<u32> {
        self.services
            .iter()
            .find(|(_, service)| service.name == *name)
            .map(|(id, _)| *id)
    }

    fn id_of_request(&self, asked: &Asked) -> Option<u32> {
        self.services
            .iter()
            .find(|(_, service)| service.meta.request.as_deref() == Some(asked.token.as_str()))
            .map(|(id, _)| *id)
    }

    /// The process whose script, arguments and working directory are these.
    fn id_of_program(&self, start: &StartRequest) -> Option<u32> {
        let args = (!start.spec.args.is_empty()).then(|| service::quoted_args(&start.spec));
        let cwd = start.spec.cwd.as_path();
        let path = |script: &[u8]| -> PathBuf {
            // `server.sh`, `./server.sh` and the whole path are the same script.
            let path = cwd.join(OsStr::from_bytes(script));
            path.components()
                .filter(|part| *part != Component::CurDir)
                .collect()
        };
        let wanted = path(start.spec.script.as_bytes());
        let same = |meta: &Meta| {
            meta.cwd == start.spec.cwd.as_bytes()
                && meta.args == args
                && path(&meta.script) == wanted
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

    pub(super) fn already_there(&self, id: u32) -> Error {
        let service = &self.services[&id];
        let name = service.name.to_string();
        let state = service.meta.state.clone().unwrap_or_default();
        let state = service
            .live_pid()
            .map_or(state.clone(), |pid| format!("{state}, PID: {pid}"));
        let resting = matches!(service.machine.phase, Phase::Resting(_));
        let remedy = if service.live_pid().is_none() && !resting {
            "'tsm list' tells what becomes of it, another --name starts a second one".to_owned()
        } else if service.live_pid().is_some() {
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

    pub(super) fn act(
        &mut self,
        number: u32,
        act: &ActRequest,
        blob: &[u8],
        asked: &Asked,
    ) -> Result<()> {
        let fresh = match &act.update {
            Some(update) if update.from_shell || update.exact => {
                let snapshot = Snapshot::from_bytes(blob, update.shell_bytes);
                Some(snapshot.map_err(|error| Error::bad_value("snapshot", error.to_string()))?)
            }
            _ => None,
        };
        let mut ids = Vec::new();
        let mut seen = HashSet::new();
        for text in &act.selectors {
            let selector: Selector = text.parse()?;
            let mut selected = self.select(&selector);
            if let Selector::Name(name) = &selector
                && selected.is_empty()
                && let Ok(name) = name.parse()
            {
                selected.extend(self.adopt_appeared(&name)?);
            }
            if selected.is_empty() && !selector.may_be_empty() {
                // A supervisor that died had found it, and the next one has gone on with deleting it.
                if act.verb == Verb::Delete && asked.resumed {
                    continue;
                }
                return Err(self.no_such_process(text));
            }
            for id in selected {
                if seen.insert(id) {
                    ids.push((id, selector.is_wide()));
                }
            }
        }
        let besides = self.arrange(act.verb, &mut ids);
        let names = ids
            .iter()
            .filter_map(|(id, _)| self.services.get(id))
            .map(|service| service.name.clone())
            .collect();
        self.say(number, &Reply::Accepted { names });
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.pending = ids.len() as u32;
        }
        if ids.is_empty() {
            self.done(number);
        }
        for (id, by_the_way) in ids {
            if besides.contains(&id) {
                self.start_besides(number, id, asked);
                continue;
            }
            let done_already = self.services.get(&id).is_some_and(|service| {
                act.verb == Verb::Restart
                    && service.meta.request.as_deref() == Some(asked.token.as_str())
            });
            match &act.update {
                Some(update) if !done_already => {
                    let fresh = fresh.clone();
                    if let Err(error) = self.update_then_act(number, id, act, update, fresh, asked)
                    {
                        self.settle(number, id, None, Some((&error).into()));
                    }
                }
                _ => self.act_on(number, id, act, asked, by_the_way),
            }
        }
        Ok(())
    }

    /// `by_the_way`: it was selected among others, so that what runs already is no mistake.
    pub(super) fn act_on(
        &mut self,
        number: u32,
        id: u32,
        act: &ActRequest,
        asked: &Asked,
        by_the_way: bool,
    ) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        self.suspects.remove(&id);
        let by = asked.by.clone();
        let resting = matches!(service.machine.phase, Phase::Resting(_));
        let service_failed = service.machine.phase == Phase::Resting(Rest::Failed);
        let is_done = service.is_done();
        let (event, kind, note) = match act.verb {
            // A task that is done is done, unless it is named to be done again.
            Verb::Stop if is_done => return self.settle(number, id, Some("is done"), None),
            Verb::Start if is_done && by_the_way => {
                return self.settle(number, id, Some("is done"), None);
            }
            Verb::Start
                if service.live_pid().is_some()
                    && !matches!(
                        service.machine.phase,
                        Phase::Ending { .. } | Phase::Lingering { .. }
                    ) =>
            {
                if by_the_way {
                    return self.settle(number, id, Some("was running"), None);
                }
                // Asked again after a supervisor died: then this is what was asked for.
                if service.meta.request.as_deref() != Some(asked.token.as_str()) {
                    let error = self.already_there(id);
                    return self.settle(number, id, None, Some((&error).into()));
                }
                return self.settle(number, id, None, None);
            }
            Verb::Start => {
                if let Some(error) = damaged_shell(act, id)
                    && resting
                {
                    return self.settle(number, id, None, Some(error));
                }
                let port = service.meta.port;
                let refused = refuse_taken_port(&service.name, port, Some(id), &act.taken_ports);
                // What is on its way up may listen already.
                if let Err(error) = refused
                    && resting
                {
                    return self.settle(number, id, None, Some((&error).into()));
                }
                (Event::Start, EventKind::StartRequested { by }, None)
            }
            Verb::Restart if service.meta.request.as_deref() == Some(asked.token.as_str()) => {
                let until_ready = act.options.wait_ms.is_some();
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
            Verb::Restart => {
                // What could not be started again is not stopped.
                if let Some(error) = damaged_shell(act, id) {
                    return self.settle(number, id, None, Some(error));
                }
                let shell = self.writer.store().shell(&service.name).map(drop);
                if let Err(error) = self.read_for_launch(id).map(drop).and(shell) {
                    return self.settle(number, id, None, Some((&error).into()));
                }
                (Event::Restart, EventKind::RestartRequested { by }, None)
            }
            Verb::Stop if service.machine.phase == Phase::Resting(Rest::Stopped) => {
                // What may be its own is looked for again.
                if service.machine.desired == Desired::Down && self.unattributed.is_empty() {
                    // Where a supervisor that died had accepted it, this is what became of it.
                    let note = (!asked.resumed).then_some("was not running");
                    return self.settle(number, id, note, None);
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
            Verb::Update => return self.settle(number, id, None, None),
            Verb::Rotate => {
                self.drain(id, Stream::Out);
                self.drain(id, Stream::Err);
                let later = [Stream::Out, Stream::Err]
                    .map(|stream| !self.rotate_between_lines(id, stream))
                    .contains(&true);
                let note = later.then_some("rotates at the end of the line that it is printing");
                return self.settle(number, id, note, None);
            }
            Verb::Flush | Verb::Reopen => {
                let done = match act.verb {
                    Verb::Flush => self.flush_logs(id),
                    _ => self.reopen_logs(id),
                };
                return self.settle(number, id, None, done.err().map(|error| (&error).into()));
            }
            Verb::Signal | Verb::Reload => {
                return self.signal_on(number, id, act, asked, by_the_way);
            }
            Verb::Reset => {
                self.note_request(id, EventKind::Reset { by }, asked.resumed);
                let failed = service_failed.then_some(STAYS_FAILED);
                self.step(id, Event::Reset);
                return self.settle(number, id, failed, None);
            }
            Verb::Delete => {
                service.keep_logs = act.options.keep_logs;
                (Event::Delete, EventKind::StopRequested { by }, None)
            }
        };
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        if matches!(act.verb, Verb::Start | Verb::Restart | Verb::Delete) {
            service.meta.request = Some(asked.token.clone());
            service.dirty = true;
        }
        let home = self.writer.home();
        let paths: [PathBuf; 2] = [home.events(&service.name), home.meta(&service.name)];
        self.note_request(id, kind, asked.resumed);
        self.add_waiter(number, id, act.verb, note);
        let up = matches!(act.verb, Verb::Start | Verb::Restart);
        if up && act.options.wait_ms.is_some() {
            self.wait_until_ready(number, id);
        }
        self.step(id, event);
        self.helper.sync_soon(paths);
    }

    /// Removes a process from the disk and from memory.
    pub(super) fn remove(&mut self, id: u32) {
        for stream in [Stream::Out, Stream::Err] {
            self.close_log(id, stream);
            self.drop_log(id, stream);
        }
        self.close_log_files(id);
        self.forget_upkeep(id);
        let Some(mut service) = self.services.remove(&id) else {
            return;
        };
        self.prepared.remove(&id);
        self.shells.remove(&id);
        self.unsaved.remove(&id);
        self.unwritten.forget(&service.name);
        self.awaited.remove(&id);
        self.suspects.remove(&id);
        if let Some(armed) = service.armed.take() {
            self.deadlines.remove(&(armed, id));
        }
        self.highest_id = self.highest_id.max(id);
        if !service.fresh {
            self.note_deleted(id, &service.name);
        }
        fail::point("delete-1-noted");
        if let Err(error) = self.writer.remove(&service.name, service.keep_logs) {
            self.removal_errors.insert(id, (&error).into());
            self.log.say(error);
        }
        fail::point("delete-2-removed");
        // Waiting commands are told the name that it had.
        self.removed_names.insert(id, service.name.clone());
        if !self.dependents.is_empty() {
            self.untie_others(&service.name, &service.needs);
            self.index_needs();
        }
        self.status_changed();
    }
}

/// What `reset` says of what was given up.
const STAYS_FAILED: &str =
    "is failed and stays so, with its restarts counted anew; 'tsm start' starts it";

/// What the command found wrong with the shell state of a process.
fn damaged_shell(act: &ActRequest, id: u32) -> Option<ReportedError> {
    let found = act.damaged_shells.iter().find(|damaged| damaged.id == id);
    found.map(|damaged| damaged.error.clone())
}

/// Refuses to start a process whose port somebody else has; what is left of its own last run is ended before the next one.
pub(super) fn refuse_taken_port(
    name: &ProcessName,
    port: Option<u16>,
    own: Option<u32>,
    taken: &[TakenPort],
) -> Result<()> {
    let by_another =
        |held: &&TakenPort| Some(held.port) == port && (held.id.is_none() || held.id != own);
    match taken.iter().find(by_another) {
        Some(held) => Err(Error::PortTaken {
            name: name.to_string(),
            holder: held.holder.clone(),
        }),
        None => Ok(()),
    }
}
