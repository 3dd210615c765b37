//! Making processes: a service, held back until its record is on disk; a supervisor with the descriptors of the store;
//! a detached guardian.
//!
//! Between `fork` and `execve` only async-signal-safe calls are made (`signal-safety(7)`): everything that needs memory
//! is prepared before.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::ptr;

use super::limits::Limit;
use super::{account::Account, fd, signal};

/// All that a service's process needs between `fork` and `execve`, in the form in which the kernel takes it.
#[derive(Debug)]
pub struct Launch {
    /// Files to execute: the first that can be is; several where a bare name is looked for along PATH.
    pub candidates: Vec<CString>,
    /// The words, the program's own name first.
    pub arguments: Vec<CString>,
    /// `NAME=value` strings.
    pub environment: Vec<CString>,
    /// Whether a file without a known format (`ENOEXEC`) is given to `/bin/sh`, as a shell would.
    pub shell_fallback: bool,
    /// Where it runs.
    pub directory: CString,
    /// File-mode creation mask.
    pub umask: u32,
    /// Limits that differ from those of the supervisor.
    pub limits: Vec<Limit>,
    /// The user to become, where not the supervisor's own.
    pub account: Option<Account>,
}

/// The step between `fork` and the program at which a launch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LaunchStep {
    /// Entering the working directory.
    Directory = 1,
    /// Setting a resource limit.
    Limits = 2,
    /// Becoming the user.
    User = 3,
    /// Executing the program.
    Execute = 4,
    /// Making the session or the standard descriptors.
    SetUp = 5,
}

/// What a child reports that could not execute its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchFailure {
    /// Where it failed.
    pub step: LaunchStep,
    /// The system's reason.
    pub errno: i32,
    /// The first bytes of the program file where it exists but what executes it does not: its `#!` line tells what.
    pub head: Vec<u8>,
}

const HEAD_MAX: usize = 256;
const REPORT_MAX: usize = 8 + HEAD_MAX;

/// A child that waits for one byte before it executes its program.
#[derive(Debug)]
pub struct HeldChild {
    /// Its pid, session and process group.
    pub pid: u32,
    /// One byte written here releases it; closed without, it ends itself without executing anything.
    pub go: OwnedFd,
    /// Here comes a report (see [`parse_report`]), or the end of file: the program was executed.
    pub report: OwnedFd,
}

/// Forks a child that makes its session, takes its descriptors and waits (steps 2 to 4 of a start).
pub fn fork_held(
    launch: &Launch,
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> io::Result<HeldChild> {
    let (go_reader, go) = fd::pipe(false)?;
    let (report, report_writer) = fd::pipe(true)?;
    let arguments = pointers(&launch.arguments);
    let environment = pointers(&launch.environment);
    // For a file without a format: /bin/sh FILE ARGUMENTS…
    let mut with_shell = vec![
        c"/bin/sh".as_ptr(),
        launch
            .candidates
            .first()
            .map_or(ptr::null(), |c| c.as_ptr()),
    ];
    with_shell.extend_from_slice(&arguments[1.min(arguments.len() - 1)..]);
    let child = ChildSetUp {
        launch,
        arguments: &arguments,
        environment: &environment,
        with_shell: &with_shell,
        stdio: [stdin.as_raw_fd(), stdout.as_raw_fd(), stderr.as_raw_fd()],
        go: go_reader.as_raw_fd(),
        report: report_writer.as_raw_fd(),
    };
    // SAFETY: the child calls nothing but `ChildSetUp::run`, which keeps to async-signal-safe calls and never returns.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => child.run(),
        pid => Ok(HeldChild {
            pid: pid as u32,
            go,
            report,
        }),
    }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|s| s.as_ptr())
        .chain([ptr::null()])
        .collect()
}

struct ChildSetUp<'a> {
    launch: &'a Launch,
    arguments: &'a [*const libc::c_char],
    environment: &'a [*const libc::c_char],
    with_shell: &'a [*const libc::c_char],
    stdio: [RawFd; 3],
    go: RawFd,
    report: RawFd,
}

