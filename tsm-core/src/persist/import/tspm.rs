//! TSPM's dumps: an object by name, each with `config`; `{"processes": […]}` in camelCase; the same in snake_case.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Foreign;
use super::keys::Keys;
use crate::spec::{INSTANCE_VARIABLE, Instance, RestartPolicy};

/// Reads any of the three. `directory` is where the dump lies: where a process says of no directory, nobody knows which it was.
pub(super) fn read(object: &Map<String, Value>, directory: &Path) -> Result<Vec<Foreign>, String> {
    if let Some(Value::Array(entries)) = object.get("processes") {
        let processes = entries.iter().enumerate().map(|(at, entry)| {
            let config = entry.as_object();
            let config =
                config.ok_or_else(|| format!("entry {at} of its processes is no object"))?;
            Ok(process(config, None, true, directory))
        });
        return processes.collect::<Result<Vec<_>, String>>().map(flat);
    }
    let mut processes = Vec::new();
    for (name, entry) in object {
        let config = entry.get("config").and_then(Value::as_object);
        let config =
            config.ok_or_else(|| format!("its entry '{}' has no config", name.escape_debug()))?;
        // A process that was not stopped should run, whatever state it was in.
        let up = entry.get("state").and_then(Value::as_str) != Some("stopped");
        processes.push(process(config, Some(name), up, directory));
    }
    Ok(flat(processes))
}

fn flat(processes: Vec<Vec<Foreign>>) -> Vec<Foreign> {
    processes.into_iter().flatten().collect()
}

/// One entry: as many processes as it has instances.
fn process(
    config: &Map<String, Value>,
    name: Option<&str>,
    up: bool,
    directory: &Path,
) -> Vec<Foreign> {
    let mut keys = Keys::new(config);
    let own_name = keys.text("name");
    let name = name
        .map(str::to_owned)
        .or(own_name)
        .unwrap_or_else(|| "process".to_owned());
    let cwd = keys.text("cwd").map(PathBuf::from);
    let mut notes = Vec::new();
    if cwd.as_ref().is_none_or(|cwd| cwd.is_relative()) {
        notes.push(format!(
            "where it ran is not told; here it is {}",
            directory.display()
        ));
    }
    let cwd = directory.join(cwd.unwrap_or_default());
    let script = keys.text("script").unwrap_or_default();
    let mut interpreter = keys.text("interpreter");
    let is_line = script.contains(char::is_whitespace);
    if interpreter.is_none() && !is_line && [".ts", ".js"].iter().any(|end| script.ends_with(end)) {
        // As TSPM does, which is a program of Bun.
        interpreter = Some("bun".to_owned());
    }
    let restart = restart_policy(&mut keys);
    let env_files = env_files(&mut keys, &cwd);
    let instances = keys.number("instances").unwrap_or(1).clamp(1, 1000);
    let variable = keys
        .text("instanceVar")
        .unwrap_or_else(|| INSTANCE_VARIABLE.to_owned());
    let process = Foreign {
        name,
        script: if is_line {
            line(&script, &keys.words("args"))
        } else {
            script
        },
        args: if is_line {
            Vec::new()
        } else {
            keys.words("args")
        },
        interpreter: interpreter.filter(|_| !is_line),
        env: keys.variables("env"),
        whole_env: false,
        env_files,
        port: keys
            .number("port")
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0),
        namespace: keys.text("namespace"),
        restart,
        max_restarts: keys
            .number("maxRestarts")
            .map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
        stop_timeout_ms: keys.number("killTimeout"),
        memory: keys.number("maxMemory"),
        nice: keys
            .take("nice")
            .and_then(Value::as_i64)
            .map(|nice| nice.clamp(-20, 19) as i32),
        user: keys.text("user"),
        instance: None,
        up,
        notes: Vec::new(),
        cwd,
    };
    keys.skip(&[
        "stdout",
        "stderr",
        "log",
        "combineLogs",
        "mergeLogs",
        "lbStrategy",
        "instanceWeight",
    ]);
    notes.append(&mut keys.notes);
    let rest = keys.rest();
    if !rest.is_empty() {
        notes.push(format!("not carried over: {}", rest.join(", ")));
    }
    instances_of(process, instances, &variable, notes)
}

fn restart_policy(keys: &mut Keys<'_>) -> RestartPolicy {
    let autorestart = keys.flag("autorestart");
    match autorestart.or_else(|| keys.flag("autoRestart")) {
        Some(false) => RestartPolicy::No,
        Some(true) => RestartPolicy::Always,
        None => RestartPolicy::default(),
    }
}

fn env_files(keys: &mut Keys<'_>, cwd: &Path) -> Vec<PathBuf> {
    match keys.take("dotEnv") {
        Some(Value::String(file)) => vec![cwd.join(file)],
        Some(Value::Bool(true)) => vec![cwd.join(".env")],
        _ => Vec::new(),
    }
}

/// What was noted is noted of the first one.
fn instances_of(
    process: Foreign,
    instances: u64,
    variable: &str,
    notes: Vec<String>,
) -> Vec<Foreign> {
    if instances == 1 {
        return vec![Foreign { notes, ..process }];
    }
    let one = |number: u64| {
        let mut one = process.clone();
        one.name = format!("{}@{number}", process.name);
        one.env.push((variable.to_owned(), number.to_string()));
        one.instance = Some(Instance::new(number as u32, variable));
        if number == 0 {
            one.notes.clone_from(&notes);
        }
        one
    };
    (0..instances).map(one).collect()
}

/// A command line with further arguments.
fn line(script: &str, args: &[String]) -> String {
    let args = crate::env::quote::quote_words(args.iter().map(String::as_bytes));
    let args = String::from_utf8_lossy(&args);
    format!("{script} {args}").trim_end().to_owned()
}
