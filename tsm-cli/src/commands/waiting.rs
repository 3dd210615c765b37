//! What a command says that waited in vain for a process.

use std::io::{self, Write as _};

use tsm_core::error::{BestEffort as _, Error};
use tsm_core::logs::{Source, tail};
use tsm_core::name::ProcessName;

use crate::app::{Context, Failure};
use crate::output::complain;
use crate::table;

/// How many of its last lines are shown.
const LINES: usize = 10;

/// The message, and where it is about a process that was waited for, the last lines of its log.
pub(crate) fn in_vain(context: &Context, error: Error) -> Failure {
    match error {
        Error::Awaited {
            kind,
            name,
            message,
        } => {
            complain(&message);
            last_lines(context, &name);
            Failure::Told(kind)
        }
        error => error.into(),
    }
}

/// The last lines of a log, on standard error.
pub(crate) fn last_lines(context: &Context, name: &ProcessName) {
    // A start that left nothing behind has no log.
    let Ok(meta) = context.store().meta(name) else {
        return;
    };
    let (out, err) =
        (context.home).log_files(name, meta.out_file.as_deref(), meta.err_file.as_deref());
    let sources = [Source {
        name: name.to_string(),
        out,
        err,
    }];
    let Ok(lines) = tail(&sources, Some(LINES)) else {
        return;
    };
    let mut stderr = io::stderr().lock();
    for line in lines.flatten() {
        let text = String::from_utf8_lossy(&line.bytes);
        writeln!(stderr, "  | {}", table::printable_line(text.trim_end()))
            .best_effort("nobody is left to hear it otherwise");
    }
}
