//! The `NAME.meta` file: what is known of a process, as one line of shell assignments.
//!
//! ```text
//! script='server.js' pid=71282 port=4001 start_time=1758318163 type=cli tsm_id=60 cwd='/srv/app'
//! ```
//!
//! [`Fields`] is the line as it stands, [`Meta`] what it means. A line is parsed, never evaluated,
//! and fields that this version does not know are kept. Lines of the original TSM are read: in any
//! order, quoted or not, with `port=-` and `tpm_id=`.

mod fields;
mod state;

use std::borrow::Cow;

use thiserror::Error;

pub use self::fields::Fields;
use self::fields::{Assignments, append, last_wins};
pub use self::state::State;
use crate::quote::{QuoteErrorKind, is_identifier};

/// The error of reading a `.meta` line, or of making a field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MetaError {
    /// Nothing, or blanks only: what a write leaves that was cut off.
    #[error("no fields in it")]
    Empty,
    /// A NUL byte: what a power cut leaves.
    #[error("NUL byte at byte {offset}")]
    Nul {
        /// Where in the line, in bytes.
        offset: usize,
    },
    /// Text that is no `key=value`.
    #[error("no `key=value` at byte {offset}")]
    NotAnAssignment {
        /// Where in the line, in bytes.
        offset: usize,
    },
    /// A value that cannot be read.
    #[error("{kind} at byte {offset}")]
    Quoting {
        /// Where in the line, in bytes.
        offset: usize,
        /// What is wrong there.
        kind: QuoteErrorKind,
    },
    /// Text after the first line.
    #[error("more than one line, from byte {offset} on")]
    MoreThanOneLine {
        /// Where the second line begins.
        offset: usize,
    },
    /// A field without which no process is described.
    #[error("field `{field}` is missing")]
    Missing {
        /// The key.
        field: &'static str,
    },
    /// A known field whose value is no number, or no text, as it ought to be.
    #[error("field `{field}` has a malformed value")]
    Malformed {
        /// The key.
        field: &'static str,
    },
    /// A key that is no shell identifier, of a field to be set.
    #[error("`{key}` cannot be the key of a field")]
    BadKey {
        /// The key.
        key: String,
    },
}

/// How a process came to be: the field `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// Started from the command line.
    #[default]
    Cli,
    /// Started from a configuration file.
    Service,
    /// Puts itself into the background.
    Daemon,
}

impl Kind {
    /// Returns the word that stands in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Service => "service",
            Self::Daemon => "daemon",
        }
    }
}

