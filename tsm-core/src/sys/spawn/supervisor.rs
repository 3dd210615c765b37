//! Making a supervisor with the descriptors of the store, and a detached guardian.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
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
pub(crate) struct SupervisorImage {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl SupervisorImage {
    /// Prepares it; `environment` must not name `LISTEN_*` or `TSM_STORE_FD`.
    pub(crate) fn new(
        program: CString,
        arguments: Vec<CString>,
        environment: Vec<CString>,
    ) -> Self {
        Self {
            program,
            arguments,
            environment,
        }
    }

    /// Forks a supervisor that gets `fds` as descriptors 3, 4 … (the protocol of `sd_listen_fds(3)`, under `names`
    /// joined by colons) and behind them `channel`, the way back to the store.
    ///
    /// # Errors
    /// Those of `fork(2)`: no memory is left, or the user has too many processes.
    pub(crate) fn fork(
        &self,
        fds: &[RawFd],
        names: &[u8],
        channel: BorrowedFd<'_>,
    ) -> io::Result<u32> {
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
        let mut passing = Passing::new(moved)?;

        // SAFETY: the child makes async-signal-safe calls on memory prepared above, and executes or ends.
        unsafe {
            match libc::fork() {
                -1 => Err(io::Error::last_os_error()),
                0 => {
                    if !passing.pass() {
                        const SAID: &[u8] = b"cannot give a supervisor its descriptors\n";
                        libc::write(2, SAID.as_ptr().cast(), SAID.len());
                        libc::_exit(126)
                    }
                    let mut pid = libc::getpid() as u32;
                    for digit in listen_pid[11..21].iter_mut().rev() {
                        *digit = b'0' + (pid % 10) as u8;
                        pid /= 10;
                    }
                    // The guardian blocks what it reads from a descriptor, and a mask outlives
                    // `execve(2)`.
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

/// Descriptors on their way to the numbers 3, 4 …, in place: it takes not one more than there are, so that it succeeds
/// however near to its limit of open files the process is.
struct Passing {
    /// The number that each descriptor has now, in the order in which they are to be.
    at: Vec<RawFd>,
    /// For each number, which of them has it.
    holds: Vec<Option<u32>>,
}

impl Passing {
    const FIRST: RawFd = 3;

    /// Prepares the way of `at`, each of which is above standard error and stands in it once.
    fn new(at: Vec<RawFd>) -> io::Result<Self> {
        let highest = at.iter().copied().max().unwrap_or(0).max(0) as usize;
        let numbers = highest.max(at.len() + Self::FIRST as usize) + 1;
        let mut holds = Vec::new();
        holds.try_reserve_exact(numbers)?;
        holds.resize(numbers, None);
        for (index, fd) in at.iter().enumerate() {
            holds[*fd as usize] = Some(index as u32);
        }
        Ok(Self { at, holds })
    }

    /// Moves them, and closes all others from 3 on. False where the kernel refused. Everything here is a system call or
    /// works on memory that is there: it runs between `fork` and `execve`.
    fn pass(&mut self) -> bool {
        let first = Self::FIRST as usize;
        // Closing what is not passed makes room: from here on, at least one number below the
        // highest is free, or all is in place.
        for number in first..self.holds.len() {
            if self.holds[number].is_none() {
                close(number as RawFd);
            }
        }
        fd::close_range(self.holds.len() as RawFd, RawFd::MAX);
        for index in 0..self.at.len() {
            let target = first + index;
            let source = self.at[index];
            if source as usize == target {
                continue;
            }
            // The descriptor that has this number now gets the lowest free one, which is above all
            // that are in place already.
            if let Some(other) = self.holds[target] {
                let Some(aside) = duplicate(target as RawFd) else {
                    return false;
                };
                if let Some(slot) = self.holds.get_mut(aside as usize) {
                    *slot = Some(other);
                }
                self.at[other as usize] = aside;
            }
            if !duplicate_to(source, target as RawFd) {
                return false;
            }
            close(source);
            if let Some(slot) = self.holds.get_mut(source as usize) {
                *slot = None;
            }
            self.holds[target] = Some(index as u32);
        }
        // Duplicates are not close-on-exec; what was in place may be.
        (0..self.at.len()).all(|index| keep_over_exec((first + index) as RawFd))
    }
}

fn close(fd: RawFd) {
    // SAFETY: only a child between `fork` and `execve` comes here; nothing in it owns the number.
    unsafe { libc::close(fd) };
}

fn duplicate(fd: RawFd) -> Option<RawFd> {
    // SAFETY: fcntl takes two numbers.
    let new = unsafe { libc::fcntl(fd, libc::F_DUPFD, Passing::FIRST) };
    (new >= 0).then_some(new)
}

fn duplicate_to(fd: RawFd, target: RawFd) -> bool {
    // SAFETY: as for `close`: what has the number `target` is owned by nothing in this child.
    unsafe { libc::dup2(fd, target) == target }
}

fn keep_over_exec(fd: RawFd) -> bool {
    // SAFETY: fcntl takes numbers.
    unsafe { libc::fcntl(fd, libc::F_SETFD, 0) >= 0 }
}

/// Starts a program in a session of its own that holds nothing of this process: standard input and error as given,
/// no other descriptor, directory `/`. Returns the reading end of its standard output.
///
/// # Errors
/// Those of `fork(2)` and `execve(2)`: the program is not there, or may not be executed.
pub(crate) fn detached(
    program: &Path,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
    stderr: std::fs::File,
) -> io::Result<(std::process::Child, OwnedFd)> {
    let (reader, writer) = fd::pipe()?;
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
pub(crate) fn take_listen_fds(lookup: impl Fn(&str) -> Option<OsString>) -> Vec<(String, OwnedFd)> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    /// The permutation is tried in a child of its own, whose limit of open files is as low as it can be.
    #[test]
    fn descriptors_come_to_their_places_with_no_number_to_spare() {
        let directory = tempfile::tempdir().unwrap();
        let files: Vec<std::fs::File> = (0..40)
            .map(|n| std::fs::File::create(directory.path().join(n.to_string())).unwrap())
            .collect();
        let inode = |fd: RawFd| {
            // SAFETY: a stat of zeroes is a valid one.
            let mut stat: libc::stat = unsafe { std::mem::zeroed() };
            // SAFETY: fstat writes one stat.
            (unsafe { libc::fstat(fd, &raw mut stat) } == 0).then_some(stat.st_ino)
        };
        let orders: [fn(usize) -> usize; 4] =
            [|n| n, |n| 39 - n, |n| (n * 7 + 3) % 40, |n| (n + 1) % 40];
        for (number, order) in orders.iter().enumerate() {
            let wanted: Vec<u64> = (0..40)
                .map(|n| files[order(n)].metadata().unwrap().ino())
                .collect();
            let fds: Vec<RawFd> = (0..40).map(|n| files[order(n)].as_raw_fd()).collect();
            let mut found: Vec<Option<u64>> = vec![None; 42];
            let mut passing = Passing::new(fds).unwrap();
            let highest = passing.holds.len() as u64;
            // SAFETY: the child works on memory that is there, and ends.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                let limit = libc::rlimit {
                    rlim_cur: highest,
                    rlim_max: highest,
                };
                // SAFETY: setrlimit reads one rlimit.
                unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
                let mut good = passing.pass();
                for (n, slot) in found.iter_mut().enumerate() {
                    *slot = inode(3 + n as RawFd);
                }
                good &= (0..40).all(|n| found[n] == Some(wanted[n])) && found[40..] == [None, None];
                // SAFETY: it ends this child.
                unsafe { libc::_exit(i32::from(!good)) };
            }
            let mut status = 0;
            // SAFETY: waitpid writes one status.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            assert_eq!(status, 0, "order {number}");
        }
    }
}
