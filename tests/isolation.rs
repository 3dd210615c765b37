//! A service stands on its own: nothing of the shell that started it clings to it, or to the supervisor.

use std::path::{Path, PathBuf};

use crate::bed::{Bed, is_root};
use crate::processes::{self, Seen, descriptors, link, stat, status_field};
use crate::wait::{DEADLINE, within};

/// A set of signals from `/proc/PID/status`, without 32 and 33: these are the C library's own, no program may set them,
/// and `posix_spawn` leaves them ignored in what it starts, such as this test.
fn signals(pid: u32, field: &str) -> u64 {
    let set = u64::from_str_radix(&status_field(pid, field), 16).unwrap();
    set & !(0b11 << 31)
}

#[test]
fn a_service_leads_a_session_with_three_descriptors() {
    let bed = Bed::new();
    let pid = bed.start_idle("a");
    let check = |pid: u32| {
        let stat = stat(pid).unwrap();
        assert_eq!((stat.session, stat.group), (pid, pid));
        // A program that begins has its libraries open for a moment.
        let mut open = Vec::new();
        let settled = within(DEADLINE, || {
            open = descriptors(pid);
            (open.len() <= 3).then_some(())
        });
        assert!(settled.is_some(), "{open:?}");
        let numbers: Vec<u32> = open.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [0, 1, 2], "{open:?}");
        assert_eq!(open[0].1, Path::new("/dev/null"));
        for (_, target) in &open[1..] {
            assert!(target.to_string_lossy().starts_with("pipe:"), "{open:?}");
        }
        assert_ne!(open[1].1, open[2].1, "a pipe of its own for each stream");
    };
    check(pid);
    // With more services there are more pipes that could leak, and a restart is made by another process.
    for name in ["b", "c", "d"] {
        check(bed.start_idle(name));
    }
    bed.crash("a");
    check(bed.wait_new_pid("a", pid));
    bed.tsm(["restart", "b"]).ok();
    check(bed.pid("b"));
}

#[test]
fn a_service_sees_no_descriptors_itself() {
    let bed = Bed::new();
    bed.script("fds.sh", "#!/bin/sh\nls /proc/self/fd; exec sleep 100000\n");
    bed.shell("exec 5</dev/null 6>/dev/null 9<.; \"$0\" start ./fds.sh")
        .ok();
    // 3 is the directory that `ls` reads.
    assert_eq!(bed.wait_log("fds.out", "3\n"), "0\n1\n2\n3\n");
}

#[test]
fn signals_are_as_for_a_new_program() {
    let bed = Bed::new();
    let check = |name: &str| {
        let pid = bed.pid(name);
        for field in ["SigBlk", "SigIgn"] {
            assert_eq!(signals(pid, field), 0, "{field} of '{name}'");
        }
    };
    bed.start_idle("plain");
    check("plain");
    bed.shell("trap '' HUP PIPE INT QUIT USR1; \"$0\" start --name ignoring -- sleep 100000")
        .ok();
    check("ignoring");
    bed.tsm(["restart", "ignoring"]).ok();
    check("ignoring");
}

#[test]
fn signals_ignored_by_the_caller_do_not_reach_what_a_new_supervisor_starts() {
    let bed = Bed::new();
    // Here the command that ignores them is also the one that starts the supervisor.
    bed.shell("trap '' HUP PIPE INT QUIT USR1; \"$0\" start --name a -- sleep 100000")
        .ok();
    let pid = bed.pid("a");
    for field in ["SigBlk", "SigIgn"] {
        assert_eq!(signals(pid, field), 0, "{field}");
    }
    bed.tsm(["kill", "a"]).ok();
    let mut command = bed.command("env");
    command.args([
        "--block-signal=USR1",
        "--block-signal=TERM",
        crate::bed::TSM,
    ]);
    command.args(["start", "--name", "b", "--", "sleep", "100000"]);
    crate::bed::run(command).ok();
    assert_eq!(signals(bed.pid("b"), "SigBlk"), 0);
}

#[test]
fn umask_and_directory_are_those_of_the_start() {
    let bed = Bed::new();
    for name in ["one", "two"] {
        std::fs::create_dir(bed.path(name)).unwrap();
    }
    bed.shell("cd one && umask 027 && \"$0\" start --name a -- sleep 100000")
        .ok();
    bed.shell("umask 077 && \"$0\" start --name b --cwd two -- sleep 100000")
        .ok();
    let check = || {
        assert_eq!(status_field(bed.pid("a"), "Umask"), "0027");
        assert_eq!(link(bed.pid("a"), "cwd"), bed.path("one"));
        assert_eq!(status_field(bed.pid("b"), "Umask"), "0077");
        assert_eq!(link(bed.pid("b"), "cwd"), bed.path("two"));
    };
    check();
    bed.shell("cd / && umask 0 && \"$0\" restart all").ok();
    check();
    let before = bed.crash("a");
    bed.wait_new_pid("a", before);
    bed.tsm(["stop", "all"]).ok();
    bed.shell("cd / && \"$0\" start a b").ok();
    check();
}

