//! `tsm save` and `tsm resurrect`.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tsm_core::control::ResurrectRequest;
use tsm_core::error::{BestEffort as _, Error, ErrorKind, IoContext as _};
use tsm_core::name::ProcessName;
use tsm_core::persist::import::{self, Imported};
use tsm_core::persist::{self, Dump, Mode, Step};
use tsm_core::supervise::{self, Options};

use super::variables;
use crate::app::{Context, Failure, Outcome};
use crate::args::{ImportArgs, ResurrectArgs, SaveArgs};
use crate::output::{self, Output, complain};
use crate::words;

pub(crate) fn save(context: &Context, args: &SaveArgs) -> Outcome {
    if args.print || args.to.is_some() {
        let (dump, damaged) = Dump::collect(&context.store())?;
        for damage in &damaged {
            complain(format_args!(
                "'{}' is not in it: {}",
                damage.name, damage.error
            ));
        }
        match &args.to {
            Some(path) => {
                write(path, &dump.to_json())?;
                said(context, path, dump.processes.len(), up(&dump))?;
            }
            None => Output::raw(&dump.to_json())?,
        }
        return if damaged.is_empty() {
            Ok(())
        } else {
            Err(Failure::Told(ErrorKind::Failed))
        };
    }
    if !context.home.exists() {
        return Err(Error::NothingToResurrect {
            home: context.home.root().to_owned(),
        }
        .into());
    }
    let client = context.client()?;
    let (counts, notices) = if args.empty {
        client.save_even_nothing()?
    } else {
        client.save()?
    };
    if args.json {
        output::json(&counts)?;
    } else {
        said(context, &context.home.dump(), counts.processes, counts.up)?;
    }
    for notice in notices {
        context.output.remark(notice);
    }
    Ok(())
}

fn up(dump: &Dump) -> usize {
    dump.processes.iter().filter(|saved| saved.up).count()
}

fn said(context: &Context, path: &Path, processes: usize, up: usize) -> std::io::Result<()> {
    context.output.fact(format_args!(
        "Saved {}, {up} of them up, to {}",
        words::processes(processes),
        path.display()
    ))
}

/// Writes a file of the caller's, whole or not at all, for its owner alone: secrets stand in it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let written = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        // Synced before the rename: after a power cut the name must not lead to an empty file.
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_data()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        std::fs::remove_file(&temporary).best_effort("the first error is the one to tell");
    }
    written.at("write", path)
}

#[derive(Serialize)]
struct Planned<'a> {
    name: &'a ProcessName,
    #[serde(flatten)]
    step: PlannedStep,
}

#[derive(Serialize)]
struct PlannedStep {
    step: &'static str,
}

fn in_words(step: Step) -> &'static str {
    match step {
        Step::Start => "start",
        Step::Stop => "stop",
        Step::Restore { start: true } => "restore and start",
        Step::Restore { start: false } => "restore, stopped",
    }
}

pub(crate) fn resurrect(context: &Context, args: &ResurrectArgs) -> Outcome {
    let mode = Mode {
        boot: args.boot,
        exact: args.exact,
        import: false,
    };
    let from = args
        .from
        .as_ref()
        .map(|path| std::path::absolute(path).at("find", path))
        .transpose()?;
    if let Some(path) = &from {
        // A missing file is reported here, by the name that was typed, and not by the supervisor.
        std::fs::metadata(path).at("read", path)?;
    }
    let path = from.clone().unwrap_or_else(|| context.home.dump());
    // A file that cannot be understood is reported before anything is begun.
    let read = foreign(context, &path).and_then(|imported| match imported {
        Some(Imported { dump, left_out, .. }) => Ok((Some(dump), true, !left_out.is_empty())),
        None => Ok((Dump::read(&path)?, false, false)),
    });
    let (dump, is_foreign, left_out) = match read {
        Ok(read) => read,
        // After a crash of the supervisor its services still run, and need a supervisor whatever
        // the dump says.
        Err(error) if goes_on() => {
            complain(error);
            (None, false, false)
        }
        Err(error) => return Err(error.into()),
    };
    if args.dry_run {
        let plan = persist::preview_of(&context.store(), dump.as_ref(), &mode)?;
        return show(context, &plan, args.json);
    }
    // What starts this at every boot may find nothing to do, and that is no failure.
    let may_be_empty = mode.boot && has_manager() && !args.detach;
    if dump.is_none() && !may_be_empty && context.store().names()?.is_empty() {
        let home = context.home.root().to_owned();
        return Err(Error::NothingToResurrect { home }.into());
    }
    let request = ResurrectRequest {
        from,
        mode,
        // A supervisor in the background reads the home's own dump itself.
        dump: dump.filter(|_| is_foreign || !args.detach),
    };
    if args.detach {
        detached(context, request, args.json)?;
        return if left_out {
            Err(Failure::Told(ErrorKind::Failed))
        } else {
            Ok(())
        };
    }
    let ended = supervise::run(Options {
        home: context.home.clone(),
        foreground: true,
        resurrect: Some(request),
        environment: std::env::vars_os().collect(),
        upgrade: Some(super::supervisor::upgrade_words(&context.home, true)),
    })?;
    match ended {
        0 => Ok(()),
        _ => Err(Error::bad_value(
            "supervisor",
            "another one has this home and did not hand over",
        )
        .into()),
    }
}

