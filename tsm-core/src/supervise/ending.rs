//! Ending a run: who belongs to it, who is left, and signals that reach only them.
//!
//! A process belongs to a run if it descends from its leader; or is in a session or process group that the run was seen
//! in, as long as their numbers cannot have been given to others; or was known before to belong to it; or bears its
//! cookie. A leader of its own record, and a supervisor or guardian, never belongs to another run.

pub(super) mod groups;
mod kinship;
mod leader;
mod members;
mod signalling;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use kinship::{Claim, Kinship, began_at, is_supervisor};

use super::machine::{Event, Force};
use super::service::Service;
use super::succession::fdstore::Keeper;
use super::supervisor::Supervisor;
use crate::sys::procfs::{self, Process, ProcessTable};
use crate::sys::{Identity, Signal, clock, pidfd};

/// When it is tried again to look at all processes, where that failed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Looks at all processes: for whom, when, and what was seen.
#[derive(Default)]
pub(super) struct Sweeping {
    /// Services that wait to be told who is left of them.
    pub(super) wanted: Vec<u32>,
    /// When the next look is due.
    pub(super) at: Option<Duration>,
    /// A look failed: until when there is none.
    pub(super) not_before: Option<Duration>,
    /// Who belongs to which service, as long as one round of the loop lasts.
    pub(super) remembered: Option<HashMap<u32, Vec<Identity>>>,
    /// Orphans that were named as nobody's in the log.
    pub(super) unattributed: BTreeSet<Identity>,
    /// What was seen last of orphans that one of these processes may have left behind.
    pub(super) suspects: HashMap<u32, Vec<String>>,
}

impl Supervisor {
    /// Says of each service that waits for it that nothing is left, where that can be told without looking at all
    /// processes: what a dead leader leaves behind becomes a child of the guardian under which it was begun, and that has
    /// none but us and its sentinel.
    pub(super) fn sweep_without_reading(&mut self) -> bool {
        let Some(guardian) = self
            .guardian
            .filter(|_| self.store.keeper() == Keeper::Guardian)
        else {
            return false;
        };
        let all_told = self
            .sweeping
            .wanted
            .iter()
            .filter_map(|id| self.services.get(id))
            .all(|service| {
                let leader_ended = service
                    .leader
                    .as_ref()
                    .is_none_or(|leader| leader.ended.is_some());
                service.begun_here && leader_ended
            });
        let is_alone = || {
            // Whatever a service leaves behind becomes a child of the guardian, its nearest
            // subreaper.
            let children = procfs::children_of_main_thread(guardian);
            children.is_some_and(|children| self.are_of_guardian(&children))
        };
        if !all_told || !is_alone() {
            return false;
        }
        for id in std::mem::take(&mut self.sweeping.wanted) {
            self.drop_members(id);
            self.nothing_is_left(id);
            self.step(id, Event::Swept { group: 0, rest: 0 });
        }
        true
    }

    /// Nobody is left by whom the session of the last run could be known.
    fn nothing_is_left(&mut self, id: u32) {
        if let Some(service) = self.services.get_mut(&id) {
            let meta = &mut service.meta;
            // Nothing is left, so that a later look need not claim these numbers any more.
            service.dirty |= meta.last_pid.is_some();
            (meta.last_pid, meta.last_ticks, meta.last_end) = (None, None, None);
        }
    }

    /// Looks at all processes, once for all services that wait for it.
    pub(super) fn sweep_all(&mut self) {
        let mut ids = std::mem::take(&mut self.sweeping.wanted);
        crate::sorted::sort(&mut ids);
        ids.dedup();
        // A group of its own answers without a look at all processes.
        ids.retain(|&id| !self.sweep_group(id));
        if ids.is_empty() {
            return;
        }
        let Some(found) = self.look(&ids) else {
            // Without a look nothing is known to be gone: it is tried again.
            self.sweeping.wanted = ids;
            let at = clock::monotonic() + LOOK_AGAIN;
            (self.sweeping.at, self.sweeping.not_before) = (Some(at), Some(at));
            return;
        };
        for id in ids {
            let members: Vec<Process> = found
                .iter()
                .filter(|(owner, p)| *owner == id && !p.ended)
                .map(|(_, p)| *p)
                .collect();
            let (group, rest) = self.watch_members(id, &members);
            if group + rest == 0 {
                self.nothing_is_left(id);
            }
            self.step(id, Event::Swept { group, rest });
        }
    }

