//! The lock that makes a supervisor the only one of its home: an open-file-description lock (`fcntl(2)`, `F_OFD_SETLK`).
//!
//! It belongs to the open file and not to the process, so it outlives a supervisor whose descriptor lies in the store
//! too, it travels to a successor over a socket, and a reader can ask whether it is held without taking it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};

fn whole_file(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Opens `path` (made where missing, mode 0600) and takes the lock; `None` where somebody else holds it.
///
/// # Errors
/// Those of `open(2)` and `fcntl(2)`.
pub(crate) fn acquire(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    Ok(take(&file)?.then_some(file))
}

/// Takes the lock through a file that is open for writing; `false` where somebody else holds it. Who has it keeps it.
///
/// # Errors
/// Those of `fcntl(2)`, such as that the file system has no locks.
pub(crate) fn take(file: &File) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        // Which of the two it is, `fcntl(2)` leaves open.
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives the lock back, whoever else holds a copy of the descriptor.
///
/// # Errors
/// Those of `fcntl(2)`.
pub(crate) fn release(lock: &File) -> io::Result<()> {
    fcntl(lock, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_UNLCK)))?;
    Ok(())
}

/// Whether somebody holds the lock on `path` (`flock(2)`).
pub(crate) fn is_held(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    // A read lock is what a descriptor opened for reading may ask about; it conflicts with the supervisor's write lock.
    let mut probe = whole_file(libc::F_RDLCK);
    match fcntl(&file, FcntlArg::F_OFD_GETLK(&mut probe)) {
        Ok(_) => i32::from(probe.l_type) != libc::F_UNLCK,
        Err(_) => false,
    }
}

/// Waits until this process alone holds `directory` for starting a supervisor (`flock(2)` on the directory itself), but
/// not longer than `patience`.
///
/// The lock is given back when the returned file is closed.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] where somebody else holds it all the time.
pub(crate) fn wait_for_turn(directory: &Path, patience: Duration) -> io::Result<File> {
    use rustix::fs::FlockOperation;
    let take = |file: File, operation: FlockOperation| loop {
        match rustix::fs::flock(&file, operation) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(io::Error::from(errno)),
        }
    };
    let file = File::open(directory)?;
    match take(file.try_clone()?, FlockOperation::NonBlockingLockExclusive) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        taken => return taken,
    }
    // The kernel waits for it without a limit: so that is done by a thread, which is left behind where it takes too long,
    // and gives the lock back when it gets it too late.
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(take(file, FlockOperation::LockExclusive)));
    told.recv_timeout(patience)
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_does_not_come_is_not_waited_for_without_end() {
        let directory = tempfile::tempdir().unwrap();
        let turn = wait_for_turn(directory.path(), Duration::ZERO).unwrap();
        let error = wait_for_turn(directory.path(), Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(turn);
        wait_for_turn(directory.path(), Duration::from_mins(1)).unwrap();
    }
}
