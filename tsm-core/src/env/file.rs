//! The `NAME.env` file: an environment as text that a person reads and bash can source.
//!
//! One variable stands on a line, `export NAME='…'`, quoted by [`quote`](super::quote::quote). What
//! bash cannot take (names that are no identifiers, variables that are readonly there, such as `UID`,
//! and those that it does not keep or would evaluate, such as `RANDOM`) stands as
//! `#= 'NAME'='value'`, which is a comment to a shell and a variable to [`parse`].
//!
//! # The two forms
//!
//! The original TSM wrote the plain output of `printenv` instead, in which quotes are text and a
//! value may go on over several lines. Which of the two a file is in is decided once, for the whole
//! of it:
//!
//! 1. A first line `TSM_ENV_FILE="…"`, which only the original wrote, makes it printenv's form.
//! 2. Else it is in the shell form if its first line that is not blank is a comment (the header is
//!    one; `printenv` writes none), or if any line begins, without indentation, with `export `,
//!    `declare -x ` or `#= `.
//! 3. Else it is in printenv's form.
//!
//! A file with TSM's own header is read strictly: one variable on a line, as it was written. So a quote that was lost is told
//! with its line instead of being looked for in the lines below. A file that holds nothing at all is damaged; an empty
//! environment has its header.
//!
//! Every bash that starts with an `LC_ALL` of a locale that the machine does not have warns of it, and so does one that
//! sources this file.
//!
//! In the shell form nothing is evaluated. Text that a shell would act on, such as `PATH=$HOME/bin`,
//! is refused with its line, because `source` and TSM would not read the same environment from it.

use std::borrow::Cow;

use thiserror::Error;

use super::quote::{QuoteError, QuoteErrorKind, Unquoted, is_identifier, quote_into, read_word};
use super::{EnvError, Environment, split};

/// How a file begins that TSM wrote, whichever version.
const OURS: &[u8] = b"# TSM environment snapshot";
const HEADER: &[u8] = b"# TSM environment snapshot; 'source' it, or read it with 'tsm env show'\n";

/// What bash does not let anybody assign: each would be an error message from `source`.
const READONLY_IN_BASH: [&[u8]; 6] = [
    b"SHELLOPTS",
    b"BASHOPTS",
    b"UID",
    b"EUID",
    b"PPID",
    b"BASH_VERSINFO",
];

/// What bash takes and does not keep (a value of its own, or an array that is not exported), and
/// what it reads as more than text: `export RANDOM='a[$(id)]'` runs `id`, as arithmetic may.
const SPECIAL_IN_BASH: [&[u8]; 24] = [
    b"RANDOM",
    b"SRANDOM",
    b"HISTCMD",
    b"OPTIND",
    b"SECONDS",
    b"LINENO",
    b"EPOCHSECONDS",
    b"EPOCHREALTIME",
    b"BASHPID",
    b"BASH_COMMAND",
    b"BASH_SUBSHELL",
    b"BASH_MONOSECONDS",
    b"BASH_COMPAT",
    b"BASH_XTRACEFD",
    b"GROUPS",
    b"FUNCNAME",
    b"DIRSTACK",
    b"BASH_CMDS",
    b"BASH_ALIASES",
    b"BASH_SOURCE",
    b"BASH_LINENO",
    b"BASH_ARGC",
    b"BASH_ARGV",
    b"PIPESTATUS",
];

/// The error of reading a `NAME.env` file; its text never holds a value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct EnvFileError {
    /// The line, counted from 1, at which the trouble begins.
    pub line: usize,
    /// What is wrong there.
    pub reason: EnvFileErrorReason,
}

/// What is wrong with a line of a `NAME.env` file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvFileErrorReason {
    /// A word cannot be read; the offset is that within the line.
    #[error(transparent)]
    Quoting(QuoteError),
    /// A variable cannot be made.
    #[error(transparent)]
    Variable(EnvError),
    /// A word that assigns nothing: a command, an option.
    #[error("neither an assignment (`export NAME='value'`) nor a comment")]
    NotAnAssignment,
    /// A name that a shell cannot assign to, such as `a-b` or `PATH+`.
    #[error("`{0}` is no name that a shell can assign to (`#= 'NAME'='value'` takes any name)")]
    NotAnIdentifier(String),
    /// In a file with TSM's header, something behind a variable.
    #[error("something stands behind the value; in this file each variable has a line of its own")]
    Behind,
    /// No text at all.
    #[error("it is empty")]
    Empty,
    /// In printenv's form, a first line that begins no variable.
    #[error("no variable begins here")]
    NoVariable,
}

