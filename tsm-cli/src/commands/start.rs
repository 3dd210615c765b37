//! `tsm start`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tsm_core::control::{ActOptions, StartRequest, Verb};
use tsm_core::env::{EnvError, Environment, Origins, ShellState};
use tsm_core::error::{Error, ErrorKind, IoContext as _};
use tsm_core::launch::{Typed, resolve};
use tsm_core::selector::Selector;
use tsm_core::spec::{Daemon, ProcessSpec};
use tsm_core::sys::account;
use tsm_core::text::Text;

use super::{act, apply, scale, variables, waiting};
use crate::app::{Context, Failure, Outcome};
use crate::args::{PortChoice, StartArgs, StartKind};
use crate::output::{self, complain};

pub(crate) fn run(context: &Context, args: &StartArgs) -> Outcome {
    if args.file.config.is_some() || args.words.is_empty() {
        return apply::run(context, args);
    }
    if let Some(option) = args.file.given() {
        let reason = "it goes with a config file: tsm start -c FILE";
        return Err(Error::bad_value(option, reason).into());
    }
    if let Some(selectors) = known_processes(context, args)? {
        if let Some(option) = args.spec_option() {
            let name = &selectors[0];
            let reason = format!(
                "'{name}' is a known process and starts as it was, but for --env and --env-file; delete it first, or give the new one a --name"
            );
            return Err(Error::bad_value(option, reason).into());
        }
        let update = variables::update(&args.variables)?;
        let options = ActOptions {
            wait_ms: args.wait.ms(),
            ..ActOptions::default()
        };
        let update = (!update.is_empty()).then_some((update, None));
        let started = act::act_with(context, Verb::Start, &selectors, options, update, args.json);
        return started.map_err(|failure| tell_of_names(failure, &selectors));
    }
    let before = variables::this_shell(context);
    // Resolved before any supervisor is started: a mistyped target leaves no trace.
    let mut request = request(args, before.shell.as_ref())
        .map_err(|error| with_suggestion(context, args, error))?;
    let update = variables::update(&args.variables)?;
    let wrong = |error: EnvError| Error::bad_value("--env", error);
    let (snapshot, origins) = update
        .apply(&before, &Origins::default(), None)
        .map_err(wrong)?;
    request.spec.origins = origins;
    check_port(args, &snapshot.environment)?;
    if let Some(count) = args.instances {
        return scale::start(
            context,
            &request,
            count,
            &update,
            &before,
            (args.json, args.wait),
        );
    }
    request.wait_ms = args.wait.ms();
    let (outcome, notices) = context
        .client()?
        .start(request, &snapshot)
        .map_err(|error| waiting::in_vain(context, error))?;
    if args.json {
        output::json(&[&outcome])?;
    } else {
        context
            .output
            .fact(format_args!("Starting process: {}", outcome.name))?;
        let pid = outcome
            .pid
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        context.output.fact(format_args!(
            "Process started with PID: {pid}, TSM ID: {}",
            outcome.id
        ))?;
    }
    for notice in notices {
        context.output.remark(notice);
    }
    Ok(())
}

/// Who typed a program and its arguments, and not names, is told why they are taken for names.
fn tell_of_names(failure: Failure, words: &[String]) -> Failure {
    let Failure::Core(error) = failure else {
        return failure;
    };
    let kind = error.kind();
    if words.len() == 1 || !matches!(kind, ErrorKind::NoSuchProcess | ErrorKind::Usage) {
        return Failure::Core(error);
    }
    complain(format_args!(
        "{error}; all words name processes, since '{0}' is one: 'tsm start -- {0} …' starts another",
        words[0]
    ));
    Failure::Told(kind)
}

/// The words as selectors, if the first of them means processes that exist.
fn known_processes(context: &Context, args: &StartArgs) -> Result<Option<Vec<String>>, Error> {
    if args.name.is_some() || args.literal_target {
        return Ok(None);
    }
    let words: Option<Vec<String>> = args
        .words
        .iter()
        .map(|word| word.to_str().map(str::to_owned))
        .collect();
    let Some(words) = words else { return Ok(None) };
    let Ok(selector) = words[0].parse::<Selector>() else {
        return Ok(None);
    };
    let (records, damaged) = context.store().records()?;
    let known = if selector == Selector::All {
        true
    } else {
        let namespace = |meta: &tsm_core::meta::Meta| {
            meta.namespace
                .clone()
                .unwrap_or_else(|| "default".to_owned())
        };
        records
            .iter()
            .any(|(name, meta)| selector.selects(meta.id, name.as_str(), &namespace(meta)))
            // A process with a damaged record is known as well: starting it anew would take its
            // name.
            || damaged
                .iter()
                .any(|damage| damage.name.as_str() == words[0])
    };
    Ok(known.then_some(words))
}

