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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
    /// There was no room on the disk, and the process is one that does not wait for it.
    Dropped {
        /// How many bytes.
        bytes: u64,
        /// How many ends of lines were among them.
        lines: u64,
    },
}

impl LogLoss {
    /// The last loss of each stream and kind.
    pub fn all(history: &History) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for event in history.events() {
            let (stream, how) = match &event.kind {
                EventKind::LogShrank {
                    stream,
                    before,
                    after,
                } => (
                    stream,
                    HowLost::Shortened {
                        before: *before,
                        after: *after,
                    },
                ),
                EventKind::LogDropped {
                    stream,
                    bytes,
                    lines,
                } => (
                    stream,
                    HowLost::Dropped {
                        bytes: *bytes,
                        lines: *lines,
                    },
                ),
                _ => continue,
            };
            let at_ms = event.at_ms().unwrap_or(0);
            let kind = std::mem::discriminant(&how);
            found
                .retain(|loss| loss.stream != *stream || std::mem::discriminant(&loss.how) != kind);
            found.push(Self {
                at: rfc3339(at_ms),
                at_ms,
                stream: stream.clone(),
                how,
            });
        }
        found
    }

    /// What happened, in words.
    pub fn in_words(&self) -> String {
        let Self { stream, .. } = self;
        match self.how {
            HowLost::Shortened { before, after } => format!(
                "somebody else than TSM shortened its log of std{stream} by {} bytes",
                before.saturating_sub(after)
            ),
            HowLost::Dropped { bytes, lines } => format!(
                "{bytes} bytes ({lines} lines) of its std{stream} were dropped because the disk was full"
            ),
        }
    }

    /// What is to be thought of, and done.
    pub fn remedy(&self) -> String {
        let Self { stream, .. } = self;
        match self.how {
            HowLost::Shortened { .. } => format!(
                "a program that truncates logs does that (logrotate with copytruncate), and so does a service that opens \
                 /dev/std{stream} or its log file for writing; --log-max-size rotates without a loss, --log-mode pipe lets no \
                 service shorten its log"
            ),
            HowLost::Dropped { .. } => {
                "make room on the disk; with --log-on-full wait the service waits for it, and nothing is lost".to_owned()
            }
        }
    }
}
