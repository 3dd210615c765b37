//! PM2's `dump.pm2`: a list of what it knows of each process, with the whole environment.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::Foreign;
use super::keys::Keys;
use crate::spec::RestartPolicy;

/// What PM2 does where nothing else is said.
const USUAL_MAX_RESTARTS: u64 = 16;
const USUAL_KILL_TIMEOUT: u64 = 1600;

/// Keys that say how to run it, and that have no counterpart here: these are told. All others are PM2's own notes, or copies of
/// variables.
const TOLD: [&str; 22] = [
    "watch",
    "ignore_watch",
    "watch_options",
    "cron_restart",
    "wait_ready",
    "listen_timeout",
    "restart_delay",
    "exp_backoff_restart_delay",
    "min_uptime",
    "stop_exit_codes",
    "shutdown_with_message",
    "source_map_support",
    "append_env_to_name",
    "increment_var",
    "post_update",
    "pre_exec",
    "gid",
    "log_type",
    "log_date_format",
    "max_memory_restart_text",
    "trace",
    "deep_monitoring",
];

/// Reads the list.
pub(super) fn read(entries: &[Value]) -> Result<Vec<Foreign>, String> {
    let mut processes: Vec<Foreign> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let entry = entry
            .as_object()
            .ok_or_else(|| format!("its entry {at} is no object"))?;
        if !entry.contains_key("pm_exec_path") {
            return Err(format!(
                "its entry {at} has no pm_exec_path, as those of PM2 have, and it is no other list that TSM knows"
            ));
        }
        let process = process(entry);
        // Workers of a cluster are listed one by one and shared a socket, which nothing but Node can give them.
        match processes
            .iter_mut()
            .find(|p| p.name == process.name && p.script == process.script)
        {
            Some(first)
                if entry.get("exec_mode").and_then(Value::as_str) == Some("cluster_mode") =>
            {
                let note = "it was a cluster of several workers; one process takes their place";
                if !first.notes.iter().any(|n| n == note) {
                    first.notes.push(note.to_owned());
                }
            }
            _ => processes.push(process),
        }
    }
    Ok(processes)
}

fn process(entry: &Map<String, Value>) -> Foreign {
    let mut keys = Keys::new(entry);
    let script = keys.text("pm_exec_path").unwrap_or_default();
    let fallback = PathBuf::from(&script);
    let stem = fallback
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let name = keys.text("name").unwrap_or(stem);
    let interpreter = keys.text("exec_interpreter");
    let mut node_args = keys.words("node_args");
    if node_args.is_empty() {
        node_args = keys.words("interpreter_args");
    }
    let interpreter = match interpreter.as_deref() {
        None | Some("none") => Some("none".to_owned()),
        Some(program) => Some([vec![program.to_owned()], node_args].concat().join(" ")),
    };
    let restart = match keys.flag("autorestart") {
        Some(false) => RestartPolicy::No,
        Some(true) | None => RestartPolicy::Always,
    };
    let max_restarts = keys
        .number("max_restarts")
        .filter(|most| *most != USUAL_MAX_RESTARTS);
    let kill_timeout = keys
        .number("kill_timeout")
        .filter(|time| *time != USUAL_KILL_TIMEOUT);
    let env: Vec<(String, String)> = keys
        .variables("env")
        .into_iter()
        .filter(|(variable, _)| is_its_own(variable, &name))
        .collect();
    let up = keys.text("status").as_deref() != Some("stopped");
    let namespace = keys
        .text("namespace")
        .filter(|namespace| namespace != "default");
    let process = Foreign {
        script,
        args: keys.words("args"),
        interpreter,
        cwd: keys.text("pm_cwd").map(PathBuf::from).unwrap_or_default(),
        // Without a PATH it is not the whole of it.
        whole_env: env.iter().any(|(variable, _)| variable == "PATH"),
        env,
        namespace,
        restart,
        max_restarts: max_restarts.map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
        stop_timeout_ms: kill_timeout,
        memory: keys.number("max_memory_restart"),
        user: keys.text("uid"),
        up,
        name,
        ..Foreign::default()
    };
    let mut notes = std::mem::take(&mut keys.notes);
    let rest: Vec<&str> = keys
        .rest()
        .into_iter()
        .filter(|key| TOLD.contains(key))
        .collect();
    if !rest.is_empty() {
        notes.push(format!("not carried over: {}", rest.join(", ")));
    }
    Foreign { notes, ..process }
}

/// Whether a variable is the process's, and not one of PM2's own.
fn is_its_own(variable: &str, name: &str) -> bool {
    let pm2s =
        variable.starts_with("PM2_") || variable.starts_with("pm_") || variable == "unique_id";
    // PM2 notes the settings of its modules under the process's own name.
    !pm2s && variable != name && !variable.contains("PM2_HOME")
}
