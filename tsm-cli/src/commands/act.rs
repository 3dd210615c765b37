//! `tsm stop`, `kill`, `restart`, `delete`, and `start` of known processes.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use tsm_core::control::{self, ActOptions, Reply, Verb};
use tsm_core::env::{EnvUpdate, Snapshot};
use tsm_core::error::{BestEffort as _, Error, ErrorKind};
use tsm_core::selector::Selector;
use tsm_core::sys::Signal;
use tsm_core::view::{Overview, ProcessView};

use crate::app::{Context, Failure, Outcome};
use crate::args::{DeleteArgs, RestartArgs, SelectArgs, SignalArgs};
use crate::commands::{scale, variables, waiting};
use crate::output::{self, complain};
use crate::words;

/// After this long a terminal is shown what is waited for.
const PROGRESS_AFTER: Duration = Duration::from_millis(700);
/// How long a restart of one instance may take until it is ready, where nothing else is said.
pub(crate) const ROLLING_PATIENCE_MS: u64 = 60_000;

pub(crate) fn stop(context: &Context, select: SelectArgs, force: bool) -> Outcome {
    let json = select.json;
    act(
        context,
        Verb::Stop,
        &select.into_selectors(),
        ActOptions {
            force,
            ..ActOptions::default()
        },
        json,
    )
}

pub(crate) fn reset(context: &Context, select: SelectArgs) -> Outcome {
    let json = select.json;
    let selectors = select.into_selectors();
    act(
        context,
        Verb::Reset,
        &selectors,
        ActOptions::default(),
        json,
    )
}

pub(crate) fn restart(context: &Context, args: RestartArgs) -> Outcome {
    let json = args.select.json;
    let update = variables::update(&args.variables)?;
    let shell = args.update_env.then(|| variables::this_shell(context));
    let update = (!update.is_empty() || shell.is_some()).then_some((update, shell));
    let selectors = args.select.into_selectors();
    let options = ActOptions {
        wait_ms: args.wait.ms(),
        ..ActOptions::default()
    };
    let Some(rounds) = scale::one_by_one(context, &selectors)? else {
        return act_with(context, Verb::Restart, &selectors, options, update, json);
    };
    let mut all = Vec::new();
    let last = rounds.len() - 1;
    // An instance goes down only after the one before it is ready, so that the others can serve
    // meanwhile.
    let rolling = ActOptions {
        wait_ms: options.wait_ms.or(Some(ROLLING_PATIENCE_MS)),
        ..options
    };
    for (number, round) in rounds.iter().enumerate() {
        let (outcomes, notices) = ask(context, Verb::Restart, round, rolling, update.clone())?;
        let failed = outcomes.iter().find(|outcome| outcome.error.is_some());
        let failed = failed.map(|outcome| outcome.name.clone());
        if json {
            all.extend(outcomes);
            if number == last || failed.is_some() {
                return tell_all(context, Verb::Restart, rolling, &all, notices, true);
            }
            continue;
        }
        // The outcome is shown even if this round failed; only then does the error end the command.
        let told = tell_all(context, Verb::Restart, rolling, &outcomes, notices, false);
        if let Some(name) = failed.filter(|_| number < last) {
            context.output.remark(format_args!(
                "'{name}' did not come up, so that the rest goes on as it is: {}",
                rounds[number + 1..].concat().join(", ")
            ));
        }
        told?;
    }
    Ok(())
}

/// `rotate`, `flush` and `reopen`.
pub(crate) fn for_logs(context: &Context, verb: Verb, select: SelectArgs) -> Outcome {
    let json = select.json;
    let selectors = select.into_selectors();
    act(context, verb, &selectors, ActOptions::default(), json)
}

pub(crate) fn delete(context: &Context, args: DeleteArgs) -> Outcome {
    let json = args.select.json;
    let selectors = args.select.into_selectors();
    // A script has nobody to ask.
    if !args.yes && io::stdin().is_terminal() {
        let parsed = selectors
            .iter()
            .map(|text| text.parse::<Selector>())
            .collect::<Result<Vec<_>, _>>()?;
        if parsed.iter().any(Selector::is_wide) && !confirm(context, &parsed)? {
            return Err(Failure::Told(ErrorKind::Failed));
        }
    }
    let views = if json || args.keep_logs {
        Vec::new()
    } else {
        Overview::read(&context.store())?.processes
    };
    let options = ActOptions {
        keep_logs: args.keep_logs,
        ..ActOptions::default()
    };
    let (outcomes, notices) = ask(context, Verb::Delete, &selectors, options, None)?;
    let told = tell_all(context, Verb::Delete, options, &outcomes, notices, json);
    for outcome in outcomes.iter().filter(|outcome| outcome.error.is_none()) {
        let view = views.iter().find(|view| view.name == outcome.name);
        for log in view.into_iter().flat_map(|view| outside(context, view)) {
            context.output.remark(format_args!(
                "the log of '{}' outside of the home stays, with its segments: {}",
                outcome.name,
                log.display()
            ));
        }
    }
    told
}

