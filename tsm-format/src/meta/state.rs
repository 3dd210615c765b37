//! The words of `state=`: what a process is doing.

use std::fmt;

use serde::{Serialize, Serializer};

/// What a process is doing. Its words are what `tsm list` shows, what stands in records, and what programs match; they do not change.
///
/// ```
/// use tsm_format::meta::State;
///
/// assert_eq!(State::from("backoff"), State::Backoff);
/// assert_eq!(State::Backoff.to_string(), "backoff");
/// // What another version wrote is shown as it stands.
/// assert_eq!(State::from("dreaming").as_str(), "dreaming");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Its child waits, or is about to execute the program; or what a run before left behind is ended first.
    Starting,
    /// It runs.
    Running,
    /// It is being ended.
    Stopping,
    /// Somebody asked for its end.
    Stopped,
    /// It ended by itself with exit status 0.
    Exited,
    /// A task: it ended with exit status 0, and need not run again.
    Done,
    /// It waits to be started again.
    Backoff,
    /// It waits for others, or for its time.
    Waiting,
    /// It failed and is not started again.
    Failed,
    /// It runs, and no supervisor is there. This stands in no record: a reader sees it.
    Unsupervised,
    /// A word of another version.
    Other(Box<str>),
}

impl State {
    /// The word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Exited => "exited",
            Self::Done => "done",
            Self::Backoff => "backoff",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Unsupervised => "unsupervised",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for State {
    fn from(word: &str) -> Self {
        match word {
            "starting" => Self::Starting,
            "running" => Self::Running,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            "exited" => Self::Exited,
            "done" => Self::Done,
            "backoff" => Self::Backoff,
            "waiting" => Self::Waiting,
            "failed" => Self::Failed,
            "unsupervised" => Self::Unsupervised,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
