//! How it is told when a process is ready, and whether it is healthy.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{CommandLine, parse_duration};
use crate::error::{Error, Result};

/// How long a process may take until it is ready, where nothing else is said: a minute, in milliseconds.
pub const DEFAULT_READY_TIMEOUT_MS: u64 = 60_000;
/// The time between two health checks, where nothing else is said, in milliseconds.
pub const DEFAULT_HEALTH_INTERVAL_MS: u64 = 30_000;
/// How long one health check may take, where nothing else is said, in milliseconds.
pub const DEFAULT_HEALTH_TIMEOUT_MS: u64 = 5_000;
/// How many health checks have to fail in a row, where nothing else is said.
pub const DEFAULT_HEALTH_RETRIES: u32 = 3;

/// A request over HTTP, and the answer that is hoped for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCheck {
    /// The whole address, `http://` or `https://`.
    pub url: String,
    /// The method; GET where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The statuses that count as good; 200 to 399 where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<u16>,
    /// What the body has to contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether any certificate will do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
}

impl HttpCheck {
    /// A GET of this address that is answered with 200 to 399.
    ///
    /// # Errors
    /// [`Error::BadValue`] where that is no address of HTTP.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        let url = url.into();
        let rest = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        if host.is_none_or(str::is_empty) || url.contains(|c: char| c.is_whitespace()) {
            let reason = format!("'{url}' is no address such as http://127.0.0.1:8080/health");
            return Err(Error::bad_value("url", reason));
        }
        Ok(Self {
            url,
            method: None,
            status: Vec::new(),
            body: None,
            insecure: false,
        })
    }

    /// The same, asked at this port where it is asked at [the process's own](OWN_PORT); `None` where it is to be asked there, and has none.
    #[must_use]
    pub fn at(&self, port: Option<u16>) -> Option<Self> {
        let mut check = self.clone();
        if self.is_at_own_port() {
            check.url = self.url.replace(OWN_PORT, &port?.to_string());
        }
        Some(check)
    }

    fn is_at_own_port(&self) -> bool {
        self.url.contains(OWN_PORT)
    }
}

/// What stands in an address for the port that the process itself has: each instance, and a port that is found at its start,
/// is asked at its own.
pub const OWN_PORT: &str = "$PORT";

/// When a process counts as ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadySpec {
    /// By what it is told.
    pub check: ReadyCheck,
    /// How long it may take from its start, in milliseconds; after that the run has failed.
    #[serde(default = "default_ready_timeout")]
    pub timeout_ms: u64,
}

fn default_ready_timeout() -> u64 {
    DEFAULT_READY_TIMEOUT_MS
}

/// By what readiness is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadyCheck {
    /// Somebody of it listens on this TCP port; on its declared one where there is no number.
    Port(Option<u16>),
    /// An HTTP server answers.
    Http(HttpCheck),
    /// A line that it prints matches this regular expression.
    Log(String),
    /// A command, tried again and again, exits with status 0.
    Command(CommandLine),
    /// It says `READY=1`, as `sd_notify(3)` does.
    Notify,
    /// It writes a newline into this file descriptor, as s6 has it.
    Fd(u16),
}

impl ReadySpec {
    /// Readiness by `check`, within the usual time.
    pub fn new(check: ReadyCheck) -> Self {
        Self {
            check,
            timeout_ms: DEFAULT_READY_TIMEOUT_MS,
        }
    }
}

/// `port`, `port:5432`, `http://…`, `log:REGEX`, `cmd:COMMAND`, `notify`, `fd:3`.
impl FromStr for ReadyCheck {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |reason: String| Error::bad_value("--ready", reason);
        if text.starts_with("http://") || text.starts_with("https://") {
            return HttpCheck::new(text).map(Self::Http);
        }
        match text.split_once(':') {
            None if text == "port" => Ok(Self::Port(None)),
            None if text == "notify" => Ok(Self::Notify),
            Some(("port", number)) => port(number).map(|port| Self::Port(Some(port))),
            Some(("log", pattern)) if !pattern.is_empty() => Self::log(pattern),
            Some(("cmd" | "command", line)) if !line.trim().is_empty() => {
                Ok(Self::Command(CommandLine::Line(line.into())))
            }
            Some(("fd", number)) => number
                .parse()
                .map_err(|_not_a_number| wrong(format!("'{number}' is no file descriptor")))
                .and_then(Self::fd),
            _ => Err(wrong(format!(
                "'{text}' is none of port, port:N, http://…, log:REGEX, cmd:COMMAND, notify, fd:N"
            ))),
        }
    }
}

