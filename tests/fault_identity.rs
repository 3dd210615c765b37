//! Numbers that mean another process by now: reused pids, and reboots.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::bed::Bed;
use crate::fault_kit::is_gone;
use crate::processes::Seen;
use crate::wait::{holds_for, wait_until};

/// A process that has nothing to do with any service, and that notes each signal that can be noted.
struct Stranger {
    child: Child,
    seen: Seen,
}

impl Stranger {
    fn new(bed: &Bed) -> Self {
        let script = "use POSIX; for my $s (qw(HUP INT QUIT TERM CONT USR1 USR2)) { \
             $SIG{$s} = sub { open(my $f, '>>', 'signals'); print $f \"$s\\n\" } } \
             POSIX::setsid(); open(my $f, '>', 'ready'); close $f; sleep 1 while 1;";
        // A leader of its own session, as a service is.
        let mut command = Command::new("perl");
        command
            .args(["-e", script])
            .current_dir(bed.work())
            .stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let seen = Seen::now(child.id());
        wait_until("the stranger is ready", || bed.path("ready").exists());
        Self { child, seen }
    }

    #[track_caller]
    fn was_left_alone(&self, bed: &Bed) {
        assert!(self.seen.is_alive(), "the stranger was killed");
        assert!(!bed.path("signals").exists(), "the stranger was signalled");
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // Our own child, not waited for yet.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn who_has_the_pid_of_a_dead_service_is_left_alone() {
    for policy in ["no", "on-failure"] {
        for detail in ["pid", "pid and start time", "pid of another boot"] {
            let bed = Bed::new();
            let script = bed.lonely("a");
            bed.tsm(["start", "--restart", policy, "--name", "a", "--", &script])
                .ok();
            let pid = bed.wait_runs("a", 1);
            let stranger = Stranger::new(&bed);
            bed.tsm(["supervisor", "stop"]).ok();
            Seen::now(pid).signal(rustix::process::Signal::KILL);
            wait_until("'a' is gone", || is_gone(pid));
            let number = stranger.seen.pid.to_string();
            bed.edit_meta("a", "pid", &number);
            std::fs::write(bed.home().join("pids/a.pid"), format!("{number}\n")).unwrap();
            match detail {
                "pid" => {}
                "pid and start time" => bed.edit_meta("a", "ticks", "1"),
                _ => bed.edit_meta("a", "boot", "00000000-0000-4000-8000-000000000000"),
            }

            let rebooted = detail == "pid of another boot";
            let view = bed.view("a");
            assert!(view["pid"].is_null(), "{detail}: {view}");
            let state = if rebooted { "stopped" } else { "failed" };
            assert_eq!(view["state"], state, "{detail}: {view}");
            bed.start_idle("b");
            if policy == "on-failure" && !rebooted {
                bed.wait_runs("a", 2);
            } else {
                let view = bed.wait_state("a", state);
                assert!(view["pid"].is_null(), "{detail}: {view}");
            }
            stranger.was_left_alone(&bed);
            bed.tsm(["stop", "a"]).ok();
            bed.tsm(["restart", "a"]).ok();
            bed.tsm(["kill", "a"]).ok();
            bed.tsm(["delete", "a"]).ok();
            stranger.was_left_alone(&bed);
        }
    }
}

#[test]
fn a_process_with_another_start_time_is_not_the_service() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    // It bears no cookie: only its pid and its start time are known.
    let env = ["env", "-i", "PATH=/usr/bin:/bin", &script];
    let start = ["start", "--restart", "no", "--name", "a", "--"];
    bed.tsm(start.iter().chain(&env)).ok();
    let process = Seen::now(bed.wait_runs("a", 1));
    bed.tsm(["supervisor", "stop"]).ok();
    let ticks: u64 = bed.meta("a", "ticks").unwrap().parse().unwrap();
    bed.edit_meta("a", "ticks", &(ticks + 1).to_string());
    let view = bed.view("a");
    assert_eq!(view["state"], "failed", "{view}");
    assert!(view["pid"].is_null(), "{view}");
    bed.start_idle("b");
    let view = bed.wait_state("a", "failed");
    assert!(view["pid"].is_null(), "{view}");
    assert!(process.is_alive());
    assert_eq!(bed.runs_of("a"), [process.pid]);
    process.signal(rustix::process::Signal::KILL);
}

#[test]
fn after_a_reboot_nothing_is_signalled_or_started_and_a_notice_says_so_once() {
    let bed = Bed::new();
    let names = ["a", "b", "c"];
    let mut processes = Vec::new();
    for name in names {
        let script = bed.lonely(name);
        bed.tsm(["start", "--name", name, "--", &script]).ok();
        processes.push(Seen::now(bed.wait_runs(name, 1)));
    }
    bed.start_idle("down");
    bed.tsm(["stop", "down"]).ok();
    bed.kill_keepers();
    for name in ["a", "b", "c", "down"] {
        bed.edit_meta(name, "boot", "00000000-0000-4000-8000-000000000000");
    }
    let check = |when: &str| {
        for name in names {
            let view = bed.view(name);
            assert_eq!(view["state"], "stopped", "{when}: {view}");
            assert_eq!(view["exit"]["reason"], "reboot", "{when}: {view}");
            assert!(view["pid"].is_null(), "{when}: {view}");
            assert_eq!(bed.runs_of(name).len(), 1, "{when}");
        }
        let listed = bed.tsm(["info", "a"]).ok().stdout;
        assert!(listed.contains("Stopped (reboot)"), "{when}: {listed}");
        assert_ne!(bed.view("down")["exit"]["reason"], "reboot");
    };
    check("before any command");
    let first = bed.tsm(["stop", "down"]).ok();
    assert!(
        first.stderr.contains("3 processes ran before the reboot"),
        "{}",
        first.stderr
    );
    let second = bed.tsm(["stop", "down"]).ok();
    assert!(!second.stderr.contains("reboot"), "{}", second.stderr);
    check("with a supervisor");
    bed.kill_supervisor();
    holds_for(Duration::from_millis(500), "nothing is started", || {
        names.iter().all(|name| bed.runs_of(name).len() == 1)
    });
    check("with the next supervisor");
    let third = bed.tsm(["stop", "down"]).ok();
    assert!(!third.stderr.contains("reboot"), "{}", third.stderr);
    assert!(processes.iter().all(|process| process.is_alive()));
    for name in names {
        assert_eq!(bed.meta(name, "desired").unwrap(), "up");
    }
    bed.tsm(["start", "b"]).ok();
    assert_eq!(bed.state("b"), "running");
}
