//! Hooks around a process, and notices of what happens to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use rustix::process::Signal;
use serde_json::Value;

use crate::bed::Bed;
use crate::processes::Seen;
use crate::wait::{DEADLINE, wait_until};

const IDLE: &[&str] = &["--", "sleep", "100000"];

#[test]
fn hooks_run_around_a_process_in_its_environment_and_print_into_its_log() {
    let bed = Bed::new();
    std::fs::create_dir(bed.path("sub")).unwrap();
    let start = [
        "start",
        "--name",
        "a",
        "--cwd",
        "sub",
        "--env",
        "FOO=bar",
        "--pre-start",
        "echo $TSM_HOOK $FOO ${PWD##*/}; echo more >&2",
        "--post-start",
        "echo $TSM_HOOK $TSM_PID >> order",
        "--pre-stop",
        "test -d /proc/$TSM_PID && echo $TSM_HOOK >> order",
        "--post-stop",
        "test ! -d /proc/$(cat ../pid) && echo $TSM_HOOK $TSM_EXIT >> order",
    ];
    bed.tsm(start.iter().chain(IDLE)).ok();
    let pid = bed.pid("a");
    bed.file("pid", pid.to_string());
    assert_eq!(bed.wait_log("a.out", "sub\n"), "preStart bar sub\n");
    assert_eq!(bed.wait_log("a.err", "more\n"), "more\n");
    bed.wait_file("sub/order", |text| text == format!("postStart {pid}\n"));
    bed.tsm(["stop", "a"]).ok();
    // When the stop returns, all of it has happened.
    let order = std::fs::read_to_string(bed.path("sub/order")).unwrap();
    assert_eq!(
        order,
        format!("postStart {pid}\npreStop\npostStop signal:15\n")
    );
    // A stop of what does not run calls nobody.
    bed.tsm(["stop", "a"]).ok();
    assert_eq!(
        std::fs::read_to_string(bed.path("sub/order")).unwrap(),
        order
    );
    let told = bed.tsm(["logs", "a"]).ok().stdout;
    assert!(
        told.contains("preStart bar sub\n") && told.contains("more\n"),
        "{told}"
    );
}

#[test]
fn a_start_whose_hook_fails_has_failed() {
    let bed = Bed::new();
    let start = [
        "start",
        "--name",
        "a",
        "--pre-start",
        "echo no database >&2; exit 3",
    ];
    let failed = bed.tsm(start.iter().chain(IDLE)).exits(1);
    assert_eq!(
        failed.message(),
        "cannot start 'a': its preStart hook failed: it exited with status 3: no database"
    );
    assert!(bed.list().is_empty());
    // A restart that fails so is tried again.
    let start = ["start", "--name", "b", "--pre-start", "test ! -e broken"];
    bed.tsm(start.iter().chain(IDLE)).ok();
    bed.file("broken", "");
    let before = bed.crash("b");
    bed.wait_log_of_events("b", "\"hook-failed\"");
    std::fs::remove_file(bed.path("broken")).unwrap();
    bed.wait_new_pid("b", before);
}

#[test]
fn a_hook_that_hangs_is_ended_by_a_stop() {
    let bed = Bed::new();
    let hook = "sleep 100000 & echo $$ > pids; echo $! >> pids; wait";
    let start = ["start", "--name", "a", "--pre-start", hook];
    let begun = bed.begin(start.iter().chain(IDLE));
    let pids = bed.wait_pids("pids", 2);
    assert_eq!(bed.state("a"), "starting");
    bed.tsm(["stop", "a"]).ok();
    begun.end().exits(1);
    assert!(pids.iter().all(|pid| !pid.is_alive()));
    // One before the end hangs as well: a kill does not wait for it.
    let start = [
        "start",
        "--name",
        "b",
        "--pre-stop",
        "echo $$ > stopping; sleep 100000",
    ];
    bed.tsm(start.iter().chain(IDLE)).ok();
    let stop = bed.begin(["stop", "b"]);
    let hook = bed.wait_pids("stopping", 1);
    bed.tsm(["kill", "b"]).ok();
    stop.end().ok();
    assert!(!hook[0].is_alive());
}

