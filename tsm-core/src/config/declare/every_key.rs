//! That no key is silently ignored: each makes a difference to what is started, or is refused by its name.

use super::*;
use crate::config::Wanted;
use crate::config::keys::{Fate, Key, Kind, PROCESS};
use crate::env::Snapshot;

/// Each key with a file in which it stands, and the same file without it. What begins with no key of a file's top are keys
/// of a process called `a` that runs `sh`.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "processes",
        "processes: [{name: a, script: sh}]",
        "processes: []",
    ),
    (
        "defaults",
        "defaults: {args: x}\nprocesses: [{name: a, script: sh}]",
        "",
    ),
    (
        "namespace",
        "namespace: n\nprocesses: [{name: a, script: sh}]",
        "",
    ),
    (
        "profiles",
        "profiles: {p: {args: x}}\nprocesses: [{name: a, script: sh, env_p: {A: b}}]",
        "env_p: {A: b}",
    ),
    (
        "webhooks",
        "webhooks: [{url: 'http://x/'}]\nprocesses: [{name: a, script: sh}]",
        "",
    ),
    (
        "logDir",
        "logDir: var\nprocesses: [{name: a, script: sh}]",
        "",
    ),
    ("name", "processes: [{name: b, script: sh}]", ""),
    ("script", "processes: [{name: a, script: ls}]", ""),
    ("args", "args: x", ""),
    (
        "interpreter",
        "processes: [{name: a, script: ./a.env, interpreter: sh}]",
        "processes: [{name: a, script: ./a.env, interpreter: ls}]",
    ),
    ("cwd", "cwd: sub", ""),
    ("env", "env: {A: b}", ""),
    ("envFile", "envFile: a.env", ""),
    ("port", "port: 4000", ""),
    ("type", "type: task", ""),
    ("restart", "restart: always", ""),
    ("autorestart", "autorestart: false", ""),
    ("maxRestarts", "maxRestarts: 1", ""),
    ("stopSignal", "stopSignal: INT", ""),
    ("killTimeout", "killTimeout: 1", ""),
    ("user", "user: nobody", ""),
    (
        "extends",
        "processes: [{name: a, script: sh, extends: b}, {name: b, script: sh, args: x}]",
        "processes: [{name: a, script: sh}, {name: b, script: sh, args: x}]",
    ),
    (
        "dependsOn",
        "processes: [{name: a, script: sh, dependsOn: b}, {name: b, script: sh}]",
        "processes: [{name: a, script: sh}, {name: b, script: sh}]",
    ),
    ("instances", "instances: 2", ""),
    (
        "instanceVar",
        "instances: 2, instanceVar: N",
        "instances: 2",
    ),
    ("ready", "ready: notify", ""),
    ("ready.port", "ready: {port: 80}", ""),
    ("ready.http", "ready: {http: 'http://x/'}", ""),
    (
        "ready.http.url",
        "ready: {http: {url: 'http://x/'}}",
        "ready: {http: {url: 'http://y/'}}",
    ),
    (
        "ready.http.host",
        "ready: {http: {port: 80, host: h}}",
        "ready: {http: {port: 80}}",
    ),
    (
        "ready.http.port",
        "ready: {http: {port: 80}}",
        "port: 80, ready: {http: {}}",
    ),
    (
        "ready.http.path",
        "ready: {http: {port: 80, path: /x}}",
        "ready: {http: {port: 80}}",
    ),
    (
        "ready.http.method",
        "ready: {http: {port: 80, method: HEAD}}",
        "ready: {http: {port: 80}}",
    ),
    (
        "ready.http.status",
        "ready: {http: {port: 80, status: 200}}",
        "ready: {http: {port: 80}}",
    ),
    (
        "ready.http.body",
        "ready: {http: {port: 80, body: x}}",
        "ready: {http: {port: 80}}",
    ),
    (
        "ready.http.insecure",
        "ready: {http: {port: 80, insecure: true}}",
        "ready: {http: {port: 80}}",
    ),
    ("ready.log", "ready: {log: x}", ""),
    ("ready.command", "ready: {command: x}", ""),
    ("ready.notify", "ready: {notify: true}", ""),
    ("ready.fd", "ready: {fd: 3}", ""),
    (
        "ready.timeout",
        "ready: {fd: 3, timeout: 1s}",
        "ready: {fd: 3}",
    ),
    ("healthCheck", "healthCheck: watchdog", ""),
    (
        "healthCheck.enabled",
        "healthCheck: {enabled: false, command: x}",
        "healthCheck: {command: x}",
    ),
    (
        "healthCheck.protocol",
        "healthCheck: {protocol: tcp, port: 80}",
        "healthCheck: {port: 80}",
    ),
    (
        "healthCheck.url",
        "healthCheck: {url: 'http://x/'}",
        "healthCheck: {url: 'http://y/'}",
    ),
    (
        "healthCheck.host",
        "healthCheck: {port: 80, host: h}",
        "healthCheck: {port: 80}",
    ),
    (
        "healthCheck.port",
        "healthCheck: {port: 80}",
        "healthCheck: {port: 81}",
    ),
    (
        "healthCheck.path",
        "healthCheck: {port: 80, path: /x}",
        "healthCheck: {port: 80}",
    ),
    (
        "healthCheck.method",
        "healthCheck: {port: 80, method: HEAD}",
        "healthCheck: {port: 80}",
    ),
    (
        "healthCheck.status",
        "healthCheck: {port: 80, status: [200]}",
        "healthCheck: {port: 80}",
    ),
    (
        "healthCheck.body",
        "healthCheck: {port: 80, body: x}",
        "healthCheck: {port: 80}",
    ),
    (
        "healthCheck.insecure",
        "healthCheck: {port: 80, insecure: true}",
        "healthCheck: {port: 80}",
    ),
    ("healthCheck.command", "healthCheck: {command: x}", ""),
    (
        "healthCheck.interval",
        "healthCheck: {command: x, interval: 1s}",
        "healthCheck: {command: x}",
    ),
    (
        "healthCheck.timeout",
        "healthCheck: {command: x, timeout: 1s}",
        "healthCheck: {command: x}",
    ),
    (
        "healthCheck.retries",
        "healthCheck: {command: x, retries: 1}",
        "healthCheck: {command: x}",
    ),
    (
        "healthCheck.initialDelay",
        "healthCheck: {command: x, initialDelay: 1s}",
        "healthCheck: {command: x}",
    ),
    (
        "healthCheck.startPeriod",
        "healthCheck: {command: x, startPeriod: 1s}",
        "healthCheck: {command: x}",
    ),
    (
        "healthCheck.action",
        "healthCheck: {command: x, action: report}",
        "healthCheck: {command: x}",
    ),
    ("limits", "limits: {tasks: 5}", ""),
    ("limits.memory", "limits: {memory: 5M}", ""),
    ("limits.cpu", "limits: {cpu: 0.5}", ""),
    ("limits.tasks", "limits: {tasks: 5}", ""),
    ("limits.nofile", "limits: {nofile: 50}", ""),
    ("limits.nice", "limits: {nice: 5}", ""),
    ("limits.oomScoreAdj", "limits: {oomScoreAdj: 500}", ""),
    ("maxMemory", "maxMemory: 5M", ""),
    ("maxCpu", "maxCpu: 50%", ""),
    ("nice", "nice: 5", ""),
    ("preStart", "preStart: x", ""),
    ("preStart.command", "preStart: {command: x}", ""),
    (
        "preStart.timeout",
        "preStart: {command: x, timeout: 1s}",
        "preStart: {command: x}",
    ),
    ("postStart", "postStart: x", ""),
    ("preStop", "preStop: x", ""),
    ("postStop", "postStop: [x, y]", ""),
    ("hookTimeout", "preStop: x, hookTimeout: 1s", "preStop: x"),
    ("watch", "watch: true", ""),
    ("watch.paths", "watch: {paths: src}", "watch: {}"),
    ("watch.ignore", "watch: {ignore: x}", "watch: {}"),
    ("watch.debounce", "watch: {debounce: 1s}", "watch: {}"),
    ("watch.signal", "watch: {signal: HUP}", "watch: {}"),
    ("ignoreWatch", "watch: true, ignoreWatch: x", "watch: true"),
    ("watchDelay", "watch: true, watchDelay: 1s", "watch: true"),
    (
        "watchSignal",
        "watch: true, watchSignal: HUP",
        "watch: true",
    ),
    ("schedule", "schedule: '@daily'", ""),
    (
        "schedule.cron",
        "schedule: {cron: '@daily'}",
        "schedule: {cron: '@hourly'}",
    ),
    (
        "schedule.zone",
        "schedule: {cron: '@daily', zone: utc}",
        "schedule: {cron: '@daily'}",
    ),
    ("notify", "notify: {command: x}", ""),
    ("notify.command", "notify: {command: x}", ""),
    ("notify.url", "notify: [{url: 'http://x/'}]", ""),
    (
        "notify.events",
        "notify: {command: x, events: exited}",
        "notify: {command: x}",
    ),
    (
        "notify.headers",
        "notify: {url: 'http://x/', headers: {A: b}}",
        "notify: {url: 'http://x/'}",
    ),
    (
        "notify.enabled",
        "notify: {command: x, enabled: false}",
        "notify: {command: x}",
    ),
    ("logs", "logs: {keep: 1}", ""),
    ("logs.maxSize", "logs: {maxSize: 5M}", ""),
    ("logs.keep", "logs: {keep: 1}", ""),
    ("logs.maxAge", "logs: {maxAge: 1d}", ""),
    ("logs.compress", "logs: {compress: false}", ""),
    ("logs.mode", "logs: {mode: direct}", ""),
    ("logs.force", "logs: {force: true}", ""),
    ("logs.onFull", "logs: {onFull: drop}", ""),
    ("logs.out", "logs: {out: x}", ""),
    ("logs.err", "logs: {err: same}", ""),
    ("outFile", "outFile: x", ""),
    ("errFile", "errFile: x", ""),
    ("combineLogs", "combineLogs: true", ""),
    (
        "mergeLogs",
        "instances: 2, outFile: x, mergeLogs: true",
        "instances: 2, outFile: x",
    ),
    ("logType", "logType: json", ""),
    ("logDateFormat", "logDateFormat: YYYY", ""),
    ("reloadSignal", "reloadSignal: USR1", ""),
    ("pidFile", "type: daemon, pidFile: x", "type: daemon"),
    ("restartDelay", "restartDelay: 1s", ""),
    ("minRestartDelay", "minRestartDelay: 1s", ""),
    ("maxRestartDelay", "maxRestartDelay: 1s", ""),
    ("restartBackoff", "restartBackoff: 3", ""),
    ("minUptime", "minUptime: 1s", ""),
];

