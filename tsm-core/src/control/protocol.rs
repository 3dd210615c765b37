//! What is said over the control socket.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{Planned, Step};
use crate::env::EnvUpdate;
use crate::error::{Error, ErrorKind};
use crate::name::ProcessName;
use crate::persist;
use crate::probe::CpuSample;
use crate::spec::ProcessSpec;
use crate::sys::Signal;

/// Version of the protocol. A supervisor answers all requests of this version and older ones, and refuses newer ones by
/// name. A request says the oldest version that has it ([`Body::needs`]), so that a newer command gets along with a
/// supervisor that is older but knows what it is asked for.
///
/// 2 added [`Body::Upgrade`], [`Verb::Signal`] and [`Verb::Reload`].
pub const PROTOCOL: u32 = 2;

/// Bytes of one record of a handover: a name, padded with zeroes; a descriptor travels with it.
pub(crate) const HANDOVER_RECORD: usize = 64;

/// What a command asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// What its body [needs](Body::needs).
    pub version: u32,
    /// Who asks.
    pub asked: Asked,
    /// What.
    pub body: Body,
}

/// Who asks, and whether for the first time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Drawn once for each command: a command that repeats its request to a new supervisor does not act twice.
    pub token: String,
    /// For the history: the command, its user and terminal.
    pub by: String,
    /// A supervisor that has died since had accepted this very request: what it had done of it is done.
    #[serde(default)]
    pub resumed: bool,
    /// The version of the program that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// Start something new. The frame's raw bytes are its [`Snapshot`](crate::env::Snapshot).
    Start(Box<StartRequest>),
    /// Start, change and stop what a config file declares. The frame's raw bytes are this shell's snapshot.
    Apply(ApplyRequest),
    /// Do something with processes that exist. The frame's raw bytes are this shell's snapshot, where one is to be taken.
    Act(ActRequest),
    /// Write the dump; an empty list takes the place of another only where that is said.
    Save {
        /// Whether it may be empty.
        empty: bool,
    },
    /// Start what should run, and bring back what only the dump has.
    Resurrect(ResurrectRequest),
    /// How the supervisor is.
    Status,
    /// Mend the files of the home.
    Mend,
    /// Keep these, and say what was kept before.
    Samples(Vec<CpuSample>),
    /// End the supervisor and leave the services up.
    Shutdown,
    /// Hand everything over to the process that asks.
    Handover,
    /// Go on as the program of this file.
    Upgrade {
        /// The file.
        program: PathBuf,
    },
}

impl Body {
    /// The oldest version of the protocol that has this request.
    pub fn needs(&self) -> u32 {
        match self {
            Self::Upgrade { .. } => 2,
            Self::Act(act) if matches!(act.verb, Verb::Signal | Verb::Reload) => 2,
            _ => 1,
        }
    }
}

/// Start something new.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StartRequest {
    /// The name that a person gave.
    pub name: Option<ProcessName>,
    /// The name that it gets where none was given; made unique by a number.
    pub suggested: ProcessName,
    /// What to start.
    pub spec: ProcessSpec,
    /// Who listens on its port, as the command saw it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_ports: Vec<TakenPort>,
    /// How many of the raw bytes, the last ones, are the shell part of the snapshot.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shell_bytes: usize,
    /// Wait until it is ready, for at most so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Give it a port that nobody has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_port: bool,
}

impl StartRequest {
    /// A request to start what `spec` says, under the name `suggested` or one like it; set `name` to insist on one.
    pub fn new(suggested: ProcessName, spec: ProcessSpec) -> Self {
        Self {
            name: None,
            suggested,
            spec,
            taken_ports: Vec::new(),
            shell_bytes: 0,
            wait_ms: None,
            any_port: false,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it by reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Make processes what a plan says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApplyRequest {
    /// What, in this order.
    pub items: Vec<ApplyItem>,
    /// Who listens on the ports of those that are to be started, as the command saw it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_ports: Vec<TakenPort>,
    /// How many of the raw bytes, the last ones, are the shell part of the snapshot.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shell_bytes: usize,
    /// Wait until each that is up afterwards is ready, and each task done, for at most so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// What becomes of one process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApplyItem {
    /// Its name.
    pub name: ProcessName,
    /// The spec that it is to have, where that is another one than it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Box<ProcessSpec>>,
    /// How its environment changes; on top of this shell's, where it is new.
    #[serde(default)]
    pub update: EnvUpdate,
    /// What is done then.
    pub then: ApplyThen,
    /// Give it a port that nobody has, where it has none that is free.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_port: bool,
}

/// The item that takes a step of a plan.
impl From<&Planned> for ApplyItem {
    fn from(planned: &Planned) -> Self {
        Self {
            name: planned.name.clone(),
            spec: planned.spec.clone().map(Box::new),
            update: planned.update.clone(),
            then: match planned.step {
                Step::Create | Step::Start => ApplyThen::Start,
                Step::Restart => ApplyThen::Restart,
                Step::Leave => ApplyThen::Leave,
                Step::Stop => ApplyThen::Stop,
            },
            any_port: planned.any_port,
        }
    }
}

/// What is done with a process when its spec and environment are as declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApplyThen {
    /// It is started; it is made where there is none of its name.
    Start,
    /// It is stopped and started.
    Restart,
    /// Nothing.
    Leave,
    /// It is stopped.
    Stop,
    /// It is stopped, and its record removed.
    Delete,
}

/// A port that somebody listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenPort {
    /// The port.
    pub port: u16,
    /// The process that holds it, where it is one of this home.
    pub id: Option<u32>,
    /// Who holds it, in words.
    pub holder: String,
}

/// Start what should run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResurrectRequest {
    /// The dump, where it is not the home's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// Who decides.
    #[serde(default)]
    pub mode: persist::Mode,
    /// The dump itself, where it is none of a file that the supervisor could read: another manager's list, say. It travels as the
    /// frame's raw bytes.
    #[serde(skip)]
    pub dump: Option<persist::Dump>,
}

