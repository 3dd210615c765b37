//! What a person asked for: [`ProcessSpec`], and the words and units that its values are written in.

pub mod care;
pub mod checks;
mod declared;
mod limits;
mod log_view;
mod logs;
mod schedule;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use log_view::{LogType, TimeFormat};
pub use logs::{
    DEFAULT_KEEP, DEFAULT_MAX_SIZE, LARGEST_KEEP, LogMode, LogRules, LogSettings, LogTarget,
    OnFull, SMALLEST_MAX_SIZE,
};

use serde::{Deserialize, Serialize};

use crate::env::Origins;
use crate::error::{Error, Result};
use crate::name::ProcessName;
use crate::sys::Signal;
use crate::sys::account::Account;
use crate::sys::limits::Limit;
use crate::text::Text;

pub use care::{CommandLine, Hook, Hooks, Notice, NoticeTarget, WatchSpec};
pub(crate) use checks::compile;
pub use checks::{HealthAction, HealthCheck, HealthSpec, HttpCheck, ReadyCheck, ReadySpec};
pub use declared::{BackoffSpec, Condition, Dependency, INSTANCE_VARIABLE, Instance};
pub use limits::{CpuShare, Daemon, ServiceLimits, parse_size};
pub use schedule::{ScheduleSpec, Zone};

/// The namespace of a process that was given none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// How long a stop waits before SIGKILL, where nothing else is said.
pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// When a process that ended is started again by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    No,
    /// After any end but exit status 0.
    #[default]
    OnFailure,
    /// After every end.
    Always,
}

impl FromStr for RestartPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "no" => Ok(Self::No),
            "on-failure" => Ok(Self::OnFailure),
            "always" => Ok(Self::Always),
            _ => Err(Error::bad_value(
                "--restart",
                format!("'{text}' is none of no, on-failure, always"),
            )),
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::No => "no",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
        })
    }
}

/// What is executed, found out once when the process is first started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// A path where it holds a `/`, else a name that each launch looks for along the PATH of the snapshot.
    pub file: Text,
    /// All words that it is executed with, its own name first.
    pub words: Vec<Text>,
    /// Whether a file of no known format is given to `/bin/sh`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shell_fallback: bool,
}

/// What a person asked for. Everything but the name, the id and the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// The target as it was typed.
    pub script: Text,
    /// The arguments behind it.
    #[serde(default)]
    pub args: Vec<Text>,
    /// Where it runs.
    pub cwd: Text,
    /// What that means to the kernel.
    pub program: Program,
    /// The interpreter that was asked for, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// The port that it is to listen on; handed to it as `PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Its namespace.
    pub namespace: String,
    /// When it is started again.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// After how many restarts in a row it is given up; never where there is no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_restarts: Option<u32>,
    /// The signal that asks it to end.
    #[serde(default = "default_stop_signal")]
    pub stop_signal: Signal,
    /// The signal that `reload` sends to its main process; SIGHUP where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_signal: Option<Signal>,
    /// How long a stop waits before SIGKILL, in milliseconds.
    pub stop_timeout_ms: u64,
    /// The user that it runs as, where not the supervisor's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Account>,
    /// File-mode creation mask, as at the first start.
    pub umask: u32,
    /// Resource limits (`getrlimit(2)`) of the shell, as at the first start.
    #[serde(default, rename = "limits")]
    pub rlimits: Vec<Limit>,
    /// What it may use, as a person said.
    #[serde(
        default,
        rename = "service_limits",
        skip_serializing_if = "ServiceLimits::is_empty"
    )]
    pub limits: ServiceLimits,
    /// How it is followed, where it puts itself into the background.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon: Option<Daemon>,
    /// Its nice value, from -20 (first) to 19 (last), as at the first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// Which of its variables are not the shell's.
    #[serde(default, skip_serializing_if = "Origins::is_empty")]
    pub origins: Origins,
    /// When it counts as ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Box<ReadySpec>>,
    /// Whether it is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Box<HealthSpec>>,
    /// What is executed around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Box<Hooks>>,
    /// Files whose changes restart it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Box<WatchSpec>>,
    /// When it is started by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Box<ScheduleSpec>>,
    /// Who is told of what happens to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Notice>,
    /// How long restarts wait, where not as usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Box<BackoffSpec>>,
    /// The config file that declares it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Text>,
    /// A task: it runs once, and has to end with exit status 0.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub task: bool,
    /// What has to be true of others before it is started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// Which instance it is, where it is one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// How its logs are kept.
    #[serde(default, skip_serializing_if = "LogSettings::is_empty")]
    pub logs: LogSettings,
    /// In which form `logs` shows them, where it is not told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_type: Option<LogType>,
    /// The form of the time that it shows before each line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_date_format: Option<TimeFormat>,
}

