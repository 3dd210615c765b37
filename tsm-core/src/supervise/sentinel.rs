//! What the sentinel of a guardian that was killed executes: it brings guardian and supervisor back, as the next command would.
//!
//! Where the supervisor lives, that becomes the guardian itself. Then this process is the sentinel until there is another one: if
//! the supervisor is killed before, nobody else would notice.

use std::ffi::OsString;
use std::time::Duration;

use super::guardian::{KILLED, KILLS};
use super::worklog::WorkLog;
use crate::control::{Client, Launcher, SupervisorStatus};
use crate::error::Result;
use crate::home::Home;
use crate::sys::{self, Pidfd, clock, procfs};

/// A guardian that was at work for this long starts the count anew.
const STEADY: Duration = Duration::from_secs(10);
/// So many that were killed one soon after the other are each brought back at once …
const QUICK: u32 = 8;
/// … and those behind them after this pause, and twice as long each time, …
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// … up to this one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often it is looked whether a guardian has a sentinel.
const LOOKS: u32 = 7;
/// How often it is tried where it fails.
const ATTEMPTS: u32 = 20;

/// The guardian that was killed.
#[derive(Debug, PartialEq, Eq)]
struct Killed {
    pid: u32,
    /// How long it was at work.
    lived: Duration,
    /// How many were killed before it, one soon after the other.
    before: u32,
}

impl Killed {
    fn read(text: &str, now: Duration) -> Option<Self> {
        let mut fields = text.split(':');
        let (pid, since, before) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self {
            pid: pid.parse().ok()?,
            lived: now.saturating_sub(Duration::from_millis(since.parse().ok()?)),
            before: before.parse().ok()?,
        })
    }

    /// How many, with this one, were killed one soon after the other.
    fn in_a_row(&self) -> u32 {
        if self.lived >= STEADY {
            1
        } else {
            self.before.saturating_add(1)
        }
    }
}

/// How long it is waited before the next one is made.
fn pause(in_a_row: u32) -> Duration {
    let Some(doublings) = in_a_row.checked_sub(QUICK + 1) else {
        return Duration::ZERO;
    };
    FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(LONGEST_PAUSE)
}

/// What is to be done, to go by how the supervisor is.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    /// Nobody is there.
    Start,
    /// It would be noticed by others if it ended.
    Leave,
    /// It has no guardian, or that has no sentinel yet.
    Watch(u32),
}

/// `looks`: how often it was looked at so far. A guardian that has no sentinel then is one that systemd brings back, or cannot
/// make one.
fn then(status: Option<&SupervisorStatus>, looks: u32) -> Then {
    let Some(status) = status else {
        return Then::Start;
    };
    let is_guarded = status.guardian.is_some() && (status.sentinel.is_some() || looks >= LOOKS);
    // In the foreground, an init system or a person looks after it.
    if status.foreground || is_guarded {
        Then::Leave
    } else {
        Then::Watch(status.pid)
    }
}

