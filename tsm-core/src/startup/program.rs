//! Whether the program is in a place that it can be started from at every boot.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext as _, Result};
use crate::sys::account::{self, Account};

/// Where nothing stays over a reboot, or over a clean-up.
const FLEETING: [&str; 5] = ["/tmp", "/var/tmp", "/run", "/dev/shm", "/proc"];

/// Refuses a program that another user than root and `account` could replace, or that will go away; returns its real path.
///
/// # Errors
/// [`Error::Startup`] with the reason and the remedy; [`Error::Io`].
pub fn check(program: &Path, account: &Account) -> Result<PathBuf> {
    let program = fs::canonicalize(program).at("find", program)?;
    let refuse = |reason: String| {
        Err(Error::Startup {
            step: format!("start {} at boot", program.display()),
            reason: format!(
                "{reason}; install it first: sudo install -m 755 {} /usr/local/bin/tsm, and run that one",
                program.display()
            ).into(),
        })
    };
    if let Some(place) = FLEETING.iter().find(|place| program.starts_with(place)) {
        return refuse(format!("what is in {place} goes away"));
    }
    if let Some(directory) = build_directory(&program) {
        return refuse(format!("{} is a build directory", directory.display()));
    }
    // Every directory above it as well: whoever may rename one of them can put another
    // program there. In a sticky one, nobody else can.
    for path in program.ancestors() {
        let meta = fs::metadata(path).at("look at", path)?;
        if ![0, account.uid].contains(&meta.uid()) {
            let owner = account::name_of(meta.uid());
            return refuse(format!("{} belongs to {owner}", path.display()));
        }
        let mode = meta.mode();
        let is_sticky = meta.is_dir() && mode & 0o1000 != 0;
        if mode & 0o002 != 0 && !is_sticky {
            return refuse(format!("everybody may write to {}", path.display()));
        }
        if mode & 0o020 != 0 && !is_sticky {
            let others = account::members_of(meta.gid());
            let other = others
                .iter()
                .find(|name| *name != "root" && **name != account.name);
            if let Some(other) = other {
                return refuse(format!("{other} may write to {}", path.display()));
            }
        }
    }
    Ok(program)
}

/// The directory of Cargo's that a program lies in.
fn build_directory(program: &Path) -> Option<&Path> {
    program.ancestors().skip(1).find(|directory| {
        directory.join("CACHEDIR.TAG").exists() || directory.join(".cargo-lock").exists()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_place_that_goes_away_or_that_others_may_write_to_is_refused() {
        let own = account::find(&account::effective_uid().to_string())
            .unwrap()
            .unwrap();
        let refused = |path: &Path| check(path, &own).unwrap_err().to_string();
        let built = std::env::current_exe().unwrap();
        let told = refused(&built);
        assert!(
            told.contains("is a build directory") || told.contains("goes away"),
            "{told}"
        );
        let temporary = tempfile::NamedTempFile::new_in("/tmp").unwrap();
        assert!(refused(temporary.path()).contains("what is in /tmp goes away"));
        let here = std::env::current_dir().unwrap();
        if ["/tmp", "/var/tmp", "/dev/shm"]
            .iter()
            .any(|goes_away| here.starts_with(goes_away))
        {
            eprintln!("skipped in part: {} goes away itself", here.display());
        } else {
            let directory = tempfile::tempdir_in(here).unwrap();
            let program = directory.path().join("tsm");
            fs::write(&program, "").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o757)).unwrap();
            let told = refused(&program);
            assert!(told.contains("everybody may write to"), "{told}");
        }
        assert_eq!(
            check(Path::new("/bin/sh"), &own).unwrap(),
            fs::canonicalize("/bin/sh").unwrap()
        );
    }
}
