//! One process as the supervisor holds it: its record, its state machine, and its descriptors. There may be thousands, so what only some
//! have is boxed; it does nothing by itself, and knows neither the others nor the supervisor.

use std::os::fd::OwnedFd;
use std::time::Duration;

use super::care::Care;
use super::care::sampling::Watched;
use super::launching::following::Followed;
use super::logs::cutting::LastLine;
use super::logs::dropping::Tally;
use super::logs::rules::OwnLogs;
use super::machine::{Backoff, Desired, HookSet, Machine, Next, Phase, Policy, Rest};
use crate::env::quote;
use crate::logs::Stream;
use crate::meta::{Kind, Meta, State};
use crate::name::ProcessName;
use crate::probe::CpuSample;
use crate::spec::{DEFAULT_NAMESPACE, Dependency, ProcessSpec};
use crate::sys::spawn::LaunchReport;
use crate::sys::{Identity, Pidfd, Signal, WaitStatus};
use crate::text::Text;

/// The main process of a run.
pub(super) struct Leader {
    pub(super) identity: Identity,
    pub(super) handle: Pidfd,
    /// Whether it is a child of this supervisor; an adopted one is reaped by somebody else.
    pub(super) child: bool,
    /// How it ended. A child stays a zombie until its run is over, so that its pid, group and session are nobody else's.
    pub(super) ended: Option<WaitStatus>,
    /// When it ended, in clock ticks since boot.
    pub(super) ended_ticks: u64,
}

impl Leader {
    /// Whether its pid, and with it the numbers of its group and session, cannot have been given to others.
    pub(super) fn is_pinned(&self) -> bool {
        self.ended.is_none() || self.child
    }
}

/// The supervisor's end of one log pipe.
#[derive(Default)]
pub(super) struct LogEnd {
    pub(super) reader: Option<OwnedFd>,
    /// The run that writes into it.
    pub(super) run: u64,
    /// Whether its pipe is a wide one, once that was tried.
    pub(super) wide: Option<bool>,
    /// It is looked at by the clock, and not watched.
    pub(super) paced: bool,
    /// How many looks in a row have found too little.
    pub(super) vain_looks: u8,
    /// When the time index got its last note, Unix milliseconds.
    pub(super) noted_ms: u64,
    /// The disk had no room; the bytes wait in the pipe.
    pub(super) blocked: bool,
    /// That it is blocked is on record, and that it is not any more is not yet.
    pub(super) is_block_noted: bool,
    /// Blocked, and not watched until it is tried again.
    pub(super) paused: bool,
    /// It is to be rotated at the end of the line that is in it.
    pub(super) rotate: bool,
    /// Where its last line begins, as far as that was looked for.
    pub(super) last_line: Option<Box<LastLine>>,
    /// One of its segments is being compressed.
    pub(super) packing: bool,
    /// When its segments are compressed at the latest.
    pub(super) pack_by: Option<Duration>,
    /// That it cannot be rotated was told.
    pub(super) unrotatable: bool,
    /// What the disk had no room for was dropped up to the midst of a line.
    pub(super) in_dropped_line: bool,
    /// What was dropped since that was last noted.
    pub(super) dropped: Option<Box<Dropped>>,
    /// The same, where the next supervisor finds it.
    pub(super) tally: Option<Tally>,
}

/// What the disk had no room for.
#[derive(Clone, Copy, Default)]
pub(super) struct Dropped {
    pub(super) bytes: u64,
    pub(super) lines: u64,
}

/// A process of a run that is being ended, other than its leader.
pub(super) struct Member {
    pub(super) identity: Identity,
    pub(super) handle: Pidfd,
    pub(super) in_group: bool,
    pub(super) asked: bool,
    pub(super) ended: bool,
}

/// What is known of a run while it is being ended.
#[derive(Default)]
pub(super) struct Leftovers {
    /// Who belonged to the run when it was last looked at.
    pub(super) known: Vec<Identity>,
    /// Who is left.
    pub(super) left: Vec<Member>,
}

