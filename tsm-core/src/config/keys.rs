//! Every key that a config file may hold: what it takes, what it means, and what becomes of it. Checking a file, the JSON
//! Schema and the messages are all made from these tables.

mod care;

pub(super) use care::{HEALTH, HOOK, HTTP, LIMITS, LOGS, NOTIFY, READY, SCHEDULE, WATCH};

use super::node::Value;

/// One key.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name in camelCase; snake_case means the same.
    pub name: &'static str,
    /// Other names of it.
    pub aliases: &'static [&'static str],
    /// What it takes.
    pub kind: Kind,
    /// What it means, for people; one line.
    pub about: &'static str,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a key that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It acts.
    Acts,
    /// It is refused; this says what to use instead.
    Refused(&'static str),
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text, or a number taken as text.
    Text,
    /// A list of texts; one text stands for a list of one.
    Texts,
    /// Words of a command: a list, or a text that is split as a shell would.
    Words,
    /// `true` or `false`.
    Bool,
    /// A whole number from 0 on.
    Count,
    /// A whole number from -20 to 19.
    Nice,
    /// A length of time: a number of milliseconds, or a text with a unit (`30s`).
    Duration,
    /// A size: a number of bytes, or a text with a unit (`500M`).
    Size,
    /// A port, or the first of several (`4000+`).
    Port,
    /// A whole number from 0 on, or one of these texts.
    CountOr(&'static [&'static str]),
    /// Names, each alone or with a condition.
    Needs,
    /// A whole map with these keys, or something shorter.
    OrMap(&'static Self, &'static [Key]),
    /// A text, or a list of words: a command.
    Command,
    /// `true`, `false`, or a list of texts.
    BoolOrTexts,
    /// A number or a text.
    Number,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// Variables: a map of texts, numbers and booleans.
    Variables,
    /// A map with these keys.
    Map(&'static [Key]),
    /// A list of maps with these keys.
    Maps(&'static [Key]),
    /// A map of maps with these keys, under names that a person gives.
    Named(&'static [Key]),
    /// Anything: the key is refused whatever it holds.
    Anything,
}

impl Kind {
    /// What it takes, in words.
    pub fn in_words(self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Texts => "a text or a list of texts".to_owned(),
            Self::Words => "a list of words or a text".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Count => "a whole number from 0 on".to_owned(),
            Self::Nice => "a whole number from -20 to 19".to_owned(),
            Self::Duration => "a time such as 30s, 5m, or a number of milliseconds".to_owned(),
            Self::Size => "a size such as 500M, 2G, or a number of bytes".to_owned(),
            Self::Port => {
                "a port from 1 to 65535, the first of several such as 4000+, or auto".to_owned()
            }
            Self::CountOr(words) => format!("a whole number, or {}", words.join(", ")),
            Self::Needs => "a name, or a list of names and {name, condition}".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Variables => "a map of variables".to_owned(),
            Self::Map(_) => "a map".to_owned(),
            Self::Maps(_) => "a list of maps".to_owned(),
            Self::Named(_) => "a map of named maps".to_owned(),
            Self::OrMap(short, _) => format!("{}, or a map", short.in_words()),
            Self::Command => "a command line, or a list of words".to_owned(),
            Self::BoolOrTexts => "true, false, or a list of texts".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Anything => "anything".to_owned(),
        }
    }

    /// Whether a value is of this kind at all; numbers and units are looked at where they are used.
    pub fn takes(self, value: &Value) -> bool {
        let is_plain = |value: &Value| {
            matches!(
                value,
                Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Bool(_)
            )
        };
        match (self, value) {
            (Self::OrMap(short, _), value) => matches!(value, Value::Map(_)) || short.takes(value),
            (Self::Command, value) => Self::Texts.takes(value),
            (Self::BoolOrTexts, value) => Self::Bool.takes(value) || Self::Texts.takes(value),
            (Self::Number, value) => Self::Duration.takes(value),
            (Self::Anything, _)
            | (Self::Text | Self::Texts | Self::Words | Self::OneOf(_), Value::Text(_))
            | (Self::Text | Self::Texts | Self::Words, Value::Integer(_) | Value::Float(_))
            | (Self::OneOf(_) | Self::Bool, Value::Bool(_))
            | (Self::CountOr(_), Value::Bool(true))
            | (Self::Count | Self::CountOr(_) | Self::Nice | Self::Port, Value::Integer(_))
            | (Self::Duration | Self::Size, Value::Integer(_) | Value::Float(_) | Value::Text(_))
            | (Self::Map(_) | Self::Named(_), Value::Map(_))
            | (Self::Maps(_), Value::List(_)) => true,
            (Self::Needs, Value::Text(_) | Value::List(_)) => true,
            (Self::Texts | Self::Words, Value::List(items)) => {
                items.iter().all(|item| is_plain(&item.value))
            }
            (Self::Variables, Value::Map(entries)) => entries
                .iter()
                .all(|entry| is_plain(&entry.node.value) || entry.node.value == Value::Null),
            // What `${VAR}` stands for is a text until it is looked at.
            (
                Self::Count | Self::CountOr(_) | Self::Nice | Self::Port | Self::Bool,
                Value::Text(_),
            ) => true,
            _ => false,
        }
    }
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        name,
        aliases: &[],
        kind,
        about,
        fate: Fate::Acts,
    }
}

