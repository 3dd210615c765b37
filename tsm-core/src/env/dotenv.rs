//! Files of variables in the language of dotenv: `NAME=value` lines as people write them by hand.
//!
//! * Blank lines and what follows a `#` are comments; within a bare value only a `#` behind a blank begins one.
//! * `export ` before a name is passed over. A name is letters, digits, `_`, `.` and `-`, and does not begin with a digit.
//! * A bare value ends with its line, blanks around it cut off. `${VAR}` and `${VAR:-default}` are expanded in it.
//!   A dollar before anything but `{` is a dollar, `$$` two.
//! * `'…'` is taken as it stands. `"…"` knows `\n`, `\r`, `\t`, `\\`, `\"`, `\$`, and is expanded. Both may go on over
//!   several lines.
//!
//! What a file set above counts before the environment around it, and a variable that neither has is empty.

use std::path::Path;

use thiserror::Error;

use super::Environment;
use super::expand::{Dollar, expand};
use crate::error::{self, IoContext as _};

/// The error of reading a dotenv file; its text never holds a value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct DotenvError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: DotenvErrorReason,
}

/// What is wrong with a line of a dotenv file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DotenvErrorReason {
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A NUL byte.
    #[error("it holds a NUL byte")]
    Nul,
    /// No `=`.
    #[error("no `=` in it; a variable is NAME=value")]
    NoEquals,
    /// What stands before the `=` is no name.
    // It is not shown: where a quote was forgotten, it is a line of a private key.
    #[error(
        "what stands before the `=` names no variable; letters, digits, `_`, `.` and `-` may stand in a name"
    )]
    BadName,
    /// A quoted value that does not end.
    #[error("the {0} that begins here does not end")]
    Unclosed(char),
    /// Something behind a quoted value.
    #[error("something stands behind the closing {0}; only a comment may")]
    Behind(char),
    /// A `${` that cannot be expanded.
    #[error("{0}")]
    Expansion(String),
}

