//! `tsm why`: one sentence, and the evidence for it.

mod sentence;

use std::fmt::Write as _;

use anstyle::AnsiColor;
use tsm_core::error::BestEffort as _;
use tsm_core::view::Overview;
use tsm_core::why::{Cause, Change, FileChange, Why};

use super::list::select;
use crate::app::{Context, Outcome};
use crate::args::InfoArgs;
use crate::output::{Output, complain, json};
use crate::{table, words};

pub(crate) use sentence::{ordinal, out_of_memory, size, who};

pub(crate) fn run(context: &Context, args: &InfoArgs) -> Outcome {
    let store = context.store();
    let overview = Overview::read(&context.store())?;
    for damage in &overview.damaged {
        complain(&damage.error);
    }
    let views = select(overview.processes, &args.selectors)?;
    let mut found = Vec::new();
    for view in &views {
        found.push(Why::find(&store, view)?);
    }
    if args.json {
        match found.as_slice() {
            [one] => json(one)?,
            several => json(&several)?,
        }
        return Ok(());
    }
    let text: Vec<String> = found.iter().map(|why| in_words(context, why)).collect();
    Ok(Output::raw(text.join("\n").as_bytes())?)
}

fn in_words(context: &Context, why: &Why) -> String {
    let mut text = String::new();
    let colour = if why.well {
        AnsiColor::Green
    } else {
        AnsiColor::Red
    };
    let head = format!("{} (ID: {})", why.name, why.id);
    let mut line = |words: String| {
        writeln!(text, "{words}").best_effort("a String takes everything");
    };
    line(format!(
        "{}: {}",
        context.output.paint(colour, &head),
        table::printable(&sentence::of(why))
    ));
    for loss in &why.log_losses {
        line(format!(
            "Log: {}, {}: {}",
            words::local_rfc3339(&loss.at),
            loss.in_words(),
            loss.remedy()
        ));
    }
    if why.well {
        return text;
    }
    let up = why.cause.is_of_what_runs(why.failures);
    if !up {
        for told in last_run(why) {
            line(told);
        }
    }
    for change in &why.changes {
        line(table::printable(&change_in_words(change)));
    }
    if why.cause == Cause::Unsupervised {
        // It runs, so what it prints is not the reason for an end.
    } else if !why.stderr.is_empty() {
        let whose = if why.stderr_of_before {
            " (perhaps also of the run before)"
        } else {
            ""
        };
        line(format!("Errors{whose}:"));
        for written in &why.stderr {
            line(format!(
                "  {}",
                table::printable_line(&written.to_string_lossy())
            ));
        }
    } else if !up {
        line("Errors: its last run wrote none".to_owned());
    }
    line(format!("More: 'tsm history {0}', 'tsm logs {0}'", why.name));
    text
}

/// How the last run ended, and when one was well.
fn last_run(why: &Why) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(end) = &why.end {
        lines.push(format!(
            "Ended: {} (run {}, PID: {})",
            words::local_rfc3339(&end.at),
            end.run,
            end.pid
        ));
    }
    match &why.ran_well {
        Some(run) => {
            let to = run.to.as_deref().map_or_else(
                || "until now".to_owned(),
                |to| format!("to {}", words::local_rfc3339(to)),
            );
            lines.push(format!(
                "Last ran well: {} {to} (run {})",
                words::local_rfc3339(&run.from),
                run.run
            ));
            if why.changes.is_empty() {
                lines.push("Changed since: nothing that TSM knows of".to_owned());
            }
        }
        None => lines.push("Last ran well: never, as far as its history goes".to_owned()),
    }
    lines
}

fn change_in_words(change: &Change) -> String {
    let when = |at: &Option<String>| {
        at.as_deref()
            .map(|at| format!(", {}", words::local_rfc3339(at)))
            .unwrap_or_default()
    };
    match change {
        Change::Environment { names, by, at } => {
            let names = match names.as_slice() {
                [] => "the state of its shell".to_owned(),
                names if names.len() > 8 => {
                    format!("{} and {} more", names[..8].join(", "), names.len() - 8)
                }
                names => names.join(", "),
            };
            format!(
                "Changed since: environment: {names} (by {}, {})",
                who(by),
                words::local_rfc3339(at)
            )
        }
        Change::File {
            path,
            how: FileChange::Missing,
            ..
        } => format!("Missing: file {}", path.to_string_lossy()),
        Change::WorkingDirectory {
            path,
            how: FileChange::Missing,
            ..
        } => format!("Missing: working directory {}", path.to_string_lossy()),
        Change::File { path, how, at } => format!(
            "Changed since: file {} ({}{})",
            path.to_string_lossy(),
            how_in_words(*how),
            when(at)
        ),
        Change::WorkingDirectory { path, how, at } => format!(
            "Changed since: working directory {} ({}{})",
            path.to_string_lossy(),
            how_in_words(*how),
            when(at)
        ),
        _ => "Changed since: something that this version has no words for".to_owned(),
    }
}

fn how_in_words(how: FileChange) -> &'static str {
    match how {
        FileChange::Modified => "modified",
        FileChange::Replaced => "replaced, or its mode changed",
        FileChange::Relinked => "the link leads elsewhere",
        FileChange::Missing => "missing",
    }
}
