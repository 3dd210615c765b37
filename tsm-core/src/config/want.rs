//! From a declaration to what can be started: files of variables are read, and what the script means is found out.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::declare::{Config, Declared};
use super::mistake::Mistake;
use super::plan::Wanted;
use crate::env::{EnvError, Environment, Origin, Snapshot, dotenv, quote};
use crate::error::{Error, Result};
use crate::launch::{Resolved, Typed, resolve};
use crate::spec::ProcessSpec;
use crate::sys::account;
use crate::text::Text;

impl Config {
    /// The file as it stands in the specs of what it declares: its whole path.
    ///
    /// # Errors
    /// [`Error::Io`] where the working directory cannot be told.
    pub fn file(&self) -> Result<Text> {
        use crate::error::IoContext as _;
        let path = std::path::absolute(&self.path).at("find", &self.path)?;
        let plain: std::path::PathBuf = path.components().collect();
        Ok(Text::from(plain.as_os_str()))
    }

    /// Everything that the file declares, ready to be started in an environment that begins as `shell`'s.
    ///
    /// # Errors
    /// [`Error::Config`] with everything that is not there or makes no sense on this machine: a script, a directory, a file
    /// of variables, a user.
    pub fn wanted(&self, shell: &Snapshot) -> Result<Vec<Wanted>> {
        let file = self.file()?;
        let mut wanted = Vec::with_capacity(self.processes.len());
        let mut mistakes: Vec<Mistake> = Vec::new();
        for declared in &self.processes {
            match declared.wanted(&file, shell) {
                Ok(process) => wanted.push(process),
                Err(error) => {
                    let message = format!("'{}': {error}", declared.name);
                    mistakes.push(self.mistake(declared.at, message));
                }
            }
        }
        if mistakes.is_empty() {
            return Ok(wanted);
        }
        // Instances differ in nothing that could be wrong.
        mistakes.dedup_by_key(|mistake| mistake.at);
        Err(Error::Config {
            path: self.path.clone(),
            mistakes,
        })
    }
}

impl Declared {
    fn wanted(&self, file: &Text, shell: &Snapshot) -> Result<Wanted> {
        if !self.cwd.is_dir() {
            let reason = format!("there is no directory {}", self.cwd.display());
            return Err(Error::bad_value("cwd", reason));
        }
        let variables = self.variables(shell)?;
        let path = variables.iter().rev().find(|(name, ..)| name == "PATH");
        let path = path
            .map(|(_, value, _)| value.as_bytes())
            .or_else(|| shell.environment.get(b"PATH"));
        let (script, args) = self.words();
        let typed = Typed {
            target: &script,
            args: &args,
            cwd: &self.directory,
            path: path.map(OsStr::from_bytes),
            shell: shell.shell.as_ref(),
            interpreter: self.interpreter.as_deref(),
        };
        let resolved = self.resolve(typed)?;
        let mut spec = ProcessSpec::new(script.as_os_str(), resolved.program, self.cwd.as_path());
        spec.args = args.iter().map(Text::from).collect();
        spec.interpreter.clone_from(&self.interpreter);
        spec.port = self.port;
        if let Some(namespace) = &self.namespace {
            spec.namespace.clone_from(namespace);
        }
        spec.restart = self.restart;
        spec.max_restarts = self.max_restarts;
        if let Some(signal) = self.stop_signal {
            spec.stop_signal = signal;
        }
        if let Some(timeout) = self.stop_timeout {
            spec.stop_timeout_ms = timeout.as_millis() as u64;
        }
        spec.user = self.user.as_deref().map(account::to_run_as).transpose()?;
        let care = self.care.clone();
        spec.reload_signal = care.reload_signal;
        spec.limits = care.limits;
        spec.daemon = care.daemon;
        spec.ready = care.ready;
        spec.health = care.health;
        spec.hooks = care.hooks;
        spec.watch = care.watch;
        spec.schedule = care.schedule;
        spec.notify = care.notify;
        spec.logs = care.logs;
        spec.log_type = care.log_type;
        spec.log_date_format = care.log_date_format;
        spec.backoff = care.backoff;
        spec.config = Some(file.clone());
        spec.task = self.task;
        spec.depends_on.clone_from(&self.depends_on);
        spec.instance.clone_from(&self.instance);
        Ok(Wanted {
            name: self.name.clone(),
            spec,
            variables,
            any_port: self.any_port,
        })
    }

    /// The script and its arguments. A command line takes no further words; they become part of it.
    fn words(&self) -> (OsString, Vec<OsString>) {
        let is_file = |directory: &Path| directory.join(&self.script).is_file();
        let is_line = self.script.contains(char::is_whitespace)
            && !is_file(&self.directory)
            && !is_file(&self.cwd);
        if !is_line || self.args.is_empty() {
            let args = self.args.iter().map(OsString::from).collect();
            return (self.script.clone().into(), args);
        }
        let args = quote::quote_words(self.args.iter().map(String::as_bytes));
        let line = [self.script.as_bytes(), b" ", &args].concat();
        (OsStr::from_bytes(&line).to_owned(), Vec::new())
    }

    /// What the script is: looked for beside the file, and then where it is to run.
    fn resolve(&self, typed: Typed<'_>) -> Result<Resolved> {
        let beside = resolve(typed);
        if beside.is_ok() || self.cwd == self.directory {
            return beside;
        }
        resolve(Typed {
            cwd: &self.cwd,
            ..typed
        })
        .or(beside)
    }

    /// Whether its environment can be made, beside this shell's: the files that it names are there, and are dotenv files.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Damaged`] of such a file, with the line; [`Error::BadValue`] of a variable.
    pub fn check_environment(&self, shell: &Snapshot) -> Result<()> {
        self.variables(shell).map(drop)
    }

    /// The variables on top of the shell's, each once: those of the files, later files first, and over them those of `env`.
    fn variables(&self, shell: &Snapshot) -> Result<Vec<(String, String, Origin)>> {
        let mut variables: Vec<(String, String, Origin)> = Vec::new();
        let mut put = |name: String, value: String, origin: Origin| match variables
            .iter_mut()
            .find(|(known, ..)| *known == name)
        {
            Some(known) => *known = (name, value, origin),
            None => variables.push((name, value, origin)),
        };
        for path in &self.env_files {
            let read = dotenv::read(path, &shell.environment)?;
            for (name, value) in read {
                put(name, value, Origin::File);
            }
        }
        for (name, value) in &self.env {
            put(name.clone(), value.clone(), Origin::Config);
        }
        for (name, value, _) in &variables {
            let wrong = |error: EnvError| Error::bad_value("env", error);
            Environment::new()
                .set(name.as_bytes(), value.as_bytes())
                .map_err(wrong)?;
            let port = match self.port {
                Some(port) => port.to_string(),
                None if self.any_port => "auto".to_owned(),
                None => continue,
            };
            if name == "PORT" && *value != port {
                let reason = format!(
                    "{value} and `port: {port}` differ; leave it out, it gets the port as PORT"
                );
                return Err(Error::bad_value("env.PORT", reason));
            }
        }
        Ok(variables)
    }
}
