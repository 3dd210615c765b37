//! The names of the files that TSM puts into the directories of init systems.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Wanted, marked_home};
use crate::error::{Error, Result};

/// Those that are there, by name, each with its home.
pub(super) fn ours(directory: &Path, suffix: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("tsm") && name.ends_with(suffix) {
            // A file that cannot be read has no mark of ours.
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            found.extend(marked_home(&text).map(|home| (name, home)));
        }
    }
    crate::sorted::sort(&mut found);
    found
}

/// A name for a new one: what this home's is called, else `tsm`, else one of the home's own where that starts another home,
/// which is returned, too.
pub(super) fn free(
    directory: &Path,
    suffix: &str,
    wanted: &Wanted,
) -> Result<(String, Option<PathBuf>)> {
    let there = ours(directory, suffix);
    let own = wanted.owner.home.root();
    if let Some((name, _)) = there.iter().find(|(_, home)| home == own) {
        return Ok((name.clone(), None));
    }
    let usual = format!("tsm{suffix}");
    match there.into_iter().find(|(name, _)| *name == usual) {
        Some((_, other)) => {
            let user = &wanted.owner.account.name;
            let words = escaped(&format!("{user}{}", own.display()));
            Ok((format!("tsm-{words}{suffix}"), Some(other)))
        }
        None if directory.join(&usual).exists() => Err(Error::Startup {
            step: format!("write {}", directory.join(usual).display()),
            reason: "there is one that TSM has not written; remove or rename it".into(),
        }),
        None => Ok((usual, None)),
    }
}

/// What is neither a letter, a digit, nor one of `:_.` becomes a dash.
fn escaped(words: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || ":_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    words.chars().map(plain).collect()
}
