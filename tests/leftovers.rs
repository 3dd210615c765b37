//! What a run leaves behind is ended by the next command, whatever happened in between.

use crate::bed::Bed;
use crate::processes::Seen;

/// Starts a script that leaves a process without its environment in its session and group, and ends.
#[track_caller]
fn leave(bed: &Bed, status: u32) -> Seen {
    let sleep = bed.sleeper();
    bed.script(
        "a.sh",
        &format!(
            "#!/bin/sh\nenv -i {} 7775 &\necho $! >> pids\nexit {status}\n",
            sleep.display()
        ),
    );
    bed.tsm(["start", "./a.sh", "--restart", "no"]).ok();
    bed.wait_state("a", if status == 0 { "exited" } else { "failed" });
    let left = bed.wait_pids("pids", 1)[0];
    assert!(left.is_alive());
    left
}

#[test]
fn the_next_start_ends_it() {
    let bed = Bed::new();
    let left = leave(&bed, 0);
    bed.tsm(["start", "a"]).ok();
    assert!(!left.is_alive());
    bed.wait_state("a", "exited");
    let pids = bed.wait_file("pids", |text| {
        text.ends_with('\n') && text.lines().count() == 2
    });
    let second = Seen::now(pids.lines().nth(1).unwrap().parse().unwrap());
    assert!(second.is_alive());
    bed.tsm(["stop", "a"]).ok();
    assert!(!second.is_alive());
    assert_eq!(bed.meta("a", "last_pid"), None);
}

#[test]
fn a_delete_ends_it() {
    let bed = Bed::new();
    let left = leave(&bed, 3);
    bed.tsm(["delete", "a"]).ok();
    assert!(!left.is_alive());
}

#[test]
fn a_supervisor_that_never_saw_it_ends_it() {
    let bed = Bed::new();
    let left = leave(&bed, 3);
    bed.kill_keepers();
    // A session of a stranger, of another number, is nobody's.
    let stranger = bed.start_idle("other");
    bed.tsm(["stop", "a"]).ok();
    assert!(!left.is_alive());
    assert!(Seen::now(stranger).is_alive());
}

#[test]
fn a_number_that_may_have_been_given_to_another_proves_nothing() {
    let bed = Bed::new();
    let left = leave(&bed, 3);
    bed.tsm(["supervisor", "stop"]).ok();
    // As if the leader had ended, and its number been free, before the one that is left was started.
    let text = std::fs::read_to_string(bed.meta_path("a")).unwrap();
    let from = bed.meta("a", "last_ticks").unwrap();
    let end = bed.meta("a", "last_end").unwrap();
    let text = text
        .replace(&format!("last_ticks={from}"), "last_ticks=1")
        .replace(&format!("last_end={end}"), "last_end=2");
    std::fs::write(bed.meta_path("a"), text).unwrap();
    bed.tsm(["stop", "a"]).ok();
    assert!(left.is_alive());
    left.signal(rustix::process::Signal::KILL);
}
