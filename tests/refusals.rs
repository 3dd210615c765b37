//! Starts that cannot work: refused at once, exactly, and without a trace.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::bed::{Bed, is_root};

/// Nothing of a start that failed is left, and the next one has an id of its own.
#[track_caller]
fn leaves_no_trace(bed: &Bed) {
    assert_eq!(bed.process_files(), [""; 0]);
    assert_eq!(bed.list(), [serde_json::Value::Null; 0]);
    let first = bed.start_idle("first");
    let second = bed.start_idle("second");
    assert_ne!(first, second);
    let ids: Vec<u64> = bed
        .list()
        .iter()
        .map(|v| v["id"].as_u64().unwrap())
        .collect();
    assert!(ids[0] >= 1 && ids[1] > ids[0], "{ids:?}");
}

#[track_caller]
fn refused(bed: &Bed, args: &[&str], words: &[&str]) {
    let output = bed.tsm([&["start"], args].concat()).exits(1);
    let message = output.message();
    for word in words {
        assert!(
            message.contains(word),
            "{args:?} misses {word:?}: {message}"
        );
    }
}

#[test]
fn a_missing_interpreter_is_named_with_its_path() {
    let bed = Bed::new();
    bed.script("a.sh", "#!/no/such/interpreter -x\n");
    refused(&bed, &["./a.sh"], &["/no/such/interpreter"]);
    refused(
        &bed,
        &["./a.sh", "--name", "named"],
        &["'named'", "/no/such/interpreter"],
    );
    bed.script("b", "#!/usr/bin/env\r\n");
    refused(&bed, &["./b"], &["/usr/bin/env", "carriage return"]);
    leaves_no_trace(&bed);
}

#[test]
fn a_file_that_says_nothing_of_how_to_run_it_is_refused() {
    let bed = Bed::new();
    bed.file("data.bin", "x");
    refused(
        &bed,
        &["./data.bin"],
        &["data.bin", "chmod +x", "--interpreter"],
    );
    bed.file("noextension", "x");
    refused(&bed, &["noextension"], &["noextension", "not executable"]);
    fs::create_dir(bed.path("directory.sh")).unwrap();
    refused(&bed, &["./directory.sh"], &["directory"]);
    refused(&bed, &["./gone.sh"], &["gone.sh", "No such file"]);
    refused(&bed, &["gone-program"], &["gone-program", "PATH"]);
    refused(&bed, &["gone-program --x 'y'"], &["gone-program", "PATH"]);
    leaves_no_trace(&bed);
}

#[test]
fn a_program_that_cannot_be_executed_is_refused() {
    let bed = Bed::new();
    bed.script("broken.sh", "#!/bin/sh\n");
    let broken = bed.path("broken.sh");
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o644)).unwrap();
    refused(
        &bed,
        &["./broken.sh", "--interpreter", "none"],
        &["broken.sh", "Permission denied"],
    );
    // An ELF header and nothing behind it.
    bed.script("torn", "\x7fELF");
    refused(&bed, &["./torn"], &["torn"]);
    leaves_no_trace(&bed);
}

#[test]
fn a_working_directory_that_is_none_is_refused() {
    let bed = Bed::new();
    bed.file("file", "");
    let output = bed
        .tsm(["start", "--cwd", "nowhere", "sleep", "1"])
        .exits(1);
    assert!(output.message().contains("nowhere"), "{output:?}");
    let output = bed.tsm(["start", "--cwd", "file", "sleep", "1"]);
    assert!(matches!(output.status, 1 | 2), "{output:?}");
    assert!(output.message().contains("file"), "{output:?}");
    leaves_no_trace(&bed);
}

#[test]
fn another_user_s_locked_directory_is_named() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    bed.open_to_others();
    fs::create_dir(bed.path("locked")).unwrap();
    fs::set_permissions(bed.path("locked"), fs::Permissions::from_mode(0o700)).unwrap();
    refused(
        &bed,
        &["--user", "nobody", "--cwd", "locked", "sleep", "1"],
        &["working directory", "Permission denied"],
    );
    bed.script("mine.sh", "#!/bin/sh\n");
    let mine = bed.path("mine.sh");
    fs::set_permissions(&mine, fs::Permissions::from_mode(0o700)).unwrap();
    refused(
        &bed,
        &["--user", "nobody", "./mine.sh"],
        &["mine.sh", "Permission denied"],
    );
    let output = bed
        .tsm(["start", "--user", "no-such-user", "sleep", "1"])
        .exits(2);
    assert!(output.message().contains("no-such-user"));
    leaves_no_trace(&bed);
}

#[test]
fn an_environment_that_is_too_large_is_named() {
    let bed = Bed::new();
    // Together more than the kernel takes for a program, each of them less than it takes for a string.
    let mut command = bed.tsm_command(["start", "--name", "a"]);
    for number in 0..16 {
        command.args([
            "--env",
            &format!("LARGE_{number}={}", "x".repeat(120 << 10)),
        ]);
    }
    command.args(["--", "sleep", "100000"]);
    let started = crate::bed::run(command);
    // A stack limit that allows for it is no mistake of ours.
    if started.status != 0 {
        assert!(started.exits(1).message().contains("too large"));
        leaves_no_trace(&bed);
    }
}

#[test]
fn a_known_process_whose_script_is_gone_keeps_its_record() {
    let bed = Bed::new();
    let script = bed.script("a.sh", "#!/bin/sh\necho ready\nexec sleep 100000\n");
    bed.tsm(["start", "./a.sh"]).ok();
    bed.wait_log("a.out", "ready\n");
    bed.tsm(["stop", "a"]).ok();
    fs::remove_file(script).unwrap();
    let output = bed.tsm(["start", "a"]).exits(1);
    assert!(output.message().contains("a.sh"), "{output:?}");
    let view = bed.view("a");
    assert_eq!(view["state"], "failed");
    assert!(
        view["exit"]["reason"].as_str().unwrap().contains("a.sh"),
        "{view}"
    );
    bed.script("a.sh", "#!/bin/sh\nexec sleep 100000\n");
    bed.tsm(["start", "a"]).ok();
    assert_eq!(bed.view("a")["id"], 1);
}

#[test]
fn a_link_in_the_place_of_a_log_is_not_followed() {
    let bed = Bed::new();
    bed.start_idle("first");
    let other = bed.file("other", "mine\n");
    let log = bed.home().join("logs/a.out");
    std::os::unix::fs::symlink(&other, &log).unwrap();
    let told = bed
        .tsm(["start", "--name", "a", "--", "echo", "hi"])
        .exits(1);
    assert!(
        told.stderr.contains(log.to_str().unwrap()),
        "{}",
        told.stderr
    );
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine\n");
    assert_eq!(bed.names(), ["first"]);
}
