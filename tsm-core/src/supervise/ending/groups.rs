//! One cgroup for each service, where a part of the tree was given to the supervisor: who belongs to a service is known
//! exactly then, all of it is ended at once, and the kernel holds it to its limits.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::BestEffort as _;
use crate::events::{EventKind, OutOfMemory};
use crate::name::ProcessName;
use crate::spec::ServiceLimits;
use crate::supervise::care::sampling::Watched;
use crate::supervise::machine::Event;
use crate::supervise::supervisor::Supervisor;
use crate::supervise::worklog::WorkLog;
use crate::sys::procfs::{self, Process};
use crate::sys::{self, cgroup};

/// The controllers that limits need.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// How long the user's own systemd may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The period that shares of CPU time are measured in, in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// The part of the tree that was given to this supervisor.
pub(in crate::supervise) struct Groups {
    root: PathBuf,
    /// Which controllers the groups of services have.
    controllers: Vec<&'static str>,
}

/// The group of one run, made and limited, and still empty.
pub(super) struct MadeGroup {
    pub(super) path: PathBuf,
    /// Who writes `0` here joins it.
    pub(super) join: File,
    /// The limits that it does not hold its processes to.
    pub(super) not_held: ServiceLimits,
}

impl Groups {
    /// Finds the part of the tree that was given to this supervisor, and moves it and its guardian into a group of their
    /// own there, since the kernel limits only groups without processes in their parents.
    /// `own_unit`: what a command asked the user's systemd for, which need not be asked about it.
    pub(in crate::supervise) fn find(
        guardian: Option<u32>,
        own_unit: Option<&str>,
        log: &mut WorkLog,
    ) -> Option<Self> {
        let root =
            cgroup::delegated(|unit| own_unit == Some(unit) || is_delegated_by_user_manager(unit))?;
        let own = root.join(cgroup::SUPERVISOR);
        let moved = cgroup::make(&own).and_then(|_| {
            for pid in guardian.into_iter().chain([std::process::id()]) {
                cgroup::put(&own, pid)?;
            }
            Ok(())
        });
        if let Err(error) = moved {
            log.say(format_args!(
                "cannot use the cgroup {}: {error}",
                root.display()
            ));
            return None;
        }
        let mut controllers = CONTROLLERS.to_vec();
        // What lacks its controller is then in `not_held`, and measured by the supervisor where
        // that is possible.
        controllers.retain(|controller| cgroup::enable(&root, controller).is_ok());
        log.say(format_args!(
            "each service has a cgroup of its own below {}, {}",
            root.display(),
            if controllers.is_empty() {
                "without controllers".to_owned()
            } else {
                format!("with {}", controllers.join(", "))
            }
        ));
        Some(Self { root, controllers })
    }

    /// Makes the group of a service, with its limits.
    ///
    /// # Errors
    /// Where it cannot be made; a limit that cannot be set is in what it returns.
    pub(super) fn make(
        &self,
        name: &ProcessName,
        limits: &ServiceLimits,
    ) -> std::io::Result<MadeGroup> {
        let path = self.root.join(cgroup::of_service(name));
        let join = cgroup::make(&path)?;
        let not_held = self.hold(&path, limits);
        Ok(MadeGroup {
            path,
            join,
            not_held,
        })
    }

    /// Sets the limits of a group, and returns those that it does not hold its processes to.
    fn hold(&self, path: &Path, limits: &ServiceLimits) -> ServiceLimits {
        let mut not_held = ServiceLimits::default();
        let set = |controller: &str, file: &str, value: Option<String>| {
            let limited = value.is_some();
            // Without a limit, what an earlier run may have been held to goes.
            let value = value.unwrap_or_else(|| "max".to_owned());
            let done =
                self.controllers.contains(&controller) && cgroup::set(path, file, &value).is_ok();
            done || !limited
        };
        if !set(
            "memory",
            "memory.max",
            limits.memory.map(|bytes| bytes.to_string()),
        ) {
            not_held.memory = limits.memory;
        }
        if limits.memory.is_some() && not_held.memory.is_none() {
            // A limit of the whole service ends the whole service, not the one process that asked last; and it is one of
            // memory, not one that swapping gets around. Either may be missing in a kernel.
            cgroup::set(path, "memory.oom.group", "1")
                .best_effort("a kernel may have no such file");
            cgroup::set(path, "memory.swap.max", "0").best_effort("a kernel may have no such file");
        }
        if !set(
            "pids",
            "pids.max",
            limits.tasks.map(|tasks| tasks.to_string()),
        ) {
            not_held.tasks = limits.tasks;
        }
        let quota = limits
            .cpu
            .map(|share| format!("{} {CPU_PERIOD}", u64::from(share.0) * CPU_PERIOD / 1000));
        if !set("cpu", "cpu.max", quota) {
            not_held.cpu = limits.cpu;
        }
        not_held
    }

