//! Files: modes, records, what belongs to no record, room, the dump.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::{Finding, Kind};
use crate::env::file;
use crate::error::{Error, IoContext as _, Result};
use crate::home::Home;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::persist::{Differences, Differs, Dump};
use crate::store::ProcessStore;
use crate::sys;

/// With less room than this, in bytes, or than a hundredth of the disk, it is low.
const LITTLE_ROOM: u64 = 16 << 20;
/// With fewer inodes than this, or than a hundredth of all, they are few.
const FEW_INODES: u64 = 200;
/// How many names a message lists.
const MOST_NAMES: usize = 4;

/// The suffixes of the files in `processes/`.
const SUFFIXES: [&str; 5] = [".meta", ".spec.json", ".env", ".shell", ".events.jsonl"];

/// All records that can be read.
pub(super) type Known = BTreeMap<ProcessName, Meta>;

/// Everything in a home, but for what is no business of TSM's: the directories and what is in them.
pub(super) fn everything(home: &Home) -> Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut all = Vec::new();
    let mut directories = vec![home.root().to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).at("read", &directory),
        };
        for entry in entries {
            let path = entry.at("read", &directory)?.path();
            // A file that vanishes in the meantime needs no mending.
            let Ok(meta) = fs::symlink_metadata(&path) else {
                continue;
            };
            if meta.is_dir() && directories_of(home).contains(&path) {
                directories.push(path.clone());
            }
            all.push((path, meta));
        }
    }
    Ok(all)
}

fn directories_of(home: &Home) -> [PathBuf; 4] {
    [home.logs(), home.pids(), home.processes(), home.startup()]
}

/// Whether others may do with it what they should not, and a mode mends that.
pub(super) fn is_open(meta: &fs::Metadata) -> bool {
    let kind = meta.file_type();
    !kind.is_symlink() && !kind.is_fifo() && meta.mode() & 0o077 != 0
}

pub(super) fn modes(home: &Home, findings: &mut Vec<Finding>) -> Result<()> {
    let own = fs::metadata(home.root()).at("look at", home.root())?.uid();
    let all = everything(home)?;
    let relative = |path: &Path| {
        let inside = path.strip_prefix(home.root()).unwrap_or(path);
        inside.display().to_string()
    };
    let misplaced = misplaced(home, &all);
    let open: Vec<String> = all
        .iter()
        .filter(|(path, meta)| is_open(meta) && meta.uid() == own && !misplaced.contains_key(path))
        .map(|(path, meta)| format!("{} ({:03o})", relative(path), meta.mode() & 0o777))
        .collect();
    if !open.is_empty() {
        findings.push(Finding::mendable(
            Kind::WrongMode,
            format!("others may read or write {}", listed(&open)),
        ));
    }
    let foreign: Vec<String> = all
        .iter()
        .filter(|(_, meta)| meta.uid() != own)
        .map(|(path, meta)| {
            let owner = sys::account::name_of(meta.uid());
            format!("{} ({owner})", relative(path))
        })
        .collect();
    if !foreign.is_empty() {
        let owner = sys::account::name_of(own);
        findings.push(Finding::new(
            Kind::WrongMode,
            format!("another user owns {}", listed(&foreign)),
            format!("chown {owner} them, if they are what they should be"),
        ));
    }
    for (path, kind) in misplaced {
        findings.push(Finding::new(
            Kind::NoFile,
            format!(
                "{} is {kind}, where TSM keeps a regular file",
                path.display()
            ),
            "move it away; what TSM writes there next is a file",
        ));
    }
    Ok(())
}

/// What stands where TSM keeps a regular file and is none, and what it is instead.
fn misplaced(home: &Home, all: &[(PathBuf, fs::Metadata)]) -> BTreeMap<PathBuf, &'static str> {
    let of_home = [
        home.lock(),
        home.layout(),
        home.next_id(),
        home.status(),
        home.dump(),
        home.defaults(),
        home.supervisor_log(),
    ];
    let is_of_a_process = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        let suffixes = SUFFIXES.iter().chain(&[".pid", ".out", ".err"]);
        path.parent() != Some(home.root())
            && !name.starts_with('.')
            && suffixes.into_iter().any(|suffix| name.ends_with(suffix))
    };
    let mut misplaced = BTreeMap::new();
    for (path, meta) in all {
        let is_wrong = if of_home.contains(path) {
            // These may be links of a person's own to files elsewhere.
            fs::metadata(path).is_ok_and(|meta| !meta.is_file())
        } else {
            is_of_a_process(path) && !meta.is_file()
        };
        if is_wrong {
            misplaced.insert(path.clone(), kind_in_words(meta.file_type()));
        }
    }
    misplaced
}

