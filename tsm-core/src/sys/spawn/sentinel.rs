//! A child of the guardian that waits for the guardian's end and then executes a program. It also continues a guardian that somebody
//! stopped and whose supervisor ended: that one would start no other.
//!
//! It is forked and not executed, so that it costs the few pages that it writes: the others it shares with the guardian. It makes its
//! system calls itself, holds no descriptor but the handle that it waits for and the log, and uses no memory but what was
//! prepared before.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::{pointers, raw};
use crate::sys::Pidfd;

/// What the guardian needs to have a sentinel. Nothing is allocated when it is used.
#[derive(Debug)]
pub(crate) struct SentinelImage {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    /// A handle on this very process.
    guardian: OwnedFd,
    /// `/proc/PID/stat` of this process.
    stat: CString,
    /// What its command line is to say, and where.
    title: Option<(usize, Vec<u8>)>,
    /// What need not be in memory while it waits.
    code: Vec<(usize, usize)>,
}

/// How often it is looked whether a guardian without a supervisor is stopped: after a second, two, four …
const LOOKS: u32 = 8;
/// How often the program is executed where that fails: it may be just being replaced, or have lost its mode for a while. After a second, two, four …
const TRIES: u32 = 20;
/// … and no more than so many seconds later.
const LONGEST_PAUSE: i64 = 30;

impl SentinelImage {
    /// Prepares it: `program` is executed with `arguments` (its own name first) when this process has ended otherwise than
    /// having ended the sentinel before.
    ///
    /// # Errors
    /// Those of `pidfd_open(2)`.
    pub(crate) fn new(
        program: CString,
        arguments: Vec<CString>,
        environment: Vec<CString>,
    ) -> io::Result<Self> {
        Ok(Self {
            title: title(&arguments),
            program,
            arguments,
            environment,
            guardian: pidfd_open(getpid(), PidfdFlags::empty())?,
            stat: CString::new(format!("/proc/{}/stat", std::process::id()))?,
            code: crate::sys::code_to_release(),
        })
    }