    /// Who belongs to these services, their living leaders too.
    pub(super) fn look(&mut self, ids: &[u32]) -> Option<Vec<(u32, Process)>> {
        let table = match ProcessTable::read() {
            Ok(table) => table,
            Err(error) => {
                self.blind(&error);
                return None;
            }
        };
        let own = [
            std::process::id(),
            self.guardian.unwrap_or(std::process::id()),
        ];
        let mut kinship = Kinship::new(&table, self.cookies.clone(), own, self.began(ids));
        // All services claim what is theirs, not only those in question, so that no process is
        // taken for one of another service.
        for (&id, service) in &self.services {
            match &service.leader {
                Some(leader) => kinship.claim_of_leader(id, leader),
                None => {
                    if let Some((number, claim)) = self.claim_of_last_run(id, service) {
                        // Whoever leads under this number now outweighs a run that once had it.
                        kinship.sessions.entry(number).or_insert(claim);
                    }
                }
            }
        }
        kinship.hold_on_to_sessions();
        for &id in ids {
            let service = self.services.get(&id);
            if let Some(leftovers) = service.and_then(|s| s.leftovers.as_ref()) {
                kinship.know(id, &leftovers.known);
            }
        }
        let mut found = Vec::new();
        for process in table.iter() {
            let owner = kinship.owner(process.identity.pid);
            if let Some(owner) = owner.filter(|owner| ids.contains(owner)) {
                found.push((owner, *process));
            }
        }
        let orphans = table
            .iter()
            .filter(|p| own.contains(&p.parent) && !p.ended && !own.contains(&p.identity.pid));
        let orphans: Vec<Identity> = orphans.map(|process| process.identity).collect();
        let strangers: Vec<Identity> = orphans
            .into_iter()
            .filter(|o| kinship.owner(o.pid).is_none() && !kinship.is_supervisor(o.pid))
            // One that has gone in the meantime could not be asked for its cookie.
            .filter(|o| procfs::start_time(o.pid) == Some(o.start))
            .collect();
        // One missing answer is enough: with half an answer, something would survive or be ended
        // along with another service.
        if let Some(error) = kinship.unanswered {
            self.blind(&error);
            return None;
        }
        self.tell_of(ids, &strangers);
        Some(found)
    }

    /// Says, once in a while, that the processes of the machine cannot be looked at.
    fn blind(&mut self, error: &std::io::Error) {
        self.log.say_seldom(
            "/proc",
            format_args!("cannot look at the processes in /proc: {error}; trying again"),
        );
    }

    /// The session of the last run, whose leader is gone, as far as its record proves it.
    fn claim_of_last_run(&self, id: u32, service: &Service) -> Option<(u32, Claim)> {
        let meta = &service.meta;
        // Numbers of another boot say nothing.
        if meta.boot.as_deref() != Some(self.boot.as_str()) {
            return None;
        }
        let (from, before) = (meta.last_ticks?, meta.last_end?);
        Some((meta.last_pid?, Claim { id, from, before }))
    }

    /// Notes orphans that came from some service and bear nothing that tells from which: the log names each once, and each
    /// command that ends one of the services that it may have come from.
    fn tell_of(&mut self, ids: &[u32], strangers: &[Identity]) {
        for id in ids {
            self.sweeping.suspects.remove(id);
        }
        for stranger in strangers {
            let notice = format!(
                "process {} ({}) is unattributed: some service left it behind, and it bears nothing that tells which; it runs on",
                stranger.pid,
                procfs::name(stranger.pid)
            );
            if self.sweeping.unattributed.insert(*stranger) {
                self.log.say(&notice);
            }
            for id in ids {
                let begun = self.services.get(id).and_then(began_at);
                // A process that is older than the run cannot be of it.
                if begun.is_some_and(|begun| begun <= stranger.start) {
                    self.sweeping
                        .suspects
                        .entry(*id)
                        .or_default()
                        .push(notice.clone());
                }
            }
        }
    }

