//! Clients that say nothing, half of something, nonsense, or too much, and clients that die.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::bed::Bed;
use crate::fault_kit::{is_gone, meanwhile, moment};
use crate::processes::status_field;
use crate::wait::wait_until;

pub(crate) fn connect(bed: &Bed) -> UnixStream {
    let stream = UnixStream::connect(bed.home().join("supervisor.sock")).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
}

pub(crate) fn frame(json: &[u8], blob: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend_from_slice(&(json.len() as u32).to_le_bytes());
    frame.extend_from_slice(&(blob.len() as u32).to_le_bytes());
    frame.extend_from_slice(json);
    frame.extend_from_slice(blob);
    frame
}

/// What the supervisor says to a request, until it ends the connection.
#[track_caller]
pub(crate) fn ask(bed: &Bed, request: &[u8]) -> String {
    String::from_utf8_lossy(&ask_raw(bed, &frame(request, b""))).into_owned()
}

/// The same with frames as they travel.
#[track_caller]
pub(crate) fn ask_raw(bed: &Bed, frame: &[u8]) -> Vec<u8> {
    let mut stream = connect(bed);
    stream
        .set_read_timeout(Some(crate::wait::DEADLINE))
        .unwrap();
    stream.write_all(frame).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    said
}

const STATUS: &[u8] = br#"{"version":1,"asked":{"token":"t","by":"a test"},"body":"status"}"#;
const START: &[u8] = br#"{"version":1,"asked":{"token":"t","by":"a test"},"body":{"start":{}}}"#;

/// What a bad client says. It is written as far as the supervisor takes it; that it ends the connection is its right.
fn nonsense(kind: usize) -> Vec<u8> {
    let mut huge = vec![0xff; 8];
    huge.extend_from_slice(&vec![b'x'; 100_000]);
    let mut large = Vec::new();
    large.extend_from_slice(&(4_u32 << 20).to_le_bytes());
    large.extend_from_slice(&(32_u32 << 20).to_le_bytes());
    large.extend_from_slice(&vec![b'{'; 1 << 20]);
    let newer = br#"{"version":999,"asked":{"token":"t","by":"a test"},"body":"status"}"#;
    match kind % 10 {
        0 => Vec::new(),
        1 => frame(STATUS, b"")[..20].to_vec(),
        2 => vec![7; 3],
        3 => (0..100_000_u32).map(|n| (n * 31 % 251) as u8).collect(),
        4 => huge,
        5 => large,
        6 => frame(STATUS, b"").repeat(2_000),
        7 => frame(START, b"A=1\0"),
        8 => frame(b"[[[[[[", b""),
        _ => frame(newer, b""),
    }
}

#[test]
fn fifty_bad_clients_keep_nobody_waiting() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.wait_runs("a", 1);
    let (supervisor, guardian) = (bed.supervisor_seen(), bed.guardian_seen());
    let clients: Vec<UnixStream> = (0..50)
        .map(|kind| {
            let mut stream = connect(&bed);
            // What it does not take, it does not take.
            let _ = stream.write_all(&nonsense(kind));
            stream
        })
        .collect();
    let mut longest = Duration::ZERO;
    for round in 0..5 {
        let begin = Instant::now();
        bed.tsm(["restart", "a"]).ok();
        bed.tsm(["supervisor", "status"]).ok();
        longest = longest.max(begin.elapsed());
        bed.wait_runs("a", round + 2);
    }
    eprintln!("beside 50 bad clients a restart and a look took {longest:?} at most");
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    assert_eq!(
        (bed.supervisor_seen(), bed.guardian_seen()),
        (supervisor, guardian)
    );

    // Those that stall are dropped in the end, and nothing is kept for them.
    let mut ended = 0;
    for mut stream in clients {
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut answer = Vec::new();
        // The end of the connection, whichever way it is said.
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => ended += 1,
        }
    }
    assert_eq!(ended, 50, "bad clients are dropped");
    let resident = status_field(supervisor.pid, "VmRSS");
    let kilobytes: u64 = resident.split_whitespace().next().unwrap().parse().unwrap();
    eprintln!("afterwards the supervisor has {kilobytes} KiB");
    assert!(kilobytes < 100 << 10, "{kilobytes} KiB");
    bed.tsm(["stop", "a"]).ok();
}

