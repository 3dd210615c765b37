//! What readiness is told by, while a run is not ready yet.
//!
//! Most of it comes by itself: a line that the log mover sees, a message on the notification socket, a newline in a pipe.
//! The kernel tells nobody without privileges that a port is listened on, and a server does not call back: those two are
//! asked for again and again, by a thread that exists only meanwhile, at intervals that grow to a quarter of a second.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::care::Timer;
use super::errands::{Order, Purpose};
use super::machine::Report;
use super::supervisor::{Kind, Supervisor, token};
use super::vitals::{Readiness, VitalEvent};
use crate::error::Result;
use crate::logs::Stream;
use crate::logs::index::{Index, index_path};
use crate::probe::{ListenerOf, ask_http};
use crate::spec::{HttpCheck, ReadyCheck, compile};
use crate::sys::poll::Interest;
use crate::sys::{clock, fd};

/// The first pause between two looks …
const FIRST_PAUSE: Duration = Duration::from_millis(4);
/// … and the longest.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The pauses between two tries of a command, which costs more than a look.
const FIRST_TRY_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_TRY_PAUSE: Duration = Duration::from_secs(1);
/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);
/// Of a line that does not end, so much is looked at.
const LONGEST_LINE: usize = 64 << 10;
/// How much of a log is looked at, at most, for what a run printed before this supervisor began.
const LOOK_BACK: u64 = 1 << 20;

/// How readiness is looked for.
pub(super) enum Awaiting {
    /// By a thread.
    Search(Searching),
    /// In what it prints.
    Log(Box<LogScan>),
    /// By a command.
    Command {
        /// Until the next try.
        pause: Duration,
    },
    /// On the notification socket.
    Notify,
    /// At the other end of a descriptor that it was given.
    Pipe {
        /// Our end.
        pipe: OwnedFd,
        /// The run that has the other one.
        run: u64,
    },
}

/// What a thread and the loop share.
#[derive(Default)]
struct Search {
    over: Mutex<bool>,
    changed: Condvar,
    trouble: Mutex<Option<String>>,
}

/// A thread that searches ends when this does.
pub(super) struct Searching(Arc<Search>);

