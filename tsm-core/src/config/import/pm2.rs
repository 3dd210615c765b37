//! An ecosystem file of PM2.

use std::path::Path;

use serde_json::{Map, Value};

use super::yaml::Doc;
use super::{Imported, Process, escaped, number_or_text, plain, time_of, write};
use crate::error::{Error, Result};
use crate::name::ProcessName;
use crate::spec::TimeFormat;

/// PM2's ecosystem: an object with `apps`, a list of apps, or one app. `from` is the file, for the head of the new one.
///
/// # Errors
/// [`Error::BadValue`] where it is none of these, or an app has no script.
pub fn from_pm2(ecosystem: &Value, from: &Path) -> Result<Imported> {
    let apps = match ecosystem {
        Value::Object(object) => match object.get("apps").or_else(|| object.get("pm2")) {
            Some(Value::Array(apps)) => apps.clone(),
            Some(one @ Value::Object(_)) => vec![one.clone()],
            _ if object.contains_key("script") => vec![ecosystem.clone()],
            _ => Vec::new(),
        },
        Value::Array(apps) => apps.clone(),
        _ => Vec::new(),
    };
    if apps.is_empty() {
        let reason = format!(
            "{} declares no `apps`, as an ecosystem file of PM2 does",
            from.display()
        );
        return Err(Error::bad_value("import", reason));
    }
    let mut processes = Vec::new();
    for (number, app) in apps.iter().enumerate() {
        let Value::Object(app) = app else {
            let reason = format!("app {} of {} is no object", number + 1, from.display());
            return Err(Error::bad_value("import", reason));
        };
        processes.push(pm2_app(app, number, from)?);
    }
    if let Value::Object(object) = ecosystem
        && object.contains_key("deploy")
        && let Some(first) = processes.first_mut()
    {
        first
            .comments
            .push("`deploy` is left out: tsm deploys nothing".to_owned());
    }
    Ok(write(processes, from, "PM2"))
}

fn pm2_app(app: &Map<String, Value>, number: usize, from: &Path) -> Result<Process> {
    let text = |names: &[&str]| first_of(app, names).and_then(plain);
    let mut process = Process::default();
    let Some(script) = text(&["script", "exec"]) else {
        let reason = format!("app {} of {} has no script", number + 1, from.display());
        return Err(Error::bad_value("import", reason));
    };
    let stem = Path::new(&script).file_stem().unwrap_or_default();
    let name = text(&["name"]).unwrap_or_else(|| stem.to_string_lossy().into_owned());
    let valid = ProcessName::from_stem(&name);
    // PM2 allows names that are no file names.
    if valid.as_str() != name {
        process.comments.push(format!("PM2 called it '{name}'"));
    }
    process.set("name", valid.as_str());
    let cwd = text(&["cwd"]);
    let script = script_of(script, cwd.as_deref());
    process.set("script", escaped(&script));
    pm2_arguments(&mut process, app);
    pm2_interpreter(&mut process, app);
    if let Some(cwd) = cwd {
        process.set("cwd", cwd);
    }
    pm2_instances(&mut process, app);
    if let Some(namespace) = text(&["namespace"]).filter(|n| n != "default") {
        process.set("namespace", ProcessName::from_stem(&namespace).as_str());
    }
    if let Some(user) = text(&["user", "uid"]) {
        process.set("user", user);
    }
    pm2_environment(&mut process, app);
    pm2_restarts(&mut process, app);
    if let Some(memory) = text(&["max_memory_restart"]) {
        let limit = ("memory".to_owned(), number_or_text(&memory));
        process.set("limits", Doc::Map(vec![limit]));
    }
    pm2_watch(&mut process, app);
    if let Some(cron) = text(&["cron_restart", "cron"]).filter(|cron| cron != "0") {
        process.set("schedule", cron);
    }
    pm2_log_files(&mut process, app);
    pm2_log_view(&mut process, app);
    pm2_left_out(&mut process, app);
    Ok(process)
}

/// The first of these keys that has a value.
fn first_of<'a>(app: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    let found = names.iter().find_map(|name| app.get(*name));
    found.filter(|value| !value.is_null())
}

/// PM2 looks for a script in the working directory, a config file of tsm beside itself.
fn script_of(script: String, cwd: Option<&str>) -> String {
    match cwd {
        Some(cwd) if is_relative_path(&script) => {
            let path = Path::new(cwd).join(script.trim_start_matches("./"));
            let path = path.to_string_lossy().into_owned();
            if path.starts_with(['/', '.']) {
                path
            } else {
                format!("./{path}")
            }
        }
        _ if is_relative_path(&script) && !script.contains('/') => format!("./{script}"),
        _ => script,
    }
}

