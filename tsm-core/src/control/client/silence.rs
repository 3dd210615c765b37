//! Waiting for a supervisor that says nothing: after about a second it is looked whether it or its guardian is stopped, and who
//! is stopped is continued.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::error::{IoContext as _, Result};
use crate::home::Home;
use crate::keepers;
use crate::sys::{self, clock};

/// How long nothing is said until it is looked why.
pub(super) const LOOK_AFTER: Duration = Duration::from_secs(1);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One wait, which may be for several things one after the other.
pub(super) struct Silence<'a> {
    home: &'a Home,
    patience: Duration,
    until: Option<Duration>,
    look_at: Duration,
    pause: Duration,
    /// Who was stopped and goes on, in words.
    pub(super) continued: Vec<String>,
    /// Who is stopped and could not be continued.
    refused: Vec<String>,
}

impl<'a> Silence<'a> {
    /// A wait for no longer than `patience` from now on; where somebody is continued, from then on.
    pub(super) fn new(home: &'a Home, patience: Duration) -> Self {
        let now = clock::monotonic();
        Self {
            home,
            patience,
            until: Some(now + patience),
            look_at: now + LOOK_AFTER,
            pause: LOOK_AFTER,
            continued: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// From here on it is waited until then, in monotonic time; `None`: for as long as it takes.
    pub(super) fn wait_until(&mut self, until: Option<Duration>) {
        self.until = until;
        self.patience = Duration::ZERO;
    }

    /// Whether the time is over.
    pub(super) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= clock::monotonic())
    }

    /// How long until something is to be done.
    pub(super) fn left(&self) -> Duration {
        let at = self
            .until
            .map_or(self.look_at, |until| until.min(self.look_at));
        at.saturating_sub(clock::monotonic())
    }

    /// Nothing was said for as long as [`Self::left`] told: looks why, if it is time to.
    pub(super) fn look(&mut self) {
        if self.left() > Duration::ZERO {
            return;
        }
        let begun = self.continued.len();
        self.refused.clear();
        for done in keepers::continue_stopped(self.home) {
            match done {
                Ok(done) if self.continued.contains(&done) => {}
                Ok(done) => self.continued.push(done),
                Err(refused) => self.refused.push(refused),
            }
        }
        let now = clock::monotonic();
        // Whoever was continued gets the time once more; a limit that a person set stays as it is.
        if self.continued.len() > begun && self.patience >= LOOK_AFTER {
            self.until = self.until.map(|until| until.max(now + self.patience));
        }
        self.look_at = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Waits until there is something to read; `false` where the time is over.
    pub(super) fn readable(&mut self, fd: &impl AsFd) -> Result<bool> {
        loop {
            if sys::poll::wait_readable(fd, Some(self.left())).doing("wait for the supervisor")? {
                return Ok(true);
            }
            self.look();
            if self.is_over() {
                return Ok(false);
            }
        }
    }

    /// Writes all of it, to a socket that is waited for no longer than [`LOOK_AFTER`] at once; `false` where the time is over.
    ///
    /// That the other side ended the connection is not told: what it said before can still be read.
    pub(super) fn write_all(&mut self, stream: &mut File, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.look();
                    if self.is_over() {
                        return false;
                    }
                }
                Err(_) => return true,
            }
        }
        true
    }

    /// Why there is no answer, as far as that can be told, and what to do.
    pub(super) fn why(&self) -> String {
        if !self.refused.is_empty() {
            return self.refused.join("; ");
        }
        let (words, is_held_up) = keepers::in_words(self.home);
        match last_death(self.home) {
            Some(said) if !is_held_up => format!("it dies again and again: {said}"),
            _ => words,
        }
    }
}

/// What the log says last of a supervisor that ended, and why, where that is the last that it says at all.
pub(super) fn last_death(home: &Home) -> Option<String> {
    const TAIL: u64 = 4096;
    let mut file = sys::open_without_waiting(&home.supervisor_log()).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(io::SeekFrom::Start(length.saturating_sub(TAIL)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).ok()?;
    death_in(&String::from_utf8_lossy(&bytes))
}

/// The last death of a supervisor in the end of a log, with the error before it; `None` where one was at work after that.
fn death_in(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().collect();
    let at = lines
        .iter()
        .rposition(|line| line.contains("the supervisor ended ("))?;
    if lines[at..].iter().any(|line| line.contains(" at work: ")) {
        return None;
    }
    // An error that ended it has no time before it: it is what the program itself said.
    let error = lines[..at]
        .iter()
        .rev()
        .find(|line| line.starts_with("tsm"));
    let death = lines[at]
        .split_once("] ")
        .map_or(lines[at], |(_, said)| said);
    Some(match error {
        Some(error) => format!("{} ({death})", error.trim_start_matches("tsm: ")),
        None => death.to_owned(),
    })
}
