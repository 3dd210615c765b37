//! The supervisor dies at every named step of every command that changes something. After each: what was asked is done,
//! every service is up at most once, none is lost, ids are unique, and all files are whole.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::bed::{Bed, run};
use crate::fault_kit::STEPS;
use crate::wait::wait_until;

/// Steps that every command goes through, some of them several times.
const EVERYWHERE: [&str; 4] = ["action", "record", "note", "noted"];
/// A point that is come to more often than this within one command was looked at often enough.
const MOST_TIMES: u32 = 12;

/// Runs a command again and again, each time with the supervisor dying one step further, until it does not die any more.
/// Returns how often it died.
fn die_at_each_step(
    bed: &Bed,
    points: &[&str],
    before: impl Fn(&Bed),
    command: &[&str],
    after: impl Fn(&Bed),
) -> u32 {
    let mut deaths = 0;
    for point in points {
        for times in 1..=MOST_TIMES {
            before(bed);
            bed.arm_after(point, times);
            let output = run(bed.tsm_command(command)).ok();
            let died = !bed.fail_point().exists();
            bed.disarm();
            check(
                bed,
                &format!("{command:?}, {point} for the {times}th time: {output:?}"),
            );
            after(bed);
            if !died {
                break;
            }
            deaths += 1;
        }
    }
    deaths
}

#[track_caller]
fn check(bed: &Bed, when: &str) {
    bed.runs_of("a");
    let views = bed.list();
    let ids: BTreeSet<u64> = views
        .iter()
        .map(|view| view["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), views.len(), "{when}: {views:?}");
    assert!(views.iter().any(|view| view["name"] == "first"), "{when}");
    let told = bed.tsm(["doctor", "--json"]);
    let report: Value = serde_json::from_str(&told.stdout).unwrap();
    for finding in report["findings"].as_array().unwrap() {
        assert_eq!(finding["kind"], "old-dump", "{when}: {report:#}");
    }
}

fn rigged() -> (Bed, String) {
    let bed = Bed::new();
    bed.start_rigged_supervisor();
    let script = bed.lonely("a");
    (bed, script)
}

#[track_caller]
fn runs_once(bed: &Bed) {
    let pid = bed.wait_state("a", "running")["pid"].as_u64();
    // The program was executed, and may not have come to its first line yet.
    wait_until("what runs is what is on record", || {
        bed.runs_of("a").last().map(|pid| u64::from(*pid)) == pid
    });
}

#[test]
fn at_every_step_of_a_first_start() {
    let (bed, script) = rigged();
    let deaths = die_at_each_step(
        &bed,
        &[&EVERYWHERE[..], &STEPS[..]].concat(),
        |_| {},
        &["start", "--name", "a", "--", &script],
        |bed| {
            runs_once(bed);
            bed.tsm(["delete", "a"]).ok();
        },
    );
    assert!(deaths >= 6, "it died only {deaths} times");
}

#[test]
fn at_every_step_of_a_start_of_what_is_known() {
    let (bed, script) = rigged();
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    let stop = |bed: &Bed| drop(bed.tsm(["stop", "a"]).ok());
    let deaths = die_at_each_step(
        &bed,
        &[&EVERYWHERE[..], &STEPS[..]].concat(),
        stop,
        &["start", "a"],
        runs_once,
    );
    assert!(deaths >= 6, "it died only {deaths} times");
}

#[test]
fn at_every_step_of_a_stop() {
    let (bed, script) = rigged();
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    let deaths = die_at_each_step(
        &bed,
        &EVERYWHERE,
        |bed| drop(bed.tsm(["start", "a"])),
        &["stop", "a"],
        |bed| {
            let view = bed.view("a");
            assert_eq!(
                (&view["state"], &view["pid"]),
                (&"stopped".into(), &Value::Null)
            );
        },
    );
    assert!(deaths >= 6, "it died only {deaths} times");
}

#[test]
fn at_every_step_of_a_restart() {
    let (bed, script) = rigged();
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    let deaths = die_at_each_step(
        &bed,
        &[&EVERYWHERE[..], &STEPS[..]].concat(),
        |_| {},
        &["restart", "a"],
        runs_once,
    );
    assert!(deaths >= 8, "it died only {deaths} times");
}

#[test]
fn at_every_step_of_a_delete() {
    let (bed, script) = rigged();
    let deaths = die_at_each_step(
        &bed,
        &[&EVERYWHERE[..], &["delete-1-noted", "delete-2-removed"]].concat(),
        |bed| drop(bed.tsm(["start", "--name", "a", "--", &script]).ok()),
        &["delete", "a"],
        |bed| {
            let left = bed.process_files();
            let of_a = |file: &String| {
                file.split('/')
                    .nth(1)
                    .is_some_and(|f| f.trim_start_matches('.').starts_with("a."))
            };
            assert_eq!(left.iter().find(|file| of_a(file)), None);
        },
    );
    assert!(deaths >= 6, "it died only {deaths} times");
}

#[test]
fn at_every_step_of_a_save() {
    let (bed, script) = rigged();
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    let points = ["save-1-written", "save-2-kept", "save-3-renamed"];
    let deaths = die_at_each_step(
        &bed,
        &points,
        |_| {},
        &["save"],
        |bed| {
            let dump = std::fs::read(bed.home().join("dump.json")).unwrap();
            let dump: Value = serde_json::from_slice(&dump).unwrap();
            assert_eq!(dump["processes"].as_array().map(Vec::len), Some(2));
        },
    );
    assert_eq!(deaths, 3);
}

#[test]
fn at_every_step_of_a_reset() {
    let (bed, script) = rigged();
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    die_at_each_step(&bed, &EVERYWHERE, |_| {}, &["reset", "a"], runs_once);
}
