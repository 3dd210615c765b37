//! What may be asked of a service besides running.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use tsm_core::error::Error;
use tsm_core::spec::{
    CommandLine, HealthAction, HealthSpec, Hook, Hooks, Notice, NoticeTarget, ProcessSpec,
    ReadyCheck, ReadySpec, ScheduleSpec, WatchSpec, care::DEFAULT_DEBOUNCE_MS, parse_duration,
};
use tsm_core::sys::Signal;

use super::start::at_least_one;

/// How long a command waits, where it is told to and nothing else is said.
const DEFAULT_WAIT: &str = "60s";

/// A port, or any that is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortChoice {
    This(u16),
    Any,
}

impl PortChoice {
    pub(crate) fn number(self) -> Option<u16> {
        match self {
            Self::This(port) => Some(port),
            Self::Any => None,
        }
    }
}

impl FromStr for PortChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "auto" => Ok(Self::Any),
            Ok(port) if port > 0 => Ok(Self::This(port)),
            _ => Err(format!(
                "'{text}' is neither a port from 1 to 65535 nor auto"
            )),
        }
    }
}

// Waiting until what is started is ready.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct WaitArgs {
    /// Return when it is ready (--ready; else when its port is listened on, else when it runs), after TIME with exit
    /// status 7 and its last lines [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, num_args = 0..=1, require_equals = true,
        default_missing_value = DEFAULT_WAIT)]
    wait: Option<Duration>,
}

impl WaitArgs {
    /// In milliseconds.
    pub(crate) fn ms(&self) -> Option<u64> {
        self.wait.map(|wait| wait.as_millis() as u64)
    }
}

#[derive(Debug, Default, Args)]
pub(crate) struct CareArgs {
    /// When it counts as ready: port, port:N, http://…, log:REGEX, cmd:COMMAND, notify (sd_notify), fd:N (s6); $PORT in an
    /// address is its own port
    #[arg(long, value_name = "WHAT", help_heading = "Readiness and health")]
    ready: Option<ReadyCheck>,
    /// How long that may take; after that the run has failed [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "ready", help_heading = "Readiness and health")]
    ready_timeout: Option<Duration>,
    /// Whether it is healthy: http://…, tcp, tcp:PORT or tcp:HOST:PORT, cmd:COMMAND, watchdog:TIME (sd_notify)
    #[arg(long, value_name = "WHAT", help_heading = "Readiness and health")]
    health: Option<HealthSpec>,
    /// The time before the first check, and between two [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "health", help_heading = "Readiness and health")]
    health_interval: Option<Duration>,
    /// How long a check may take [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "health", help_heading = "Readiness and health")]
    health_timeout: Option<Duration>,
    /// How many checks have to fail in a row [default: 3]
    #[arg(long, value_name = "N", value_parser = at_least_one, requires = "health", help_heading = "Readiness and health")]
    health_retries: Option<u32>,
    /// For so long failures do not count until the first success [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "health", help_heading = "Readiness and health")]
    health_start_period: Option<Duration>,
    /// What becomes of one that is not healthy: restart or report [default: restart]
    #[arg(
        long,
        value_name = "ACTION",
        requires = "health",
        help_heading = "Readiness and health"
    )]
    health_action: Option<HealthAction>,
    /// Run this by /bin/sh before each start; where it fails, the start has failed
    #[arg(long, value_name = "COMMAND", help_heading = "Hooks and notices")]
    pre_start: Option<String>,
    /// Run this when it runs
    #[arg(long, value_name = "COMMAND", help_heading = "Hooks and notices")]
    post_start: Option<String>,
    /// Run this before it is asked to end
    #[arg(long, value_name = "COMMAND", help_heading = "Hooks and notices")]
    pre_stop: Option<String>,
    /// Run this when nothing of it is left, however it ended
    #[arg(long, value_name = "COMMAND", help_heading = "Hooks and notices")]
    post_stop: Option<String>,
    /// Restart it when a file changes: this file, directory or glob; all below its directory without one. What .gitignore
    /// names does not count; may be repeated
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = ".",
        help_heading = "Restarts besides")]
    watch: Vec<String>,
    /// What does not count besides, in the language of .gitignore; may be repeated
    #[arg(
        long,
        value_name = "PATTERN",
        requires = "watch",
        help_heading = "Restarts besides"
    )]
    watch_ignore: Vec<String>,
    /// How long it has to be quiet after a change [default: 500ms]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "watch", help_heading = "Restarts besides")]
    watch_delay: Option<Duration>,
    /// Send this signal instead
    #[arg(
        long,
        value_name = "SIGNAL",
        requires = "watch",
        help_heading = "Restarts besides"
    )]
    watch_signal: Option<Signal>,
    /// Restart it by the clock: five fields of cron, or @daily and its like, in local time; 'UTC 0 3 * * *' in UTC
    #[arg(long, value_name = "CRON", help_heading = "Restarts besides")]
    schedule: Option<ScheduleSpec>,
    /// Tell this address (a POST of JSON), or this command (JSON on its standard input), what happens to it; may be
    /// repeated
    #[arg(long, value_name = "URL|COMMAND", help_heading = "Hooks and notices")]
    notify: Vec<String>,
    /// Of these events only, by the names of its history [default: what needs somebody to look after it]
    #[arg(
        long,
        value_name = "EVENT,…",
        value_delimiter = ',',
        requires = "notify",
        help_heading = "Hooks and notices"
    )]
    notify_on: Vec<String>,
}

