//! `tsm why`: the sentence, and the evidence.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::bed::Bed;
use crate::fault_kit::moment;
use crate::processes::Seen;
use crate::wait::wait_for;

impl Bed {
    /// The first line of `tsm why`, without the name.
    #[track_caller]
    pub(crate) fn why(&self, name: &str) -> String {
        let told = self.tsm(["why", name]).ok();
        let first = told.stdout.lines().next().unwrap_or_default();
        let (_, sentence) = first.split_once("): ").unwrap_or(("", first));
        sentence.to_owned()
    }

    /// `tsm why --json`.
    #[track_caller]
    pub(crate) fn why_json(&self, name: &str) -> Value {
        let told = self.tsm(["why", name, "--json"]).ok();
        serde_json::from_str(&told.stdout).unwrap()
    }
}

#[test]
fn a_stop_names_who_where_and_by_what() {
    let bed = Bed::new();
    bed.start_idle("a");
    assert!(bed.why("a").starts_with("runs for "), "{}", bed.why("a"));
    let mut stop = bed.tsm_command(["stop", "a"]);
    stop.env("USER", "mr");
    crate::bed::run(stop).ok();
    assert_eq!(bed.why("a"), "stopped by user mr from `tsm stop`");
    let why = bed.why_json("a");
    assert_eq!(why["cause"]["kind"], "stopped");
    assert_eq!(why["cause"]["by"], "mr from `tsm stop`");
    assert_eq!(why["well"], true);
    assert_eq!(why["end"]["signal"], "SIGTERM");
}

#[test]
fn on_a_terminal_it_is_named() {
    let bed = Bed::new();
    bed.start_idle("a");
    // `script` gives the command a terminal of its own.
    let line = format!("script -qec '{} stop a' /dev/null", crate::bed::TSM);
    bed.shell(&line).ok();
    let why = bed.why("a");
    assert!(why.contains("from `tsm stop` on pts/"), "{why}");
}

#[test]
fn a_crash_tells_its_count_its_last_words_and_when_it_is_tried_again() {
    let bed = Bed::new();
    bed.script(
        "a.sh",
        "#!/bin/sh\necho run >> runs\necho 'no database' >&2\nexit 3\n",
    );
    bed.tsm(["start", "./a.sh"]).ok();
    // Its fifth restart in a row comes after two seconds: time enough to see it wait.
    let why = wait_for("it waits for its fifth restart", || {
        let why = bed.why("a");
        why.contains("for the 5th time; next try in").then_some(why)
    });
    assert!(
        why.starts_with("exited with status 3, ") && why.contains(" after start, "),
        "{why}"
    );
    let why = bed.why_json("a");
    assert_eq!(why["cause"]["kind"], "backoff");
    assert_eq!(why["well"], false);
    assert_eq!(why["stderr"][0], "no database");
    assert!(why["ran_well"].is_null());
    let told = bed.tsm(["why", "a"]).ok().stdout;
    assert!(told.contains("\nErrors:\n  no database\n"), "{told}");
    let listed = bed.tsm(["list"]).ok().stdout;
    assert!(listed.contains("backoff, next in "), "{listed}");
}

#[test]
fn what_was_given_up_tells_how_often_and_in_what_time() {
    let bed = Bed::new();
    bed.script("a.sh", "#!/bin/sh\nexit 1\n");
    bed.tsm(["start", "./a.sh", "--max-restarts", "2"]).ok();
    bed.wait_state("a", "failed");
    let why = bed.why("a");
    assert!(why.starts_with("gave up: 2 restarts in "), "{why}");
    assert!(why.contains("; exited with status 1, "), "{why}");
    let reset = bed.tsm(["reset", "a"]).ok();
    assert!(
        reset.stderr_line().contains("'tsm start' starts it"),
        "{reset:?}"
    );
    assert_eq!(bed.view("a")["restarts"], 0);
    assert_eq!(bed.state("a"), "failed");
}