fn default_stop_signal() -> Signal {
    Signal::TERM
}

impl ProcessSpec {
    /// A spec with the defaults of a fresh start: restarted on failure, stopped by SIGTERM within 10 s, this process's
    /// umask and limits.
    pub fn new(script: impl Into<Text>, program: Program, cwd: impl Into<Text>) -> Self {
        Self {
            script: script.into(),
            args: Vec::new(),
            cwd: cwd.into(),
            program,
            interpreter: None,
            port: None,
            namespace: DEFAULT_NAMESPACE.to_owned(),
            restart: RestartPolicy::default(),
            max_restarts: None,
            stop_signal: Signal::TERM,
            reload_signal: None,
            stop_timeout_ms: DEFAULT_STOP_TIMEOUT.as_millis() as u64,
            user: None,
            umask: crate::sys::umask(),
            rlimits: crate::sys::limits::current(),
            limits: ServiceLimits::default(),
            daemon: None,
            nice: crate::sys::limits::nice(),
            origins: Origins::default(),
            ready: None,
            health: None,
            hooks: None,
            watch: None,
            schedule: None,
            notify: Vec::new(),
            backoff: None,
            config: None,
            task: false,
            depends_on: Vec::new(),
            instance: None,
            logs: LogSettings::default(),
            log_type: None,
            log_date_format: None,
        }
    }
}

/// What `NAME.spec.json` holds: the spec, and what a record is rebuilt from where `.meta` is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSpec {
    /// Version of this document: 1.
    pub version: u32,
    /// The TSM id.
    pub id: u32,
    /// The name.
    pub name: ProcessName,
    /// Whether a `NAME.shell` belongs to it, so that one that is lost is missed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shell_state: bool,
    /// The spec.
    pub spec: ProcessSpec,
}

impl SavedSpec {
    /// The document of a process from whose shell nothing is kept.
    pub fn new(id: u32, name: ProcessName, spec: ProcessSpec) -> Self {
        Self {
            version: 1,
            id,
            name,
            shell_state: false,
            spec,
        }
    }
}

/// Reads a duration with a unit (`500ms`, `2s`, `5m`, `1h`, `1d`); a plain number is seconds.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(tsm_core::spec::parse_duration("1.5s").unwrap(), Duration::from_millis(1500));
/// assert_eq!(tsm_core::spec::parse_duration("10").unwrap(), Duration::from_secs(10));
/// assert!(tsm_core::spec::parse_duration("10 parsecs").is_err());
/// ```
///
/// # Errors
/// [`Error::BadValue`] where it is none, or longer than 366 days.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        // There is no such unit: a NaN is refused below, as it makes no duration.
        _ => f64::NAN,
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * factor).ok())
        .filter(|duration| duration.as_secs() <= 366 * 86_400)
        .ok_or_else(|| {
            Error::bad_value(
                "duration",
                format!("'{text}' is no time; write 500ms, 2s, 5m or 1h"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_a_bound() {
        let ms = |text| parse_duration(text).unwrap().as_millis();
        assert_eq!(ms("500ms"), 500);
        assert_eq!(ms("2s"), 2000);
        assert_eq!(ms("5m"), 300_000);
        assert_eq!(ms("3"), 3000);
        assert_eq!(ms("0"), 0);
        for text in [
            "",
            "s",
            "-1s",
            "1x",
            "1e9999",
            "inf",
            "nan",
            "99999999999",
            "1.2.3s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_spec_survives_json_and_a_minimal_one_is_filled_up() {
        let program = Program {
            file: "x".into(),
            words: vec!["x".into()],
            shell_fallback: false,
        };
        let spec = ProcessSpec::new("x.sh", program, "/tmp");
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<ProcessSpec>(&json).unwrap(), spec);
        let minimal = r#"{"script":"x","cwd":"/","program":{"file":"x","words":["x"]},"namespace":"default",
            "stop_timeout_ms":1,"umask":18}"#;
        let read: ProcessSpec = serde_json::from_str(minimal).unwrap();
        assert_eq!(
            (read.restart, read.stop_signal),
            (RestartPolicy::OnFailure, Signal::TERM)
        );
    }
}
