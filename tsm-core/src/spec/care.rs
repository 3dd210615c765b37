//! What a person asked for around running: what is executed around a process, what else starts it again, and who is told of
//! it. All of it is optional, and costs nothing where it is not asked for.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::sys::Signal;
use crate::text::Text;

/// How long a hook may take, where nothing else is said, in milliseconds.
pub const DEFAULT_HOOK_TIMEOUT_MS: u64 = 30_000;
/// How long it has to be quiet after a change until it acts, where nothing else is said, in milliseconds.
pub const DEFAULT_DEBOUNCE_MS: u64 = 500;

/// A command besides the program of a process: it gets the process's environment, directory, user and limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CommandLine {
    /// A line for `/bin/sh -c`.
    Line(Text),
    /// Words that are executed as they are.
    Words(Vec<Text>),
}

impl CommandLine {
    /// In a person's words.
    pub fn in_words(&self) -> String {
        match self {
            Self::Line(line) => line.to_string_lossy().into_owned(),
            Self::Words(words) => {
                let words = crate::env::quote::quote_words(words.iter().map(Text::as_bytes));
                String::from_utf8_lossy(&words).into_owned()
            }
        }
    }
}

/// What is executed around a process. What they print goes into its log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// Before each start; where it fails, the start has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_start: Option<Hook>,
    /// When it runs; its failure is told, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_start: Option<Hook>,
    /// Before the signal that asks it to end; its failure is told, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<Hook>,
    /// When nothing of a run is left, however it ended; its failure is told, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_stop: Option<Hook>,
}

impl Hooks {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One command around a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// What is executed.
    pub command: CommandLine,
    /// How long it may take, in milliseconds; after that it is ended, and has failed.
    #[serde(default = "default_hook_timeout")]
    pub timeout_ms: u64,
}

fn default_hook_timeout() -> u64 {
    DEFAULT_HOOK_TIMEOUT_MS
}

impl Hook {
    /// A hook that may take the usual time.
    pub fn new(command: CommandLine) -> Self {
        Self {
            command,
            timeout_ms: DEFAULT_HOOK_TIMEOUT_MS,
        }
    }
}

/// Files whose changes restart a process. What `.gitignore` and its like name, and what is hidden, does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchSpec {
    /// Files, directories or globs, from its working directory; all of that where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// What does not count, in the language of `.gitignore`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// How long it has to be quiet after a change until it acts, in milliseconds.
    #[serde(default = "default_debounce")]
    pub debounce_ms: u64,
    /// The signal that it gets instead of a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
}

fn default_debounce() -> u64 {
    DEFAULT_DEBOUNCE_MS
}

/// Who is told of what happens to a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The events, by the names that they have in the history; [`Notice::USUAL`] where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<String>,
    /// How.
    pub to: NoticeTarget,
}

impl Notice {
    /// What is told where nothing else is said: all that a person may have to do something about.
    pub const USUAL: [&'static str; 7] = [
        "launch-failed",
        "backoff",
        "gave-up",
        "not-ready",
        "unhealthy",
        "hook-failed",
        "resists",
    ];

    /// Refuses a name that no event has.
    ///
    /// # Errors
    /// [`Error::BadValue`] with the names that there are.
    pub fn check_event(name: &str) -> Result<()> {
        if name == "all" || EventKind::NAMES.contains(&name) {
            return Ok(());
        }
        let names = EventKind::NAMES.join(", ");
        let reason = format!("'{name}' is none; there are all, {names}");
        Err(Error::bad_value("event", reason))
    }

    /// Whether this event is told.
    pub fn wants(&self, event: &str) -> bool {
        if self.on.is_empty() {
            return Self::USUAL.contains(&event);
        }
        self.on.iter().any(|name| name == event || name == "all")
    }
}

/// How somebody is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeTarget {
    /// A command, with the event in `TSM_EVENT` and all of it as JSON on its standard input.
    Command(CommandLine),
    /// A POST of the event as JSON.
    Webhook {
        /// Where to.
        url: String,
        /// Headers besides.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
    },
}

#[cfg(test)]
mod tests {
    use super::super::{HealthCheck, HealthSpec, ReadyCheck, ReadySpec, ScheduleSpec, Zone};
    use super::*;

    #[test]
    fn what_is_asked_for_survives_json_and_little_is_enough() {
        let watch = WatchSpec {
            paths: vec!["src/**/*.js".to_owned()],
            ignore: Vec::new(),
            debounce_ms: 1,
            signal: Some(Signal::HUP),
        };
        let json = serde_json::to_string(&watch).unwrap();
        assert_eq!(
            json,
            r#"{"paths":["src/**/*.js"],"debounce_ms":1,"signal":"SIGHUP"}"#
        );
        assert_eq!(serde_json::from_str::<WatchSpec>(&json).unwrap(), watch);
        assert_eq!(
            serde_json::from_str::<WatchSpec>("{}").unwrap().signal,
            None
        );
        let health: HealthSpec = serde_json::from_str(r#"{"check":"watchdog"}"#).unwrap();
        assert_eq!(health, HealthSpec::new(HealthCheck::Watchdog));
        let ready: ReadySpec = serde_json::from_str(r#"{"check":{"port":null}}"#).unwrap();
        assert_eq!(ready, ReadySpec::new(ReadyCheck::Port(None)));
        let hook: Hook = serde_json::from_str(r#"{"command":["a","b c"]}"#).unwrap();
        assert_eq!(hook.command.in_words(), "a 'b c'");
        let schedule: ScheduleSpec = serde_json::from_str(r#"{"cron":"@daily"}"#).unwrap();
        assert_eq!(schedule.zone, Zone::Local);
    }

    #[test]
    fn a_notice_is_of_what_it_names_or_of_what_is_usual() {
        let mut notice = Notice {
            on: Vec::new(),
            to: NoticeTarget::Command(CommandLine::Line("x".into())),
        };
        assert!(notice.wants("unhealthy") && !notice.wants("started"));
        for name in Notice::USUAL {
            Notice::check_event(name).unwrap();
        }
        assert!(Notice::check_event("nonsense").is_err());
        notice.on = vec!["started".to_owned()];
        assert!(!notice.wants("unhealthy") && notice.wants("started"));
    }
}
