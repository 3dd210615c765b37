//! Why a look at a process, a hook or a notice has failed.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::error;
use crate::probe::AskError;
use crate::sys::WaitStatus;

/// Why a look at a process, a hook or a notice has failed. The words are for people, and follow a colon.
#[derive(Debug, Error)]
pub(in crate::supervise) enum Failure {
    /// What was asked for over the network, or in `/proc`, is not so.
    #[error(transparent)]
    Asked(#[from] AskError),
    /// Nothing that it printed says that it is ready.
    #[error("it printed no line like '{pattern}'")]
    NoLine {
        /// The regular expression.
        pattern: String,
    },
    /// Its command was not begun.
    #[error(transparent)]
    NotBegun(#[from] error::Error),
    /// The program of its command is not there, or may not be executed.
    #[error("it cannot be executed: {0}")]
    NotExecuted(io::Error),
    /// Its command was killed after this time.
    #[error("it took longer than {} and was killed", crate::words::seconds(.0.as_millis() as u64))]
    Overdue(Duration),
    /// Its command did not end with exit status 0.
    #[error("it {}{}{}", was(*.status), .status.in_words(), after_colon(.last_line.as_deref()))]
    Ended {
        status: WaitStatus,
        /// The last that it printed.
        last_line: Option<String>,
    },
}

/// A signal ends what does not end by itself.
fn was(status: WaitStatus) -> &'static str {
    match status {
        WaitStatus::Signal { .. } => "was ",
        _ => "",
    }
}

fn after_colon(line: Option<&str>) -> String {
    line.map_or_else(String::new, |line| format!(": {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_failed_is_told_with_the_last_that_it_said() {
        let ended = |status, last_line: Option<&str>| {
            let last_line = last_line.map(str::to_owned);
            Failure::Ended { status, last_line }.to_string()
        };
        assert_eq!(
            ended(WaitStatus::Code(3), Some("no database")),
            "it exited with status 3: no database"
        );
        let killed = WaitStatus::Signal {
            number: 9,
            core: false,
        };
        assert_eq!(ended(killed, None), "it was killed by SIGKILL");
        assert_eq!(
            Failure::Overdue(Duration::from_secs(5)).to_string(),
            "it took longer than 5.0 s and was killed"
        );
    }
}
