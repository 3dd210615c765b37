//! SIGHUP: what was changed in the records by other hands is read anew. What runs goes on as it is.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::spec::SavedSpec;
use crate::store::{Damage, ProcessStore};
use crate::supervise::supervisor::Supervisor;
use crate::supervise::worker::Urgency;

/// What the records say now.
#[derive(Default)]
struct Read {
    specs: Vec<SavedSpec>,
    /// Records that the supervisor did not know when this began.
    new: Vec<(ProcessName, Meta)>,
    damaged: Vec<Damage>,
}

impl Supervisor {
    /// Reads the specs anew, and takes in records that were put there. What runs goes on as it is; a changed program or
    /// environment counts at the next start, which reads them anyway.
    pub(in crate::supervise) fn reload(&mut self) {
        self.log.say("SIGHUP: reading the records anew");
        self.announce_reloading();
        let store = ProcessStore::new(self.writer.home().clone());
        let known: HashSet<ProcessName> = self.services.values().map(|s| s.name.clone()).collect();
        let found: Arc<Mutex<Read>> = Arc::default();
        let told = Arc::clone(&found);
        self.worker.submit(
            Urgency::Now,
            move |_| {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = read(&store, &known)?;
                Ok(())
            },
            move |supervisor, done| {
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                let found = std::mem::take(&mut *found);
                if let Err(error) = done {
                    supervisor.log.say(error);
                }
                supervisor.take_in(found);
                supervisor.announce_ready();
            },
        );
    }

    fn take_in(&mut self, found: Read) {
        for damage in found.damaged {
            self.log.say(damage.error);
        }
        let mut changed = 0;
        for saved in found.specs {
            // A spec that is being replaced is applied by whoever replaces it.
            let replaced = self.replacing.ids.contains(&saved.id);
            if let Some(service) = self.services.get_mut(&saved.id)
                && service.name == saved.name
                && !replaced
            {
                let before = (
                    service.machine.policy,
                    service.stop_signal,
                    service.meta.clone(),
                );
                service.apply_spec(&saved.spec);
                if before
                    != (
                        service.machine.policy,
                        service.stop_signal,
                        service.meta.clone(),
                    )
                {
                    changed += 1;
                    service.dirty = true;
                    self.save(saved.id);
                }
            }
        }
        let mut new = 0;
        for (name, meta) in found.new {
            let known = self.services.values().any(|s| s.name == name);
            // It may have come and gone in the meantime.
            if known || !self.writer.home().meta(&name).exists() {
                continue;
            }
            if self.services.contains_key(&meta.id) {
                self.log.say(format_args!(
                    "two records bear ID {}; '{name}' is left alone, give it another tsm_id",
                    meta.id
                ));
                continue;
            }
            match self.adopt(name, meta, &mut HashMap::new()) {
                Ok(_) => new += 1,
                Err(error) => self.log.say(error),
            }
        }
        self.go_on_all();
        self.log
            .say(format_args!("read anew: {changed} changed, {new} new"));
        self.status_changed();
    }
}

fn read(store: &ProcessStore, known: &HashSet<ProcessName>) -> Result<Read> {
    let mut read = Read::default();
    for name in store.names()? {
        if known.contains(&name) {
            match store.spec(&name) {
                Ok(saved) => read.specs.extend(saved),
                Err(error) => read.damaged.push(Damage { name, error }),
            }
            continue;
        }
        match store.meta(&name) {
            Ok(meta) => read.new.push((name, meta)),
            Err(error) => read.damaged.push(Damage { name, error }),
        }
    }
    Ok(read)
}
