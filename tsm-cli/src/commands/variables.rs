//! Variables as they are given on the command line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use tsm_core::env::{EnvError, EnvUpdate, Environment, Origin, Snapshot, dotenv, is_tsms_own};
use tsm_core::error::{Error, IoContext as _};

use crate::app::Context;
use crate::args::VariableArgs;

/// What `--env-file` and `--env` ask for, in the order in which they count.
pub(crate) fn update(args: &VariableArgs) -> Result<EnvUpdate, Error> {
    let mut update = EnvUpdate::default();
    for path in &args.env_file {
        let bytes = std::fs::read(path).at("read", path)?;
        // A variable from an earlier file can be used in a later one.
        let earlier = update.set.clone();
        let lookup = |name: &str| {
            let given = earlier.iter().rev();
            let given = given.filter(|given| given.name.as_bytes() == name.as_bytes());
            let given = given.map(|given| given.value.to_string_lossy().into_owned());
            given
                .into_iter()
                .next()
                .or_else(|| std::env::var(name).ok())
        };
        let variables = dotenv::parse(&bytes, &lookup).map_err(|error| Error::Damaged {
            path: path.clone(),
            reason: error.into(),
        })?;
        for (name, value) in variables {
            refuse_own(&at_line(path, &bytes, &name), name.as_bytes())?;
            update.set(name.as_bytes(), value.as_bytes(), Origin::File);
        }
    }
    for assignment in &args.env {
        assign(&mut update, "--env", assignment)?;
    }
    Ok(update)
}

/// A file with the line that gives a variable.
fn at_line(path: &Path, bytes: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(bytes);
    let gives = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    match text.lines().position(gives) {
        Some(at) => format!("{}: line {}", path.display(), at + 1),
        None => path.display().to_string(),
    }
}

/// Adds one `NAME=VALUE`.
pub(crate) fn assign(update: &mut EnvUpdate, what: &str, assignment: &OsStr) -> Result<(), Error> {
    // Tried on an environment of its own, which knows what a variable may be.
    let mut one = Environment::new();
    let wrong = |error: EnvError| Error::bad_value(what, error.to_string());
    one.set_assignment(assignment.as_bytes()).map_err(wrong)?;
    for (name, value) in one.iter() {
        refuse_own(what, name)?;
        update.set(name, value, Origin::Option);
    }
    Ok(())
}

/// What TSM sets itself would have no effect.
fn refuse_own(what: &str, name: &[u8]) -> Result<(), Error> {
    if !is_tsms_own(name) {
        return Ok(());
    }
    let name = String::from_utf8_lossy(name);
    let reason = format!("TSM itself sets {name} in every run; leave it out");
    Err(Error::bad_value(what, reason))
}

/// The environment of this very moment, with what the shell hook handed over.
pub(crate) fn this_shell(context: &Context) -> Snapshot {
    Snapshot {
        environment: Environment::from_os(std::env::vars_os()),
        shell: context.shell_state(),
    }
}