    /// Forks one, for the time of this supervisor, where there is one. This process must have no thread besides.
    ///
    /// # Errors
    /// Those of `fork(2)`: no memory is left, or the user has too many processes.
    pub(crate) fn fork(&self, supervisor: Option<&Pidfd>) -> io::Result<u32> {
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        // SAFETY: the child works on memory prepared above, by system calls alone, and executes or ends.
        let pid = unsafe { raw::fork() };
        if pid < 0 {
            return Err(io::Error::from_raw_os_error(-pid as i32));
        }
        if pid > 0 {
            return Ok(pid as u32);
        }
        // A session of its own, so that a signal to the guardian's group does not end it as well.
        raw::setsid();
        raw::name(c"tsm-sentinel");
        if let Some((address, title)) = &self.title {
            // SAFETY: there this process's command line lies, which is as long, writable, and read by nobody in this child.
            unsafe { raw::overwrite(*address, title) };
        }
        let guardian = self.guardian.as_fd().as_raw_fd();
        let supervisor = supervisor.map_or(-1, |handle| handle.as_fd().as_raw_fd());
        raw::dup2(0, 1);
        close_all_but([guardian.min(supervisor), guardian.max(supervisor)]);
        raw::unblock_signals();
        for &(address, length) in &self.code {
            // SAFETY: nothing but code and constants, as they stand in their files.
            unsafe { raw::release(address, length) };
        }
        self.wait(guardian, supervisor);
        let mut pause = 1;
        for number in 0..TRIES {
            raw::execute(&self.program, &arguments, &environment);
            if number == 0 {
                raw::write(2, b"sentinel: cannot execute the program that brings guardian and supervisor back; trying again for some minutes\n");
            }
            raw::wait_for_end([-1, -1], pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        raw::write(2, b"sentinel: cannot execute the program that brings guardian and supervisor back; the next command starts both\n");
        raw::exit(127)
    }

    /// Returns when the guardian has ended.
    fn wait(&self, guardian: RawFd, mut supervisor: RawFd) {
        let (mut looks, mut seconds) = (0, 0);
        loop {
            let [ended, alone] = raw::wait_for_end([guardian, supervisor], seconds);
            if ended {
                return;
            }
            if alone {
                // A guardian at work starts the next one within moments, and with it another sentinel.
                (supervisor, seconds) = (-1, 1);
                continue;
            }
            if seconds == 0 {
                continue;
            }
            if raw::is_stopped(&self.stat) {
                raw::write(2, b"sentinel: the supervisor ended, and the guardian was stopped by a signal; it is continued\n");
                raw::go_on(guardian);
            }
            looks += 1;
            seconds = if looks < LOOKS { seconds * 2 } else { 0 };
        }
    }
}

/// Closes all descriptors from 3 on but these two, of which the first is not the larger one and may be nobody's.
fn close_all_but([first, second]: [RawFd; 2]) {
    let mut from = 3;
    for kept in [first, second] {
        if kept > from {
            raw::close_range(from, kept - 1);
        }
        from = from.max(kept + 1);
    }
    raw::close_range(from, RawFd::MAX);
}

/// The command line that says what the child is, and where it belongs, where it has just the length of this process's own.
fn title(arguments: &[CString]) -> Option<(usize, Vec<u8>)> {
    let stat = std::fs::read("/proc/self/stat").ok()?;
    let after_name = stat.iter().rposition(|&b| b == b')')? + 2;
    // The state is field 3; proc_pid_stat(5): (48) arg_start, (49) arg_end.
    let mut fields = stat.get(after_name..)?.split(|&b| b == b' ').skip(48 - 3);
    let mut field = || {
        std::str::from_utf8(fields.next()?)
            .ok()?
            .parse::<usize>()
            .ok()
    };
    let (start, end) = (field()?, field()?);
    let own = std::fs::read("/proc/self/cmdline").ok()?;
    let words = OsStr::from_bytes(own.strip_suffix(b"\0")?);
    let first = words.as_bytes().split(|&b| b == 0).next()?;
    let mut title = first.to_vec();
    for word in arguments.iter().skip(1) {
        title.push(0);
        title.extend(word.as_bytes());
    }
    title.push(0);
    (start > 0 && end.checked_sub(start)? == own.len() && title.len() == own.len())
        .then_some((start, title))
}

/// Words as the kernel takes them.
///
/// # Errors
/// Where one has a zero byte.
pub(crate) fn c_strings(words: impl IntoIterator<Item = OsString>) -> io::Result<Vec<CString>> {
    use std::os::unix::ffi::OsStringExt as _;
    let words = words.into_iter().map(|word| CString::new(word.into_vec()));
    Ok(words.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    use super::*;

    #[test]
    fn who_is_stopped_is_told_and_goes_on() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let handle = Pidfd::open_child(child.id()).unwrap();
        let fd = handle.as_fd().as_raw_fd();
        let stat = CString::new(format!("/proc/{}/stat", child.id())).unwrap();
        let pid = Pid::from_child(&child);
        let wait_until = |what| assert!(waitid(WaitId::Pid(pid), what).unwrap().is_some());

        assert!(!raw::is_stopped(&stat));
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        wait_until(WaitIdOptions::STOPPED);
        assert!(raw::is_stopped(&stat));
        assert_eq!(raw::wait_for_end([fd, -1], 1), [false, false]);
        raw::go_on(fd);
        wait_until(WaitIdOptions::CONTINUED);
        assert!(!raw::is_stopped(&stat));

        child.kill().unwrap();
        assert_eq!(raw::wait_for_end([-1, fd], 0), [false, true]);
        child.wait().unwrap();
        assert!(!raw::is_stopped(&stat), "nobody is not stopped");
    }
}
