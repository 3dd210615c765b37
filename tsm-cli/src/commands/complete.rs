//! `tsm __complete`: what the word that is being typed may become. The completions of all shells ask it.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};
use tsm_core::spec::DEFAULT_NAMESPACE;

use crate::app::{Context, Outcome};
use crate::args::Cli;
use crate::output::Output;

/// The commands whose words are processes.
const OF_PROCESSES: &[&str] = &[
    "start", "stop", "kill", "restart", "delete", "list", "info", "logs", "env", "why", "history",
    "ports", "signal", "flush", "rotate", "reset", "reload", "scale",
];

/// Prints each candidate, a tab, and what it is; nothing where a file is wanted.
pub(crate) fn run(context: &Context, words: &[OsString]) -> Outcome {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let found = candidates(&Cli::command(), &words, &|| processes(context));
    let mut text = String::new();
    for (word, help) in found {
        // A name from a directory that others wrote to could hold anything.
        if !word.chars().any(char::is_control) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{word}\t{help}");
        }
    }
    Ok(Output::raw(text.as_bytes())?)
}

/// Names, ids and namespaces of the processes that there are.
fn processes(context: &Context) -> Vec<(String, String)> {
    let Ok((records, _)) = context.store().records() else {
        return Vec::new();
    };
    let mut found = vec![("all".to_owned(), "all processes".to_owned())];
    let mut namespaces = Vec::new();
    for (name, meta) in &records {
        let state = meta.state.clone().unwrap_or_default();
        found.push((name.to_string(), state.clone()));
        found.push((meta.id.to_string(), format!("{name} {state}")));
        namespaces.extend(meta.namespace.clone());
    }
    found.sort();
    namespaces.sort();
    namespaces.dedup();
    let named = namespaces.iter().filter(|name| *name != DEFAULT_NAMESPACE);
    found.extend(named.map(|name| (format!("@{name}"), "namespace".to_owned())));
    found
}

/// What the last of `words` may become.
fn candidates(
    tsm: &Command,
    words: &[String],
    processes: &dyn Fn() -> Vec<(String, String)>,
) -> Vec<(String, String)> {
    let Some((last, before)) = words.split_last() else {
        return Vec::new();
    };
    let mut command = tsm;
    let mut literal = false;
    let mut value_of: Option<&Arg> = None;
    for word in before {
        if value_of.take().is_some() || literal {
            continue;
        }
        if word == "--" {
            literal = true;
        } else if word.starts_with('-') {
            value_of = option(tsm, command, word).filter(|arg| takes_value(arg));
        } else if let Some(sub) = command.find_subcommand(word) {
            command = sub;
        }
    }
    if literal {
        return Vec::new();
    }
    let begins = |(word, _): &(String, String)| word.starts_with(last.as_str());
    if let Some(arg) = value_of {
        let values = values(arg, "");
        return values.into_iter().filter(begins).collect();
    }
    let found = if let Some((name, _)) = last.split_once('=').filter(|_| last.starts_with("--")) {
        option(tsm, command, name).map_or_else(Vec::new, |arg| values(arg, &format!("{name}=")))
    } else if last.starts_with('-') {
        options(tsm, command)
    } else if command.has_subcommands() {
        let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        shown
            .map(|sub| (sub.get_name().to_owned(), help(sub.get_about())))
            .collect()
    } else if OF_PROCESSES.contains(&command.get_name()) {
        processes()
    } else {
        let words = command.get_positionals();
        words.flat_map(|arg| values(arg, "")).collect()
    };
    found.into_iter().filter(begins).collect()
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// The option that a word names: one of the command, or of all.
fn option<'a>(tsm: &'a Command, command: &'a Command, word: &str) -> Option<&'a Arg> {
    let all = command.get_arguments().chain(tsm.get_arguments());
    let mut all = all.filter(|arg| !arg.is_positional());
    match word.strip_prefix("--") {
        Some(long) => all.find(|arg| arg.get_long() == Some(long)),
        None => all.find(|arg| {
            arg.get_short()
                .is_some_and(|short| word[1..].chars().eq([short]))
        }),
    }
}

fn options(tsm: &Command, command: &Command) -> Vec<(String, String)> {
    let all = command.get_arguments().chain(tsm.get_arguments());
    let mut found: Vec<(String, String)> = all
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| Some((format!("--{}", arg.get_long()?), help(arg.get_help()))))
        .collect();
    found.push(("--help".to_owned(), "Print help".to_owned()));
    found.sort();
    found.dedup_by(|a, b| a.0 == b.0);
    found
}

fn values(arg: &Arg, before: &str) -> Vec<(String, String)> {
    arg.get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| {
            let word = format!("{before}{}", value.get_name());
            (word, help(value.get_help()))
        })
        .collect()
}

fn help(text: Option<&clap::builder::StyledStr>) -> String {
    text.map_or_else(String::new, |text| {
        text.to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let processes = || {
            ["api", "worker", "1", "@web"]
                .map(|name| (name.to_owned(), "running".to_owned()))
                .to_vec()
        };
        candidates(&Cli::command(), &words, &processes)
            .into_iter()
            .map(|(word, _)| word)
            .collect()
    }

    #[test]
    fn commands_options_values_and_processes_are_completed() {
        assert_eq!(of("sto"), ["stop"]);
        assert_eq!(of("stop a"), ["api"]);
        assert_eq!(of("--home /x stop api w"), ["worker"]);
        assert_eq!(of("logs @"), ["@web"]);
        assert_eq!(of("start --nam"), ["--name", "--namespace"]);
        assert_eq!(of("list --color a"), ["auto", "always"]);
        assert_eq!(of("list --color=n"), ["--color=never"]);
        assert_eq!(of("supervisor st"), ["status", "stop"]);
        assert_eq!(of("init "), ["bash", "zsh", "fish"]);
        assert_eq!(of("start --name "), Vec::<String>::new());
        assert_eq!(of("start -- a"), Vec::<String>::new());
        assert!(!of("").contains(&"__complete".to_owned()));
        assert!(of("stop -").contains(&"--force".to_owned()));
    }
}
