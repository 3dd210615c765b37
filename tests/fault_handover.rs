//! One supervisor follows another: in the foreground, after a stop, after a signal.

use std::io::Write as _;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::bed::{Bed, finish, words};
use crate::fault_clients::{connect, frame};
use crate::fault_kit::{is_gone, kill, wait_ended};
use crate::processes::Seen;
use crate::wait::{wait_for, wait_until};

/// `tsm supervisor run`; ends with the value.
struct Foreground {
    child: Child,
    seen: Seen,
}

impl Foreground {
    #[track_caller]
    fn run(bed: &Bed) -> Self {
        let mut command = bed.tsm_command(["supervisor", "run"]);
        let log = std::fs::File::create(bed.root().join("foreground.log")).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        let seen = Seen::now(child.id());
        wait_until("it is the supervisor", || {
            bed.supervisor_pid() == Some(seen.pid)
        });
        Self { child, seen }
    }

    #[track_caller]
    fn wait(&mut self) -> Option<i32> {
        let ended = wait_for("the supervisor in the foreground ended", || {
            self.child.try_wait().unwrap()
        });
        ended.code()
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        // Our own child; where it was waited for already this does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn start_three(bed: &Bed) -> [u32; 3] {
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.wait_runs("a", 1);
    bed.start_numbers("ticks", "0.001");
    bed.start_numbers("flood", "0");
    pids(bed)
}

#[track_caller]
fn pids(bed: &Bed) -> [u32; 3] {
    ["a", "ticks", "flood"].map(|name| bed.pid(name))
}

#[test]
fn the_foreground_takes_over_and_takes_all_along_at_its_end() {
    let bed = Bed::new();
    let before = start_three(&bed);
    bed.start_idle("down");
    bed.tsm(["stop", "down"]).ok();
    let old = [bed.supervisor_seen(), bed.guardian_seen()];
    let mut foreground = Foreground::run(&bed);
    wait_until("the old ones are gone", || {
        old.iter().all(|old| !old.is_alive())
    });
    assert_eq!(bed.guardian_pid(), None);
    let told = bed.tsm(["supervisor", "status"]).ok().stdout;
    assert!(told.contains("in the foreground"), "{told}");
    assert_eq!(pids(&bed), before);
    bed.runs_of("a");

    // It does its work: a crash, a start, a stop.
    bed.crash("a");
    bed.wait_runs("a", 2);
    bed.start_idle("new");
    bed.tsm(["restart", "new"]).ok();
    bed.check_numbers("ticks");
    bed.check_numbers("flood");

    let all = [
        bed.pid("a"),
        bed.pid("ticks"),
        bed.pid("flood"),
        bed.pid("new"),
    ];
    foreground.seen.signal(Signal::TERM);
    assert_eq!(foreground.wait(), Some(0));
    assert!(all.iter().all(|&pid| is_gone(pid)), "services outlived it");
    assert_eq!(bed.supervisor_pid(), None);
    for name in ["a", "ticks", "flood", "new"] {
        assert_eq!(bed.meta(name, "desired").as_deref(), Some("up"), "'{name}'");
        assert_eq!(bed.state(name), "stopped");
    }
    assert_eq!(bed.meta("down", "desired").as_deref(), Some("down"));
    assert_eq!(bed.runs_of("a").len(), 2);
}

#[test]
fn the_foreground_is_killed_and_the_next_command_adopts() {
    let bed = Bed::new();
    let before = start_three(&bed);
    let foreground = Foreground::run(&bed);
    kill(foreground.seen);
    // Its predecessor's guardian may hold the lock a moment longer.
    bed.wait_state("a", "unsupervised");
    bed.start_idle("b");
    assert_eq!(pids(&bed), before);
    bed.runs_of("a");
    bed.check_numbers("ticks");
    bed.check_numbers("flood");
    // And back again, twice.
    let first = Foreground::run(&bed);
    let mut second = Foreground::run(&bed);
    wait_until("the first gave way", || !first.seen.is_alive());
    assert_eq!(pids(&bed), before);
    second.seen.signal(Signal::INT);
    assert_eq!(second.wait(), Some(0));
    assert!(before.iter().all(|&pid| is_gone(pid)));
}

#[test]
fn commands_that_wait_meanwhile_are_answered() {
    let bed = Bed::new();
    let script = bed.script(
        "slow.sh",
        "#!/bin/sh\ntrap 'touch asked; sleep 1; exit 0' TERM\nwhile :; do sleep 0.02; done\n",
    );
    let script = script.to_str().unwrap();
    bed.tsm(["start", "--name", "a", "--", script]).ok();
    let pid = bed.pid("a");
    let mut command = bed.tsm_command(["stop", "a"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("it was asked to end", || bed.path("asked").exists());
    let mut foreground = Foreground::run(&bed);
    finish(child, &words(&command)).ok();
    assert!(is_gone(pid));
    let view = bed.view("a");
    assert_eq!(view["state"], "stopped");
    assert_eq!(view["exit"]["code"], 0, "{view}");
    foreground.seen.signal(Signal::TERM);
    assert_eq!(foreground.wait(), Some(0));
}

#[test]
fn a_supervisor_that_is_told_to_end_leaves_the_services_up() {
    for how in ["stop", "TERM", "TERM to the guardian"] {
        let bed = Bed::new();
        let before = start_three(&bed);
        let keepers = [bed.supervisor_seen(), bed.guardian_seen()];
        match how {
            "stop" => drop(bed.tsm(["supervisor", "stop"]).ok()),
            "TERM" => keepers[0].signal(Signal::TERM),
            _ => keepers[1].signal(Signal::TERM),
        }
        wait_until(&format!("{how}: both have ended"), || {
            keepers.iter().all(|keeper| !keeper.is_alive())
        });
        keepers.into_iter().for_each(wait_ended);
        for name in ["a", "ticks", "flood"] {
            assert_eq!(bed.state(name), "unsupervised", "{how}");
            assert_eq!(bed.meta(name, "desired").as_deref(), Some("up"), "{how}");
        }
        let told = bed.tsm(["supervisor", "status", "--json"]).ok().stdout;
        assert!(told.contains("\"running\": false"), "{told}");
        bed.start_idle("b");
        assert_eq!(pids(&bed), before, "{how}");
        assert_eq!(bed.state("a"), "running");
        assert_eq!(bed.runs_of("a").len(), 1, "{how}");
        bed.check_numbers("ticks");
        bed.check_numbers("flood");
        bed.crash("a");
        bed.wait_runs("a", 2);
    }
}

#[test]
fn at_a_shutdown_everybody_is_told_to_end_and_nothing_counts_as_a_crash() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.tsm(["start", "--restart", "always", "--name", "a", "--", &script])
        .ok();
    let pid = bed.wait_runs("a", 1);
    let keepers = [bed.supervisor_seen(), bed.guardian_seen()];
    for keeper in keepers {
        keeper.signal(Signal::TERM);
    }
    Seen::now(pid).signal(Signal::TERM);
    wait_until("all have ended", || {
        is_gone(pid) && keepers.iter().all(|keeper| !keeper.is_alive())
    });
    assert_eq!(bed.runs_of("a").len(), 1);
    assert_eq!(bed.meta("a", "desired").as_deref(), Some("up"));
}

#[test]
fn who_asks_for_a_handover_and_takes_nothing_keeps_nobody_waiting() {
    let bed = Bed::new();
    // More descriptors than the socket takes before somebody reads.
    for number in 0..4 {
        bed.start_idle(&format!("s{number}"));
    }
    let before = bed.supervisor_seen();
    let ask = br#"{"version":1,"asked":{"token":"","by":"a test"},"body":"handover"}"#;
    let mut stalled = connect(&bed);
    stalled.write_all(&frame(ask, b"")).unwrap();
    let mut silent = connect(&bed);
    silent.write_all(&frame(ask, b"")).unwrap();
    // It goes on with its work, and what it starts meanwhile is handed over by a handover that comes to its end.
    bed.start_idle("meanwhile");
    bed.crash("s0");
    assert_eq!(bed.supervisor_seen(), before);
    drop(stalled);
    wait_until("its end was noticed", || {
        let log = std::fs::read_to_string(bed.home().join("logs/tsm.log")).unwrap();
        log.contains("a handover failed, this supervisor goes on")
    });
    let mut foreground = Foreground::run(&bed);
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.wait_runs("a", 1);
    assert_eq!(bed.state("meanwhile"), "running");
    foreground.seen.signal(Signal::TERM);
    assert_eq!(foreground.wait(), Some(0));
}
