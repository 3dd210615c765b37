//! What happens when nothing happens; and services that start services.

use std::fs;
use std::time::Duration;

use crate::bed::{Bed, TSM};
use crate::fault_kit::is_gone;
use crate::wait::{DEADLINE, within};

/// How often a process was given to and taken from a processor, with all its threads.
pub(crate) fn switches(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let texts = threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok());
    texts
        .map(|text| {
            text.lines()
                .filter(|line| line.contains("ctxt_switches"))
                .map(|line| line.rsplit_once('\t').unwrap().1.parse::<u64>().unwrap())
                .sum::<u64>()
        })
        .sum()
}

/// Waits until the keepers of a home come to rest, and sees to it that they stay so.
#[track_caller]
pub(crate) fn assert_idle(bed: &Bed) {
    let keepers = [
        bed.supervisor_seen(),
        bed.guardian_seen(),
        bed.sentinel_seen(),
    ];
    let keepers = keepers.map(|keeper| keeper.pid);
    let read = || keepers.map(switches);
    let settled = within(DEADLINE, || {
        let before = read();
        within(Duration::from_secs(1), || None::<()>);
        (read() == before).then_some(before)
    });
    let before = settled.expect("supervisor, guardian and sentinel do not come to rest");
    within(Duration::from_secs(5), || None::<()>);
    assert_eq!(read(), before, "they were scheduled while nothing happened");
}

#[test]
fn idle_is_idle() {
    let bed = Bed::new();
    for number in 0..20 {
        bed.start_idle(&format!("s{number}"));
    }
    assert_idle(&bed);
}

/// Starts a service `outer` whose script is to start `inner`, by `"$1" start --name inner -- "$2"`.
#[track_caller]
fn start_outer(bed: &Bed, inner: &str, script: &str) {
    let outer = bed.script("outer.sh", &format!("#!/bin/sh\n{script}\n"));
    let outer = outer.to_str().unwrap();
    bed.tsm(["start", "--name", "outer", "--", outer, TSM, inner])
        .ok();
}

#[test]
fn the_end_of_a_service_is_not_the_end_of_what_it_started() {
    let bed = Bed::new();
    let inner = bed.lonely("inner");
    start_outer(
        &bed,
        &inner,
        "\"$1\" start --name inner -- \"$2\" || exit 1\ntouch started\nexec sleep 100000",
    );
    bed.wait_file("started", |_| true);
    let pid = bed.wait_runs("inner", 1);
    for verb in ["restart", "stop", "start", "kill", "delete"] {
        // Where it starts anew, `inner` is there already, and it ends by itself.
        bed.tsm([verb, "outer"]).ok();
        assert_eq!(bed.wait_runs("inner", 1), pid, "{verb}");
    }
}

#[test]
fn the_end_of_a_service_is_not_the_end_of_the_supervisor_that_it_started() {
    let bed = Bed::new();
    let inner = bed.lonely("inner");
    start_outer(
        &bed,
        &inner,
        "while [ ! -e go ]; do sleep 0.02; done\n\
         \"$1\" start --name inner -- \"$2\" || exit 1\n\
         touch started\n\
         while :; do sleep 0.02; done",
    );
    let outer = bed.pid("outer");
    bed.kill_keepers();
    bed.file("go", "");
    bed.wait_file("started", |_| true);
    let pid = bed.wait_runs("inner", 1);
    assert_eq!(bed.pid("outer"), outer, "it was adopted");
    let keepers = [bed.supervisor_seen(), bed.guardian_seen()];
    bed.tsm(["stop", "outer"]).ok();
    assert!(is_gone(outer));
    assert_eq!(bed.wait_runs("inner", 1), pid);
    assert_eq!([bed.supervisor_seen(), bed.guardian_seen()], keepers);
}
