//! A child of the guardian that waits for the guardian's end and then executes a program.
//!
//! It is forked and not executed, so that it costs the few pages that it writes: the others it shares with the guardian. It makes its
//! system calls itself, holds no descriptor but the handle that it waits for and the log, and uses no memory but what was
//! prepared before.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::{pointers, raw};

/// What the guardian needs to have a sentinel. Nothing is allocated when it is used.
#[derive(Debug)]
pub struct SentinelImage {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    /// A handle on this very process.
    guardian: OwnedFd,
    /// What its command line is to say, and where.
    title: Option<(usize, Vec<u8>)>,
}

impl SentinelImage {
    /// Prepares it: `program` is executed with `arguments` (its own name first) when this process has ended otherwise than
    /// having ended the sentinel before.
    ///
    /// # Errors
    /// Those of `pidfd_open(2)`.
    pub fn new(
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
        })
    }

    /// Forks one. This process must have no thread besides.
    ///
    /// # Errors
    /// Those of `fork(2)`: no memory is left, or the user has too many processes.
    pub fn fork(&self) -> io::Result<u32> {
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        // SAFETY: the child works on memory prepared above, by system calls alone, and executes or ends.
        let pid = unsafe { raw::fork() };
        if pid < 0 {
            return Err(io::Error::from_raw_os_error(-pid as i32));
        }
        if pid > 0 {
            return Ok(pid as u32);
        }
        // The end of the guardian's session or group is not its own.
        raw::setsid();
        raw::name(c"tsm-sentinel");
        if let Some((address, title)) = &self.title {
            // SAFETY: there this process's command line lies, which is as long, writable, and read by nobody in this child.
            unsafe { raw::overwrite(*address, title) };
        }
        let guardian = self.guardian.as_fd().as_raw_fd();
        raw::dup2(0, 1);
        if guardian > 3 {
            raw::close_range(3, guardian - 1);
        }
        raw::close_range(guardian + 1, i32::MAX);
        raw::unblock_signals();
        raw::wait_for_end(guardian);
        raw::execute(&self.program, &arguments, &environment);
        raw::write(
            2,
            b"tsm-sentinel: cannot execute the program that brings guardian and supervisor back\n",
        );
        raw::exit(127)
    }
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
pub fn c_strings(words: impl IntoIterator<Item = OsString>) -> io::Result<Vec<CString>> {
    use std::os::unix::ffi::OsStringExt as _;
    let words = words.into_iter().map(|word| CString::new(word.into_vec()));
    Ok(words.collect::<Result<_, _>>()?)
}