#[test]
fn what_cannot_be_executed_tells_the_reason() {
    let bed = Bed::new();
    let script = bed.script("a.sh", "#!/bin/sh\nexec sleep 100000\n");
    bed.tsm(["start", "./a.sh"]).ok();
    bed.tsm(["stop", "a"]).ok();
    std::fs::remove_file(&script).unwrap();
    bed.tsm(["start", "a"]).exits(1);
    let why = bed.why("a");
    assert!(
        why.starts_with("exec failed: ") && why.ends_with("/a.sh does not exist"),
        "{why}"
    );
    let told = bed.tsm(["why", "a"]).ok().stdout;
    let missing = format!("Missing: file {}\n", script.display());
    assert!(told.contains(&missing), "{told}");
}

#[test]
fn what_changed_since_it_last_ran_well_is_named() {
    let bed = Bed::new();
    bed.script(
        "a.sh",
        "#!/bin/sh\n[ -z \"$BREAK\" ] || exit 7\nexec sleep 100000\n",
    );
    bed.tsm(["start", "./a.sh", "--restart", "no"]).ok();
    let good = bed.why_json("a");
    assert_eq!(good["changes"], serde_json::json!([]));
    bed.tsm(["stop", "a"]).ok();
    bed.tsm(["env", "set", "a", "BREAK=hush", "OTHER=1"]).ok();
    // Times of files have the grain of the kernel's clock.
    moment(Duration::from_millis(20));
    bed.script(
        "a.sh",
        "#!/bin/sh\n# new\n[ -z \"$BREAK\" ] || exit 7\nexec sleep 100000\n",
    );
    bed.tsm(["start", "a"]);
    bed.wait_state("a", "failed");
    let told = bed.tsm(["why", "a"]).ok().stdout;
    assert!(told.contains("exited with status 7"), "{told}");
    assert!(told.contains("; its restart policy is no\n"), "{told}");
    assert!(
        told.contains("Changed since: environment: BREAK, OTHER (by "),
        "{told}"
    );
    assert!(!told.contains("hush"), "{told}");
    assert!(told.contains("a.sh (modified, "), "{told}");
    assert!(told.contains("Last ran well: "), "{told}");
    let why = bed.why_json("a");
    assert_eq!(why["ran_well"]["run"], 1);
    assert_eq!(why["changes"][0]["what"], "environment");
    assert_eq!(
        why["changes"][0]["names"],
        serde_json::json!(["BREAK", "OTHER"])
    );
}

#[test]
fn a_signal_is_named_and_a_core_is_found() {
    let bed = Bed::new();
    bed.tsm([
        "start",
        "--name",
        "a",
        "--restart",
        "no",
        "--",
        "sleep",
        "100000",
    ])
    .ok();
    Seen::now(bed.pid("a")).signal(Signal::SEGV);
    bed.wait_state("a", "failed");
    let why = bed.why("a");
    assert!(why.starts_with("killed by SIGSEGV"), "{why}");
    let end = bed.why_json("a")["end"].clone();
    assert_eq!(end["signal"], "SIGSEGV");
    // Whether a core is dumped is up to the limits of this machine; where it is, it is told.
    if bed.exits("a").contains(&"signal:11+core".to_owned()) {
        assert!(why.contains(", core "), "{why}");
    } else {
        assert!(end["core"].is_null());
    }
}

#[test]
fn the_core_of_a_run_that_ended_at_once_is_found() {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.starts_with(['|', '/']) {
        eprintln!(
            "skipped: cores of this machine do not go where a program runs ({})",
            pattern.trim()
        );
        return;
    }
    let bed = Bed::new();
    let start =
        "ulimit -c unlimited && \"$0\" start --name a --restart no -- sh -c 'kill -SEGV $$'";
    if bed.shell("ulimit -Hc").stdout.trim() != "unlimited" {
        eprintln!("skipped: no cores are allowed here");
        return;
    }
    bed.shell(start).ok();
    bed.wait_state("a", "failed");
    let why = bed.why("a");
    let core = format!("killed by SIGSEGV, core in {}", bed.path("core").display());
    assert!(why.starts_with(&core), "{why}");
}

