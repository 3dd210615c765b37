//! After a stop nothing of the service is left, however it hides.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::bed::{Bed, run};
use crate::processes::{Seen, stat};
use crate::wait::{holds_for, wait_until};

/// Stops 'a', and requires that none of these processes is left at that very moment.
#[track_caller]
fn stop_ends(bed: &Bed, processes: &[Seen]) {
    assert!(
        processes.iter().all(|process| process.is_alive()),
        "{processes:?}"
    );
    bed.tsm(["stop", "a"]).ok();
    let left: Vec<_> = processes
        .iter()
        .filter(|process| process.is_alive())
        .collect();
    for process in &left {
        process.signal(Signal::KILL);
    }
    assert!(
        left.is_empty(),
        "left after stop: {left:?} of {processes:?}"
    );
    assert_eq!(bed.state("a"), "stopped");
    assert!(bed.view("a")["pid"].is_null());
    assert!(!bed.files().contains(&"pids/a.pid".to_owned()));
}

/// Starts a script as 'a' and returns the processes whose pids it and its children write into `pids`.
#[track_caller]
fn start(bed: &Bed, script: &str, options: &[&str], number: usize) -> Vec<Seen> {
    let text = script.replace("SLEEP", bed.sleeper().to_str().unwrap());
    bed.script("a.sh", &format!("#!/bin/sh\n{text}"));
    bed.tsm([&["start", "./a.sh"], options].concat()).ok();
    bed.wait_pids("pids", number)
}

#[test]
fn a_program_that_ends_when_asked_is_asked() {
    let bed = Bed::new();
    let script = "trap 'echo bye; kill $!; exit 7' TERM\nSLEEP 100000 &\necho $$ > pids\nwait\n";
    let processes = start(&bed, script, &[], 1);
    stop_ends(&bed, &processes);
    assert_eq!(bed.wait_log("a.out", "\n"), "bye\n");
    let view = bed.view("a");
    assert_eq!(view["exit"]["code"], 7, "{view}");
    assert!(view["exit"]["signal"].is_null());
    assert_eq!(view["restarts"], 0);
}

#[test]
fn another_signal_may_be_the_one_that_asks() {
    let bed = Bed::new();
    let script = "trap 'echo int; exit 0' INT\ntrap 'echo term' TERM\necho $$ > pids\nwhile :; do SLEEP 0.05; done\n";
    let processes = start(&bed, script, &["--stop-signal", "INT"], 1);
    stop_ends(&bed, &processes);
    assert_eq!(bed.wait_log("a.out", "\n"), "int\n");
    assert_eq!(bed.view("a")["exit"]["code"], 0);
}

#[test]
fn what_ignores_sigterm_is_killed_after_the_time_out() {
    let bed = Bed::new();
    let script = "trap '' TERM\necho $$ > pids\nexec SLEEP 100000\n";
    let processes = start(&bed, script, &["--stop-timeout", "1s"], 1);
    let began = Instant::now();
    stop_ends(&bed, &processes);
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(bed.view("a")["exit"]["signal"], "SIGKILL");
}

#[test]
fn kill_does_not_wait() {
    let bed = Bed::new();
    let script = "trap '' TERM\necho $$ > pids\nexec SLEEP 100000\n";
    for stop in [&["kill", "a"][..], &["stop", "--force", "a"]] {
        let processes = start(&bed, script, &["--stop-timeout", "1h"], 1);
        bed.tsm(stop).ok();
        assert!(!processes[0].is_alive());
        bed.tsm(["delete", "a"]).ok();
        std::fs::remove_file(bed.path("pids")).unwrap();
    }
    // It also hurries a stop that is under way.
    let processes = start(&bed, script, &["--stop-timeout", "1h"], 1);
    let mut command = bed.tsm_command(["stop", "a"]);
    command.stdout(std::process::Stdio::piped());
    let waiting = command.spawn().unwrap();
    bed.wait_state("a", "stopping");
    bed.tsm(["kill", "a"]).ok();
    assert!(!processes[0].is_alive());
    crate::bed::finish(waiting, "stop a").ok();
}

#[test]
fn children_that_ignore_sigterm_are_killed_though_their_leader_has_ended() {
    let bed = Bed::new();
    // The leader ends at once; what ignores SIGTERM is in its group, in the background.
    let script = "(trap '' TERM; SLEEP 100000 & echo $! >> pids; wait) &\n(trap '' TERM; SLEEP 100000 & echo $! >> pids; wait) &\necho $$ >> pids\ntrap 'exit 0' TERM\nwait\n";
    let processes = start(&bed, script, &["--stop-timeout", "1s"], 3);
    stop_ends(&bed, &processes);
    assert_eq!(
        bed.view("a")["exit"]["code"],
        0,
        "the leader's own end counts"
    );
}

