//! Somebody removes or moves what the supervisor is found by.

use std::fs;

use crate::bed::Bed;
use crate::processes::Seen;
use crate::wait::{wait_for, wait_until};

#[test]
fn a_socket_that_was_removed_is_made_anew() {
    let bed = Bed::new();
    let service = Seen::now(bed.start_idle("a"));
    let supervisor = bed.supervisor_seen();
    let socket = bed.home().join("supervisor.sock");
    // At once: whoever comes before the new one is there waits for it.
    fs::remove_file(&socket).unwrap();
    assert_eq!(bed.supervisor_pid(), Some(supervisor.pid));
    // By another's, too.
    fs::remove_file(&socket).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    wait_until("the socket is the supervisor's again", || {
        bed.supervisor_pid() == Some(supervisor.pid)
    });
    // And while no supervisor is there that could notice.
    let guardian = bed.guardian_seen();
    guardian.signal(rustix::process::Signal::STOP);
    bed.kill_supervisor();
    fs::remove_file(&socket).unwrap();
    guardian.signal(rustix::process::Signal::CONT);
    wait_until("another supervisor answers", || {
        bed.supervisor_pid()
            .is_some_and(|pid| pid != supervisor.pid)
    });
    bed.tsm(["stop", "a"]).ok();
    assert!(!service.is_alive());
}

#[test]
fn a_lock_that_was_removed_is_taken_anew_and_there_is_one_supervisor() {
    let bed = Bed::new();
    let service = bed.start_idle("a");
    let supervisor = bed.supervisor_seen();
    for _ in 0..2 {
        fs::remove_file(bed.home().join(".lock")).unwrap();
        wait_until("the lock is there again", || {
            bed.home().join(".lock").exists()
        });
        let pid = wait_for("the supervisor answers", || bed.supervisor_pid());
        assert_eq!(pid, supervisor.pid);
    }
    fs::remove_file(bed.home().join("supervisor.sock")).unwrap();
    fs::remove_file(bed.home().join(".lock")).unwrap();
    // Whichever of the two is first: there is one afterwards, and the service is up once.
    bed.tsm(["start", "--name", "b", "--", "sleep", "100000"])
        .ok();
    let now = wait_for("a supervisor answers", || bed.supervisor_pid());
    wait_until("there is one supervisor", || {
        now == supervisor.pid || !supervisor.is_alive()
    });
    assert_eq!(bed.pid("a"), service);
    assert_eq!(bed.view("a")["restarts"], 0);
}

#[test]
fn a_supervisor_whose_home_was_moved_ends_and_the_next_takes_over_there() {
    let bed = Bed::new();
    let service = bed.start_idle("a");
    let supervisor = bed.supervisor_seen();
    let moved = bed.root().join("moved");
    fs::rename(bed.home(), &moved).unwrap();
    wait_until("the supervisor has ended", || !supervisor.is_alive());
    assert!(Seen::now(service).is_alive());
    let moved_home = moved.to_str().unwrap();
    let elsewhere = [
        "--home", moved_home, "start", "--name", "b", "--", "sleep", "100000",
    ];
    bed.tsm(elsewhere).ok();
    let log = fs::read_to_string(moved.join("logs/tsm.log")).unwrap();
    assert!(
        log.contains("was moved or removed; this supervisor ends"),
        "{log}"
    );
    let seen = Seen::now(service);
    bed.tsm(["--home", moved_home, "stop", "a", "b"]).ok();
    assert!(!seen.is_alive());
    bed.tsm(["--home", moved_home, "supervisor", "stop"]).ok();
}

#[test]
fn a_home_can_be_removed_with_its_supervisor_in_it() {
    let bed = Bed::new();
    let service = Seen::now(bed.start_idle("a"));
    let supervisor = bed.supervisor_seen();
    #[expect(clippy::disallowed_methods, reason = "the test made it")]
    fs::remove_dir_all(bed.home()).unwrap();
    wait_until("the supervisor has ended", || !supervisor.is_alive());
    assert!(service.is_alive());
    service.signal(rustix::process::Signal::KILL);
}

#[test]
fn a_lock_on_the_directory_and_a_fifo_as_its_log_keep_nobody_waiting() {
    let bed = Bed::new();
    fs::create_dir_all(bed.home().join("logs")).unwrap();
    let fifo = bed.home().join("logs/tsm.log");
    bed.shell(&format!("mkfifo {}", fifo.display())).ok();
    let told = bed.tsm(["start", "--name", "a", "--", "sleep", "1"]);
    assert!(told.stderr.contains("tsm.log"), "{told:?}");
    assert_ne!(told.status, 0);
    fs::remove_file(fifo).unwrap();
}
