//! Other programs at the logs, and logs that cannot be read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::bed::{Bed, Going, TSM, is_root, run};
use crate::log_direct::options;
use crate::log_full::{BATCHES, go, lines};
use crate::log_rotation::bytes_of;
use crate::programs::has;
use crate::wait::wait_until;

/// Rotates a log with logrotate, now.
#[track_caller]
fn logrotate(bed: &Bed, log: &std::path::Path, how: &str) {
    let text = format!("{} {{\n  rotate 20\n{how}\n}}\n", log.display());
    let configuration = bed.file("logrotate.conf", text);
    fs::set_permissions(&configuration, fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = bed.command("logrotate");
    command
        .arg("--force")
        .arg("--state")
        .arg(bed.path("logrotate.state"));
    run({
        command.arg(configuration);
        command
    })
    .ok();
}

/// By rename, with `create` or `nocreate`, and what TSM is told then.
fn with_reopen(bed: &Bed, create: &str) -> String {
    format!(
        "  {create}\n  postrotate\n    {TSM} --home {} reopen b\n  endscript",
        bed.home().display()
    )
}

#[test]
fn logrotate_may_rename_logs_and_have_them_opened_again() {
    if !has("logrotate") {
        return;
    }
    let bed = Bed::new();
    bed.script("batches.pl", BATCHES);
    bed.tsm(["start", "--name", "b", "--", "perl", "batches.pl"])
        .ok();
    let mut follow = Going::start(bed.tsm_command(["logs", "b", "-f", "--tail", "all"]));
    let log = bed.home().join("logs/b.out");
    let how = ["nocreate", "create"].map(|create| with_reopen(&bed, create));
    for round in 0..4 {
        go(&bed, round, 1000);
        bed.wait_log("b.out", &format!("line {}\n", round * 1000 + 999));
        logrotate(&bed, &log, &how[round % 2]);
        assert_eq!(fs::metadata(&log).unwrap().len(), 0, "it was opened again");
    }
    go(&bed, 4, 1000);
    bed.wait_log("b.out", "line 4999\n");
    let expected = lines(0..5000);
    assert!(bytes_of(&log) == expected.as_bytes());
    let shown = bed.tsm(["logs", "b", "--tail", "all"]).ok();
    assert!(shown.bytes == expected.as_bytes());
    // The times of its lines have followed it.
    let timed = bed
        .tsm(["logs", "b", "--tail", "all", "--json"])
        .ok()
        .stdout;
    assert!(!timed.contains("\"time\":null"), "{}", &timed[..200]);
    follow.wait_text("line 4999\n");
    assert!(follow.text == expected, "a follower lost or doubled lines");
}

#[test]
fn logrotate_may_rename_logs_to_numbers_of_compressed_segments() {
    if !has("logrotate") {
        return;
    }
    let bed = Bed::new();
    bed.script("batches.pl", BATCHES);
    bed.tsm(["start", "--name", "b", "--", "perl", "batches.pl"])
        .ok();
    let log = bed.home().join("logs/b.out");
    let how = with_reopen(&bed, "create");
    let print = |round: usize| {
        go(&bed, round, 1000);
        bed.wait_log("b.out", &format!("line {}\n", round * 1000 + 999));
    };
    let check = |rounds: usize| {
        let shown = bed.tsm(["logs", "b", "--tail", "all"]).ok();
        assert!(
            shown.bytes == lines(0..rounds * 1000).as_bytes(),
            "{rounds}"
        );
    };
    let is_packed = |number: u32| log.with_extension(format!("out.{number}.zst")).exists();
    print(0);
    bed.tsm(["rotate", "b"]).ok();
    wait_until("it is compressed", || is_packed(1));
    // Now .1 stands beside .1.zst, and .2 before both.
    for round in 1..3 {
        print(round);
        logrotate(&bed, &log, &how);
        check(round + 1);
    }
    print(3);
    bed.tsm(["rotate", "b"]).ok();
    print(4);
    check(5);
    // What this one made is compressed, and nothing that another program would look for.
    wait_until("it is compressed", || is_packed(1));
    assert!(is_packed(4) && !is_packed(2) && !is_packed(3));
    check(5);
}

#[test]
fn logrotate_may_copy_and_truncate() {
    if !has("logrotate") {
        return;
    }
    // Where the service writes its log itself, nobody but root may open it for that.
    let modes = if is_root() {
        &["pipe", "direct"][..]
    } else {
        &["pipe"]
    };
    for mode in modes {
        let bed = Bed::new();
        bed.script("batches.pl", BATCHES);
        let start = ["start", "--name", "b"];
        let mode_options = if *mode == "direct" {
            options()
        } else {
            Vec::new()
        };
        let words = [&start[..], &mode_options, &["--", "perl", "batches.pl"]].concat();
        bed.tsm(words).ok();
        let log = bed.home().join("logs/b.out");
        for round in 0..3 {
            go(&bed, round, 1000);
            let last = format!("line {}\n", round * 1000 + 999);
            let live = bed.wait_log("b.out", &last);
            assert!(
                live == lines(round * 1000..round * 1000 + 1000),
                "{mode}: {round}"
            );
            logrotate(&bed, &log, "  copytruncate");
        }
        go(&bed, 3, 10);
        bed.wait_log("b.out", "line 3009\n");
        let shown = bed.tsm(["logs", "b", "--tail", "all"]).ok();
        assert!(shown.bytes == lines(0..3010).as_bytes(), "{mode}");
    }
}

#[test]
fn emptying_a_log_outside_of_the_home_keeps_its_segments_and_says_so() {
    let bed = Bed::new();
    bed.script("say.sh", "#!/bin/sh\necho said\nexec sleep 100000\n");
    let log = bed.path("elsewhere.log");
    let log_name = log.to_str().unwrap();
    bed.tsm(["start", "./say.sh", "--out", log_name, "--err", "same"])
        .ok();
    bed.wait_file("elsewhere.log", |text| text == "said\n");
    let emptied = bed.tsm(["flush", "say"]).ok();
    assert_eq!(emptied.stderr, "");
    assert_eq!(fs::read_to_string(&log).unwrap(), "");
    bed.tsm(["restart", "say"]).ok();
    bed.wait_file("elsewhere.log", |text| text == "said\n");
    bed.tsm(["rotate", "say"]).ok();
    let emptied = bed.tsm(["flush", "say"]).ok();
    let remark = emptied.stderr;
    assert!(remark.contains("'say' keeps the segments"), "{remark}");
    assert_eq!(bed.tsm(["logs", "say"]).ok().stdout, "said\n");
}

#[test]
fn one_log_that_cannot_be_read_keeps_no_other_from_being_shown() {
    let bed = Bed::new();
    for name in ["one", "two"] {
        bed.script(
            &format!("{name}.sh"),
            &format!("#!/bin/sh\necho {name}\nexec sleep 100000\n"),
        );
        bed.tsm(["start", &format!("./{name}.sh")]).ok();
        bed.wait_log(&format!("{name}.out"), &format!("{name}\n"));
    }
    let broken = bed.home().join("logs/one.out");
    fs::remove_file(&broken).unwrap();
    fs::create_dir(&broken).unwrap();
    let shown = bed.tsm(["logs"]).exits(1);
    assert_eq!(shown.stdout, "two | two\n");
    assert_eq!(shown.stderr.lines().count(), 1, "{}", shown.stderr);
    assert!(shown.stderr.contains("logs/one.out"), "{}", shown.stderr);
    // Why it ended is told all the same.
    bed.tsm(["stop", "two"]).ok();
    let errors = bed.home().join("logs/two.err");
    fs::remove_file(&errors).unwrap();
    fs::create_dir(&errors).unwrap();
    let told = bed.tsm(["why", "two"]);
    assert!(told.stdout.contains("two (ID: 2): "), "{}", told.stderr);
    fs::remove_dir(&errors).unwrap();
    bed.tsm(["start", "two"]).ok();
    // Followed, it is told once, and the others go on.
    let mut follow = Going::start(bed.tsm_command(["logs", "-f"]));
    follow.wait_text("two | two\n");
    bed.tsm(["logs", "one"]).exits(1);
    bed.tsm(["logs", "two"]).ok();
}

#[test]
fn a_segment_that_cannot_be_read_is_named_and_the_rest_is_shown() {
    let bed = Bed::new();
    bed.script(
        "say.sh",
        "#!/bin/sh\necho $(date +%s%N)\nexec sleep 100000\n",
    );
    let log = bed.home().join("logs/say.out");
    let mut said = Vec::new();
    bed.tsm(["start", "./say.sh", "--log-compress=no"]).ok();
    for turn in 0..4 {
        if turn > 0 {
            bed.tsm(["rotate", "say"]).ok();
            bed.tsm(["restart", "say"]).ok();
        }
        wait_until("it has spoken", || {
            fs::read_to_string(&log).is_ok_and(|text| text.ends_with('\n'))
        });
        said.push(fs::read_to_string(&log).unwrap());
    }
    bed.tsm(["doctor"]).ok();
    // Somebody has compressed one badly, and put a directory in the place of another.
    fs::remove_file(log.with_extension("out.2")).unwrap();
    fs::write(log.with_extension("out.2.zst"), "no such thing").unwrap();
    fs::create_dir(log.with_extension("out.4")).unwrap();
    let shown = bed.tsm(["logs", "say", "--tail", "all"]).exits(1);
    assert_eq!(shown.stdout, [&*said[0], &said[2], &said[3]].concat());
    assert_eq!(shown.stderr.lines().count(), 2, "{}", shown.stderr);
    assert!(
        shown.stderr.contains("logs/say.out.2.zst"),
        "{}",
        shown.stderr
    );
    assert!(shown.stderr.contains("logs/say.out.4"), "{}", shown.stderr);
    let places = bed.tsm(["logs", "say", "--where", "--json"]).exits(1);
    assert!(places.stdout.contains("say.out.3"), "{}", places.stdout);
    let told = bed.tsm(["doctor"]).exits(1).stdout;
    assert!(
        told.contains("say.out.2.zst") && told.contains("'say'"),
        "{told}"
    );
    // It does not keep the log from being rotated.
    bed.tsm(["rotate", "say"]).ok();
    let shown = bed.tsm(["logs", "say", "--tail", "all"]).exits(1);
    assert_eq!(shown.stdout, [&*said[0], &said[2], &said[3]].concat());
}
