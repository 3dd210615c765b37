//! Programs that put themselves into the background.

use std::fs;

use rustix::process::Signal;

use crate::bed::{Bed, Begun, Output, free_port, is_free};
use crate::fault_kit::kill;
use crate::processes::{Seen, stat};
use crate::programs::has;
use crate::wait::{wait_for, wait_until};

/// Forks twice as a daemon does, with a session of its own and none of what it was started with; its pid goes into `d.pid`
/// where `$1` says so, and into `runs`. It has a worker.
const DAEMON: &str = r#"#!/usr/bin/perl
use POSIX;
my $file = shift;
exit 0 if fork;
POSIX::setsid();
exit 0 if fork;
chdir '/';
my $work = $ENV{WORK};
open(my $runs, '>>', "$work/runs"); print $runs "$$\n"; close $runs;
if ($file) { open(my $p, '>', "$work/d.new"); print $p "$$\n"; close $p; rename("$work/d.new", "$work/d.pid"); }
%ENV = ();
my $worker = fork;
unless ($worker) { sleep 100000; exit 0; }
$SIG{TERM} = sub { open(my $t, '>>', "$work/asked"); print $t "$$\n"; close $t; kill 'KILL', $worker; exit 0; };
$SIG{HUP} = sub { open(my $t, '>>', "$work/hup"); print $t "$$\n"; close $t; };
$SIG{USR1} = sub { exit 5; };
sleep 1 while 1;
"#;

fn start(bed: &Bed, options: &[&str], pid_file: bool) -> u32 {
    let script = bed.script("d.pl", DAEMON);
    let work = format!("WORK={}", bed.work().display());
    let words = [
        &["start", "--name", "d", "--type", "daemon", "--env", &work][..],
        options,
        &[
            "--",
            script.to_str().unwrap(),
            if pid_file { "file" } else { "" },
        ],
    ];
    let told = bed.tsm(words.concat()).ok();
    let pid = bed.pid("d");
    assert!(
        told.stdout.contains(&format!("PID: {pid},")),
        "not the pid that it runs under: {}",
        told.stdout
    );
    assert_eq!(last_run(bed), pid);
    pid
}

fn last_run(bed: &Bed) -> u32 {
    let runs = bed.wait_file("runs", |text| text.ends_with('\n'));
    runs.lines().last().unwrap().parse().unwrap()
}

fn goes_its_way(bed: &Bed, pid: u32) {
    assert_eq!(bed.view("d")["type"], "daemon");
    assert_eq!(bed.state("d"), "running");
    // It is signalled, restarted when it dies, and its end is known.
    bed.tsm(["reload", "d"]).ok();
    bed.wait_file("hup", |text| text == format!("{pid}\n"));
    Seen::now(pid).signal(Signal::USR1);
    let next = bed.wait_new_pid("d", pid);
    let view = bed.view("d");
    assert_eq!(view["exit"]["code"], 5, "{view}");
    assert_eq!(view["restarts"], 1);
    assert_eq!(last_run(bed), next);
    // A supervisor that is killed finds the right one again.
    kill(bed.supervisor_seen());
    wait_until("another supervisor has it", || {
        bed.supervisor_pid().is_some() && bed.state("d") == "running"
    });
    assert_eq!(bed.pid("d"), next);
    Seen::now(next).signal(Signal::KILL);
    let next = bed.wait_new_pid("d", next);
    assert_eq!(bed.view("d")["exit"]["signal"], "SIGKILL");
    // It is asked to end, and nothing of it is left.
    bed.tsm(["stop", "d"]).ok();
    assert!(stat(next).is_none_or(|stat| stat.ended));
    let asked = fs::read_to_string(bed.path("asked")).unwrap();
    assert!(
        asked.lines().any(|line| line == next.to_string()),
        "{asked}"
    );
    assert_eq!(bed.state("d"), "stopped");
    assert_eq!(bed.view("d")["exit"]["code"], 0);
}

#[test]
fn a_daemon_is_followed_by_its_pid_file() {
    let bed = Bed::new();
    // One that lies there from before names somebody else.
    let other = bed.start_idle("other");
    bed.file("d.pid", format!("{other}\n"));
    let file = bed.path("d.pid");
    let pid = start(&bed, &["--pid-file", file.to_str().unwrap()], true);
    goes_its_way(&bed, pid);
    assert!(Seen::now(other).is_alive());
}

#[test]
fn a_daemon_without_pid_file_is_what_is_left() {
    let bed = Bed::new();
    let pid = start(&bed, &[], false);
    goes_its_way(&bed, pid);
}

