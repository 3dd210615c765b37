//! Something to wait on that another thread can make ready.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tsm_core::error::BestEffort as _;
use tsm_core::sys::poll;

/// Wakes the thread that has the [`Sleeper`].
#[derive(Clone)]
pub(super) struct Waker(Arc<UnixStream>);

impl Waker {
    pub(super) fn wake(&self) {
        (&*self.0)
            .write(&[0])
            .best_effort("where it is full, the thread is woken already");
    }
}

/// Becomes readable when somebody wakes.
pub(super) struct Sleeper(UnixStream);

impl Sleeper {
    /// Takes what woke.
    pub(super) fn clear(&mut self) {
        let mut bytes = [0; 64];
        while self
            .0
            .read(&mut bytes)
            .is_ok_and(|length| length == bytes.len())
        {}
    }

    /// Waits so long, or until somebody wakes. Tells whether somebody did.
    pub(super) fn rest(&self, time: Duration) -> bool {
        poll::wait_readable(&self.0, Some(time)).unwrap_or(true)
    }
}

impl AsFd for Sleeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

pub(super) fn pair() -> io::Result<(Waker, Sleeper)> {
    let (waker, sleeper) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    sleeper.set_nonblocking(true)?;
    Ok((Waker(Arc::new(waker)), Sleeper(sleeper)))
}
