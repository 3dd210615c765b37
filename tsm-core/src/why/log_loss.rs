//! What a log has lost, and not by what TSM is told to keep of it.

use serde::Serialize;

use crate::events::{EventKind, History, rfc3339};

/// A log that has lost something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLoss {
    /// When that was noticed, RFC 3339.
    pub at: String,
    /// When, Unix milliseconds.
    #[serde(skip)]
    pub at_ms: u64,
    /// `out` or `err`.
    pub stream: String,
    /// How it came about.
    #[serde(flatten)]
    pub how: HowLost,
}

/// How a log has lost something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HowLost {
    /// Somebody else than TSM made its file shorter: another program, or the service itself.
    Shortened {
        /// How many bytes had been written into it, those counted that were rotated away.
        before: u64,
        /// How many that are now.
        after: u64,
    },
    /// Somebody else than TSM removed or renamed its file, into which the process goes on writing.
    Removed,
    /// There was no room on the disk, and the process is one that does not wait for it.
    Dropped {
        /// How many bytes.
        bytes: u64,
        /// How many ends of lines were among them.
        lines: u64,
    },
    /// It cannot be written now. Nothing is lost yet: what is printed waits in its pipe.
    Blocked {
        /// Why.
        reason: String,
    },
}

/// Drops that are not further apart than this are told together, in milliseconds.
const TOGETHER: u64 = 24 * 60 * 60 * 1000;

impl LogLoss {
    /// The last loss of each stream and kind; of drops, all of one day together. A log that cannot be written is among them
    /// until it can.
    pub fn all(history: &History) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for event in history.events() {
            let (stream, how) = match &event.kind {
                EventKind::LogShrank {
                    stream,
                    before,
                    after,
                } => {
                    let (before, after) = (*before, *after);
                    (stream, HowLost::Shortened { before, after })
                }
                EventKind::LogDropped {
                    stream,
                    bytes,
                    lines,
                } => {
                    let (bytes, lines) = (*bytes, *lines);
                    (stream, HowLost::Dropped { bytes, lines })
                }
                EventKind::LogRemoved { stream } => (stream, HowLost::Removed),
                EventKind::LogBlocked { stream, reason } => {
                    let reason = reason.clone();
                    (stream, HowLost::Blocked { reason })
                }
                EventKind::LogUnblocked { stream } => {
                    let is_over = |loss: &Self| loss.is_blocked() || loss.how == HowLost::Removed;
                    found.retain(|loss| loss.stream != *stream || !is_over(loss));
                    continue;
                }
                // Another supervisor, or another run, says so where it still cannot be written.
                EventKind::Adopted { .. } => {
                    found.retain(|loss| !loss.is_blocked());
                    continue;
                }
                EventKind::Started { .. } => {
                    // A file that was removed is made anew, too.
                    found.retain(|loss| !loss.is_blocked() && loss.how != HowLost::Removed);
                    continue;
                }
                _ => continue,
            };
            let at_ms = event.at_ms().unwrap_or(0);
            let kind = std::mem::discriminant(&how);
            let is_same = |loss: &mut Self| {
                loss.stream == *stream && std::mem::discriminant(&loss.how) == kind
            };
            let before = found.extract_if(.., is_same).last();
            found.push(Self {
                at: rfc3339(at_ms),
                at_ms,
                stream: stream.clone(),
                how: before.map_or(how.clone(), |before| how.with(before, at_ms)),
            });
        }
        found
    }

    /// Whether this is a log that cannot be written now.
    pub fn is_blocked(&self) -> bool {
        matches!(self.how, HowLost::Blocked { .. })
    }

    /// What happened, in words.
    pub fn in_words(&self) -> String {
        let Self { stream, .. } = self;
        match &self.how {
            HowLost::Shortened { before, after } => format!(
                "somebody else than TSM shortened its log of std{stream} by {} bytes",
                before.saturating_sub(*after)
            ),
            HowLost::Removed => format!(
                "somebody else than TSM removed or renamed the file of its log of std{stream}, and it goes on writing there"
            ),
            HowLost::Dropped { bytes, lines } => format!(
                "{bytes} bytes ({lines} lines) of its std{stream} were dropped because the disk was full"
            ),
            HowLost::Blocked { reason } => format!(
                "its std{stream} cannot be written to its log: {reason}; what it prints waits in its pipe, and it waits when that is full"
            ),
        }
    }

    /// What is to be thought of, and done.
    pub fn remedy(&self) -> String {
        let Self { stream, .. } = self;
        match &self.how {
            HowLost::Shortened { .. } => format!(
                "a program that truncates logs does that (logrotate with copytruncate), and so does a service that opens \
                 /dev/std{stream} or its log file for writing; --log-max-size rotates without a loss, --log-mode pipe lets no \
                 service shorten its log"
            ),
            HowLost::Removed => {
                "a restart gives it a new file; logrotate needs copytruncate for a log that its service writes itself".to_owned()
            }
            HowLost::Blocked { .. } => {
                "it is tried again and again: see to it that the file can be written".to_owned()
            }
            HowLost::Dropped { .. } => {
                "make room on the disk; with --log-on-full wait the service waits for it, and nothing is lost".to_owned()
            }
        }
    }
}

impl HowLost {
    /// Both losses, of one kind, where the one before was not long ago.
    fn with(self, before: LogLoss, at_ms: u64) -> Self {
        match (self, before.how) {
            (
                Self::Dropped { bytes, lines },
                Self::Dropped {
                    bytes: more,
                    lines: more_lines,
                },
            ) if at_ms.saturating_sub(before.at_ms) <= TOGETHER => Self::Dropped {
                bytes: bytes + more,
                lines: lines + more_lines,
            },
            (how, _) => how,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Event;

    fn losses(events: &[(u64, EventKind)]) -> Vec<(String, HowLost)> {
        let lines = events.iter().map(|(second, kind)| {
            let at = rfc3339(1_700_000_000_000 + second * 1000);
            let kind = kind.clone();
            Event { at, kind }.to_line()
        });
        let text: String = lines.collect();
        let all = LogLoss::all(&History::parse(text.as_bytes()));
        all.into_iter()
            .map(|loss| (loss.stream, loss.how))
            .collect()
    }

    #[test]
    fn drops_of_a_day_are_told_together_and_what_is_over_is_not() {
        let out = || "out".to_owned();
        let drop = |bytes| EventKind::LogDropped {
            stream: out(),
            bytes,
            lines: 1,
        };
        let dropped = |bytes, lines| (out(), HowLost::Dropped { bytes, lines });
        let day = 24 * 60 * 60;
        assert_eq!(
            losses(&[(0, drop(1)), (5, drop(2)), (9, drop(4))]),
            [dropped(7, 3)]
        );
        assert_eq!(losses(&[(0, drop(1)), (day + 1, drop(2))]), [dropped(2, 1)]);
        let blocked = EventKind::LogBlocked {
            stream: out(),
            reason: "full".to_owned(),
        };
        let waits = HowLost::Blocked {
            reason: "full".to_owned(),
        };
        let removed = EventKind::LogRemoved { stream: out() };
        let begins = EventKind::Started { run: 2, pid: 7 };
        let written = EventKind::LogUnblocked { stream: out() };
        let both = [(0, blocked.clone()), (1, removed.clone())];
        assert_eq!(losses(&both), [(out(), waits), (out(), HowLost::Removed)]);
        let over = [(0, blocked.clone()), (1, removed), (2, begins)];
        assert_eq!(losses(&over), []);
        assert_eq!(losses(&[(0, blocked), (1, written)]), []);
    }
}