pub(super) struct Service {
    pub(super) name: ProcessName,
    pub(super) meta: Meta,
    pub(super) machine: Machine,
    pub(super) stop_signal: Signal,
    /// What it needs of others before it is launched.
    pub(super) needs: Box<[Dependency]>,
    /// A task, which is done when it ended with 0.
    pub(super) task: bool,
    pub(super) leader: Option<Leader>,
    pub(super) out: LogEnd,
    pub(super) err: LogEnd,
    /// Where the child of a launch reports that it could not execute.
    pub(super) report: Option<LaunchReport>,
    pub(super) leftovers: Option<Box<Leftovers>>,
    /// The deadline that stands in the supervisor's list.
    pub(super) armed: Option<Duration>,
    /// Its record is removed if its very first launch fails.
    pub(super) fresh: bool,
    pub(super) keep_logs: bool,
    /// Its last run was begun by this supervisor, so that what it left behind became a child of this guardian.
    pub(super) begun_here: bool,
    /// It was found waiting or executed, which of the two is not known: see `NEVER_EXECUTED`.
    pub(super) provisional: bool,
    /// Its record on disk is older than what is known here.
    pub(super) dirty: bool,
    /// The CPU time that a reader last measured.
    pub(super) sample: Option<CpuSample>,
    /// Why the last launch failed.
    pub(super) launch_error: Option<Box<str>>,
    /// What it is held to by being looked at.
    pub(super) watched: Option<Box<Watched>>,
    /// How its main process is found, where it puts itself into the background.
    pub(super) followed: Option<Box<Followed>>,
    /// Which limit its run exceeded, for which it is being ended.
    pub(super) over_limit: Option<Box<str>>,
    /// How its logs are kept, where not as the home's.
    pub(super) logs: Option<Box<OwnLogs>>,
    /// What is asked for besides running.
    pub(super) care: Option<Box<Care>>,
}

impl Service {
    /// Whether it is a task that has done its work.
    pub(super) fn is_done(&self) -> bool {
        self.task && self.machine.phase == Phase::Resting(Rest::Exited)
    }

    /// Puts on record that its main process ended, at this tick or later: whoever reads it must not take another process,
    /// which may get this number, for the service. By what is kept, what it leaves in its session is found even without
    /// its handle, also by a successor.
    pub(super) fn put_end_on_record(&mut self, main: Identity, ended_ticks: u64) {
        self.meta.pid = None;
        self.meta.ticks = None;
        self.meta.last_pid = Some(main.pid);
        self.meta.last_ticks = Some(main.start);
        self.meta.last_end = Some(ended_ticks);
        self.dirty = true;
    }

    pub(super) fn new(
        name: ProcessName,
        meta: Meta,
        machine: Machine,
        stop_signal: Signal,
    ) -> Self {
        Self {
            name,
            meta,
            machine,
            stop_signal,
            needs: Box::default(),
            task: false,
            leader: None,
            out: LogEnd::default(),
            err: LogEnd::default(),
            report: None,
            leftovers: None,
            armed: None,
            fresh: false,
            keep_logs: false,
            begun_here: false,
            provisional: false,
            dirty: true,
            sample: None,
            launch_error: None,
            watched: None,
            over_limit: None,
            followed: None,
            logs: None,
            care: None,
        }
    }

    pub(super) fn run(&self) -> u64 {
        self.meta.run.unwrap_or(0)
    }

    pub(super) fn namespace(&self) -> &str {
        self.meta.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
    }

