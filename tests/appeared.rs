//! Records that TSM did not write while it ran, and several of one id: nothing is written over them or done by a guess.

use std::fs;

use crate::bed::Bed;
use crate::processes::Seen;

impl Bed {
    fn write_record(&self, name: &str, text: &str) {
        fs::write(self.meta_path(name), text).unwrap();
    }
}

#[test]
fn a_record_that_appears_while_a_supervisor_runs_is_taken_over() {
    let bed = Bed::new();
    bed.start_idle("first");
    let environment = bed.home().join("processes/late.env");
    let original = "script='sleep 100000' pid= start_time=1 type=cli tsm_id=77 cwd='/'\n";
    bed.write_record("late", original);
    fs::write(
        &environment,
        "export PATH='/usr/bin:/bin'\nexport KEPT='1'\n",
    )
    .unwrap();
    let start = ["start", "--name", "late", "--", "sleep", "5"];
    let told = bed.tsm(start).exits(4);
    assert!(told.stderr.contains("ID: 77"), "{told:?}");
    assert!(fs::read_to_string(&environment).unwrap().contains("KEPT"));
    bed.write_record("later", &original.replace("77", "78"));
    bed.tsm(["stop", "later"]).ok();
    bed.tsm(["delete", "late", "later"]).ok();
    assert_eq!(bed.names(), ["first"]);
}

#[test]
fn a_damaged_record_is_neither_replaced_nor_said_to_be_nothing() {
    let bed = Bed::new();
    bed.start_idle("first");
    bed.write_record("torn", "script='x");
    let environment = bed.home().join("processes/torn.env");
    fs::write(&environment, "export KEPT='1'\n").unwrap();
    let commands: [&[&str]; 3] = [
        &["delete", "torn"],
        &["stop", "torn"],
        &["start", "--name", "torn", "--", "sleep", "5"],
    ];
    for command in commands {
        let told = bed.tsm(command).exits(1);
        assert!(told.stderr.contains("torn.meta: "), "{told:?}");
        assert!(told.stderr.contains("put it right"), "{told:?}");
    }
    assert!(fs::read_to_string(&environment).unwrap().contains("KEPT"));
}

#[test]
fn of_two_records_with_one_id_the_one_that_its_spec_names_counts() {
    let bed = Bed::new();
    let service = Seen::now(bed.start_idle("m"));
    bed.tsm(["supervisor", "stop"]).ok();
    for copy in ["a", "z"] {
        fs::copy(bed.meta_path("m"), bed.meta_path(copy)).unwrap();
    }
    for copy in ["a", "z"] {
        let told = bed.tsm(["stop", copy]).exits(1);
        assert!(told.stderr.contains("is that of 'm'"), "{told:?}");
        assert!(service.is_alive());
    }
    bed.tsm(["stop", "m"]).ok();
    assert!(!service.is_alive());
    // Where nothing tells which is right, nothing is done to either.
    let original = "script='sleep 100000' pid= start_time=1 type=cli tsm_id=77 cwd='/'\n";
    for name in ["x", "y"] {
        bed.write_record(name, original);
    }
    for name in ["x", "y"] {
        let told = bed.tsm(["start", name]).exits(1);
        assert!(
            told.stderr.contains("another record bears ID 77"),
            "{told:?}"
        );
    }
}

#[test]
fn each_stop_names_what_its_service_may_have_left_behind() {
    let bed = Bed::new();
    let sleep = bed.sleeper();
    bed.script(
        "a.sh",
        &format!(
            "#!/bin/sh\nsetsid env -i {} 7775 &\necho $! > pid\nwhile [ \"$(ps -o comm= -p $!)\" != sleep ]; do sleep 0.02; done\n",
            sleep.display()
        ),
    );
    bed.tsm(["start", "./a.sh"]).ok();
    bed.wait_state("a", "exited");
    let left = bed.wait_pids("pid", 1)[0];
    bed.start_idle("b");
    let named = format!("process {} (sleep) is unattributed", left.pid);
    for _ in 0..2 {
        let told = bed.tsm(["stop", "a"]).ok();
        assert!(told.stderr.contains(&named), "{told:?}");
    }
    let told = bed.tsm(["delete", "a"]).ok();
    assert!(told.stderr.contains(&named), "{told:?}");
    // This one began after it.
    let told = bed.tsm(["stop", "b"]).ok();
    assert!(!told.stderr.contains("unattributed"), "{told:?}");
    assert!(left.is_alive());
    left.signal(rustix::process::Signal::KILL);
}
