//! The supervisor upgrades itself: the new program is tried on the state first; then this process waits for a moment in
//! which nothing is half done, and executes it in its own place. It stays the same process: its children are still its
//! children, the control socket, the lock and the log pipes stay open, and what waits in them waits for the new one.
//! Connections are closed by that, and whoever asked over one asks again, as after any end of a supervisor.
//!
//! Where the program cannot be executed, everything is as it was. Where it comes up and dies, the guardian begins the
//! program that it was itself made from.

mod program;
mod trial;

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(in crate::supervise) use program::OwnProgram;
use trial::file_id;
pub use trial::{Trial, try_out};

use super::carried::Carried;
use crate::control::Reply;
use crate::error::{BestEffort as _, Error, ErrorKind, IoContext as _, Result};
use crate::fail;
use crate::supervise::care::errands::Errand;
use crate::supervise::guardian::Held;
use crate::supervise::machine::{self, Phase};
use crate::supervise::service::Service;
use crate::supervise::supervisor::{Ending, Kind, Supervisor, token};
use crate::supervise::worker::Worker;
use crate::sys::inotify::Mask;
use crate::sys::poll::Interest;
use crate::sys::{self, Pidfd, Signal, clock, errno};

/// How long a moment is waited for in which nothing is half done.
const QUIET_PATIENCE: Duration = Duration::from_secs(30);
/// How long a supervisor has to be at work before it makes a new guardian: one that dies at once is not made in a circle.
const GUARDIAN_PAUSE: Duration = Duration::from_secs(2);
/// The words, the program's own name first, by which a program that embeds this library is told what to be.
#[derive(Clone, Debug)]
pub struct UpgradeWords {
    /// To go on as this supervisor.
    pub supervisor: Vec<OsString>,
    /// To go on as its guardian.
    pub guardian: Vec<OsString>,
    /// To [try itself out](try_out) on the state, and print what comes of it.
    pub trial: Vec<OsString>,
}

/// An upgrade that is under way.
pub(in crate::supervise) struct Upgrade {
    /// The command that asked for it; nobody did where the program file was replaced.
    connection: Option<u32>,
    path: PathBuf,
    program: File,
    role: Role,
    stage: Stage,
    until: Duration,
}

/// What this process goes on as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Supervisor,
    /// The guardian was killed: this process, whose children the services are, takes its place and starts a supervisor.
    Guardian,
}

enum Stage {
    /// The new program is being tried.
    Trying { child: Pidfd, said: File },
    /// What is half done comes to its end first.
    Quieting,
}

impl Upgrade {
    /// When it is given up.
    pub(in crate::supervise) fn deadline(&self) -> Duration {
        self.until
    }
}

impl Supervisor {
    /// A file that is replaced loses its name.
    const PROGRAM_EVENTS: Mask = Mask::ATTRIB.union(Mask::DELETE_SELF).union(Mask::MOVE_SELF);

    /// A command asks for an upgrade to the program at `path`.
    pub(in crate::supervise) fn upgrade_to(&mut self, number: u32, path: &Path) -> Result<()> {
        // A handover gives everything to another process, and there would be nothing left to go on
        // with.
        if self.ending != Ending::No || self.succession.handover.is_some() {
            return Err(Error::bad_value("supervisor", "it is ending; try again"));
        }
        if self.succession.upgrade.is_some() {
            let reason = "another upgrade is under way; try again in a moment";
            return Err(Error::bad_value("upgrade", reason));
        }
        self.try_program(path, Some(number))?;
        self.say(number, &Reply::Accepted { names: Vec::new() });
        Ok(())
    }

    fn refuse_upgrade(&mut self, upgrade: &Upgrade, reason: &str) {
        if upgrade.role == Role::Guardian {
            self.log.say(format_args!(
                "no new guardian: {reason}; services and logs are safe as long as this supervisor lives"
            ));
            self.succession.new_guardian_at = Some(clock::monotonic() + QUIET_PATIENCE);
            return self.obey_deferred();
        }
        let reason = format!(
            "{} is not taken, tsm {} goes on: {reason}",
            upgrade.path.display(),
            crate::version::own()
        );
        self.log.say(format_args!("upgrade: {reason}"));
        if let Some(number) = upgrade.connection {
            self.fail(
                number,
                &Error::Reported {
                    kind: ErrorKind::Failed,
                    message: reason.clone(),
                },
            );
        }
        self.obey_deferred();
    }

