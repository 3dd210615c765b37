//! Root and the homes and files of others; clients that flood.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use crate::bed::{Bed, is_root, run};
use crate::fault_clients::{connect, frame};
use crate::processes::status_field;

/// `nobody`, which every machine has.
const SOMEBODY: u32 = 65534;

#[track_caller]
fn kilobytes(pid: u32) -> u64 {
    let resident = status_field(pid, "VmRSS");
    resident.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_home_that_cannot_be_looked_at_is_not_taken_for_none() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let tsm = bed.work().join("tsm-copy");
    let hidden = bed.work().join("hidden");
    bed.program(&tsm);
    bed.open_to_others();
    fs::create_dir(&hidden).unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o700)).unwrap();
    let commands: [&[&str]; 5] = [
        &["supervisor", "stop"],
        &["supervisor", "status"],
        &["stop", "a"],
        &["list"],
        &[],
    ];
    for words in commands {
        let mut command = bed.command(&tsm);
        command.uid(SOMEBODY).gid(SOMEBODY);
        command.env("TSM_HOME", hidden.join("home")).args(words);
        let said = run(command).exits(1);
        assert!(said.stderr.contains("Permission denied"), "{said:?}");
        assert_eq!(said.stdout, "", "{said:?}");
    }
}

#[test]
fn in_a_home_of_another_user_root_goes_on_as_that_user() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    bed.open_to_others();
    // A program that the other user may execute.
    let tsm = bed.root().join("tsm-copy");
    bed.program(&tsm);
    fs::create_dir_all(bed.home().join("logs")).unwrap();
    for directory in [bed.home(), bed.home().join("logs")] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        chown(&directory, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    }
    // What the other user would like root to write into.
    let secret = bed.path("secret");
    fs::write(&secret, "untouched").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&secret, bed.home().join("logs/tsm.log")).unwrap();
    let tsm_as_root = |words: &[&str]| {
        let mut command = bed.command(&tsm);
        command.arg("--home").arg(bed.home()).args(words);
        run(command)
    };
    tsm_as_root(&["start", "--name", "a", "--", "sleep", "100000"]).exits(1);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "untouched");
    fs::remove_file(bed.home().join("logs/tsm.log")).unwrap();
    let started = tsm_as_root(&["start", "--name", "a", "--", "sleep", "100000"]).ok();
    assert!(started.stderr.contains("goes on as "), "{started:?}");
    let pid = started.stdout.lines().nth(1).unwrap();
    let pid: u32 = pid
        .trim_start_matches("Process started with PID: ")
        .split(',')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        status_field(pid, "Uid").starts_with("65534\t65534"),
        "{}",
        status_field(pid, "Uid")
    );
    let owner = |file: &str| fs::metadata(bed.home().join(file)).unwrap().uid();
    for file in [
        "processes/a.meta",
        "processes/a.env",
        "logs/a.out",
        "supervisor.sock",
    ] {
        assert_eq!(owner(file), SOMEBODY, "{file}");
    }
    tsm_as_root(&["doctor"]).ok();
    tsm_as_root(&["delete", "a"]).ok();
    tsm_as_root(&["supervisor", "stop"]).ok();
    // Not named, it is refused, as ever.
    assert!(bed.tsm(["list"]).exits(1).stderr.contains("say --home"));
    chown(bed.home(), Some(0), Some(0)).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test made it")]
    fs::remove_dir_all(bed.home()).unwrap();
}

#[test]
fn root_writes_no_log_and_makes_no_home_where_another_user_can_change_the_path() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let theirs = bed.path("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(SOMEBODY), None).unwrap();
    let log = theirs.join("app.log");
    let start = |log: &Path| {
        let mut command = bed.tsm_command(["start", "--name", "a", "--out"]);
        command.arg(log).args(["--", "sleep", "100000"]);
        run(command)
    };
    let refused = start(&log).exits(1);
    assert!(
        refused
            .stderr_line()
            .contains("can change where the path leads"),
        "{refused:?}"
    );
    assert!(!log.exists() && bed.names().is_empty());
    let mut elsewhere = bed.tsm_command(["--home"]);
    elsewhere
        .arg(theirs.join("home"))
        .args(["start", "--", "sleep", "1"]);
    run(elsewhere).exits(1);
    assert!(!theirs.join("home").exists());
    let mine = bed.path("mine");
    fs::create_dir(&mine).unwrap();
    start(&mine.join("app.log")).ok();
}

#[test]
fn clients_that_begin_large_requests_and_never_end_them_do_not_use_up_the_memory() {
    let bed = Bed::new();
    bed.start_idle("a");
    let supervisor = bed.supervisor_seen();
    let piece = vec![b' '; 1 << 20];
    let mut streams = Vec::new();
    for _ in 0..12 {
        let mut stream = connect(&bed);
        // 24 MiB of 32 that were announced.
        let mut begun = frame(b"{}", b"");
        begun[4..8].copy_from_slice(&(32_u32 << 20).to_le_bytes());
        let mut alive = stream.write_all(&begun).is_ok();
        for _ in 0..24 {
            alive = alive && stream.write_all(&piece).is_ok();
        }
        streams.push((stream, alive));
    }
    bed.tsm(["restart", "a"]).ok();
    assert_eq!(bed.supervisor_seen(), supervisor);
    let dropped = streams.iter().filter(|(_, alive)| !alive).count();
    assert!(dropped >= 4, "only {dropped} were dropped");
    let kept = kilobytes(supervisor.pid);
    assert!(kept < 400 << 10, "{kept} KiB");
    let log = fs::read_to_string(bed.home().join("logs/tsm.log")).unwrap();
    assert!(log.contains("it says more than can be kept"), "{log}");
}
