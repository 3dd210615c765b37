//! The guardian: holds descriptors for the supervisor, starts it, starts it again when it dies, and reaps orphans.
//!
//! It speaks the protocol by which systemd keeps descriptors (`sd_notify(3)`: `FDSTORE=1`, `FDNAME=`, `FDPOLL=0`,
//! `FDSTOREREMOVE=1`, `READY=1`, `STOPPING=1`; given back as in `sd_listen_fds(3)`), over a socket pair whose end also
//! tells each side that the other is gone. What it reaps it reports as `TSM_EXITED=PID STATUS`.
//!
//! It must not fail for want of memory: its table is made at the start and grown ahead of need.
//!
//! A supervisor that was stopped (SIGSTOP) is continued, and one that is stopped again and again is replaced. After an
//! upgrade the supervisor sends the new program (`TSM_UPGRADE=1`), and the guardian executes it in its own place.
//!
//! It may be the main process of a unit of the user's own systemd ([`unit`]), which is told when a supervisor is at work, and
//! starts another guardian where this one is killed. Elsewhere a sentinel does that ([`watched`]), the guardian's own child; where
//! the guardian is to end, it ends its sentinel first.

mod held;
mod pauses;
mod stored;
mod watched;

use std::collections::VecDeque;
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::time::Duration;

pub(super) use self::held::Held;
use self::pauses::Pauses;
use self::stored::{Stored, fixed};
use self::watched::Watched;
pub(super) use self::watched::{KILLED, KILLS};
use super::succession::fdstore::STOP_SERVICES;
use super::worklog::WorkLog;
use super::{EXIT_OTHER_SUPERVISOR, make_room, unit};
use crate::error::{BestEffort as _, Error, IoContext as _, Result};
use crate::sys::poll::{Interest, Poll, Ready};
use crate::sys::signal::SignalSource;
use crate::sys::spawn::SupervisorImage;
use crate::sys::{self, Signal, WaitStatus, clock};

/// The table's first size, and how much room is always kept ready.
const AHEAD: usize = 1024;
/// How many exits are remembered while no supervisor is there to hear of them.
const EXITS_KEPT: usize = 4096;
/// How long after an event what it needed is given back.
const TIDY_DELAY: Duration = Duration::from_millis(500);
/// A supervisor that is stopped so often …
const STOPS_BORNE: u32 = 5;
/// … within this time is replaced.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

const SIGNALS: u64 = 1;
const CHANNEL: u64 = 2;

struct Guardian {
    image: SupervisorImage,
    log: WorkLog,
    poll: Poll,
    signals: SignalSource,
    fds: Vec<Stored>,
    exits: VecDeque<(u32, WaitStatus)>,
    supervisor: Option<u32>,
    channel: Option<OwnedFd>,
    started: Duration,
    pauses: Pauses,
    /// A supervisor was once at work.
    was_ready: bool,
    restart_at: Option<Duration>,
    ending: bool,
    /// How often the supervisor was stopped since then.
    stops: (u32, Duration),
    /// The environment that the next program in this place gets.
    environment: Vec<(OsString, OsString)>,
    /// Where the unit is in which this is the main process.
    systemd: Option<OwnedFd>,
    watched: Watched,
}

