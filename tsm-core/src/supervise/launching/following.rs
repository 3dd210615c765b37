//! Programs that put themselves into the background (`--type daemon`): what was started ends with status 0 and leaves the
//! real main process behind. That one is found by its pid file, or is the oldest process that is left of the run, and is
//! the leader from then on.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::BestEffort as _;
use crate::events::EventKind;
use crate::spec::{Daemon, ProcessSpec};
use crate::supervise::machine::{Event, Phase};
use crate::supervise::service::{Leader, Service};
use crate::supervise::supervisor::{Kind, Supervisor, token};
use crate::sys::poll::Interest;
use crate::sys::procfs::{self, Process, ProcessTable};
use crate::sys::{self, Identity, Pidfd, clock};

/// How long the main process, or its pid, may take to be there after what was started has ended.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first pause between two looks; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// A program that has not put itself into the background after this time counts as one that stays in the foreground.
const FORK_PATIENCE: Duration = Duration::from_secs(20);

/// A service of this type, as the supervisor holds it.
pub(in crate::supervise) struct Followed {
    pid_file: Option<PathBuf>,
    /// Whether the main process was found.
    found: bool,
    /// When it is looked for next, until when, and the pause behind that.
    look: Option<(Duration, Duration, Duration)>,
    /// What its pid file says.
    said: Said,
    /// Who was left when it was last looked: one that is on its way to fork again is gone at the next look.
    seen: Option<Identity>,
    /// Nobody was there at the last look: who forks while it is looked may be missed once.
    missed: bool,
    /// When the one that was left was taken for the main process.
    guessed: Option<Duration>,
    /// Why its main process was not found, though something of it is left.
    lost: Option<String>,
}

/// What a pid file says. It is read apart from the loop: a person named it, and it may lie on a file system that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// It is to be read.
    Nothing,
    /// It is being read.
    NotYet,
    Pid(Option<u32>),
}

impl Followed {
    /// Why the main process was not found, once.
    pub(in crate::supervise) fn take_lost(&mut self) -> Option<String> {
        self.lost.take()
    }

    /// What a spec says; `None` for a program that stays in the foreground.
    pub(in crate::supervise) fn of(spec: &ProcessSpec, found: bool) -> Option<Box<Self>> {
        let Daemon { pid_file } = spec.daemon.as_ref()?;
        let pid_file = pid_file
            .as_ref()
            .map(|file| spec.cwd.as_path().join(file.as_path()));
        Some(Box::new(Self {
            pid_file,
            found,
            look: None,
            said: Said::Nothing,
            seen: None,
            missed: false,
            guessed: None,
            lost: None,
        }))
    }

    /// Whether the main process is just being looked for.
    pub(in crate::supervise) fn is_looked_for(&self) -> bool {
        self.look.is_some()
    }
}

impl Supervisor {
    /// The program of a service of this type was executed. It runs when it has put itself into the background; `false` for
    /// all others, which run from now on.
    pub(super) fn await_daemon(&mut self, id: u32) -> bool {
        let Some(service) = self.services.get_mut(&id) else {
            return false;
        };
        let Some(followed) = &mut service.followed else {
            return false;
        };
        let until = clock::monotonic() + FORK_PATIENCE;
        // Found anew in each run: what was found before belongs to the run before.
        followed.found = false;
        followed.look = Some((until, until, FIRST_PAUSE));
        self.arm_follow(until);
        true
    }

    fn arm_follow(&mut self, at: Duration) {
        // One deadline for all: the loop asks for the next one in every round.
        let next = self.launching.follow_at.map_or(at, |before| before.min(at));
        self.launching.follow_at = Some(next);
    }

