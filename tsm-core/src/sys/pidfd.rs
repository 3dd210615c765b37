//! Process handles that cannot be reused (`pidfd_open(2)`), and how a process ended.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use super::{Signal, procfs};

/// A process, told from every other that ever bears the same pid in this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitStatus {
    /// It exited with this status.
    Code(i32),
    /// A signal ended it; `core` where the kernel dumped core.
    Signal {
        /// The signal's number.
        number: i32,
        /// Whether a core was dumped.
        core: bool,
    },
    /// It ended while nobody who could ask was there.
    Unknown,
}

impl WaitStatus {
    /// Reads a status in the form of `wait(2)`.
    pub fn from_raw(raw: i32) -> Self {
        match raw & 0x7f {
            0 => Self::Code((raw >> 8) & 0xff),
            number => Self::Signal {
                number,
                core: raw & 0x80 != 0,
            },
        }
    }

    /// Exit status 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// A handle on one process: signals sent through it reach that process or nobody.
#[derive(Debug)]
pub struct Pidfd(OwnedFd);

/// `PIDFD_GET_INFO` with the first version of `struct pidfd_info` (64 bytes), see `include/uapi/linux/pidfd.h`.
const GET_INFO: libc::Ioctl = 0xC040_FF0B_u32 as libc::Ioctl;
/// Asks for, and marks as given, the exit status of a process that was reaped.
const INFO_EXIT: u64 = 1 << 3;

#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    pid: u32,
    thread_group: u32,
    parent: u32,
    ids: [u32; 8],
    exit_code: i32,
}

impl Pidfd {
    /// Opens a handle on a child of this process, whose pid therefore cannot have been given to another.
    ///
    /// # Errors
    /// Those of `pidfd_open(2)`: it is no child any more, or no descriptor is left.
    pub fn open_child(pid: u32) -> io::Result<Self> {
        let pid = Pid::from_raw(pid as i32).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self(rustix::process::pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Opens a handle on exactly this process; `None` where it is gone or the pid is another's by now.
    ///
    /// # Errors
    /// Those of `pidfd_open(2)`: no descriptor is left. That is not the answer that it is gone.
    pub fn open(identity: Identity) -> io::Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(identity.pid as i32) else {
            return Ok(None);
        };
        let handle = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Self(fd),
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        // The handle is on whoever has the pid now; if the start time agrees *after* opening, it is the right one.
        let is_it = procfs::look(identity.pid)?.is_some_and(|p| p.identity == identity);
        Ok(is_it.then_some(handle))
    }

    /// A handle that came back from the store, if the descriptor is one.
    pub fn from_fd(fd: OwnedFd) -> Option<Self> {
        // `anon_inode:[pidfd]`, or `pidfd:[N]` with newer kernels.
        let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
        link.to_string_lossy().contains("pidfd").then_some(Self(fd))
    }

    /// Sends a signal; `false` where the process is gone.
    ///
    /// # Errors
    /// Those of `pidfd_send_signal(2)`: this process may not.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        // SAFETY: pidfd_send_signal takes a descriptor, a number, and an optional siginfo, here none.
        let done = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal.number(),
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if done == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
            error => Err(error),
        }
    }

    /// The status of a child of this process that has ended, leaving the zombie; `None` while it runs.
    /// [`io::ErrorKind::NotFound`]-like `ECHILD` where it is no child of ours.
    ///
    /// # Errors
    /// Those of `waitid(2)`.
    pub fn peek(&self) -> io::Result<Option<WaitStatus>> {
        self.wait(WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
    }

    /// Like [`Self::peek`], and the zombie is gone afterwards.
    ///
    /// # Errors
    /// Those of `waitid(2)`, as for [`Self::peek`].
    pub fn reap(&self) -> io::Result<Option<WaitStatus>> {
        self.wait(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    fn wait(&self, options: WaitIdOptions) -> io::Result<Option<WaitStatus>> {
        let status = rustix::process::waitid(WaitId::PidFd(self.0.as_fd()), options)?;
        Ok(status.map(|status| {
            if let Some(code) = status.exit_status() {
                WaitStatus::Code(code)
            } else if let Some(number) = status.terminating_signal() {
                WaitStatus::Signal {
                    number,
                    core: status.dumped(),
                }
            } else {
                WaitStatus::Unknown
            }
        }))
    }

    /// The status of a process that somebody else has reaped (`PIDFD_GET_INFO` of `ioctl_pidfd(2)`, Linux 6.15 and newer); `None` where
    /// the kernel does not tell, or it has not been reaped yet.
    pub fn exit_info(&self) -> Option<WaitStatus> {
        let mut info = PidfdInfo {
            mask: INFO_EXIT,
            ..PidfdInfo::default()
        };
        // SAFETY: the request's size is that of the struct, which the kernel fills.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), GET_INFO, &raw mut info) };
        (done == 0 && info.mask & INFO_EXIT != 0).then(|| WaitStatus::from_raw(info.exit_code))
    }

    /// Whether the process has ended (its handle is readable then).
    pub fn has_ended(&self) -> bool {
        super::poll::wait_readable(&self.0, Some(std::time::Duration::ZERO)).unwrap_or(false)
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sends a signal to all of a process group. `false` where it has no member.
///
/// The caller must know that the group is its own: its leader is a zombie that it holds, or alive and identified, or a
/// member was identified a moment before.
///
/// # Errors
/// Those of `kill(2)`: this process may signal none of them.
pub fn signal_group(group: u32, signal: Signal) -> io::Result<bool> {
    debug_assert!(group > 1, "0 would be our own group and 1 everybody");
    if group <= 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: kill takes two numbers.
    if unsafe { libc::kill(-(group as i32), signal.number()) } == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        error => Err(error),
    }
}

/// A child of this process that has ended and is not reaped yet, whichever it is (`waitid(2)` with `WNOWAIT`); `None` where there is none.
pub(crate) fn any_ended_child() -> Option<u32> {
    // SAFETY: waitid fills the siginfo that it is given; all zeroes is a valid one.
    let (done, info) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let done = libc::waitid(
            libc::P_ALL,
            0,
            &raw mut info,
            libc::WEXITED | libc::WNOHANG | libc::WNOWAIT,
        );
        (done, info)
    };
    let pid = if done == 0 {
        // SAFETY: waitid succeeded, so the union holds the fields of SIGCHLD, or zeroes where no child has ended.
        unsafe { info.si_pid() }
    } else {
        0
    };
    (pid > 0).then_some(pid as u32)
}

/// Whether a child of this process was stopped by a signal since this was last asked (`WSTOPPED` of `waitid(2)`).
pub(crate) fn was_stopped(pid: u32) -> bool {
    let Some(pid) = Pid::from_raw(pid as i32) else {
        return false;
    };
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    matches!(rustix::process::waitid(WaitId::Pid(pid), options), Ok(Some(status)) if status.stopped())
}

/// Reaps one ended child by its pid (`waitid(2)`); `None` where it is not ours or has not ended.
pub(crate) fn reap_child(pid: u32) -> Option<WaitStatus> {
    let mut raw = 0;
    // SAFETY: waitpid writes one status.
    let done = unsafe { libc::waitpid(pid as i32, &raw mut raw, libc::WNOHANG) };
    (done == pid as i32).then(|| WaitStatus::from_raw(raw))
}
