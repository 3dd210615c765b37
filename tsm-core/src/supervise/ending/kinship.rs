//! Who belongs to which service, found out from one look at all processes.

use std::collections::HashMap;

use crate::cookie::Cookies;
use crate::supervise::service::{Leader, Service};
use crate::sys::procfs::{self, Process, ProcessTable};
use crate::sys::{Identity, clock};

/// When the last run of a service began, in clock ticks since boot; `None` where it never ran in this boot.
pub(super) fn began_at(service: &Service) -> Option<u64> {
    let leader = service.leader.as_ref().map(|leader| leader.identity.start);
    leader.or(service.meta.last_ticks).or_else(|| {
        // Nothing of it was left when that was last looked at; the clock on the wall tells about when it began.
        let ago = clock::unix_ms().checked_sub(service.meta.started_ms?)?;
        // Rounded up: better somewhat too early than too late.
        let ticks = (ago / 1000 + 1) * clock::ticks_per_second();
        clock::boot_ticks().checked_sub(ticks)
    })
}

/// Who belongs to which service, found out from one look at all processes.
pub(super) struct Kinship<'a> {
    table: &'a ProcessTable,
    leaders: HashMap<u32, (Identity, u32)>,
    /// Sessions and groups that are a run's for certain.
    pub(super) sessions: HashMap<u32, Claim>,
    known: HashMap<Identity, u32>,
    cookies: Cookies,
    own: [u32; 2],
    /// When the oldest of the runs in question began: who is older belongs to none of them.
    oldest: u64,
    found: HashMap<u32, Option<u32>>,
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

impl<'a> Kinship<'a> {
    /// Nothing is known yet but who we are ourselves (`own`).
    pub(super) fn new(
        table: &'a ProcessTable,
        cookies: Cookies,
        own: [u32; 2],
        oldest: u64,
    ) -> Self {
        Self {
            table,
            leaders: HashMap::new(),
            sessions: HashMap::new(),
            known: HashMap::new(),
            cookies,
            own,
            oldest,
            found: HashMap::with_capacity(256),
            unanswered: None,
        }
    }

    /// A main process, and the session that it made, are this service's.
    pub(super) fn claim_of_leader(&mut self, id: u32, leader: &Leader) {
        let Identity { pid, start: from } = leader.identity;
        // As long as its leader pins the number, nobody else can have it, so there is no last
        // moment.
        let before = if leader.is_pinned() {
            u64::MAX
        } else {
            leader.ended_ticks
        };
        self.leaders.insert(pid, (leader.identity, id));
        self.sessions.insert(pid, Claim { id, from, before });
    }

    /// The numbers of sessions that a process of the run keeps taken are the run's for as long as that lives.
    pub(super) fn hold_on_to_sessions(&mut self) {
        let is_held = |process: &&Process| {
            let claim = self.sessions.get(&process.session);
            claim.is_some_and(|claim| claim.holds(process))
        };
        let held: Vec<u32> = self
            .table
            .iter()
            .filter(is_held)
            .map(|p| p.session)
            .collect();
        for number in held {
            if let Some(claim) = self.sessions.get_mut(&number) {
                claim.before = u64::MAX;
            }
        }
    }

    /// These were known before to belong to a service, and with them the sessions and groups that they lead.
    pub(super) fn know(&mut self, id: u32, known: &[Identity]) {
        for identity in known {
            self.known.insert(*identity, id);
            let process = self.table.get(identity.pid);
            // The number alone may have been given to another process since.
            let Some(process) = process.filter(|p| p.identity == *identity && !p.ended) else {
                continue;
            };
            // A session or group in which somebody known is alive now is the run's; but never our own session, nor one that no
            // member leads: a person's shell may have run it.
            for number in [process.session, process.group] {
                let is_led = number == identity.pid || known.iter().any(|k| k.pid == number);
                if is_led {
                    self.sessions.entry(number).or_insert(Claim {
                        id,
                        from: 0,
                        before: u64::MAX,
                    });
                }
            }
        }
    }

    /// The service that a process belongs to.
    pub(super) fn owner(&mut self, pid: u32) -> Option<u32> {
        if let Some(owner) = self.found.get(&pid) {
            return *owner;
        }
        // Parents form no circle, but the table was not read in one moment: who is being asked
        // about counts as nobody's until there is an answer.
        self.found.insert(pid, None);
        let process = *self.table.get(pid)?;
        // A supervisor that a service started looks after its own services, which are none of ours.
        let owner = self.owner_of(&process).filter(|_| !self.is_supervisor(pid));
        self.found.insert(pid, owner);
        owner
    }

    fn owner_of(&mut self, process: &Process) -> Option<u32> {
        let pid = process.identity.pid;
        if let Some((identity, id)) = self.leaders.get(&pid) {
            return (*identity == process.identity).then_some(*id);
        }
        // Process 2 is kthreadd, the parent of the kernel's threads, which have no session; in a container it may be anybody.
        let is_of_the_kernel = process.session == 0 && (pid == 2 || process.parent == 2);
        if pid <= 1 || is_of_the_kernel || self.own.contains(&pid) {
            return None;
        }
        // Parents first: they are in the table already, whereas a cookie has to be read from
        // `/proc`.
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
        // Reading an environment is what costs here, and nobody older than the runs in question
        // need be asked.
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
    // Anybody may have such a command line, so the program counts too.
    Ok(words.get(1).is_some_and(|word| word == "supervisor")
        && procfs::executable(pid)
            .is_some_and(|exe| std::env::current_exe().is_ok_and(|own| own == exe)))
}
