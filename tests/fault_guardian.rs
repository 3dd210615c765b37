//! The guardian is killed, alone or together with the supervisor.

use rustix::process::Signal;

use crate::bed::Bed;
use crate::fault_kit::{is_gone, kill, meanwhile};
use crate::processes::{Seen, children};
use crate::wait::{DEADLINE, wait_until, within};

/// Kills the guardian, and waits until there is another one, which is the supervisor of before.
#[track_caller]
fn kill_guardian(bed: &Bed) {
    let (supervisor, guardian) = (bed.supervisor_seen(), bed.guardian_seen());
    kill(guardian);
    wait_until("there is another guardian", || {
        bed.guardian_pid() == Some(supervisor.pid)
    });
    // It is the parent of a new supervisor, and of all that it had started before.
    let next = bed.supervisor_pid().unwrap();
    assert!(children(supervisor.pid).contains(&next));
}

#[test]
fn the_supervisor_makes_another_one_of_itself() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.start_numbers("ticks", "0.001");
    let pid = bed.wait_runs("a", 1);
    kill_guardian(&bed);
    assert_eq!(bed.wait_runs("a", 1), pid);
    // How what it adopted ends is still known.
    for runs in 2..4 {
        bed.crash("a");
        bed.wait_runs("a", runs);
        assert_eq!(bed.view("a")["exit"]["signal"], "SIGKILL");
    }
    bed.start_idle("b");
    bed.tsm(["restart", "b"]).ok();
    bed.tsm(["stop", "b"]).ok();
    // Again, and with the supervisor after it.
    kill_guardian(&bed);
    let supervisor = bed.kill_supervisor();
    bed.wait_next_supervisor(supervisor);
    bed.crash("a");
    bed.wait_runs("a", 4);
    assert_eq!(bed.view("a")["exit"]["signal"], "SIGKILL");
    bed.check_numbers("ticks");
    bed.tsm(["stop", "all"]).ok();
}

#[test]
fn what_is_asked_while_it_is_made_is_done() {
    let bed = Bed::new();
    bed.start_idle("first");
    let number = std::sync::atomic::AtomicU32::new(0);
    let work = || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("s{number}");
        bed.tsm(["start", "--name", &name, "--", "sleep", "100000"])
            .ok();
        bed.tsm(["stop", &name]).ok();
    };
    meanwhile(&[&work], || {
        kill_guardian(&bed);
        kill_guardian(&bed);
    });
    assert_eq!(bed.names().len() as u32, 1 + number.into_inner());
}

#[test]
fn orphans_of_a_service_are_ended_without_it() {
    let bed = Bed::new();
    let script = bed.script(
        "family.sh",
        "#!/bin/sh\nsetsid sleep 100000 &\necho $! > child\nwait\n",
    );
    bed.tsm(["start", "--name", "a", "--", script.to_str().unwrap()])
        .ok();
    let child = bed.wait_pids("child", 1)[0];
    kill_guardian(&bed);
    bed.tsm(["stop", "a"]).ok();
    assert!(!child.is_alive());
}

#[test]
fn one_that_cannot_be_made_is_made_later() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.start_rigged_supervisor();
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    let pid = bed.wait_runs("a", 1);
    let (supervisor, sentinel) = (bed.supervisor_seen(), bed.sentinel_seen());
    bed.arm("upgrade-execute");
    kill(bed.guardian_seen());
    bed.wait_log("tsm.log", "no new guardian: it cannot be executed");
    bed.fired("upgrade-execute");
    // All goes on, and what was the sentinel of the one before notices where the supervisor ends meanwhile.
    bed.crash("a");
    let next = bed.wait_new_pid("a", pid);
    assert_eq!(bed.supervisor_seen(), supervisor);
    assert!(sentinel.is_alive());
    // It is tried again after half a minute.
    let made = within(3 * DEADLINE, || bed.guardian_pid());
    assert_eq!(made, Some(supervisor.pid));
    bed.sentinel_seen();
    assert_eq!(bed.wait_runs("a", 2), next);
}

#[test]
fn without_all_services_run_on_and_the_next_command_adopts_them() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.start_numbers("ticks", "0.001");
    bed.wait_runs("a", 1);
    let before = [bed.pid("a"), bed.pid("ticks")];
    bed.kill_keepers();
    for name in ["a", "ticks"] {
        assert_eq!(bed.state(name), "unsupervised");
    }
    let listed = bed.tsm(["list"]).ok();
    assert!(listed.stdout.contains("unsupervised"), "{}", listed.stdout);
    assert!(
        listed.stderr.contains("no supervisor looks after"),
        "{}",
        listed.stderr
    );
    assert_eq!(bed.supervisor_pid(), None, "looking starts none");

    bed.start_idle("b");
    for name in ["a", "ticks"] {
        assert_eq!(bed.state(name), "running");
    }
    assert_eq!([bed.pid("a"), bed.pid("ticks")], before);
    bed.runs_of("a");
    assert!(bed.check_numbers("ticks") > 0);
    bed.crash("a");
    bed.wait_runs("a", 2);
    // What is adopted twice in a row is still known.
    bed.kill_keepers();
    bed.tsm(["restart", "b"]).ok();
    bed.wait_runs("a", 2);
}

#[test]
fn an_end_that_nobody_watched_is_a_failure() {
    let bed = Bed::new();
    for (name, policy) in [("a", "on-failure"), ("b", "no"), ("c", "always")] {
        let script = bed.lonely(name);
        bed.tsm(["start", "--restart", policy, "--name", name, "--", &script])
            .ok();
        bed.wait_runs(name, 1);
    }
    bed.start_idle("stopped");
    bed.tsm(["stop", "stopped"]).ok();
    let pids = ["a", "b", "c"].map(|name| bed.pid(name));
    bed.kill_keepers();
    for pid in pids {
        Seen::now(pid).signal(Signal::KILL);
    }
    wait_until("they are gone", || pids.iter().all(|&pid| is_gone(pid)));
    for name in ["a", "b", "c"] {
        // As soon as init has taken note of it.
        let view = bed.wait_state(name, "failed");
        assert!(view["pid"].is_null());
    }
    bed.tsm(["stop", "stopped"]).ok();
    bed.wait_runs("a", 2);
    bed.wait_runs("c", 2);
    let view = bed.wait_state("b", "failed");
    assert!(
        !view["exit"]["reason"].as_str().unwrap().is_empty(),
        "{view}"
    );
    assert_eq!(bed.runs_of("b").len(), 1);
    assert_eq!(bed.state("stopped"), "stopped");
}