#[test]
fn resource_limits_are_those_of_the_start() {
    let bed = Bed::new();
    let soft_files = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .unwrap();
        line.split_whitespace().nth(3).unwrap().to_owned()
    };
    bed.shell("ulimit -Sn 123; \"$0\" start --name a -- sleep 100000")
        .ok();
    assert_eq!(soft_files(bed.pid("a")), "123");
    bed.shell("ulimit -Sn 200; \"$0\" start --name b -- sleep 100000; \"$0\" restart a")
        .ok();
    assert_eq!(soft_files(bed.pid("b")), "200");
    assert_eq!(soft_files(bed.pid("a")), "123");
}

#[test]
fn a_command_substitution_returns_at_once() {
    let bed = Bed::new();
    let output = bed
        .shell("x=$(\"$0\" start --name a -- sleep 100000 2>&1) && echo \"got: $x\"")
        .ok();
    assert!(
        output.stdout.starts_with("got: Starting process: a\n"),
        "{}",
        output.stdout
    );
}

#[test]
fn supervisor_and_guardian_hold_nothing_of_the_caller() {
    let bed = Bed::new();
    bed.shell("exec 5>held.out 6<. 9>&1; cd /tmp; \"$0\" start --name a -- sleep 100000")
        .ok();
    let (supervisor, guardian) = (bed.supervisor_pid().unwrap(), bed.guardian_pid().unwrap());
    let sentinel = bed.sentinel_seen().pid;
    let own_session = stat(std::process::id()).unwrap().session;
    for pid in [supervisor, guardian, sentinel] {
        assert_eq!(link(pid, "cwd"), Path::new("/"));
        let open: Vec<PathBuf> = descriptors(pid).into_iter().map(|(_, to)| to).collect();
        assert!(
            !open.iter().any(|to| to.starts_with(bed.work())),
            "{open:?}"
        );
        assert_eq!(open[0], Path::new("/dev/null"));
        assert_ne!(stat(pid).unwrap().session, own_session);
        assert_ne!(status_field(pid, "Umask"), "");
    }
    // Nothing of the caller's but its name is taken, and the command is gone.
    assert_eq!(processes::children(guardian), [supervisor, sentinel]);
    // It keeps nothing open that would count as in use, and nothing that ends when its last copy is closed.
    let open: Vec<PathBuf> = descriptors(sentinel)
        .into_iter()
        .map(|(_, to)| to)
        .collect();
    let log = bed.home().join("logs/tsm.log");
    let [null, handle] = ["/dev/null", "anon_inode:[pidfd]"].map(PathBuf::from);
    // Of the guardian, and of the supervisor.
    assert_eq!(open, [null.clone(), null, log, handle.clone(), handle]);
    assert_ne!(
        stat(sentinel).unwrap().session,
        stat(guardian).unwrap().session
    );
    assert!(processes::children(supervisor).contains(&bed.pid("a")));
}

#[test]
fn a_service_outlives_the_session_that_started_it() {
    let bed = Bed::new();
    // The shell leads a session and its own group, and all of that is hung up.
    let mut command = bed.command("setsid");
    command.args([
        "--wait",
        "sh",
        "-c",
        "\"$0\" start --name a -- sleep 100000; kill -HUP 0",
    ]);
    command.arg(crate::bed::TSM);
    crate::bed::run(command);
    let service = Seen::now(bed.pid("a"));
    assert_eq!(bed.state("a"), "running");
    assert!(service.is_alive() && bed.supervisor_pid().is_some());
}

#[test]
fn a_service_of_another_user_is_wholly_theirs() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    bed.open_to_others();
    bed.tsm([
        "start", "--user", "nobody", "--name", "a", "--", "sleep", "100000",
    ])
    .ok();
    let check = |pid: u32| {
        for field in ["Uid", "Gid"] {
            let ids = status_field(pid, field);
            let ids: Vec<&str> = ids.split_whitespace().collect();
            assert!(
                ids[0] != "0" && ids.iter().all(|id| id == &ids[0]),
                "{field}: {ids:?}"
            );
        }
        assert!(
            !status_field(pid, "Groups")
                .split_whitespace()
                .any(|id| id == "0")
        );
        assert_eq!(status_field(pid, "CapEff"), "0000000000000000");
    };
    check(bed.pid("a"));
    let before = bed.crash("a");
    check(bed.wait_new_pid("a", before));
    assert_eq!(bed.info("a")["user"], "nobody");
}
