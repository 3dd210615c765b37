//! `tsm supervisor`.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use tsm_core::control::{Launcher, SupervisorStatus};
use tsm_core::error::{BestEffort as _, Error, ErrorKind};
use tsm_core::home::Home;
use tsm_core::supervise::{self, Options, UpgradeWords};
use tsm_core::sys::clock;
use tsm_core::version;
use tsm_core::view::Overview;

use crate::app::{Context, Outcome, executable, supervisor_environment};
use crate::{output, words};

#[derive(Serialize)]
struct StatusView<'a> {
    running: bool,
    pid: Option<u32>,
    guardian: Option<u32>,
    sentinel: Option<u32>,
    version: Option<&'a str>,
    uptime_ms: Option<u64>,
    processes: Option<u32>,
    processes_running: Option<u32>,
    foreground: Option<bool>,
    unit: Option<&'a str>,
    home: String,
}

pub(crate) fn status(context: &Context, json: bool) -> Outcome {
    let status: Option<SupervisorStatus> = if context.home.exists() {
        // Asking must not create a home.
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
            sentinel: status.and_then(|status| status.sentinel),
            version: status.map(|status| status.version.as_str()),
            uptime_ms,
            processes: status.map(|status| status.processes),
            processes_running: status.map(|status| status.running),
            foreground: status.map(|status| status.foreground),
            unit: status.and_then(|status| status.unit.as_deref()),
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
        None => output.fact("Guardian: gone; another one is made within seconds")?,
    }
    if let Some(pid) = status.sentinel {
        output.fact(format_args!("Sentinel: running (PID: {pid})"))?;
    }
    output.fact(format_args!(
        "Uptime: {}",
        words::duration(uptime_ms.unwrap_or(0))
    ))?;
    output.fact(format_args!(
        "Processes: {}, {} running",
        status.processes, status.running
    ))?;
    if let Some(unit) = &status.unit {
        let what = if unit.strip_suffix(".scope").is_some() {
            " (a login session)"
        } else {
            ""
        };
        output.fact(format_args!("Unit of systemd: {unit}{what}"))?;
    }
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
    let running = Overview::read(&context.store())?
        .processes
        .iter()
        .filter(|view| view.pid.is_some())
        .count();
    if running > 0 {
        context.output.remark(format_args!(
            "{} on, unsupervised; what is printed waits in pipes. Any command that changes something brings a supervisor back",
            match running {
                1 => "1 process runs".to_owned(),
                _ => format!("{} run", words::processes(running)),
            }
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
        "watch" => heal(&home),
        "run-guarded" => run_machinery(home, false),
        "run-foreground" => run_machinery(home, true),
        "try" => try_out(&home),
        "make-room" => make_room(),
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
    // The kernel's own link leads to this very program even after its file was replaced.
    let program = Path::new("/proc/self/exe");
    let arguments = machinery_words("run-guarded", home);
    // As long as the guardian's own command word, whose place it takes in the guardian's command
    // line.
    let sentinel = machinery_words("watch", home);
    let environment = std::env::vars_os().collect();
    supervise::guard(program, &arguments, Some(&sentinel), environment)
}

/// A sentinel, when its guardian was killed.
fn heal(home: &Home) -> Result<u8, Error> {
    let environment: Vec<_> = std::env::vars_os().collect();
    supervise::heal(home.clone(), launcher(home)?, &environment).map(|()| 0)
}

/// How guardian and supervisor of a home are started.
pub(crate) fn launcher(home: &Home) -> Result<Launcher, Error> {
    let program = std::env::current_exe().map_err(|source| Error::System {
        action: "find the file of this program",
        source,
    })?;
    Ok(Launcher {
        environment: supervisor_environment(),
        ..Launcher::tsm(executable(program), home)
    })
}

/// After the end of a unit's supervisor: see [`supervise::make_room`].
fn make_room() -> Result<u8, Error> {
    let made = supervise::make_room().map_err(|source| Error::System {
        action: "make room in the cgroup for the next supervisor",
        source,
    });
    made.map(|()| 0)
}

/// The words by which [`machinery`] is reached.
fn machinery_words(command: &str, home: &Home) -> Vec<OsString> {
    let words = ["tsm", "supervisor", command, "--home"];
    let words = words.into_iter().map(OsString::from);
    words.chain([home.root().into()]).collect()
}

/// How a supervisor goes on as a newer `tsm`.
pub(crate) fn upgrade_words(home: &Home, foreground: bool) -> UpgradeWords {
    let supervisor = if foreground {
        "run-foreground"
    } else {
        "run-guarded"
    };
    UpgradeWords {
        supervisor: machinery_words(supervisor, home),
        guardian: machinery_words("guard", home),
        trial: machinery_words("try", home),
    }
}

/// Tries this program on the state of a home; a supervisor that may go on as it reads what it says.
fn try_out(home: &Home) -> Result<u8, Error> {
    let state = std::fs::File::open("/proc/self/fd/0").map_err(|source| Error::System {
        action: "open standard input",
        source,
    })?;
    match supervise::try_out(home, state) {
        Ok(trial) => {
            output::json(&trial).map_err(|source| Error::System {
                action: "write to standard output",
                source,
            })?;
            Ok(0)
        }
        Err(error) => {
            output::Output::raw(format!("{error}\n").as_bytes())
                .best_effort("the supervisor reads the reason where it reads everything else");
            Ok(error.kind().exit_status())
        }
    }
}

/// Asks the supervisor to go on as this very program.
pub(crate) fn upgrade(context: &Context) -> Outcome {
    let client = context.client()?;
    let before = if context.home.exists() {
        client.status()?
    } else {
        None
    };
    let Some(before) = before else {
        context
            .output
            .remark("no supervisor was running; the next command starts one of this version");
        return Ok(());
    };
    let own = version::own();
    // An older program may not be able to read what a newer one wrote.
    if version::is_newer(&before.version, &own) {
        let reason = format!(
            "the supervisor is tsm {} and newer than this tsm {own}; use that one",
            before.version
        );
        return Err(Error::bad_value("upgrade", reason).into());
    }
    let program = std::env::current_exe().map_err(|source| Error::System {
        action: "find the file of this program",
        source,
    })?;
    if is_executed_by(&program, before.pid) {
        context.output.remark(format_args!(
            "the supervisor (PID: {}) is this very tsm {own} already",
            before.pid
        ));
        return Ok(());
    }
    let after = client.upgrade(executable(program.clone()))?;
    match after {
        // The answer may come from the old supervisor, which goes on if the new one fails: its file
        // tells which one it is.
        Some(after) if is_executed_by(&program, after.pid) => {
            context.output.fact(format_args!(
                "Supervisor upgraded: {} to {} (PID: {}); {} ran on",
                before.version,
                after.version,
                after.pid,
                words::processes(after.running as usize)
            ))?;
            Ok(())
        }
        _ => Err(Error::Reported {
            kind: ErrorKind::Failed,
            message: format!(
                "the new supervisor did not come up, and one of version {} goes on; see {}",
                after.map_or(before.version, |after| after.version),
                context.home.supervisor_log().display()
            ),
        }
        .into()),
    }
}

/// Whether a process executes this very file.
fn is_executed_by(program: &Path, pid: u32) -> bool {
    // By device and inode: the same path may by now be another version.
    let file = |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    match (file(program), file(Path::new(&format!("/proc/{pid}/exe")))) {
        (Ok(own), Ok(its)) => own == its,
        _ => false,
    }
}

fn run_machinery(home: Home, foreground: bool) -> Result<u8, Error> {
    let upgrade = Some(upgrade_words(&home, foreground));
    let ended = supervise::run(Options {
        home,
        foreground,
        resurrect: None,
        environment: std::env::vars_os().collect(),
        upgrade,
    });
    if let Err(error) = &ended {
        // The command that waits for this supervisor reads the reason from standard output.
        output::Output::raw(format!("{error}\n").as_bytes())
            .best_effort("where no command waits for it, the log has it");
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
        upgrade: Some(upgrade_words(&context.home, true)),
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
