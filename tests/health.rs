//! Health: checks by HTTP, TCP and a command, a watchdog, and what comes of those that are not well.

use rustix::process::Signal;
use serde_json::Value;

use crate::bed::{Bed, free_port};
use crate::processes::Seen;
use crate::wait::wait_until;

/// A web server on PORT that is well unless the file `sick` is there; with `slow`, it does not answer in time.
const SERVER: &str = "import http.server, os, time\n\
    class H(http.server.BaseHTTPRequestHandler):\n\
    \x20   def do_GET(self):\n\
    \x20       while os.path.exists('slow'): time.sleep(0.02)\n\
    \x20       self.send_response(503 if os.path.exists('sick') else 200); self.end_headers()\n\
    \x20       self.wfile.write(b'all is well')\n\
    \x20   def log_message(self, *a): pass\n\
    http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n";

/// Starts the server, ready, with this check of its health each 50 ms.
#[track_caller]
fn start_server(bed: &Bed, name: &str, health: &str, more: &[&str]) -> u16 {
    bed.file("server.py", SERVER);
    let port = free_port();
    let number = port.to_string();
    let health = health.replace("PORT", &number);
    let start = [
        "start",
        "server.py",
        "--name",
        name,
        "--port",
        &number,
        "--ready",
        "port",
        "--wait=60s",
        "--health-interval",
        "50ms",
        "--health",
        &health,
    ];
    bed.tsm(start.iter().chain(more)).ok();
    port
}

fn healthy(view: &Value) -> bool {
    view["health"] == "healthy"
}

#[test]
fn what_is_not_well_is_ended_and_comes_back() {
    let bed = Bed::new();
    start_server(
        &bed,
        "a",
        "http://127.0.0.1:PORT/",
        &["--health-retries", "2"],
    );
    bed.wait_view("a", healthy);
    let listed = bed.tsm(["list"]).ok().stdout;
    assert!(listed.contains("healthy"), "{listed}");
    let before = bed.pid("a");
    bed.file("sick", "");
    let events = bed.wait_log_of_events("a", "\"unhealthy\"");
    assert!(events.contains("answered with status 503"), "{events}");
    bed.wait_new_pid("a", before);
    std::fs::remove_file(bed.path("sick")).unwrap();
    let view = bed.wait_view("a", healthy);
    assert!(view["restarts"].as_u64() >= Some(1), "{view}");
    let told = bed.tsm(["info", "a"]).ok().stdout;
    assert!(
        told.contains("Health: healthy (http://127.0.0.1:"),
        "{told}"
    );
    assert!(
        told.contains("unhealthy after 2 in a row, then restarted"),
        "{told}"
    );
}

#[test]
fn what_is_only_to_be_told_runs_on_and_may_recover() {
    let bed = Bed::new();
    let more = ["--health-action", "report", "--health-retries", "1"];
    start_server(&bed, "a", "http://127.0.0.1:PORT/", &more);
    bed.wait_view("a", healthy);
    let before = bed.pid("a");
    bed.file("sick", "");
    bed.wait_view("a", |view| view["health"] == "unhealthy");
    std::fs::remove_file(bed.path("sick")).unwrap();
    bed.wait_view("a", healthy);
    assert_eq!(bed.pid("a"), before);
    let events = bed.wait_log_of_events("a", "\"unhealthy\"");
    assert_eq!(events.matches("\"healthy\"").count(), 2, "{events}");
}

#[test]
fn a_slow_check_fails_by_its_time_out_and_delays_nothing() {
    let bed = Bed::new();
    let more = [
        "--health-action",
        "report",
        "--health-retries",
        "1",
        "--health-timeout",
        "300ms",
    ];
    start_server(&bed, "a", "http://127.0.0.1:PORT/", &more);
    bed.wait_view("a", healthy);
    bed.file("slow", "");
    let events = bed.wait_log_of_events("a", "did not answer within 0.3 s");
    assert!(events.contains("\"unhealthy\""), "{events}");
    // A check that hangs for a minute keeps no command waiting.
    let more = ["--health-timeout", "60s", "--health-action", "report"];
    let port = free_port().to_string();
    let health = format!("http://127.0.0.1:{port}/");
    let start = [
        "start",
        "server.py",
        "--name",
        "b",
        "--port",
        &port,
        "--ready",
        "port",
        "--wait=60s",
        "--health-interval",
        "10ms",
        "--health",
        &health,
    ];
    bed.tsm(start.iter().chain(&more)).ok();
    wait_until("the check hangs", || {
        let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let port: u16 = port.parse().unwrap();
        connections.contains(&format!(":{port:04X} 0100007F:")) // an accepted connection
    });
    bed.start_idle("c");
    bed.tsm(["stop", "c"]).ok();
    bed.tsm(["stop", "b"]).ok();
    std::fs::remove_file(bed.path("slow")).unwrap();
}