impl ReadyCheck {
    /// Whether it is asked at the port that the process itself has.
    pub fn is_at_own_port(&self) -> bool {
        match self {
            Self::Port(port) => port.is_none(),
            Self::Http(check) => check.is_at_own_port(),
            _ => false,
        }
    }

    /// Readiness by a line that matches.
    ///
    /// # Errors
    /// [`Error::BadValue`] where that is no regular expression.
    pub fn log(pattern: &str) -> Result<Self> {
        compile(pattern).map(|_| Self::Log(pattern.to_owned()))
    }

    /// Readiness by a file descriptor.
    ///
    /// # Errors
    /// [`Error::BadValue`] for one that every program uses otherwise, or that hardly exists.
    pub fn fd(number: u16) -> Result<Self> {
        if (3..=255).contains(&number) {
            return Ok(Self::Fd(number));
        }
        let reason = format!("{number} is none from 3 to 255");
        Err(Error::bad_value("file descriptor", reason))
    }
}

/// A regular expression of a bounded size, for lines of bytes.
pub(crate) fn compile(pattern: &str) -> Result<regex::bytes::Regex> {
    const LARGEST: usize = 1 << 20;
    let built = regex::bytes::RegexBuilder::new(pattern)
        .size_limit(LARGEST)
        .build();
    built.map_err(|error| {
        // The engine's own message has several lines, with a picture of the place.
        let reason = error.to_string();
        let last = reason.lines().last().unwrap_or_default();
        let last = last.trim_start_matches("error: ");
        Error::bad_value("regular expression", format!("'{pattern}': {last}"))
    })
}

fn port(text: &str) -> Result<u16> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Error::bad_value(
            "port",
            format!("'{text}' is none from 1 to 65535"),
        )),
    }
}

/// Whether a process is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSpec {
    /// By what it is told.
    pub check: HealthCheck,
    /// The time between the end of a check and the next one, in milliseconds.
    #[serde(default = "default_health_interval")]
    pub interval_ms: u64,
    /// How long a check may take, in milliseconds; for a watchdog: how long it may be silent.
    #[serde(default = "default_health_timeout")]
    pub timeout_ms: u64,
    /// How many checks have to fail in a row.
    #[serde(default = "default_health_retries")]
    pub retries: u32,
    /// The time before the first check, in milliseconds; the interval where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay_ms: Option<u64>,
    /// For so long after its start failures do not count until the first success, in milliseconds.
    #[serde(default)]
    pub start_period_ms: u64,
    /// What becomes of one that is not.
    #[serde(default)]
    pub action: HealthAction,
}

fn default_health_interval() -> u64 {
    DEFAULT_HEALTH_INTERVAL_MS
}

fn default_health_timeout() -> u64 {
    DEFAULT_HEALTH_TIMEOUT_MS
}

fn default_health_retries() -> u32 {
    DEFAULT_HEALTH_RETRIES
}

impl HealthSpec {
    /// Health by `check`, at the usual times.
    pub fn new(check: HealthCheck) -> Self {
        Self {
            check,
            interval_ms: DEFAULT_HEALTH_INTERVAL_MS,
            timeout_ms: DEFAULT_HEALTH_TIMEOUT_MS,
            retries: DEFAULT_HEALTH_RETRIES,
            initial_delay_ms: None,
            start_period_ms: 0,
            action: HealthAction::default(),
        }
    }
}

/// A [`HealthCheck`], and `watchdog:TIME`.
impl FromStr for HealthSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some(time) = text.strip_prefix("watchdog:") else {
            return text.parse().map(Self::new);
        };
        let mut spec = Self::new(HealthCheck::Watchdog);
        spec.timeout_ms = parse_duration(time)?.as_millis() as u64;
        Ok(spec)
    }
}

