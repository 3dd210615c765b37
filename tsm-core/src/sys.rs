//! All that is unsafe or bound to the operating system, each behind a small safe function.
//!
//! This is the only module where `unsafe` may stand, and the only one that names the crates through which the
//! kernel is called. Its functions return [`std::io::Result`]; the caller adds the process or path that it was about.

#![expect(unsafe_code, reason = "this is where it lives")]

pub mod account;
pub(crate) mod cgroup;
pub mod clock;
pub(crate) mod errno;
pub mod fd;
pub(crate) mod guarded;
pub(crate) mod holes;
pub(crate) mod inotify;
pub mod limits;
pub(crate) mod listening;
pub(crate) mod lock;
pub(crate) mod oom;
pub mod pidfd;
pub mod poll;
pub mod procfs;
pub mod signal;
pub(crate) mod socket;
pub(crate) mod spawn;
pub(crate) mod standing;
pub(crate) mod wall;

pub use pidfd::{Identity, Pidfd, WaitStatus};
pub use signal::Signal;

use crate::error::BestEffort as _;

/// The file-mode creation mask of this process; it is read without being changed for longer than an instant.
///
/// See `umask(2)`: the kernel offers no call that only reads it, but `/proc/self/status` shows it.
pub fn umask() -> u32 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("Umask:"))
        .and_then(|value| u32::from_str_radix(value.trim(), 8).ok())
        .unwrap_or(0o022)
}

/// What this machine calls itself (`uname(2)`).
pub(crate) fn host_name() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}

/// Whether an error only says that the system, or this process, has no descriptor or no memory left now.
pub(crate) fn is_out_of_resources(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)
    )
}

/// Whether this process may execute a file (`access(2)` with `X_OK`).
///
/// # Errors
/// Why it may not, or that there is no such file.
pub(crate) fn may_execute(path: &std::path::Path) -> std::io::Result<()> {
    Ok(rustix::fs::access(path, rustix::fs::Access::EXEC_OK)?)
}

/// Sets the file-mode creation mask of this process (`umask(2)`).
pub(crate) fn set_umask(mask: u32) {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
}

/// The id of this machine (`machine-id(5)`); `None` where it has none, as in many containers.
pub(crate) fn machine_id() -> Option<String> {
    let files = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    let texts = files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok());
    texts
        .map(|text| text.trim().to_owned())
        .find(|id| is_machine_id(id))
}

/// Whether it looks like one: 32 hexadecimal digits (`machine-id(5)`).
pub(crate) fn is_machine_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Names this process for `ps` and `top` (`PR_SET_NAME` of `prctl(2)`, at most 15 bytes).
pub(crate) fn set_process_name(name: &std::ffi::CStr) {
    rustix::thread::set_name(name).best_effort("a process that cannot be named works all the same");
}

/// Makes this process the one to which orphans among its descendants are given (`PR_SET_CHILD_SUBREAPER`).
///
/// # Errors
/// Those of `prctl(2)`.
pub(crate) fn become_subreaper() -> std::io::Result<()> {
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?;
    Ok(())
}

/// The pid of this process's parent (`getppid(2)`); 0 where that is outside of its name space.
pub fn parent() -> u32 {
    let parent = rustix::process::getppid();
    parent.map_or(0, |pid| pid.as_raw_nonzero().get() as u32)
}

/// Flushes the file system that holds `file` to the disk (`syncfs(2)`).
///
/// # Errors
/// Those of `syncfs(2)`: the disk did not take everything.
pub(crate) fn sync_file_system(file: impl std::os::fd::AsFd) -> std::io::Result<()> {
    rustix::fs::syncfs(file)?;
    Ok(())
}

/// What is left of a file system, for a user without privileges, and what it has.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes that are free.
    pub free_bytes: u64,
    /// All bytes.
    pub all_bytes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
    /// All inodes; 0 where the file system makes them as it needs them.
    pub all_inodes: u64,
}

/// How much room there is on the file system that holds `path` (`statvfs(3)`).
///
/// # Errors
/// Those of `statvfs(3)`.
pub fn room(path: &std::path::Path) -> std::io::Result<Room> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Room {
        free_bytes: stat.f_bavail * stat.f_frsize,
        all_bytes: stat.f_blocks * stat.f_frsize,
        free_inodes: stat.f_favail,
        all_inodes: stat.f_files,
    })
}

/// Opens a file or directory for looking at it and setting its mode; a link in its place is not followed.
///
/// # Errors
/// Those of `open(2)`, `ELOOP` where it is a link.
pub(crate) fn open_as_it_is(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(OPEN_SAFELY | libc::O_NOCTTY)
        .open(path)
}

/// Free bytes, for a user without privileges, of the file system that holds `path`.
///
/// # Errors
/// Those of `statvfs(3)`.
pub(crate) fn free_bytes(path: &std::path::Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail * stat.f_frsize)
}

