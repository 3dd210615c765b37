//! What happened: the history of a process, one JSON object a line, and how a process ended, in words.
//!
//! A line is an [`Event`]: a time (RFC 3339, UTC, milliseconds) and an [`EventKind`]. Lines are only appended, each once whoever died
//! meanwhile; [`History`] reads them, passes over what is torn, and keeps kinds that this version does not know.

pub(crate) mod history;

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::sys::{Signal, WaitStatus};

pub use history::{Entry, History, MOST_BYTES};

/// One line of `NAME.events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What can happen to a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventKind {
    /// A person or program asked for a start; from now on it should run.
    StartRequested {
        /// Who asked.
        by: String,
    },
    /// The program was executed.
    Started {
        /// Which run of it.
        run: u64,
        /// Its pid.
        pid: u32,
    },
    /// The program could not be executed.
    LaunchFailed {
        /// Which run it would have been.
        run: u64,
        /// The exact reason.
        reason: String,
    },
    /// A supervisor found it running and looks after it from now on.
    Adopted {
        /// Which run of it.
        run: u64,
        /// Its pid.
        pid: u32,
    },
    /// It ended.
    Exited {
        /// Which run of it.
        run: u64,
        /// Its pid.
        pid: u32,
        /// `code:1`, `signal:9`, `signal:11+core`, `unknown`.
        status: String,
        /// How long it had run, in milliseconds.
        uptime_ms: u64,
        /// What the kernel's OOM killer had to do with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        oom: Option<OutOfMemory>,
    },
    /// It will be started again.
    Backoff {
        /// In how many milliseconds.
        delay_ms: u64,
        /// Restarts in a row so far.
        failures: u32,
        /// Whether that is the slow lane of a crash loop.
        slow: bool,
    },
    /// It crashes again and again: from now on it is only tried every few minutes.
    CrashLoop {
        /// Restarts in a row so far.
        failures: u32,
        /// How the last run ended, in words.
        reason: String,
    },
    /// It put itself into the background, and its main process was found.
    Followed {
        /// Which run of it.
        run: u64,
        /// The pid of its main process.
        pid: u32,
    },
    /// It used more than it may.
    LimitHit {
        /// Which run of it.
        run: u64,
        /// `memory` (bytes) or `tasks`.
        limit: String,
        /// What it may use, in bytes or tasks.
        allowed: u64,
        /// What it used, in the same unit, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        used: Option<u64>,
    },
    /// It is not started again.
    GaveUp {
        /// After this many restarts in a row.
        failures: u32,
    },
    /// A person or program asked for a stop; from now on it should not run.
    StopRequested {
        /// Who asked.
        by: String,
    },
    /// A person or program asked for a restart.
    RestartRequested {
        /// Who asked.
        by: String,
    },
    /// Its environment is replaced, for its next start.
    EnvironmentChanged {
        /// Who asked.
        by: String,
        /// The variables that are new, other, or gone.
        names: Vec<String>,
    },
    /// A person or program sent it a signal.
    Signalled {
        /// Which, by name.
        signal: String,
        /// Who asked.
        by: String,
    },
    /// A config file declares it in another way.
    Configured {
        /// Who asked.
        by: String,
        /// The file.
        file: String,
    },
    /// The disk had no room for what it printed, and that was dropped, as it was told to.
    LogDropped {
        /// `out` or `err`.
        stream: String,
        /// How many bytes.
        bytes: u64,
        /// How many ends of lines were among them.
        lines: u64,
    },
    /// A log became shorter, and TSM did not do that.
    LogShrank {
        /// `out` or `err`.
        stream: String,
        /// How many bytes it had.
        before: u64,
        /// How many it has.
        after: u64,
    },
    /// The file of a log that the process writes itself was removed, renamed or replaced, and TSM did not do that.
    LogRemoved {
        /// `out` or `err`.
        stream: String,
    },
    /// A log cannot be written: what is printed waits in its pipe.
    LogBlocked {
        /// `out` or `err`.
        stream: String,
        /// Why.
        reason: String,
    },
    /// A log that could not be written is written again.
    LogUnblocked {
        /// `out` or `err`.
        stream: String,
    },
    /// An environment that was to be replaced could not be: the one before stays.
    EnvironmentKept {
        /// Why.
        reason: String,
    },
    /// A person or program asked for restarts to be counted anew.
    Reset {
        /// Who asked.
        by: String,
    },
    /// Its supervisor ends and takes it along; it should run all the same.
    ShutDown {
        /// What told the supervisor to end.
        by: String,
    },
    /// It is ready.
    Ready {
        /// So many milliseconds after its start.
        after_ms: u64,
    },
    /// It was not ready in time; the run has failed.
    NotReady {
        /// So many milliseconds after its start.
        after_ms: u64,
        /// What the last look at it found, where it was looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A check found it healthy: the first one of a run, or the first after others had failed.
    Healthy,
    /// It is not healthy.
    Unhealthy {
        /// What the last check found.
        reason: String,
    },
    /// Files that it is watched for have changed.
    FilesChanged {
        /// The first of them, from its working directory where it is in that.
        path: String,
    },
    /// It was due by the clock.
    Scheduled {
        /// Whether nothing was done, because the run before goes on still.
        skipped: bool,
    },
    /// A hook failed.
    HookFailed {
        /// Which: `preStart`, `postStart`, `preStop`, `postStop`.
        hook: String,
        /// How.
        reason: String,
    },
    /// It runs with lower limits than it should: the supervisor may not set higher ones.
    LimitsLowered {
        /// Which, as `core 0 instead of unlimited`.
        limits: String,
    },
    /// Nothing of it is left.
    Stopped,
    /// Something of it does not end.
    Resists {
        /// Pids and programs.
        members: String,
    },
}

