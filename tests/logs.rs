//! Every byte that a process prints is in its logs, and comes out as it went in.

use std::fs;

use crate::bed::{Bed, Going, is_root};
use crate::fault_quiet::assert_idle;
use crate::wait::wait_until;

const SAYS: &str = "#!/bin/sh
echo one > /dev/stderr
echo two > /dev/stdout
echo three
echo four >&2
echo five > /dev/stderr
echo six > /dev/stdout
exec sleep 100000
";

#[track_caller]
fn everything_is_there(bed: &Bed) {
    bed.wait_log("says.out", "six\n");
    assert_eq!(bed.wait_log("says.out", "six\n"), "two\nthree\nsix\n");
    assert_eq!(bed.wait_log("says.err", "five\n"), "one\nfour\nfive\n");
}

#[test]
fn dev_stdout_and_dev_stderr_may_be_opened_again() {
    let bed = Bed::new();
    bed.script("says.sh", SAYS);
    bed.tsm(["start", "./says.sh"]).ok();
    everything_is_there(&bed);
    // A restart appends.
    bed.tsm(["restart", "says"]).ok();
    bed.wait_log("says.out", "six\ntwo\nthree\nsix\n");
    bed.wait_log("says.err", "five\none\nfour\nfive\n");
}

#[test]
fn dev_stdout_and_dev_stderr_may_be_opened_again_by_another_user() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    bed.open_to_others();
    bed.script("says.sh", SAYS);
    bed.tsm(["start", "./says.sh", "--user", "nobody"]).ok();
    everything_is_there(&bed);
}

#[test]
fn the_last_lines_of_both_streams_or_of_one() {
    let bed = Bed::new();
    bed.script(
        "count.sh",
        "#!/bin/sh
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do echo \"out $n\"; done
for n in 1 2 3; do echo \"err $n\" >&2; done
exec sleep 100000
",
    );
    bed.tsm(["start", "./count.sh"]).ok();
    bed.wait_log("count.out", "out 25\n");
    bed.wait_log("count.err", "err 3\n");
    let logs = |args: &[&str]| bed.tsm([&["logs", "count"], args].concat()).ok().stdout;
    assert_eq!(logs(&["--tail", "2", "--out"]), "out 24\nout 25\n");
    assert_eq!(logs(&["--err"]), "err 1\nerr 2\nerr 3\n");
    assert_eq!(logs(&["-n", "1", "--err"]), "err 3\n");
    assert_eq!(logs(&["--tail", "0"]), "");
    assert_eq!(logs(&["--out", "--lines", "all"]).lines().count(), 25);
    assert_eq!(logs(&["--tail", "all"]).lines().count(), 28);
    // 20 lines where nothing is said, counted over both streams.
    assert_eq!(logs(&[]).lines().count(), 20);
    assert_eq!(logs(&["--tail", "1000"]).lines().count(), 28);
    let stamped = logs(&["--out", "--tail", "1", "--timestamps"]);
    let (time, line) = stamped.split_at(22);
    assert_eq!(line, "out 25\n");
    assert!(time.starts_with("[20") && time.ends_with("] "), "{stamped}");
}

#[test]
fn bytes_come_out_unchanged() {
    let bed = Bed::new();
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend_from_slice(b"\r\n\n\x1b[31mred\x1b[0m\n");
    bytes.resize(bytes.len() + 200_000, b'x');
    bytes.extend_from_slice(b"\nno newline at the end");
    bed.file("bytes", &bytes);
    bed.script(
        "cat.sh",
        "#!/bin/sh\ncat bytes\ncat bytes >&2\nexec sleep 100000\n",
    );
    bed.tsm(["start", "./cat.sh"]).ok();
    bed.wait_log("cat.err", "at the end");
    assert!(fs::read(bed.home().join("logs/cat.out")).unwrap() == bytes);
    assert!(fs::read(bed.home().join("logs/cat.err")).unwrap() == bytes);
    for stream in ["--out", "--err"] {
        let shown = bed.tsm(["logs", "cat", stream, "--tail", "all"]).ok();
        assert!(shown.bytes == bytes, "{stream}");
    }
}

#[test]
fn a_last_line_without_a_newline_does_not_run_into_the_other_streams() {
    let bed = Bed::new();
    bed.script(
        "ask.sh",
        "#!/bin/sh\nprintf 'name: '\necho wrong >&2\nexec sleep 100000\n",
    );
    bed.tsm(["start", "./ask.sh"]).ok();
    bed.wait_log("ask.out", "name: ");
    bed.wait_log("ask.err", "wrong\n");
    let shown = bed.tsm(["logs", "ask"]).ok().stdout;
    // Which of both was moved first is not known.
    let orders = ["name: \nwrong\n", "wrong\nname: "];
    assert!(orders.contains(&shown.as_str()), "{shown}");
}

