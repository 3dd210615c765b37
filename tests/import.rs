//! What other managers ran: their lists, and what the original TSM left running.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bed::Bed;
use crate::fault_kit::is_gone;
use crate::processes::variable;
use crate::wait::wait_for;

/// A directory with a script, and TSPM's list of what ran there.
fn tspm_list(bed: &Bed, path: &str) -> String {
    bed.script("server.sh", "#!/bin/sh\nexec sleep 100000\n");
    let cwd = bed.work();
    let cwd = cwd.display();
    let text = format!(
        r#"{{"api": {{"pid": 1, "config": {{"name": "api", "script": "./server.sh", "cwd": "{cwd}", "env": {{"A": "1"}}, "watch": true}}, "state": "running"}},
            "idle": {{"pid": 2, "config": {{"name": "idle", "script": "sleep 100000", "cwd": "{cwd}"}}, "state": "stopped"}},
            "gone": {{"pid": 3, "config": {{"name": "gone", "script": "./gone.sh", "cwd": "{cwd}"}}, "state": "running"}}}}"#
    );
    bed.file(path, text).to_str().unwrap().to_owned()
}

#[test]
fn a_list_of_another_manager_is_brought_in_and_what_cannot_be_is_told() {
    let bed = Bed::new();
    let list = tspm_list(&bed, "theirs.json");
    let told = bed.tsm(["import", "--dry-run", &list]).exits(1);
    assert_eq!(
        told.stdout,
        "api: restore, stopped\nidle: restore, stopped\n"
    );
    assert!(!bed.home().exists());
    let told = bed.tsm(["import", &list]).exits(1);
    for words in [
        "is a dump of TSPM that lists 3 processes",
        "'api': not carried over: watch",
        "'gone' is left out: ",
    ] {
        assert!(told.stderr.contains(words), "no {words}: {}", told.stderr);
    }
    assert_eq!(bed.names(), ["api", "idle"]);
    assert_eq!(bed.state("api"), "stopped");
    // Again: both are there, and stay as they are.
    let told = bed.tsm(["import", "--start", &list]).exits(1);
    assert!(
        told.stderr.contains("'api' exists already"),
        "{}",
        told.stderr
    );
    assert_eq!(bed.state("api"), "stopped");
    bed.tsm(["delete", "api", "-y"]).ok();
    bed.tsm(["import", "--start", &list]).exits(1);
    assert_eq!(variable(bed.pid("api"), "A").unwrap(), "1");
    assert_eq!(bed.state("idle"), "stopped");
    for (text, words) in [
        ("just words\n", "line 1 is none of a Procfile"),
        ("{\"a\": 1}", "has no config"),
    ] {
        let path = bed.file("bad", text);
        let told = bed.tsm(["import", path.to_str().unwrap()]).exits(1);
        assert!(told.message().contains(words), "{}", told.message());
    }
    bed.tsm(["import", "none"]).exits(1);
    bed.tsm(["save"]).ok();
    let own = bed.home().join("dump.json");
    let told = bed.tsm(["import", own.to_str().unwrap()]).exits(2);
    assert!(
        told.message().contains("resurrect --from"),
        "{}",
        told.message()
    );
}

#[test]
fn a_home_of_tspms_is_resurrected_and_its_dump_is_kept() {
    let bed = Bed::new();
    let list = tspm_list(&bed, "theirs.json");
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700).create(bed.home()).unwrap();
    let dump = bed.home().join("dump.json");
    fs::copy(&list, &dump).unwrap();
    let theirs = fs::read(&dump).unwrap();
    let status = bed.home().join("status.json");
    fs::copy(&list, &status).unwrap();
    let told = bed.tsm(["resurrect", "--detach"]).exits(1);
    assert!(
        told.stderr.contains("'gone' is left out"),
        "{}",
        told.stderr
    );
    assert_eq!(bed.state("api"), "running");
    assert_eq!(bed.state("idle"), "stopped");
    let pid = bed.pid("api");
    bed.tsm(["resurrect", "--detach", "--from", &list]).exits(1);
    assert_eq!(bed.pid("api"), pid);
    bed.tsm(["save"]).ok();
    assert_eq!(fs::read(bed.home().join("dump.json.tspm")).unwrap(), theirs);
    assert_ne!(fs::read(&dump).unwrap(), theirs);
    assert_eq!(
        fs::read(bed.home().join("status.json.tspm")).unwrap(),
        theirs
    );
}

#[test]
fn a_procfile_runs() {
    let bed = Bed::new();
    bed.file(".env", "GREETING=hello\n");
    let list = bed.file(
        "Procfile",
        "web: echo $GREETING from $PORT && exec sleep 100000\n",
    );
    bed.tsm(["import", "--start", list.to_str().unwrap()]).ok();
    bed.wait_log("web.out", "hello from 5000\n");
    assert_eq!(bed.view("web")["port"], 5000);
}

#[test]
fn what_the_original_tsm_left_running_is_adopted_if_it_is_that_for_sure() {
    let bed = Bed::new();
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700).create(bed.home()).unwrap();
    builder.create(bed.home().join("processes")).unwrap();
    let sleeper = bed.sleeper();
    let mut command = bed.command(&sleeper);
    command.arg("100000").stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "the time of this machine is meant"
    )]
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let record = |name: &str, id: u32, started: u64| {
        let text = format!(
            "script='{}' pid={} port= start_time={started} type=command tsm_id={id} cwd='{}' args=100000\n",
            sleeper.display(),
            child.id(),
            bed.work().display()
        );
        fs::write(bed.home().join(format!("processes/{name}.meta")), text).unwrap();
        fs::write(bed.home().join(format!("processes/{name}.env")), "A=1\n").unwrap();
    };
    record("theirs", 1, now);
    record("before", 2, now - 100);
    // Any command that changes something brings a supervisor, which looks at them.
    bed.start_idle("ours");
    assert_eq!(bed.pid("theirs"), child.id());
    assert_eq!(bed.state("before"), "stopped");
    assert_eq!(bed.view("ours")["id"], 3);
    bed.tsm(["stop", "before"]).ok();
    assert!(!is_gone(child.id()));
    // It ends as asked, although it leads no group of its own.
    let stopping = bed.tsm_command(["stop", "theirs"]).spawn().unwrap();
    let ended = wait_for("it ends", || child.try_wait().unwrap());
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&ended),
        Some(15)
    );
    crate::bed::finish(stopping, "tsm stop theirs").ok();
    assert_eq!(bed.state("theirs"), "stopped");
    bed.tsm(["start", "theirs"]).ok();
    assert_eq!(variable(bed.pid("theirs"), "A").unwrap(), "1");
}
