//! Which keys stand where, and whether each has a value of its kind.

use super::Reader;
use super::merging::{canonical, merge};
use crate::config::keys::{self, Fate, Key, Kind, PROCESS};
use crate::config::node::{Entry, Node, Place, Value};

impl Reader<'_> {
    /// The entries of a map whose keys are known, and a mistake for each other one.
    pub(super) fn known<'n>(
        &mut self,
        node: &'n Node,
        table: &'static [Key],
        prefix: &str,
    ) -> Vec<(&'static Key, &'n Entry)> {
        let Value::Map(entries) = &node.value else {
            let kind = node.value.kind();
            let message = if prefix.is_empty() {
                format!("a config file is a map, and here stands {kind}")
            } else {
                format!("a map belongs here, not {kind}")
            };
            self.mistake(node.at, message);
            return Vec::new();
        };
        let mut known: Vec<(&'static Key, &Entry)> = Vec::new();
        for entry in entries {
            let Some(key) = keys::find(table, &entry.key) else {
                // Such keys hold anchors, as in a file of Docker Compose, or are meant for editors.
                let is_others =
                    prefix.is_empty() && (entry.key.starts_with("x-") || entry.key == "$schema");
                let is_profiles = prefix == "process" && entry.key.starts_with("env_");
                if !(is_others || is_profiles) {
                    self.mistake(entry.at, unknown_key(table, &entry.key));
                }
                continue;
            };
            // Under another spelling, too: `maxRestarts` and `max_restarts` are one key.
            let is_second = known.iter().any(|(other, _)| other.name == key.name);
            let wrong = match key.fate {
                Fate::Refused(instead) => {
                    let message = format!("'{}' is refused: {instead}", entry.key);
                    Some((entry.at, message))
                }
                Fate::Acts if is_second => {
                    Some((entry.at, format!("'{}' is given twice", key.name)))
                }
                Fate::Acts => wrong_value(key, entry),
            };
            if let Some((at, message)) = wrong {
                self.mistake(at, message);
                continue;
            }
            known.push((key, entry));
        }
        known
    }

    /// The keys of a process under their own names, checked.
    pub(super) fn process_keys(&mut self, node: &Node) -> Vec<Entry> {
        let mut own: Vec<Entry> = self
            .known(node, PROCESS, "process")
            .into_iter()
            .map(|(key, entry)| {
                let mut own = Entry {
                    key: key.name.to_owned(),
                    ..entry.clone()
                };
                canonical(key.kind, &mut own.node);
                own
            })
            .collect();
        let Value::Map(entries) = &node.value else {
            return own;
        };
        // `env_production` counts where that profile is chosen.
        for entry in entries.iter().filter(|entry| entry.key.starts_with("env_")) {
            if keys::find(PROCESS, &entry.key).is_some() {
                continue;
            }
            if !Kind::Variables.takes(&entry.node.value) {
                let message = format!("'{}' takes a map of variables", entry.key);
                self.mistake(entry.node.at, message);
            } else if self.profile.is_some() && entry.key.strip_prefix("env_") == self.profile {
                let chosen = Entry {
                    key: "env".to_owned(),
                    ..entry.clone()
                };
                merge(&mut own, &[chosen]);
            }
        }
        own
    }
}

fn unknown_key(table: &'static [Key], key: &str) -> String {
    let near = keys::nearest(table, key).map(|near| {
        // In the case in which it was written.
        let near = if key.contains('_') {
            keys::snake_case(near)
        } else {
            near.to_owned()
        };
        format!("; did you mean '{near}'?")
    });
    format!("unknown key '{key}'{}", near.unwrap_or_default())
}

/// What is wrong with the value of a key, and where.
fn wrong_value(key: &Key, entry: &Entry) -> Option<(Place, String)> {
    let value = &entry.node.value;
    if let (Kind::Variables, Value::Map(variables)) = (key.kind, value)
        && let Some(odd) = variables
            .iter()
            .find(|odd| matches!(odd.node.value, Value::List(_) | Value::Map(_)))
    {
        let message = format!(
            "'{}.{}' takes a text, and here stands {}",
            entry.key,
            odd.key,
            odd.node.value.kind()
        );
        return Some((odd.node.at, message));
    }
    if !key.kind.takes(value) {
        let message = format!(
            "'{}' takes {}, and here stands {}",
            entry.key,
            key.kind.in_words(),
            value.kind()
        );
        return Some((entry.node.at, message));
    }
    // A text with `${VAR}` is checked where it is used, once the variable is expanded.
    if let (Kind::OneOf(words), Value::Text(text)) = (key.kind, value)
        && !words.contains(&text.as_str())
        && !text.contains("${")
    {
        let words = words.join(", ");
        let message = format!("'{}' is one of {words}, and not '{text}'", entry.key);
        return Some((entry.node.at, message));
    }
    None
}
