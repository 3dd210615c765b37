//! The system says no: no room at any of the writes, no descriptors, no processes; a clock that is set; a home that goes
//! away.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::bed::{Bed, run};
use crate::wait::{holds_for, wait_until};

const ENOSPC: i32 = 28;
const EAGAIN: i32 = 11;

impl Bed {
    /// Lets a rigged supervisor fail with this error from the `times`th time on that it comes to this point.
    #[track_caller]
    fn arm_error(&self, point: &str, errno: i32, times: u32) {
        self.arm(&format!("{point} {times} {errno}"));
    }

    /// Whether it came to the point so often. What was armed is over then.
    fn failed(&self) -> bool {
        let file = fs::read_to_string(self.fail_point()).unwrap_or_default();
        self.disarm();
        file.split_whitespace().nth(1) == Some("0")
    }

    /// Sets the clock that a rigged supervisor sees, by so many seconds.
    fn set_clock(&self, seconds: i64) {
        let path = self.fail_point().with_extension("clock");
        fs::write(path, seconds.to_string()).unwrap();
    }
}

#[test]
fn on_a_disk_that_is_full_at_any_write_a_start_leaves_nothing_and_a_stop_works() {
    let bed = Bed::new();
    bed.start_rigged_supervisor();
    bed.start_idle("b");
    let script = bed.lonely("a");
    let mut refused = 0;
    for times in 1..=40 {
        bed.arm_error("write", ENOSPC, times);
        let output = bed.tsm(["start", "--name", "a", "--", &script]);
        let failed = bed.failed();
        if output.status == 0 {
            // What was not written is not what a start needs: it is written later.
            bed.wait_state("a", "running");
            bed.tsm(["delete", "a"]).ok();
            if !failed {
                break;
            }
            continue;
        }
        refused += 1;
        assert_eq!(output.status, 1, "{output:?}");
        assert!(
            output.stderr_line().contains("No space left on device"),
            "{output:?}"
        );
        assert_eq!(bed.names(), ["first", "b"], "write {times}");
        let left = bed.process_files();
        let of_a = |file: &&String| file.trim_start_matches('.').contains("/a.");
        assert_eq!(left.iter().find(of_a), None, "write {times}");
    }
    assert!(
        refused >= 3,
        "only {refused} writes were needed for a start"
    );
    bed.runs_of("a");
    // From the first write on there is no room: what runs is stopped all the same.
    bed.arm_error("write", ENOSPC, 1);
    bed.tsm(["stop", "b"]).ok();
    assert!(bed.failed());
    bed.wait_state("b", "stopped");
    wait_until("what waited for room is written", || {
        bed.happened("b")
            .last()
            .is_some_and(|kind| kind == "stopped")
    });
    bed.check_history("b");
    let ids: Vec<_> = bed.list().iter().map(|view| view["id"].clone()).collect();
    bed.start_idle("c");
    assert!(!ids.contains(&bed.view("c")["id"]));
}

#[test]
fn without_descriptors_a_start_says_so_and_what_runs_goes_on() {
    let bed = Bed::new();
    let pid = bed.start_idle("a");
    let supervisor = bed.supervisor_pid().unwrap();
    let limit = |soft: &str| {
        let mut prlimit = Command::new("prlimit");
        prlimit.args([
            "--pid",
            &supervisor.to_string(),
            &format!("--nofile={soft}"),
        ]);
        run(prlimit).ok();
    };
    let before = fs::read_to_string(format!("/proc/{supervisor}/limits")).unwrap();
    let before = before
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let before = before.unwrap().split_whitespace().next().unwrap();
    let usual = format!("{before}:");
    let open = fs::read_dir(format!("/proc/{supervisor}/fd"))
        .unwrap()
        .count();
    // Enough for the connection and a file, and not for pipes.
    limit(&format!("{}:", open + 2));
    let output = bed
        .tsm(["start", "--name", "b", "--", "sleep", "100000"])
        .exits(1);
    assert!(
        output.stderr_line().contains("Too many open files"),
        "{output:?}"
    );
    assert_eq!((bed.names(), bed.pid("a")), (vec!["a".to_owned()], pid));
    limit(&usual);
    bed.start_idle("b");
    // One that crashes while there are none comes back when there are.
    limit(&format!("{}:", open + 2));
    let before = bed.crash("a");
    wait_until("it could not be started", || {
        bed.happened("a").contains(&"launch-failed".to_owned())
    });
    assert!(
        bed.why("a").contains("Too many open files"),
        "{}",
        bed.why("a")
    );
    limit(&usual);
    bed.wait_new_pid("a", before);
}

