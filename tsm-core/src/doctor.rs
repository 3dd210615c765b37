//! What is wrong with a home, what to do about each, and mending what is safe.
//!
//! Looking changes nothing and needs no supervisor. Mending is done by who holds the lock: the supervisor where one runs, else
//! the caller.

mod boot;
mod files;
mod logs;
pub(crate) mod mend;
mod processes;

use serde::Serialize;

use crate::control::{Client, SupervisorStatus};
use crate::error::{Error, Result};
use crate::home::Home;
use crate::name::ProcessName;
use crate::store::{ProcessStore, Writer};
use crate::supervise::logout;
use crate::sys::{account, procfs};

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// The home may be written by others, is somebody else's, or was written by a newer TSM.
    UnsafeHome,
    /// Others may read or write what they should not, or own it.
    WrongMode,
    /// Something that is no file stands where a file should.
    NoFile,
    /// A record cannot be read.
    DamagedRecord,
    /// A launch spec cannot be read.
    DamagedSpec,
    /// An environment cannot be read.
    DamagedEnvironment,
    /// What only a shell knew cannot be read.
    DamagedShell,
    /// A record lacks a file that it needs.
    MissingFile,
    /// Files of a process that has no record.
    NoRecord,
    /// Two records bear one id.
    SameId,
    /// An environment that bash will not source.
    NotSourceable,
    /// A pid file names nobody, or somebody else.
    StalePid,
    /// The next id is not to be read.
    NextId,
    /// A process that a service left behind.
    Orphan,
    /// Services run and nobody looks after them.
    Unsupervised,
    /// The supervisor does not answer.
    SupervisorSilent,
    /// The supervisor is stopped (SIGSTOP).
    SupervisorStopped,
    /// The guardian is stopped (SIGSTOP).
    GuardianStopped,
    /// There is more than one supervisor or guardian.
    TwoSupervisors,
    /// The supervisor has no guardian.
    GuardianGone,
    /// Services end when their user logs out.
    EndsAtLogout,
    /// There is little room on the disk.
    LowDisk,
    /// There are few inodes on the disk.
    LowInodes,
    /// A log has lost something in the last day, and not by what TSM is told to keep of it.
    LogLoss,
    /// A part of a log cannot be read.
    DamagedLog,
    /// A log cannot be written; what is printed waits.
    BlockedLog,
    /// The dump cannot be read.
    DamagedDump,
    /// The dump is not what the list is.
    OldDump,
    /// What starts TSM at boot points nowhere.
    BootUnit,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// The process that it is about.
    pub process: Option<ProcessName>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether [`mend`] does it.
    pub mendable: bool,
}

/// The remedy of what is mended.
const MEND: &str = "'tsm doctor --fix' mends it";

impl Finding {
    fn new(kind: Kind, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            process: None,
            problem: problem.into(),
            remedy: remedy.into(),
            mendable: false,
        }
    }

    fn mendable(kind: Kind, problem: impl Into<String>) -> Self {
        Self {
            mendable: true,
            ..Self::new(kind, problem, MEND)
        }
    }

    fn of(self, name: &ProcessName) -> Self {
        Self {
            process: Some(name.clone()),
            ..self
        }
    }
}

/// Looks at all of a home: files, modes, supervisor, leftovers, room, the dump, start at boot.
///
/// # Errors
/// Where the home cannot be looked at at all; what is wrong with it is no error.
///
/// ```
/// # use tsm_core::control::{Client, Launcher};
/// # use tsm_core::home::Home;
/// # let launcher = Launcher { program: "tsm".into(), arguments: vec![], environment: vec![] };
/// # let client = Client::new(Home::at("/tmp/nobodys-home"), launcher, "an example");
/// for finding in tsm_core::doctor::examine(&client)? {
///     println!("{}; {}", finding.problem, finding.remedy);
/// }
/// # Ok::<(), tsm_core::error::Error>(())
/// ```
pub fn examine(client: &Client) -> Result<Vec<Finding>> {
    let home = client.home();
    let mut findings = Vec::new();
    if !home.root().exists() {
        // The home is gone, but what was started from it may still run.
        let store = ProcessStore::new(home.clone());
        processes::look(&store, &files::Known::new(), None, &mut findings)?;
        return Ok(findings);
    }
    if let Some(finding) = unsafe_home(home) {
        let is_ours = finding.mendable;
        findings.push(finding);
        if !is_ours {
            // Files that others may have put there are not to be trusted, and not looked at.
            return Ok(findings);
        }
    }
    let store = ProcessStore::new(home.clone());
    files::modes(home, &mut findings)?;
    let known = files::records(&store, &mut findings)?;
    files::leftovers(&store, &known, &mut findings)?;
    files::room(home, &mut findings);
    files::dump(&store, &known, &mut findings);
    logs::look(&store, &known, &mut findings);
    let status = if processes::stopped(home, &mut findings)? {
        // Waiting for an answer would continue a stopped supervisor, and a look must change
        // nothing.
        None
    } else {
        supervisor(client, &store, &mut findings)
    };
    processes::look(&store, &known, status.as_ref(), &mut findings)?;
    ends_at_logout(&store, &mut findings)?;
    boot::look(home, &mut findings);
    crate::sorted::by_key(&mut findings, |finding| finding.kind);
    Ok(findings)
}

