//! `--log-mode direct`: a service writes its log itself, and its head is cut off under it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use crate::bed::{Bed, Begun, Going, begin, is_root, run};
use crate::fault_quiet::switches;
use crate::wait::{DEADLINE, wait_for, wait_until, within};

/// Prints numbered lines, some thousand at a time, until its file `halt` is there, then `end`.
const COUNT: &str = r#"
my ($to, $pause) = @ARGV;
$| = 1;
for (my $n = 1; $n <= $to;) {
    my $text = "";
    for (1 .. 1000) { $text .= "line $n\n"; $n++; }
    print $text;
    select(undef, undef, undef, $pause) if $pause;
}
print "end\n";
sleep 100000;
"#;

/// What is needed to have the mode, whoever runs the tests.
pub(crate) fn options() -> Vec<&'static str> {
    let mut options = vec!["--log-mode", "direct"];
    if is_root() {
        options.push("--log-force");
    }
    options
}

fn numbered(to: usize) -> String {
    let lines: Vec<String> = (1..=to).map(|n| format!("line {n}\n")).collect();
    lines.concat() + "end\n"
}

fn start(bed: &Bed, more: &[&str], to: &str, pause: &str, point: Option<&str>) {
    bed.script("count.pl", COUNT);
    let command = ["--", "perl", "count.pl", to, pause];
    let options = options();
    let words = [
        &["start", "--name", "count"],
        &options[..],
        more,
        &command[..],
    ]
    .concat();
    let mut start = bed.tsm_command(words);
    if let Some(point) = point {
        start.env("TSM_FAIL_POINT", bed.file("point", point));
    }
    run(start).ok();
}

fn shown(bed: &Bed) -> Vec<u8> {
    bed.tsm(["logs", "count", "--tail", "all"]).ok().bytes
}

/// Waits until the log has its last line, and segments.
fn wait_end(bed: &Bed, segments: u32) {
    wait_until("the last line is there, and the log is cut", || {
        shown(bed).ends_with(b"\nend\n")
            && (1..=segments).all(|number| {
                let path = bed.home().join(format!("logs/count.out.{number}"));
                path.exists() || path.with_extension(format!("{number}.zst")).exists()
            })
    });
}

#[test]
fn every_line_is_there_once_while_the_head_is_cut_off() {
    let bed = Bed::new();
    let more = ["--log-max-size", "64K", "--log-keep", "500"];
    start(&bed, &more, "300000", "0.01", None);
    let mut follow = Going::start(bed.tsm_command(["logs", "count", "-f", "--tail", "all"]));
    wait_end(&bed, 6);
    let expected = numbered(300_000);
    assert!(shown(&bed) == expected.as_bytes());
    follow.wait_text("end\n");
    assert!(follow.text == expected, "a follower lost or doubled lines");
    let live = bed.home().join("logs/count.out");
    assert_eq!(
        fs::metadata(&live).unwrap().permissions().mode() & 0o777,
        0o400
    );
    // Lines have times.
    let stamped = bed.tsm(["logs", "count", "-t", "-n", "1"]).ok().stdout;
    assert!(stamped.starts_with("[20"), "{stamped}");
    let since = bed.tsm(["logs", "count", "--since", "1h"]).ok();
    assert!(since.bytes == expected.as_bytes());
    bed.tsm(["delete", "count"]).ok();
    assert_eq!(bed.process_files(), [""; 0]);
}

#[test]
fn a_supervisor_that_is_killed_while_it_cuts_loses_nothing() {
    let points = [
        "cut-1-begun",
        "cut-2-intended",
        "cut-3-copied",
        "cut-4-room",
        "cut-5-punched",
        "cut-6-named",
        "cut-7-taken-out",
    ];
    for point in points {
        let bed = Bed::new();
        let more = ["--log-max-size", "64K", "--log-keep", "500"];
        start(&bed, &more, "100000", "0.01", Some(point));
        wait_until("the supervisor has died at its point", || {
            !bed.path("point").exists()
        });
        wait_end(&bed, 5);
        assert!(shown(&bed) == numbered(100_000).as_bytes(), "{point}");
    }
}

