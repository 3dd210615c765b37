//! What a supervisor hands to the version of itself that it executes in its own place: what only memory and descriptors
//! hold. The records hold everything else, and a successor that cannot read this goes on by them, as after a crash.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, IoContext as _, Reason, Result};
use crate::probe::CpuSample;
use crate::supervise::machine::{Desired, Phase};
use crate::supervise::service::{Leader, Leftovers, Member};
use crate::supervise::supervisor::{Kind, Supervisor, token};
use crate::sys::poll::Interest;
use crate::sys::{self, Identity, Pidfd, WaitStatus, clock};

/// Version of this document. A newer one is refused by the trial that precedes every upgrade.
pub(super) const STATE_VERSION: u32 = 1;

/// The whole document.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::supervise) struct Carried {
    /// [`STATE_VERSION`].
    pub(super) version: u32,
    /// The version of TSM that wrote it.
    pub(super) tsm: String,
    /// Descriptors by their names in the store.
    pub(super) fds: Vec<(String, i32)>,
    /// The way to the guardian.
    pub(super) channel: Option<i32>,
    /// Since when this supervisor has been at work, Unix milliseconds.
    pub(super) started_ms: u64,
    /// The highest id that any record ever had.
    pub(super) highest_id: u32,
    /// What the next command is to tell.
    pub(super) notices: Vec<String>,
    /// Orphans that were named as nobody's, by pid and start time.
    pub(super) unattributed: Vec<(u32, u64)>,
    /// The services of which more is known than their records say.
    pub(super) services: Vec<CarriedService>,
}

/// One service.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::supervise) struct CarriedService {
    id: u32,
    run: u64,
    desired: Desired,
    phase: Phase,
    failures: u32,
    restarts: u64,
    #[serde(default)]
    owes_hook: bool,
    leader: Option<CarriedLeader>,
    /// Who belonged to the run, by pid and start time.
    #[serde(default)]
    known: Vec<(u32, u64)>,
    /// Who is left of it: pid, start time, whether in the leader's group, whether asked to end.
    #[serde(default)]
    left: Vec<(u32, u64, bool, bool)>,
    #[serde(default)]
    fresh: bool,
    #[serde(default)]
    keep_logs: bool,
    #[serde(default)]
    begun_here: bool,
    #[serde(default)]
    provisional: bool,
    #[serde(default)]
    sample: Option<CpuSample>,
    /// Until when its reaper is waited for.
    #[serde(default)]
    awaited: Option<Duration>,
}

/// The main process of a run.
#[derive(Debug, Serialize, Deserialize)]
struct CarriedLeader {
    pid: u32,
    start: u64,
    child: bool,
    ended: Option<String>,
    ended_ticks: u64,
}

impl Carried {
    /// What the program handed over that this process executed before; `None` where this is the first one.
    ///
    /// # Errors
    /// Where it cannot be read: then the descriptors are lost with it, and only a new process gets them from the store.
    pub(in crate::supervise) fn take(
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>> {
        match sys::spawn::take_state(lookup) {
            Some(file) => Self::read(file).map(Some),
            None => Ok(None),
        }
    }

    /// Reads it, wherever the file is read to by others.
    ///
    /// # Errors
    /// A newer version, or one that cannot be understood.
    pub(super) fn read(mut file: File) -> Result<Self> {
        use std::io::{Read as _, Seek as _};
        let mut bytes = Vec::new();
        file.rewind()
            .and_then(|()| file.read_to_end(&mut bytes))
            .doing("read the state that was handed over")?;
        let wrong = |reason: Reason| Error::bad_value("the state of the supervisor", reason);
        // The version first, since the rest of a newer document may not be understood.
        let version = serde_json::from_slice::<serde_json::Value>(&bytes)
            .map_err(|error| wrong(error.into()))?
            .get("version")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(0);
        if version > u64::from(STATE_VERSION) {
            return Err(wrong(format!(
                "version {version} is newer than this tsm {}, which reads {STATE_VERSION}; use the newer tsm",
                crate::version::own()
            ).into()));
        }
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.into()))
    }

    /// Takes the descriptors: those of the store by their names, and the way to the guardian.
    pub(in crate::supervise) fn take_fds(&mut self) -> (HashMap<String, OwnedFd>, Option<OwnedFd>) {
        let fds = std::mem::take(&mut self.fds);
        let fds = fds
            .into_iter()
            .filter_map(|(name, number)| Some((name, sys::fd::adopt(number)?)));
        let channel = self.channel.take().and_then(sys::fd::adopt);
        (fds.collect(), channel)
    }

    /// What is known of one run besides its record.
    pub(in crate::supervise) fn service(&mut self, id: u32, run: u64) -> Option<CarriedService> {
        let at = self
            .services
            .iter()
            .position(|s| s.id == id && s.run == run)?;
        Some(self.services.swap_remove(at))
    }
}

