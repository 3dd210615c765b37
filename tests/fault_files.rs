//! Files of the home that are torn, and files that are read while they change.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Seek as _};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed::Bed;
use crate::fault_kit::{kill, meanwhile};
use crate::wait::{wait_until, within};

/// How a record is torn.
const TEARS: [&str; 4] = ["cut off", "empty", "of zeroes", "a directory"];

fn tear(bed: &Bed, name: &str, how: &str) {
    let path = bed.meta_path(name);
    let bytes = fs::read(&path).unwrap();
    match how {
        "cut off" => fs::write(&path, &bytes[..bytes.len() / 3]).unwrap(),
        "empty" => fs::write(&path, "").unwrap(),
        "of zeroes" => fs::write(&path, vec![0; bytes.len()]).unwrap(),
        _ => {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            fs::write(path.join("something"), "").unwrap();
        }
    }
}

/// Three services, the record of one of which is torn while no supervisor is there.
#[track_caller]
fn torn(how: &str, with_store: bool) {
    let bed = Bed::new();
    let names = ["a", "b", "c"];
    for name in names {
        let script = bed.lonely(name);
        bed.tsm(["start", "--name", name, "--", &script]).ok();
        bed.wait_runs(name, 1);
    }
    let before = names.map(|name| bed.pid(name));
    let supervisor = bed.supervisor_seen();
    if with_store {
        let _guardian = bed.freeze_guardian();
        kill(supervisor);
        tear(&bed, "b", how);
        let listed = bed.tsm(["list", "--json"]).ok();
        assert!(listed.stderr_line().contains("b.meta"), "{}", listed.stderr);
    } else {
        bed.kill_keepers();
        tear(&bed, "b", how);
    }
    bed.start_idle("d");
    assert_eq!(
        [bed.pid("a"), bed.pid("c")],
        [before[0], before[2]],
        "{how}"
    );
    // Rebuilt from its spec, and still the same process.
    assert_eq!(bed.wait_runs("b", 1), before[1], "{how}");
    let view = bed.view("b");
    assert_eq!(view["wanted"], true, "{how}: {view}");
    assert_eq!(view["id"], 2, "{how}: {view}");
    assert_eq!(view["cwd"], bed.work().to_str().unwrap());
    bed.crash("b");
    bed.wait_runs("b", 2);
    bed.tsm(["stop", "b"]).ok();
    assert_eq!(bed.state("b"), "stopped");
}

#[test]
fn a_torn_record_is_rebuilt_where_the_guardian_has_its_handles() {
    for how in TEARS {
        torn(how, true);
    }
}

#[test]
fn a_torn_record_is_rebuilt_where_nobody_has() {
    for how in TEARS {
        torn(how, false);
    }
}

#[test]
fn a_torn_record_of_a_stopped_one_stays_stopped() {
    for how in &TEARS[..3] {
        let bed = Bed::new();
        let script = bed.lonely("a");
        bed.tsm(["start", "--name", "a", "--", &script]).ok();
        bed.wait_runs("a", 1);
        bed.tsm(["stop", "a"]).ok();
        bed.kill_keepers();
        tear(&bed, "a", how);
        bed.start_idle("b");
        assert_eq!(bed.state("a"), "stopped");
        assert_eq!(bed.runs_of("a").len(), 1);
        bed.tsm(["start", "a"]).ok();
        bed.wait_runs("a", 2);
    }
}

#[test]
fn ids_are_unique_whatever_becomes_of_next_id() {
    let bed = Bed::new();
    let next_id = bed.home().join("next_id");
    let mut given = BTreeSet::new();
    let mut start = |name: &str| {
        bed.start_idle(name);
        let id = bed.view(name)["id"].as_u64().unwrap();
        assert!(given.insert(id), "ID {id} was given twice");
    };
    start("a0");
    start("a1");
    for (number, text) in [
        Some("1\n"),
        Some("x\u{0}"),
        Some(""),
        Some("4294967296"),
        None,
    ]
    .into_iter()
    .enumerate()
    {
        bed.kill_keepers();
        match text {
            Some(text) => fs::write(&next_id, text).unwrap(),
            None => fs::remove_file(&next_id).unwrap(),
        }
        start(&format!("b{number}"));
        // And while a supervisor runs.
        match text {
            Some(text) => fs::write(&next_id, text).unwrap(),
            None => fs::remove_file(&next_id).unwrap(),
        }
        start(&format!("c{number}"));
    }
}

