//! Every read and write of the layout. Anybody may read; only the holder of the lock writes, through [`Writer`].

mod staged;

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};

use crate::env::{self, Environment, ShellState, Snapshot};
use crate::error::{Error, IoContext as _, Result};
use crate::events::{Event, EventKind, History, history};
use crate::home::Home;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::spec::SavedSpec;
use crate::{fail, sys};

pub(crate) use staged::Staged;

/// Replaces `path` by `bytes` so that a reader sees the old file or the new one, never a part. Mode 0600.
///
/// The bytes are written into a spare file beside it (its name with a dot before), which then changes places with it:
/// the file before stays as the next spare. That costs neither a new inode nor, on file systems that write a file out
/// when another is renamed over it, a wait for the disk. A spare that a reader still has open, from the time when it was
/// the file, is left to that reader, and a new one is made. Nothing is synced; see "Durability" in `files.md` for what
/// is, and by whom.
///
/// # Errors
/// [`Error::Io`]; what stood there is kept.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let spare = spare(path);
    let write = || -> io::Result<()> {
        let mut file = open_spare(&spare)?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)?;
        // Closed first: the lease on it would keep a reader waiting.
        drop(file);
        sys::exchange(&spare, path)
    };
    write().at("write", path)
}

/// Opens a file that only the caller has open; nobody reads it while it is written.
pub(crate) fn open_spare(spare: &Path) -> io::Result<File> {
    fail::error("write")?;
    let file = match sys::open_for_writing(spare) {
        // Somebody put a directory, a FIFO or a link where a file of ours was, and it changed places with the spare: it is kept,
        // aside.
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::StorageFull
            ) && fs::symlink_metadata(spare).is_ok_and(|meta| !meta.is_file()) =>
        {
            fs::rename(spare, with_suffix(spare, ".strange"))?;
            sys::open_for_writing(spare)?
        }
        file => file?,
    };
    if sys::is_alone_with(&file) {
        return Ok(file);
    }
    drop(file);
    fs::remove_file(spare)?;
    sys::open_for_writing(spare)
}

