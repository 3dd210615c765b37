//! What older versions wrote and said is understood: homes and conversations that were recorded, in `tests/golden`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bed::Bed;
use crate::fault_clients::ask_raw;
use crate::processes::variable;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(name)
}

/// Copies a directory with the modes that a home has.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

#[test]
fn a_home_of_layout_1_is_read_and_gone_on_with() {
    let bed = Bed::new();
    copy(&golden("layout-1"), &bed.home());
    let told: Vec<Value> = bed
        .list()
        .iter()
        .map(|view| {
            json!([
                view["id"],
                view["name"],
                view["namespace"],
                view["state"],
                view["port"],
                view["exit"]["code"],
                view["args"],
            ])
        })
        .collect();
    let shell = |line: &str| json!(["-c", line]);
    let up = shell("echo up; exec sleep 100000");
    assert_eq!(
        told,
        [
            json!([1, "web", "site", "stopped", 4001, null, up]),
            json!([
                2,
                "job",
                "default",
                "exited",
                null,
                0,
                shell("echo done; exit 0")
            ]),
            json!([
                3,
                "broken",
                "default",
                "failed",
                null,
                7,
                shell("echo sorry >&2; exit 7")
            ]),
            json!([4, "down", "default", "stopped", null, null, ["100000"]]),
        ]
    );
    let info = bed.info("web");
    assert_eq!(info["restart"], "always");
    assert_eq!(info["max_restarts"], 9);
    assert_eq!(info["stop_signal"], "SIGINT");
    assert_eq!(info["stop_timeout_ms"], 3000);
    assert_eq!(info["exit"]["reason"], "reboot");
    let shown = bed.tsm(["env", "show", "web", "--format", "json"]).ok();
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["GREETING"], "hello\nworld");
    assert_eq!(bed.tsm(["logs", "web"]).ok().stdout, "up\n");
    assert_eq!(bed.tsm(["logs", "broken"]).ok().stdout, "sorry\n");

    // It is gone on with: what should run does, as it was; ids go on; the dump brings back what was deleted since.
    bed.tsm(["resurrect", "--detach"]).ok();
    bed.wait_state("web", "running");
    let pid = bed.pid("web");
    assert_eq!(variable(pid, "GREETING").unwrap(), "hello\nworld");
    assert_eq!(variable(pid, "PORT").unwrap(), "4001");
    assert!(bed.names().contains(&"gone".to_owned()));
    bed.start_idle("new");
    assert_eq!(bed.view("new")["id"], 6);
    assert_eq!(bed.state("down"), "stopped");
    let history = fs::read_to_string(bed.home().join("processes/web.events.jsonl")).unwrap();
    assert!(history.contains("mr from `tsm start`"), "{history}");
}

#[test]
fn a_newer_layout_is_refused_by_name_and_still_read() {
    let bed = Bed::new();
    copy(&golden("layout-1"), &bed.home());
    fs::write(bed.home().join("layout"), "tsm 2\n").unwrap();
    let before = bed.files();
    for words in [
        &["start", "--name", "x", "--", "true"][..],
        &["stop", "web"],
        &["resurrect", "--detach"],
        &["save"],
    ] {
        let told = bed.tsm(words).exits(1);
        assert_eq!(
            told.message(),
            format!(
                "{} says 'tsm 2', and this TSM writes 'tsm 1'; use the newer tsm",
                bed.home().join("layout").display()
            ),
            "{words:?}"
        );
    }
    assert_eq!(bed.names(), ["web", "job", "broken", "down"]);
    assert_eq!(bed.tsm(["logs", "web"]).ok().stdout, "up\n");
    let written = |name: &String| !before.contains(name) && name != "logs/tsm.log";
    let new: Vec<String> = bed.files().into_iter().filter(written).collect();
    assert!(new.is_empty(), "it wrote {new:?}");
}

/// The documents of the frames in a stream.
fn documents(mut bytes: &[u8]) -> Vec<Value> {
    let mut found = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(8) {
        let length = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()) as usize;
        let (json, blob) = (length(0), length(4));
        found.push(serde_json::from_slice(&rest[..json]).unwrap());
        bytes = &rest[json + blob..];
    }
    found
}

/// What a reply says, without what is another each time: pids and times.
fn essence(mut document: Value) -> Value {
    fn clean(value: &mut Value) {
        match value {
            Value::Object(map) => {
                // Said since then; who does not know it passes over it.
                map.remove("sentinel");
                for (key, value) in map.iter_mut() {
                    match key.as_str() {
                        "pid" | "guardian" | "started_ms" | "version" if !value.is_null() => {
                            *value = Value::Bool(true);
                        }
                        _ => clean(value),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(clean),
            Value::String(text) if text.contains("PID: ") => {
                let (before, after) = text.split_once("PID: ").unwrap();
                let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
                *text = format!("{before}PID: N{after}");
            }
            _ => {}
        }
    }
    clean(&mut document);
    document
}

fn recorded(ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(golden("protocol-1"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    files
}

#[test]
fn a_command_of_protocol_1_is_answered_as_it_was_then() {
    let bed = Bed::new();
    bed.start_idle("first");
    let requests = recorded("request");
    assert_eq!(requests.len(), 12);
    for request in requests {
        let said = ask_raw(&bed, &fs::read(&request).unwrap());
        let then = fs::read(request.with_extension("reply")).unwrap();
        let essences =
            |bytes: &[u8]| -> Vec<Value> { documents(bytes).into_iter().map(essence).collect() };
        assert_eq!(essences(&said), essences(&then), "{}", request.display());
    }
}

#[test]
fn a_supervisor_of_protocol_1_is_understood() {
    let words: [(&str, &[&str], i32, &str); 8] = [
        (
            "02-restart",
            &["restart", "api"],
            0,
            "Process restarted: api (PID: ",
        ),
        (
            "03-stop-nobody",
            &["stop", "api", "nobody"],
            3,
            "no process 'nobody'",
        ),
        (
            "04-stop",
            &["stop", "api"],
            0,
            "Process stopped: api (ID: 2)",
        ),
        (
            "05-start-running",
            &["start", "first"],
            4,
            "'first' exists already (ID: 1, running",
        ),
        ("06-status", &["supervisor", "status"], 0, "version 0.1.0"),
        ("07-save", &["save"], 0, "Saved 2 processes, 1 of them up"),
        ("10-kill", &["kill", "api"], 0, "'api' was not running"),
        (
            "11-delete",
            &["delete", "api"],
            0,
            "Process deleted: api (ID: 2)",
        ),
    ];
    let bed = Bed::new();
    bed.start_idle("first");
    bed.start_idle("api");
    bed.tsm(["supervisor", "stop"]).ok();
    let listener = UnixListener::bind(bed.home().join("supervisor.sock")).unwrap();
    for (name, words, status, said) in words {
        let reply = fs::read(golden("protocol-1").join(format!("{name}.reply"))).unwrap();
        let told = std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut bytes = vec![0; 64 << 10];
                let length = stream.read(&mut bytes).unwrap();
                stream.write_all(&reply).unwrap();
                bytes.truncate(length);
                bytes
            });
            let told = bed.tsm(words);
            let asked = documents(&asked.join().unwrap());
            // It needs no more than there was.
            assert_eq!(asked[0]["version"], 1, "{name}");
            told.exits(status)
        });
        let text = format!("{}{}", told.stdout, told.stderr);
        assert!(text.contains(said), "{name}: {text}");
    }
    drop(listener);
    fs::remove_file(bed.home().join("supervisor.sock")).unwrap();
}