/// A `.meta` line, understood.
///
/// The first seven fields stand in every line, in this order. The others are TSM's own and stand
/// there only where they are `Some`. Times that end in `_ms` are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Meta {
    /// The command as it was typed.
    pub script: Vec<u8>,
    /// The main process, where there is one; `pid=` in the file where there is none.
    pub pid: Option<u32>,
    /// The port; no `port=` in the file where there is none.
    pub port: Option<u16>,
    /// When it was started, in Unix seconds; 0 where it never was.
    pub start_time: u64,
    /// How it came to be: `type` in the file.
    pub kind: Kind,
    /// A `type` that this version does not know (the original had `python` and `command`). It is
    /// read as [`Kind::Cli`], and written again as long as `kind` stays that.
    pub kind_text: Option<Vec<u8>>,
    /// The id: `tsm_id` in the file, `tpm_id` in old ones.
    pub id: u32,
    /// The directory it runs in. Lines without `cwd` have it in `start_dir`.
    pub cwd: Vec<u8>,
    /// The observed state.
    pub state: Option<State>,
    /// The desired state.
    pub desired: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The arguments, as shell words in one field.
    pub args: Option<Vec<u8>>,
    /// Which run of this process it is.
    pub run: Option<u64>,
    /// The boot id of the kernel that `pid` and `ticks` belong to.
    pub boot: Option<String>,
    /// When `pid` was started, in clock ticks since boot: tells it from another with its number.
    pub ticks: Option<u64>,
    /// The main process of the last run, once that has ended: what it left in its session is known by this number.
    pub last_pid: Option<u32>,
    /// When that was started, in clock ticks since boot …
    pub last_ticks: Option<u64>,
    /// … and up to when its number was nobody else's.
    pub last_end: Option<u64>,
    /// The limits that are lower than asked for, in words.
    pub lowered: Option<String>,
    /// When it was started.
    pub started_ms: Option<u64>,
    /// How often it was restarted.
    pub restarts: Option<u64>,
    /// How often in a row it failed.
    pub failures: Option<u32>,
    /// How it ended: `code:1`, `signal:9`, `signal:11+core`.
    pub exit: Option<String>,
    /// When it ended.
    pub exit_ms: Option<u64>,
    /// Why it is in this state, for people.
    pub reason: Option<Vec<u8>>,
    /// When it is started next.
    pub next_ms: Option<u64>,
    /// Whether restarts go on at a slow pace: `slow=1` or `slow=0`.
    pub slow: Option<bool>,
    /// The request that is being carried out.
    pub request: Option<String>,
    /// The inode of the pipe for standard output.
    pub out_pipe: Option<u64>,
    /// The inode of the pipe for standard error.
    pub err_pipe: Option<u64>,
    /// Whether `pid` is that of a program that put itself into the background, and was found.
    pub followed: Option<bool>,
    /// The directory of the cgroup that its run is in.
    pub cgroup: Option<String>,
    /// Where standard output goes, where not into the home: a path.
    pub out_file: Option<Vec<u8>>,
    /// Where standard error goes, where not into the home: a path, or `same`.
    pub err_file: Option<Vec<u8>>,
    /// Whether it is ready: `ready=1` or `ready=0`; nothing where that is not asked for.
    pub ready: Option<bool>,
    /// How healthy it is: `starting`, `healthy`, `unhealthy`; nothing where that is not asked for.
    pub health: Option<String>,
    /// What it says of itself.
    pub status: Option<Vec<u8>>,
    /// When it is due by the clock.
    pub due_ms: Option<u64>,
    /// Fields that this version does not know, in their order. What cannot stand in a line is left
    /// out of it: keys that are no identifiers or those of other fields, values with a NUL byte.
    pub extra: Vec<(String, Vec<u8>)>,
}

/// Every key that is a field of [`Meta`].
const KNOWN: [&str; 37] = [
    "script",
    "pid",
    "port",
    "start_time",
    "type",
    "tsm_id",
    "cwd",
    "state",
    "desired",
    "namespace",
    "args",
    "run",
    "boot",
    "ticks",
    "last_pid",
    "last_ticks",
    "last_end",
    "lowered",
    "started_ms",
    "restarts",
    "failures",
    "exit",
    "exit_ms",
    "reason",
    "next_ms",
    "slow",
    "request",
    "out_pipe",
    "err_pipe",
    "followed",
    "cgroup",
    "out_file",
    "err_file",
    "ready",
    "health",
    "status",
    "due_ms",
];

