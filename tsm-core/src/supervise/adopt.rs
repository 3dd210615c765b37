//! The first act of a supervisor: every record is read, and every service that is still up is found again, by pid, start time and boot id.
//! Nothing is stepped before all are known, and what cannot be known keeps the supervisor from beginning.

mod appeared;
mod going_on;
mod lived;
mod original;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use lived::{Found, Now, OnRecord, REBOOT};

use super::care::Care;
use super::care::sampling::Watched;
use super::launching::following::Followed;
use super::launching::stream_kind;
use super::logs::rules::OwnLogs;
use super::machine::{Backoff, HookSet, Policy};
use super::service::{Leader, LogEnd, Service, policy_of};
use super::supervisor::{Supervisor, is_of_a_service, token};
use crate::doctor::mend::meta_from_spec;
use crate::error::{Error, IoContext as _, Result};
use crate::events::EventKind;
use crate::logs::Stream;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::spec::{DEFAULT_STOP_TIMEOUT, Dependency, ProcessSpec, RestartPolicy, ServiceLimits};
use crate::sys::poll::Interest;
use crate::sys::{self, Identity, Pidfd, Signal};

impl Supervisor {
    /// Reads all records and takes over what runs. `inherited` holds the descriptors that the keeper gave back.
    pub(super) fn adopt_all(&mut self, mut inherited: HashMap<String, OwnedFd>) -> Result<()> {
        let (records, damaged) = self.writer.store().records()?;
        let mut rebooted = 0;
        let left = self.records_to_leave(&records);
        for (name, meta) in records {
            // Two services under one ID would have each other's descriptors, runs and deadlines.
            if left.contains(&name) {
                let notice = format!(
                    "two records bear ID {}; '{name}' is left alone, give it another tsm_id in {}",
                    meta.id,
                    self.writer.home().meta(&name).display()
                );
                self.log.say(&notice);
                self.notices.push(notice);
                continue;
            }
            rebooted += u32::from(self.adopt(name, meta, &mut inherited)?);
        }
        // After the good ones, so that none is rebuilt under an ID that one of them has.
        for damage in damaged {
            if is_not_known(&damage.error) {
                return Err(damage.error);
            }
            self.rebuild(&damage.name, &damage.error, &mut inherited)?;
        }
        self.go_on_all();
        // Descriptors of services whose records are gone are given up, or the keeper would hold
        // them for ever.
        for name in inherited.into_keys().filter(|name| is_of_a_service(name)) {
            self.store.forget(&name);
        }
        self.pack_what_is_left();
        // At boot they are started.
        if rebooted > 0 && self.options.resurrect.is_none() {
            let what = if rebooted == 1 {
                "1 process".to_owned()
            } else {
                format!("{rebooted} processes")
            };
            self.notices.push(format!(
                "{what} ran before the reboot; 'tsm resurrect' starts what should run"
            ));
        }
        self.status_changed();
        Ok(())
    }

    /// Why what runs could not be taken over, with the remedy where it is known.
    pub(super) fn cannot_take_over(&mut self, error: Error) -> Error {
        if !is_not_known(&error) {
            return error;
        }
        // Descriptors are what is short, and reading the records takes some: all that were taken
        // over are closed first.
        self.services.clear();
        let running = self.writer.store().records().map_or(0, |(records, _)| {
            records
                .iter()
                .filter(|(_, meta)| meta.pid.is_some())
                .count()
        });
        Error::Unreachable {
            home: self.writer.home().root().to_owned(),
            reason: format!(
                "cannot take over what runs ({error}); it runs on, unsupervised. It may have {} open files, and {} would do for {running} processes: raise the hard limit ('ulimit -Hn') of what starts it",
                sys::limits::open_files_in(&self.own_limits),
                running * 3 + 64,
            ).into(),
        }
    }

    /// A record whose `.meta` is lost is made anew from the spec, which is intent and was synced.
    pub(super) fn rebuild(
        &mut self,
        name: &ProcessName,
        error: &Error,
        inherited: &mut HashMap<String, OwnedFd>,
    ) -> Result<()> {
        self.log.say(error);
        match self.writer.store().spec(name) {
            Ok(Some(saved)) if !self.services.contains_key(&saved.id) => {
                let meta = meta_from_spec(self.writer.store(), &saved)?;
                self.log.say(format_args!(
                    "the record of '{name}' is rebuilt from its spec"
                ));
                let id = meta.id;
                self.adopt(name.clone(), meta, inherited)?;
                if let Some(service) = self.services.get_mut(&id) {
                    service.dirty = true;
                    self.save(id);
                }
            }
            Ok(_) => self.log.say(format_args!(
                "'{name}' has no spec to rebuild its record from; it is left as it is"
            )),
            Err(error) => self.log.say(error),
        }
        Ok(())
    }

    fn bears_cookie(&self, pid: u32, id: u32, run: u64) -> bool {
        // For the history only.
        self.cookies.of_process(pid).ok().flatten() == Some((id, run))
    }

