//! A start, in the four steps that make it safe to die between any two of them:
//!
//! 1. the record says `starting`, with a fresh run id;
//! 2. the child is forked, makes its session, and waits on a pipe;
//! 3. its pid and start time go on record, its pipes and its handle into the store;
//! 4. one byte, and it executes the program.
//!
//! A child that reads the end of the pipe instead of the byte ends without executing anything: its supervisor died. So
//! a program that runs is always on record, and none is ever started twice.

pub(super) mod following;
pub(super) mod shells;

use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd};

use super::machine::{Event, Phase};
use super::service::{Leader, LogEnd};
use super::supervisor::{Kind, Supervisor, token};
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::fail;
use crate::launch::{self, RunVariables};
use crate::logs::Stream;
use crate::spec::{LogTarget, ProcessSpec, ReadyCheck};
use crate::sys::fd::LogPipe;
use crate::sys::limits::Limit;
use crate::sys::poll::Interest;
use crate::sys::{self, Identity, Pidfd, WaitStatus, clock, procfs};
use following::Followed;

/// How long whoever reaps an adopted process may take. An init reaps at once; a status that is not known counts as a
/// failure, so that a slow one is worth waiting for.
const REAPER_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// So many descriptors stay free when something new is started: for connections, `/proc`, records, logs, restarts.
const KEPT_FOR_WORK: u64 = 32;

impl Supervisor {
    /// Makes a new run of a process: all four steps. The outcome comes over the report pipe.
    pub(super) fn launch(&mut self, id: u32) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let waits = service.leader.is_none();
        match service.machine.phase {
            Phase::Launching { .. } if waits => {}
            // It was stopped while it waited for its turn: there is nothing that would end by itself.
            Phase::Ending { leader: true, .. } if waits => {
                return self.step(id, Event::LaunchFailed);
            }
            _ => return,
        }
        if self.pre_start_hook(id) {
            return;
        }
        let launched = match self.shell_for_launch(id) {
            Ok(Some(variables)) => self.try_launch(id, &variables),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        if let Err(error) = launched {
            self.launch_failed_with(id, error);
        }
    }

    pub(super) fn launch_failed_with(&mut self, id: u32, error: Error) {
        let reason = match error {
            Error::LaunchFailed { reason, .. } => reason,
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
            self.log
                .say(format_args!("cannot start '{name}': {reason}"));
            self.note(id, EventKind::LaunchFailed { run, reason });
        }
        self.step(id, Event::LaunchFailed);
    }

