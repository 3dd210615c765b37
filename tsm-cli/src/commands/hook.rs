//! `tsm init` and `tsm completions`: text for a shell to evaluate.

use std::os::unix::ffi::OsStrExt as _;

use tsm_core::env::quote::quote;
use tsm_core::error::Error;

use crate::app::{Outcome, executable};
use crate::args::HookShell;
use crate::output::Output;

/// Stands in the texts where this program's path goes.
const PROGRAM: &[u8] = b"@TSM@";

pub(crate) fn init(shell: HookShell) -> Outcome {
    let hook = match shell {
        HookShell::Bash => include_str!("../../../shell/hook.bash"),
        HookShell::Zsh => include_str!("../../../shell/hook.zsh"),
        HookShell::Fish => include_str!("../../../shell/hook.fish"),
    };
    print(hook)?;
    completions(shell)
}

pub(crate) fn completions(shell: HookShell) -> Outcome {
    print(match shell {
        HookShell::Bash => include_str!("../../../shell/completions.bash"),
        HookShell::Zsh => include_str!("../../../shell/completions.zsh"),
        HookShell::Fish => include_str!("../../../shell/completions.fish"),
    })
}

/// Prints a text with this program in it: the hook works where it is not on PATH, and meets its own version.
fn print(text: &str) -> Outcome {
    let program = std::env::current_exe().map_err(|source| Error::System {
        action: "find the file of this program",
        source,
    })?;
    let program = quote(executable(program).as_os_str().as_bytes());
    let mut printed = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(at) = rest.windows(PROGRAM.len()).position(|part| part == PROGRAM) {
        printed.extend_from_slice(&rest[..at]);
        printed.extend_from_slice(&program);
        rest = &rest[at + PROGRAM.len()..];
    }
    printed.extend_from_slice(rest);
    Ok(Output::raw(&printed)?)
}