#[test]
fn a_reset_ends_the_wait_and_counts_anew() {
    let bed = Bed::new();
    bed.script(
        "a.sh",
        "#!/bin/sh\necho run >> runs\n[ -e cured ] && exec sleep 100000\nexit 1\n",
    );
    bed.tsm(["start", "./a.sh"]).ok();
    bed.wait_file("runs", |text| text.lines().count() == 8);
    // The next one would come after half a minute.
    bed.wait_state("a", "backoff");
    bed.file("cured", "");
    let said = bed.tsm(["reset", "a"]).ok().stdout;
    assert_eq!(said, "Restarts counted anew: a (ID: 1)\n");
    bed.wait_state("a", "running");
    assert_eq!(bed.view("a")["restarts"], 0);
    assert!(bed.meta("a", "failures").is_none());
    bed.tsm(["reset", "nobody"]).exits(3);
}

#[test]
fn who_knows_nothing_says_so() {
    let bed = Bed::new();
    bed.tsm(["why", "a"]).exits(3);
    bed.tsm(["history", "a"]).exits(3);
    bed.start_idle("a");
    bed.start_idle("b");
    bed.tsm(["history", "*"]).exits(2);
    let both = bed.tsm(["why", "all", "--json"]).ok();
    let both: Value = serde_json::from_str(&both.stdout).unwrap();
    assert_eq!(both.as_array().map(Vec::len), Some(2));
}

#[test]
fn what_is_ended_because_it_was_not_ready_in_time_says_so() {
    let bed = Bed::new();
    let start = [
        "start",
        "--name",
        "a",
        "--ready",
        "log:NEVER",
        "--ready-timeout",
        "100ms",
        "--max-restarts",
        "0",
        "--",
        "sleep",
        "100000",
    ];
    bed.tsm(start).ok();
    bed.wait_state("a", "failed");
    let why = bed.why("a");
    let begin =
        "gave up at once: no restarts are allowed (--max-restarts 0); was not ready within ";
    assert!(why.starts_with(begin), "{why}");
    assert!(why.contains("; killed by SIGTERM, "), "{why}");
    let end = bed.why_json("a")["end"].clone();
    assert_eq!(end["unfit"]["kind"], "not-ready");
    let reason = end["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("was not ready within ") && reason.ends_with("; killed by SIGTERM"),
        "{reason}"
    );
}

/// Starts a service whose checks fail until it is cured.
#[track_caller]
fn start_sick(bed: &Bed, more: &[&str], program: &[&str]) {
    let start = [
        "start",
        "--name",
        "a",
        "--health",
        "cmd:test -e cured || { echo hc-said-no; false; }",
        "--health-interval",
        "50ms",
        "--health-retries",
        "2",
    ];
    bed.tsm(start.iter().chain(more).chain(&["--"]).chain(program))
        .ok();
}

#[test]
fn what_is_ended_because_it_is_not_healthy_says_so() {
    let bed = Bed::new();
    start_sick(&bed, &["--restart", "no"], &["sleep", "100000"]);
    bed.wait_state("a", "failed");
    let why = bed.why("a");
    let begin = "was not healthy: it exited with status 1: hc-said-no; killed by SIGTERM, ";
    assert!(why.starts_with(begin), "{why}");
    assert!(why.ends_with("; its restart policy is no"), "{why}");
    let why = bed.why_json("a");
    assert_eq!(why["well"], false);
    assert_eq!(why["end"]["unfit"]["kind"], "unhealthy");
    assert_eq!(
        why["end"]["reason"],
        "was not healthy: it exited with status 1: hc-said-no; killed by SIGTERM"
    );
}

