//! `defaults.toml` of a home: what holds for all its processes that do not say otherwise.
//!
//! ```toml
//! [logs]
//! max_size = "50M"    # and keep, max_age, compress, mode, force, on_full
//! ```

use std::path::Path;

use super::keys::camel_case;
use super::mistake::Mistake;
use super::node::{Entry, Language, Node, Value};
use crate::error::{Error, IoContext as _, Result};
use crate::spec::{LogSettings, parse_duration, parse_size};

/// What every process of the home has that does not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HomeDefaults {
    /// How its logs are kept.
    pub logs: LogSettings,
}

impl HomeDefaults {
    /// Reads the file; one that is not there says nothing.
    ///
    /// # Errors
    /// [`Error::Config`] with every mistake and its place, [`Error::Io`].
    ///
    /// ```
    /// use tsm_core::config::HomeDefaults;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let file = dir.path().join("defaults.toml");
    /// std::fs::write(&file, "[logs]\nmax_size = \"4M\"\nkeep = 2\n")?;
    /// assert_eq!(HomeDefaults::read(&file)?.logs.max_size, Some(4 << 20));
    /// std::fs::write(&file, "[logs]\nkep = 2\n")?;
    /// let wrong = HomeDefaults::read(&file).unwrap_err().to_string();
    /// assert!(wrong.contains("defaults.toml:2:1: there is no 'kep'"), "{wrong}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            // A home without the file has the built-in defaults.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            read => read.at("read", path)?,
        };
        let mut reader = Reader {
            text: &text,
            mistakes: Vec::new(),
        };
        let mut defaults = Self::default();
        match Language::Toml.read(&text) {
            Ok(root) => reader.root(&root, &mut defaults),
            Err(unreadable) => reader.mistake_at(unreadable.at, unreadable.reason),
        }
        if reader.mistakes.is_empty() {
            return Ok(defaults);
        }
        Err(Error::Config {
            path: path.to_owned(),
            mistakes: reader.mistakes,
        })
    }
}

struct Reader<'a> {
    text: &'a str,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn mistake_at(&mut self, at: super::Place, message: String) {
        self.mistakes.push(Mistake::new(self.text, at, message));
    }

    fn entries<'n>(&mut self, node: &'n Node) -> &'n [Entry] {
        if let Value::Map(entries) = &node.value {
            return entries;
        }
        self.mistake_at(
            node.at,
            format!("a table belongs here, not {}", node.value.kind()),
        );
        &[]
    }

    fn root(&mut self, root: &Node, defaults: &mut HomeDefaults) {
        for entry in self.entries(root) {
            match entry.key.as_str() {
                "logs" => {
                    for entry in self.entries(&entry.node) {
                        if let Err(reason) = log_setting(entry, &mut defaults.logs) {
                            self.mistake_at(entry.at, reason);
                        }
                    }
                    if let Err(error) = defaults.logs.check() {
                        self.mistake_at(entry.at, error.to_string());
                    }
                }
                other => {
                    let reason = format!("there is no '{other}' here; only [logs] is");
                    self.mistake_at(entry.at, reason);
                }
            }
        }
    }
}

fn log_setting(entry: &Entry, logs: &mut LogSettings) -> Result<(), String> {
    let said = |error: Error| error.to_string();
    let value = &entry.node.value;
    let text = || match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        other => Err(format!(
            "'{}' takes a text or a number, not {}",
            entry.key,
            other.kind()
        )),
    };
    let truth = || match value {
        Value::Bool(truth) => Ok(*truth),
        other => Err(format!(
            "'{}' takes true or false, not {}",
            entry.key,
            other.kind()
        )),
    };
    match camel_case(&entry.key).as_str() {
        "maxSize" => logs.max_size = Some(parse_size(&text()?).map_err(said)?),
        "keep" => {
            let number = text()?.parse();
            logs.keep = Some(number.map_err(|_nan| "'keep' takes a whole number".to_owned())?);
        }
        "maxAge" => {
            let age = parse_duration(&text()?).map_err(said)?;
            logs.max_age_ms = Some(age.as_millis() as u64);
        }
        "compress" => logs.compress = Some(truth()?),
        "force" => logs.force = Some(truth()?),
        "mode" => logs.mode = Some(text()?.parse().map_err(said)?),
        "onFull" => logs.on_full = Some(text()?.parse().map_err(said)?),
        _ => {
            return Err(format!(
                "there is no '{}' in [logs]; there are max_size, keep, max_age, compress, mode, force and on_full",
                entry.key
            ));
        }
    }
    Ok(())
}
