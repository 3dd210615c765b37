//! `start -c --wait`: it returns when all that a file declares is ready, and says of each that is not in time what it does.

use crate::bed::{Bed, free_port};
use crate::wait::wait_until;

/// Runs `tsm ARGS` and lets `meanwhile` happen before it can have returned.
#[track_caller]
fn while_waiting(bed: &Bed, args: &[&str], meanwhile: impl FnOnce()) -> String {
    let begun = bed.begin(args);
    meanwhile();
    begun.end().ok().stdout
}

/// A database that is ready when the file `go` is there, a migration that needs it, and an API that needs that.
const STACK: &str = "processes:\n\
    - name: db\n\
    \x20 script: sh -c 'echo starting; while [ ! -e go ]; do sleep 0.02; done; echo db is up; exec sleep 100000'\n\
    \x20 ready: {log: db is up}\n\
    - name: migrate\n  type: task\n  dependsOn: [{name: db, condition: ready}]\n\
    \x20 script: sh -c 'while [ ! -e gone ]; do sleep 0.02; done; echo done >> migrated'\n\
    - {name: api, script: sleep 100001, dependsOn: [{name: migrate, condition: ready}]}\n\
    - {name: other, script: sleep 100002}\n";

#[test]
fn it_returns_when_all_is_ready_and_every_task_done() {
    let bed = Bed::new();
    bed.file("tspm.yaml", STACK);
    let told = while_waiting(&bed, &["start", "-c", "--wait=60s"], || {
        bed.wait_state_of_new("db", "running");
        bed.wait_state_of_new("migrate", "waiting");
        bed.file("go", "");
        bed.wait_state_of_new("migrate", "running");
        assert_eq!(
            bed.state("api"),
            "waiting",
            "a task is ready when it is done"
        );
        bed.file("gone", "");
    });
    assert_eq!(
        told,
        "db       started\nmigrate  started\napi      started\nother    started\n"
    );
    let told = std::fs::read_to_string(bed.path("migrated")).unwrap();
    assert_eq!(
        (told.as_str(), bed.state("migrate").as_str()),
        ("done\n", "done")
    );
    assert_eq!(
        (bed.view("db")["ready"].clone(), bed.state("api")),
        (true.into(), "running".into())
    );
    // What is there and ready keeps nobody waiting.
    let again = bed.tsm(["start", "-c", "--wait"]).ok().stdout;
    assert!(
        again.lines().all(|line| line.ends_with("unchanged")),
        "{again}"
    );
}

#[test]
fn what_is_not_ready_in_time_is_named_with_its_last_lines() {
    let bed = Bed::new();
    bed.file("tspm.yaml", STACK);
    let late = bed.tsm(["start", "-c", "--wait=1s"]).exits(7);
    assert_eq!(late.stdout, "other    started\n");
    assert_eq!(
        late.stderr,
        "tsm: 'db' is not ready after 1.0 s; it runs on\n  | starting\n\
         tsm: 'migrate' is not ready after 1.0 s; it waits for 'db' (ready)\n\
         tsm: 'api' is not ready after 1.0 s; it waits for 'migrate' (ready)\n"
    );
    let told = bed
        .tsm(["start", "-c", "--wait=0.2s", "--json"])
        .exits(7)
        .stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told[0]["result"], &told[3]["result"]),
        (&"failed".into(), &"unchanged".into())
    );
    assert_eq!(
        (bed.state("db").as_str(), bed.state("api").as_str()),
        ("running", "waiting")
    );
    // Nothing is to be done any more, but to wait.
    let told = while_waiting(&bed, &["start", "-c", "--wait=60s"], || {
        bed.file("go", "");
        bed.file("gone", "");
    });
    assert!(
        told.lines().all(|line| line.ends_with("unchanged")),
        "{told}"
    );
    assert_eq!(
        (bed.state("migrate").as_str(), bed.state("api").as_str()),
        ("done", "running")
    );
}

#[test]
fn what_fails_before_it_is_ready_is_told_at_once_with_its_last_lines() {
    let bed = Bed::new();
    bed.file(
        "tspm.yaml",
        "processes:\n- {name: job, type: task, script: sh -c 'echo no such table >&2; exit 3'}\n\
         - {name: api, script: sleep 100000, dependsOn: [{name: job, condition: completed}]}\n\
         - {name: late, script: sleep 100001, restart: no, ready: {port: 1, timeout: 300ms}}\n",
    );
    let failed = bed.tsm(["start", "-c", "--wait"]).exits(1);
    assert_eq!(failed.stdout, "");
    let lines: Vec<&str> = failed.stderr.lines().collect();
    assert_eq!(
        lines,
        [
            "tsm: 'job' ended before it was ready (exited with status 3); 'tsm logs job' shows what it printed",
            "  | no such table",
            "tsm: 'api' is not started: it waits for 'job' (completed), which failed: exited with status 3",
            "tsm: 'late' was not ready within 0.3 s (nobody listens on port 1)",
        ]
    );
}