/// Runs the guardian: this process must have been made for it, in a session of its own, with the reading end of a
/// starting command on standard output and the log on standard error. It executes `program` with `arguments` (its own
/// name first) as the supervisor. Returns when the supervisor ended for good.
///
/// Where guardian and supervisor are both killed, `program` is executed with the words of `sentinel`, which is to call
/// [`heal`](super::heal); without them nobody brings both back but the next command.
///
/// # Errors
/// [`Error::System`] where the machine does not give what it needs at its start.
pub fn guard(
    program: &Path,
    arguments: &[OsString],
    sentinel: Option<&[OsString]>,
    environment: Vec<(OsString, OsString)>,
) -> Result<u8> {
    // systemd executes this once more after the main process has ended (`ExecStopPost=`).
    if unit::is_after_the_end(&environment) {
        return make_room()
            .doing("make room in the cgroup for the next guardian")
            .map(|()| 0);
    }
    let held = Held::take(|name| {
        let found = environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    })?;
    let mut log = WorkLog::open();
    if held.is_none() && !unit::is_as_the_command(&environment, &mut log) {
        return Ok(EXIT_OTHER_SUPERVISOR);
    }
    sys::signal::reset_dispositions(held.is_some());
    sys::set_umask(0o077);
    sys::set_process_name(c"tsm-guardian");
    // Before the first fork: orphans, and the services of a supervisor that dies, are to become
    // children of this process.
    sys::become_subreaper().doing("become the reaper of orphans")?;
    // More descriptors than most limits allow by default may have to be held.
    sys::limits::raise_open_files().best_effort("it holds as many as its limit allows");

    let words = arguments
        .iter()
        .map(|word| c_string(word.clone().into_vec()))
        .collect::<Result<Vec<_>>>()?;
    let variables = variables_of_supervisor(&environment)?;
    let signals = SignalSource::open(&[Signal::CHLD, Signal::TERM, Signal::INT, Signal::HUP])
        .doing("take signals")?;
    let poll = Poll::new(16).doing("make an epoll")?;
    poll.add(&signals, SIGNALS, Interest::Read)
        .doing("watch signals")?;
    let program = c_string(program.as_os_str().to_owned().into_vec())?;
    // systemd starts another main process by itself, so that none has to watch it; unless systemd
    // could not, and a supervisor has become its own guardian.
    let is_main = unit::of_environment(&environment).is_some();
    let is_watched = match &held {
        Some(held) => held.is_to_be_watched(is_main),
        None => !is_main,
    };
    let watched = Watched::new(
        program.clone(),
        sentinel.filter(|_| is_watched),
        &environment,
        &variables,
    )?;
    let mut guardian = Guardian {
        image: SupervisorImage::new(program, words, variables),
        log,
        poll,
        signals,
        // In full at the start: the guardian must not fail for want of memory later.
        fds: Vec::with_capacity(AHEAD),
        exits: VecDeque::with_capacity(EXITS_KEPT),
        supervisor: None,
        channel: None,
        started: clock::monotonic(),
        pauses: Pauses::new(),
        was_ready: false,
        restart_at: None,
        ending: false,
        stops: (0, Duration::ZERO),
        systemd: unit::way_to_systemd(&environment),
        environment,
        watched,
    };
    if let Some(held) = held {
        guardian.go_on_with(held)?;
        // A guardian that goes on has its sentinel before it starts a supervisor. The old
        // guardian's sentinel ends when it finds both at work.
        guardian.have_sentinel();
    }
    if guardian.supervisor.is_none() {
        guardian.start_supervisor();
    }
    // The first supervisor holds the starting command's pipe now; later ones have nobody to answer.
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        sys::fd::replace_stdio(1, null.as_fd())
            .best_effort("the pipe stays open then, and its reader has the word it waits for");
    }
    sys::release_code();
    // For a child that ended before the signals were taken no SIGCHLD comes any more.
    let ended = guardian.reap(&mut vec![0; 4096]);
    let status = ended.map_or_else(|| guardian.serve(), Ok)?;
    guardian.watched.end();
    Ok(status)
}