    /// Sets the limits of a group anew that a supervisor before made: between the two its controllers may have been away, see
    /// [`make_room`].
    fn hold_again(&self, path: &Path, limits: &ServiceLimits) {
        // The group may be in another part of the tree than the one that is ours now.
        if path.starts_with(&self.root) && *limits != ServiceLimits::default() {
            self.hold(path, limits);
        }
    }
}

/// Makes room for the next main process of a unit that delegates its cgroup, where this process is one that systemd executes after
/// the end of the main one (`ExecStopPost=`): it puts the next one into the unit's own group, and the kernel lets no process into
/// a group whose groups below have controllers (`cgroups(7)`, "no internal processes"). A supervisor that comes up moves out of there and takes the controllers
/// again. From version 254 on systemd can do without (`DelegateSubgroup=`).
///
/// # Errors
/// The system's.
pub fn make_room() -> std::io::Result<()> {
    // systemd gives what it executes besides the main process a group of its own below the unit's.
    const CONTROL: &str = ".control";
    let Some(own) = cgroup::own() else {
        return Ok(());
    };
    let unit = own.parent().filter(|_| own.ends_with(CONTROL));
    CONTROLLERS.iter().try_for_each(|controller| {
        let Some(unit) = unit else { return Ok(()) };
        match cgroup::disable(unit, controller) {
            // There is no such controller here.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    })
}

/// Whether the user's own systemd says of a unit that it delegates its group. One that does not answer says nothing.
fn is_delegated_by_user_manager(unit: &str) -> bool {
    let asked = Command::new("systemctl")
        .args([
            "--user",
            "show",
            "--property=Delegate",
            "--value",
            "--",
            unit,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = asked else { return false };
    let answer = child.stdout.take().and_then(|mut stdout| {
        // A user manager that hangs must not keep the supervisor from starting.
        let answered = sys::poll::wait_readable(&stdout, Some(PATIENCE)).ok()?;
        let mut text = [0; 16];
        let length = answered.then(|| stdout.read(&mut text).ok())??;
        Some(text[..length].starts_with(b"yes"))
    });
    // Killed before it is waited for, since it may hang.
    if answer.is_none() {
        child
            .kill()
            .best_effort("it is a child of ours that was not waited for");
    }
    child
        .wait()
        .best_effort("it is a child of ours that was not waited for");
    answer.unwrap_or(false)
}

impl Supervisor {
    /// The group of a service, as long as its run, or what is left of it, is in one.
    pub(super) fn group_of(&self, id: u32) -> Option<&Path> {
        self.services
            .get(&id)?
            .meta
            .cgroup
            .as_deref()
            .map(Path::new)
    }

    /// Holds an adopted service to its limits again.
    pub(in crate::supervise) fn hold_again(&self, group: Option<&str>, limits: &ServiceLimits) {
        if let (Some(groups), Some(group)) = (&self.groups, group) {
            groups.hold_again(Path::new(group), limits);
        }
    }

    /// Makes the group of the next run of a service, and returns the file through which its process joins it. Where there
    /// is none, or it cannot be made, the service runs without.
    pub(in crate::supervise) fn make_group(
        &mut self,
        id: u32,
        name: &ProcessName,
        limits: &ServiceLimits,
    ) -> Option<File> {
        let made = self.groups.as_ref().map(|groups| groups.make(name, limits));
        let (join, path, not_held) = match made {
            Some(Ok(made)) => (Some(made.join), Some(made.path), made.not_held),
            Some(Err(error)) => {
                self.log
                    .say(format_args!("cannot make the cgroup of '{name}': {error}"));
                (None, None, *limits)
            }
            None => (None, None, *limits),
        };
        let path = path.and_then(|path| path.into_os_string().into_string().ok());
        if let Some(service) = self.services.get_mut(&id) {
            service.meta.cgroup = path;
            // A limit that the run before hit says nothing of this one.
            service.over_limit = None;
        }
        self.watch_limits(id, Watched::of(&not_held));
        if let Some(share) = not_held.cpu {
            let notice = format!(
                "'{name}' is not held to {share} of a core: it has no cgroup with the cpu controller"
            );
            // Not a second time while no command has taken the first.
            if !self.notices.contains(&notice) {
                self.log.say(&notice);
                self.notices.push(notice);
            }
        }
        join
    }

    /// Who is in the group of a service; `None` where it has none.
    pub(in crate::supervise) fn members_in_group(&self, id: u32) -> Option<Vec<Process>> {
        let group = self.group_of(id)?;
        let pids = match cgroup::members(group) {
            Ok(pids) => pids,
            // A group that is gone has nobody in it. Any other error says nothing.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(_) => return None,
        };
        let processes = pids.into_iter().filter_map(procfs::process);
        let alive = processes.filter(|process| !process.ended);
        let inside: HashMap<u32, Process> = alive
            .map(|process| (process.identity.pid, process))
            .collect();
        // A supervisor that was started from within the service, and what it has started, are none of it. Where that
        // cannot be told, the group tells nothing.
        let is_another_s = |process: &Process| {
            let above = |process: &&Process| inside.get(&process.parent);
            // No more steps than processes: parents are read one after the other and may seem to
            // form a circle.
            let mut line = std::iter::successors(Some(process), above).take(inside.len());
            line.try_fold(false, |found, process| {
                Ok::<_, std::io::Error>(found || super::is_supervisor(process.identity.pid)?)
            })
        };
        let mut members = Vec::new();
        for process in inside.values() {
            if !is_another_s(process).ok()? {
                members.push(*process);
            }
        }
        Some(members)
    }

    /// Looks what of a run is left, where its group knows. `false` where it has none.
    pub(super) fn sweep_group(&mut self, id: u32) -> bool {
        let Some(members) = self.members_in_group(id) else {
            return false;
        };
        let (group, rest) = self.watch_members(id, &members);
        self.step(id, Event::Swept { group, rest });
        true
    }

    /// Ends everybody in the group of a service, at once. `false` where it has none, or somebody is in it who may not be
    /// ended along with it: a supervisor that was started from within the service.
    pub(super) fn kill_group_of(&self, id: u32) -> bool {
        let Some(group) = self.group_of(id) else {
            return false;
        };
        let all_its_own = cgroup::members(group).is_ok_and(|pids| {
            let answers = pids.into_iter().map(super::is_supervisor);
            answers
                .into_iter()
                .all(|answer| matches!(answer, Ok(false)))
        });
        // `cgroup.kill` also deals with forks that happen meanwhile, which signals one by one do
        // not.
        all_its_own && cgroup::kill(group).is_ok()
    }

    /// A run is over: its group goes, with its counters, unless something of it is left.
    pub(in crate::supervise) fn remove_group_of(&mut self, id: u32) {
        // A group with somebody in it cannot be removed, which is the kernel's own check that
        // nothing is left.
        let gone = self.group_of(id).is_some_and(cgroup::remove);
        if let Some(service) = self.services.get_mut(&id).filter(|_| gone) {
            service.meta.cgroup = None;
            service.dirty = true;
        }
    }

    /// How often the OOM killer was at work in the group of a service; `None` where it has none that counts.
    pub(in crate::supervise) fn kills_in_group(&self, id: u32) -> Option<u64> {
        cgroup::counter(self.group_of(id)?, "memory.events", "oom_kill")
    }

    /// What the OOM killer had to do with the end of a run, as its own group counts it.
    pub(in crate::supervise) fn out_of_memory_in_group(&self, id: u32) -> Option<OutOfMemory> {
        let kills = self.kills_in_group(id)?;
        (kills > 0).then(|| OutOfMemory {
            limit_bytes: self
                .group_of(id)
                .and_then(|group| cgroup::number(group, "memory.max")),
            since: None,
        })
    }

    /// Notes which limits of a group its run came up against, before its counters go.
    pub(in crate::supervise) fn note_limits_of_group(&mut self, id: u32) {
        let Some(group) = self.group_of(id) else {
            return;
        };
        let hits = |file: &str, name: &str| cgroup::counter(group, file, name).unwrap_or(0) > 0;
        let told = [
            ("memory", "memory.max", hits("memory.events", "oom_kill")),
            ("tasks", "pids.max", hits("pids.events", "max")),
        ];
        let hit = told.into_iter().filter(|(.., hit)| *hit);
        let hit: Vec<(&str, u64)> = hit
            // Without a limit of its own the file reads `max`: then a group above was full, or the
            // machine.
            .filter_map(|(limit, file, _)| Some((limit, cgroup::number(group, file)?)))
            .collect();
        let run = self
            .services
            .get(&id)
            .map_or(0, crate::supervise::service::Service::run);
        for (limit, allowed) in hit {
            self.note(
                id,
                EventKind::LimitHit {
                    run,
                    limit: limit.to_owned(),
                    allowed,
                    used: None,
                },
            );
        }
    }
}