impl Drop for Searching {
    fn drop(&mut self) {
        *locked(&self.0.over) = true;
        self.0.changed.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Search {
    /// Looks until it is found or nobody wants it any more; tells which.
    fn run(&self, mut look: impl FnMut() -> std::result::Result<(), String>) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            match look() {
                Ok(()) => return true,
                Err(reason) => *locked(&self.trouble) = Some(reason),
            }
            let until = Instant::now() + pause;
            let mut over = locked(&self.over);
            loop {
                if *over {
                    return false;
                }
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                let waited = self.changed.wait_timeout(over, left);
                over = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }
}

/// Looks through what a run prints.
pub(super) struct LogScan {
    pattern: regex::bytes::Regex,
    files: [Option<File>; 2],
    lines: [Vec<u8>; 2],
}

impl LogScan {
    fn new(pattern: &str) -> Result<Self> {
        Ok(Self {
            pattern: compile(pattern)?,
            files: [None, None],
            lines: [Vec::new(), Vec::new()],
        })
    }

    /// Begins at the end of a log, or, for a run that another supervisor began, with what it has printed since.
    fn begin(&mut self, stream: Stream, log: &Path, since_ms: Option<u64>) -> bool {
        let at = usize::from(stream == Stream::Err);
        let Ok(mut file) = File::open(log) else {
            return false;
        };
        let length = file.metadata().map_or(0, |meta| meta.len());
        let Some(since_ms) = since_ms else {
            let _ = file.seek(SeekFrom::Start(length));
            self.files[at] = Some(file);
            return false;
        };
        let from = length.saturating_sub(LOOK_BACK);
        let mut bytes = Vec::new();
        let read = file
            .seek(SeekFrom::Start(from))
            .and_then(|_| (&mut file).take(LOOK_BACK).read_to_end(&mut bytes));
        self.files[at] = Some(file);
        if read.is_err() {
            return false;
        }
        let index = Index::load(&index_path(log));
        let mut offset = from;
        let mut found = false;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let recent = index.time_of(offset).is_none_or(|ms| ms >= since_ms);
            if recent && line.ends_with(b"\n") {
                found |= self.pattern.is_match(line.trim_ascii_end());
            } else if recent {
                self.lines[at] = line.to_vec();
            }
            offset += line.len() as u64;
        }
        found
    }

    /// Looks at what has come since; tells whether a line matches.
    fn look(&mut self, stream: Stream, log: &Path) -> bool {
        let at = usize::from(stream == Stream::Err);
        // A log that was rotated begins anew.
        let same = |file: &File| match (file.metadata(), std::fs::metadata(log)) {
            (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
            _ => false,
        };
        let mut found = self.read(at);
        if !self.files[at].as_ref().is_some_and(same) {
            self.files[at] = File::open(log).ok();
            found |= self.read(at);
        }
        found
    }

    fn read(&mut self, at: usize) -> bool {
        let mut bytes = [0; 16 << 10];
        loop {
            let Some(file) = &mut self.files[at] else {
                return false;
            };
            let length = match file.read(&mut bytes) {
                Ok(0) | Err(_) => return false,
                Ok(length) => length,
            };
            for piece in bytes[..length].split_inclusive(|&byte| byte == b'\n') {
                let line = &mut self.lines[at];
                if line.len() < LONGEST_LINE {
                    line.extend_from_slice(piece);
                }
                if piece.ends_with(b"\n") {
                    let found = self.pattern.is_match(line.trim_ascii_end());
                    line.clear();
                    if found {
                        return true;
                    }
                }
            }
        }
    }
}

impl Supervisor {
    /// Begins to look for what readiness of a run is told by.
    pub(super) fn await_ready(&mut self, id: u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let port = service.meta.port;
        let Some(care) = service.care.as_deref_mut() else {
            return;
        };
        // The end of a pipe was there before the run.
        if care.awaiting.is_some() || !matches!(care.vitals.readiness, Readiness::Pending { .. }) {
            return;
        }
        let Some(ready) = care.ready.clone() else {
            return;
        };
        match ready.check {
            ReadyCheck::Port(number) => match number.or(port) {
                Some(port) => self.await_port(id, port),
                // Nothing is declared that could be waited for.
                None => self.vital(id, VitalEvent::Ready),
            },
            ReadyCheck::Http(check) => self.await_http(id, check),
            ReadyCheck::Log(pattern) => self.await_log(id, &pattern, None),
            ReadyCheck::Command(_) => {
                care.awaiting = Some(Awaiting::Command {
                    pause: FIRST_TRY_PAUSE,
                });
                self.try_ready(id);
            }
            ReadyCheck::Notify => care.awaiting = Some(Awaiting::Notify),
            // Without its pipe, which a crash of supervisor and keeper took, nothing comes any more.
            ReadyCheck::Fd(_) => {}
        }
    }

    /// What is looked for in the log was asked for when the run began; `since_ms` where it began under another supervisor.
    pub(super) fn await_log(&mut self, id: u32, pattern: &str, since_ms: Option<u64>) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let mut scan = match LogScan::new(pattern) {
            Ok(scan) => scan,
            Err(error) => return self.log.say(error),
        };
        let home = self.writer.home();
        let out = scan.begin(Stream::Out, &home.out_log(&service.name), since_ms);
        let err = scan.begin(Stream::Err, &home.err_log(&service.name), since_ms);
        if let Some(care) = service.care.as_deref_mut() {
            care.awaiting = Some(Awaiting::Log(Box::new(scan)));
        }
        if out || err {
            self.vital(id, VitalEvent::Ready);
        }
    }

    /// Something was added to a log.
    pub(super) fn look_at_log(&mut self, id: u32, stream: Stream) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let Some(Awaiting::Log(scan)) = service.care.as_mut().and_then(|c| c.awaiting.as_mut())
        else {
            return;
        };
        let home = self.writer.home();
        let log = match stream {
            Stream::Out => home.out_log(&service.name),
            Stream::Err => home.err_log(&service.name),
        };
        if scan.look(stream, &log) {
            self.vital(id, VitalEvent::Ready);
        }
    }

