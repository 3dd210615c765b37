//! Somebody stops (SIGSTOP) the guardian, or the guardian and the supervisor.

use rustix::process::Signal;
use serde_json::Value;

use crate::bed::Bed;
use crate::fault_kit::kill;
use crate::processes::{Seen, stat};
use crate::wait::wait_until;

fn is_stopped(process: Seen) -> bool {
    stat(process.pid).is_some_and(|stat| stat.stopped)
}

/// A bed with a service; its pid, the guardian and the supervisor, both of which are stopped.
#[track_caller]
fn both_stopped() -> (Bed, u32, Seen, Seen) {
    let bed = Bed::new();
    let pid = bed.start_idle("a");
    bed.sentinel_seen();
    let (guardian, supervisor) = bed.stop_keepers();
    (bed, pid, guardian, supervisor)
}

/// Both are at work, and everything goes on.
#[track_caller]
fn all_is_well(bed: &Bed, pid: u32, guardian: Seen) {
    assert_eq!(bed.pid("a"), pid);
    assert_eq!(bed.guardian_seen(), guardian);
    assert!(!is_stopped(guardian));
    let supervisor = bed.kill_supervisor();
    bed.wait_next_supervisor(supervisor);
    assert_eq!(bed.pid("a"), pid);
    bed.tsm(["stop", "all"]).ok();
}

/// What a command says of those that it continued.
fn continued(part: &str, process: Seen) -> String {
    format!(
        "the {part} (PID: {}) was stopped by a signal; it is continued",
        process.pid
    )
}

#[test]
fn a_supervisor_at_work_continues_its_guardian() {
    let bed = Bed::new();
    let pid = bed.start_idle("a");
    let guardian = bed.guardian_seen();
    guardian.signal(Signal::STOP);
    bed.tsm(["restart", "a"]).ok();
    wait_until("the guardian goes on", || !is_stopped(guardian));
    let log = std::fs::read_to_string(bed.home().join("logs/tsm.log")).unwrap();
    let said = format!("the guardian {} was stopped by a signal", guardian.pid);
    assert!(log.contains(&said), "{log}");
    all_is_well(&bed, bed.wait_new_pid("a", pid), guardian);
}

#[test]
fn a_command_continues_a_guardian_whose_supervisor_is_dead() {
    let (bed, pid, guardian, supervisor) = both_stopped();
    // Who would continue the guardian as well.
    kill(bed.sentinel_in_proc());
    kill(supervisor);
    let told = bed
        .tsm(["start", "--name", "b", "--", "sleep", "100000"])
        .ok();
    let said = continued("guardian", guardian);
    assert!(told.stderr.contains(&said), "{}", told.stderr);
    all_is_well(&bed, pid, guardian);
}

#[test]
fn a_guardian_whose_supervisor_is_dead_goes_on_although_nobody_asks() {
    let (bed, pid, guardian, supervisor) = both_stopped();
    let sentinel = bed.sentinel_in_proc();
    kill(supervisor);
    // Asking how it is would continue it as well.
    wait_until(
        "it starts another supervisor, which has another sentinel",
        || !sentinel.is_alive() && bed.machinery(true).len() == 3,
    );
    assert!(!is_stopped(guardian));
    let log = std::fs::read_to_string(bed.home().join("logs/tsm.log")).unwrap();
    assert!(
        log.contains("sentinel: the supervisor ended, and the guardian was stopped"),
        "{log}"
    );
    all_is_well(&bed, pid, guardian);
}

#[test]
fn a_command_continues_both() {
    let (bed, pid, guardian, supervisor) = both_stopped();
    let told = bed.tsm(["restart", "a"]).ok();
    let said = continued("guardian", guardian);
    assert!(told.stderr.contains(&said), "{}", told.stderr);
    wait_until("the supervisor goes on", || !is_stopped(supervisor));
    all_is_well(&bed, bed.wait_new_pid("a", pid), guardian);
}

#[test]
fn a_look_at_the_supervisor_continues_both() {
    let (bed, pid, guardian, supervisor) = both_stopped();
    let told = bed.tsm(["supervisor", "status", "--json"]).ok();
    let status: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(status["pid"], supervisor.pid);
    assert_eq!(status["guardian"], guardian.pid);
    all_is_well(&bed, pid, guardian);
}