/// Writes `env` in the shell form, order and duplicates kept.
///
/// ```
/// use tsm_core::env::{Environment, file};
///
/// let env = Environment::from_block(b"MOTD=it's\nme\0a-b=1\0")?;
/// let text = file::format(&env);
/// assert!(text.ends_with(b"\nexport MOTD=$'it\\'s\\nme'\n#= 'a-b'='1'\n"));
/// assert_eq!(file::parse(&text).unwrap(), env);
/// # Ok::<(), tsm_core::env::EnvError>(())
/// ```
pub fn format(env: &Environment) -> Vec<u8> {
    let mut text = HEADER.to_vec();
    for (name, value) in env.iter() {
        if is_identifier(name) && !is_bashs_own(name) {
            text.extend_from_slice(b"export ");
            text.extend_from_slice(name);
        } else {
            text.extend_from_slice(b"#= ");
            quote_into(name, &mut text);
        }
        text.push(b'=');
        quote_into(value, &mut text);
        text.push(b'\n');
    }
    text
}

fn is_bashs_own(name: &[u8]) -> bool {
    READONLY_IN_BASH.contains(&name) || SPECIAL_IN_BASH.contains(&name)
}

/// Reads a file in either form (see the [module](self) for how they are told apart).
///
/// In the shell form `NAME=value`, `export NAME=value` and `declare -x NAME="value"` are read, bare
/// or quoted, with several on a line and comments behind them; `export NAME` alone gives no variable, and is refused in a
/// file of TSM's own.
///
/// # Errors
///
/// The first line that cannot be read, and why. Nothing is changed on disk by reading.
pub fn parse(bytes: &[u8]) -> Result<Environment, EnvFileError> {
    if let Some(nul) = bytes.iter().position(|&byte| byte == 0) {
        let offset = column(bytes, nul);
        let error = QuoteError {
            offset,
            kind: QuoteErrorKind::Nul,
        };
        return Err(located(bytes, nul, EnvFileErrorReason::Quoting(error)));
    }
    if bytes.trim_ascii().is_empty() {
        return Err(located(bytes, 0, EnvFileErrorReason::Empty));
    }
    if bytes.starts_with(OURS) {
        parse_shell(bytes, Lines::One)
    } else if is_shell_form(bytes) {
        parse_shell(bytes, Lines::Any)
    } else {
        parse_printenv(bytes)
    }
}

/// Over how many lines a value may go, and how many may stand on one.
#[derive(Clone, Copy, PartialEq)]
enum Lines {
    One,
    Any,
}

/// Whether a file is in the form that a shell sources, see the [module](self).
pub(crate) fn is_shell_form(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"TSM_ENV_FILE=\"") {
        return false;
    }
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let first = lines
        .clone()
        .map(<[u8]>::trim_ascii_start)
        .find(|line| !line.is_empty());
    first.is_some_and(|line| line.starts_with(b"#"))
        || lines.any(|line| line.starts_with(b"#= ") || exported(line).is_some())
}

/// Returns what follows `export ` or `declare -x ` (with `x` among its flags) in `text`.
fn exported(text: &[u8]) -> Option<&[u8]> {
    let (keyword, rest) = next_piece(text);
    match keyword {
        b"export" => Some(rest),
        b"declare" | b"typeset" => {
            let (flags, rest) = next_piece(rest.trim_ascii_start());
            // An array cannot be in an environment: its `-a` and `-A` are not for this file.
            let flags = flags.strip_prefix(b"-")?;
            (flags.contains(&b'x') && flags.iter().all(|flag| b"xrilut".contains(flag)))
                .then_some(rest)
        }
        _ => None,
    }
}

/// Splits before the first blank; where there is none, the first piece is empty.
fn next_piece(text: &[u8]) -> (&[u8], &[u8]) {
    // Sixteen bytes hold every keyword and flag: a long value is not looked through.
    let head = &text[..text.len().min(16)];
    let end = head
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t'))
        .unwrap_or(0);
    text.split_at(end)
}

fn parse_shell(bytes: &[u8], lines: Lines) -> Result<Environment, EnvFileError> {
    let mut env = Environment::new();
    let mut at = 0;
    while at < bytes.len() {
        at = skip_blanks(bytes, at);
        let line = &bytes[at..line_end(bytes, at)];
        if let Some(hidden) = line.strip_prefix(b"#= ") {
            // The shell sees none of this: only within the line, and any character is text.
            let start = at + 3;
            let (assignment, used) = word(bytes, start, hidden, Unquoted::Text)?;
            let not_an_assignment = EnvFileErrorReason::NotAnAssignment;
            if !hidden[used..].trim_ascii().is_empty() {
                return Err(located(bytes, start, not_an_assignment));
            }
            push(&mut env, &assignment).map_err(|reason| located(bytes, start, reason))?;
            at += line.len() + 1;
            continue;
        }
        let is_exported = if let Some(rest) = exported(line) {
            at += line.len() - rest.len();
            true
        } else {
            false
        };
        let end = match lines {
            Lines::One => line_end(bytes, at),
            Lines::Any => bytes.len(),
        };
        let before = env.len();
        let begin = at;
        // TSM writes no name without a value.
        let may_lack_value = is_exported && lines == Lines::Any;
        at = parse_words(&bytes[..end], at, may_lack_value, &mut env)?;
        if lines == Lines::One && env.len() > before + 1 {
            return Err(located(bytes, begin, EnvFileErrorReason::Behind));
        }
    }
    Ok(env)
}

