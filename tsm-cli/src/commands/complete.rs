//! `tsm __complete`: what the word that is being typed may become. The completions of all shells ask it.

mod known;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command};
use tsm_core::config::{Config, DEFAULT_FILES};
use tsm_core::error::BestEffort as _;
use tsm_core::meta::State;
use tsm_core::selector::Selector;
use tsm_core::spec::DEFAULT_NAMESPACE;
use tsm_core::store::ProcessStore;
use tsm_core::view::Variables;

use crate::app::{Context, Outcome};
use crate::args;
use crate::output::Output;

/// A word and what it is.
pub(crate) type Word = (String, String);

/// Prints each candidate, a tab, and what it is; nothing where a file is wanted.
pub(crate) fn run(context: &Context, words: &[OsString]) -> Outcome {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let store = context.store();
    let found = candidates(&args::whole(), &words, &Live { store: &store });
    let mut text = String::new();
    for (word, help) in found {
        // A name from a directory that others can write to may hold control characters.
        if !word.chars().any(char::is_control) {
            writeln!(text, "{word}\t{help}").best_effort("a String takes everything");
        }
    }
    Ok(Output::raw(text.as_bytes())?)
}

/// What there is at the moment.
pub(crate) trait Source {
    /// Names, ids and namespaces of the processes.
    fn processes(&self) -> Vec<Word>;
    /// The names of the variables of one.
    fn variables(&self, name: &str) -> Vec<String>;
    /// The processes that a config file declares; without one, the file that `start -c` would take.
    fn declared(&self, file: Option<&str>) -> Vec<String>;
}

/// The files of a home, and those of this directory. What cannot be read offers nothing; the command says why.
pub(crate) struct Live<'a> {
    pub(crate) store: &'a ProcessStore,
}

impl Source for Live<'_> {
    fn processes(&self) -> Vec<Word> {
        let Ok((records, _)) = self.store.records() else {
            return Vec::new();
        };
        let mut found = vec![("all".to_owned(), "all processes".to_owned())];
        let mut namespaces = Vec::new();
        for (name, meta) in &records {
            let state = meta.state.as_ref().map_or("", State::as_str);
            found.push((name.to_string(), state.to_owned()));
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

    fn variables(&self, name: &str) -> Vec<String> {
        let records = self.store.records().map(|(records, _)| records);
        let mut records = records.unwrap_or_default().into_iter();
        let selector: Option<Selector> = name.parse().ok();
        let found = records.find(|(found, meta)| {
            let namespace = meta.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
            let selects = |s: &Selector| s.selects(meta.id, found.as_str(), namespace);
            selector.as_ref().is_some_and(selects)
        });
        let variables = found.and_then(|(name, _)| Variables::read(self.store, &name).ok());
        let all = variables.iter().flat_map(|variables| &variables.all);
        let names = all.map(|variable| variable.name.to_string_lossy().into_owned());
        names.collect()
    }

    fn declared(&self, file: Option<&str>) -> Vec<String> {
        let file = file.filter(|file| !file.is_empty());
        let defaults = DEFAULT_FILES.iter().find(|file| Path::new(file).exists());
        let Some(file) = file.or(defaults.copied()) else {
            return Vec::new();
        };
        let variable = |name: &str| std::env::var(name).ok();
        let config = Config::load(Path::new(file), &variable, None);
        let declared = config.map(|config| config.processes).unwrap_or_default();
        let names = declared.iter().map(|declared| declared.name.to_string());
        names.collect()
    }
}

/// What the last of `words` may become.
pub(crate) fn candidates(tsm: &Command, words: &[String], source: &dyn Source) -> Vec<Word> {
    let Some((last, before)) = words.split_last() else {
        return Vec::new();
    };
    let typed = Typed::read(tsm, before);
    let of_processes = typed.is_of_processes();
    let Typed {
        command,
        path,
        is_literal,
        value_of,
        positionals,
        of_config,
        config,
        ..
    } = typed;
    if is_literal {
        return Vec::new();
    }
    let begins = |(word, _): &Word| word.starts_with(last.as_str());
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
    } else if of_config && command.get_name() == "start" {
        let declared = source.declared(config);
        let declared = declared
            .into_iter()
            .filter(|name| !positionals.contains(&name.as_str()));
        declared.map(|name| (name, "declared".to_owned())).collect()
    } else if matches!(path[..], ["env", "show" | "set" | "unset"])
        && let Some(name) = positionals.first()
    {
        let end = if command.get_name() == "set" { "=" } else { "" };
        let names = source.variables(name).into_iter();
        names
            .map(|name| (format!("{name}{end}"), "variable".to_owned()))
            .collect()
    } else if of_processes && path == ["scale"] && !positionals.is_empty() {
        positional_values(command)
    } else if of_processes {
        let mut found = source.processes();
        // Names of signals come behind that of a process.
        if path == ["signal"] && !positionals.is_empty() {
            found.extend(positional_values(command));
        }
        found
    } else {
        positional_values(command)
    };
    found.into_iter().filter(begins).collect()
}

/// Words of a line, understood as far as they go.
pub(crate) struct Typed<'a> {
    /// The command, or the one below it that was named.
    command: &'a Command,
    /// How many words name it.
    pub(crate) path: Vec<&'a str>,
    /// Behind `--`.
    is_literal: bool,
    /// The option whose value comes next.
    value_of: Option<&'a Arg>,
    /// What is no option, no value of one, and no command.
    pub(crate) positionals: Vec<&'a str>,
    /// Where the last word that names the command stands.
    pub(crate) command_at: usize,
    /// Whether `-c` was typed …
    of_config: bool,
    /// … and the file behind it.
    config: Option<&'a str>,
}

