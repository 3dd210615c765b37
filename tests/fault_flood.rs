//! More connections than a supervisor keeps.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::bed::Bed;
use crate::fault_clients::{connect, frame};
use crate::processes::descriptors;
use crate::wait::{wait_until, within};

/// Opens 1,500 connections and keeps them; with an argument, it says the beginning of something in each.
const FLOOD: &str = r#"#!/usr/bin/perl
use Socket;
my ($path, $said) = @ARGV;
my @all;
for (1 .. 1500) {
    socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
    connect($s, sockaddr_un($path)) or die "connect: $!";
    syswrite($s, $said) if defined $said;
    push @all, $s;
}
open(my $f, '>', 'flooded') or die $!;
close $f;
sleep 100000;
"#;

impl Bed {
    /// Waits until a flood waits in the kernel, or is through with it.
    #[track_caller]
    fn wait_queue_is_full(&self, flood: &Flood) {
        let mut last = usize::MAX;
        wait_until("the flood waits", || {
            let open = descriptors_of(flood.0.id());
            within(Duration::from_millis(100), || None::<()>);
            let stands = open == std::mem::replace(&mut last, open);
            self.path("flooded").exists() || stands && open > 100
        });
    }
}

/// How many descriptors a process has open, which may be on its way still.
fn descriptors_of(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

struct Flood(std::process::Child);

impl Flood {
    #[track_caller]
    fn begin(bed: &Bed, said: &[&str]) -> Self {
        bed.script("flood.pl", FLOOD);
        let _ = std::fs::remove_file(bed.path("flooded"));
        let mut command = bed.command("/bin/sh");
        command.args(["-c", "ulimit -n 2000; exec perl flood.pl \"$@\"", "flood"]);
        command.arg(bed.home().join("supervisor.sock")).args(said);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        // A child of ours that is not waited for yet.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_with_1500_idle_connections_shuts_nobody_out() {
    let bed = Bed::new();
    let pid = bed.start_idle("a");
    let keepers = [bed.supervisor_seen(), bed.guardian_seen()];
    for said in [&[][..], &["\x01"][..]] {
        let flood = Flood::begin(&bed, said);
        // While it is at it, and afterwards.
        bed.tsm(["stop", "a"]).ok();
        bed.tsm(["start", "a"]).ok();
        bed.wait_file("flooded", |_| true);
        assert_eq!(bed.names(), ["a"]);
        bed.tsm(["start", "--name", "b", "--", "sleep", "100000"])
            .ok();
        bed.tsm(["delete", "b"]).ok();
        let doctor = bed.tsm(["doctor"]).ok();
        assert!(doctor.stdout.starts_with("Nothing is wrong"));
        assert_eq!([bed.supervisor_seen(), bed.guardian_seen()], keepers);
        // No more of them are kept than one process may have.
        let open = descriptors(keepers[0].pid).len();
        assert!(open < 400, "the supervisor has {open} descriptors open");
        drop(flood);
    }
    let log = std::fs::read_to_string(bed.home().join("logs/tsm.log")).unwrap();
    assert!(log.contains("too many connections; dropped one of process"));
    assert_ne!(bed.pid("a"), pid);
    bed.tsm(["stop", "all"]).ok();
}

/// Starts `a`, which hears no SIGTERM, so that each stop of it waits.
fn start_deaf(bed: &Bed) {
    let script = bed.script(
        "deaf.sh",
        "#!/bin/sh\ntrap '' TERM\ntouch deaf\nexec sleep 100000\n",
    );
    let script = script.to_str().unwrap();
    bed.tsm(["start", "--stop-timeout", "1h", "--name", "a", "--", script])
        .ok();
    bed.wait_file("deaf", |_| true);
}

#[test]
fn a_process_whose_connections_all_wait_for_an_answer_is_told_that_they_are_too_many() {
    let bed = Bed::new();
    start_deaf(&bed);
    let stop = br#"{"version":1,"asked":{"token":"t","by":"a test"},"body":{"act":{"verb":"stop","selectors":["a"]}}}"#;
    let stop = frame(stop, b"");
    let begin = || {
        let mut stream = connect(&bed);
        stream
            .set_read_timeout(Some(crate::wait::DEADLINE))
            .unwrap();
        // One that is refused may be closed by now.
        let _ = stream.write_all(&stop);
        stream
    };
    let mut waiting: Vec<UnixStream> = (0..256).map(|_| begin()).collect();
    // It was understood: from now on none of them is silent.
    for stream in &mut waiting {
        stream.read_exact(&mut [0; 8]).unwrap();
    }
    let mut said = Vec::new();
    // The end may come as an error, because the request was not read.
    let _ = begin().read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said).into_owned();
    let expected = format!(
        "too many connections to the supervisor of {}; 256 are open, 256 of them process {}",
        bed.home().display(),
        std::process::id()
    );
    assert!(said.contains(&expected), "{said}");
    // Others are let in, and what those wait for is done.
    bed.tsm(["kill", "a"]).ok();
    for mut stream in waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("done"), "{answer}");
    }
}

