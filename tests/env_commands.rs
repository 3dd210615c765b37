//! `tsm env`, `--env-file`, `restart --env` and `--update-env`.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::bed::Bed;
use crate::command::{Output, run};
use crate::processes::variable;

pub(crate) fn idle(bed: &Bed) -> String {
    let script = bed.script("idle.sh", "#!/bin/sh\nexec sleep 100000\n");
    script.to_str().unwrap().to_owned()
}

pub(crate) fn start(bed: &Bed, name: &str, args: &[&str]) -> u32 {
    let script = idle(bed);
    let command = [&["start", &script, "--name", name], args].concat();
    bed.tsm(command).ok();
    bed.pid(name)
}

/// `tsm ARGS` with more variables.
pub(crate) fn with(bed: &Bed, args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = bed.tsm_command(args);
    command.envs(variables.iter().copied());
    command
}

#[track_caller]
pub(crate) fn value(bed: &Bed, process: &str, name: &str) -> Option<String> {
    variable(bed.pid(process), name).map(|value| value.into_string().unwrap())
}

#[track_caller]
fn has_line(output: &Output, line: &str) {
    assert!(
        output.stdout.lines().any(|l| l == line),
        "no line {line:?} in\n{}",
        output.stdout
    );
}

#[test]
fn each_variable_is_shown_with_its_origin_and_secrets_are_covered() {
    let bed = Bed::new();
    bed.file("vars.env", "FROM_FILE=1\nBOTH=file\n");
    let script = idle(&bed);
    let args = [
        "start",
        &script,
        "--name",
        "a",
        "--port",
        "4971",
        "--env-file",
        "vars.env",
        "--env",
        "BOTH=option",
        "--env",
        "API_TOKEN=hunter2",
        "--env",
        "DATABASE=postgres://app:hunter2@db/x",
    ];
    let mut command = with(&bed, &args, &[("LINES_OF", "two\nlines"), ("PORT", "9")]);
    command.env("EMPTY_SECRET", "");
    run(command).ok();
    let shown = bed.tsm(["env", "show", "a"]).ok();
    for line in [
        "file    FROM_FILE=1",
        "--env   BOTH=option",
        "--env   API_TOKEN=********",
        "--env   DATABASE=postgres://app:********@db/x",
        "shell   LINES_OF=$'two\\nlines'",
        "TSM     PORT=4971",
        "TSM     TSM_NAME=a",
    ] {
        has_line(&shown, line);
    }
    let names: Vec<&str> = shown.stdout.lines().map(|line| &line[8..]).collect();
    assert!(names.is_sorted(), "{}", shown.stdout);
    let line = "A_TOKEN=hunter2 exec sleep 100000";
    bed.tsm(["start", line, "--name", "line"]).ok();
    let script = bed.script("args.sh", "#!/bin/sh\nexec sleep 100000\n");
    let args = ["--password", "hunter2", "--api-token=hunter2"];
    bed.tsm(
        [
            &["start", script.to_str().unwrap(), "--name", "args", "--"][..],
            &args,
        ]
        .concat(),
    )
    .ok();
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["info", "line"],
        &["info", "line", "--json"],
        &["info", "args"],
        &["info", "args", "--json"],
    ] {
        let told = bed.tsm(args).ok();
        assert!(!told.stdout.contains("hunter2"), "{}", told.stdout);
        assert!(told.stdout.contains("********"), "{}", told.stdout);
    }
    for format in [
        &["--json"][..],
        &["--format", "json"],
        &["--format", "dotenv"],
        &["--format", "shell"],
        &[],
    ] {
        let covered = bed.tsm([&["env", "show", "a"], format].concat()).ok();
        assert!(!covered.stdout.contains("hunter2"), "{}", covered.stdout);
        let open = bed
            .tsm([&["env", "show", "a", "--reveal"], format].concat())
            .ok();
        assert_eq!(open.stdout.matches("hunter2").count(), 2, "{}", open.stdout);
    }
    let some = bed.tsm(["env", "show", "a", "API_TOKEN", "NONE"]).exits(1);
    assert_eq!(some.stdout, "--env   API_TOKEN=********\n");
    assert!(
        some.stderr.contains("'a' has no variable NONE"),
        "{}",
        some.stderr
    );
    bed.tsm(["env", "show", "nobody"]).exits(3);
    // The record holds them for its owner alone.
    let mode = bed
        .home()
        .join("processes/a.env")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_difference_to_this_shell_or_another_process_exits_1() {
    let bed = Bed::new();
    start(&bed, "a", &[]);
    let same = bed.tsm(["env", "diff", "a"]).ok();
    assert_eq!(same.stdout, "");
    start(&bed, "b", &["--env", "NEW=1", "--env", "B_SECRET=x"]);
    let told = bed.tsm(["env", "diff", "a", "b"]).exits(1);
    assert_eq!(
        told.stdout,
        "+ B_SECRET: not set → ********\n+ NEW: not set → 1\n"
    );
    let told = run(with(
        &bed,
        &["env", "diff", "b"],
        &[("NEW", "2"), ("B_SECRET", "y")],
    ))
    .exits(1);
    assert_eq!(
        told.stdout,
        "~ B_SECRET: ******** → ******** (they differ)\n~ NEW: 1 → 2\n"
    );
    let json = bed
        .tsm(["env", "diff", "b", "a", "--json", "--reveal"])
        .exits(1);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json[0]["left"], "x");
    assert_eq!(
        json[1],
        serde_json::json!({"name": "NEW", "left": "1", "right": null})
    );
}

