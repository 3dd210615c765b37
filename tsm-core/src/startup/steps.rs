//! What is done to a machine, step by step, and how it is undone.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

use crate::error::{BestEffort as _, Error, Result, advised};

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write a file, whole, in the place of one that may be there.
    Write {
        /// Where.
        path: PathBuf,
        /// What.
        text: String,
        /// With which mode.
        mode: u32,
        /// What is run when the file is as it was before, where that becomes necessary.
        undone: Vec<Command>,
    },
    /// Remove a file.
    Remove {
        /// Which.
        path: PathBuf,
        /// How many of the directories that it is in, from the innermost, go with it where nothing else is in them.
        directories: usize,
    },
    /// Run a command.
    Run {
        /// Which.
        command: Command,
        /// What takes it back, in this order; each may fail.
        undo: Vec<Command>,
        /// What to say where it fails.
        failure: Failure,
    },
}

/// What it means that a command fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// All is taken back. With what to look at, if there is something.
    Ends(Option<String>),
    /// The work is done without it, too; this is said behind the reason.
    Matters(String),
    /// Nothing: it had nothing to do.
    Ignored,
}

/// A command with what it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Its words.
    pub words: Vec<String>,
    /// A variable.
    pub variable: Option<(&'static str, PathBuf)>,
    /// What it reads.
    pub stdin: Option<String>,
}

impl Command {
    /// A command of these words.
    pub fn new<const N: usize>(words: [&str; N]) -> Self {
        Self {
            words: words.map(str::to_owned).to_vec(),
            ..Self::default()
        }
    }

    /// Runs it to its end, and returns what it printed.
    ///
    /// # Errors
    /// What went wrong, in the words of the command.
    pub fn run(&self) -> Result<String, String> {
        let Some((program, arguments)) = self.words.split_first() else {
            return Ok(String::new());
        };
        let mut command = process::Command::new(program);
        command
            .args(arguments)
            .stdin(
                self.stdin
                    .as_ref()
                    .map_or_else(Stdio::null, |_| Stdio::piped()),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .envs(self.variable.as_ref().map(|(name, value)| (*name, value)));
        let mut child = command
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        if let (Some(text), Some(mut pipe)) = (&self.stdin, child.stdin.take()) {
            pipe.write_all(text.as_bytes())
                .best_effort("a command that does not read all of it says why by its exit status");
        }
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().map(str::trim).find(|line| !line.is_empty());
        Err(first.map_or_else(|| output.status.to_string(), str::to_owned))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))
    }
}

impl From<Command> for Step {
    fn from(command: Command) -> Self {
        Self::Run {
            command,
            undo: Vec::new(),
            failure: Failure::Ends(None),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { path, .. } => write!(f, "write {}", path.display()),
            Self::Remove { path, .. } => write!(f, "remove {}", path.display()),
            Self::Run { command, .. } => command.fmt(f),
        }
    }
}

/// How a step that was done is taken back.
struct Undo {
    restore: Option<(PathBuf, Before)>,
    run: Vec<Command>,
}

/// A file as it was, with its mode; `None` where there was none.
type Before = Option<(Vec<u8>, u32)>;

/// Carries out the steps in their order. Each one is shown to `tell` when it is done, with a remark where it did not work and
/// that does not matter. Where one fails, those before it are taken back, the last one first.
///
/// # Errors
/// [`Error::Startup`] with the step, its reason, and whether everything is as it was before; [`Error::Io`].
pub fn carry_out(steps: &[Step], mut tell: impl FnMut(&Step, Option<String>)) -> Result<()> {
    let mut done = Vec::new();
    for step in steps {
        match perform(step, &mut done) {
            Ok(remark) => tell(step, remark),
            Err(error) => {
                let left = take_back(done);
                let after = if left.is_empty() {
                    "all is as it was before".to_owned()
                } else {
                    format!("and this could not be undone: {}", left.join("; "))
                };
                return Err(Error::Startup {
                    step: step.to_string(),
                    reason: advised(error, after),
                });
            }
        }
    }
    Ok(())
}

