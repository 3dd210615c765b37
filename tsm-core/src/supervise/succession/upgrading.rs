//! The supervisor upgrades itself: the new program is tried on the state first; then this process waits for a moment in
//! which nothing is half done, and executes it in its own place. It stays the same process: its children are still its
//! children, the control socket, the lock and the log pipes stay open, and what waits in them waits for the new one.
//! Connections are closed by that, and whoever asked over one asks again, as after any end of a supervisor.
//!
//! Where the program cannot be executed, everything is as it was. Where it comes up and dies, the guardian begins the
//! program that it was itself made from.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::carried::{Carried, STATE_VERSION};
use crate::control::{PROTOCOL, Reply};
use crate::error::{Error, ErrorKind, IoContext as _, Result};
use crate::fail;
use crate::home::Home;
use crate::store::ProcessStore;
use crate::supervise::guardian::Held;
use crate::supervise::helper::Helper;
use crate::supervise::machine::{self, Phase};
use crate::supervise::service::Service;
use crate::supervise::supervisor::{Ending, Kind, Supervisor, token};
use crate::sys::inotify::{Inotify, Mask};
use crate::sys::poll::Interest;
use crate::sys::{self, Pidfd, Signal, WaitStatus, clock};

/// How long the trial may take.
const TRIAL_PATIENCE: Duration = Duration::from_secs(20);
/// How long a moment is waited for in which nothing is half done.
const QUIET_PATIENCE: Duration = Duration::from_secs(30);
/// How long a supervisor has to be at work before it makes a new guardian: one that dies at once is not made in a circle.
const GUARDIAN_PAUSE: Duration = Duration::from_secs(2);
/// After a program file was replaced, how long until it is tried: who installs one may not be through.
const SETTLE: Duration = Duration::from_secs(2);

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

/// What a program says of itself that was tried on the state of a home.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// Its version.
    pub version: String,
    /// The newest protocol that it speaks.
    pub protocol: u32,
    /// The newest state of a supervisor that it goes on with.
    pub state: u32,
    /// The file that was really executed, by its device and inode.
    #[serde(default)]
    pub file: Option<(u64, u64)>,
    /// Processes whose files it cannot read.
    #[serde(default)]
    pub damaged: Vec<String>,
}

/// Tries this program on the state of a home, and on what a supervisor would hand over, without changing anything.
///
/// # Errors
/// [`Error::NewerLayout`] and whatever else would keep it from going on.
pub fn try_out(home: &Home, handed_over: File) -> Result<Trial> {
    home.check_layout()?;
    Carried::read(handed_over)?;
    let store = ProcessStore::new(home.clone());
    let (records, damaged) = store.records()?;
    let mut unreadable: Vec<String> = damaged
        .into_iter()
        .map(|damage| damage.name.to_string())
        .collect();
    for (name, _) in &records {
        let read = store
            .spec(name)
            .map(drop)
            .and_then(|()| store.environment(name).map(drop))
            .and_then(|()| store.shell(name).map(drop));
        if read.is_err() {
            unreadable.push(name.to_string());
        }
    }
    Ok(Trial {
        version: crate::version::own(),
        protocol: PROTOCOL,
        state: STATE_VERSION,
        file: file_id("/proc/self/exe"),
        damaged: unreadable,
    })
}