const fn refused(name: &'static str, instead: &'static str) -> Key {
    Key {
        name,
        aliases: &[],
        kind: Kind::Anything,
        about: "",
        fate: Fate::Refused(instead),
    }
}

impl Key {
    const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
}

const CONTAINERS: &str = "tsm runs programs and no containers; declare `docker run …` or `docker compose up` as the script";
const BALANCER: &str =
    "tsm balances no load; put nginx or haproxy in front of the instances' ports";

/// The keys at the top of a file.
pub const TOP: &[Key] = &[
    key("processes", Kind::Maps(PROCESS), "The processes").also(&["apps", "services"]),
    key(
        "defaults",
        Kind::Map(PROCESS),
        "What every process has that does not say otherwise",
    ),
    key(
        "namespace",
        Kind::Text,
        "The namespace of processes that name none",
    ),
    key(
        "profiles",
        Kind::Named(PROCESS),
        "Named sets of process keys, chosen by --profile",
    ),
    key(
        "webhooks",
        Kind::Maps(NOTIFY),
        "Addresses that are told of what happens to every process",
    ),
    key(
        "logDir",
        Kind::Text,
        "Where the logs are, as NAME.out and NAME.err [in the home]",
    ),
    refused("pidDir", "pid files are in the home, as pids/NAME.pid"),
    refused(
        "structuredLogging",
        "`tsm logs --json` prints any log as JSON",
    ),
    refused(
        "api",
        "tsm opens no network port; `tsm list --json` and the control socket are its API",
    ),
    refused(
        "deploy",
        "tsm deploys nothing; use git, rsync or ansible, then `tsm start -c`",
    ),
];

