//! The disk is full while logs are written and rotated: nothing is lost, or what is dropped is counted.

use std::fs;

use crate::bed::{Bed, run};
use crate::fault_disk::{SmallDisk, bed_on};
use crate::log_direct::options;
use crate::log_rotation::{bytes_of, files_of};
use crate::wait::{wait_for, wait_until};

/// For each file `go.N` that appears, so many numbered lines as stand in it.
pub(crate) const BATCHES: &str = r#"
$| = 1;
my $n = 0;
for my $batch (0 .. 99) {
    my $lines = "";
    open(my $asked, ">", "asked.$batch");
    until ($lines =~ /\n/) {
        select(undef, undef, undef, 0.01);
        if (open(my $go, "<", "go.$batch")) { $lines = <$go> // ""; }
    }
    my $text = "";
    for (1 .. $lines) { $text .= "line $n\n"; $n++; }
    print $text;
}
"#;

pub(crate) fn lines(numbers: std::ops::Range<usize>) -> String {
    let lines: Vec<String> = numbers.map(|n| format!("line {n}\n")).collect();
    lines.concat()
}

/// Has batch `number` of so many lines printed.
pub(crate) fn go(bed: &Bed, number: usize, lines: usize) {
    bed.file(&format!("go.{number}"), format!("{lines}\n"));
}

#[test]
fn what_cannot_be_rotated_for_want_of_room_waits_and_is_whole() {
    let Some(disk) = SmallDisk::new() else { return };
    let bed = bed_on(&disk);
    bed.script("batches.pl", BATCHES);
    let words =
        "start --name b --log-max-size 64K --log-keep 100 --log-compress=no -- perl batches.pl";
    bed.tsm(words.split(' ')).ok();
    let log = bed.home().join("logs/b.out");
    go(&bed, 0, 10_000);
    bed.wait_log("b.out", "line 9999\n");
    disk.fill();
    go(&bed, 1, 60_000);
    let listed = || {
        let listed = bed.tsm(["list"]).ok();
        listed.stdout + &listed.stderr
    };
    wait_until("it is shown that it waits", || {
        listed().contains("disk full")
    });
    let supervisor = bed.kill_supervisor();
    bed.wait_next_supervisor(supervisor);
    disk.make_room();
    bed.wait_log("b.out", "line 69999\n");
    assert!(bytes_of(&log) == lines(0..70_000).as_bytes());
    assert!(files_of(&log).len() > 8);
    wait_until("it is shown that there is room", || {
        !listed().contains("disk full")
    });
}

#[test]
fn a_full_disk_that_only_a_log_is_on_is_told_too() {
    let Some(disk) = SmallDisk::new() else { return };
    let bed = Bed::new();
    bed.script("batches.pl", BATCHES);
    let log = disk.filler().with_file_name("b.log");
    let out = ["start", "--name", "b", "--out", log.to_str().unwrap()];
    bed.tsm([&out[..], &["--", "perl", "batches.pl"]].concat())
        .ok();
    disk.fill();
    go(&bed, 0, 60_000);
    let told = bed.tsm(["list"]).ok().stderr;
    let directory = log.parent().unwrap().display().to_string();
    assert!(
        told.contains("disk full") && told.contains(&directory),
        "{told}"
    );
    disk.make_room();
    wait_until("all of it is there", || {
        fs::read(&log).is_ok_and(|log| log == lines(0..60_000).as_bytes())
    });
    assert_eq!(bed.tsm(["list"]).ok().stderr, "");
}

#[test]
fn a_log_that_a_full_disk_lets_nobody_rename_waits_for_room() {
    let bed = Bed::new();
    bed.script("batches.pl", BATCHES);
    let words = "start --name b --log-max-size 16K --log-keep 100 -- perl batches.pl";
    let mut start = bed.tsm_command(words.split(' '));
    start.env("TSM_FAIL_POINT", bed.path("point"));
    run(start).ok();
    bed.wait_state("b", "running");
    // ENOSPC: a directory may need a block more for the new name.
    let point = bed.file("point", "rotate-rename 1 28");
    go(&bed, 0, 50_000);
    let log = bed.home().join("logs/b.out");
    bed.wait_log("tsm.log", "cannot rotate");
    // The supervisor has time for others.
    bed.start_idle("other");
    assert!(!log.with_extension("out.1").exists());
    fs::remove_file(point).unwrap();
    bed.wait_log("b.out", "line 49999\n");
    let shown = bed.tsm(["logs", "b", "--tail", "all"]).ok().bytes;
    assert!(shown == lines(0..50_000).as_bytes());
}

#[test]
fn a_command_that_cannot_rotate_a_log_says_so() {
    let bed = Bed::new();
    bed.script("say.sh", "#!/bin/sh\necho said\nexec sleep 100000\n");
    let mut start = bed.tsm_command(["start", "./say.sh"]);
    start.env("TSM_FAIL_POINT", bed.path("point"));
    run(start).ok();
    bed.wait_log("say.out", "said\n");
    // ENOSPC and EACCES.
    for (errno, words) in [(28, "No space left"), (13, "Permission denied")] {
        bed.file("point", format!("rotate-rename 1 {errno}"));
        let failed = bed.tsm(["rotate", "say"]).exits(1);
        let message = failed.message();
        assert!(
            message.contains(words) && message.contains("logs/say.out"),
            "{message}"
        );
    }
    fs::remove_file(bed.path("point")).unwrap();
    bed.tsm(["rotate", "say"]).ok();
    assert!(bed.home().join("logs/say.out.1").exists());
    assert_eq!(bed.tsm(["logs", "say"]).ok().stdout, "said\n");
}

#[test]
fn a_log_whose_successor_cannot_be_made_waits_for_it() {
    let bed = Bed::new();
    bed.script("batches.pl", BATCHES);
    let words =
        "start --name b --log-max-size 16K --log-keep 100 --log-compress=no -- perl batches.pl";
    let mut start = bed.tsm_command(words.split(' '));
    start.env("TSM_FAIL_POINT", bed.path("point"));
    run(start).ok();
    bed.wait_state("b", "running");
    // ENOSPC, when the file that is to follow the one that was renamed is made.
    let point = bed.file("point", "log-made 1 28");
    go(&bed, 0, 50_000);
    let log = bed.home().join("logs/b.out");
    wait_until("it was renamed", || {
        log.with_extension("out.1").exists() && !log.exists()
    });
    assert!(lines(0..50_000).as_bytes().starts_with(&bytes_of(&log)));
    fs::remove_file(point).unwrap();
    bed.wait_log("b.out", "line 49999\n");
    assert!(bytes_of(&log) == lines(0..50_000).as_bytes());
}

#[test]
fn a_head_that_cannot_be_copied_stays_where_it_is() {
    let Some(disk) = SmallDisk::new() else { return };
    let bed = bed_on(&disk);
    bed.script("batches.pl", BATCHES);
    let words = "--log-max-size 256K --log-keep 5 --log-compress=no -- perl batches.pl";
    let words: Vec<_> = ["start", "--name", "b"]
        .into_iter()
        .chain(options())
        .chain(words.split(' '))
        .collect();
    bed.tsm(words).ok();
    let log = bed.home().join("logs/b.out");
    // Room for the log, and not for a copy of its head.
    disk.fill();
    let filler = fs::File::options().write(true).open(disk.filler()).unwrap();
    filler
        .set_len(filler.metadata().unwrap().len() - (480 << 10))
        .unwrap();
    drop(filler);
    go(&bed, 0, 30_000);
    wait_until("it is told", || {
        let told = fs::read_to_string(bed.home().join("logs/tsm.log")).unwrap_or_default();
        told.contains("rotate") && told.contains("No space left")
    });
    let shown = || bed.tsm(["logs", "b", "--tail", "all"]).ok().bytes;
    assert!(shown() == lines(0..30_000).as_bytes());
    // What was copied already takes no room.
    let pending = log.with_extension("out.1.tmp");
    wait_until("the copy is given up", || !pending.exists());
    disk.make_room();
    go(&bed, 1, 10);
    wait_until("it is cut", || log.with_extension("out.1").exists());
    assert!(shown() == lines(0..30_010).as_bytes());
}

#[test]
fn what_is_dropped_is_counted_and_told() {
    count_what_is_dropped(false);
}

#[test]
fn what_was_dropped_is_counted_though_the_supervisor_is_killed_before_there_is_room() {
    count_what_is_dropped(true);
}

fn count_what_is_dropped(is_killed: bool) {
    let Some(disk) = SmallDisk::new() else { return };
    let bed = bed_on(&disk);
    bed.script("batches.pl", BATCHES);
    let words = "start --name b --log-on-full drop -- perl batches.pl";
    bed.tsm(words.split(' ')).ok();
    let log = bed.home().join("logs/b.out");
    go(&bed, 0, 100);
    bed.wait_log("b.out", "line 99\n");
    disk.fill();
    // More than a pipe holds: whoever printed it would wait.
    go(&bed, 1, 200_000);
    wait_until("all of it was taken out of the pipe", || {
        // Only then the next one is looked for.
        bed.path("asked.2").exists()
    });
    if is_killed {
        let supervisor = bed.kill_supervisor();
        bed.wait_next_supervisor(supervisor);
    }
    disk.make_room();
    let history = bed.home().join("processes/b.events.jsonl");
    let number = |event: &serde_json::Value, key: &str| event[key].as_u64().unwrap();
    go(&bed, 2, 6);
    bed.wait_log("b.out", "line 200105\n");
    let (bytes, dropped) = wait_for("it is in the history", || {
        let text = fs::read_to_string(&history).ok()?;
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|event| event["event"] == "log-dropped");
        let counts: Vec<_> = events
            .map(|event| (number(&event, "bytes"), number(&event, "lines")))
            .collect();
        let (bytes, lines) = counts
            .iter()
            .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        let shown = fs::read(&log).ok()?;
        let there = shown.split(|byte| *byte == b'\n').count() as u64 - 1;
        (there + lines == 200_106).then_some((bytes, lines))
    });
    assert!(dropped > 1000);
    // What is there is whole lines.
    let shown = fs::read_to_string(&log).unwrap();
    let mut last = None;
    for line in shown.lines() {
        let number: usize = line.strip_prefix("line ").unwrap().parse().unwrap();
        assert!(last < Some(number), "{line}");
        last = Some(number);
    }
    let all = lines(0..200_106).len() as u64;
    assert_eq!(bytes + shown.len() as u64, all);
    for command in ["why", "doctor"] {
        let told = bed.tsm(if command == "why" {
            vec!["why", "b"]
        } else {
            vec!["doctor"]
        });
        assert!(
            told.stdout.contains("dropped because the disk was full"),
            "{}",
            told.stdout
        );
    }
}

