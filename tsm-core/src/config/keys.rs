//! Every key that a config file may hold: what it takes, what it means, and what becomes of it. Checking a file, the JSON
//! Schema and the messages are all made from these tables.

mod care;
mod process;

pub use process::PROCESS;

pub(super) use care::{HEALTH, HOOK, HTTP, LIMITS, LOGS, NOTIFY, READY, SCHEDULE, WATCH};

use super::node::Value;

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// A port, or `true` for its own.
    OwnPort,
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
            Self::OwnPort => "a port from 1 to 65535, or true: its own".to_owned(),
            Self::Needs => "a name, or a list of names and {name, condition}".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Variables => "a map of variables".to_owned(),
            Self::Map(_) => "a map".to_owned(),
            Self::Maps(_) => "a list of maps".to_owned(),
            Self::Named(_) => "a map of named maps".to_owned(),
            Self::OrMap(short, _) => format!("{}, or a map", short.in_words()),
            Self::Command => "a line for /bin/sh, or a list: the words of one command".to_owned(),
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
            | (Self::OwnPort, Value::Bool(true))
            | (
                Self::Count | Self::CountOr(_) | Self::Nice | Self::Port | Self::OwnPort,
                Value::Integer(_),
            )
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
            // A `${VAR}` is a text until it is expanded.
            (
                Self::Count
                | Self::CountOr(_)
                | Self::Nice
                | Self::Port
                | Self::OwnPort
                | Self::Bool,
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
            crate::sorted::sort(&mut names);
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
