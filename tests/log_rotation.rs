//! Logs are rotated between lines, and no byte is lost or doubled by it, whoever is killed.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::bed::Bed;
use crate::fault_kit::is_gone;
use crate::wait::wait_until;

/// Prints numbered lines as fast as it can, then `end`.
const COUNT: &str = r#"
my ($from, $to) = @ARGV;
print "line $_\n" for $from .. $to;
print "end\n";
$| = 1;
print "";
sleep 100000;
"#;

/// The files of a log from the oldest to the newest, as their numbers say.
pub(crate) fn files_of(log: &Path) -> Vec<PathBuf> {
    let name = log.file_name().unwrap().to_str().unwrap();
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir(log.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let Some(rest) = file.strip_prefix(name) else {
            continue;
        };
        let number = rest.strip_prefix('.').unwrap_or("0");
        if let Ok(number) = number.trim_end_matches(".zst").parse() {
            found.push((number, path));
        }
    }
    found.sort();
    let mut numbers: Vec<u32> = found.iter().map(|(number, _)| *number).collect();
    numbers.dedup();
    assert_eq!(
        numbers.len(),
        found.len(),
        "a segment is there twice: {found:?}"
    );
    found.into_iter().rev().map(|(_, path)| path).collect()
}

/// All bytes of a log, its plain segments put together.
pub(crate) fn bytes_of(log: &Path) -> Vec<u8> {
    files_of(log)
        .iter()
        .flat_map(|path| fs::read(path).unwrap())
        .collect()
}

fn numbered(from: usize, to: usize) -> String {
    let lines: Vec<String> = (from..=to).map(|n| format!("line {n}\n")).collect();
    lines.concat() + "end\n"
}

fn start_count(bed: &Bed, name: &str, options: &[&str], to: usize) {
    // One that was started a moment ago may not have read it yet.
    if !bed.path("count.pl").exists() {
        bed.script("count.pl", COUNT);
    }
    let to = to.to_string();
    let command = ["--", "perl", "count.pl", "1", &to];
    let words = [&["start", "--name", name], options, &command[..]].concat();
    bed.tsm(words).ok();
}

#[track_caller]
fn wait_end(bed: &Bed, log: &str) {
    let path = bed.home().join("logs").join(log);
    wait_until("the last line is there", || {
        fs::read(&path).is_ok_and(|bytes| bytes.ends_with(b"end\n"))
    });
}

#[test]
fn a_segment_begins_and_ends_at_a_line_and_has_its_size() {
    let bed = Bed::new();
    let options = [
        "--log-max-size",
        "64K",
        "--log-keep",
        "100",
        "--log-compress=no",
    ];
    start_count(&bed, "count", &options, 100_000);
    wait_end(&bed, "count.out");
    let log = bed.home().join("logs/count.out");
    let files = files_of(&log);
    assert!(files.len() > 15, "{files:?}");
    for file in &files {
        let bytes = fs::read(file).unwrap();
        assert!(
            bytes.len() <= 64 << 10,
            "{} has {}",
            file.display(),
            bytes.len()
        );
        assert!(bytes.ends_with(b"\n") && bytes.starts_with(b"line "));
    }
    let all = bytes_of(&log);
    assert!(all == numbered(1, 100_000).as_bytes());
    // All of it is shown, and the last lines of it.
    let shown = bed.tsm(["logs", "count", "--tail", "all"]).ok();
    assert!(shown.bytes == all);
    let last = bed.tsm(["logs", "count", "--tail", "2"]).ok().stdout;
    assert_eq!(last, "line 100000\nend\n");
    bed.tsm(["delete", "count"]).ok();
    assert_eq!(bed.process_files(), [""; 0]);
}

#[test]
fn only_so_much_is_kept() {
    let bed = Bed::new();
    let options = ["--log-max-size=8K", "--log-keep=3", "--log-compress=no"];
    start_count(&bed, "count", &options, 20_000);
    wait_end(&bed, "count.out");
    let log = bed.home().join("logs/count.out");
    let files = files_of(&log);
    let sizes: Vec<u64> = files
        .iter()
        .map(|file| fs::metadata(file).unwrap().len())
        .collect();
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(sizes.iter().sum::<u64>() <= 4 * 8192, "{sizes:?}");
    assert!(numbered(1, 20_000).as_bytes().ends_with(&bytes_of(&log)));
}

