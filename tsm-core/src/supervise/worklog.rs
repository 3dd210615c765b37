//! The supervisor's own log, `logs/tsm.log`: one line for each thing that an operator may want to know.

use std::fmt::Display;
use std::fs::File;
use std::io::Write as _;

/// Where it goes: standard error, which is `logs/tsm.log` in the background and the terminal in the foreground.
#[derive(Debug)]
pub(super) struct WorkLog {
    file: Option<File>,
}

impl WorkLog {
    /// On standard error.
    pub(super) fn open() -> Self {
        let stderr = std::io::stderr();
        let duplicate = std::os::fd::AsFd::as_fd(&stderr).try_clone_to_owned();
        Self {
            file: duplicate.ok().map(File::from),
        }
    }

    /// One line. Where it cannot be written there is nobody left to tell.
    pub(super) fn say(&mut self, what: impl Display) {
        if let Some(file) = &mut self.file {
            let time = crate::events::rfc3339(crate::sys::clock::unix_ms());
            let _ = writeln!(file, "{time} [{}] {what}", std::process::id());
        }
    }
}
