//! Readiness of many descriptors (`epoll(7)`). Level-triggered, so that nothing is lost where only some of what is there is read; a
//! descriptor that is to be silent stays registered with no interest.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, epoll};

use crate::error::BestEffort as _;

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something to read, or the other side's end.
    Read,
    /// Room to write, or something to read.
    ReadWrite,
    /// To be told once, until watched anew.
    ReadOnce,
    /// Nothing: stay registered, silent.
    None,
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Self::Read => epoll::EventFlags::IN,
            Self::ReadWrite => epoll::EventFlags::IN | epoll::EventFlags::OUT,
            Self::ReadOnce => epoll::EventFlags::IN | epoll::EventFlags::ONESHOT,
            // An edge-triggered hang-up is told once and does not spin.
            Self::None => epoll::EventFlags::ET,
        }
    }
}

/// One descriptor that is ready.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// The token that it was registered with.
    pub token: u64,
    /// There is something to read, or an end.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// The other side is gone.
    pub hangup: bool,
}

/// A set of watched descriptors.
pub struct Poll {
    epoll: OwnedFd,
    buffer: Vec<epoll::Event>,
}

impl Poll {
    /// Makes an empty set that returns at most `batch` ready descriptors at once.
    ///
    /// # Errors
    /// Those of `epoll_create1(2)`: no descriptor is left.
    pub fn new(batch: usize) -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            buffer: Vec::with_capacity(batch),
        })
    }

    /// Starts to watch `fd`.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`: it is watched already, or the user watches too many.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        epoll::add(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(token),
            interest.flags(),
        )?;
        Ok(())
    }

    /// Changes what `fd` is watched for.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`: it is not watched.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        epoll::modify(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(token),
            interest.flags(),
        )?;
        Ok(())
    }

    /// Changes what `fd` is watched for, which is watched: that takes no memory and cannot fail (`epoll_ctl(2)`).
    pub fn rewatch(&self, fd: impl AsFd, token: u64, interest: Interest) {
        self.modify(fd, token, interest)
            .best_effort("what is not watched stays so");
    }

    /// Ends the watch on `fd`. A descriptor that lies in a store too must be removed before it is closed, since the
    /// kernel ends a watch only with the last copy. What is not watched stays so, which is all that could fail (`epoll_ctl(2)`).
    pub fn unwatch(&self, fd: impl AsFd) {
        epoll::delete(&self.epoll, fd).best_effort("it was not watched");
    }

    /// Waits until something is ready or `timeout` has passed (`None`: for ever). A signal ends the wait with nothing.
    ///
    /// # Errors
    /// Those of `epoll_wait(2)`.
    pub fn wait(&mut self, timeout: Option<Duration>, out: &mut Vec<Ready>) -> io::Result<()> {
        out.clear();
        let mut timeout = timeout;
        // `epoll_wait(2)` counts in milliseconds; `ppoll(2)` has a finer clock, and the set itself can be waited for.
        if let Some(time) = timeout.filter(|t| !t.is_zero() && *t < Duration::from_millis(1)) {
            let mut set = [PollFd::new(&self.epoll, PollFlags::IN)];
            match rustix::event::poll(&mut set, Some(&timespec(time))) {
                Ok(_) => timeout = Some(Duration::ZERO),
                Err(rustix::io::Errno::INTR) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
        let timeout = timeout.map(timespec);
        self.buffer.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.buffer),
            timeout.as_ref(),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        out.extend(self.buffer.iter().map(|event| {
            let flags = event.flags;
            let hangup = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
            Ready {
                token: event.data.u64(),
                readable: flags.contains(epoll::EventFlags::IN) || hangup,
                writable: flags.contains(epoll::EventFlags::OUT),
                hangup,
            }
        }));
        Ok(())
    }
}

/// Lets time pass: for pauses between attempts of a process that has nothing else to do.
pub fn wait_for_nothing(time: Duration) {
    let waited = rustix::event::poll(&mut [], Some(&timespec(time)));
    waited.best_effort("a signal only shortens the pause");
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}

/// Waits until `fd` can be read or `timeout` has passed; tells which.
///
/// # Errors
/// Those of `poll(2)`.
pub fn wait_readable(fd: impl AsFd, timeout: Option<Duration>) -> io::Result<bool> {
    use rustix::event::poll;
    let deadline = timeout.map(|t| super::clock::monotonic() + t);
    loop {
        let left = deadline.map(|d| d.saturating_sub(super::clock::monotonic()));
        let left = left.map(|t| Timespec {
            tv_sec: t.as_secs() as i64,
            tv_nsec: i64::from(t.subsec_nanos()),
        });
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], left.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