/// Mends what is safe, and says what was done.
///
/// # Errors
/// [`Error::Unreachable`] where the supervisor that holds the home does not answer; [`Error::Io`].
pub fn mend(client: &Client) -> Result<Vec<String>> {
    let home = client.home();
    if !home.root().exists() {
        return Ok(Vec::new());
    }
    let mut done = Vec::new();
    if unsafe_home(home).is_some_and(|finding| finding.mendable) {
        mend::close_root(home, &mut done)?;
    }
    home.check_owner()?;
    mend::stopped(home, &mut done)?;
    mend::modes(home, &mut done)?;
    let store = ProcessStore::new(home.clone());
    if !store.is_supervised()
        && let Some(writer) = Writer::acquire(home.clone())?
    {
        let recorded = |name: &ProcessName| store.meta(name).ok();
        done.extend(mend::all(&writer, &recorded)?);
        return Ok(done);
    }
    done.extend(client.mend()?);
    Ok(done)
}

/// What runs in a login session that takes it along at its end.
fn ends_at_logout(store: &ProcessStore, findings: &mut Vec<Finding>) -> Result<()> {
    if !logout::sessions_end_all() {
        return Ok(());
    }
    let (records, _) = store.records()?;
    let in_session = records.iter().filter(|(_, meta)| {
        // The number alone may be another process's by now.
        let identified = |pid: &u32| meta.ticks.is_some() && procfs::start_time(*pid) == meta.ticks;
        let pid = meta.pid.filter(identified);
        pid.is_some_and(logout::is_in_login_session)
    });
    let names: Vec<String> = in_session.map(|(name, _)| format!("'{name}'")).collect();
    if !names.is_empty() {
        let user = account::name_of(account::effective_uid());
        findings.push(Finding::new(
            Kind::EndsAtLogout,
            format!(
                "of what runs, this ends when {user} logs out (KillUserProcesses=yes in logind.conf): {}",
                names.join(", ")
            ),
            logout::remedy(&user),
        ));
    }
    Ok(())
}

fn unsafe_home(home: &Home) -> Option<Finding> {
    match home.check_owner().and_then(|()| home.check_layout()) {
        Ok(()) => None,
        Err(Error::UnsafeHome { path, reason }) => {
            let problem = format!("the home {} is not safe: {reason}", path.display());
            Some(if mend::may_close(home) {
                Finding::mendable(Kind::UnsafeHome, problem)
            } else {
                Finding::new(Kind::UnsafeHome, problem, "use another home (--home DIR)")
            })
        }
        Err(error) => Some(Finding::new(
            Kind::UnsafeHome,
            error.to_string(),
            "use the tsm that wrote it",
        )),
    }
}

fn supervisor(
    client: &Client,
    store: &ProcessStore,
    findings: &mut Vec<Finding>,
) -> Option<SupervisorStatus> {
    match client.status() {
        Ok(Some(status)) => {
            if status.guardian.is_none() && !status.foreground {
                findings.push(Finding::new(
                    Kind::GuardianGone,
                    "the guardian is gone, and the supervisor has not taken its place yet",
                    "it does so within seconds; where not, 'tsm supervisor stop', and the next command starts both anew; services go on",
                ));
            }
            return Some(status);
        }
        Ok(None) if store.is_supervised() => findings.push(Finding::new(
            Kind::SupervisorSilent,
            format!(
                "somebody holds {}, and nobody listens at {}",
                store.home().lock().display(),
                store.home().socket().display()
            ),
            "look for it with 'ps -ef | grep tsm', and end it; services go on",
        )),
        Ok(None) => {}
        Err(error @ Error::Reported { .. }) => findings.push(Finding::new(
            Kind::SupervisorSilent,
            error.to_string(),
            "end the process that has so many, or wait until it lets go; services go on",
        )),
        Err(error) => findings.push(Finding::new(
            Kind::SupervisorSilent,
            error.to_string(),
            "'kill -9' it where it does not come back, and its guardian starts another one; services go on",
        ))
    }
    None
}
