//! Errands: children besides the services, that run for a moment: hooks, checks by a command, notices. Each has the
//! environment, directory, user and limits of its service, a session of its own, and a time after which it is killed.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::task::Poll;
use std::time::Duration;

use super::Timer;
use super::failure::Failure;
use super::notices::Delivery;
use crate::error::{BestEffort as _, Error, IoContext as _, Result};
use crate::launch::{self, RunVariables};
use crate::logs::Stream;
use crate::spec::{CommandLine, Program};
use crate::supervise::supervisor::{Kind, Supervisor, token};
use crate::sys::poll::Interest;
use crate::sys::spawn::LaunchReport;
use crate::sys::{self, Pidfd, Signal, WaitStatus, clock, pidfd};

/// How much of what a check prints is kept, to say why it failed.
const KEPT: usize = 512;
/// How much is read at once.
const AT_ONCE: usize = 16 << 10;

/// Which hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervise) enum HookKind {
    PreStart,
    PostStart,
    PreStop,
    PostStop,
}

impl HookKind {
    /// As the config file writes it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::PreStart => "preStart",
            Self::PostStart => "postStart",
            Self::PreStop => "preStop",
            Self::PostStop => "postStop",
        }
    }
}

/// What an errand is for.
pub(in crate::supervise) enum Purpose {
    /// Something around a run.
    Hook(HookKind),
    /// A try whether it is ready.
    Ready,
    /// A look at its health.
    Health,
    /// Telling somebody of an event.
    Notice(Box<Delivery>),
}

/// What is to be executed.
pub(super) struct Order<'a> {
    pub(super) purpose: Purpose,
    pub(super) command: &'a CommandLine,
    pub(super) timeout: Duration,
    /// Variables besides those of the service.
    pub(super) variables: Vec<(&'static str, Vec<u8>)>,
    /// What stands on its standard input; at most what a pipe holds.
    pub(super) input: Option<Vec<u8>>,
}

pub(in crate::supervise) struct Errand {
    pub(super) id: u32,
    pub(in crate::supervise) pid: u32,
    run: u64,
    purpose: Purpose,
    handle: Pidfd,
    report: Option<LaunchReport>,
    pipes: [Option<OwnedFd>; 2],
    said: Vec<u8>,
    /// Why it was not executed (`errno(3)`).
    not_executed: Option<i32>,
    until: Duration,
    timeout: Duration,
    overdue: bool,
}

/// All errands that are being run.
#[derive(Default)]
pub(in crate::supervise) struct Errands {
    pub(in crate::supervise) running: HashMap<u32, Errand>,
    /// The number of the last one that there was.
    pub(in crate::supervise) next: u32,
}

impl Errand {
    /// Whether nobody does it again where it is cut off: a hook, a notice. Looks at readiness and health are made again.
    pub(in crate::supervise) fn happens_once(&self) -> bool {
        matches!(self.purpose, Purpose::Hook(_) | Purpose::Notice(_))
    }
}