/// Begins a daemon that writes no pid file.
#[track_caller]
fn begin_without_pid(bed: &Bed) -> Begun {
    let file = bed.path("none.pid");
    let daemon = "import os,time\nif os.fork(): os._exit(0)\nos.setsid()\ntime.sleep(100000)\n";
    let script = bed.file("d.py", daemon);
    let words = [
        "start",
        "--name",
        "d",
        "--type",
        "daemon",
        "--restart",
        "no",
        "--pid-file",
    ];
    bed.begin(words.iter().copied().chain([
        file.to_str().unwrap(),
        "--",
        "python3",
        script.to_str().unwrap(),
    ]))
}

/// Its start fails, and nothing of it is left.
#[track_caller]
fn fails_without_pid(bed: &Bed, told: &Output) {
    let reason = "none.pid names none of its processes after ";
    assert_eq!(told.status, 1, "{}", told.stderr);
    assert!(told.stderr.contains(reason), "{}", told.stderr);
    bed.wait_state("d", "failed");
    assert!(bed.why("d").contains(reason), "{}", bed.why("d"));
}

#[test]
fn a_daemon_whose_pid_file_names_nobody_has_failed_and_nothing_of_it_is_left() {
    let bed = Bed::new();
    let told = begin_without_pid(&bed).end();
    fails_without_pid(&bed, &told);
}

#[test]
fn a_pid_file_that_would_keep_who_opens_it_waiting_keeps_nobody_waiting() {
    let bed = Bed::new();
    // Who opens it to read waits for somebody who writes, and nobody does.
    bed.shell("mkfifo none.pid").ok();
    let begun = begin_without_pid(&bed);
    wait_until("it is looked for", || {
        fs::read_to_string(bed.home().join("processes/d.meta"))
            .is_ok_and(|meta| meta.contains("pid="))
    });
    let other = bed.start_idle("other");
    bed.tsm(["stop", "other"]).ok();
    assert!(stat(other).is_none_or(|stat| stat.ended));
    fails_without_pid(&bed, &begun.end());
}

#[test]
fn what_leaves_nothing_behind_has_ended() {
    let bed = Bed::new();
    bed.tsm([
        "start", "--name", "a", "--type", "daemon", "--", "sh", "-c", "exit 3",
    ])
    .exits(1);
    bed.tsm(["start", "--name", "b", "--type", "daemon", "--", "true"]);
    bed.wait_state("b", "exited");
    let told = bed
        .tsm(["start", "--name", "c", "--pid-file", "x", "--", "true"])
        .exits(2);
    assert!(told.message().contains("--type daemon"), "{}", told.stderr);
}

/// Starts a daemon with a session of its own that has written over its environment, stops it, and sees it gone.
fn with_no_environment(bed: &Bed, command: &[&str]) {
    let pid_file = bed.path("d.pid");
    let options = ["start", "--name", "d", "--type", "daemon", "--pid-file"];
    let words = [&options[..], &[pid_file.to_str().unwrap(), "--"], command].concat();
    bed.tsm(words).ok();
    let pid = bed.pid("d");
    assert_eq!(bed.wait_file("d.pid", |_| true).trim(), pid.to_string());
    bed.crash("d");
    let next = wait_for("it is started again", || {
        let next = bed.view("d")["pid"].as_u64()? as u32;
        let said = fs::read_to_string(&pid_file).ok()?;
        (next != pid && said.trim() == next.to_string()).then_some(next)
    });
    bed.tsm(["stop", "d"]).ok();
    assert!(stat(next).is_none_or(|stat| stat.ended));
}

#[test]
fn a_daemon_that_only_its_pid_file_tells_of_is_followed() {
    let bed = Bed::new();
    let script = bed.script(
        "d.sh",
        "#!/bin/sh\nsetsid env -i /bin/sh -c 'sleep 0.3; echo $$ > d.pid; exec sleep 100000' &\nexit 0\n",
    );
    with_no_environment(&bed, &[script.to_str().unwrap()]);
}

#[test]
fn nginx_in_the_background_is_followed() {
    if !has("nginx") {
        return;
    }
    let bed = Bed::new();
    let (work, port) = (bed.work(), free_port());
    let work = work.display();
    let text = format!(
        "daemon on; pid {work}/d.pid; error_log {work}/error.log; worker_processes 2;\nevents {{}}\nhttp {{ access_log off; server {{ listen 127.0.0.1:{port}; }} }}\n"
    );
    let file = bed.file("nginx.conf", text);
    let command = ["nginx", "-c", file.to_str().unwrap()];
    with_no_environment(&bed, &command);
    wait_until("the port is free", || is_free(port));
}
