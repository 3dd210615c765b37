//! What other tools start, as a config file that a person would have written: PM2's ecosystem files, and Procfiles.

mod pm2;
mod yaml;

use std::path::Path;

use serde_json::Value;

use self::yaml::Doc;
use crate::error::{Error, Result};
use crate::name::ProcessName;

pub use pm2::from_pm2;

/// What came of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The config file, in YAML.
    pub yaml: String,
    /// What could not be carried over, and what to look at, one line each.
    pub remarks: Vec<String>,
}

/// A process on its way into a file.
#[derive(Default)]
struct Process {
    keys: Vec<(&'static str, Doc)>,
    profiles: Vec<(String, Doc)>,
    comments: Vec<String>,
}

impl Process {
    fn set(&mut self, key: &'static str, doc: impl Into<Doc>) {
        self.keys.push((key, doc.into()));
    }

    fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(own, _)| *own == key)
    }

    fn name(&self) -> String {
        let name = self.keys.iter().find(|(key, _)| *key == "name");
        name.map_or_else(String::new, |(_, doc)| doc.plain())
    }
}

/// A Procfile: `NAME: COMMAND`, line by line. `has_env`: there is a `.env` beside it, which foreman reads.
///
/// # Errors
/// [`Error::BadValue`] with the line that is none.
pub fn from_procfile(text: &str, from: &Path, has_env: bool) -> Result<Imported> {
    let mut processes: Vec<Process> = Vec::new();
    let mut released = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parts = line.split_once(':').map(|(n, c)| (n.trim(), c.trim()));
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        let Some((name, command)) = parts.filter(|(n, c)| is_name(n) && !c.is_empty()) else {
            let reason = format!(
                "{}:{}: a line of a Procfile is NAME: COMMAND, and this is '{line}'",
                from.display(),
                number + 1
            );
            return Err(Error::bad_value("import", reason));
        };
        let mut process = Process::default();
        process.set("name", ProcessName::from_stem(name).as_str());
        process.set("script", escaped(command));
        if name == "release" {
            // Heroku runs it once, before everything else.
            process.set("type", "task");
            released = true;
        } else if command.contains("PORT") {
            // foreman gives ports in this way, 100 apart.
            process.set("port", Doc::number(5000 + 100 * processes.len() as i64));
        }
        if has_env {
            process.set("envFile", ".env");
        }
        processes.push(process);
    }
    if processes.is_empty() {
        let reason = format!("{} declares no process", from.display());
        return Err(Error::bad_value("import", reason));
    }
    if released {
        for process in processes.iter_mut().filter(|p| p.name() != "release") {
            let need = Doc::Map(vec![
                ("name".to_owned(), "release".into()),
                ("condition".to_owned(), "completed".into()),
            ]);
            process.set("dependsOn", Doc::List(vec![need]));
        }
    }
    Ok(write(processes, from, "a Procfile"))
}

/// A text in which nothing is expanded.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 2);
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        escaped.push_str(&rest[..at]);
        let behind = rest[at..].trim_start_matches('$');
        let dollars = &rest[at..rest.len() - behind.len()];
        escaped.push_str(dollars);
        // `$$` and `${` would mean something in a config file; a single dollar does not.
        if dollars.len() > 1 || behind.starts_with('{') {
            escaped.push_str(dollars);
        }
        rest = behind;
    }
    escaped + rest
}

/// A text, number or boolean as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn number_or_text(text: &str) -> Doc {
    match text.parse::<i64>() {
        Ok(number) => Doc::number(number),
        Err(_) => text.into(),
    }
}

/// A time: what is a number is milliseconds, which a person writes with a unit.
fn time_of(text: &str) -> Doc {
    match text.parse::<u64>() {
        Ok(ms) if ms > 0 && ms % 1000 == 0 => Doc::Plain(format!("{}s", ms / 1000)),
        Ok(ms) => Doc::Plain(format!("{ms}ms")),
        Err(_) => text.into(),
    }
}

fn write(mut processes: Vec<Process>, from: &Path, what: &str) -> Imported {
    // What all processes have in common is written once.
    let mut defaults: Vec<(String, Doc)> = Vec::new();
    for key in ["envFile", "restart"] {
        let of = |process: &Process| {
            let found = process.keys.iter().find(|(known, _)| *known == key);
            found.map(|(_, doc)| doc.clone())
        };
        let first = processes.first().and_then(of);
        let common = processes.iter().all(|process| of(process) == first);
        if let Some(doc) = first.filter(|_| common && processes.len() > 1) {
            defaults.push((key.to_owned(), doc));
            for process in &mut processes {
                process.keys.retain(|(known, _)| *known != key);
            }
        }
    }
    let file = from
        .file_name()
        .unwrap_or(from.as_os_str())
        .to_string_lossy();
    let mut yaml = format!("# From {file}, {what}.\n");
    if !defaults.is_empty() {
        yaml.push_str("defaults:\n");
        for (key, doc) in &defaults {
            yaml::entry(&mut yaml, 2, key, doc);
        }
        yaml.push('\n');
    }
    yaml.push_str("processes:\n");
    let mut remarks = Vec::new();
    for (number, process) in processes.iter().enumerate() {
        if number > 0 {
            yaml.push('\n');
        }
        for comment in &process.comments {
            yaml.extend(["  # ", comment, "\n"]);
            remarks.push(format!("'{}': {comment}", process.name()));
        }
        let begin = yaml.len();
        for (key, doc) in &process.keys {
            yaml::entry(&mut yaml, 4, key, doc);
        }
        for (key, doc) in &process.profiles {
            yaml::entry(&mut yaml, 4, key, doc);
        }
        // The dash takes the place of the first key's indentation.
        yaml.replace_range(begin..begin + 4, "  - ");
    }
    Imported { yaml, remarks }
}

#[cfg(test)]
mod tests;
