//! `tsm supervisor`.

use std::ffi::OsString;
use std::process::ExitCode;

use serde::Serialize;
use tsm_core::control::SupervisorStatus;
use tsm_core::error::Error;
use tsm_core::home::Home;
use tsm_core::supervise::{self, Options};
use tsm_core::sys::clock;
use tsm_core::view::Overview;

use crate::app::{Context, Outcome};
use crate::{output, words};

#[derive(Serialize)]
struct StatusView<'a> {
    running: bool,
    pid: Option<u32>,
    guardian: Option<u32>,
    version: Option<&'a str>,
    uptime_ms: Option<u64>,
    processes: Option<u32>,
    processes_running: Option<u32>,
    foreground: Option<bool>,
    home: String,
}

pub(crate) fn status(context: &Context, json: bool) -> Outcome {
    let status: Option<SupervisorStatus> = if context.home.exists() {
        context.client()?.status()?
    } else {
        None
    };
    let status = status.as_ref();
    let uptime_ms = status.map(|status| clock::unix_ms().saturating_sub(status.started_ms));
    if json {
        output::json(&StatusView {
            running: status.is_some(),
            pid: status.map(|status| status.pid),
            guardian: status.and_then(|status| status.guardian),
            version: status.map(|status| status.version.as_str()),
            uptime_ms,
            processes: status.map(|status| status.processes),
            processes_running: status.map(|status| status.running),
            foreground: status.map(|status| status.foreground),
            home: context.home.root().display().to_string(),
        })?;
        return Ok(());
    }
    let Some(status) = status else {
        context.output.fact(format_args!(
            "Supervisor: not running (home {})",
            context.home.root().display()
        ))?;
        return Ok(());
    };
    let output = context.output;
    output.fact(format_args!(
        "Supervisor: running (PID: {}), version {}",
        status.pid, status.version
    ))?;
    match status.guardian {
        Some(pid) => output.fact(format_args!("Guardian: running (PID: {pid})"))?,
        None if status.foreground => output.fact("Guardian: none (in the foreground)")?,
        None => output
            .fact("Guardian: gone; 'tsm supervisor stop', and the next command starts both anew")?,
    }
    output.fact(format_args!(
        "Uptime: {}",
        words::duration(uptime_ms.unwrap_or(0))
    ))?;
    output.fact(format_args!(
        "Processes: {}, {} running",
        status.processes, status.running
    ))?;
    output.fact(format_args!("Home: {}", context.home.root().display()))?;
    Ok(())
}

pub(crate) fn start(context: &Context) -> Outcome {
    let client = context.client()?;
    if context.home.exists() && client.status()?.is_some() {
        context.output.remark("a supervisor is running");
        return Ok(());
    }
    client.ensure_supervisor()?;
    context.output.fact("Supervisor started")?;
    Ok(())
}

pub(crate) fn stop(context: &Context) -> Outcome {
    if !context.home.exists() || !context.client()?.shut_down()? {
        context.output.remark("no supervisor was running");
        return Ok(());
    }
    context.output.fact("Supervisor stopped")?;
    let running = Overview::read(&context.store(), false)?
        .processes
        .iter()
        .filter(|view| view.pid.is_some())
        .count();
    if running > 0 {
        context.output.remark(format_args!(
            "{} run on, unsupervised; what they print waits in their pipes. Any command that changes something brings a supervisor back",
            words::processes(running)
        ));
    }
    Ok(())
}

/// The guardian and the supervisor below it, whose words are always the same: they are told here, so that the parser of
/// the command line, which is most of this program, is never paged in by what runs all the time.
pub(crate) fn machinery(words: &[OsString]) -> Option<ExitCode> {
    let told: Vec<&str> = words
        .iter()
        .skip(1)
        .take(3)
        .filter_map(|word| word.to_str())
        .collect();
    let (&["supervisor", command, "--home"], [_, _, _, _, home]) = (told.as_slice(), words) else {
        return None;
    };
    let home = Home::at(home);
    let ended = match command {
        "guard" => guard(&home),
        "run-guarded" => run_guarded(home),
        _ => return None,
    };
    Some(match ended {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            output::complain(&error);
            ExitCode::from(error.kind().exit_status())
        }
    })
}

fn guard(home: &Home) -> Result<u8, Error> {
    // The kernel's own link still leads to this very program when its file was replaced.
    let program = std::path::Path::new("/proc/self/exe");
    let arguments: Vec<OsString> = vec![
        "tsm".into(),
        "supervisor".into(),
        "run-guarded".into(),
        "--home".into(),
        home.root().into(),
    ];
    supervise::guard(program, &arguments, std::env::vars_os().collect())
}

fn run_guarded(home: Home) -> Result<u8, Error> {
    let ended = supervise::run(Options {
        home,
        foreground: false,
        resurrect: None,
        environment: std::env::vars_os().collect(),
    });
    if let Err(error) = &ended {
        // The command that waits for this supervisor reads it from standard output; where none does, the log has it.
        let _ = output::Output::raw(format!("{error}\n").as_bytes());
    }
    ended
}

/// `supervisor run`: in the foreground.
pub(crate) fn run(context: &Context) -> Outcome {
    let options = Options {
        home: context.home.clone(),
        foreground: true,
        resurrect: None,
        environment: std::env::vars_os().collect(),
    };
    match supervise::run(options)? {
        0 => Ok(()),
        _ => Err(Error::bad_value(
            "supervisor",
            "another one has this home and did not hand over",
        )
        .into()),
    }
}