    fn obey_deferred(&mut self) {
        for (number, request, blob) in std::mem::take(&mut self.replacing.deferred) {
            // They came in while nothing new was begun, and are carried out by this program after
            // all.
            self.obey(number, request, &blob);
        }
    }

    /// Whether what comes in has to wait for the program that takes over.
    pub(in crate::supervise) fn is_quieting(&self) -> bool {
        !self.has_hooks_under_way()
            && matches!(
                &self.succession.upgrade,
                Some(Upgrade {
                    stage: Stage::Quieting,
                    ..
                })
            )
    }

    /// Goes on with an upgrade: gives it up where it takes too long, and executes the new program in a quiet moment.
    pub(in crate::supervise) fn go_on_upgrading(&mut self) {
        // First, since what comes of it is an upgrade as well.
        self.make_guardian_if_due();
        let Some(upgrade) = &self.succession.upgrade else {
            return;
        };
        let late = upgrade.until <= clock::monotonic();
        match &upgrade.stage {
            Stage::Trying { child, .. } if late => {
                child
                    .signal(Signal::KILL)
                    .best_effort("a child of ours that is not reaped");
            }
            Stage::Trying { .. } => {}
            Stage::Quieting if self.ending != Ending::No => {
                if let Some(upgrade) = self.succession.upgrade.take() {
                    self.refuse_upgrade(&upgrade, "the supervisor is ending");
                }
            }
            Stage::Quieting if self.is_quiet() => {
                if let Some(upgrade) = self.succession.upgrade.take() {
                    self.execute_upgrade(&upgrade);
                }
            }
            Stage::Quieting if late || fail::fails("upgrade-late") => {
                if let Some(upgrade) = self.succession.upgrade.take() {
                    let reason = "no quiet moment came in 30 s; try again";
                    self.refuse_upgrade(&upgrade, reason);
                }
            }
            Stage::Quieting => {}
        }
    }

    /// Hooks are run to their ends, and their ends known. They may take long: so nobody else waits for them.
    fn has_hooks_under_way(&self) -> bool {
        self.errands.running.values().any(Errand::happens_once)
    }

    /// Whether nothing is half done that only this program's memory knows of.
    fn is_quiet(&self) -> bool {
        let half_done = |service: &Service| {
            let hook_runs = matches!(
                service.machine.phase,
                Phase::Ending {
                    // A hook that is cut off here would never be run again.
                    stage: machine::Stage::PreStop | machine::Stage::PostStop,
                    ..
                }
            );
            let forks = service.followed.as_ref().is_some_and(|f| f.is_looked_for());
            service.report.is_some() || hook_runs || forks
        };
        !self.services.values().any(half_done)
            && !self.has_hooks_under_way()
            && self.replacing.ids.is_empty()
            && self.launching.shells.is_empty()
            && self.resurrecting.under_way.is_empty()
            && self.launching.forgotten.is_empty()
            && self.resurrecting.saves == 0
            && self.records.unsaved.is_empty()
            && self.records.unwritten.is_empty()
            && self.succession.handover.is_none()
            && !self.worker.has_urgent_work()
            // Descriptors that wait to be sent to the keeper would be lost.
            && !self.store.is_backed_up()
    }

    /// The guardian is gone. In a quiet moment this process goes on as the guardian: the services stay its children, so
    /// that it learns how they end, and the supervisor that it starts finds them by their records.
    pub(in crate::supervise) fn plan_new_guardian(&mut self) {
        if self.options.upgrade.is_none() || self.options.foreground || self.ending != Ending::No {
            return;
        }
        let now = clock::monotonic();
        let at = now.max(self.succession.begun + GUARDIAN_PAUSE);
        let in_unit = crate::supervise::unit::of_environment(&self.options.environment).is_some();
        self.succession.new_guardian_at = Some(if in_unit {
            at.max(now + crate::supervise::unit::PATIENCE)
        } else {
            at
        });
    }