#[test]
fn a_flood_that_fills_the_queue_of_a_stopped_supervisor_keeps_no_command_out() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.stop_keepers();
    // The kernel lets as many wait as it lets wait; the others, and the command, wait behind them.
    let flood = Flood::begin(&bed, &[]);
    bed.wait_queue_is_full(&flood);
    bed.tsm(["stop", "a"]).ok();
    bed.wait_file("flooded", |_| true);
    assert_eq!(bed.state("a"), "stopped");
}

/// Asks for the same thing over so many connections, and keeps them once all were understood.
const ASK: &str = r#"#!/usr/bin/perl
use Socket;
my ($path, $times, $asked, $json) = @ARGV;
my @all;
for (1 .. $times) {
    socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
    connect($s, sockaddr_un($path)) or die "connect: $!";
    my $frame = pack('V V', length $json, 0) . $json;
    syswrite($s, $frame) == length $frame or die "write: $!";
    push @all, $s;
}
for my $s (@all) {
    sysread($s, my $answer, 8) == 8 or die "no answer";
}
open(my $f, '>', $asked) or die $!;
close $f;
sleep 100000;
"#;

#[test]
fn of_all_processes_together_1024_connections_are_kept_and_silent_ones_make_room() {
    let bed = Bed::new();
    bed.start_idle("a");
    let supervisor = bed.supervisor_seen();
    bed.script(
        "flood.pl",
        &FLOOD
            .replace("1500", "250")
            .replace("'flooded'", "\"flooded-$$\""),
    );
    let floods: Vec<Flood> = (0..5)
        .map(|_| {
            let mut command = bed.command("/bin/sh");
            command.args(["-c", "exec perl flood.pl \"$@\"", "flood"]);
            command.arg(bed.home().join("supervisor.sock"));
            Flood(command.spawn().unwrap())
        })
        .collect();
    for flood in &floods {
        bed.wait_file(&format!("flooded-{}", flood.0.id()), |_| true);
    }
    // 1,250 are open at the other side, none of a process that has too many of its own.
    bed.tsm(["stop", "a"]).ok();
    wait_until("silent ones have made room", || {
        std::fs::read_to_string(bed.home().join("logs/tsm.log"))
            .unwrap()
            .contains("too many connections; dropped one of process")
    });
    let open = descriptors(supervisor.pid).len();
    assert!((1000..1100).contains(&open), "{open} descriptors are open");
    assert_eq!(bed.supervisor_seen(), supervisor);
}

#[test]
fn where_all_wait_for_an_answer_a_command_is_told_that_they_are_too_many() {
    let bed = Bed::new();
    start_deaf(&bed);
    bed.script("ask.pl", ASK);
    let stop = r#"{"version":1,"asked":{"token":"t","by":"a test"},"body":{"act":{"verb":"stop","selectors":["a"]}}}"#;
    let ask = |number: usize| {
        let mut command = bed.command("/bin/sh");
        command.args(["-c", "exec perl ask.pl \"$@\"", "ask"]);
        command.arg(bed.home().join("supervisor.sock"));
        command.args(["256", &format!("asked-{number}"), stop]);
        Flood(command.spawn().unwrap())
    };
    let askers: Vec<Flood> = (0..4).map(ask).collect();
    for number in 0..4 {
        bed.wait_file(&format!("asked-{number}"), |_| true);
    }
    let refused = format!(
        "too many connections to the supervisor of {}; 1024 are open, 256 of them process ",
        bed.home().display()
    );
    let told = bed
        .tsm(["start", "--name", "b", "--", "sleep", "100000"])
        .exits(6);
    assert!(told.stderr_line().contains(&refused), "{}", told.stderr);
    assert!(
        told.stderr
            .contains("(perl)'s, and all wait for an answer; end some and try again")
    );
    // Doctor asks as well, and has a remedy.
    let told = bed.tsm(["doctor"]).exits(1);
    assert!(told.stdout.contains(&refused), "{}", told.stdout);
    let remedy = "end the process that has so many, or wait until it lets go; services go on";
    assert!(told.stdout.contains(remedy), "{}", told.stdout);
    drop(askers);
    wait_until("there is room again", || bed.tsm(["kill", "a"]).status == 0);
    bed.tsm(["doctor"]).ok();
}