/// What was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedCounts {
    /// How many processes.
    pub processes: usize,
    /// How many of them should run.
    pub up: usize,
}

/// What to do with processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Start stopped ones again.
    Start,
    /// End them.
    Stop,
    /// End and start them.
    Restart,
    /// End them and remove their files.
    Delete,
    /// Change their environments, for their next start.
    Update,
    /// Send a signal to their main processes, or to these and all of their process groups.
    Signal,
    /// Send them the signal that asks them to read their configuration anew.
    Reload,
    /// Count their restarts anew, and start at once what waits for its next one.
    Reset,
    /// Make what is in their logs a segment of its own.
    Rotate,
    /// Empty their logs.
    Flush,
    /// Let go of their log files and open them again by name.
    Reopen,
}

/// How.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActOptions {
    /// SIGKILL at once.
    #[serde(default)]
    pub force: bool,
    /// Leave the logs of what is deleted.
    #[serde(default)]
    pub keep_logs: bool,
    /// The signal of [`Verb::Signal`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// To the whole process group.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub group: bool,
    /// Wait until each is ready, for at most so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// Do something with processes that exist.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActRequest {
    /// What.
    pub verb: Verb,
    /// With which, as they were typed.
    pub selectors: Vec<String>,
    /// How.
    #[serde(default)]
    pub options: ActOptions,
    /// How their environments change first; for [`Verb::Start`], [`Verb::Restart`] and [`Verb::Update`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<EnvUpdate>,
    /// Who listens on the ports of those that are to be started, as the command saw it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_ports: Vec<TakenPort>,
    /// Those that could not be started again, as the command saw it: its shell cannot read its shell state, or its program
    /// or directory is gone.
    // The name comes from the time when only shell states were looked at, and older supervisors
    // know no other.
    #[serde(
        default,
        rename = "damaged_shells",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cannot_start: Vec<CannotStart>,
}

/// What keeps a process from being started again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CannotStart {
    /// Its id.
    pub id: u32,
    /// What is wrong, with file and line.
    pub error: ReportedError,
}

/// What the supervisor says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It was understood; this many outcomes follow.
    Accepted {
        /// The processes that it is about.
        names: Vec<ProcessName>,
    },
    /// One process is settled.
    Outcome(Outcome),
    /// All are.
    Done {
        /// What a person should know besides, one line each.
        notices: Vec<String>,
    },
    /// Nothing was done.
    Failed(ReportedError),
    /// How the supervisor is.
    Status(SupervisorStatus),
    /// What was kept before.
    Samples(Vec<CpuSample>),
    /// What is in the dump now.
    Saved(SavedCounts),
    /// What was mended, in words.
    Mended(Vec<String>),
}

/// An error on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedError {
    /// Its kind.
    pub kind: ErrorKind,
    /// Its words.
    pub message: String,
}

impl From<&Error> for ReportedError {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.to_string(),
        }
    }
}

impl From<ReportedError> for Error {
    fn from(reported: ReportedError) -> Self {
        Self::Reported {
            kind: reported.kind,
            message: reported.message,
        }
    }
}

/// What became of one process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: ProcessName,
    /// Its pid, where it runs now.
    pub pid: Option<u32>,
    /// That there was nothing to do, in words.
    pub note: Option<String>,
    /// What went wrong.
    pub error: Option<ReportedError>,
}

/// How the supervisor is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SupervisorStatus {
    /// Its pid.
    pub pid: u32,
    /// The guardian's pid, where there is one.
    pub guardian: Option<u32>,
    /// The pid of the guardian's sentinel, which notices when both are killed; none where systemd does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<u32>,
    /// Its version.
    pub version: String,
    /// Since when, Unix milliseconds.
    pub started_ms: u64,
    /// How many processes it knows.
    pub processes: u32,
    /// How many of them run.
    pub running: u32,
    /// Whether it is in the foreground of a terminal or of an init system.
    pub foreground: bool,
    /// The unit of systemd that it is in: one of its own, or the scope of a login session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}
