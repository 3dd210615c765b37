//! The trial of a new program: it reads the state of the home, and says what it makes of that, before anybody depends on it.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{QUIET_PATIENCE, Role, Stage, Upgrade};
use crate::control::PROTOCOL;
use crate::error::{BestEffort as _, Error, IoContext as _, Result};
use crate::fail;
use crate::home::Home;
use crate::store::ProcessStore;
use crate::supervise::succession::carried::{Carried, STATE_VERSION};
use crate::supervise::supervisor::{Kind, Supervisor, token};
use crate::sys::poll::Interest;
use crate::sys::{self, Pidfd, WaitStatus, clock};

/// How long the trial may take.
const TRIAL_PATIENCE: Duration = Duration::from_secs(20);

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

pub(super) fn file_id(path: impl AsRef<Path>) -> Option<(u64, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

impl Supervisor {
    pub(super) fn try_program(&mut self, path: &Path, connection: Option<u32>) -> Result<()> {
        let Some(words) = self.options.upgrade.as_ref().map(|words| &words.trial) else {
            let reason = "the program that embeds this supervisor does not know how";
            return Err(Error::bad_value("upgrade", reason));
        };
        let program = File::open(path).at("open", path)?;
        let (state, _) = self.carry();
        // Numbers and strings: serializing them does not fail.
        let state = crate::json::line(&state).unwrap_or_default();
        let state = sys::spawn::memory_file(&state).doing("make a file in memory")?;
        let mut command = Command::new(path);
        // `TSM_S` stands for TSM_STORE_FD and TSM_STATE_FD: the trial must not take what is the
        // supervisor's.
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
        self.succession.upgrade = Some(Upgrade {
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
        let Some(mut upgrade) = self.succession.upgrade.take() else {
            return;
        };
        let Stage::Trying { child, said } = &mut upgrade.stage else {
            self.succession.upgrade = Some(upgrade);
            return;
        };
        let status = child.reap().ok().flatten();
        let mut text = Vec::new();
        // The trial has ended, so what it said is in the pipe. A child of its own may still hold
        // the other end, which is not waited for.
        sys::fd::set_nonblocking(&*said)
            .best_effort("an open descriptor takes the flag (`fcntl(2)`)");
        said.take(64 << 10)
            .read_to_end(&mut text)
            .best_effort("what it did not say is missed below");
        self.poll.unwatch(&*child);
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
                self.succession.upgrade = Some(upgrade);
            }
            Err(reason) => self.refuse_upgrade(&upgrade, &reason),
        }
    }

    /// Whether what the trial says is good enough.
    fn judge(&self, upgrade: &Upgrade, trial: Trial) -> std::result::Result<Trial, String> {
        let own = crate::version::own();
        // Nobody asked for an upgrade, and a file that was merely written anew is no reason for
        // one.
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
        // Records that this program cannot read either are no fault of the new one.
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
}
