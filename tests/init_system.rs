//! What an init system sees of a supervisor in the foreground, and what a home says of its machine.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::bed::{Bed, run};
use crate::fault_kit::is_gone;
use crate::processes::Seen;
use crate::wait::{wait_for, wait_until};

/// A supervisor that tells a socket of ours how things are.
struct Watched {
    child: Child,
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Watched {
    fn start(bed: &Bed) -> Self {
        let path = bed.root().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut command = bed.tsm_command(["resurrect", "--boot"]);
        let log = fs::File::create(bed.root().join("foreground.log")).unwrap();
        command.env("NOTIFY_SOCKET", &path);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self {
            child,
            socket,
            heard: Vec::new(),
        }
    }

    /// Waits for a message that has this line, and returns it.
    #[track_caller]
    fn hear(&mut self, line: &str) -> String {
        wait_for(&format!("{line} is told; heard {:?}", self.heard), || {
            let mut bytes = [0; 4096];
            let length = self.socket.recv(&mut bytes).ok()?;
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            self.heard.push(text.clone());
            text.lines().any(|l| l == line).then_some(text)
        })
    }

    #[track_caller]
    fn ends(mut self) {
        Seen::now(self.child.id()).signal(Signal::TERM);
        self.hear("STOPPING=1");
        let ended = wait_for("it ended", || self.child.try_wait().unwrap());
        assert_eq!(ended.code(), Some(0));
    }
}

#[test]
fn an_init_system_hears_when_all_is_launched_and_that_records_are_read_anew() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.start_idle("b");
    let (a, b) = (bed.pid("a"), bed.pid("b"));
    let mut watched = Watched::start(&bed);
    let ready = watched.hear("READY=1");
    assert!(ready.contains("STATUS=2 of 2 up"), "{ready}");
    let stored = watched
        .heard
        .iter()
        .filter(|text| text.contains("FDSTORE=1"));
    // The lock, the socket, and for each service its handle and two pipes.
    assert_eq!(stored.count(), 8, "{:?}", watched.heard);

    let spec = bed.home().join("processes/a.spec.json");
    let text = fs::read_to_string(&spec).unwrap();
    assert!(text.contains("\"stop_timeout_ms\": 10000"), "{text}");
    fs::write(&spec, text.replace(": 10000", ": 77000")).unwrap();
    let meta = bed.home().join("processes/new.meta");
    fs::write(
        meta,
        "script='sleep' pid= port= start_time=0 type=cli tsm_id=9 cwd='/'\n",
    )
    .unwrap();
    fs::write(bed.home().join("processes/new.env"), "").unwrap();
    Seen::now(watched.child.id()).signal(Signal::HUP);
    let told = watched.hear("RELOADING=1");
    assert!(told.contains("MONOTONIC_USEC="), "{told}");
    watched.hear("READY=1");
    assert_eq!((bed.pid("a"), bed.pid("b")), (a, b));
    bed.tsm(["delete", "new", "-y"]).ok();
    // The longer time-out of one of them is known.
    Seen::now(watched.child.id()).signal(Signal::TERM);
    let told = watched.hear("STOPPING=1");
    assert!(told.contains("EXTEND_TIMEOUT_USEC=87000000"), "{told}");
    wait_for("it ended", || watched.child.try_wait().unwrap());
    assert!(is_gone(a) && is_gone(b));
}

#[test]
fn what_ended_by_itself_has_had_its_start_when_another_supervisor_goes_on() {
    let bed = Bed::new();
    let script = bed.script("once.sh", "#!/bin/sh\necho ran >> runs\n");
    let script = script.to_str().unwrap();
    bed.tsm(["start", "--name", "once", "--", script]).ok();
    bed.wait_state("once", "exited");
    let mut watched = Watched::start(&bed);
    watched.hear("READY=1");
    assert_eq!(bed.state("once"), "exited");
    watched.ends();
    // That was the end of all: what should run begins anew.
    let mut again = bed.tsm_command(["resurrect", "-d", "--boot"]);
    again.env_remove("NOTIFY_SOCKET");
    run(again).ok();
    bed.wait_file("runs", |text| text.lines().count() == 2);
}

#[test]
fn an_init_system_may_start_an_empty_home() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.tsm(["delete", "a", "-y"]).ok();
    bed.tsm(["supervisor", "stop"]).ok();
    let mut watched = Watched::start(&bed);
    watched.hear("READY=1");
    bed.start_idle("a");
    watched.ends();
    assert_eq!(bed.state("a"), "stopped");
}

#[test]
fn a_home_that_another_machine_has_in_use_is_refused() {
    let bed = Bed::new();
    bed.start_idle("a");
    let lock = bed.home().join(".lock");
    let own = fs::read_to_string(&lock).unwrap();
    if own.is_empty() {
        // This machine has no id.
        return;
    }
    // What runs on keeps the home this machine's; the end of all gives it free.
    bed.tsm(["supervisor", "stop"]).ok();
    assert_eq!(fs::read_to_string(&lock).unwrap(), own);
    bed.tsm(["stop", "a"]).ok();
    bed.tsm(["supervisor", "stop"]).ok();
    assert_eq!(fs::read_to_string(&lock).unwrap(), "");
    fs::write(&lock, "0123456789abcdef0123456789abcdef\n").unwrap();
    for command in [
        &["start", "a"][..],
        &["resurrect"],
        &["resurrect", "-d"],
        &["save"],
    ] {
        let told = bed.tsm(command);
        assert_ne!(told.status, 0, "{command:?}");
        assert!(
            told.stderr.contains("another machine has it in use"),
            "{}",
            told.stderr
        );
        assert_eq!(told.stderr.lines().count(), 1, "{}", told.stderr);
    }
    // It can be looked at.
    assert_eq!(bed.state("a"), "stopped");
    wait_until("the lock is given free", || fs::remove_file(&lock).is_ok());
    bed.tsm(["start", "a"]).ok();
}

/// Of a user who lingers a supervisor is started by `systemd-run`; here, one that says that it has done so.
#[test]
fn a_systemd_run_that_does_nothing_is_done_without() {
    let bed = Bed::new();
    if !crate::bed::is_root() {
        return;
    }
    bed.script(
        "bin/systemd-run",
        "#!/bin/sh\necho asked >> \"$RUNS\"\n"
            .replace("$RUNS", bed.path("asked").to_str().unwrap())
            .as_str(),
    );
    for name in ["systemd/private", "bus"] {
        bed.file(&format!("runtime/{name}"), "");
    }
    // Who lingers stands in a directory of the machine: these commands have one of their own.
    let line = "mount -t tmpfs none /var/lib && mkdir -p /var/lib/systemd/linger && touch /var/lib/systemd/linger/root || exit 77
        PATH=\"$PWD/bin:$PATH\" XDG_RUNTIME_DIR=\"$PWD/runtime\" \"$0\" start --name a -- sleep 100000";
    let mut command = bed.command("unshare");
    let told = run({
        command.args(["-m", "sh", "-c", line, crate::bed::TSM]);
        command
    });
    if told.status == 77 || told.stderr.contains("unshare") {
        return;
    }
    told.ok();
    bed.wait_file("asked", |text| text == "asked\n");
    assert_eq!(bed.state("a"), "running");
    bed.wait_log(
        "tsm.log",
        "systemd-run says that it is started, and no supervisor is there",
    );
}