#[test]
fn a_command_that_finds_no_socket_continues_both() {
    let (bed, pid, guardian, _) = both_stopped();
    std::fs::remove_file(bed.home().join("supervisor.sock")).unwrap();
    bed.tsm(["start", "--name", "b", "--", "sleep", "100000"])
        .ok();
    all_is_well(&bed, pid, guardian);
}

#[test]
fn a_request_larger_than_a_socket_takes_is_no_reason_to_wait_for_ever() {
    let (bed, pid, guardian, _) = both_stopped();
    let mut command = bed.tsm_command(["start", "--name", "b", "--", "sleep", "100000"]);
    for number in 0..10 {
        command.env(format!("LARGE_{number}"), "x".repeat(100_000));
    }
    crate::bed::run(command).ok();
    all_is_well(&bed, pid, guardian);
}

#[test]
fn doctor_tells_who_is_stopped_and_continues_it() {
    let (bed, pid, guardian, supervisor) = both_stopped();
    let look = |kinds: &[&str]| {
        let told = bed.tsm(["doctor", "--json"]).exits(1);
        let report: Value = serde_json::from_str(&told.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let found: Vec<&str> = findings
            .iter()
            .map(|finding| finding["kind"].as_str().unwrap())
            .collect();
        assert_eq!(found, kinds, "{report:#}");
        assert!(findings.iter().all(|finding| finding["mendable"] == true));
        assert!(told.stdout.contains(&format!("(PID: {})", guardian.pid)));
    };
    look(&["supervisor-stopped", "guardian-stopped"]);
    assert!(
        is_stopped(guardian) && is_stopped(supervisor),
        "looking changes nothing"
    );
    kill(bed.sentinel_in_proc());
    kill(supervisor);
    look(&["guardian-stopped"]);
    assert!(is_stopped(guardian), "looking changes nothing");
    let told = bed.tsm(["doctor", "--fix"]).ok();
    let said = format!(
        "the guardian (PID: {}) was stopped and goes on",
        guardian.pid
    );
    assert!(told.stdout.contains(&said), "{}", told.stdout);
    all_is_well(&bed, pid, guardian);
}

#[test]
fn who_only_looks_like_one_is_left_alone() {
    let (bed, pid, guardian, _) = both_stopped();
    bed.script(
        "supervisor",
        "#!/usr/bin/perl\nopen(my $f, '>', 'ready'); close $f; sleep 100000;\n",
    );
    let mut stranger = bed.command("perl");
    stranger.args(["supervisor", "guard", "--home"]);
    let mut stranger = stranger.arg(bed.home()).spawn().unwrap();
    let seen = Seen::now(stranger.id());
    bed.wait_file("ready", |_| true);
    seen.signal(Signal::STOP);
    wait_until("it is stopped", || is_stopped(seen));
    bed.tsm(["start", "--name", "b", "--", "sleep", "100000"])
        .ok();
    let stays = is_stopped(seen);
    seen.signal(Signal::KILL);
    stranger.wait().unwrap();
    assert!(stays);
    all_is_well(&bed, pid, guardian);
}

#[test]
fn a_command_continues_the_one_of_an_init_system() {
    let bed = Bed::new();
    // As an init system starts it: in a session of its own, without a terminal.
    let mut command = bed.command("setsid");
    command.args(["-w", crate::bed::TSM, "supervisor", "run"]);
    command.stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let pid = crate::wait::wait_for("it is the supervisor", || bed.supervisor_pid());
    let supervisor = Seen::now(pid);
    let service = bed.start_idle("a");
    supervisor.signal(Signal::STOP);
    wait_until("it is stopped", || is_stopped(supervisor));
    let told = bed.tsm(["restart", "a"]).ok();
    let said = continued("supervisor in the foreground", supervisor);
    assert!(told.stderr.contains(&said), "{}", told.stderr);
    bed.wait_new_pid("a", service);
    supervisor.signal(Signal::TERM);
    assert!(child.wait().unwrap().success());
}
