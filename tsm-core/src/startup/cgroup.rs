//! Moving services from one cgroup to another (`cgroups(7)`), which only root may.
//!
//! A service that was started from a login is in the cgroup of that session, and is accounted for and ended with it. Once an init
//! system starts it, it belongs into the unit's.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use crate::cookie::Cookies;
use crate::error::{IoContext as _, Result};
use crate::name::ProcessName;
use crate::store::ProcessStore;
use crate::sys::account::Account;
use crate::sys::procfs::{self, ProcessTable};
use crate::sys::{Identity, cgroup, errno};

/// A process that forks while it is being moved leaves a child behind: it is looked again, so often.
const LOOKS: usize = 4;

/// The cgroup of a process, as a directory; `None` where there is no cgroup v2 that can be written.
fn group_of(pid: &str) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .map(Path::new)
        .find(|mount| mount.join("cgroup.procs").exists())?;
    Some(mount.join(path.trim_start_matches('/')))
}

/// Moves all that belongs to the services of a home into the cgroup that `supervisor` is in: each into a group of its own there,
/// which its supervisor may use. Returns how many services were moved; 0 where cgroups cannot be used.
///
/// # Errors
/// [`crate::error::Error::Io`]; then some services may have been moved.
pub fn move_home(store: &ProcessStore, supervisor: u32, owner: &Account) -> Result<usize> {
    let Some(mut group) = group_of(&supervisor.to_string()) else {
        return Ok(0);
    };
    // The supervisor moves itself into a group below the unit's, to make room for others there.
    if group.ends_with(cgroup::SUPERVISOR) {
        group.pop();
    }
    move_below(store, &group, Some(owner))
}

/// Moves all that belongs to the services of a home into the cgroup that this process is in. Returns how many services were moved.
///
/// # Errors
/// [`crate::error::Error::Io`]; then some services may have been moved.
pub fn move_here(store: &ProcessStore) -> Result<usize> {
    match group_of("self") {
        Some(group) => move_below(store, &group, None),
        None => Ok(0),
    }
}

/// With an owner, each service into a group of its own below `group`; without, all into that.
fn move_below(store: &ProcessStore, group: &Path, owner: Option<&Account>) -> Result<usize> {
    let boot = procfs::boot_id().doing("read the boot id")?;
    let (records, _) = store.records()?;
    let mut leaders = HashMap::new();
    let names: HashMap<u32, &ProcessName> =
        records.iter().map(|(name, meta)| (meta.id, name)).collect();
    for (_, meta) in &records {
        if let (Some(pid), Some(start), Some(b)) = (meta.pid, meta.ticks, &meta.boot)
            && *b == boot
        {
            leaders.insert(Identity { pid, start }, meta.id);
        }
    }
    let mut moved: HashMap<Identity, u32> = HashMap::new();
    for _ in 0..LOOKS {
        let found = members(store, &leaders)?;
        let new: Vec<(Identity, u32)> = found
            .into_iter()
            .filter(|(identity, _)| !moved.contains_key(identity))
            .collect();
        if new.is_empty() {
            break;
        }
        for (identity, id) in new {
            let target = match (owner, names.get(&id)) {
                (Some(owner), Some(name)) => group_for(group, name, owner)?,
                // Its record is gone, so it is no service of this unit.
                (Some(_), None) => continue,
                (None, _) => group.to_owned(),
            };
            move_process(identity, &target)?;
            moved.insert(identity, id);
        }
    }
    let mut ids: Vec<u32> = moved.into_values().collect();
    crate::sorted::sort(&mut ids);
    ids.dedup();
    Ok(ids.len())
}

/// All processes that belong to one of these services: they descend from its leader, or bear its cookie.
fn members(store: &ProcessStore, leaders: &HashMap<Identity, u32>) -> Result<Vec<(Identity, u32)>> {
    let table = ProcessTable::read().doing("look at the processes")?;
    let cookies = Cookies::of(store.home());
    let known: HashMap<u32, u32> = leaders
        .iter()
        .filter(|(identity, _)| table.is_alive(**identity))
        .map(|(identity, id)| (identity.pid, *id))
        .collect();
    let mut found = Vec::new();
    for process in table.iter().filter(|process| !process.ended) {
        let mut at = Some(process);
        let mut owner = None;
        // A chain of parents ends at process 1; a table that was read while it changed may hold a loop.
        for _ in 0..1000 {
            let Some(process) = at else { break };
            owner = known.get(&process.identity.pid).copied();
            if owner.is_some() || process.parent <= 1 {
                break;
            }
            at = table.get(process.parent);
        }
        if owner.is_none() {
            let cookie = cookies.of_process(process.identity.pid);
            owner = cookie.doing("look at the processes")?.map(|(id, _)| id);
        }
        found.extend(owner.map(|id| (process.identity, id)));
    }
    Ok(found)
}

/// The group of a service below the unit's, made where it is missing, for the supervisor to use.
fn group_for(unit: &Path, name: &ProcessName, owner: &Account) -> Result<PathBuf> {
    let group = unit.join(cgroup::of_service(name));
    match fs::create_dir(&group) {
        Ok(()) => {}
        // Left by an earlier move: its owner is right already.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(group),
        Err(error) => return Err(error).at("make the cgroup", &group),
    }
    // See "Delegation" in `cgroups(7)`: who may move processes within it.
    for file in [
        "",
        "cgroup.procs",
        "cgroup.subtree_control",
        "cgroup.threads",
    ] {
        let path = group.join(file);
        chown(&path, Some(owner.uid), Some(owner.gid)).at("give away", &path)?;
    }
    Ok(group)
}

fn move_process(identity: Identity, group: &Path) -> Result<()> {
    // It may have ended, and another process may have its number.
    if procfs::start_time(identity.pid) != Some(identity.start) {
        return Ok(());
    }
    let path = group.join("cgroup.procs");
    match fs::write(&path, identity.pid.to_string()) {
        Err(error) if error.raw_os_error() == Some(errno::ESRCH) => Ok(()),
        done => done.at("write to", path),
    }
}