#[test]
fn a_command_that_cuts_or_empties_a_log_returns_when_that_is_done() {
    let bed = Bed::new();
    let more = ["--log-max-size", "1G", "--log-compress=no"];
    start(&bed, &more, "300000", "0", Some("none"));
    wait_end(&bed, 0);
    // EIO, when the head is copied.
    bed.file("point", "cut-copy 1 5");
    let failed = bed.tsm(["rotate", "count"]).exits(1);
    assert!(failed.message().contains("logs/count.out"), "{failed:?}");
    bed.file("point", "none");
    bed.tsm(["rotate", "count"]).ok();
    let segment = bed.home().join("logs/count.out.1");
    assert!(fs::metadata(segment).unwrap().len() > 1 << 20);
    assert!(shown(&bed) == numbered(300_000).as_bytes());
}

#[test]
fn a_log_that_is_cut_is_emptied_when_that_is_done() {
    let bed = Bed::new();
    let more = ["--log-max-size", "1G", "--log-compress=no"];
    start(&bed, &more, "300000", "0", None);
    wait_end(&bed, 0);
    let at_once: Vec<Begun> = ["rotate", "flush", "rotate"]
        .map(|verb| begin(bed.tsm_command([verb, "count"])))
        .into();
    for begun in at_once {
        begun.end().ok();
    }
    assert_eq!(shown(&bed), b"");
}

#[test]
fn what_is_too_old_is_cut_once_and_what_is_not_stays() {
    let bed = Bed::new();
    let more = ["--log-max-age", "4s", "--log-compress=no"];
    // For some 20 s; a block is full several times a second.
    start(&bed, &more, "400000", "0.05", None);
    let path = bed.home().join("logs/count.out.1");
    let segment = || fs::metadata(&path).ok();
    // What came within seconds, and not the one block that is the least that can be cut.
    let first = wait_for("a segment is made", segment);
    assert!(first.len() > 64 << 10, "{first:?}");
    let second = wait_for("another one is made", || {
        segment().filter(|second| second.ino() != first.ino())
    });
    assert!(second.len() > 64 << 10, "{second:?}");
    wait_until("it is over", || shown(&bed).ends_with(b"\nend\n"));
    let supervisor = bed.supervisor_pid().unwrap();
    let settled = within(DEADLINE, || {
        let before = switches(supervisor);
        within(Duration::from_secs(3), || None::<()>);
        (switches(supervisor) < before + 20).then_some(())
    });
    assert!(settled.is_some(), "it is cut again and again");
}

#[test]
fn only_so_much_is_kept() {
    let bed = Bed::new();
    let more = [
        "--log-max-size",
        "64K",
        "--log-keep",
        "2",
        "--log-compress=no",
    ];
    start(&bed, &more, "300000", "0", None);
    let live = bed.home().join("logs/count.out");
    let size = |number: u32| {
        let path = match number {
            0 => live.clone(),
            _ => bed.home().join(format!("logs/count.out.{number}")),
        };
        fs::metadata(path).map_or(0, |metadata| {
            use std::os::unix::fs::MetadataExt as _;
            metadata.blocks() * 512
        })
    };
    wait_until("what is too much is gone", || {
        size(1) > 0 && (0..4).map(size).sum::<u64>() <= 3 * (64 << 10)
    });
    assert!(numbered(300_000).as_bytes().ends_with(&shown(&bed)));
    bed.tsm(["flush", "count"]).ok();
    assert_eq!(shown(&bed), b"");
    assert_eq!(size(1), 0);
}

