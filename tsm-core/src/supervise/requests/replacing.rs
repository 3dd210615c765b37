//! What a person wants of a process is replaced: its spec and its environment, by way of the disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::control::Request;
use crate::error::Result;
use crate::fail;
use crate::store::Staged;
use crate::supervise::supervisor::Supervisor;
use crate::supervise::worker::Urgency;

/// Processes whose intent is being replaced, and what waits for that.
#[derive(Default)]
pub(in crate::supervise) struct Replacing {
    pub(in crate::supervise) ids: BTreeSet<u32>,
    /// Requests, each with its connection and raw bytes.
    pub(in crate::supervise) deferred: Vec<(u32, Request, Vec<u8>)>,
}

impl Supervisor {
    /// Puts a new spec and environment of a process into their places and calls `then`. What they replace is intent that
    /// a power cut must not take: they are on the disk before. Requests for this process wait meanwhile.
    pub(in crate::supervise) fn replace_intent(
        &mut self,
        id: u32,
        staged: Vec<Staged>,
        then: impl FnOnce(&mut Self, Result<()>) + 'static,
    ) {
        fail::point("replace-1-staged");
        // New files need no sync before: the record comes last, and without it a torn file is void.
        if !staged.iter().any(Staged::replaces) {
            let committed = staged.iter().try_for_each(Staged::commit);
            return then(self, committed);
        }
        self.replacing.ids.insert(id);
        let staged = Arc::new(staged);
        let to_sync = Arc::clone(&staged);
        // Synced before it replaces anything: otherwise a power cut could leave neither the old nor
        // the new.
        self.worker.submit(
            Urgency::Now,
            move |_| to_sync.iter().try_for_each(Staged::sync),
            move |supervisor, synced| {
                fail::point("replace-2-synced");
                supervisor.replacing.ids.remove(&id);
                let replaced = synced.and_then(|()| {
                    staged.iter().try_for_each(|file| {
                        let committed = file.commit();
                        fail::point("replace-3-committed");
                        committed
                    })
                });
                if replaced.is_err() {
                    staged.iter().for_each(Staged::discard);
                }
                then(supervisor, replaced);
                // They concern a process that was being replaced, and were put off for that.
                for (number, request, blob) in std::mem::take(&mut supervisor.replacing.deferred) {
                    supervisor.obey(number, request, &blob);
                }
            },
        );
    }
}
