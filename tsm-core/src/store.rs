//! Every read and write of the layout. Anybody may read; only the holder of the lock writes, through [`Writer`].
//!
//! [`ProcessStore`] reads while a supervisor writes: a record is replaced as a whole, so that a reader sees the one before or
//! the one after. One that cannot be read is a [`Damage`] among the others, and hides none of them.

mod replacing;
mod staged;
mod sweep;
mod writer;

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::env::{self, Environment, ShellState};
use crate::error::{Error, IoContext as _, NewerVersion, Reason, Result, advised};
use crate::events::{EventKind, History};
use crate::home::Home;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::spec::SavedSpec;
use crate::sys;

pub use replacing::replace_file;
pub(crate) use replacing::{open_spare, spare};
pub(crate) use staged::Staged;
pub use writer::Writer;

/// One file of the home that does not hold what it should.
#[derive(Debug)]
pub struct Damage {
    /// The process that it belongs to.
    pub name: ProcessName,
    /// What is wrong, with the path.
    pub error: Error,
}

/// All records of a home: those that can be read, and what is wrong with the others.
pub type Records = (Vec<(ProcessName, Meta)>, Vec<Damage>);

/// Reading access to a home.
///
/// ```
/// use tsm_core::home::Home;
/// use tsm_core::store::ProcessStore;
///
/// # let directory = tempfile::tempdir()?;
/// let store = ProcessStore::new(Home::at(directory.path().join("home")));
/// // A home that nobody has used yet has no records; what cannot be read comes beside those that can.
/// let (records, damaged) = store.records()?;
/// assert!(records.is_empty() && damaged.is_empty() && !store.is_supervised());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProcessStore {
    home: Home,
}

impl ProcessStore {
    /// The store of a home. Nothing is read yet.
    pub fn new(home: Home) -> Self {
        Self { home }
    }

    /// Its home.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Reads one record.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it cannot be parsed, [`Error::Io`] where it cannot be read.
    pub fn meta(&self, name: &ProcessName) -> Result<Meta> {
        let file = sys::open_without_waiting(&self.home.meta(name));
        self.parsed(name, file, &mut [0; FIRST_PIECE])
    }

    fn parsed(
        &self,
        name: &ProcessName,
        file: io::Result<File>,
        first: &mut [u8; FIRST_PIECE],
    ) -> Result<Meta> {
        let mut rest = Vec::new();
        let path = || self.home.meta(name);
        let bytes = file.and_then(|file| read_small(file, first, &mut rest));
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => return Err(error).at("read", path()),
        };
        Meta::parse(bytes).map_err(|error| Error::Damaged {
            path: path(),
            reason: error.into(),
        })
    }

    /// Reads a launch spec; `None` where there is none (a record of the original TSM).
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn spec(&self, name: &ProcessName) -> Result<Option<SavedSpec>> {
        let path = self.home.spec(name);
        let bytes = match read_file(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("read", &path),
        };
        let damaged = |reason: Reason| Error::Damaged {
            path: path.clone(),
            reason,
        };
        let saved: SavedSpec = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(advised(error, "'tsm doctor --fix' mends it")))?;
        if saved.version > 1 {
            let version = saved.version.into();
            return Err(damaged(NewerVersion { version }.into()));
        }
        Ok(Some(saved))
    }

    /// Reads an environment snapshot.
    ///
    /// # Errors
    /// [`Error::Damaged`] with the line, [`Error::Io`].
    pub fn environment(&self, name: &ProcessName) -> Result<Environment> {
        let path = self.home.env(name);
        let remedy = format!("'tsm restart {name} --update-env' takes this shell's environment");
        let bytes = match read_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let reason = format!("it is missing; {remedy}");
                return Err(Error::Damaged {
                    path,
                    reason: reason.into(),
                });
            }
            read => read.at("read", &path)?,
        };
        env::file::parse(&bytes).map_err(|error| Error::Damaged {
            path,
            reason: advised(error, format!("'tsm env edit {name}' mends it, {remedy}")),
        })
    }

    /// Reads what only the shell knew; `None` where its hook handed nothing over.
    ///
    /// # Errors
    /// [`Error::Damaged`] with the line, [`Error::Io`].
    pub fn shell(&self, name: &ProcessName) -> Result<Option<ShellState>> {
        let path = self.home.shell(name);
        let bytes = match read_file(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A damaged spec is reported where it is needed.
                let saved = self.spec(name).ok().flatten();
                return saved
                    .map_or(Ok(()), |saved| self.check_shell(&saved))
                    .map(|()| None);
            }
            Err(error) => return Err(error).at("read", &path),
        };
        let state = ShellState::parse(&bytes).map_err(|error| Error::Damaged {
            path,
            reason: error.into(),
        })?;
        Ok(Some(state))
    }

    /// Whether a state of the shell that belongs to a process is there.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is missing.
    pub(crate) fn check_shell(&self, saved: &SavedSpec) -> Result<()> {
        let path = self.home.shell(&saved.name);
        if !saved.shell_state || path.exists() {
            return Ok(());
        }
        let reason = format!(
            "it is missing; 'tsm restart {} --update-env' takes this shell's state",
            saved.name
        );
        Err(Error::Damaged {
            path,
            reason: reason.into(),
        })
    }

    /// Reads what happened to a process.
    ///
    /// # Errors
    /// [`Error::Io`] where it is there and cannot be read.
    pub fn history(&self, name: &ProcessName) -> Result<History> {
        let path = self.home.events(name);
        History::read(&path).at("read", &path)
    }

    /// What was last wanted of a process according to its history, for a record whose `.meta` is lost: up or not.
    pub fn last_wanted(&self, name: &ProcessName) -> bool {
        let history = self.history(name).unwrap_or_default();
        let wanted = history.events().rev().find_map(|event| match event.kind {
            EventKind::StopRequested { .. } => Some(false),
            EventKind::StartRequested { .. } | EventKind::RestartRequested { .. } => Some(true),
            _ => None,
        });
        wanted.unwrap_or(false)
    }

    /// Whether a supervisor has this home in hand.
    pub fn is_supervised(&self) -> bool {
        sys::lock::is_held(&self.home.lock())
    }
}

