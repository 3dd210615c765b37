//! What a file says of a process besides running it: limits, readiness, health, hooks, watching, schedules, notices, logs.

use std::str::FromStr;

use super::Reader;
use crate::config::keys::{self, Key};
use crate::config::node::{Entry, Node, Value};
use crate::error::Error;
use crate::spec::{
    BackoffSpec, CommandLine, CpuShare, Daemon, HealthSpec, Hook, Hooks, HttpCheck, LogSettings,
    LogTarget, LogType, Notice, NoticeTarget, ReadyCheck, ReadySpec, ScheduleSpec, ServiceLimits,
    TimeFormat, WatchSpec, Zone,
};
use crate::sys::Signal;

/// All of that.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Care {
    /// The signal that `reload` sends.
    pub reload_signal: Option<Signal>,
    /// What it may use.
    pub limits: ServiceLimits,
    /// How it is followed, where it puts itself into the background.
    pub daemon: Option<Daemon>,
    /// When it counts as ready.
    pub ready: Option<Box<ReadySpec>>,
    /// Whether it is healthy.
    pub health: Option<Box<HealthSpec>>,
    /// What is executed around it.
    pub hooks: Option<Box<Hooks>>,
    /// Files whose changes restart it.
    pub watch: Option<Box<WatchSpec>>,
    /// When it is started by the clock.
    pub schedule: Option<Box<ScheduleSpec>>,
    /// Who is told.
    pub notify: Vec<Notice>,
    /// How its logs are kept.
    pub logs: LogSettings,
    /// How long restarts wait.
    pub backoff: Option<Box<BackoffSpec>>,
    /// All instances write into the same files.
    pub merge_logs: bool,
    /// In which form its logs are shown.
    pub log_type: Option<LogType>,
    /// The form of the time before each line.
    pub log_date_format: Option<TimeFormat>,
}

/// The entries of a map under the names of their keys.
pub(super) struct Map<'n>(Vec<(&'static Key, &'n Entry)>);

impl<'n> Map<'n> {
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        let found = self.0.iter().find(|(key, _)| key.name == name);
        found.map(|(_, entry)| &entry.node)
    }
}

