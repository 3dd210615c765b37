//! Environments as values: what a process was started with, byte for byte.
//!
//! This module holds the list of variables and the rules about which of them belong to a capture.
//! [`quote`] is the shell quoting, [`file`](mod@file) the `NAME.env` file, [`shell`] the `NAME.shell`
//! file, and a [`Snapshot`] is both. [`EnvUpdate`] changes one, [`dotenv`] reads files that people write,
//! [`secret`] tells what is not to be shown. Nothing here reads or
//! changes the environment of the running process: the command line hands it in.

pub mod dotenv;
pub(crate) mod expand;
pub mod file;
mod origin;
pub mod secret;
pub mod shell;
mod snapshot;

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt as _;

use thiserror::Error;

pub use origin::{Assignment, EnvUpdate, Origin, Origins};
pub use shell::{Shell, ShellState};
pub use tsm_format::quote;

pub use snapshot::{Snapshot, SnapshotError};

/// An ordered list of environment variables, names and values as bytes.
///
/// Order and duplicates are kept, because a program may see both. A name is never empty and holds
/// neither `=` nor NUL; a value holds no NUL. `Debug` shows the names only: values are often secret.
///
/// ```
/// use tsm_core::env::Environment;
///
/// let mut env = Environment::from_block(b"PATH=/bin\0LANG=C\0")?;
/// env.set(b"PATH", b"/usr/bin")?;
/// assert_eq!(env.to_block(), b"PATH=/usr/bin\0LANG=C\0");
/// # Ok::<(), tsm_core::env::EnvError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Environment {
    variables: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The error of making a variable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{kind}", .entry.map(|index| format!("entry {index}: ")).unwrap_or_default())]
pub struct EnvError {
    /// Which entry of a block, counted from 0, where it came from one.
    pub entry: Option<usize>,
    /// What is wrong.
    pub kind: EnvErrorKind,
}

/// What is wrong with a variable. No variant holds a value, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvErrorKind {
    /// Text that has no `=`.
    #[error("no `=` in it; a variable is NAME=value")]
    NoEquals,
    /// Nothing before the `=`.
    #[error("the name is empty")]
    EmptyName,
    /// A name with `=` in it.
    #[error("the name `{0}` holds a `=`")]
    EqualsInName(String),
    /// A name with a NUL byte in it.
    #[error("the name `{0}` holds a NUL byte")]
    NulInName(String),
    /// A value with a NUL byte in it.
    #[error("the value of `{0}` holds a NUL byte")]
    NulInValue(String),
}

impl EnvErrorKind {
    fn at_no_entry(self) -> EnvError {
        EnvError {
            entry: None,
            kind: self,
        }
    }
}

/// Variables that the supervisor around a program sets for this one program.
const CAPTURED: [&[u8]; 4] = [b"TSM_ID", b"TSM_NAME", b"TSM_COOKIE", b"NOTIFY_SOCKET"];

/// The same by prefix: `WATCHDOG_PID` and `_USEC`, `LISTEN_PID`, `_FDS`, `_FDNAMES` and what systemd
/// adds to them.
const CAPTURED_PREFIXES: [&[u8]; 2] = [b"WATCHDOG_", b"LISTEN_"];

/// Whether a variable of this name is TSM's own in every run: what else gave it one would have no effect.
pub fn is_tsms_own(name: &[u8]) -> bool {
    const OWN: [&[u8]; 6] = [
        b"TSM_ID",
        b"TSM_NAME",
        b"TSM_COOKIE",
        b"TSM_BASH_ENV",
        b"TSM_ZDOTDIR",
        b"TSM_ZSH_STATE",
    ];
    OWN.contains(&name)
}

impl Environment {
    /// Makes an empty environment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the variables of [`std::env::vars_os`], or the like.
    ///
    /// What is no variable (an empty name, or `=` in it, as in the entry `=x=1`) is left out: no
    /// other program could be told of it by name.
    pub fn from_os(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut env = Self::new();
        for (name, value) in variables {
            let (name, value) = (name.into_vec(), value.into_vec());
            if check(&name, &value).is_ok() {
                env.variables.push((name, value));
            }
        }
        env
    }

