//! What was running runs again: `save` and `resurrect`.

use std::fs;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::bed::{Bed, run};
use crate::fault_kit::is_gone;
use crate::processes::{Seen, variable};
use crate::wait::{wait_for, wait_until};

/// All that runs ends, as at a reboot, and the records are of another boot.
fn reboot(bed: &Bed, names: &[&str]) {
    let pids: Vec<Seen> = names.iter().map(|name| Seen::now(bed.pid(name))).collect();
    bed.tsm(["supervisor", "stop"]).ok();
    for process in pids {
        process.signal(Signal::KILL);
        wait_until("it is gone", || is_gone(process.pid));
    }
    for name in names {
        bed.edit_meta(name, "boot", "00000000-0000-4000-8000-000000000000");
    }
}

#[test]
fn after_a_reboot_what_should_run_runs_again_and_twice_is_once() {
    let bed = Bed::new();
    let (script, other) = (bed.lonely("a"), bed.lonely("b"));
    let mut start = bed.tsm_command(["start", "--name", "a", "--env", "GIVEN=1", "--", &script]);
    start.env("FROM_SHELL", "it's\nme");
    run(start).ok();
    bed.tsm(["start", "--name", "b", "--", &other]).ok();
    bed.start_idle("down");
    bed.tsm(["stop", "down"]).ok();
    bed.wait_runs("a", 1);
    bed.wait_runs("b", 1);
    let ids = |bed: &Bed| -> Vec<u64> {
        bed.list()
            .iter()
            .map(|view| view["id"].as_u64().unwrap())
            .collect()
    };
    let before = ids(&bed);
    reboot(&bed, &["a", "b"]);

    let told = bed.tsm(["start", "down"]).ok();
    assert!(
        told.stderr
            .contains("2 processes ran before the reboot; 'tsm resurrect'"),
        "{}",
        told.stderr
    );
    bed.tsm(["stop", "down"]).ok();
    assert_eq!(bed.state("a"), "stopped");
    let plan = bed.tsm(["resurrect", "--dry-run"]).ok();
    assert_eq!(plan.stdout, "a: start\nb: start\n");
    bed.tsm(["resurrect", "--detach", "--boot"]).ok();
    let pid = bed.wait_runs("a", 2);
    bed.wait_runs("b", 2);
    assert_eq!(variable(pid, "FROM_SHELL").unwrap(), "it's\nme");
    assert_eq!(variable(pid, "GIVEN").unwrap(), "1");
    assert_eq!(bed.state("down"), "stopped");
    assert_eq!(ids(&bed), before);
    let told = bed.tsm(["resurrect", "--detach"]).ok();
    assert!(
        told.stderr.contains("all is as it should be"),
        "{}",
        told.stderr
    );
    assert_eq!(bed.pid("a"), pid);
    assert_eq!(bed.runs_of("a").len(), 2);
}

