//! The supervisor goes on as a newer program, in the same process.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::bed::{Bed, TSM, run};
use crate::fault_kit::meanwhile;
use crate::processes::{Seen, children, stat};
use crate::wait::{holds_for, wait_until};

impl Bed {
    /// A copy of `tsm` that is of this version; see `version::own`.
    fn tsm_of_version(&self, name: &str, version: &str) -> PathBuf {
        let path = self.root().join(name);
        // Made beside its place: what is executed is not written into.
        let new = self.root().join(format!("{name}.new"));
        let line = format!(
            "cp {TSM} {0} && printf '\\ntsm-version={version}\\n' >> {0} && mv {0} {1}",
            new.display(),
            path.display()
        );
        self.shell(&line).ok();
        path
    }

    /// A command of another copy.
    fn command_of(&self, tsm: &Path, args: &[&str]) -> Command {
        let mut command = self.command(tsm);
        command.args(args);
        command
    }

    /// The version of the supervisor.
    fn version(&self) -> String {
        let told = self.tsm(["supervisor", "status", "--json"]).ok();
        let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
        told["version"].as_str().unwrap_or_default().to_owned()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home().join("logs/tsm.log")).unwrap_or_default()
    }
}

/// Whether two processes, or a process and a file, are of the same program.
fn executes(pid: u32, program: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let its = file(Path::new(&format!("/proc/{pid}/exe")));
    its.is_some() && its == file(program)
}

#[test]
fn an_upgrade_keeps_process_children_services_and_logs() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    let pid = bed.wait_runs("a", 1);
    bed.start_numbers("ticks", "0.001");
    bed.start_numbers("flood", "0");
    bed.start_idle("down");
    bed.tsm(["stop", "down"]).ok();
    let (supervisor, guardian) = (bed.supervisor_seen(), bed.guardian_seen());
    let sentinel = bed.sentinel_seen();
    let newer = bed.tsm_of_version("tsm-newer", "9.1.0");

    let told = run(bed.command_of(&newer, &["supervisor", "upgrade"])).ok();
    assert_eq!(
        told.stdout,
        format!(
            "Supervisor upgraded: {} to 9.1.0 (PID: {}); 3 processes ran on\n",
            env!("CARGO_PKG_VERSION"),
            supervisor.pid
        )
    );
    assert_eq!(bed.supervisor_seen(), supervisor, "another process");
    assert_eq!(bed.guardian_seen(), guardian, "another guardian");
    assert!(executes(supervisor.pid, &newer));
    wait_until("the guardian has followed", || {
        executes(guardian.pid, &newer)
    });
    wait_until("there is a sentinel of the same program", || {
        bed.sentinel_pid().is_some_and(|pid| executes(pid, &newer))
    });
    assert!(!sentinel.is_alive(), "the one before stayed");
    assert!(children(supervisor.pid).contains(&pid), "no child any more");
    assert_eq!(bed.wait_runs("a", 1), pid);
    assert_eq!(bed.state("down"), "stopped");

    // It does its work: ends are told with their status, and nothing that was printed is missing.
    Seen::now(pid).signal(Signal::KILL);
    let next = bed.wait_runs("a", 2);
    assert_eq!(bed.view("a")["exit"]["signal"], "SIGKILL");
    bed.tsm(["stop", "a"]).ok();
    assert!(stat(next).is_none());
    bed.tsm(["start", "down"]).ok();
    bed.check_numbers("ticks");
    bed.check_numbers("flood");

    // Who is killed afterwards is followed by the same version.
    bed.kill_supervisor();
    let (after, _) = bed.wait_next_supervisor(supervisor);
    assert!(executes(after.pid, &newer));
    assert_eq!(bed.version(), "9.1.0");
    bed.sentinel_seen();
    bed.kill_both();
    bed.wait_next_supervisor(after);
    assert_eq!(bed.version(), "9.1.0");
    assert_eq!(bed.state("down"), "running");
}