#[test]
fn a_log_that_floods_is_cut_when_that_is_over_and_then_nothing_is_done_any_more() {
    // With nothing kept, and with less kept than is written between two looks.
    for keep in ["0", "2"] {
        let bed = Bed::new();
        let more = ["--log-max-size", "64K", "--log-keep", keep];
        start(&bed, &more, "300000", "0", None);
        let live = bed.home().join("logs/count.out");
        wait_until("it is cut", || {
            use std::os::unix::fs::MetadataExt as _;
            fs::metadata(&live).is_ok_and(|live| live.blocks() * 512 <= 64 << 10)
                && shown(&bed).ends_with(b"\nend\n")
        });
        let keepers = [bed.supervisor_pid().unwrap(), bed.guardian_pid().unwrap()];
        let read = || keepers.map(switches);
        let settled = within(DEADLINE, || {
            let before = read();
            // Longer than the time between two looks.
            within(Duration::from_secs(3), || None::<()>);
            (read() == before).then_some(())
        });
        assert!(settled.is_some(), "with {keep} kept it never comes to rest");
    }
}

#[test]
fn a_service_of_root_is_refused_and_others_cannot_empty_their_log() {
    let bed = Bed::new();
    let script =
        "#!/bin/sh\necho first >&2\necho second > /dev/stderr\necho third >&2\nexec sleep 100000\n";
    bed.script("says.sh", script);
    let mut words = vec!["start", "./says.sh", "--log-mode", "direct"];
    if is_root() {
        let refused = bed.tsm(&words).exits(2);
        assert!(
            refused.message().contains("--log-force"),
            "{}",
            refused.stderr
        );
        bed.open_to_others();
        words.extend(["--user", "nobody"]);
    }
    bed.tsm(&words).ok();
    let log = bed.wait_log("says.err", "third\n");
    assert!(log.starts_with("first\n"), "{log}");
    assert!(log.contains("ermission denied"), "{log}");
}

#[test]
fn a_log_that_others_made_shorter_is_told() {
    let bed = Bed::new();
    bed.script(
        "says.sh",
        "#!/bin/sh\necho first\nwhile [ ! -e go ]; do sleep 0.01; done\necho later\nexec sleep 100000\n",
    );
    let words = [&["start", "./says.sh"], &options()[..]].concat();
    bed.tsm(words).ok();
    let live = bed.home().join("logs/says.out");
    // Once when the run begins, and once when its first line was seen.
    wait_until("its time is noted", || {
        fs::read_to_string(bed.home().join("logs/says.out.idx"))
            .is_ok_and(|index| index.lines().count() > 1)
    });
    fs::set_permissions(&live, fs::Permissions::from_mode(0o600)).unwrap();
    fs::File::options()
        .write(true)
        .open(&live)
        .unwrap()
        .set_len(0)
        .unwrap();
    let history = bed.home().join("processes/says.events.jsonl");
    wait_until("it is in the history", || {
        fs::read_to_string(&history)
            .unwrap()
            .contains("\"log-shrank\"")
    });
    bed.file("go", "");
    bed.wait_log("says.out", "later\n");
    assert_eq!(bed.tsm(["logs", "says", "--out"]).ok().stdout, "later\n");
    for words in [&["why", "says"][..], &["doctor"]] {
        let told = bed.tsm(words);
        let explained = told
            .stdout
            .contains("somebody else than TSM shortened its log of stdout by 6 bytes")
            && told.stdout.contains("copytruncate")
            && told.stdout.contains("/dev/stdout");
        assert!(explained, "{words:?}: {}", told.stdout);
    }
    let refused = bed.tsm(["reopen", "says"]).exits(2);
    assert!(
        refused.message().contains("copytruncate"),
        "{}",
        refused.stderr
    );
}

#[test]
fn what_a_hook_prints_stands_between_and_opens_the_log_to_nobody() {
    let bed = Bed::new();
    bed.script(
        "says.sh",
        "#!/bin/sh\necho one\nwhile [ ! -e go ]; do sleep 0.01; done\necho two\nexec sleep 100000\n",
    );
    let after = format!(
        "until grep -q one {}; do sleep 0.01; done; echo between",
        bed.home().join("logs/says.out").display()
    );
    let hooks = ["--pre-start", "echo before", "--post-start", &after];
    let words = [&["start", "./says.sh"], &options()[..], &hooks].concat();
    bed.tsm(words).ok();
    let log = bed.wait_log("says.out", "between\n");
    bed.file("go", "");
    assert_eq!(log, "before\none\nbetween\n");
    assert_eq!(
        bed.wait_log("says.out", "two\n"),
        "before\none\nbetween\ntwo\n"
    );
    let live = bed.home().join("logs/says.out");
    let mode = fs::metadata(&live).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o400);
    let stamped = bed.tsm(["logs", "says", "-t"]).ok().stdout;
    assert!(
        stamped.lines().all(|line| line.starts_with("[20")),
        "{stamped}"
    );
}

