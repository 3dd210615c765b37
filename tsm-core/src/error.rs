//! The one error type: every variant says what failed, on which path or process, and what to do about it.
//!
//! ```
//! use tsm_core::error::{ErrorKind, IoContext as _};
//! use tsm_core::name::ProcessName;
//!
//! let error = "not/a/name".parse::<ProcessName>().unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Usage);
//! assert_eq!(error.kind().exit_status(), 2);
//!
//! // What the system says gets what was tried, and on which path.
//! let error = std::fs::read("/nothing/here").at("read", "/nothing/here").unwrap_err();
//! assert_eq!(error.to_string(), "cannot read /nothing/here: No such file or directory");
//! ```

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Mistake;
use crate::name::ProcessName;

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something did not work: words, or the error that it comes from, which then is the error's
/// [source](std::error::Error::source).
///
/// ```
/// use std::error::Error as _;
/// use tsm_core::env::{EnvError, Environment};
/// use tsm_core::error::Error;
///
/// let refused = Environment::new().set(b"A=B", b"").unwrap_err();
/// let error = Error::bad_value("env", refused.clone());
/// assert_eq!(error.to_string(), format!("env: {refused}"));
/// assert_eq!(error.source().and_then(|source| source.downcast_ref::<EnvError>()), Some(&refused));
/// ```
pub type Reason = Box<dyn std::error::Error + Send + Sync>;

/// What class an error belongs to. The command line's exit status is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum ErrorKind {
    /// Something that was tried did not work.
    Failed = 1,
    /// What was asked for makes no sense as it stands.
    Usage = 2,
    /// No such process.
    NoSuchProcess = 3,
    /// The process exists, or runs, already.
    AlreadyThere = 4,
    /// Somebody else has the port.
    PortTaken = 5,
    /// The supervisor cannot be reached or started.
    Unreachable = 6,
    /// It took longer than it may.
    TimedOut = 7,
}

