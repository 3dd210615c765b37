//! What is said of words that `tsm` does not understand: what is wrong, what was likely meant, and where help is.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind as Clap};
use tsm_core::error::{BestEffort as _, ErrorKind};

use crate::output::complain;
use crate::{args, arrange, table};

/// What other managers call it, and what it is here.
const OTHERS: &[(&[&str], &str)] = &[
    (
        &["run", "up", "launch", "add", "create", "new", "exec"],
        "tsm start",
    ),
    (&["down", "halt", "terminate"], "tsm stop"),
    (&["remove", "unregister", "destroy"], "tsm delete"),
    (&["enable"], "tsm startup"),
    (&["disable"], "tsm unstartup"),
    (
        &["reread", "update", "apply", "daemon-reload"],
        "tsm start -c",
    ),
    (&["inspect", "pid", "pids"], "tsm info"),
    (&["tail", "journal"], "tsm logs"),
    (&["attach", "fg", "maintail"], "tsm logs NAME -f"),
    (&["reloadlogs", "reloadLogs"], "tsm reopen"),
    (&["top", "dash", "dashboard", "ui"], "tsm tui"),
    (&["shell", "console"], "tsm repl"),
    (&["dump"], "tsm save"),
    (&["events"], "tsm history"),
    (&["check"], "tsm doctor"),
    (&["daemon", "server", "serve"], "tsm supervisor"),
    (&["version"], "tsm --version"),
];

/// Says what is wrong in one line, and where help is; help and version go to standard output. Gives the exit status.
/// `words` are what was typed, `tsm` first.
pub(crate) fn wrong_usage(error: &clap::Error, words: &[OsString]) -> u8 {
    if matches!(error.kind(), Clap::DisplayHelp | Clap::DisplayVersion) {
        error
            .print()
            .best_effort("a reader that went away has seen enough");
        return 0;
    }
    let called = called(words);
    let name = called.get_bin_name().unwrap_or("tsm");
    if let (Clap::InvalidSubcommand, Some(typed)) =
        (error.kind(), text(error, ContextKind::InvalidSubcommand))
    {
        complain(no_command(name, &typed, error));
        return ErrorKind::Usage.exit_status();
    }
    let message = said(error, &called, name).unwrap_or_else(|| as_rendered(error));
    complain(table::printable(&message));
    complain(format_args!("'{name} --help' shows how"));
    ErrorKind::Usage.exit_status()
}

/// The command that the words name, as far as they name one.
fn called(words: &[OsString]) -> clap::Command {
    let mut command = args::whole();
    let mut at = arrange::command_at(words, &command).unwrap_or(words.len());
    while let Some(word) = words.get(at).and_then(|word| word.to_str())
        && let Some(below) = command.find_subcommand(word)
    {
        command = below.clone();
        at += 1;
    }
    command
}

/// What was mistyped, and the command that was likely meant.
fn no_command(above: &str, typed: &str, error: &clap::Error) -> String {
    let of_others = OTHERS.iter().find(|(words, _)| words.contains(&typed));
    let near = match (above, of_others) {
        ("tsm", Some((_, meant))) => Some((*meant).to_owned()),
        ("tsm", None) if Path::new(typed).is_file() => Some(format!("tsm start {typed}")),
        // clap puts the likeliest last.
        _ => texts(error, ContextKind::SuggestedSubcommand)
            .pop()
            .map(|near| format!("{above} {near}")),
    };
    let typed = table::printable(typed);
    match near.map(|near| table::printable(&near)) {
        Some(near) => format!("'{above} {typed}' is no command; did you mean '{near}'?"),
        None => format!("'{above} {typed}' is no command; '{above} --help' has all"),
    }
}

/// What is wrong, in words of ours; `None` where the parser's do.
fn said(error: &clap::Error, called: &clap::Command, name: &str) -> Option<String> {
    let wrong = || text(error, ContextKind::InvalidArg);
    let value = || text(error, ContextKind::InvalidValue).filter(|value| !value.is_empty());
    match error.kind() {
        Clap::MissingSubcommand | Clap::DisplayHelpOnMissingArgumentOrSubcommand => {
            let below = called
                .get_subcommands()
                .filter(|below| !below.is_hide_set());
            let below: Vec<&str> = below.map(clap::Command::get_name).collect();
            Some(format!("'{name}' needs one of {}", below.join(", ")))
        }
        Clap::MissingRequiredArgument => {
            let missing = texts(error, ContextKind::InvalidArg);
            let missing = missing.iter().map(|shown| {
                let arg = called
                    .get_arguments()
                    .find(|arg| label(&arg.to_string()) == label(shown));
                let help = arg.and_then(clap::Arg::get_help).map(ToString::to_string);
                match help {
                    Some(help) => format!("{}: {}", label(shown), lower(&help)),
                    None => label(shown).to_owned(),
                }
            });
            let missing: Vec<String> = missing.collect();
            (!missing.is_empty()).then(|| format!("'{name}' needs {}", missing.join("; and ")))
        }
        Clap::UnknownArgument => {
            let wrong = wrong()?;
            if !wrong.starts_with('-') {
                return Some(format!("'{name}' takes no '{wrong}'"));
            }
            let more = match texts(error, ContextKind::SuggestedArg).pop() {
                Some(near) => format!("; did you mean '{near}'?"),
                None if called.get_name() == "start" => {
                    "; what is the program's stands behind '--'".to_owned()
                }
                None => String::new(),
            };
            Some(format!("'{name}' has no option '{wrong}'{more}"))
        }
        Clap::ValueValidation => {
            let (wrong, reason) = (wrong()?, error.source()?.to_string());
            let label = label(&wrong);
            // The reason may begin with what it is about, which the label says already.
            let says_so = |what: &str| label.replace('-', " ").contains(&what.replace('-', " "));
            let reason = match reason.split_once(": ") {
                Some((what, rest)) if !what.contains([' ', '\'']) || says_so(what) => rest,
                _ => &reason,
            };
            let named = value().is_none_or(|value| reason.contains(&value));
            Some(match (named, value()) {
                (false, Some(value)) => format!("{label}: '{value}': {reason}"),
                _ => format!("{label}: {reason}"),
            })
        }
        Clap::InvalidValue => {
            let (wrong, value) = (wrong()?, value()?);
            let all = texts(error, ContextKind::ValidValue).join(", ");
            Some(format!("{}: '{value}' is none of {all}", label(&wrong)))
        }
        _ => None,
    }
}

/// The first paragraph of what the parser says, which may hold what was typed, newlines and all; and its tip.
fn as_rendered(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or("wrong usage");
    let lines: Vec<&str> = first
        .trim_start_matches("error: ")
        .split('\n')
        .map(str::trim)
        .collect();
    let tip = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("tip:"));
    let tip = tip
        .map(|tip| format!("; {}", tip.trim()))
        .unwrap_or_default();
    format!("{}{tip}", lines.join(" "))
}

/// `--name` of `--name <NAME>`, `SIGNAL` of `<SIGNAL>...`.
fn label(shown: &str) -> &str {
    if shown.starts_with('-') {
        shown.split([' ', '=', '[']).next().unwrap_or(shown)
    } else {
        shown.trim_matches(['<', '>', '[', ']', '.'])
    }
}

/// In the middle of a sentence: `A name` is `a name`, `HUP` stays.
fn lower(help: &str) -> String {
    let mut chars = help.chars();
    match chars.next() {
        Some(first) if !chars.clone().next().is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => help.to_owned(),
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    texts(error, kind).pop()
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    }
}
