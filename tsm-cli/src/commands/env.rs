//! `tsm env`.

mod edit;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use anstyle::AnsiColor;
use serde::Serialize;
use tsm_core::control::{ActOptions, Verb};
use tsm_core::env::{EnvUpdate, Environment, Origin, dotenv, file, is_tsms_own, quote};
use tsm_core::error::{BestEffort as _, Error, ErrorKind};
use tsm_core::name::ProcessName;
use tsm_core::text::Text;
use tsm_core::view::{Difference, Overview, Variable, Variables};

use super::list::select;
use super::{act, variables};
use crate::app::{Context, Failure, Outcome};
use crate::args::{EnvCommand, EnvFormat, EnvShowArgs};
use crate::output::{self, Output};
use crate::table;

pub(crate) fn run(context: &Context, command: EnvCommand) -> Outcome {
    match command {
        EnvCommand::Show(args) => show(context, &args),
        EnvCommand::Diff {
            name,
            other,
            reveal,
            json,
        } => match diff(context, &name, other.as_deref(), reveal, json) {
            // As with `diff`, 1 means a difference and no failure.
            Err(Failure::Core(error)) if error.kind() == ErrorKind::Failed => {
                output::complain(&error);
                Err(Failure::Status(TROUBLE))
            }
            done => done,
        },
        EnvCommand::Set { name, assignments } => {
            let mut update = EnvUpdate::default();
            for assignment in &assignments {
                variables::assign(&mut update, "env set", assignment)?;
            }
            change(context, &name, update)
        }
        EnvCommand::Unset {
            name,
            names,
            forget,
        } => unset(context, &name, &names, forget),
        EnvCommand::Edit { name } => edit::run(context, &the_one(context, &name)?),
    }
}

/// How `diff(1)` ends where it cannot tell.
const TROUBLE: u8 = 2;

/// The one process that a selector means.
fn the_one(context: &Context, selector: &str) -> Result<ProcessName, Error> {
    let mut views = select(
        Overview::read(&context.store())?.processes,
        &[selector.to_owned()],
    )?;
    match views.len() {
        1 => Ok(views.remove(0).name),
        several => Err(Error::bad_value(
            "NAME",
            format!("'{selector}' means {several} processes; name one"),
        )),
    }
}

fn show(context: &Context, args: &EnvShowArgs) -> Outcome {
    let name = the_one(context, &args.name)?;
    let variables = Variables::read(&context.store(), &name)?;
    let wanted = |variable: &&Variable| {
        args.names.is_empty()
            || args
                .names
                .iter()
                .any(|name| name.as_bytes() == variable.name.as_bytes())
    };
    let shown: Vec<(&Variable, Text)> = variables
        .all
        .iter()
        .filter(wanted)
        .map(|variable| {
            let shown = if args.reveal {
                variable.value.clone()
            } else {
                variables.shown(variable)
            };
            (variable, shown)
        })
        .collect();
    let missing: Vec<&OsString> = args
        .names
        .iter()
        .filter(|name| {
            let known = |variable: &Variable| variable.name.as_bytes() == name.as_bytes();
            !variables.all.iter().any(known)
        })
        .collect();
    if args.json {
        print_json(&variables, &shown)?;
    } else if let Some(format) = args.format {
        print_format(context, format, &shown)?;
    } else {
        let widest = Origin::Config.as_str().len();
        for (variable, value) in &shown {
            let origin = format!("{:widest$}", variable.origin.as_str());
            let origin = context.output.paint(AnsiColor::BrightBlack, &origin);
            context.output.fact(format_args!(
                "{origin}  {}={}",
                table::printable(&variable.name.to_string_lossy()),
                in_one_line(value)
            ))?;
        }
    }
    for name in &missing {
        let name = table::printable(&name.to_string_lossy());
        output::complain(format_args!("'{}' has no variable {name}", args.name));
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Failure::Told(ErrorKind::Failed))
    }
}

#[derive(Serialize)]
struct ShownVariable<'a> {
    name: &'a Text,
    value: &'a Text,
    origin: Origin,
    secret: bool,
}

fn print_json(variables: &Variables, shown: &[(&Variable, Text)]) -> std::io::Result<()> {
    let all: Vec<ShownVariable<'_>> = shown
        .iter()
        .map(|(variable, value)| ShownVariable {
            name: &variable.name,
            value,
            origin: variable.origin,
            secret: variables.is_secret(variable),
        })
        .collect();
    output::json(&all)
}

