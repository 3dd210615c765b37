//! What is different since a process last ran well.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::Run;
use crate::events::{EventKind, History, rfc3339};
use crate::launch;
use crate::spec::ProcessSpec;
use crate::store::ProcessStore;
use crate::text::Text;
use crate::view::ProcessView;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Change {
    /// Variables of its environment.
    Environment {
        /// Their names: new, other, or gone.
        names: Vec<String>,
        /// Who changed them.
        by: String,
        /// When, RFC 3339.
        at: String,
    },
    /// A file that it executes or was told to read: its script, its interpreter, a file among its arguments.
    File {
        /// Which.
        path: Text,
        /// What is with it.
        how: FileChange,
        /// When, RFC 3339.
        at: Option<String>,
    },
    /// Its working directory.
    WorkingDirectory {
        /// Which.
        path: Text,
        /// What is with it.
        how: FileChange,
        /// When, RFC 3339.
        at: Option<String>,
    },
}

/// What is with a file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileChange {
    /// It was written to.
    Modified,
    /// Another one took its place, or its mode or owner was changed.
    Replaced,
    /// It is a link that leads elsewhere now.
    Relinked,
    /// It is not there.
    Missing,
}

/// Looks at all that may be different since `ran_well` began. What is missing is told in any case.
pub(super) fn find(
    store: &ProcessStore,
    view: &ProcessView,
    spec: Option<&ProcessSpec>,
    history: &History,
    ran_well: Option<&Run>,
) -> Vec<Change> {
    let since = ran_well.map(|run| run.from_ms);
    let mut changes: Vec<Change> = history
        .events()
        .filter(|event| since.is_some_and(|since| event.at_ms() > Some(since)))
        .filter_map(|event| match &event.kind {
            EventKind::EnvironmentChanged { by, names } => Some(Change::Environment {
                names: names.clone(),
                by: by.clone(),
                at: event.at.clone(),
            }),
            _ => None,
        })
        .collect();
    let cwd = PathBuf::from(OsStr::from_bytes(view.cwd.as_bytes()));
    let text = |path: &Path| Text::from_bytes(path.as_os_str().as_bytes().to_vec());
    if let Some((how, at)) = directory(&cwd, since) {
        changes.push(Change::WorkingDirectory {
            path: text(&cwd),
            how,
            at: at.map(rfc3339),
        });
    }
    for (path, must_be) in files(store, view, spec, &cwd) {
        if let Some((how, at)) = file(&path, since, must_be) {
            changes.push(Change::File {
                path: text(&path),
                how,
                at: at.map(rfc3339),
            });
        }
    }
    changes
}

/// The files that decide what a process does, and whether each has to be there.
fn files(
    store: &ProcessStore,
    view: &ProcessView,
    spec: Option<&ProcessSpec>,
    cwd: &Path,
) -> Vec<(PathBuf, bool)> {
    let mut files: Vec<(PathBuf, bool)> = Vec::new();
    let mut add = |path: PathBuf, must_be: bool| {
        if !files.iter().any(|(known, _)| *known == path) {
            files.push((path, must_be));
        }
    };
    let Some(spec) = spec else {
        // A record of the original TSM: its script is all that is known.
        return vec![(cwd.join(OsStr::from_bytes(view.script.as_bytes())), false)];
    };
    let file = spec.program.file.as_path();
    if spec.program.file.as_bytes().contains(&b'/') {
        add(cwd.join(file), true);
    } else if let Ok(environment) = store.environment(&view.name) {
        let mut found = launch::search_path(&environment).map(|place| cwd.join(place).join(file));
        if let Some(path) = found.find(|path| path.is_file()) {
            add(path, false);
        }
    }
    let words = spec.program.words.iter().skip(1);
    for word in words.filter(|word| !word.as_bytes().starts_with(b"-")) {
        let path = cwd.join(word.as_path());
        if path.is_file() {
            add(path, false);
        }
    }
    files
}

type Found = Option<(FileChange, Option<u64>)>;

fn file(path: &Path, since: Option<u64>, must_be: bool) -> Found {
    let Ok(meta) = fs::metadata(path) else {
        return must_be.then_some((FileChange::Missing, None));
    };
    let since = since?;
    let modified = unix_ms(meta.mtime(), meta.mtime_nsec());
    let changed = unix_ms(meta.ctime(), meta.ctime_nsec());
    if modified > since {
        return Some((FileChange::Modified, Some(modified)));
    }
    // A file that was moved here keeps its time of modification; the time of its inode's change is
    // of the move.
    (changed > since).then_some((FileChange::Replaced, Some(changed)))
}

fn directory(path: &Path, since: Option<u64>) -> Found {
    let Ok(meta) = fs::metadata(path) else {
        return Some((FileChange::Missing, None));
    };
    let since = since?;
    if let Ok(link) = fs::symlink_metadata(path)
        && link.is_symlink()
    {
        let at = unix_ms(link.mtime(), link.mtime_nsec());
        if at > since {
            return Some((FileChange::Relinked, Some(at)));
        }
    }
    // If the file system keeps the time of birth: a directory that is younger than the run is
    // another one.
    let made = meta.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let made = made.as_millis() as u64;
    (made > since).then_some((FileChange::Replaced, Some(made)))
}

fn unix_ms(seconds: i64, nanoseconds: i64) -> u64 {
    u64::try_from(seconds * 1000 + nanoseconds / 1_000_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    fn now() -> u64 {
        crate::sys::clock::unix_ms()
    }

    #[test]
    fn a_file_that_was_written_replaced_or_removed_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.sh");
        fs::write(&path, "x").unwrap();
        assert_eq!(file(&path, Some(now() + 60_000), true), None);
        assert_eq!(file(&path, None, true), None);
        let how = |since| file(&path, Some(since), true).map(|(how, _)| how);
        assert_eq!(how(now() - 60_000), Some(FileChange::Modified));
        // As `rsync -a` and `mv` leave it: an old time of modification, a new one of change.
        let old = UNIX_EPOCH + Duration::from_millis(now() - 3_600_000);
        let opened = fs::File::options().write(true).open(&path).unwrap();
        opened.set_modified(old).unwrap();
        assert_eq!(how(now() - 60_000), Some(FileChange::Replaced));
        fs::remove_file(&path).unwrap();
        assert_eq!(how(0), Some(FileChange::Missing));
        assert_eq!(file(&path, Some(0), false), None);
    }

    #[test]
    fn a_working_directory_that_leads_elsewhere_is_told() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("current");
        symlink(root.path(), &link).unwrap();
        let how = |since| directory(&link, since).map(|(how, _)| how);
        assert_eq!(how(Some(now() - 60_000)), Some(FileChange::Relinked));
        assert_eq!(how(Some(now() + 60_000)), None);
        assert_eq!(how(None), None);
        fs::remove_file(&link).unwrap();
        assert_eq!(how(None), Some(FileChange::Missing));
    }
}