/// The variables that a supervisor gets: not those by which this guardian was told what is its alone.
fn variables_of_supervisor(environment: &[(OsString, OsString)]) -> Result<Vec<CString>> {
    const OWN: [&str; 6] = [
        "LISTEN_",
        "TSM_STORE_FD",
        "TSM_STATE_FD",
        "NOTIFY_SOCKET",
        KILLED,
        KILLS,
    ];
    environment
        .iter()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            !OWN.iter().any(|own| name.starts_with(own))
        })
        .map(|(name, value)| c_string([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect()
}

/// A word of a command line or an environment, as the kernel takes it.
fn c_string(bytes: Vec<u8>) -> Result<CString> {
    CString::new(bytes)
        .map_err(|_nul| Error::bad_value("supervisor", "a NUL byte in its command line"))
}

impl Guardian {
    fn serve(&mut self) -> Result<u8> {
        let mut ready: Vec<Ready> = Vec::with_capacity(16);
        let mut buffer = vec![0; 4096];
        let mut tidy_at = None;
        loop {
            let deadlines = [self.restart_at, tidy_at, self.watched.deadline()];
            let pause = deadlines.into_iter().flatten().min();
            let pause = pause.map(|at| at.saturating_sub(clock::monotonic()));
            self.poll.wait(pause, &mut ready).doing("wait for events")?;
            if !ready.is_empty() {
                // A burst of events is over soon; the memory that it took is given back once, and
                // not after each event.
                tidy_at.get_or_insert_with(|| clock::monotonic() + TIDY_DELAY);
            } else if tidy_at.is_some_and(|at| at <= clock::monotonic()) {
                tidy_at = None;
                sys::release_code();
            }
            for event in &ready {
                match event.token {
                    CHANNEL => self.hear(&mut buffer),
                    _ => {
                        while let Some((signal, sender)) =
                            self.signals.next_with_sender().doing("read a signal")?
                        {
                            if let Some(status) = self.on_signal(signal, sender, &mut buffer) {
                                return Ok(status);
                            }
                        }
                    }
                }
            }
            if self.restart_at.is_some_and(|at| at <= clock::monotonic()) {
                self.restart_at = None;
                self.start_supervisor();
            }
            self.make_sentinel_if_due();
        }
    }

    /// Returns the guardian's own exit status when it is to end.
    fn on_signal(&mut self, signal: Signal, sender: u32, buffer: &mut [u8]) -> Option<u8> {
        if signal != Signal::CHLD {
            // Everybody is told to end: the supervisor hears it too, and there will be no next one.
            self.ending = true;
            // First, or the sentinel would bring back what is ending.
            self.watched.end();
            let Some(supervisor) = self.supervisor else {
                return Some(0);
            };
            // SIGTERM from systemd stops the unit, and what is in it; from anybody else it leaves
            // the services up.
            if self.systemd.is_some() && sender == sys::parent() && self.stop_services() {
                return None;
            }
            if let Ok(handle) = sys::Pidfd::open_child(supervisor) {
                // A supervisor takes SIGHUP for a reload, but this is the end.
                handle
                    .signal(if signal == Signal::HUP {
                        Signal::TERM
                    } else {
                        signal
                    })
                    .best_effort("one that has ended is followed by its exit");
            }
            return None;
        }
        self.continue_supervisor();
        self.continue_sentinel();
        self.reap(buffer)
    }

    /// systemd stops the unit, or all units because the machine goes down: what is in a unit ends with it, each service in its order
    /// and time.
    fn stop_services(&self) -> bool {
        let channel = self.channel.as_ref();
        channel.is_some_and(|channel| sys::socket::send(channel, STOP_SERVICES, &[]).is_ok())
    }

    /// A supervisor that was stopped goes on; one that is stopped again and again makes room for another.
    fn continue_supervisor(&mut self) {
        let Some(supervisor) = self
            .supervisor
            .filter(|supervisor| sys::pidfd::was_stopped(*supervisor))
        else {
            return;
        };
        let now = clock::monotonic();
        let (times, since) = self.stops;
        self.stops = if times == 0 || now.saturating_sub(since) > STOPS_WITHIN {
            // Counted anew where the last stops were long ago.
            (1, now)
        } else {
            (times + 1, since)
        };
        let Ok(handle) = sys::Pidfd::open_child(supervisor) else {
            return;
        };
        let signal = if self.stops.0 > STOPS_BORNE {
            self.stops.0 = 0;
            self.log.say(format_args!(
                "the supervisor {supervisor} is stopped again and again; it is replaced"
            ));
            Signal::KILL
        } else {
            self.log.say(format_args!(
                "the supervisor {supervisor} was stopped by a signal; it is continued"
            ));
            Signal::CONT
        };
        if let Err(error) = handle.signal(signal) {
            self.log.say(format_args!(
                "cannot send {signal} to the supervisor {supervisor}: {error}"
            ));
        }
    }

    /// Takes note of all children that have ended. Returns the guardian's own exit status when it is to end.
    fn reap(&mut self, buffer: &mut [u8]) -> Option<u8> {
        while let Some(pid) = sys::pidfd::any_ended_child() {
            // Before the number is free for another process.
            let was_sentinel = self.was_sentinel(pid);
            let Some(status) = sys::pidfd::reap_child(pid) else {
                break;
            };
            if self.supervisor != Some(pid) {
                if !was_sentinel {
                    self.report_exit(pid, status);
                }
                continue;
            }
            self.supervisor = None;
            // What it said last still counts.
            self.hear(buffer);
            self.close_channel();
            match status {
                // It ended as it was told to.
                WaitStatus::Code(0) => return Some(0),
                WaitStatus::Code(code) if code == i32::from(EXIT_OTHER_SUPERVISOR) => {
                    return Some(EXIT_OTHER_SUPERVISOR);
                }
                _ if self.ending => return Some(0),
                // The command that wants the very first supervisor has been told what keeps it from
                // starting.
                WaitStatus::Code(code) if !self.was_ready => return Some(code as u8),
                _ => self.plan_restart(status),
            }
        }
        None
    }

    fn plan_restart(&mut self, status: WaitStatus) {
        let now = clock::monotonic();
        let pause = self.pauses.after(now.saturating_sub(self.started));
        self.log.say(format_args!(
            "the supervisor ended ({}); its services go on, and a new one starts in {} ms",
            status.in_words(),
            pause.as_millis()
        ));
        self.restart_at = Some(now + pause);
    }

    fn start_supervisor(&mut self) {
        let raw: Vec<RawFd> = self
            .fds
            .iter()
            .map(|stored| stored.fd.as_raw_fd())
            .collect();
        let names = self
            .fds
            .iter()
            .map(Stored::name)
            .collect::<Vec<_>>()
            .join(&b':');
        // A new pair for each supervisor, so that the end of one is never taken for that of the
        // next.
        let started = sys::socket::message_pair().and_then(|(own, its)| {
            let pid = self.image.fork(&raw, &names, its.as_fd())?;
            self.poll.add(&own, CHANNEL, Interest::Read)?;
            Ok((pid, own))
        });
        match started {
            Ok((pid, channel)) => {
                self.supervisor = Some(pid);
                self.channel = Some(channel);
                self.started = clock::monotonic();
            }
            Err(error) => {
                self.log.say(format_args!(
                    "cannot start a supervisor: {error}; trying again in 1 s"
                ));
                self.restart_at = Some(clock::monotonic() + Duration::from_secs(1));
            }
        }
    }

    fn close_channel(&mut self) {
        if let Some(channel) = self.channel.take() {
            // Closing it ends the watch; an error here would only say that it had ended already.
            self.poll.unwatch(&channel);
        }
    }

    /// Takes all messages that wait.
    fn hear(&mut self, buffer: &mut [u8]) {
        let mut received: Vec<OwnedFd> = Vec::with_capacity(sys::socket::MAX_FDS);
        while let Some(channel) = &self.channel {
            received.clear();
            match sys::socket::receive(channel, buffer, &mut received) {
                Ok(0) => {
                    self.close_channel();
                    return;
                }
                Ok(length) => self.obey(&buffer[..length], &mut received),
                Err(_) => return,
            }
        }
    }

    fn obey(&mut self, message: &[u8], received: &mut Vec<OwnedFd>) {
        let field = |name: &[u8]| {
            message
                .split(|&b| b == b'\n')
                .find_map(|line| line.strip_prefix(name))
                .and_then(|v| std::str::from_utf8(v).ok())
        };
        let name = field(b"FDNAME=").unwrap_or("stored");
        if field(b"FDSTOREREMOVE=").is_some() {
            let name = fixed(name);
            // A name may have been stored more than once.
            while let Some(at) = self.fds.iter().position(|stored| stored.name == name) {
                self.fds.swap_remove(at);
            }
        } else if field(b"FDSTORE=").is_some() {
            // Grown long before it is full: when memory is short, there may be none to grow by.
            if self.fds.capacity() - self.fds.len() < AHEAD / 2 {
                self.fds.try_reserve(self.fds.len() + AHEAD).best_effort(
                    "where there is no memory for growth now, there still is room for a while",
                );
            }
            let name = fixed(name);
            self.fds
                .extend(received.drain(..).map(|fd| Stored { name, fd }));
        } else if field(b"TSM_UPGRADE=").is_some() {
            if let Some(program) = received.pop() {
                self.upgrade(&program);
            }
        } else if field(b"STOPPING=").is_some() {
            // It ends for good, even if it is killed before it is done.
            self.ending = true;
            self.watched.end();
        } else if field(b"READY=").is_some() {
            self.was_ready = true;
            if let Some(systemd) = &self.systemd {
                sys::socket::send(systemd, b"READY=1", &[])
                    .best_effort("one that does not hear it waits on, and says so itself");
            }
            self.flush_exits();
            self.have_sentinel();
            self.watched.untold();
            self.tell_of_sentinel();
        }
    }

    fn report_exit(&mut self, pid: u32, status: WaitStatus) {
        if self.exits.len() == EXITS_KEPT {
            self.exits.pop_front();
        }
        self.exits.push_back((pid, status));
        self.flush_exits();
    }

    fn flush_exits(&mut self) {
        let Some(channel) = &self.channel else { return };
        // What cannot be sent now stays, for this supervisor or the next one.
        while let Some((pid, status)) = self.exits.front() {
            if sys::socket::send(
                channel,
                format!("TSM_EXITED={pid} {status}").as_bytes(),
                &[],
            )
            .is_err()
            {
                return;
            }
            self.exits.pop_front();
        }
        self.tell_of_sentinel();
    }
}