    /// What was started has ended with status 0. `true` where its main process was found, or is looked for.
    pub(in crate::supervise) fn follow(&mut self, id: u32) -> bool {
        let Some(service) = self.services.get_mut(&id) else {
            return false;
        };
        let may = matches!(
            service.machine.phase,
            Phase::Launching { .. } | Phase::Running { .. }
        );
        let now = clock::monotonic();
        // A guess that ended soon, and well, was wrong.
        let soon = |f: &Followed| f.guessed.is_some_and(|at| now < at + PATIENCE);
        // After the main process was found, its end is the end of the run, and there is nothing to
        // follow.
        let Some(followed) = service
            .followed
            .as_mut()
            .filter(|f| may && (!f.found || soon(f)))
        else {
            return false;
        };
        followed.found = false;
        followed.missed = false;
        followed.look = Some((now, now + PATIENCE, FIRST_PAUSE));
        self.look_for_daemon(id, now)
    }

    /// Looks for those whose time has come.
    pub(in crate::supervise) fn follow_if_due(&mut self) {
        let now = clock::monotonic();
        if self.launching.follow_at.is_none_or(|at| at > now) {
            return;
        }
        self.launching.follow_at = None;
        let looked_for = self.services.iter().filter_map(|(&id, service)| {
            let (at, ..) = service.followed.as_ref()?.look?;
            Some((id, at))
        });
        let looked_for: Vec<(u32, Duration)> = looked_for.collect();
        for (id, at) in looked_for {
            if at > now {
                self.arm_follow(at);
            } else {
                self.follow_again(id, now);
            }
        }
    }

