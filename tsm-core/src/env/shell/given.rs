//! The line of a `NAME.shell` that names what the environment alone decides over, because it was given (`--env`, a file)
//! or taken away (`env unset`) by other means than the shell.

use super::{Shell, ShellState};
use crate::env::quote::{is_identifier, quote};

/// How the line begins, in every shell.
const BEGIN: &[u8] = b"_tsm_given='";
/// Within so many first lines it stands.
const AMONG_THE_FIRST: usize = 16;

/// The line for these variables; what no shell can have is left out.
pub(super) fn line(shell: Shell, names: &[&[u8]]) -> Vec<u8> {
    let mut variables = Vec::new();
    let mut functions = Vec::new();
    for name in names {
        let function = name.strip_prefix(b"BASH_FUNC_");
        if let Some(function) = function.and_then(|name| name.strip_suffix(b"%%")) {
            functions.push(quote(function));
        } else if is_identifier(name) {
            variables.extend_from_slice(name);
            variables.push(b' ');
        }
    }
    let functions = match shell {
        Shell::Bash => [b"; _tsm_own=(", &*functions.join(&b' '), b")"].concat(),
        Shell::Zsh => Vec::new(),
    };
    [BEGIN, b" ", &variables, b"'", &functions, b"\n"].concat()
}

impl ShellState {
    /// The same state, which leaves it to the environment what these variables are, and whether they are at all.
    #[must_use]
    pub fn leaving_to_environment<'a>(&self, names: impl Iterator<Item = &'a [u8]>) -> Self {
        let names: Vec<&[u8]> = names.collect();
        let mut at = 0;
        for found in self
            .text
            .split_inclusive(|&b| b == b'\n')
            .take(AMONG_THE_FIRST)
        {
            if found.starts_with(BEGIN) {
                let line = line(self.shell, &names);
                let behind = &self.text[at + found.len()..];
                return Self {
                    shell: self.shell,
                    text: [&self.text[..at], &line, behind].concat(),
                };
            }
            at += found.len();
        }
        // A person took the line out.
        self.clone()
    }

    /// Whether a variable, or a function by the name `BASH_FUNC_…%%`, gets a value here where the environment does not
    /// decide over it.
    pub fn gives(&self, name: &[u8]) -> bool {
        let holds = |part: &[u8]| self.text.windows(part.len()).any(|found| found == part);
        let mut first = self.text.split(|&b| b == b'\n').take(AMONG_THE_FIRST);
        let given = first
            .find(|line| line.starts_with(BEGIN))
            .unwrap_or_default();
        if let Some(function) = name.strip_prefix(b"BASH_FUNC_") {
            let function = function.strip_suffix(b"%%").unwrap_or(function);
            let quoted = quote(function);
            return self.defines(function) && !given.windows(quoted.len()).any(|f| f == quoted);
        }
        let in_line = [b" ", name, b" "].concat();
        holds(&[b"\n_tsm_new ", name, b" && "].concat())
            && !given.windows(in_line.len()).any(|found| found == in_line)
    }
}