#[test]
fn what_is_under_way_is_gone_on_with() {
    let bed = Bed::new();
    // It takes as long to end as a file says, and writes down how often it was asked.
    let slow = bed.script(
        "slow.sh",
        "#!/bin/sh\ntrap 'echo asked >> asked; while [ ! -e may-end ]; do sleep 0.05; done; exit 3' TERM\n\
         echo up\nwhile :; do sleep 0.05; done\n",
    );
    let slow = slow.to_str().unwrap();
    bed.tsm([
        "start",
        "--name",
        "slow",
        "--stop-timeout",
        "10m",
        "--",
        slow,
    ])
    .ok();
    bed.wait_log("slow.out", "up");
    // One that waits to be started again, and one that has ended.
    bed.tsm(["start", "--name", "crashes", "--", "false"]).ok();
    bed.tsm(["start", "--name", "ends", "--", "true"]).ok();
    bed.wait_state("ends", "exited");
    bed.wait_state("crashes", "backoff");
    let restarts = bed.view("crashes")["restarts"].as_u64().unwrap();
    let mut stop = bed.tsm_command(["stop", "slow"]);
    let stopping = stop
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    bed.wait_file("asked", |text| text == "asked\n");

    let newer = bed.tsm_of_version("tsm-newer", "9.1.0");
    run(bed.command_of(&newer, &["supervisor", "upgrade"])).ok();
    assert_eq!(bed.version(), "9.1.0");
    assert_eq!(bed.state("slow"), "stopping");
    bed.file("may-end", "");
    crate::bed::finish(stopping, "stop slow").ok();
    assert_eq!(bed.view("slow")["exit"]["code"], 3, "{}", bed.view("slow"));
    let asked = fs::read_to_string(bed.path("asked")).unwrap();
    assert_eq!(asked, "asked\n", "it was asked to end twice");
    wait_until("the crash loop goes on where it was", || {
        bed.view("crashes")["restarts"].as_u64().unwrap() > restarts
    });
    assert_eq!(bed.state("ends"), "exited");
}

#[test]
fn a_hook_is_run_to_its_end_first_and_nobody_waits_for_it() {
    let bed = Bed::new();
    let newer = bed.tsm_of_version("tsm-newer", "9.1.0");
    let hook = "echo begun > hook; while [ ! -e may-end ]; do sleep 0.05; done; echo ended > hook";
    let start = ["start", "--name", "a", "--post-start", hook];
    bed.tsm(start.iter().chain(&["--", "sleep", "100000"])).ok();
    bed.wait_file("hook", |text| text == "begun\n");
    let mut upgrade = bed.command_of(&newer, &["supervisor", "upgrade"]);
    let upgrading = upgrade
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the new program was tried", || {
        bed.log().contains("upgrading from tsm ")
    });
    // Others are answered, by the old one.
    bed.start_idle("b");
    assert_eq!(bed.version(), env!("CARGO_PKG_VERSION"));
    bed.file("may-end", "");
    crate::bed::finish(upgrading, "supervisor upgrade").ok();
    assert_eq!(bed.version(), "9.1.0");
    assert_eq!(fs::read_to_string(bed.path("hook")).unwrap(), "ended\n");
}

#[test]
fn without_a_quiet_moment_the_old_one_goes_on_and_says_so() {
    let bed = Bed::new();
    bed.start_rigged_supervisor();
    let newer = bed.tsm_of_version("tsm-newer", "9.1.0");
    let hook = "touch hook; while [ ! -e may-end ]; do sleep 0.05; done";
    let start = ["start", "--name", "a", "--post-start", hook];
    bed.tsm(start.iter().chain(&["--", "sleep", "100000"])).ok();
    bed.wait_file("hook", |_| true);
    // As if its time were over at the first look.
    bed.arm("upgrade-late");
    let told = run(bed.command_of(&newer, &["supervisor", "upgrade"])).exits(1);
    bed.fired("upgrade-late");
    let (path, own) = (newer.display(), env!("CARGO_PKG_VERSION"));
    let expected =
        format!("{path} is not taken, tsm {own} goes on: no quiet moment came in 30 s; try again");
    assert!(told.message().ends_with(&expected), "{}", told.stderr);
    assert_eq!(bed.version(), own);
    bed.file("may-end", "");
    run(bed.command_of(&newer, &["supervisor", "upgrade"])).ok();
    assert_eq!(bed.version(), "9.1.0");
}

