//! Nobody else reads or uses a home.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;

use crate::bed::{Bed, is_root, run};

const NOBODY: u32 = 65534;

#[track_caller]
fn everything_is_private(bed: &Bed) {
    let mode = |path: &std::path::Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&bed.home()), 0o700);
    for name in bed.files() {
        // A temporary file may be gone by now.
        let Ok(meta) = fs::symlink_metadata(bed.home().join(&name)) else {
            continue;
        };
        let expected = if meta.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(meta.mode() & 0o7777, expected, "{name}");
    }
}

#[test]
fn every_file_is_private_whatever_the_umask() {
    for umask in ["000", "077", "277"] {
        let bed = Bed::new();
        bed.script(
            "talk.sh",
            "#!/bin/sh\necho x; echo y >&2; exec sleep 100000\n",
        );
        let tsm = |words: &str| bed.shell(&format!("umask {umask}; \"$0\" {words}")).ok();
        tsm("start ./talk.sh");
        tsm("start --name b -- sleep 100000");
        bed.wait_log("talk.err", "y\n");
        bed.crash("b");
        bed.wait_log("talk.out", "x\n");
        everything_is_private(&bed);
        tsm("restart talk");
        tsm("stop b");
        everything_is_private(&bed);
        tsm("start b");
        tsm("supervisor stop");
        tsm("list");
        everything_is_private(&bed);
        tsm("delete b");
        everything_is_private(&bed);
        for expected in [
            "next_id",
            "layout",
            "status.json",
            "supervisor.sock",
            ".lock",
            "logs/tsm.log",
        ] {
            assert!(
                bed.files().iter().any(|name| name == expected),
                "{expected}"
            );
        }
    }
}

#[test]
fn a_home_that_is_open_to_readers_is_closed_and_one_open_to_writers_refused() {
    let bed = Bed::new();
    fs::create_dir(bed.home()).unwrap();
    fs::set_permissions(bed.home(), fs::Permissions::from_mode(0o777)).unwrap();
    let output = bed.tsm(["start", "sleep", "1"]).exits(1);
    assert!(output.message().contains("others may write"), "{output:?}");
    assert_eq!(bed.files(), [""; 0]);
    fs::set_permissions(bed.home(), fs::Permissions::from_mode(0o755)).unwrap();
    bed.start_idle("a");
    everything_is_private(&bed);
}

#[test]
fn root_does_not_use_another_user_s_home_unasked() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    fs::create_dir(bed.home()).unwrap();
    fs::set_permissions(bed.home(), fs::Permissions::from_mode(0o700)).unwrap();
    chown(bed.home(), Some(NOBODY), Some(NOBODY)).unwrap();
    let home = bed.home();
    let output = bed
        .tsm(["start", "--name", "a", "--", "sleep", "1"])
        .exits(1);
    assert!(output.message().contains("owned by nobody"), "{output:?}");
    assert!(output.message().contains("--home"), "{output:?}");
    for args in [&["list"][..], &["info", "a"], &["stop", "all"]] {
        let output = bed.tsm(args).exits(1);
        assert!(
            output.message().contains("owned by nobody"),
            "{args:?}: {output:?}"
        );
    }
    assert_eq!(bed.files(), [""; 0]);
    bed.tsm(["list", "--home", home.to_str().unwrap()]).ok();
}

#[test]
fn another_user_is_told_whose_home_it_is() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    bed.open_to_others();
    bed.start_idle("a");
    // Where the program itself was built, others may not look.
    let program = bed.path("tsm");
    bed.program(&program);
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["info", "a"],
        &["stop", "a"],
        &["logs", "a"],
    ] {
        let mut command = bed.command(&program);
        command.args(args).uid(NOBODY).gid(NOBODY);
        let output = run(command).exits(1);
        let message = output.message();
        assert!(
            message.contains("Permission denied") || message.contains("owned by root"),
            "{args:?}: {message}"
        );
    }
    assert_eq!(bed.state("a"), "running");
}
