//! `tsm repl`: the interactive shell of TSM.
//!
//! It reads lines, splits them into words and hands these to [`Commands`], which the command line implements: what a
//! command means and prints is none of this crate's business. What it knows besides is in [`line::HELP`].
//!
//! On a terminal there is an editor with a prompt, completion and history, and Ctrl-C ends a line or a command, never
//! the shell. Elsewhere lines are read one by one, and the first failure is the exit status.

mod editor;
mod events;
mod history;
mod line;
mod prompt;
mod scan;
mod watching;

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};

use tsm_core::error::BestEffort as _;
use tsm_core::store::ProcessStore;

use line::Line;
use watching::Interrupts;

/// Something that a word may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The whole word.
    pub word: String,
    /// What it is, in a few words; may be empty.
    pub help: String,
}

impl Candidate {
    /// A candidate and what it is.
    pub fn new(word: impl Into<String>, help: impl Into<String>) -> Self {
        let (word, help) = (word.into(), help.into());
        Self { word, help }
    }
}

/// What the shell can run.
pub trait Commands {
    /// Runs a command, told by its words without `tsm` before them, and gives its exit status. What there is to say, it
    /// has said; what it prints goes to `stdout` where one is given.
    fn run(&mut self, words: Vec<OsString>, stdout: Option<Stdio>) -> u8;
    /// What the last of `words` may become; nothing where a file is wanted.
    fn complete(&self, words: &[String]) -> Vec<Candidate>;
    /// Whether a word is a command.
    fn is_command(&self, word: &str) -> bool;
    /// The words with `name` put in where they name no process and need one.
    fn address(&self, words: Vec<OsString>, name: &str) -> Vec<OsString>;
    /// Whether there is a process of this name or id.
    fn exists(&self, name: &str) -> bool;
    /// A new line begins: what was remembered for completion may be old.
    fn refresh(&mut self);
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
/// The exit status where there is no such process.
const NO_SUCH_PROCESS: u8 = 3;

/// Runs the shell on standard input to its end, and gives its exit status: 0 from a terminal, else that of the first
/// command that failed.
///
/// # Errors
/// An [`io::Error`] where the terminal or standard input cannot be read.
pub fn run(options: &Options, commands: &mut dyn Commands) -> io::Result<u8> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        editor::run(options, commands)?;
        return Ok(0);
    }
    let mut session = Session::new(options, false)?;
    let mut first_failure = 0;
    let mut text = Vec::new();
    let mut lines = io::stdin().lock().split(b'\n');
    loop {
        let line = lines.next().transpose()?;
        let last = line.is_none();
        if let Some(line) = line {
            text.extend(line);
            // A quote that is open, or a backslash, goes on in the next line.
            if !scan::scan(&text).complete {
                text.push(b'\n');
                continue;
            }
        }
        match session.obey(&text, commands) {
            Next::Go(status) if first_failure == 0 => first_failure = status,
            Next::Go(_) | Next::Events(_) => {}
            Next::Leave => break,
        }
        text.clear();
        if last {
            break;
        }
    }
    Ok(first_failure)
}

/// What comes after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another line; this one had this status.
    Go(u8),
    /// Another line, with changes told or not.
    Events(bool),
    /// Nothing.
    Leave,
}

/// What lines leave behind for those that follow.
struct Session<'a> {
    options: &'a Options,
    /// On a terminal.
    interrupts: Option<Interrupts>,
    in_use: Option<String>,
}

impl<'a> Session<'a> {
    fn new(options: &'a Options, interactive: bool) -> io::Result<Self> {
        Ok(Self {
            options,
            interrupts: interactive.then(Interrupts::catch).transpose()?,
            in_use: None,
        })
    }

    fn in_use(&self) -> Option<&str> {
        self.in_use.as_deref()
    }

    /// Does what a line says.
    fn obey(&mut self, line: &[u8], commands: &mut dyn Commands) -> Next {
        let line = match line::parse(line) {
            Ok(line) => line,
            Err(wrong) => {
                complain(wrong);
                return Next::Go(USAGE);
            }
        };
        match line {
            Line::Empty => Next::Go(0),
            Line::Leave => Next::Leave,
            Line::Shell(command) => Next::Go(self.shell(&command)),
            Line::Help => {
                let status = commands.run(vec!["--help".into()], None);
                say(line::HELP);
                Next::Go(status)
            }
            Line::Command { words, into } => {
                let words = self.addressed(words, commands);
                Next::Go(match into {
                    None => commands.run(words, None),
                    Some(command) => self.through(&command, words, commands),
                })
            }
            Line::Use(None) => {
                self.in_use = None;
                Next::Go(0)
            }
            Line::Use(Some(name)) if commands.exists(&name) => {
                self.in_use = Some(name);
                Next::Go(0)
            }
            Line::Use(Some(name)) => {
                complain(format_args!("no process '{name}'; 'list' shows all"));
                Next::Go(NO_SUCH_PROCESS)
            }
            Line::Watch { words, every } => {
                let Some(interrupts) = &self.interrupts else {
                    complain("'watch' needs a terminal, where Ctrl-C ends it");
                    return Next::Go(USAGE);
                };
                let words = self.addressed(words, commands);
                let watched =
                    watching::run(&self.options.store, commands, &words, every, interrupts);
                Next::Go(watched.unwrap_or_else(|error| {
                    complain(format_args!("cannot watch: {error}"));
                    1
                }))
            }
            Line::Events(_) if self.interrupts.is_none() => {
                complain("'events' needs a terminal: there is no prompt to tell them above");
                Next::Go(USAGE)
            }
            Line::Events(on) => Next::Events(on),
        }
    }