impl<'a> Typed<'a> {
    pub(crate) fn read(tsm: &'a Command, words: &'a [String]) -> Self {
        let mut typed = Self {
            command: tsm,
            path: Vec::new(),
            is_literal: false,
            value_of: None,
            positionals: Vec::new(),
            command_at: 0,
            of_config: false,
            config: None,
        };
        for (at, word) in words.iter().enumerate() {
            if let Some(arg) = typed.value_of.take() {
                if arg.get_long() == Some("config") {
                    typed.config = Some(word);
                }
                continue;
            }
            if typed.is_literal {
                typed.positionals.push(word);
            } else if word == "--" {
                typed.is_literal = true;
            } else if word.starts_with('-') {
                let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
                let arg = option(tsm, typed.command, name);
                if arg.is_some_and(|arg| arg.get_long() == Some("config")) {
                    typed.of_config = true;
                    typed.config = word.split_once('=').map(|(_, file)| file);
                }
                typed.value_of = arg.filter(|arg| takes_value(arg) && !word.contains('='));
            } else if let Some(sub) = typed.command.find_subcommand(word)
                && typed.positionals.is_empty()
            {
                typed.command = sub;
                typed.path.push(sub.get_name());
                typed.command_at = at;
            } else {
                // Behind the first argument, a word that also names a command is one more argument.
                typed.positionals.push(word);
            }
        }
        typed
    }

    /// Whether its words are processes.
    pub(crate) fn is_of_processes(&self) -> bool {
        let names = |arg: &Arg| arg.get_value_names().unwrap_or_default().first().cloned();
        let of = |arg| names(arg).is_some_and(|name| name == "SELECTOR" || name == "NAME");
        self.path == ["start"] || self.command.get_positionals().any(of)
    }
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

fn options(tsm: &Command, command: &Command) -> Vec<Word> {
    // No command takes the options that only `tsm` itself has, such as `--version`.
    let of_all = tsm.get_arguments();
    let of_all = of_all.filter(|arg| arg.is_global_set() || std::ptr::eq(tsm, command));
    let mut found: Vec<Word> = command
        .get_arguments()
        .chain(of_all)
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| Some((format!("--{}", arg.get_long()?), help(arg.get_help()))))
        .collect();
    found.push(("--help".to_owned(), "Print help".to_owned()));
    found.sort();
    found.dedup_by(|a, b| a.0 == b.0);
    found
}

fn positional_values(command: &Command) -> Vec<Word> {
    let words = command.get_positionals();
    words.flat_map(|arg| values(arg, "")).collect()
}

fn values(arg: &Arg, before: &str) -> Vec<Word> {
    let possible = arg.get_possible_values();
    if possible.is_empty() {
        let known = known::values(arg.get_id().as_str()).into_iter();
        return known
            .map(|value| (format!("{before}{value}"), String::new()))
            .collect();
    }
    possible
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

    struct Fake;

    impl Source for Fake {
        fn processes(&self) -> Vec<Word> {
            ["api", "worker", "1", "@web"]
                .map(|name| (name.to_owned(), "running".to_owned()))
                .to_vec()
        }

        fn variables(&self, name: &str) -> Vec<String> {
            assert_eq!(name, "api");
            ["PATH", "PORT"].map(str::to_owned).to_vec()
        }

        fn declared(&self, file: Option<&str>) -> Vec<String> {
            let name = if file == Some("x.yaml") {
                "of-x"
            } else {
                "of-default"
            };
            vec![name.to_owned(), "db".to_owned()]
        }
    }

    fn of(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        candidates(&args::whole(), &words, &Fake)
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
        assert_eq!(of("supervisor sto"), ["stop"]);
        assert_eq!(of("init "), ["bash", "zsh", "fish"]);
        assert_eq!(of("reopen a"), ["api"]);
        assert_eq!(of("start --restart "), ["no", "on-failure", "always"]);
        assert_eq!(of("start --log-mode=d"), ["--log-mode=direct"]);
        assert_eq!(of("signal api H"), ["HUP"]);
        assert_eq!(of("scale api "), ["max"]);
        assert_eq!(of("schema config"), ["config-check"]);
        assert_eq!(of("save --ver"), Vec::<String>::new());
        assert_eq!(of("--ver"), ["--version"]);
        assert_eq!(of("start --name "), Vec::<String>::new());
        assert_eq!(of("start -- a"), Vec::<String>::new());
        assert!(!of("").contains(&"__complete".to_owned()));
        assert_eq!(of("start -c x.yaml "), ["of-x", "db"]);
        assert_eq!(of("start --config=x.yaml db o"), ["of-x"]);
        assert_eq!(of("start --config= "), ["of-default", "db"]);
        assert_eq!(of("env sho"), ["show"]);
        assert_eq!(of("env show a"), ["api"]);
        assert_eq!(of("env show api PO"), ["PORT"]);
        assert_eq!(of("env set api P"), ["PATH=", "PORT="]);
        assert_eq!(of("env diff api w"), ["worker"]);
        assert!(of("stop -").contains(&"--force".to_owned()));
    }
}