    /// Takes over one record. Returns whether it ran before a reboot and does not now.
    ///
    /// # Errors
    /// Where it cannot be told whether it runs: what is not known to be dead is not dead, and is not started again.
    pub(super) fn adopt(
        &mut self,
        name: ProcessName,
        mut meta: Meta,
        inherited: &mut HashMap<String, OwnedFd>,
    ) -> Result<bool> {
        let claimed = original::claim(&mut meta, &self.boot);
        let intent = self.intent_of(&name, &meta)?;
        let record = OnRecord::read(&meta, &self.boot);
        let (id, run, rebooted) = (record.id, record.run, record.rebooted);
        // By ID and run: a handle of an earlier run must not pass for this one.
        let stored = inherited
            .remove(&format!("p{id}.{run}"))
            .and_then(Pidfd::from_fd);
        let carried = self
            .succession
            .carried
            .as_mut()
            .and_then(|carried| carried.service(id, run));
        // An upgrade in place carries more than the records have, and counts first.
        let leader = match (&carried, record.identity) {
            (Some(carried), _) => carried.leader(stored),
            (None, Some(identity)) => find_leader(identity, stored)?,
            (None, None) => None,
        };
        let found = match leader {
            Some(_) => Found::Up,
            None if record.identity.is_some() && carried.is_none() => Found::Dead,
            None => Found::Nobody,
        };
        let pid = leader.as_ref().map(|leader| leader.identity.pid);
        self.take_over(name, meta, intent, leader, &record, found);
        self.take_over_descriptors(id, run, pid, inherited);
        self.adopt_triggers(id);
        if let Some(carried) = carried {
            self.go_on_as_carried(id, &carried);
            self.go_on_without_hook(id);
            // An upgrade in place is no adoption: nothing was interrupted that the history would
            // have to tell.
            return Ok(false);
        }
        self.tell_of_adoption(&record, pid);
        self.adopted
            .push((id, record.state, record.desired, found == Found::Dead));
        if claimed && let Some(service) = self.services.get_mut(&id) {
            service.dirty = true;
            self.save(id);
        }
        Ok(rebooted)
    }

    /// A service from its record, and with it what was found of it.
    fn take_over(
        &mut self,
        name: ProcessName,
        mut meta: Meta,
        intent: Intent,
        leader: Option<Leader>,
        record: &OnRecord,
        found: Found,
    ) {
        if record.rebooted {
            meta.reason = Some(REBOOT.to_vec());
        }
        // A process that was found dead keeps its pid on record until its end is noted: should we
        // die before that, our successor notes it.
        if found == Found::Nobody {
            meta.pid = None;
            meta.ticks = None;
        }
        let machine = record.machine(found, &meta, intent.policy, Now::read());
        self.hold_again(meta.cgroup.as_deref(), &intent.limits);
        let watched = Watched::adopted(&intent.limits, meta.cgroup.as_deref().map(Path::new));
        let mut service = Service::new(name, meta, machine, intent.stop_signal);
        service.dirty = false;
        service.followed = intent.followed;
        service.logs = intent.logs;
        service.needs = intent.needs;
        service.task = intent.task;
        service.care = intent.care;
        // A child that waits, or has executed its program: if it turns out that it never did, this
        // is still a first start.
        service.fresh = record.first_start && record.was_starting();
        service.provisional = record.was_starting() && found == Found::Up;
        service.leader = leader;
        self.watch_leader(record.id, service.leader.as_ref());
        self.services.insert(record.id, service);
        self.watch_limits(record.id, watched);
    }

    /// The logs of a service that was taken over, and the pipe by which its main process says that it is ready.
    fn take_over_descriptors(
        &mut self,
        id: u32,
        run: u64,
        pid: Option<u32>,
        inherited: &mut HashMap<String, OwnedFd>,
    ) {
        for stream in [Stream::Out, Stream::Err] {
            self.adopt_log(id, run, stream, pid, inherited);
            self.adopt_tally(id, stream, inherited);
            if self.is_direct(id, stream) {
                self.adopt_direct(id, stream);
            }
            self.watch_age(id, stream);
        }
        if pid.is_some() {
            let pipe = inherited.remove(&format!("r{id}.{run}"));
            self.adopt_vitals(id, pipe);
        }
    }

    /// Brings the history up to what is on record, and notes that a process was found.
    fn tell_of_adoption(&mut self, record: &OnRecord, pid: Option<u32>) {
        let (id, run) = (record.id, record.run);
        // A child that has not executed its program yet shows the environment of the supervisor,
        // without a cookie.
        let executed = pid.filter(|&pid| !record.was_starting() || self.bears_cookie(pid, id, run));
        self.complete_history(id, record.state.as_ref(), executed);
        let leader = self.services.get(&id).and_then(|s| s.leader.as_ref());
        // A process that has ended in the meantime is not noted as adopted; its end is noted
        // instead.
        if let Some(pid) = leader.and_then(|l| (!l.handle.has_ended()).then_some(l.identity.pid)) {
            self.note(id, EventKind::Adopted { run, pid });
        }
    }

