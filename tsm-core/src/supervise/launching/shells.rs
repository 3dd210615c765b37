//! The state of the shell that a process was started from, at its launch. Whether the program reads it is found out by
//! the worker: that looks at files which may lie on any file system.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use crate::env::Shell;
use crate::error::{BestEffort as _, IoContext as _, Result};
use crate::launch::{self, ShellUse};
use crate::name::ProcessName;
use crate::store::{ProcessStore, replace_file};
use crate::supervise::supervisor::Supervisor;
use crate::supervise::worker::Urgency;

/// What zsh reads first.
const ZSHENV: &str = include_str!("../../../../shell/zshenv.zsh");

/// Variables by which a shell finds its state.
pub(super) type ShellVariables = Vec<(&'static str, Vec<u8>)>;

/// How far the look at a program is.
#[derive(Debug)]
pub(in crate::supervise) enum Look {
    /// The worker looks.
    Under,
    /// This is what it found.
    Done(ShellVariables),
}

impl Supervisor {
    /// The variables by which the program of a process finds the state of its shell. `None`: that is being found out, and
    /// the launch is gone on with then.
    pub(super) fn shell_for_launch(&mut self, id: u32) -> Result<Option<ShellVariables>> {
        match self.launching.shells.remove(&id) {
            Some(Look::Done(variables)) => return Ok(Some(variables)),
            Some(Look::Under) => {
                // Put back: only the worker's answer takes it out.
                self.launching.shells.insert(id, Look::Under);
                return Ok(None);
            }
            None => {}
        }
        let Some(service) = self.services.get(&id) else {
            return Ok(None);
        };
        let name = service.name.clone();
        if !self.writer.home().shell(&name).exists() {
            return Ok(Some(Vec::new()));
        }
        let (spec, environment) = match self.launching.prepared.remove(&id) {
            Some(prepared) => prepared,
            None => self.read_for_launch(id)?,
        };
        let store = self.writer.store().clone();
        // A channel, since the worker itself hands back an error or nothing.
        let (found, look) = mpsc::channel();
        self.launching.shells.insert(id, Look::Under);
        self.worker.submit(
            Urgency::Now,
            move |_| {
                let variables = variables_for(&store, &name, &spec, &environment);
                let failed = variables.as_ref().err().map(ToString::to_string);
                found
                    .send((spec, environment, variables.unwrap_or_default()))
                    .best_effort("where nobody hears it, the supervisor ends");
                match failed {
                    Some(reason) => Err(crate::error::Error::LaunchFailed {
                        name: name.to_string(),
                        reason: reason.into(),
                    }),
                    None => Ok(()),
                }
            },
            move |supervisor, done| {
                supervisor.launching.shells.remove(&id);
                match (done, look.try_recv()) {
                    (Ok(()), Ok((spec, environment, variables))) => {
                        supervisor
                            .launching
                            .prepared
                            .insert(id, (spec, environment));
                        supervisor
                            .launching
                            .shells
                            .insert(id, Look::Done(variables));
                        supervisor.launch(id);
                        // It may have been stopped meanwhile.
                        supervisor.launching.shells.remove(&id);
                        supervisor.launching.prepared.remove(&id);
                    }
                    (Err(error), _) => supervisor.launch_failed_with(id, error),
                    (Ok(()), Err(_)) => {}
                }
            },
        );
        Ok(None)
    }
}

fn variables_for(
    store: &ProcessStore,
    name: &ProcessName,
    spec: &crate::spec::ProcessSpec,
    environment: &crate::env::Environment,
) -> Result<ShellVariables> {
    let Some(state) = store.shell(name)? else {
        return Ok(Vec::new());
    };
    if launch::shell_use(spec, environment, state.shell()) != ShellUse::Used {
        return Ok(Vec::new());
    }
    let home = store.home();
    let directory = home.zsh_directory();
    if state.shell() == Shell::Zsh {
        write_zshenv(&directory)?;
    }
    let file: PathBuf = home.shell(name);
    Ok(launch::shell_variables(
        state.shell(),
        &file,
        &directory,
        environment,
    ))
}

/// zsh looks for a file of this name in a directory; one serves all processes of a home.
fn write_zshenv(directory: &Path) -> Result<()> {
    // Compared first, since each launch of such a service comes along here.
    let path = directory.join(".zshenv");
    if fs::read(&path).is_ok_and(|text| text == ZSHENV.as_bytes()) {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).at("create", directory)?;
    replace_file(&path, ZSHENV.as_bytes())
}