#[test]
fn what_was_not_healthy_and_is_tried_again_says_so() {
    let bed = Bed::new();
    start_sick(&bed, &[], &["sleep", "100000"]);
    let unfit = "was not healthy: it exited with status 1: hc-said-no; killed by SIGTERM, ";
    // The back-off grows, so that it is seen however slow the machine is.
    wait_for("it waits for its next try", || {
        let why = bed.why("a");
        (why.starts_with(unfit) && why.contains("; next try in ")).then_some(())
    });
    let again = format!("started again; the run before: {unfit}");
    bed.file("cured", "");
    wait_for("it runs again", || {
        bed.why("a").contains(&again).then_some(())
    });
}

#[test]
fn while_it_is_ended_for_what_it_was_not_nobody_is_said_to_stop_it() {
    let bed = Bed::new();
    bed.script(
        "a.sh",
        "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n",
    );
    let more = ["--restart", "no", "--stop-timeout", "1h"];
    start_sick(&bed, &more, &["./a.sh"]);
    bed.wait_state("a", "stopping");
    assert_eq!(
        bed.why("a"),
        "is being ended, because it was not healthy: it exited with status 1: hc-said-no"
    );
    bed.tsm(["kill", "a"]).ok();
}

#[test]
fn what_runs_on_and_is_not_healthy_says_so() {
    let bed = Bed::new();
    start_sick(&bed, &["--health-action", "report"], &["sleep", "100000"]);
    bed.wait_view("a", |view| view["health"] == "unhealthy");
    let told = bed.tsm(["why", "a"]).ok().stdout;
    let sentence = " and is not healthy: it exited with status 1: hc-said-no; started by ";
    assert!(told.contains(sentence), "{told}");
    assert!(!told.contains("Last ran well"), "{told}");
    assert!(!told.contains("Errors"), "{told}");
    let why = bed.why_json("a");
    assert_eq!(why["well"], false);
    assert_eq!(
        why["cause"]["unhealthy"],
        "it exited with status 1: hc-said-no"
    );
}

#[test]
fn the_errors_are_those_of_the_last_run() {
    let bed = Bed::new();
    bed.script("a.sh", "#!/bin/sh\necho pid $$ >&2\nexit 1\n");
    // The first restart comes at once.
    bed.tsm(["start", "./a.sh", "--max-restarts", "1"]).ok();
    bed.wait_log_of_events("a", "\"gave-up\"");
    let why = bed.why_json("a");
    let last = format!("pid {}", why["end"]["pid"]);
    assert_eq!(why["end"]["run"], 2);
    let lines = why["stderr"].as_array().unwrap();
    assert_eq!(lines.last().unwrap(), last.as_str());
    // Within one millisecond they cannot be told apart, and then that is said.
    if why["stderr_of_before"] != true {
        assert_eq!(lines.len(), 1, "{why}");
        let told = bed.tsm(["why", "a"]).ok().stdout;
        assert!(told.contains(&format!("\nErrors:\n  {last}\n")), "{told}");
    }
}

#[test]
fn what_nobody_looks_after_has_not_failed() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.tsm(["supervisor", "stop"]).ok();
    let told = bed.tsm(["why", "a"]).ok().stdout;
    assert!(
        told.contains("): runs and nobody looks after it; "),
        "{told}"
    );
    assert!(
        !told.contains("Last ran well") && !told.contains("Errors"),
        "{told}"
    );
}

#[test]
fn what_a_crashed_run_said_last_is_told_while_the_next_one_runs() {
    let bed = Bed::new();
    let script = "#!/bin/sh\nif [ -e once ]; then for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo \"later $n\" >&2; done; : > up; exec sleep 100000; fi\n: > once; echo 'FATAL: no table' >&2; exit 1\n";
    bed.script("a.sh", script);
    bed.tsm(["start", "./a.sh"]).ok();
    bed.wait_file("up", |_| true);
    bed.wait_log("a.err", "later 12\n");
    let why = bed.why_json("a");
    assert_eq!(why["end"]["run"], 1);
    let lines = why["stderr"].as_array().unwrap();
    // What came within one millisecond of its end cannot be told from it.
    assert_eq!(lines[0], "FATAL: no table", "{why}");
}
