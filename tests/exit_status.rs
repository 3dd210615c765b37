//! Exit statuses, messages, and what a home that nobody uses looks like.

use std::fs;

use crate::bed::Bed;

#[test]
fn what_was_done_exits_0() {
    let bed = Bed::new();
    bed.start_idle("api");
    for args in [
        &["list"][..],
        &["list", "api"],
        &["info", "api"],
        &["logs", "api"],
        &["supervisor", "status"],
        &["stop", "api"],
        &["start", "api"],
        &["restart", "api"],
        &["delete", "api"],
        &["--help"],
        &["start", "--help"],
        &["--version"],
        &[],
    ] {
        let output = bed.tsm(args).ok();
        assert_eq!(output.stderr, "", "{args:?}");
        assert!(
            !output.stdout.is_empty() || args == ["logs", "api"],
            "{args:?}"
        );
    }
}

#[test]
fn quiet_says_nothing_but_errors() {
    let bed = Bed::new();
    let started = bed
        .tsm(["-q", "start", "--name", "api", "--", "sleep", "100000"])
        .ok();
    assert_eq!(started.stdout + &started.stderr, "");
    bed.tsm(["stop", "api"]).ok();
    let stopped = bed.tsm(["stop", "api", "--quiet"]).ok();
    assert_eq!(stopped.stdout + &stopped.stderr, "");
    assert!(
        bed.tsm(["-q", "stop", "b"])
            .exits(3)
            .message()
            .contains("'b'")
    );
}

#[test]
fn what_failed_exits_1_in_one_line() {
    let bed = Bed::new();
    let output = bed.tsm(["start", "./nothing.sh"]).exits(1);
    assert!(output.message().contains("nothing.sh"), "{output:?}");
    let output = bed.tsm(["start", "no-such-program-anywhere"]).exits(1);
    assert!(output.message().contains("no-such-program-anywhere"));
}

#[test]
fn wrong_usage_exits_2_in_at_most_four_lines_and_changes_nothing() {
    let bed = Bed::new();
    let long = "x".repeat(129);
    for args in [
        &["nonsense"][..],
        &["start"],
        &["stop"],
        &["restart"],
        &["delete"],
        &["info"],
        &["list", "--bogus"],
        &["start", "sleep", "--bogus", "1"],
        &["supervisor"],
        &["supervisor", "dance"],
        &["logs", "--tail", "few"],
        &["logs", "--out", "--err"],
        &["start", "sleep", "1", "--port", "65536"],
        &["start", "sleep", "1", "--port", "0"],
        &["start", "sleep", "1", "--restart", "perhaps"],
        &["start", "sleep", "1", "--stop-timeout", "soon"],
        &["start", "sleep", "1", "--stop-signal", "NOTHING"],
        &["start", "sleep", "1", "--env", "NOTHING"],
        &["start", "sleep", "1", "--env", "PORT=1", "--port", "2"],
        &["start", "sleep", "1", "--name", ""],
        &["start", "sleep", "1", "--name", "../x"],
        &["start", "sleep", "1", "--name", "a/b"],
        &["start", "sleep", "1", "--name", "a b"],
        &["start", "sleep", "1", "--name", "ä"],
        &["start", "sleep", "1", "--name", ".x"],
        &["start", "sleep", "1", "--name=-x"],
        &["start", "sleep", "1", "--name", "@x"],
        &["start", "sleep", "1", "--name", "42"],
        &["start", "sleep", "1", "--name", "all"],
        &["start", "sleep", "1", "--name", &long],
        &["stop", "a b"],
        &["stop", "[a"],
    ] {
        let output = bed.tsm(args).exits(2);
        assert_eq!(output.stdout, "", "{args:?}");
        let lines = output.stderr.lines().count();
        assert!((1..=4).contains(&lines), "{args:?}: {}", output.stderr);
        assert!(!bed.home().exists(), "{args:?} made a home");
    }
    let output = bed.tsm(["nonsense"]).exits(2);
    assert!(output.stderr.contains("nonsense"), "{}", output.stderr);
    let output = bed.tsm(["start", "sleep", "1", "--env", "PORT=1", "--port", "2"]);
    assert!(output.message().contains("PORT=1"));
}

