//! One request, from the first byte to the last reply, and again where the supervisor dies in between.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::silence::{self, Silence};
use super::{ANSWER_TIMEOUT, ATTEMPTS, Client, SAMPLES_TIMEOUT, STATUS_TIMEOUT};
use crate::control::frame::{FrameBuffer, encode};
use crate::control::protocol::{Asked, Body, Reply, Request};
use crate::error::{Error, IoContext as _, Result};
use crate::sys;

/// The answers to one request.
pub(super) enum Attempt<T> {
    Settled(T),
    /// The connection ended in between: the supervisor died or was replaced.
    Lost,
    /// The time that the command would wait is over.
    TooLate,
}

impl Client {
    pub(super) fn request(&self, body: Body) -> Request {
        Request {
            version: body.needs(),
            asked: Asked {
                token: token(),
                by: self.by.clone(),
                resumed: false,
                version: Some(crate::version::own()),
            },
            body,
        }
    }

    pub(super) fn unreachable(&self, reason: impl Into<String>) -> Error {
        Error::Unreachable {
            home: self.home.root().to_owned(),
            reason: reason.into().into(),
        }
    }

    /// No connection came to its end.
    pub(super) fn lost(&self) -> Error {
        self.unreachable(match silence::last_death(&self.home) {
            Some(said) => format!("dies again and again: {said}"),
            None => "ends every connection without an answer; see logs/tsm.log in it".to_owned(),
        })
    }

    /// Asks, and asks again with the same token where the supervisor dies in between. Returns the notices.
    pub(super) fn ask(
        &self,
        body: &Body,
        blob: &[u8],
        on_reply: impl FnMut(Reply),
    ) -> Result<Vec<String>> {
        self.ask_within(None, body, blob, on_reply)
    }

    /// The same, for no longer than this, in milliseconds. [`Error::TimedOut`] then; what was asked for goes on.
    pub(super) fn ask_within(
        &self,
        wait_ms: Option<u64>,
        body: &Body,
        blob: &[u8],
        mut on_reply: impl FnMut(Reply),
    ) -> Result<Vec<String>> {
        let wait = wait_ms.map(Duration::from_millis);
        let until = wait.map(|wait| sys::clock::monotonic() + wait);
        let mut request = self.request(body.clone());
        for _ in 0..ATTEMPTS {
            // Anew for each attempt: the supervisor may have died, and then this starts another
            // one.
            let socket = self.connect_or_start()?;
            let mut accepted = false;
            let heard = self.converse_until(until, socket, &request, blob, |reply| {
                accepted |= matches!(reply, Reply::Accepted { .. });
                on_reply(reply);
            })?;
            match heard {
                Attempt::Settled(notices) => return Ok(notices),
                Attempt::TooLate => {
                    return Err(Error::TimedOut {
                        what: "what was waited for".to_owned(),
                        seconds: wait.unwrap_or_default().as_secs(),
                    });
                }
                Attempt::Lost => {}
            }
            // Once a request is accepted, part of it may have been done, so the next supervisor is
            // told so.
            request.asked.resumed |= accepted;
        }
        Err(self.lost())
    }

    /// One request over one connection, to its end.
    pub(super) fn converse(
        &self,
        socket: OwnedFd,
        request: &Request,
        blob: &[u8],
        on_reply: impl FnMut(Reply),
    ) -> Result<Attempt<Vec<String>>> {
        self.converse_until(None, socket, request, blob, on_reply)
    }

    /// The same; once it was understood, no longer than `until`.
    fn converse_until(
        &self,
        until: Option<Duration>,
        socket: OwnedFd,
        request: &Request,
        blob: &[u8],
        mut on_reply: impl FnMut(Reply),
    ) -> Result<Attempt<Vec<String>>> {
        let frame = encode(request, blob).doing("write a request")?;
        let mut stream = File::from(socket);
        let patience = match request.body {
            // A list can do without an answer, so it is not waited for long.
            Body::Samples(_) => SAMPLES_TIMEOUT,
            Body::Status => STATUS_TIMEOUT,
            _ => ANSWER_TIMEOUT,
        };
        let mut silence = Silence::new(&self.home, patience);
        let mut understood = false;
        let mut buffer = FrameBuffer::default();
        let mut bytes = [0; 16 * 1024];
        let taken = silence.write_all(&mut stream, &frame);
        loop {
            if !taken || !silence.readable(&stream)? {
                // It was understood, so that silence now means only that the time is up.
                if understood {
                    return Ok(Attempt::TooLate);
                }
                return Err(self.unreachable(format!(
                    "does not answer within {} s; {}",
                    patience.as_secs(),
                    silence.why()
                )));
            }
            let length = match stream.read(&mut bytes) {
                Ok(0) => return Ok(Attempt::Lost),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Ok(Attempt::Lost),
            };
            buffer.push(&bytes[..length]);
            while let Some((json, _)) = buffer.take_frame().doing("understand the supervisor")? {
                let reply: Reply = serde_json::from_slice(json).map_err(|error| {
                    self.unreachable(format!("speaks another language ({error})"))
                })?;
                match reply {
                    Reply::Done { notices } => {
                        let mut all = silence.continued;
                        all.extend(notices);
                        return Ok(Attempt::Settled(all));
                    }
                    Reply::Failed(error) => return Err(error.into()),
                    Reply::Status(_) | Reply::Samples(_) => {
                        on_reply(reply);
                        return Ok(Attempt::Settled(Vec::new()));
                    }
                    // Understood: from here on it takes as long as the processes need.
                    Reply::Accepted { .. }
                    | Reply::Outcome(_)
                    | Reply::Saved(_)
                    | Reply::Mended(_) => {
                        understood = true;
                        silence.wait_until(until);
                        on_reply(reply);
                    }
                }
            }
        }
    }
}

/// 128 bits that no other command has.
pub(super) fn token() -> String {
    let mut bytes = [0_u8; 16];
    let drawn = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    if drawn.is_err() {
        // Without random bytes, time and pid are as unique as a command on one machine needs.
        bytes[..8].copy_from_slice(&sys::clock::unix_ms().to_le_bytes());
        bytes[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    }
    format!("{:032x}", u128::from_be_bytes(bytes))
}
