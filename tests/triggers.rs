//! What starts a process again besides its own end: changed files, and the clock.

use std::time::Duration;

use rustix::process::Signal;

use crate::bed::Bed;
use crate::processes::{self, Seen};
use crate::wait::{holds_for, wait_until, within};

const IDLE: &[&str] = &["--", "sleep", "100000"];

/// Starts a service that is watched, and waits until that is so: changes before that are not seen.
#[track_caller]
fn start_watched(bed: &Bed, name: &str, args: &[&str]) -> u32 {
    let start = ["start", "--name", name, "--watch-delay", "100ms"];
    bed.tsm(start.iter().chain(args)).ok();
    wait_until("its directory is watched", || {
        let supervisor = bed.supervisor_pid().unwrap();
        processes::descriptors(supervisor)
            .iter()
            .any(|(number, target)| {
                let info = std::fs::read_to_string(format!("/proc/{supervisor}/fdinfo/{number}"));
                target.to_string_lossy().contains("inotify")
                    && info.is_ok_and(|text| text.contains("inotify wd:"))
            })
    });
    bed.pid(name)
}

#[test]
fn a_change_restarts_and_what_git_ignores_does_not() {
    let bed = Bed::new();
    bed.file(".gitignore", "*.log\nbuild/\n");
    bed.file("src/a.js", "");
    bed.file("build/out.js", "");
    let pid = start_watched(
        &bed,
        "a",
        &[
            "--watch",
            "--watch-ignore",
            "data/",
            "--",
            "sleep",
            "100000",
        ],
    );
    bed.file("app.log", "x");
    bed.file("build/out.js", "x");
    bed.file("data/x.db", "x");
    holds_for(Duration::from_millis(600), "it is not restarted", || {
        bed.pid("a") == pid
    });
    bed.file("src/a.js", "changed");
    bed.wait_new_pid("a", pid);
    let events = bed.wait_log_of_events("a", "\"files-changed\"");
    assert_eq!(events.matches("files-changed").count(), 1, "{events}");
    assert!(events.contains("\"path\":\"src/a.js\""), "{events}");
    // A restart for a change is none of those that are counted.
    assert_eq!(bed.view("a")["restarts"], 0);
    let told = bed.tsm(["info", "a"]).ok().stdout;
    assert!(told.contains("Watch: ., then restart\n"), "{told}");
}

#[test]
fn a_stopped_process_is_not_watched_and_one_that_failed_is_started() {
    let bed = Bed::new();
    bed.file("app.sh", "exit 3\n");
    let pid = start_watched(&bed, "a", &["--watch=src", "--", "sleep", "100000"]);
    bed.tsm(["stop", "a"]).ok();
    bed.file("src/x", "changed");
    holds_for(Duration::from_millis(500), "it stays stopped", || {
        bed.state("a") == "stopped"
    });
    bed.tsm(["delete", "a"]).ok();
    let _ = pid;
    let start = [
        "start",
        "app.sh",
        "--name",
        "b",
        "--restart",
        "no",
        "--watch=app.sh",
        "--watch-delay",
        "50ms",
    ];
    bed.tsm(start).ok();
    bed.wait_state("b", "failed");
    // It is put right as an editor does it, until the watching has begun and sees it; with a pause each time, since it is
    // waited until all is quiet.
    let runs = (0..60).any(|_| {
        bed.file("app.sh.new", "exec sleep 100000\n");
        std::fs::rename(bed.path("app.sh.new"), bed.path("app.sh")).unwrap();
        let running = || (bed.state("b") == "running").then_some(());
        within(Duration::from_secs(1), running).is_some()
    });
    assert!(runs, "it is not started for its change");
}

#[test]
fn a_signal_may_take_the_place_of_the_restart() {
    let bed = Bed::new();
    bed.file("conf/a.yml", "");
    bed.script(
        "a.sh",
        "#!/bin/sh\ntrap 'echo reloaded' HUP\necho up\nwhile :; do sleep 0.05; done\n",
    );
    let pid = start_watched(
        &bed,
        "a",
        &["--watch=conf/*.yml", "--watch-signal", "HUP", "./a.sh"],
    );
    bed.wait_log("a.out", "up");
    bed.file("conf/a.yml", "changed");
    bed.wait_log("a.out", "reloaded");
    assert_eq!(bed.pid("a"), pid);
}

