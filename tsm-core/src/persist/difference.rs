//! How the present list differs from the dump that was saved last.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use serde::Deserialize;

use super::{Dump, Saved, damaged};
use crate::error::{IoContext as _, Result};
use crate::name::ProcessName;
use crate::store::ProcessStore;

/// How a process stands to the dump that was saved last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differs {
    /// The dump does not list it.
    New,
    /// Only the dump lists it.
    Gone,
    /// It should run, and should not in the dump.
    Started,
    /// It should not run, and should in the dump.
    Stopped,
    /// Its spec, its environment or its shell state is another one.
    Changed,
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Gone => "gone",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Changed => "changed",
        })
    }
}

/// The differences of a home's list and its dump.
#[derive(Debug)]
pub struct Differences {
    /// When the dump was saved, RFC 3339.
    pub saved_at: String,
    /// The processes that differ: those that are listed in their order, then those that are only in the dump.
    pub processes: Vec<(ProcessName, Differs)>,
}

/// What of a dump says who is in it: a whole one holds thousands of variables.
#[derive(Deserialize)]
struct Head {
    saved_at: String,
    processes: Vec<HeadOfOne>,
}

#[derive(Deserialize)]
struct HeadOfOne {
    name: ProcessName,
    up: bool,
}

/// The clock by which a file system stamps its files may be so much behind.
const CLOCK_STEP: Duration = Duration::from_millis(20);

impl Differences {
    /// Compares what is listed, each name with whether it should run, with the home's dump; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io), [`Error::Damaged`](crate::error::Error::Damaged) of the dump.
    pub fn find<'a>(
        store: &ProcessStore,
        listed: impl IntoIterator<Item = (&'a ProcessName, bool)>,
    ) -> Result<Option<Self>> {
        let path = store.home().dump();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("read", &path),
        };
        // Only the head is read at first: environments are most of a dump.
        let Ok(head) = serde_json::from_slice::<Head>(&bytes) else {
            // `Dump::parse` says better what is wrong.
            return match Dump::parse(&bytes) {
                Ok(_) => Ok(None),
                Err(reason) => Err(damaged(&path, reason)),
            };
        };
        let mut whole = Whole::NotRead(&bytes);
        let mut in_dump: std::collections::BTreeMap<_, _> = head
            .processes
            .iter()
            .map(|one| (&one.name, one.up))
            .collect();
        let saved_at = DateTime::parse_from_rfc3339(&head.saved_at).map(SystemTime::from);
        let mut processes = Vec::new();
        for (name, up) in listed {
            let differs = match in_dump.remove(name) {
                None => Some(Differs::New),
                Some(false) if up => Some(Differs::Started),
                Some(true) if !up => Some(Differs::Stopped),
                // Spec, environment and shell state are always written together.
                Some(_) => {
                    let may = match saved_at {
                        Ok(at) => is_newer(&store.home().spec(name), at),
                        Err(_) => true,
                    };
                    (may && whole.differs(store, name)).then_some(Differs::Changed)
                }
            };
            processes.extend(differs.map(|differs| (name.clone(), differs)));
        }
        let gone = in_dump.into_keys().cloned();
        processes.extend(gone.map(|name| (name, Differs::Gone)));
        Ok(Some(Self {
            saved_at: head.saved_at,
            processes,
        }))
    }
}

fn is_newer(path: &Path, than: SystemTime) -> bool {
    let written = fs::metadata(path).and_then(|meta| meta.modified());
    written.is_ok_and(|written| written + CLOCK_STEP > than)
}

/// The whole dump, read when it is needed.
enum Whole<'a> {
    NotRead(&'a [u8]),
    Read(Vec<Saved>),
}

impl Whole<'_> {
    /// Whether the files of a process say something else than the dump. Of what cannot be read nothing is said here.
    fn differs(&mut self, store: &ProcessStore, name: &ProcessName) -> bool {
        if let Self::NotRead(bytes) = self {
            let dump = serde_json::from_slice::<Dump>(bytes);
            *self = Self::Read(dump.map(|dump| dump.processes).unwrap_or_default());
        }
        let Self::Read(processes) = self else {
            return false;
        };
        let Some(saved) = processes.iter().find(|saved| saved.name == *name) else {
            return false;
        };
        let (Ok(Some(spec)), Ok(snapshot)) = (store.spec(name), saved.snapshot()) else {
            // Where one side cannot be read, nothing is said of a difference.
            return false;
        };
        let (Ok(environment), Ok(shell)) = (store.environment(name), store.shell(name)) else {
            return false;
        };
        spec.spec != saved.spec || environment != snapshot.environment || shell != snapshot.shell
    }
}
