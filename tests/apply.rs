//! `start -c`: what runs is made what a config file declares.

use serde_json::Value;

use crate::bed::Bed;
use crate::processes::Seen;

/// What `start -c` says, a line a process.
fn apply(bed: &Bed, words: &[&str]) -> String {
    let words = ["start", "-c", "tspm.yaml"].iter().chain(words);
    bed.tsm(words).ok().stdout
}

fn environment_of(bed: &Bed, name: &str, variable: &str) -> Option<String> {
    let told = bed.tsm(["env", "show", name, "--format", "json"]).ok();
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    told[variable].as_str().map(str::to_owned)
}

#[test]
fn new_changed_same_and_gone_in_one_file() {
    let bed = Bed::new();
    let sleeper = bed.sleeper();
    let sleeper = sleeper.display();
    bed.file(
        "tspm.yaml",
        format!(
            "namespace: shop\nprocesses:\n\
             - {{name: api, script: {sleeper}, args: [100000], env: {{A: 1}}}}\n\
             - {{name: worker, script: '{sleeper} 100001'}}\n\
             - {{name: old, script: '{sleeper} 100002'}}\n"
        ),
    );
    assert_eq!(
        apply(&bed, &[]),
        "api     started\nworker  started\nold     started\n"
    );
    let view = bed.view("api");
    assert_eq!(
        (&view["type"], &view["namespace"]),
        (&"service".into(), &"shop".into())
    );
    let (api, worker) = (bed.pid("api"), bed.pid("worker"));

    // Twice is once.
    assert_eq!(
        apply(&bed, &[]),
        "api     unchanged\nworker  unchanged\nold     unchanged\n"
    );
    assert_eq!((bed.pid("api"), bed.pid("worker")), (api, worker));

    bed.file(
        "tspm.yaml",
        format!(
            "namespace: shop\nprocesses:\n\
             - {{name: api, script: {sleeper}, args: [100003], env: {{A: 2}}}}\n\
             - {{name: worker, script: '{sleeper} 100001'}}\n\
             - {{name: new, script: '{sleeper} 100004'}}\n"
        ),
    );
    let plan = bed.tsm(["start", "-c", "--dry-run", "--prune"]).ok().stdout;
    assert_eq!(
        plan,
        "- old     stop (no longer declared)\n\
         ~ api     restart (args, env.A)\n\
         \x20   - args: [\"100000\"]\n\
         \x20   + args: [\"100003\"]\n\
         \x20   - env.A: 1\n\
         \x20   + env.A: 2\n\
         \x20 worker  unchanged\n\
         + new     start, new\n"
    );
    assert_eq!((bed.pid("api"), bed.names().len()), (api, 3));
    assert_eq!(
        apply(&bed, &["--prune"]),
        "old     stopped (no longer declared)\n\
         api     restarted (args, env.A)\n\
         worker  unchanged\n\
         new     started\n"
    );
    assert_ne!(bed.pid("api"), api);
    assert_eq!(bed.pid("worker"), worker);
    assert_eq!(bed.state("old"), "stopped");
    assert_eq!(environment_of(&bed, "api", "A").as_deref(), Some("2"));
    assert_eq!(bed.info("api")["args"], serde_json::json!(["100003"]));
    assert!(
        apply(&bed, &["--prune"])
            .lines()
            .all(|line| line.ends_with("unchanged"))
    );
}

#[test]
fn what_was_stopped_starts_and_a_name_chooses() {
    let bed = Bed::new();
    bed.file(
        "tspm.yaml",
        "processes:\n- {name: api, script: sleep 100000, dependsOn: db}\n\
         - {name: db, script: sleep 100001}\n- {name: web, script: sleep 100002}\n",
    );
    assert_eq!(apply(&bed, &["api"]), "db   started\napi  started\n");
    bed.tsm(["stop", "api"]).ok();
    let told = bed.tsm(["start", "-c", "--json"]).ok().stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    let results: Vec<&str> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|document| document["result"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["unchanged", "started", "started"]);
    let wrong = bed.tsm(["start", "-c", "tspm.yaml", "apj"]).exits(3);
    assert!(
        wrong.stderr.contains("did you mean 'api'?"),
        "{}",
        wrong.stderr
    );
    // Without a word, the file of this directory is meant.
    assert!(bed.tsm(["start"]).ok().stdout.contains("web  unchanged"));
    let refused = bed
        .tsm(["start", "-c", "tspm.yaml", "--port", "1"])
        .exits(2);
    assert!(refused.stderr.contains("--port"), "{}", refused.stderr);
    let refused = bed.tsm(["start", "sleep", "--prune"]).exits(2);
    assert!(
        refused.stderr.contains("start -c FILE"),
        "{}",
        refused.stderr
    );
}

