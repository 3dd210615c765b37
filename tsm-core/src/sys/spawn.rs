//! Making processes: a service, held back until its record is on disk; a supervisor with the descriptors of the store;
//! a detached guardian.
//!
//! Between `fork` and `execve` only async-signal-safe calls are made (`signal-safety(7)`): everything that needs memory
//! is prepared before.

mod in_place;
mod raw;
mod sentinel;
mod supervisor;

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::task::Poll;

pub(crate) use in_place::{execute_in_place, memory_file, take_state};
pub(crate) use sentinel::{SentinelImage, c_strings};
pub(crate) use supervisor::{SupervisorImage, detached, take_listen_fds};

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
    /// The nice value, where it differs from that of the supervisor; what may not be is left as it is.
    pub nice: Option<i32>,
    /// The nice value without which it is not to run.
    pub insisted_nice: Option<i32>,
    /// What goes into its `/proc/self/oom_score_adj`.
    pub oom_score_adj: Option<CString>,
    /// The user to become, where not the supervisor's own.
    pub account: Option<Account>,
    /// A descriptor besides the standard ones, and the number that it gets, from 3 on.
    pub extra: Option<(OwnedFd, RawFd)>,
    /// `cgroup.procs` of the group that it joins.
    pub group: Option<File>,
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
    /// Setting the nice value.
    Nice = 6,
    /// Setting the OOM score.
    OomScore = 7,
    /// Joining the cgroup.
    Group = 8,
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
/// The stack that a child runs on until it executes its program.
/// Its frames take some hundred bytes; without optimization a few thousand.
const STACK_BYTES: usize = if cfg!(debug_assertions) {
    32 << 10
} else {
    8 << 10
};

/// A child that waits for one byte before it executes its program.
#[derive(Debug)]
pub(crate) struct HeldChild {
    /// Its pid, session and process group.
    pub pid: u32,
    /// One byte written here releases it; closed without, it ends itself without executing anything.
    pub go: OwnedFd,
    /// How the launch came out.
    pub report: LaunchReport,
}

/// What comes of a launch: nothing, which means that the program was executed, or why it was not.
#[derive(Debug)]
pub(crate) struct LaunchReport {
    pipe: File,
    bytes: Vec<u8>,
    memory: Option<LaunchMemory>,
}

/// The memory that a child shares with its supervisor until it executes its program, or has ended. It is only given back
/// by [`LaunchReport::poll`], which knows when that is; dropped before, it is leaked.
struct LaunchMemory {
    child: ManuallyDrop<Box<ChildSetUp>>,
    stack: ManuallyDrop<Box<[u128]>>,
}

impl std::fmt::Debug for LaunchMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaunchMemory").finish_non_exhaustive()
    }
}