/// Nearly every record and spec fits.
const FIRST_PIECE: usize = 4096;

/// Reads a file that is nearly always small, in as few calls as that takes: a list reads a thousand of them. What it
/// holds is in `first`, or in `rest` where it is larger.
fn read_small<'a>(
    mut file: File,
    first: &'a mut [u8; FIRST_PIECE],
    rest: &'a mut Vec<u8>,
) -> io::Result<&'a [u8]> {
    let length = io::Read::read(&mut file, first)?;
    // Nothing at the first read: the file is empty, or a FIFO that was opened without waiting.
    if length == 0 {
        sys::only_regular(&file)?;
    }
    // Fewer bytes than were asked for are all that there are: it is a regular file.
    if length < first.len() {
        return Ok(&first[..length]);
    }
    rest.extend_from_slice(first);
    io::Read::read_to_end(&mut file, rest)?;
    Ok(rest)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = sys::open_without_waiting(path)?;
    Ok(read_small(file, &mut [0; FIRST_PIECE], &mut Vec::new())?.to_vec())
}

/// Removes a file; that it is not there is what was wanted.
fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_status_is_kept_and_our_own_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        home.prepare().unwrap();
        let writer = Writer::acquire(home.clone()).unwrap().unwrap();
        let kept = home.root().join("status.json.tspm");
        writer.keep_foreign_status().unwrap();
        let view = crate::view::ProcessView::from_meta(&"a".parse().unwrap(), &Meta::default(), 0);
        for own in [vec![], vec![view]] {
            crate::view::write_status(&home.status(), own.into_iter()).unwrap();
            writer.keep_foreign_status().unwrap();
            assert!(!kept.exists());
        }
        fs::write(home.status(), "{\"processes\": []}").unwrap();
        writer.keep_foreign_status().unwrap();
        assert_eq!(fs::read(&kept).unwrap(), b"{\"processes\": []}");
        assert!(!home.status().exists());
        fs::write(home.status(), "other").unwrap();
        writer.keep_foreign_status().unwrap();
        assert_eq!(fs::read(&kept).unwrap(), b"{\"processes\": []}");
    }

    #[test]
    fn a_counter_that_says_nonsense_ends_no_supervisor() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        home.prepare().unwrap();
        for (text, highest, given) in [
            ("7\n", 3, Some(7)),
            ("4294967294\n", 3, Some(u32::MAX - 1)),
            // Beyond the last one, and no number at all: after the highest in use.
            ("4294967295\n", 3, Some(4)),
            ("99999999999\n", 3, Some(4)),
            ("x", 3, Some(4)),
            ("1\n", u32::MAX - 2, Some(u32::MAX - 1)),
            ("1\n", u32::MAX - 1, None),
            ("1\n", u32::MAX, None),
        ] {
            fs::write(home.next_id(), text).unwrap();
            let mut writer = Writer::acquire(home.clone()).unwrap().unwrap();
            let said = writer.allocate_id(highest);
            assert_eq!(said.ok(), given, "{text:?} {highest}");
            writer.skip_ids(u32::MAX).unwrap();
            assert!(writer.allocate_id(3).is_err());
        }
    }
}
