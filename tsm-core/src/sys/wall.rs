//! A timer by the clock on the wall: what is due at three in the morning is due then, however long the machine slept and
//! whoever set its clock (`timerfd_create(2)`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Readable when its time has come, and when somebody sets the clock.
#[derive(Debug)]
pub(crate) struct WallTimer(OwnedFd);

impl WallTimer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// Those of `timerfd_create(2)`: no descriptor is left.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(timerfd_create(TimerfdClockId::Realtime, flags)?))
    }

    /// Sets it to a time in Unix milliseconds, or to none.
    ///
    /// # Errors
    /// Those of `timerfd_settime(2)`.
    pub(crate) fn set(&self, unix_ms: Option<u64>) -> io::Result<()> {
        let at = unix_ms.unwrap_or(0);
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let time = Itimerspec {
            it_interval: zero,
            it_value: Timespec {
                tv_sec: (at / 1000) as i64,
                tv_nsec: (at % 1000 * 1_000_000) as i64,
            },
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        match timerfd_settime(&self.0, flags, &time) {
            // The clock was set since: this call has set the timer all the same.
            Ok(_) | Err(rustix::io::Errno::CANCELED) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes what it has to say; tells whether that is a jump of the clock.
    pub(crate) fn has_jumped(&self) -> bool {
        let mut count = [0; 8];
        rustix::io::read(&self.0, &mut count) == Err(rustix::io::Errno::CANCELED)
    }
}

impl AsFd for WallTimer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
