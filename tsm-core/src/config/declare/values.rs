//! Values of a config file: read by their kind, their variables expanded, their mistakes told with their places.

use std::fmt::Display;
use std::time::Duration;

use super::{Reader, keys};
use crate::config::node::{Node, Place, Value};
use crate::env::expand::{Dollar, expand};
use crate::env::quote;
use crate::spec::parse_duration;

/// The names of options, which the parsers of values speak of, are none of a file.
fn in_words_of_files(message: &str) -> String {
    let Some((what, reason)) = message.split_once(": ") else {
        return message.to_owned();
    };
    let key = what
        .strip_prefix("--")
        .or_else(|| what.strip_prefix("log "));
    key.map_or_else(
        || message.to_owned(),
        |key| format!("{}: {reason}", keys::camel_case(key)),
    )
}

impl Reader<'_> {
    /// What was read, or a mistake that says why it could not be, in the words of config files.
    pub(super) fn parsed<T, E: Display>(&mut self, at: Place, parsed: Result<T, E>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistake(at, in_words_of_files(&error.to_string()));
                None
            }
        }
    }

    /// A value as text, its variables expanded.
    pub(super) fn text(&mut self, node: &Node) -> Option<String> {
        let text = match &node.value {
            Value::Text(text) => text,
            Value::Integer(number) => return Some(number.to_string()),
            Value::Float(number) => return Some(number.to_string()),
            Value::Bool(value) => return Some(value.to_string()),
            Value::Null | Value::List(_) | Value::Map(_) => return None,
        };
        match expand(text, Dollar::Doubled, self.variable) {
            Ok(text) => Some(text),
            Err(reason) => {
                self.mistake(node.at, reason);
                None
            }
        }
    }

    pub(super) fn texts(&mut self, node: &Node) -> Vec<String> {
        match &node.value {
            Value::List(items) => items.iter().filter_map(|item| self.text(item)).collect(),
            _ => self.text(node).into_iter().collect(),
        }
    }

    pub(super) fn words(&mut self, node: &Node) -> Vec<String> {
        if matches!(node.value, Value::List(_)) {
            return self.texts(node);
        }
        let Some(text) = self.text(node) else {
            return Vec::new();
        };
        match quote::split_words(text.as_bytes()) {
            Ok(words) => words
                .into_iter()
                .map(|word| String::from_utf8_lossy(&word).into_owned())
                .collect(),
            Err(error) => {
                self.mistake(node.at, error.to_string());
                Vec::new()
            }
        }
    }

    pub(super) fn variables(&mut self, node: &Node) -> Vec<(String, String)> {
        let Value::Map(entries) = &node.value else {
            return Vec::new();
        };
        let mut variables = Vec::new();
        for entry in entries {
            if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
                self.mistake(entry.at, format!("'{}' names no variable", entry.key));
            }
            let value = match entry.node.value {
                Value::Null => Some(String::new()),
                _ => self.text(&entry.node),
            };
            variables.extend(value.map(|value| (entry.key.clone(), value)));
        }
        variables
    }

    pub(super) fn number(&mut self, node: &Node, least: i64, most: i64) -> Option<i64> {
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            _ => self.text(node)?.trim().parse().ok(),
        };
        let fits = number.filter(|number| (least..=most).contains(number));
        if fits.is_none() {
            self.mistake(
                node.at,
                format!("a number from {least} to {most} belongs here"),
            );
        }
        fits
    }

    pub(super) fn boolean(&mut self, node: &Node) -> Option<bool> {
        match self.text(node)?.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                self.mistake(node.at, format!("'{other}' is neither true nor false"));
                None
            }
        }
    }

    /// A number is milliseconds, as TSPM has it.
    pub(super) fn duration(&mut self, node: &Node) -> Option<Duration> {
        let text = self.text(node)?;
        // A number without a unit is in milliseconds, as PM2 has it.
        if let Ok(ms) = text.parse::<u64>() {
            return Some(Duration::from_millis(ms));
        }
        self.parsed(node.at, parse_duration(&text))
    }
}
