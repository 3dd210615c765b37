//! A port that somebody has: the start is refused, and who has it is told.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use crate::bed::{Bed, free_port, is_free};
use crate::wait::wait_until;

/// A service that listens on PORT, in a child of its own where `behind` is set.
fn server(bed: &Bed, behind: bool) -> String {
    let listen = "import os, signal, socket, sys, time\n\
         s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
         s.bind(('127.0.0.1', int(os.environ['PORT']))); s.listen()\n";
    let fork = "if os.fork() == 0:\n    signal.signal(signal.SIGHUP, signal.SIG_IGN)\n    time.sleep(100000)\n\
         s.close()\nwhile not os.path.exists('go'):\n    time.sleep(0.02)\n";
    let rest = if behind { fork } else { "time.sleep(100000)\n" };
    let name = if behind { "behind.py" } else { "server.py" };
    let path = bed.file(name, format!("{listen}{rest}"));
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_port_that_a_stranger_has_is_refused_before_anything_starts() {
    let bed = Bed::new();
    let port = free_port();
    let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let port = port.to_string();
    let script = bed.sleeper();
    let script = script.to_str().unwrap();
    let refused = bed
        .tsm(["start", script, "--name", "a", "--port", &port])
        .exits(5);
    let own = format!("(PID: {}, user ", std::process::id());
    for words in [
        "cannot start 'a'",
        &format!("port {port} is taken by"),
        &own,
        "stop that, or use another --port",
    ] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert_eq!(bed.process_files(), [""; 0]);
}

#[test]
fn a_port_that_another_process_of_tsm_has_is_refused_with_its_name() {
    let bed = Bed::new();
    let port = free_port();
    let number = port.to_string();
    for behind in [false, true] {
        let name = if behind { "behind" } else { "plain" };
        let script = server(&bed, behind);
        bed.tsm(["start", &script, "--name", name, "--port", &number])
            .ok();
        wait_until("it listens", || !is_free(port));
        // The same again is there already, whoever has the port.
        bed.tsm(["start", &script, "--name", name, "--port", &number])
            .exits(4);
        bed.tsm(["start", &script, "--port", &number]).exits(4);
        let other = bed
            .tsm(["start", &script, "--name", "other", "--port", &number])
            .exits(5);
        let known_as = format!("which is '{name}' (ID: {})", bed.view(name)["id"]);
        assert!(other.stderr.contains(&known_as), "{}", other.stderr);
        // A restart gives the port up and takes it again.
        bed.tsm(["restart", name]).ok();
        wait_until("it listens again", || !is_free(port));
        bed.tsm(["stop", name]).ok();
    }
}

#[test]
fn a_stopped_process_whose_port_was_taken_meanwhile_is_not_started() {
    let bed = Bed::new();
    let port = free_port();
    let number = port.to_string();
    let script = server(&bed, false);
    bed.tsm(["start", &script, "--name", "a", "--port", &number])
        .ok();
    bed.start_idle("b");
    wait_until("it listens", || !is_free(port));
    bed.tsm(["stop", "a", "b"]).ok();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    bed.tsm(["restart", "a"]).exits(5);
    assert_eq!(bed.state("a"), "stopped");
    let refused = bed.tsm(["start", "a", "b"]).exits(5);
    assert!(refused.stderr.contains("is taken by"), "{}", refused.stderr);
    assert_eq!(bed.state("a"), "stopped");
    assert_eq!(bed.state("b"), "running");
    drop(listener);
    bed.tsm(["start", "a"]).ok();
    wait_until("it listens", || !is_free(port));
}

#[test]
fn a_port_that_the_last_run_left_behind_is_not_somebody_elses() {
    let bed = Bed::new();
    let port = free_port();
    let number = port.to_string();
    let script = server(&bed, true);
    bed.tsm([
        "start",
        &script,
        "--name",
        "a",
        "--restart",
        "no",
        "--port",
        &number,
    ])
    .ok();
    wait_until("it listens", || !is_free(port));
    // The leader ends well; the child that has the port stays.
    let go = bed.file("go", "");
    bed.wait_state("a", "exited");
    assert!(!is_free(port));
    fs::remove_file(go).unwrap();
    bed.tsm(["start", "a"]).ok();
    wait_until("it listens again", || !is_free(port));
    bed.tsm(["stop", "a"]).ok();
    assert!(is_free(port));
}

#[test]
fn a_port_is_picked_where_any_will_do() {
    let bed = Bed::new();
    let script = server(&bed, false);
    bed.tsm([
        "start",
        &script,
        "--name",
        "a",
        "--port",
        "auto",
        "--wait=60s",
    ])
    .ok();
    let port = bed.view("a")["port"].as_u64().unwrap() as u16;
    assert!((20_000..30_000).contains(&port) && !is_free(port));
    // Another one is another one, even before it listens; and a restart keeps it.
    bed.tsm([
        "start", "--name", "b", "--port", "auto", "--", "sleep", "100000",
    ])
    .ok();
    assert_ne!(bed.view("b")["port"], port);
    bed.tsm(["restart", "a", "--wait=60s"]).ok();
    assert_eq!(bed.view("a")["port"], port);
    bed.tsm(["start", "x", "--port", "any"]).exits(2);
}

#[test]
fn what_is_declared_is_joined_with_what_is_listened_on() {
    let bed = Bed::new();
    let (port, other, idle) = (free_port(), free_port(), free_port());
    let script = format!(
        "import os, socket, time\n\
         t = socket.create_server(('127.0.0.1', {port})); u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         u.bind(('127.0.0.1', {other})); x = socket.socket(socket.AF_UNIX); x.bind('s.sock'); x.listen()\n\
         if os.fork() == 0: y = socket.create_server(('127.0.0.1', {other})); time.sleep(100000)\n\
         time.sleep(100000)\n"
    );
    bed.file("many.py", script);
    let number = port.to_string();
    bed.tsm([
        "start",
        "many.py",
        "--name",
        "many",
        "--port",
        &number,
        "--wait=60s",
    ])
    .ok();
    let idle_number = idle.to_string();
    bed.tsm([
        "start",
        "--name",
        "idle",
        "--port",
        &idle_number,
        "--",
        "sleep",
        "100000",
    ])
    .ok();
    bed.start_idle("none");
    let read = || -> serde_json::Value {
        let told = bed.tsm(["ports", "--json"]).ok();
        serde_json::from_str(&told.stdout).unwrap()
    };
    wait_until("all of it is listened on", || {
        read()[0]["listening"].as_array().unwrap().len() == 4
    });
    let ports = read();
    assert_eq!(ports.as_array().unwrap().len(), 2, "{ports}");
    let many = &ports[0];
    assert_eq!(
        (many["name"].as_str(), many["declared"].as_u64()),
        (Some("many"), Some(port.into()))
    );
    assert_eq!(many["listens_as_declared"], true);
    let mut kinds: Vec<String> = many["listening"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| format!("{} {}", l["protocol"].as_str().unwrap(), l["port"]))
        .collect();
    kinds.sort();
    let mut expected = vec![
        format!("tcp {port}"),
        format!("tcp {other}"),
        format!("udp {other}"),
        "unix null".to_owned(),
    ];
    expected.sort();
    assert_eq!(kinds, expected);
    assert_eq!(ports[1]["listens_as_declared"], false);
    assert!(ports[1]["held_by"].is_null());
    let text = bed.tsm(["ports"]).ok().stdout;
    assert!(text.contains(&format!("tcp 127.0.0.1:{port}")), "{text}");
    assert!(text.contains("unix s.sock"), "{text}");
    let line = text.lines().find(|line| line.starts_with("idle")).unwrap();
    assert!(
        line.contains(&idle_number) && line.ends_with("nothing listens"),
        "{text}"
    );
    // Somebody else takes it.
    let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, idle)).unwrap();
    let ports = read();
    let holder = ports[1]["held_by"].as_str().unwrap();
    assert!(
        holder.contains(&format!("(PID: {}", std::process::id())),
        "{holder}"
    );
    let text = bed.tsm(["ports", "idle"]).ok().stdout;
    assert!(
        text.contains("taken by another") && !text.contains("many"),
        "{text}"
    );
}
