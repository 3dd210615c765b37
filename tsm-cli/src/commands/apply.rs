//! `tsm start -c`: making what runs what a config file declares.

use std::collections::HashSet;
use std::path::Path;

use anstyle::AnsiColor;
use serde_json::json;
use tsm_core::config::{Change, Known, Options, Planned, Step, Wanted, plan};
use tsm_core::control::{self, ApplyItem, ApplyThen};
use tsm_core::env::{Snapshot, secret::Secrets};
use tsm_core::error::Error;
use tsm_core::name::ProcessName;
use tsm_core::selector::{Selector, names_it, suggestion};

use super::act::{self, Progress};
use super::{config, variables, waiting};
use crate::app::{Context, Failure, Outcome};
use crate::args::StartArgs;
use crate::output::{self, complain};
use crate::table::printable;

pub(crate) fn run(context: &Context, args: &StartArgs) -> Outcome {
    if let Some(option) = args.spec_option().or(args.name.as_ref().map(|_| "--name")) {
        let reason = "a config file says so itself; leave it out, or write it there";
        return Err(Error::bad_value(option, reason).into());
    }
    let named = args.file.config.as_deref().filter(|file| !file.is_empty());
    if named.is_none() && args.file.config.is_none() && config::usual_file().is_none() {
        let reason = "name a script, a program, a \"quoted command line\" or known processes, or a config file with -c";
        return Err(Error::bad_value("start", reason).into());
    }
    let config = config::load(named.map(Path::new), args.file.profile.as_deref())?;
    let shell = variables::this_shell(context);
    let wanted = config.wanted(&shell)?;
    let chosen = chosen(args, &wanted, &config.path)?;
    let file = config.file()?;
    let (known, damaged) =
        Known::read(&context.store(), &wanted, args.file.prune.then_some(&file))?;
    for error in damaged {
        complain(error);
    }
    let options = Options {
        file: &file,
        prune: args.file.prune,
        update_env: args.file.update_env,
        shell: &shell.environment,
    };
    let steps = plan(&wanted, |name| chosen.contains(name), &known, &options);
    if args.file.dry_run {
        return show(context, args, &steps);
    }
    let outcomes = take(context, &steps, &shell, args.wait.ms())?;
    tell(context, args, &steps, &outcomes)
}

/// The names that this is about: those that were given, with what they need, or all.
fn chosen(args: &StartArgs, wanted: &[Wanted], file: &Path) -> Result<HashSet<ProcessName>, Error> {
    if args.words.is_empty() {
        return Ok(wanted.iter().map(|wanted| wanted.name.clone()).collect());
    }
    let mut chosen = HashSet::new();
    let mut new: Vec<&Wanted> = Vec::new();
    for word in &args.words {
        let word = word.to_string_lossy();
        let selector: Selector = word.parse()?;
        let before = new.len();
        new.extend(
            wanted
                .iter()
                .filter(|w| selector.selects(0, w.name.as_str(), &w.spec.namespace)),
        );
        if new.len() == before && !selector.may_be_empty() {
            let known = wanted.iter().map(|wanted| wanted.name.as_str());
            return Err(Error::NoSuchProcess {
                selector: format!("{word}' in '{}", file.display()),
                suggestion: suggestion(&word, known),
            });
        }
    }
    while let Some(next) = new.pop() {
        if chosen.insert(next.name.clone()) {
            for need in &next.spec.depends_on {
                let names = |w: &&Wanted| names_it(need.name.as_str(), w.name.as_str());
                new.extend(wanted.iter().filter(names));
            }
        }
    }
    Ok(chosen)
}

/// Takes the steps, and says what became of each.
fn take(
    context: &Context,
    steps: &[Planned],
    shell: &Snapshot,
    wait_ms: Option<u64>,
) -> Result<Vec<control::Outcome>, Failure> {
    let items = steps
        .iter()
        .filter(|planned| {
            // What is as declared may not be ready yet, and `--wait` waits for that as well.
            planned.step != Step::Leave
                || planned.spec.is_some()
                || !planned.update.is_empty()
                || wait_ms.is_some()
        })
        .map(ApplyItem::from);
    let (rolling, at_once): (Vec<ApplyItem>, Vec<ApplyItem>) =
        items.partition(|item| is_rolling(steps, item));
    if at_once.is_empty() && rolling.is_empty() && !steps.is_empty() {
        // What is as declared also needs a supervisor to look after it.
        context.client()?.ensure_supervisor()?;
    }
    let mut outcomes = ask(context, at_once, shell, wait_ms)?;
    let mut failed: HashSet<String> = HashSet::new();
    for item in rolling {
        let of = item
            .name
            .of_instance()
            .map_or("", |(whole, _)| whole)
            .to_owned();
        if failed.contains(&of) {
            continue;
        }
        // An instance goes down only after the one before it is ready, so that the others can serve
        // meanwhile.
        let wait = wait_ms.or(Some(act::ROLLING_PATIENCE_MS));
        let told = ask(context, vec![item], shell, wait)?;
        if told.iter().any(|outcome| outcome.error.is_some()) {
            failed.insert(of);
        }
        outcomes.extend(told);
    }
    Ok(outcomes)
}

/// Whether it is restarted alone: one of several instances that are, so that others do the work meanwhile.
fn is_rolling(steps: &[Planned], item: &ApplyItem) -> bool {
    let Some((whole, _)) = item.name.of_instance() else {
        return false;
    };
    let is_another = |planned: &Planned| {
        let of = planned.name.of_instance();
        planned.name != item.name && of.is_some_and(|(other, _)| other == whole)
    };
    item.then == ApplyThen::Restart && steps.iter().any(is_another)
}

