//! The supervisor's own log, `logs/tsm.log`: one line for each thing that an operator may want to know. What goes on and on is told once in
//! a while, so that no flood of anything is a flood of lines.

use std::fmt::Display;
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use crate::error::BestEffort as _;
use crate::sys::clock;

/// How often something that goes on and on is said.
const SELDOM: Duration = Duration::from_secs(10);

/// Where it goes: standard error, which is `logs/tsm.log` in the background and the terminal in the foreground.
#[derive(Debug)]
pub(super) struct WorkLog {
    file: Option<File>,
    /// What is said seldom, and when it was last.
    told: Vec<(&'static str, Duration)>,
}

impl WorkLog {
    /// On standard error.
    pub(super) fn open() -> Self {
        let stderr = std::io::stderr();
        let duplicate = std::os::fd::AsFd::as_fd(&stderr).try_clone_to_owned();
        Self {
            file: duplicate.ok().map(File::from),
            told: Vec::new(),
        }
    }

    /// One line. Where it cannot be written there is nobody left to tell.
    pub(super) fn say(&mut self, what: impl Display) {
        if let Some(file) = &mut self.file {
            let time = crate::events::rfc3339(clock::unix_ms());
            writeln!(file, "{time} [{}] {what}", std::process::id())
                .best_effort("there is no other place to say it");
        }
    }

    /// One line about what goes on and on, unless `about` was said a moment before: one in a while tells as much as a
    /// thousand.
    pub(super) fn say_seldom(&mut self, about: &'static str, what: impl Display) {
        if self.is_told(about, clock::monotonic()) {
            self.say(what);
        }
    }

    fn is_told(&mut self, about: &'static str, now: Duration) -> bool {
        match self.told.iter_mut().find(|(what, _)| *what == about) {
            Some((_, at)) if now < *at + SELDOM => return false,
            Some((_, at)) => *at = now,
            None => self.told.push((about, now)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_once_in_a_while_each() {
        let mut log = WorkLog {
            file: None,
            told: Vec::new(),
        };
        let at = |seconds: u64| Duration::from_secs(100 + seconds);
        assert!(log.is_told("a", at(0)));
        assert!(!log.is_told("a", at(9)));
        assert!(log.is_told("b", at(9)));
        assert!(log.is_told("a", at(10)));
        assert!(!log.is_told("a", at(19)));
    }
}
