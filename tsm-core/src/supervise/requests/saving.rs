//! `save` on the supervisor's side: the dump is collected and written by the worker. What is deleted after it is noted beside
//! it, so that a resurrection at boot does not bring it back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::control::{Reply, SavedCounts};
use crate::error::{Error, IoContext as _, Result};
use crate::home::Home;
use crate::name::ProcessName;
use crate::persist::{self, Deleted, Dump};
use crate::store::ProcessStore;
use crate::supervise::supervisor::Supervisor;
use crate::supervise::worker::Urgency;
use crate::sys;

impl Supervisor {
    /// Writes the dump and answers when it is safe.
    pub(super) fn save_dump(&mut self, number: u32, empty: bool) {
        // The worker reads the files, so what is only in memory would be missing.
        let ids: Vec<u32> = self.services.keys().copied().collect();
        for id in ids {
            self.save(id);
        }
        let home = self.writer.home().clone();
        let outcome = Arc::new(Mutex::new(Written::default()));
        let told = Arc::clone(&outcome);
        self.resurrecting.saves += 1;
        self.worker.submit(
            Urgency::Now,
            move |_| {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = write_dump(&home, empty)?;
                Ok(())
            },
            move |supervisor, done| {
                supervisor.resurrecting.saves -= 1;
                let mut written = outcome.lock().unwrap_or_else(PoisonError::into_inner);
                match done {
                    Ok(()) => {
                        let written = std::mem::take(&mut *written);
                        let home = supervisor.writer.home();
                        // Not before the dump is safe: until then the old one counts, with what was
                        // deleted since.
                        if let Err(error) = persist::cut_deleted(home, &written.ids) {
                            supervisor.log.say(error);
                        }
                        supervisor.notices.extend(written.missing);
                        supervisor.say(number, &Reply::Saved(written.counts));
                        supervisor.done(number);
                    }
                    Err(error) => supervisor.fail(number, &error),
                }
            },
        );
    }

    /// Notes that a process was deleted, for the next resurrection at boot: a dump may list it.
    pub(super) fn note_deleted(&mut self, id: u32, name: &ProcessName) {
        let dump = self.writer.home().dump();
        // With no dump, and none being written, nothing would bring it back.
        if self.resurrecting.saves == 0 && matches!(dump.try_exists(), Ok(false)) {
            return;
        }
        let line = Deleted {
            at: crate::events::rfc3339(sys::clock::unix_ms()),
            name: name.clone(),
            id,
        };
        let path = self.writer.home().deleted();
        let mut json = crate::json::line(&line).unwrap_or_default();
        json.push(b'\n');
        // Appended, so that a write that is cut short costs one line and no earlier one.
        let noted = sys::open_for_appending(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, &json))
            .at("append to", &path);
        if let Err(error) = noted {
            self.log.say(error);
        }
    }
}

/// A dump that was written.
#[derive(Default)]
struct Written {
    counts: SavedCounts,
    ids: HashSet<u32>,
    /// What could not be saved, in words.
    missing: Vec<String>,
}

/// Collects and writes the dump.
fn write_dump(home: &Home, empty: bool) -> Result<Written> {
    let (dump, damaged) = Dump::collect(&ProcessStore::new(home.clone()))?;
    // A damaged dump is no reason to refuse: it is kept aside when it is replaced.
    let before = Dump::read(&home.dump()).ok().flatten();
    let is_loss = before.is_some_and(|before| !before.processes.is_empty());
    if dump.processes.is_empty() && is_loss && !empty {
        return Err(Error::bad_value(
            "save",
            "there is no process, and dump.json lists some; it is left as it is. 'tsm save --empty' replaces it",
        ));
    }
    dump.replace(home)?;
    let counts = SavedCounts {
        processes: dump.processes.len(),
        up: dump.processes.iter().filter(|saved| saved.up).count(),
    };
    let missing = damaged
        .iter()
        .map(|damage| format!("'{}' is not in it: {}", damage.name, damage.error));
    Ok(Written {
        counts,
        ids: dump.processes.iter().map(|saved| saved.id).collect(),
        missing: missing.collect(),
    })
}