impl ChildSetUp<'_> {
    fn run(&self) -> ! {
        // SAFETY: async-signal-safe calls on descriptors and memory that were prepared before the fork.
        unsafe {
            // Nothing of other launches may be held while waiting: a sibling's go pipe would keep it waiting for ever.
            let (low, high) = (self.go.min(self.report), self.go.max(self.report));
            if libc::setsid() < 0 {
                self.fail(LaunchStep::SetUp);
            }
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
            for (number, source) in self.stdio.iter().enumerate() {
                if libc::dup2(*source, number as RawFd) < 0 {
                    self.fail(LaunchStep::SetUp);
                }
            }
            if low > 3 {
                fd::close_range(3, low - 1);
            }
            if high > low + 1 {
                fd::close_range(low + 1, high - 1);
            }
            fd::close_range(high + 1, RawFd::MAX);

            let mut byte = 0_u8;
            loop {
                match libc::read(self.go, (&raw mut byte).cast(), 1) {
                    1 => break,
                    -1 if *libc::__errno_location() == libc::EINTR => {}
                    _ => {
                        libc::kill(libc::getpid(), signal::NEVER_EXECUTED);
                        libc::_exit(127);
                    }
                }
            }
            self.become_service();
            self.execute()
        }
    }

    /// Limits, user, mask and directory, in the order that needs the most rights first.
    unsafe fn become_service(&self) {
        // SAFETY: as in `run`.
        unsafe {
            for limit in &self.launch.limits {
                let value = libc::rlimit {
                    rlim_cur: limit.soft,
                    rlim_max: limit.hard,
                };
                if libc::setrlimit(limit.resource as _, &raw const value) != 0 {
                    self.fail(LaunchStep::Limits);
                }
            }
            if let Some(account) = &self.launch.account {
                // The system calls themselves: glibc's wrappers would look for threads that are not in this child.
                let groups = account.groups.as_ptr();
                if libc::syscall(libc::SYS_setgroups, account.groups.len(), groups) != 0
                    || libc::syscall(libc::SYS_setresgid, account.gid, account.gid, account.gid)
                        != 0
                    || libc::syscall(libc::SYS_setresuid, account.uid, account.uid, account.uid)
                        != 0
                {
                    self.fail(LaunchStep::User);
                }
            }
            libc::umask(self.launch.umask as libc::mode_t);
            if libc::chdir(self.launch.directory.as_ptr()) != 0 {
                self.fail(LaunchStep::Directory);
            }
        }
    }

    unsafe fn execute(&self) -> ! {
        // SAFETY: as in `run`.
        unsafe {
            let mut reason = libc::ENOENT;
            for candidate in &self.launch.candidates {
                libc::execve(
                    candidate.as_ptr(),
                    self.arguments.as_ptr(),
                    self.environment.as_ptr(),
                );
                let errno = *libc::__errno_location();
                match errno {
                    libc::ENOENT | libc::ENOTDIR if self.launch.candidates.len() > 1 => {}
                    libc::EACCES if self.launch.candidates.len() > 1 => reason = errno,
                    libc::ENOEXEC if self.launch.shell_fallback => {
                        libc::execve(
                            c"/bin/sh".as_ptr(),
                            self.with_shell.as_ptr(),
                            self.environment.as_ptr(),
                        );
                        reason = *libc::__errno_location();
                        break;
                    }
                    _ => {
                        reason = errno;
                        break;
                    }
                }
            }
            *libc::__errno_location() = reason;
            self.fail(LaunchStep::Execute)
        }
    }

    unsafe fn fail(&self, step: LaunchStep) -> ! {
        // SAFETY: as in `run`; the buffer is large enough for both numbers and the head.
        unsafe {
            let errno = *libc::__errno_location();
            let mut report = [0_u8; REPORT_MAX];
            report[..4].copy_from_slice(&(step as u32).to_ne_bytes());
            report[4..8].copy_from_slice(&errno.to_ne_bytes());
            let mut length = 8;
            if step == LaunchStep::Execute
                && errno == libc::ENOENT
                && self.launch.candidates.len() == 1
            {
                let file = libc::open(
                    self.launch.candidates[0].as_ptr(),
                    libc::O_RDONLY | libc::O_CLOEXEC,
                );
                let read = libc::read(file, report[8..].as_mut_ptr().cast(), HEAD_MAX);
                length += read.max(0) as usize;
            }
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            libc::write(self.report, report.as_ptr().cast(), length);
            libc::_exit(127)
        }
    }
}

/// Reads what came over the report pipe of a [`HeldChild`]: nothing means that the program was executed.
pub fn parse_report(bytes: &[u8]) -> Option<LaunchFailure> {
    let step = match u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) {
        1 => LaunchStep::Directory,
        2 => LaunchStep::Limits,
        3 => LaunchStep::User,
        4 => LaunchStep::Execute,
        _ => LaunchStep::SetUp,
    };
    let errno = i32::from_ne_bytes(bytes.get(4..8)?.try_into().ok()?);
    Some(LaunchFailure {
        step,
        errno,
        head: bytes[8..].to_vec(),
    })
}

/// The most bytes that a report has.
pub const REPORT_BYTES: usize = REPORT_MAX;

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
