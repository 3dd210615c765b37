//! What may be typed: asked of the command line, else of the directories.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender, SyncSender};

use super::Commands;
use crate::layer::{Candidate, last_word};
use crate::message::{Ask, Message};

/// So many files are offered at most.
const MOST: usize = 200;

/// Begins to answer; of several questions that wait, only the last counts.
pub(super) fn spawn(commands: Arc<dyn Commands>, say: SyncSender<Message>) -> Sender<Ask> {
    let (ask, asked) = mpsc::channel::<Ask>();
    std::thread::spawn(move || {
        while let Ok(first) = asked.recv() {
            let ask = asked.try_iter().last().unwrap_or(first);
            let found = answer(&*commands, &ask);
            if say.send(Message::Candidates { ask, found }).is_err() {
                return;
            }
        }
    });
    ask
}

fn answer(commands: &dyn Commands, ask: &Ask) -> Vec<Candidate> {
    match ask {
        Ask::Line(line) => {
            let last = last_word(line);
            let before = &line[..line.len() - last.len()];
            let Some(mut words) = shlex::split(before) else {
                return Vec::new();
            };
            words.push(last.to_owned());
            let found = commands.complete(&words);
            if found.is_empty() && !last.starts_with('-') && words.len() > 1 {
                return files(last, &|_| true);
            }
            found
        }
        Ask::Directory(typed) => files(typed, &|path| path.is_dir()),
        Ask::Program(typed) => {
            let runs = |path: &Path| path.is_dir() || may_run(path);
            let mut found = files(typed, &runs);
            if !typed.is_empty() && !typed.contains('/') {
                found.extend(on_path(typed));
            }
            found.truncate(MOST);
            found
        }
    }
}

/// A program, or a script that has an extension and so an interpreter.
fn may_run(path: &Path) -> bool {
    let is_executable =
        |meta: fs::Metadata| meta.is_file() && meta.permissions().mode() & 0o111 != 0;
    path.extension().is_some() || fs::metadata(path).is_ok_and(is_executable)
}

/// The files that a path may become, as it was typed; `~` is the home directory.
fn files(typed: &str, wanted: &dyn Fn(&Path) -> bool) -> Vec<Candidate> {
    let (directory, beginning) = match typed.rfind('/') {
        Some(at) => typed.split_at(at + 1),
        None => ("", typed),
    };
    let place: PathBuf = match directory {
        "" => ".".into(),
        directory => match directory.strip_prefix("~/") {
            Some(rest) => match std::env::home_dir() {
                Some(home) => home.join(rest),
                None => return Vec::new(),
            },
            None => directory.into(),
        },
    };
    let Ok(entries) = fs::read_dir(&place) else {
        return Vec::new();
    };
    let mut found: Vec<Candidate> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let is_hidden = name.starts_with('.') && !beginning.starts_with('.');
            let path = entry.path();
            if !name.starts_with(beginning) || is_hidden || !wanted(&path) {
                return None;
            }
            let end = if path.is_dir() { "/" } else { "" };
            Some(Candidate {
                word: format!("{directory}{name}{end}"),
                help: String::new(),
            })
        })
        .collect();
    found.sort_by(|a, b| a.word.cmp(&b.word));
    found.truncate(MOST);
    found
}

/// Programs on PATH that begin so.
fn on_path(beginning: &str) -> Vec<Candidate> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = Vec::new();
    for directory in std::env::split_paths(&path) {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let begins = |name: &OsStr| {
                name.to_str()
                    .is_some_and(|name| name.starts_with(beginning))
            };
            let meta = if begins(&name) {
                fs::metadata(entry.path()).ok()
            } else {
                None
            };
            if meta.is_some_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0) {
                found.push(Candidate {
                    word: name.to_string_lossy().into_owned(),
                    help: directory.display().to_string(),
                });
            }
        }
    }
    found.sort_by(|a, b| a.word.cmp(&b.word));
    found.dedup_by(|a, b| a.word == b.word);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_offered_as_they_were_typed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("scripts")).unwrap();
        fs::write(root.join("server.sh"), "").unwrap();
        fs::write(root.join("served"), "").unwrap();
        fs::write(root.join(".secret"), "").unwrap();
        let typed = |end: &str| format!("{}/{end}", root.display());
        let words = |ask: &Ask| {
            let found = match ask {
                Ask::Program(typed) => files(typed, &|path| path.is_dir() || may_run(path)),
                Ask::Directory(typed) => files(typed, &|path| path.is_dir()),
                Ask::Line(typed) => files(typed, &|_| true),
            };
            found
                .into_iter()
                .map(|found| found.word)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&Ask::Directory(typed("s"))), [typed("scripts/")]);
        assert_eq!(
            words(&Ask::Program(typed("s"))),
            [typed("scripts/"), typed("server.sh")]
        );
        assert_eq!(
            words(&Ask::Line(typed("serv"))),
            [typed("served"), typed("server.sh")]
        );
        assert_eq!(words(&Ask::Line(typed(".s"))), [typed(".secret")]);
        assert!(on_path("sh").iter().any(|found| found.word == "sh"));
    }
}
