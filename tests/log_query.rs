//! `tsm logs` shows what was asked for: times, matches, JSON, places.

use std::fs;

use serde_json::Value;

use crate::bed::{Bed, Going};

/// Prints a line whenever its file `say` holds one, so that the time between two lines is the test's.
const SAY: &str = "#!/bin/sh
while :; do
  if [ -e say ]; then cat say; cat say >&2; rm say; touch said; fi
  sleep 0.01
done
";

struct Speaker<'a> {
    bed: &'a Bed,
    name: &'a str,
}

impl<'a> Speaker<'a> {
    fn start(bed: &'a Bed, name: &'a str) -> Self {
        bed.script("say.sh", SAY);
        bed.tsm(["start", "./say.sh", "--name", name]).ok();
        Self { bed, name }
    }

    fn say(&self, line: &str) {
        let _ = fs::remove_file(self.bed.path("said"));
        self.bed.file("say.new", format!("{line}\n"));
        fs::rename(self.bed.path("say.new"), self.bed.path("say")).unwrap();
        self.bed.wait_file("said", |_| true);
        self.bed
            .wait_log(&format!("{}.err", self.name), &format!("{line}\n"));
    }
}

/// Waits until a whole second has gone by, since that is what times are written in; lines that come within 100 ms of each
/// other may have one time.
fn next_second() -> String {
    for _ in 0..2 {
        let before = now();
        crate::wait::wait_until("the next second", || now() != before);
    }
    now()
}

