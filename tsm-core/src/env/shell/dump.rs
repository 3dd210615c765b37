//! From what a hook hands over to a `NAME.shell` file.
//!
//! A hook prints parts, each as a name and a text with a NUL behind both, the last one named `end`. The text is what the
//! shell prints of itself (`declare -p`, `declare -f` …); here it is put in order, without what the shell would not take
//! back, and without what stands in `NAME.env` already.

mod bash;
mod zsh;

use thiserror::Error;

use super::{HEADER, MAX_BYTES, Shell, ShellState};

/// The error of understanding what a hook handed over.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The shell did not come to its end.
    #[error("it ends in the middle")]
    CutOff,
    /// It is of a shell that this version does not know.
    #[error("it is of no shell that this tsm knows; load the hook anew")]
    UnknownShell,
    /// More than a state may be.
    #[error("it is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// A line that should declare something does not.
    #[error("it declares '{0}', which is no variable")]
    NotADeclaration(String),
}

/// The parts of a dump, by name.
struct Parts<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Parts<'a> {
    fn split(dump: &'a [u8]) -> Result<Self, DumpError> {
        if dump.len() > MAX_BYTES {
            return Err(DumpError::TooLarge);
        }
        let mut pieces = dump.split(|&byte| byte == 0);
        let mut parts = Vec::new();
        while let (Some(name), Some(text)) = (pieces.next(), pieces.next()) {
            if name == b"end" {
                return Ok(Self(parts));
            }
            parts.push((name, text));
        }
        Err(DumpError::CutOff)
    }

    fn get(&self, name: &str) -> &'a [u8] {
        let part = self.0.iter().find(|(known, _)| *known == name.as_bytes());
        part.map_or(&[], |(_, text)| text)
    }

    /// The words of a list such as `SHELLOPTS`.
    fn list(&self, name: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(self.get(name));
        text.split(':').map(str::to_owned).collect()
    }
}

/// Makes the `NAME.shell` file of what a hook handed over.
pub(super) fn compose(dump: &[u8]) -> Result<ShellState, DumpError> {
    let parts = Parts::split(dump)?;
    let shell = String::from_utf8_lossy(parts.get("shell"));
    let (name, version) = shell.split_once(' ').unwrap_or((&shell, ""));
    let (shell, text) = match name {
        "bash" => (Shell::Bash, bash::compose(&parts, version)?),
        "zsh" => (Shell::Zsh, zsh::compose(&parts, version)?),
        _ => return Err(DumpError::UnknownShell),
    };
    if text.len() > MAX_BYTES {
        return Err(DumpError::TooLarge);
    }
    Ok(ShellState { shell, text })
}

fn counted(number: usize, noun: &str) -> String {
    match (number, noun) {
        (1, _) => format!("1 {noun}"),
        (_, "alias") => format!("{number} aliases"),
        _ => format!("{number} {noun}s"),
    }
}

fn header(shell: Shell, version: &str, counts: &str) -> Vec<u8> {
    let version: String = version
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || ".()-".contains(*c))
        .collect();
    [HEADER, format!("{shell} {version}: {counts}\n").as_bytes()].concat()
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    let lines = text.split(|&b| b == b'\n');
    lines.filter(|line| !line.is_empty()).collect()
}

/// Cuts shell text at the newlines that stand in no quotes.
fn statements(text: &[u8]) -> Vec<&[u8]> {
    #[derive(PartialEq)]
    enum Quotes {
        No,
        Single,
        Double,
        Ansi,
    }
    let mut found = Vec::new();
    let (mut start, mut at, mut quotes) = (0, 0, Quotes::No);
    while at < text.len() {
        let byte = text[at];
        match (&quotes, byte) {
            (Quotes::No | Quotes::Double | Quotes::Ansi, b'\\') => at += 1,
            (Quotes::No, b'\'') if at > 0 && text[at - 1] == b'$' => quotes = Quotes::Ansi,
            (Quotes::No, b'\'') => quotes = Quotes::Single,
            (Quotes::No, b'"') => quotes = Quotes::Double,
            (Quotes::Single | Quotes::Ansi, b'\'') | (Quotes::Double, b'"') => quotes = Quotes::No,
            (Quotes::No, b'\n') => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    found.push(&text[start.min(text.len())..]);
    found.retain(|statement| !statement.is_empty());
    found
}

#[cfg(test)]
mod tests;