fn print_format(
    context: &Context,
    format: EnvFormat,
    shown: &[(&Variable, Text)],
) -> Result<(), Failure> {
    // These variables would make another process, or a shell, pass for this one.
    let pairs = shown
        .iter()
        .filter(|(variable, _)| !is_tsms_own(variable.name.as_bytes()))
        .map(|(variable, value)| (variable.name.as_bytes(), value.as_bytes()));
    match format {
        EnvFormat::Dotenv => {
            let (text, left_out) = dotenv::format(pairs);
            Output::raw(text.as_bytes())?;
            for name in left_out {
                context.output.remark(format_args!(
                    "{} cannot stand in a dotenv file; --format shell has it",
                    table::printable(&name)
                ));
            }
        }
        EnvFormat::Json => {
            let object: BTreeMap<String, &Text> = shown
                .iter()
                .map(|(variable, value)| (variable.name.to_string_lossy().into_owned(), value))
                .collect();
            output::json(&object)?;
        }
        EnvFormat::Shell => {
            let mut environment = Environment::new();
            for (name, value) in pairs {
                environment
                    .set(name, value)
                    .best_effort("they were variables when they were read");
            }
            Output::raw(&file::format(&environment))?;
        }
    }
    Ok(())
}

/// A value as one line of a terminal: as it is where it is plain, else as a shell would have it.
fn in_one_line(value: &Text) -> String {
    let text = value.to_string_lossy();
    if text.chars().any(char::is_control) || std::str::from_utf8(value.as_bytes()).is_err() {
        return String::from_utf8_lossy(&quote::quote(value.as_bytes())).into_owned();
    }
    table::printable(&text)
}

#[derive(Serialize)]
struct ShownDifference {
    name: Text,
    left: Option<Text>,
    right: Option<Text>,
}

fn diff(context: &Context, name: &str, other: Option<&str>, reveal: bool, json: bool) -> Outcome {
    let store = context.store();
    let left = Variables::read(&store, &the_one(context, name)?)?;
    let differences = match other {
        Some(other) => left.differences(&Variables::read(&store, &the_one(context, other)?)?),
        None => left.differences_to_shell(&Environment::from_os(std::env::vars_os())),
    };
    let shown = |difference: &Difference| {
        let covered = |value: &Option<Text>| {
            let value = value.as_ref()?;
            Some(if reveal {
                value.clone()
            } else {
                left.cover(&difference.name, value)
            })
        };
        ShownDifference {
            name: difference.name.clone(),
            left: covered(&difference.left),
            right: covered(&difference.right),
        }
    };
    let shown: Vec<ShownDifference> = differences.iter().map(shown).collect();
    if json {
        output::json(&shown)?;
    } else {
        for ShownDifference { name, left, right } in &shown {
            let name = table::printable(&name.to_string_lossy());
            let value = |value: &Option<Text>| value.as_ref().map(in_one_line);
            let (line, colour) = match (value(left), value(right)) {
                (Some(left), None) => (format!("- {name}: {left} → not set"), AnsiColor::Red),
                (None, Some(right)) => (format!("+ {name}: not set → {right}"), AnsiColor::Green),
                (left, right) => {
                    let [left, right] = [left, right].map(Option::unwrap_or_default);
                    // Two covered secrets look the same, even though they differ.
                    let secret = if left == right { " (they differ)" } else { "" };
                    (
                        format!("~ {name}: {left} → {right}{secret}"),
                        AnsiColor::Yellow,
                    )
                }
            };
            context.output.fact(context.output.paint(colour, &line))?;
        }
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Failure::Told(ErrorKind::Failed))
    }
}

fn unset(context: &Context, name: &str, names: &[OsString], forget: bool) -> Outcome {
    if let Some(wrong) = names
        .iter()
        .find(|name| name.is_empty() || name.as_bytes().contains(&b'='))
    {
        let reason = format!(
            "'{}' names no variable; write the name alone",
            table::printable(&wrong.to_string_lossy())
        );
        return Err(Error::bad_value("env unset", reason).into());
    }
    let store = context.store();
    let process = the_one(context, name)?;
    let environment = store.environment(&process)?;
    let shell = store.shell(&process)?;
    for name in names {
        let bytes = name.as_bytes();
        let in_shell = shell.as_ref().is_some_and(|state| state.gives(bytes));
        if environment.get(bytes).is_none() && !in_shell && !forget {
            context.output.remark(format_args!(
                "{} was not set",
                table::printable(&name.to_string_lossy())
            ));
        }
    }
    let mut update = EnvUpdate::default();
    let list = if forget {
        &mut update.released
    } else {
        &mut update.unset
    };
    list.extend(names.iter().map(Text::from));
    change(context, name, update)
}

fn change(context: &Context, name: &str, update: EnvUpdate) -> Outcome {
    let name = the_one(context, name)?;
    act::act_with(
        context,
        Verb::Update,
        &[name.to_string()],
        ActOptions::default(),
        Some((update, None)),
        false,
    )
}