/// Asks the supervisor, and shows what is waited for.
pub(crate) fn ask(
    context: &Context,
    items: Vec<ApplyItem>,
    shell: &Snapshot,
    wait_ms: Option<u64>,
) -> Result<Vec<control::Outcome>, Failure> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let client = context.client()?;
    let progress = Progress::begin_for(context);
    let applied = client.apply(items, shell, wait_ms, |reply| {
        if let Some(progress) = &progress {
            progress.hear(reply);
        }
    });
    if let Some(progress) = progress {
        progress.end();
    }
    let (outcomes, notices) = applied?;
    for notice in notices {
        context.output.remark(notice);
    }
    Ok(outcomes)
}

/// What a step is called when it is done.
fn done_word(step: Step) -> &'static str {
    match step {
        Step::Create | Step::Start => "started",
        Step::Restart => "restarted",
        Step::Leave => "unchanged",
        Step::Stop => "stopped",
    }
}

/// What stands behind it: why.
fn why(planned: &Planned) -> String {
    if planned.step == Step::Stop {
        return " (no longer declared)".to_owned();
    }
    if planned.changes.is_empty() {
        return String::new();
    }
    let keys: Vec<&str> = planned
        .changes
        .iter()
        .map(|change| change.key.as_str())
        .collect();
    format!(" ({})", keys.join(", "))
}

fn tell(
    context: &Context,
    args: &StartArgs,
    steps: &[Planned],
    outcomes: &[control::Outcome],
) -> Outcome {
    let outcome_of = |planned: &Planned| outcomes.iter().find(|o| o.name == planned.name);
    let widest = widest(steps);
    let mut worst = None;
    let mut documents = Vec::new();
    for planned in steps {
        let outcome = outcome_of(planned);
        let error = outcome.and_then(|outcome| outcome.error.as_ref());
        // Left alone because an instance before it did not come up.
        let is_left = planned.step == Step::Restart && outcome.is_none();
        if args.json {
            let keys: Vec<&str> = planned.changes.iter().map(|c| c.key.as_str()).collect();
            documents.push(json!({
                "name": planned.name,
                "result": match error {
                    Some(_) => "failed",
                    None if is_left => "left",
                    None => done_word(planned.step),
                },
                "changed": keys,
                "id": outcome.map(|outcome| outcome.id),
                "pid": outcome.and_then(|outcome| outcome.pid),
                "error": error.map(|error| error.message.as_str()),
            }));
        }
        if let Some(error) = error {
            complain(&error.message);
            if args.wait.ms().is_some() || planned.name.of_instance().is_some() {
                waiting::last_lines(context, &planned.name);
            }
            worst.get_or_insert(error.kind);
            continue;
        }
        if is_left {
            context.output.remark(format_args!(
                "'{}' goes on as it is, because another instance did not come up",
                planned.name
            ));
            continue;
        }
        if !args.json {
            context.output.fact(format_args!(
                "{:<widest$}  {}{}",
                planned.name.as_str(),
                done_word(planned.step),
                why(planned)
            ))?;
        }
    }
    if args.json {
        output::json(&documents)?;
    } else if steps.is_empty() {
        context
            .output
            .remark("the file declares no process, and there is nothing to do");
    }
    worst.map_or(Ok(()), |kind| Err(Failure::Told(kind)))
}

/// `--dry-run`: the plan as a diff.
fn show(context: &Context, args: &StartArgs, steps: &[Planned]) -> Outcome {
    let secrets = Secrets::of(&context.home)?;
    if args.json {
        let documents: Vec<_> = steps
            .iter()
            .map(|planned| {
                let changes: Vec<_> = planned
                    .changes
                    .iter()
                    .map(|change| covered(change, &secrets))
                    .collect();
                json!({ "name": planned.name, "step": planned.step, "changes": changes })
            })
            .collect();
        output::json(&documents)?;
        return Ok(());
    }
    let widest = widest(steps);
    for planned in steps {
        let (sign, words, colour) = match planned.step {
            Step::Create => ("+", "start, new", AnsiColor::Green),
            Step::Start => ("+", "start", AnsiColor::Green),
            Step::Restart => ("~", "restart", AnsiColor::Yellow),
            Step::Leave => (" ", "unchanged", AnsiColor::BrightBlack),
            Step::Stop => ("-", "stop", AnsiColor::Red),
        };
        let name = planned.name.as_str();
        let line = format!("{sign} {name:<widest$}  {words}{}", why(planned));
        context.output.fact(context.output.paint(colour, &line))?;
        for change in &planned.changes {
            let change = covered(change, &secrets);
            for (sign, value, colour) in [
                ("-", &change.before, AnsiColor::Red),
                ("+", &change.after, AnsiColor::Green),
            ] {
                if let Some(value) = value {
                    let line = format!("    {sign} {}: {}", change.key, printable(value));
                    context.output.fact(context.output.paint(colour, &line))?;
                }
            }
        }
    }
    Ok(())
}

/// A change as it may be shown.
fn covered(change: &Change, secrets: &Secrets) -> Change {
    let mut shown = change.clone();
    let name = change.key.strip_prefix("env.").unwrap_or_default();
    for value in [&mut shown.before, &mut shown.after].into_iter().flatten() {
        *value = secrets.shown(name, value);
    }
    shown
}

fn widest(steps: &[Planned]) -> usize {
    let lengths = steps.iter().map(|planned| planned.name.as_str().len());
    lengths.max().unwrap_or(0)
}
