//! Groups of processes that the kernel keeps account of: `cgroups(7)`, version 2.
//!
//! TSM makes groups only below one that was given to it: systemd marks such a group (`Delegate=yes`) by the extended
//! attribute `user.delegate` or `trusted.delegate`, and so may an administrator elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The group of a supervisor itself, below the one that was given to it.
pub(crate) const SUPERVISOR: &str = "supervisor";

/// The group of a service, below the same one.
pub(crate) fn of_service(name: &crate::name::ProcessName) -> String {
    format!("tsm-{name}")
}

/// The group that this process is in, as a directory; `None` where there is no cgroup v2.
pub(crate) fn own() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let relative = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts
        .lines()
        .find_map(|line| mounted_at(line, relative))
        .filter(|directory| directory.join("cgroup.procs").exists())
}

/// Where a line of `/proc/self/mountinfo` says that a group can be seen (`proc_pid_mountinfo(5)`).
fn mounted_at(line: &str, group: &str) -> Option<PathBuf> {
    let (place, kind) = line.split_once(" - ")?;
    if !kind.starts_with("cgroup2 ") {
        return None;
    }
    let mut fields = place.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    // In a container only a part of the tree may be mounted.
    let below = Path::new("/").join(group);
    let below = below.strip_prefix(root).ok()?;
    Some(Path::new(point).join(below))
}

/// The group below which this process may make others, where one was given to it. `ask` is asked about a unit of the
/// user's own systemd whether that delegates its group: older ones leave no mark.
pub(crate) fn delegated(ask: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let own = own()?;
    let is_delegated = |group: &Path| is_delegated(group, &ask);
    // A supervisor that follows another is in the group that the first one made.
    if own.file_name().is_some_and(|name| name == SUPERVISOR)
        && let Some(parent) = own.parent().filter(|parent| is_delegated(parent))
    {
        return Some(parent.to_owned());
    }
    is_delegated(&own).then_some(own)
}

fn is_delegated(group: &Path, ask: &impl Fn(&str) -> bool) -> bool {
    // The root of all groups has no type.
    if !group.join("cgroup.type").exists() {
        return false;
    }
    let marked = ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0; 1];
        rustix::fs::getxattr(group, *name, &mut value).is_ok_and(|length| length == 1)
            && value == *b"1"
    });
    let writable = |path: PathBuf| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    // A look at the files comes first: asking takes a process.
    writable(group.to_owned())
        && writable(group.join("cgroup.procs"))
        && (marked || is_given_to_user(group, ask))
}

/// The system's systemd gives a group to a user by making them its owner. That of the user owns all that it makes, so that it
/// has to be asked.
fn is_given_to_user(group: &Path, ask: &impl Fn(&str) -> bool) -> bool {
    let uid = super::account::effective_uid();
    let owned = uid != 0 && fs::metadata(group).is_ok_and(|meta| meta.uid() == uid);
    let of_user_manager = group.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part.starts_with("user@") && part.ends_with(".service")
    });
    let unit = group.file_name().and_then(|name| name.to_str());
    owned && (!of_user_manager || unit.is_some_and(ask))
}

/// Puts a process into a group.
///
/// # Errors
/// The system's.
pub(crate) fn put(group: &Path, pid: u32) -> io::Result<()> {
    write(&group.join("cgroup.procs"), &pid.to_string())
}

/// Lets the groups below this one have a controller (`memory`, `pids`, `cpu`).
///
/// # Errors
/// `ENOENT` where there is none, `EBUSY` where processes are in this very group.
pub(crate) fn enable(group: &Path, controller: &str) -> io::Result<()> {
    write(
        &group.join("cgroup.subtree_control"),
        &format!("+{controller}"),
    )
}

/// Takes a controller away from the groups below this one.
///
/// # Errors
/// `ENOENT` where there is none.
pub(crate) fn disable(group: &Path, controller: &str) -> io::Result<()> {
    write(
        &group.join("cgroup.subtree_control"),
        &format!("-{controller}"),
    )
}

/// Writes one of the files of a group.
///
/// # Errors
/// The system's.
pub(crate) fn set(group: &Path, file: &str, value: &str) -> io::Result<()> {
    write(&group.join(file), value)
}

fn write(path: &Path, value: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(value.as_bytes())
}

/// Makes a group, where it is not there yet, and opens the file through which a process joins it by writing `0`.
///
/// # Errors
/// The system's.
pub(crate) fn make(group: &Path) -> io::Result<File> {
    match fs::create_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .open(group.join("cgroup.procs"))
}

/// Removes a group and those below it; `false` where somebody is left in it.
pub(crate) fn remove(group: &Path) -> bool {
    for below in below(group) {
        remove(&below);
    }
    match fs::remove_dir(group) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn below(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// The processes in a group and below it.
///
/// # Errors
/// The system's; `NotFound` where there is no such group.
pub(crate) fn members(group: &Path) -> io::Result<Vec<u32>> {
    let text = fs::read_to_string(group.join("cgroup.procs"))?;
    let mut found: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for below in below(group) {
        // A group that was removed in the meantime had nobody in it.
        found.extend(members(&below).unwrap_or_default());
    }
    // A process of another PID name space is shown as 0.
    found.retain(|&pid| pid != 0);
    Ok(found)
}

/// Ends everybody in a group and below it at once, whatever they do (`cgroup.kill`, Linux 5.14).
///
/// # Errors
/// The system's; `NotFound` where the kernel has it not.
pub(crate) fn kill(group: &Path) -> io::Result<()> {
    write(&group.join("cgroup.kill"), "1")
}

/// The number behind a word in one of the files of a group.
pub(crate) fn counter(group: &Path, file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(group.join(file)).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}

/// The number that one of the files of a group holds.
pub(crate) fn number(group: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(group.join(file))
        .ok()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_where_its_tree_is_mounted() {
        let line = |root: &str, point: &str| {
            format!("29 25 0:26 {root} {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate")
        };
        let at = |line: &str, group: &str| mounted_at(line, group);
        assert_eq!(
            at(&line("/", "/sys/fs/cgroup"), "user.slice/x.scope"),
            Some("/sys/fs/cgroup/user.slice/x.scope".into())
        );
        assert_eq!(
            at(&line("/box", "/sys/fs/cgroup"), "box/a"),
            Some("/sys/fs/cgroup/a".into())
        );
        assert_eq!(at(&line("/box", "/sys/fs/cgroup"), "other"), None);
        assert_eq!(at("29 25 0:26 / /sys rw - sysfs sysfs rw", "a"), None);
    }

    #[test]
    fn what_is_no_group_has_nobody_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let group = directory.path().join("none");
        assert!(members(&group).is_err());
        assert!(remove(&group));
        fs::write(
            directory.path().join("memory.events"),
            "oom 1\noom_kill 3\n",
        )
        .unwrap();
        assert_eq!(
            counter(directory.path(), "memory.events", "oom_kill"),
            Some(3)
        );
    }
}