impl Reader<'_> {
    /// What the keys of a process say: one that has a port of its own or not, that puts itself into the background (`daemon`)
    /// or not, that is one of several `instances` or not.
    pub(super) fn care(
        &mut self,
        keys: &[Entry],
        has_port: bool,
        daemon: bool,
        instances: Option<u32>,
    ) -> Care {
        let get = |name: &str| {
            let entry = keys.iter().find(|entry| entry.key == name)?;
            Some(&entry.node)
        };
        let signal = get("reloadSignal").and_then(|node| self.signal(node));
        let mut limits = get("limits").map_or_else(ServiceLimits::default, |n| self.limits(n));
        if let Some(node) = get("maxMemory") {
            limits.memory = self.size(node);
        }
        if let Some(node) = get("maxCpu") {
            limits.cpu = self.cpu(node);
        }
        if let Some(node) = get("nice") {
            limits.nice = self.number(node, -20, 19).map(|nice| nice as i32);
        }
        let pid_file = get("pidFile").and_then(|node| {
            let refusal = if !daemon {
                "'pidFile' is for `type: daemon`; of all others the pid is in the home, as pids/NAME.pid"
            } else if instances.is_some() {
                "'pidFile' names one file, and here are several instances; without it, each is found by itself"
            } else {
                return self.path(node);
            };
            self.mistake(node.at, refusal);
            None
        });
        let time = get("hookTimeout").and_then(|node| self.ms(node));
        let hooks = Hooks {
            pre_start: get("preStart").and_then(|node| self.hook(node, time)),
            post_start: get("postStart").and_then(|node| self.hook(node, time)),
            pre_stop: get("preStop").and_then(|node| self.hook(node, time)),
            post_stop: get("postStop").and_then(|node| self.hook(node, time)),
        };
        let merge_logs = get("mergeLogs").and_then(|node| self.boolean(node));
        let logs = self.log_settings(&get);
        let ready = get("ready").and_then(|node| {
            let ready = self.ready(node, has_port)?;
            // A log that nobody keeps is never seen by the supervisor.
            if logs.keeps_nothing() && matches!(ready.check, ReadyCheck::Log(_)) {
                let message = "no line of it is ever seen: both of its logs are thrown away";
                self.mistake(node.at, message);
            }
            Some(ready)
        });
        Care {
            reload_signal: signal,
            limits,
            daemon: daemon.then_some(Daemon { pid_file }),
            ready: ready.map(Box::new),
            health: get("healthCheck")
                .and_then(|node| self.health(node, has_port))
                .map(Box::new),
            hooks: (!hooks.is_empty()).then(|| Box::new(hooks)),
            watch: self.watch(&get),
            schedule: get("schedule")
                .and_then(|node| self.schedule(node))
                .map(Box::new),
            notify: get("notify").map_or_else(Vec::new, |node| self.notices(node)),
            logs,
            backoff: self.backoff(&get),
            merge_logs: merge_logs == Some(true),
            log_type: get("logType").and_then(|node| self.parsed_text(node)),
            log_date_format: get("logDateFormat").and_then(|node| self.parsed_text(node)),
        }
    }

    pub(super) fn map<'n>(&mut self, node: &'n Node, table: &'static [Key]) -> Map<'n> {
        Map(self.known(node, table, "map"))
    }

    /// A text that is read as something else.
    fn parsed_text<T: FromStr<Err = Error>>(&mut self, node: &Node) -> Option<T> {
        let text = self.text(node)?;
        self.parsed(node.at, text.parse())
    }

    fn signal(&mut self, node: &Node) -> Option<Signal> {
        let text = self.text(node)?;
        self.parsed(node.at, text.parse())
    }

    fn size(&mut self, node: &Node) -> Option<u64> {
        let text = self.text(node)?;
        self.parsed(node.at, crate::spec::parse_size(&text))
    }

    fn cpu(&mut self, node: &Node) -> Option<CpuShare> {
        let text = self.text(node)?;
        self.parsed(node.at, text.parse())
    }

    pub(super) fn ms(&mut self, node: &Node) -> Option<u64> {
        self.duration(node).map(|time| time.as_millis() as u64)
    }

    /// A path, from the directory of the file.
    fn path(&mut self, node: &Node) -> Option<crate::text::Text> {
        let text = self.text(node)?;
        let path = super::plain(&self.directory.join(text));
        Some(path.as_os_str().into())
    }

    fn limits(&mut self, node: &Node) -> ServiceLimits {
        let map = self.map(node, keys::LIMITS);
        ServiceLimits {
            memory: map.get("memory").and_then(|node| self.size(node)),
            cpu: map.get("cpu").and_then(|node| self.cpu(node)),
            tasks: map
                .get("tasks")
                .and_then(|node| self.number(node, 1, i64::from(u32::MAX)))
                .map(|tasks| tasks as u32),
            nofile: map
                .get("nofile")
                .and_then(|node| self.number(node, 1, i64::MAX))
                .map(|files| files as u64),
            nice: map
                .get("nice")
                .and_then(|node| self.number(node, -20, 19))
                .map(|nice| nice as i32),
            oom_score_adj: map
                .get("oomScoreAdj")
                .and_then(|node| self.number(node, -1000, 1000))
                .map(|score| score as i32),
        }
    }

    pub(super) fn command(&mut self, node: &Node) -> Option<CommandLine> {
        if matches!(node.value, Value::List(_)) {
            let words = self.texts(node);
            if words.is_empty() {
                self.mistake(node.at, "a command has at least one word");
            }
            return Some(CommandLine::Words(
                words.into_iter().map(Into::into).collect(),
            ));
        }
        let line = self.text(node)?;
        if line.trim().is_empty() {
            self.mistake(node.at, "a command is not empty");
        }
        Some(CommandLine::Line(line.into()))
    }

    /// A hook: a line for a shell, a list of the words of one command, or a map. `time` is what all hooks may take.
    fn hook(&mut self, node: &Node, time: Option<u64>) -> Option<Hook> {
        let timed = |command| {
            let mut hook = Hook::new(command);
            hook.timeout_ms = time.unwrap_or(hook.timeout_ms);
            hook
        };
        if !matches!(node.value, Value::Map(_)) {
            return self.command(node).map(timed);
        }
        let map = self.map(node, keys::HOOK);
        let Some(command) = map.get("command") else {
            self.mistake(node.at, "a hook has a `command`");
            return None;
        };
        let mut hook = self.command(command).map(timed)?;
        if let Some(timeout) = map.get("timeout").and_then(|node| self.ms(node)) {
            hook.timeout_ms = timeout;
        }
        Some(hook)
    }

    fn watch<'n>(&mut self, get: &dyn Fn(&str) -> Option<&'n Node>) -> Option<Box<WatchSpec>> {
        let mut watch = WatchSpec {
            debounce_ms: crate::spec::care::DEFAULT_DEBOUNCE_MS,
            ..WatchSpec::default()
        };
        if let Some(node) = get("ignoreWatch") {
            watch.ignore = self.texts(node);
        }
        if let Some(node) = get("watchDelay") {
            watch.debounce_ms = self.ms(node)?;
        }
        watch.signal = get("watchSignal").and_then(|node| self.signal(node));
        // Without `watch` the other keys would be ignored silently.
        let Some(node) = get("watch") else {
            for name in ["ignoreWatch", "watchDelay", "watchSignal"] {
                if let Some(node) = get(name) {
                    self.mistake(
                        node.at,
                        format!("'{name}' goes with 'watch', which is not there"),
                    );
                }
            }
            return None;
        };
        match &node.value {
            Value::Bool(on) => return on.then(|| Box::new(watch)),
            Value::Map(_) => {
                let map = self.map(node, keys::WATCH);
                if let Some(node) = map.get("paths") {
                    watch.paths = self.texts(node);
                }
                if let Some(node) = map.get("ignore") {
                    watch.ignore = self.texts(node);
                }
                if let Some(node) = map.get("debounce") {
                    watch.debounce_ms = self.ms(node)?;
                }
                if let Some(node) = map.get("signal") {
                    watch.signal = self.signal(node);
                }
            }
            _ => watch.paths = self.texts(node),
        }
        Some(Box::new(watch))
    }

    fn schedule(&mut self, node: &Node) -> Option<ScheduleSpec> {
        if !matches!(node.value, Value::Map(_)) {
            let cron = self.text(node)?;
            return self.parsed(node.at, cron.parse());
        }
        let map = self.map(node, keys::SCHEDULE);
        let zone = map.get("zone").and_then(|node| self.text(node));
        let zone = match zone.as_deref() {
            Some("utc" | "UTC") => Zone::Utc,
            _ => Zone::Local,
        };
        let Some(cron) = map.get("cron") else {
            self.mistake(node.at, "a schedule has a `cron`");
            return None;
        };
        let text = self.text(cron)?;
        self.parsed(cron.at, ScheduleSpec::new(&text, zone))
    }

    /// Notices, one or a list.
    pub(super) fn notices(&mut self, node: &Node) -> Vec<Notice> {
        let nodes = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        nodes
            .iter()
            .filter_map(|node| {
                let map = self.map(node, keys::NOTIFY);
                let enabled = map.get("enabled").and_then(|node| self.boolean(node));
                let on = map.get("events").map(|node| self.events(node));
                let to = match (map.get("command"), map.get("url")) {
                    (Some(command), None) => NoticeTarget::Command(self.command(command)?),
                    (None, Some(url)) => NoticeTarget::Webhook {
                        url: self.address(url)?,
                        headers: map
                            .get("headers")
                            .map_or_else(Vec::new, |node| self.variables(node)),
                    },
                    _ => {
                        self.mistake(node.at, "either a `command` or a `url` belongs here");
                        return None;
                    }
                };
                (enabled != Some(false)).then(|| Notice {
                    on: on.unwrap_or_default(),
                    to,
                })
            })
            .collect()
    }

    /// An address that something is posted to.
    fn address(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        let checked = HttpCheck::new(text).map(|check| check.url);
        self.parsed(node.at, checked)
    }

    /// Events by their names.
    fn events(&mut self, node: &Node) -> Vec<String> {
        let nodes = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut events = Vec::new();
        for node in nodes {
            let Some(text) = self.text(node) else {
                continue;
            };
            let name = event_name(&text);
            if self.parsed(node.at, Notice::check_event(&name)).is_some() {
                events.push(name);
            }
        }
        events
    }

    fn log_settings<'n>(&mut self, get: &dyn Fn(&str) -> Option<&'n Node>) -> LogSettings {
        let mut logs = LogSettings::default();
        if let Some(node) = get("logs") {
            let map = self.map(node, keys::LOGS);
            logs.max_size = map.get("maxSize").and_then(|node| self.size(node));
            logs.keep = map
                .get("keep")
                .and_then(|node| self.number(node, 0, 10_000))
                .map(|keep| keep as u32);
            logs.max_age_ms = map.get("maxAge").and_then(|node| self.ms(node));
            logs.compress = map.get("compress").and_then(|node| self.boolean(node));
            logs.force = map.get("force").and_then(|node| self.boolean(node));
            let mode = map.get("mode").and_then(|n| Some((n.at, self.text(n)?)));
            logs.mode = mode.and_then(|(at, text)| self.parsed(at, text.parse()));
            let full = map.get("onFull").and_then(|n| Some((n.at, self.text(n)?)));
            logs.on_full = full.and_then(|(at, text)| self.parsed(at, text.parse()));
            logs.out = map.get("out").and_then(|node| self.log_target(node));
            logs.err = map.get("err").and_then(|node| self.log_target(node));
        }
        if let Some(node) = get("outFile") {
            logs.out = self.log_target(node);
        }
        if let Some(node) = get("errFile") {
            logs.err = self.log_target(node);
        }
        if let Some(node) = get("combineLogs")
            && self.boolean(node) == Some(true)
        {
            logs.err = Some(LogTarget::Same);
        }
        if let Err(error) = logs.check() {
            let at = get("logs").or_else(|| get("outFile")).map(|node| node.at);
            self.parsed::<(), _>(at.unwrap_or_default(), Err(error));
        }
        logs
    }

    fn log_target(&mut self, node: &Node) -> Option<LogTarget> {
        match self.text(node)?.as_str() {
            "null" | "/dev/null" => Some(LogTarget::Null),
            "same" => Some(LogTarget::Same),
            _ => self.path(node).map(LogTarget::File),
        }
    }

    fn backoff<'n>(&mut self, get: &dyn Fn(&str) -> Option<&'n Node>) -> Option<Box<BackoffSpec>> {
        let mut time = |name: &str| get(name).and_then(|node| self.ms(node));
        let backoff = BackoffSpec {
            fixed_ms: time("restartDelay"),
            first_ms: time("minRestartDelay"),
            most_ms: time("maxRestartDelay"),
            steady_ms: time("minUptime"),
            factor: None,
        };
        let factor = get("restartBackoff").and_then(|node| self.number(node, 1, 100));
        let backoff = BackoffSpec {
            factor: factor.map(|factor| factor as u32),
            ..backoff
        };
        (backoff != BackoffSpec::default()).then(|| Box::new(backoff))
    }
}

/// The name of an event in the history, for one that TSPM calls otherwise.
fn event_name(event: &str) -> String {
    match event {
        "process:start" => "started",
        "process:stop" => "stopped",
        "process:restart" => "backoff",
        "process:exit" => "exited",
        "process:error" => "launch-failed",
        "process:ready" => "ready",
        "instance:health-change" => "unhealthy",
        other => other,
    }
    .to_owned()
}