#[test]
fn health_is_told_by_a_connection_and_by_a_command() {
    let bed = Bed::new();
    start_server(&bed, "tcp", "tcp:PORT", &[]);
    bed.wait_view("tcp", healthy);
    let start = [
        "start",
        "--name",
        "cmd",
        "--health-interval",
        "50ms",
        "--health-retries",
        "1",
        "--health",
        "cmd:echo looking at $TSM_NAME in $FOO; test ! -e sick || { echo it is sick >&2; exit 4; }",
        "--env",
        "FOO=bar",
        "--",
        "sleep",
        "100000",
    ];
    bed.tsm(start).ok();
    bed.wait_view("cmd", healthy);
    bed.file("sick", "");
    let events = bed.wait_log_of_events("cmd", "\"unhealthy\"");
    let reason = "it exited with status 4: it is sick";
    assert!(events.contains(reason), "{events}");
    std::fs::remove_file(bed.path("sick")).unwrap();
    bed.wait_view("cmd", healthy);
    // What a check prints is no log of the service.
    let log = std::fs::read_to_string(bed.home().join("logs/cmd.out")).unwrap();
    assert_eq!(log, "");
    // A command that hangs is killed, with what it started.
    let start = [
        "start",
        "--name",
        "hangs",
        "--health-interval",
        "50ms",
        "--health-retries",
        "1",
        "--health-timeout",
        "300ms",
        "--health-action",
        "report",
        "--health",
        "cmd:sleep 100000 & echo $! >> hanging; wait",
        "--",
        "sleep",
        "100000",
    ];
    bed.tsm(start).ok();
    let events = bed.wait_log_of_events("hangs", "\"unhealthy\"");
    assert!(
        events.contains("it took longer than 0.3 s and was killed"),
        "{events}"
    );
    let hanging = bed.wait_file("hanging", |text| text.ends_with('\n'));
    let pid: u32 = hanging.lines().next().unwrap().parse().unwrap();
    wait_until("nothing of it is left", || {
        crate::processes::stat(pid).is_none()
    });
}

#[test]
fn who_says_nothing_for_too_long_is_not_well() {
    let bed = Bed::new();
    let script = "import os, socket, time\n\
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n\
        s.send(b'READY=1')\n\
        print('every', os.environ['WATCHDOG_USEC'], flush=True)\n\
        while not os.path.exists('stuck'): s.send(b'WATCHDOG=1'); time.sleep(0.05)\n\
        time.sleep(100000)\n";
    bed.file("a.py", script);
    let start = [
        "start",
        "a.py",
        "--ready",
        "notify",
        "--health",
        "watchdog:2s",
        "--wait=60s",
    ];
    bed.tsm(start).ok();
    bed.wait_log("a.out", "every 2000000\n");
    bed.wait_view("a", healthy);
    let before = bed.pid("a");
    bed.file("stuck", "");
    let events = bed.wait_log_of_events("a", "\"unhealthy\"");
    assert!(
        events.contains("it sent no WATCHDOG=1 for 2.0 s"),
        "{events}"
    );
    std::fs::remove_file(bed.path("stuck")).unwrap();
    bed.wait_new_pid("a", before);
    bed.wait_view("a", healthy);
}

#[test]
fn in_the_start_period_a_failure_counts_for_nothing() {
    let bed = Bed::new();
    bed.file("sick", "");
    let more = ["--health-start-period", "1h", "--health-retries", "1"];
    start_server(&bed, "a", "http://127.0.0.1:PORT/", &more);
    // Some checks fail meanwhile: what is seen is that nothing comes of them.
    crate::wait::holds_for(std::time::Duration::from_secs(1), "it runs", || {
        bed.view("a")["health"] == "starting" && bed.view("a")["restarts"] == 0
    });
    std::fs::remove_file(bed.path("sick")).unwrap();
    bed.wait_view("a", healthy);
    bed.file("sick", "");
    bed.wait_log_of_events("a", "\"unhealthy\"");
}

#[test]
fn health_goes_on_under_the_next_supervisor() {
    let bed = Bed::new();
    let more = ["--health-action", "report", "--health-retries", "1"];
    start_server(&bed, "a", "http://127.0.0.1:PORT/", &more);
    bed.wait_view("a", healthy);
    let before = bed.supervisor_pid().unwrap();
    Seen::now(before).signal(Signal::KILL);
    wait_until("another supervisor is there", || {
        bed.supervisor_pid().is_some_and(|pid| pid != before)
    });
    bed.file("sick", "");
    bed.wait_view("a", |view| view["health"] == "unhealthy");
    // It was healthy all the time: nothing was said of that anew.
    let events = bed.wait_log_of_events("a", "\"unhealthy\"");
    assert_eq!(events.matches("\"healthy\"").count(), 1, "{events}");
}
