//! Whether a person who edited a `NAME.shell` left it such that its shell still reads it: the shell itself is asked, here
//! in the command, so that the supervisor need not wait for it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::control::protocol::CannotStart;
use crate::env::Shell;
use crate::error::Error;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::store::ProcessStore;

/// A spec and the shell state that belongs to it are written within less time; what is further apart was edited.
const WRITTEN_TOGETHER: Duration = Duration::from_millis(2);

/// The selected processes whose shell state their shell cannot read.
pub(super) fn damaged(store: &ProcessStore, selected: &[(ProcessName, Meta)]) -> Vec<CannotStart> {
    let mut found = Vec::new();
    for (name, meta) in selected {
        let path = store.home().shell(name);
        if !was_edited(&path, &store.home().spec(name)) {
            continue;
        }
        // A state that is damaged is for the supervisor to refuse.
        let Ok(Some(state)) = store.shell(name) else {
            continue;
        };
        if let Some(reason) = complaint(state.shell(), &path) {
            found.push(CannotStart {
                id: meta.id,
                error: (&Error::Damaged {
                    path,
                    reason: reason.into(),
                })
                    .into(),
            });
        }
    }
    found
}

fn was_edited(path: &Path, spec: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    match (time(path), time(spec)) {
        (Some(shell), Some(spec)) => {
            // Where the clock was set back, the file may seem to be older than it is.
            let apart = shell
                .duration_since(spec)
                .or_else(|_| spec.duration_since(shell));
            apart.is_ok_and(|apart| apart > WRITTEN_TOGETHER)
        }
        (shell, _) => shell.is_some(),
    }
}

/// What the shell says of the syntax of a file, as `line N: …`; `None` where it is good, or there is no such shell.
fn complaint(shell: Shell, path: &Path) -> Option<String> {
    let mut command = Command::new(shell.to_string());
    match shell {
        Shell::Bash => command.args(["--norc", "-O", "extglob", "-n"]),
        Shell::Zsh => command.args(["-f", "-n"]),
    };
    // Only its words are read, and they have to be in one language.
    let output = command
        .arg(path)
        .env_remove("BASH_ENV")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    if output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix(&*path.to_string_lossy()).unwrap_or(line);
    let line = line.trim_start_matches([':', ' ']);
    // zsh says only the number.
    let number = line.starts_with(|c: char| c.is_ascii_digit());
    Some(if number {
        format!("line {line}")
    } else {
        line.to_owned()
    })
}
