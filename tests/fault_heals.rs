//! The supervisor is stopped, aborted, or runs out of memory: it is at work again, and no service has noticed.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::bed::{Bed, run};
use crate::fault_kit::wait_ended;
use crate::processes::{Seen, stat};
use crate::wait::wait_until;

/// A home with services whose state, pids and logs have to outlive what is done to the supervisor.
fn start(bed: &Bed) -> u32 {
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.start_numbers("ticks", "0.001");
    bed.start_idle("down");
    bed.tsm(["stop", "down"]).ok();
    bed.wait_runs("a", 1)
}

/// Requires that all is as it was, and that a crash is seen and told.
#[track_caller]
fn all_is_well(bed: &Bed, pid: u32) {
    assert_eq!(bed.wait_runs("a", 1), pid);
    assert_eq!(bed.state("down"), "stopped");
    bed.crash("a");
    bed.wait_runs("a", 2);
    assert_eq!(bed.view("a")["exit"]["signal"], "SIGKILL");
    assert_eq!(bed.view("a")["restarts"], 1);
    bed.check_numbers("ticks");
}

#[track_caller]
fn log_says(bed: &Bed, words: &str) {
    let path = bed.home().join("logs/tsm.log");
    wait_until(words, || {
        std::fs::read_to_string(&path).unwrap().contains(words)
    });
}

#[test]
fn a_stopped_supervisor_is_continued() {
    let bed = Bed::new();
    let pid = start(&bed);
    let supervisor = bed.supervisor_seen();
    supervisor.signal(Signal::STOP);
    log_says(&bed, "was stopped by a signal; it is continued");
    wait_until("it goes on", || {
        stat(supervisor.pid).is_some_and(|stat| !stat.stopped)
    });
    assert_eq!(bed.supervisor_seen(), supervisor);
    all_is_well(&bed, pid);
}

#[test]
fn one_that_is_stopped_again_and_again_is_replaced() {
    let bed = Bed::new();
    let pid = start(&bed);
    let supervisor = bed.supervisor_seen();
    wait_until("it was replaced", || {
        supervisor.signal(Signal::STOP);
        !supervisor.is_alive()
    });
    log_says(&bed, "is stopped again and again; it is replaced");
    bed.wait_next_supervisor(supervisor);
    all_is_well(&bed, pid);
}

#[test]
fn one_that_aborts_is_followed_by_another() {
    let bed = Bed::new();
    let pid = start(&bed);
    for signal in [Signal::ABORT, Signal::SEGV, Signal::BUS] {
        let supervisor = bed.supervisor_seen();
        supervisor.signal(signal);
        wait_ended(supervisor);
        bed.wait_next_supervisor(supervisor);
    }
    all_is_well(&bed, pid);
}

#[test]
fn one_that_runs_out_of_memory_is_followed_by_another() {
    let bed = Bed::new();
    let pid = start(&bed);
    let supervisor = bed.supervisor_seen();
    // What it has is all that it gets from now on.
    let mut limit = Command::new("prlimit");
    limit.args([&format!("--pid={}", supervisor.pid), "--as=1"]);
    run(limit).ok();
    // An environment that needs more than what it has at hand.
    let mut command = bed.tsm_command(["start", "--name", "large", "--", "sleep", "100000"]);
    for number in 0..400 {
        command.env(format!("LARGE_{number}"), "x".repeat(2000));
    }
    let asked = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    crate::bed::finish(asked, "start large").ok();
    assert!(!supervisor.is_alive(), "it had memory enough");
    assert!(Seen::now(bed.pid("large")).is_alive());
    assert_eq!(
        bed.names().iter().filter(|name| *name == "large").count(),
        1
    );
    all_is_well(&bed, pid);
}
