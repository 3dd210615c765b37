//! When a process comes back by itself, and what is known of its end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use rustix::process::Signal;

use crate::bed::Bed;
use crate::processes::Seen;
use crate::wait::holds_for;

const IDLE: &[&str] = &["--", "sleep", "100000"];

#[track_caller]
fn runs(bed: &Bed) -> usize {
    let text = fs::read_to_string(bed.path("runs")).unwrap_or_default();
    text.lines().count()
}

#[test]
fn what_is_killed_comes_back_as_itself() {
    let bed = Bed::new();
    bed.start_idle("other");
    bed.start_idle("a");
    let (id, first) = (bed.view("a")["id"].clone(), bed.pid("a"));
    let began = std::time::Instant::now();
    bed.crash("a");
    let second = bed.wait_new_pid("a", first);
    assert!(began.elapsed() < Duration::from_secs(10));
    let view = bed.view("a");
    assert_eq!(view["id"], id);
    assert_eq!(view["restarts"], 1);
    assert_eq!(
        view["exit"]["signal"], "SIGKILL",
        "how the run before ended"
    );
    let pid = fs::read_to_string(bed.home().join("pids/a.pid")).unwrap();
    assert_eq!(pid, format!("{second}\n"));
    bed.crash("a");
    bed.wait_new_pid("a", second);
    assert_eq!(bed.view("a")["restarts"], 2);
    assert_eq!(bed.view("other")["restarts"], 0);
}

#[test]
fn restart_no_leaves_it_so() {
    let bed = Bed::new();
    let start = ["start", "--name", "a", "--restart", "no"];
    bed.tsm(start.iter().chain(IDLE)).ok();
    bed.crash("a");
    let view = bed.wait_state("a", "failed");
    assert_eq!(view["exit"]["signal"], "SIGKILL");
    assert!(view["exit"]["code"].is_null() && view["pid"].is_null());
    bed.script("b.sh", "#!/bin/sh\necho run >> runs\nexit 3\n");
    bed.tsm(["start", "./b.sh", "--restart", "no"]).ok();
    let view = bed.wait_state("b", "failed");
    assert_eq!(view["exit"]["code"], 3);
    assert!(view["exit"]["signal"].is_null());
    holds_for(Duration::from_secs(1), "it is not started again", || {
        runs(&bed) == 1
    });
    assert_eq!(bed.view("a")["restarts"], 0);
    // A start brings it back, and a stop of what failed has nothing to do.
    bed.tsm(["start", "a"]).ok();
    bed.tsm(["stop", "b"]).ok();
    assert_eq!(bed.state("b"), "stopped");
}

#[test]
fn under_on_failure_an_exit_with_0_is_the_end() {
    let bed = Bed::new();
    bed.script("a.sh", "#!/bin/sh\necho run >> runs\nexit 0\n");
    bed.tsm(["start", "./a.sh"]).ok();
    let view = bed.wait_state("a", "exited");
    assert_eq!(view["exit"]["code"], 0);
    assert_eq!(view["restarts"], 0);
    holds_for(Duration::from_secs(1), "it is not started again", || {
        runs(&bed) == 1
    });
    // It may be started again, with the same id.
    bed.tsm(["start", "a"]).ok();
    bed.wait_file("runs", |text| text.lines().count() == 2);
    assert_eq!(bed.view("a")["id"], 1);
}

#[test]
fn under_on_failure_any_other_end_is_a_failure() {
    let bed = Bed::new();
    bed.script(
        "a.sh",
        "#!/bin/sh\necho run >> runs\n[ -e again ] && exec sleep 100000\n: > again\nexit 5\n",
    );
    bed.tsm(["start", "./a.sh"]).ok();
    bed.wait_file("runs", |text| text.lines().count() == 2);
    let view = bed.wait_state("a", "running");
    assert_eq!(view["restarts"], 1);
    assert_eq!(view["exit"]["code"], 5);
    // SIGTERM from somebody else is no stop.
    let before = bed.pid("a");
    Seen::now(before).signal(Signal::TERM);
    bed.wait_new_pid("a", before);
    assert_eq!(bed.view("a")["exit"]["signal"], "SIGTERM");
    assert_eq!(bed.view("a")["restarts"], 2);
}

#[test]
fn under_always_an_exit_with_0_comes_back() {
    let bed = Bed::new();
    bed.script(
        "a.sh",
        "#!/bin/sh\necho run >> runs\n[ -e again ] && exec sleep 100000\n: > again\nexit 0\n",
    );
    bed.tsm(["start", "./a.sh", "--restart", "always"]).ok();
    bed.wait_file("runs", |text| text.lines().count() == 2);
    let view = bed.wait_state("a", "running");
    assert_eq!(view["restarts"], 1);
    assert_eq!(view["exit"]["code"], 0);
    bed.tsm(["stop", "a"]).ok();
    holds_for(Duration::from_secs(1), "a stop is a stop", || {
        runs(&bed) == 2
    });
    assert_eq!(bed.state("a"), "stopped");
}

#[test]
fn it_is_given_up_after_max_restarts() {
    let bed = Bed::new();
    bed.script(
        "a.sh",
        "#!/bin/sh\necho run >> runs\necho oops >&2\nexit 1\n",
    );
    bed.tsm(["start", "./a.sh", "--max-restarts", "2"]).ok();
    let view = bed.wait_state("a", "failed");
    assert_eq!(view["restarts"], 2);
    assert_eq!(view["exit"]["code"], 1);
    assert_eq!(runs(&bed), 3);
    let told = bed.tsm(["info", "a"]).ok().stdout;
    assert!(told.contains("Status: ✗ Failed"), "{told}");
    // A person's start counts anew.
    bed.tsm(["start", "a"]).ok();
    bed.wait_file("runs", |text| text.lines().count() == 6);
    bed.wait_state("a", "failed");
}