#[test]
fn what_is_set_and_unset_acts_at_the_next_restart() {
    let bed = Bed::new();
    let pid = start(&bed, "a", &["--env", "OLD=1", "--env", "GOES=1"]);
    let told = bed.tsm(["env", "set", "a", "NEW=x=y", "OLD="]).ok();
    assert!(told.stdout.contains("at the next start"), "{}", told.stdout);
    bed.tsm(["env", "unset", "a", "GOES"]).ok();
    assert_eq!(bed.pid("a"), pid);
    assert_eq!(value(&bed, "a", "NEW"), None);
    bed.crash("a");
    bed.wait_new_pid("a", pid);
    assert_eq!(value(&bed, "a", "NEW").as_deref(), Some("x=y"));
    assert_eq!(value(&bed, "a", "OLD").as_deref(), Some(""));
    assert_eq!(value(&bed, "a", "GOES"), None);
    for wrong in [
        &["env", "set", "a", "NOEQUALS"][..],
        &["env", "set", "a", "=x"],
        &["env", "set", "a", "TSM_NAME=x", "TSM_ID=4"],
        &["restart", "a", "--env", "TSM_ID=4"],
        &["env", "unset", "a", "A=B"],
    ] {
        let told = bed.tsm(wrong).exits(2);
        assert_eq!(told.stderr.lines().count(), 1, "{}", told.stderr);
    }
    // Forty at once lose nothing.
    std::thread::scope(|scope| {
        for number in 0..40 {
            let bed = &bed;
            scope.spawn(move || {
                bed.tsm(["env", "set", "a", &format!("AT_ONCE_{number}=1")])
                    .ok();
            });
        }
    });
    let shown = bed.tsm(["env", "show", "a"]).ok();
    assert_eq!(shown.stdout.matches("AT_ONCE_").count(), 40);
}

#[test]
fn an_update_takes_what_is_new_other_and_gone_and_leaves_what_was_given() {
    let bed = Bed::new();
    let script = idle(&bed);
    let start = ["start", &script, "--name", "a", "--env", "GIVEN=1"];
    run(with(
        &bed,
        &start,
        &[("CHANGES", "old"), ("GOES", "1"), ("GIVEN", "shell")],
    ))
    .ok();
    bed.tsm(["env", "unset", "a", "NEVER"]).ok();
    let shell = [
        ("CHANGES", "new"),
        ("COMES", "1"),
        ("GIVEN", "shell2"),
        ("NEVER", "1"),
    ];
    run(with(&bed, &["restart", "a"], &shell)).ok();
    assert_eq!(value(&bed, "a", "CHANGES").as_deref(), Some("old"));
    assert_eq!(value(&bed, "a", "GOES").as_deref(), Some("1"));
    run(with(&bed, &["restart", "a", "--update-env"], &shell)).ok();
    assert_eq!(value(&bed, "a", "CHANGES").as_deref(), Some("new"));
    assert_eq!(value(&bed, "a", "COMES").as_deref(), Some("1"));
    assert_eq!(value(&bed, "a", "GOES"), None);
    assert_eq!(value(&bed, "a", "GIVEN").as_deref(), Some("1"));
    assert_eq!(value(&bed, "a", "NEVER"), None);
    // And it is that from now on: after a crash, and after a stop.
    let crashed = bed.crash("a");
    let before = bed.wait_new_pid("a", crashed);
    assert_eq!(value(&bed, "a", "CHANGES").as_deref(), Some("new"));
    bed.tsm(["stop", "a"]).ok();
    bed.tsm(["start", "a"]).ok();
    bed.wait_new_pid("a", before);
    assert_eq!(value(&bed, "a", "GOES"), None);
    bed.file("more.env", "FROM=file\nGIVEN=file\n");
    bed.tsm(["restart", "a", "--env-file", "more.env", "--env", "LAST=1"])
        .ok();
    assert_eq!(value(&bed, "a", "FROM").as_deref(), Some("file"));
    assert_eq!(value(&bed, "a", "GIVEN").as_deref(), Some("file"));
    assert_eq!(value(&bed, "a", "CHANGES").as_deref(), Some("new"));
    let shown = bed.tsm(["env", "show", "a", "GIVEN", "LAST"]).ok();
    assert_eq!(shown.stdout, "file    GIVEN=file\n--env   LAST=1\n");
}

