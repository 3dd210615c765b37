//! Many commands at once.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};

use crate::bed::{Bed, Output, finish, words};

fn spawn(bed: &Bed, args: &[&str]) -> (Child, String) {
    let mut command = bed.tsm_command(args);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (child, words(&command))
}

#[track_caller]
fn outcomes(children: Vec<(Child, String)>) -> Vec<Output> {
    children
        .into_iter()
        .map(|(child, line)| finish(child, &line))
        .collect()
}

#[test]
fn of_forty_starts_of_one_name_one_wins() {
    let bed = Bed::new();
    let start = ["start", "--name", "api", "--", "sleep", "100000"];
    let outcomes = outcomes((0..40).map(|_| spawn(&bed, &start)).collect());
    let won = outcomes.iter().filter(|output| output.status == 0).count();
    let there = outcomes.iter().filter(|output| output.status == 4).count();
    assert_eq!((won, there), (1, 39), "{outcomes:#?}");
    assert_eq!(bed.names(), ["api"]);
    assert_eq!(bed.state("api"), "running");
    let services = crate::processes::children(bed.supervisor_pid().unwrap());
    assert_eq!(services, [bed.pid("api")]);
}

#[test]
fn of_forty_starts_of_one_script_one_wins() {
    let bed = Bed::new();
    bed.script("api.sh", "#!/bin/sh\necho ran >> runs\nexec sleep 100000\n");
    let outcomes = outcomes(
        (0..40)
            .map(|_| spawn(&bed, &["start", "./api.sh"]))
            .collect(),
    );
    let won = outcomes.iter().filter(|output| output.status == 0).count();
    let there = outcomes.iter().filter(|output| output.status == 4).count();
    assert_eq!((won, there), (1, 39), "{outcomes:#?}");
    assert_eq!(bed.wait_file("runs", |text| text.contains('\n')), "ran\n");
}

#[test]
fn a_hundred_different_starts_all_succeed() {
    let bed = Bed::new();
    let names: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    let children = names
        .iter()
        .map(|name| spawn(&bed, &["start", "--name", name, "--", "sleep", "100000"]))
        .collect();
    for output in outcomes(children) {
        output.ok();
    }
    let views = bed.list();
    assert_eq!(views.len(), 100);
    let distinct = |key: &str| -> BTreeSet<u64> {
        views.iter().filter_map(|view| view[key].as_u64()).collect()
    };
    assert_eq!(distinct("id").len(), 100);
    assert_eq!(distinct("pid").len(), 100);
    assert!(views.iter().all(|view| view["state"] == "running"));
    bed.tsm(["stop", "all"]).ok();
    assert!(bed.list().iter().all(|view| view["state"] == "stopped"));
}

#[test]
fn commands_that_contradict_each_other_leave_something_sensible() {
    let bed = Bed::new();
    bed.script("a.sh", "#!/bin/sh\nexec sleep 100000\n");
    bed.tsm(["start", "./a.sh"]).ok();
    for _ in 0..4 {
        let commands = [
            &["restart", "a"][..],
            &["stop", "a"],
            &["start", "a"],
            &["restart", "a"],
            &["kill", "a"],
            &["list", "--json"],
        ];
        let children = commands.iter().map(|args| spawn(&bed, args)).collect();
        for output in outcomes(children) {
            assert!(matches!(output.status, 0 | 1 | 4), "{output:?}");
        }
        let state = bed.state("a");
        assert!(state == "running" || state == "stopped", "{state}");
    }
    bed.tsm(["restart", "a"]).ok();
    let services = crate::processes::children(bed.supervisor_pid().unwrap());
    assert_eq!(services, [bed.pid("a")]);
}

#[test]
fn a_list_is_whole_at_every_moment() {
    let bed = Bed::new();
    bed.start_idle("a");
    let status = bed.home().join("status.json");
    crate::wait::wait_until("status.json is written", || status.exists());
    let changes: Vec<_> = (0..10).map(|_| spawn(&bed, &["restart", "a"])).collect();
    for _ in 0..20 {
        let views = bed.list();
        assert_eq!(views.len(), 1);
        let text = std::fs::read_to_string(&status).unwrap();
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(status.as_array().unwrap().len(), 1);
    }
    for output in outcomes(changes) {
        output.ok();
    }
}
