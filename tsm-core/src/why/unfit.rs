//! What a run was not, so that it was ended.

use serde::Serialize;

use crate::words;

/// What a run was not, so that TSM ended it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Unfit {
    /// It was not ready in time.
    NotReady {
        /// It had so many milliseconds.
        after_ms: u64,
        /// What the last look at it found, where that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It was not healthy.
    Unhealthy {
        /// What the last check found.
        reason: String,
    },
}

impl Unfit {
    /// In a person's words, behind the name of the process: `was not ready within 1.0 s`.
    pub fn in_words(&self) -> String {
        match self {
            Self::NotReady { after_ms, reason } => {
                let because = reason.as_ref().map(|reason| format!(" ({reason})"));
                format!(
                    "was not ready within {}{}",
                    words::seconds(*after_ms),
                    because.unwrap_or_default()
                )
            }
            Self::Unhealthy { reason } => format!("was not healthy: {reason}"),
        }
    }
}
