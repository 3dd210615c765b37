//! What a spec says of a process among others: what it needs, and which instance it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{LogSettings, LogTarget, ProcessSpec};

use crate::error::{Error, Result};
use crate::name::ProcessName;
use crate::text::Text;

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
    /// The file of standard output that was named for all of them; each has one with its number in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_file: Option<Text>,
    /// The same of standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub err_file: Option<Text>,
}

impl Instance {
    /// The instance of this number, which this variable tells it.
    pub fn new(number: u32, variable: impl Into<String>) -> Self {
        Self {
            number,
            variable: variable.into(),
            first_port: None,
            out_file: None,
            err_file: None,
        }
    }

    /// Instance 0 of a process that runs what `model` says.
    pub fn first(model: &ProcessSpec, variable: String, first_port: Option<u16>) -> Self {
        let file = |target: &Option<LogTarget>| match target {
            Some(LogTarget::File(path)) => Some(path.clone()),
            _ => None,
        };
        Self {
            first_port,
            out_file: file(&model.logs.out),
            err_file: file(&model.logs.err),
            ..Self::new(0, variable)
        }
    }

    /// The file of an instance, from the one that was named for all: `logs/api.log` as `logs/api@2.log`.
    pub fn file_of(named: &Text, number: u32) -> Text {
        let path = named.as_path();
        let mut name = path.file_stem().unwrap_or_default().to_owned();
        name.push(format!("@{number}"));
        if let Some(extension) = path.extension() {
            name.push(".");
            name.push(extension);
        }
        path.with_file_name(name).as_os_str().into()
    }

    /// Gives a spec of one of them the files that are its own.
    pub fn own_files(&self, logs: &mut LogSettings, number: u32) {
        let own = |file: &Option<Text>| {
            let file = file.as_ref()?;
            Some(LogTarget::File(Self::file_of(file, number)))
        };
        logs.out = own(&self.out_file).or(logs.out.take());
        logs.err = own(&self.err_file).or(logs.err.take());
    }
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