#[test]
fn no_request_is_lost_meanwhile() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    let programs = [
        bed.tsm_of_version("tsm-1", "9.1.0"),
        bed.tsm_of_version("tsm-2", "9.2.0"),
        bed.tsm_of_version("tsm-3", "9.3.0"),
    ];
    let supervisor = bed.supervisor_seen();
    let started = std::sync::atomic::AtomicU32::new(0);
    let start_and_stop = || {
        let number = started.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("s{number}");
        bed.tsm(["start", "--name", &name, "--", "sleep", "100000"])
            .ok();
        bed.tsm(["restart", &name]).ok();
        bed.tsm(["stop", &name]).ok();
    };
    let look = || {
        bed.tsm(["list", "--json"]).ok();
        bed.tsm(["signal", "a", "CONT"]).ok();
    };
    let times = meanwhile(&[&start_and_stop, &look], || {
        for program in &programs {
            run(bed.command_of(program, &["supervisor", "upgrade"])).ok();
        }
    });
    assert!(times.iter().all(|&times| times > 0), "{times:?}");
    assert_eq!(bed.supervisor_seen(), supervisor);
    assert_eq!(bed.version(), "9.3.0");
    assert_eq!(bed.runs_of("a").len(), 1);
    let names = bed.names();
    assert_eq!(names.len() as u32, 1 + started.into_inner(), "{names:?}");
}

#[test]
fn a_file_that_is_replaced_by_a_newer_version_is_taken_by_itself() {
    let bed = Bed::new();
    let installed = bed.tsm_of_version("installed", "9.0.0");
    let start = ["start", "--name", "a", "--", "sleep", "100000"];
    run(bed.command_of(&installed, &start)).ok();
    let (supervisor, pid) = (bed.supervisor_seen(), bed.pid("a"));
    assert!(executes(supervisor.pid, &installed));

    // An older one in its place is not taken.
    bed.tsm_of_version("installed", "8.9.9");
    wait_until("it was tried", || {
        bed.log().contains("not newer than this one")
    });
    assert_eq!(bed.version(), "9.0.0");
    // A newer one is, though nobody asks for it.
    bed.tsm_of_version("installed", "9.0.1");
    wait_until("it was upgraded", || bed.version() == "9.0.1");
    assert_eq!(bed.supervisor_seen(), supervisor);
    assert!(executes(supervisor.pid, &installed));
    assert_eq!(bed.pid("a"), pid);
    // And what it is now is watched as well.
    bed.tsm_of_version("installed", "9.0.2");
    wait_until("it was upgraded again", || bed.version() == "9.0.2");
}

#[test]
fn another_newer_tsm_says_so_in_one_line_and_upgrades_nothing() {
    let bed = Bed::new();
    bed.start_idle("a");
    let newer = bed.tsm_of_version("tsm-newer", "9.1.0");
    let own = env!("CARGO_PKG_VERSION");
    let told = run(bed.command_of(&newer, &["restart", "a"])).ok();
    assert_eq!(
        told.stderr_line(),
        format!(
            "tsm 9.1.0 is newer than the supervisor ({own}); 'tsm supervisor upgrade' upgrades it"
        )
    );
    let told = run(bed.command_of(&newer, &["list"])).ok();
    assert_eq!(told.stderr, "");
    holds_for(Duration::from_millis(300), "the version", || {
        bed.version() == own
    });
    let told = bed.tsm(["restart", "a"]).ok();
    assert_eq!(told.stderr, "", "an older or equal one says nothing");
    // An older one does not take the place of a newer one.
    run(bed.command_of(&newer, &["supervisor", "upgrade"])).ok();
    let told = bed.tsm(["supervisor", "upgrade"]).exits(2);
    assert!(
        told.message()
            .contains("is tsm 9.1.0 and newer than this tsm"),
        "{}",
        told.stderr
    );
    let told = run(bed.command_of(&newer, &["supervisor", "upgrade"])).ok();
    assert!(
        told.stderr.contains("is this very tsm 9.1.0 already"),
        "{}",
        told.stderr
    );
}

