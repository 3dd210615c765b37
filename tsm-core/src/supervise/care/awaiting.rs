//! What readiness is told by, while a run is not ready yet.
//!
//! Most of it comes by itself: a line that the log mover sees, a message on the notification socket, a newline in a pipe.
//! The kernel tells nobody without privileges that a port is listened on, and a server does not call back: those two are
//! asked for again and again, by a thread that exists only meanwhile, at intervals that grow to a quarter of a second.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Timer;
use super::errands::{Order, Purpose};
use super::failure::Failure;
use super::log_scan::LogScan;
use crate::probe::{AskError, ListenerOf, ask_http};
use crate::spec::{HttpCheck, ReadyCheck};
use crate::supervise::machine::Report;
use crate::supervise::supervisor::{Kind, Supervisor, token};
use crate::supervise::vitals::{Readiness, VitalEvent};
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
    trouble: Mutex<Option<Failure>>,
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
    fn run(&self, mut look: impl FnMut() -> Result<(), Failure>) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            match look() {
                Ok(()) => return true,
                Err(reason) => *locked(&self.trouble) = Some(reason),
            }
            let until = Instant::now() + pause;
            let mut over = locked(&self.over);
            // Waking up for no reason does not shorten the pause.
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
        if !matches!(care.vitals.readiness, Readiness::Pending { .. }) {
            return;
        }
        match &care.awaiting {
            Some(Awaiting::Log(_)) => return self.await_line(id),
            // A readiness pipe was taken over at the launch, before this.
            Some(_) => return,
            None => {}
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
            ReadyCheck::Http(check) => self.await_http(id, check, port),
            ReadyCheck::Log(pattern) => {
                self.begin_log_scan(id, &pattern, None);
                self.await_line(id);
            }
            ReadyCheck::Command(_) => {
                care.awaiting = Some(Awaiting::Command {
                    pause: FIRST_TRY_PAUSE,
                });
                // Tried at once, and not after the first pause.
                self.try_ready(id);
            }
            ReadyCheck::Notify => care.awaiting = Some(Awaiting::Notify),
            // Without its pipe, which a crash of supervisor and keeper took, nothing comes any more.
            ReadyCheck::Fd(_) => {}
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
        self.search(id, move || Ok(listener.look()?));
    }

    fn await_http(&mut self, id: u32, check: HttpCheck, port: Option<u16>) {
        self.search(id, move || {
            let check = check.at(port).ok_or(AskError::NoPort)?;
            Ok(ask_http(&check, TRY_TIMEOUT)?)
        });
    }

    pub(super) fn search(
        &mut self,
        id: u32,
        look: impl FnMut() -> Result<(), Failure> + Send + 'static,
    ) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let run = service.run();
        let search = Arc::<Search>::default();
        if let Some(care) = service.care.as_deref_mut() {
            care.awaiting = Some(Awaiting::Search(Searching(Arc::clone(&search))));
        }
        let begun = self.worker.apart(
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
        // The thread may have found it in the last moment of a run that is over by now.
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
    pub(super) fn ready_tried(&mut self, id: u32, run: u64, outcome: Result<(), Failure>) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        if service.run() != run {
            return;
        }
        match (outcome, service.care.as_mut()) {
            (Ok(()), _) => self.vital(id, VitalEvent::Ready),
            (Err(reason), Some(care)) => {
                care.trouble = Some(reason.to_string());
                self.try_again(id);
            }
            (Err(_), None) => {}
        }
    }

    /// The pipe of a run by which it says that it is ready.
    pub(in crate::supervise) fn take_ready_pipe(&mut self, id: u32, run: u64, pipe: OwnedFd) {
        if let Err(error) = self
            .poll
            .add(&pipe, token(Kind::ReadyPipe, id), Interest::Read)
        {
            self.log
                .say(format_args!("cannot watch a readiness pipe: {error}"));
        }
        // The keeper holds it too, so that a supervisor that comes after a crash still hears of
        // readiness.
        self.store.put(&format!("r{id}.{run}"), pipe.as_fd());
        let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
        let awaiting = Awaiting::Pipe { pipe, run };
        let before = match care {
            Some(care) => care.awaiting.replace(awaiting),
            None => Some(awaiting),
        };
        // The pipe of a launch that failed.
        if let Some(before) = before {
            self.end_awaiting(id, before);
        }
    }

    /// Something came through a readiness pipe, or its end.
    pub(in crate::supervise) fn on_ready_pipe(&mut self, id: u32) {
        let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
        let Some(care) = care else { return };
        let Some(Awaiting::Pipe { pipe, .. }) = &care.awaiting else {
            return;
        };
        let mut bytes = [0; 256];
        loop {
            match fd::read(pipe, &mut bytes) {
                Ok(0) => {
                    // It was closed without a word, so only the time-out remains.
                    self.poll.unwatch(pipe);
                    return;
                }
                // A single newline says it, whatever stands before it (s6's `notification-fd`).
                Ok(length) if bytes[..length].contains(&b'\n') => break,
                Ok(_) => {}
                Err(_) => return,
            }
        }
        self.vital(id, VitalEvent::Ready);
    }

    /// Looking is over.
    pub(super) fn end_awaiting(&mut self, id: u32, awaiting: Awaiting) {
        let trouble = match awaiting {
            Awaiting::Pipe { pipe, run } => {
                // The keeper holds it too, so that only this ends the watch.
                self.poll.unwatch(&pipe);
                self.store.forget(&format!("r{id}.{run}"));
                None
            }
            Awaiting::Search(searching) => {
                let trouble = locked(&searching.0.trouble).take();
                trouble.map(|reason| reason.to_string())
            }
            Awaiting::Log(scan) => Some(scan.in_vain().to_string()),
            Awaiting::Command { .. } | Awaiting::Notify => None,
        };
        let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
        // If it was found in the end, there is no trouble to report.
        if let Some(care) = care
            && care.vitals.readiness == Readiness::Late
            && trouble.is_some()
        {
            care.trouble = trouble;
        }
    }
}