fn pm2_arguments(process: &mut Process, app: &Map<String, Value>) {
    match first_of(app, &["args"]) {
        Some(Value::Array(words)) => {
            let words = words.iter().filter_map(plain);
            process.set(
                "args",
                Doc::List(words.map(|w| escaped(&w).into()).collect()),
            );
        }
        Some(other) => {
            if let Some(args) = plain(other).filter(|args| !args.is_empty()) {
                process.set("args", escaped(&args));
            }
        }
        None => {}
    }
}

fn pm2_interpreter(process: &mut Process, app: &Map<String, Value>) {
    let interpreter = first_of(app, &["interpreter", "exec_interpreter"]).and_then(plain);
    let options = match first_of(app, &["node_args", "interpreter_args", "interpreterArgs"]) {
        Some(Value::Array(words)) => {
            let words: Vec<String> = words.iter().filter_map(plain).collect();
            Some(words.join(" "))
        }
        Some(other) => plain(other),
        None => None,
    };
    match (interpreter, options.filter(|options| !options.is_empty())) {
        (interpreter, Some(options)) => {
            let program = interpreter.unwrap_or_else(|| "node".to_owned());
            process.set("interpreter", format!("{program} {options}"));
        }
        (Some(interpreter), None) if interpreter != "node" => {
            process.set("interpreter", interpreter);
        }
        _ => {}
    }
}

fn pm2_log_files(process: &mut Process, app: &Map<String, Value>) {
    for (key, names) in [
        ("outFile", &["out_file", "output", "out"][..]),
        ("errFile", &["error_file", "error", "err"][..]),
    ] {
        if let Some(path) = first_of(app, names).and_then(plain) {
            let path = if path == "NULL" {
                "null".to_owned()
            } else {
                path
            };
            process.set(key, path);
        }
    }
}

fn pm2_log_view(process: &mut Process, app: &Map<String, Value>) {
    let text = |name: &str| app.get(name).and_then(plain);
    if text("log_type").as_deref() == Some("json") {
        process.set("logType", "json");
    }
    let usual = || (text("time")? == "true").then(|| "YYYY-MM-DDTHH:mm:ss".to_owned());
    if let Some(format) = text("log_date_format").or_else(usual) {
        match format.parse::<TimeFormat>() {
            Ok(_) => process.set("logDateFormat", format),
            Err(error) => process.comments.push(error.to_string()),
        }
    }
    let merged = ["merge_logs", "combine_logs"].map(|name| text(name).as_deref() == Some("true"));
    let has_files = ["outFile", "errFile"]
        .map(|key| process.has(key))
        .contains(&true);
    if merged.contains(&true) && has_files && process.has("instances") {
        process.set("mergeLogs", Doc::Plain("true".to_owned()));
    }
}

fn is_relative_path(script: &str) -> bool {
    let looks_like_one = script.contains('/') || Path::new(script).extension().is_some();
    looks_like_one && !script.starts_with('/') && !script.contains(char::is_whitespace)
}

fn pm2_instances(process: &mut Process, app: &Map<String, Value>) {
    let instances = app.get("instances").and_then(plain);
    let several = match instances.as_deref() {
        Some("max" | "0" | "-1") => {
            process.set("instances", "max");
            true
        }
        Some(number) => match number.parse::<i64>() {
            Ok(number) if number > 1 => {
                process.set("instances", Doc::number(number));
                true
            }
            _ => false,
        },
        None => false,
    };
    if let Some(variable) = app.get("instance_var").and_then(plain) {
        process.set("instanceVar", variable);
    }
    let port = app
        .get("env")
        .and_then(|env| env.get("PORT"))
        .or_else(|| app.get("port"))
        .and_then(plain);
    if let Some(port) = port {
        if several {
            process.set("port", Doc::Plain(format!("{port}+")));
            if app.get("increment_var").is_none() {
                process.comments.push(format!(
                    "PM2's instances share one port; these have {port} and the next ones: put nginx or haproxy in front"
                ));
            }
        } else {
            process.set("port", number_or_text(&port));
        }
    } else if several {
        process.comments.push(
            "PM2's instances share one port; here, `port: 3000+` gives each its own".to_owned(),
        );
    }
}

