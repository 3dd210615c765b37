//! The history file: `.tsm_history` in the home, one line each, for its owner alone.
//!
//! Each line is appended when it is entered, so that several shells share the file. Nothing is written where there is no
//! home yet, and never what looks as if a secret stood in it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tsm_core::env::secret::without_passwords;

/// How many lines of the file can be recalled.
pub(crate) const RECALLED: usize = 1000;

/// Where the history is.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
}

impl History {
    pub(crate) fn new(home: &Path) -> Self {
        Self {
            path: home.join(".tsm_history"),
        }
    }

    /// The last lines, oldest first; none where there is no file.
    pub(crate) fn read(&self) -> io::Result<Vec<String>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut lines = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            lines.push(String::from_utf8_lossy(&line?).into_owned());
        }
        let excess = lines.len().saturating_sub(RECALLED);
        Ok(lines.split_off(excess))
    }

    /// Adds a line, unless it is not to be remembered.
    pub(crate) fn append(&self, line: &str) -> io::Result<()> {
        let home_is_there = self.path.parent().is_some_and(Path::is_dir);
        if !home_is_there || line.trim().is_empty() || line.starts_with(' ') || looks_secret(line) {
            return Ok(());
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        // One write, so that lines of several shells do not mix.
        file.write_all(format!("{line}\n").as_bytes())
    }
}

/// Whether a secret may stand in a line: rather a line too many is forgotten than one too few.
pub(crate) fn looks_secret(line: &str) -> bool {
    const SIGNS: &[&str] = &[
        "--env",
        "env set",
        "token",
        "passw",
        "passphrase",
        "secret",
        "key=",
        "-key",
        "_key",
        "apikey",
        "credential",
        "bearer",
        "authorization",
    ];
    let line = line.to_lowercase();
    // The shell's quotes and backslashes do not hide a word.
    let plain: String = line.chars().filter(|c| !"'\"\\".contains(*c)).collect();
    SIGNS
        .iter()
        .any(|sign| line.contains(sign) || plain.contains(sign))
        || without_passwords(&plain) != plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_seen() {
        for line in [
            "start x --env A=b",
            "env set x A=b",
            "start x --env=A=b",
            "start x --e'nv' A=b",
            "!export API_TOKEN=abc",
            "start 'curl -H \"Authorization: Bearer x\"'",
            "start db --password hunter2",
            "!PGPASSWORD=x psql",
            "start x --api-key abc",
            "start x KEY=abc",
            "start x --client-Secret abc",
            "start 'psql postgres://me:pw@host/db'",
        ] {
            assert!(looks_secret(line), "{line}");
        }
        for line in [
            "list",
            "start server.sh --name api --port 4001",
            "logs -f monkey",
            "start 'curl https://host:80/x@y'",
            "!git log",
        ] {
            assert!(!looks_secret(line), "{line}");
        }
    }

    #[test]
    fn only_the_owner_reads_it_and_secrets_are_not_in_it() {
        let home = tempfile::tempdir().unwrap();
        let history = History::new(home.path());
        assert_eq!(history.read().unwrap(), Vec::<String>::new());
        for line in ["list", "", " stop x", "start x --env A=b", "stop api"] {
            history.append(line).unwrap();
        }
        assert_eq!(history.read().unwrap(), ["list", "stop api"]);
        let mode = || {
            let metadata = std::fs::metadata(home.path().join(".tsm_history")).unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(
            home.path().join(".tsm_history"),
            Permissions::from_mode(0o644),
        )
        .unwrap();
        history.append("ls").unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn no_home_is_made_for_it() {
        let parent = tempfile::tempdir().unwrap();
        let home = parent.path().join("none");
        History::new(&home).append("list").unwrap();
        assert!(!home.exists());
    }
}