/// What is no part of a value at its ends. A no-break space is one, as any letter is.
const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// Reads the dotenv file at `path`, with the variables of `environment` around it.
pub(crate) fn read(path: &Path, environment: &Environment) -> error::Result<Vec<(String, String)>> {
    let bytes = std::fs::read(path).at("read", path)?;
    let lookup = |name: &str| {
        let value = environment.get(name.as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    parse(&bytes, &lookup).map_err(|error| error::Error::Damaged {
        path: path.to_owned(),
        reason: error.into(),
    })
}

/// Reads a dotenv file. `lookup` gives the variables around it, for `${VAR}`.
///
/// ```
/// use tsm_core::env::dotenv;
///
/// let text = b"# the database\nDB=db.local\nexport URL=\"http://${DB}:${PORT:-80}/\" # here\n";
/// let variables = dotenv::parse(text, &|_| None)?;
/// assert_eq!(variables[1], ("URL".to_owned(), "http://db.local:80/".to_owned()));
/// # Ok::<(), dotenv::DotenvError>(())
/// ```
///
/// # Errors
/// The first line that cannot be read, and why.
pub fn parse(
    bytes: &[u8],
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, DotenvError> {
    let text = std::str::from_utf8(bytes).map_err(|error| DotenvError {
        line: line_of(bytes, error.valid_up_to()),
        reason: DotenvErrorReason::NotUtf8,
    })?;
    if let Some(nul) = text.find('\0') {
        return Err(DotenvError {
            line: line_of(bytes, nul),
            reason: DotenvErrorReason::Nul,
        });
    }
    // Windows editors write a byte-order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut rest = text;
    let (mut line, mut counted) = (1, text.len());
    loop {
        // A `\r` as well, as Windows ends lines with `\r\n`.
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if rest.is_empty() {
            return Ok(variables);
        }
        if rest.starts_with('#') {
            rest = after_line(rest);
            continue;
        }
        // Counted along the way: counting from the start each time would be quadratic in the length
        // of the file.
        let behind = text.len() - counted;
        line += newlines(&text[behind..text.len() - rest.len()]);
        counted = rest.len();
        let wrong = |reason| DotenvError { line, reason };
        let (name, value) = name_and_rest(rest).map_err(wrong)?;
        let (value, after) = read_value(value, &|name| {
            let above = variables.iter().rev().find(|(known, _)| known == name);
            let found = above.map(|(_, value)| value.clone());
            // Without a value it is empty, as in a shell.
            found.or_else(|| lookup(name)).or(Some(String::new()))
        })
        .map_err(wrong)?;
        rest = after;
        variables.push((name.to_owned(), value));
    }
}

/// The name before the `=`, and what follows it.
fn name_and_rest(text: &str) -> Result<(&str, &str), DotenvErrorReason> {
    let line = &text[..text.find('\n').unwrap_or(text.len())];
    let Some(equals) = line.find('=') else {
        return Err(DotenvErrorReason::NoEquals);
    };
    let name = line[..equals].trim();
    let name = match name.strip_prefix("export") {
        // Only with a blank behind it: `exported=1` is a variable, too.
        Some(exported) if exported.starts_with([' ', '\t']) => exported.trim_start(),
        _ => name,
    };
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
    };
    if !is_name(name) {
        return Err(DotenvErrorReason::BadName);
    }
    Ok((name, &text[equals + 1..]))
}

/// Reads a value; returns what follows its line.
fn read_value<'a>(
    text: &'a str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(String, &'a str), DotenvErrorReason> {
    let text = text.trim_start_matches([' ', '\t']);
    let expanded =
        |raw: &str, dollar| expand(raw, dollar, lookup).map_err(DotenvErrorReason::Expansion);
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        let line = &text[..text.find('\n').unwrap_or(text.len())];
        let comment = line
            .char_indices()
            .find(|&(at, c)| c == '#' && (at == 0 || line[..at].ends_with([' ', '\t'])));
        let value = &line[..comment.map_or(line.len(), |(at, _)| at)];
        return Ok((
            expanded(value.trim_matches(BLANKS), Dollar::Plain)?,
            after_line(text),
        ));
    };
    let inner = &text[1..];
    let end = closing_quote(inner, quote).ok_or(DotenvErrorReason::Unclosed(quote))?;
    let behind = &inner[end + 1..];
    let line = behind[..behind.find('\n').unwrap_or(behind.len())].trim_matches(BLANKS);
    if !line.is_empty() && !line.starts_with('#') {
        return Err(DotenvErrorReason::Behind(quote));
    }
    let raw = &inner[..end];
    let value = if quote == '\'' {
        raw.to_owned()
    } else {
        expanded(raw, Dollar::Escaped)?
    };
    Ok((value, after_line(behind)))
}

/// Where the quote ends. A backslash hides what follows it in double quotes.
fn closing_quote(inner: &str, quote: char) -> Option<usize> {
    let mut hidden = false;
    for (at, letter) in inner.char_indices() {
        if hidden {
            hidden = false;
        } else if letter == '\\' && quote == '"' {
            hidden = true;
        } else if letter == quote {
            return Some(at);
        }
    }
    None
}

fn after_line(text: &str) -> &str {
    text.find('\n').map_or("", |newline| &text[newline + 1..])
}

fn newlines(text: &str) -> usize {
    text.split('\n').count() - 1
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes[..at].split(|&byte| byte == b'\n').count()
}

/// Writes variables so that [`parse`] reads the same. What this language cannot say (names with other letters, values
/// that are not UTF-8) is left out, and named in the second list.
pub fn format<'a>(variables: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut left_out = Vec::new();
    for (name, value) in variables {
        // What `parse` could not read back is left out.
        let line = std::str::from_utf8(name)
            .ok()
            .zip(std::str::from_utf8(value).ok())
            .map(|(name, value)| format!("{name}={}\n", quoted(value)))
            .filter(|line| parse(line.as_bytes(), &|_| None).is_ok());
        match line {
            Some(line) => text.push_str(&line),
            None => left_out.push(String::from_utf8_lossy(name).into_owned()),
        }
    }
    (text, left_out)
}

fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    if value.chars().all(is_plain) {
        return value.to_owned();
    }
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for letter in value.chars() {
        match letter {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '"' | '\\' | '$' => quoted.extend(['\\', letter]),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        parse(text.as_bytes(), &|name| {
            (name == "AROUND").then(|| "around".to_owned())
        })
        .map_err(|error| error.to_string())
    }

    #[track_caller]
    fn gives(text: &str, expected: &[(&str, &str)]) {
        let read = read(text).unwrap();
        let read: Vec<(&str, &str)> = read.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(read, expected, "{text:?}");
    }

    #[test]
    fn what_people_write_is_read_as_they_mean_it() {
        gives("", &[]);
        gives("# only\n\n  # this", &[]);
        gives(
            "A=1\r\nB = two words  # note\n",
            &[("A", "1"), ("B", "two words")],
        );
        gives(
            "export A='x y' # note\nexported=1",
            &[("A", "x y"), ("exported", "1")],
        );
        gives("A=a#b\nB=\nC=#c", &[("A", "a#b"), ("B", ""), ("C", "")]);
        gives(
            "A='$B ${C}\n\"#'\nB=2",
            &[("A", "$B ${C}\n\"#"), ("B", "2")],
        );
        gives(r#"A="x\ny\t\"\$z\\ \q""#, &[("A", "x\ny\t\"$z\\ \\q")]);
        gives(
            "A=1\nB=${A}2\nC=\"${B}${NONE}${NONE:-3}\"",
            &[("A", "1"), ("B", "12"), ("C", "123")],
        );
        gives(
            "A=${AROUND}\nB=$AROUND",
            &[("A", "around"), ("B", "$AROUND")],
        );
        gives("\u{feff}A=1", &[("A", "1")]);
        gives("a.b-c=1", &[("a.b-c", "1")]);
        gives(
            "A=\"-----BEGIN\nline\n-----END\"\nB=1",
            &[("A", "-----BEGIN\nline\n-----END"), ("B", "1")],
        );
        gives("A=x=y", &[("A", "x=y")]);
        // A dollar is a dollar, and a no-break space is no blank.
        gives(
            "A=pa$$word\nB=\"pa$$word\\\\$$\"\nC=$${AROUND}",
            &[("A", "pa$$word"), ("B", "pa$$word\\$$"), ("C", "$around")],
        );
        gives(
            "A=\u{a0}x\u{a0} \nB='\u{3000}'",
            &[("A", "\u{a0}x\u{a0}"), ("B", "\u{3000}")],
        );
        gives(r#"A="\${B} ${NONE:-\$\"}""#, &[("A", "${B} $\"")]);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_without_its_value() {
        for (text, expected) in [
            ("A=1\nnothing\n", "line 2: no `=` in it"),
            (
                "A=1\n\n1secret=x",
                "line 3: what stands before the `=` names no variable",
            ),
            ("A='secret", "line 1: the ' that begins here does not end"),
            (
                "A=1\nB=\"x\n\n",
                "line 2: the \" that begins here does not end",
            ),
            ("A='a' secret", "line 1: something stands behind"),
            ("A=${secret", "line 1: a `${` has no `}`"),
            ("=x", "line 1: what stands before"),
            ("A=1\nB=\0", "line 2: it holds a NUL byte"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.starts_with(expected), "{text:?}: {told}");
            assert!(!told.contains("secret"), "{told}");
        }
        let told = parse(b"A=1\nB=\xff", &|_| None).unwrap_err();
        assert_eq!(told.to_string(), "line 2: it is not UTF-8");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(variables in prop::collection::vec(("[A-Za-z_][A-Za-z0-9_.-]{0,8}", "[^\0]{0,20}"), 0..6)) {
            let (text, left_out) = format(variables.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
            prop_assert_eq!(left_out, Vec::<String>::new());
            prop_assert_eq!(parse(text.as_bytes(), &|_| Some("no".to_owned())).unwrap(), variables);
        }

        #[test]
        fn no_bytes_make_it_fail_otherwise_than_by_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&bytes, &|_| None));
        }

        #[test]
        fn no_text_does_either(text in "([A-Z=\"'$#{}\\\\ \n:-]|export ){0,60}") {
            drop(parse(text.as_bytes(), &|_| None));
        }
    }
}
