//! What a run leaves behind: ended at once where it failed for good, and else by the next command, whatever happened in between.

use crate::bed::Bed;
use crate::processes::Seen;
use crate::wait::{wait_until, within};

/// Starts a script that leaves a process without its environment in its session and group, and ends well.
#[track_caller]
fn leave(bed: &Bed) -> Seen {
    let sleep = bed.sleeper();
    bed.script(
        "a.sh",
        &format!(
            "#!/bin/sh\nenv -i {} 7775 &\necho $! >> pids\n",
            sleep.display()
        ),
    );
    bed.tsm(["start", "./a.sh", "--restart", "no"]).ok();
    bed.wait_state("a", "exited");
    let left = bed.wait_pids("pids", 1)[0];
    assert!(left.is_alive());
    left
}

#[test]
fn the_next_start_ends_it() {
    let bed = Bed::new();
    let left = leave(&bed);
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
    let left = leave(&bed);
    bed.tsm(["delete", "a"]).ok();
    assert!(!left.is_alive());
}

#[test]
fn a_supervisor_that_never_saw_it_ends_it() {
    let bed = Bed::new();
    let left = leave(&bed);
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
    let left = leave(&bed);
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

/// Starts a script that leaves a process in its group and one in a session of its own, and fails.
#[track_caller]
fn fail_and_leave(bed: &Bed, ignored: &str, options: &[&str]) -> Vec<Seen> {
    let sleep = bed.sleeper();
    let sleep = sleep.display();
    // It fails when both are on record.
    bed.script(
        "a.sh",
        &format!(
            "#!/bin/sh\ntrap '' {ignored}\n{sleep} 7776 &\necho $! >> pids\nsetsid {sleep} 7777 &\necho $! >> pids\n\
             until [ -e fail ]; do sleep 0.05; done\nexit 3\n"
        ),
    );
    bed.tsm(["start", "./a.sh"].iter().chain(options)).ok();
    let left = bed.wait_pids("pids", 2);
    std::fs::write(bed.path("fail"), "").unwrap();
    left
}

#[test]
fn what_a_failure_for_good_leaves_behind_is_ended_at_once() {
    for options in [["--restart", "no"], ["--max-restarts", "0"]] {
        let bed = Bed::new();
        let left = fail_and_leave(&bed, "INT", &options);
        bed.wait_state("a", "failed");
        wait_until("nobody is left", || {
            left.iter().all(|seen| !seen.is_alive())
        });
        assert_eq!(bed.state("a"), "failed");
        assert_eq!(bed.view("a")["exit"]["code"], 3);
    }
}

#[test]
fn a_supervisor_that_follows_goes_on_with_it() {
    let bed = Bed::new();
    let hook = ["--post-stop", "echo hook >> hook"];
    let options = ["--restart", "no", "--stop-timeout", "3s", hook[0], hook[1]];
    let left = fail_and_leave(&bed, "TERM", &options);
    // It is recorded when the first look has found somebody; then SIGTERM is ignored for three seconds.
    bed.wait_state("a", "failed");
    bed.kill_keepers();
    bed.tsm(["list"]).ok();
    bed.start_idle("other");
    wait_until("nobody is left", || {
        left.iter().all(|seen| !seen.is_alive())
    });
    bed.wait_state("a", "failed");
    bed.wait_file("hook", |text| text == "hook\n");
    // A start finds nothing in its way.
    std::fs::remove_file(bed.path("fail")).unwrap();
    bed.tsm(["start", "a"]).ok();
    bed.wait_state("a", "running");
}

#[test]
fn a_supervisor_that_follows_ends_it_before_the_next_run() {
    let bed = Bed::new();
    bed.script(
        "a.sh",
        "#!/bin/sh\nif [ -e pids ]; then\n[ -e go ] || echo beside > beside\necho $$ >> pids\nexec sleep 7778\nfi\n\
         (trap '' TERM; until [ -e go ]; do sleep 0.05; done) &\necho $! >> pids\n\
         until [ -e fail ]; do sleep 0.05; done\nexit 3\n",
    );
    let patient = ["--stop-timeout", "60s", "--restart", "on-failure"];
    let hook = ["--post-stop", "echo hook >> hook"];
    bed.tsm(["start", "./a.sh"].iter().chain(&patient).chain(&hook))
        .ok();
    let left = bed.wait_pids("pids", 1)[0];
    std::fs::write(bed.path("fail"), "").unwrap();
    // What the run left behind does not end when it is asked; the next run waits for it.
    bed.wait_state("a", "backoff");
    bed.kill_keepers();
    bed.start_idle("other");
    assert!(left.is_alive());
    assert_eq!(bed.state("a"), "backoff");
    std::fs::write(bed.path("go"), "").unwrap();
    bed.wait_file("pids", |text| text.lines().count() == 2);
    assert!(!bed.path("beside").exists());
    bed.wait_file("hook", |text| text == "hook\n");
}

#[test]
fn what_a_run_leaves_behind_whose_end_nobody_saw_is_left_alone() {
    let bed = Bed::new();
    let sleep = bed.sleeper();
    bed.script(
        "a.sh",
        &format!(
            "#!/bin/sh\n{} 7779 &\necho $! >> pids\nuntil [ -e end ]; do sleep 0.05; done\n",
            sleep.display()
        ),
    );
    bed.tsm(["start", "./a.sh", "--restart", "no"]).ok();
    let left = bed.wait_pids("pids", 1)[0];
    let main = Seen::now(bed.pid("a"));
    bed.kill_keepers();
    std::fs::write(bed.path("end"), "").unwrap();
    wait_until("the script has ended", || !main.is_alive());
    // Where an init reaps it, nobody knows how it ended.
    let reaped = std::path::PathBuf::from(format!("/proc/{}", main.pid));
    within(std::time::Duration::from_secs(5), || {
        (!reaped.exists()).then_some(())
    });
    // Neither the supervisor that finds it ended nor the next one ends what it left.
    for other in ["first", "second"] {
        bed.start_idle(other);
        wait_until("its end is known", || {
            ["exited", "failed"].contains(&bed.state("a").as_str())
        });
        bed.tsm(["supervisor", "stop"]).ok();
        assert!(left.is_alive(), "{other}");
    }
    bed.tsm(["stop", "a"]).ok();
    assert!(!left.is_alive());
}

#[test]
fn a_restart_that_a_supervisor_dies_in_has_its_hook_between_the_runs() {
    let bed = Bed::new();
    bed.script(
        "a.sh",
        "#!/bin/sh\nif [ -e pids ]; then\n[ -e hook ] || echo before > before\necho $$ >> pids\nexec sleep 7780\nfi\n\
         (trap '' TERM; until [ -e go ]; do sleep 0.05; done) &\necho $! >> pids\nexec sleep 7781\n",
    );
    let options = ["--stop-timeout", "60s", "--post-stop", "echo hook >> hook"];
    bed.tsm(["start", "./a.sh"].iter().chain(&options)).ok();
    bed.wait_pids("pids", 1);
    let restart = bed.begin(["restart", "a"]);
    bed.wait_state("a", "starting");
    let supervisor = Seen::now(bed.supervisor_pid().unwrap());
    supervisor.signal(rustix::process::Signal::KILL);
    wait_until("it is killed", || !supervisor.is_alive());
    bed.start_idle("other");
    std::fs::write(bed.path("go"), "").unwrap();
    bed.wait_file("pids", |text| text.lines().count() == 2);
    restart.end().ok();
    assert!(!bed.path("before").exists());
    bed.wait_file("hook", |text| text == "hook\n");
}