    pub(super) fn log_end(&mut self, stream: Stream) -> &mut LogEnd {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    /// What it is doing, for messages.
    pub(super) fn state_in_words(&self) -> String {
        let state = self.meta.state.as_ref();
        state.map_or_else(String::new, ToString::to_string)
    }

    /// The number of the process group of the run, or of the last one.
    pub(super) fn group(&self) -> Option<u32> {
        let leader = self.leader.as_ref().map(|leader| leader.identity.pid);
        leader.or(self.meta.last_pid)
    }

    /// The pid, while the main process runs.
    pub(super) fn live_pid(&self) -> Option<u32> {
        self.leader
            .as_ref()
            .filter(|leader| leader.ended.is_none())
            .map(|leader| leader.identity.pid)
    }

    /// Takes over what the spec says.
    pub(super) fn apply_spec(&mut self, spec: &ProcessSpec) {
        self.machine.policy = policy_of(spec);
        self.stop_signal = spec.stop_signal;
        self.logs = OwnLogs::of(&spec.logs);
        self.needs = spec.depends_on.clone().into();
        self.task = spec.task;
        Care::apply(&mut self.care, spec);
        describe(&mut self.meta, spec);
    }

    /// Brings the record in line with the state machine. Returns whether anything changed.
    pub(super) fn sync_meta(&mut self, now: Duration, unix_ms: u64) -> bool {
        let by_the_clock = self.machine.phase == Phase::Resting(Rest::Stopped)
            && self.machine.desired == Desired::Up
            && self.care.as_deref().is_some_and(Care::is_scheduled_task);
        let state = match state_of(&self.machine) {
            State::Exited if self.task => State::Done,
            State::Stopped if by_the_clock => State::Waiting,
            state => state,
        };
        let desired = desired_word(self.machine.desired);
        let until = match self.machine.phase {
            Phase::Waiting { until, slow } => Some((until, slow)),
            Phase::Ending {
                next: Next::Wait { until, slow },
                ..
            } => Some((until, slow)),
            _ => None,
        };
        let next_ms =
            until.map(|(until, _)| unix_ms + until.saturating_sub(now).as_millis() as u64);
        let slow = until.and_then(|(_, slow)| slow.then_some(true));
        let restarts = (self.machine.restarts > 0).then_some(self.machine.restarts);
        let failures = (self.machine.failures > 0).then_some(self.machine.failures);
        let meta = &mut self.meta;
        // Of the next start only whether there is one counts: its time is computed from the clock
        // and differs a little at every call.
        let same = meta.state.as_ref() == Some(&state)
            && meta.desired.as_deref() == Some(desired)
            && meta.slow == slow
            && meta.restarts == restarts
            && meta.failures == failures
            && meta.next_ms.is_some() == next_ms.is_some();
        if same {
            return false;
        }
        meta.state = Some(state);
        meta.desired = Some(desired.to_owned());
        meta.next_ms = next_ms;
        meta.slow = slow;
        meta.restarts = restarts;
        meta.failures = failures;
        true
    }
}

/// The rules of a spec.
pub(super) fn policy_of(spec: &ProcessSpec) -> Policy {
    Policy {
        restart: spec.restart,
        max_restarts: spec.max_restarts,
        stop_timeout: Duration::from_millis(spec.stop_timeout_ms),
        backoff: Backoff::new(spec.backoff.as_deref()),
        hooks: HookSet {
            pre_stop: spec
                .hooks
                .as_ref()
                .is_some_and(|hooks| hooks.pre_stop.is_some()),
            post_stop: spec
                .hooks
                .as_ref()
                .is_some_and(|hooks| hooks.post_stop.is_some()),
        },
    }
}

/// Copies into the record what readers want of the spec.
pub(crate) fn describe(meta: &mut Meta, spec: &ProcessSpec) {
    meta.script = spec.script.as_bytes().to_vec();
    meta.cwd = spec.cwd.as_bytes().to_vec();
    meta.port = spec.port;
    if spec.daemon.is_some() {
        meta.kind = Kind::Daemon;
    }
    meta.namespace = (spec.namespace != DEFAULT_NAMESPACE).then(|| spec.namespace.clone());
    if spec.config.is_some() {
        meta.kind = Kind::Service;
    }
    meta.args = (!spec.args.is_empty()).then(|| quoted_args(spec));
    (meta.out_file, meta.err_file) = super::logs::rules::files_of(&spec.logs);
}

pub(super) fn quoted_args(spec: &ProcessSpec) -> Vec<u8> {
    quote::quote_words(spec.args.iter().map(Text::as_bytes))
}

/// The state that a record says and `list` shows.
fn state_of(machine: &Machine) -> State {
    match machine.phase {
        Phase::Resting(Rest::Stopped) | Phase::Removed => State::Stopped,
        Phase::Resting(Rest::Exited) => State::Exited,
        Phase::Resting(Rest::Failed) => State::Failed,
        Phase::Launching { .. } => State::Starting,
        Phase::Running { .. } => State::Running,
        Phase::Held { .. } => State::Waiting,
        Phase::Lingering { .. } => State::Stopping,
        // While leftovers are being ended, the wait for the next start has begun already.
        Phase::Waiting { .. }
        | Phase::Ending {
            next: Next::Wait { .. },
            leader: false,
            ..
        } => State::Backoff,
        Phase::Ending {
            next: Next::Launch { .. },
            leader: false,
            ..
        } => State::Starting,
        // It ended by itself, and what is still to be done does not change that.
        Phase::Ending {
            next: Next::Rest(Rest::Exited),
            leader: false,
            ..
        } => State::Exited,
        Phase::Ending {
            next: Next::Rest(Rest::Failed),
            leader: false,
            ..
        } => State::Failed,
        Phase::Ending { .. } => State::Stopping,
    }
}

fn desired_word(desired: Desired) -> &'static str {
    match desired {
        Desired::Up => "up",
        Desired::Down => "down",
        Desired::Gone => "gone",
    }
}
