//! When a process counts as ready, what `--wait` waits for, and what comes of those that are not ready in time.

use rustix::process::Signal;

use crate::bed::{Bed, free_port};
use crate::processes::Seen;
use crate::wait::wait_until;

/// A web server that begins to listen on PORT when the file `go` is there.
const SERVER: &str = "import http.server, os, time\n\
    print('waiting', flush=True)\n\
    while not os.path.exists('go'): time.sleep(0.01)\n\
    class H(http.server.BaseHTTPRequestHandler):\n\
    \x20   def do_GET(self):\n\
    \x20       self.send_response(200 if os.path.exists('well') else 503); self.end_headers()\n\
    s = http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), H)\n\
    print('listening on', os.environ['PORT'], flush=True)\n\
    s.serve_forever()\n";

/// Says READY=1 and more when files of the working directory say so.
const SPEAKER: &str = "import os, socket, time\n\
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
    a = os.environ['NOTIFY_SOCKET']\n\
    s.connect(a if a[0] != '@' else '\\0' + a[1:])\n\
    s.send(b'STATUS=warming up')\n\
    while not os.path.exists('go'): time.sleep(0.01)\n\
    s.send(b'READY=1\\nSTATUS=serving')\n\
    time.sleep(100000)\n";

/// Starts `tsm start ARGS --wait=TIME` and lets `meanwhile` happen once the process is there.
#[track_caller]
fn start_waiting(bed: &Bed, name: &str, args: &[&str], meanwhile: impl FnOnce()) {
    let start = ["start", "--name", name, "--wait=60s"];
    let begun = bed.begin(start.iter().chain(args));
    bed.wait_state_of_new(name, "running");
    meanwhile();
    begun.end().ok();
}

#[test]
fn without_more_a_start_waits_for_the_port_that_is_declared() {
    let bed = Bed::new();
    bed.file("server.py", SERVER);
    let port = free_port().to_string();
    start_waiting(&bed, "a", &["server.py", "--port", &port], || {
        assert!(std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err());
        bed.file("go", "");
    });
    // What has neither is ready when it runs.
    bed.tsm(["start", "--name", "b", "--wait", "--", "sleep", "100000"])
        .ok();
    // Nothing is said of readiness where nobody asked for it.
    assert!(bed.view("a")["ready"].is_null());
    assert!(bed.view("b")["ready"].is_null());
}

#[test]
fn a_command_that_has_waited_long_enough_says_so_with_the_last_lines() {
    let bed = Bed::new();
    bed.file("server.py", SERVER);
    let port = free_port().to_string();
    let start = ["start", "server.py", "--name", "a", "--port", &port];
    bed.tsm(start).ok();
    bed.wait_log("a.out", "waiting");
    let late = bed.tsm(["restart", "a", "--wait=1s"]).exits(7);
    let lines: Vec<&str> = late.stderr.lines().collect();
    assert_eq!(lines[0], "tsm: 'a' is not ready after 1.0 s; it runs on");
    assert_eq!(lines[1], "  | waiting", "{}", late.stderr);
    assert_eq!(late.stdout, "");
    assert_eq!(bed.state("a"), "running");
    // The same for a start.
    let port = free_port().to_string();
    let start = ["start", "server.py", "--name", "b", "--port", &port];
    let late = bed.tsm(start.iter().chain(&["--wait=0.3s"])).exits(7);
    assert!(late.stderr.contains("'b' is not ready after 0.3 s"));
    bed.file("go", "");
    bed.tsm(["restart", "a", "--wait=60s"]).ok();
}

#[test]
fn readiness_is_told_by_a_line_in_either_log() {
    let bed = Bed::new();
    bed.file("server.py", SERVER);
    let port = free_port().to_string();
    let args = [
        "server.py",
        "--port",
        &port,
        "--ready",
        r"log:^listening on \d+$",
    ];
    start_waiting(&bed, "a", &args, || {
        bed.wait_log("a.out", "waiting");
        assert_eq!(bed.view("a")["ready"], false);
        let listed = bed.tsm(["list"]).ok().stdout;
        assert!(
            listed.contains("HEALTH") && listed.contains("not ready"),
            "{listed}"
        );
        bed.file("go", "");
    });
    assert_eq!(bed.view("a")["ready"], true);
    let listed = bed.tsm(["list"]).ok().stdout;
    assert!(listed.contains(" ready"), "{listed}");
    let told = bed.tsm(["info", "a"]).ok().stdout;
    let line = r"Ready: yes (a line like '^listening on \d+$', within 60s)";
    assert!(told.contains(line), "{told}");
    let shell = [
        "sh",
        "-c",
        "printf 'up and runn'; echo; echo 'so it is: ready' >&2; sleep 100000",
    ];
    let args = [
        "start",
        "--name",
        "b",
        "--wait=60s",
        "--ready",
        "log:is: ready",
        "--",
    ];
    bed.tsm(args.iter().chain(&shell)).ok();
}

