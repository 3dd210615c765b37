//! What a spec says of a process among others: what it needs, and which instance it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::name::ProcessName;

/// What has to be true of another process before this one is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The other process; all its instances, where it has some.
    pub name: ProcessName,
    /// What has to be true of it.
    #[serde(default)]
    pub condition: Condition,
}

/// What may be asked of a process that another one needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It was executed.
    #[default]
    Started,
    /// It says, or shows, that it is ready.
    Ready,
    /// It ended with exit status 0.
    Completed,
    /// Its health checks pass.
    Healthy,
}

impl Condition {
    /// Every condition, as it is written.
    pub const WORDS: [&str; 4] = ["started", "ready", "completed", "healthy"];
}

impl FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "started" => Ok(Self::Started),
            "ready" => Ok(Self::Ready),
            "completed" => Ok(Self::Completed),
            "healthy" => Ok(Self::Healthy),
            _ => Err(Error::bad_value(
                "condition",
                format!("'{text}' is none of {}", Self::WORDS.join(", ")),
            )),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::WORDS[*self as usize])
    }
}

/// One of several processes that run the same: `api@0`, `api@1` …
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its number, from 0 on.
    pub number: u32,
    /// The variable that tells it its number.
    pub variable: String,
    /// The port of instance 0, where each has a port of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_port: Option<u16>,
}

/// How long restarts wait, where a person says otherwise than TSM does: times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackoffSpec {
    /// So long before each restart, the first too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_ms: Option<u64>,
    /// So long before the second restart in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<u64>,
    /// No longer than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_ms: Option<u64>,
    /// By so much longer each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<u32>,
    /// After so long up, restarts are counted anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steady_ms: Option<u64>,
}

/// The variable that tells an instance its number, where nothing else is said.
pub const INSTANCE_VARIABLE: &str = "NODE_APP_INSTANCE";
