//! `dump.json`: what `save` saved, and what `resurrect` makes of it.
//!
//! The records in `processes/` decide what runs; the dump adds what has no record any more, and is a copy that can be
//! carried elsewhere. It is written whole and for good: the one before stays as `dump.json.1`, and at no moment is there
//! none.

mod difference;
pub mod import;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::env::{Environment, ShellState, Snapshot, SnapshotError};
use crate::error::{BestEffort as _, Error, IoContext as _, NewerVersion, Reason, Result, advised};
use crate::events::rfc3339;
use crate::fail;
use crate::home::Home;
use crate::name::ProcessName;
use crate::spec::ProcessSpec;
use crate::store::{Damage, ProcessStore};
use crate::sys::{clock, procfs};
use crate::text::Text;

pub use difference::{Differences, Differs};

/// The version of dumps that this TSM writes.
pub const DUMP_VERSION: u32 = 1;

/// A saved list of processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dump {
    /// [`DUMP_VERSION`].
    pub version: u32,
    /// When it was made, RFC 3339.
    pub saved_at: String,
    /// In which boot of the machine.
    pub boot: String,
    /// The processes, by id.
    pub processes: Vec<Saved>,
}

/// One process of a dump.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Its name.
    pub name: ProcessName,
    /// Its TSM id.
    pub id: u32,
    /// Whether it should run.
    pub up: bool,
    /// What was asked for.
    pub spec: ProcessSpec,
    /// Its variables, each as `NAME=value`.
    pub environment: Vec<Text>,
    /// What only its shell knew, as `NAME.shell` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Text>,
}

impl Saved {
    /// Its snapshot.
    ///
    /// # Errors
    /// [`SnapshotError`] with the part that is wrong.
    pub fn snapshot(&self) -> std::result::Result<Snapshot, SnapshotError> {
        let mut block = Vec::new();
        for variable in &self.environment {
            block.extend_from_slice(variable.as_bytes());
            block.push(0);
        }
        let shell = self
            .shell
            .as_ref()
            .map(|text| ShellState::parse(text.as_bytes()))
            .transpose()?;
        Ok(Snapshot {
            environment: Environment::from_block(&block)?,
            shell,
        })
    }
}

impl Dump {
    /// One of now that lists nothing.
    ///
    /// # Errors
    /// [`Error::System`] where the boot id cannot be read.
    pub fn empty() -> Result<Self> {
        Ok(Self {
            version: DUMP_VERSION,
            saved_at: rfc3339(clock::unix_ms()),
            boot: procfs::boot_id().doing("read the boot id")?,
            processes: Vec::new(),
        })
    }

