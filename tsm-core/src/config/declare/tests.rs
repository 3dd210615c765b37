use super::*;
use crate::spec::LogTarget;

fn load(name: &str, text: &str, profile: Option<&str>) -> Result<Config> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    let variable = |name: &str| (name == "PORT_BASE").then(|| "4000".to_owned());
    Config::load(&path, &variable, profile)
}

fn good(text: &str) -> Vec<Declared> {
    load("tspm.yaml", text, None).unwrap().processes
}

/// The mistakes as a person reads them, the path cut off.
fn told(text: &str) -> String {
    let error = load("tspm.yaml", text, None).unwrap_err().to_string();
    let lines = error.lines().map(|line| match line.find("tspm.yaml") {
        Some(at) => &line[at..],
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_process_is_declared_with_all_that_stands_there() {
    let processes = good(
        "namespace: shop\n\
         defaults: {killTimeout: 3000, env: {A: 1, B: old}}\n\
         processes:\n\
         - name: api\n  script: ./api.js\n  args: --fast 'a b'\n  port: ${PORT_BASE}\n  env: {B: new, C: true}\n\
         \x20 envFile: .env\n  cwd: srv/./x\n  autorestart: true\n  max_restarts: 3\n  stop_signal: INT\n\
         - {name: worker, script: python3 w.py, extends: api, args: [x, 1], namespace: back, restart: no}\n",
    );
    let [api, worker] = processes.as_slice() else {
        panic!("{processes:?}");
    };
    assert_eq!(api.name.as_str(), "api");
    assert_eq!(api.args, ["--fast", "a b"]);
    assert_eq!(api.port, Some(4000));
    let env: Vec<(&str, &str)> = api.env.iter().map(|(n, v)| (&**n, &**v)).collect();
    assert_eq!(env, [("A", "1"), ("B", "new"), ("C", "true")]);
    assert!(api.cwd.ends_with("srv/x"), "{:?}", api.cwd);
    assert!(api.env_files[0].is_absolute());
    assert_eq!(api.restart, RestartPolicy::Always);
    assert_eq!(api.max_restarts, Some(3));
    assert_eq!(api.stop_signal, Some(Signal::INT));
    assert_eq!(api.stop_timeout, Some(Duration::from_secs(3)));
    assert_eq!(api.namespace.as_deref(), Some("shop"));
    assert_eq!(worker.args, ["x", "1"]);
    assert_eq!(worker.port, api.port);
    assert_eq!(worker.namespace.as_deref(), Some("back"));
    assert_eq!(worker.restart, RestartPolicy::No);
}

#[test]
fn maps_are_merged_key_by_key_whatever_the_keys_are_called() {
    let processes = good(
        "defaults: {logs: {max_size: 5M, keep: 2}, health: {port: 80, expected_status: 200, path: /up}}\nprocesses:\n\
         - {name: a, script: x, logs: {maxSize: 1M}, healthCheck: {status: 204}}\n",
    );
    let care = &processes[0].care;
    assert_eq!(
        (care.logs.max_size, care.logs.keep),
        (Some(1 << 20), Some(2))
    );
    let json = serde_json::to_value(&care.health).unwrap();
    let check = serde_json::json!({"http": {"url": "http://127.0.0.1:80/up", "status": [204]}});
    assert_eq!(json["check"], check);
    // In one and the same map it is a mistake.
    let twice = told("processes: [{name: a, script: x, logs: {maxSize: 1M, max_size: 2M}}]");
    assert!(twice.contains("'maxSize' is given twice"), "{twice}");
}

#[test]
fn a_profile_goes_over_everything_else() {
    let text = "profiles:\n  production: {restart: always, env: {A: p}}\n\
         processes:\n- {name: a, script: x, env: {A: 1, B: 2}, env_production: {B: q}, env_test: {B: t}}\n";
    let of = |profile| {
        let process = load("tspm.yml", text, profile).unwrap().processes.remove(0);
        (process.restart, process.env)
    };
    let pairs = |a: &str, b: &str| {
        vec![
            ("A".to_owned(), a.to_owned()),
            ("B".to_owned(), b.to_owned()),
        ]
    };
    assert_eq!(of(None), (RestartPolicy::OnFailure, pairs("1", "2")));
    assert_eq!(
        of(Some("production")),
        (RestartPolicy::Always, pairs("p", "q"))
    );
    let error = load("tspm.yml", text, Some("staging")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no profile 'staging', only production")
    );
}

#[test]
fn mistakes_are_told_all_at_once_with_their_lines() {
    let text = "processes:\n  - name: a b\n    script: x\n    prot: 1\n  - name: b\n    script: y\n    waitReady: true\n    port: 99999\n";
    assert_eq!(
        told(text),
        "tspm.yaml:2:11: 'a b' cannot be the name of a process: only letters, digits, '.', '_', '-' and '@' may stand in it\n\
         \x20   2 |   - name: a b\n\
         \x20     |           ^\n\
         tspm.yaml:4:5: unknown key 'prot'; did you mean 'port'?\n\
         \x20   4 |     prot: 1\n\
         \x20     |     ^\n\
         tspm.yaml:7:5: 'waitReady' is refused: write by what it is told: `ready: {port: 3000}`, `{http: /health}`, `{log: \"listening\"}` or `{notify: true}`\n\
         \x20   7 |     waitReady: true\n\
         \x20     |     ^\n\
         tspm.yaml:8:11: a number from 1 to 65535 belongs here\n\
         \x20   8 |     port: 99999\n\
         \x20     |           ^"
    );
}

#[test]
fn each_kind_of_mistake_has_its_words() {
    for (text, words) in [
        ("", "a config file is a map, and here stands nothing"),
        ("- a", "a config file is a map, and here stands a list"),
        ("namespace: x", "there is no `processes`"),
        (
            "processes: 1",
            "'processes' takes a list of maps, and here stands a number",
        ),
        ("processes: [1]", "a map belongs here, not a number"),
        ("processes: [{name: a}]", "this process has no 'script'"),
        ("processes: [{script: a}]", "this process has no 'name'"),
        (
            "processes: [{name: a, script: x}, {name: a, script: y}]",
            "declared twice",
        ),
        (
            "processes: [{name: a, script: x, extends: b}]",
            "there is no process 'b' here",
        ),
        (
            "processes: [{name: a, script: x, extends: b}, {name: b, script: y, extends: a}]",
            "'extends' goes round: a → b → a",
        ),
        (
            "processes: [{name: a, script: '${NONE}'}]",
            "the variable NONE is not set here",
        ),
        (
            "processes: [{name: a, script: x, env: {A: [1]}}]",
            "'env.A' takes a text, and here stands a list",
        ),
        (
            "processes: [{name: a, script: x, restart: perhaps}]",
            "'restart' is one of no, on-failure, always, and not 'perhaps'",
        ),
        (
            "processes: [{name: a, script: x, docker: {}}]",
            "'docker' is refused: tsm runs programs",
        ),
        (
            "processes: [{name: a, script: x, args: 'a \"b'}]",
            "tspm.yaml:1:",
        ),
        (
            "processes: [{name: a, script: x, killTimeout: 3 parsecs}]",
            "500ms, 2s, 5m",
        ),
        (
            "processes: [{name: a, script: x, maxRestarts: 1, max_restarts: 2}]",
            "is given twice",
        ),
        (
            "processes: [{name: a, script: x, ready: {port: 1, log: x}}]",
            "`ready` says one thing",
        ),
        (
            "processes: [{name: a, script: x, ready: {log: up}, stdout: /dev/null, combineLogs: true}]",
            "no line of it is ever seen",
        ),
        (
            "processes: [{name: a, script: x, ready: {http: /health}}]",
            "here is no port to ask at",
        ),
        (
            "processes: [{name: a, script: x, ready: {log: '('}}]",
            "regular expression: '('",
        ),
        (
            "processes: [{name: a, script: x, healthCheck: {protocol: tcp}}]",
            "here is no port to ask at",
        ),
        (
            "processes: [{name: a, script: x, healthCheck: {intervall: 1}}]",
            "unknown key 'intervall'; did you mean 'interval'?",
        ),
        (
            "processes: [{name: a, script: x, limits: {memory: lots}}]",
            "'lots' is no size; write 256K, 4M or 1G",
        ),
        (
            "processes: [{name: a, script: x, preStart: {timeout: 1s}}]",
            "a hook has a `command`",
        ),
        (
            "processes: [{name: a, script: x, schedule: sometimes}]",
            "tspm.yaml:1:44: schedule: 'sometimes' is no schedule such as '0 3 * * *' or @daily",
        ),
        (
            "processes: [{name: a, script: x, logs: {maxSize: 1}}]",
            "1 bytes are too few",
        ),
        (
            "processes: [{name: a, script: x, pidFile: a.pid}]",
            "'pidFile' is for `type: daemon`",
        ),
        (
            "processes: [{name: a, script: x, instances: 0}]",
            "a number from 1 to 1024, or max, belongs here",
        ),
        (
            "processes: [{name: a, script: x, instances: 3, port: 65534+}]",
            "the port of the last instance is at most 65535",
        ),
        (
            "processes: [{name: a, script: x, dependsOn: b}, {name: bb, script: x}]",
            "'a' depends on 'b', which is not declared here; did you mean 'bb'?",
        ),
        (
            "processes: [{name: a, script: x, dependsOn: {name: b, condition: up}}]",
            "'dependsOn' takes a name, or a list",
        ),
        (
            "processes: [{name: a, script: x, dependsOn: [{name: b, condition: up}]}, {name: b, script: x}]",
            "'up' is none of started, ready, completed, healthy",
        ),
        (
            "processes: [{name: a, script: x, dependsOn: [{name: b, condition: completed}]}, {name: b, script: x}]",
            "'b' has completed, but that is kept running; give it `type: task`",
        ),
        (
            "webhooks: [{events: [x]}]\nprocesses: []",
            "either a `command` or a `url`",
        ),
        (
            "processes: [{name: a",
            "tspm.yaml:2:1: while parsing a flow mapping",
        ),
    ] {
        let told = told(text);
        assert!(told.contains(words), "{text}: {told}");
    }
    let error = load("tspm.ini", "", None).unwrap_err().to_string();
    assert!(error.contains("none of .yaml"), "{error}");
}

#[test]
fn what_stands_beside_running_it_reaches_the_spec() {
    let processes = good(
        "logDir: var\nwebhooks: [{url: 'http://x/', events: [process:exit], headers: {A: b}}]\nprocesses:\n\
         - name: api\n  script: x\n  port: 80\n  ready: {http: /up, timeout: 5s}\n\
         \x20 healthCheck: {path: health, interval: 2000, retries: 2, expectedStatus: [200, 204], action: report}\n\
         \x20 limits: {memory: 512M, cpu: 1.5}\n  nice: 5\n  preStart: ./up.sh\n  postStop: {command: [a, b c], timeout: 1m}\n\
         \x20 watch: [src]\n  ignoreWatch: '*.log'\n  watchDelay: 100\n  cron: '@daily'\n  minUptime: 500\n  restartDelay: 2s\n\
         \x20 logs: {maxSize: 1M, keep: 2, compress: false, onFull: drop}\n  combineLogs: true\n  reloadSignal: USR1\n\
         - {name: bg, script: x, type: daemon, pidFile: run/x.pid, healthCheck: {enabled: false}}\n",
    );
    let mut care = processes[0].care.clone();
    match care.logs.out.take() {
        Some(LogTarget::File(path)) => assert!(path.as_path().ends_with("var/api.out")),
        other => panic!("{other:?}"),
    }
    let json = serde_json::json!({
        "ready": care.ready, "health": care.health, "limits": care.limits, "hooks": care.hooks, "watch": care.watch,
        "schedule": care.schedule, "backoff": care.backoff, "logs": care.logs, "notify": care.notify,
    });
    assert_eq!(
        json,
        serde_json::json!({
            "ready": {"check": {"http": {"url": "http://127.0.0.1:$PORT/up"}}, "timeout_ms": 5000},
            "health": {
                "check": {"http": {"url": "http://127.0.0.1:$PORT/health", "status": [200, 204]}},
                "interval_ms": 2000, "timeout_ms": 5000, "retries": 2, "start_period_ms": 0, "action": "report",
            },
            "limits": {"memory": 512 << 20, "cpu": 1500, "nice": 5},
            "hooks": {
                "pre_start": {"command": "./up.sh", "timeout_ms": 30000},
                "post_stop": {"command": ["a", "b c"], "timeout_ms": 60000},
            },
            "watch": {"paths": ["src"], "ignore": ["*.log"], "debounce_ms": 100},
            "schedule": {"cron": "@daily", "zone": "local"},
            "backoff": {"fixed_ms": 2000, "steady_ms": 500},
            "logs": {"max_size": 1 << 20, "keep": 2, "compress": false, "on_full": "drop", "err": "same"},
            "notify": [{"on": ["exited"], "to": {"webhook": {"url": "http://x/", "headers": [["A", "b"]]}}}],
        })
    );
    assert_eq!(
        care.reload_signal
            .map(|signal| signal.to_string())
            .as_deref(),
        Some("SIGUSR1")
    );
    let daemon = processes[1].care.daemon.as_ref().unwrap();
    assert!(
        daemon
            .pid_file
            .as_ref()
            .unwrap()
            .as_path()
            .ends_with("run/x.pid")
    );
    assert!(processes[1].care.health.is_none());
}