#[test]
fn the_port_is_the_declared_one() {
    let bed = Bed::new();
    start(&bed, "a", &["--port", "4971"]);
    for args in [
        &["env", "set", "a", "PORT=4002"][..],
        &["restart", "a", "--env", "PORT=4002"],
    ] {
        let told = bed.tsm(args).exits(2);
        assert!(
            told.stderr
                .contains("differs from the declared --port 4971"),
            "{}",
            told.stderr
        );
    }
    bed.tsm(["env", "set", "a", "PORT=4971"]).ok();
    assert_eq!(value(&bed, "a", "PORT").as_deref(), Some("4971"));
}

#[test]
fn a_mistake_in_a_dotenv_file_is_told_with_its_line_and_nothing_happens() {
    let bed = Bed::new();
    bed.file("bad.env", "GOOD=1\nnothing here\n");
    let script = idle(&bed);
    let told = bed
        .tsm(["start", &script, "--name", "a", "--env-file", "bad.env"])
        .exits(1);
    assert!(
        told.stderr.contains("bad.env: line 2: no `=` in it"),
        "{}",
        told.stderr
    );
    assert_eq!(bed.process_files(), [""; 0]);
    let pid = start(&bed, "a", &[]);
    bed.tsm(["restart", "a", "--env-file", "bad.env"]).exits(1);
    let told = bed.tsm(["restart", "a", "--env-file", "none.env"]).exits(1);
    assert!(told.stderr.contains("none.env"), "{}", told.stderr);
    assert_eq!(bed.pid("a"), pid);
}

#[test]
fn umask_nice_value_and_limits_are_given_back_and_told() {
    let bed = Bed::new();
    let script = bed.script(
        "tell.sh",
        "#!/bin/sh\necho \"$(umask) $(nice) $(ulimit -n) $(pwd)\"\nexec sleep 100000\n",
    );
    let line = format!(
        "umask 0037; ulimit -n 777; nice -n 7 \"$0\" start {} --name a",
        script.display()
    );
    bed.shell(&line).ok();
    // `nice -n` adds to the nice value that the tests themselves run with.
    let nice: i32 = bed.shell("nice").stdout.trim().parse().unwrap();
    let nice = nice + 7;
    let expected = format!("0037 {nice} 777 {}\n", bed.work().display());
    assert_eq!(bed.wait_log("a.out", "\n"), expected);
    bed.tsm(["restart", "a"]).ok();
    assert_eq!(
        bed.wait_log("a.out", &expected.repeat(2)),
        expected.repeat(2)
    );
    let told = bed.tsm(["info", "a"]).ok();
    has_line(&told, "Umask: 0037");
    has_line(&told, &format!("Nice: {nice}"));
    let limits = told
        .stdout
        .lines()
        .find(|line| line.starts_with("Limits: "));
    assert!(
        limits.is_some_and(|line| line.contains("nofile 777")),
        "{}",
        told.stdout
    );
    let info = bed.info("a");
    assert_eq!(
        (info["umask"].as_str(), info["nice"].as_i64()),
        (Some("0037"), Some(i64::from(nice)))
    );
}