#[test]
fn the_environment_is_the_files_over_the_shells_and_stays_so() {
    let bed = Bed::new();
    bed.file("one.env", "A=one\nB=one\nC=one\n");
    bed.file("two.env", "B=two\n");
    bed.file(
        "tspm.yaml",
        "processes:\n- name: api\n  script: sleep 100000\n  envFile: [one.env, two.env]\n  env: {C: three, SECRET_KEY: abc}\n",
    );
    let start = |words: &[&str], who: &str| {
        let mut command = bed.tsm_command(["start", "-c"].iter().chain(words));
        command.env("WHO", who);
        crate::bed::run(command).ok().stdout
    };
    assert_eq!(start(&[], "first"), "api  started\n");
    let told = |name: &str| environment_of(&bed, "api", name);
    let values = ["A", "B", "C", "WHO"].map(|name| told(name).unwrap());
    assert_eq!(values, ["one", "two", "three", "first"]);
    // Another shell changes nothing, unless it is asked to.
    assert_eq!(start(&[], "second"), "api  unchanged\n");
    assert_eq!(
        start(&["--update-env"], "second"),
        "api  restarted (env (this shell's))\n"
    );
    assert_eq!(told("WHO").as_deref(), Some("second"));
    assert_eq!(start(&["--update-env"], "second"), "api  unchanged\n");
    // What the files give no more goes; what a person set stays.
    bed.tsm(["env", "set", "api", "MINE=1"]).ok();
    bed.file("one.env", "A=1\n");
    bed.file(
        "tspm.yaml",
        "processes:\n- name: api\n  script: sleep 100000\n  envFile: [one.env]\n  env: {SECRET_KEY: xyz}\n",
    );
    let plan = start(&["--dry-run"], "third");
    assert!(!plan.contains("xyz") && !plan.contains("abc"), "{plan}");
    assert_eq!(
        start(&[], "third"),
        "api  restarted (env.A, env.SECRET_KEY, env.C, env.B)\n"
    );
    assert_eq!((told("B"), told("C")), (None, None));
    assert_eq!(told("MINE").as_deref(), Some("1"));
}

#[test]
fn what_cannot_be_started_is_told_all_at_once_and_nothing_is() {
    let bed = Bed::new();
    bed.file(
        "tspm.yaml",
        "processes:\n- {name: a, script: ./nothing.sh}\n- {name: b, script: sleep 1, cwd: nowhere}\n\
         - {name: c, script: sleep 1, envFile: no.env}\n- {name: d, script: sleep 100000}\n",
    );
    let told = bed.tsm(["start", "-c"]).exits(2).stderr;
    for words in [
        "tspm.yaml:2:3: 'a': cannot look at",
        "tspm.yaml:3:3: 'b': cwd: there is no directory",
        "tspm.yaml:4:3: 'c': cannot read",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!bed.home().exists());
}

#[test]
fn one_that_cannot_be_changed_keeps_no_other() {
    let bed = Bed::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = bed.script("a.sh", "#!/bin/sh\nexec sleep 100000\n");
    let file = |port: &str| {
        let text = format!(
            "processes:\n- {{name: a, script: ./a.sh{port}}}\n- {{name: b, script: sleep 100000}}\n"
        );
        bed.file("tspm.yaml", text);
    };
    file("");
    apply(&bed, &["a"]);
    let before = bed.pid("a");
    file(&format!(", port: {port}"));
    let refused = bed.tsm(["start", "-c"]).exits(5);
    assert!(refused.stderr.contains("is taken by"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "b  started\n");
    assert!(Seen::now(before).is_alive());
    drop(listener);
    assert_eq!(apply(&bed, &[]), "a  restarted (port)\nb  unchanged\n");
    std::fs::remove_file(script).unwrap();
}