/// What a file is that is no regular one (`inode(7)`).
fn kind_in_words(kind: fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// A few names, and how many more there are.
fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(MOST_NAMES)].join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Whether a spec is missing although the record says nothing of that: the original TSM wrote none.
fn is_of_original(meta: &Meta) -> bool {
    meta.run.is_none() && meta.desired.is_none()
}

pub(super) fn records(store: &ProcessStore, findings: &mut Vec<Finding>) -> Result<Known> {
    let (records, damaged) = store.records()?;
    let home = store.home();
    for damage in damaged {
        let finding = match store.spec(&damage.name) {
            Ok(Some(_)) => Finding::mendable(Kind::DamagedRecord, damage.error.to_string()),
            _ => Finding::new(
                Kind::DamagedRecord,
                format!("{}, and there is no spec to mend it from", damage.error),
                format!(
                    "'tsm doctor --fix' where its supervisor runs; else remove {} and start it anew",
                    home.meta(&damage.name).display()
                ),
            ),
        };
        findings.push(finding.of(&damage.name));
    }
    let mut by_id: BTreeMap<u32, ProcessName> = BTreeMap::new();
    let known: Known = records.into_iter().collect();
    for (name, meta) in &known {
        if let Some(other) = by_id.insert(meta.id, name.clone()) {
            let finding = Finding::new(
                Kind::SameId,
                format!("'{other}' and '{name}' both have the ID {}", meta.id),
                format!(
                    "'tsm supervisor stop', give one another tsm_id in {}, and go on",
                    home.meta(name).display()
                ),
            );
            findings.push(finding.of(name));
        }
        match store.spec(name) {
            Err(error) => {
                findings.push(Finding::mendable(Kind::DamagedSpec, error.to_string()).of(name));
            }
            Ok(None) if !is_of_original(meta) => findings.push(
                Finding::mendable(
                    Kind::MissingFile,
                    format!("{} is missing", home.spec(name).display()),
                )
                .of(name),
            ),
            Ok(_) => {}
        }
        if let Some(finding) = environment(store, name) {
            findings.push(finding.of(name));
        }
        if let Err(error) = store.shell(name) {
            let remedy =
                format!("'tsm restart {name} --update-env' from a shell that is as it should be");
            findings.push(Finding::new(Kind::DamagedShell, error.to_string(), remedy).of(name));
        }
    }
    let next_id = home.next_id();
    let text = fs::read_to_string(&next_id).unwrap_or_default();
    // A directory in its place has been reported already.
    if !known.is_empty() && !next_id.is_dir() && text.trim().parse::<u32>().is_err() {
        findings.push(Finding::mendable(
            Kind::NextId,
            format!("{} holds no number", next_id.display()),
        ));
    }
    Ok(known)
}

fn environment(store: &ProcessStore, name: &ProcessName) -> Option<Finding> {
    let path = store.home().env(name);
    match store.environment(name) {
        Ok(_) => {
            let bytes = fs::read(&path).ok()?;
            let sourceable = bytes.is_empty() || file::is_shell_form(&bytes);
            (!sourceable).then(|| {
                let problem = format!(
                    "bash will not source {}: it is the output of printenv",
                    path.display()
                );
                Finding::mendable(Kind::NotSourceable, problem)
            })
        }
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let problem = format!("{} is missing", path.display());
            Some(Finding::mendable(Kind::MissingFile, problem))
        }
        Err(error) => Some(Finding::mendable(
            Kind::DamagedEnvironment,
            error.to_string(),
        )),
    }
}

