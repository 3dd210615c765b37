//! From what a person typed to a running process: which program that is, and how the kernel is told.

mod original;
mod resolve;
mod shell;
mod size;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

pub(crate) use original::spec_of_original;
pub use resolve::{Resolved, Typed, resolve};
pub use shell::{ShellUse, shell_use, shell_variables};
pub use size::{TooLarge, check_size};

use thiserror::Error;

use crate::env::Environment;
use crate::spec::ProcessSpec;
use crate::sys::errno;
use crate::sys::limits::{self, Limit};
use crate::sys::spawn::{Launch, LaunchFailure, LaunchStep};

/// Where a bare name is looked for when the snapshot has no PATH: what a login shell begins with.
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

/// What TSM adds to the environment of one run.
#[derive(Clone, Debug)]
pub struct RunVariables<'a> {
    /// `TSM_COOKIE`: home, id and run, by which its descendants are known.
    pub cookie: &'a str,
    /// `TSM_ID`.
    pub id: u32,
    /// `TSM_NAME`.
    pub name: &'a str,
    /// What a shell finds its state by, of [`shell_variables`]; they stand before those of the snapshot.
    pub shell: &'a [(&'static str, Vec<u8>)],
}

/// Why a program cannot be given to the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// Strings of the kernel end with a NUL byte and hold none (`execve(2)`).
    #[error("{what} holds a NUL byte")]
    NulByte {
        /// Which part of what is asked for.
        what: &'static str,
    },
    /// There are no words.
    #[error("there is no program to execute")]
    NoProgram,
}

