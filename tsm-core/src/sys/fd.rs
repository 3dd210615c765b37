//! Descriptors: the log pipe (`pipe(7)`), moving bytes (`splice(2)`, `tee(2)`), and closing what must not be inherited. All that is made
//! here closes when a program is executed; who hands one over says so.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, SpliceFlags};

/// For opening a file that may turn out to be a FIFO: nobody at its other end is waited for (`O_NONBLOCK`).
pub(crate) const NONBLOCK: i32 = libc::O_NONBLOCK;

/// Both ends of a log pipe.
#[derive(Debug)]
pub struct LogPipe {
    /// The supervisor's end: non-blocking, close-on-exec.
    pub reader: OwnedFd,
    /// The service's end. It is opened for reading too, so that a pipe whose supervisor and store are both gone still
    /// has a reader (the service itself): a write then waits and never raises SIGPIPE, and the next supervisor can
    /// open the pipe again through `/proc/PID/fd`.
    pub writer: OwnedFd,
    /// The pipe's inode number, by which it is found again among the descriptors of a process.
    pub inode: u64,
}

/// Makes a log pipe (`pipe(7)`).
///
/// # Errors
/// Those of `pipe(2)`: no descriptor is left.
pub(crate) fn log_pipe() -> io::Result<LogPipe> {
    let (reader, write_only) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // Opened anew rather than duplicated: `O_NONBLOCK` belongs to the open file, and a service must
    // not have it.
    let writer = rustix::fs::open(
        format!("/proc/self/fd/{}", write_only.as_raw_fd()),
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let inode = rustix::fs::fstat(&reader)?.st_ino;
    Ok(LogPipe {
        reader,
        writer,
        inode,
    })
}

/// Both ends of a log pipe once more, from its reading end: for a further writer.
///
/// # Errors
/// Those of `open(2)`: no descriptor is left, or `/proc` is not there.
pub(crate) fn log_pipe_again(reader: &OwnedFd) -> io::Result<LogPipe> {
    let again = |flags: OFlags| {
        rustix::fs::open(
            format!("/proc/self/fd/{}", reader.as_raw_fd()),
            flags | OFlags::CLOEXEC,
            Mode::empty(),
        )
    };
    Ok(LogPipe {
        reader: again(OFlags::RDONLY | OFlags::NONBLOCK)?,
        writer: again(OFlags::RDWR)?,
        inode: inode(reader)?,
    })
}

/// Makes a plain pipe, both ends close-on-exec: the one to read from, and the one to write to.
///
/// # Errors
/// Those of `pipe(2)`: no descriptor is left.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?)
}

/// As [`pipe`], for who reads in a loop: a read that finds nothing does not wait (`O_NONBLOCK`).
///
/// # Errors
/// As [`pipe`].
pub fn pipe_to_poll() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe()?;
    set_nonblocking(&reader)?;
    Ok((reader, writer))
}

/// The inode number behind a descriptor.
///
/// # Errors
/// Those of `fstat(2)`.
pub(crate) fn inode(fd: impl AsFd) -> io::Result<u64> {
    Ok(rustix::fs::fstat(fd)?.st_ino)
}

/// Gives a pipe to a user, so that `echo x > /dev/stderr` (which opens it again) works for a service of that user.
///
/// # Errors
/// Those of `fchown(2)`: only root may.
pub(crate) fn give_to(fd: impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    rustix::fs::fchown(
        fd,
        Some(rustix::fs::Uid::from_raw(uid)),
        Some(rustix::fs::Gid::from_raw(gid)),
    )?;
    Ok(())
}

/// Makes reads and writes return `WouldBlock` rather than wait.
///
/// # Errors
/// Those of `fcntl(2)`.
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
    Ok(())
}

/// Sets or clears close-on-exec.
///
/// # Errors
/// Those of `fcntl(2)`.
pub(crate) fn set_cloexec(fd: impl AsFd, on: bool) -> io::Result<()> {
    let flags = if on {
        rustix::io::FdFlags::CLOEXEC
    } else {
        rustix::io::FdFlags::empty()
    };
    rustix::io::fcntl_setfd(fd, flags)?;
    Ok(())
}

/// Widens a pipe to at most `bytes` (`F_SETPIPE_SZ` of `fcntl(2)`); a refusal (the user's share is used up) is no error.
pub(crate) fn widen_pipe(pipe: impl AsFd, bytes: usize) -> bool {
    rustix::pipe::fcntl_setpipe_size(pipe, bytes).is_ok()
}

/// How many bytes wait in a pipe (`FIONREAD` of `ioctl(2)`, `pipe(7)`).
pub(crate) fn bytes_waiting(pipe: impl AsFd) -> u64 {
    rustix::io::ioctl_fionread(pipe).unwrap_or(0)
}

/// Reads what there is (`read(2)`); 0 is the end.
///
/// # Errors
/// Those of `read(2)`, [`io::ErrorKind::WouldBlock`] where there is nothing yet.
pub fn read(fd: impl AsFd, bytes: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(fd, bytes)?)
}

