//! Who belongs to which service, found out from one look at all processes.

use std::collections::HashMap;

use crate::cookie::Cookies;
use crate::supervise::service::Service;
use crate::sys::procfs::{self, Process, ProcessTable};
use crate::sys::{Identity, clock};

/// When the last run of a service began, in clock ticks since boot; `None` where it never ran in this boot.
pub(super) fn began_at(service: &Service) -> Option<u64> {
    let leader = service.leader.as_ref().map(|leader| leader.identity.start);
    leader.or(service.meta.last_ticks).or_else(|| {
        // Nothing of it was left when that was last looked at; the clock on the wall tells about when it began.
        let ago = clock::unix_ms().checked_sub(service.meta.started_ms?)?;
        let ticks = (ago / 1000 + 1) * clock::ticks_per_second();
        clock::boot_ticks().checked_sub(ticks)
    })
}

/// Who belongs to which service, found out from one look at all processes.
pub(super) struct Kinship<'a> {
    pub(super) table: &'a ProcessTable,
    pub(super) leaders: HashMap<u32, (Identity, u32)>,
    /// Sessions and groups that are a run's for certain.
    pub(super) sessions: HashMap<u32, Claim>,
    pub(super) known: HashMap<Identity, u32>,
    pub(super) cookies: Cookies,
    pub(super) own: [u32; 2],
    /// When the oldest of the runs in question began: who is older belongs to none of them.
    pub(super) oldest: u64,
    pub(super) found: HashMap<u32, Option<u32>>,
    /// A question that the kernel did not answer: then nothing of this is known.
    pub(super) unanswered: Option<std::io::Error>,
}

/// A session or group number that was a run's, from the start of its leader on.
///
/// A process can come into a session only by being forked in it. So who is in the session of this number and was started
/// while that was the leader's pid is the run's. As long as one of these lives, the kernel gives the number to nobody
/// else, and then all that are in the session are the run's.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    pub(super) id: u32,
    /// When the leader started, in ticks.
    pub(super) from: u64,
    /// Only processes that started up to this (in ticks) are meant: the number may have been given to others since.
    pub(super) before: u64,
}

impl Claim {
    pub(super) fn holds(self, process: &Process) -> bool {
        (self.from..=self.before).contains(&process.identity.start)
    }
}

impl Kinship<'_> {
    /// The service that a process belongs to.
    pub(super) fn owner(&mut self, pid: u32) -> Option<u32> {
        if let Some(owner) = self.found.get(&pid) {
            return *owner;
        }
        // A circle cannot be, but the table is not of one moment: what is being looked at counts as nobody's.
        self.found.insert(pid, None);
        let process = *self.table.get(pid)?;
        let owner = self.owner_of(&process).filter(|_| !self.is_supervisor(pid));
        self.found.insert(pid, owner);
        owner
    }

    fn owner_of(&mut self, process: &Process) -> Option<u32> {
        let pid = process.identity.pid;
        if let Some((identity, id)) = self.leaders.get(&pid) {
            return (*identity == process.identity).then_some(*id);
        }
        // 2 is the kernel's own thread of threads.
        if pid <= 2 || process.parent == 2 || self.own.contains(&pid) {
            return None;
        }
        if let Some(owner) = self.owner(process.parent) {
            return Some(owner);
        }
        if let Some(id) = self.known.get(&process.identity) {
            return Some(*id);
        }
        for number in [process.session, process.group] {
            if let Some(claim) = self.sessions.get(&number)
                && claim.holds(process)
            {
                return Some(claim.id);
            }
        }
        if process.identity.start < self.oldest {
            return None;
        }
        self.by_cookie(pid)
    }

    fn by_cookie(&mut self, pid: u32) -> Option<u32> {
        let answer = self.cookies.of_process(pid);
        self.answered(answer)?.map(|(id, _)| id)
    }

    pub(super) fn is_supervisor(&mut self, pid: u32) -> bool {
        let answer = is_supervisor(pid);
        self.answered(answer).unwrap_or(false)
    }

    fn answered<T>(&mut self, answer: std::io::Result<T>) -> Option<T> {
        answer.map_err(|error| self.unanswered = Some(error)).ok()
    }
}

/// Whether a process is a supervisor or guardian, of whatever home.
///
/// # Errors
/// Where that cannot be told.
pub(super) fn is_supervisor(pid: u32) -> std::io::Result<bool> {
    let words = procfs::command_line(pid)?;
    Ok(words.get(1).is_some_and(|word| word == "supervisor")
        && procfs::executable(pid)
            .is_some_and(|exe| std::env::current_exe().is_ok_and(|own| own == exe)))
}