fn file_id(path: impl AsRef<Path>) -> Option<(u64, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
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

/// The file that this program was started from, as the kernel knew it then.
pub(in crate::supervise) struct OwnProgram {
    path: PathBuf,
    file: (u64, u64),
    /// The file in its place that was tried already.
    tried: Option<(u64, u64)>,
    /// When a file that took its place is to be tried.
    pub(in crate::supervise) look_at: Option<Duration>,
}

impl OwnProgram {
    pub(in crate::supervise) fn find() -> Option<Self> {
        let path = std::fs::read_link("/proc/self/exe").ok()?;
        let text = path.to_str()?;
        Some(Self {
            path: text.strip_suffix(" (deleted)").unwrap_or(text).into(),
            file: file_id("/proc/self/exe")?,
            tried: None,
            look_at: None,
        })
    }

    /// The file that is in its place now, where it was replaced by one that was not tried yet.
    fn successor(&mut self) -> Option<PathBuf> {
        let now = std::fs::metadata(&self.path).ok()?;
        let file = (now.dev(), now.ino());
        if !now.is_file() || file == self.file || self.tried == Some(file) {
            return None;
        }
        self.tried = Some(file);
        Some(self.path.clone())
    }

    /// Whether a file has taken its place, tried or not.
    fn was_replaced(&self) -> bool {
        file_id(&self.path).is_some_and(|now| now != self.file)
    }
}

impl Supervisor {
    /// A file that is replaced loses its name.
    const PROGRAM_EVENTS: Mask = Mask::ATTRIB.union(Mask::DELETE_SELF).union(Mask::MOVE_SELF);

    /// Watches the file that this program was started from. Where the system has no watches left, a newer command that
    /// comes by is what lets it be looked at.
    pub(in crate::supervise) fn watch_program(&mut self) {
        let Some(program) = self
            .program
            .as_ref()
            .filter(|_| self.options.upgrade.is_some())
        else {
            return;
        };
        let watch = Inotify::new().and_then(|watch| {
            watch.watch(&program.path, Self::PROGRAM_EVENTS)?;
            self.poll
                .add(&watch, token(Kind::Program, 0), Interest::Read)?;
            Ok(watch)
        });
        self.program_watch = watch.ok();
    }

    /// Somebody who is newer asked for something: the program file may have been replaced, or there is another one.
    pub(in crate::supervise) fn meet(&mut self, client: Option<&str>) {
        let own = crate::version::own();
        let Some(newer) = client.filter(|client| crate::version::is_newer(client, &own)) else {
            return;
        };
        let Some(program) = &mut self.program else {
            return;
        };
        if self.options.upgrade.is_some() && program.was_replaced() {
            program.look_at.get_or_insert_with(clock::monotonic);
            return;
        }
        let notice = format!(
            "tsm {newer} is newer than the supervisor ({own}); 'tsm supervisor upgrade' upgrades it"
        );
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    /// The kernel says that something became of the file that this program was started from.
    pub(in crate::supervise) fn on_program_changed(&mut self) {
        if let Some(watch) = &self.program_watch {
            // What it was is looked at in a while, whatever it was.
            let _ = watch.read_events();
        }
        if let Some(program) = &mut self.program {
            program.look_at = Some(clock::monotonic() + SETTLE);
        }
    }

    /// Tries a program file that has taken the place of ours.
    pub(in crate::supervise) fn look_for_successor(&mut self) {
        let Some(program) = &mut self.program else {
            return;
        };
        if program.look_at.is_none_or(|at| at > clock::monotonic()) {
            return;
        }
        program.look_at = None;
        if self.upgrade.is_some() || self.ending != Ending::No {
            return;
        }
        let path = program.successor();
        // What is in its place now may be replaced in its turn.
        if let Some(watch) = &self.program_watch {
            let _ = watch.watch(&program.path, Self::PROGRAM_EVENTS);
        }
        if let Some(path) = path
            && let Err(error) = self.try_program(&path, None)
        {
            self.log.say(format_args!(
                "{} was replaced, and cannot be tried: {error}",
                path.display()
            ));
        }
    }

    /// A command asks for an upgrade to the program at `path`.
    pub(in crate::supervise) fn upgrade_to(&mut self, number: u32, path: &Path) -> Result<()> {
        if self.ending != Ending::No || self.handover.is_some() {
            return Err(Error::bad_value("supervisor", "it is ending; try again"));
        }
        if self.upgrade.is_some() {
            let reason = "another upgrade is under way; try again in a moment";
            return Err(Error::bad_value("upgrade", reason));
        }
        self.try_program(path, Some(number))?;
        self.say(number, &Reply::Accepted { names: Vec::new() });
        Ok(())
    }

    fn try_program(&mut self, path: &Path, connection: Option<u32>) -> Result<()> {
        let Some(words) = self.options.upgrade.as_ref().map(|words| &words.trial) else {
            let reason = "the program that embeds this supervisor does not know how";
            return Err(Error::bad_value("upgrade", reason));
        };
        let program = File::open(path).at("open", path)?;
        let (state, _) = self.carry();
        // Numbers and strings: serializing them does not fail.
        let state = serde_json::to_vec(&state).unwrap_or_default();
        let state = sys::spawn::memory_file(&state).doing("make a file in memory")?;
        let mut command = Command::new(path);
        let own = |name: &OsString| {
            ["LISTEN_", "TSM_S", "NOTIFY_SOCKET"]
                .iter()
                .any(|own| name.to_string_lossy().starts_with(own))
        };
        let variables = self.options.environment.iter();
        let mut child = command
            .args(words.iter().skip(1))
            .env_clear()
            .envs(variables.filter(|(name, _)| !own(name)).cloned())
            .stdin(Stdio::from(state))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .at("execute", path)?;
        let handle = Pidfd::open_child(child.id()).doing("watch the trial")?;
        let Some(said) = child.stdout.take() else {
            return Err(Error::bad_value("upgrade", "the trial has no output"));
        };
        self.poll
            .add(&handle, token(Kind::Trial, 0), Interest::Read)
            .doing("watch the trial")?;
        self.upgrade = Some(Upgrade {
            connection,
            path: path.to_owned(),
            program,
            role: Role::Supervisor,
            stage: Stage::Trying {
                child: handle,
                said: File::from(std::os::fd::OwnedFd::from(said)),
            },
            until: clock::monotonic() + TRIAL_PATIENCE,
        });
        Ok(())
    }

    /// The trial has ended.
    pub(in crate::supervise) fn on_trial_ended(&mut self) {
        let Some(mut upgrade) = self.upgrade.take() else {
            return;
        };
        let Stage::Trying { child, said } = &mut upgrade.stage else {
            self.upgrade = Some(upgrade);
            return;
        };
        let status = child.reap().ok().flatten();
        let mut text = Vec::new();
        // It has ended, so that this does not wait: a pipe that a child of its own may hold is not read to its end.
        let _ = sys::fd::set_nonblocking(&*said);
        let _ = said.take(64 << 10).read_to_end(&mut text);
        let _ = self.poll.remove(&*child);
        let trial = serde_json::from_slice::<Trial>(&text).map_err(|_no_trial| {
            let text = String::from_utf8_lossy(&text);
            let status = status.map_or_else(|| "ended".to_owned(), WaitStatus::in_words);
            match text.trim() {
                "" => format!("its trial said nothing ({status})"),
                text => text.trim_start_matches("tsm: ").to_owned(),
            }
        });
        let trial = trial.and_then(|trial| self.judge(&upgrade, trial));
        match trial {
            Ok(trial) => {
                self.log.say(format_args!(
                    "upgrading from tsm {} to {} ({})",
                    crate::version::own(),
                    trial.version,
                    upgrade.path.display()
                ));
                fail::point("upgrade-1-tried");
                upgrade.stage = Stage::Quieting;
                upgrade.until = clock::monotonic() + QUIET_PATIENCE;
                self.upgrade = Some(upgrade);
            }
            Err(reason) => self.refuse_upgrade(&upgrade, &reason),
        }
    }

    /// Whether what the trial says is good enough.
    fn judge(&self, upgrade: &Upgrade, trial: Trial) -> std::result::Result<Trial, String> {
        let own = crate::version::own();
        if upgrade.connection.is_none() && !crate::version::is_newer(&trial.version, &own) {
            return Err(format!(
                "it is tsm {} and not newer than this one, {own}",
                trial.version
            ));
        }
        if crate::version::is_newer(&own, &trial.version) {
            return Err(format!(
                "it is tsm {} and older than the supervisor, {own}",
                trial.version
            ));
        }
        let store = self.writer.store();
        let lost = trial.damaged.iter().find(|name| {
            name.parse().is_ok_and(|name| {
                store.meta(&name).is_ok()
                    && store.spec(&name).is_ok()
                    && store.environment(&name).is_ok()
            })
        });
        if let Some(name) = lost {
            return Err(format!("it cannot read the files of '{name}'"));
        }
        let opened = upgrade.program.metadata().ok();
        let opened = opened.map(|meta| (meta.dev(), meta.ino()));
        if file_id(&upgrade.path) != opened {
            return Err("it was replaced while it was tried; try again".to_owned());
        }
        if trial.file != opened {
            return Err(
                "it is no tsm itself, but something that executes one; use that one".to_owned(),
            );
        }
        Ok(trial)
    }

    fn refuse_upgrade(&mut self, upgrade: &Upgrade, reason: &str) {
        if upgrade.role == Role::Guardian {
            self.log.say(format_args!(
                "no new guardian: {reason}; services and logs are safe as long as this supervisor lives"
            ));
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
        for (number, request, blob) in std::mem::take(&mut self.deferred) {
            self.obey(number, request, &blob);
        }
    }

    /// Whether what comes in has to wait for the program that takes over.
    pub(in crate::supervise) fn is_quieting(&self) -> bool {
        matches!(
            &self.upgrade,
            Some(Upgrade {
                stage: Stage::Quieting,
                ..
            })
        )
    }

    /// Goes on with an upgrade: gives it up where it takes too long, and executes the new program in a quiet moment.
    pub(in crate::supervise) fn go_on_upgrading(&mut self) {
        self.make_guardian_if_due();
        let Some(upgrade) = &self.upgrade else { return };
        let late = upgrade.until <= clock::monotonic();
        match &upgrade.stage {
            Stage::Trying { child, .. } if late => {
                // A child of ours that is not reaped.
                let _ = child.signal(Signal::KILL);
            }
            Stage::Trying { .. } => {}
            Stage::Quieting if self.ending != Ending::No => {
                if let Some(upgrade) = self.upgrade.take() {
                    self.refuse_upgrade(&upgrade, "the supervisor is ending");
                }
            }
            Stage::Quieting if self.is_quiet() => {
                if let Some(upgrade) = self.upgrade.take() {
                    self.execute_upgrade(&upgrade);
                }
            }
            Stage::Quieting if late => {
                if let Some(upgrade) = self.upgrade.take() {
                    let reason = "no quiet moment came in 30 s; try again";
                    self.refuse_upgrade(&upgrade, reason);
                }
            }
            Stage::Quieting => {}
        }
    }

    /// Whether nothing is half done that only this program's memory knows of.
    fn is_quiet(&self) -> bool {
        let half_done = |service: &Service| {
            let hook_runs = matches!(
                service.machine.phase,
                Phase::Ending {
                    stage: machine::Stage::PreStop | machine::Stage::PostStop,
                    ..
                }
            );
            let forks = service.followed.as_ref().is_some_and(|f| f.is_looked_for());
            service.report.is_some() || hook_runs || forks
        };
        !self.services.values().any(half_done)
            && self.being_replaced.is_empty()
            && self.shells.is_empty()
            && self.resurrections.is_empty()
            && self.forgotten.is_empty()
            && self.saves_under_way == 0
            && self.unsaved.is_empty()
            && self.unwritten.is_empty()
            && self.handover.is_none()
            && !self.helper.has_urgent_work()
            && !self.store.is_backed_up()
    }

    /// The guardian is gone. In a quiet moment this process goes on as the guardian: the services stay its children, so
    /// that it learns how they end, and the supervisor that it starts finds them by their records.
    pub(in crate::supervise) fn plan_new_guardian(&mut self) {
        if self.options.upgrade.is_none() || self.options.foreground || self.ending != Ending::No {
            return;
        }
        self.new_guardian_at = Some(clock::monotonic().max(self.begun + GUARDIAN_PAUSE));
    }

    /// Begins with that, when it is time.
    fn make_guardian_if_due(&mut self) {
        let due = self
            .new_guardian_at
            .is_some_and(|at| at <= clock::monotonic());
        if !due || self.upgrade.is_some() {
            return;
        }
        self.new_guardian_at = None;
        let path = PathBuf::from("/proc/self/exe");
        match File::open(&path) {
            Ok(program) => {
                self.upgrade = Some(Upgrade {
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
            self.save(id);
        }
        self.flush_connections();
        self.kill_all_errands();
        for error in self.helper.finish() {
            self.log.say(error);
        }
        fail::point("upgrade-2-quiet");
        let executed = if fail::fails("upgrade-execute") {
            Ok(std::io::Error::from_raw_os_error(libc::ENOMEM))
        } else {
            let (state, keep) = self.carry();
            let state = match upgrade.role {
                Role::Supervisor => serde_json::to_vec(&state),
                Role::Guardian => serde_json::to_vec(&Held::of_supervisor(state.fds)),
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
        if let Err(error) = self.new_helper() {
            self.log.say(error);
        }
        error
    }
    fn new_helper(&mut self) -> Result<()> {
        let _ = self.poll.remove(self.helper.event());
        self.helper = Helper::new(self.writer.home().root()).doing("make an event descriptor")?;
        self.poll
            .add(self.helper.event(), token(Kind::Helper, 0), Interest::Read)
            .doing("watch the helper")
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
        self.unattributed = unattributed
            .map(|&(pid, start)| sys::Identity { pid, start })
            .collect();
        self.carried = Some(carried);
        if self.store.guardian_socket().is_some()
            && let Ok(program) = File::open("/proc/self/exe")
        {
            self.store.upgrade_guardian(program.as_fd());
        }
    }
}