    /// Waits until somebody of a run listens on a port.
    pub(super) fn await_port(&mut self, id: u32, port: u16) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let Some(leader) = service.leader.as_ref().map(|leader| leader.identity) else {
            return;
        };
        let cookie = self.cookies.prefix(id);
        let listener = ListenerOf {
            leader,
            cookie,
            port,
        };
        self.search(id, move || listener.look());
    }

    fn await_http(&mut self, id: u32, check: HttpCheck) {
        self.search(id, move || ask_http(&check, TRY_TIMEOUT));
    }

    fn search(
        &mut self,
        id: u32,
        look: impl FnMut() -> std::result::Result<(), String> + Send + 'static,
    ) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let run = service.run();
        let search = Arc::<Search>::default();
        if let Some(care) = service.care.as_deref_mut() {
            care.awaiting = Some(Awaiting::Search(Searching(Arc::clone(&search))));
        }
        let begun = self.helper.apart(
            move || search.run(look),
            move |supervisor, found| {
                if found {
                    supervisor.found(id, run);
                }
            },
        );
        if let Err(error) = begun {
            self.log.say(format_args!(
                "cannot look whether a process is ready: {error}"
            ));
        }
    }

    /// A thread has found what it was looking for.
    fn found(&mut self, id: u32, run: u64) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let same_run = service.run() == run;
        let Some(care) = service.care.as_deref_mut() else {
            return;
        };
        if !same_run || care.awaiting.is_none() {
            return;
        }
        if care.ready.is_some() {
            return self.vital(id, VitalEvent::Ready);
        }
        care.awaiting = None;
        care.port_seen = true;
        self.report(id, Report::Ready);
    }

    /// Tries whether a process is ready, by its command.
    pub(super) fn try_ready(&mut self, id: u32) {
        let care = self.services.get(&id).and_then(|s| s.care.as_deref());
        let Some(Awaiting::Command { .. }) = care.and_then(|care| care.awaiting.as_ref()) else {
            return;
        };
        let ready = care.and_then(|care| care.ready.as_deref());
        let Some(ReadyCheck::Command(command)) = ready.map(|ready| ready.check.clone()) else {
            return;
        };
        let begun = self.begin_errand(
            id,
            Order {
                purpose: Purpose::Ready,
                command: &command,
                timeout: TRY_TIMEOUT,
                variables: Vec::new(),
                input: None,
            },
        );
        if let Err(error) = begun {
            self.log.say(error);
            self.try_again(id);
        }
    }

    fn try_again(&mut self, id: u32) {
        let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
        if let Some(Awaiting::Command { pause }) = care.and_then(|care| care.awaiting.as_mut()) {
            let at = clock::monotonic() + *pause;
            *pause = (*pause * 3 / 2).min(LONGEST_TRY_PAUSE);
            self.timers.insert((at, Timer::Try(id)));
        }
    }

    /// A try has come out.
    pub(super) fn ready_tried(
        &mut self,
        id: u32,
        run: u64,
        outcome: std::result::Result<(), String>,
    ) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        if service.run() != run {
            return;
        }
        match (outcome, service.care.as_mut()) {
            (Ok(()), _) => self.vital(id, VitalEvent::Ready),
            (Err(reason), Some(care)) => {
                care.trouble = Some(reason);
                self.try_again(id);
            }
            (Err(_), None) => {}
        }
    }

    /// The pipe of a run by which it says that it is ready.
    pub(super) fn take_ready_pipe(&mut self, id: u32, run: u64, pipe: OwnedFd) {
        if let Err(error) = self
            .poll
            .add(&pipe, token(Kind::ReadyPipe, id), Interest::Read)
        {
            self.log
                .say(format_args!("cannot watch a readiness pipe: {error}"));
        }
        self.store.put(&format!("r{id}.{run}"), pipe.as_fd());
        let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
        let awaiting = Awaiting::Pipe { pipe, run };
        let before = match care {
            Some(care) => care.awaiting.replace(awaiting),
            None => Some(awaiting),
        };
        // That of a launch which failed.
        if let Some(before) = before {
            self.end_awaiting(id, before);
        }
    }

    /// Something came through a readiness pipe, or its end.
    pub(super) fn on_ready_pipe(&mut self, id: u32) {
        let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
        let Some(care) = care else { return };
        let Some(Awaiting::Pipe { pipe, .. }) = &care.awaiting else {
            return;
        };
        let mut bytes = [0; 256];
        loop {
            match fd::read(pipe, &mut bytes) {
                Ok(0) => {
                    // It was closed without a word: what remains is the time-out.
                    let _ = self.poll.remove(pipe);
                    return;
                }
                Ok(length) if bytes[..length].contains(&b'\n') => break,
                Ok(_) => {}
                Err(_) => return,
            }
        }
        self.vital(id, VitalEvent::Ready);
    }

    /// Looking is over.
    pub(super) fn end_awaiting(&mut self, id: u32, awaiting: Awaiting) {
        match awaiting {
            Awaiting::Pipe { pipe, run } => {
                // The keeper holds it too, so that only this ends the watch.
                let _ = self.poll.remove(&pipe);
                self.store.forget(&format!("r{id}.{run}"));
            }
            Awaiting::Search(searching) => {
                let trouble = locked(&searching.0.trouble).take();
                let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
                if let Some(care) = care.filter(|_| trouble.is_some()) {
                    care.trouble = trouble;
                }
            }
            Awaiting::Log(_) | Awaiting::Command { .. } | Awaiting::Notify => {}
        }
    }
}