#[test]
fn readiness_is_told_by_an_http_server_and_by_a_command() {
    let bed = Bed::new();
    bed.file("server.py", SERVER);
    bed.file("go", "");
    let port = free_port().to_string();
    let url = format!("http://127.0.0.1:{port}/health");
    let args = ["server.py", "--port", &port, "--ready", &url];
    start_waiting(&bed, "a", &args, || {
        bed.wait_log("a.out", "listening");
        assert_eq!(bed.view("a")["ready"], false);
        bed.file("well", "");
    });
    assert_eq!(bed.view("a")["ready"], true);
    let args = [
        "--ready",
        "cmd:test -e ready-$TSM_NAME",
        "--",
        "sleep",
        "100000",
    ];
    start_waiting(&bed, "b", &args, || {
        assert_eq!(bed.view("b")["ready"], false);
        bed.file("ready-b", "");
    });
}

#[test]
fn readiness_is_told_by_sd_notify_with_a_status() {
    let bed = Bed::new();
    bed.file("speaker.py", SPEAKER);
    let args = ["speaker.py", "--ready", "notify"];
    start_waiting(&bed, "a", &args, || {
        wait_until("its status is known", || {
            bed.view("a")["status_text"] == "warming up"
        });
        assert_eq!(bed.view("a")["ready"], false);
        bed.file("go", "");
    });
    assert_eq!(bed.view("a")["ready"], true);
    wait_until("its status is known", || {
        bed.view("a")["status_text"] == "serving"
    });
    let told = bed.tsm(["info", "a"]).ok().stdout;
    assert!(told.contains("Says: serving\n"), "{told}");
    bed.tsm(["stop", "a"]).ok();
    assert!(bed.view("a")["status_text"].is_null());
    // The variable is only there where it is asked for, and never the caller's own.
    let mut command =
        bed.tsm_command(["start", "--name", "b", "--", "sh", "-c", "env; sleep 9999"]);
    command
        .env("NOTIFY_SOCKET", "/somewhere")
        .env("WATCHDOG_USEC", "1");
    crate::bed::run(command).ok();
    let log = bed.wait_log("b.out", "TSM_NAME=b");
    assert!(
        !log.contains("NOTIFY_SOCKET") && !log.contains("WATCHDOG"),
        "{log}"
    );
}

#[test]
fn what_another_process_says_is_not_heard() {
    let bed = Bed::new();
    bed.file("speaker.py", SPEAKER);
    let start = ["start", "speaker.py", "--name", "a", "--ready", "notify"];
    bed.tsm(start).ok();
    wait_until("its status is known", || {
        bed.view("a")["status_text"] == "warming up"
    });
    // A stranger may reach the socket of this home, which is his own; but he is nobody's process.
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    socket
        .send_to(b"READY=1\nSTATUS=lies", bed.home().join("notify.sock"))
        .unwrap();
    // Messages are heard in their order: the next one of the service is heard after that.
    bed.file("go", "");
    wait_until("it is ready", || bed.view("a")["ready"] == true);
    let events = std::fs::read_to_string(bed.home().join("processes/a.events.jsonl")).unwrap();
    assert_eq!(events.matches("\"ready\"").count(), 1, "{events}");
    assert_ne!(bed.view("a")["status_text"], "lies");
}

#[test]
fn the_main_process_is_the_one_that_the_service_names() {
    let bed = Bed::new();
    let script = "import os, socket, time\n\
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n\
        pid = os.fork()\n\
        if pid == 0:\n\
        \x20   os.setsid(); time.sleep(100000)\n\
        s.send(b'MAINPID=%d\\nREADY=1' % pid)\n";
    bed.file("daemon.py", script);
    let start = [
        "start",
        "daemon.py",
        "--name",
        "a",
        "--ready",
        "notify",
        "--wait=60s",
    ];
    bed.tsm(start).ok();
    let pid = bed.pid("a");
    // The process that was started ends, and the service runs on.
    bed.wait_log_of_events("a", "\"ready\"");
    assert_eq!(
        (bed.state("a").as_str(), bed.view("a")["restarts"].clone()),
        ("running", 0.into())
    );
    let main = Seen::now(pid);
    main.signal(Signal::KILL);
    bed.wait_new_pid("a", pid);
    let second = Seen::now(bed.pid("a"));
    bed.tsm(["stop", "a"]).ok();
    assert!(!second.is_alive());
}