#[test]
fn a_clock_that_is_not_set_yet_and_pids_of_others_hinder_nobody() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.start_idle("b");
    let stranger = std::process::Command::new("sleep").arg("100000").spawn();
    let mut stranger = stranger.unwrap();
    reboot(&bed, &["a", "b"]);
    // The records are of a time to come, and their pids another program's by now.
    for name in ["a", "b"] {
        bed.edit_meta(name, "pid", &stranger.id().to_string());
        bed.edit_meta(name, "start_time", "4000000000");
        bed.edit_meta(name, "started_ms", "4000000000000");
    }
    bed.tsm(["resurrect", "--detach", "--boot"]).ok();
    for name in ["a", "b"] {
        let view = bed.wait_state(name, "running");
        assert_ne!(view["pid"], stranger.id());
        let uptime = view["uptime_ms"].as_u64().unwrap();
        assert!(uptime < 3_600_000, "{view}");
    }
    assert!(
        stranger.try_wait().unwrap().is_none(),
        "the stranger was signalled"
    );
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn the_dump_brings_back_what_has_no_record_any_more() {
    let bed = Bed::new();
    let script = bed.script("idle.sh", "#!/bin/sh\nexec sleep 100000\n");
    let script = script.to_str().unwrap();
    let start = [
        "start",
        script,
        "--name",
        "a",
        "--port",
        "4971",
        "--env",
        "A=x y",
        "--namespace",
        "shop",
    ];
    bed.tsm(start).ok();
    bed.start_idle("down");
    bed.tsm(["stop", "down"]).ok();
    let told = bed.tsm(["save"]).ok();
    let path = bed.home().join("dump.json");
    assert_eq!(
        told.stdout,
        format!("Saved 2 processes, 1 of them up, to {}\n", path.display())
    );
    let before = [bed.view("a"), bed.view("down")];
    bed.tsm(["delete", "all", "-y"]).ok();
    assert_eq!(bed.list().len(), 0);
    // At boot, what was deleted stays deleted; a person gets it back.
    bed.tsm(["resurrect", "--boot", "--dry-run"]).ok();
    let plan = bed.tsm(["resurrect", "--boot", "--dry-run"]).ok();
    assert_eq!(plan.stdout, "");
    let told = bed.tsm(["resurrect", "--detach"]).ok();
    assert!(
        told.stdout.contains("down is back, stopped as it was"),
        "{}",
        told.stdout
    );
    let after = [bed.view("a"), bed.view("down")];
    for (before, after) in before.iter().zip(&after) {
        for key in [
            "id",
            "name",
            "namespace",
            "port",
            "script",
            "args",
            "cwd",
            "state",
            "wanted",
        ] {
            assert_eq!(before[key], after[key], "{key}");
        }
    }
    assert_eq!(variable(bed.pid("a"), "A").unwrap(), "x y");
    // No id is ever used twice.
    let new = bed.start_idle("new");
    assert_ne!(new, 0);
    assert_eq!(bed.view("new")["id"], 3);
    bed.tsm(["save"]).ok();
    bed.tsm(["delete", "new", "-y"]).ok();
    let exact = bed.tsm(["resurrect", "--exact", "--dry-run"]).ok();
    assert_eq!(exact.stdout, "new: restore and start\n");
}

#[test]
fn exactly_what_the_dump_lists_is_up() {
    let bed = Bed::new();
    for name in ["a", "b"] {
        bed.start_idle(name);
    }
    bed.tsm(["save"]).ok();
    bed.tsm(["stop", "a"]).ok();
    let extra = bed.start_idle("extra");
    bed.tsm(["resurrect", "--detach", "--exact"]).ok();
    assert_eq!(bed.state("a"), "running");
    assert_eq!(bed.state("b"), "running");
    assert_eq!(bed.state("extra"), "stopped");
    assert!(is_gone(extra));
}

#[test]
fn one_that_cannot_start_keeps_nobody_from_it_and_is_told() {
    let bed = Bed::new();
    let script = bed.script("goes.sh", "#!/bin/sh\nexec sleep 100000\n");
    bed.tsm([
        "start",
        "--restart",
        "no",
        "--name",
        "goes",
        "--",
        script.to_str().unwrap(),
    ])
    .ok();
    bed.start_idle("stays");
    reboot(&bed, &["goes", "stays"]);
    fs::remove_file(script).unwrap();
    let told = bed.tsm(["resurrect", "--detach"]).exits(1);
    assert!(
        told.stderr.contains("goes.sh does not exist"),
        "{}",
        told.stderr
    );
    assert!(
        told.stderr
            .contains("1 of 2 processes could not be brought back"),
        "{}",
        told.stderr
    );
    assert_eq!(bed.state("stays"), "running");
}

#[test]
fn a_dump_that_cannot_be_read_starts_nothing_and_names_the_one_before() {
    let bed = Bed::new();
    let nothing = bed.tsm(["resurrect"]).exits(1);
    assert!(
        nothing.stderr.contains("'tsm save' writes one"),
        "{}",
        nothing.stderr
    );
    bed.start_idle("a");
    bed.tsm(["save"]).ok();
    bed.tsm(["save"]).ok();
    reboot(&bed, &["a"]);
    let dump = bed.home().join("dump.json");
    let whole = fs::read(&dump).unwrap();
    let half = &whole[..whole.len() / 2];
    for (torn, args) in [
        (half, &["resurrect"][..]),
        (half, &["resurrect", "--detach"]),
        (half, &["resurrect", "--dry-run"]),
        (b"", &["resurrect", "--detach", "--exact"]),
        (b"", &["resurrect", "--detach", "--boot"]),
        (&[0; 4096], &["resurrect", "--detach"]),
        (b"web: run\n", &["resurrect", "--detach"]),
    ] {
        fs::write(&dump, torn).unwrap();
        let told = bed.tsm(args).exits(1);
        for words in ["dump.json: it is torn", "dump.json.1"] {
            assert!(told.stderr.contains(words), "{args:?}: {}", told.stderr);
        }
        assert_eq!(told.stderr.lines().count(), 1, "{}", told.stderr);
    }
    assert_eq!(bed.state("a"), "stopped");
    let before = bed.home().join("dump.json.1");
    bed.tsm(["resurrect", "--detach", "--from", before.to_str().unwrap()])
        .ok();
    assert_eq!(bed.state("a"), "running");
    bed.tsm(["resurrect", "--from", "none.json"]).exits(1);
}