#[test]
fn where_fork_says_no_it_is_told_and_tried_again() {
    let bed = Bed::new();
    bed.start_rigged_supervisor();
    let script = bed.lonely("a");
    bed.arm_error("fork", EAGAIN, 1);
    let output = bed.tsm(["start", "--name", "a", "--", &script]).exits(1);
    assert!(bed.failed());
    assert!(
        output
            .stderr_line()
            .contains("cannot fork: Resource temporarily unavailable"),
        "{output:?}"
    );
    assert_eq!(bed.names(), ["first"], "nothing of it stays");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.wait_runs("a", 1);
    bed.arm_error("fork", EAGAIN, 1);
    let before = bed.crash("a");
    wait_until("its restart failed", || {
        bed.happened("a").contains(&"launch-failed".to_owned())
    });
    assert!(bed.failed());
    bed.wait_new_pid("a", before);
    bed.wait_runs("a", 2);
}

#[test]
fn a_clock_that_is_set_by_an_hour_neither_hurries_nor_delays() {
    let bed = Bed::new();
    bed.start_rigged_supervisor();
    let pid = bed.start_idle("up");
    bed.script(
        "a.sh",
        "#!/bin/sh\necho run >> runs\n[ -e cured ] && exec sleep 100000\nexit 1\n",
    );
    bed.tsm(["start", "./a.sh"]).ok();
    for (number, clock) in [3600, -3600].into_iter().enumerate() {
        // It is about to wait for four seconds.
        let runs = || {
            fs::read_to_string(bed.path("runs"))
                .unwrap()
                .lines()
                .count()
        };
        wait_until("it waits for its sixth restart", || {
            bed.state("a") == "backoff" && runs() >= 6
        });
        let before = runs();
        bed.set_clock(clock);
        // A supervisor that knows nothing but what is on record: the time of the next try, by the clock before.
        let supervisor = bed.kill_supervisor();
        bed.wait_next_supervisor(supervisor);
        holds_for(Duration::from_millis(200), "no burst", || {
            runs() <= before + 1
        });
        wait_until("it is tried again", || runs() > before);
        assert_eq!(bed.pid("up"), pid, "round {number}");
        bed.tsm(["reset", "a"]).ok();
    }
    bed.file("cured", "");
    bed.tsm(["restart", "a"]).ok();
    assert_eq!(bed.state("a"), "running");
    let uptime = bed.view("up")["uptime_ms"].as_u64().unwrap();
    assert!(uptime < 3_000_000, "{uptime}");
}

#[test]
fn a_home_that_goes_away_and_comes_back() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    let before = bed.wait_runs("a", 1);
    let away = bed.root().join("away");
    fs::rename(bed.home(), &away).unwrap();
    // Nobody can be asked, but what is there is found.
    let told = bed.tsm(["doctor"]).exits(1);
    assert!(
        told.stdout.contains("which has no record"),
        "{}",
        told.stdout
    );
    assert!(!bed.home().exists(), "looking makes no home");
    let crashed = crate::processes::Seen::now(before);
    crashed.signal(rustix::process::Signal::KILL);
    wait_until("it has ended", || !crashed.is_alive());
    fs::rename(&away, bed.home()).unwrap();
    // Who was away for long has no supervisor any more: then this starts the next one, which goes on.
    bed.tsm(["resurrect", "--detach"]).ok();
    bed.wait_new_pid("a", before);
    // The program was executed, and may not have come to its first line yet.
    bed.wait_runs("a", 2);
    let runs = bed.runs_of("a");
    assert_eq!(runs.len(), 2, "{runs:?}");
    bed.tsm(["restart", "a"]).ok();
    bed.tsm(["stop", "a"]).ok();
}
