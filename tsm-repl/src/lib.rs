//! `tsm repl`: the interactive shell of TSM.
//!
//! It reads lines, splits them into words and hands these to [`Commands`], which the command line implements: what a
//! command means and prints is none of this crate's business. Besides that it knows `help`, `exit`, `quit` and `!cmd`.
//!
//! On a terminal there is an editor with a prompt, completion and history, and Ctrl-C ends a line or a command, never
//! the shell. Elsewhere lines are read one by one, and the first failure is the exit status.

mod complete;
mod editor;
mod history;
mod line;
mod prompt;

use std::ffi::OsString;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tsm_core::store::ProcessStore;

use line::Line;

/// What the shell can run.
pub trait Commands {
    /// Runs a command, told by its words without `tsm` before them, and gives its exit status. What there is to say, it
    /// has said.
    fn run(&mut self, words: Vec<OsString>) -> u8;
    /// The names of the processes, for completion.
    fn names(&self) -> Vec<String>;
    /// What may stand first in a line, for completion.
    fn commands(&self) -> Vec<String>;
}

/// How the shell is.
#[derive(Debug)]
pub struct Options {
    /// Whose processes the prompt counts, and where the history is.
    pub store: ProcessStore,
    /// What the prompt says of the home; `None` for the default one.
    pub place: Option<String>,
    /// Whether the prompt has colours.
    pub colour: bool,
}

/// The exit status of wrong usage.
const USAGE: u8 = 2;

/// Runs the shell on standard input to its end, and gives its exit status: 0 from a terminal, else that of the first
/// command that failed.
///
/// # Errors
/// An [`io::Error`] where the terminal or standard input cannot be read.
pub fn run(options: &Options, commands: &mut dyn Commands) -> io::Result<u8> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        // While a command runs, Ctrl-C is for it and not for us. A handler, unlike "ignore", is not inherited.
        signal_hook::flag::register(
            signal_hook::consts::SIGINT,
            Arc::new(AtomicBool::new(false)),
        )?;
        editor::run(options, commands)?;
        return Ok(0);
    }
    let mut first_failure = 0;
    for line in io::stdin().lock().split(b'\n') {
        match obey(&line?, commands, false) {
            Next::Go(status) if first_failure == 0 => first_failure = status,
            Next::Go(_) => {}
            Next::Leave => break,
        }
    }
    Ok(first_failure)
}

/// What comes after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another line; this one had this status.
    Go(u8),
    /// Nothing.
    Leave,
}

/// Does what a line says.
fn obey(line: &[u8], commands: &mut dyn Commands, interactive: bool) -> Next {
    match line::parse(line) {
        Ok(Line::Empty) => Next::Go(0),
        Ok(Line::Leave) => Next::Leave,
        Ok(Line::Shell(command)) => Next::Go(shell(command, interactive)),
        Ok(Line::Help) => {
            let status = commands.run(vec!["--help".into()]);
            say(line::HELP);
            Next::Go(status)
        }
        Ok(Line::Command(words)) => Next::Go(commands.run(words)),
        Err(wrong) => {
            complain(wrong);
            Next::Go(USAGE)
        }
    }
}

/// Runs `!cmd`: with the person's shell on a terminal, with `/bin/sh` and an empty standard input elsewhere, where
/// standard input holds the lines that are still to come.
fn shell(command: OsString, interactive: bool) -> u8 {
    let person = std::env::var_os("SHELL").filter(|shell| interactive && !shell.is_empty());
    let program = person.unwrap_or_else(|| "/bin/sh".into());
    let stdin = if interactive {
        Stdio::inherit()
    } else {
        Stdio::null()
    };
    let status = Command::new(&program)
        .arg("-c")
        .arg(command)
        .stdin(stdin)
        .status();
    match status {
        Ok(status) => status_number(status),
        Err(error) => {
            complain(format!("cannot run {}: {error}", program.to_string_lossy()));
            127
        }
    }
}

/// An exit status as shells count it: 128 and the signal's number where one ended the program. After a Ctrl-C the
/// terminal's line is ended, too.
pub fn status_number(status: ExitStatus) -> u8 {
    if let Some(signal) = status.signal() {
        if signal == signal_hook::consts::SIGINT && io::stderr().is_terminal() {
            say("");
        }
        return 128_u8.saturating_add(signal as u8);
    }
    status.code().unwrap_or(1) as u8
}

fn say(text: &str) {
    // Nobody is left to tell where even this fails.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn complain(text: impl std::fmt::Display) {
    say(&format!("tsm: {text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knows `ok` and nothing else.
    #[derive(Default)]
    struct Fake(Vec<String>);

    impl Commands for Fake {
        fn run(&mut self, words: Vec<OsString>) -> u8 {
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            self.0.push(words.join("|"));
            u8::from(words[0] != "ok") * 3
        }

        fn names(&self) -> Vec<String> {
            Vec::new()
        }

        fn commands(&self) -> Vec<String> {
            Vec::new()
        }
    }

    #[test]
    fn a_line_becomes_words_a_shell_command_or_nothing() {
        let mut fake = Fake::default();
        assert_eq!(
            obey(b"ok 'a b' \"c d\" # why", &mut fake, false),
            Next::Go(0)
        );
        assert_eq!(obey(b"no x", &mut fake, false), Next::Go(3));
        assert_eq!(obey(b"ok 'a", &mut fake, false), Next::Go(USAGE));
        assert_eq!(obey(b"   ", &mut fake, false), Next::Go(0));
        assert_eq!(obey(b"# ok", &mut fake, false), Next::Go(0));
        assert_eq!(obey(b"help stop", &mut fake, false), Next::Go(3));
        assert_eq!(obey(b"!exit 7", &mut fake, false), Next::Go(7));
        assert_eq!(obey(b"!kill -9 $$", &mut fake, false), Next::Go(137));
        assert_eq!(obey(b" quit ", &mut fake, false), Next::Leave);
        assert_eq!(fake.0, ["ok|a b|c d", "no|x", "stop|--help"]);
    }
}
