//! What changes in a home, as it changes: typed events for dashboards and programs that react.
//!
//! The kernel tells of files that are written (inotify); nothing is polled, and with nothing to do no system call is
//! made. Records are read when they change, and only those. No supervisor is needed: it is the files that are watched.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, IoContext as _, Result};
use crate::logs::Stream;
use crate::name::ProcessName;
use crate::store::ProcessStore;
use crate::sys::inotify::{self, Inotify, Mask, WatchId};
use crate::view::{Look, ProcessView};

/// Something that changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// A process is there that was not.
    Appeared(Box<ProcessView>),
    /// A process is other than it was: its state, its pid, how it ended …
    Changed {
        /// As it was.
        before: Box<ProcessView>,
        /// As it is.
        now: Box<ProcessView>,
    },
    /// A process was deleted.
    Removed(Box<ProcessView>),
    /// A process printed something; only with [`Watch::with_logs`].
    LogGrew {
        /// Whose log it is.
        name: ProcessName,
        /// Which of the two.
        stream: Stream,
        /// How many bytes the live file has now; fewer than before after a rotation.
        bytes: u64,
    },
    /// A supervisor came (true) or went.
    Supervised(bool),
}

/// Watches the home of a store: see [`Watch`].
///
/// ```
/// use std::time::Duration;
/// use tsm_core::home::Home;
/// use tsm_core::store::ProcessStore;
/// use tsm_core::watch::Change;
///
/// let directory = tempfile::tempdir()?;
/// let home = Home::at(directory.path());
/// home.prepare()?;
/// let mut watch = tsm_core::watch(ProcessStore::new(home.clone()))?;
/// std::fs::write(home.processes().join("api.meta"), "script='api.sh' pid= tsm_id=1 cwd='/'")?;
/// let changes = watch.next_batch(Some(Duration::from_secs(5)))?;
/// assert!(matches!(&changes[0], Change::Appeared(view) if view.name.as_str() == "api"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`] where the home cannot be read, or the user watches too much already (`fs.inotify.max_user_watches`).
pub fn watch(store: ProcessStore) -> Result<Watch> {
    Watch::new(store)
}

/// What is watched, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `processes/`.
    Records,
    /// `logs/`.
    Logs,
    /// The home itself: the control socket comes and goes there.
    Home,
    /// A directory above one that does not exist yet.
    Above,
}

/// The processes of a home, kept up to date by [`Watch::next_batch`], which tells what changed.
///
/// A home that does not exist yet is waited for. Its descriptor ([`AsFd`]) is readable when something happened; who polls
/// it along with others then calls `next_batch` with a time-out of zero.
///
/// A supervisor and its guardian that are killed together leave no trace in the files: who must know that at once calls
/// [`Watch::look_again`] now and then.
pub struct Watch {
    store: ProcessStore,
    inotify: Inotify,
    places: BTreeMap<WatchId, Place>,
    processes: BTreeMap<ProcessName, ProcessView>,
    damaged: BTreeMap<ProcessName, String>,
    supervised: bool,
    logs: bool,
}

impl Watch {
    fn new(store: ProcessStore) -> Result<Self> {
        let inotify = Inotify::new().at("watch", store.home().root())?;
        let mut watch = Self {
            store,
            inotify,
            places: BTreeMap::new(),
            processes: BTreeMap::new(),
            damaged: BTreeMap::new(),
            supervised: false,
            logs: false,
        };
        watch.arm()?;
        // What is there at the beginning does not count as a change.
        watch.look_again()?;
        Ok(watch)
    }

    /// Tells of logs that grow, too. That wakes the caller for whatever any process prints.
    ///
    /// # Errors
    /// As [`watch`].
    pub fn with_logs(mut self) -> Result<Self> {
        self.logs = true;
        self.arm()?;
        Ok(self)
    }

    /// The processes as they are known now, by name. How long they run is as it was when they changed last.
    pub fn processes(&self) -> impl ExactSizeIterator<Item = &ProcessView> + Clone {
        self.processes.values()
    }