/// Reads the assignments from `at` to the end of the line; returns where the next line begins.
fn parse_words(
    bytes: &[u8],
    mut at: usize,
    may_lack_value: bool,
    env: &mut Environment,
) -> Result<usize, EnvFileError> {
    loop {
        at = skip_blanks(bytes, at);
        match bytes.get(at) {
            None | Some(b'\n') => return Ok(at + 1),
            Some(b'#') => return Ok(line_end(bytes, at) + 1),
            Some(_) => {}
        }
        // The rest of the file, not of the line: a quoted value may go on over several.
        let (assignment, used) = word(bytes, at, &bytes[at..], Unquoted::Refused)?;
        let wrong = |reason| located(bytes, at, reason);
        match split(&assignment) {
            Ok((name, _)) if !name.is_empty() && !is_identifier(name) => {
                let name = String::from_utf8_lossy(name).into_owned();
                return Err(wrong(EnvFileErrorReason::NotAnIdentifier(name)));
            }
            Ok(_) => push(env, &assignment).map_err(wrong)?,
            // What bash writes for a variable that is exported and not set, often `OLDPWD`.
            Err(_) if may_lack_value && is_identifier(&assignment) => {}
            Err(_) => return Err(wrong(EnvFileErrorReason::NotAnAssignment)),
        }
        at += used;
    }
}

fn parse_printenv(bytes: &[u8]) -> Result<Environment, EnvFileError> {
    // `printenv` ends each variable by a newline: one at the end belongs to no value.
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut env = Environment::new();
    let mut at = 0;
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let start = at;
        at += line.len() + 1;
        if let Some((_, value)) = env.variables.last_mut()
            && !begins_variable(line)
        {
            value.push(b'\n');
            value.extend_from_slice(line);
            continue;
        }
        if env.is_empty() && line.is_empty() {
            continue;
        }
        // Before the first variable there is nothing to continue, so any name will do there.
        push(&mut env, line).map_err(|reason| match reason {
            EnvFileErrorReason::Variable(_) if env.is_empty() => {
                located(bytes, start, EnvFileErrorReason::NoVariable)
            }
            other => located(bytes, start, other),
        })?;
        if index == 0
            && let Some((name, value)) = env.variables.last_mut()
            && name == b"TSM_ENV_FILE"
            && let Some(path) = value
                .strip_prefix(b"\"")
                .and_then(|path| path.strip_suffix(b"\""))
        {
            // Written by the original with `"` around it and nothing escaped.
            *value = path.to_vec();
        }
    }
    Ok(env)
}

/// Tells whether a line of printenv's form begins a variable rather than continuing a value: it has
/// an identifier before the `=`, or the name of a function that bash exported.
fn begins_variable(line: &[u8]) -> bool {
    let is_name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if let Some(rest) = line.strip_prefix(b"BASH_FUNC_") {
        // The name of a function may hold nearly anything, `=` and blanks excepted.
        let name = rest
            .split(|byte| *byte == b'=' || byte.is_ascii_whitespace())
            .next();
        if let Some(name) = name
            && rest.get(name.len()) == Some(&b'=')
            && (name.ends_with(b"%%") || name.ends_with(b"()"))
        {
            return name.len() > 2;
        }
    }
    let length = line.iter().take_while(|byte| is_name_byte(byte)).count();
    line.get(length) == Some(&b'=') && is_identifier(&line[..length])
}

/// Reads the word at the start of `input`, which stands at `at` in the file.
fn word<'a>(
    bytes: &[u8],
    at: usize,
    input: &'a [u8],
    unquoted: Unquoted,
) -> Result<(Cow<'a, [u8]>, usize), EnvFileError> {
    read_word(input, unquoted).map_err(|error| {
        let offset = column(bytes, at + error.offset);
        let reason = EnvFileErrorReason::Quoting(QuoteError { offset, ..error });
        located(bytes, at + error.offset, reason)
    })
}

fn push(env: &mut Environment, assignment: &[u8]) -> Result<(), EnvFileErrorReason> {
    split(assignment)
        .and_then(|(name, value)| env.push(name, value))
        .map_err(EnvFileErrorReason::Variable)
}

fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..]
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..]
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(bytes.len(), |length| at + length)
}

/// Where in its line the byte at `offset` stands, counted from 0.
fn column(bytes: &[u8], offset: usize) -> usize {
    bytes[..offset]
        .iter()
        .rev()
        .take_while(|&&byte| byte != b'\n')
        .count()
}

fn located(bytes: &[u8], offset: usize, reason: EnvFileErrorReason) -> EnvFileError {
    let line = bytes[..offset].split(|&byte| byte == b'\n').count();
    EnvFileError { line, reason }
}

#[cfg(test)]
mod tests;