impl Meta {
    /// Reads a line; a newline and blanks may follow it.
    ///
    /// Where a field stands twice, the later one counts.
    ///
    /// # Errors
    ///
    /// What [`Fields::parse`] refuses, a line without `script` or without an id, and a number that
    /// is none.
    ///
    /// ```
    /// use tsm_format::meta::Meta;
    ///
    /// let meta = Meta::parse(b"tpm_id=7 script=server.js pid=12 port=- type=python")?;
    /// assert_eq!((meta.id, meta.pid, meta.port), (7, Some(12), None));
    /// let line = b"script='server.js' pid=12 start_time=0 type=python tsm_id=7 cwd=''\n";
    /// assert_eq!(meta.to_line(), line);
    /// # Ok::<(), tsm_format::meta::MetaError>(())
    /// ```
    // As a part of its one caller it would be compiled for size.
    #[inline(never)]
    pub fn parse(line: &[u8]) -> Result<Self, MetaError> {
        let mut meta = Self::default();
        let (mut script, mut id, mut cwd) = (None, None, None);
        let (mut has_pid, mut aliased) = (false, false);
        for assignment in Assignments::new(line)? {
            let (key, value) = assignment?;
            match key {
                "script" => script = Some(value),
                "pid" => {
                    meta.pid = process_id(&value)?;
                    has_pid = true;
                }
                "port" => meta.port = number("port", &value)?,
                "start_time" => meta.start_time = number("start_time", &value)?.unwrap_or(0),
                "type" => (meta.kind, meta.kind_text) = kind_of(&value),
                "tsm_id" => id = number("tsm_id", &value)?,
                "cwd" => cwd = Some(value),
                "state" => meta.state = Some(State::from(text("state", value)?.as_str())),
                "desired" => meta.desired = Some(text("desired", value)?),
                "namespace" => meta.namespace = Some(text("namespace", value)?),
                "args" => meta.args = Some(value.into_owned()),
                "run" => meta.run = number("run", &value)?,
                "boot" => meta.boot = Some(text("boot", value)?),
                "ticks" => meta.ticks = number("ticks", &value)?,
                "last_pid" => meta.last_pid = process_id(&value)?,
                "last_ticks" => meta.last_ticks = number("last_ticks", &value)?,
                "last_end" => meta.last_end = number("last_end", &value)?,
                "lowered" => meta.lowered = Some(text("lowered", value)?),
                "started_ms" => meta.started_ms = number("started_ms", &value)?,
                "restarts" => meta.restarts = number("restarts", &value)?,
                "failures" => meta.failures = number("failures", &value)?,
                "exit" => meta.exit = Some(text("exit", value)?),
                "exit_ms" => meta.exit_ms = number("exit_ms", &value)?,
                "reason" => meta.reason = Some(value.into_owned()),
                "next_ms" => meta.next_ms = number("next_ms", &value)?,
                "slow" => meta.slow = switch("slow", &value)?,
                "request" => meta.request = Some(text("request", value)?),
                "out_pipe" => meta.out_pipe = number("out_pipe", &value)?,
                "err_pipe" => meta.err_pipe = number("err_pipe", &value)?,
                "followed" => meta.followed = switch("followed", &value)?,
                "cgroup" => meta.cgroup = Some(text("cgroup", value)?),
                "out_file" => meta.out_file = Some(value.into_owned()),
                "err_file" => meta.err_file = Some(value.into_owned()),
                "ready" => meta.ready = switch("ready", &value)?,
                "health" => meta.health = Some(text("health", value)?),
                "status" => meta.status = Some(value.into_owned()),
                "due_ms" => meta.due_ms = number("due_ms", &value)?,
                _ => {
                    aliased |= matches!(key, "tpm_id" | "TSM_ID" | "PID" | "start_dir");
                    meta.extra.push((key.to_owned(), value.into_owned()));
                }
            }
        }
        last_wins(&mut meta.extra);
        if aliased {
            if id.is_none() {
                id = match meta
                    .take_extra("tpm_id")
                    .or_else(|| meta.take_extra("TSM_ID"))
                {
                    Some(value) => number("tpm_id", &value)?,
                    None => None,
                };
            }
            if !has_pid && let Some(value) = meta.take_extra("PID") {
                meta.pid = process_id(&value)?;
            }
            // `start_dir` stays where it is: both stood in the lines of some versions.
            if cwd.is_none() {
                let start_dir = meta.extra.iter().find(|(key, _)| key == "start_dir");
                cwd = start_dir.map(|(_, value)| Cow::Owned(value.clone()));
            }
        }
        meta.script = script
            .ok_or(MetaError::Missing { field: "script" })?
            .into_owned();
        meta.id = id.ok_or(MetaError::Missing { field: "tsm_id" })?;
        meta.cwd = cwd.unwrap_or_default().into_owned();
        Ok(meta)
    }

