//! What is to be done so that what runs is what a file declares, as a pure function: declared processes and known ones
//! in, steps out. Done twice, the second time there is nothing to do.

use serde::Serialize;
use serde_json::Value;

use super::order;
use crate::env::{EnvUpdate, Environment, Origin};
use crate::name::ProcessName;
use crate::spec::ProcessSpec;
use crate::text::Text;

/// A declared process with all that it takes to start it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its name.
    pub name: ProcessName,
    /// Its spec. What a spec takes from the shell (umask, limits, nice value) is that of this moment.
    pub spec: ProcessSpec,
    /// Its variables on top of the shell's: name, value, and whether a file or the config gives it.
    pub variables: Vec<(String, String, Origin)>,
    /// Any port will do that nobody has.
    pub any_port: bool,
}

/// A process that has a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Its name.
    pub name: ProcessName,
    /// Its spec.
    pub spec: ProcessSpec,
    /// Its variables.
    pub environment: Environment,
    /// What it is doing.
    pub standing: Standing,
}

/// What a known process is doing, as far as a plan asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It runs, or is about to.
    Up,
    /// It is a task that ended with 0.
    Done,
    /// Nothing of it is to run.
    Down,
}

/// What is done with one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// It is new, and is started.
    Create,
    /// It did not run, and is started.
    Start,
    /// It differs from what is declared, and is stopped and started.
    Restart,
    /// It is as declared.
    Leave,
    /// It is declared no more, and is stopped.
    Stop,
}

/// One difference between what is declared and what is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The key as a config file has it, such as `port` or `env.PORT`.
    pub key: String,
    /// What it was; nothing where it was not there.
    pub before: Option<String>,
    /// What it is to be.
    pub after: Option<String>,
}

/// What is to be done with one process.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its name.
    pub name: ProcessName,
    /// What.
    pub step: Step,
    /// What is different.
    pub changes: Vec<Change>,
    /// The spec that it is to have, where it has another one now.
    pub spec: Option<ProcessSpec>,
    /// How its environment changes.
    pub update: EnvUpdate,
    /// It is given a port that nobody has, where it has none that is free.
    pub any_port: bool,
}

/// How a plan is made.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The config file, as it stands in the specs of what it declares.
    pub file: &'a Text,
    /// Stop what this file once declared and declares no more.
    pub prune: bool,
    /// Take the shell's part of each environment anew.
    pub update_env: bool,
    /// The environment of this shell.
    pub shell: &'a Environment,
}

/// The steps, in the order in which they are to be taken: what others need comes before them, and what goes, first of all.
/// `all` is what the file declares, of which `chosen` says what this is about.
pub fn plan(
    all: &[Wanted],
    chosen: impl Fn(&ProcessName) -> bool,
    known: &[Known],
    options: &Options<'_>,
) -> Vec<Planned> {
    let mut steps: Vec<Planned> = Vec::new();
    if options.prune {
        let gone = |known: &&Known| {
            known.spec.config.as_ref() == Some(options.file)
                && all.iter().all(|wanted| wanted.name != known.name)
                && known.standing == Standing::Up
        };
        // A process goes before those that it needs.
        let gone: Vec<&Known> = known.iter().filter(gone).collect();
        // Their present specs count, since the file does not know them any more.
        let mut order = order::sorted(&gone, |known| (&known.name, &known.spec.depends_on));
        order.reverse();
        steps.extend(order.into_iter().map(|known| Planned {
            name: known.name.clone(),
            step: Step::Stop,
            changes: Vec::new(),
            spec: None,
            update: EnvUpdate::default(),
            any_port: false,
        }));
    }
    let wanted: Vec<&Wanted> = all.iter().filter(|wanted| chosen(&wanted.name)).collect();
    for wanted in order::sorted(&wanted, |wanted| (&wanted.name, &wanted.spec.depends_on)) {
        let before = known.iter().find(|known| known.name == wanted.name);
        steps.push(match before {
            None => create(wanted),
            Some(before) => compare(wanted, before, options),
        });
    }
    steps
}

fn create(wanted: &Wanted) -> Planned {
    let mut update = EnvUpdate::default();
    for (name, value, origin) in &wanted.variables {
        update.set(name.as_bytes(), value.as_bytes(), *origin);
    }
    Planned {
        name: wanted.name.clone(),
        step: Step::Create,
        changes: Vec::new(),
        spec: Some(wanted.spec.clone()),
        update,
        any_port: wanted.any_port,
    }
}

fn compare(wanted: &Wanted, known: &Known, options: &Options<'_>) -> Planned {
    let spec = settled(wanted, known);
    let mut changes = spec_changes(&known.spec, &spec);
    let mut update = variable_changes(wanted, known, options, &mut changes);
    update.from_shell = options.update_env && differs_in_shell(known, options.shell);
    if update.from_shell {
        changes.push(Change {
            key: "env (this shell's)".to_owned(),
            before: None,
            after: None,
        });
    }
    if wanted.any_port && known.spec.port.is_none() {
        changes.push(Change {
            key: "port".to_owned(),
            before: None,
            after: Some("auto".to_owned()),
        });
    }
    let step = match known.standing {
        Standing::Down => Step::Start,
        Standing::Up | Standing::Done if changes.is_empty() => Step::Leave,
        Standing::Up => Step::Restart,
        // A task that has changed has to be done again.
        Standing::Done => Step::Start,
    };
    Planned {
        name: wanted.name.clone(),
        step,
        changes,
        spec: (spec != known.spec).then_some(spec),
        update,
        any_port: wanted.any_port && step != Step::Leave,
    }
}

