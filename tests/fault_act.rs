//! The supervisor dies in the middle of a stop, a restart or a delete.

use std::process::Stdio;
use std::time::Duration;

use crate::bed::{Bed, finish, run, words};
use crate::fault_kit::{is_gone, kill, moment};
use crate::wait::wait_until;

/// A script that takes half a second to end when it is asked to.
fn slow_to_end(bed: &Bed, name: &str) -> String {
    let path = bed.script(
        &format!("{name}.sh"),
        &format!(
            "#!/bin/sh\n\
             exec 9>>{name}.lock\n\
             flock -n 9 || echo $$ >> {name}.double\n\
             trap 'touch {name}.asked; sleep 0.5; exit 0' TERM\n\
             read up idle < /proc/uptime\n\
             echo \"$$ $up\" >> {name}.runs\n\
             while :; do sleep 100000 & wait; done\n"
        ),
    );
    path.to_str().unwrap().to_owned()
}

/// When the supervisor dies: at the first action of a command, or at the first one after the service had been asked.
const MOMENTS: [&str; 2] = ["at the first action", "after it was asked to end"];

/// Does something with the service `a`, in the middle of which the supervisor dies.
#[track_caller]
fn through(bed: &Bed, moment: &str, args: &[&str]) -> String {
    let script = slow_to_end(bed, "a");
    bed.start_rigged_supervisor();
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.wait_runs("a", 1);
    let before = bed.supervisor_seen();
    let command = bed.tsm_command(args);
    let line = words(&command);
    let output = if moment == MOMENTS[0] {
        bed.arm("action");
        run(command)
    } else {
        let mut command = command;
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("it was asked to end", || bed.path("a.asked").exists());
        bed.arm("action");
        finish(child, &line)
    };
    bed.fired("action");
    assert!(!before.is_alive());
    output.ok().stdout
}

#[test]
fn killed_during_a_stop() {
    for moment in MOMENTS {
        let bed = Bed::new();
        through(&bed, moment, &["stop", "a"]);
        let view = bed.view("a");
        assert_eq!(view["state"], "stopped", "{moment}");
        assert_eq!(view["exit"]["code"], 0, "{moment}: {view}");
        assert!(is_gone(bed.runs_of("a")[0]));
        assert_eq!(bed.runs_of("a").len(), 1);
    }
}

#[test]
fn killed_during_a_restart() {
    for moment in MOMENTS {
        let bed = Bed::new();
        let said = through(&bed, moment, &["restart", "a"]);
        let pid = bed.wait_runs("a", 2);
        assert!(said.contains(&format!("PID: {pid},")), "{moment}: {said}");
    }
}

#[test]
fn killed_during_a_delete() {
    for moment in MOMENTS {
        let bed = Bed::new();
        through(&bed, moment, &["delete", "a"]);
        assert_eq!(bed.names(), ["first"], "{moment}");
        assert!(is_gone(bed.runs_of("a")[0]));
        let files = bed.process_files();
        assert!(
            files.iter().all(|file| !file.contains("/a.")),
            "{moment}: {files:?}"
        );
    }
}

#[test]
fn killed_during_a_kill_and_during_a_delete_of_what_is_stopped() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.start_rigged_supervisor();
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.wait_runs("a", 1);
    bed.arm("action");
    bed.tsm(["kill", "a"]).ok();
    bed.fired("action");
    assert_eq!(bed.state("a"), "stopped");
    assert_eq!(bed.runs_of("a").len(), 1);
    bed.arm("action");
    bed.tsm(["delete", "a"]).ok();
    bed.fired("action");
    assert_eq!(bed.names(), ["first"]);
}

#[test]
fn what_was_deleted_is_told_by_the_next_supervisor() {
    let bed = Bed::new();
    bed.start_rigged_supervisor();
    for point in ["delete-1-noted", "delete-2-removed"] {
        for name in ["a", "b"] {
            bed.start_idle(name);
        }
        let ids = ["a", "b"].map(|name| bed.view(name)["id"].clone());
        bed.arm_after(point, 2);
        let told = bed.tsm(["delete", "a", "b"]).ok();
        bed.fired(point);
        let [a, b] = ids;
        let said = format!("Process deleted: a (ID: {a})\nProcess deleted: b (ID: {b})\n");
        assert_eq!(told.stdout, said, "{point}");
        assert_eq!(bed.names(), ["first"]);
    }
}

#[test]
fn what_was_asked_is_done_although_nobody_asks_again() {
    for verb in ["stop", "restart", "delete"] {
        let bed = Bed::new();
        let script = slow_to_end(&bed, "a");
        bed.start_rigged_supervisor();
        bed.tsm(["start", "--name", "a", "--", &script]).ok();
        bed.wait_runs("a", 1);
        let mut client = bed.tsm_command([verb, "a"]).spawn().unwrap();
        wait_until("it was asked to end", || bed.path("a.asked").exists());
        client.kill().unwrap();
        client.wait().unwrap();
        kill(bed.supervisor_seen());
        match verb {
            "stop" => drop(bed.wait_state("a", "stopped")),
            "restart" => drop(bed.wait_runs("a", 2)),
            _ => wait_until("it is deleted", || bed.names() == ["first"]),
        }
        assert_eq!(bed.runs_of("a").len(), 1 + usize::from(verb == "restart"));
    }
}

/// The supervisor is killed a little later in each round, so that it dies at every step of what a command asks.
#[test]
fn killed_at_any_moment_of_a_command() {
    for round in 0..12 {
        // A guardian that has to start many supervisors in a row takes its time in the end, so that each round has its
        // own.
        let bed = Bed::new();
        let script = bed.lonely("a");
        bed.start_idle("first");
        bed.tsm(["start", "--name", "a", "--", &script]).ok();
        let mut runs = 1;
        bed.wait_runs("a", runs);
        for (step, verb) in ["restart", "stop", "start", "delete", "new"]
            .into_iter()
            .enumerate()
        {
            let mut command = match verb {
                "new" => bed.tsm_command(["start", "--name", "a", "--", &script]),
                verb => bed.tsm_command([verb, "a"]),
            };
            let supervisor = bed.supervisor_seen();
            let child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // From before the command is heard until after it is done.
            let time = Duration::from_micros(round * 1200 + step as u64 * 240);
            moment(time);
            kill(supervisor);
            finish(child, &format!("{} ({time:?})", words(&command))).ok();
            match verb {
                "stop" => assert_eq!(bed.state("a"), "stopped", "{time:?}"),
                "delete" => assert_eq!(bed.names(), ["first"], "{time:?}"),
                _ => {
                    runs += 1;
                    bed.wait_runs("a", runs);
                }
            }
            bed.wait_next_supervisor(supervisor);
        }
    }
}
