//! What a line says.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use crate::scan::{joined, scan};

/// What this shell knows besides the commands.
pub(crate) const HELP: &str = "
In this shell:
  help [COMMAND]       this text, or how a command is used
  COMMAND | CMD        what a command prints, through a shell command
  use [NAME]           commands that name no process mean this one; alone: no more
  watch [-n S] COMMAND run it again at each change and every 2 (or S) seconds, until Ctrl-C
  events on|off        tell crashes, restarts and other changes above the prompt
  !CMD                 run a shell command
  exit, quit           leave; so does Ctrl-D
  # ...                a comment
Words are quoted as in a shell; a backslash at its end continues a line. Tab completes, the right arrow
takes the hint in grey, Ctrl-R searches what was typed before. A line that begins with a blank, or
that looks as if a secret stood in it, is not written into the history file.";

/// Words that this shell itself knows, for completion.
pub(crate) const OWN: &[(&str, &str)] = &[
    ("events", "Tell changes above the prompt: on or off"),
    ("exit", "Leave"),
    ("help", "How a command is used"),
    ("quit", "Leave"),
    ("use", "Choose the process that commands mean"),
    ("watch", "Run a command again and again"),
];

/// How often `watch` runs its command where nothing changes.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// A line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Nothing, or a comment.
    Empty,
    /// `exit` or `quit`.
    Leave,
    /// `help`.
    Help,
    /// `!cmd`.
    Shell(OsString),
    /// A command for TSM.
    Command {
        /// Its words.
        words: Vec<OsString>,
        /// The shell command that gets what it prints.
        into: Option<OsString>,
    },
    /// `use NAME`, or `use` alone.
    Use(Option<String>),
    /// `watch COMMAND`.
    Watch {
        /// The words of the command.
        words: Vec<OsString>,
        /// How long it waits where nothing changes.
        every: Duration,
    },
    /// `events on` or `off`.
    Events(bool),
}

/// Understands a line, or tells what is wrong with it.
pub(crate) fn parse(line: &[u8]) -> Result<Line, &'static str> {
    let line = line.trim_ascii();
    if let Some(command) = line.strip_prefix(b"!") {
        let command = command.trim_ascii();
        return if command.is_empty() {
            Err("'!' runs a shell command; write one behind it")
        } else {
            Ok(Line::Shell(os(command)))
        };
    }
    let line = joined(line);
    let (line, into) = match scan(&line).pipe {
        None => (&line[..], None),
        Some(at) => (&line[..at], Some(line[at + 1..].trim_ascii())),
    };
    let Some(words) = shlex::bytes::split(line) else {
        return Err("a quote is not closed, or a backslash stands at the end");
    };
    let mut words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
    let Some(first) = words.first() else {
        return match into {
            None => Ok(Line::Empty),
            Some(_) => Err("there is no command before '|'"),
        };
    };
    let first = first.to_str().unwrap_or_default().to_owned();
    if into.is_some_and(<[u8]>::is_empty) {
        return Err("there is no shell command behind '|'");
    }
    if into.is_some() && OWN.iter().any(|(own, _)| *own == first && first != "help") {
        return Err("what this shell does itself goes through no pipe");
    }
    Ok(match first.as_str() {
        "exit" | "quit" if words.len() == 1 => Line::Leave,
        "exit" | "quit" => return Err("'exit' and 'quit' take no words"),
        "help" | "?" if words.len() == 1 => Line::Help,
        "help" => {
            words.remove(0);
            words.push("--help".into());
            let into = into.map(os);
            Line::Command { words, into }
        }
        "use" if words.len() > 2 => return Err("'use' takes one name, or none"),
        "use" => match words.pop().map(OsString::into_string) {
            Some(Ok(name)) if words.len() == 1 => Line::Use(Some(name)),
            Some(Err(_)) => return Err("this is no name of a process"),
            _ => Line::Use(None),
        },
        "watch" => watch(words)?,
        "events" => match words.get(1).and_then(|word| word.to_str()) {
            Some("on") if words.len() == 2 => Line::Events(true),
            Some("off") if words.len() == 2 => Line::Events(false),
            _ => return Err("write 'events on' or 'events off'"),
        },
        _ => {
            let into = into.map(os);
            Line::Command { words, into }
        }
    })
}