/// The declared spec, with what a spec once took from the shell as it was then.
fn settled(wanted: &Wanted, known: &Known) -> ProcessSpec {
    let before = &known.spec;
    let mut spec = wanted.spec.clone();
    spec.umask = before.umask;
    spec.rlimits.clone_from(&before.rlimits);
    spec.nice = before.nice;
    spec.origins = before.origins.clone();
    if wanted.any_port {
        // It keeps the port that it was given.
        spec.port = before.port;
    }
    let same_program = spec.script == before.script
        && spec.args == before.args
        && spec.cwd == before.cwd
        && spec.interpreter == before.interpreter;
    if same_program {
        // What the words mean was decided at the first start.
        spec.program = before.program.clone();
    }
    spec
}

/// What is no key of a config file, or is derived from others.
const NO_KEYS: [&str; 6] = ["program", "umask", "limits", "nice", "origins", "config"];

/// Where two specs differ, key by key as they are serialized: so that what a spec learns tomorrow is compared, too.
fn spec_changes(before: &ProcessSpec, after: &ProcessSpec) -> Vec<Change> {
    // Serializing texts and numbers cannot fail.
    let fields = |spec: &ProcessSpec| match crate::json::value(spec) {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let mut names: Vec<&String> = after.keys().chain(before.keys()).collect();
    crate::sorted::sort(&mut names);
    names.dedup();
    let differing = names
        .into_iter()
        .filter(|name| !NO_KEYS.contains(&name.as_str()) && before.get(*name) != after.get(*name));
    let mut changes = Vec::new();
    for name in differing {
        let key = config_key(name);
        match (before.get(name), after.get(name)) {
            // For a map, only the keys that differ are named.
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                let mut inner: Vec<&String> = before.keys().chain(after.keys()).collect();
                crate::sorted::sort(&mut inner);
                inner.dedup();
                let differing = inner
                    .into_iter()
                    .filter(|k| before.get(*k) != after.get(*k));
                changes.extend(differing.map(|inner| Change {
                    key: format!("{key}.{}", super::keys::camel_case(plain_key(inner))),
                    before: before.get(inner).map(in_words),
                    after: after.get(inner).map(in_words),
                }));
            }
            (before, after) => changes.push(Change {
                key,
                before: before.map(in_words),
                after: after.map(in_words),
            }),
        }
    }
    changes
}

/// A field's name without its unit.
fn plain_key(field: &str) -> &str {
    field.strip_suffix("_ms").unwrap_or(field)
}

/// The key of a config file that sets a field of a spec.
fn config_key(field: &str) -> String {
    match field {
        "stop_timeout_ms" => "killTimeout".to_owned(),
        "task" => "type".to_owned(),
        "instance" => "instances".to_owned(),
        "service_limits" => "limits".to_owned(),
        "health" => "healthCheck".to_owned(),
        _ => super::keys::camel_case(plain_key(field)),
    }
}

fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The shell's part of two environments differs.
fn differs_in_shell(known: &Known, shell: &Environment) -> bool {
    let mut fresh = shell.clone();
    fresh.strip_captured();
    let origins = &known.spec.origins;
    let is_shells = |name: &[u8]| origins.of(name) == Origin::Shell && !origins.is_unset(name);
    let new = fresh
        .iter()
        .any(|(name, value)| is_shells(name) && known.environment.get(name) != Some(value));
    let gone = known
        .environment
        .iter()
        .any(|(name, _)| is_shells(name) && fresh.get(name).is_none());
    new || gone
}

fn variable_changes(
    wanted: &Wanted,
    known: &Known,
    options: &Options<'_>,
    changes: &mut Vec<Change>,
) -> EnvUpdate {
    let lossy = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let mut update = EnvUpdate::default();
    for (name, value, origin) in &wanted.variables {
        let before = known.environment.get(name.as_bytes());
        if before != Some(value.as_bytes()) {
            changes.push(Change {
                key: format!("env.{name}"),
                before: before.map(lossy),
                after: Some(value.clone()),
            });
        } else if known.spec.origins.of(name.as_bytes()) == *origin {
            continue;
        }
        update.set(name.as_bytes(), value.as_bytes(), *origin);
    }
    // Files that were given on a command line before a config took the process over still count.
    let declared = known
        .spec
        .config
        .is_some()
        .then(|| known.spec.origins.declared());
    for name in declared.into_iter().flatten() {
        let text = name.to_string_lossy();
        if wanted.variables.iter().any(|(known, ..)| *known == text) {
            continue;
        }
        let before = known.environment.get(name.as_bytes());
        let after = options.shell.get(name.as_bytes());
        if before != after {
            changes.push(Change {
                key: format!("env.{text}"),
                before: before.map(lossy),
                after: after.map(lossy),
            });
        }
        match after {
            Some(value) => update.set(name.as_bytes(), value, Origin::Shell),
            None => update.released.push(name.clone()),
        }
    }
    update
}

#[cfg(test)]
mod tests;
