//! File events from the kernel: a small safe face of [inotify(7)].
//!
//! It owns one inotify descriptor, tells what happened to the files and directories that it was
//! told to watch, and waits for the next event in `poll`. It never blocks but in
//! [`Inotify::wait`], and it knows nothing of what the files mean.
//!
//! [inotify(7)]: https://man7.org/linux/man-pages/man7/inotify.7.html

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

/// One watched file or directory, as the kernel numbers it.
///
/// Watching the same file (the same inode) twice gives the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WatchId(i32);

/// A set of kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mask(u32);

impl Mask {
    /// Bytes were written, or the file was truncated.
    pub(crate) const MODIFY: Self = Self(0x2);
    /// Metadata changed: mode, times, number of links.
    pub(crate) const ATTRIB: Self = Self(0x4);
    /// A file that was open for writing was closed.
    pub(crate) const CLOSE_WRITE: Self = Self(0x8);
    /// A name in the watched directory was renamed away.
    pub(crate) const MOVED_FROM: Self = Self(0x40);
    /// A name came into the watched directory by rename.
    pub(crate) const MOVED_TO: Self = Self(0x80);
    /// A name was created in the watched directory.
    pub(crate) const CREATE: Self = Self(0x100);
    /// A name was removed from the watched directory.
    pub(crate) const DELETE: Self = Self(0x200);
    /// The watched file or directory itself was removed.
    pub(crate) const DELETE_SELF: Self = Self(0x400);
    /// The watched file or directory itself was renamed.
    pub(crate) const MOVE_SELF: Self = Self(0x800);
    /// Events were lost, because nobody read them: look at everything again.
    pub(crate) const OVERFLOW: Self = Self(0x4000);
    /// The watch is gone: what it watched was removed or unmounted, or it was ended.
    pub(crate) const IGNORED: Self = Self(0x8000);

    /// The watch ends with its first event (`IN_ONESHOT`).
    pub(crate) const ONCE: Self = Self(0x8000_0000);

    /// Names that come and go in a directory, and the end of the directory itself.
    pub(crate) const NAMES: Self = Self::MOVED_FROM
        .union(Self::MOVED_TO)
        .union(Self::CREATE)
        .union(Self::DELETE)
        .union(Self::DELETE_SELF)
        .union(Self::MOVE_SELF);

    /// Both sets together.
    #[must_use]
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the two sets share a kind of event.
    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// What it happened to; it means nothing for [`Mask::OVERFLOW`].
    pub watch: WatchId,
    /// What happened.
    pub mask: Mask,
    /// The name in the watched directory that it happened to.
    pub name: Option<OsString>,
}

/// An inotify descriptor.
#[derive(Debug)]
pub(crate) struct Inotify {
    fd: OwnedFd,
}

impl Inotify {
    /// Makes a descriptor that watches nothing yet. Children do not inherit it.
    ///
    /// # Errors
    /// Where the user has too many of them (`fs.inotify.max_user_instances`), or the process too
    /// many descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { fd })
    }

    /// Watches the file or directory at `path` for `mask`. What stands in `mask` replaces what was
    /// watched for before on the same file.
    ///
    /// # Errors
    /// Where `path` cannot be read, or the user watches too much already
    /// (`fs.inotify.max_user_watches`, told as `ENOSPC`).
    pub(crate) fn watch(&self, path: &Path, mask: Mask) -> io::Result<WatchId> {
        let flags = WatchFlags::from_bits_retain(mask.0);
        Ok(WatchId(inotify::add_watch(&self.fd, path, flags)?))
    }

    /// Ends a watch; one that has ended by itself is no error.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub(crate) fn unwatch(&self, watch: WatchId) -> io::Result<()> {
        match inotify::remove_watch(&self.fd, watch.0) {
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes the events that wait, as many as one read gives; none where none wait. The descriptor
    /// stays readable while there are more.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub(crate) fn read_events(&self) -> io::Result<Vec<Event>> {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 16 * 1024];
        let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
        let mut events = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => events.push(Event {
                    watch: WatchId(event.wd()),
                    mask: Mask(event.events().bits()),
                    name: event
                        .file_name()
                        .map(|name| OsStr::from_bytes(name.to_bytes()).to_owned()),
                }),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(events),
                Err(errno) => return Err(errno.into()),
            }
            if reader.is_buffer_empty() {
                return Ok(events);
            }
        }
    }

    /// Sleeps until an event waits (true), or the time is over (false). Without a time-out it
    /// sleeps as long as nothing happens. A signal that is handled does not end the wait.
    ///
    /// # Errors
    /// Where the kernel refuses to wait.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        // A time-out beyond what the clock can count is none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = match deadline {
                None => None,
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    Timespec::try_from(left).ok()
                }
            };
            let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
            match poll(&mut fds, left.as_ref()) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const SOON: Option<Duration> = Some(Duration::from_secs(10));

    #[test]
    fn tells_names_and_writes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let inotify = Inotify::new().unwrap();
        let names = inotify.watch(dir.path(), Mask::NAMES).unwrap();
        assert!(!inotify.wait(Some(Duration::ZERO)).unwrap());
        assert!(inotify.read_events().unwrap().is_empty());

        fs::write(&file, "").unwrap();
        assert!(inotify.wait(SOON).unwrap());
        let events = inotify.read_events().unwrap();
        assert_eq!(events[0].watch, names);
        assert!(events[0].mask.intersects(Mask::CREATE));
        assert_eq!(events[0].name.as_deref(), Some(OsStr::new("file")));

        let bytes = inotify.watch(&file, Mask::MODIFY).unwrap();
        assert_eq!(inotify.watch(&file, Mask::MODIFY).unwrap(), bytes);
        fs::write(&file, "x").unwrap();
        assert!(inotify.wait(SOON).unwrap());
        assert!(
            inotify
                .read_events()
                .unwrap()
                .iter()
                .all(|event| event.watch == bytes)
        );
    }

    #[test]
    fn a_watch_that_is_gone_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let inotify = Inotify::new().unwrap();
        let watch = inotify.watch(&file, Mask::MODIFY).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(
            inotify.read_events().unwrap()[0]
                .mask
                .intersects(Mask::IGNORED)
        );
        inotify.unwatch(watch).unwrap();
        assert!(inotify.watch(&file, Mask::MODIFY).is_err());
    }
}