#[test]
fn a_log_that_cannot_be_written_is_told_and_nothing_of_it_is_lost() {
    let bed = Bed::new();
    bed.script("batches.pl", BATCHES);
    let directory = bed.path("elsewhere");
    fs::create_dir(&directory).unwrap();
    let log = directory.join("b.log");
    let out = [
        "start",
        "--name",
        "b",
        "--out",
        log.to_str().unwrap(),
        "--err",
        "same",
    ];
    bed.tsm([&out[..], &["--", "perl", "batches.pl"]].concat())
        .ok();
    go(&bed, 0, 1_000);
    wait_until("it writes", || {
        fs::read(&log).is_ok_and(|log| log == lines(0..1_000).as_bytes())
    });
    bed.tsm(["doctor"]).ok();
    for entry in fs::read_dir(&directory).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    fs::remove_dir(&directory).unwrap();
    go(&bed, 1, 59_000);
    let history = bed.home().join("processes/b.events.jsonl");
    let has = |word: &str| fs::read_to_string(&history).unwrap().contains(word);
    wait_until("it is in the history", || has("\"log-blocked\""));
    for words in [&["why", "b"][..], &["doctor"], &["list"]] {
        let told = bed.tsm(words);
        let told = format!("{}{}", told.stdout, told.stderr);
        assert!(told.contains("waits in its pipe"), "{words:?}: {told}");
        assert!(told.contains("elsewhere"), "{words:?}: {told}");
    }
    fs::create_dir(&directory).unwrap();
    wait_until("all of it is there", || {
        fs::read(&log).is_ok_and(|log| log == lines(1_000..60_000).as_bytes())
    });
    wait_until("it is in the history", || has("\"log-unblocked\""));
    let told = bed.tsm(["doctor"]).ok().stdout;
    assert!(!told.contains("waits in its pipe"), "{told}");
    assert_eq!(bed.tsm(["list"]).ok().stderr, "");
}
