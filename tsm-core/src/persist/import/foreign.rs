//! One process as another manager lists it, and what it is here.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::env::{EnvUpdate, Environment, Origin, Snapshot, dotenv};
use crate::error::{Error, Result};
use crate::launch::{Typed, resolve};
use crate::name::ProcessName;
use crate::persist::Saved;
use crate::spec::{Instance, ProcessSpec, RestartPolicy};
use crate::sys::account;
use crate::text::Text;

/// One process of another manager's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// What it is called there.
    pub name: String,
    /// A path, a program, or a command line.
    pub script: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What executes the script, with arguments; `none`: the file itself.
    pub interpreter: Option<String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Its variables.
    pub env: Vec<(String, String)>,
    /// Whether `env` is all of its environment; else it comes on top of that of whoever reads the list.
    pub whole_env: bool,
    /// Files of variables, below `env`.
    pub env_files: Vec<PathBuf>,
    /// The port that it is told to listen on.
    pub port: Option<u16>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// When it is started again by itself.
    pub restart: RestartPolicy,
    /// After how many restarts in a row it is given up.
    pub max_restarts: Option<u32>,
    /// How long a stop waits before SIGKILL, in milliseconds.
    pub stop_timeout_ms: Option<u64>,
    /// How much memory it may use, in bytes.
    pub memory: Option<u64>,
    /// Its nice value.
    pub nice: Option<i32>,
    /// The user that it runs as.
    pub user: Option<String>,
    /// Which instance it is, where it is one of several.
    pub instance: Option<Instance>,
    /// Whether it should run.
    pub up: bool,
    /// What of it could not be carried over, in words.
    pub notes: Vec<String>,
}

impl Foreign {
    /// What TSM would have saved of it, and what could not be carried over.
    ///
    /// # Errors
    /// Why it cannot be carried over at all.
    pub fn saved(self, shell: &Snapshot) -> Result<(Saved, Vec<String>)> {
        let mut notes = self.notes.clone();
        let name = self.name.parse().unwrap_or_else(|_| {
            notes.push(format!("it was called '{}'", self.name.escape_debug()));
            ProcessName::from_stem(&self.name)
        });
        if !self.cwd.is_dir() {
            let reason = format!("there is no directory {}", self.cwd.display());
            return Err(Error::bad_value("cwd", reason));
        }
        let (environment, origins) = self.environment(shell, &mut notes)?;
        let mut spec = self.spec(&environment)?;
        spec.origins = origins;
        match self.user.as_deref().map(account::to_run_as).transpose() {
            Ok(user) => spec.user = user,
            Err(error) => notes.push(format!("it runs as this user: {error}")),
        }
        let saved = Saved {
            name,
            id: 0,
            up: self.up,
            spec,
            environment: environment
                .iter()
                .map(|(name, value)| Text::from_bytes([name, b"=", value].concat()))
                .collect(),
            shell: None,
        };
        Ok((saved, notes))
    }

    fn spec(&self, environment: &Environment) -> Result<ProcessSpec> {
        let args: Vec<OsString> = self.args.iter().map(OsString::from).collect();
        let path = environment.get(b"PATH").map(OsStr::from_bytes);
        let resolved = resolve(Typed {
            target: OsStr::new(&self.script),
            args: &args,
            cwd: &self.cwd,
            path,
            shell: None,
            interpreter: self.interpreter.as_deref(),
        })?;
        let mut spec = ProcessSpec::new(self.script.as_str(), resolved.program, self.cwd.as_path());
        spec.args = args.iter().map(Text::from).collect();
        spec.interpreter.clone_from(&self.interpreter);
        spec.port = self.port;
        if let Some(namespace) = &self.namespace {
            spec.namespace.clone_from(namespace);
        }
        spec.restart = self.restart;
        spec.max_restarts = self.max_restarts;
        if let Some(timeout) = self.stop_timeout_ms {
            spec.stop_timeout_ms = timeout;
        }
        spec.instance.clone_from(&self.instance);
        spec.limits.memory = self.memory;
        spec.limits.nice = self.nice;
        Ok(spec)
    }

    fn environment(
        &self,
        shell: &Snapshot,
        notes: &mut Vec<String>,
    ) -> Result<(Environment, crate::env::Origins)> {
        let mut before = Snapshot::from(if self.whole_env {
            Environment::new()
        } else {
            shell.environment.clone()
        });
        before.environment.strip_captured();
        let mut update = EnvUpdate::default();
        for path in &self.env_files {
            for (name, value) in dotenv::read(path, &before.environment)? {
                update.set(name.as_bytes(), value.as_bytes(), Origin::File);
            }
        }
        // A complete environment counts as the shell's from which it was taken.
        let origin = if self.whole_env {
            Origin::Shell
        } else {
            Origin::Config
        };
        for (name, value) in &self.env {
            if Environment::new()
                .set(name.as_bytes(), value.as_bytes())
                .is_ok()
            {
                update.set(name.as_bytes(), value.as_bytes(), origin);
            } else {
                notes.push(format!(
                    "no variable can be called '{}'",
                    name.escape_debug()
                ));
            }
        }
        let wrong = |error: crate::env::EnvError| Error::bad_value("env", error);
        let (snapshot, origins) = update
            .apply(&before, &crate::env::Origins::default(), None)
            .map_err(wrong)?;
        Ok((snapshot.environment, origins))
    }
}
