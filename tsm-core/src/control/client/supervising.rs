//! What is asked of the supervisor itself, not of a process: how it is, what it mends and keeps, that it ends or upgrades.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::conversation::Attempt;
use super::silence::Silence;
use super::{ANSWER_TIMEOUT, ATTEMPTS, Client, SAMPLES_TIMEOUT, STATUS_TIMEOUT};
use crate::control::protocol::{Body, Reply, SupervisorStatus};
use crate::error::{BestEffort as _, Result};
use crate::keepers;
use crate::probe::CpuSample;
use crate::sys::{self, Pidfd};

impl Client {
    /// Has the supervisor mend the files of the home; returns what it did, in words.
    ///
    /// # Errors
    /// [`crate::error::Error::Reported`] with its words, [`crate::error::Error::Unreachable`].
    pub fn mend(&self) -> Result<Vec<String>> {
        let mut mended = Vec::new();
        self.ask(&Body::Mend, &[], |reply| {
            if let Reply::Mended(done) = reply {
                mended = done;
            }
        })?;
        Ok(mended)
    }

    /// How the supervisor is; `None` where none runs. Starts none.
    ///
    /// # Errors
    /// [`crate::error::Error::Unreachable`] where one is there and does not answer.
    pub fn status(&self) -> Result<Option<SupervisorStatus>> {
        let until = sys::clock::monotonic() + STATUS_TIMEOUT;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 && sys::clock::monotonic() > until {
                break;
            }
            let Some(socket) = self.connect_if_there(STATUS_TIMEOUT)? else {
                return Ok(None);
            };
            let mut status = None;
            let done = self.converse(socket, &self.request(Body::Status), &[], |reply| {
                if let Reply::Status(found) = reply {
                    status = Some(found);
                }
            })?;
            if let (Attempt::Settled(_), Some(status)) = (done, status) {
                return Ok(Some(status));
            }
        }
        Err(self.lost())
    }

    /// Lets the supervisor keep these samples, and returns what it had kept before; nothing where none runs or it has
    /// more important things to do.
    pub fn exchange_samples(&self, samples: Vec<CpuSample>) -> Vec<CpuSample> {
        let mut before = Vec::new();
        if let Ok(Some(socket)) = self.connect(SAMPLES_TIMEOUT) {
            let request = self.request(Body::Samples(samples));
            self.converse(socket, &request, &[], |reply| {
                if let Reply::Samples(kept) = reply {
                    before = kept;
                }
            })
            .best_effort("without an answer, the averages are those since the start");
        }
        before
    }

    /// Ends the supervisor and leaves the services up; returns when its guardian and the sentinel are gone, too. `false` where none runs.
    ///
    /// # Errors
    /// [`crate::error::Error::Unreachable`].
    pub fn shut_down(&self) -> Result<bool> {
        let mut was_there = false;
        let mut looks_in_vain = 0;
        for _ in 0..ATTEMPTS {
            if let Some(socket) = self.connect_if_there(ANSWER_TIMEOUT)? {
                was_there = true;
                looks_in_vain = 0;
                // Found before they end.
                let keepers = keepers::handles(&self.home);
                if self.end_over(socket)? {
                    self.wait_until_gone(&keepers)?;
                    return Ok(true);
                }
            } else if self.keep_from_coming_back()? {
                was_there = true;
                looks_in_vain = 0;
            } else if looks_in_vain == 0 {
                // Whoever a sentinel brought back between the two looks is there by now.
                looks_in_vain = 1;
            } else {
                return Ok(was_there);
            }
        }
        Err(self.lost())
    }

    /// Waits until these have ended, which the end of the supervisor brings about; one of them that is stopped is continued. What does not end
    /// in time keeps nobody waiting: there is no supervisor any more.
    fn wait_until_gone(&self, keepers: &[Pidfd]) -> Result<()> {
        let mut silence = Silence::new(&self.home, STATUS_TIMEOUT);
        for keeper in keepers {
            silence.readable(keeper)?;
        }
        Ok(())
    }

    /// Whether the supervisor has heard that it is to end, and has ended. One that was killed before is followed by another.
    pub(super) fn end_over(&self, socket: OwnedFd) -> Result<bool> {
        let mut accepted = false;
        let ended = self.converse(socket, &self.request(Body::Shutdown), &[], |reply| {
            accepted |= matches!(reply, Reply::Accepted { .. });
        })?;
        Ok(accepted || matches!(ended, Attempt::Settled(_)))
    }

    /// Lets the supervisor go on as the program of this file, and returns how it is then; `None` where none runs.
    ///
    /// # Errors
    /// [`crate::error::Error::Reported`] where that program is not taken; then the supervisor is as it was. [`crate::error::Error::Unreachable`].
    pub fn upgrade(&self, program: PathBuf) -> Result<Option<SupervisorStatus>> {
        let Some(socket) = self.connect(ANSWER_TIMEOUT)? else {
            return Ok(None);
        };
        // The end of the connection means that the program was executed.
        self.converse(
            socket,
            &self.request(Body::Upgrade { program }),
            &[],
            |_| {},
        )?;
        self.status()
    }

    /// Sees to it that a supervisor runs.
    ///
    /// # Errors
    /// [`crate::error::Error::Unreachable`] with what it said, [`crate::error::Error::UnsafeHome`], [`crate::error::Error::Io`].
    pub fn ensure_supervisor(&self) -> Result<()> {
        self.connect_or_start().map(drop)
    }
}