/// Files of processes that have no record, and pid files that tell nothing.
pub(super) fn leftovers(
    store: &ProcessStore,
    known: &Known,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let home = store.home();
    let names = store.names()?;
    let mut lost: BTreeMap<ProcessName, Vec<String>> = BTreeMap::new();
    for (path, _) in everything(home)? {
        let Some(file) = path.file_name().and_then(|file| file.to_str()) else {
            continue;
        };
        if path.parent() == Some(&home.processes()) {
            let stem = SUFFIXES.iter().find_map(|suffix| file.strip_suffix(suffix));
            if let Some(name) = stem.and_then(|stem| stem.parse::<ProcessName>().ok())
                && !names.contains(&name)
            {
                lost.entry(name).or_default().push(file.to_owned());
            }
        }
        if path.parent() == Some(&home.pids())
            && let Some(name) = file.strip_suffix(".pid")
            && let Ok(name) = name.parse::<ProcessName>()
            // Nobody knows which pid a record has that cannot be read.
            && (known.contains_key(&name) || !names.contains(&name))
        {
            findings.extend(stale_pid(&path, &name, known.get(&name)));
        }
    }
    for (name, files) in lost {
        let problem = format!("'{name}' has no record, but {}", listed(&files));
        let finding = match store.spec(&name) {
            Ok(Some(_)) => Finding::mendable(Kind::NoRecord, problem),
            _ => Finding::new(
                Kind::NoRecord,
                problem,
                format!("remove them from {}", home.processes().display()),
            ),
        };
        findings.push(finding.of(&name));
    }
    Ok(())
}

/// Whether a pid file tells of nobody, or of somebody else.
fn stale_pid(path: &Path, name: &ProcessName, meta: Option<&Meta>) -> Option<Finding> {
    let text = fs::read_to_string(path).ok()?;
    let pid = text.trim().parse::<u32>().ok();
    let alive = meta.and_then(super::mend::live_pid);
    if pid.is_some() && pid == alive {
        return None;
    }
    let whose = match pid {
        Some(pid) => format!("names {pid}, which is not '{name}'"),
        None => "holds no pid".to_owned(),
    };
    let problem = format!("{} {whose}", path.display());
    Some(Finding::mendable(Kind::StalePid, problem).of(name))
}

pub(super) fn room(home: &Home, findings: &mut Vec<Finding>) {
    let Ok(room) = sys::room(home.root()) else {
        return;
    };
    if room.free_bytes < LITTLE_ROOM || room.free_bytes < room.all_bytes / 100 {
        findings.push(Finding::new(
            Kind::LowDisk,
            format!(
                "{} left on the disk of {}",
                crate::words::size(room.free_bytes),
                home.root().display()
            ),
            "make room; until then records wait in memory and what services print in their pipes",
        ));
    }
    let few = room.free_inodes < FEW_INODES || room.free_inodes < room.all_inodes / 100;
    if room.all_inodes > 0 && few {
        findings.push(Finding::new(
            Kind::LowInodes,
            format!(
                "{} inodes left on the disk of {}",
                room.free_inodes,
                home.root().display()
            ),
            "remove files; without inodes nothing new can be started",
        ));
    }
}

pub(super) fn dump(store: &ProcessStore, known: &Known, findings: &mut Vec<Finding>) {
    let path = store.home().dump();
    if path.is_dir() {
        // That has been reported already.
        return;
    }
    let wanted = known
        .iter()
        .map(|(name, meta)| (name, meta.desired.as_deref() == Some("up")));
    let found = Dump::read(&path).and_then(|_| Differences::find(store, wanted));
    let (saved_at, differences) = match found {
        Ok(None) => return,
        Ok(Some(found)) => (found.saved_at, found.processes),
        Err(error) => {
            findings.push(Finding::new(
                Kind::DamagedDump,
                error.to_string(),
                "'tsm save' writes it anew from what there is; dump.json.1 is the one before",
            ));
            return;
        }
    };
    let differences: Vec<String> = differences
        .iter()
        // A record that cannot be read is not gone.
        .filter(|(name, _)| known.contains_key(name) || !store.home().meta(name).exists())
        .map(|(name, differs)| match differs {
            Differs::New => format!("'{name}' is not in it"),
            Differs::Gone => format!("'{name}' is only in it"),
            Differs::Started => format!("'{name}' is down in it"),
            Differs::Stopped => format!("'{name}' is up in it"),
            Differs::Changed => format!("'{name}' was changed since"),
        })
        .collect();
    if !differences.is_empty() {
        findings.push(Finding::new(
            Kind::OldDump,
            format!(
                "{} is of {} and older than the list: {}",
                path.display(),
                crate::words::local_rfc3339(&saved_at),
                listed(&differences)
            ),
            "'tsm save'",
        ));
    }
}