impl Supervisor {
    /// Begins an errand for a process. What comes of it is told when it has ended.
    pub(super) fn begin_errand(&mut self, id: u32, order: Order<'_>) -> Result<()> {
        let (mut spec, environment) = self.read_for_launch(id)?;
        spec.program = program_of(order.command)?;
        let Some(service) = self.services.get(&id) else {
            return Ok(());
        };
        let (run, name) = (service.run(), service.name.clone());
        // A notice is not part of the run: it may tell of its end, and must not be ended with it.
        let cookie = match order.purpose {
            Purpose::Notice(_) => self.cookies.write(0, 0),
            _ => self.cookies.write(id, run),
        };
        let variables = RunVariables {
            cookie: &cookie,
            id,
            name: name.as_str(),
            shell: &order.variables,
        };
        let prepared = launch::prepare(&spec, &environment, &variables, &self.own_limits)
            .map_err(|error| Error::bad_value("command", error))?;
        // Written in full before the fork, so that nobody has to feed the pipe while the command
        // runs.
        let stdin = order.input.map(|input| pipe_with(&input)).transpose()?;
        let stdin = stdin.as_ref().map_or(self.null.as_fd(), |fd| fd.as_fd());
        let (out, out_writer) = sys::fd::pipe_to_poll().doing("make a pipe")?;
        let (err, err_writer) = sys::fd::pipe_to_poll().doing("make a pipe")?;
        if let Some(user) = &spec.user {
            for pipe in [&out_writer, &err_writer] {
                sys::fd::give_to(pipe, user.uid, user.gid).doing("give a pipe to its user")?;
            }
        }
        let held = sys::spawn::fork_held(prepared, stdin, out_writer.as_fd(), err_writer.as_fd())
            .doing("fork")?;
        let handle = Pidfd::open_child(held.pid).doing("open a handle on a process")?;
        let mut number = self.errands.next;
        // The numbers wrap around, and an errand that takes long may still have an early one.
        while self.errands.running.contains_key(&number) {
            number = number.wrapping_add(1);
        }
        self.errands.next = number.wrapping_add(1);
        // Closed first where anything fails: without the byte the child ends itself.
        let go = held.go;
        let watched = [
            (handle.as_fd(), Kind::Errand, Interest::ReadOnce),
            (held.report.as_fd(), Kind::ErrandReport, Interest::Read),
            (out.as_fd(), Kind::ErrandOut, Interest::Read),
            (err.as_fd(), Kind::ErrandErr, Interest::Read),
        ];
        for (fd, kind, interest) in watched {
            let watched = self.poll.add(fd, token(kind, number), interest);
            watched.doing("watch a process")?;
        }
        // The time-out is set before the child is released: there is no moment without one.
        let until = clock::monotonic() + order.timeout;
        self.timers.insert((until, Timer::Errand(number)));
        let errand = Errand {
            id,
            pid: held.pid,
            run,
            purpose: order.purpose,
            handle,
            report: Some(held.report),
            pipes: [Some(out), Some(err)],
            said: Vec::new(),
            not_executed: None,
            until,
            timeout: order.timeout,
            overdue: false,
        };
        self.errands.running.insert(number, errand);
        std::fs::File::from(go)
            .write_all(b"g")
            .doing("release a process")
    }

    /// An errand was executed, or could not be.
    pub(in crate::supervise) fn on_errand_report(&mut self, number: u32) {
        let Some(errand) = self.errands.running.get_mut(&number) else {
            return;
        };
        let Some(report) = &mut errand.report else {
            return;
        };
        let outcome = match report.poll() {
            Ok(Poll::Ready(outcome)) => outcome,
            Ok(Poll::Pending) => return,
            // Its end tells how it went.
            Err(_) => None,
        };
        errand.report = None;
        if let Some(failure) = outcome {
            errand.not_executed = Some(failure.errno);
        }
    }