impl CarriedService {
    /// The main process, with its handle, which came with the descriptors.
    pub(in crate::supervise) fn leader(&self, handle: Option<Pidfd>) -> Option<Leader> {
        let leader = self.leader.as_ref()?;
        Some(Leader {
            identity: Identity {
                pid: leader.pid,
                start: leader.start,
            },
            handle: handle?,
            child: leader.child,
            ended: leader.ended.as_deref().and_then(WaitStatus::parse),
            ended_ticks: leader.ended_ticks,
        })
    }
}

impl Supervisor {
    /// All of it, with the descriptors that it names.
    pub(super) fn carry(&self) -> (Carried, Vec<BorrowedFd<'_>>) {
        let mut fds = self.to_keep();
        let names = fds
            .iter()
            .map(|(name, fd)| (name.clone(), fd.as_raw_fd()))
            .collect();
        let channel = self.store.guardian_socket();
        let carried = Carried {
            version: STATE_VERSION,
            tsm: crate::version::own(),
            fds: names,
            channel: channel.map(|fd| fd.as_raw_fd()),
            started_ms: self.started_ms,
            highest_id: self.highest_id,
            notices: self.notices.clone(),
            unattributed: self
                .sweeping
                .unattributed
                .iter()
                .map(|identity| (identity.pid, identity.start))
                .collect(),
            services: self.carry_services(),
        };
        let fds = fds.drain(..).map(|(_, fd)| fd).chain(channel).collect();
        (carried, fds)
    }

    fn carry_services(&self) -> Vec<CarriedService> {
        let told = self.services.iter().map(|(&id, service)| {
            let leftovers = service.leftovers.as_ref();
            CarriedService {
                id,
                run: service.run(),
                desired: service.machine.desired,
                phase: service.machine.phase,
                failures: service.machine.failures,
                restarts: service.machine.restarts,
                owes_hook: service.machine.owes_hook,
                leader: service.leader.as_ref().map(|leader| CarriedLeader {
                    pid: leader.identity.pid,
                    start: leader.identity.start,
                    child: leader.child,
                    ended: leader.ended.map(|status| status.to_string()),
                    ended_ticks: leader.ended_ticks,
                }),
                known: leftovers
                    .iter()
                    .flat_map(|left| &left.known)
                    .map(|identity| (identity.pid, identity.start))
                    .collect(),
                left: leftovers
                    .iter()
                    .flat_map(|leftovers| &leftovers.left)
                    .filter(|member| !member.ended)
                    .map(|m| (m.identity.pid, m.identity.start, m.in_group, m.asked))
                    .collect(),
                fresh: service.fresh,
                keep_logs: service.keep_logs,
                begun_here: service.begun_here,
                provisional: service.provisional,
                sample: service.sample,
                awaited: self.awaited.get(&id).copied(),
            }
        });
        told.collect()
    }

    /// Gives a service, whose record and descriptors were taken up, the rest of what was known of it.
    pub(in crate::supervise) fn go_on_as_carried(&mut self, id: u32, carried: &CarriedService) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        // The policy comes from the spec, which was read anew.
        let machine = &mut service.machine;
        machine.desired = carried.desired;
        machine.phase = carried.phase;
        machine.failures = carried.failures;
        machine.restarts = carried.restarts;
        machine.owes_hook = carried.owes_hook;
        service.fresh = carried.fresh;
        service.keep_logs = carried.keep_logs;
        service.begun_here = carried.begun_here;
        service.provisional = carried.provisional;
        service.sample = carried.sample;
        let mut leftovers = Leftovers::default();
        let known = carried.known.iter();
        leftovers.known = known.map(|&(pid, start)| Identity { pid, start }).collect();
        for &(pid, start, in_group, asked) in &carried.left {
            let identity = Identity { pid, start };
            // One that has ended by now is not found at the next look.
            if let Ok(Some(handle)) = Pidfd::open(identity)
                && self
                    .poll
                    .add(&handle, token(Kind::Member, id), Interest::ReadOnce)
                    .is_ok()
            {
                leftovers.left.push(Member {
                    identity,
                    handle,
                    in_group,
                    asked,
                    ended: false,
                });
            }
        }
        if !leftovers.known.is_empty() || !leftovers.left.is_empty() {
            service.leftovers = Some(Box::new(leftovers));
        }
        let leader_ended = service.leader.as_ref().is_none_or(|l| l.ended.is_some());
        let phase = service.machine.phase;
        if let Some(deadline) = service.machine.deadline() {
            service.armed = Some(deadline);
            self.deadlines.insert((deadline, id));
        }
        if let Some(at) = carried.awaited {
            self.awaited.insert(id, at);
        }
        match phase {
            // Its turn had not come, and nothing had been begun.
            Phase::Launching { .. } if service.leader.is_none() => {
                self.launching.queue.push_back(id);
            }
            Phase::Ending { .. } if leader_ended => {
                // The findings of the last sweep went with the old program.
                self.sweeping.wanted.push(id);
                self.sweeping.at = Some(clock::monotonic());
            }
            _ => {}
        }
    }
}