fn pm2_environment(process: &mut Process, app: &Map<String, Value>) {
    let variables = |value: &Value| -> Option<Doc> {
        let variables = value.as_object()?.iter();
        let variables = variables
            .filter(|(name, _)| name.as_str() != "PORT")
            .filter_map(|(name, value)| {
                let text = plain(value)?;
                let doc = match value {
                    Value::String(_) => escaped(&text).into(),
                    _ => Doc::Plain(text),
                };
                Some((name.clone(), doc))
            });
        let variables: Vec<(String, Doc)> = variables.collect();
        (!variables.is_empty()).then_some(Doc::Map(variables))
    };
    if let Some(env) = app.get("env").and_then(variables) {
        process.set("env", env);
    }
    let files = ["env_file", "envFile"].iter().find_map(|k| app.get(*k));
    if let Some(file) = files.and_then(plain) {
        process.set("envFile", file);
    }
    for (key, value) in app {
        if key.starts_with("env_")
            && key != "env_file"
            && let Some(env) = variables(value)
        {
            process.profiles.push((key.clone(), env));
        }
    }
}

fn pm2_restarts(process: &mut Process, app: &Map<String, Value>) {
    let get = |name: &str| app.get(name).filter(|value| !value.is_null());
    let autorestart = get("autorestart").and_then(Value::as_bool);
    process.set(
        "restart",
        // PM2 restarts whatever ends, even with status 0.
        if autorestart == Some(false) {
            "no"
        } else {
            "always"
        },
    );
    if let Some(times) = get("max_restarts").and_then(plain) {
        process.set("maxRestarts", number_or_text(&times));
    }
    for (key, name) in [
        ("minUptime", "min_uptime"),
        ("restartDelay", "restart_delay"),
        ("minRestartDelay", "exp_backoff_restart_delay"),
        ("killTimeout", "kill_timeout"),
    ] {
        if let Some(time) = get(name).and_then(plain) {
            process.set(key, time_of(&time));
        }
    }
    let waits = get("wait_ready").and_then(Value::as_bool) == Some(true);
    let listens = get("listen_timeout").and_then(plain);
    if waits || listens.is_some() {
        let timeout = listens.map(|time| ("timeout".to_owned(), time_of(&time)));
        let has_port = process.keys.iter().any(|(key, _)| *key == "port");
        if has_port {
            let mut ready = vec![("port".to_owned(), Doc::Plain("true".to_owned()))];
            ready.extend(timeout);
            process.set("ready", Doc::Map(ready));
        }
        if waits {
            process.comments.push(
                "PM2 waited for process.send('ready'); `ready` says by a port, an address or a line of its log when it is"
                    .to_owned(),
            );
        }
    }
}

fn pm2_watch(process: &mut Process, app: &Map<String, Value>) {
    match app.get("watch") {
        Some(Value::Bool(true)) => process.set("watch", Doc::Plain("true".to_owned())),
        Some(Value::Array(paths)) if !paths.is_empty() => {
            let paths = paths.iter().filter_map(plain).map(Doc::from);
            process.set("watch", Doc::List(paths.collect()));
        }
        Some(Value::String(path)) => process.set("watch", Doc::List(vec![path.as_str().into()])),
        _ => return,
    }
    if let Some(Value::Array(ignored)) = app.get("ignore_watch") {
        let ignored = ignored.iter().filter_map(plain).map(Doc::from);
        process.set("ignoreWatch", Doc::List(ignored.collect()));
    }
    if let Some(delay) = app.get("watch_delay").and_then(plain) {
        process.set("watchDelay", time_of(&delay));
    }
}

/// What is known to need nothing, and what is named because it is left out.
fn pm2_left_out(process: &mut Process, app: &Map<String, Value>) {
    const TAKEN: &str = "name script exec args interpreter exec_interpreter node_args interpreter_args interpreterArgs cwd \
         instances instance_var port env env_file envFile autorestart max_restarts min_uptime restart_delay increment_var \
         exp_backoff_restart_delay kill_timeout wait_ready listen_timeout max_memory_restart watch ignore_watch watch_delay \
         cron_restart cron out_file output out error_file error err namespace user uid";
    // Keys that have no counterpart here, or that say what is the case anyway.
    const NEEDLESS: &str = "exec_mode merge_logs combine_logs log_date_format log_type time pid_file source_map_support \
         disable_source_map_support vizion autostart automation pmx treekill force watch_options append_env_to_name \
         filter_env gid min_uptime_restart node_version username vizion_running windowsHide km_link pm_id";
    let known = |list: &str, key: &str| list.split_whitespace().any(|known| known == key);
    let mut left: Vec<&str> = app
        .keys()
        .map(String::as_str)
        .filter(|key| !known(TAKEN, key) && !known(NEEDLESS, key) && !key.starts_with("env_"))
        .collect();
    crate::sorted::sort(&mut left);
    if !left.is_empty() {
        process.comments.push(format!(
            "left out, for tsm has nothing like it: {}",
            left.join(", ")
        ));
    }
}