#[test]
fn instances_are_waited_for_too() {
    let bed = Bed::new();
    let script = "#!/bin/sh\nwhile [ ! -e go$NODE_APP_INSTANCE ]; do sleep 0.02; done\necho up; exec sleep 100000\n";
    bed.script("api.sh", script);
    let start = [
        "start",
        "./api.sh",
        "--name",
        "api",
        "--instances",
        "2",
        "--ready",
        "log:^up$",
    ];
    bed.file("go0", "");
    let late = bed.tsm(start.iter().chain(&["--wait=1s"])).exits(7);
    assert_eq!(late.stdout, "api@0  started\n");
    assert_eq!(
        late.stderr,
        "tsm: 'api@1' is not ready after 1.0 s; it runs on\n"
    );
    bed.file("go1", "");
    wait_until("it is ready", || bed.view("api@1")["ready"] == true);
    let scale = ["scale", "api", "3", "--wait=60s"];
    let told = while_waiting(&bed, &scale, || {
        bed.wait_state_of_new("api@2", "running");
        bed.file("go2", "");
    });
    assert_eq!(
        (told.as_str(), bed.view("api@2")["ready"].clone()),
        ("api@2  started\n", true.into())
    );
}

#[test]
fn a_supervisor_that_dies_meanwhile_keeps_nobody_waiting_for_ever() {
    let bed = Bed::new();
    bed.file("tspm.yaml", STACK);
    let told = while_waiting(&bed, &["start", "-c", "--wait=60s"], || {
        bed.wait_state_of_new("api", "waiting");
        let before = bed.supervisor_pid().unwrap();
        crate::processes::Seen::now(before).signal(rustix::process::Signal::KILL);
        wait_until("another supervisor is there", || {
            bed.supervisor_pid().is_some_and(|pid| pid != before)
        });
        bed.file("go", "");
        bed.file("gone", "");
    });
    assert!(told.lines().all(|line| line.ends_with("started")), "{told}");
    assert_eq!(
        (bed.state("migrate").as_str(), bed.state("api").as_str()),
        ("done", "running")
    );
    assert_eq!(
        std::fs::read_to_string(bed.path("migrated")).unwrap(),
        "done\n"
    );
}

/// Where its log is makes no difference to who waits for a line of it, nor to what is shown of it.
#[test]
fn a_line_makes_it_ready_wherever_its_log_is() {
    let bed = Bed::new();
    let script = "#!/bin/sh\necho early; echo 'up and running' >&2; exec sleep 100000\n";
    bed.script("up.sh", script);
    std::fs::create_dir(bed.path("logs")).unwrap();
    // A line of the run before is none of this one.
    bed.file("logs/b.log", "up and running\n");
    let ready = ["--ready", "log:^up and running$", "--wait=60s"];
    for (name, options) in [
        ("a", &["--out", "logs/a.out", "--err", "logs/a.err"][..]),
        ("b", &["--out", "logs/b.log", "--err", "same"]),
        ("c", &["--log-mode", "direct", "--log-force"]),
        (
            "d",
            &["--log-mode", "direct", "--log-force", "--err", "logs/d.err"],
        ),
    ] {
        let start = ["start", "./up.sh", "--name", name];
        bed.tsm(start.iter().chain(options).chain(&ready)).ok();
        assert_eq!(bed.view(name)["ready"], true, "{name}");
        assert_eq!(bed.view(name)["restarts"], 0, "{name}");
    }
    let port = free_port().to_string();
    let late = [
        "start",
        "--name",
        "e",
        "--port",
        &port,
        "--out",
        "logs/e.log",
        "--wait=1s",
    ];
    let sleeper = ["--", "sh", "-c", "echo not yet; exec sleep 100000"];
    let late = bed.tsm(late.iter().chain(&sleeper)).exits(7);
    assert!(late.stderr.ends_with("\n  | not yet\n"), "{}", late.stderr);
    let never = [
        "--ready",
        "log:never",
        "--ready-timeout",
        "0.5s",
        "--restart",
        "no",
        "--wait",
    ];
    let never = ["start", "./up.sh", "--name", "f"]
        .iter()
        .chain(&never)
        .copied();
    let never = bed
        .tsm(never.chain(["--log-mode", "direct", "--log-force"]))
        .exits(7);
    let first = never.stderr.lines().next().unwrap();
    assert_eq!(
        first,
        "tsm: 'f' was not ready within 0.5 s (it printed no line like 'never')"
    );
}