#[test]
fn the_same_port_twice_is_no_mistake_and_the_option_wins_over_the_shell() {
    let bed = Bed::new();
    let start = [
        "start",
        "--name",
        "a",
        "--env",
        "PORT=4971",
        "--port",
        "4971",
    ];
    bed.tsm(start.iter().chain(&["--", "sleep", "100000"])).ok();
    let port = crate::processes::variable(bed.pid("a"), "PORT");
    assert_eq!(port.unwrap(), "4971");
    let mut command = bed.tsm_command(["start", "--name", "b", "--port", "4972"]);
    command.args(["--", "sleep", "100000"]).env("PORT", "1");
    crate::bed::run(command).ok();
    let port = crate::processes::variable(bed.pid("b"), "PORT");
    assert_eq!(port.unwrap(), "4972");
}

#[test]
fn what_does_not_exist_exits_3_with_a_suggestion() {
    let bed = Bed::new();
    bed.start_idle("devpages-dev");
    for verb in ["stop", "kill", "restart", "delete", "info", "list", "logs"] {
        let output = bed.tsm([verb, "devpage"]).exits(3);
        assert_eq!(
            output.message(),
            "no process 'devpage'; did you mean 'devpages-dev'?",
            "{verb}"
        );
        let output = bed.tsm([verb, "zzz"]).exits(3);
        assert_eq!(output.message(), "no process 'zzz'", "{verb}");
        bed.tsm([verb, "99"]).exits(3);
        bed.tsm([verb, "@zzz"]).exits(3);
        bed.tsm([verb, "zzz-*"]).exits(3);
        // One of several that does not exist stops all of it.
        bed.tsm([verb, "devpages-dev", "zzz"]).exits(3);
    }
    assert_eq!(bed.state("devpages-dev"), "running");
    bed.tsm(["stop", "devpages-dev"]).ok();
    let output = bed.tsm(["start", "devpages-dev", "zzz"]).exits(3);
    assert_eq!(
        output.message(),
        "no process 'zzz'; all words name processes, since 'devpages-dev' is one: 'tsm start -- devpages-dev …' starts another"
    );
    assert_eq!(bed.state("devpages-dev"), "stopped", "nothing starts then");
}

#[test]
fn what_is_there_already_exits_4() {
    let bed = Bed::new();
    let pid = bed.start_idle("api");
    let again = ["start", "--name", "api", "--", "sleep", "5"];
    assert!(bed.tsm(again).exits(4).message().contains("'api'"));
    assert!(
        bed.tsm(["start", "api"])
            .exits(4)
            .message()
            .contains("'api'")
    );
    assert_eq!(bed.pid("api"), pid);
    bed.tsm(["stop", "api"]).ok();
    // A name that is given is for something new, also where what has it rests.
    bed.tsm(again).exits(4);
    assert_eq!(bed.view("api")["args"], serde_json::json!(["100000"]));
}

#[test]
fn a_home_that_nobody_used_is_read_and_not_made() {
    let bed = Bed::new();
    let listed = bed.tsm(["list", "--json"]).ok();
    assert_eq!((listed.stdout.trim(), &*listed.stderr), ("[]", ""));
    bed.tsm(["list"]).ok();
    bed.tsm(["logs"]).ok();
    bed.tsm(["info", "x"]).exits(3);
    bed.tsm(["stop", "x"]).exits(3);
    bed.tsm(["supervisor", "stop"]).ok();
    let status = bed.tsm(["supervisor", "status", "--json"]).ok();
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["running"], false);
    assert!(status["pid"].is_null());
    assert!(!bed.home().exists());

    // An empty one that is there stays as it is.
    fs::create_dir(bed.home()).unwrap();
    let listed = bed.tsm(["list", "--json"]).ok();
    assert_eq!((listed.stdout.trim(), &*listed.stderr), ("[]", ""));
    assert_eq!(bed.files(), [""; 0]);
    assert_eq!(bed.supervisor_pid(), None);
    fs::remove_dir(bed.home()).unwrap();
}

#[test]
fn stop_of_what_is_stopped_exits_0_with_a_note() {
    let bed = Bed::new();
    bed.start_idle("api");
    bed.tsm(["stop", "api"]).ok();
    let again = bed.tsm(["stop", "api"]).ok();
    assert_eq!(again.stdout, "");
    assert!(again.stderr_line().contains("'api'"), "{again:?}");
    assert!(again.stderr_line().contains("not running"), "{again:?}");
    bed.tsm(["kill", "api"]).ok();
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let bed = Bed::new();
    bed.start_idle("api");
    let output = bed.shell("{ \"$0\" info api; echo $? >&2; } | true");
    assert_eq!(output.stderr.trim(), "0");
}