    /// Begins with that, when it is time.
    fn make_guardian_if_due(&mut self) {
        let due = self
            .succession
            .new_guardian_at
            .is_some_and(|at| at <= clock::monotonic());
        if !due || self.succession.upgrade.is_some() {
            return;
        }
        self.succession.new_guardian_at = None;
        // The program that runs, whatever has its name by now (`proc_pid_exe(5)`): this is no upgrade.
        let path = PathBuf::from("/proc/self/exe");
        match File::open(&path) {
            Ok(program) => {
                self.succession.upgrade = Some(Upgrade {
                    connection: None,
                    path,
                    program,
                    role: Role::Guardian,
                    stage: Stage::Quieting,
                    until: clock::monotonic() + QUIET_PATIENCE,
                });
            }
            Err(error) => self
                .log
                .say(format_args!("cannot make a new guardian: {error}")),
        }
    }

    /// Executes the program in the place of this one, with everything that it needs to go on. Returns only where that
    /// fails; then this one goes on.
    fn execute_upgrade(&mut self, upgrade: &Upgrade) {
        let Some(words) = self.options.upgrade.as_ref() else {
            return;
        };
        let words = match upgrade.role {
            Role::Supervisor => words.supervisor.clone(),
            Role::Guardian => words.guardian.clone(),
        };
        let error = self.become_program(upgrade, &words);
        self.refuse_upgrade(upgrade, &format!("it cannot be executed: {error}"));
    }

    fn become_program(&mut self, upgrade: &Upgrade, words: &[OsString]) -> Error {
        let ids: Vec<u32> = self.services.keys().copied().collect();
        for id in ids {
            // The records are what a successor goes by if it cannot read the state.
            self.save(id);
        }
        self.flush_connections();
        self.kill_all_errands();
        // Threads do not outlive an `execve(2)`: what the worker was given is done before.
        for error in self.worker.finish() {
            self.log.say(error);
        }
        fail::point("upgrade-2-quiet");
        let executed = if fail::fails("upgrade-execute") {
            Ok(std::io::Error::from_raw_os_error(errno::ENOMEM))
        } else {
            let (state, keep) = self.carry();
            let state = match upgrade.role {
                Role::Supervisor => crate::json::line(&state),
                Role::Guardian => crate::json::line(&Held::of_supervisor(state.fds)),
            };
            let state = state.unwrap_or_default();
            sys::spawn::memory_file(&state)
                .doing("make a file in memory")
                .map(|state| {
                    sys::spawn::execute_in_place(
                        upgrade.program.as_fd(),
                        words,
                        &self.options.environment,
                        state.as_fd(),
                        &keep,
                    )
                })
        };
        let error = match executed {
            Ok(source) => Error::System {
                action: "execute it in the place of this supervisor",
                source,
            },
            Err(error) => error,
        };
        // The one before was finished above, and this program goes on.
        if let Err(error) = self.new_worker() {
            self.log.say(error);
        }
        error
    }

    fn new_worker(&mut self) -> Result<()> {
        // The old event descriptor goes with the worker that it belonged to.
        self.poll.unwatch(self.worker.event());
        self.worker = Worker::new(self.writer.home().root()).doing("make an event descriptor")?;
        self.poll
            .add(self.worker.event(), token(Kind::Worker, 0), Interest::Read)
            .doing("watch the worker")
    }

    /// The first act after an upgrade: what was handed over that belongs to no service is taken, and the guardian is asked
    /// to follow, so that the supervisors that it may have to start are of this version as well.
    pub(in crate::supervise) fn go_on_after_upgrade(&mut self, carried: Carried) {
        fail::point("upgrade-3-executed");
        self.log.say(format_args!(
            "this is tsm {}, in the place of {}",
            crate::version::own(),
            carried.tsm
        ));
        self.started_ms = carried.started_ms;
        self.highest_id = carried.highest_id;
        self.notices.extend(carried.notices.iter().cloned());
        let unattributed = carried.unattributed.iter();
        self.sweeping.unattributed = unattributed
            .map(|&(pid, start)| sys::Identity { pid, start })
            .collect();
        self.succession.carried = Some(carried);
        if self.store.guardian_socket().is_some()
            && let Ok(program) = File::open("/proc/self/exe")
        {
            self.store.upgrade_guardian(program.as_fd());
        }
    }
}
