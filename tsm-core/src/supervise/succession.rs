//! What outlives a supervisor, who holds it meanwhile, and how the next one gets it.

pub(super) mod carried;
pub(super) mod fdstore;
pub(super) mod handover;
mod notifying;
pub(super) mod place;
mod stopped_guardian;
pub(super) mod upgrading;

use std::time::Duration;

use self::carried::Carried;
use self::handover::Handover;
use self::upgrading::{OwnProgram, Upgrade};
use crate::sys::clock;
use crate::sys::inotify::Inotify;

/// What is on the way from one supervisor, program or guardian to the next.
pub(super) struct Succession {
    pub(super) handover: Option<Handover>,
    pub(super) upgrade: Option<Upgrade>,
    /// The file that this program was started from …
    pub(super) program: Option<OwnProgram>,
    /// … and how the kernel says that it was replaced.
    pub(super) program_watch: Option<Inotify>,
    /// When this program began.
    pub(super) begun: Duration,
    /// When a new guardian is to be made in the place of one that is gone.
    pub(super) new_guardian_at: Option<Duration>,
    /// What the program knew that this process executed before, until the services have it.
    pub(super) carried: Option<Carried>,
}

impl Succession {
    pub(super) fn begin() -> Self {
        Self {
            handover: None,
            upgrade: None,
            program: OwnProgram::find(),
            program_watch: None,
            begun: clock::monotonic(),
            new_guardian_at: None,
            carried: None,
        }
    }

    /// When the next step of it is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let all = [
            self.handover.as_ref().map(Handover::deadline),
            self.upgrade.as_ref().map(Upgrade::deadline),
            self.program.as_ref().and_then(|program| program.look_at),
            self.new_guardian_at.filter(|_| self.upgrade.is_none()),
        ];
        all.into_iter().flatten().min()
    }
}
