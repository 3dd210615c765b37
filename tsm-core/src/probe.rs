//! What processes use: CPU and memory of a service's whole tree, from one look at `/proc`; and who listens where.
//!
//! ```
//! use tsm_core::probe::{Machine, tree};
//! use tsm_core::sys::procfs;
//!
//! // A service's tree begins at its main process; here, at this program itself.
//! let own = procfs::process(std::process::id()).ok_or("no /proc")?;
//! let members = tree(own.identity)?;
//! assert_eq!(members[0].pid, std::process::id());
//! assert!(members[0].memory_bytes > 0);
//! assert!(Machine::read()?.memory_all > members[0].memory_bytes);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod asking;
mod machine;
mod ports;
mod tree;

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use asking::ListenerOf;
pub use asking::{AskError, ask_http, ask_tcp, post};
pub use machine::Machine;
pub use ports::{Listener, PortHolder, ProcessPorts};

pub use tree::{Member, tree};

use crate::sys::procfs::{Process, ProcessTable};
use crate::sys::{Identity, cgroup, clock};
use crate::view::ProcessView;

/// What one service uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Memory in bytes: what its cgroup is charged with, or what is resident of its tree.
    pub memory_bytes: u64,
    /// Processes and threads of its tree.
    pub tasks: u64,
    /// CPU time of its tree in percent of one core, on average since it was started.
    pub cpu_percent: f64,
    /// What that average is made of.
    pub sample: CpuSample,
}

/// CPU time that a run had used at a moment. The supervisor keeps the last one of each service, so that the next reader
/// can say how much was used since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuSample {
    /// TSM id.
    pub id: u32,
    /// When the main process started, in clock ticks since boot: another run, another start.
    pub start: u64,
    /// CPU time of its tree so far, in clock ticks.
    pub used: u64,
    /// When that was measured, in clock ticks since boot.
    pub at: u64,
}

impl CpuSample {
    /// CPU in percent of one core, on average since an earlier sample of the same run; `None` where it is of another
    /// run, or too recent to tell anything.
    pub fn percent_since(&self, earlier: &Self) -> Option<f64> {
        let same_run = (self.id, self.start) == (earlier.id, earlier.start);
        let time = self.at.checked_sub(earlier.at)?;
        // The tree may have lost a process with all that it had used.
        let used = self.used.checked_sub(earlier.used)?;
        // Over less than a fifth of a second, a tick or two would make a large share.
        (same_run && time >= clock::ticks_per_second() / 5)
            .then(|| (1000.0 * used as f64 / time as f64).round() / 10.0)
    }
}

/// What several services use, by TSM id.
#[derive(Debug, Default)]
pub struct Usages {
    by_id: HashMap<u32, Usage>,
}

impl Usages {
    /// What the processes of these views use that run: by their cgroups where they have them, else by their trees. Where
    /// none runs, nothing is read.
    ///
    /// # Errors
    /// An [`std::io::Error`] where `/proc` cannot be read.
    pub fn of<'a>(
        views: impl IntoIterator<Item = &'a ProcessView> + Clone,
    ) -> std::io::Result<Self> {
        let leader = |view: &ProcessView| Some((view.id, view.leader?));
        let mut leaders = views.clone().into_iter().filter_map(leader).peekable();
        if leaders.peek().is_none() {
            return Ok(Self::default());
        }
        let mut usages = Self::measure(leaders)?;
        for view in views {
            if let Some(group) = &view.cgroup {
                usages.count_group(view.id, Path::new(group));
            }
        }
        Ok(usages)
    }

    /// Measures the trees below these main processes: their descendants, and what is in their sessions.
    ///
    /// # Errors
    /// An [`std::io::Error`] where `/proc` cannot be read.
    pub fn measure(leaders: impl Iterator<Item = (u32, Identity)>) -> std::io::Result<Self> {
        let table = ProcessTable::read()?;
        let leaders: HashMap<u32, (u32, u64)> = leaders
            .filter(|(_, identity)| table.is_alive(*identity))
            .map(|(id, identity)| (identity.pid, (id, identity.start)))
            .collect();
        let mut owners: HashMap<u32, Option<u32>> = HashMap::new();
        let mut sums: HashMap<u32, (u64, u64, u64)> = HashMap::new();
        for process in table.iter().filter(|process| !process.ended) {
            if let Some(id) = owner(process, &table, &leaders, &mut owners) {
                let (pages, ticks, tasks) = sums.entry(id).or_default();
                *pages += process.rss_pages;
                *ticks += process.cpu_ticks;
                *tasks += process.threads;
            }
        }
        let (page, now) = (clock::page_size(), clock::boot_ticks());
        let by_id = leaders
            .values()
            .map(|(id, start)| {
                let (pages, ticks, tasks) = sums.get(id).copied().unwrap_or_default();
                // At least one tick, so that a process that has just begun divides by something.
                let lifetime = now.saturating_sub(*start).max(1);
                let cpu_percent = (1000.0 * ticks as f64 / lifetime as f64).round() / 10.0;
                (
                    *id,
                    Usage {
                        memory_bytes: pages * page,
                        tasks,
                        cpu_percent,
                        sample: CpuSample {
                            id: *id,
                            start: *start,
                            used: ticks,
                            at: now,
                        },
                    },
                )
            })
            .collect();
        Ok(Self { by_id })
    }

    /// Takes what the kernel has counted of the cgroup of a service, which misses nobody, not even who has ended.
    pub fn count_group(&mut self, id: u32, group: &Path) {
        let Some(usage) = self.by_id.get_mut(&id) else {
            return;
        };
        if let Some(bytes) = cgroup::number(group, "memory.current") {
            usage.memory_bytes = bytes;
        }
        if let Some(tasks) = cgroup::number(group, "pids.current") {
            usage.tasks = tasks;
        }
        if let Some(microseconds) = cgroup::counter(group, "cpu.stat", "usage_usec") {
            let used = microseconds * clock::ticks_per_second() / 1_000_000;
            let lifetime = usage.sample.at.saturating_sub(usage.sample.start).max(1);
            usage.sample.used = used;
            usage.cpu_percent = (1000.0 * used as f64 / lifetime as f64).round() / 10.0;
        }
    }

    /// What the service of this id uses; `None` where it does not run.
    pub fn get(&self, id: u32) -> Option<Usage> {
        self.by_id.get(&id).copied()
    }
}

/// The service whose main process is this one, leads its session, or is the nearest of its ancestors.
fn owner(
    process: &Process,
    table: &ProcessTable,
    leaders: &HashMap<u32, (u32, u64)>,
    owners: &mut HashMap<u32, Option<u32>>,
) -> Option<u32> {
    let pid = process.identity.pid;
    if let Some((id, _)) = leaders.get(&pid) {
        return Some(*id);
    }
    if let Some(known) = owners.get(&pid) {
        return *known;
    }
    // Parents were read one after the other while processes came and went, so they may form a
    // circle.
    owners.insert(pid, None);
    // A process whose parent has died is found by its session.
    let found = match leaders.get(&process.session) {
        Some((id, _)) => Some(*id),
        None => table
            .get(process.parent)
            .and_then(|parent| owner(parent, table, leaders, owners)),
    };
    owners.insert(pid, found);
    found
}