/// What would be started, or why not.
fn wanted(directory: &Path, text: &str) -> std::result::Result<Vec<Wanted>, String> {
    let path = directory.join("tspm.yaml");
    let text = if text.starts_with(|c: char| c.is_alphabetic()) && text.contains("processes:") {
        text.to_owned()
    } else {
        format!("processes: [{{name: a, script: sh, {text}}}]")
    };
    std::fs::write(&path, text).unwrap();
    let mut shell = Snapshot::default();
    shell.environment.set(b"PATH", b"/usr/bin:/bin").unwrap();
    Config::load(&path, &|_| None, Some("p"))
        .or_else(|error| match error.to_string() {
            told if told.contains("no profile 'p'") => Config::load(&path, &|_| None, None),
            _ => Err(error),
        })
        .and_then(|config| config.wanted(&shell))
        .map_err(|error| error.to_string())
}

/// Each key by its way from the top of a file or a process; of maps that are the same in several places, once.
fn walk(
    table: &'static [Key],
    way: &str,
    seen: &mut Vec<*const Key>,
    all: &mut Vec<(String, &'static Key)>,
) {
    if seen.contains(&table.as_ptr()) {
        return;
    }
    seen.push(table.as_ptr());
    for key in table {
        let name = format!("{way}{}", key.name);
        all.push((name.clone(), key));
        match key.kind {
            Kind::Map(inner) | Kind::Maps(inner) | Kind::Named(inner) | Kind::OrMap(_, inner) => {
                // Those of a process are told by their own names.
                let way = if std::ptr::eq(inner, PROCESS) {
                    String::new()
                } else {
                    format!("{name}.")
                };
                walk(inner, &way, seen, all);
            }
            _ => {}
        }
    }
}

#[test]
fn each_key_makes_a_difference_or_is_refused_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("sub")).unwrap();
    std::fs::write(directory.path().join("a.env"), "A=file\n").unwrap();
    let mut all = Vec::new();
    walk(TOP, "", &mut Vec::new(), &mut all);
    walk(PROCESS, "", &mut Vec::new(), &mut all);
    let mut looked_at = 0;
    for (name, key) in all {
        if let Fate::Refused(instead) = key.fate {
            let line = format!("{}: 1", key.name);
            let top = format!("{line}\nprocesses: []");
            let text = if TOP.contains(key) { &top } else { &line };
            let told = wanted(directory.path(), text).unwrap_err();
            assert!(
                told.contains(&format!("'{}' is refused: {instead}", key.name)),
                "{told}"
            );
            continue;
        }
        let entry = DIFFERENCES.iter().find(|(own, ..)| *own == name);
        let Some((_, with, without)) = entry else {
            panic!("nothing shows that '{name}' acts");
        };
        let [with, without] = [with, without].map(|text| wanted(directory.path(), text));
        // Without the right to become another user, this is an error.
        if name == "user" && with.is_err() {
            continue;
        }
        assert_ne!(with.as_ref(), without.as_ref(), "'{name}' changes nothing");
        assert!(with.is_ok(), "{name}: {with:?}");
        assert!(without.is_ok(), "{name}: {without:?}");
        looked_at += 1;
    }
    assert!(looked_at > 90, "{looked_at}");
}

#[test]
fn the_keys_of_both_documents_are_known() {
    // The design's own, the schema of TSPM, and what TSPM documents beside it.
    let process = "name script port ready stopSignal type dependsOn instances restart limits logs schedule \
        args interpreter env cwd autorestart watch ignoreWatch watchDelay maxRestarts restartDelay \
        stdout stderr namespace lbStrategy instanceWeight instanceVar clusterGroup dotEnv preStart postStart \
        install build maxMemory healthCheck minRestartDelay maxRestartDelay restartBackoff minUptime killTimeout \
        listenTimeout waitReady combineLogs mergeLogs logDateFormat cron user group nice instanceId labels annotations \
        kubernetes docker execMode maxCpu envFile outFile errFile log logType pidFile watchOptions k8s preStop postStop";
    let top =
        "processes defaults namespace logDir pidDir webhooks structuredLogging api deploy profiles";
    for (table, keys) in [(PROCESS, process), (TOP, top)] {
        for key in keys.split_whitespace() {
            assert!(keys::find(table, key).is_some(), "{key}");
        }
    }
}