/// Says its number of turn whenever it starts, and another line when it is told to.
const TURNS: &str = "#!/bin/sh
echo turn >> turns
echo \"start $(wc -l < turns)\"
while [ ! -e go ]; do sleep 0.01; done
rm go
echo \"end $(wc -l < turns)\"
exit 1
";

#[test]
fn a_log_that_others_removed_is_told_and_a_restart_makes_it_anew() {
    let bed = Bed::new();
    bed.script("turns.sh", TURNS);
    bed.tsm([&["start", "./turns.sh"], &options()[..]].concat())
        .ok();
    bed.wait_log("turns.out", "start 1\n");
    bed.tsm(["doctor"]).ok();
    fs::remove_file(bed.home().join("logs/turns.out")).unwrap();
    let history = bed.home().join("processes/turns.events.jsonl");
    let events = |word: &str| {
        let text = fs::read_to_string(&history).unwrap();
        text.matches(word).count()
    };
    wait_until("it is in the history", || events("\"log-removed\"") == 1);
    for words in [&["why", "turns"][..], &["doctor"]] {
        let told = bed.tsm(words).stdout;
        assert!(
            told.contains("removed or renamed the file"),
            "{words:?}: {told}"
        );
        assert!(told.contains("restart"), "{words:?}: {told}");
    }
    let refused = bed.tsm(["rotate", "turns"]);
    assert!(refused.status != 0, "{}", refused.stderr);
    assert!(refused.message().contains("restart"), "{}", refused.stderr);
    bed.tsm(["restart", "turns"]).ok();
    bed.wait_log("turns.out", "start 2\n");
    bed.tsm(["why", "turns"]).ok();
    let told = bed.tsm(["doctor"]).ok().stdout;
    assert!(!told.contains("removed or renamed"), "{told}");
    // Renamed, and another file in its place: that is not the one that is written.
    let live = bed.home().join("logs/turns.out");
    fs::rename(&live, bed.path("elsewhere")).unwrap();
    fs::write(&live, "").unwrap();
    wait_until("it is in the history again", || {
        events("\"log-removed\"") == 2
    });
    let refused = bed.tsm(["flush", "turns"]);
    assert!(refused.status != 0, "{}", refused.stdout);
    // Renamed back, it is as if nothing had been.
    fs::rename(bed.path("elsewhere"), &live).unwrap();
    bed.tsm(["rotate", "turns"]).ok();
    let told = bed.tsm(["doctor"]).ok().stdout;
    assert!(!told.contains("removed or renamed"), "{told}");
}

/// Prints a kilobyte at a time, as often as it is told to.
const BLOCKS: &str = "#!/bin/sh
number=0
while :; do
  if [ -e go ]; then
    count=$(cat go); rm go
    while [ $count -gt 0 ]; do
      number=$((number + 1)); count=$((count - 1))
      printf '%01023d\\n' $number
    done
    touch done
  fi
  sleep 0.01
done
";

fn print_blocks(bed: &Bed, count: usize) {
    let _ = fs::remove_file(bed.path("done"));
    bed.file("go.new", format!("{count}\n"));
    fs::rename(bed.path("go.new"), bed.path("go")).unwrap();
    bed.wait_file("done", |_| true);
}

fn blocks(range: std::ops::RangeInclusive<usize>) -> String {
    let lines: Vec<String> = range.map(|number| format!("{number:01023}\n")).collect();
    lines.concat()
}

