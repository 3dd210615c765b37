//! Programs that people really run: started, asked, killed, asked again, stopped.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::bed::{Bed, free_port, is_free};
use crate::processes::Seen;
use crate::wait::wait_until;

/// Whether a program is on PATH. Where it is not and `TSM_TESTS_REQUIRE_PROGRAMS` is 1, as in CI, the test fails.
#[track_caller]
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    if !found {
        let required = std::env::var_os("TSM_TESTS_REQUIRE_PROGRAMS").is_some_and(|v| v == "1");
        assert!(
            !required,
            "{program} is not on PATH, and TSM_TESTS_REQUIRE_PROGRAMS=1"
        );
        println!("skipped: {program} is not on PATH");
    }
    found
}

/// Sends `request` and returns what comes back, if all of it comes.
fn ask(port: u16, request: &str, ends: impl Fn(&str) -> bool) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !ends(&text) {
        match stream.read(&mut bytes).ok()? {
            0 => break,
            length => text.push_str(&String::from_utf8_lossy(&bytes[..length])),
        }
    }
    Some(text)
}

fn answers_http(port: u16) -> bool {
    let request = "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n";
    ask(port, request, |_| false).is_some_and(|text| text.contains(" 200 "))
}

fn answers_redis(port: u16) -> bool {
    ask(port, "PING\r\n", |text| text.ends_with("\r\n")).is_some_and(|text| text == "+PONG\r\n")
}

/// The whole life of a service that was started as 'a'.
#[track_caller]
fn lives(bed: &Bed, port: u16, answers: impl Fn(u16) -> bool) {
    wait_until("it answers", || answers(port));
    let first = bed.crash("a");
    let second = bed.wait_new_pid("a", first);
    assert_ne!(first, second);
    wait_until("it answers again", || answers(port));
    let view = bed.view("a");
    assert_eq!(view["state"], "running", "{view}");
    assert!(view["restarts"].as_u64().unwrap() >= 1);
    bed.tsm(["restart", "a"]).ok();
    wait_until("it answers after a restart", || answers(port));
    let main = Seen::now(bed.pid("a"));
    bed.tsm(["stop", "a"]).ok();
    assert!(!main.is_alive());
    assert!(is_free(port), "the port is free when the stop returns");
    assert_eq!(
        crate::processes::children(bed.supervisor_pid().unwrap()),
        [0; 0]
    );
    assert_eq!(
        crate::processes::children(bed.guardian_pid().unwrap()),
        [bed.supervisor_pid().unwrap(), bed.sentinel_seen().pid]
    );
}

const NODE_SERVER: &str = "
const server = require('http').createServer((request, response) => response.end('hello\\n'));
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('listening'));
";

#[test]
fn python_http_server() {
    if !has("python3") {
        return;
    }
    let bed = Bed::new();
    let port = free_port();
    let args = ["start", "--name", "a", "--", "python3", "-m", "http.server"];
    bed.tsm(
        args.iter()
            .copied()
            .chain(["--bind", "127.0.0.1", &port.to_string()]),
    )
    .ok();
    lives(&bed, port, answers_http);
    assert!(bed.wait_log("a.err", "GET / ").contains("200"));
}

#[test]
fn node_http_server() {
    if !has("node") {
        return;
    }
    let bed = Bed::new();
    let port = free_port();
    bed.file("server.js", NODE_SERVER);
    bed.tsm([
        "start",
        "server.js",
        "--name",
        "a",
        "--port",
        &port.to_string(),
    ])
    .ok();
    lives(&bed, port, answers_http);
    bed.wait_log("a.out", "listening\n");
}

#[test]
fn npm_start() {
    if !has("node") || !has("npm") {
        return;
    }
    let bed = Bed::new();
    let port = free_port();
    bed.file("server.js", NODE_SERVER);
    bed.file(
        "package.json",
        r#"{"name": "web", "version": "1.0.0", "scripts": {"start": "node server.js"}}"#,
    );
    let start = [
        "start",
        "npm start",
        "--name",
        "a",
        "--env",
        "npm_config_update_notifier=false",
    ];
    bed.tsm(start.iter().copied().chain(["--port", &port.to_string()]))
        .ok();
    lives(&bed, port, answers_http);
}

/// Redis writes over its environment when it sets its title, so that the cookie is gone from `/proc`.
#[test]
fn redis_server() {
    if !has("redis-server") {
        return;
    }
    for options in [
        &["--set-proc-title", "no"][..],
        &["--set-proc-title", "yes"],
        &[
            "--proc-title-template",
            "{title} of somebody else, with a long title that covers much",
        ],
    ] {
        let bed = Bed::new();
        let port = free_port().to_string();
        let args = [
            "start",
            "--name",
            "a",
            "--",
            "redis-server",
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ];
        bed.tsm(args.iter().chain(&["--port", &port]).chain(options))
            .ok();
        lives(&bed, port.parse().unwrap(), answers_redis);
        bed.wait_log("a.out", "Ready to accept connections");
    }
}

/// Killed with SIGKILL, nginx leaves its workers behind, which keep the port.
#[test]
fn nginx() {
    if !has("nginx") {
        return;
    }
    let bed = Bed::new();
    bed.open_to_others();
    let port = free_port();
    let work = bed.work().display().to_string();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("  {what}_temp_path {work}/{what};\n"))
        .concat();
    let config = bed.file(
        "nginx.conf",
        format!(
            "daemon off;\nworker_processes 2;\npid {work}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n  access_log /dev/stdout;\n{temporary}  server {{\n    listen 127.0.0.1:{port};\n    location / {{ return 200 'hello\\n'; }}\n  }}\n}}\n"
        ),
    );
    let config = config.to_str().unwrap();
    bed.tsm([
        "start", "nginx", "-e", "stderr", "-c", config, "--name", "a",
    ])
    .ok();
    lives(&bed, port, answers_http);
    assert!(bed.wait_log("a.out", "GET / ").contains("200"));
}
