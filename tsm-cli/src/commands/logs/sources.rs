//! Which logs are shown, where they are, and why there is nothing of some.

use std::path::PathBuf;

use serde::Serialize;
use tsm_core::error::{Error, ErrorKind};
use tsm_core::logs::{self, Source};
use tsm_core::view::ProcessView;

use crate::app::{Context, Failure, Outcome};
use crate::args::LogsArgs;
use crate::output::{self, Output, complain};

/// Logs that are shown together, and the number of the process that says in which form.
pub(super) type Shown = (Source, usize);

/// The logs of each process, those that are asked for. A file that several write into is shown once, under all of their
/// names: nobody knows whose line is whose.
pub(super) fn sources_of(context: &Context, args: &LogsArgs, views: &[ProcessView]) -> Vec<Shown> {
    let mut own: Vec<Shown> = Vec::new();
    let mut shared: Vec<Shown> = Vec::new();
    for (number, view) in views.iter().enumerate() {
        let name = view.name.as_str();
        let (out, err) = view.log_files(&context.home);
        // Both streams may go into one file without being told to by `--err same`.
        let err = err.filter(|err| out.as_ref() != Some(err));
        let mut source = Source {
            name: name.to_owned(),
            out: out.filter(|_| !args.err),
            err: err.filter(|_| !args.out),
        };
        for log in [&mut source.out, &mut source.err] {
            let Some(path) = log else { continue };
            let is_it = |other: &Option<PathBuf>| other.as_ref() == Some(path);
            if let Some((other, _)) = shared.iter_mut().find(|(other, _)| is_it(&other.out)) {
                other.name = format!("{},{name}", other.name);
                *log = None;
                continue;
            }
            let first = own
                .iter_mut()
                .find(|(other, _)| is_it(&other.out) || is_it(&other.err));
            if let Some((first, number)) = first {
                let theirs = if is_it(&first.out) {
                    &mut first.out
                } else {
                    &mut first.err
                };
                *theirs = None;
                let both = Source {
                    name: format!("{},{name}", first.name),
                    out: log.take(),
                    err: None,
                };
                shared.push((both, *number));
            }
        }
        own.push((source, number));
    }
    own.retain(|(source, _)| source.out.is_some() || source.err.is_some());
    own.extend(shared);
    own
}

/// Says where the logs are of a process that was deleted without them.
pub(super) fn tell_of_kept(context: &Context, name: &str) {
    let Ok(name) = name.parse() else { return };
    let kept = context.home.out_log(&name);
    if kept.exists() {
        context.output.remark(format_args!(
            "the logs of a '{name}' that was deleted are kept: {}",
            kept.display()
        ));
    }
}

/// Says why there is nothing to show of a log: it goes elsewhere, or is not there.
pub(super) fn tell_of_missing(
    context: &Context,
    args: &LogsArgs,
    views: &[ProcessView],
    sources: &[Source],
) {
    if args.err {
        for view in views.iter().filter(|view| view.is_error_in_output()) {
            context.output.remark(format_args!(
                "the standard error of '{}' goes where its standard output goes: see `tsm logs {}`",
                view.name, view.name
            ));
        }
    }
    let logs = sources
        .iter()
        .flat_map(|source| source.out.iter().chain(&source.err));
    for log in logs.filter(|log| !log.exists()) {
        let is_missing = logs::segments(log)
            .is_ok_and(|listed| listed.segments.is_empty() && listed.failed.is_empty());
        if is_missing {
            context.output.remark(format_args!(
                "there is no {}: nothing was printed yet, or somebody removed it",
                log.display()
            ));
        }
    }
}

/// One log for `--where --json`.
#[derive(Serialize)]
struct Place<'a> {
    name: &'a str,
    stream: &'static str,
    path: String,
    /// All files of it from the oldest to the newest, as far as there are any.
    files: Vec<String>,
}

pub(super) fn print_places(sources: &[Source], json: bool) -> Outcome {
    let mut places = Vec::new();
    let mut has_failed = false;
    for source in sources {
        for (stream, live) in [("out", &source.out), ("err", &source.err)] {
            let Some(live) = live else { continue };
            let listed = logs::segments(live).map_err(Error::from)?;
            places.push(Place {
                name: &source.name,
                stream,
                path: live.display().to_string(),
                files: listed
                    .segments
                    .iter()
                    .map(|segment| segment.path().display().to_string())
                    .collect(),
            });
            for error in listed.failed {
                complain(Error::from(error));
                has_failed = true;
            }
        }
    }
    if json {
        output::json(&places)?;
    } else {
        for place in places {
            Output::raw(format!("{}\n", place.path).as_bytes())?;
        }
    }
    if has_failed {
        return Err(Failure::Told(ErrorKind::Failed));
    }
    Ok(())
}