    /// Reads NUL-separated `name=value` entries, as in `/proc/PID/environ`; a last NUL may be absent.
    ///
    /// # Errors
    ///
    /// An entry without `=` or with an empty name, named by its index.
    pub fn from_block(block: &[u8]) -> Result<Self, EnvError> {
        let mut env = Self::new();
        let block = block.strip_suffix(b"\0").unwrap_or(block);
        if block.is_empty() {
            return Ok(env);
        }
        for (index, entry) in block.split(|&byte| byte == 0).enumerate() {
            split(entry)
                .and_then(|(name, value)| env.push(name, value))
                .map_err(|error| EnvError {
                    entry: Some(index),
                    ..error
                })?;
        }
        Ok(env)
    }

    /// Gives the variables as `name=value` entries, each ended by a NUL.
    pub fn to_block(&self) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in self.iter() {
            block.extend_from_slice(name);
            block.push(b'=');
            block.extend_from_slice(value);
            block.push(0);
        }
        block
    }

    /// Returns the value of `name`: of the first one where there are several, as getenv(3) does.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Sets `name` to `value`: where it stands, or at the end where it is new.
    ///
    /// Further variables of that name are dropped, so that there is one meaning only.
    ///
    /// # Errors
    ///
    /// A name that is empty or holds `=` or NUL, or a value that holds NUL; nothing is changed then.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), EnvError> {
        check(name, value)?;
        let Some(place) = self.variables.iter().position(|(known, _)| known == name) else {
            return self.push(name, value);
        };
        self.variables[place].1 = value.to_vec();
        let mut index = 0;
        self.variables.retain(|(known, _)| {
            index += 1;
            index <= place + 1 || known != name
        });
        Ok(())
    }

    /// Sets what an option such as `--env NAME=value` says; the value may be empty and hold `=`.
    ///
    /// # Errors
    ///
    /// No `=`, an empty name, or a NUL byte.
    pub fn set_assignment(&mut self, assignment: &[u8]) -> Result<(), EnvError> {
        let (name, value) = split(assignment)?;
        self.set(name, value)
    }

    /// Removes every variable called `name` and tells whether there was one.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let before = self.len();
        self.variables.retain(|(known, _)| known != name);
        self.len() < before
    }

    /// Removes what a supervisor (this one or systemd) set for the capturing program alone:
    /// `TSM_ID`, `TSM_NAME`, `TSM_COOKIE`, `NOTIFY_SOCKET`, and all of `WATCHDOG_*` and `LISTEN_*`.
    ///
    /// A process that is started from within a service would otherwise pass for that service, and
    /// take descriptors for its own that it never got.
    pub fn strip_captured(&mut self) {
        self.variables.retain(|(name, _)| {
            !CAPTURED.contains(&name.as_slice())
                && !CAPTURED_PREFIXES
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
        });
    }

    /// Iterates over names and values in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// Returns the number of variables, duplicates counted.
    pub fn len(&self) -> usize {
        self.variables.len()
    }

    /// Tells whether there is no variable.
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty()
    }

    /// Appends a variable, whether or not there is one of that name.
    fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), EnvError> {
        check(name, value)?;
        self.variables.push((name.to_vec(), value.to_vec()));
        Ok(())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self
            .iter()
            .map(|(name, _)| String::from_utf8_lossy(name))
            .collect();
        f.debug_struct("Environment")
            .field("len", &self.len())
            .field("names", &names)
            .finish_non_exhaustive()
    }
}

/// Splits at the first `=`.
fn split(entry: &[u8]) -> Result<(&[u8], &[u8]), EnvError> {
    let Some(equals) = entry.iter().position(|&byte| byte == b'=') else {
        return Err(EnvErrorKind::NoEquals.at_no_entry());
    };
    Ok((&entry[..equals], &entry[equals + 1..]))
}

fn check(name: &[u8], value: &[u8]) -> Result<(), EnvError> {
    let shown = || String::from_utf8_lossy(name).into_owned();
    let kind = if name.is_empty() {
        EnvErrorKind::EmptyName
    } else if name.contains(&b'=') {
        EnvErrorKind::EqualsInName(shown())
    } else if name.contains(&0) {
        EnvErrorKind::NulInName(shown())
    } else if value.contains(&0) {
        EnvErrorKind::NulInValue(shown())
    } else {
        return Ok(());
    };
    Err(kind.at_no_entry())
}

#[cfg(test)]
mod tests;
