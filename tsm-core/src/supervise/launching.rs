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
mod limits;
mod outcome;
pub(super) mod shells;

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::machine::{Event, Phase};
use super::service::{Leader, LogEnd};
use super::supervisor::{Kind, Supervisor, token};
use crate::env::Environment;
use crate::error::{Error, IoContext as _, Reason, Result};
use crate::fail;
use crate::launch::{self, RunVariables};
use crate::logs::Stream;
use crate::name::ProcessName;
use crate::spec::{LogTarget, ProcessSpec, ReadyCheck};
use crate::sys::fd::LogPipe;
use crate::sys::poll::Interest;
use crate::sys::spawn::HeldChild;
use crate::sys::{self, Identity, Pidfd, clock, procfs};
use following::Followed;
use limits::KEPT_FOR_WORK;

/// Starts on their way.
#[derive(Default)]
pub(super) struct Launching {
    /// Whose turn comes, in this order.
    pub(super) queue: VecDeque<u32>,
    /// What was prepared for a launch by the request that asks for it, so that it is not read again.
    pub(super) prepared: HashMap<u32, (ProcessSpec, Environment)>,
    /// Processes whose program is looked at, for the state of their shell.
    pub(super) shells: HashMap<u32, shells::Look>,
    /// Children whose launch failed, on their way to their exit.
    pub(super) forgotten: HashMap<u32, Pidfd>,
    /// When main processes are looked for that are on their way into the background.
    pub(super) follow_at: Option<Duration>,
}