    fn addressed(&self, words: Vec<OsString>, commands: &dyn Commands) -> Vec<OsString> {
        match &self.in_use {
            Some(name) => commands.address(words, name),
            None => words,
        }
    }

    /// A shell command: by the person's shell on a terminal, by `/bin/sh` elsewhere.
    fn program(&self, command: &OsStr) -> Command {
        let person = std::env::var_os("SHELL");
        let person = person.filter(|shell| self.interrupts.is_some() && !shell.is_empty());
        let mut program = Command::new(person.unwrap_or_else(|| "/bin/sh".into()));
        program.arg("-c").arg(command);
        program
    }

    /// Runs `!cmd`. Where lines come from a file its standard input is empty: ours holds the lines that are still to come.
    fn shell(&self, command: &OsStr) -> u8 {
        let mut program = self.program(command);
        if self.interrupts.is_none() {
            program.stdin(Stdio::null());
        }
        match program.status() {
            Ok(status) => status_number(status),
            Err(error) => cannot_run(&program, &error),
        }
    }

    /// Runs `COMMAND | cmd`. The status is that of the command, or, where that is 0, of the shell command.
    fn through(&self, into: &OsStr, words: Vec<OsString>, commands: &mut dyn Commands) -> u8 {
        let mut program = self.program(into);
        let mut child = match program.stdin(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) => return cannot_run(&program, &error),
        };
        let stdout = child.stdin.take().map(Stdio::from);
        let status = commands.run(words, stdout);
        match child.wait() {
            Ok(read) if status == 0 => status_number(read),
            Ok(_) => status,
            Err(error) => cannot_run(&program, &error),
        }
    }
}

fn cannot_run(program: &Command, error: &io::Error) -> u8 {
    let program = program.get_program().to_string_lossy();
    complain(format_args!("cannot run {program}: {error}"));
    127
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
    writeln!(io::stderr().lock(), "{text}")
        .best_effort("nobody is left to tell where even this fails");
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
        fn run(&mut self, words: Vec<OsString>, stdout: Option<Stdio>) -> u8 {
            let words: Vec<String> = words.iter().map(|w| w.to_string_lossy().into()).collect();
            self.0.push(words.join("|"));
            if let Some(stdout) = stdout {
                // The reader may be gone already, as one that needs no more is.
                drop(Command::new("echo").args(&words).stdout(stdout).status());
            }
            u8::from(words[0] != "ok") * 3
        }

        fn complete(&self, _: &[String]) -> Vec<Candidate> {
            Vec::new()
        }

        fn is_command(&self, word: &str) -> bool {
            word == "ok"
        }

        fn address(&self, mut words: Vec<OsString>, name: &str) -> Vec<OsString> {
            words.push(name.into());
            words
        }

        fn exists(&self, name: &str) -> bool {
            name == "api"
        }

        fn refresh(&mut self) {}
    }

    #[test]
    fn a_line_becomes_words_a_shell_command_or_nothing() {
        let mut fake = Fake::default();
        let options = Options {
            store: ProcessStore::new(tsm_core::home::Home::at("/nowhere")),
            place: None,
            colour: false,
        };
        let mut session = Session::new(&options, false).unwrap();
        let mut obey = |line: &str| session.obey(line.as_bytes(), &mut fake);
        assert_eq!(obey("ok 'a b' \"c d\" # why"), Next::Go(0));
        assert_eq!(obey("no x"), Next::Go(3));
        assert_eq!(obey("ok 'a"), Next::Go(USAGE));
        assert_eq!(obey("   "), Next::Go(0));
        assert_eq!(obey("# ok"), Next::Go(0));
        assert_eq!(obey("help stop"), Next::Go(3));
        assert_eq!(obey("!exit 7"), Next::Go(7));
        assert_eq!(obey("!kill -9 $$"), Next::Go(137));
        // The words arrive, and the statuses are told apart.
        assert_eq!(obey("ok x | grep -q 'ok x'"), Next::Go(0));
        assert_eq!(obey("ok x | exit 9"), Next::Go(9));
        assert_eq!(obey("no x | cat >/dev/null"), Next::Go(3));
        assert_eq!(obey("use nope"), Next::Go(NO_SUCH_PROCESS));
        assert_eq!(obey("use api"), Next::Go(0));
        assert_eq!(obey("ok"), Next::Go(0));
        assert_eq!(obey("use"), Next::Go(0));
        assert_eq!(obey("ok"), Next::Go(0));
        assert_eq!(obey("watch ok"), Next::Go(USAGE));
        assert_eq!(obey("events on"), Next::Go(USAGE));
        assert_eq!(obey(" quit "), Next::Leave);
        let expected = [
            "ok|a b|c d",
            "no|x",
            "stop|--help",
            "ok|x",
            "ok|x",
            "no|x",
            "ok|api",
            "ok",
        ];
        assert_eq!(fake.0, expected);
    }
}
