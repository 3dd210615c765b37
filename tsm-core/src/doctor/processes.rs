//! Processes: what services left behind, and supervisors that should not be there.

use std::collections::BTreeMap;

use super::files::Known;
use super::{Finding, Kind};
use crate::control::SupervisorStatus;
use crate::cookie::Cookies;
use crate::error::{IoContext as _, Result};
use crate::home::Home;
use crate::keepers::{Keeper, Part};
use crate::meta::State;
use crate::name::ProcessName;
use crate::store::ProcessStore;
use crate::sys::procfs::{self, ProcessTable};

/// Tells of a supervisor and a guardian that are stopped. Whether the supervisor cannot answer for that.
pub(super) fn stopped(home: &Home, findings: &mut Vec<Finding>) -> Result<bool> {
    let found = Keeper::find(home).doing("read /proc")?;
    let has_supervisor = found.iter().any(|keeper| keeper.part() != Part::Guardian);
    let stopped: Vec<Keeper> = found.into_iter().filter(Keeper::is_stopped).collect();
    for keeper in &stopped {
        let (kind, then) = match keeper.part() {
            Part::Guardian => (
                Kind::GuardianStopped,
                "a supervisor that ends has no successor",
            ),
            Part::Supervisor | Part::Foreground | Part::Sentinel => {
                (Kind::SupervisorStopped, "nobody looks after the services")
            }
        };
        let problem = format!("{}: {then}", keeper.how());
        findings.push(Finding::mendable(kind, problem));
    }
    // With the guardian stopped and no supervisor beside it, a request would wait for a supervisor
    // that nobody starts.
    let guardian_alone = !stopped.is_empty() && !has_supervisor;
    Ok(guardian_alone || stopped.iter().any(|keeper| keeper.part() != Part::Guardian))
}

pub(super) fn look(
    store: &ProcessStore,
    known: &Known,
    status: Option<&SupervisorStatus>,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let table = ProcessTable::read().doing("read /proc")?;
    let root = store.home().root();
    let cookies = Cookies::of(store.home());
    let by_id: BTreeMap<u32, (&ProcessName, Option<&State>)> = known
        .iter()
        .map(|(name, meta)| (meta.id, (name, meta.state.as_ref())))
        .collect();
    let (mut supervisors, mut guardians) = (Vec::new(), Vec::new());
    let mut is_any_up = false;
    for process in table.iter().filter(|process| !process.ended) {
        let pid = process.identity.pid;
        match Part::of_command_line(pid, root.as_os_str()) {
            Some(Part::Supervisor | Part::Foreground) => supervisors.push(pid),
            Some(Part::Guardian) => guardians.push(pid),
            Some(Part::Sentinel) | None => {}
        }
        let cookie = procfs::environment_variable(pid, "TSM_COOKIE").doing("read /proc")?;
        let Some(cookie) = cookie else {
            findings.extend(unattributed(process, status, known));
            continue;
        };
        let Some((id, _)) = cookies.read(&cookie) else {
            continue;
        };
        match by_id.get(&id) {
            // That is reported already, with what mends the record; the process itself is in order.
            None if is_of_damaged(store, known, pid)? => {}
            None => findings.push(Finding::new(
                Kind::Orphan,
                format!(
                    "process {pid} ({}) comes from the service with ID {id}, which has no record",
                    procfs::name(pid)
                ),
                format!("kill {pid}"),
            )),
            Some((name, state)) => match state.and_then(how_it_is_down) {
                Some(how) => findings.push(left_behind(pid, name, how)),
                None => is_any_up = true,
            },
        }
    }
    if is_any_up && status.is_none() && !store.is_supervised() {
        findings.push(Finding::new(
            Kind::Unsupervised,
            "services run, and no supervisor looks after them",
            "any command that changes something brings one back, such as 'tsm save'",
        ));
    }
    let right = status.map(|status| status.pid);
    findings.extend(more_than_one("supervisors", &supervisors, right));
    let right = status.and_then(|status| status.guardian);
    findings.extend(more_than_one("guardians", &guardians, right));
    Ok(())
}

/// How a service is of which no process should be left, in words.
fn how_it_is_down(state: &State) -> Option<&'static str> {
    match state {
        State::Stopped => Some("is stopped"),
        State::Failed => Some("has failed"),
        State::Exited | State::Done => Some("has ended"),
        _ => None,
    }
}

/// A process of a service that is down.
fn left_behind(pid: u32, name: &ProcessName, how: &str) -> Finding {
    let program = procfs::name(pid);
    Finding::new(
        Kind::Orphan,
        format!("process {pid} ({program}) comes from '{name}', which {how}"),
        format!("'tsm stop {name}' ends it"),
    )
    .of(name)
}

/// Several of what there is to be one of; `right` is the one that has the home in hand, where that is known.
fn more_than_one(what: &str, pids: &[u32], right: Option<u32>) -> Option<Finding> {
    if pids.len() < 2 {
        return None;
    }
    let listed = |pids: &mut dyn Iterator<Item = &u32>, between: &str| {
        let words: Vec<String> = pids.map(ToString::to_string).collect();
        words.join(between)
    };
    let remedy = match right {
        Some(right) => format!(
            "{right} is the right one; kill {}; services go on",
            listed(&mut pids.iter().filter(|pid| **pid != right), " ")
        ),
        None => "kill all but the one that holds the lock; services go on".to_owned(),
    };
    let problem = format!(
        "there are {} {what}: {}",
        pids.len(),
        listed(&mut pids.iter(), ", ")
    );
    Some(Finding::new(Kind::TwoSupervisors, problem, remedy))
}

/// A child of the supervisor or the guardian that is neither a service nor says whose it is.
fn unattributed(
    process: &procfs::Process,
    status: Option<&SupervisorStatus>,
    known: &Known,
) -> Option<Finding> {
    let status = status?;
    let pid = process.identity.pid;
    let keepers = [Some(status.pid), status.guardian];
    let is_orphan = keepers.contains(&Some(process.parent)) && !keepers.contains(&Some(pid));
    let is_leader = known.values().any(|meta| meta.pid == Some(pid));
    // A process that may not be looked into, or that runs this program under another name, is no
    // stranger.
    let is_ours = procfs::executable(pid)
        .zip(procfs::executable(status.pid))
        .is_none_or(|(exe, ours)| exe == ours);
    (is_orphan && !is_leader && !is_ours).then(|| {
        let program = procfs::name(pid);
        Finding::new(
            Kind::Orphan,
            format!("process {pid} ({program}) is unattributed: some service left it behind, and it bears nothing that tells which"),
            format!("kill {pid}, if nobody needs it"),
        )
    })
}

/// Whether a process says that it belongs to a record that is there and cannot be read.
fn is_of_damaged(store: &ProcessStore, known: &Known, pid: u32) -> Result<bool> {
    let name = procfs::environment_variable(pid, "TSM_NAME").doing("read /proc")?;
    let name = name.and_then(|name| String::from_utf8(name).ok());
    let name = name.and_then(|name| name.parse::<ProcessName>().ok());
    Ok(name.is_some_and(|name| !known.contains_key(&name) && store.home().meta(&name).exists()))
}
