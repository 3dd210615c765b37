//! Processes that need each other: they start and end in order, and say what they wait for.

use std::fs;

use crate::bed::Bed;
use crate::wait::wait_until;

/// A service that says in `order` when it begins and when it is asked to end, which takes it a moment.
const SERVICE: &str = "#!/bin/sh\n\
     trap 'sleep 0.1; echo \"$TSM_NAME down\" >> order; kill $! 2>/dev/null; exit 0' TERM\n\
     echo \"$TSM_NAME up\" >> order\nsleep 100000 & wait\n";

/// A database that others need, a task between them, and two services, in a file that turns them round.
fn stack(bed: &Bed, task: &str) {
    bed.script("service.sh", SERVICE);
    bed.script("task.sh", task);
    bed.file(
        "tspm.yaml",
        "processes:\n\
         - {name: web, script: ./service.sh, dependsOn: [api]}\n\
         - {name: api, script: ./service.sh, dependsOn: [{name: migrate, condition: completed}, db]}\n\
         - {name: migrate, script: ./task.sh, type: task, dependsOn: db}\n\
         - {name: db, script: ./service.sh}\n",
    );
}

const TASK: &str = "#!/bin/sh\nsleep 0.2\necho \"$TSM_NAME done\" >> order\n";

fn order(bed: &Bed) -> Vec<String> {
    let text = fs::read_to_string(bed.path("order")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_needed_starts_first_and_ends_last() {
    let bed = Bed::new();
    stack(&bed, TASK);
    let told = bed.tsm(["start", "-c"]).ok().stdout;
    assert_eq!(
        told,
        "db       started\nmigrate  started\napi      started\nweb      started\n"
    );
    wait_until("all have begun", || order(&bed).len() == 4);
    assert_eq!(order(&bed)[0], "db up");
    assert_eq!(order(&bed)[1], "migrate done");
    assert_eq!(bed.state("migrate"), "done");
    assert_eq!(bed.view("migrate")["exit"]["code"], 0);
    // Done is done.
    assert!(
        bed.tsm(["start", "-c"])
            .ok()
            .stdout
            .contains("migrate  unchanged")
    );

    bed.tsm(["stop", "all"]).ok();
    assert_eq!(order(&bed)[4..], ["web down", "api down", "db down"]);
    // What it needs is started, too; the task is not done again.
    fs::remove_file(bed.path("order")).unwrap();
    let told = bed.tsm(["start", "api"]).ok();
    assert!(
        told.stderr.contains("'db' is started too"),
        "{}",
        told.stderr
    );
    wait_until("both have begun", || order(&bed).len() == 2);
    let started: Vec<String> = bed
        .list()
        .iter()
        .map(|v| format!("{} {}", v["name"], v["state"]))
        .collect();
    assert!(
        started.contains(&"\"web\" \"stopped\"".to_owned()),
        "{started:?}"
    );
    let mut both = order(&bed);
    both.sort();
    assert_eq!(both, ["api up", "db up"]);

    // All at once: ended in order, begun in order.
    bed.tsm(["start", "web"]).ok();
    wait_until("it has begun", || order(&bed).len() == 3);
    fs::remove_file(bed.path("order")).unwrap();
    bed.tsm(["restart", "web", "db", "api"]).ok();
    wait_until("all have begun again", || order(&bed).len() == 6);
    assert_eq!(order(&bed)[..3], ["web down", "api down", "db down"]);
}

#[test]
fn a_task_that_fails_keeps_others_from_starting_and_says_so() {
    let bed = Bed::new();
    stack(&bed, "#!/bin/sh\necho no such table >&2\nexit 3\n");
    let told = bed.tsm(["start", "-c"]).exits(1);
    for words in [
        "'api' is not started: it waits for 'migrate' (completed), which failed: exited with status 3",
        "'web' is not started: it waits for 'api'",
    ] {
        assert!(told.stderr.contains(words), "{}", told.stderr);
    }
    assert!(
        told.stdout.starts_with("db       started\n"),
        "{}",
        told.stdout
    );
    assert_eq!(bed.state("migrate"), "failed");
    assert_eq!(
        (bed.state("api"), bed.state("web")),
        ("waiting".into(), "waiting".into())
    );
    assert_eq!(order(&bed), ["db up"]);
    let told = bed.tsm(["info", "api"]).ok().stdout;
    assert!(
        told.contains("waits for 'migrate' (completed), which failed"),
        "{told}"
    );

    // A dead supervisor forgets none of it, and when the task is done, all goes on.
    let before = bed.kill_supervisor();
    bed.wait_next_supervisor(before);
    bed.script("task.sh", TASK);
    bed.tsm(["start", "migrate"]).ok();
    bed.wait_state("web", "running");
    assert_eq!(bed.state("api"), "running");
    wait_until("all have begun", || order(&bed).len() == 4);
    assert_eq!(order(&bed)[..2], ["db up", "migrate done"]);
}

#[test]
fn a_supervisor_that_dies_in_the_middle_of_an_ordered_end_is_followed_by_one_that_keeps_the_order()
{
    let bed = Bed::new();
    stack(&bed, TASK);
    let slow = SERVICE.replace("sleep 0.1", "until [ -e go ]; do sleep 0.05; done");
    bed.script("service.sh", &slow);
    bed.tsm(["start", "-c"]).ok();
    wait_until("all have begun", || order(&bed).len() == 4);
    let mut stop = bed.tsm_command(["stop", "all"]).spawn().unwrap();
    wait_until("the end has begun", || bed.state("web") == "stopping");
    bed.wait_state("db", "stopping");
    let before = bed.kill_supervisor();
    bed.wait_next_supervisor(before);
    bed.file("go", "");
    assert!(stop.wait().unwrap().success());
    assert_eq!(order(&bed)[4..], ["web down", "api down", "db down"]);
}

#[test]
fn what_waits_can_be_stopped_and_deleted_and_knows_what_is_gone() {
    let bed = Bed::new();
    stack(&bed, "#!/bin/sh\nexit 3\n");
    bed.tsm(["start", "-c"]).exits(1);
    bed.tsm(["stop", "web"]).ok();
    assert_eq!(bed.state("web"), "stopped");
    bed.tsm(["delete", "migrate", "-y"]).ok();
    let told = bed.tsm(["start", "api"]).exits(1);
    assert!(
        told.stderr
            .contains("waits for 'migrate' (completed), which does not exist"),
        "{}",
        told.stderr
    );
    bed.tsm(["delete", "api", "-y"]).ok();
    assert_eq!(bed.names(), ["db", "web"]);
}

#[test]
fn a_supervisor_in_the_foreground_ends_all_in_order() {
    let bed = Bed::new();
    stack(&bed, TASK);
    bed.tsm(["start", "-c"]).ok();
    wait_until("all have begun", || order(&bed).len() == 4);
    let before = bed.supervisor_pid();
    let _going = crate::bed::Going::start(bed.tsm_command(["supervisor", "run"]));
    wait_until("it has taken over", || {
        bed.supervisor_pid().is_some() && bed.supervisor_pid() != before
    });
    bed.supervisor_seen().signal(rustix::process::Signal::TERM);
    wait_until("all have ended", || order(&bed).len() == 7);
    assert_eq!(order(&bed)[4..], ["web down", "api down", "db down"]);
}

#[test]
fn a_circle_is_refused_with_its_way() {
    let bed = Bed::new();
    bed.file(
        "tspm.yaml",
        "processes:\n- {name: a, script: x, dependsOn: b}\n- {name: b, script: x, dependsOn: [c]}\n\
         - {name: c, script: x, dependsOn: [{name: a, condition: ready}]}\n",
    );
    let told = bed.tsm(["config", "check"]).exits(2);
    assert!(
        told.stderr
            .contains("'dependsOn' goes round: a → b → c → a"),
        "{}",
        told.stderr
    );
}
