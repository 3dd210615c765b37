//! The sentinel of a guardian: a child that notices when the guardian is killed, whatever becomes of the supervisor, and has
//! both [brought back](crate::supervise::heal).

use std::ffi::{CString, OsString};
use std::time::Duration;

use super::Guardian;
use super::pauses::Pauses;
use crate::error::{BestEffort as _, Error, Result};
use crate::sys::spawn::{SentinelImage, c_strings};
use crate::sys::{self, Signal, clock};

/// The variable by which a sentinel tells what it executes of the guardian that it watched: its pid, since when it was at work
/// in monotonic milliseconds, and how many had been killed in a row before.
pub(in crate::supervise) const KILLED: &str = "TSM_KILLED_GUARDIAN";
/// The variable by which a guardian is told how many before it were killed within moments.
pub(in crate::supervise) const KILLS: &str = "TSM_KILLED_BEFORE";

/// The sentinel, and what is needed to have one.
pub(super) struct Watched {
    /// `None` where systemd, or nobody, brings guardian and supervisor back.
    image: Option<SentinelImage>,
    pid: Option<u32>,
    /// Whether the supervisor knows which it is.
    told: bool,
    made: Duration,
    pauses: Pauses,
    /// When another one is made.
    again_at: Option<Duration>,
}

impl Watched {
    /// Prepares what executes `program` with `words` when this guardian was killed; `None`: nobody is to.
    ///
    /// # Errors
    /// A word that no program can be given.
    pub(super) fn new(
        program: CString,
        words: Option<&[OsString]>,
        environment: &[(OsString, OsString)],
        variables: &[CString],
    ) -> Result<Self> {
        let mut watched = Self {
            image: None,
            pid: None,
            told: true,
            made: Duration::ZERO,
            pauses: Pauses::new(),
            again_at: None,
        };
        let Some(words) = words else {
            return Ok(watched);
        };
        // Handed on from guardian to guardian: it is what tells one kill from many in a row.
        let killed = environment.iter().find(|(name, _)| name == KILLS);
        let killed = killed.and_then(|(_, value)| value.to_str()?.parse::<u32>().ok());
        let own = format!(
            "{KILLED}={}:{}:{}",
            std::process::id(),
            clock::monotonic().as_millis(),
            killed.unwrap_or(0)
        );
        let make = || {
            let words = c_strings(words.iter().cloned())?;
            let own = c_strings([own.into()])?;
            SentinelImage::new(program, words, [variables, &own].concat())
        };
        watched.image = Some(make().map_err(|source| Error::System {
            action: "prepare a sentinel",
            source,
        })?);
        Ok(watched)
    }

    /// When something is to be done.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.again_at
    }

    /// A new supervisor knows nothing.
    pub(super) fn untold(&mut self) {
        self.told = false;
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Ends the sentinel: from here on nobody brings this guardian back.
    pub(super) fn end(&mut self) {
        self.again_at = None;
        if let Some(pid) = self.pid.take() {
            self.told = false;
            kill(pid);
        }
    }
}

/// Ends a child of this process that nobody has reaped.
fn kill(pid: u32) {
    let handle = sys::Pidfd::open_child(pid);
    let sent = handle.and_then(|handle| handle.signal(Signal::KILL));
    sent.best_effort("a sentinel that is left finds that all is in order, and ends");
}

impl Guardian {
    /// A supervisor is at work, or there was one: from here on both are to come back. A sentinel of this one takes the place of that
    /// of the one before.
    pub(super) fn have_sentinel(&mut self) {
        if self.ending {
            return;
        }
        // The new one first, then the end of the old: at no moment does nobody watch.
        let before = self.watched.pid.take();
        self.make_sentinel();
        let Some(before) = before else { return };
        if self.watched.pid.is_some() || self.watched.image.is_none() {
            // Without an image there is to be none at all.
            kill(before);
        } else {
            // No new one could be made: the old one is better than none.
            self.watched.pid = Some(before);
            self.watched.again_at = None;
        }
    }

    /// The sentinel of the program that was executed here before; one of this program takes its place.
    pub(super) fn had_sentinel(&mut self, before: Option<u32>) {
        self.watched.pid = before;
    }

    fn make_sentinel(&mut self) {
        let Some(image) = &self.watched.image else {
            return;
        };
        self.watched.again_at = None;
        // Without a handle it waits for the guardian alone.
        let supervisor = self.supervisor.map(sys::Pidfd::open_child);
        let supervisor = supervisor.and_then(std::result::Result::ok);
        match image.fork(supervisor.as_ref()) {
            Ok(pid) => {
                self.watched.pid = Some(pid);
                self.watched.told = false;
                self.watched.made = clock::monotonic();
            }
            Err(error) => {
                self.log.say_seldom(
                    "sentinel",
                    format_args!("cannot make a sentinel: {error}; trying again"),
                );
                self.plan_sentinel();
            }
        }
        self.tell_of_sentinel();
    }

    pub(super) fn make_sentinel_if_due(&mut self) {
        let due = |at: Duration| at <= clock::monotonic();
        // A guardian that ends on purpose must not be brought back.
        if self.watched.again_at.is_some_and(due) && !self.ending {
            self.make_sentinel();
        }
    }

    /// Takes note that a child has ended; `false` where it was another one.
    pub(super) fn was_sentinel(&mut self, pid: u32) -> bool {
        if self.watched.pid != Some(pid) {
            return false;
        }
        self.watched.pid = None;
        self.watched.told = false;
        self.tell_of_sentinel();
        if self.ending {
            return true;
        }
        // Someone may kill it again and again: one line in a while tells as much.
        self.log.say_seldom(
            "sentinel ended",
            format_args!("the sentinel {pid} ended; another one is made"),
        );
        self.plan_sentinel();
        true
    }

    fn plan_sentinel(&mut self) {
        let now = clock::monotonic();
        let watched = &mut self.watched;
        let pause = watched.pauses.after(now.saturating_sub(watched.made));
        watched.again_at = Some(now + pause);
    }

    /// The supervisor tells this child of the guardian from what a service left behind.
    pub(super) fn tell_of_sentinel(&mut self) {
        if self.watched.told || !self.was_ready {
            return;
        }
        let Some(channel) = &self.channel else { return };
        // Zero: there is none.
        let pid = self.watched.pid.unwrap_or(0);
        let said = format!("TSM_SENTINEL={pid}");
        self.watched.told = sys::socket::send(channel, said.as_bytes(), &[]).is_ok();
    }

    /// A sentinel that was stopped goes on: the kernel tells its parent.
    pub(super) fn continue_sentinel(&self) {
        let stopped = |pid: &u32| sys::pidfd::was_stopped(*pid);
        if let Some(pid) = self.watched.pid.filter(stopped) {
            let handle = sys::Pidfd::open_child(pid);
            let sent = handle.and_then(|handle| handle.signal(Signal::CONT));
            sent.best_effort("its end would be told, and one that stays stopped is no worse");
        }
    }
}