#[test]
fn a_flood_of_connections_and_requests_keeps_nobody_waiting() {
    let bed = Bed::new();
    bed.start_idle("a");
    let supervisor = bed.supervisor_seen();
    let connections = || drop(connect(&bed));
    let requests = || {
        let mut stream = connect(&bed);
        let _ = stream.write_all(&frame(STATUS, b"").repeat(100));
    };
    let endless = || {
        let mut stream = connect(&bed);
        let _ = stream.write_all(&(4_u32 << 20).to_le_bytes());
        let _ = stream.write_all(&[0; 4]);
        let blanks = vec![b' '; 65_536];
        while stream.write_all(&blanks).is_ok() {}
    };
    let floods: [(&str, &(dyn Fn() + Sync)); 3] = [
        ("connections", &connections),
        ("requests", &requests),
        ("endless frames", &endless),
    ];
    for (what, flood) in floods {
        let mut longest = Duration::ZERO;
        let times = meanwhile(&[flood], || {
            for _ in 0..10 {
                let begin = Instant::now();
                bed.tsm(["restart", "a"]).ok();
                longest = longest.max(begin.elapsed());
            }
        });
        eprintln!("in a flood of {times:?} {what} a restart took {longest:?} at most");
        assert!(longest < Duration::from_secs(5), "{what}: {longest:?}");
    }
    assert_eq!(bed.supervisor_seen(), supervisor);
}

#[test]
fn who_does_not_take_answers_is_dropped() {
    let bed = Bed::new();
    for name in ["a", "b"] {
        bed.start_idle(name);
    }
    // It asks for a restart of all, again and again, and never reads.
    let json = br#"{"version":1,"token":"t","by":"a test","body":{"act":{"verb":"start","selectors":["all"]}}}"#;
    let mut stream = connect(&bed);
    let _ = stream.write_all(&frame(json, b"").repeat(5_000));
    bed.tsm(["restart", "a"]).ok();
    bed.tsm(["stop", "b"]).ok();
    assert_eq!(bed.state("b"), "stopped");
    drop(stream);
}

#[test]
fn a_stop_goes_on_when_its_command_is_killed() {
    for verb in ["stop", "restart", "delete"] {
        let bed = Bed::new();
        let script = bed.script(
            "deaf.sh",
            "#!/bin/sh\ntrap 'touch asked' TERM\necho $$ >> pids\nwhile :; do sleep 0.05; done\n",
        );
        let script = script.to_str().unwrap();
        bed.tsm([
            "start",
            "--stop-timeout",
            "1500ms",
            "--name",
            "a",
            "--",
            script,
        ])
        .ok();
        let pid = bed.wait_pids("pids", 1)[0].pid;
        let begin = Instant::now();
        let mut command = bed.tsm_command([verb, "a"]);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        wait_until("it was asked to end", || bed.path("asked").exists());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_gone(pid), "it is deaf");
        wait_until("it was killed", || is_gone(pid));
        assert!(
            begin.elapsed() >= Duration::from_millis(1400),
            "{:?}",
            begin.elapsed()
        );
        match verb {
            "stop" => drop(bed.wait_state("a", "stopped")),
            "restart" => assert_ne!(bed.wait_new_pid("a", pid), pid),
            _ => wait_until("it is deleted", || bed.names().is_empty()),
        }
    }
}

#[test]
fn a_start_goes_on_when_its_command_is_killed() {
    // A little later in each round: either nothing happened, or it is up and on record.
    for round in 0..25_u64 {
        let bed = Bed::new();
        let script = bed.lonely("a");
        bed.start_idle("first");
        let mut command = bed.tsm_command(["start", "--name", "a", "--", &script]);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        moment(Duration::from_micros(round * 300));
        let _ = child.kill();
        child.wait().unwrap();
        // What was asked last is done last.
        bed.tsm(["restart", "first"]).ok();
        if bed.names().len() == 2 {
            bed.wait_runs("a", 1);
        } else {
            assert!(bed.runs_of("a").is_empty());
            bed.tsm(["start", "--name", "a", "--", &script]).ok();
            bed.wait_runs("a", 1);
        }
    }
}

#[test]
fn what_its_command_gave_up_before_it_was_looked_at_is_not_done_later() {
    let bed = Bed::new();
    let pid = bed.start_idle("a");
    {
        let _stopped = bed.freeze_keepers();
        let delete = br#"{"version":1,"asked":{"token":"t","by":"a test"},"body":{"act":{"verb":"delete","selectors":["a"]}}}"#;
        let mut stream = connect(&bed);
        stream.write_all(&frame(delete, b"")).unwrap();
    }
    bed.tsm(["supervisor", "status"]).ok();
    assert_eq!(bed.pid("a"), pid);
    // The very same request, waited for, is carried out.
    let delete = br#"{"version":1,"asked":{"token":"t","by":"a test"},"body":{"act":{"verb":"delete","selectors":["a"]}}}"#;
    let mut stream = connect(&bed);
    stream.write_all(&frame(delete, b"")).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(bed.names(), [""; 0]);
}