    fn try_launch(&mut self, id: u32, shell: &[(&'static str, Vec<u8>)]) -> Result<()> {
        self.close_log(id, Stream::Out);
        self.close_log(id, Stream::Err);
        let (spec, environment) = match self.prepared.remove(&id) {
            Some(prepared) => prepared,
            None => self.read_for_launch(id)?,
        };
        let mut own_variables = shell.to_vec();
        own_variables.extend(self.variables_to_speak(&spec)?);
        let Some(service) = self.services.get_mut(&id) else {
            return Ok(());
        };
        let failed = |reason: String, name: &crate::name::ProcessName| Error::LaunchFailed {
            name: name.to_string(),
            reason,
        };

        // The rules are those of the spec that is executed.
        service.apply_spec(&spec);

        // Step 1: the record, with a fresh run.
        let run = service.run() + 1;
        let name = service.name.clone();
        service.meta.run = Some(run);
        service.begun_here = true;
        service.meta.pid = None;
        service.meta.ticks = None;
        // Nothing of the last run is left, or this one would not begin.
        service.meta.last_pid = None;
        service.meta.last_ticks = None;
        service.meta.last_end = None;
        service.meta.boot = Some(self.boot.clone());
        service.launch_error = None;
        service.meta.followed = None;
        service.followed = Followed::of(&spec, false);
        service.dirty = true;
        let fresh = service.fresh;
        self.save(id);
        if fresh && self.unsaved.remove(&id) {
            // Something new is not started without a record; its words are the system's.
            self.writer.write_meta(&name, &self.services[&id].meta)?;
        }
        fail::point("start-1-recorded");

        // Step 2: a child that waits.
        let cookie = self.cookies.write(id, run);
        let variables = RunVariables {
            cookie: &cookie,
            id,
            name: name.as_str(),
            shell: &own_variables,
        };
        let mut prepared = launch::prepare(&spec, &environment, &variables, &self.own_limits)
            .map_err(|r| failed(r, &name))?;
        prepared.group = self.make_group(id, &name, &spec.limits);
        // What a person asks for now and cannot have is refused; what once was granted is not insisted on.
        let insisted = fresh && spec.limits.nofile.is_some();
        let nice = prepared.nice;
        self.fit_limits(id, &mut prepared.limits, nice, insisted);
        let system = |what: &'static str| {
            move |source: std::io::Error| Error::System {
                action: what,
                source,
            }
        };
        if let Some(reason) = super::logs::direct::refusal(&spec, &self.log_defaults) {
            return Err(failed(format!("--log-mode {reason}"), &name));
        }
        let [out_file, err_file] =
            [Stream::Out, Stream::Err].map(|stream| self.direct_file(id, stream));
        let out_file = out_file.map_err(system("open a log"))?;
        let err_file = err_file.map_err(system("open a log"))?;
        let service = &self.services[&id];
        let out = pipe_for(spec.logs.out.as_ref(), out_file.is_some(), &service.out);
        let out = out.map_err(system("make a log pipe"))?;
        let err = pipe_for(spec.logs.err.as_ref(), err_file.is_some(), &service.err);
        let err = err.map_err(system("make a log pipe"))?;
        if let Some(pipe) = err.as_ref().or(out.as_ref()).filter(|_| fresh)
            && self.descriptors_left(&pipe.writer) < KEPT_FOR_WORK
        {
            return Err(failed(self.too_many_for_limit(), &name));
        }
        if let Some(user) = &spec.user {
            for pipe in out.iter().chain(&err) {
                sys::fd::give_to(&pipe.writer, user.uid, user.gid)
                    .map_err(system("give a log pipe to its user"))?;
            }
        }
        let mut ready_pipe = None;
        if let Some(ReadyCheck::Fd(number)) = spec.ready.as_ref().map(|ready| &ready.check) {
            let (reader, writer) = sys::fd::pipe(true).map_err(system("make a readiness pipe"))?;
            prepared.extra = Some((writer, i32::from(*number)));
            ready_pipe = Some(reader);
        }
        if let Some(ReadyCheck::Log(pattern)) = spec.ready.as_ref().map(|ready| &ready.check) {
            self.begin_log_scan(id, pattern, None);
        }
        let null = self.null.as_fd();
        let stdout = end_of(out_file.as_ref(), out.as_ref()).unwrap_or(null);
        let stderr = match spec.logs.err {
            Some(LogTarget::Same) => stdout,
            _ => end_of(err_file.as_ref(), err.as_ref()).unwrap_or(null),
        };
        fail::error("fork").map_err(system("fork"))?;
        let held = sys::spawn::fork_held(prepared, null, stdout, stderr).map_err(system("fork"))?;
        fail::point("start-2-forked");

        // Step 3: who it is goes on record, what outlives us into the store.
        let identity = procfs::start_time(held.pid).map(|start| Identity {
            pid: held.pid,
            start,
        });
        let (Some(identity), Ok(handle)) = (identity, Pidfd::open_child(held.pid)) else {
            // Without the byte the child ends itself.
            drop(held);
            return Err(failed(
                "the system has no descriptor left for it".to_owned(),
                &name,
            ));
        };
        self.store.put(&format!("p{id}.{run}"), handle.as_fd());
        for (stream, pipe) in [(Stream::Out, out), (Stream::Err, err)] {
            if let Some(pipe) = pipe {
                self.take_log_end(id, run, stream, pipe);
            }
        }
        if let Some(pipe) = ready_pipe {
            self.take_ready_pipe(id, run, pipe);
        }
        let now_ms = clock::unix_ms();
        let Some(service) = self.services.get_mut(&id) else {
            return Ok(());
        };
        service.meta.pid = Some(identity.pid);
        service.meta.ticks = Some(identity.start);
        service.meta.start_time = now_ms / 1000;
        service.meta.started_ms = Some(now_ms);
        service.meta.reason = None;
        let watched = self
            .poll
            .add(&handle, token(Kind::Leader, id), Interest::ReadOnce);
        let reported = self
            .poll
            .add(&held.report, token(Kind::Report, id), Interest::Read);
        watched.and(reported).map_err(system("watch a process"))?;
        service.leader = Some(Leader {
            identity,
            handle,
            child: true,
            ended: None,
            ended_ticks: 0,
        });
        service.report = Some(held.report);
        service.dirty = true;
        self.save(id);
        if let Err(error) = self.writer.write_pid(&name, Some(identity.pid)) {
            self.log.say(error);
        }
        fail::point("start-3-identified");

        // Step 4: go.
        let released = std::fs::File::from(held.go).write_all(b"g");
        fail::point("start-4-released");
        if let Err(error) = released {
            self.log
                .say(format_args!("cannot release '{name}': {error}"));
        }
        Ok(())
    }

    /// Lowers limits that this supervisor may not set, and says so: it may have been started by something with lower ones
    /// than the shell that a service was started from, and a service with lower limits is better than none.
    fn fit_limits(
        &mut self,
        id: u32,
        limits: &mut [Limit],
        nice: Option<i32>,
        insists_on_files: bool,
    ) {
        let may = |own: &[Limit], limits: &[Limit]| {
            limits.iter().all(|limit| {
                own.iter()
                    .find(|o| o.resource == limit.resource)
                    .is_none_or(|o| limit.hard <= o.hard)
            })
        };
        let kept = limits.iter().position(sys::limits::is_open_files);
        let kept = kept.filter(|_| insists_on_files).map(|at| (at, limits[at]));
        let mut lowered = if may(&self.own_limits, limits) || sys::limits::may_raise_hard() {
            Vec::new()
        } else {
            sys::limits::fit(limits, &self.own_limits)
        };
        if let Some((at, asked)) = kept {
            limits[at] = asked;
            lowered.retain(|limit| *limit != asked);
        }
        let late = nice.filter(|nice| !sys::limits::may_have_nice(*nice, &self.own_limits));
        let mut words: Vec<String> = lowered
            .iter()
            .map(|asked| {
                let given = limits.iter().find(|l| l.resource == asked.resource);
                format!(
                    "{} {} instead of {}",
                    sys::limits::name(asked.resource),
                    given.map_or_else(String::new, |given| limit_in_words(given.hard)),
                    limit_in_words(asked.hard)
                )
            })
            .collect();
        if let (Some(asked), Some(own)) = (late, sys::limits::nice()) {
            words.push(format!("nice {own} instead of {asked}"));
        }
        let words = words.join(", ");
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let before = service.meta.lowered.take().unwrap_or_default();
        if words.is_empty() {
            return;
        }
        service.meta.lowered = Some(words.clone());
        if before == words {
            return;
        }
        let notice = format!(
            "'{}' runs with lower limits than it should ({words}): its supervisor was started with these; 'tsm supervisor stop', then 'tsm restart {}' from a shell with higher ones",
            service.name, service.name
        );
        self.log.say(&notice);
        self.notices.push(notice);
        self.note(id, EventKind::LimitsLowered { limits: words });
    }

    /// Why nothing new is started where it would leave no descriptor to work with.
    fn too_many_for_limit(&self) -> String {
        format!(
            "the supervisor may have {} open files at most and each process takes three; raise the hard limit ('ulimit -Hn') and say 'tsm supervisor stop': the next command starts one with the new limit",
            sys::limits::open_files_in(&self.own_limits)
        )
    }

    pub(super) fn read_for_launch(&self, id: u32) -> Result<(ProcessSpec, Environment)> {
        let Some(service) = self.services.get(&id) else {
            return Err(Error::bad_value("launch", "the process is gone"));
        };
        let store = self.writer.store();
        let environment = store.environment(&service.name)?;
        let spec = match store.spec(&service.name)? {
            Some(saved) => {
                store.check_shell(&saved)?;
                saved.spec
            }
            None => launch::spec_of_original(&service.meta, &environment)?,
        };
        Ok((spec, environment))
    }

    fn take_log_end(&mut self, id: u32, run: u64, stream: Stream, pipe: LogPipe) {
        let (kind, letter) = stream_kind(stream);
        self.store
            .put(&format!("{letter}{id}.{run}"), pipe.reader.as_fd());
        if let Err(error) = self.poll.add(&pipe.reader, token(kind, id), Interest::Read) {
            self.log
                .say(format_args!("cannot watch a log pipe: {error}"));
        }
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        match stream {
            Stream::Out => service.meta.out_pipe = Some(pipe.inode),
            Stream::Err => service.meta.err_pipe = Some(pipe.inode),
        }
        let end = service.log_end(stream);
        if let Some(reader) = end.reader.take() {
            // The same pipe, with the last bytes of the run before in it.
            let _ = self.poll.remove(&reader);
            self.store.forget(&format!("{letter}{id}.{}", end.run));
            end.paused = false;
        } else {
            // What is being done for the log goes on.
            let before = std::mem::take(end);
            *end = LogEnd {
                packing: before.packing,
                pack_by: before.pack_by,
                dropped: before.dropped,
                ..LogEnd::default()
            };
        }
        end.reader = Some(pipe.reader);
        end.run = run;
    }

    /// The report pipe of a launch has something: its end means that the program was executed.
    pub(super) fn on_report(&mut self, id: u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let Some(report) = &mut service.report else {
            return;
        };
        let outcome = match report.poll() {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return,
            Err(error) => {
                // What runs is found out by its end.
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
            // It is on its way to its exit, which does nothing but end it.
            let _ = leader.handle.signal(sys::Signal::KILL);
            let pid = leader.identity.pid;
            let watched =
                self.poll
                    .modify(&leader.handle, token(Kind::Forgotten, pid), Interest::Read);
            match watched {
                Ok(()) => drop(self.forgotten.insert(pid, leader.handle)),
                Err(_) => drop(leader.handle.reap()),
            }
        }
        let run = service.run();
        service.meta.pid = None;
        service.meta.ticks = None;
        self.store.forget(&format!("p{id}.{run}"));
        let Some(service) = self.services.get(&id) else {
            return;
        };
        if let Err(error) = self.writer.write_pid(&service.name, None) {
            self.log.say(error);
        }
    }

    /// The child of a failed launch has ended.
    pub(super) fn reap_forgotten(&mut self, pid: u32) {
        if let Some(handle) = self.forgotten.remove(&pid) {
            let _ = handle.reap();
            let _ = self.poll.remove(&handle);
        }
    }

    /// The leader of a run has ended (or, with `hangup`, has been reaped by somebody else).
    pub(super) fn on_leader_ended(&mut self, id: u32, hangup: bool) {
        // It may have named another main process as its last act.
        self.hear_services();
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let Some(leader) = &service.leader else {
            return;
        };
        if leader.ended.is_some() || !leader.handle.has_ended() {
            return;
        }
        let status = if leader.child {
            match leader.handle.peek() {
                Ok(Some(status)) => status,
                Ok(None) => {
                    // Not yet: watched anew.
                    let _ = self.poll.modify(
                        &leader.handle,
                        token(Kind::Leader, id),
                        Interest::ReadOnce,
                    );
                    return;
                }
                Err(_) => leader.handle.exit_info().unwrap_or(WaitStatus::Unknown),
            }
        } else {
            match leader.handle.exit_info() {
                Some(status) => status,
                None if hangup => WaitStatus::Unknown,
                None => {
                    // It has ended, and who reaps it has not done so yet. The handle's hang-up or the guardian says when.
                    let _ =
                        self.poll
                            .modify(&leader.handle, token(Kind::Leader, id), Interest::None);
                    self.await_reaper(id);
                    return;
                }
            }
        };
        self.leader_ended(id, status);
    }

    /// Whoever reaps an adopted process says how it ended within this time, or nobody does.
    fn await_reaper(&mut self, id: u32) {
        let at = clock::monotonic() + REAPER_PATIENCE;
        self.awaited.insert(id, at);
    }

    /// The guardian reaped a process; it may be one of ours.
    pub(super) fn on_reaped_by_guardian(&mut self, pid: u32, status: WaitStatus) {
        let found = self.services.iter().find(|(_, service)| {
            service.leader.as_ref().is_some_and(|l| {
                l.identity.pid == pid && !l.child && l.ended.is_none() && l.handle.has_ended()
            })
        });
        if let Some((&id, service)) = found {
            let told = service
                .leader
                .as_ref()
                .and_then(|leader| leader.handle.exit_info());
            self.leader_ended(id, told.unwrap_or(status));
        }
    }

    pub(super) fn leader_ended(&mut self, id: u32, status: WaitStatus) {
        self.awaited.remove(&id);
        // What it reported and what it printed comes before the news of its end.
        let reported = self
            .services
            .get(&id)
            .is_some_and(|service| service.report.is_some());
        if reported {
            self.on_report(id);
        }
        self.drain(id, Stream::Out);
        self.drain(id, Stream::Err);
        let now_ms = clock::unix_ms();
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let Some(leader) = &mut service.leader else {
            return;
        };
        leader.ended = Some(status);
        leader.ended_ticks = clock::boot_ticks();
        let identity = leader.identity;
        let pid = identity.pid;
        let ended_ticks = leader.ended_ticks;
        let _ = self.poll.remove(&leader.handle);
        if status.is_success() && self.follow(id) {
            return;
        }
        let group_oom = self.out_of_memory_in_group(id);
        self.note_limits_of_group(id);
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let name = service.name.clone();
        let was_unfit = matches!(service.machine.phase, Phase::Ending { .. });
        let why = service.over_limit.take().map(String::from);
        let why = why.or_else(|| group_oom.map(|oom| oom.in_words()));
        let followed = service.followed.as_mut();
        let lost = followed.and_then(|followed| followed.take_lost());
        // A daemon that nobody can follow has failed, however the one that was started ended.
        let success = status.is_success() && lost.is_none();
        let why = why.or_else(|| lost.clone());
        if let Some(reason) = &lost {
            service.launch_error = Some(reason.clone().into());
        }
        let meta = &mut service.meta;
        let uptime_ms = now_ms.saturating_sub(meta.started_ms.unwrap_or(now_ms));
        let never = matches!(status, WaitStatus::Signal { number, .. } if number == sys::signal::NEVER_EXECUTED)
            && service.provisional;
        let was_provisional = std::mem::take(&mut service.provisional);
        meta.pid = None;
        meta.ticks = None;
        // What it leaves in its session is found by this when its handle is gone, by a successor too.
        meta.last_pid = Some(pid);
        meta.last_ticks = Some(identity.start);
        meta.last_end = Some(ended_ticks);
        if !never {
            // 127 is also how a child ends whose supervisor was not there to hear that it could not execute.
            let may_have_failed = was_provisional && status == WaitStatus::Code(127);
            service.fresh &= may_have_failed;
            meta.exit = Some(status.to_string());
            meta.exit_ms = Some(now_ms);
            // Why it was ended by us stands there already.
            let before = meta.reason.take().filter(|_| was_unfit);
            let words = status.in_words();
            meta.reason = Some(match (before, why) {
                (Some(before), _) => [&before, format!("; {words}").as_bytes()].concat(),
                (None, Some(why)) => format!("{words}; {why}").into_bytes(),
                (None, None) => words.into_bytes(),
            });
        }
        service.dirty = true;
        if let Err(error) = self.writer.write_pid(&name, None) {
            self.log.say(error);
        }
        if never {
            self.step(id, Event::NeverExecuted);
            return;
        }
        if let Some(reason) = lost {
            let run = self
                .services
                .get(&id)
                .map_or(0, super::service::Service::run);
            self.note(id, EventKind::LaunchFailed { run, reason });
        }
        self.note_exit(id, pid, status, uptime_ms);
        // Where its run is being ended, the record follows with what comes of that, within moments.
        self.step(id, Event::Exited { success });
        let follows = self.services.get(&id).is_some_and(|service| {
            matches!(
                service.machine.phase,
                Phase::Ending { leader: false, .. } | Phase::Launching { .. }
            )
        });
        if !follows {
            self.save(id);
        }
    }

    /// The deadline of a process's state machine has come.
    pub(super) fn on_deadline(&mut self, id: u32) {
        self.step(id, Event::Deadline);
    }

    /// A run is over: nothing holds its leader's pid any more.
    pub(super) fn end_of_run(&mut self, id: u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        service.leftovers = None;
        if service
            .leader
            .as_ref()
            .is_none_or(|leader| leader.ended.is_none())
        {
            return;
        }
        if let Some(leader) = service.leader.as_ref().filter(|leader| leader.child) {
            // A zombie of ours has kept its number until now. Who was started up to this tick is the run's; another of
            // this number cannot come before the next one, since pids are given out in a circle.
            if service.meta.last_end.is_some() {
                service.meta.last_end = Some(clock::boot_ticks().max(leader.ended_ticks));
                service.dirty |= !matches!(service.machine.phase, Phase::Launching { .. });
            }
        }
        // How it ended is on record before its handle, which could tell it to a successor, is given up.
        self.save(id);
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let Some(leader) = service.leader.take() else {
            return;
        };
        if leader.child {
            // It is a zombie that waited for this.
            let _ = leader.handle.reap();
        }
        let run = service.run();
        self.store.forget(&format!("p{id}.{run}"));
        self.remove_group_of(id);
    }
}

fn limit_in_words(value: u64) -> String {
    match value {
        u64::MAX => "unlimited".to_owned(),
        value => value.to_string(),
    }
}

/// The kind of token and the letter in the store for a stream.
pub(super) fn stream_kind(stream: Stream) -> (Kind, char) {
    match stream {
        Stream::Out => (Kind::Out, 'o'),
        Stream::Err => (Kind::Err, 'e'),
    }
}

/// A log pipe for a stream, where its target needs one: the one of the run before, where that holds bytes which could not
/// be written yet. So nothing of them is lost, they keep their order, and a full disk costs one pipe however often
/// something is restarted.
fn pipe_for(
    target: Option<&LogTarget>,
    has_file: bool,
    before: &LogEnd,
) -> std::io::Result<Option<LogPipe>> {
    match (target, &before.reader) {
        _ if has_file => Ok(None),
        (None | Some(LogTarget::File(_)), Some(reader)) => {
            sys::fd::log_pipe_again(reader).map(Some)
        }
        (None | Some(LogTarget::File(_)), None) => sys::fd::log_pipe().map(Some),
        (Some(LogTarget::Same | LogTarget::Null), _) => Ok(None),
    }
}

/// What a service writes into: the file itself, or a pipe.
fn end_of<'a>(
    file: Option<&'a std::fs::File>,
    pipe: Option<&'a LogPipe>,
) -> Option<BorrowedFd<'a>> {
    let file = file.map(std::fs::File::as_fd);
    file.or_else(|| pipe.map(|pipe| pipe.writer.as_fd()))
}