fn watch(mut words: Vec<OsString>) -> Result<Line, &'static str> {
    const WRONG: &str = "write 'watch COMMAND' or 'watch -n SECONDS COMMAND', such as 'watch list'";
    words.remove(0);
    let mut every = WATCH_EVERY;
    if words.first().is_some_and(|word| word == "-n") {
        let seconds = words.get(1).and_then(|word| word.to_str());
        let seconds: f64 = seconds.and_then(|text| text.parse().ok()).ok_or(WRONG)?;
        if !(0.1..=86_400.0).contains(&seconds) {
            return Err("'watch -n' takes from 0.1 to 86400 seconds");
        }
        every = Duration::from_secs_f64(seconds);
        words.drain(..2);
    }
    if words.is_empty() {
        return Err(WRONG);
    }
    Ok(Line::Watch { words, every })
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn command(of: &[&str]) -> Line {
        Line::Command {
            words: words(of),
            into: None,
        }
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(
            parse(br#"stop a\ b "c""#),
            Ok(command(&["stop", "a b", "c"]))
        );
        assert_eq!(parse(b"stop ''"), Ok(command(&["stop", ""])));
        assert_eq!(parse(b"stop a#b # c"), Ok(command(&["stop", "a#b"])));
        assert_eq!(parse(b"list\r"), Ok(command(&["list"])));
        assert_eq!(parse(b"stop \\\n a"), Ok(command(&["stop", "a"])));
        assert!(parse(b"stop 'a").is_err());
        assert!(parse(b"stop a\\").is_err());
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let word = OsString::from_vec(b"\xff".to_vec());
        let (words, into) = (vec![word], None);
        assert_eq!(parse(b"\xff"), Ok(Line::Command { words, into }));
    }

    #[test]
    fn the_rest_of_a_shell_line_is_left_as_it_is() {
        assert_eq!(
            parse(b" ! echo 'a  b' | wc"),
            Ok(Line::Shell("echo 'a  b' | wc".into()))
        );
        assert_eq!(
            parse(b"list --json | jq '.[] | .name' | wc"),
            Ok(Line::Command {
                words: words(&["list", "--json"]),
                into: Some("jq '.[] | .name' | wc".into()),
            })
        );
        assert!(parse(b"!").is_err() && parse(b"list |").is_err() && parse(b"| wc").is_err());
        assert_eq!(parse(b"#!x"), Ok(Line::Empty));
        assert_eq!(parse(b""), Ok(Line::Empty));
    }

    #[test]
    fn the_shell_s_own_words() {
        assert_eq!(parse(b"exit"), Ok(Line::Leave));
        assert!(parse(b"exit 3").is_err() && parse(b"use a | wc").is_err());
        assert_eq!(parse(b"help"), Ok(Line::Help));
        assert_eq!(parse(b"?"), Ok(Line::Help));
        assert_eq!(parse(b"help stop"), Ok(command(&["stop", "--help"])));
        assert_eq!(parse(b"use api"), Ok(Line::Use(Some("api".to_owned()))));
        assert_eq!(parse(b"use"), Ok(Line::Use(None)));
        assert!(parse(b"use a b").is_err());
        assert_eq!(parse(b"events off"), Ok(Line::Events(false)));
        assert!(parse(b"events").is_err());
        let every = Duration::from_millis(500);
        assert_eq!(
            parse(b"watch -n 0.5 list web"),
            Ok(Line::Watch {
                words: words(&["list", "web"]),
                every
            })
        );
        for wrong in ["watch", "watch -n", "watch -n x list", "watch -n 0 list"] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