    /// Writes the line, with its newline.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(512);
        append(&mut line, "script", &self.script);
        append(
            &mut line,
            "pid",
            self.pid
                .map(|pid| pid.to_string())
                .unwrap_or_default()
                .as_bytes(),
        );
        append_number(&mut line, "port", self.port);
        append_number(&mut line, "start_time", Some(self.start_time));
        match &self.kind_text {
            Some(text) if self.kind == Kind::Cli => append(&mut line, "type", text),
            _ => append(&mut line, "type", self.kind.as_str().as_bytes()),
        }
        append_number(&mut line, "tsm_id", Some(self.id));
        append(&mut line, "cwd", &self.cwd);
        append_some(&mut line, "state", self.state.as_ref().map(State::as_str));
        append_some(&mut line, "desired", self.desired.as_ref());
        append_some(&mut line, "namespace", self.namespace.as_ref());
        append_some(&mut line, "args", self.args.as_ref());
        append_number(&mut line, "run", self.run);
        append_some(&mut line, "boot", self.boot.as_ref());
        append_number(&mut line, "ticks", self.ticks);
        append_number(&mut line, "last_pid", self.last_pid);
        append_number(&mut line, "last_ticks", self.last_ticks);
        append_number(&mut line, "last_end", self.last_end);
        append_some(&mut line, "lowered", self.lowered.as_ref());
        append_number(&mut line, "started_ms", self.started_ms);
        append_number(&mut line, "restarts", self.restarts);
        append_number(&mut line, "failures", self.failures);
        append_some(&mut line, "exit", self.exit.as_ref());
        append_number(&mut line, "exit_ms", self.exit_ms);
        append_some(&mut line, "reason", self.reason.as_ref());
        append_number(&mut line, "next_ms", self.next_ms);
        append_number(&mut line, "slow", self.slow.map(u8::from));
        append_some(&mut line, "request", self.request.as_ref());
        append_number(&mut line, "out_pipe", self.out_pipe);
        append_number(&mut line, "err_pipe", self.err_pipe);
        append_number(&mut line, "followed", self.followed.map(u8::from));
        append_some(&mut line, "cgroup", self.cgroup.as_ref());
        append_some(&mut line, "out_file", self.out_file.as_ref());
        append_some(&mut line, "err_file", self.err_file.as_ref());
        append_number(&mut line, "ready", self.ready.map(u8::from));
        append_some(&mut line, "health", self.health.as_ref());
        append_some(&mut line, "status", self.status.as_ref());
        append_number(&mut line, "due_ms", self.due_ms);
        for (key, value) in &self.extra {
            let is_free = is_identifier(key.as_bytes()) && !KNOWN.contains(&key.as_str());
            if is_free && !value.contains(&0) {
                append(&mut line, key, value);
            }
        }
        line.push(b'\n');
        line
    }

    fn take_extra(&mut self, key: &str) -> Option<Vec<u8>> {
        let place = self.extra.iter().position(|(known, _)| known == key)?;
        Some(self.extra.remove(place).1)
    }
}

fn append_some(line: &mut Vec<u8>, key: &str, value: Option<impl AsRef<[u8]>>) {
    if let Some(value) = value {
        append(line, key, value.as_ref());
    }
}

fn append_number(line: &mut Vec<u8>, key: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        append(line, key, value.to_string().as_bytes());
    }
}

/// Reads a number; nothing and `-` are how the lines say that there is none.
fn number<T: TryFrom<u64>>(field: &'static str, value: &[u8]) -> Result<Option<T>, MetaError> {
    if matches!(value, b"" | b"-") {
        return Ok(None);
    }
    let mut number = 0_u64;
    for byte in value {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        number = digit
            .and_then(|digit| number.checked_mul(10)?.checked_add(digit))
            .ok_or(MetaError::Malformed { field })?;
    }
    T::try_from(number)
        .map(Some)
        .or(Err(MetaError::Malformed { field }))
}

/// A pid of 0 is nobody's: kill(2) would take it for the caller's own group.
fn process_id(value: &[u8]) -> Result<Option<u32>, MetaError> {
    Ok(number("pid", value)?.filter(|&pid| pid != 0))
}

fn switch(field: &'static str, value: &[u8]) -> Result<Option<bool>, MetaError> {
    match number::<u8>(field, value)? {
        None => Ok(None),
        Some(0) => Ok(Some(false)),
        Some(1) => Ok(Some(true)),
        Some(_) => Err(MetaError::Malformed { field }),
    }
}

fn text(field: &'static str, value: Cow<'_, [u8]>) -> Result<String, MetaError> {
    String::from_utf8(value.into_owned()).or(Err(MetaError::Malformed { field }))
}

fn kind_of(value: &[u8]) -> (Kind, Option<Vec<u8>>) {
    match value {
        b"" | b"cli" => (Kind::Cli, None),
        b"service" => (Kind::Service, None),
        b"daemon" => (Kind::Daemon, None),
        other => (Kind::Cli, Some(other.to_vec())),
    }
}

#[cfg(test)]
mod tests;
