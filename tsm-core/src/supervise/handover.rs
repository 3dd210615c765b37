//! A supervisor in the foreground takes the place of one that is there: that one hands over the lock, the control socket,
//! the log pipes and the handles on processes, and ends without touching a service.
//!
//! Each descriptor travels with a record of fixed length that names it; a record named `end` closes the list, and one
//! byte back says that all was taken. Until that byte the old supervisor can go on as if nothing had been.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::supervisor::{Ending, Supervisor};
use crate::control::{Asked, Body, HANDOVER_RECORD, PROTOCOL, Request, encode};
use crate::error::{Error, IoContext as _, Result};
use crate::home::Home;
use crate::logs::Stream;
use crate::sys;

const PATIENCE: Duration = Duration::from_secs(10);
const END: &str = "end";

fn record(name: &str) -> [u8; HANDOVER_RECORD] {
    let mut record = [0; HANDOVER_RECORD];
    let length = name.len().min(HANDOVER_RECORD);
    record[..length].copy_from_slice(&name.as_bytes()[..length]);
    record
}

/// Asks the supervisor that is there for all that it holds.
pub(super) fn take_over(home: &Home) -> Result<HashMap<String, OwnedFd>> {
    let failed = |reason: &str| Error::Unreachable {
        home: home.root().to_owned(),
        reason: reason.to_owned(),
    };
    let socket = sys::socket::connect(&home.socket()).at("connect to", home.socket())?;
    let request = Request {
        version: PROTOCOL,
        asked: Asked {
            token: String::new(),
            by: format!("pid {}", std::process::id()),
            resumed: false,
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
        if name == END {
            break;
        }
        if let Some(fd) = fds.pop() {
            taken.insert(name, fd);
        }
    }
    if !taken.contains_key("lock") {
        return Err(failed("handed nothing over; is it of another version?"));
    }
    sys::socket::send(&socket, b"!", &[]).at("write to", home.socket())?;
    Ok(taken)
}

impl Supervisor {
    /// Hands everything over to the process at the other end of a connection.
    pub(super) fn hand_over(&mut self, number: u32) {
        let Some(socket) = self.take_connection(number) else {
            return;
        };
        match self.try_hand_over(&socket) {
            Ok(()) => {
                self.log.say("handed over to another supervisor");
                self.ending = Ending::HandedOver;
            }
            Err(error) => self.log.say(format_args!(
                "a handover failed, this supervisor goes on: {error}"
            )),
        }
    }

    fn try_hand_over(&mut self, socket: &OwnedFd) -> std::io::Result<()> {
        for stream in [Stream::Out, Stream::Err] {
            let ids: Vec<u32> = self.services.keys().copied().collect();
            for id in ids {
                self.drain(id, stream);
                self.save(id);
            }
        }
        let mut all: Vec<(String, BorrowedFd<'_>)> = vec![
            ("lock".to_owned(), self.writer.lock().as_fd()),
            ("socket".to_owned(), self.listener.as_fd()),
        ];
        for (id, service) in &self.services {
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
        for (name, fd) in all {
            send_whole(socket, &record(&name), &[fd])?;
        }
        send_whole(socket, &record(END), &[])?;
        if !sys::poll::wait_readable(socket, Some(PATIENCE))? {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        let mut byte = [0; 1];
        match sys::socket::receive(socket, &mut byte, &mut Vec::new())? {
            1 => Ok(()),
            _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Sends a record, waiting for room: the other side reads nothing else meanwhile.
fn send_whole(socket: &OwnedFd, record: &[u8], fds: &[BorrowedFd<'_>]) -> std::io::Result<()> {
    loop {
        match sys::socket::send(socket, record, fds) {
            Ok(sent) if sent == record.len() => return Ok(()),
            // A record is smaller than any socket buffer: it goes whole or not at all.
            Ok(_) => return Err(std::io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if !sys::poll::wait_writable(socket, Some(PATIENCE))? {
                    return Err(std::io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error),
        }
    }
}