    /// When the oldest of these runs began, in clock ticks; 0 where that is not known of one.
    fn began(&self, ids: &[u32]) -> u64 {
        let start = |id| {
            let leader = self.services.get(id)?.leader.as_ref();
            leader.map(|leader| leader.identity.start)
        };
        ids.iter()
            .map(|id| start(id).unwrap_or(0))
            .min()
            .unwrap_or(0)
    }

    /// Signals the leader's process group.
    pub(super) fn signal_group(&mut self, id: u32, force: Force) {
        // A cgroup ends everybody at once, and needs no numbers.
        if force == Force::Kill && self.kill_group_of(id) {
            return;
        }
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let signals = match force {
            // A process that is stopped acts on the request only when it goes on.
            Force::Ask => vec![service.stop_signal, Signal::CONT],
            Force::Kill => vec![Signal::KILL],
        };
        // A zombie of ours keeps its number until it is reaped, an adopted leader only while it
        // lives.
        let pinned = service.leader.as_ref().filter(|leader| {
            leader.child || (leader.ended.is_none() && !leader.handle.has_ended())
        });
        // An adopted main process, such as one that named itself so, may lead no group: then it
        // alone is signalled.
        let leads_no_group = service.leader.as_ref().filter(|leader| {
            !leader.child
                && procfs::process(leader.identity.pid)
                    .is_some_and(|process| process.group != leader.identity.pid)
        });
        for signal in signals {
            if let Some(leader) = leads_no_group {
                if let Err(error) = leader.handle.signal(signal) {
                    self.log.say(format_args!(
                        "cannot send {signal} to '{}': {error}",
                        service.name
                    ));
                }
                continue;
            }
            if let Some(leader) = pinned {
                // The leader is alive or a zombie of ours, so the number is still that of its
                // group. One that put itself into the background may lead none, and is signalled
                // alone.
                let sent = pidfd::signal_group(leader.identity.pid, signal).and_then(|reached| {
                    if reached || leader.ended.is_some() {
                        return Ok(reached);
                    }
                    leader.handle.signal(signal)
                });
                if let Err(error) = sent {
                    self.log.say(format_args!(
                        "cannot send {signal} to the group of '{}': {error}",
                        service.name
                    ));
                }
                continue;
            }
            // The number may have been given to others: who was in the group is signalled one by
            // one, by handle.
            let members = service
                .leftovers
                .iter()
                .flat_map(|leftovers| &leftovers.left);
            for member in members.filter(|member| member.in_group) {
                if let Err(error) = member.handle.signal(signal) {
                    self.log.say(format_args!(
                        "cannot send {signal} to {}: {error}",
                        member.identity.pid
                    ));
                }
            }
        }
    }

    /// Signals what belongs to the run and is not in the leader's group.
    pub(super) fn signal_rest(&mut self, id: u32, force: Force) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        // Without a group there was no stage for it either, so all are the rest.
        let no_group = service.group().is_none();
        let Some(leftovers) = &mut service.leftovers else {
            return;
        };
        for member in leftovers
            .left
            .iter_mut()
            .filter(|member| no_group || !member.in_group)
        {
            let signals: &[Signal] = match force {
                // Each is asked once; another round is for those who have come in the meantime.
                Force::Ask if member.asked => &[],
                Force::Ask => &[Signal::TERM, Signal::CONT],
                Force::Kill => &[Signal::KILL],
            };
            member.asked = true;
            for signal in signals {
                if let Err(error) = member.handle.signal(*signal) {
                    self.log.say(format_args!(
                        "cannot send {signal} to {}: {error}",
                        member.identity.pid
                    ));
                }
            }
        }
    }
}