/// Brings guardian and supervisor of a home back, in the process that their sentinel was: what [`guard`](super::guard) executes with
/// the words that it was given for that. `launcher` is what a command would start them with. What it does stands in the log, which is
/// standard error; it returns when both are there again, or are not to be.
///
/// # Errors
/// What keeps them from it, when it was tried often enough.
pub fn heal(
    home: Home,
    mut launcher: Launcher,
    environment: &[(OsString, OsString)],
) -> Result<()> {
    sys::set_process_name(c"tsm-sentinel");
    sys::signal::reset_dispositions(false);
    let mut log = WorkLog::open();
    let found = environment.iter().find(|(name, _)| name == KILLED);
    let text = found.and_then(|(_, value)| value.to_str()).unwrap_or("");
    let killed = Killed::read(text, clock::monotonic());
    let in_a_row = killed.as_ref().map_or(1, Killed::in_a_row);
    launcher
        .environment
        .push((KILLS.into(), in_a_row.to_string().into()));
    let own = format!("the sentinel (PID: {})", std::process::id());
    let client = Client::new(home, launcher, own);
    let guardian = killed.map_or_else(String::new, |killed| format!(" {}", killed.pid));

    let mut told = false;
    let mut failures = 0;
    let mut watched = 0;
    loop {
        // Whoever removed the home wants nobody in it.
        if !client.home().processes().is_dir() {
            return Ok(());
        }
        let failed = match client.status() {
            Ok(status) => match then(status.as_ref(), watched) {
                Then::Leave => return Ok(()),
                Then::Watch(supervisor) => {
                    watched += 1;
                    if wait_for_end(supervisor, soon(watched)) {
                        watched = 0;
                    }
                    continue;
                }
                // A supervisor that ends as it was told to removes its socket.
                Then::Start if !client.home().socket().exists() => return Ok(()),
                Then::Start => {
                    let pause = pause(in_a_row);
                    if !std::mem::replace(&mut told, true) {
                        let when = if pause.is_zero() {
                            "now".to_owned()
                        } else {
                            format!("in {} ms", pause.as_millis())
                        };
                        log.say(format_args!(
                            "the guardian{guardian} and its supervisor were killed; services run on, and both are started again {when}"
                        ));
                        // Asked again after the pause: somebody may have started both in the
                        // meantime.
                        if !pause.is_zero() {
                            sys::poll::wait_for_nothing(pause);
                            continue;
                        }
                    }
                    client.bring_back().err()
                }
            },
            Err(error) => Some(error),
        };
        let Some(error) = failed else { continue };
        // Removed while it was tried: that is no failure.
        if !client.home().processes().is_dir() {
            return Ok(());
        }
        failures += 1;
        if failures == ATTEMPTS {
            log.say(format_args!(
                "guardian and supervisor cannot be started again: {error}; the next command tries it again"
            ));
            return Err(error);
        }
        let pause = soon(failures);
        log.say(format_args!(
            "guardian and supervisor cannot be started again: {error}; trying again in {} ms",
            pause.as_millis()
        ));
        sys::poll::wait_for_nothing(pause);
    }
}

/// The pause before it is looked again for the `number`th time.
fn soon(number: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(number.saturating_sub(1)))
        .min(LONGEST_PAUSE)
}

/// Waits until this process has ended, no longer than `patience`, and tells whether it has. Where it becomes the guardian it stays the same one.
fn wait_for_end(pid: u32, patience: Duration) -> bool {
    let handle = procfs::process(pid).map(|process| Pidfd::open(process.identity));
    match handle {
        Some(Ok(Some(handle))) => {
            sys::poll::wait_readable(&handle, Some(patience)).unwrap_or(false)
        }
        // No descriptor is left to watch it with.
        Some(Err(_)) => {
            sys::poll::wait_for_nothing(patience);
            false
        }
        None | Some(Ok(None)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_killed_again_and_again_come_back_later_each_time() {
        assert_eq!(pause(1), Duration::ZERO);
        assert_eq!(pause(QUICK), Duration::ZERO);
        assert_eq!(pause(QUICK + 1), FIRST_PAUSE);
        assert_eq!(pause(QUICK + 3), FIRST_PAUSE * 4);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
        assert_eq!(soon(1), FIRST_PAUSE);
        assert_eq!(soon(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn who_was_at_work_for_long_starts_the_count_anew() {
        let read = |text| Killed::read(text, Duration::from_secs(100)).unwrap();
        assert_eq!(read("7:99000:3").in_a_row(), 4);
        assert_eq!(read("7:90000:3").in_a_row(), 1);
        assert_eq!(read("7:200000:0").in_a_row(), 1);
        assert_eq!(Killed::read("", Duration::ZERO), None);
    }

    #[test]
    fn it_watches_until_there_is_another_sentinel() {
        let mut status = SupervisorStatus {
            pid: 5,
            guardian: None,
            sentinel: None,
            version: String::new(),
            started_ms: 0,
            processes: 0,
            running: 0,
            foreground: false,
            unit: None,
        };
        assert_eq!(then(None, 0), Then::Start);
        assert_eq!(then(Some(&status), LOOKS), Then::Watch(5));
        status.guardian = Some(4);
        assert_eq!(then(Some(&status), LOOKS - 1), Then::Watch(5));
        assert_eq!(then(Some(&status), LOOKS), Then::Leave);
        status.sentinel = Some(3);
        assert_eq!(then(Some(&status), 0), Then::Leave);
        status.foreground = true;
        (status.guardian, status.sentinel) = (None, None);
        assert_eq!(then(Some(&status), 0), Then::Leave);
    }
}