impl CareArgs {
    /// The first of these options that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--ready", self.ready.is_some()),
            ("--health", self.health.is_some()),
            ("--pre-start", self.pre_start.is_some()),
            ("--post-start", self.post_start.is_some()),
            ("--pre-stop", self.pre_stop.is_some()),
            ("--post-stop", self.post_stop.is_some()),
            ("--watch", !self.watch.is_empty()),
            ("--schedule", self.schedule.is_some()),
            ("--notify", !self.notify.is_empty()),
        ];
        let first = given.into_iter().find(|(_, given)| *given);
        first.map(|(option, _)| option)
    }

    /// Puts them into a spec.
    pub(crate) fn apply(&self, spec: &mut ProcessSpec, any_port: bool) -> Result<(), Error> {
        let ms = |time: Duration| time.as_millis() as u64;
        let has_port = spec.port.is_some() || any_port;
        if let Some(check) = &self.ready {
            let mut ready = ReadySpec::new(check.clone());
            if check.is_at_own_port() && !has_port {
                let reason = "at which port? Give it a --port, or say port:N";
                return Err(Error::bad_value("--ready", reason));
            }
            if spec.logs.keeps_nothing() && matches!(check, ReadyCheck::Log(_)) {
                let reason = "no line of it is ever seen: both of its logs are thrown away";
                return Err(Error::bad_value("--ready", reason));
            }
            if let Some(time) = self.ready_timeout {
                ready.timeout_ms = ms(time);
            }
            spec.ready = Some(Box::new(ready));
        }
        if let Some(health) = &self.health {
            let mut health = health.clone();
            if health.check.is_at_own_port() && !has_port {
                let reason = "at which port? Give it a --port, or say tcp:N";
                return Err(Error::bad_value("--health", reason));
            }
            if let Some(time) = self.health_interval {
                health.interval_ms = ms(time);
            }
            if let Some(time) = self.health_timeout {
                health.timeout_ms = ms(time);
            }
            if let Some(retries) = self.health_retries {
                health.retries = retries;
            }
            if let Some(time) = self.health_start_period {
                health.start_period_ms = ms(time);
            }
            if let Some(action) = self.health_action {
                health.action = action;
            }
            spec.health = Some(Box::new(health));
        }
        let hook = |line: &Option<String>| {
            let line = line.as_deref()?;
            Some(Hook::new(CommandLine::Line(line.into())))
        };
        let hooks = Hooks {
            pre_start: hook(&self.pre_start),
            post_start: hook(&self.post_start),
            pre_stop: hook(&self.pre_stop),
            post_stop: hook(&self.post_stop),
        };
        spec.hooks = (!hooks.is_empty()).then(|| Box::new(hooks));
        if !self.watch.is_empty() {
            let mut watch = WatchSpec {
                paths: self.watch.clone(),
                ignore: self.watch_ignore.clone(),
                signal: self.watch_signal,
                debounce_ms: DEFAULT_DEBOUNCE_MS,
            };
            if let Some(time) = self.watch_delay {
                watch.debounce_ms = ms(time);
            }
            spec.watch = Some(Box::new(watch));
        }
        spec.schedule = self.schedule.clone().map(Box::new);
        for name in &self.notify_on {
            Notice::check_event(name)?;
        }
        spec.notify = self
            .notify
            .iter()
            .map(|target| Notice {
                on: self.notify_on.clone(),
                to: if target.starts_with("http://") || target.starts_with("https://") {
                    NoticeTarget::Webhook {
                        url: target.clone(),
                        headers: Vec::new(),
                    }
                } else {
                    NoticeTarget::Command(CommandLine::Line(target.as_str().into()))
                },
            })
            .collect();
        Ok(())
    }
}
