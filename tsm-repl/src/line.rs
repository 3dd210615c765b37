//! What a line says.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

/// What this shell knows besides the commands.
pub(crate) const HELP: &str = "
In this shell:
  help [COMMAND]   this text, or how a command is used
  !CMD             run a shell command
  exit, quit       leave; so does Ctrl-D
  # ...            a comment
Words are quoted as in a shell. Tab completes commands and names. A line that begins with a blank,
or that looks as if a secret stood in it, is not written into the history file.";

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
    Command(Vec<OsString>),
}

/// Understands a line, or tells what is wrong with it.
pub(crate) fn parse(line: &[u8]) -> Result<Line, &'static str> {
    let line = line.trim_ascii();
    if let Some(command) = line.strip_prefix(b"!") {
        let command = command.trim_ascii();
        return if command.is_empty() {
            Err("'!' runs a shell command; write one behind it")
        } else {
            Ok(Line::Shell(OsString::from_vec(command.to_vec())))
        };
    }
    let Some(words) = shlex::bytes::split(line) else {
        return Err("a quote is not closed, or a backslash stands at the end");
    };
    let mut words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
    let Some(first) = words.first().and_then(|word| word.to_str()) else {
        return Ok(if words.is_empty() {
            Line::Empty
        } else {
            Line::Command(words)
        });
    };
    Ok(match first {
        "exit" | "quit" if words.len() == 1 => Line::Leave,
        "exit" | "quit" => return Err("'exit' and 'quit' take no words"),
        "help" if words.len() == 1 => Line::Help,
        "help" => {
            words.remove(0);
            words.push("--help".into());
            Line::Command(words)
        }
        _ => Line::Command(words),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Line {
        Line::Command(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(
            parse(b"start 'npm run dev' --name web"),
            Ok(command(&["start", "npm run dev", "--name", "web"]))
        );
        assert_eq!(
            parse(br#"stop a\ b "c""#),
            Ok(command(&["stop", "a b", "c"]))
        );
        assert_eq!(parse(b"stop ''"), Ok(command(&["stop", ""])));
        assert_eq!(parse(b"stop a#b # c"), Ok(command(&["stop", "a#b"])));
        assert_eq!(parse(b"list\r"), Ok(command(&["list"])));
        assert!(parse(b"stop 'a").is_err());
        assert!(parse(b"stop a\\").is_err());
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let word = OsString::from_vec(b"\xff".to_vec());
        assert_eq!(parse(b"\xff"), Ok(Line::Command(vec![word])));
    }

    #[test]
    fn the_rest_of_a_shell_line_is_left_as_it_is() {
        assert_eq!(
            parse(b" ! echo 'a  b' | wc"),
            Ok(Line::Shell("echo 'a  b' | wc".into()))
        );
        assert!(parse(b"!").is_err());
        assert_eq!(parse(b"exit"), Ok(Line::Leave));
        assert!(parse(b"exit 3").is_err());
        assert_eq!(parse(b"help"), Ok(Line::Help));
        assert_eq!(parse(b"help stop"), Ok(command(&["stop", "--help"])));
        assert_eq!(parse(b"#!x"), Ok(Line::Empty));
        assert_eq!(parse(b""), Ok(Line::Empty));
    }
}