#[test]
fn a_list_is_not_replaced_by_an_empty_one_unless_told_to() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.tsm(["save"]).ok();
    bed.tsm(["delete", "a", "-y"]).ok();
    let told = bed.tsm(["save"]).exits(2);
    assert!(told.stderr.contains("--empty"), "{}", told.stderr);
    let saved = fs::read_to_string(bed.home().join("dump.json")).unwrap();
    assert!(saved.contains("\"a\""));
    bed.tsm(["save", "--empty"]).ok();
    let printed = bed.tsm(["save", "--print"]).ok();
    let printed: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(printed["processes"], serde_json::json!([]));
    bed.tsm(["save", "--to", "copy.json"]).ok();
    assert!(bed.path("copy.json").exists());
}

#[test]
fn killed_at_any_step_of_a_save_there_is_a_whole_dump() {
    for step in ["save-1-written", "save-2-kept", "save-3-renamed"] {
        let bed = Bed::new();
        bed.start_rigged_supervisor();
        bed.tsm(["save"]).ok();
        bed.start_idle("second");
        bed.arm(step);
        bed.tsm(["save"]).ok();
        bed.fired(step);
        let plan = bed.tsm(["resurrect", "--dry-run"]).ok();
        assert_eq!(plan.stdout, "", "{step}");
        let dump = fs::read_to_string(bed.home().join("dump.json")).unwrap();
        let dump: serde_json::Value = serde_json::from_str(&dump).unwrap();
        assert_eq!(dump["processes"].as_array().unwrap().len(), 2, "{step}");
        assert!(
            !bed.files().iter().any(|file| file.contains(".tmp")),
            "{step}"
        );
    }
}

/// `tsm resurrect` in the foreground.
fn foreground(bed: &Bed) -> Child {
    let log = fs::File::create(bed.root().join("foreground.log")).unwrap();
    let mut command = bed.tsm_command(["resurrect"]);
    let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    wait_until("it is the supervisor", || {
        bed.supervisor_pid() == Some(child.id())
    });
    child
}

#[test]
fn in_the_foreground_it_is_the_supervisor_until_it_is_told_to_end() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.wait_runs("a", 1);
    bed.start_idle("b");
    let runs = bed.pid("b");
    // What runs is taken over, what does not is started.
    Seen::now(bed.pid("a")).signal(Signal::KILL);
    bed.wait_runs("a", 2);
    let mut child = foreground(&bed);
    assert_eq!(bed.pid("b"), runs);
    Seen::now(child.id()).signal(Signal::TERM);
    let ended = wait_for("it ended", || child.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
    assert_eq!(bed.state("b"), "stopped");
    // It stopped them without being asked to by a person: they come back.
    let mut child = foreground(&bed);
    bed.wait_runs("a", 3);
    bed.wait_state("b", "running");
    Seen::now(child.id()).signal(Signal::INT);
    wait_for("it ended", || child.try_wait().unwrap());
}

#[test]
fn what_died_while_nobody_watched_is_started_and_what_cannot_start_is_told() {
    let bed = Bed::new();
    bed.start_idle("a");
    let script = bed.script("will.sh", "#!/bin/sh\nexec sleep 100000\n");
    bed.tsm(["start", script.to_str().unwrap(), "--name", "will"])
        .ok();
    bed.tsm(["save"]).ok();
    bed.tsm(["supervisor", "stop"]).ok();
    let dead = ["a", "will"].map(|name| bed.pid(name));
    for pid in dead {
        Seen::now(pid).signal(Signal::KILL);
    }
    fs::remove_file(&script).unwrap();
    for _ in 0..2 {
        let told = bed.tsm(["resurrect", "--detach"]);
        assert_eq!(told.status, 1, "{}", told.stderr);
        assert!(told.stderr.contains("will"), "{}", told.stderr);
        assert!(!told.stderr.contains("all is as"), "{}", told.stderr);
    }
    assert_eq!(bed.state("a"), "running");
    assert!(!dead.contains(&bed.pid("a")));
}
