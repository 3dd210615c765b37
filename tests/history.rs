//! `tsm history`: all that happened, each thing once, whatever became of the supervisor meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::bed::Bed;
use crate::fault_kit::STEPS;
use crate::wait::{DEADLINE, wait_until, within};

impl Bed {
    /// `tsm history --json`.
    #[track_caller]
    pub(crate) fn history(&self, name: &str) -> Vec<Value> {
        let told = self.tsm(["history", name, "--json"]).ok();
        match serde_json::from_str(&told.stdout) {
            Ok(Value::Array(events)) => events,
            other => panic!("history --json printed {other:?}"),
        }
    }

    /// The kinds of events, in their order.
    #[track_caller]
    pub(crate) fn happened(&self, name: &str) -> Vec<String> {
        let kinds = self.history(name);
        kinds
            .iter()
            .map(|event| event["event"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Requires that the history of a process makes sense: each run begins once and ends once, in this order, and what
    /// stands on record is the last that was noted. A supervisor that has just adopted it may need a moment for that.
    #[track_caller]
    pub(crate) fn check_history(&self, name: &str) {
        let mut wrong = None;
        let makes_sense = within(DEADLINE, || {
            wrong = self.wrong_in_history(name);
            wrong.is_none().then_some(())
        });
        if makes_sense.is_none() {
            let text = self.tsm(["history", name]).stdout;
            panic!("the history of '{name}': {wrong:?}\n{text}");
        }
    }

    fn wrong_in_history(&self, name: &str) -> Option<String> {
        let view = self.view(name);
        let events = self.history(name);
        let mut runs: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
        // Runs that were killed, as a person asked, before it was known that their program had begun.
        let mut nipped: Vec<u64> = Vec::new();
        let mut asked_to_end = false;
        for event in &events {
            let run = event["run"].as_u64().unwrap_or(0);
            match event["event"].as_str().unwrap() {
                "started" => {
                    if runs.get(&run).is_some_and(|(_, ended)| *ended > 0) {
                        return Some(format!("run {run} starts after its end"));
                    }
                    runs.entry(run).or_default().0 += 1;
                }
                "exited" => {
                    let seen = runs.entry(run).or_default();
                    seen.1 += 1;
                    if seen.0 == 0 && asked_to_end {
                        nipped.push(run);
                    }
                }
                "start-requested" => asked_to_end = false,
                "stop-requested" | "restart-requested" => asked_to_end = true,
                _ => {}
            }
        }
        let last = runs.keys().next_back().copied();
        for (run, (started, ended)) in &runs {
            let runs_on = Some(*run) == last && !view["pid"].is_null();
            let expected = (u32::from(!nipped.contains(run)), u32::from(!runs_on));
            if (*started, *ended) != expected {
                return Some(format!(
                    "run {run} began {started} times and ended {ended} times"
                ));
            }
        }
        // What is changed of a process that is stopped leaves it so.
        let changes = ["environment-changed", "environment-kept", "reset"];
        let last = events
            .iter()
            .map(|event| event["event"].as_str().unwrap())
            .rfind(|kind| !changes.contains(kind));
        (view["state"] == "stopped" && last != Some("stopped"))
            .then(|| "it is stopped, and that is not noted".to_owned())
    }
}

#[test]
fn a_life_is_told_in_order() {
    let bed = Bed::new();
    bed.script(
        "a.sh",
        "#!/bin/sh\n[ -e ok ] && exec sleep 100000\n: > ok\nexit 4\n",
    );
    bed.tsm(["start", "./a.sh"]).ok();
    bed.wait_state("a", "running");
    bed.tsm(["env", "set", "a", "SECRET_KEY=hush"]).ok();
    bed.tsm(["restart", "a"]).ok();
    bed.tsm(["stop", "a"]).ok();
    assert_eq!(
        bed.happened("a"),
        [
            "start-requested",
            "started",
            "exited",
            "backoff",
            "started",
            "environment-changed",
            "restart-requested",
            "exited",
            "started",
            "stop-requested",
            "exited",
            "stopped"
        ]
    );
    bed.check_history("a");
    let told = bed.tsm(["history", "a"]).ok().stdout;
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].contains("start asked for by "), "{told}");
    assert!(lines[2].contains("exited with status 4, "), "{told}");
    assert!(
        lines[3].ends_with("restarts at once (1st in a row)"),
        "{told}"
    );
    assert!(lines[5].ends_with(": SECRET_KEY"), "{told}");
    assert!(!told.contains("hush"));
    let last = bed.tsm(["history", "a", "-n", "1"]).ok().stdout;
    assert_eq!(last.lines().collect::<Vec<_>>(), lines[lines.len() - 1..]);
    let path = bed.home().join("processes/a.events.jsonl");
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn it_is_bounded_on_disk_and_unknown_and_torn_lines_are_kept_or_named() {
    let bed = Bed::new();
    bed.start_idle("a");
    let path = bed.home().join("processes/a.events.jsonl");
    let line = "{\"at\":\"2026-01-01T00:00:00.000Z\",\"event\":\"of-tomorrow\",\"what\":\"x\"}\n";
    let text = line.repeat((256 << 10) / line.len());
    fs::write(&path, format!("{text}{{\"at\":")).unwrap();
    bed.tsm(["restart", "a"]).ok();
    let size = fs::metadata(&path).unwrap().len();
    assert!(size < 140 << 10, "{size}");
    let told = bed.tsm(["history", "a"]).ok();
    assert!(
        told.stderr.contains("1 line of it cannot be read"),
        "{}",
        told.stderr
    );
    assert!(told.stdout.contains("of-tomorrow"));
    assert_eq!(bed.history("a")[0]["what"], "x");
    let kinds = bed.happened("a");
    assert_eq!(kinds.last().map(String::as_str), Some("started"));
    fs::remove_file(&path).unwrap();
    assert_eq!(bed.history("a"), Vec::<Value>::new());
}

/// Lets the supervisor die at each of the steps of a command, and requires that its history is whole.
fn through_all_steps(points: &[&str], command: &[&str], up_before: bool) {
    let bed = Bed::new();
    bed.start_rigged_supervisor();
    let script = bed.lonely("a");
    bed.tsm(["start", &script, "--name", "a"]).ok();
    if !up_before {
        bed.tsm(["stop", "a"]).ok();
    }
    for point in points {
        for times in 1..=6 {
            bed.arm_after(point, times);
            bed.tsm(command.iter().copied()).ok();
            let fired = !bed.fail_point().exists();
            bed.disarm();
            bed.check_history("a");
            if command[0] == "stop" {
                bed.tsm(["start", "a"]).ok();
            } else if command[0] == "start" {
                bed.tsm(["stop", "a"]).ok();
            }
            bed.check_history("a");
            if !fired {
                break;
            }
        }
    }
    bed.runs_of("a");
}

const NOTES: &[&str] = &["note", "noted", "action", "record"];

#[test]
fn no_event_of_a_stop_is_lost_by_a_supervisors_death() {
    through_all_steps(NOTES, &["stop", "a"], true);
}

#[test]
fn no_event_of_a_start_is_lost_by_a_supervisors_death() {
    through_all_steps(&[NOTES, &STEPS[..]].concat(), &["start", "a"], false);
}

#[test]
fn no_event_of_a_restart_is_lost_by_a_supervisors_death() {
    through_all_steps(NOTES, &["restart", "a"], true);
}

#[test]
fn no_event_of_a_crash_is_lost_by_a_supervisors_death() {
    let bed = Bed::new();
    bed.start_rigged_supervisor();
    let script = bed.lonely("a");
    bed.tsm(["start", &script, "--name", "a"]).ok();
    for point in NOTES {
        for times in 1..=6 {
            bed.arm_after(point, times);
            let before = bed.crash("a");
            bed.wait_new_pid("a", before);
            let fired = !bed.fail_point().exists();
            bed.disarm();
            wait_until("its start is noted", || {
                bed.happened("a")
                    .last()
                    .is_some_and(|kind| kind == "started" || kind == "adopted")
            });
            bed.check_history("a");
            let exits = bed.exits("a");
            let last = exits.last().map(String::as_str);
            assert_eq!(last, Some("signal:9"), "{exits:?}");
            let kinds = bed.happened("a");
            let crashes = kinds.iter().filter(|kind| *kind == "exited").count();
            let waits = kinds.iter().filter(|kind| *kind == "backoff").count();
            assert_eq!(waits, crashes, "{point} {times}: {kinds:?}");
            // Counted anew, so that none has to be waited for.
            bed.tsm(["reset", "a"]).ok();
            if !fired {
                break;
            }
        }
    }
    bed.runs_of("a");
}

#[test]
fn a_changed_environment_is_noted_once_whenever_the_supervisor_dies() {
    let bed = Bed::new();
    bed.start_rigged_supervisor();
    bed.start_idle("a");
    let points = [
        "note",
        "noted",
        "replace-1-staged",
        "replace-2-synced",
        "replace-3-committed",
    ];
    for (number, point) in points.into_iter().enumerate() {
        bed.arm(point);
        let assignment = format!("V{number}=x");
        bed.tsm(["env", "set", "a", &assignment]).ok();
        bed.fired(point);
        let history = bed.history("a");
        let mut changed = history
            .iter()
            .filter(|e| e["event"] == "environment-changed");
        assert_eq!(changed.clone().count(), number + 1, "{point}: {history:#?}");
        let last = changed.next_back().unwrap();
        assert_eq!(last["names"], serde_json::json!([format!("V{number}")]));
    }
}