/// The spare file of a file: its name with a dot before, which no name of a process begins with.
pub(crate) fn spare(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// One file of the home that does not hold what it should.
#[derive(Debug)]
pub struct Damage {
    /// The process that it belongs to.
    pub name: ProcessName,
    /// What is wrong, with the path.
    pub error: Error,
}

/// So many records keep another core busy for longer than it takes to wake it.
const WORTH_A_THREAD: usize = 64;
const MOST_THREADS: usize = 8;

/// All records of a home: those that can be read, and what is wrong with the others.
pub type Records = (Vec<(ProcessName, Meta)>, Vec<Damage>);

/// Reading access to a home.
#[derive(Clone, Debug)]
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

    /// The names of all records, in no order. A home that does not exist has none.
    ///
    /// # Errors
    /// [`Error::Io`] where the directory cannot be read.
    pub fn names(&self) -> Result<Vec<ProcessName>> {
        Ok(self.names_in_directory()?.1)
    }

    fn names_in_directory(&self) -> Result<(Option<File>, Vec<ProcessName>)> {
        let path = self.home.processes();
        let directory = match File::open(&path) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, Vec::new())),
            Err(error) => return Err(error).at("read", &path),
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).at("read", &path)? {
            let file = entry.at("read", &path)?.file_name();
            let stem = file.to_str().and_then(|file| file.strip_suffix(".meta"));
            names.extend(stem.and_then(|stem| stem.parse().ok()));
        }
        Ok((Some(directory), names))
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
            reason: error.to_string(),
        })
    }

    /// Reads all records, and names those that are damaged. A record that vanishes meanwhile is left out.
    ///
    /// # Errors
    /// [`Error::Io`] where the directory cannot be read.
    pub fn records(&self) -> Result<Records> {
        let (directory, names) = self.names_in_directory()?;
        Ok(self.see(directory.as_ref(), names, &|name, meta| (name, meta)))
    }

    /// What `see` makes of each record, on several cores where there are enough of them to be worth it, and what is
    /// damaged. For commands: a supervisor has one thread.
    ///
    /// # Errors
    /// [`Error::Io`] where the directory cannot be read.
    pub fn records_in_parallel<T: Send>(
        &self,
        see: impl Fn(ProcessName, Meta) -> T + Sync,
    ) -> Result<(Vec<T>, Vec<Damage>)> {
        let (directory, mut names) = self.names_in_directory()?;
        let directory = directory.as_ref();
        let worth = (names.len() / WORTH_A_THREAD).min(MOST_THREADS);
        let threads = if worth < 2 {
            1
        } else {
            worth.min(sys::cores())
        };
        if threads < 2 {
            return Ok(self.see(directory, names, &see));
        }
        let share = names.len().div_ceil(threads);
        Ok(std::thread::scope(|scope| {
            let mut others = Vec::new();
            while names.len() > share {
                let part = names.split_off(names.len() - share);
                others.push(scope.spawn(|| self.see(directory, part, &see)));
            }
            let (mut seen, mut damaged) = self.see(directory, names, &see);
            for other in others {
                let (more, worse) = other.join().unwrap_or_else(|panic| resume_unwind(panic));
                seen.extend(more);
                damaged.extend(worse);
            }
            (seen, damaged)
        }))
    }

    fn see<T>(
        &self,
        directory: Option<&File>,
        names: Vec<ProcessName>,
        see: &impl Fn(ProcessName, Meta) -> T,
    ) -> (Vec<T>, Vec<Damage>) {
        let mut seen = Vec::with_capacity(names.len());
        let mut damaged = Vec::new();
        let mut first = [0; FIRST_PIECE];
        for name in names {
            let file = match directory {
                Some(directory) => {
                    sys::open_without_waiting_in(directory.as_fd(), &format!("{name}.meta"))
                }
                None => sys::open_without_waiting(&self.home.meta(&name)),
            };
            match self.parsed(&name, file, &mut first) {
                Ok(meta) => seen.push(see(name, meta)),
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => damaged.push(Damage { name, error }),
            }
        }
        (seen, damaged)
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
        let damaged = |reason: String| Error::Damaged {
            path: path.clone(),
            reason,
        };
        let saved: SavedSpec = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(format!("{error}; 'tsm doctor --fix' mends it")))?;
        if saved.version > 1 {
            return Err(damaged(format!(
                "version {} is newer than this TSM; use the newer tsm",
                saved.version
            )));
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
                return Err(Error::Damaged { path, reason });
            }
            read => read.at("read", &path)?,
        };
        env::file::parse(&bytes).map_err(|error| Error::Damaged {
            path,
            reason: format!("{error}; 'tsm env edit {name}' mends it, {remedy}"),
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
                // A spec that is damaged is told of where it is needed.
                let saved = self.spec(name).ok().flatten();
                return saved
                    .map_or(Ok(()), |saved| self.check_shell(&saved))
                    .map(|()| None);
            }
            Err(error) => return Err(error).at("read", &path),
        };
        let state = ShellState::parse(&bytes).map_err(|error| Error::Damaged {
            path,
            reason: error.to_string(),
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
        Err(Error::Damaged { path, reason })
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

/// Writing access to a home: proof that this process holds its lock.
#[derive(Debug)]
pub struct Writer {
    store: ProcessStore,
    lock: File,
    next_id: u32,
}

impl Writer {
    /// Takes the lock of a prepared home; `None` where another process has it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::UnsafeHome`] where another machine has it.
    pub fn acquire(home: Home) -> Result<Option<Self>> {
        home.check_machine()?;
        let path = home.lock();
        let Some(lock) = sys::lock::acquire(&path).at("lock", &path)? else {
            return Ok(None);
        };
        let writer = Self::with_lock(home, lock);
        writer.sign(sys::machine_id().as_deref())?;
        Ok(Some(writer))
    }

    /// Writes into the lock which machine has this home in use.
    fn sign(&self, machine: Option<&str>) -> Result<()> {
        let text = machine.map(|id| format!("{id}\n")).unwrap_or_default();
        let mut file = &self.lock;
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(text.as_bytes())
        };
        write().at("write", self.home().lock())
    }

    /// Gives the lock back, whoever else holds a copy of its descriptor. `in_use`: something of this home runs on.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn release(&self, in_use: bool) -> Result<()> {
        let signed = if in_use { Ok(()) } else { self.sign(None) };
        sys::lock::release(&self.lock).at("unlock", self.home().lock())?;
        signed
    }

    /// With a lock that was handed over: a descriptor of `.lock` that holds it.
    pub fn with_lock(home: Home, lock: File) -> Self {
        Self {
            store: ProcessStore::new(home),
            lock,
            next_id: 0,
        }
    }

    /// The open lock, to be handed on.
    pub fn lock(&self) -> &File {
        &self.lock
    }

    /// Reading access.
    pub fn store(&self) -> &ProcessStore {
        &self.store
    }

    /// The home.
    pub fn home(&self) -> &Home {
        &self.store.home
    }

    /// Gives the next id and writes down that it is given. `highest` is the highest id that a record bears: ids only
    /// grow, and one that is in use or lower than one in use is skipped.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written down; then the id is not given.
    pub fn allocate_id(&mut self, highest: u32) -> Result<u32> {
        let path = self.home().next_id();
        if self.next_id == 0 {
            let text = fs::read_to_string(&path).unwrap_or_default();
            self.next_id = text.trim().parse().unwrap_or(0);
        }
        let id = self.next_id.max(highest + 1).max(1);
        replace_file(&path, format!("{}\n", id + 1).as_bytes())?;
        self.next_id = id + 1;
        Ok(id)
    }

    /// Sees to it that this id is never given.
    ///
    /// # Errors
    /// [`Error::Io`] where that cannot be written down.
    pub fn skip_ids(&mut self, up_to: u32) -> Result<()> {
        let path = self.home().next_id();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let next = text.trim().parse().unwrap_or(0).max(self.next_id);
        if next <= up_to {
            replace_file(&path, format!("{}\n", up_to + 1).as_bytes())?;
        }
        self.next_id = next.max(up_to + 1);
        Ok(())
    }

    /// Writes a record.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_meta(&self, name: &ProcessName, meta: &Meta) -> Result<()> {
        replace_file(&self.home().meta(name), &meta.to_line())
    }

    /// Writes or removes the pid file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_pid(&self, name: &ProcessName, pid: Option<u32>) -> Result<()> {
        let path = self.home().pid(name);
        match pid {
            Some(pid) => replace_file(&path, format!("{pid}\n").as_bytes()),
            // Its inode serves the next run.
            None => match fs::rename(&path, spare(&path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(error).at("remove", &path)
                }
                _ => Ok(()),
            },
        }
    }

    /// Writes a launch spec and a snapshot beside those that are there, in the order in which they are to take their places:
    /// a spec that names a state of the shell never stands there without it.
    ///
    /// # Errors
    /// [`Error::Io`]; then none is left.
    pub(crate) fn stage(&self, saved: &SavedSpec, snapshot: &Snapshot) -> Result<Vec<Staged>> {
        let saved = &SavedSpec {
            shell_state: snapshot.shell.is_some(),
            ..saved.clone()
        };
        // Numbers and strings: serializing them does not fail.
        let mut json = serde_json::to_vec_pretty(saved).unwrap_or_default();
        json.push(b'\n');
        let (home, name) = (self.home(), &saved.name);
        let environment = env::file::format(&snapshot.environment);
        let origins = &saved.spec.origins;
        let shell = snapshot.shell.as_ref();
        let shell = shell.map(|state| state.leaving_to_environment(origins.not_of_the_shell()));
        let shell = shell.as_ref().map(ShellState::as_bytes);
        let mut files = [
            (home.shell(name), shell),
            (home.env(name), Some(&*environment)),
            (home.spec(name), Some(&*json)),
        ];
        if shell.is_none() {
            files.reverse();
        }
        let mut staged: Vec<Staged> = Vec::new();
        for (path, bytes) in files {
            match bytes.map(|bytes| Staged::write(path.clone(), bytes)) {
                Some(Ok(file)) => staged.push(file),
                Some(Err(error)) => {
                    staged.iter().for_each(Staged::discard);
                    return Err(error);
                }
                None if path.exists() => staged.push(Staged::removal(path)),
                None => {}
            }
        }
        Ok(staged)
    }

    /// Appends to the history.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn append_event(&self, name: &ProcessName, event: &Event) -> Result<()> {
        let path = self.home().events(name);
        history::append(&path, event.to_line().as_bytes()).at("append to", &path)
    }

    /// Removes all files of a process, the record last, so that what is interrupted is gone on with.
    ///
    /// # Errors
    /// [`Error::Io`] of the first file that could not be removed.
    pub fn remove(&self, name: &ProcessName, keep_logs: bool) -> Result<()> {
        let home = self.home();
        if !keep_logs {
            for log in [home.out_log(name), home.err_log(name)] {
                crate::logs::rotate::remove_log(&log).at("remove", &log)?;
            }
        }
        for path in [
            home.pid(name),
            home.env(name),
            home.shell(name),
            home.spec(name),
            home.events(name),
            spare(&home.pid(name)),
            spare(&home.meta(name)),
            home.meta(name),
        ] {
            remove_file(&path)?;
        }
        Ok(())
    }

    /// Keeps a `status.json` that is none of TSM's as `status.json.tspm`, unless one is kept already.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn keep_foreign_status(&self) -> Result<()> {
        let path = self.home().status();
        let mut first = [0; 16];
        let length = match sys::open_without_waiting(&path) {
            Ok(mut file) => io::Read::read(&mut file, &mut first).at("read", &path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).at("read", &path),
        };
        let own = [&b"[\n{\"id\":"[..], b"[\n]"];
        let kept = with_suffix(&path, ".tspm");
        if length == 0 || own.iter().any(|own| first.starts_with(own)) || kept.exists() {
            return Ok(());
        }
        fs::rename(&path, &kept).at("keep", &path)
    }

    /// Removes what writes that were interrupted left behind, and returns what could not be: it is in nobody's way. What
    /// is no file is none of ours and stays.
    pub fn remove_temporary_files(&self) -> Vec<Error> {
        let home = self.home();
        let mut failed = Vec::new();
        for directory in [
            home.root().to_owned(),
            home.processes(),
            home.pids(),
            home.logs(),
        ] {
            let entries = match fs::read_dir(&directory).at("read", &directory) {
                Ok(entries) => entries,
                Err(error) => {
                    failed.push(error);
                    continue;
                }
            };
            for entry in entries.flatten() {
                let path = entry.path();
                // Of a log that its service writes, it may be all that there is of some bytes.
                let is_segment = directory == home.logs()
                    && path.as_os_str().as_encoded_bytes().ends_with(b".1.tmp");
                let is_ours = !is_segment
                    && path.extension().is_some_and(|extension| extension == "tmp")
                    && entry.file_type().is_ok_and(|kind| !kind.is_dir());
                if is_ours {
                    failed.extend(remove_file(&path).err());
                }
            }
        }
        failed
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
    if length == 0 {
        sys::only_regular(&file)?;
    }
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
    fn many_records_are_read_as_completely_as_few() {
        let directory = tempfile::tempdir().unwrap();
        let store = ProcessStore::new(Home::at(directory.path()));
        fs::create_dir(store.home().processes()).unwrap();
        for count in [0, 3, 1000] {
            for id in 1..=count {
                let path = store.home().processes().join(format!("p{id}.meta"));
                fs::write(path, format!("script='x' pid= tsm_id={id} cwd='/'\n")).unwrap();
            }
            if count > 0 {
                fs::write(store.home().processes().join("p2.meta"), "script='x").unwrap();
            }
            let ids = |(mut records, damaged): Records| {
                records.sort_by_key(|(_, meta)| meta.id);
                let ids: Vec<u32> = records.iter().map(|(_, meta)| meta.id).collect();
                let damaged: Vec<String> = damaged.iter().map(|d| d.name.to_string()).collect();
                (ids, damaged)
            };
            let one_by_one = ids(store.records().unwrap());
            assert_eq!(one_by_one.0.len() + one_by_one.1.len(), count);
            let in_parallel = store.records_in_parallel(|name, meta| (name, meta));
            assert_eq!(ids(in_parallel.unwrap()), one_by_one);
        }
    }
}
