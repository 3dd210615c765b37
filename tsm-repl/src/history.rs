//! The history file: `.tsm_history` in the home, one line each, for its owner alone.
//!
//! Each line is appended when it is entered, under a lock, so that several shells share the file; what others have added
//! can be recalled at the next prompt. Nothing is written where there is no home yet, and never what looks as if a secret
//! stood in it.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tsm_core::env::secret::cover;
use tsm_core::error::BestEffort as _;

/// How many lines of the file can be recalled, and are left when it is cut.
pub(crate) const RECALLED: usize = 1000;
/// A file of more bytes is cut when a shell begins.
const LARGEST: u64 = 256 << 10;

/// Where the history is, and how much of it is known.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
    /// So many bytes of the file were read.
    read: u64,
    /// What this shell added behind them.
    own: VecDeque<String>,
}

impl History {
    pub(crate) fn new(home: &Path) -> Self {
        Self {
            path: home.join(".tsm_history"),
            read: 0,
            own: VecDeque::new(),
        }
    }

    /// What is in the file and was not read yet, oldest first, less what this shell wrote itself.
    pub(crate) fn news(&mut self) -> io::Result<Vec<String>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        if length < self.read {
            // Another shell cut it; what is left was known.
            self.read = length;
            self.own.clear();
            return Ok(Vec::new());
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // A line that is being written is read the next time.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        bytes.truncate(whole.map_or(0, |at| at + 1));
        self.read += bytes.len() as u64;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines() {
            if self.own.front().is_some_and(|own| own == line) {
                self.own.pop_front();
            } else {
                lines.push(line.to_owned());
            }
        }
        let excess = lines.len().saturating_sub(RECALLED);
        Ok(lines.split_off(excess))
    }

    /// Adds a line, unless it is not to be remembered.
    pub(crate) fn append(&mut self, line: &str) -> io::Result<()> {
        let home_is_there = self.path.parent().is_some_and(Path::is_dir);
        let is_private = line.starts_with(' ') || looks_secret(line);
        // A quoted newline cannot stand in a file of lines.
        let has_place = !line.trim().is_empty() && !line.contains('\n');
        if !home_is_there || is_private || !has_place {
            return Ok(());
        }
        let mut file = self.locked()?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        file.write_all(format!("{line}\n").as_bytes())?;
        self.own.push_back(line.to_owned());
        Ok(())
    }

    /// Leaves the last lines of a file that has grown large.
    pub(crate) fn cut(&self) -> io::Result<()> {
        let is_large = fs::metadata(&self.path).is_ok_and(|meta| meta.len() > LARGEST);
        if !is_large {
            return Ok(());
        }
        // Held until the new file has its name: nobody appends to the old one meanwhile.
        let mut old = self.locked()?;
        let mut bytes = Vec::new();
        old.read_to_end(&mut bytes)?;
        let ends = bytes.iter().enumerate().rev();
        let mut ends = ends
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(at, _)| at + 1);
        let from = ends.nth(RECALLED).unwrap_or(0);
        let temporary = self.path.with_extension("tmp");
        let mut new = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        let written = new
            .write_all(&bytes[from..])
            .and_then(|()| fs::rename(&temporary, &self.path));
        if written.is_err() {
            fs::remove_file(&temporary).best_effort("the first error is the one to tell");
        }
        written
    }

    /// The file, locked, for reading and for writing at its end.
    fn locked(&self) -> io::Result<File> {
        loop {
            let file = OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&self.path)?;
            file.lock()?;
            // One that was cut meanwhile has no name any more.
            if file.metadata()?.nlink() > 0 {
                return Ok(file);
            }
        }
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
        || cover(&plain) != plain
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
        let mut history = History::new(home.path());
        assert_eq!(history.news().unwrap(), Vec::<String>::new());
        for line in [
            "list",
            "",
            " stop x",
            "start x --env A=b",
            "stop 'a\nb'",
            "stop api",
        ] {
            history.append(line).unwrap();
        }
        let all = |home| History::new(home).news().unwrap();
        assert_eq!(all(home.path()), ["list", "stop api"]);
        let mode = || {
            let metadata = fs::metadata(home.path().join(".tsm_history")).unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(mode(), 0o600);
        fs::set_permissions(
            home.path().join(".tsm_history"),
            Permissions::from_mode(0o644),
        )
        .unwrap();
        history.append("ls").unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn what_another_shell_adds_is_news_and_one_s_own_lines_are_none() {
        let home = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (History::new(home.path()), History::new(home.path()));
        one.append("a").unwrap();
        two.append("b").unwrap();
        one.append("c").unwrap();
        assert_eq!(one.news().unwrap(), ["b"]);
        assert_eq!(two.news().unwrap(), ["a", "c"]);
        assert!(one.news().unwrap().is_empty() && two.news().unwrap().is_empty());
        two.append("a").unwrap();
        assert_eq!(one.news().unwrap(), ["a"]);
    }

    #[test]
    fn shells_that_write_at_the_same_time_lose_nothing_and_a_large_file_is_cut() {
        let home = tempfile::tempdir().unwrap();
        let long = "x".repeat(300);
        std::thread::scope(|scope| {
            for shell in 0..4 {
                let (home, long) = (home.path(), &long);
                scope.spawn(move || {
                    let mut history = History::new(home);
                    for number in 0..300 {
                        history.append(&format!("{shell} {number} {long}")).unwrap();
                        if number % 50 == 0 {
                            history.cut().unwrap();
                        }
                    }
                });
            }
        });
        History::new(home.path()).cut().unwrap();
        let lines = History::new(home.path()).news().unwrap();
        assert_eq!(lines.len(), RECALLED);
        for shell in 0..4 {
            let numbers = lines.iter().filter_map(|line| {
                let rest = line.strip_prefix(&format!("{shell} "))?;
                rest.split(' ').next()?.parse::<u32>().ok()
            });
            let numbers: Vec<u32> = numbers.collect();
            let first = *numbers.first().unwrap_or(&300);
            assert_eq!(
                numbers,
                (first..300).collect::<Vec<u32>>(),
                "of shell {shell}"
            );
        }
    }

    #[test]
    fn no_home_is_made_for_it() {
        let parent = tempfile::tempdir().unwrap();
        let home = parent.path().join("none");
        History::new(&home).append("list").unwrap();
        assert!(!home.exists());
    }
}
