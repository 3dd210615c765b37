//! The supervisor dies in the middle of a start.

use crate::bed::{Bed, run};
use crate::fault_kit::STEPS;
use crate::processes::{Seen, variable};
use crate::wait::wait_until;

const POLICIES: [&str; 3] = ["no", "on-failure", "always"];

/// One instance is up, on record as `pid`, can be restarted and stopped, and leaves nothing.
#[track_caller]
fn check_and_stop(bed: &Bed, runs: usize) {
    let pid = bed.wait_runs("a", runs);
    let view = bed.view("a");
    assert_eq!(view["restarts"], 0, "no crash of its own: {view}");
    bed.tsm(["restart", "a"]).ok();
    let next = bed.wait_runs("a", runs + 1);
    assert_ne!(pid, next);
    let last = Seen::now(next);
    bed.tsm(["stop", "a"]).ok();
    assert!(!last.is_alive());
    assert_eq!(bed.state("a"), "stopped");
    assert_eq!(bed.runs_of("a").len(), runs + 1);
}

/// The very first command: the supervisor that it starts dies at a step of the first start.
#[track_caller]
fn start_through(step: &str) {
    for policy in POLICIES {
        let bed = Bed::new();
        let script = bed.lonely("a");
        bed.arm(step);
        let started =
            run(bed.rigged(["start", "--restart", policy, "--name", "a", "--", &script])).ok();
        bed.fired(step);
        let pid = bed.wait_runs("a", 1);
        assert!(
            started.stdout.contains(&format!("PID: {pid},")),
            "{step}, {policy}: {pid} runs, and the command said {}",
            started.stdout
        );
        check_and_stop(&bed, 1);
    }
}

#[test]
fn killed_when_a_start_was_recorded() {
    start_through(STEPS[0]);
}

#[test]
fn killed_when_the_child_was_forked() {
    start_through(STEPS[1]);
}

#[test]
fn killed_when_the_child_was_on_record() {
    start_through(STEPS[2]);
}

#[test]
fn killed_when_the_child_was_released() {
    start_through(STEPS[3]);
}

#[test]
fn killed_while_a_stopped_one_is_started_again() {
    for step in STEPS {
        let bed = Bed::new();
        let script = bed.lonely("a");
        bed.start_rigged_supervisor();
        bed.tsm(["start", "--restart", "no", "--name", "a", "--", &script])
            .ok();
        bed.wait_runs("a", 1);
        bed.tsm(["stop", "a"]).ok();
        bed.arm(step);
        bed.tsm(["start", "a"]).ok();
        bed.fired(step);
        check_and_stop(&bed, 2);
    }
}

#[test]
fn killed_while_one_is_restarted_by_a_command() {
    for step in STEPS {
        for policy in POLICIES {
            let bed = Bed::new();
            let script = bed.lonely("a");
            bed.start_rigged_supervisor();
            bed.tsm(["start", "--restart", policy, "--name", "a", "--", &script])
                .ok();
            bed.wait_runs("a", 1);
            bed.arm(step);
            let restarted = bed.tsm(["restart", "a"]).ok();
            bed.fired(step);
            let pid = bed.wait_runs("a", 2);
            assert!(
                restarted.stdout.contains(&format!("PID: {pid},")),
                "{step}, {policy}: {pid} runs, and the command said {}",
                restarted.stdout
            );
            check_and_stop(&bed, 2);
        }
    }
}

#[test]
fn killed_while_one_is_restarted_after_a_crash() {
    for step in STEPS {
        for policy in ["on-failure", "always"] {
            let bed = Bed::new();
            let script = bed.lonely("a");
            bed.start_rigged_supervisor();
            bed.tsm(["start", "--restart", policy, "--name", "a", "--", &script])
                .ok();
            bed.wait_runs("a", 1);
            bed.arm(step);
            bed.crash("a");
            bed.wait_runs("a", 2);
            bed.fired(step);
            assert_eq!(bed.view("a")["restarts"], 1, "{step}, {policy}");
            assert_eq!(bed.exits("a"), ["signal:9"], "{step}, {policy}");
            bed.tsm(["stop", "a"]).ok();
            assert_eq!(bed.runs_of("a").len(), 2);
        }
    }
}

#[test]
fn killed_while_a_new_environment_takes_the_place_of_an_old_one() {
    let steps = [
        "replace-1-staged",
        "replace-2-synced",
        "replace-3-committed",
    ];
    for step in steps {
        let bed = Bed::new();
        let script = bed.lonely("a");
        bed.start_rigged_supervisor();
        let start = |value| {
            let mut command = bed.tsm_command(["start", "--restart", "no", &script]);
            command.env("CHANGES", value);
            run(command).ok();
        };
        start("old");
        bed.wait_runs("a", 1);
        bed.tsm(["stop", "a"]).ok();
        bed.arm(step);
        start("new");
        bed.fired(step);
        let pid = bed.wait_runs("a", 2);
        assert_eq!(variable(pid, "CHANGES").unwrap(), "new", "{step}");
        check_and_stop(&bed, 2);
        let left = bed.files();
        assert!(!left.iter().any(|file| file.contains(".tmp")), "{left:?}");
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_told_although_the_supervisor_died() {
    for step in STEPS {
        let bed = Bed::new();
        let missing = bed.script("missing.sh", "#!/nowhere/sh\n");
        bed.arm(step);
        let started = run(bed.rigged(["start", "--name", "a", "--", missing.to_str().unwrap()]));
        bed.fired(step);
        let started = started.exits(1);
        assert!(
            started.stderr.contains("/nowhere/sh"),
            "{step}: {}",
            started.stderr
        );
        wait_until(&format!("{step}: nothing is on record"), || {
            bed.names().is_empty()
        });
    }
}