#[test]
fn ten_thousand_files_cost_nothing_while_nothing_changes() {
    let bed = Bed::new();
    for directory in 0..100 {
        let path = bed.path(&format!("tree/{directory}"));
        std::fs::create_dir_all(&path).unwrap();
        for file in 0..100 {
            std::fs::write(path.join(file.to_string()), "").unwrap();
        }
    }
    let pid = start_watched(&bed, "a", &["--watch=tree", "--", "sleep", "100000"]);
    let supervisor = bed.supervisor_pid().unwrap();
    // All threads: what they did until they came to rest, and a while later.
    let switches = || -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{supervisor}/task")).unwrap();
        tasks
            .map(|task| {
                let text = std::fs::read_to_string(task.unwrap().path().join("status"))
                    .unwrap_or_default();
                let field = |name: &str| -> u64 {
                    let line = text.lines().find_map(|line| line.strip_prefix(name));
                    line.map_or(0, |value| value.trim().parse().unwrap())
                };
                field("voluntary_ctxt_switches:")
            })
            .sum()
    };
    let mut before = switches();
    wait_until("it has come to rest", || {
        holds_for_a_while();
        let now = switches();
        now == std::mem::replace(&mut before, now)
    });
    holds_for(Duration::from_secs(3), "nothing is done", || {
        switches() == before
    });
    std::fs::write(bed.path("tree/57/93"), "changed").unwrap();
    bed.wait_new_pid("a", pid);
}

/// Longer than the worker thread lives without work.
fn holds_for_a_while() {
    holds_for(Duration::from_millis(1500), "time passes", || true);
}

#[test]
fn a_schedule_restarts_a_service() {
    let bed = Bed::new();
    let start = ["start", "--name", "a", "--schedule", "* * * * * *"];
    bed.tsm(start.iter().chain(IDLE)).ok();
    let pid = bed.pid("a");
    bed.wait_new_pid("a", pid);
    let events = bed.wait_log_of_events("a", "\"scheduled\"");
    assert!(events.contains("\"skipped\":false"), "{events}");
    assert_eq!(bed.view("a")["restarts"], 0);
    // A supervisor that dies loses none of it.
    Seen::now(bed.supervisor_pid().unwrap()).signal(Signal::KILL);
    let pid = bed.pid("a");
    bed.wait_new_pid("a", pid);
    bed.tsm(["stop", "a"]).ok();
    assert!(bed.view("a")["next_run_at"].is_null());
    holds_for(Duration::from_millis(1500), "it stays stopped", || {
        bed.state("a") == "stopped"
    });
    // What ended by itself is started, too.
    let start = [
        "start",
        "--name",
        "b",
        "--schedule",
        "* * * * * *",
        "--",
        "sh",
        "-c",
        "echo run >> runs",
    ];
    bed.tsm(start).ok();
    bed.wait_file("runs", |text| text.lines().count() >= 3);
}

#[test]
fn a_schedule_is_shown_with_its_clock() {
    let bed = Bed::new();
    let start = ["start", "--name", "a", "--schedule", "UTC 0 3 29 2 *"];
    bed.tsm(start.iter().chain(IDLE)).ok();
    let next = bed.view("a")["next_run_at"].as_str().unwrap().to_owned();
    assert!(next.ends_with("-02-29T03:00:00.000Z"), "{next}");
    let told = bed.tsm(["info", "a"]).ok().stdout;
    assert!(told.contains("Schedule: 0 3 29 2 * (UTC), next "), "{told}");
    let refused = bed
        .tsm(["start", "--schedule", "61 * * * *", "--", "sleep", "9"])
        .exits(2);
    assert!(
        refused.stderr.contains("is no schedule such as"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_task_with_a_schedule_runs_when_it_is_due_and_not_before() {
    let bed = Bed::new();
    let config = "processes:\n\
        \x20 - name: never\n    script: sh -c 'echo never >> runs'\n    type: task\n    schedule: '0 3 29 2 *'\n\
        \x20 - name: often\n    script: sh -c 'echo often >> runs'\n    type: task\n    schedule: '* * * * * *'\n";
    bed.file("tspm.yaml", config);
    bed.tsm(["start", "-c", "tspm.yaml"]).ok();
    bed.wait_file("runs", |text| text.lines().count() >= 2);
    let runs = std::fs::read_to_string(bed.path("runs")).unwrap();
    assert!(!runs.contains("never"), "{runs}");
    let view = bed.view("never");
    assert_eq!(view["state"], "waiting", "{view}");
    assert!(view["next_run_at"].is_string(), "{view}");
}