/// Lets two files of one file system change places in one step (`renameat2(2)`, `RENAME_EXCHANGE`). Where `target` is not
/// there, or the file system cannot do it, `source` is renamed to `target`.
///
/// # Errors
/// Those of `rename(2)`; then both are as they were.
pub(crate) fn exchange(source: &std::path::Path, target: &std::path::Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, source, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::rename(source, target)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Whether nobody else has this file open, for sure: where that cannot be told, it counts as not alone.
///
/// It takes a write lease (`fcntl(2)`, "Leases"), which the kernel grants only then, and which holds until the file is
/// closed: who opens the file meanwhile waits for that. The kernel says so by SIGIO, which the caller has to ignore.
pub(crate) fn is_alone_with(file: impl std::os::fd::AsFd) -> bool {
    use std::os::fd::AsRawFd as _;
    // SAFETY: fcntl with F_SETLEASE takes a descriptor and a number.
    unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) == 0 }
}

/// On how many cores this process may run (`sched_getaffinity(2)`). Quotas of cgroups are not asked for: that takes longer than what is shared out.
pub fn cores() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count() as usize)
}

/// Gives memory that was freed back to the system, as far as the allocator can (`malloc_trim(3)`).
pub(crate) fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number and touches nothing but free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Opens a file for reading. A FIFO in its place, which would keep who opens it waiting for ever, is opened at once and
/// has nothing in it.
///
/// # Errors
/// Those of `open(2)`.
pub(crate) fn open_without_waiting(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

/// As [`open_without_waiting`], of a name in a directory: the kernel need not walk the path again for each of many.
///
/// # Errors
/// Those of `openat(2)`.
pub(crate) fn open_without_waiting_in(
    directory: std::os::fd::BorrowedFd<'_>,
    name: &str,
) -> std::io::Result<std::fs::File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    Ok(fd.into())
}

/// Opens a regular file for writing, made with mode 0600 where it is missing; what it holds stays. A link in its place is
/// not followed: what it leads to is somebody else's.
///
/// # Errors
/// Those of `open(2)`, `ELOOP` where it is a link; [`std::io::ErrorKind::InvalidInput`] where it is no regular file.
pub(crate) fn open_for_writing(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.custom_flags(OPEN_SAFELY).open(path)?;
    only_regular(&file)?;
    Ok(file)
}

/// Flags for [`std::os::unix::fs::OpenOptionsExt::custom_flags`]: a FIFO keeps nobody waiting, and a link is not followed.
pub(crate) const OPEN_SAFELY: i32 = libc::O_NONBLOCK | libc::O_NOFOLLOW;

/// As [`open_for_writing`], for writes at the end (`O_APPEND` of `open(2)`).
///
/// # Errors
/// As for [`open_for_writing`].
pub(crate) fn open_for_appending(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    let file = options.custom_flags(OPEN_SAFELY).open(path)?;
    only_regular(&file)?;
    Ok(file)
}

/// Refuses what is not a regular file.
///
/// # Errors
/// [`std::io::ErrorKind::InvalidInput`] for that, and those of `fstat(2)`.
pub(crate) fn only_regular(file: &std::fs::File) -> std::io::Result<()> {
    if file.metadata()?.is_file() {
        return Ok(());
    }
    Err(std::io::Error::new(
        std::io::ErrorKind::InvalidInput,
        "it is not a regular file",
    ))
}

/// Lets go of the pages of program files that were needed until now, code and constants; those that are needed again come
/// back from the page cache. What only a start needs is most of what a supervisor ever executes.
pub(crate) fn release_code() {
    for (from, length) in code_to_release() {
        // SAFETY: a private mapping of a file that may not be written, and never could (elf(5): the ELF header and code
        // are in segments without PF_W, and text relocations are refused by the linker), holds nothing but the file's own
        // bytes, which the kernel reads again when they are used; see madvise(2), MADV_DONTNEED.
        unsafe {
            let address = std::ptr::without_provenance_mut(from);
            libc::madvise(address, length, libc::MADV_DONTNEED);
        }
    }
}

/// Where the pages of program files are that hold nothing but what stands in these files: addresses and lengths.
fn code_to_release() -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(range), Some(access), Some(offset)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        // Of read-only segments only the first of a file, with the linker's notes and constants:
        // others may have been written to before they were protected (relocations).
        let begins_the_file = offset.bytes().all(|digit| digit == b'0');
        if access != "r-xp" && !(access == "r--p" && begins_the_file) {
            continue;
        }
        let bounds = range.split_once('-').and_then(|(from, to)| {
            Some((
                usize::from_str_radix(from, 16).ok()?,
                usize::from_str_radix(to, 16).ok()?,
            ))
        });
        // Only files: the kernel's own mappings and plain memory have no path.
        let (Some((from, to)), true) = (bounds, line.contains(" /")) else {
            continue;
        };
        found.push((from, to - from));
    }
    found
}
