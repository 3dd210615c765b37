//! Moments of a process that a person names: its start, its last crash.

use std::fs;

use crate::events::{Event, EventKind};
use crate::name::ProcessName;
use crate::store::ProcessStore;
use crate::sys::WaitStatus;
use crate::words;

/// Since when something is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// This time, in milliseconds since 1970.
    Time(u64),
    /// When somebody last asked for its start or restart; what TSM started again by itself since then belongs to it.
    Start,
    /// When its last run began.
    LastStart,
    /// Right after it last ended in failure by itself.
    LastCrash,
}

impl Since {
    /// Reads `start`, `last-start`, `last-crash`, or what [`words::moment`] reads.
    ///
    /// # Errors
    /// [`crate::error::Error::BadValue`] of `option`, which shows what can be read.
    pub fn parse(option: &str, text: &str, now_ms: u64) -> crate::error::Result<Self> {
        Ok(match text {
            "start" => Self::Start,
            "last-start" => Self::LastStart,
            "last-crash" => Self::LastCrash,
            _ => Self::Time(words::moment(option, text, now_ms)?),
        })
    }

    /// When that was for a process, in milliseconds since 1970; `None` where it never was.
    pub fn of(self, store: &ProcessStore, name: &ProcessName) -> Option<u64> {
        match self {
            Self::Time(ms) => Some(ms),
            Self::LastStart => {
                let meta = store.meta(name).ok()?;
                let seconds = (meta.start_time > 0).then(|| meta.start_time * 1000);
                meta.started_ms.or(seconds)
            }
            Self::Start | Self::LastCrash => {
                let text = fs::read_to_string(store.home().events(name)).ok()?;
                let events = text
                    .lines()
                    .filter_map(|line| serde_json::from_slice(line.as_bytes()).ok());
                self.among(events)
            }
        }
    }

    fn among(self, events: impl Iterator<Item = Event>) -> Option<u64> {
        let mut found = None;
        let mut ends = false;
        for event in events {
            let is_it = match event.kind {
                EventKind::StartRequested { .. } | EventKind::RestartRequested { .. } => {
                    ends = matches!(event.kind, EventKind::RestartRequested { .. });
                    self == Self::Start
                }
                EventKind::StopRequested { .. } => {
                    ends = true;
                    false
                }
                EventKind::Started { .. } => {
                    ends = false;
                    false
                }
                EventKind::Exited { status, .. } => {
                    let fine = WaitStatus::parse(&status) == Some(WaitStatus::Code(0));
                    self == Self::LastCrash && !fine && !ends
                }
                _ => false,
            };
            if is_it {
                let at = chrono::DateTime::parse_from_rfc3339(&event.at).ok();
                // What it printed last may have come in the very millisecond in which it ended.
                let after = u64::from(self == Self::LastCrash);
                found = at.map(|at| at.timestamp_millis() as u64 + after).or(found);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(ms: u64, kind: EventKind) -> Event {
        Event {
            at: crate::events::rfc3339(ms),
            kind,
        }
    }

    #[test]
    fn a_stop_is_no_crash_and_an_automatic_start_is_not_asked_for() {
        let by = || "x".to_owned();
        let exited = |status: &str| {
            let line = format!(
                r#"{{"event":"exited","run":1,"pid":1,"status":"{status}","uptime_ms":1}}"#
            );
            serde_json::from_str::<EventKind>(&line).unwrap()
        };
        let started = || EventKind::Started { run: 1, pid: 1 };
        let history = [
            event(1000, EventKind::StartRequested { by: by() }),
            event(1001, started()),
            event(2000, exited("code:3")),
            event(2001, started()),
            event(3000, exited("code:0")),
            event(3001, started()),
            event(4000, EventKind::StopRequested { by: by() }),
            event(4001, exited("signal:15")),
        ];
        assert_eq!(Since::Start.among(history.clone().into_iter()), Some(1000));
        assert_eq!(
            Since::LastCrash.among(history.clone().into_iter()),
            Some(2001)
        );
        assert_eq!(Since::LastCrash.among(history.into_iter().skip(3)), None);
    }
}