fn shown_of(bed: &Bed, name: &str) -> String {
    bed.tsm(["logs", name, "--tail", "all"]).ok().stdout
}

#[test]
fn what_stands_beside_a_log_may_be_removed_or_damaged() {
    let bed = Bed::new();
    bed.script("blocks.sh", BLOCKS);
    let rules = ["--log-max-size=64K", "--log-keep=99", "--log-compress=no"];
    let start = [&["start", "./blocks.sh"], &options()[..], &rules[..]].concat();
    bed.tsm(start).ok();
    let logs = bed.home().join("logs");
    print_blocks(&bed, 100);
    wait_until("it is rotated", || logs.join("blocks.out.1").exists());
    let head = logs.join("blocks.out.head");
    let mut printed = 100;
    for damage in ["", "nonsense\n", "7 18446744073709551615\n"] {
        if damage.is_empty() {
            fs::remove_file(&head).unwrap();
        } else {
            fs::write(&head, damage).unwrap();
        }
        print_blocks(&bed, 100);
        printed += 100;
        wait_until("it is rotated again", || {
            let live = fs::metadata(logs.join("blocks.out")).unwrap();
            live.blocks() * 512 <= 80 << 10
        });
        assert!(shown_of(&bed, "blocks") == blocks(1..=printed), "{damage}");
    }
    // The same, and nobody looks meanwhile; and an index of nonsense.
    fs::write(&head, "18446744073709551615 18446744073709551615\n").unwrap();
    let nonsense = "# 1 18446744073709551615\n0 18446744073709551615\n";
    fs::write(logs.join("blocks.out.idx"), nonsense).unwrap();
    let supervisor = bed.kill_supervisor();
    bed.wait_next_supervisor(supervisor);
    print_blocks(&bed, 100);
    printed += 100;
    wait_until("all of it is there", || {
        shown_of(&bed, "blocks") == blocks(1..=printed)
    });
    bed.tsm(["doctor"]).ok();
    let history = fs::read_to_string(bed.home().join("processes/blocks.events.jsonl")).unwrap();
    assert!(!history.contains("\"log-"), "{history}");
}

#[test]
fn a_log_that_others_made_shorter_while_nobody_looked_is_told() {
    let bed = Bed::new();
    bed.script("blocks.sh", BLOCKS);
    bed.tsm([&["start", "./blocks.sh"], &options()[..]].concat())
        .ok();
    let index = bed.home().join("logs/blocks.out.idx");
    for notes in 2..4 {
        print_blocks(&bed, 3);
        wait_until("its time is noted", || {
            fs::read_to_string(&index).is_ok_and(|text| text.lines().count() >= notes)
        });
    }
    bed.tsm(["supervisor", "stop"]).ok();
    let live = bed.home().join("logs/blocks.out");
    fs::set_permissions(&live, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&live, "").unwrap();
    bed.tsm(["list"]).ok();
    bed.tsm(["supervisor", "start"]).ok();
    bed.wait_log_of_events("blocks", "log-shrank");
    let told = bed.tsm(["why", "blocks"]).stdout;
    assert!(told.contains("shortened its log of stdout"), "{told}");
}

#[test]
fn lines_since_a_start_or_a_crash_are_those_of_the_run() {
    let bed = Bed::new();
    bed.script("turns.sh", TURNS);
    bed.tsm([&["start", "./turns.sh"], &options()[..]].concat())
        .ok();
    bed.wait_log("turns.out", "start 1\n");
    bed.file("go", "");
    bed.wait_log("turns.out", "start 1\nend 1\nstart 2\n");
    let since = |what: &str| {
        let shown = bed.tsm(["logs", "turns", "--out", "--since", what]);
        shown.ok().stdout
    };
    assert_eq!(since("last-crash"), "start 2\n");
    bed.tsm(["restart", "turns"]).ok();
    bed.wait_log("turns.out", "start 1\nend 1\nstart 2\nstart 3\n");
    assert_eq!(since("last-start"), "start 3\n");
}