#[test]
fn a_program_that_cannot_take_over_leaves_the_old_one_at_work() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.wait_runs("a", 1);
    let supervisor = bed.supervisor_seen();
    let newer = bed.tsm_of_version("tsm-newer", "9.1.0");
    let wrapper = bed.script(
        "wrapper",
        &format!("#!/bin/sh\nexec {} \"$@\"\n", newer.display()),
    );
    let broken = bed.script("broken", "#!/bin/sh\necho 'no such luck' ; exit 1\n");
    let mute = bed.script("mute", "#!/bin/sh\nkill -9 $$\n");
    let cases = [
        (
            wrapper,
            "it is no tsm itself, but something that executes one",
        ),
        (broken, "no such luck"),
        (mute, "its trial said nothing (killed by SIGKILL)"),
        (bed.path("nowhere"), "cannot open"),
    ];
    for (program, words) in cases {
        let body = format!(
            r#"{{"version":2,"asked":{{"token":"","by":"a test"}},"body":{{"upgrade":{{"program":{:?}}}}}}}"#,
            program.to_str().unwrap()
        );
        let said = crate::fault_clients::ask(&bed, body.as_bytes());
        assert!(said.contains(words), "{}: {said}", program.display());
        assert_eq!(bed.supervisor_seen(), supervisor);
        // All of it still works.
        bed.tsm(["restart", "a"]).ok();
        bed.start_idle("b");
        bed.tsm(["delete", "b"]).ok();
    }
    assert_eq!(bed.version(), env!("CARGO_PKG_VERSION"));
    assert_eq!(bed.runs_of("a").len(), 5);
}

#[test]
fn where_the_program_cannot_be_executed_nothing_has_changed() {
    let bed = Bed::new();
    bed.start_rigged_supervisor();
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.start_numbers("ticks", "0.001");
    let pid = bed.wait_runs("a", 1);
    let supervisor = bed.supervisor_seen();
    let newer = bed.tsm_of_version("tsm-newer", "9.1.0");
    bed.arm("upgrade-execute");
    let told = run(bed.command_of(&newer, &["supervisor", "upgrade"])).exits(1);
    bed.fired("upgrade-execute");
    assert!(
        told.message().ends_with(
            "it cannot be executed: cannot execute it in the place of this supervisor: Cannot allocate memory"
        ),
        "{}",
        told.stderr
    );
    assert_eq!(bed.supervisor_seen(), supervisor);
    assert_eq!(bed.version(), env!("CARGO_PKG_VERSION"));
    assert_eq!(bed.wait_runs("a", 1), pid);
    bed.crash("a");
    bed.wait_runs("a", 2);
    bed.check_numbers("ticks");
    bed.tsm(["save"]).ok();
    run(bed.command_of(&newer, &["supervisor", "upgrade"])).ok();
    assert_eq!(bed.version(), "9.1.0");
}

#[test]
fn an_upgrade_may_be_killed_at_every_step() {
    for step in ["upgrade-1-tried", "upgrade-2-quiet", "upgrade-3-executed"] {
        let bed = Bed::new();
        bed.start_rigged_supervisor();
        let script = bed.lonely("a");
        bed.tsm(["start", "--name", "a", "--", &script]).ok();
        bed.start_numbers("ticks", "0.001");
        let pid = bed.wait_runs("a", 1);
        let newer = bed.tsm_of_version("tsm-newer", "9.1.0");
        bed.arm(step);
        let told = run(bed.command_of(&newer, &["supervisor", "upgrade"]));
        bed.fired(step);
        assert_eq!(told.status, 1, "{step}: {}{}", told.stdout, told.stderr);
        assert!(
            told.stderr.contains("did not come up"),
            "{step}: {}",
            told.stderr
        );
        assert_eq!(bed.wait_runs("a", 1), pid, "{step}");
        assert_eq!(bed.version(), env!("CARGO_PKG_VERSION"), "{step}");
        // The next try is a good one.
        run(bed.command_of(&newer, &["supervisor", "upgrade"])).ok();
        assert_eq!(bed.version(), "9.1.0", "{step}");
        assert_eq!(bed.wait_runs("a", 1), pid, "{step}");
        bed.check_numbers("ticks");
    }
}
