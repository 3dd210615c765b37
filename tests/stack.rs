//! The stack of `examples/stack`: redis, a migration, an API in two instances, a worker and a job by the clock, in one file.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use crate::bed::{Bed, Output, free_port, run};
use crate::wait::{wait_for, wait_until};

struct Stack {
    bed: Bed,
    redis: u16,
    api: u16,
}

impl Stack {
    fn new() -> Self {
        let bed = Bed::new();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/stack");
        for entry in std::fs::read_dir(source).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                // With its mode.
                std::fs::copy(&path, bed.path(path.file_name().unwrap().to_str().unwrap()))
                    .unwrap();
            }
        }
        // Two ports in a row, which no other test gets.
        let api = wait_for("two free ports", || {
            let (one, next) = (free_port(), free_port());
            (next == one + 1).then_some(one)
        });
        Self {
            bed,
            redis: free_port(),
            api,
        }
    }

    fn tsm(&self, args: &[&str]) -> Output {
        let mut command = self.bed.tsm_command(args);
        command
            .env("STACK_REDIS_PORT", self.redis.to_string())
            .env("STACK_API_PORT", self.api.to_string())
            .env("STACK_DATA", self.bed.work());
        run(command)
    }

    /// What the API answers, where it does.
    fn ask(&self, instance: u16, request: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.api + instance)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let body = answer.split("\r\n\r\n").nth(1)?.trim();
        (answer.starts_with("HTTP/1.0 2")).then(|| body.to_owned())
    }

    fn order(&self, instance: u16) {
        let request = "POST /orders HTTP/1.0\r\nContent-Length: 3\r\n\r\ntea";
        wait_until("the order is taken", || {
            self.ask(instance, request).is_some()
        });
    }

    fn wait_done(&self, instance: u16, orders: u32) {
        let text = format!("{orders} orders done, says instance {instance}");
        wait_until(&text, || {
            self.ask(instance, "GET / HTTP/1.0\r\n\r\n").as_deref() == Some(text.as_str())
        });
    }
}

#[test]
fn one_command_brings_all_up_in_order_and_what_is_killed_comes_back() {
    if !crate::programs::has("redis-server") {
        return;
    }
    let stack = Stack::new();
    let bed = &stack.bed;
    stack.tsm(&["config", "check", "tspm.yaml"]).ok();
    // One command brings it up, and returns when all of it does its work.
    let told = stack
        .tsm(&["start", "-c", "tspm.yaml", "--wait=60s"])
        .ok()
        .stdout;
    let names: Vec<&str> = told
        .lines()
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(names[..2], ["redis", "migrate"], "{told}");
    for name in ["api@0", "api@1", "worker", "report"] {
        assert!(names.contains(&name), "{told}");
    }
    assert_eq!(bed.state("migrate"), "done");
    bed.wait_log("migrate.out", "version 0 -> 2");
    for name in ["redis", "api@0", "api@1"] {
        assert_eq!(bed.view(name)["ready"], true, "{name}");
        bed.wait_view(name, |view| view["health"] == "healthy");
    }
    let view = bed.view("report");
    assert_eq!(view["state"], "waiting", "{view}");
    assert!(view["next_run_at"].is_string(), "{view}");
    stack.order(0);
    stack.order(1);
    stack.wait_done(0, 2);
    stack.wait_done(1, 2);

    // Twice is once.
    let again = stack.tsm(&["start", "-c", "tspm.yaml"]).ok().stdout;
    let same = again.lines().filter(|line| line.ends_with("unchanged"));
    assert!(same.count() >= 5, "{again}");

    // One part is killed, and recovers; nobody else is touched.
    let (worker, api) = (bed.pid("worker"), bed.pid("api@1"));
    bed.crash("api@0");
    bed.wait_new_pid("api@0", 0);
    stack.order(0);
    stack.wait_done(0, 3);
    bed.wait_view("api@0", |view| view["health"] == "healthy");
    assert_eq!((bed.pid("worker"), bed.pid("api@1")), (worker, api));

    // Nor does it stay down when what all of it needs is killed.
    let redis = bed.crash("redis");
    bed.wait_new_pid("redis", redis);
    wait_until("an order is taken and done again", || {
        let request = "POST /orders HTTP/1.0\r\nContent-Length: 3\r\n\r\ntea";
        let done = |text: String| !text.starts_with('0') && !text.starts_with("None");
        stack.ask(1, request).is_some() && stack.ask(1, "GET / HTTP/1.0\r\n\r\n").is_some_and(done)
    });
    bed.wait_view("redis", |view| view["health"] == "healthy");

    bed.tsm(["stop", "@shop"]).ok();
    for view in bed.list() {
        assert!(view["pid"].is_null(), "{view}");
    }
}