/// Prepares a launch: the environment with what TSM adds, the words, the files to try, the limits to set.
///
/// # Errors
/// What of it the kernel would not take.
pub fn prepare(
    spec: &ProcessSpec,
    snapshot: &Environment,
    run: &RunVariables<'_>,
    own_limits: &[Limit],
) -> Result<Launch, PrepareError> {
    let words = spec.program.words.iter();
    let arguments = words
        .map(|word| c_string("an argument", word.as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;
    if arguments.is_empty() {
        return Err(PrepareError::NoProgram);
    }
    let file = spec.program.file.as_bytes();
    // With a `/` it is a path, else a name that is looked for along `PATH`, as `execvp(3)` does.
    let candidates = if file.contains(&b'/') {
        vec![c_string("the program", file)?]
    } else {
        let file = spec.program.file.as_path();
        search_path(snapshot)
            .map(|directory| Path::new(directory).join(file))
            .map(|path| c_string("the program", path.as_os_str().as_bytes()))
            .collect::<Result<Vec<_>, _>>()?
    };
    let environment = environment_of(spec, snapshot, run)?;
    Ok(Launch {
        candidates,
        arguments,
        environment,
        shell_fallback: spec.program.shell_fallback,
        directory: c_string("the working directory", spec.cwd.as_bytes())?,
        umask: spec.umask,
        limits: rlimits_of(spec)
            // What the child has anyway need not be set, and cannot fail.
            .filter(|limit| !own_limits.contains(limit))
            .collect(),
        nice: spec.nice.filter(|_| spec.nice != limits::nice()),
        insisted_nice: spec.limits.nice,
        oom_score_adj: spec
            .limits
            .oom_score_adj
            .map(|adj| c_string("the OOM score", adj.to_string().as_bytes()))
            .transpose()?,
        account: spec.user.clone(),
        extra: None,
        group: None,
    })
}

/// The variables of a run: those of the snapshot, and TSM's own in the place of those of the same name.
fn environment_of(
    spec: &ProcessSpec,
    snapshot: &Environment,
    run: &RunVariables<'_>,
) -> Result<Vec<CString>, PrepareError> {
    // The cookie stands first, so that it is found soonest.
    let own = [
        ("the cookie", format!("TSM_COOKIE={}", run.cookie)),
        ("the id", format!("TSM_ID={}", run.id)),
        ("the name", format!("TSM_NAME={}", run.name)),
    ];
    let mut environment = Vec::with_capacity(snapshot.len() + own.len() + 2);
    for (what, entry) in own {
        environment.push(c_string(what, entry.as_bytes())?);
    }
    if let Some(port) = spec.port {
        environment.push(c_string("the port", format!("PORT={port}").as_bytes())?);
    }
    for (name, value) in run.shell {
        let entry = [name.as_bytes(), b"=", value].concat();
        environment.push(c_string("the path of the shell state", &entry)?);
    }
    for (name, value) in snapshot.iter() {
        // What the snapshot has of these is of another run: a service may have been the one that
        // started this.
        let is_ours = matches!(name, b"TSM_COOKIE" | b"TSM_ID" | b"TSM_NAME")
            || run.shell.iter().any(|(own, _)| own.as_bytes() == name);
        if is_ours || (name == b"PORT" && spec.port.is_some()) {
            continue;
        }
        environment.push(c_string("a variable", &[name, b"=", value].concat())?);
    }
    Ok(environment)
}

fn c_string(what: &'static str, bytes: &[u8]) -> Result<CString, PrepareError> {
    CString::new(bytes).map_err(|_nul| PrepareError::NulByte { what })
}

/// The shell's limits, with what a person said in the place of the shell's.
pub(crate) fn rlimits_of(spec: &ProcessSpec) -> impl Iterator<Item = Limit> {
    let files = spec.limits.nofile.map(limits::open_files);
    let kept = move |limit: &&Limit| files.is_none_or(|f| f.resource != limit.resource);
    spec.rlimits.iter().filter(kept).copied().chain(files)
}

/// The directories of the snapshot's PATH, in their order; an empty one is the working directory.
pub(crate) fn search_path(snapshot: &Environment) -> impl Iterator<Item = &std::ffi::OsStr> {
    snapshot
        .get(b"PATH")
        .unwrap_or(DEFAULT_PATH)
        .split(|&b| b == b':')
        .map(|directory| {
            if directory.is_empty() {
                &b"."[..]
            } else {
                directory
            }
        })
        .map(std::ffi::OsStr::from_bytes)
}

/// Says exactly why a launch failed.
pub fn failure_in_words(
    spec: &ProcessSpec,
    snapshot: &Environment,
    failure: &LaunchFailure,
) -> String {
    let system = std::io::Error::from_raw_os_error(failure.errno);
    let program = spec.program.file.to_string_lossy();
    match failure.step {
        LaunchStep::Directory => {
            format!(
                "cannot enter the working directory {}: {system}",
                spec.cwd.to_string_lossy()
            )
        }
        LaunchStep::Limits => match spec.limits.nofile {
            Some(files) => format!(
                "cannot limit its open files to {files}: {system}; only root may go above the hard limit ('ulimit -Hn')"
            ),
            None => format!("cannot set its resource limits: {system}"),
        },
        LaunchStep::Nice => format!(
            "cannot give it the nice value {}: {system}; only root may go below that of the supervisor",
            spec.limits.nice.unwrap_or(0)
        ),
        LaunchStep::OomScore => format!(
            "cannot set its OOM score to {}: {system}; only root may lower it",
            spec.limits.oom_score_adj.unwrap_or(0)
        ),
        LaunchStep::User => {
            let user = spec
                .user
                .as_ref()
                .map_or("?", |account| account.name.as_str());
            format!(
                "cannot become user {user}: {system}; only root may run services as another user"
            )
        }
        LaunchStep::Group => format!("cannot join its cgroup: {system}"),
        LaunchStep::SetUp => format!("cannot make its session: {system}"),
        LaunchStep::Execute => match failure.errno {
            errno::ENOENT => match interpreter_of(&failure.head) {
                Some(interpreter) => format!(
                    "{program} asks for the interpreter {interpreter}, which does not exist; install it, mend the first line, or use --interpreter"
                ),
                None if failure.head.is_empty() && program.contains('/') => {
                    format!("{program} does not exist")
                }
                None if failure.head.is_empty() => {
                    format!("no program '{program}' along the PATH that it was started with")
                }
                None => format!(
                    "{program}: the loader that it was linked for does not exist ({system})"
                ),
            },
            errno::EACCES => format!("{program} may not be executed: {system}"),
            errno::ENOEXEC => {
                format!("{program} is no program that this machine can execute: {system}")
            }
            errno::E2BIG => format!("{system}; {}", size::largest_in_words(spec, snapshot)),
            _ => format!("cannot execute {program}: {system}"),
        },
    }
}

/// The interpreter that the first line of a script names (`execve(2)`, "Interpreter scripts").
fn interpreter_of(head: &[u8]) -> Option<String> {
    let line = head.strip_prefix(b"#!")?.split(|&b| b == b'\n').next()?;
    let word = line
        .split(|b| matches!(b, b' ' | b'\t'))
        .find(|word| !word.is_empty())?;
    // To the kernel a carriage return at the end of the line is part of the name, and it is the
    // usual reason.
    Some(match word.strip_suffix(b"\r") {
        Some(word) => format!(
            "{} (the line ends with a carriage return)",
            String::from_utf8_lossy(word)
        ),
        None => String::from_utf8_lossy(word).into_owned(),
    })
}

/// The limits of this process, to compare those of a service with.
pub fn own_limits() -> Vec<Limit> {
    limits::current()
}
