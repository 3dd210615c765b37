//! Limits that a service is held to.

use crate::bed::{Bed, is_root};

/// What a service says of itself.
const TELL: &str =
    "ulimit -n; ulimit -Hn; ps -o ni= -p $$; cat /proc/self/oom_score_adj; echo told; sleep 100000";

#[test]
fn open_files_nice_value_and_oom_score_are_set() {
    let bed = Bed::new();
    let options = [
        "start",
        "--name",
        "a",
        "--nofile",
        "123",
        "--nice",
        "7",
        "--oom-score-adj",
        "321",
        "--",
        "sh",
        "-c",
        TELL,
    ];
    bed.tsm(options).ok();
    let log = bed.wait_log("a.out", "told\n");
    let words: Vec<&str> = log.split_whitespace().collect();
    assert_eq!(words, ["123", "123", "7", "321", "told"]);
    // The supervisor keeps its own.
    let supervisor = bed.supervisor_pid().unwrap();
    let score = std::fs::read_to_string(format!("/proc/{supervisor}/oom_score_adj")).unwrap();
    assert_ne!(score.trim(), "321");
    let limits = &bed.info("a")["service_limits"];
    assert_eq!(
        *limits,
        serde_json::json!({"nofile": 123, "nice": 7, "oom_score_adj": 321})
    );
    let told = bed.tsm(["info", "a"]).ok().stdout;
    assert!(
        told.contains("\nHeld to: 123 open files, nice value 7, OOM score 321\n"),
        "{told}"
    );
    // They hold after a crash and for a supervisor that adopts it, too.
    bed.crash("a");
    let log = bed.wait_log("a.out", "told\n123");
    assert!(log.starts_with("123\n123\n"), "{log}");
}

#[test]
fn what_may_not_be_set_is_said_before_anything_runs() {
    let bed = Bed::new();
    let bad = [
        (
            "--max-memory",
            "lots",
            "'lots' is no size; write 256K, 4M or 1G",
        ),
        ("--max-cpu", "0", "write 1.5 (cores) or 50%"),
        ("--tasks", "0", "'0' is no whole number from 1 on"),
        ("--nice", "20", "'20' is no whole number from -20 to 19"),
        (
            "--oom-score-adj",
            "-1001",
            "'-1001' is no whole number from -1000 to 1000",
        ),
    ];
    for (option, value, words) in bad {
        let told = bed.tsm(["start", option, value, "--", "true"]).exits(2);
        assert!(told.stderr.contains(words), "{option}: {}", told.stderr);
    }
    if !is_root() {
        return;
    }
    bed.open_to_others();
    let script = bed.script("a.sh", "#!/bin/sh\nsleep 100000\n");
    let script = script.to_str().unwrap();
    let told = bed
        .tsm([
            "start",
            "--name",
            "b",
            "--nofile",
            "99999999999",
            "--",
            script,
        ])
        .exits(1);
    assert!(
        told.message()
            .starts_with("cannot start 'b': cannot limit its open files to 99999999999: "),
        "{}",
        told.stderr
    );
    assert!(bed.names().is_empty());
}

#[test]
fn what_is_over_its_limit_has_failed_and_the_history_says_which() {
    let bed = Bed::new();
    let cases = [
        (
            "memory",
            ["--max-memory", "30M"],
            "my $x = 'x' x (80 << 20); sleep 100000",
            "killed by SIGTERM; it was over its limit of 30.0M of memory, with ",
        ),
        (
            "tasks",
            ["--tasks", "3"],
            "for (1..5) { fork or do { sleep 100000; exit } } sleep 100000",
            "killed by SIGTERM; it was over its limit of 3 tasks, with ",
        ),
        ("none", ["--tasks", "30"], "sleep 100000", ""),
    ];
    for (name, limit, program, _) in cases {
        let words = [
            &["start", "--name", name, "--restart", "no"][..],
            &limit,
            &["--", "perl", "-e", program],
        ];
        bed.tsm(words.concat()).ok();
    }
    for (name, _, _, reason) in cases.iter().take(2) {
        let view = bed.wait_state(name, "failed");
        let told = view["exit"]["reason"].as_str().unwrap();
        assert!(told.starts_with(reason), "{told}");
        let why = bed.why(name);
        let hit = format!("killed by SIGTERM; it hit its limit of {name}, ");
        assert!(why.starts_with(&hit), "{why}");
        let history = bed.home().join(format!("processes/{name}.events.jsonl"));
        let history = std::fs::read_to_string(history).unwrap();
        assert!(
            history.contains(&format!(r#""event":"limit-hit","run":1,"limit":"{name}""#)),
            "{history}"
        );
    }
    assert_eq!(bed.state("none"), "running");
}

#[test]
fn a_supervisor_with_lower_hard_limits_starts_what_had_higher_ones_and_says_so() {
    let bed = Bed::new();
    if is_root() {
        // Root may raise them again, so that nothing has to be lowered; without that right it is as for everybody.
        let line = "exec setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource \"$0\" start --name first -- sleep 100000";
        bed.shell(&format!("ulimit -c 0; {line}")).ok();
    } else {
        bed.shell("ulimit -c 0; exec \"$0\" start --name first -- sleep 100000")
            .ok();
    }
    let second = bed
        .tsm(["start", "--name", "second", "--", "sleep", "100000"])
        .ok();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", bed.pid("second"))).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core"))
        .unwrap();
    if core.split_whitespace().nth(5) != Some("0") {
        eprintln!("skipped: this shell has no limit of core files to give: {core}");
    }
    assert!(second.stderr.contains("core 0 instead of"), "{second:?}");
    assert!(second.stderr.contains("tsm supervisor stop"), "{second:?}");
    let info = bed.tsm(["info", "second"]).ok();
    assert!(
        info.stdout.contains("Lowered: core 0 instead of"),
        "{}",
        info.stdout
    );
    // It is no reason to stay down.
    bed.crash("second");
    bed.wait_state("second", "running");
    assert_eq!(bed.view("first")["state"], "running");
}