impl ErrorKind {
    /// The exit status that stands for this kind.
    pub fn exit_status(self) -> u8 {
        self as u8
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A process may not be called this.
    #[error("'{name}' cannot be the name of a process: {reason}")]
    BadName {
        /// What was given.
        name: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A selector that cannot be read.
    #[error("'{text}' selects nothing: {reason}")]
    BadSelector {
        /// What was given.
        text: String,
        /// Why not.
        #[source]
        reason: Reason,
    },
    /// A value of a spec or an option that makes no sense.
    #[error("{what}: {reason}")]
    BadValue {
        /// Which option or field.
        what: String,
        /// What is wrong with it, and what would be right.
        #[source]
        reason: Reason,
    },
    /// No process bears this name or id.
    #[error("no process '{selector}'{}", suggestion.as_ref().map(|s| format!("; did you mean '{s}'?")).unwrap_or_default())]
    NoSuchProcess {
        /// What was looked for.
        selector: String,
        /// The name that is most like it.
        suggestion: Option<String>,
    },
    /// A process of this name exists.
    #[error("process '{name}' exists already (ID: {id}, {state}); {remedy}")]
    AlreadyThere {
        /// Its name.
        name: String,
        /// Its id.
        id: u32,
        /// What it is doing.
        state: String,
        /// What to do instead.
        remedy: String,
    },
    /// The target of a start is nothing that can be run.
    #[error("cannot start '{target}': {reason}")]
    CannotStart {
        /// What was to be started.
        target: String,
        /// Why not, and what to do.
        #[source]
        reason: Reason,
    },
    /// Somebody listens on the port that a process is to have.
    #[error("cannot start '{name}': {holder}; stop that, or use another --port")]
    PortTaken {
        /// The process.
        name: String,
        /// Which port, and who has it.
        holder: String,
    },
    /// A start that failed between `fork` and the program's first instruction.
    #[error("cannot start '{name}': {reason}")]
    LaunchFailed {
        /// The process.
        name: String,
        /// The exact reason.
        #[source]
        reason: Reason,
    },
    /// A signal for what does not run.
    #[error("'{name}' does not run ({state}); 'tsm start {name}' starts it")]
    NotRunning {
        /// The process.
        name: String,
        /// What it is doing.
        state: String,
    },
    /// A start that waits for what does not come by itself.
    #[error("'{name}' is not started: it {reason}")]
    Held {
        /// The process.
        name: String,
        /// For what it waits, and why that is not there.
        reason: String,
    },
    /// A process that runs, and was not ready in time.
    #[error("'{name}' {reason}")]
    NotReady {
        /// The process.
        name: String,
        /// Within which time, and why not.
        reason: String,
    },
    /// A process that ended while it was waited for.
    #[error("'{name}' ended before it was ready{reason}; 'tsm logs {name}' shows what it printed")]
    EndedEarly {
        /// The process.
        name: String,
        /// How, in parentheses.
        reason: String,
    },
    /// What a process that was waited for came to, with its name.
    #[error("{message}")]
    Awaited {
        /// Its kind.
        kind: ErrorKind,
        /// The process.
        name: ProcessName,
        /// The whole message.
        message: String,
    },
    /// Processes that not even SIGKILL ends.
    #[error(
        "'{name}' does not end: {members}; SIGKILL was sent and did not end it; it is still watched"
    )]
    Resists {
        /// The process.
        name: String,
        /// Pids and programs that are left.
        members: String,
    },
    /// Another command changed the course of this one.
    #[error("'{name}' was {event} by another command meanwhile")]
    Overtaken {
        /// The process.
        name: String,
        /// What the other command did.
        event: &'static str,
    },
    /// Logs that cannot be read.
    #[error("cannot {0}{cause}", cause = std::error::Error::source(.0).map(|s| format!(": {s}")).unwrap_or_default())]
    Logs(#[from] crate::logs::LogError),
    /// A file or directory operation.
    #[error("cannot {action} {}: {}", path.display(), words_of(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A system call that is about no file.
    #[error("cannot {action}: {}", words_of(source))]
    System {
        /// What was tried.
        action: &'static str,
        /// The system's words.
        source: io::Error,
    },
    /// A config file with mistakes in it.
    #[error("{}", config_mistakes(path, mistakes))]
    Config {
        /// The file.
        path: PathBuf,
        /// The mistakes, in the order of the file.
        mistakes: Vec<Mistake>,
    },
    /// A file that does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and what is wrong.
        #[source]
        reason: Reason,
    },
    /// The home belongs to somebody else, or others may write to it.
    #[error("the home {} is not safe to use: {reason}", path.display())]
    UnsafeHome {
        /// The home.
        path: PathBuf,
        /// Why, and the remedy.
        #[source]
        reason: Reason,
    },
    /// The home was written by a newer TSM.
    #[error("{} says '{found}', and this TSM writes '{own}'; use the newer tsm", path.display())]
    NewerLayout {
        /// The layout file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this version knows.
        own: &'static str,
    },
    /// Neither a record nor a dump says what should run.
    #[error("there is nothing to resurrect in {}: no process and no dump.json; 'tsm save' writes one", home.display())]
    NothingToResurrect {
        /// The home.
        home: PathBuf,
    },
    /// Start at boot could not be installed or removed.
    #[error("cannot {step}: {reason}")]
    Startup {
        /// What was tried.
        step: String,
        /// Why it did not work, what was undone, and what to do.
        #[source]
        reason: Reason,
    },
    /// There is no supervisor, or it does not answer.
    #[error("the supervisor of {} {reason}", home.display())]
    Unreachable {
        /// Whose supervisor.
        home: PathBuf,
        /// What was seen, and what to do.
        #[source]
        reason: Reason,
    },
    /// Too slow.
    #[error("{what} took longer than {seconds} s")]
    TimedOut {
        /// What did.
        what: String,
        /// The limit, in seconds.
        seconds: u64,
    },
    /// An error that the supervisor reported.
    #[error("{message}")]
    Reported {
        /// Its kind there.
        kind: ErrorKind,
        /// Its words there.
        message: String,
    },
}