#[test]
fn a_supervisor_that_is_killed_while_it_rotates_loses_nothing() {
    let points = [
        "rotate-1-removed",
        "rotate-shift",
        "rotate-2-room",
        "rotate-3-renamed",
        "rotate-4-done",
    ];
    for point in points {
        let bed = Bed::new();
        let wanted = bed.path("point");
        let keep = if point == "rotate-1-removed" {
            "3"
        } else {
            "500"
        };
        let options = [
            "--log-max-size",
            "16K",
            "--log-keep",
            keep,
            "--log-compress=no",
        ];
        bed.script("count.pl", COUNT);
        let command = ["--", "perl", "count.pl", "1", "200000"];
        let words = [&["start", "--name", "count"], &options[..], &command[..]].concat();
        fs::write(&wanted, point).unwrap();
        let mut start = bed.tsm_command(words);
        start.env("TSM_FAIL_POINT", &wanted);
        crate::bed::run(start).ok();
        wait_until("the supervisor has died at its point", || !wanted.exists());
        wait_end(&bed, "count.out");
        let all = bytes_of(&bed.home().join("logs/count.out"));
        let expected = numbered(1, 200_000);
        if keep == "3" {
            assert!(expected.as_bytes().ends_with(&all), "{point}");
        } else {
            assert!(all == expected.as_bytes(), "{point}");
        }
        assert!(!is_gone(bed.pid("count")));
    }
}

#[test]
fn what_is_too_old_goes() {
    let bed = Bed::new();
    bed.script(
        "talk.sh",
        "#!/bin/sh\necho old\nwhile [ ! -e go ]; do sleep 0.01; done\necho new\nexec sleep 100000\n",
    );
    bed.tsm(["start", "./talk.sh", "--log-max-age", "1s"]).ok();
    let live = bed.home().join("logs/talk.out");
    wait_until("what is old is rotated, and removed", || {
        fs::read(&live).is_ok_and(|bytes| bytes.is_empty()) && files_of(&live).len() == 1
    });
    bed.file("go", "");
    bed.wait_log("talk.out", "new\n");
}

#[test]
fn logs_go_where_they_are_told_to() {
    let bed = Bed::new();
    bed.script(
        "both.sh",
        "#!/bin/sh\necho out\necho err >&2\necho last\nexec sleep 100000\n",
    );
    let start = |name: &str, options: &[&str]| {
        bed.tsm([&["start", "./both.sh", "--name", name], options].concat())
            .ok();
    };
    start("same", &["--out", "both.log", "--err", "same"]);
    bed.wait_file("both.log", |text| text.ends_with("last\n"));
    assert_eq!(
        fs::read_to_string(bed.path("both.log")).unwrap(),
        "out\nerr\nlast\n"
    );
    assert_eq!(bed.tsm(["logs", "same"]).ok().stdout, "out\nerr\nlast\n");
    start("null", &["--out", "/dev/null", "--err", "err.log"]);
    bed.wait_file("err.log", |text| text == "err\n");
    assert_eq!(bed.tsm(["logs", "null"]).ok().stdout, "err\n");
    assert!(!bed.home().join("logs/null.out").exists());
    // logrotate with a rename: the next line makes the file anew. And with copytruncate.
    fs::rename(bed.path("both.log"), bed.path("both.log.1")).unwrap();
    bed.tsm(["restart", "same"]).ok();
    bed.wait_file("both.log", |text| text == "out\nerr\nlast\n");
    fs::write(bed.path("both.log"), "").unwrap();
    bed.tsm(["restart", "same"]).ok();
    bed.wait_file("both.log", |text| text == "out\nerr\nlast\n");
    // Their owner looks after them.
    bed.tsm(["delete", "same"]).ok();
    assert!(bed.path("both.log").exists());
    let refused = bed
        .tsm(["start", "./both.sh", "--name", "no", "--out", "none/x.log"])
        .exits(1);
    assert!(
        refused.message().contains("none/x.log"),
        "{}",
        refused.stderr
    );
    bed.tsm(["start", "./both.sh", "--name", "no", "--out", "same"])
        .exits(2);
    bed.tsm([
        "start",
        "./both.sh",
        "--name",
        "no",
        "--log-max-size",
        "big",
    ])
    .exits(2);
}

