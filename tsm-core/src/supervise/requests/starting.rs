//! Starting something new: its name, its port, its record, its logs. The record comes last: without it, all of that is nothing, and what an
//! interrupted start left is written over or swept.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, PathBuf};

use super::updating::refuse_too_large;
use crate::control::{Asked, StartRequest, TakenPort, Verb};
use crate::env::Snapshot;
use crate::error::{Error, IoContext as _, Result};
use crate::events::EventKind;
use crate::logs::Stream;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::spec::{LogSettings, LogTarget, ProcessSpec, SavedSpec};
use crate::store::Staged;
use crate::supervise::machine::{Desired, Event, Machine, Phase, Rest};
use crate::supervise::service::{self, Service};
use crate::supervise::supervisor::{Ending, Supervisor};
use crate::sys::{errno, listening};

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
        if let Some(reason) =
            crate::supervise::logs::direct::refusal(&start.spec, &self.logs.defaults)
        {
            let what = match start.spec.logs.mode {
                Some(_) => "--log-mode",
                None => "log mode, as defaults.toml has it",
            };
            return Err(Error::bad_value(what, reason));
        }
        let mut snapshot = Snapshot::from_bytes(blob, start.shell_bytes)
            .map_err(|error| Error::bad_value("snapshot", error))?;
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
            // Without a name, the same program in the same directory means the same process.
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
        // What has failed counts as at rest: a new start is how a person repairs it.
        if !matches!(service.machine.phase, Phase::Resting(_)) && !service.machine.has_failed() {
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
        // An old snapshot that cannot be read is replaced all the same; what changed is not known
        // then.
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
        // Any spread will do, as long as it is the same at every start.
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
        self.worker.sync_soon(paths.into_iter().chain(shell));
        self.watch_age(id, Stream::Out);
        self.watch_age(id, Stream::Err);
        self.launching
            .prepared
            .insert(id, (spec, snapshot.environment));
        self.note_request(
            id,
            EventKind::StartRequested { by: asked.by },
            asked.resumed,
        );
        self.step(id, Event::Start);
    }

    /// A record for something new. Nothing of it stays where that fails.
    pub(super) fn create(
        &mut self,
        name: ProcessName,
        spec: &ProcessSpec,
        snapshot: &Snapshot,
    ) -> Result<u32> {
        // Before a record is made: the kernel would refuse such a program at each start (`E2BIG`).
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
            if let Err(left) = self.writer.remove(&name, true) {
                self.log.say(left);
            }
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
    pub(in crate::supervise) fn make_logs(
        &self,
        name: &ProcessName,
        settings: &LogSettings,
    ) -> Result<()> {
        let home = self.writer.home();
        for (target, own) in [
            (&settings.out, home.out_log(name)),
            (&settings.err, home.err_log(name)),
        ] {
            let log = match target {
                None => {
                    // Another file is named by `--out` and `--err`; a link here is not TSM's.
                    if std::fs::symlink_metadata(&own).is_ok_and(|meta| meta.is_symlink()) {
                        let link = std::io::Error::from_raw_os_error(errno::ELOOP);
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
            // A log that its service writes itself exists already, and is not to be opened.
            if !crate::logs::direct::is_direct(&log) {
                crate::supervise::logs::mover::open(&log).at("open the log", &log)?;
            }
        }
        Ok(())
    }

    pub(in crate::supervise) fn id_of_name(&self, name: &ProcessName) -> Option<u32> {
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
    pub(super) fn id_of_program(&self, start: &StartRequest) -> Option<u32> {
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
        // A record that this supervisor does not know must not be overwritten.
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
        let state = service.state_in_words();
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
}