impl AsFd for LaunchReport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl LaunchReport {
    /// Reads what there is, without waiting. Ready when the launch is decided: with what it failed at, or with nothing where
    /// the program was executed.
    ///
    /// # Errors
    /// Where the pipe cannot be read; then nothing is known.
    pub(crate) fn poll(&mut self) -> io::Result<Poll<Option<LaunchFailure>>> {
        let mut bytes = [0; REPORT_MAX];
        loop {
            match self.pipe.read(&mut bytes) {
                // The only writer was the child's descriptor, which the kernel closes when the program is executed or the
                // child ends; both after it has left the memory.
                Ok(0) => {
                    if let Some(mut memory) = self.memory.take() {
                        // SAFETY: the child runs on it no more (see above), and it is dropped once.
                        unsafe {
                            ManuallyDrop::drop(&mut memory.child);
                            ManuallyDrop::drop(&mut memory.stack);
                        }
                    }
                    return Ok(Poll::Ready(parse_report(&self.bytes)));
                }
                Ok(length) => self.bytes.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Poll::Pending);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Makes a child that makes its session, takes its descriptors and waits (steps 2 to 4 of a start).
///
/// The child shares the memory of this process (`CLONE_VM`) and runs on a stack of its own: copying the memory for each
/// start, and every page again that is written afterwards, would be more than half of what a start costs. So the child
/// touches nothing but its stack and what is prepared here, and it makes its system calls itself, since those of the C
/// library would write into the `errno` of this process.
///
/// # Errors
/// Those of `clone(2)` and `pipe(2)`: no memory, process or descriptor is left. What the child fails at comes over its report pipe.
pub(crate) fn fork_held(
    mut launch: Launch,
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> io::Result<HeldChild> {
    let (mut go_reader, go) = fd::pipe()?;
    let (report, mut report_writer) = fd::pipe_to_poll()?;
    let mut extra = None;
    if let Some((source, number)) = launch.extra.take() {
        // None of the child's descriptors may stand where that one is to be.
        go_reader = fd::above(go_reader, number + 1)?;
        report_writer = fd::above(report_writer, number + 1)?;
        let source = fd::above(source, number + 1)?;
        extra = Some((source.as_raw_fd(), number));
        launch.extra = Some((source, number));
    }
    let arguments = pointers(&launch.arguments);
    // For a file without a format: /bin/sh FILE ARGUMENTS…
    let file = launch
        .candidates
        .first()
        .map_or(ptr::null(), |c| c.as_ptr());
    let mut with_shell = vec![c"/bin/sh".as_ptr(), file];
    with_shell.extend_from_slice(&arguments[1.min(arguments.len() - 1)..]);
    let child = Box::new(ChildSetUp {
        environment: pointers(&launch.environment),
        arguments,
        with_shell,
        launch,
        stdio: [stdin.as_raw_fd(), stdout.as_raw_fd(), stderr.as_raw_fd()],
        extra,
        go: go_reader.as_raw_fd(),
        report: report_writer.as_raw_fd(),
    });
    let stack = vec![0_u128; STACK_BYTES / size_of::<u128>()].into_boxed_slice();
    let mut memory = LaunchMemory {
        child: ManuallyDrop::new(child),
        stack: ManuallyDrop::new(stack),
    };
    // The kernel gives the OOM score of a process to all that share its memory, so that this child may not.
    let shared = match memory.child.launch.oom_score_adj {
        Some(_) => 0,
        None => libc::CLONE_VM,
    };
    let argument: *const ChildSetUp = &raw const **memory.child;
    let top = memory.stack.as_mut_ptr_range().end;
    // SAFETY: the stack is ours and aligned to 16 bytes; it and what the child reads stay where they are until the child has
    // left this memory (see `LaunchReport::poll`). The child never returns from `enter`.
    let pid = unsafe {
        libc::clone(
            enter,
            top.cast(),
            shared | libc::SIGCHLD,
            argument.cast_mut().cast(),
        )
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    let report = LaunchReport {
        pipe: report.into(),
        bytes: Vec::new(),
        memory: Some(memory),
    };
    Ok(HeldChild {
        pid: pid as u32,
        go,
        report,
    })
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|s| s.as_ptr())
        .chain([ptr::null()])
        .collect()
}

/// Where the child begins.
extern "C" fn enter(argument: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `fork_held` passes a `ChildSetUp` that outlives this child's use of it.
    let child = unsafe { &*argument.cast::<ChildSetUp>() };
    child.run()
}

struct ChildSetUp {
    launch: Launch,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    with_shell: Vec<*const libc::c_char>,
    stdio: [RawFd; 3],
    extra: Option<(RawFd, RawFd)>,
    go: RawFd,
    report: RawFd,
}

impl ChildSetUp {
    /// Everything here is a system call or arithmetic on the stack: no allocation, no lock, no `errno`.
    fn run(&self) -> ! {
        let done = raw::setsid();
        if done < 0 {
            self.fail(LaunchStep::SetUp, done);
        }
        raw::default_signal(libc::SIGPIPE);
        raw::default_signal(libc::SIGIO);
        // The two that the C library keeps for itself and that its own calls can therefore not reset.
        raw::default_signal(32);
        raw::default_signal(33);
        raw::unblock_signals();
        for (number, source) in self.stdio.iter().enumerate() {
            let done = raw::dup2(*source, number as RawFd);
            if done < 0 {
                self.fail(LaunchStep::SetUp, done);
            }
        }
        // Before it executes anything, so that no process of it is ever outside.
        if let Some(group) = &self.launch.group {
            let done = raw::write(group.as_raw_fd(), b"0");
            if done < 0 {
                self.fail(LaunchStep::Group, done);
            }
        }
        let mut keep = [self.go, self.report, self.report];
        if let Some((source, number)) = self.extra {
            let done = raw::dup2(source, number);
            if done < 0 {
                self.fail(LaunchStep::SetUp, done);
            }
            keep[2] = number;
        }
        keep.sort_unstable();
        // Nothing of other launches may be held while waiting: a sibling's go pipe would keep it waiting for ever.
        let mut from = 3;
        for fd in keep {
            if fd > from {
                raw::close_range(from, fd - 1);
            }
            from = from.max(fd + 1);
        }
        raw::close_range(from, RawFd::MAX);

        let mut byte = [0_u8; 1];
        loop {
            match raw::read(self.go, &mut byte) {
                1 => break,
                error if error == -libc::EINTR as isize => {}
                _ => raw::end_by_signal(signal::NEVER_EXECUTED),
            }
        }
        self.become_service();
        self.execute()
    }

    /// Limits, user, mask and directory, in the order that needs the most rights first.
    fn become_service(&self) {
        for limit in &self.launch.limits {
            let done = raw::set_limit(limit.resource, limit.soft, limit.hard);
            if done < 0 {
                self.fail(LaunchStep::Limits, done);
            }
        }
        if let Some(nice) = self.launch.nice {
            // A supervisor without privileges that runs later than its service is to cannot bring it forward; a service
            // that runs late is better than none.
            raw::set_nice(nice);
        }
        if let Some(nice) = self.launch.insisted_nice {
            let done = raw::set_nice(nice);
            if done < 0 {
                self.fail(LaunchStep::Nice, done);
            }
        }
        if let Some(score) = &self.launch.oom_score_adj {
            let done = raw::write_file(c"/proc/self/oom_score_adj", score.to_bytes());
            if done < 0 {
                self.fail(LaunchStep::OomScore, done);
            }
        }
        if let Some(account) = &self.launch.account {
            let done = raw::become_user(&account.groups, account.uid, account.gid);
            if done < 0 {
                self.fail(LaunchStep::User, done);
            }
        }
        raw::umask(self.launch.umask);
        // As its user, whose rights decide who may enter.
        let done = raw::chdir(&self.launch.directory);
        if done < 0 {
            self.fail(LaunchStep::Directory, done);
        }
    }

    fn execute(&self) -> ! {
        let mut reason = -libc::ENOENT as isize;
        let several = self.launch.candidates.len() > 1;
        for candidate in &self.launch.candidates {
            let error = raw::execute(candidate, &self.arguments, &self.environment);
            match -error as i32 {
                // As `execvp(3)` goes along PATH: a refusal counts only where nothing better is
                // found.
                libc::ENOENT | libc::ENOTDIR if several => {}
                libc::EACCES if several => reason = error,
                libc::ENOEXEC if self.launch.shell_fallback => {
                    reason = raw::execute(c"/bin/sh", &self.with_shell, &self.environment);
                    break;
                }
                _ => {
                    reason = error;
                    break;
                }
            }
        }
        self.fail(LaunchStep::Execute, reason)
    }

    /// Reports why it failed (`error` is a negative errno), and ends.
    fn fail(&self, step: LaunchStep, error: isize) -> ! {
        let errno = -error as i32;
        let mut report = [0_u8; REPORT_MAX];
        report[..4].copy_from_slice(&(step as u32).to_ne_bytes());
        report[4..8].copy_from_slice(&errno.to_ne_bytes());
        let mut length = 8;
        if step == LaunchStep::Execute && errno == libc::ENOENT && self.launch.candidates.len() == 1
        {
            let file = raw::open_to_read(&self.launch.candidates[0]);
            let read = raw::read(file as RawFd, &mut report[8..]);
            length += read.max(0) as usize;
        }
        // Its supervisor may be gone.
        raw::ignore_signal(libc::SIGPIPE);
        raw::write(self.report, &report[..length]);
        raw::exit(127)
    }
}

/// Nothing means that the program was executed.
fn parse_report(bytes: &[u8]) -> Option<LaunchFailure> {
    let step = match u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) {
        1 => LaunchStep::Directory,
        2 => LaunchStep::Limits,
        3 => LaunchStep::User,
        4 => LaunchStep::Execute,
        6 => LaunchStep::Nice,
        7 => LaunchStep::OomScore,
        8 => LaunchStep::Group,
        _ => LaunchStep::SetUp,
    };
    let errno = i32::from_ne_bytes(bytes.get(4..8)?.try_into().ok()?);
    Some(LaunchFailure {
        step,
        errno,
        head: bytes[8..].to_vec(),
    })
}