    /// What is asked of a process that is taken over. A spec that cannot be read is told of, and nothing is known of it then.
    ///
    /// # Errors
    /// Where the kernel did not answer: what is not known is not guessed.
    fn intent_of(&mut self, name: &ProcessName, meta: &Meta) -> Result<Intent> {
        match self.writer.store().spec(name) {
            Ok(Some(saved)) => Ok(Intent::of(saved.spec, meta.followed == Some(true))),
            Ok(None) => Ok(Intent::of_original()),
            Err(error) if is_not_known(&error) => Err(error),
            Err(error) => {
                self.log.say(error);
                Ok(Intent::of_original())
            }
        }
    }

    /// Watches a main process that was found, and has not ended as far as is known.
    fn watch_leader(&mut self, id: u32, leader: Option<&Leader>) {
        let Some(leader) = leader.filter(|leader| leader.ended.is_none()) else {
            return;
        };
        let token = token(super::supervisor::Kind::Leader, id);
        if let Err(error) = self.poll.add(&leader.handle, token, Interest::ReadOnce) {
            self.log.say(format_args!(
                "cannot watch process {}: {error}",
                leader.identity.pid
            ));
        }
    }

    fn adopt_log(
        &mut self,
        id: u32,
        run: u64,
        stream: Stream,
        pid: Option<u32>,
        inherited: &mut HashMap<String, OwnedFd>,
    ) {
        let (kind, letter) = stream_kind(stream);
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let inode = match stream {
            Stream::Out => service.meta.out_pipe,
            Stream::Err => service.meta.err_pipe,
        };
        let number = if stream == Stream::Out { "1" } else { "2" };
        let key = format!("{letter}{id}.{run}");
        // A run that was being made when the supervisor died may not have taken over the pipe of the run before, whose last
        // bytes are still in it.
        let of_another = |kept: &&String| {
            kept.strip_prefix(letter)
                .and_then(|rest| rest.split_once('.'))
                .is_some_and(|(of, _)| of == id.to_string())
        };
        let key = if inherited.contains_key(&key) {
            key
        } else {
            inherited.keys().find(of_another).cloned().unwrap_or(key)
        };
        let run = key
            .split_once('.')
            .and_then(|(_, of)| of.parse().ok())
            .unwrap_or(run);
        let reader = inherited.remove(&key).or_else(|| {
            // Supervisor and keeper are both gone: the service itself still holds the pipe.
            // `/proc/PID/fd` leads to the pipe itself; the inode tells whether it still is the one
            // on record.
            let reader = sys::fd::reopen_pipe(pid?, number, inode?)?;
            self.store.put(&key, std::os::fd::AsFd::as_fd(&reader));
            Some(reader)
        });
        if let Some(reader) = reader {
            if let Err(error) = self.poll.add(&reader, token(kind, id), Interest::Read) {
                self.log
                    .say(format_args!("cannot watch a log pipe: {error}"));
            }
            *service.log_end(stream) = LogEnd {
                reader: Some(reader),
                run,
                ..LogEnd::default()
            };
        }
    }
}

/// What is asked of a process, as far as a supervisor needs it before the next launch.
struct Intent {
    policy: Policy,
    stop_signal: Signal,
    limits: ServiceLimits,
    logs: Option<Box<OwnLogs>>,
    needs: Box<[Dependency]>,
    task: bool,
    followed: Option<Box<Followed>>,
    care: Option<Box<Care>>,
}

impl Intent {
    /// What its spec says; `is_followed`: its main process was found already, where it puts itself into the background.
    fn of(spec: ProcessSpec, is_followed: bool) -> Self {
        let mut care = None;
        Care::apply(&mut care, &spec);
        Self {
            policy: policy_of(&spec),
            stop_signal: spec.stop_signal,
            logs: OwnLogs::of(&spec.logs),
            task: spec.task,
            followed: Followed::of(&spec, is_followed),
            care,
            needs: spec.depends_on.into(),
            limits: spec.limits,
        }
    }

    /// A record of the original TSM has no spec and knows no policy.
    fn of_original() -> Self {
        Self {
            policy: Policy {
                restart: RestartPolicy::OnFailure,
                max_restarts: None,
                stop_timeout: DEFAULT_STOP_TIMEOUT,
                hooks: HookSet::default(),
                backoff: Backoff::default(),
            },
            stop_signal: Signal::TERM,
            limits: ServiceLimits::default(),
            logs: None,
            needs: Box::default(),
            task: false,
            followed: None,
            care: None,
        }
    }
}

/// The process of a record, if it is still there, or its handle is, which still tells how it ended.
fn find_leader(identity: Identity, stored: Option<Pidfd>) -> Result<Option<Leader>> {
    // The stored one first: it was opened before the process ended, and may still tell how it
    // ended.
    let handle = match stored {
        Some(handle) => Some(handle),
        None => Pidfd::open(identity).doing("open a handle on a process")?,
    };
    Ok(handle.map(|handle| Leader {
        identity,
        handle,
        child: false,
        ended: None,
        ended_ticks: 0,
    }))
}

/// Whether an error says nothing about what was asked: the kernel had no descriptor or no memory to answer.
fn is_not_known(error: &Error) -> bool {
    let (Error::Io { source, .. } | Error::System { source, .. }) = error else {
        return false;
    };
    sys::is_out_of_resources(source)
}