/// A reason, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{reason}; {advice}")]
struct Advised {
    #[source]
    reason: Reason,
    advice: String,
}

/// A reason in words that end with what to do; what it comes from stays its source.
pub(crate) fn advised(reason: impl Into<Reason>, advice: impl Into<String>) -> Reason {
    let (reason, advice) = (reason.into(), advice.into());
    Advised { reason, advice }.into()
}

/// A file whose format is of a TSM that is newer than this one: left as it is, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("version {version} is newer than this TSM; use the newer tsm")]
pub struct NewerVersion {
    /// Which one.
    pub version: u64,
}

impl Error {
    /// The class of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::BadName { .. }
            | Self::BadSelector { .. }
            | Self::BadValue { .. }
            | Self::Config { .. } => ErrorKind::Usage,
            Self::NoSuchProcess { .. } => ErrorKind::NoSuchProcess,
            Self::AlreadyThere { .. } => ErrorKind::AlreadyThere,
            Self::PortTaken { .. } => ErrorKind::PortTaken,
            Self::Unreachable { .. } => ErrorKind::Unreachable,
            Self::Resists { .. } | Self::TimedOut { .. } | Self::NotReady { .. } => {
                ErrorKind::TimedOut
            }
            Self::Reported { kind, .. } | Self::Awaited { kind, .. } => *kind,
            Self::CannotStart { .. }
            | Self::LaunchFailed { .. }
            | Self::Held { .. }
            | Self::EndedEarly { .. }
            | Self::NotRunning { .. }
            | Self::Logs(_)
            | Self::Overtaken { .. }
            | Self::Io { .. }
            | Self::System { .. }
            | Self::Damaged { .. }
            | Self::UnsafeHome { .. }
            | Self::NothingToResurrect { .. }
            | Self::Startup { .. }
            | Self::NewerLayout { .. } => ErrorKind::Failed,
        }
    }

    /// A bad value of `what`.
    pub fn bad_value(what: impl Into<String>, reason: impl Into<Reason>) -> Self {
        Self::BadValue {
            what: what.into(),
            reason: reason.into(),
        }
    }
}

/// Each mistake with its place, and the line that it stands in.
fn config_mistakes(path: &Path, mistakes: &[Mistake]) -> String {
    let told = |mistake: &Mistake| format!("{}:{mistake}", path.display());
    mistakes.iter().map(told).collect::<Vec<_>>().join("\n")
}

/// What the system says, without the number that only programs read; those find it in the source.
fn words_of(source: &io::Error) -> String {
    let text = source.to_string();
    let words = text.split_once(" (os error ").map(|(words, _)| words);
    words.unwrap_or(&text).to_owned()
}

/// For what is done as well as it can be, and changes nothing where it fails.
pub trait BestEffort {
    /// Lets an error go. `why` is for who reads the code: what makes it harmless, or why there is nobody to tell.
    ///
    /// ```
    /// use tsm_core::error::BestEffort as _;
    ///
    /// std::fs::remove_file("/nothing/here").best_effort("it may never have been made");
    /// ```
    fn best_effort(self, why: &'static str);
}

impl<T, E> BestEffort for std::result::Result<T, E> {
    fn best_effort(self, _why: &'static str) {}
}

/// Adds to an [`io::Error`] what it was about.
pub trait IoContext<T> {
    /// The operation was on `path`.
    ///
    /// # Errors
    /// [`Error::Io`] where the operation failed.
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T>;
    /// The operation was on no path.
    ///
    /// # Errors
    /// [`Error::System`] where the operation failed.
    fn doing(self, action: &'static str) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::Io {
            action,
            path: path.as_ref().to_owned(),
            source,
        })
    }

    fn doing(self, action: &'static str) -> Result<T> {
        self.map_err(|source| Error::System { action, source })
    }
}
