//! A guardian goes on as another program, in the same process: what it holds, and for whom, is handed over in a file in
//! memory, as a supervisor does it.

use std::ffi::OsString;
use std::io::{Read as _, Seek as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pauses::Pauses;
use super::{CHANNEL, Guardian, Stored, fixed};
use crate::error::{Error, IoContext as _, Result};
use crate::sys::poll::Interest;
use crate::sys::{self, WaitStatus};

/// Version of the document.
const VERSION: u32 = 1;

/// What a guardian knows and holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::supervise) struct Held {
    version: u32,
    /// Descriptors by their names.
    pub(in crate::supervise) fds: Vec<(String, i32)>,
    /// The supervisor, where it is a child of this process, and the way to it.
    supervisor: Option<u32>,
    channel: Option<i32>,
    /// Ends that no supervisor has heard of yet.
    exits: Vec<(u32, String)>,
    started: Duration,
    quick: u32,
    pause: Option<Duration>,
    /// The sentinel, a child of this process.
    sentinel: Option<u32>,
}

impl Held {
    /// What a supervisor holds that becomes its own guardian: nobody supervises until the guardian starts somebody.
    pub(in crate::supervise) fn of_supervisor(fds: Vec<(String, i32)>) -> Self {
        Self {
            version: VERSION,
            fds,
            ..Self::default()
        }
    }

    /// Whether the guardian has to have a sentinel, where it was or is (`is_main`) the main process of a unit: systemd brings that
    /// one back. A supervisor that became its guardian waited for systemd in vain.
    pub(super) fn is_to_be_watched(&self, is_main: bool) -> bool {
        !is_main || self.supervisor.is_none() || self.sentinel.is_some()
    }

    /// What the program handed over that this process executed before.
    pub(super) fn take(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Option<Self>> {
        let Some(mut file) = sys::spawn::take_state(lookup) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.rewind()
            .and_then(|()| file.read_to_end(&mut bytes))
            .doing("read what the guardian before held")?;
        let wrong = |reason: String| Error::bad_value("the state of the guardian", reason);
        let held: Self =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if held.version > VERSION {
            return Err(wrong(format!("version {} is newer", held.version)));
        }
        Ok(Some(held))
    }
}

impl Guardian {
    /// Takes up what the program before held.
    pub(super) fn go_on_with(&mut self, held: Held) -> Result<()> {
        let fds = held.fds.into_iter().filter_map(|(name, number)| {
            Some(Stored {
                name: fixed(&name),
                fd: sys::fd::adopt(number)?,
            })
        });
        self.fds.extend(fds);
        let exits = held.exits.iter();
        // No supervisor has heard of these ends yet, and the kernel tells them only once.
        self.exits
            .extend(exits.filter_map(|(pid, status)| Some((*pid, WaitStatus::parse(status)?))));
        self.supervisor = held.supervisor;
        self.channel = held.channel.and_then(sys::fd::adopt);
        if let Some(channel) = &self.channel {
            self.poll
                .add(channel, CHANNEL, Interest::Read)
                .doing("watch the supervisor")?;
        }
        // There was a supervisor, so one that cannot start now is tried again.
        self.was_ready = true;
        if held.supervisor.is_some() {
            self.started = held.started;
            self.pauses = Pauses::after_deaths(held.quick, held.pause);
            self.log.say("the guardian goes on as the new program");
        }
        self.had_sentinel(held.sentinel);
        Ok(())
    }

    /// Executes the program in the place of this one. Where that fails, this one goes on.
    pub(super) fn upgrade(&mut self, program: &OwnedFd) {
        // With the same words: they tell the new program that it is a guardian.
        let words = sys::procfs::command_line(std::process::id());
        let error = words.map_or_else(|error| error, |words| self.execute(program, &words));
        self.log.say(format_args!(
            "the guardian cannot go on as the new program, and stays as it is: {error}"
        ));
    }

    fn execute(&self, program: &OwnedFd, words: &[OsString]) -> std::io::Error {
        let text = |stored: &Stored| String::from_utf8_lossy(stored.name()).into_owned();
        let held = Held {
            version: VERSION,
            fds: self
                .fds
                .iter()
                .map(|stored| (text(stored), stored.fd.as_raw_fd()))
                .collect(),
            supervisor: self.supervisor,
            channel: self.channel.as_ref().map(OwnedFd::as_raw_fd),
            exits: self
                .exits
                .iter()
                .map(|(pid, status)| (*pid, status.to_string()))
                .collect(),
            started: self.started,
            quick: self.pauses.deaths(),
            pause: Some(self.pauses.last()),
            sentinel: self.watched.pid(),
        };
        // Numbers and strings: serializing them does not fail.
        let held = crate::json::line(&held).unwrap_or_default();
        let state = match sys::spawn::memory_file(&held) {
            Ok(state) => state,
            Err(error) => return error,
        };
        let keep: Vec<BorrowedFd<'_>> = self
            .fds
            .iter()
            .map(|stored| stored.fd.as_fd())
            .chain(self.channel.as_ref().map(|fd| fd.as_fd()))
            .collect();
        sys::spawn::execute_in_place(
            program.as_fd(),
            words,
            &self.environment,
            state.as_fd(),
            &keep,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_process_of_a_unit_needs_no_sentinel() {
        let of_supervisor = Held::of_supervisor(Vec::new());
        // systemd did not bring the unit back in time.
        assert!(of_supervisor.is_to_be_watched(true));
        let upgraded = Held {
            supervisor: Some(5),
            ..Held::default()
        };
        assert!(!upgraded.is_to_be_watched(true));
        assert!(upgraded.is_to_be_watched(false));
        // One that has one keeps one.
        let watched = Held {
            sentinel: Some(6),
            ..upgraded
        };
        assert!(watched.is_to_be_watched(true));
    }
}