    fn follow_again(&mut self, id: u32, now: Duration) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let ended = service.leader.as_ref().is_none_or(|l| l.ended.is_some());
        if !ended {
            // It did not put itself into the background.
            if let Some(followed) = &mut service.followed {
                followed.look = None;
            }
            let notice = format!(
                "'{}' has not put itself into the background after {} s; it is followed as it is",
                service.name,
                FORK_PATIENCE.as_secs()
            );
            self.log.say(&notice);
            self.notices.push(notice);
            return self.step(id, Event::Launched);
        }
        if !self.look_for_daemon(id, now)
            && let Some(status) = self
                .services
                .get(&id)
                .and_then(|service| service.leader.as_ref()?.ended)
        {
            self.leader_ended(id, status);
        }
    }

    /// `false` where it is not there, and is not looked for any longer.
    fn look_for_daemon(&mut self, id: u32, now: Duration) -> bool {
        if self.waits_for_pid_file(id, now) {
            return true;
        }
        let members: Vec<Process> = self
            .members_of(id)
            .into_iter()
            .filter(|process| !process.ended)
            .collect();
        let Some(followed) = self.services.get_mut(&id).and_then(|s| s.followed.as_mut()) else {
            return false;
        };
        // When this look fails, the file is read anew: it may be written only later.
        let said = std::mem::replace(&mut followed.said, Said::Nothing);
        let has_file = followed.pid_file.is_some();
        let orphan = match said {
            Said::Pid(Some(pid)) if has_file => self.orphan_named(id, pid),
            _ => None,
        };
        let may_come = has_file && members.is_empty() && self.has_orphans(id);
        let Some(service) = self.services.get_mut(&id) else {
            return false;
        };
        let Some(followed) = &mut service.followed else {
            return false;
        };
        let found = if has_file {
            let pid = match said {
                Said::Pid(pid) => pid,
                Said::Nothing | Said::NotYet => None,
            };
            // A pid file of the run before names a process that is not part of this one.
            let member = members.iter().find(|m| Some(m.identity.pid) == pid);
            member.or(orphan.as_ref())
        } else {
            let is_inside = |pid: u32| members.iter().any(|m| m.identity.pid == pid);
            let first = members
                .iter()
                // The oldest one whose parent is not of the run: a worker's parent is the main
                // process.
                .filter(|m| !is_inside(m.parent))
                .min_by_key(|m| m.identity.start);
            // The same one twice in a row: a program that forks twice has a process in between that
            // is about to go.
            let before = followed.seen;
            followed.seen = first.map(|m| m.identity);
            first.filter(|_| followed.seen == before)
        };
        if let Some(process) = found.copied() {
            return self.take_as_leader(id, process);
        }
        let Some((_, until, pause)) = followed.look else {
            return false;
        };
        // With nobody left there is nobody to come.
        let nobody =
            members.is_empty() && !may_come && std::mem::replace(&mut followed.missed, true);
        if nobody || now >= until {
            followed.look = None;
            // Or the end of what was started would have it looked for again.
            followed.found = true;
            if !members.is_empty()
                && let Some(file) = &followed.pid_file
            {
                let reason = format!(
                    "it went into the background, and {} names none of its processes after {} s",
                    file.display(),
                    PATIENCE.as_secs()
                );
                self.log.say(format_args!("'{}': {reason}", service.name));
                followed.lost = Some(reason);
            }
            return false;
        }
        followed.look = Some((now + pause, until, pause * 2));
        self.arm_follow(now + pause);
        true
    }

    /// The process that a pid file names, where nothing but that tells that it is of this run: it has a session of its own
    /// and has written its title over its environment, as servers do.
    fn orphan_named(&self, id: u32, pid: u32) -> Option<Process> {
        let process = procfs::process(pid)?;
        let name = &self.services.get(&id)?.name;
        let spec = self.writer.store().spec(name).ok().flatten()?.spec;
        // The file may be written by whom the service runs as, who has no word about others' processes.
        let is_its_users = spec
            .user
            .is_none_or(|user| procfs::owner(pid) == Some(user.uid));
        let tells_nothing = matches!(self.cookies.of_process(pid), Ok(None));
        (self.is_new_orphan(id, &process) && is_its_users && tells_nothing).then_some(process)
    }

    fn has_orphans(&self, id: u32) -> bool {
        ProcessTable::read()
            .is_ok_and(|table| table.iter().any(|process| self.is_new_orphan(id, process)))
    }

    /// Whether a process came to us when its parent ended, is no older than this run, and is no other's main process.
    fn is_new_orphan(&self, id: u32, process: &Process) -> bool {
        let leader = |service: &Service| service.leader.as_ref().map(|leader| leader.identity);
        let Some(began) = self.services.get(&id).and_then(leader) else {
            return false;
        };
        let own = std::process::id();
        let is_led = |service: &Service| {
            leader(service).is_some_and(|leader| {
                [process.identity.pid, process.session, process.group].contains(&leader.pid)
            })
        };
        process.parent == self.guardian.unwrap_or(own)
            && process.identity.pid != own
            && !process.ended
            && process.identity.start >= began.start
            && !self.services.values().any(is_led)
    }

    /// Has the pid file read, where there is one; `false` when it is known what it says, or that it does not say it in time.
    fn waits_for_pid_file(&mut self, id: u32, now: Duration) -> bool {
        let Some(service) = self.services.get_mut(&id) else {
            return false;
        };
        let run = service.run();
        let Some(followed) = &mut service.followed else {
            return false;
        };
        let (Some(file), Some((_, until, pause))) = (followed.pid_file.clone(), followed.look)
        else {
            return false;
        };
        match followed.said {
            Said::Pid(_) => return false,
            Said::NotYet if now >= until => return false,
            Said::NotYet => {}
            Said::Nothing => {
                followed.said = Said::NotYet;
                let path = file.clone();
                let read = self.worker.apart(
                    move || read_pid(&path),
                    move |supervisor, pid| supervisor.hear_of_pid(id, run, pid),
                );
                if read.is_err() {
                    // No thread is to be had: late is better than never.
                    self.hear_of_pid(id, run, read_pid(&file));
                    return false;
                }
            }
        }
        if let Some(followed) = self.services.get_mut(&id).and_then(|s| s.followed.as_mut()) {
            // The answer wakes us by itself; only giving up needs the clock.
            followed.look = Some((until, until, pause));
        }
        self.arm_follow(until);
        true
    }

    /// A pid file was read.
    fn hear_of_pid(&mut self, id: u32, run: u64, pid: Option<u32>) {
        let now = clock::monotonic();
        // The answer may be of a run that is over by now.
        let Some(service) = self.services.get_mut(&id).filter(|s| s.run() == run) else {
            return;
        };
        let Some(followed) = service.followed.as_mut().filter(|f| f.said == Said::NotYet) else {
            return;
        };
        followed.said = Said::Pid(pid);
        if followed.look.is_some() {
            self.follow_again(id, now);
        }
    }

    fn take_as_leader(&mut self, id: u32, process: Process) -> bool {
        let Ok(Some(handle)) = Pidfd::open(process.identity) else {
            return false;
        };
        let watched = self
            .poll
            .add(&handle, token(Kind::Leader, id), Interest::ReadOnce);
        let Some(service) = self.services.get_mut(&id) else {
            return false;
        };
        if let Err(error) = watched {
            self.log.say(format_args!(
                "cannot watch process {}: {error}",
                process.identity.pid
            ));
            return false;
        }
        let run = service.run();
        let pid = process.identity.pid;
        if let Some(followed) = &mut service.followed {
            followed.found = true;
            followed.look = None;
            followed.seen = None;
            // A pid file names the main process for certain; without one, the oldest process is a
            // guess.
            followed.guessed = followed.pid_file.is_none().then(clock::monotonic);
        }
        let key = format!("p{id}.{run}");
        // A keeper holds several descriptors under one name, so the old one has to go.
        self.store.forget(&key);
        self.store.put(&key, std::os::fd::AsFd::as_fd(&handle));
        let before = service.leader.replace(Leader {
            identity: process.identity,
            handle,
            // It is ours where this supervisor is its subreaper, or the init of a container.
            child: process.parent == std::process::id(),
            ended: None,
            ended_ticks: 0,
        });
        service.meta.pid = Some(pid);
        service.meta.ticks = Some(process.identity.start);
        service.meta.followed = Some(true);
        service.dirty = true;
        let name = service.name.clone();
        if let Err(error) = self.writer.write_pid(&name, Some(pid)) {
            self.log.say(error);
        }
        // On record before the old leader is reaped, so that a successor finds one of the two.
        self.save(id);
        if let Some(before) = before.filter(|before| before.child) {
            before
                .handle
                .reap()
                .best_effort("on record is who follows it; it is needed no longer");
        }
        self.note(id, EventKind::Followed { run, pid });
        self.step(id, Event::Launched);
        true
    }

    /// Who belongs to the run of a service now.
    fn members_of(&mut self, id: u32) -> Vec<Process> {
        if let Some(members) = self.members_in_group(id) {
            return members;
        }
        let found = self.look(&[id]).unwrap_or_default();
        found.into_iter().map(|(_, process)| process).collect()
    }
}