#[test]
fn segments_are_compressed_when_it_is_quiet_and_read_all_the_same() {
    let bed = Bed::new();
    let options = ["--log-max-size", "64K", "--log-keep", "100"];
    start_count(&bed, "count", &options, 40_000);
    wait_end(&bed, "count.out");
    let log = bed.home().join("logs/count.out");
    wait_until("all segments are compressed", || {
        let files = fs::read_dir(bed.home().join("logs")).unwrap();
        let mut names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.all(|name| {
            let is_plain = name
                .strip_prefix("count.out.")
                .is_some_and(|number| number.parse::<u32>().is_ok());
            !is_plain && !name.contains(".tmp")
        })
    });
    let files = files_of(&log);
    assert!(files.len() > 6);
    let shown = bed.tsm(["logs", "count", "--tail", "all"]).ok();
    assert!(shown.bytes == numbered(1, 40_000).as_bytes());
    let found = bed
        .tsm(["logs", "count", "--grep", "line 1?77$", "--tail", "all"])
        .ok()
        .stdout;
    assert_eq!(found, "line 77\nline 177\n");
    let last = bed.tsm(["logs", "count", "-n", "2", "--grep", "77"]).ok();
    assert_eq!(
        last.stdout,
        "line 39977\nline 39977\n".replacen("39977", "39877", 1)
    );
    // A rotation moves them on.
    bed.tsm(["rotate", "count"]).ok();
    let shown = bed.tsm(["logs", "count", "--tail", "all"]).ok();
    assert!(shown.bytes == numbered(1, 40_000).as_bytes());
    bed.tsm(["flush", "count"]).ok();
    assert_eq!(files_of(&log).len(), 1);
    assert_eq!(bed.tsm(["logs", "count"]).ok().stdout, "");
}

#[test]
fn a_supervisor_that_is_killed_while_it_compresses_leaves_no_segment_twice() {
    for (point, is_outside) in [
        ("pack-1-written", false),
        ("pack-1-written", true),
        ("pack-2-renamed", false),
    ] {
        let bed = Bed::new();
        bed.script("count.pl", COUNT);
        let wanted = bed.file("point", point);
        let directory = if is_outside {
            bed.path("elsewhere")
        } else {
            bed.home().join("logs")
        };
        if is_outside {
            fs::create_dir(&directory).unwrap();
        }
        let log = directory.join("count.out");
        let out = ["--out", log.to_str().unwrap()];
        let out = if is_outside { &out[..] } else { &[] };
        let options = ["--log-max-size", "64K", "--log-keep", "100"];
        let command = ["--", "perl", "count.pl", "1", "20000"];
        let words = [
            &["start", "--name", "count"],
            &options[..],
            out,
            &command[..],
        ]
        .concat();
        let mut start = bed.tsm_command(words);
        start.env("TSM_FAIL_POINT", &wanted);
        crate::bed::run(start).ok();
        wait_until("the supervisor has died at its point", || !wanted.exists());
        let shown = bed.tsm(["logs", "count", "--tail", "all"]).ok();
        assert!(shown.bytes == numbered(1, 20_000).as_bytes(), "{point}");
        // The next one finishes what this one had begun.
        wait_until("all segments are compressed", || {
            let names = fs::read_dir(&directory).unwrap();
            let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.all(|name| {
                let number = name.strip_prefix("count.out.").unwrap_or_default();
                !name.contains(".tmp") && number.parse::<u32>().is_err()
            })
        });
        assert!(files_of(&log).len() > 2);
        let shown = bed.tsm(["logs", "count", "--tail", "all"]).ok();
        assert!(shown.bytes == numbered(1, 20_000).as_bytes(), "{point}");
    }
}

#[test]
fn a_rotation_waits_for_the_end_of_the_line() {
    let bed = Bed::new();
    bed.script(
        "talk.sh",
        "#!/bin/sh\nprintf 'be'\nwhile [ ! -e go ]; do sleep 0.01; done\necho gun\necho more\nexec sleep 100000\n",
    );
    bed.tsm(["start", "./talk.sh"]).ok();
    bed.wait_log("talk.out", "be");
    let said = bed.tsm(["rotate", "talk"]).ok();
    assert!(said.stderr.contains("end of the line"), "{}", said.stderr);
    bed.file("go", "");
    bed.wait_log("talk.out", "more\n");
    let log = |name: &str| fs::read_to_string(bed.home().join("logs").join(name)).unwrap();
    assert_eq!(log("talk.out.1"), "begun\n");
    assert_eq!(log("talk.out"), "more\n");
    assert_eq!(bed.tsm(["logs", "talk"]).ok().stdout, "begun\nmore\n");
    bed.tsm(["rotate", "nobody"]).exits(3);
}

#[test]
fn another_program_may_rename_a_log_and_have_it_opened_again() {
    let bed = Bed::new();
    bed.script(
        "talk.sh",
        "#!/bin/sh\necho one\nwhile [ ! -e go ]; do sleep 0.01; done\necho two\nexec sleep 100000\n",
    );
    bed.tsm(["start", "./talk.sh"]).ok();
    bed.wait_log("talk.out", "one\n");
    let logs = bed.home().join("logs");
    fs::rename(logs.join("talk.out"), logs.join("talk.out.1")).unwrap();
    bed.tsm(["reopen", "talk"]).ok();
    assert_eq!(fs::read_to_string(logs.join("talk.out")).unwrap(), "");
    bed.file("go", "");
    bed.wait_log("talk.out", "two\n");
    assert_eq!(bed.tsm(["logs", "talk"]).ok().stdout, "one\ntwo\n");
}

