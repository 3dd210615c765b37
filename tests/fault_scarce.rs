//! Descriptors are scarce: what the kernel does not answer is not taken for an answer.

use std::fs;

use rustix::process::Signal;

use crate::bed::{Bed, run};
use crate::fault_kit::kill;
use crate::processes::{self, Seen};
use crate::wait::wait_until;

/// A line of shell that runs `tsm` with this limit of open files.
fn limited(files: u32, line: &str) -> String {
    format!("ulimit -n {files}; {line}")
}

#[test]
fn a_supervisor_that_may_not_hold_what_runs_says_so_and_touches_nothing() {
    let bed = Bed::new();
    let names: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
    let before: Vec<Seen> = names
        .iter()
        .map(|name| Seen::now(bed.start_idle(name)))
        .collect();
    bed.tsm(["supervisor", "stop"]).ok();
    let refused = bed.shell(&limited(32, "\"$0\" start --name extra -- sleep 100000"));
    let refused = refused.exits(6);
    for text in ["32 open files", "'ulimit -Hn'"] {
        assert!(refused.stderr.contains(text), "{refused:?}");
    }
    assert!(bed.supervisor_pid().is_none());
    assert!(before.iter().all(|seen| seen.is_alive()));
    // With room again each is taken over as it is.
    bed.start_idle("extra");
    for (name, seen) in names.iter().zip(before) {
        let view = bed.view(name);
        assert_eq!(view["pid"], seen.pid, "{view}");
        assert_eq!(view["state"], "running");
        assert_eq!(view["restarts"], 0);
    }
}

#[test]
fn nothing_is_started_that_would_leave_no_descriptor_to_work_with() {
    let bed = Bed::new();
    let line = "i=0; while [ $i -lt 60 ]; do \"$0\" start --name s$i -- sleep 100000 || exit; i=$((i+1)); done; exit 99";
    let refused = bed.shell(&limited(100, line));
    let refused = refused.exits(1);
    assert!(refused.stderr.contains("'ulimit -Hn'"), "{refused:?}");
    let names = bed.names();
    assert!(names.len() > 5, "{names:?}");
    // All commands do their work.
    bed.tsm(["restart", "s0"]).ok();
    bed.tsm(["stop", "all"]).ok();
    assert!(bed.list().iter().all(|view| view["state"] == "stopped"));
}

#[test]
fn with_hardly_any_descriptors_one_command_at_a_time_is_still_heard() {
    let bed = Bed::new();
    let line = "\"$0\" supervisor start && \"$0\" supervisor status && \"$0\" supervisor stop";
    bed.shell(&limited(28, line)).ok();
    assert_eq!(bed.machinery(true), []);
}

#[test]
fn a_guardian_hands_on_all_it_holds_though_it_may_not_hold_twice_as_much() {
    let bed = Bed::new();
    let line = "i=0; while [ $i -lt 18 ]; do \"$0\" start --name s$i -- sleep 100000 || exit; i=$((i+1)); done
        \"$0\" start --name last --restart no \"until [ -e go ]; do sleep 0.02; done; echo the last line; exit 7\"";
    bed.shell(&limited(112, line)).ok();
    let pids: Vec<u32> = (0..18).map(|n| bed.pid(&format!("s{n}"))).collect();
    let last = Seen::now(bed.pid("last"));
    let (supervisor, guardian) = (bed.supervisor_seen(), bed.guardian_seen());
    // It ends while no supervisor is there, and what it printed and how it ended is in the store alone.
    guardian.signal(Signal::STOP);
    kill(supervisor);
    bed.file("go", "");
    wait_until("the last one has ended", || !last.is_alive());
    guardian.signal(Signal::CONT);
    bed.wait_next_supervisor(supervisor);
    let view = bed.wait_state("last", "failed");
    assert_eq!(view["exit"]["code"], 7, "{view}");
    bed.wait_log("last.out", "the last line\n");
    assert_eq!(
        bed.guardian_pid(),
        Some(guardian.pid),
        "the channel was lost"
    );
    for (n, pid) in pids.into_iter().enumerate() {
        assert_eq!(bed.pid(&format!("s{n}")), pid);
    }
}

#[test]
fn directories_that_end_in_tmp_are_in_nobodys_way() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.tsm(["supervisor", "stop"]).ok();
    let strange = [
        "old.tmp",
        "processes/backup.tmp",
        "logs/x.tmp",
        "pids/y.tmp",
    ];
    for name in strange {
        fs::create_dir(bed.home().join(name)).unwrap();
    }
    fs::write(bed.home().join("processes/torn.tmp"), "x").unwrap();
    bed.tsm(["restart", "a"]).ok();
    for name in strange {
        assert!(bed.home().join(name).is_dir(), "{name}");
    }
    assert!(!bed.home().join("processes/torn.tmp").exists());
}

#[test]
fn what_belongs_to_a_service_is_found_however_the_home_is_spelled() {
    let bed = Bed::new();
    let link = bed.root().join("link");
    fs::create_dir(bed.home()).unwrap();
    std::os::unix::fs::symlink(bed.home(), &link).unwrap();
    let sleep = bed.sleeper();
    // What is left of it is in a session of its own; only its cookie tells whose it is.
    bed.script(
        "a.sh",
        &format!(
            "#!/bin/sh\nsetsid sh -c '{} 100000 & echo $! > child' &\nexec sleep 100000\n",
            sleep.display()
        ),
    );
    let mut start = bed.tsm_command(["start", "./a.sh"]);
    start.env(
        "TSM_HOME",
        format!("{}/../link/", link.display()).replace("/link/../", "/"),
    );
    run(start).ok();
    let child = bed.wait_pids("child", 1)[0];
    let cookie = processes::variable(bed.pid("a"), "TSM_COOKIE").unwrap();
    assert_eq!(
        cookie.to_string_lossy(),
        format!("{}:1:1", bed.home().display())
    );
    bed.kill_keepers();
    bed.tsm(["stop", "a"]).ok();
    assert!(!child.is_alive());
}