/// The keys of a process.
pub const PROCESS: &[Key] = &[
    key("name", Kind::Text, "Its name"),
    key("script", Kind::Text, "A path, a program, or a command line").also(&["command", "cmd"]),
    key("args", Kind::Words, "Its arguments"),
    key(
        "interpreter",
        Kind::Text,
        "What executes the script; none: the file itself",
    ),
    key(
        "cwd",
        Kind::Text,
        "Where it runs; from the directory of this file",
    ),
    key(
        "env",
        Kind::Variables,
        "Variables on top of the environment of the command",
    ),
    key(
        "envFile",
        Kind::Texts,
        "Files of variables, in the language of dotenv",
    )
    .also(&["dotEnv", "dotenv"]),
    key(
        "port",
        Kind::Port,
        "The port that it listens on, handed to it as PORT; 4000+: each instance has one, from that on; auto: one that nobody has",
    ),
    key("namespace", Kind::Text, "A label to select it by, as @NAME"),
    key(
        "type",
        Kind::OneOf(&["service", "task", "daemon"]),
        "service: kept up; task: runs once, and has to end with exit status 0; daemon: puts itself into the background",
    ),
    key(
        "restart",
        Kind::OneOf(&["no", "on-failure", "always"]),
        "When it is started again by itself",
    ),
    key(
        "autorestart",
        Kind::Bool,
        "true is `restart: always`, false is `restart: no`",
    )
    .also(&["autoRestart"]),
    key(
        "maxRestarts",
        Kind::Count,
        "Give up after so many restarts in a row",
    ),
    key("stopSignal", Kind::Text, "The signal that asks it to end").also(&["killSignal"]),
    key(
        "killTimeout",
        Kind::Duration,
        "How long a stop waits before SIGKILL",
    )
    .also(&["stopTimeout"]),
    key(
        "user",
        Kind::Text,
        "The user that it runs as; only root may say so",
    ),
    key(
        "extends",
        Kind::Text,
        "The name of a process whose keys it takes over",
    ),
    key(
        "dependsOn",
        Kind::Needs,
        "What has to be started, ready, completed or healthy before it is started",
    ),
    key(
        "instances",
        Kind::CountOr(&["max"]),
        "How many of it run, as NAME@0, NAME@1 …; max: as many as there are cores",
    ),
    key(
        "instanceVar",
        Kind::Text,
        "The variable that tells an instance its number [NODE_APP_INSTANCE]",
    ),
    key(
        "ready",
        Kind::OrMap(&Kind::Text, READY),
        "When it counts as ready: port, http, log, command, notify or fd, within a timeout",
    ),
    key(
        "healthCheck",
        Kind::OrMap(&Kind::Text, HEALTH),
        "Whether it is healthy: http, https, tcp, command or watchdog, and how often that is looked at",
    )
    .also(&["health"]),
    key(
        "limits",
        Kind::Map(LIMITS),
        "What it may use: memory, cpu, tasks, nofile, nice, oomScoreAdj",
    ),
    key("maxMemory", Kind::Size, "As limits: {memory}"),
    key("maxCpu", Kind::Number, "As limits: {cpu}"),
    key("nice", Kind::Nice, "As limits: {nice}"),
    key(
        "preStart",
        Kind::OrMap(&Kind::Command, HOOK),
        "Before each start; where it fails, the start has failed",
    ),
    key("postStart", Kind::OrMap(&Kind::Command, HOOK), "When it runs"),
    key(
        "preStop",
        Kind::OrMap(&Kind::Command, HOOK),
        "Before it is asked to end",
    ),
    key(
        "postStop",
        Kind::OrMap(&Kind::Command, HOOK),
        "When nothing of a run is left",
    ),
    key(
        "watch",
        Kind::OrMap(&Kind::BoolOrTexts, WATCH),
        "Files whose changes restart it; true: all below its working directory",
    ),
    key(
        "hookTimeout",
        Kind::Duration,
        "How long each of these four may take, where it does not say so itself [30s]",
    ),
    key("ignoreWatch", Kind::Texts, "As watch: {ignore}"),
    key("watchDelay", Kind::Duration, "As watch: {debounce}"),
    key("watchSignal", Kind::Text, "As watch: {signal}"),
    key(
        "schedule",
        Kind::OrMap(&Kind::Text, SCHEDULE),
        "When a task runs, or a service is restarted, as crontab has it: by local time, or 'UTC 0 3 * * *' in UTC",
    )
    .also(&["cron", "cronRestart"]),
    key(
        "notify",
        Kind::OrMap(&Kind::Maps(NOTIFY), NOTIFY),
        "Who is told of what happens to it",
    ),
    key(
        "logs",
        Kind::Map(LOGS),
        "How its logs are kept: maxSize, keep, maxAge, compress, mode, onFull, out, err",
    ),
    key("outFile", Kind::Text, "As logs: {out}").also(&["stdout"]),
    key("errFile", Kind::Text, "As logs: {err}").also(&["stderr", "errorFile"]),
    key(
        "combineLogs",
        Kind::Bool,
        "true: standard error goes into the log of standard output",
    ),
    key(
        "mergeLogs",
        Kind::Bool,
        "true: all instances write into the file that outFile, errFile or logDir names; else each into one with its number",
    ),
    key(
        "logType",
        Kind::OneOf(&["raw", "json"]),
        "json: `tsm logs` shows its lines as JSON; on disk they are what it wrote",
    ),
    key(
        "logDateFormat",
        Kind::Text,
        "How `tsm logs` writes the time before each of its lines, such as YYYY-MM-DD HH:mm:ss",
    ),
    key(
        "reloadSignal",
        Kind::Text,
        "The signal that `tsm reload` sends [HUP]",
    ),
    key(
        "pidFile",
        Kind::Text,
        "Where a `type: daemon` writes its pid",
    ),
    key(
        "restartDelay",
        Kind::Duration,
        "How long each restart waits",
    ),
    key(
        "minRestartDelay",
        Kind::Duration,
        "How long the second restart in a row waits [250ms]",
    ),
    key(
        "maxRestartDelay",
        Kind::Duration,
        "How long a restart waits at most [60s]",
    ),
    key(
        "restartBackoff",
        Kind::Count,
        "By so much longer each restart in a row waits [2]",
    ),
    key(
        "minUptime",
        Kind::Duration,
        "After so long up, restarts are counted anew [60s]",
    ),
    refused(
        "watchOptions",
        "write `watch: {paths: […], ignore: […], debounce: 500ms, signal: HUP}`",
    ),
    refused(
        "listenTimeout",
        "write `ready: {port: 3000, timeout: 8s}`",
    ),
    refused(
        "waitReady",
        "write by what it is told: `ready: {port: 3000}`, `{http: /health}`, `{log: \"listening\"}` or `{notify: true}`",
    ),
    refused("instanceId", "the number of an instance is given by tsm"),
    refused("instanceWeight", BALANCER),
    refused("lbStrategy", BALANCER),
    refused("clusterGroup", "use `namespace`, and select by @NAME"),
    refused(
        "execMode",
        "every process runs as it is (`fork`); for a cluster of node use node's own cluster module, or instances",
    ),
    refused("group", "a process runs with all groups of its `user`"),
    refused(
        "install",
        "run it before `tsm start -c`, in your deployment",
    ),
    refused("build", "run it before `tsm start -c`, in your deployment"),
    refused(
        "log",
        "both streams have a log of their own; `tsm logs NAME` merges them by time",
    ),
    refused("labels", "use `namespace`"),
    refused("annotations", "write a comment"),
    refused("docker", CONTAINERS),
    refused("kubernetes", CONTAINERS),
    refused("k8s", CONTAINERS),
];