fn request(args: &StartArgs, shell: Option<&ShellState>) -> Result<StartRequest, Error> {
    let here = || {
        let action = "tell the working directory";
        std::env::current_dir().map_err(|source| Error::System { action, source })
    };
    let cwd = match &args.cwd {
        Some(directory) if directory.is_absolute() => existing(directory.clone())?,
        Some(directory) => existing(here()?.join(directory))?,
        None => here()?,
    };
    let path = std::env::var_os("PATH");
    let (target, arguments): (&OsString, &[OsString]) = (&args.words[0], &args.words[1..]);
    let typed = Typed {
        target,
        args: arguments,
        cwd: &cwd,
        path: path.as_deref(),
        shell,
        interpreter: args.interpreter.as_deref(),
    };
    let resolved = resolve(typed)?;
    let mut spec = ProcessSpec::new(target, resolved.program, plain(&cwd));
    spec.args = arguments.iter().map(Text::from).collect();
    spec.interpreter.clone_from(&args.interpreter);
    spec.port = args.port.and_then(PortChoice::number);
    spec.restart = args.restart;
    spec.max_restarts = args.max_restarts;
    if let Some(signal) = args.stop_signal {
        spec.stop_signal = signal;
    }
    if let Some(timeout) = args.stop_timeout {
        spec.stop_timeout_ms = timeout.as_millis() as u64;
    }
    spec.reload_signal = args.reload_signal;
    match (args.kind, &args.pid_file) {
        (StartKind::Daemon, file) => {
            spec.daemon = Some(Daemon {
                pid_file: file.as_deref().map(Text::from),
            });
        }
        (StartKind::Service, Some(_)) => {
            let reason =
                "only a program that puts itself into the background has one; add --type daemon";
            return Err(Error::bad_value("--pid-file", reason));
        }
        (StartKind::Service, None) => {}
    }
    spec.limits = args.limits.to_limits();
    if let Some(namespace) = &args.namespace {
        namespace.as_str().clone_into(&mut spec.namespace);
    }
    if let Some(user) = &args.user {
        spec.user = Some(account::to_run_as(user)?);
    }
    spec.logs = args.logs.settings()?;
    args.care
        .apply(&mut spec, args.port == Some(PortChoice::Any))?;
    let mut request = StartRequest::new(resolved.name, spec);
    request.name.clone_from(&args.name);
    request.any_port = args.port == Some(PortChoice::Any);
    Ok(request)
}

fn existing(directory: PathBuf) -> Result<PathBuf, Error> {
    let there = std::fs::metadata(&directory).at("enter the working directory", &directory)?;
    if there.is_dir() {
        return Ok(directory);
    }
    Err(Error::Io {
        action: "enter the working directory",
        path: directory,
        source: std::io::ErrorKind::NotADirectory.into(),
    })
}

/// Where a word means nothing that can be started, it may have been meant as a process that is known.
fn with_suggestion(context: &Context, args: &StartArgs, error: Error) -> Error {
    let Error::CannotStart { target, reason } = error else {
        return error;
    };
    if args.logs.log_compress.is_some() && matches!(&*target, "yes" | "no") {
        let reason = format!("its value stands behind a '=': --log-compress={target}");
        return Error::bad_value("--log-compress", reason);
    }
    // Without records there is nothing to suggest, for whatever reason they are missing.
    let names = context.store().names().unwrap_or_default();
    let like = tsm_core::selector::suggestion(
        &target,
        names.iter().map(tsm_core::name::ProcessName::as_str),
    );
    // A file of that name is what was meant, whatever is wrong with it.
    let is_missing = !target.contains('/') && !Path::new(&target).exists();
    let reason = match like.filter(|_| is_missing) {
        Some(name) => format!("{reason}; did you mean the process '{name}'?").into(),
        None => reason,
    };
    Error::CannotStart { target, reason }
}

/// `--port` wins over the shell's PORT; two that were both given and differ are a mistake.
fn check_port(args: &StartArgs, environment: &Environment) -> Result<(), Error> {
    let Some(port) = args.port.and_then(PortChoice::number) else {
        return Ok(());
    };
    let given = args
        .variables
        .env
        .iter()
        // Only a PORT that was given here contradicts `--port`; one that the shell has by chance
        // does not.
        .any(|assignment| assignment.to_string_lossy().starts_with("PORT="));
    match environment
        .get(b"PORT")
        .filter(|_| given)
        .map(String::from_utf8_lossy)
    {
        Some(other) if other != port.to_string() => Err(Error::bad_value(
            "--port",
            format!("{port} and --env PORT={other} differ; give one of them"),
        )),
        _ => Ok(()),
    }
}

/// The directory without `.` parts.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}