    /// What the records of a home say now. What cannot be read is left out and named.
    ///
    /// # Errors
    /// [`Error::Io`] where the records cannot be read at all.
    ///
    /// ```
    /// use tsm_core::home::Home;
    /// use tsm_core::persist::Dump;
    /// use tsm_core::store::ProcessStore;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let store = ProcessStore::new(Home::at(directory.path().join("home")));
    /// let (dump, damaged) = Dump::collect(&store)?;
    /// assert!(dump.processes.is_empty() && damaged.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn collect(store: &ProcessStore) -> Result<(Self, Vec<Damage>)> {
        let (records, mut damaged) = store.records()?;
        let mut processes = Vec::with_capacity(records.len());
        for (name, meta) in records {
            let read = || -> Result<Saved> {
                let environment = store.environment(&name)?;
                let spec = match store.spec(&name)? {
                    Some(saved) => saved.spec,
                    None => crate::launch::spec_of_original(&meta, &environment)?,
                };
                let shell = store.shell(&name)?;
                Ok(Saved {
                    name: name.clone(),
                    id: meta.id,
                    up: meta.desired.as_deref() == Some("up"),
                    spec,
                    environment: environment
                        .iter()
                        .map(|(name, value)| Text::from_bytes([name, b"=", value].concat()))
                        .collect(),
                    shell: shell.map(|shell| Text::from_bytes(shell.as_bytes())),
                })
            };
            // One damaged record must not keep the others from being saved.
            match read() {
                Ok(saved) => processes.push(saved),
                Err(error) => damaged.push(Damage { name, error }),
            }
        }
        crate::sorted::by_key(&mut processes, |saved| saved.id);
        let dump = Self {
            processes,
            ..Self::empty()?
        };
        Ok((dump, damaged))
    }

    /// Its document.
    pub fn to_json(&self) -> Vec<u8> {
        // Numbers and strings: serializing them does not fail.
        let mut json = crate::json::document(self).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// Reads a dump; `None` where there is no such file.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Damaged`] for one that is torn, foreign, or newer than this TSM, with the remedy.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("read", path),
        };
        let read = Self::parse(&bytes).map_err(|reason| damaged(path, reason));
        read.map(Some)
    }

    /// Reads the document of a dump.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Self, Reason> {
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| format!("it is torn ({error})"))?;
        // As a value first, since a newer document may not be readable as a `Dump`.
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version > u64::from(DUMP_VERSION) => {
                return Err(NewerVersion { version }.into());
            }
            Some(_) => {}
            None => return Err("it is no dump of TSM".into()),
        }
        let dump: Self = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is no dump of TSM ({error})"))?;
        // Checked now, so that a resurrection does not fail halfway.
        for saved in &dump.processes {
            saved
                .snapshot()
                .map_err(|error| format!("'{}': {error}", saved.name))?;
        }
        Ok(dump)
    }

    /// Writes the home's dump, durably. The one before stays as `dump.json.1`; a foreign one as `dump.json.tspm`. Takes
    /// tens of milliseconds.
    ///
    /// # Errors
    /// [`Error::Io`]; then the dump that was there is there.
    pub(crate) fn replace(&self, home: &Home) -> Result<()> {
        let path = home.dump();
        let directory = File::open(home.root()).at("open", home.root())?;
        let temporary = with_suffix(&path, ".tmp");
        // Under another name, so that there is a whole dump at every moment.
        let written = write_private(&temporary, &self.to_json()).and_then(|file| file.sync_data());
        if written.is_err() {
            fs::remove_file(&temporary).best_effort("the first error is the one to tell");
        }
        written.at("write", &path)?;
        fail::point("save-1-written");
        if path.exists() {
            // A foreign or torn file gets a name of its own, so that `dump.json.1` stays one that
            // can be used.
            let kept = match Self::read(&path) {
                Err(Error::Damaged { .. }) => with_suffix(&path, ".tspm"),
                _ => previous(&path),
            };
            // A second name, so that the first one is there at every moment.
            let second = with_suffix(&kept, ".tmp");
            fs::remove_file(&second)
                .best_effort("it may be left from an attempt that was interrupted");
            fs::hard_link(&path, &second)
                .and_then(|()| fs::rename(&second, &kept))
                .at("keep", &path)?;
            // If an interrupted attempt has kept it already, both names are links to one file, and
            // `rename(2)` does nothing.
            fs::remove_file(&second).best_effort("there is one only where renaming did nothing");
        }
        fail::point("save-2-kept");
        fs::rename(&temporary, &path).at("write", &path)?;
        fail::point("save-3-renamed");
        // The rename itself has to survive a power cut before `save` says that the dump is safe.
        directory.sync_all().at("sync", home.root())
    }
}

/// The error of a dump that cannot be used, with the remedy.
fn damaged(path: &Path, reason: Reason) -> Error {
    let before = previous(path);
    let remedy = if before.exists() {
        format!(
            "the one before is {}: 'tsm resurrect --from' takes it",
            before.display()
        )
    } else {
        "'tsm save' writes a new one".to_owned()
    };
    Error::Damaged {
        path: path.to_owned(),
        reason: advised(reason, remedy),
    }
}

/// Where the dump before is kept.
pub fn previous(dump: &Path) -> PathBuf {
    with_suffix(dump, ".1")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// One line of `processes/deleted.jsonl`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Deleted {
    pub(crate) at: String,
    pub(crate) name: ProcessName,
    pub(crate) id: u32,
}

/// The ids of what was deleted since the last `save`. Ids are never used twice, names are.
pub fn deleted_since(home: &Home) -> HashSet<u32> {
    read_deleted(home).map(|deleted| deleted.id).collect()
}

fn read_deleted(home: &Home) -> impl Iterator<Item = Deleted> {
    let file = File::open(home.deleted()).ok();
    let lines = file.into_iter().flat_map(|file| {
        let lines = BufReader::new(file).lines();
        lines.map_while(std::result::Result::ok)
    });
    lines.filter_map(|line| serde_json::from_slice(line.as_bytes()).ok())
}