/// The logs of a process that others may have made, as far as there are any.
fn outside(context: &Context, view: &ProcessView) -> impl Iterator<Item = PathBuf> {
    let (out, err) = view.log_files(&context.home);
    let err = err.filter(|err| out.as_ref() != Some(err));
    let home = context.home.logs();
    let logs = out.into_iter().chain(err);
    logs.filter(move |log| !log.starts_with(&home) && log.exists())
}

pub(crate) fn signal(context: &Context, args: &SignalArgs) -> Outcome {
    let options = ActOptions {
        signal: Some(args.signal),
        group: args.group,
        ..ActOptions::default()
    };
    act(context, Verb::Signal, &args.selectors, options, args.json)
}

pub(crate) fn reload(context: &Context, select: SelectArgs) -> Outcome {
    let json = select.json;
    let selectors = select.into_selectors();
    act(
        context,
        Verb::Reload,
        &selectors,
        ActOptions::default(),
        json,
    )
}

fn confirm(context: &Context, selectors: &[Selector]) -> Result<bool, Failure> {
    let overview = Overview::read(&context.store())?;
    let names: Vec<&str> = overview
        .processes
        .iter()
        .filter(|view| {
            selectors
                .iter()
                .any(|s| s.selects(view.id, view.name.as_str(), &view.namespace))
        })
        .map(|view| view.name.as_str())
        .collect();
    if names.is_empty() {
        return Ok(true);
    }
    write!(
        io::stderr(),
        "Delete {} ({})? [y/N] ",
        words::processes(names.len()),
        names.join(", ")
    )?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Asks the supervisor, shows what is waited for, and prints what became of each process.
pub(crate) fn act(
    context: &Context,
    verb: Verb,
    selectors: &[String],
    options: ActOptions,
    json: bool,
) -> Outcome {
    act_with(context, verb, selectors, options, None, json)
}

/// As [`act`]; before that, the environment of each changes.
pub(crate) fn act_with(
    context: &Context,
    verb: Verb,
    selectors: &[String],
    options: ActOptions,
    update: Option<(EnvUpdate, Option<Snapshot>)>,
    json: bool,
) -> Outcome {
    let (outcomes, notices) = ask(context, verb, selectors, options, update)?;
    tell_all(context, verb, options, &outcomes, notices, json)
}

/// Asks the supervisor, and shows what is waited for.
fn ask(
    context: &Context,
    verb: Verb,
    selectors: &[String],
    options: ActOptions,
    update: Option<(EnvUpdate, Option<Snapshot>)>,
) -> Result<(Vec<control::Outcome>, Vec<String>), Failure> {
    // A selector that cannot be parsed is a mistake even where there is no home.
    for text in selectors {
        text.parse::<Selector>()?;
    }
    // Without a supervisor the records and their processes are still there, so one is started for
    // them. But a home that was never used has no processes, and none is created to find that out.
    if !context.home.exists() {
        let one = selectors.iter().find(|selector| *selector != "all");
        return match one {
            Some(selector) => Err(Error::NoSuchProcess {
                selector: selector.clone(),
                suggestion: None,
            }
            .into()),
            None => Ok((Vec::new(), Vec::new())),
        };
    }
    let progress = Progress::begin_for(context);
    let acted = context
        .client()?
        .act_with(verb, selectors, options, update, |reply| {
            if let Some(progress) = &progress {
                progress.hear(reply);
            }
        });
    if let Some(progress) = progress {
        progress.end();
    }
    acted.map_err(|error| waiting::in_vain(context, error))
}

/// Prints what became of each process.
fn tell_all(
    context: &Context,
    verb: Verb,
    options: ActOptions,
    outcomes: &[control::Outcome],
    notices: Vec<String>,
    json: bool,
) -> Outcome {
    let signal = options.signal;
    if json {
        output::json(&outcomes)?;
    }
    let mut worst = None;
    for outcome in outcomes {
        if let Some(error) = &outcome.error {
            complain(&error.message);
            if options.wait_ms.is_some() {
                waiting::last_lines(context, &outcome.name);
            }
            worst.get_or_insert(error.kind);
        } else if let Some(note) = &outcome.note {
            context
                .output
                .remark(format_args!("'{}' {note}", outcome.name));
        } else if !json {
            tell(context, verb, signal, outcome)?;
        }
    }
    if outcomes.is_empty() && !json {
        context.output.remark("there are no processes");
    }
    for notice in notices {
        context.output.remark(notice);
    }
    worst.map_or(Ok(()), |kind| Err(Failure::Told(kind)))
}

fn tell(
    context: &Context,
    verb: Verb,
    signal: Option<Signal>,
    outcome: &control::Outcome,
) -> io::Result<()> {
    let control::Outcome { id, name, .. } = outcome;
    let pid = outcome
        .pid
        .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    match verb {
        Verb::Start => {
            context
                .output
                .fact(format_args!("Starting process: {name}"))?;
            context.output.fact(format_args!(
                "Process started with PID: {pid}, TSM ID: {id}"
            ))
        }
        Verb::Restart => context.output.fact(format_args!(
            "Process restarted: {name} (PID: {pid}, ID: {id})"
        )),
        Verb::Stop => context
            .output
            .fact(format_args!("Process stopped: {name} (ID: {id})")),
        Verb::Update => context.output.fact(format_args!(
            "Environment changed: {name} (ID: {id}); it acts at the next start"
        )),
        Verb::Reset => context
            .output
            .fact(format_args!("Restarts counted anew: {name} (ID: {id})")),
        Verb::Delete => context
            .output
            .fact(format_args!("Process deleted: {name} (ID: {id})")),
        Verb::Signal => context.output.fact(format_args!(
            "{} sent: {name} (PID: {pid}, ID: {id})",
            signal.unwrap_or(Signal::HUP)
        )),
        Verb::Rotate => context
            .output
            .fact(format_args!("Logs rotated: {name} (ID: {id})")),
        Verb::Flush => context
            .output
            .fact(format_args!("Logs emptied: {name} (ID: {id})")),
        Verb::Reopen => context
            .output
            .fact(format_args!("Logs opened again: {name} (ID: {id})")),
        Verb::Reload => context.output.fact(format_args!(
            "Process asked to reload: {name} (PID: {pid}, ID: {id})"
        )),
    }
}

/// A line on a terminal that says what is waited for, from the moment that waiting is felt.
pub(crate) struct Progress {
    news: Sender<News>,
    thread: JoinHandle<()>,
}

enum News {
    Names(Vec<String>),
    Settled(String),
}

impl Progress {
    /// Where standard error is a terminal and somebody wants to know.
    pub(crate) fn begin_for(context: &Context) -> Option<Self> {
        (io::stderr().is_terminal() && !context.output.quiet).then(Self::begin)
    }

    fn begin() -> Self {
        let (news, heard) = mpsc::channel::<News>();
        let thread = std::thread::spawn(move || {
            let mut waiting: Vec<String> = Vec::new();
            let mut shown = false;
            let mut stderr = io::stderr();
            loop {
                // The time starts anew with each message: what settles quickly shows no line at
                // all.
                match heard.recv_timeout(PROGRESS_AFTER) {
                    Ok(News::Names(names)) => waiting = names,
                    Ok(News::Settled(name)) => waiting.retain(|other| *other != name),
                    Err(RecvTimeoutError::Timeout) => {
                        shown = true;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if shown && !waiting.is_empty() {
                    let first = waiting
                        .iter()
                        .take(4)
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", ");
                    let more = if waiting.len() > 4 { ", …" } else { "" };
                    write!(
                        stderr,
                        "\r\x1b[Kwaiting for {}: {first}{more}",
                        words::processes(waiting.len())
                    )
                    .best_effort("a terminal that went away needs no progress");
                    stderr
                        .flush()
                        .best_effort("a terminal that went away needs no progress");
                }
            }
            if shown {
                write!(stderr, "\r\x1b[K")
                    .best_effort("a terminal that went away needs no progress");
                stderr
                    .flush()
                    .best_effort("a terminal that went away needs no progress");
            }
        });
        Self { news, thread }
    }

    pub(crate) fn hear(&self, reply: &Reply) {
        let news = match reply {
            Reply::Accepted { names } => {
                News::Names(names.iter().map(ToString::to_string).collect())
            }
            Reply::Outcome(outcome) => News::Settled(outcome.name.to_string()),
            _ => return,
        };
        self.news
            .send(news)
            .best_effort("the thread lives until `end`");
    }

    pub(crate) fn end(self) {
        drop(self.news);
        self.thread
            .join()
            .best_effort("a thread that panicked has said so");
    }
}