#[test]
fn a_crash_loop_waits_longer_each_time_and_says_until_when() {
    let bed = Bed::new();
    bed.script("a.sh", "#!/bin/sh\necho run >> runs\nexit 1\n");
    bed.tsm(["start", "./a.sh"]).ok();
    // The first restart is at once, the next after about 0.25 s, 0.5 s, 1 s.
    bed.wait_file("runs", |text| text.lines().count() >= 4);
    let view = bed.wait_state("a", "backoff");
    assert!(view["restarts"].as_u64().unwrap() >= 3, "{view}");
    assert_eq!(view["slow_lane"], false);
    let told = bed.tsm(["info", "a"]).ok().stdout;
    assert!(
        told.contains("Status: ↻ Backoff") || told.contains("Status: … Starting"),
        "{told}"
    );
    // A start that a person asks for does not wait.
    let before = runs(&bed);
    bed.tsm(["start", "a"]).ok();
    bed.wait_file("runs", |text| text.lines().count() > before);
}

#[test]
fn a_missing_script_at_a_restart_is_a_failure_with_its_reason() {
    let bed = Bed::new();
    let script = bed.script("a.sh", "#!/bin/sh\necho ready\nexec sleep 100000\n");
    bed.tsm(["start", "./a.sh", "--max-restarts", "3"]).ok();
    // The shell opens its script after the start has been reported.
    bed.wait_log("a.out", "ready\n");
    fs::remove_file(script).unwrap();
    bed.crash("a");
    let view = bed.wait_state("a", "failed");
    let reason = view["exit"]["reason"].as_str().unwrap();
    assert!(reason.contains("a.sh does not exist"), "{view}");
    assert_eq!(view["id"], 1);
}

#[test]
fn a_core_dump_s_signal_is_told() {
    let bed = Bed::new();
    let start = ["start", "--name", "a", "--restart", "no"];
    bed.tsm(start.iter().chain(IDLE)).ok();
    Seen::now(bed.pid("a")).signal(Signal::SEGV);
    let view = bed.wait_state("a", "failed");
    assert_eq!(view["exit"]["signal"], "SIGSEGV");
    assert!(
        view["exit"]["reason"].as_str().unwrap().contains("SIGSEGV"),
        "{view}"
    );
}

#[test]
fn the_history_has_every_end() {
    let bed = Bed::new();
    bed.start_idle("a");
    let before = bed.crash("a");
    bed.wait_new_pid("a", before);
    bed.tsm(["stop", "a"]).ok();
    let text = fs::read_to_string(bed.home().join("processes/a.events.jsonl")).unwrap();
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(events.len() >= 6, "{text}");
    assert!(
        text.contains("signal:9") && text.contains("signal:15"),
        "{text}"
    );
}

#[test]
fn status_json_follows_each_change_within_a_second() {
    let bed = Bed::new();
    let path = bed.home().join("status.json");
    let state = || -> Option<String> {
        let text = fs::read_to_string(&path).ok()?;
        let views: serde_json::Value = serde_json::from_str(&text).unwrap();
        Some(views[0]["state"].as_str()?.to_owned())
    };
    bed.start_idle("a");
    let follows = |expected: &str| {
        // Twice the promise, because this thread too has to have its turn.
        let seen = crate::wait::within(Duration::from_secs(2), || {
            (state().as_deref() == Some(expected)).then_some(())
        });
        assert!(seen.is_some(), "not {expected}: {:?}", state());
    };
    follows("running");
    bed.tsm(["stop", "a"]).ok();
    follows("stopped");
    bed.tsm(["start", "a"]).ok();
    follows("running");
}

#[test]
fn what_could_not_start_again_is_not_stopped_for_a_restart() {
    let bed = Bed::new();
    let sleeper = bed.sleeper();
    let text = format!("exec '{}' 100000\n", sleeper.display());
    let script = bed.script("s.sh", &format!("#!/bin/sh\n{text}"));
    let read = bed.file("read.sh", &text);
    let directory = bed.path("gone");
    fs::create_dir(&directory).unwrap();
    bed.tsm(["start", script.to_str().unwrap(), "--name", "a"])
        .ok();
    bed.tsm(["start", read.to_str().unwrap(), "--name", "b"])
        .ok();
    let cwd = directory.to_str().unwrap();
    bed.tsm([
        "start",
        "--name",
        "c",
        "--cwd",
        cwd,
        "--",
        sleeper.to_str().unwrap(),
        "100000",
    ])
    .ok();
    let names = ["a", "b", "c"];
    let pids = names.map(|name| bed.pid(name));

    fs::set_permissions(&script, fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(&read).unwrap();
    fs::remove_dir(&directory).unwrap();
    for (name, path) in [("a", &script), ("b", &read), ("c", &directory)] {
        let told = bed.tsm(["restart", name]).exits(1);
        assert!(
            told.stderr.contains(path.to_str().unwrap()),
            "{}",
            told.stderr
        );
        assert!(
            told.stderr.ends_with("it runs on as it was\n"),
            "{}",
            told.stderr
        );
    }
    assert_eq!(names.map(|name| bed.pid(name)), pids);
}