/// Forgets what was deleted and is in no dump any more, since a new one was written that lists `saved`.
pub(crate) fn cut_deleted(home: &Home, saved: &HashSet<u32>) -> Result<()> {
    let path = home.deleted();
    let mut left = Vec::new();
    // Deleted after the dump was collected: the dump still lists it.
    for deleted in read_deleted(home).filter(|deleted| saved.contains(&deleted.id)) {
        crate::json::append(&deleted, &mut left)
            .map_err(io::Error::from)
            .at("write", &path)?;
        left.push(b'\n');
    }
    if left.is_empty() {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", &path),
            _ => Ok(()),
        };
    }
    // Not synced: it is a note on the dump, and losing the cut costs nothing.
    let temporary = with_suffix(&path, ".tmp");
    write_private(&temporary, &left)
        .and_then(|_| fs::rename(&temporary, &path))
        .at("write", &path)
}

/// How to bring back what should run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode {
    /// At boot: what was deleted after the dump was written stays deleted.
    #[serde(default)]
    pub boot: bool,
    /// The dump decides: what it lists as up is up, all else is stopped.
    #[serde(default)]
    pub exact: bool,
    /// Only what the dump lists counts, and of that only what has no record: it is brought in.
    #[serde(default)]
    pub import: bool,
}

/// What `resurrect` does with one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// It has a record and is started.
    Start,
    /// It has no record: one is made from the dump; it is started if it was up.
    Restore {
        /// Whether it is started.
        start: bool,
    },
    /// It runs, and the dump does not list it as up.
    Stop,
}

/// What is to be done, by name, in the order of ids. `records`: name, whether it should run, and whether it does.
pub(crate) fn plan(
    records: &[(ProcessName, bool, bool)],
    dump: Option<&Dump>,
    deleted: &HashSet<u32>,
    mode: &Mode,
) -> Vec<(ProcessName, Step)> {
    let processes = dump.map_or(&[][..], |dump| &dump.processes);
    let listed: HashMap<&ProcessName, bool> = processes
        .iter()
        .map(|saved| (&saved.name, saved.up))
        .collect();
    let known: HashSet<&ProcessName> = records.iter().map(|(name, ..)| name).collect();
    let mut steps = Vec::new();
    // An import only adds.
    let to_start = if mode.import { &[][..] } else { records };
    for (name, wanted, runs) in to_start {
        let wanted = if mode.exact {
            listed.get(name).is_some_and(|up| *up)
        } else {
            *wanted
        };
        match (wanted, runs) {
            (true, false) => steps.push((name.clone(), Step::Start)),
            (false, true) if mode.exact => steps.push((name.clone(), Step::Stop)),
            _ => {}
        }
    }
    for saved in processes {
        // What has a record is decided by that; what was deleted since must not come back at boot.
        if known.contains(&saved.name) || (mode.boot && deleted.contains(&saved.id)) {
            continue;
        }
        steps.push((saved.name.clone(), Step::Restore { start: saved.up }));
    }
    steps
}

/// What `resurrect` would do, for `--dry-run`: from the files, without a supervisor.
///
/// # Errors
/// As [`Dump::read`]; [`Error::NothingToResurrect`] where there is neither a record nor a dump.
pub fn preview(store: &ProcessStore, dump: &Path, mode: &Mode) -> Result<Vec<(ProcessName, Step)>> {
    preview_of(store, Dump::read(dump)?.as_ref(), mode)
}

/// As [`preview`], of a dump that was read.
///
/// # Errors
/// [`Error::Io`]; [`Error::NothingToResurrect`] where there is neither a record nor a dump.
pub fn preview_of(
    store: &ProcessStore,
    dump: Option<&Dump>,
    mode: &Mode,
) -> Result<Vec<(ProcessName, Step)>> {
    let overview = crate::view::Overview::read(store)?;
    let records: Vec<(ProcessName, bool, bool)> = overview
        .processes
        .iter()
        .map(|view| (view.name.clone(), view.wanted, view.pid.is_some()))
        .collect();
    if dump.is_none() && records.is_empty() {
        return Err(Error::NothingToResurrect {
            home: store.home().root().to_owned(),
        });
    }
    let deleted = deleted_since(store.home());
    Ok(plan(&records, dump, &deleted, mode))
}

#[cfg(test)]
mod tests;