#[test]
fn children_in_sessions_of_their_own_are_ended() {
    let bed = Bed::new();
    let script = "setsid SLEEP 100000 & echo $! >> pids\nsetsid sh -c 'echo $$ >> pids; trap \"\" TERM HUP; SLEEP 100000 & echo $! >> pids; wait' &\necho $$ >> pids\nwait\n";
    let processes = start(&bed, script, &[], 4);
    assert!(
        processes
            .iter()
            .any(|p| stat(p.pid).unwrap().session == p.pid)
    );
    stop_ends(&bed, &processes);
}

#[test]
fn children_that_wiped_their_environment_are_ended() {
    let bed = Bed::new();
    // Their parent is the leader when the stop begins, so that they descend from it.
    let script = "env -i setsid SLEEP 100000 & echo $! >> pids\n(exec env -i setsid SLEEP 200000) & echo $! >> pids\necho $$ >> pids\nwait\n";
    let processes = start(&bed, script, &[], 3);
    wait_until("they are what they become", || {
        processes[..2]
            .iter()
            .all(|p| stat(p.pid).is_some_and(|s| s.session == p.pid))
    });
    stop_ends(&bed, &processes);
}

#[test]
fn a_leader_that_became_another_program_is_ended() {
    let bed = Bed::new();
    // The main process itself wipes its environment, and its child has neither parent nor cookie when it has ended.
    let script = "echo $$ > pids\nexec env -i sh -c 'SLEEP 100000 & echo $! >> pids; setsid SLEEP 300000 & echo $! >> pids; exec SLEEP 200000'\n";
    let processes = start(&bed, script, &[], 3);
    stop_ends(&bed, &processes);
}

#[test]
fn daemons_that_forked_twice_are_ended() {
    let bed = Bed::new();
    let script = "(setsid sh -c '(SLEEP 100000 & echo $! >> pids) & wait' &)\n(SLEEP 200000 & echo $! >> pids)\necho $$ >> pids\nwait\nexec SLEEP 300000\n";
    let processes = start(&bed, script, &[], 3);
    stop_ends(&bed, &processes);
}

/// A process that is seen in the group and then makes a session of its own is out of reach of the group's signals.
#[test]
fn a_child_that_leaves_the_group_when_it_is_asked_is_ended() {
    let bed = Bed::new();
    let script = "(trap 'SLEEP 0.3; exec setsid SLEEP 100000' TERM; echo $$ > /dev/null; SLEEP 100000 & wait; wait) & echo $! >> pids\ntrap 'exit 0' TERM\necho $$ >> pids\nwait\n";
    let processes = start(&bed, script, &["--stop-timeout", "1s"], 2);
    stop_ends(&bed, &processes);
}

#[test]
fn stopped_processes_are_continued_and_ended() {
    let bed = Bed::new();
    let script = "SLEEP 100000 & echo $! >> pids\nsetsid SLEEP 100000 & echo $! >> pids\necho $$ >> pids\nwait\n";
    let processes = start(&bed, script, &["--stop-timeout", "60s"], 3);
    for process in &processes {
        process.signal(Signal::STOP);
    }
    wait_until("they are stopped", || {
        processes
            .iter()
            .all(|p| stat(p.pid).is_some_and(|stat| stat.stopped))
    });
    let began = Instant::now();
    stop_ends(&bed, &processes);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "they were asked, not killed"
    );
    assert_eq!(bed.view("a")["exit"]["signal"], "SIGTERM");
}

#[test]
fn programs_behind_shells_are_ended() {
    let bed = Bed::new();
    // As `npm start` does it: a shell in a shell, each of which waits.
    let script = "echo $$ >> pids\nsh -c 'echo $$ >> pids; sh -c \"echo \\$\\$ >> pids; SLEEP 100000 & echo \\$! >> pids; wait; true\"; true'\ntrue\n";
    let processes = start(&bed, script, &[], 4);
    stop_ends(&bed, &processes);
}

#[test]
fn a_crash_takes_its_children_along_before_the_restart() {
    let bed = Bed::new();
    let script = "SLEEP 100000 & echo $! >> pids\nsetsid SLEEP 100000 & echo $! >> pids\necho $$ >> pids\nwait\n";
    let processes = start(&bed, script, &[], 3);
    let before = bed.crash("a");
    bed.wait_new_pid("a", before);
    assert!(
        processes.iter().all(|process| !process.is_alive()),
        "{processes:?}"
    );
    bed.tsm(["stop", "a"]).ok();
}

#[test]
fn leftovers_of_a_program_that_ended_by_itself_are_ended_by_a_stop() {
    let bed = Bed::new();
    let script = "setsid SLEEP 100000 & echo $! >> pids\nSLEEP 100000 & echo $! >> pids\nexit 0\n";
    let processes = start(&bed, script, &[], 2);
    bed.wait_state("a", "exited");
    bed.tsm(["stop", "a"]).ok();
    assert!(
        processes.iter().all(|process| !process.is_alive()),
        "{processes:?}"
    );
}

