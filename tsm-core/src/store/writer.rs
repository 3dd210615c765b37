//! Writing, which only the holder of the lock can.

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};

use super::replacing::with_suffix;
use super::staged::Staged;
use super::{ProcessStore, remove_file, replace_file, spare};
use crate::env::{self, ShellState, Snapshot};
use crate::error::{Error, IoContext as _, Result};
use crate::events::{Event, history};
use crate::home::Home;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::spec::SavedSpec;
use crate::sys;

/// The last id that is given: the counter holds the one after it.
const LAST_ID: u32 = u32::MAX - 1;

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
        // In place: the lock is on this very file, and a new one would be free.
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
        // With the lock still held: after that the next supervisor signs.
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
    /// [`Error::Io`] where it cannot be written down, [`Error::BadValue`] where a record bears the last one; then none is given.
    pub fn allocate_id(&mut self, highest: u32) -> Result<u32> {
        let path = self.home().next_id();
        if self.next_id == 0 {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let next = text.trim().parse().ok();
            self.next_id = next.filter(|next| *next <= LAST_ID).unwrap_or(0);
        }
        // The file may be torn, or the original's, which kept the last ID given: what is in use is
        // skipped.
        let id = self.next_id.max(highest.saturating_add(1)).max(1);
        if id > LAST_ID {
            return Err(Error::bad_value(
                "id",
                format!("none is left above {highest}; delete the process that has it"),
            ));
        }
        replace_file(&path, format!("{}\n", id + 1).as_bytes())?;
        self.next_id = id + 1;
        Ok(id)
    }

    /// Sees to it that no id up to this one is given.
    ///
    /// # Errors
    /// [`Error::Io`] where that cannot be written down.
    pub fn skip_ids(&mut self, up_to: u32) -> Result<()> {
        let path = self.home().next_id();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let next = text.trim().parse().unwrap_or(0).max(self.next_id);
        if next <= up_to {
            replace_file(&path, format!("{}\n", up_to.saturating_add(1)).as_bytes())?;
        }
        self.next_id = next.max(up_to.saturating_add(1));
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
        let mut json = crate::json::document(saved).unwrap_or_default();
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
        // Then the state of the shell goes last: the spec that does not name it comes before.
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
        // How every `status.json` of TSM begins.
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
                // For a log that its service writes, this may be the only copy of some bytes.
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
