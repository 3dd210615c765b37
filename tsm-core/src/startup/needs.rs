//! What the records of a home ask of whoever starts them.

use std::time::Duration;

use crate::error::Result;
use crate::launch::rlimits_of;
use crate::persist::Dump;
use crate::spec::{DEFAULT_STOP_TIMEOUT, ProcessSpec};
use crate::store::ProcessStore;
use crate::sys::limits::{self, Limit};

/// The greatest of all that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The longest stop time-out.
    pub stop_timeout: Duration,
    /// For each resource that a record limits, the highest hard limit among them.
    pub limits: Vec<Limit>,
    /// How many processes there are in records and dump.
    pub processes: usize,
}

impl Default for Needs {
    fn default() -> Self {
        Self {
            stop_timeout: DEFAULT_STOP_TIMEOUT,
            limits: Vec::new(),
            processes: 0,
        }
    }
}

impl Needs {
    /// Reads them. Records that cannot be read ask for nothing here; they are told when they are started.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where the records cannot be read at all.
    pub fn read(store: &ProcessStore) -> Result<Self> {
        let mut needs = Self::default();
        let mut names = store.names()?;
        needs.processes = names.len();
        for name in &names {
            if let Ok(Some(saved)) = store.spec(name) {
                needs.add(&saved.spec);
            }
        }
        if let Ok(Some(dump)) = Dump::read(&store.home().dump()) {
            for saved in dump.processes {
                needs.add(&saved.spec);
                if !names.contains(&saved.name) {
                    needs.processes += 1;
                    names.push(saved.name);
                }
            }
        }
        Ok(needs)
    }

    fn add(&mut self, spec: &ProcessSpec) {
        let timeout = Duration::from_millis(spec.stop_timeout_ms);
        self.stop_timeout = self.stop_timeout.max(timeout);
        for limit in &rlimits_of(spec).collect::<Vec<_>>() {
            let highest = self
                .limits
                .iter_mut()
                .find(|l| l.resource == limit.resource);
            match highest {
                Some(highest) => highest.hard = highest.hard.max(limit.hard),
                None => self.limits.push(*limit),
            }
        }
    }

    /// How long a stop of everything may take, in whole seconds: leftovers get their own time, then SIGKILL.
    pub fn stop_seconds(&self) -> u64 {
        const MARGIN: u64 = 10;
        let whole = self.stop_timeout.as_secs() + u64::from(self.stop_timeout.subsec_nanos() > 0);
        whole + MARGIN
    }

    /// The highest hard limit for a resource by its name, where a record says of it.
    pub fn limit(&self, name: &str) -> Option<u64> {
        let limit = self
            .limits
            .iter()
            .find(|l| limits::name(l.resource) == name);
        limit.map(|limit| limit.hard)
    }
}