#[test]
fn a_stop_cancels_a_restart_that_waits() {
    let bed = Bed::new();
    bed.script("a.sh", "#!/bin/sh\necho run >> runs\nexit 1\n");
    bed.tsm(["start", "./a.sh"]).ok();
    let view = bed.wait_state("a", "backoff");
    assert!(
        view["pid"].is_null() && view["next_start_at"].is_string(),
        "{view}"
    );
    // Far enough into the back-off that the next restart is not this very moment.
    bed.wait_file("runs", |text| text.lines().count() >= 3);
    bed.tsm(["stop", "a"]).ok();
    let view = bed.view("a");
    assert_eq!(view["state"], "stopped");
    assert!(view["next_start_at"].is_null(), "{view}");
    let runs = std::fs::read_to_string(bed.path("runs")).unwrap();
    // The delay would be a second at most.
    holds_for(
        Duration::from_millis(2500),
        "it is not started again",
        || std::fs::read_to_string(bed.path("runs")).unwrap() == runs,
    );
    assert_eq!(bed.state("a"), "stopped");
}

#[test]
fn many_stop_in_the_time_of_one() {
    let bed = Bed::new();
    bed.script(
        "stubborn.sh",
        "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 1; done\n",
    );
    for number in 0..20 {
        let name = format!("s{number}");
        bed.tsm([
            "start",
            "./stubborn.sh",
            "--name",
            &name,
            "--stop-timeout",
            "1s",
        ])
        .ok();
        bed.wait_log(&format!("{name}.out"), "ready\n");
    }
    let began = Instant::now();
    bed.tsm(["stop", "all"]).ok();
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "{:?}",
        began.elapsed()
    );
    assert!(bed.list().iter().all(|view| view["state"] == "stopped"));
}

#[test]
fn others_are_left_alone() {
    let bed = Bed::new();
    let other = Seen::now(bed.start_idle("other"));
    // A process that looks alike and that TSM never started.
    let sleeper = bed.sleeper();
    let mut foreign = bed.command(&sleeper).arg("100000").spawn().unwrap();
    let processes = start(&bed, "echo $$ > pids\nexec SLEEP 100000\n", &[], 1);
    stop_ends(&bed, &processes);
    bed.tsm(["delete", "a"]).ok();
    assert!(other.is_alive());
    assert!(foreign.try_wait().unwrap().is_none());
    foreign.kill().unwrap();
    foreign.wait().unwrap();
}

#[test]
fn restart_waits_for_the_end_of_all_of_it() {
    let bed = Bed::new();
    let script = "(trap '' TERM; SLEEP 100000 & echo $! >> pids; wait) &\necho $$ >> pids\nwait\n";
    let processes = start(&bed, script, &["--stop-timeout", "1s"], 2);
    bed.tsm(["restart", "a"]).ok();
    assert!(
        processes.iter().all(|process| !process.is_alive()),
        "{processes:?}"
    );
    assert_eq!(bed.state("a"), "running");
    assert_eq!(bed.view("a")["restarts"], 0, "asked for, so not counted");
}

#[test]
fn a_command_that_is_interrupted_leaves_the_stop_under_way() {
    let bed = Bed::new();
    let script = "trap '' TERM\necho $$ > pids\nexec SLEEP 100000\n";
    let processes = start(&bed, script, &["--stop-timeout", "1s"], 1);
    let mut waiting = bed.tsm_command(["stop", "a"]).spawn().unwrap();
    bed.wait_state("a", "stopping");
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    bed.wait_state("a", "stopped");
    assert!(!processes[0].is_alive());
    let output = run(bed.tsm_command(["start", "a"]));
    output.ok();
}

#[test]
fn what_a_run_left_behind_is_ended_under_a_later_supervisor_too() {
    let bed = Bed::new();
    let script =
        "#!/bin/sh\nsetsid sh -c 'echo $$ > left; exec sleep 100000' &\nsleep 0.1\nexit 0\n";
    bed.script("leaves.sh", script);
    bed.tsm(["start", "./leaves.sh"]).ok();
    bed.wait_state("leaves", "exited");
    let left = bed.wait_pids("left", 1);
    bed.tsm(["supervisor", "stop"]).ok();
    bed.tsm(["stop", "leaves"]).ok();
    assert!(left.iter().all(|process| !process.is_alive()));
}

#[test]
fn a_child_with_a_session_of_its_own_has_the_time_of_the_stop() {
    let bed = Bed::new();
    bed.script(
        "child.sh",
        "#!/bin/bash\ntrap 'sleep 3; echo flushed; exit' TERM\n: > trapped\nwhile :; do sleep 0.1; done\n",
    );
    bed.script(
        "a.sh",
        "#!/bin/sh\nsetsid ./child.sh &\nexec sleep 100000\n",
    );
    bed.tsm(["start", "./a.sh"]).ok();
    bed.wait_file("trapped", |_| true);
    bed.tsm(["stop", "a"]).ok();
    assert_eq!(bed.tsm(["logs", "a", "--out"]).ok().stdout, "flushed\n");
}