#[test]
fn the_status_follows_and_is_whole_at_every_moment() {
    let bed = Bed::new();
    bed.start_idle("first");
    let path = bed.home().join("status.json");
    let read = || -> Vec<Value> {
        let text = fs::read(&path).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    wait_until("there is one", || path.exists());
    let mut longest = Duration::ZERO;
    let mut follows = |what: &str, holds: &dyn Fn(&Value) -> bool, gone: bool| {
        let begin = Instant::now();
        wait_until(&format!("the status says: {what}"), || {
            match read().iter().find(|view| view["name"] == "a") {
                Some(view) => !gone && holds(view),
                None => gone,
            }
        });
        longest = longest.max(begin.elapsed());
    };
    meanwhile(&[&|| drop(read())], || {
        for _ in 0..3 {
            let pid = bed.start_idle("a");
            follows(
                "running",
                &|view| view["pid"] == pid && view["state"] == "running",
                false,
            );
            bed.crash("a");
            let next = bed.wait_new_pid("a", pid);
            follows(
                "restarted",
                &|view| view["pid"] == next && view["restarts"] == 1,
                false,
            );
            bed.tsm(["stop", "a"]).ok();
            follows(
                "stopped",
                &|view| view["pid"].is_null() && view["state"] == "stopped",
                false,
            );
            bed.kill_supervisor();
            bed.tsm(["start", "a"]).ok();
            follows("started", &|view| view["state"] == "running", false);
            bed.tsm(["delete", "a"]).ok();
            follows("gone", &|_| false, true);
        }
    });
    eprintln!("the status followed after {longest:?} at most");
    // A second is promised; the rest is for a busy machine.
    assert!(longest < Duration::from_secs(3), "{longest:?}");
}

#[test]
fn a_record_is_whole_at_every_moment() {
    let bed = Bed::new();
    bed.start_idle("a");
    let path = bed.meta_path("a");
    let whole = || {
        let text = fs::read_to_string(&path).unwrap();
        let is_whole = text.starts_with("script='sleep' pid=")
            && text.ends_with('\n')
            && text.lines().count() == 1
            && text.matches(" boot=").count() == 1;
        assert!(is_whole, "half a record: {text:?}");
    };
    // As a script does that opens it and reads it a moment later.
    let slowly = || {
        let mut file = fs::File::open(&path).unwrap();
        let mut texts = Vec::new();
        for _ in 0..2 {
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            texts.push(text);
            within(Duration::from_millis(30), || None::<()>);
        }
        assert_eq!(texts[0], texts[1], "an open record was written over");
    };
    meanwhile(&[&whole, &whole, &slowly], || {
        for _ in 0..40 {
            bed.tsm(["restart", "a"]).ok();
        }
    });
}

#[test]
fn what_interrupted_writes_left_behind_is_removed() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.kill_keepers();
    let left = [
        "processes/a.meta.1.tmp",
        "pids/a.pid.77.tmp",
        "next_id.3.tmp",
        "status.json.tmp",
    ];
    for file in left {
        fs::write(bed.home().join(file), "half").unwrap();
    }
    bed.start_idle("b");
    let names: Vec<String> = bed
        .list()
        .iter()
        .map(|view| view["name"].to_string())
        .collect();
    assert_eq!(names, ["\"a\"", "\"b\""]);
    wait_until("they are gone", || {
        bed.files().iter().all(|file| !file.contains(".tmp"))
    });
}
