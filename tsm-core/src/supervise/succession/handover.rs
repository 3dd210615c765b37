//! A supervisor in the foreground takes the place of one that is there: that one hands over the lock, the control socket,
//! the log pipes and the handles on processes, and ends without touching a service.
//!
//! Each descriptor travels with a record of fixed length that names it; a record named `end` closes the list, and one
//! byte back says that all was taken. Until then the old supervisor goes on as if nothing had been: what it started
//! meanwhile follows in a further list. When a list was taken and there is nothing more, a record named `over` says so,
//! and from then on the other one is the supervisor.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::control::{Asked, Body, HANDOVER_RECORD, Request, encode};
use crate::error::{Error, IoContext as _, Result};
use crate::home::Home;
use crate::supervise::supervisor::{Ending, Kind, Supervisor, token};
use crate::sys::poll::Interest;
use crate::sys::{self, clock};

const PATIENCE: Duration = Duration::from_secs(10);
const END: &str = "end";
const OVER: &str = "over";

/// A handover that is under way.
pub(in crate::supervise) struct Handover {
    socket: OwnedFd,
    /// What the other side has been sent.
    sent: HashSet<String>,
    /// Whether the list is closed, and the other side's byte is waited for.
    closed: bool,
    /// Until when the other side has to say something.
    until: Duration,
}

impl Handover {
    /// When it is given up.
    pub(in crate::supervise) fn deadline(&self) -> Duration {
        self.until
    }
}

/// How far a handover came.
enum Progress {
    /// The other side has to read, or to answer.
    Waits(Interest),
    /// It is the supervisor now.
    Over,
}

fn record(name: &str) -> [u8; HANDOVER_RECORD] {
    let mut record = [0; HANDOVER_RECORD];
    let length = name.len().min(HANDOVER_RECORD);
    record[..length].copy_from_slice(&name.as_bytes()[..length]);
    record
}

/// Asks the supervisor that is there for all that it holds.
pub(in crate::supervise) fn take_over(home: &Home) -> Result<HashMap<String, OwnedFd>> {
    let failed = |reason: &str| Error::Unreachable {
        home: home.root().to_owned(),
        reason: reason.into(),
    };
    let socket = sys::socket::connect(&home.socket(), PATIENCE).at("connect to", home.socket())?;
    let request = Request {
        version: Body::Handover.needs(),
        asked: Asked {
            token: String::new(),
            by: format!("pid {}", std::process::id()),
            resumed: false,
            version: Some(crate::version::own()),
        },
        body: Body::Handover,
    };
    let frame = encode(&request, &[]).doing("write a request")?;
    sys::socket::send(&socket, &frame, &[]).at("write to", home.socket())?;
    let mut taken = HashMap::new();
    loop {
        let mut bytes = [0; HANDOVER_RECORD];
        let mut length = 0;
        let mut fds = Vec::new();
        // A stream socket may give a record in parts, and its descriptor comes with the first byte.
        while length < HANDOVER_RECORD {
            if !sys::poll::wait_readable(&socket, Some(PATIENCE))
                .doing("wait for the supervisor")?
            {
                return Err(failed("does not hand over within 10 s"));
            }
            match sys::socket::receive(&socket, &mut bytes[length..], &mut fds)
                .at("read from", home.socket())?
            {
                0 => return Err(failed("ended while it handed over; try again")),
                more => length += more,
            }
        }
        let name = String::from_utf8_lossy(&bytes)
            .trim_end_matches('\0')
            .to_owned();
        match name.as_str() {
            END => {
                if !taken.contains_key("lock") {
                    return Err(failed("handed nothing over; is it of another version?"));
                }
                sys::socket::send(&socket, b"!", &[]).at("write to", home.socket())?;
                continue;
            }
            OVER => return Ok(taken),
            _ => {}
        }
        if let Some(fd) = fds.pop() {
            taken.insert(name, fd);
        }
    }
}

impl Supervisor {
    /// Begins to hand everything over to the process at the other end of a connection.
    pub(in crate::supervise) fn hand_over(&mut self, number: u32) {
        let Some(socket) = self.take_connection(number) else {
            return;
        };
        if self.succession.handover.is_some() {
            // The other side sees its connection end, and says so.
            return self.log.say("refused a second handover at once");
        }
        if let Err(error) = self
            .poll
            .add(&socket, token(Kind::Handover, 0), Interest::Read)
        {
            return self.log.say(format_args!("cannot hand over: {error}"));
        }
        self.succession.handover = Some(Handover {
            socket,
            sent: HashSet::new(),
            closed: false,
            until: clock::monotonic() + PATIENCE,
        });
        self.on_handover();
    }