/// The same descriptor under a number of at least `least`, close-on-exec, where it has a lower one.
///
/// # Errors
/// Those of `fcntl(2)`: no such number is allowed (`RLIMIT_NOFILE`).
pub fn above(fd: OwnedFd, least: RawFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= least {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, least)?)
}

/// Moves up to `max` bytes from a pipe into `file` at `offset`, without copying them through this process and without
/// waiting (`splice(2)`). Returns the bytes moved: 0 is the end of the pipe, [`io::ErrorKind::WouldBlock`] an empty one.
///
/// # Errors
/// Those of `splice(2)`: besides an empty pipe, what the file system says, such as [`io::ErrorKind::StorageFull`].
pub(crate) fn splice(pipe: impl AsFd, file: &File, offset: u64, max: usize) -> io::Result<usize> {
    let mut offset = offset;
    Ok(rustix::pipe::splice(
        pipe,
        None,
        file,
        Some(&mut offset),
        max,
        SpliceFlags::MOVE | SpliceFlags::NONBLOCK,
    )?)
}

/// What waits in a pipe, at most its first 64 KiB, which stay in it (`tee(2)`).
///
/// # Errors
/// Those of `pipe(2)` and `tee(2)`.
pub(crate) fn peek(pipe: impl AsFd) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    const MOST: usize = 64 << 10;
    let (reader, writer) = pipe_to_poll()?;
    let flags = SpliceFlags::NONBLOCK;
    match rustix::pipe::tee(pipe, &writer, MOST, flags) {
        Ok(_) | Err(rustix::io::Errno::AGAIN) => {}
        Err(errno) => return Err(errno.into()),
    }
    drop(writer);
    let mut bytes = Vec::with_capacity(MOST + 1);
    File::from(reader).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Waits until there is something to be read from `source`, or until nobody is left to read what is written into `sink`
/// (`poll(2)`). Tells whether it is the latter.
///
/// # Errors
/// Those of `poll(2)`.
pub fn wait_while_read(source: impl AsFd, sink: impl AsFd) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags};
    let (source, sink) = (source.as_fd(), sink.as_fd());
    let mut both = [
        PollFd::from_borrowed_fd(source, PollFlags::IN),
        // `poll(2)` reports the end even where no event is asked for.
        PollFd::from_borrowed_fd(sink, PollFlags::empty()),
    ];
    match rustix::event::poll(&mut both, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {
            let end = PollFlags::ERR | PollFlags::HUP;
            Ok(both[1].revents().intersects(end))
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Takes up to `max` bytes out of a pipe (`read(2)`).
///
/// # Errors
/// Those of `read(2)`, [`io::ErrorKind::WouldBlock`] where there is nothing yet.
pub fn take(pipe: impl AsFd, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; max];
    let length = rustix::io::read(pipe, &mut bytes[..])?;
    bytes.truncate(length);
    Ok(bytes)
}

/// A file without a name that lives in memory (`memfd_create(2)`).
///
/// # Errors
/// Those of `memfd_create(2)`: no descriptor or no memory is left.
pub(crate) fn memory_file(name: &std::ffi::CStr) -> io::Result<File> {
    let file = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?;
    Ok(file.into())
}

/// Opens what descriptor `fd` of process `pid` refers to (`proc_pid_fd(5)`), for reading and non-blocking, if it is the pipe `inode`.
pub(crate) fn reopen_pipe(pid: u32, fd: &str, inode: u64) -> Option<OwnedFd> {
    let path = format!("/proc/{pid}/fd/{fd}");
    if std::fs::read_link(&path).ok()?.to_str()? != format!("pipe:[{inode}]") {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&path, flags, Mode::empty()).ok()?;
    // The link was read before the file was opened, so that it may have been another one's by then.
    (rustix::fs::fstat(&opened).ok()?.st_ino == inode).then_some(opened)
}

/// Closes the descriptors of a range, ends included (`close_range(2)`).
pub(super) fn close_range(from: RawFd, to: RawFd) {
    // SAFETY: close_range only closes descriptors; the callers of this module call it where no owner of one is left.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            from as libc::c_uint,
            to as libc::c_uint,
            0,
        );
    }
}

/// Takes ownership of a descriptor that this process was started with, and makes it close-on-exec (`F_SETFD` of `fcntl(2)`).
///
/// Returns `None` where no such descriptor is open. Call it once for each number.
pub(crate) fn adopt(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: fcntl(F_GETFD) on any number is harmless and tells whether it is open.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: the descriptor is open, it was inherited, and the caller takes each number once.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    set_cloexec(&owned, true).ok()?;
    Some(owned)
}

/// Points standard input, output or error (0, 1, 2) at `target`.
///
/// # Errors
/// Those of `dup2(2)`.
pub(crate) fn replace_stdio(number: RawFd, target: BorrowedFd<'_>) -> io::Result<()> {
    match number {
        0 => rustix::stdio::dup2_stdin(target)?,
        1 => rustix::stdio::dup2_stdout(target)?,
        _ => rustix::stdio::dup2_stderr(target)?,
    }
    Ok(())
}