    /// An errand has printed something.
    pub(in crate::supervise) fn on_errand_pipe(&mut self, number: u32, stream: Stream) {
        let Some(errand) = self.errands.running.get_mut(&number) else {
            return;
        };
        let at = usize::from(stream == Stream::Err);
        let Some(pipe) = &errand.pipes[at] else {
            return;
        };
        let mut bytes = [0; AT_ONCE];
        let read = pipe
            .try_clone()
            .map(std::fs::File::from)
            .and_then(|mut file| file.read(&mut bytes));
        let length = match read {
            Ok(length) => length,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                ) =>
            {
                return;
            }
            Err(_) => 0,
        };
        if length == 0 {
            if let Some(pipe) = errand.pipes[at].take() {
                self.poll.unwatch(&pipe);
            }
            return;
        }
        errand.said.extend_from_slice(&bytes[..length]);
        let excess = errand.said.len().saturating_sub(KEPT);
        // Only the last words are kept: they say what went wrong.
        errand.said.drain(..excess);
        if matches!(errand.purpose, Purpose::Hook(_)) {
            let id = errand.id;
            self.append_to_log(id, stream, &bytes[..length]);
        }
    }

    /// The time of an errand is over.
    pub(super) fn errand_overdue(&mut self, number: u32) {
        if let Some(errand) = self.errands.running.get_mut(&number) {
            // Noted first, so that its end is told as a time-out and not as a signal.
            errand.overdue = true;
            kill(errand);
        }
    }

    /// This supervisor ends: nobody would end what takes too long.
    pub(in crate::supervise) fn kill_all_errands(&mut self) {
        for errand in self.errands.running.values() {
            kill(errand);
        }
    }

    /// Kills those errands of a process that `which` means; what comes of them is told as ever.
    pub(in crate::supervise) fn kill_errands(&mut self, id: u32, which: impl Fn(&Purpose) -> bool) {
        for errand in self.errands.running.values_mut() {
            if errand.id == id && which(&errand.purpose) {
                kill(errand);
            }
        }
    }

    /// An errand has ended.
    pub(in crate::supervise) fn on_errand_ended(&mut self, number: u32) {
        let Some(errand) = self.errands.running.get_mut(&number) else {
            return;
        };
        let status = match errand.handle.peek() {
            Ok(Some(status)) => status,
            Ok(None) => {
                self.poll.rewatch(
                    &errand.handle,
                    token(Kind::Errand, number),
                    Interest::ReadOnce,
                );
                return;
            }
            Err(_) => WaitStatus::Unknown,
        };
        // What it left in its group is killed with it. It is a zombie of ours, so the number is
        // still its own.
        kill(errand);
        // What it said last may come with the same round of events as its end.
        self.on_errand_report(number);
        for stream in [Stream::Out, Stream::Err] {
            // Eight reads are more than a pipe holds. Its end is not waited for: somebody else may
            // have the other side.
            for _ in 0..8 {
                self.on_errand_pipe(number, stream);
            }
        }
        let Some(errand) = self.errands.running.remove(&number) else {
            return;
        };
        self.timers.remove(&(errand.until, Timer::Errand(number)));
        self.poll.unwatch(&errand.handle);
        for pipe in errand.pipes.iter().flatten() {
            self.poll.unwatch(pipe);
        }
        errand
            .handle
            .reap()
            .best_effort("it has ended, and how is known");
        let outcome = outcome(&errand, status);
        let (id, run) = (errand.id, errand.run);
        match errand.purpose {
            Purpose::Hook(kind) => self.hook_ended(id, kind, outcome),
            Purpose::Ready => self.ready_tried(id, run, outcome),
            Purpose::Health => self.health_checked(id, run, outcome),
            Purpose::Notice(delivery) => self.delivered(*delivery, outcome),
        }
    }
}

/// What a command line means to the kernel.
fn program_of(command: &CommandLine) -> Result<Program> {
    Ok(match command {
        CommandLine::Line(line) => Program {
            file: "/bin/sh".into(),
            words: vec!["sh".into(), "-c".into(), line.clone()],
            shell_fallback: false,
        },
        CommandLine::Words(words) => Program {
            file: words
                .first()
                .cloned()
                .ok_or_else(|| Error::bad_value("command", "it has no words"))?,
            words: words.clone(),
            shell_fallback: true,
        },
    })
}

/// A pipe in which these bytes wait, as far as they fit.
fn pipe_with(input: &[u8]) -> Result<OwnedFd> {
    let (reader, writer) = sys::fd::pipe().doing("make a pipe")?;
    // The loop must not wait for a command that does not read.
    sys::fd::set_nonblocking(&writer).doing("make a pipe")?;
    std::fs::File::from(writer)
        .write(input)
        .best_effort("what does not fit is more than anybody was promised");
    Ok(reader)
}

fn kill(errand: &Errand) {
    // It is our child and not reaped yet, so that its pid is its own and that of its group.
    errand
        .handle
        .signal(Signal::KILL)
        .best_effort("it is our child and not reaped yet");
    pidfd::signal_group(errand.pid, Signal::KILL)
        .best_effort("no group is left where all of it has ended");
}

/// How an errand came out.
fn outcome(errand: &Errand, status: WaitStatus) -> std::result::Result<(), Failure> {
    if let Some(errno) = errand.not_executed {
        let source = std::io::Error::from_raw_os_error(errno);
        return Err(Failure::NotExecuted(source));
    }
    if errand.overdue {
        return Err(Failure::Overdue(errand.timeout));
    }
    if status.is_success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&errand.said);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    Err(Failure::Ended {
        status,
        last_line: last.map(|line| line.trim().to_owned()),
    })
}