#[test]
fn the_hook_after_the_end_runs_after_a_crash_and_before_the_next_run() {
    let bed = Bed::new();
    let start = [
        "start",
        "--name",
        "a",
        "--pre-start",
        "echo before >> order",
        "--post-stop",
        "echo after $TSM_EXIT >> order",
    ];
    bed.tsm(start.iter().chain(IDLE)).ok();
    let before = bed.crash("a");
    bed.wait_new_pid("a", before);
    let order = std::fs::read_to_string(bed.path("order")).unwrap();
    assert_eq!(order, "before\nafter signal:9\nbefore\n");
    // One that ends by itself as well; and what it is does not depend on the hook.
    let start = [
        "start",
        "--name",
        "b",
        "--post-stop",
        "echo end >> end",
        "--",
        "true",
    ];
    bed.tsm(start).ok();
    bed.wait_file("end", |text| text == "end\n");
    bed.wait_state("b", "exited");
}

#[test]
fn a_supervisor_that_dies_during_a_hook_starts_nothing_twice() {
    let bed = Bed::new();
    let hook = "echo $$ >> pids; while [ ! -e go ]; do sleep 0.02; done";
    let start = ["start", "--name", "a", "--pre-start", hook];
    let begun = bed.begin(start.iter().chain(IDLE));
    let first = bed.wait_pids("pids", 1);
    Seen::now(bed.supervisor_pid().unwrap()).signal(Signal::KILL);
    // The hook of the first attempt is ended before another one runs.
    bed.wait_file("pids", |text| text.lines().count() == 2);
    assert!(!first[0].is_alive());
    bed.file("go", "");
    begun.end().ok();
    assert_eq!(bed.state("a"), "running");
}

/// Answers POSTs with these statuses in turn, and passes their bodies on.
fn listener(statuses: &'static [u16]) -> (String, mpsc::Receiver<(u16, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (say, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer =
                format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            let _ = say.send((*status, serde_json::from_slice(&body).unwrap()));
        }
    });
    (url, heard)
}

#[test]
fn an_address_is_told_what_happens_and_told_again_where_it_fails() {
    let bed = Bed::new();
    let (url, heard) = listener(&[500, 200]);
    let start = [
        "start",
        "--name",
        "a",
        "--restart",
        "no",
        "--notify",
        &url,
        "--notify-on",
        "exited",
    ];
    bed.tsm(start.iter().chain(IDLE)).ok();
    let id = bed.view("a")["id"].clone();
    bed.crash("a");
    let (status, first) = heard.recv_timeout(DEADLINE).unwrap();
    assert_eq!(status, 500);
    assert_eq!(first["event"], "exited");
    assert_eq!(first["status"], "signal:9");
    assert_eq!(first["process"]["name"], "a");
    assert_eq!(first["process"]["id"], id);
    let (status, second) = heard.recv_timeout(DEADLINE).unwrap();
    assert_eq!((status, second), (200, first));
}

#[test]
fn a_command_is_told_what_needs_somebody_to_look_after_it() {
    let bed = Bed::new();
    let start = [
        "start",
        "--name",
        "a",
        "--restart",
        "on-failure",
        "--max-restarts",
        "1",
        "--notify",
        "{ echo $TSM_EVENT; cat; } >> told",
    ];
    let crashes = [
        "--",
        "sh",
        "-c",
        "[ -e once ] && exit 4; : > once; exec sleep 100000",
    ];
    bed.tsm(start.iter().chain(&crashes)).ok();
    bed.wait_file("once", |_| true);
    bed.crash("a");
    bed.wait_state("a", "failed");
    let told = bed.wait_file("told", |text| text.matches("\"event\"").count() == 2);
    let mut words: Vec<&str> = told.lines().filter(|line| !line.starts_with('{')).collect();
    words.sort_unstable();
    assert_eq!(words, ["backoff", "gave-up"], "{told}");
    // Nobody is told of a plain start or stop, and no notice holds a stop up.
    let start = [
        "start",
        "--name",
        "b",
        "--notify",
        "sleep 100000",
        "--notify-on",
        "all",
    ];
    bed.tsm(start.iter().chain(IDLE)).ok();
    bed.tsm(["stop", "b"]).ok();
    let events = bed.wait_log_of_events("b", "\"stopped\"");
    assert!(events.contains("stop-requested"), "{events}");
    wait_until("it is stopped", || bed.state("b") == "stopped");
    bed.tsm(["delete", "b"]).ok();
}