/// The key that is called so in a table, in camelCase or snake_case.
pub(super) fn find(table: &'static [Key], name: &str) -> Option<&'static Key> {
    let camel = camel_case(name);
    table
        .iter()
        .find(|key| key.name == camel || key.aliases.contains(&camel.as_str()))
}

/// The key that is most like `name`, for whoever mistyped it.
pub(super) fn nearest(table: &'static [Key], name: &str) -> Option<&'static str> {
    let camel = camel_case(name);
    let known = table
        .iter()
        .filter(|key| key.fate == Fate::Acts)
        .map(|key| (strsim::damerau_levenshtein(key.name, &camel), key.name));
    known
        .filter(|(distance, key)| *distance <= 1 + key.len() / 4)
        .min()
        .map(|(_, key)| key)
}

/// `max_restarts` and `max-restarts` as `maxRestarts`.
pub(super) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut parts = name.split(['_', '-']).filter(|part| !part.is_empty());
    camel.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// `maxRestarts` as `max_restarts`.
pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_either_case_and_by_its_other_names() {
        let name = |written| find(PROCESS, written).map(|key| key.name);
        assert_eq!(name("maxRestarts"), Some("maxRestarts"));
        assert_eq!(name("max_restarts"), Some("maxRestarts"));
        assert_eq!(name("dot_env"), Some("envFile"));
        assert_eq!(name("env_file"), Some("envFile"));
        assert_eq!(name("nonsense"), None);
        assert_eq!(nearest(PROCESS, "max_restart"), Some("maxRestarts"));
        assert_eq!(nearest(PROCESS, "prot"), Some("port"));
        assert_eq!(nearest(PROCESS, "zzzzzz"), None);
    }

    #[test]
    fn no_name_means_two_keys_and_every_refusal_says_what_to_do() {
        for table in [TOP, PROCESS] {
            let mut names: Vec<&str> = table
                .iter()
                .flat_map(|key| key.aliases.iter().chain([&key.name]))
                .copied()
                .collect();
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all);
            for key in table {
                match key.fate {
                    Fate::Acts => assert!(!key.about.is_empty(), "{}", key.name),
                    Fate::Refused(instead) => assert!(!instead.is_empty(), "{}", key.name),
                }
            }
        }
    }
}
