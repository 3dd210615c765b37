//! Keys and the mouse.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::Duration;

use crossterm::event::{self, Event, KeyEventKind};
use tsm_core::error::BestEffort as _;
use tsm_core::sys::clock;
use tsm_core::sys::poll::{Interest, Poll};

use super::wake::{self, Waker};
use crate::message::Message;

const STDIN: u64 = 0;
const WAKE: u64 = 1;

/// The thread that reads the terminal.
pub(super) struct Input {
    waker: Waker,
    paused: Receiver<()>,
    resume: Sender<()>,
}

/// Nothing is read from the terminal while this is there.
pub(super) struct Pause<'a>(&'a Input);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0
            .resume
            .send(())
            .best_effort("a thread that has ended reads nothing anyway");
    }
}

impl Input {
    /// Begins to read.
    pub(super) fn hear(say: SyncSender<Message>) -> io::Result<Self> {
        let (waker, mut sleeper) = wake::pair()?;
        let (pause, paused) = mpsc::channel();
        let (resume, resumed) = mpsc::channel();
        std::thread::spawn(move || {
            let poll = || -> io::Result<Poll> {
                let poll = Poll::new(2)?;
                poll.add(io::stdin(), STDIN, Interest::Read)?;
                poll.add(&sleeper, WAKE, Interest::Read)?;
                Ok(poll)
            };
            let Ok(mut poll) = poll() else {
                say.send(Message::Leave)
                    .best_effort("nobody draws any more");
                return;
            };
            let mut ready = Vec::new();
            loop {
                if poll.wait(None, &mut ready).is_err() {
                    say.send(Message::Leave)
                        .best_effort("nobody draws any more");
                    return;
                }
                if ready.iter().any(|ready| ready.token == WAKE) {
                    sleeper.clear();
                    if pause.send(()).is_err() || resumed.recv().is_err() {
                        return;
                    }
                    continue;
                }
                // A terminal that went away is ready for ever, and has nothing.
                let gone = ready
                    .iter()
                    .any(|ready| ready.token == STDIN && ready.hangup);
                if !read(&say, gone) {
                    return;
                }
            }
        });
        Ok(Self {
            waker,
            paused,
            resume,
        })
    }

    /// Stops reading: another program has the terminal.
    pub(super) fn pause(&self) -> Pause<'_> {
        self.waker.wake();
        self.paused
            .recv()
            .best_effort("where the thread has ended, nothing is read");
        Pause(self)
    }
}

/// Reads what there is; false where there is nothing more to come.
fn read(say: &SyncSender<Message>, gone: bool) -> bool {
    loop {
        match event::poll(Duration::ZERO) {
            Ok(true) => {}
            Ok(false) if gone => break,
            Ok(false) => return true,
            Err(_) => break,
        }
        let message = match event::read() {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Message::Key(key),
            Ok(Event::Mouse(event)) => Message::Mouse {
                event,
                now_ms: clock::unix_ms(),
            },
            Ok(Event::Paste(text)) => Message::Paste(text),
            Ok(Event::Resize(columns, rows)) => Message::Resize(columns, rows),
            Ok(_) => continue,
            Err(_) => break,
        };
        if say.send(message).is_err() {
            return false;
        }
    }
    say.send(Message::Leave)
        .best_effort("nobody draws any more");
    false
}