#[test]
fn a_home_says_how_the_logs_of_all_its_processes_are_kept() {
    let bed = Bed::new();
    bed.start_idle("first");
    fs::write(
        bed.home().join("defaults.toml"),
        "[logs]\nmax_size = \"8K\"\nkeep = 2\ncompress = false\n",
    )
    .unwrap();
    let supervisor = bed.kill_supervisor();
    bed.wait_next_supervisor(supervisor);
    start_count(&bed, "count", &[], 20_000);
    start_count(&bed, "more", &["--log-keep", "4"], 20_000);
    for (name, files) in [("count", 3), ("more", 5)] {
        wait_end(&bed, &format!("{name}.out"));
        let log = bed.home().join(format!("logs/{name}.out"));
        assert_eq!(files_of(&log).len(), files, "{name}");
    }
    fs::write(bed.home().join("defaults.toml"), "[logs]\nkep = 2\n").unwrap();
    let supervisor = bed.kill_supervisor();
    bed.wait_next_supervisor(supervisor);
    let told = bed.tsm(["stop", "first"]).ok();
    assert!(told.stderr.contains("defaults.toml:2:1"), "{}", told.stderr);
}

#[test]
fn a_follower_that_rotation_overtakes_says_how_much_it_missed() {
    let bed = Bed::new();
    bed.script(
        "go.sh",
        "#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.01; done\nexec perl count.pl 1 500000\n",
    );
    bed.script("count.pl", COUNT);
    let options = ["--log-max-size=64K", "--log-keep=2", "--err", "same"];
    bed.tsm([&["start", "./go.sh", "--name", "count"], &options[..]].concat())
        .ok();
    // Nobody reads what it prints until all is written.
    let mut follow = bed.tsm_command(["logs", "-f", "count"]);
    follow.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    wait_until("it follows", || {
        let held = fs::read_dir(format!("/proc/{}/fd", follow.id()));
        held.into_iter()
            .flatten()
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|path| path.ends_with("logs/count.out")))
    });
    bed.file("go", "");
    wait_end(&bed, "count.out");
    let mut shown = String::new();
    let mut reader = BufReader::new(follow.stdout.take().unwrap());
    while !shown.ends_with("\nend\n") {
        assert!(reader.read_line(&mut shown).unwrap() > 0, "it ended early");
    }
    bed.tsm(["delete", "count"]).ok();
    follow.kill().unwrap();
    follow.wait().unwrap();
    let mut told = String::new();
    let mut stderr = follow.stderr.take().unwrap();
    stderr.read_to_string(&mut told).unwrap();
    let all = numbered(1, 500_000);
    let missing: usize = told
        .lines()
        .map(|line| {
            assert!(
                line.contains("were removed before they could be read"),
                "{line}"
            );
            let mut words = line.split(' ');
            words.find_map(|word| word.parse::<usize>().ok()).unwrap()
        })
        .sum();
    assert!(missing > 0, "it was not overtaken");
    assert_eq!(shown.len() + missing, all.len(), "{told}");
    // Nothing twice, and nothing torn.
    let numbers: Vec<usize> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("line ")?.parse().ok())
        .collect();
    assert_eq!(numbers.len() + 1, shown.lines().count());
    assert!(numbers.is_sorted_by(|one, next| one < next));
}

#[test]
fn a_line_that_never_ends_is_rotated_with_its_service() {
    let bed = Bed::new();
    bed.script("says.sh", "#!/bin/sh\nprintf 'no end'\nexec sleep 100000\n");
    bed.tsm(["start", "./says.sh"]).ok();
    bed.wait_log("says.out", "no end");
    let asked = bed.tsm(["rotate", "says"]).ok();
    assert!(
        asked.stderr.contains("at the end of the line"),
        "{}",
        asked.stderr
    );
    bed.tsm(["stop", "says"]).ok();
    let segment = bed.home().join("logs/says.out.1");
    wait_until("it is a segment", || {
        fs::read(&segment).is_ok_and(|text| text == b"no end")
    });
    let asked = bed.tsm(["rotate", "says"]).ok();
    assert!(
        asked.stderr.contains("has nothing in its logs"),
        "{}",
        asked.stderr
    );
    assert_eq!(asked.stdout, "");
}
