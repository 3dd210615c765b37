//! Standard output and error: colours, quiet, and a reader that went away.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};

use tsm_core::env::secret::cover_message;
use tsm_core::error::BestEffort as _;

use crate::args::{Global, When};

/// What a person reads and where it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) colour: bool,
    pub(crate) quiet: bool,
    pub(crate) terminal: bool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let terminal = io::stdout().is_terminal();
        let wanted = match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                // See no-color.org: set but empty means nothing.
                let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                terminal && !no_color && !dumb
            }
        };
        Self {
            colour: wanted,
            quiet: global.quiet,
            terminal,
        }
    }

    /// A fact, with its newline, to standard output.
    pub(crate) fn fact(self, text: impl Display) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        writeln!(io::stdout().lock(), "{text}")
    }

    /// What was asked for in so many words (JSON, logs): printed even where quiet.
    pub(crate) fn raw(text: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text)?;
        stdout.flush()
    }

    /// A remark to standard error.
    pub(crate) fn remark(self, text: impl Display) {
        if !self.quiet {
            writeln!(io::stderr().lock(), "tsm: {text}")
                .best_effort("nobody is left to tell where even this fails");
        }
    }

    /// `text` in a colour, where colours are wanted.
    pub(crate) fn paint(self, colour: AnsiColor, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let style: Style = colour.on_default();
        format!("{style}{text}{style:#}")
    }
}

/// An error to standard error; always.
pub(crate) fn complain(text: impl Display) {
    // A file name may hold anything, and what was typed in the wrong place may be a secret.
    let text = text.to_string();
    let text: String = cover_message(&text).chars().map(visible).collect();
    writeln!(io::stderr().lock(), "tsm: {text}")
        .best_effort("nobody is left to tell where even this fails");
}

/// A control character would change the terminal; messages have several lines where they say so themselves.
fn visible(c: char) -> char {
    if c.is_control() && !matches!(c, '\n' | '\t') {
        '?'
    } else {
        c
    }
}

/// A document of JSON to standard output.
pub(crate) fn json(value: &impl serde::Serialize) -> io::Result<()> {
    let mut json = tsm_core::json::document(value)?;
    json.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&json)?;
    stdout.flush()
}