#[test]
fn the_largest_of_what_is_too_large_is_named() {
    let bed = Bed::new();
    start(&bed, "a", &[]);
    let big = "x".repeat(100 << 10);
    bed.tsm(["env", "set", "a", &format!("BIG={big}")]).ok();
    bed.tsm(["restart", "a"]).ok();
    assert_eq!(value(&bed, "a", "BIG").unwrap().len(), big.len());
    bed.file("huge.env", format!("HUGE={}\n", "x".repeat(200 << 10)));
    // A process that runs goes on, with its snapshot.
    let (pid, path) = (bed.pid("a"), bed.home().join("processes/a.env"));
    let before = std::fs::read(&path).unwrap();
    bed.file(
        "full.env",
        format!("HUGE={}\n", "x".repeat((128 << 10) - 5)),
    );
    for file in ["huge.env", "full.env"] {
        let told = bed.tsm(["restart", "a", "--env-file", file]).exits(1);
        let expected = "the largest is the variable HUGE with";
        assert!(told.stderr.contains(expected), "{}", told.stderr);
        assert_eq!(told.stderr.lines().count(), 1, "{}", told.stderr);
    }
    assert_eq!((bed.pid("a"), std::fs::read(&path).unwrap()), (pid, before));
    let script = idle(&bed);
    let told = bed
        .tsm(["start", &script, "--name", "b", "--env-file", "huge.env"])
        .exits(1);
    assert!(
        told.stderr
            .contains("one string may have 128 KiB; the largest is the variable HUGE with 200 KiB"),
        "{}",
        told.stderr
    );
}

#[test]
fn a_stopped_process_starts_in_an_environment_that_is_given_and_a_running_one_keeps_its_own() {
    let bed = Bed::new();
    start(&bed, "a", &[]);
    let told = bed.tsm(["start", "a", "--env", "NEW=1"]).exits(4);
    assert!(told.stderr.contains("restart"), "{}", told.stderr);
    assert_eq!(value(&bed, "a", "NEW"), None);
    bed.tsm(["stop", "a"]).ok();
    bed.file("1.env", "ONE=one\n");
    bed.file("2.env", "TWO=${ONE}-two\n");
    let args = [
        "start",
        "a",
        "--env",
        "NEW=1",
        "--env-file",
        "1.env",
        "--env-file",
        "2.env",
    ];
    bed.tsm(args).ok();
    assert_eq!(value(&bed, "a", "NEW").as_deref(), Some("1"));
    assert_eq!(value(&bed, "a", "TWO").as_deref(), Some("one-two"));
    // What was given stays, as after a restart.
    bed.tsm(["restart", "a"]).ok();
    assert_eq!(value(&bed, "a", "NEW").as_deref(), Some("1"));
}

#[test]
fn what_was_unset_by_hand_can_be_left_to_the_shell_again() {
    let bed = Bed::new();
    let script = idle(&bed);
    run(with(
        &bed,
        &["start", &script, "--name", "a"],
        &[("E2", "two")],
    ))
    .ok();
    bed.tsm(["env", "unset", "a", "E2"]).ok();
    let update = ["restart", "a", "--update-env"];
    run(with(&bed, &update, &[("E2", "new")])).ok();
    assert_eq!(value(&bed, "a", "E2"), None);
    bed.tsm(["env", "unset", "a", "E2", "--forget"]).ok();
    run(with(&bed, &update, &[("E2", "new")])).ok();
    assert_eq!(value(&bed, "a", "E2").as_deref(), Some("new"));
}

#[test]
fn a_dotenv_file_of_one_process_is_taken_by_another() {
    let bed = Bed::new();
    start(&bed, "a", &["--env", "WILD=it's \"$X\" `y`"]);
    let shown = bed
        .tsm(["env", "show", "a", "--reveal", "--format", "dotenv"])
        .ok();
    bed.file("a.env", &shown.stdout);
    start(&bed, "b", &["--env-file", "a.env"]);
    assert_eq!(value(&bed, "b", "WILD"), value(&bed, "a", "WILD"));
    bed.file("own.env", "A=1\nexport TSM_ID=5\n");
    let told = bed.tsm(["restart", "b", "--env-file", "own.env"]).exits(2);
    assert!(told.stderr.contains("own.env: line 2: "), "{}", told.stderr);
}

#[test]
fn no_message_shows_a_secret_that_was_typed_in_a_wrong_place() {
    let bed = Bed::new();
    start(&bed, "a", &[]);
    for args in [
        ["env", "unset", "a", "API_TOKEN=hunter2"].as_slice(),
        &["env", "show", "a", "API_TOKEN=hunter2"],
        &["start", "API_TOKEN=hunter2", "sleep", "5"],
        &["restart", "a", "API_TOKEN=hunter2"],
        &["env", "diff", "a", "API_TOKEN=hunter2"],
    ] {
        let output = bed.tsm(args.iter().copied());
        assert_ne!(output.status, 0, "{args:?}");
        assert!(
            !output.stderr.contains("hunter2"),
            "{args:?}: {}",
            output.stderr
        );
        assert!(
            output.stderr.contains("API_TOKEN=********"),
            "{args:?}: {}",
            output.stderr
        );
    }
}