fn perform(step: &Step, done: &mut Vec<Undo>) -> Result<Option<String>, String> {
    let words = |error: std::io::Error| error.to_string();
    match step {
        Step::Write {
            path,
            text,
            mode,
            undone,
        } => {
            let before = saved(path).map_err(words)?;
            // Noted before it is written: a write that fails halfway is taken back as well.
            done.push(Undo {
                restore: Some((path.clone(), before)),
                run: undone.clone(),
            });
            write(path, text.as_bytes(), *mode).map_err(words)?;
            Ok(None)
        }
        Step::Remove { path, directories } => {
            let before = saved(path).map_err(words)?;
            if before.is_some() {
                fs::remove_file(path).map_err(words)?;
            }
            for directory in path.ancestors().skip(1).take(*directories) {
                if fs::remove_dir(directory).is_err() {
                    break;
                }
            }
            done.push(Undo {
                restore: Some((path.clone(), before)),
                run: Vec::new(),
            });
            Ok(None)
        }
        Step::Run {
            command,
            undo,
            failure,
        } => {
            // A command that failed may have done half of its work.
            done.push(Undo {
                restore: None,
                run: undo.clone(),
            });
            match (command.run(), failure) {
                (Ok(_), _) | (Err(_), Failure::Ignored) => Ok(None),
                (Err(reason), Failure::Matters(more)) => Ok(Some(format!("{reason}; {more}"))),
                (Err(reason), Failure::Ends(Some(hint))) => Err(format!("{reason}; {hint}")),
                (Err(reason), Failure::Ends(None)) => Err(reason),
            }
        }
    }
}

fn take_back(done: Vec<Undo>) -> Vec<String> {
    let mut left = Vec::new();
    // The last step first: the earlier ones were made without it.
    for Undo { restore, run } in done.into_iter().rev() {
        if let Some((path, before)) = restore {
            let restored = match &before {
                Some((bytes, mode)) => write(&path, bytes, *mode),
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                },
            };
            left.extend(
                restored
                    .err()
                    .map(|error| format!("{}: {error}", path.display())),
            );
        }
        for command in run {
            command.run().best_effort(
                "it takes back what may not have been done at all: its failure says nothing",
            );
        }
    }
    left
}

fn saved(path: &Path) -> std::io::Result<Before> {
    match fs::symlink_metadata(path) {
        Ok(meta) => {
            let bytes = fs::read(path)?;
            Ok(Some((bytes, meta.permissions().mode() & 0o7777)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file so that a power cut leaves the old one or the new one.
fn write(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        // The write is atomic to readers only; without the sync a power cut could leave an empty
        // unit behind the new name.
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        fs::remove_file(&temporary).best_effort("the first error is the one to tell");
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_taken_back_when_a_later_step_fails() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("kept"), "before").unwrap();
        fs::write(path("removed"), "there").unwrap();
        let write = |name: &str| Step::Write {
            path: path(name),
            text: "new".to_owned(),
            mode: 0o644,
            undone: Vec::new(),
        };
        let marker = path("undone").display().to_string();
        let steps = [
            write("kept"),
            write("deep/er/made"),
            Step::Remove {
                path: path("removed"),
                directories: 1,
            },
            Step::Run {
                command: Command::new(["true"]),
                undo: vec![Command::new(["touch", &marker])],
                failure: Failure::Ends(None),
            },
            Step::Run {
                command: Command::new(["sh", "-c", "echo no >&2; exit 1"]),
                undo: Vec::new(),
                failure: Failure::Matters("never mind".to_owned()),
            },
            Command::new(["sh", "-c", "echo it broke >&2; exit 3"]).into(),
            write("never"),
        ];
        let mut told = Vec::new();
        let failed = carry_out(&steps, |step, remark| {
            told.push((step.to_string(), remark));
        });
        let failed = failed.unwrap_err().to_string();
        assert!(
            failed.contains("it broke; all is as it was before"),
            "{failed}"
        );
        assert_eq!(told.len(), 5);
        assert_eq!(told[4].1.as_deref(), Some("no; never mind"));
        assert_eq!(fs::read_to_string(path("kept")).unwrap(), "before");
        assert_eq!(fs::read_to_string(path("removed")).unwrap(), "there");
        assert!(!path("deep/er/made").exists() && !path("never").exists());
        assert!(path("undone").exists());
    }
}