/// A list of another manager, if the file is one; what of it cannot be carried over is told.
fn foreign(context: &Context, path: &Path) -> Result<Option<Imported>, Error> {
    let Some(imported) = import::read(path, &variables::this_shell(context))? else {
        return Ok(None);
    };
    let processes = imported.dump.processes.len();
    context.output.remark(format_args!(
        "{} is {} that lists {}",
        path.display(),
        imported.source,
        words::processes(processes + imported.left_out.len())
    ));
    for note in &imported.notes {
        context.output.remark(note);
    }
    for reason in &imported.left_out {
        complain(reason);
    }
    Ok(Some(imported))
}

/// `import`: brings in what lists of other managers have, stopped unless it is to be started.
pub(crate) fn import(context: &Context, args: &ImportArgs) -> Outcome {
    let mut failed = false;
    for path in &args.files {
        std::fs::metadata(path).at("read", path)?;
        let Some(mut imported) = foreign(context, path)? else {
            let reason = format!(
                "{} is a dump of TSM's own; 'tsm resurrect --from' takes it",
                path.display()
            );
            return Err(Error::bad_value("import", reason).into());
        };
        for saved in &mut imported.dump.processes {
            saved.up &= args.start;
        }
        let mode = Mode {
            import: true,
            ..Mode::default()
        };
        let plan = persist::preview_of(&context.store(), Some(&imported.dump), &mode)?;
        for saved in &imported.dump.processes {
            if !plan.iter().any(|(name, _)| *name == saved.name) {
                failed = true;
                complain(format_args!(
                    "'{}' exists already and is left alone; 'tsm delete {}' first, if the other one is to take its place",
                    saved.name, saved.name
                ));
            }
        }
        failed |= !imported.left_out.is_empty();
        if args.dry_run {
            show(context, &plan, args.json)?;
        } else if !plan.is_empty() {
            let request = ResurrectRequest {
                from: None,
                mode,
                dump: Some(imported.dump),
            };
            detached(context, request, args.json)?;
        }
    }
    if failed {
        return Err(Failure::Told(ErrorKind::Failed));
    }
    Ok(())
}

/// Whether an init system waits to hear from this process (`sd_notify(3)`).
fn has_manager() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

/// Whether the supervisor before died, so that its descriptors came to this process (`sd_listen_fds(3)`).
fn goes_on() -> bool {
    let own = std::process::id().to_string();
    // An inherited `LISTEN_PID` of another process means nothing to this one.
    std::env::var_os("LISTEN_PID").is_some_and(|pid| pid == own.as_str())
}

fn show(context: &Context, plan: &[(ProcessName, Step)], json: bool) -> Outcome {
    if json {
        let planned: Vec<Planned<'_>> = plan
            .iter()
            .map(|(name, step)| Planned {
                name,
                step: PlannedStep {
                    step: in_words(*step),
                },
            })
            .collect();
        output::json(&planned)?;
        return Ok(());
    }
    for (name, step) in plan {
        context
            .output
            .fact(format_args!("{name}: {}", in_words(*step)))?;
    }
    if plan.is_empty() {
        context.output.remark("all is as it should be");
    }
    Ok(())
}

fn detached(context: &Context, request: ResurrectRequest, json: bool) -> Outcome {
    let (outcomes, notices) = context.client()?.resurrect(request, |_| {})?;
    if json {
        output::json(&outcomes)?;
    }
    let mut failed = 0;
    for outcome in &outcomes {
        if let Some(error) = &outcome.error {
            failed += 1;
            complain(&error.message);
        } else if !json {
            let what = match (&outcome.pid, &outcome.note) {
                (_, Some(note)) => note.clone(),
                (Some(pid), None) => format!("runs (PID: {pid}, ID: {})", outcome.id),
                (None, None) => "stopped".to_owned(),
            };
            context
                .output
                .fact(format_args!("{} {what}", outcome.name))?;
        }
    }
    if outcomes.is_empty() && !json {
        context.output.remark("all is as it should be");
    }
    for notice in notices {
        context.output.remark(notice);
    }
    if failed == 0 {
        return Ok(());
    }
    complain(format_args!(
        "{failed} of {} could not be brought back",
        words::processes(outcomes.len())
    ));
    Err(Failure::Told(ErrorKind::Failed))
}
