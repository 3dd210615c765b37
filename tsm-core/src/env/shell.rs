//! The `NAME.shell` file: what only the shell knew when a process was started, as text that this shell sources.
//!
//! Its first line says which shell it is for, its last one that nothing of it is missing. What stands between is shell
//! code that TSM itself wrote from what the hook handed over; TSM never runs it, and looks at it only as far as to tell a
//! whole file from a damaged one.

mod dump;
mod given;

use std::fmt;

use thiserror::Error;

pub use dump::DumpError;

/// The most bytes that a shell state may have: 8 MiB.
pub const MAX_BYTES: usize = 8 << 20;

const HEADER: &[u8] = b"# TSM shell snapshot for ";
const END: &[u8] = b"# end of the TSM shell snapshot\n";

/// A shell whose state can be captured and given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// bash: functions, variables, aliases and options.
    Bash,
    /// zsh: functions and variables.
    Zsh,
}

impl fmt::Display for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
        })
    }
}

/// What only a shell knows: functions, variables that are not exported, arrays, aliases, options.
#[derive(Clone, PartialEq, Eq)]
pub struct ShellState {
    shell: Shell,
    text: Vec<u8>,
}

/// The error of reading a `NAME.shell` file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct ShellStateError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: ShellStateErrorReason,
}

/// What is wrong with a `NAME.shell` file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShellStateErrorReason {
    /// The first line is another one.
    #[error("it does not begin as a shell snapshot does")]
    NoHeader,
    /// The last line is another one.
    #[error("its end is missing")]
    NoEnd,
    /// A NUL byte.
    #[error("it holds a NUL byte")]
    Nul,
    /// It is larger than [`MAX_BYTES`].
    #[error("it is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
}

impl ShellState {
    /// Makes it of what the hook of `tsm init` hands over.
    ///
    /// # Errors
    /// [`DumpError`] where that is not whole.
    pub fn from_dump(dump: &[u8]) -> Result<Self, DumpError> {
        dump::compose(dump)
    }

    /// Reads the text of a `NAME.shell` file.
    ///
    /// # Errors
    /// [`ShellStateError`] where it is not whole.
    pub fn parse(text: &[u8]) -> Result<Self, ShellStateError> {
        let line_of = |offset: usize| text[..offset].split(|&b| b == b'\n').count();
        let wrong = |line, reason| Err(ShellStateError { line, reason });
        if text.len() > MAX_BYTES {
            return wrong(1, ShellStateErrorReason::TooLarge);
        }
        let name = text
            .strip_prefix(HEADER)
            .and_then(|rest| rest.split(|b| !b.is_ascii_alphanumeric()).next());
        let shell = match name {
            Some(b"bash") => Shell::Bash,
            Some(b"zsh") => Shell::Zsh,
            _ => return wrong(1, ShellStateErrorReason::NoHeader),
        };
        if let Some(nul) = text.iter().position(|&byte| byte == 0) {
            return wrong(line_of(nul), ShellStateErrorReason::Nul);
        }
        // The last block is a group, whose closing brace stands before the end.
        let whole = text
            .strip_suffix(END)
            .is_some_and(|before| before.ends_with(b"\n") || before.ends_with(b"\n} "));
        if !whole {
            let last = line_of(text.len() - usize::from(text.ends_with(b"\n")));
            return wrong(last, ShellStateErrorReason::NoEnd);
        }
        Ok(Self {
            shell,
            text: text.to_vec(),
        })
    }

    /// The shell that it is for.
    pub fn shell(&self) -> Shell {
        self.shell
    }

    /// What it holds, in words, such as `12 functions, 30 variables, 4 aliases`.
    pub fn summary(&self) -> String {
        let line = self.text.split(|&b| b == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        line.split_once(": ")
            .map_or_else(String::new, |(_, summary)| summary.to_owned())
    }

    /// Whether a function or an alias of this name is there.
    pub fn defines(&self, name: &[u8]) -> bool {
        let beginnings = [
            [b"\n", name, b" () "].concat(),
            [b"\nfunction ", name, b" () "].concat(),
            [b"\nbuiltin alias -- ", name, b"="].concat(),
            [b"\nbuiltin alias -- '", name, b"="].concat(),
        ];
        beginnings
            .iter()
            .any(|text| self.text.windows(text.len()).any(|part| part == text))
    }

    /// The text of the `NAME.shell` file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

impl fmt::Debug for ShellState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Variables are often secret.
        f.debug_struct("ShellState")
            .field("shell", &self.shell)
            .field("len", &self.text.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_whole_is_refused_with_its_line() {
        let whole = b"# TSM shell snapshot for bash 5.2\nx=1\n# end of the TSM shell snapshot\n";
        let state = ShellState::parse(whole).unwrap();
        assert_eq!((state.shell(), state.as_bytes()), (Shell::Bash, &whole[..]));
        let message = |text: &[u8]| ShellState::parse(text).unwrap_err().to_string();
        assert_eq!(
            message(&whole[..whole.len() - 1]),
            "line 3: its end is missing"
        );
        assert_eq!(message(&whole[..38]), "line 2: its end is missing");
        assert_eq!(
            message(&whole[2..]),
            "line 1: it does not begin as a shell snapshot does"
        );
        assert_eq!(
            message(b"# TSM shell snapshot for bash\nx=\0\n# end of the TSM shell snapshot\n"),
            "line 2: it holds a NUL byte"
        );
        assert!(ShellState::parse(b"").is_err());
    }
}