    /// What is wrong with records that could not be read when they were last looked at, by name.
    pub fn damaged(&self) -> impl ExactSizeIterator<Item = (&ProcessName, &str)> {
        let damaged = self.damaged.iter();
        damaged.map(|(name, what)| (name, what.as_str()))
    }

    /// Whether a supervisor has the home in hand, as it is known now.
    pub fn is_supervised(&self) -> bool {
        self.supervised
    }

    /// Waits until something changes, and tells what; empty when the time is over. Without a time-out it waits as long as
    /// nothing changes. Several changes of one process that come together are told as one.
    ///
    /// # Errors
    /// [`Error::Io`]. A record that cannot be read is no error: the process stays as it was known, and the next
    /// [`Overview::read`](crate::view::Overview::read) names the damage.
    pub fn next_batch(&mut self, timeout: Option<Duration>) -> Result<Vec<Change>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let changes = self.take_events()?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let waited = self.inotify.wait(left);
            if !waited.at("watch", self.store.home().root())? {
                return Ok(Vec::new());
            }
        }
    }

    /// Reads everything again and tells what is other than it was known.
    ///
    /// # Errors
    /// [`Error::Io`] where the records cannot be read.
    pub fn look_again(&mut self) -> Result<Vec<Change>> {
        let look = Look::at(&self.store);
        let (records, damaged) = self.store.records()?;
        let mut changes = self.note_supervised(look.supervised);
        let mut gone = std::mem::take(&mut self.processes);
        for (name, meta) in records {
            // Put back first, so that `note` has something to compare with.
            if let Some(view) = gone.remove(&name) {
                self.processes.insert(name.clone(), view);
            }
            changes.extend(self.note(look.see(&name, &meta)));
        }
        self.damaged.clear();
        for damage in damaged {
            let what = damage.error.to_string();
            self.damaged.insert(damage.name.clone(), what);
            if let Some(view) = gone.remove(&damage.name) {
                self.processes.insert(damage.name, view);
            }
        }
        changes.extend(
            gone.into_values()
                .map(|view| Change::Removed(Box::new(view))),
        );
        Ok(changes)
    }

    /// Watches the directories that are there, and above those that are not.
    fn arm(&mut self) -> Result<()> {
        let home = self.store.home();
        let mut wanted = vec![
            (home.root().to_owned(), Place::Home, Mask::NAMES),
            (home.processes(), Place::Records, Mask::NAMES),
        ];
        if self.logs {
            let grows = Mask::MODIFY.union(Mask::CREATE).union(Mask::MOVED_TO);
            wanted.push((home.logs(), Place::Logs, grows));
        }
        self.places.clear();
        for (path, place, mask) in wanted {
            // Records are written by renaming; a file that a person writes is done when it is closed.
            let mask = if place == Place::Records {
                mask.union(Mask::CLOSE_WRITE)
            } else {
                mask
            };
            let mut found = self.watch_directory(&path, mask)?;
            if found.is_none() {
                let above = path.ancestors().skip(1).find(|above| above.is_dir());
                let above = above.unwrap_or(Path::new("/"));
                if let Some(id) = self.watch_directory(above, Mask::NAMES)? {
                    // If it is watched already, that is enough, since that watch is armed again as
                    // well.
                    self.places.entry(id).or_insert(Place::Above);
                }
                // It may have been made since.
                found = self.watch_directory(&path, mask)?;
            }
            self.places.extend(found.map(|id| (id, place)));
        }
        Ok(())
    }

    fn watch_directory(&self, path: &Path, mask: Mask) -> Result<Option<WatchId>> {
        match self.inotify.watch(path, mask) {
            Ok(id) => Ok(Some(id)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at("watch", path),
        }
    }

    /// Takes what the kernel has to tell, and reads what that is about.
    fn take_events(&mut self) -> Result<Vec<Change>> {
        let mut names = Vec::new();
        let mut logs = Vec::new();
        let (mut home, mut everything) = (false, false);
        loop {
            let events = self.inotify.read_events();
            let events = events.at("watch", self.store.home().root())?;
            if events.is_empty() {
                break;
            }
            for inotify::Event { watch, mask, name } in events {
                let lost = Mask::OVERFLOW.union(Mask::IGNORED).union(Mask::MOVE_SELF);
                let place = self.places.get(&watch).copied();
                everything |=
                    mask.intersects(lost) && (place.is_some() || mask.intersects(Mask::OVERFLOW));
                match (place, name) {
                    (Some(Place::Records), Some(name)) => names.extend(record_of(&name)),
                    (Some(Place::Logs), Some(name)) => logs.extend(log_of(&name)),
                    (Some(Place::Home), Some(name)) => {
                        home = true;
                        everything |= self.is_missing_directory(&name);
                    }
                    (Some(Place::Above), _) => everything = true,
                    _ => {}
                }
            }
        }
        let mut changes = Vec::new();
        if everything {
            self.arm()?;
            changes.extend(self.look_again()?);
        } else if home && self.store.is_supervised() != self.supervised {
            // What runs is then shown otherwise.
            changes.extend(self.look_again()?);
        } else if !names.is_empty() {
            crate::sorted::sort(&mut names);
            names.dedup();
            changes.extend(self.look_at(names));
        }
        crate::sorted::sort(&mut logs);
        logs.dedup();
        for (name, stream) in logs {
            let home = self.store.home();
            let path = match stream {
                Stream::Out => home.out_log(&name),
                Stream::Err => home.err_log(&name),
            };
            // A file that is gone again has not grown.
            if let Ok(meta) = fs::metadata(path) {
                let bytes = meta.len();
                changes.push(Change::LogGrew {
                    name,
                    stream,
                    bytes,
                });
            }
        }
        Ok(changes)
    }

    /// Whether a name in the home is that of a directory that is to be watched and is not yet.
    fn is_missing_directory(&self, name: &OsStr) -> bool {
        let watched = |place| self.places.values().any(|known| *known == place);
        (name == "processes" && !watched(Place::Records))
            || (name == "logs" && self.logs && !watched(Place::Logs))
    }

    fn look_at(&mut self, names: Vec<ProcessName>) -> Vec<Change> {
        let look = Look::at(&self.store);
        let mut changes = self.note_supervised(look.supervised);
        for name in names {
            match self.store.meta(&name) {
                Ok(meta) => {
                    self.damaged.remove(&name);
                    changes.extend(self.note(look.see(&name, &meta)));
                }
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    self.damaged.remove(&name);
                    let gone = self.processes.remove(&name);
                    changes.extend(gone.map(|view| Change::Removed(Box::new(view))));
                }
                // It stays as it was known.
                Err(error) => {
                    self.damaged.insert(name, error.to_string());
                }
            }
        }
        changes
    }

    fn note_supervised(&mut self, supervised: bool) -> Vec<Change> {
        if self.supervised == supervised {
            return Vec::new();
        }
        self.supervised = supervised;
        vec![Change::Supervised(supervised)]
    }

    fn note(&mut self, view: ProcessView) -> Option<Change> {
        let before = self.processes.insert(view.name.clone(), view.clone());
        let now = Box::new(view);
        let Some(before) = before else {
            return Some(Change::Appeared(now));
        };
        // The passing of time alone is no change.
        let mut as_now = before.clone();
        as_now.uptime_ms = now.uptime_ms;
        if as_now == *now {
            return None;
        }
        let before = Box::new(before);
        Some(Change::Changed { before, now })
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Watch");
        shown.field("home", &self.store.home().root());
        shown.field("processes", &self.processes.len());
        shown.finish_non_exhaustive()
    }
}

fn record_of(file: &OsString) -> Option<ProcessName> {
    file.to_str()?.strip_suffix(".meta")?.parse().ok()
}

fn log_of(file: &OsString) -> Option<(ProcessName, Stream)> {
    let (name, extension) = file.to_str()?.rsplit_once('.')?;
    let stream = match extension {
        "out" => Stream::Out,
        "err" => Stream::Err,
        _ => return None,
    };
    Some((name.parse().ok()?, stream))
}

#[cfg(test)]
mod tests;
