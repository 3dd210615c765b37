//! Taking what is known out of an object, and naming the rest.

use serde_json::{Map, Value};

/// An object of which keys are taken one by one.
pub(super) struct Keys<'a> {
    object: &'a Map<String, Value>,
    taken: Vec<String>,
    /// What was found to be wrong with those that were taken.
    pub(super) notes: Vec<String>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(object: &'a Map<String, Value>) -> Self {
        Self {
            object,
            taken: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The value of a key, in camelCase or snake_case.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a Value> {
        let snake = snake_case(name);
        let (key, value) = self
            .object
            .iter()
            .find(|(key, _)| *key == name || **key == snake)?;
        self.taken.push(key.clone());
        Some(value).filter(|value| !value.is_null())
    }

    /// Keys that say nothing about how to run it.
    pub(super) fn skip(&mut self, names: &[&str]) {
        for name in names {
            self.take(name);
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let value = self.take(name)?;
        let text = plain(value);
        if text.is_none() {
            self.notes.push(format!("{name} is no text"));
        }
        text.filter(|text| !text.is_empty())
    }

    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        let value = self.take(name)?;
        let number = value
            .as_u64()
            .or_else(|| value.as_str()?.trim().parse().ok());
        if number.is_none() {
            self.notes.push(format!("{name} is no number from 0 on"));
        }
        number
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.take(name)?.as_bool()
    }

    /// A list of words; a text is split as a shell would.
    pub(super) fn words(&mut self, name: &str) -> Vec<String> {
        match self.take(name) {
            Some(Value::Array(words)) => words.iter().filter_map(plain).collect(),
            Some(Value::String(text)) => shlex::split(text).unwrap_or_else(|| vec![text.clone()]),
            _ => Vec::new(),
        }
    }

    /// Variables: an object of texts, numbers and booleans.
    pub(super) fn variables(&mut self, name: &str) -> Vec<(String, String)> {
        let Some(Value::Object(object)) = self.take(name) else {
            return Vec::new();
        };
        let variables = object.iter();
        variables
            .filter_map(|(name, value)| Some((name.clone(), plain(value)?)))
            .collect()
    }

    /// The keys that nobody took and that say something.
    pub(super) fn rest(&self) -> Vec<&'a str> {
        let says_something = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(entries) => !entries.is_empty(),
            Value::String(text) => !text.is_empty(),
            Value::Bool(true) | Value::Number(_) => true,
        };
        self.object
            .iter()
            .filter(|(key, value)| !self.taken.contains(key) && says_something(value))
            .map(|(key, _)| key.as_str())
            .collect()
    }
}

/// A text, or what stands for one.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