/// The pid in a file, which may be anything: a person named it.
fn read_pid(file: &Path) -> Option<u32> {
    let mut text = String::new();
    // A person may have named a FIFO, where opening waits, or a device, where reading never ends.
    let opened = sys::open_without_waiting(file).ok()?;
    sys::only_regular(&opened).ok()?;
    opened.take(64).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Program;
    use crate::text::Text;

    #[test]
    fn a_pid_file_is_relative_to_where_the_program_runs() {
        let program = Program {
            file: "d".into(),
            words: vec!["d".into()],
            shell_fallback: false,
        };
        let mut spec = ProcessSpec::new("d", program, "/srv/d");
        assert!(Followed::of(&spec, false).is_none());
        let mut at = |file: &str| {
            spec.daemon = Some(Daemon {
                pid_file: Some(Text::from_bytes(file.as_bytes().to_vec())),
            });
            Followed::of(&spec, false).unwrap().pid_file.unwrap()
        };
        assert_eq!(at("run/d.pid"), PathBuf::from("/srv/d/run/d.pid"));
        assert_eq!(at("/run/d.pid"), PathBuf::from("/run/d.pid"));
        spec.daemon = Some(Daemon::default());
        assert!(Followed::of(&spec, true).is_some_and(|f| f.found && !f.is_looked_for()));
    }
}