fn now() -> String {
    let done = std::process::Command::new("date")
        .args(["-u", "+%Y-%m-%d %H:%M:%S"])
        .output()
        .unwrap();
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[test]
fn lines_of_some_time() {
    let bed = Bed::new();
    let speaker = Speaker::start(&bed, "a");
    speaker.say("first");
    let middle = next_second();
    speaker.say("second");
    let logs = |args: &[&str]| {
        bed.tsm([&["logs", "a", "--out"], args].concat())
            .ok()
            .stdout
    };
    assert_eq!(logs(&["--since", &middle]), "second\n");
    assert_eq!(logs(&["--until", &middle]), "first\n");
    assert_eq!(logs(&["--since", "1h"]), "first\nsecond\n");
    assert_eq!(logs(&["--since", "1h", "--tail", "1"]), "second\n");
    assert_eq!(
        logs(&["--since", "2020-01-01", "--until", "2020-01-02"]),
        ""
    );
    assert_eq!(logs(&["--since", "start"]), "first\nsecond\n");
    // After a rotation too.
    bed.tsm(["rotate", "a"]).ok();
    speaker.say("third");
    assert_eq!(logs(&["--since", &middle]), "second\nthird\n");
    assert_eq!(logs(&["--until", &middle]), "first\n");
    let wrong = bed.tsm(["logs", "a", "--since", "someday"]).exits(2);
    for example in ["10m", "2026-11-22 10:00", "2026-11-22T10:00:00Z"] {
        assert!(wrong.message().contains(example), "{}", wrong.stderr);
    }
}

#[test]
fn since_a_start_or_a_crash() {
    let bed = Bed::new();
    bed.script(
        "runs.sh",
        "#!/bin/sh\nn=$(cat n 2>/dev/null || echo 0)\nn=$((n + 1))\necho $n > n\necho \"run $n\"\n[ $n = 3 ] && exec sleep 100000\nexit 7\n",
    );
    bed.tsm(["start", "./runs.sh"]).ok();
    bed.wait_log("runs.out", "run 3\n");
    let logs = |since: &str| {
        bed.tsm(["logs", "runs", "--out", "--since", since])
            .ok()
            .stdout
    };
    assert_eq!(logs("start"), "run 1\nrun 2\nrun 3\n");
    assert_eq!(logs("last-crash"), "run 3\n");
    assert_eq!(logs("last-start"), "run 3\n");
    bed.start_idle("calm");
    let told = bed.tsm(["logs", "calm", "--since", "last-crash"]).ok();
    assert!(
        told.stderr.contains("'calm' has not crashed"),
        "{}",
        told.stderr
    );
}

#[test]
fn lines_that_match_as_text_and_as_json() {
    let bed = Bed::new();
    bed.script(
        "print.sh",
        "#!/bin/sh\nfor n in 1 2 3 12; do echo \"GET /$n\"; done\nprintf 'bin\\377ary GET\\n'\necho 'POST /1' >&2\nexec sleep 100000\n",
    );
    bed.tsm(["start", "./print.sh"]).ok();
    bed.wait_log("print.err", "POST");
    let logs = |args: &[&str]| bed.tsm([&["logs", "print"], args].concat()).ok();
    assert_eq!(logs(&["--grep", "/1"]).stdout, "GET /1\nGET /12\nPOST /1\n");
    assert_eq!(logs(&["--grep", "^GET /.$", "-n", "1"]).stdout, "GET /3\n");
    assert_eq!(logs(&["--grep", "GET$"]).bytes, b"bin\xffary GET\n");
    assert_eq!(logs(&["--grep", "(?i)post"]).stdout, "POST /1\n");
    let wrong = bed.tsm(["logs", "print", "--grep", "a(b"]).exits(2);
    assert!(
        wrong.stderr.contains("unclosed group\n  a(b\n   ^"),
        "{}",
        wrong.stderr
    );

    let lines: Vec<Value> = logs(&["--json", "--grep", "/1"])
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (&lines[2]["name"], &lines[2]["stream"], &lines[2]["line"]),
        (&"print".into(), &"err".into(), &"POST /1".into())
    );
    let time = lines[2]["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
}

#[test]
fn names_before_lines_and_places_of_files() {
    let bed = Bed::new();
    for name in ["a", "web"] {
        let text = format!("#!/bin/sh\necho '{name} err' >&2\nexec sleep 100000\n");
        let script = bed.script(&format!("{name}.sh"), &text);
        bed.tsm(["start", script.to_str().unwrap()]).ok();
        bed.wait_log(&format!("{name}.err"), "\n");
    }
    let mut lines: Vec<String> = bed
        .tsm(["logs"])
        .ok()
        .stdout
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    assert_eq!(lines, ["a   ! a err", "web ! web err"]);
    let bare = bed
        .tsm(["logs", "--no-prefix", "--tail", "all"])
        .ok()
        .stdout;
    assert!(
        bare.lines()
            .all(|line| line.ends_with(" err") && !line.contains('!')),
        "{bare}"
    );
    let coloured = bed.tsm(["logs", "--color", "always"]).ok().stdout;
    assert!(coloured.contains("\x1b["), "{coloured}");
    let logs = bed.home().join("logs");
    let places = bed.tsm(["logs", "web", "--where"]).ok().stdout;
    let expected = format!("{0}/web.out\n{0}/web.err\n", logs.display());
    assert_eq!(places, expected);
}

#[test]
fn a_reader_that_goes_away_ends_it_silently() {
    let bed = Bed::new();
    bed.script(
        "many.sh",
        "#!/bin/sh\nseq 1 100000\necho done >&2\nexec sleep 100000\n",
    );
    bed.tsm(["start", "./many.sh"]).ok();
    bed.wait_log("many.err", "done");
    let shown = bed
        .shell("\"$0\" logs many --out --tail all | head -n 2")
        .ok();
    assert_eq!(
        (shown.stdout.as_str(), shown.stderr.as_str()),
        ("1\n2\n", "")
    );
}

#[test]
fn a_time_that_is_none_is_answered_with_three_that_are() {
    let bed = Bed::new();
    bed.start_idle("a");
    for time in ["yesterday", "-5m", "25:00", "2026-13-01", ""] {
        for option in ["--since", "--until"] {
            let refused = bed.tsm(["logs", "a", option, time]).exits(2);
            let expected = format!(
                "tsm: {option}: '{time}' is no time; write 10m, \"2026-11-22 10:00\" or 2026-11-22T10:00:00Z\n"
            );
            assert_eq!(refused.stderr, expected);
        }
    }
    let refused = bed
        .tsm(["logs", "a", "--since", "1m", "--until", "2m"])
        .exits(2);
    assert!(
        refused.stderr.contains("not later than --since"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_follower_ends_with_its_reader_though_nothing_more_is_printed() {
    let bed = Bed::new();
    bed.script("says.sh", "#!/bin/sh\necho one\nexec sleep 100000\n");
    bed.tsm(["start", "./says.sh"]).ok();
    bed.wait_log("says.out", "one\n");
    let shown = bed.shell("\"$0\" logs says -f | head -n 1").ok();
    assert_eq!((&*shown.stdout, &*shown.stderr), ("one\n", ""));
}

#[test]
fn a_file_that_several_write_into_is_shown_once() {
    let bed = Bed::new();
    bed.script(
        "says.sh",
        "#!/bin/sh\necho out\necho err >&2\nexec sleep 100000\n",
    );
    let both = bed.path("both.log");
    let both = both.to_str().unwrap();
    let into = |name: &str, err: &str| {
        let options = ["--name", name, "--out", both, "--err", err];
        bed.tsm([&["start", "./says.sh"], &options[..]].concat())
            .ok();
    };
    into("a", both);
    bed.wait_file("both.log", |text| text.lines().count() == 2);
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    // One process that names one file twice.
    let shown = bed.tsm(["logs", "a"]).ok().stdout;
    assert_eq!(sorted(shown), ["err", "out"]);
    into("b", "same");
    bed.tsm(["start", "./says.sh", "--name", "c"]).ok();
    bed.wait_file("both.log", |text| text.lines().count() == 4);
    bed.wait_log("c.err", "err\n");
    let shown = bed.tsm(["logs"]).ok().stdout;
    let expected = [
        "a,b | err",
        "a,b | err",
        "a,b | out",
        "a,b | out",
        "c   ! err",
        "c   | out",
    ];
    assert_eq!(sorted(shown), expected);
    let shown = bed.tsm(["logs", "b"]).ok().stdout;
    assert_eq!(shown.lines().count(), 4, "{shown}");
    let shown = bed.tsm(["logs", "b", "--err"]).ok();
    assert_eq!(shown.stdout, "");
    assert!(
        shown.stderr.contains("goes where its standard output goes"),
        "{}",
        shown.stderr
    );
    // It is nobody's to remove.
    let deleted = bed.tsm(["delete", "a"]).ok();
    assert!(deleted.stderr.contains("both.log"), "{}", deleted.stderr);
    bed.wait_file("both.log", |text| text.lines().count() == 4);
}

#[test]
fn a_log_that_is_not_there_is_told() {
    let bed = Bed::new();
    bed.script("says.sh", "#!/bin/sh\necho out\nexec sleep 100000\n");
    bed.tsm(["start", "./says.sh"]).ok();
    bed.wait_log("says.out", "out\n");
    fs::remove_file(bed.home().join("logs/says.out")).unwrap();
    let shown = bed.tsm(["logs", "says"]).ok();
    assert_eq!(shown.stdout, "");
    assert!(shown.stderr.contains("there is no ") && shown.stderr.contains("logs/says.out"));
    assert_eq!(shown.stderr.lines().count(), 1, "{}", shown.stderr);
    bed.tsm(["restart", "says"]).ok();
    bed.wait_log("says.out", "out\n");
    bed.tsm(["delete", "says", "--keep-logs"]).ok();
    let shown = bed.tsm(["logs", "says"]).exits(3);
    assert!(shown.stderr.contains("logs/says.out"), "{}", shown.stderr);
}

#[test]
fn more_logs_are_shown_than_the_soft_limit_allows_files() {
    let bed = Bed::new();
    bed.script("says.sh", "#!/bin/sh\necho said\nexec sleep 100000\n");
    for number in 0..12 {
        bed.tsm(["start", "./says.sh", "--name", &format!("s{number}")])
            .ok();
        bed.wait_log(&format!("s{number}.out"), "\n");
    }
    let shown = bed.shell("ulimit -Sn 12; \"$0\" logs").ok();
    assert_eq!((shown.stdout.lines().count(), &*shown.stderr), (12, ""));
}

#[test]
fn a_follower_of_all_goes_on_with_what_is_started_then() {
    let bed = Bed::new();
    bed.script("says.sh", "#!/bin/sh\necho said\nexec sleep 100000\n");
    let elsewhere = bed.path("elsewhere.log");
    let start = |name: &str, more: &[&str]| {
        let words = [&["start", "./says.sh", "--name", name], more].concat();
        bed.tsm(words).ok();
    };
    start("one", &[]);
    bed.wait_log("one.out", "said\n");
    let mut all = Going::start(bed.tsm_command(["logs", "-f"]));
    let mut some = Going::start(bed.tsm_command(["logs", "-f", "*[eo]"]));
    all.wait_text("said\n");
    some.wait_text("said\n");
    start("two", &[]);
    all.wait_text("two | said\n");
    some.wait_text("two | said\n");
    start("other", &["--out", elsewhere.to_str().unwrap()]);
    all.wait_text("other | said\n");
    bed.tsm(["restart", "one"]).ok();
    all.wait_text("one   | said\n");
    some.wait_text("one | said\n");
    assert!(!some.text.contains("other"), "{}", some.text);
    assert_eq!(all.text.matches("said").count(), 4, "{}", all.text);
}