    /// The other side of a handover has read, or has answered.
    pub(in crate::supervise) fn on_handover(&mut self) {
        // Taken out of its place, so that whatever fails below drops it, and with it the
        // connection.
        let Some(mut handover) = self.succession.handover.take() else {
            return;
        };
        let progress = self.go_on_handing_over(&mut handover);
        let waits = progress.and_then(|progress| match progress {
            Progress::Over => Ok(None),
            Progress::Waits(interest) => self
                .poll
                .modify(&handover.socket, token(Kind::Handover, 0), interest)
                .map(|()| Some(handover)),
        });
        match waits {
            Ok(Some(handover)) => self.succession.handover = Some(handover),
            Ok(None) => {
                self.log.say("handed over to another supervisor");
                self.ending = Ending::HandedOver;
            }
            // Closing the socket, which is ours alone, ends the watch and tells the other side.
            Err(error) => self.log.say(format_args!(
                "a handover failed, this supervisor goes on: {error}"
            )),
        }
    }

    /// Gives up a handover whose other side says nothing.
    pub(in crate::supervise) fn give_up_slow_handover(&mut self) {
        let now = clock::monotonic();
        if self
            .succession
            .handover
            .as_ref()
            .is_some_and(|h| h.until <= now)
        {
            self.succession.handover = None;
            self.log.say(format_args!(
                "a handover was given up after {} s without an answer; this supervisor goes on",
                PATIENCE.as_secs()
            ));
        }
    }

    fn go_on_handing_over(&mut self, handover: &mut Handover) -> std::io::Result<Progress> {
        let mut taken = false;
        let mut byte = [0; 1];
        match sys::socket::receive(&handover.socket, &mut byte, &mut Vec::new()) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            // A byte for a list that is not closed says nothing.
            Ok(_) => taken = std::mem::take(&mut handover.closed),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if handover.closed {
            return Ok(Progress::Waits(Interest::Read));
        }
        for (name, fd) in self.to_hand_over() {
            if handover.sent.contains(&name) {
                continue;
            }
            // This came since the last list, and goes into another one.
            taken = false;
            match sys::socket::send(&handover.socket, &record(&name), &[fd]) {
                Ok(sent) if sent == HANDOVER_RECORD => drop(handover.sent.insert(name)),
                // A record is smaller than any socket buffer: it goes whole or not at all.
                Ok(_) => return Err(std::io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    handover.until = clock::monotonic() + PATIENCE;
                    return Ok(Progress::Waits(Interest::ReadWrite));
                }
                Err(error) => return Err(error),
            }
        }
        if taken {
            // Behind `over` only the other one writes.
            let ids: Vec<u32> = self.services.keys().copied().collect();
            // Saved before the last word: two writers would undo each other's records.
            for id in ids {
                self.save(id);
            }
        }
        let last = if taken { OVER } else { END };
        match sys::socket::send(&handover.socket, &record(last), &[]) {
            Ok(_) if taken => Ok(Progress::Over),
            Ok(_) => {
                handover.closed = true;
                handover.until = clock::monotonic() + PATIENCE;
                Ok(Progress::Waits(Interest::Read))
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                // As if the last list had not been taken: it is closed once more.
                Ok(Progress::Waits(Interest::ReadWrite))
            }
            Err(error) => Err(error),
        }
    }

    /// All that the program needs that goes on in the place of this one: what a successor gets, and the handles on those
    /// leaders that have ended and are not reaped yet.
    pub(super) fn to_keep(&self) -> Vec<(String, BorrowedFd<'_>)> {
        let mut all = self.to_hand_over();
        for (id, service) in &self.services {
            if let Some(leader) = service.leader.as_ref().filter(|l| l.ended.is_some()) {
                // Zombies are children of this process, which stays the same over the execution,
                // and only their handles tell how they ended.
                all.push((format!("p{id}.{}", service.run()), leader.handle.as_fd()));
            }
        }
        all
    }

    /// All that a successor needs, each with its name.
    fn to_hand_over(&self) -> Vec<(String, BorrowedFd<'_>)> {
        let mut all: Vec<(String, BorrowedFd<'_>)> = vec![
            ("lock".to_owned(), self.writer.lock().as_fd()),
            ("socket".to_owned(), self.listener.as_fd()),
        ];
        all.extend(
            self.ears
                .named()
                .map(|(name, fd)| (name.to_owned(), fd.as_fd())),
        );
        for (id, service) in &self.services {
            if let Some(pipe) = service.care.as_ref().and_then(|care| care.ready_pipe()) {
                all.push((format!("r{id}.{}", service.run()), pipe));
            }
            if let Some(leader) = service
                .leader
                .as_ref()
                .filter(|leader| leader.ended.is_none())
            {
                all.push((format!("p{id}.{}", service.run()), leader.handle.as_fd()));
            }
            for (letter, end) in [('o', &service.out), ('e', &service.err)] {
                if let Some(reader) = &end.reader {
                    all.push((format!("{letter}{id}.{}", end.run), reader.as_fd()));
                }
            }
        }
        all
    }
}
