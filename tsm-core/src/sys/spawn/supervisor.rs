//! Making a supervisor with the descriptors of the store, and a detached guardian.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::ptr;

use super::pointers;
use crate::sys::fd;

/// How many bytes of names one variable holds.
const NAMES_IN_ONE: usize = 100 << 10;

/// What the guardian executes to have a supervisor. Nothing is allocated when it is used.
#[derive(Debug)]
pub struct SupervisorImage {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl SupervisorImage {
    /// Prepares it; `environment` must not name `LISTEN_*` or `TSM_STORE_FD`.
    pub fn new(program: CString, arguments: Vec<CString>, environment: Vec<CString>) -> Self {
        Self {
            program,
            arguments,
            environment,
        }
    }

    /// Forks a supervisor that gets `fds` as descriptors 3, 4 … (the protocol of `sd_listen_fds(3)`, under `names`
    /// joined by colons) and behind them `channel`, the way back to the store.
    pub fn fork(&self, fds: &[RawFd], names: &[u8], channel: BorrowedFd<'_>) -> io::Result<u32> {
        let count = fds.len();
        let mut moved: Vec<RawFd> = Vec::new();
        moved.try_reserve_exact(count + 1)?;
        moved.extend_from_slice(fds);
        moved.push(channel.as_raw_fd());
        // `LISTEN_PID` is only known to the child, which writes its digits here.
        let mut listen_pid = *b"LISTEN_PID=0000000000\0";
        let mut own: Vec<Vec<u8>> = Vec::new();
        own.try_reserve(4)?;
        own.push(format!("LISTEN_FDS={count}\0").into_bytes());
        // One string may have 128 KiB (`execve(2)`, MAX_ARG_STRLEN): many names are given in several.
        for (number, piece) in names.chunks(NAMES_IN_ONE).enumerate() {
            let variable = match number {
                0 => "LISTEN_FDNAMES=".to_owned(),
                _ => format!("LISTEN_FDNAMES_{number}="),
            };
            own.push([variable.as_bytes(), piece, b"\0"].concat());
        }
        own.push(format!("TSM_STORE_FD={}\0", 3 + count).into_bytes());
        let mut environment = pointers(&self.environment);
        environment.pop();
        environment.push(listen_pid.as_ptr().cast());
        environment.extend(
            own.iter()
                .map(|entry| entry.as_ptr().cast::<libc::c_char>()),
        );
        environment.push(ptr::null());
        let arguments = pointers(&self.arguments);

        // SAFETY: the child makes async-signal-safe calls on memory prepared above, and executes or ends.
        unsafe {
            match libc::fork() {
                -1 => Err(io::Error::last_os_error()),
                0 => {
                    let first_free = 3 + moved.len() as RawFd;
                    for slot in &mut moved {
                        if *slot < first_free {
                            *slot = libc::fcntl(*slot, libc::F_DUPFD_CLOEXEC, first_free);
                        }
                    }
                    for (index, source) in moved.iter().enumerate() {
                        libc::dup2(*source, 3 + index as RawFd);
                    }
                    fd::close_range(first_free, RawFd::MAX);
                    let mut pid = libc::getpid() as u32;
                    for digit in listen_pid[11..21].iter_mut().rev() {
                        *digit = b'0' + (pid % 10) as u8;
                        pid /= 10;
                    }
                    let mut none: libc::sigset_t = std::mem::zeroed();
                    libc::sigemptyset(&raw mut none);
                    libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
                    libc::execve(
                        self.program.as_ptr(),
                        arguments.as_ptr(),
                        environment.as_ptr(),
                    );
                    libc::_exit(127)
                }
                pid => Ok(pid as u32),
            }
        }
    }
}

/// Starts a program in a session of its own that holds nothing of this process: standard input and error as given,
/// no other descriptor, directory `/`. Returns the reading end of its standard output.
pub fn detached(
    program: &Path,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    stderr: std::fs::File,
) -> io::Result<(std::process::Child, OwnedFd)> {
    let (reader, writer) = fd::pipe(false)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::from(writer))
        .stderr(Stdio::from(stderr));
    // SAFETY: setsid and close_range are async-signal-safe. The descriptors are marked and not closed, because the
    // standard library's own pipe is among them until the program is executed.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::syscall(
                libc::SYS_close_range,
                3,
                libc::c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            );
            Ok(())
        });
    }
    let child = command.spawn()?;
    Ok((child, reader))
}

/// The descriptors that this process was started with by a store (`sd_listen_fds(3)`), each with its name, made
/// close-on-exec; none where `LISTEN_PID` is not this process.
pub fn take_listen_fds(lookup: impl Fn(&str) -> Option<OsString>) -> Vec<(String, OwnedFd)> {
    let text = |name: &str| lookup(name).and_then(|value| value.into_string().ok());
    if text("LISTEN_PID").and_then(|pid| pid.parse::<u32>().ok()) != Some(std::process::id()) {
        return Vec::new();
    }
    let count = text("LISTEN_FDS")
        .and_then(|n| n.parse::<RawFd>().ok())
        .unwrap_or(0);
    let mut names = text("LISTEN_FDNAMES").unwrap_or_default();
    for number in 1.. {
        match text(&format!("LISTEN_FDNAMES_{number}")) {
            Some(more) => names.push_str(&more),
            None => break,
        }
    }
    let mut names = names.split(':');
    (3..3 + count)
        .filter_map(|number| {
            let name = names.next().unwrap_or_default().to_owned();
            Some((name, fd::adopt(number)?))
        })
        .collect()
}