/// The kernel's OOM killer was at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfMemory {
    /// The limit that was hit, in bytes; `None` where it was all the memory of the machine, or is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
    /// Since when it ended somebody, RFC 3339, where that is all that is known; `None` where it was this very process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

impl OutOfMemory {
    /// In a person's words, behind how the process ended.
    pub fn in_words(&self) -> String {
        match self.limit_bytes {
            Some(limit) => format!("out of memory: its limit is {}", crate::words::size(limit)),
            None => "out of memory".to_owned(),
        }
    }
}

impl EventKind {
    /// Which run it is about, where it is about one.
    pub fn run(&self) -> Option<u64> {
        match self {
            Self::Started { run, .. }
            | Self::LaunchFailed { run, .. }
            | Self::Adopted { run, .. }
            | Self::Exited { run, .. } => Some(*run),
            _ => None,
        }
    }

    /// Whether somebody asked for it.
    pub fn is_request(&self) -> bool {
        matches!(
            self,
            Self::StartRequested { .. }
                | Self::StopRequested { .. }
                | Self::RestartRequested { .. }
                | Self::EnvironmentChanged { .. }
                | Self::Reset { .. }
        )
    }

    /// The names that events have in the history.
    pub const NAMES: &[&str] = &[
        "start-requested",
        "started",
        "launch-failed",
        "adopted",
        "exited",
        "backoff",
        "crash-loop",
        "followed",
        "limit-hit",
        "limits-lowered",
        "gave-up",
        "stop-requested",
        "restart-requested",
        "environment-changed",
        "signalled",
        "configured",
        "log-dropped",
        "log-shrank",
        "log-removed",
        "log-blocked",
        "log-unblocked",
        "environment-kept",
        "reset",
        "shut-down",
        "ready",
        "not-ready",
        "healthy",
        "unhealthy",
        "files-changed",
        "scheduled",
        "hook-failed",
        "stopped",
        "resists",
    ];
}

impl Event {
    /// An event that happens now.
    pub fn now(kind: EventKind) -> Self {
        Self {
            at: rfc3339(crate::sys::clock::unix_ms()),
            kind,
        }
    }

    /// When, in Unix milliseconds; `None` where what stands there is no time.
    pub fn at_ms(&self) -> Option<u64> {
        DateTime::parse_from_rfc3339(&self.at)
            .ok()
            .and_then(|at| u64::try_from(at.timestamp_millis()).ok())
    }

    /// Its line, with the newline.
    pub fn to_line(&self) -> String {
        // Serializing strings and numbers cannot fail.
        let mut line = crate::json::line(self).unwrap_or_default();
        line.push(b'\n');
        String::from_utf8(line).unwrap_or_default()
    }
}

/// A time as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(unix_ms: u64) -> String {
    DateTime::<Utc>::from_timestamp_millis(unix_ms as i64)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// How a process ended, as `.meta` and the events write it: `code:1`, `signal:9`, `signal:11+core`, `unknown`.
impl fmt::Display for WaitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "code:{code}"),
            Self::Signal {
                number,
                core: false,
            } => write!(f, "signal:{number}"),
            Self::Signal { number, core: true } => write!(f, "signal:{number}+core"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl WaitStatus {
    /// Reads the form that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "unknown" {
            return Some(Self::Unknown);
        }
        let (kind, value) = text.split_once(':')?;
        match kind {
            "code" => value.parse().ok().map(Self::Code),
            "signal" => {
                let (number, core) = value
                    .strip_suffix("+core")
                    .map_or((value, false), |n| (n, true));
                Some(Self::Signal {
                    number: number.parse().ok()?,
                    core,
                })
            }
            _ => None,
        }
    }

    /// In a person's words: `exited with status 1`, `killed by SIGKILL`.
    pub fn in_words(self) -> String {
        match self {
            Self::Code(code) => format!("exited with status {code}"),
            Self::Signal { number, core } => {
                let name = Signal::from_number(number)
                    .map_or_else(|| number.to_string(), |s| s.to_string());
                format!(
                    "killed by {name}{}",
                    if core { ", core dumped" } else { "" }
                )
            }
            Self::Unknown => {
                "ended while no supervisor was there; its exit status is unknown".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_back_as_it_was_written() {
        for status in [
            WaitStatus::Code(0),
            WaitStatus::Code(255),
            WaitStatus::Signal {
                number: 9,
                core: false,
            },
            WaitStatus::Signal {
                number: 11,
                core: true,
            },
            WaitStatus::Unknown,
        ] {
            assert_eq!(WaitStatus::parse(&status.to_string()), Some(status));
        }
        assert_eq!(WaitStatus::from_raw(0x0100), WaitStatus::Code(1));
        assert_eq!(
            WaitStatus::from_raw(0x8b),
            WaitStatus::Signal {
                number: 11,
                core: true
            }
        );
        assert_eq!(WaitStatus::parse("code"), None);
    }

    #[test]
    fn an_event_is_one_line_of_json() {
        let event = Event {
            at: rfc3339(0),
            kind: EventKind::StopRequested {
                by: "a\nb".to_owned(),
            },
        };
        let line = event.to_line();
        assert_eq!(
            line,
            "{\"at\":\"1970-01-01T00:00:00.000Z\",\"event\":\"stop-requested\",\"by\":\"a\\nb\"}\n"
        );
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}