/// By what health is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthCheck {
    /// An HTTP server answers.
    Http(HttpCheck),
    /// A TCP connection can be made.
    Tcp {
        /// To which host.
        host: String,
        /// To which port; the process's own where there is none.
        #[serde(default)]
        port: Option<u16>,
    },
    /// A command exits with status 0.
    Command(CommandLine),
    /// It says `WATCHDOG=1` in time, as `sd_notify(3)` does.
    Watchdog,
}

impl HealthCheck {
    /// Whether it is asked at the port that the process itself has.
    pub fn is_at_own_port(&self) -> bool {
        match self {
            Self::Http(check) => check.is_at_own_port(),
            Self::Tcp { port, .. } => port.is_none(),
            Self::Command(_) | Self::Watchdog => false,
        }
    }
}

/// `http://…`, `tcp`, `tcp:PORT`, `tcp:HOST:PORT`, `cmd:COMMAND`, `watchdog`.
impl FromStr for HealthCheck {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return HttpCheck::new(text).map(Self::Http);
        }
        match text.split_once(':') {
            None if text == "watchdog" => Ok(Self::Watchdog),
            None if text == "tcp" => Ok(Self::Tcp {
                host: "127.0.0.1".to_owned(),
                port: None,
            }),
            Some(("tcp", place)) => {
                let place = place.trim_start_matches("//");
                let (host, number) = place.rsplit_once(':').unwrap_or(("127.0.0.1", place));
                Ok(Self::Tcp {
                    host: host.trim_matches(['[', ']']).to_owned(),
                    port: port(number).map(Some)?,
                })
            }
            Some(("cmd" | "command", line)) if !line.trim().is_empty() => {
                Ok(Self::Command(CommandLine::Line(line.into())))
            }
            _ => Err(Error::bad_value(
                "--health",
                format!(
                    "'{text}' is none of http://…, tcp, tcp:PORT, tcp:HOST:PORT, cmd:COMMAND, watchdog"
                ),
            )),
        }
    }
}

/// What becomes of a process that is not healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthAction {
    /// Its run has failed: it is ended, and started again by the rules of restarts.
    #[default]
    Restart,
    /// It is told, and nothing else.
    Report,
}

/// `restart` or `report`.
impl FromStr for HealthAction {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "restart" => Ok(Self::Restart),
            "report" => Ok(Self::Report),
            _ => Err(Error::bad_value(
                "--health-action",
                format!("'{text}' is neither restart nor report"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_read_from_options() {
        let ready = |text: &str| text.parse::<ReadyCheck>();
        assert_eq!(ready("port").unwrap(), ReadyCheck::Port(None));
        assert_eq!(ready("port:80").unwrap(), ReadyCheck::Port(Some(80)));
        assert_eq!(ready("notify").unwrap(), ReadyCheck::Notify);
        assert_eq!(ready("fd:3").unwrap(), ReadyCheck::Fd(3));
        assert_eq!(
            ready("log:listening on .*:").unwrap(),
            ReadyCheck::Log("listening on .*:".to_owned())
        );
        assert!(matches!(
            ready("http://[::1]:1/x").unwrap(),
            ReadyCheck::Http(_)
        ));
        for text in [
            "",
            "port:0",
            "log:",
            "log:(",
            "fd:2",
            "http://",
            "http:///x",
            "ftp://x",
            "cmd: ",
        ] {
            let error = ready(text).unwrap_err().to_string();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let tcp = |host: &str, port| HealthCheck::Tcp {
            host: host.to_owned(),
            port: Some(port),
        };
        let health = |text: &str| text.parse::<HealthCheck>();
        assert_eq!(health("tcp:80").unwrap(), tcp("127.0.0.1", 80));
        assert_eq!(health("tcp:[::1]:80").unwrap(), tcp("::1", 80));
        assert_eq!(health("tcp://db:80").unwrap(), tcp("db", 80));
        assert!(health("tcp:x").is_err() && health("nothing").is_err());
        assert_eq!(
            "watchdog:1.5s".parse::<HealthSpec>().unwrap().timeout_ms,
            1500
        );
    }
}
