use super::*;

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
    let text = "processes:\n  - name: a b\n    script: x\n    prot: 1\n  - name: b\n    script: y\n    watch: true\n    port: 99999\n";
    assert_eq!(
        told(text),
        "tspm.yaml:2:11: 'a b' cannot be the name of a process: only letters, digits, '.', '_', '-' and '@' may stand in it\n\
         \x20   2 |   - name: a b\n\
         tspm.yaml:4:5: unknown key 'prot'; did you mean 'port'?\n\
         \x20   4 |     prot: 1\n\
         tspm.yaml:7:5: 'watch' is refused: this version of tsm does not do that yet; leave it out\n\
         \x20   7 |     watch: true\n\
         tspm.yaml:8:11: here stands a number from 1 to 65535\n\
         \x20   8 |     port: 99999"
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
        ("processes: [1]", "this is a map, and here stands a number"),
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
            "'env' takes a map of variables",
        ),
        (
            "processes: [{name: a, script: x, restart: perhaps}]",
            "'perhaps' is none of",
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