impl Supervisor {
    /// Makes a new run of a process: all four steps. The outcome comes over the report pipe.
    pub(super) fn launch(&mut self, id: u32) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let waits = service.leader.is_none();
        match service.machine.phase {
            Phase::Launching { .. } if waits => {}
            // It was stopped while it waited for its turn: there is no process whose end would
            // tell.
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

    fn try_launch(&mut self, id: u32, shell: &[(&'static str, Vec<u8>)]) -> Result<()> {
        // What the run before printed comes before what this one prints.
        self.close_log(id, Stream::Out);
        self.close_log(id, Stream::Err);
        let (spec, environment) = match self.launching.prepared.remove(&id) {
            Some(prepared) => prepared,
            None => self.read_for_launch(id)?,
        };
        let mut own_variables = shell.to_vec();
        own_variables.extend(self.variables_to_speak(&spec)?);
        // On record before the fork: see the module's four steps.
        self.record_new_run(id, &spec)?;
        fail::point("start-1-recorded");
        let waiting = self.fork_waiting(id, &spec, &environment, &own_variables)?;
        fail::point("start-2-forked");
        let go = self.identify(id, waiting)?;
        fail::point("start-3-identified");
        self.release(id, go);
        fail::point("start-4-released");
        Ok(())
    }

    /// Step 1: the record says `starting`, with a fresh run id.
    fn record_new_run(&mut self, id: u32, spec: &ProcessSpec) -> Result<()> {
        let Some(service) = self.services.get_mut(&id) else {
            return Err(gone());
        };
        // The policy is that of the spec that is executed.
        service.apply_spec(spec);
        // A new number with each start, so that nothing of an earlier run passes for this one.
        let run = service.run() + 1;
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
        service.followed = Followed::of(spec, false);
        service.dirty = true;
        let fresh = service.fresh;
        self.save(id);
        if fresh && self.records.unsaved.remove(&id) {
            // Something new is not started without a record. It is written once more for the error,
            // which `save` has only logged.
            let service = &self.services[&id];
            self.writer.write_meta(&service.name, &service.meta)?;
        }
        Ok(())
    }

    /// Step 2: a child that has its session, its pipes and its limits, and waits for one byte.
    fn fork_waiting(
        &mut self,
        id: u32,
        spec: &ProcessSpec,
        environment: &Environment,
        own_variables: &[(&'static str, Vec<u8>)],
    ) -> Result<Waiting> {
        let Some(service) = self.services.get(&id) else {
            return Err(gone());
        };
        let (run, fresh) = (service.run(), service.fresh);
        let name = service.name.clone();
        let cookie = self.cookies.write(id, run);
        let variables = RunVariables {
            cookie: &cookie,
            id,
            name: name.as_str(),
            shell: own_variables,
        };
        let mut prepared = launch::prepare(spec, environment, &variables, &self.own_limits)
            .map_err(|error| launch_failed(&name, error))?;
        prepared.group = self.make_group(id, &name, &spec.limits);
        // What a person asks for now and cannot have is refused; what was granted once is not
        // insisted on.
        let insisted = fresh && spec.limits.nofile.is_some();
        let nice = prepared.nice;
        self.fit_limits(id, &mut prepared.limits, nice, insisted);
        if let Some(reason) = super::logs::direct::refusal(spec, &self.logs.defaults) {
            return Err(launch_failed(&name, format!("--log-mode {reason}")));
        }
        let [out_file, err_file] =
            [Stream::Out, Stream::Err].map(|stream| self.direct_file(id, stream));
        let out_file = out_file.doing("open a log")?;
        let err_file = err_file.doing("open a log")?;
        let service = &self.services[&id];
        let out = pipe_for(spec.logs.out.as_ref(), out_file.is_some(), &service.out);
        let out = out.doing("make a log pipe")?;
        let err = pipe_for(spec.logs.err.as_ref(), err_file.is_some(), &service.err);
        let err = err.doing("make a log pipe")?;
        // Only something new is refused: a restart gets by with the descriptors that its last run
        // had.
        if let Some(pipe) = err.as_ref().or(out.as_ref()).filter(|_| fresh)
            && self.descriptors_left(&pipe.writer) < KEPT_FOR_WORK
        {
            return Err(launch_failed(&name, self.too_many_for_limit()));
        }
        // `> /dev/stderr` opens the pipe anew (`proc(5)`), which is up to its owner.
        if let Some(user) = &spec.user {
            for pipe in out.iter().chain(&err) {
                sys::fd::give_to(&pipe.writer, user.uid, user.gid)
                    .doing("give a log pipe to its user")?;
            }
        }
        let mut ready_pipe = None;
        match spec.ready.as_ref().map(|ready| &ready.check) {
            Some(ReadyCheck::Fd(number)) => {
                let (reader, writer) = sys::fd::pipe_to_poll().doing("make a readiness pipe")?;
                prepared.extra = Some((writer, i32::from(*number)));
                ready_pipe = Some(reader);
            }
            // Before the fork, so that no line is printed unseen.
            Some(ReadyCheck::Log(pattern)) => self.begin_log_scan(id, pattern, None),
            _ => {}
        }
        let null = self.null.as_fd();
        let stdout = end_of(out_file.as_ref(), out.as_ref()).unwrap_or(null);
        let stderr = match spec.logs.err {
            // The same descriptor, so that lines of both come in their order.
            Some(LogTarget::Same) => stdout,
            _ => end_of(err_file.as_ref(), err.as_ref()).unwrap_or(null),
        };
        fail::error("fork").doing("fork")?;
        let held = sys::spawn::fork_held(prepared, null, stdout, stderr).doing("fork")?;
        Ok(Waiting {
            held,
            out,
            err,
            ready_pipe,
        })
    }

    /// Step 3: who it is goes on record, what outlives us into the store. Returns what the byte is written to.
    fn identify(&mut self, id: u32, waiting: Waiting) -> Result<OwnedFd> {
        let Some(service) = self.services.get(&id) else {
            return Err(gone());
        };
        let (run, name) = (service.run(), service.name.clone());
        let held = waiting.held;
        let identity = procfs::start_time(held.pid).map(|start| Identity {
            pid: held.pid,
            start,
        });
        let (Some(identity), Ok(handle)) = (identity, Pidfd::open_child(held.pid)) else {
            // Without the byte the child ends itself.
            drop(held);
            let reason = "the system has no descriptor left for it";
            return Err(launch_failed(&name, reason));
        };
        // Before the byte: should we be killed once the program runs, our successor can watch it
        // and read its status.
        self.store.put(&format!("p{id}.{run}"), handle.as_fd());
        for (stream, pipe) in [(Stream::Out, waiting.out), (Stream::Err, waiting.err)] {
            if let Some(pipe) = pipe {
                self.take_log_end(id, run, stream, pipe);
            }
        }
        if let Some(pipe) = waiting.ready_pipe {
            self.take_ready_pipe(id, run, pipe);
        }
        let now_ms = clock::unix_ms();
        let Some(service) = self.services.get_mut(&id) else {
            return Err(gone());
        };
        service.meta.pid = Some(identity.pid);
        service.meta.ticks = Some(identity.start);
        service.meta.start_time = now_ms / 1000;
        service.meta.started_ms = Some(now_ms);
        service.meta.reason = None;
        // Once, because a pidfd stays readable, and an ended leader stays a zombie until its run is
        // over.
        let watched = self
            .poll
            .add(&handle, token(Kind::Leader, id), Interest::ReadOnce);
        let reported = self
            .poll
            .add(&held.report, token(Kind::Report, id), Interest::Read);
        watched.and(reported).doing("watch a process")?;
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
        Ok(held.go)
    }

    /// Step 4: one byte, and the child executes the program.
    fn release(&mut self, id: u32, go: OwnedFd) {
        // Whatever becomes of the child, its pidfd and its report pipe tell of it.
        if let Err(error) = std::fs::File::from(go).write_all(b"g") {
            let name = self.name_of(id);
            self.log
                .say(format_args!("cannot release '{name}': {error}"));
        }
    }

    pub(super) fn read_for_launch(&self, id: u32) -> Result<(ProcessSpec, Environment)> {
        let Some(service) = self.services.get(&id) else {
            return Err(gone());
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
            self.poll.unwatch(&reader);
            self.store.forget(&format!("{letter}{id}.{}", end.run));
            (end.paused, end.paced) = (false, false);
            // With a run, what is on record of a log begins anew.
            end.is_block_noted = false;
        } else {
            // Work on the log goes on.
            let before = std::mem::take(end);
            *end = LogEnd {
                packing: before.packing,
                pack_by: before.pack_by,
                dropped: before.dropped,
                tally: before.tally,
                ..LogEnd::default()
            };
            super::logs::dropping::keep_count(end);
        }
        end.reader = Some(pipe.reader);
        end.run = run;
    }
}

/// A child that waits for the byte on which it executes, and our ends of its pipes.
struct Waiting {
    held: HeldChild,
    out: Option<LogPipe>,
    err: Option<LogPipe>,
    ready_pipe: Option<OwnedFd>,
}

fn launch_failed(name: &ProcessName, reason: impl Into<Reason>) -> Error {
    Error::LaunchFailed {
        name: name.to_string(),
        reason: reason.into(),
    }
}

/// What a launch is told whose record is not there any more. Nobody hears it: who deletes a process ends its launch first.
fn gone() -> Error {
    Error::bad_value("launch", "the process is gone")
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
