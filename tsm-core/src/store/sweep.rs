//! Reading all records of a home: on several cores where there are many, while the directory is still being read.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};

use super::{Damage, FIRST_PIECE, ProcessStore, Records};
use crate::error::{BestEffort as _, Error, IoContext as _, Result};
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::sys;

/// So many records keep a core busy for longer than it takes to make a thread and wake it: a list of 100 is quicker without.
const WORTH_A_THREAD: usize = 128;
const MOST_THREADS: usize = 8;

/// Why names can always be handed on.
const RECEIVED: &str = "their receiver is there until all are looked at";

/// What was made of records, and what is wrong with the others.
type Seen<T> = (Vec<T>, Vec<Damage>);

impl ProcessStore {
    /// The names of all records, in no order. A home that does not exist has none.
    ///
    /// # Errors
    /// [`Error::Io`] where the directory cannot be read.
    pub fn names(&self) -> Result<Vec<ProcessName>> {
        let mut names = Vec::new();
        self.each_name(|name| names.push(name))?;
        Ok(names)
    }

    fn each_name(&self, mut take: impl FnMut(ProcessName)) -> Result<()> {
        let path = self.home.processes();
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).at("read", &path),
        };
        for entry in entries {
            let file = entry.at("read", &path)?.file_name();
            let stem = file.to_str().and_then(|file| file.strip_suffix(".meta"));
            if let Some(name) = stem.and_then(|stem| stem.parse().ok()) {
                take(name);
            }
        }
        Ok(())
    }

    /// Reads all records, and names those that are damaged. A record that vanishes meanwhile is left out.
    ///
    /// # Errors
    /// [`Error::Io`] where the directory cannot be read.
    pub fn records(&self) -> Result<Records> {
        let names = self.names()?;
        let mut seen = (Vec::with_capacity(names.len()), Vec::new());
        let directory = self.directory();
        self.see(
            directory.as_ref(),
            names,
            &|name, meta| (name, meta),
            &mut seen,
        );
        Ok(seen)
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
        let directory = self.directory();
        let (give, take) = channel();
        let take = Mutex::new(take);
        let work = || {
            let mut seen = Seen::default();
            while let Some(names) = next(&take) {
                self.see(directory.as_ref(), names, &see, &mut seen);
            }
            seen
        };
        std::thread::scope(|scope| {
            let mut others = Vec::new();
            let mut cores = None;
            let mut names = Vec::with_capacity(WORTH_A_THREAD);
            let all = self.each_name(|name| {
                names.push(name);
                if names.len() == WORTH_A_THREAD {
                    let full = std::mem::replace(&mut names, Vec::with_capacity(WORTH_A_THREAD));
                    give.send(full).best_effort(RECEIVED);
                    // Only asked once there is enough work to share.
                    let most = *cores.get_or_insert_with(|| sys::cores().min(MOST_THREADS));
                    if others.len() + 1 < most {
                        others.push(scope.spawn(work));
                    }
                }
            });
            give.send(names).best_effort(RECEIVED);
            drop(give);
            let (mut seen, mut damaged) = work();
            for other in others {
                let (more, worse) = other.join().unwrap_or_else(|panic| resume_unwind(panic));
                seen.extend(more);
                damaged.extend(worse);
            }
            all.map(|()| (seen, damaged))
        })
    }

    /// Opening in it is quicker than by the whole path.
    fn directory(&self) -> Option<File> {
        File::open(self.home.processes()).ok()
    }

    fn see<T>(
        &self,
        directory: Option<&File>,
        names: Vec<ProcessName>,
        see: &impl Fn(ProcessName, Meta) -> T,
        (seen, damaged): &mut Seen<T>,
    ) {
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
    }
}

/// The next names to be looked at; waits for them until there will be no more.
fn next(names: &Mutex<Receiver<Vec<ProcessName>>>) -> Option<Vec<ProcessName>> {
    names
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Home;

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
                crate::sorted::by_key(&mut records, |(_, meta)| meta.id);
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