#[test]
fn what_a_process_said_last_is_in_its_log() {
    let bed = Bed::new();
    bed.script(
        "last.sh",
        "#!/bin/sh\necho begin; echo 'the end' >&2; printf unfinished; exit 3\n",
    );
    bed.tsm(["start", "./last.sh", "--restart", "no"]).ok();
    bed.wait_state("last", "failed");
    let log = |name: &str| fs::read_to_string(bed.home().join("logs").join(name)).unwrap();
    assert_eq!(log("last.out"), "begin\nunfinished");
    assert_eq!(log("last.err"), "the end\n");
    bed.tsm(["stop", "last"]).ok();
    assert_eq!(
        bed.tsm(["logs", "last", "--out"]).ok().stdout,
        "begin\nunfinished"
    );
}

#[test]
fn following_shows_what_comes_later() {
    let bed = Bed::new();
    bed.script(
        "talk.sh",
        "#!/bin/sh\nmkfifo go\necho before\nread word < go\necho \"out $word\"\necho \"err $word\" >&2\nexec sleep 100000\n",
    );
    bed.tsm(["start", "./talk.sh"]).ok();
    bed.wait_log("talk.out", "before\n");
    let mut both = Going::start(bed.tsm_command(["logs", "talk", "-f"]));
    let mut err = Going::start(bed.tsm_command(["logs", "talk", "-f", "--err"]));
    both.wait_text("before\n");
    bed.shell("echo later > go").ok();
    both.wait_text("out later\n");
    both.wait_text("err later\n");
    err.wait_text("err later\n");
    assert_eq!(err.text, "err later\n");
    // It goes on over a restart.
    fs::remove_file(bed.path("go")).unwrap();
    bed.tsm(["restart", "talk"]).ok();
    both.wait_text("before\nout later\nerr later\nbefore\n");
    // Each of them has begun to follow when its script waits, so that nothing of it was there before.
    bed.shell("echo again > go").ok();
    both.wait_text("out again\n");
}

#[test]
fn several_processes_stand_before_their_lines() {
    let bed = Bed::new();
    for name in ["a", "web"] {
        let script = bed.script(
            &format!("{name}.sh"),
            &format!("#!/bin/sh\necho 'this is {name}'\nexec sleep 100000\n"),
        );
        bed.tsm(["start", script.to_str().unwrap()]).ok();
        bed.wait_log(&format!("{name}.out"), "\n");
    }
    let shown = bed.tsm(["logs"]).ok().stdout;
    assert_eq!(shown, "a   | this is a\nweb | this is web\n");
    assert_eq!(bed.tsm(["logs", "web"]).ok().stdout, "this is web\n");
}

#[test]
fn delete_keeps_the_logs_only_where_told() {
    let bed = Bed::new();
    bed.script("a.sh", "#!/bin/sh\necho hello\nexec sleep 100000\n");
    for (option, left) in [
        (None, &[""; 0][..]),
        (Some("--keep-logs"), &["logs/a.err", "logs/a.out"]),
    ] {
        bed.tsm(["start", "./a.sh"]).ok();
        bed.wait_log("a.out", "hello\n");
        bed.tsm(["delete", "a"].into_iter().chain(option)).ok();
        let mut files = bed.process_files();
        files.retain(|name| !name.contains(".idx"));
        assert_eq!(files, left);
    }
}

#[test]
fn a_flood_is_written_to_its_last_byte() {
    let bed = Bed::new();
    bed.script(
        "flood.sh",
        "#!/bin/sh\nhead -c 8000000 /dev/zero | tr '\\0' x\necho\necho done >&2\nexec sleep 100000\n",
    );
    bed.tsm(["start", "./flood.sh"]).ok();
    bed.wait_log("flood.err", "done\n");
    let log = bed.home().join("logs/flood.out");
    wait_until("all of the flood is there", || {
        fs::metadata(&log).unwrap().len() == 8_000_001
    });
}

#[test]
fn floods_that_pause_are_written_to_their_last_byte_and_cost_nothing_then() {
    let bed = Bed::new();
    // None of them ends where a piece ends that the supervisor moves at once, and nothing comes after the last one.
    let burst = "head -c 700001 /dev/zero | tr '\\0' x; echo";
    let floods = bed.script(
        "floods.sh",
        &format!("#!/bin/sh\nfor n in 1 2 3; do {burst}; sleep 0.01; done\nexec sleep 100000\n"),
    );
    bed.tsm(["start", floods.to_str().unwrap()]).ok();
    let log = bed.home().join("logs/floods.out");
    wait_until("every byte is in the log", || {
        fs::metadata(&log).is_ok_and(|log| log.len() == 3 * 700_002)
    });
    assert_idle(&bed);
}
