//! Lists of other managers: TSPM's dumps, PM2's `dump.pm2`, a Procfile, read into what TSM itself would have saved.
//!
//! A file is known by what stands in it. What cannot be carried over is named, process by process; nothing is guessed. The
//! environment of what says of none, or of a part of it only, begins with that of whoever reads the file.

mod foreign;
mod keys;
mod pm2;
mod procfile;
mod tspm;

use std::fmt;
use std::path::Path;

use serde_json::Value;

pub use foreign::Foreign;

use super::Dump;
use crate::env::Snapshot;
use crate::error::{Error, IoContext as _, Result};

/// Whose list it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A dump of TSPM, in any of its three forms.
    Tspm,
    /// PM2's `dump.pm2`.
    Pm2,
    /// A Procfile.
    Procfile,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tspm => "a dump of TSPM",
            Self::Pm2 => "a dump of PM2",
            Self::Procfile => "a Procfile",
        })
    }
}

/// A list of another manager.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// Whose it is.
    pub source: Source,
    /// What it means here. The ids are 0: each gets one when it is brought in.
    pub dump: Dump,
    /// What could not be carried over, a line for each process.
    pub notes: Vec<String>,
    /// Processes that could not be carried over at all, each with the reason.
    pub left_out: Vec<String>,
}

/// Reads a list of another manager; `None` where the file is a dump of TSM's own, or no such file is there. `shell` is the
/// environment of whoever reads it.
///
/// # Errors
/// [`Error::Io`]; [`Error::Damaged`] where it is no list that is known.
pub fn read(path: &Path, shell: &Snapshot) -> Result<Option<Imported>> {
    let Some((source, found)) = foreign(path)? else {
        return Ok(None);
    };
    let mut imported = Imported {
        source,
        dump: Dump::empty()?,
        notes: Vec::new(),
        left_out: Vec::new(),
    };
    for process in found {
        let name = process.name.clone();
        match process.saved(shell) {
            // The names of others may become the same when they are made valid.
            Ok((saved, _)) if imported.dump.processes.iter().any(|p| p.name == saved.name) => {
                let reason = format!(
                    "'{name}' is left out: there is another one called {}",
                    saved.name
                );
                imported.left_out.push(reason);
            }
            Ok((saved, notes)) => {
                if !notes.is_empty() {
                    let note = format!("'{}': {}", saved.name, notes.join("; "));
                    imported.notes.push(note);
                }
                imported.dump.processes.push(saved);
            }
            Err(error) => imported
                .left_out
                .push(format!("'{name}' is left out: {error}")),
        }
    }
    Ok(Some(imported))
}

/// What stands in a list of another manager, as it stands there; `None` where the file is none, or is not there.
///
/// # Errors
/// As [`read`].
pub fn foreign(path: &Path) -> Result<Option<(Source, Vec<Foreign>)>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) if is_own(&bytes) => return Ok(None),
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).at("read", path),
    };
    // A file of this name is a home's own, however torn, and the one before may still be beside it.
    let is_dump = path.file_name().is_some_and(|name| name == "dump.json");
    let damaged = |reason: String| {
        if is_dump {
            return super::damaged(path, reason.into());
        }
        Error::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
        }
    };
    let absolute = std::path::absolute(path).at("find", path)?;
    let directory = absolute.parent().unwrap_or(Path::new("/"));
    let text = String::from_utf8_lossy(&bytes);
    // JSON begins with a bracket or a brace, and no line of a Procfile does.
    if !text.trim_start().starts_with(['{', '[']) {
        if is_dump {
            let what = if text.is_empty() {
                "it is empty"
            } else {
                "it is no JSON"
            };
            return Err(damaged(format!("it is torn ({what})")));
        }
        let processes = procfile::read(&text, directory).map_err(damaged)?;
        if processes.is_empty() {
            return Err(damaged("it lists no process".to_owned()));
        }
        return Ok(Some((Source::Procfile, processes)));
    }
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| damaged(format!("it is torn ({error})")))?;
    match &value {
        Value::Array(entries) => {
            let processes = pm2::read(entries).map_err(damaged)?;
            Ok(Some((Source::Pm2, processes)))
        }
        // With a version it is TSM's own, perhaps edited by hand: whoever reads it reports what is
        // wrong.
        Value::Object(object) if object.get("version").is_some_and(Value::is_u64) => Ok(None),
        Value::Object(object) => {
            let processes = tspm::read(object, directory).map_err(damaged)?;
            Ok(Some((Source::Tspm, processes)))
        }
        _ => Err(damaged(
            "it is no list of processes that TSM knows".to_owned(),
        )),
    }
}

/// Whether it is a dump that TSM wrote, by how it begins: a long one need not be read twice.
fn is_own(bytes: &[u8]) -> bool {
    let after = |bytes: &'_ [u8], word: &[u8]| {
        let rest = bytes.trim_ascii_start().strip_prefix(word)?;
        Some(rest.len())
    };
    let begins = |length: usize| &bytes[bytes.len() - length..];
    after(bytes, b"{")
        .and_then(|left| after(begins(left), b"\"version\""))
        .and_then(|left| after(begins(left), b":"))
        .is_some_and(|left| {
            begins(left)
                .trim_ascii_start()
                .first()
                .is_some_and(u8::is_ascii_digit)
        })
}

#[cfg(test)]
mod tests;
