//! Signals (`signal(7)`): their names, their dispositions, and reading them from a descriptor. No handler of ours does anything: what
//! has to be done at a signal is done by the loop that reads it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::str::FromStr;

use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::BestEffort as _;

/// A signal by its number. Prints and parses as `SIGTERM`; `TERM`, `term` and `15` are read too.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(i32);

impl Signal {
    /// Hang-up.
    pub const HUP: Self = Self(libc::SIGHUP);
    /// Interrupt from the keyboard.
    pub const INT: Self = Self(libc::SIGINT);
    /// The polite request to end.
    pub const TERM: Self = Self(libc::SIGTERM);
    /// The end that no process can refuse.
    pub const KILL: Self = Self(libc::SIGKILL);
    /// Goes on after a stop.
    pub const CONT: Self = Self(libc::SIGCONT);
    /// A child changed state.
    pub const CHLD: Self = Self(libc::SIGCHLD);

    /// The signal of this number, if the kernel knows such a one (1 to 64).
    pub fn from_number(number: i32) -> Option<Self> {
        (1..=64).contains(&number).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NixSignal::try_from(self.0) {
            Ok(signal) => f.write_str(signal.as_str()),
            // The C library keeps 32 and 33 for itself, so that 34 is the first (`signal(7)`).
            Err(_) => write!(f, "SIGRTMIN+{}", self.0 - 34),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text names no signal.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is no signal; use a name such as TERM or SIGINT, or a number from 1 to 64")]
pub struct UnknownSignal(String);

impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        if let Ok(number) = text.parse::<i32>() {
            return Self::from_number(number).ok_or_else(|| UnknownSignal(text.to_owned()));
        }
        let upper = text.to_ascii_uppercase();
        let name = if upper.starts_with("SIG") {
            upper
        } else {
            format!("SIG{upper}")
        };
        if let Some(offset) = name
            .strip_prefix("SIGRTMIN+")
            .and_then(|n| n.parse::<i32>().ok())
            && (0..=30).contains(&offset)
        {
            return Ok(Self(34 + offset));
        }
        NixSignal::from_str(&name)
            .map(|signal| Self(signal as i32))
            .map_err(|_unknown| UnknownSignal(text.to_owned()))
    }
}

/// The signal by which a forked child ends itself when it learns, before it executed anything, that its supervisor died.
/// A program does not die of it by chance, so a death by it during a start means: it never ran.
pub(crate) const NEVER_EXECUTED: i32 = 63;

/// In files and messages a signal is its name.
impl serde::Serialize for Signal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Signal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Signals taken from a descriptor instead of by handlers (`signalfd(2)`). They stay blocked in this process.
#[derive(Debug)]
pub struct SignalSource(SignalFd);

impl SignalSource {
    /// Blocks `signals` in the calling thread and opens the descriptor.
    ///
    /// # Errors
    /// Those of `sigprocmask(2)` and `signalfd(2)`.
    pub fn open(signals: &[Signal]) -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in signals {
            set.add(NixSignal::try_from(signal.0)?);
        }
        set.thread_block()?;
        Ok(Self(SignalFd::with_flags(
            &set,
            SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
        )?))
    }

    /// The next signal that came, if any.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub fn next(&self) -> io::Result<Option<Signal>> {
        Ok(self.next_with_sender()?.map(|(signal, _)| signal))
    }

    /// The same, with the pid of who sent it (`ssi_pid` of `signalfd(2)`); 0 where that was the kernel.
    ///
    /// # Errors
    /// The system's.
    pub fn next_with_sender(&self) -> io::Result<Option<(Signal, u32)>> {
        match self.0.read_signal() {
            Ok(info) => Ok(info.and_then(|info| {
                let signal = Signal::from_number(info.ssi_signo as i32)?;
                Some((signal, info.ssi_pid))
            })),
            Err(nix::errno::Errno::EINTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for SignalSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Gives every signal its default disposition (`signal(7)`): a program that this one executes then begins as from
/// a login shell. SIGPIPE (which Rust ignores at start) and SIGIO (see [`super::is_alone_with`]) are ignored in this
/// process; [`super::spawn`] undoes that in children.
///
/// Blocked signals are let through as well, but where this process `keeps_blocked` what the program blocked that it
/// executed before: what came in between is read by the next [`SignalSource`].
pub(crate) fn reset_dispositions(keeps_blocked: bool) {
    for number in 1..=64 {
        if number != libc::SIGPIPE {
            // SAFETY: setting a default disposition installs no handler; numbers that may not be set return an error.
            unsafe { libc::signal(number, libc::SIG_DFL) };
        }
    }
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
    if !keeps_blocked {
        SigSet::all()
            .thread_unblock()
            .best_effort("unblocking cannot fail with a valid set");
    }
}

/// While it lives, what a terminal sends to all of its foreground group is for a child there: this process ignores the
/// interrupt, the quit key and the hang-up. A child that is started meanwhile has them as they were.
#[derive(Debug)]
pub struct LeftToChild([(i32, libc::sighandler_t); 3]);

/// Leaves the keys of a terminal to a child.
pub fn leave_to_child() -> LeftToChild {
    LeftToChild([libc::SIGINT, libc::SIGQUIT, libc::SIGHUP].map(|number| {
        // SAFETY: the handler does nothing, which is safe at any moment (signal-safety(7)).
        let before = unsafe { libc::signal(number, nothing as *const () as libc::sighandler_t) };
        (number, before)
    }))
}

/// Unlike a signal that is ignored, one with a handler has its default again in a program that is executed (`execve(2)`).
extern "C" fn nothing(_: libc::c_int) {}

impl Drop for LeftToChild {
    fn drop(&mut self) {
        for (number, before) in self.0 {
            // SAFETY: this puts back what `signal` itself gave, which no other code of this process replaces.
            unsafe { libc::signal(number, before) };
        }
    }
}

/// Stops this process group as Ctrl-Z on its terminal would, whatever handler SIGTSTP has here, and calls `wait`, which is
/// to return when the process is continued. Where nobody could continue it (an orphaned process group), the kernel stops
/// nothing, and `wait` has to see that (`setpgid(2)`, `signal(7)`).
///
/// # Errors
/// An [`io::Error`] of `sigaction(2)` or `kill(2)`.
pub fn stop_group(wait: impl FnOnce()) -> io::Result<()> {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, kill, sigaction};
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: setting a default disposition installs no handler.
    let before = unsafe { sigaction(NixSignal::SIGTSTP, &default)? };
    let stopped = kill(nix::unistd::Pid::from_raw(0), NixSignal::SIGTSTP);
    if stopped.is_ok() {
        wait();
    }
    // SAFETY: this puts back what was there, flags and all.
    unsafe { sigaction(NixSignal::SIGTSTP, &before)? };
    Ok(stopped?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        for text in ["TERM", "SIGTERM", "term", "15"] {
            assert_eq!(text.parse::<Signal>().unwrap(), Signal::TERM);
        }
        assert_eq!(
            "RTMIN+3".parse::<Signal>().unwrap().to_string(),
            "SIGRTMIN+3"
        );
        for text in ["", "0", "65", "SIGFOO", "-9"] {
            assert!(text.parse::<Signal>().is_err(), "{text}");
        }
    }
}