#[test]
fn readiness_is_told_by_a_newline_in_a_descriptor() {
    let bed = Bed::new();
    bed.script(
        "a.sh",
        "#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.02; done\necho >&7\nexec sleep 100000\n",
    );
    start_waiting(&bed, "a", &["./a.sh", "--ready", "fd:7"], || {
        assert_eq!(bed.view("a")["ready"], false);
        bed.file("go", "");
    });
    // It is there in every run, and nothing else is.
    let before = bed.crash("a");
    let pid = bed.wait_new_pid("a", before);
    wait_until("it is ready again", || bed.view("a")["ready"] == true);
    let mut numbers: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    numbers.sort();
    assert_eq!(numbers, ["0", "1", "2", "7"]);
}

#[test]
fn what_is_not_ready_in_time_has_failed_and_is_started_again() {
    let bed = Bed::new();
    bed.file("server.py", SERVER);
    let port = free_port().to_string();
    let start = [
        "start",
        "server.py",
        "--name",
        "a",
        "--port",
        &port,
        "--ready",
        "port",
        "--ready-timeout",
        "1.5s",
        "--wait",
    ];
    let late = bed.tsm(start).exits(7);
    let first = late.stderr.lines().next().unwrap();
    assert_eq!(
        first,
        format!("tsm: 'a' was not ready within 1.5 s (nobody listens on port {port})")
    );
    let view = bed.wait_view("a", |view| view["restarts"].as_u64() >= Some(1));
    assert_eq!(view["exit"]["signal"], "SIGTERM", "{view}");
    bed.wait_log_of_events("a", "\"not-ready\"");
    bed.file("go", "");
    wait_until("it is ready at last", || bed.view("a")["ready"] == true);
    // Under `no` it is failed, and says why.
    std::fs::remove_file(bed.path("go")).unwrap();
    let start = [
        "start",
        "server.py",
        "--name",
        "b",
        "--ready",
        "port:1",
        "--ready-timeout",
        "0.5s",
        "--restart",
        "no",
        "--env",
        "PORT=1",
    ];
    bed.tsm(start).ok();
    let view = bed.wait_state("b", "failed");
    let reason = view["exit"]["reason"].as_str().unwrap();
    assert_eq!(
        reason,
        "was not ready within 0.5 s (nobody listens on port 1); killed by SIGTERM"
    );
}

#[test]
fn what_ends_before_it_is_ready_is_told_at_once() {
    let bed = Bed::new();
    let start = [
        "start",
        "--name",
        "a",
        "--wait",
        "--ready",
        "log:never",
        "--",
        "sh",
        "-c",
        "echo giving up >&2; exit 3",
    ];
    let ended = bed.tsm(start).exits(1);
    let first = ended.stderr.lines().next().unwrap();
    assert!(
        first.starts_with("tsm: 'a' ended before it was ready (exited with status 3)"),
        "{first}"
    );
    assert!(
        ended.stderr.contains("\n  | giving up\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_supervisor_that_dies_in_between_loses_no_readiness() {
    let bed = Bed::new();
    bed.file("speaker.py", SPEAKER);
    bed.file("server.py", SERVER);
    bed.script(
        "fd.sh",
        "#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.02; done\necho >&7\nexec sleep 100000\n",
    );
    let port = free_port().to_string();
    bed.tsm(["start", "speaker.py", "--name", "said", "--ready", "notify"])
        .ok();
    let log = [
        "start",
        "server.py",
        "--name",
        "log",
        "--port",
        &port,
        "--ready",
        "log:listening",
    ];
    bed.tsm(log).ok();
    bed.tsm(["start", "./fd.sh", "--name", "fd", "--ready", "fd:7"])
        .ok();
    wait_until("its status is known", || {
        bed.view("said")["status_text"] == "warming up"
    });
    let before = bed.supervisor_pid().unwrap();
    Seen::now(before).signal(Signal::KILL);
    bed.file("go", "");
    wait_until("another supervisor is there", || {
        bed.supervisor_pid().is_some_and(|pid| pid != before)
    });
    for name in ["said", "log", "fd"] {
        wait_until("it is ready", || bed.view(name)["ready"] == true);
        assert_eq!(bed.view(name)["restarts"], 0);
    }
}

#[test]
fn nonsense_is_refused_in_one_line() {
    let bed = Bed::new();
    for (args, words) in [
        (["--ready", "port"], "--ready: at which port?"),
        (
            ["--health", "http://127.0.0.1:$PORT/"],
            "--health: at which port?",
        ),
        (["--ready", "log:("], "unclosed group"),
        (["--ready", "nonsense"], "is none of port, port:N"),
        (["--ready", "fd:1"], "1 is none from 3 to 255"),
        (["--health", "ftp://x"], "is none of http://"),
        (["--notify-on", "started"], "--notify"),
        (["--wait", "--ready=http://"], "is no address"),
    ] {
        let refused = bed
            .tsm(["start", "sleep", "9"].iter().chain(&args))
            .exits(2);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert!(refused.stderr.lines().count() <= 4, "{}", refused.stderr);
    }
    assert!(bed.process_files().is_empty());
}
