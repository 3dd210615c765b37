//! When health is looked at, what counts, and what others that wait for it see; as config files declare it.

use std::time::Duration;

use crate::bed::{Bed, free_port};
use crate::wait::{holds_for, wait_until};

#[track_caller]
fn start(bed: &Bed, file: &str, more: &[&str]) {
    bed.file("tspm.yaml", file);
    bed.tsm(["start", "-c"].iter().chain(more)).ok();
}

/// How often a check of this name has run.
fn checks(bed: &Bed, name: &str) -> usize {
    std::fs::read_to_string(bed.path(name)).map_or(0, |text| text.lines().count())
}

#[test]
fn the_first_check_is_after_the_interval_or_the_initial_delay() {
    let bed = Bed::new();
    let file = "processes:\n\
        - {name: a, script: sleep 100000, healthCheck: {command: echo >> a, interval: 1h}}\n\
        - {name: b, script: sleep 100001, healthCheck: {command: echo >> b, interval: 1h, initialDelay: 50ms}}\n\
        - {name: c, script: sleep 100002, healthCheck: {command: echo >> c, interval: 50ms, initialDelay: 1h}}\n\
        - {name: d, script: sleep 100003, healthCheck: {command: echo >> d, interval: 50ms}}\n";
    start(&bed, file, &[]);
    bed.wait_view("b", |view| view["health"] == "healthy");
    wait_until("it is looked at again and again", || checks(&bed, "d") >= 5);
    holds_for(
        Duration::from_millis(300),
        "once is enough for an hour",
        || (checks(&bed, "a"), checks(&bed, "b"), checks(&bed, "c")) == (0, 1, 0),
    );
    assert_eq!(bed.view("a")["health"], "starting");
}

#[test]
fn only_failures_in_a_row_count() {
    let bed = Bed::new();
    // Two of three fail, but never three in a row, until `sick` is there.
    let check = "test ! -e sick && { echo >> n; test $(( $(wc -l < n) % 3 )) = 0; }";
    let file = format!(
        "processes:\n- {{name: a, script: sleep 100000, healthCheck: {{command: \"{check}\", interval: 10ms, retries: 3}}}}\n"
    );
    start(&bed, &file, &[]);
    let pid = bed.pid("a");
    wait_until("many checks have failed", || checks(&bed, "n") >= 12);
    assert_eq!(
        (bed.pid("a"), bed.view("a")["restarts"].clone()),
        (pid, 0.into())
    );
    let events = bed.wait_log_of_events("a", "\"healthy\"");
    assert!(!events.contains("unhealthy"), "{events}");
    bed.file("sick", "");
    bed.wait_log_of_events("a", "\"unhealthy\"");
    bed.wait_new_pid("a", pid);
}

#[test]
fn who_is_only_to_be_reported_is_reported_and_left_alone() {
    let bed = Bed::new();
    let file = "processes:\n- name: a\n  script: sleep 100000\n  notify: {command: cat >> told, events: [unhealthy, healthy]}\n\
        \x20 healthCheck: {command: test -e well, interval: 20ms, retries: 2, action: report}\n";
    start(&bed, file, &[]);
    let pid = bed.pid("a");
    bed.wait_view("a", |view| view["health"] == "unhealthy");
    let listed = bed.tsm(["list"]).ok().stdout;
    assert!(listed.contains("unhealthy"), "{listed}");
    bed.file("well", "");
    bed.wait_view("a", |view| view["health"] == "healthy");
    assert_eq!(
        (bed.pid("a"), bed.view("a")["restarts"].clone()),
        (pid, 0.into())
    );
    bed.wait_file("told", |text| {
        text.contains("\"unhealthy\"") && text.contains("\"healthy\"")
    });
}

#[test]
fn each_condition_holds_a_start_until_it_is_true() {
    let bed = Bed::new();
    bed.script(
        "db.sh",
        "#!/bin/sh\nuntil [ -e ready ]; do sleep 0.02; done\necho accepting\nexec sleep 100000\n",
    );
    bed.script(
        "job.sh",
        "#!/bin/sh\nuntil [ -e go ]; do sleep 0.02; done\n",
    );
    let file = "processes:\n\
        - {name: bare, script: sleep 100001, dependsOn: db}\n\
        - {name: started, script: sleep 100002, dependsOn: [{name: db, condition: started}]}\n\
        - {name: ready, script: sleep 100003, dependsOn: [{name: db, condition: ready}]}\n\
        - {name: healthy, script: sleep 100004, dependsOn: [{name: db, condition: healthy}]}\n\
        - {name: completed, script: sleep 100005, dependsOn: [{name: job, condition: completed}]}\n\
        - {name: composed, script: sleep 100006, dependsOn: [{name: job, condition: service_completed_successfully}]}\n\
        - name: db\n  script: ./db.sh\n  ready: {log: accepting}\n\
        \x20 healthCheck: {command: test -e well, interval: 20ms, retries: 1, action: report}\n\
        - {name: job, script: ./job.sh, type: task}\n";
    bed.file("tspm.yaml", file);
    let begun = bed.begin(["start", "-c"]);
    let is = |names: &[&str], state: &str| {
        for name in names {
            bed.wait_state_of_new(name, state);
        }
    };
    is(&["db", "job", "bare", "started"], "running");
    is(&["ready", "healthy", "completed", "composed"], "waiting");
    let told = bed.tsm(["why", "healthy"]).ok().stdout;
    assert!(told.contains("waits for 'db' (healthy)"), "{told}");
    bed.file("ready", "");
    is(&["ready"], "running");
    wait_until("it was not well", || {
        bed.view("db")["health"] == "unhealthy"
    });
    is(&["healthy", "completed"], "waiting");
    bed.file("well", "");
    is(&["healthy"], "running");
    is(&["completed", "composed"], "waiting");
    bed.file("go", "");
    is(&["completed", "composed"], "running");
    assert_eq!(bed.state("job"), "done");
    begun.end().ok();
}

#[test]
fn https_is_asked_with_tls() {
    let bed = Bed::new();
    let script = "import http.server, os, ssl, subprocess\n\
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'key', '-out', 'cert',\n\
        \x20   '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'],\n\
        \x20   check=True, stderr=subprocess.DEVNULL)\n\
        s = http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler)\n\
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain('cert', 'key')\n\
        s.socket = c.wrap_socket(s.socket, server_side=True)\n\
        s.serve_forever()\n";
    bed.file("tls.py", script);
    let (open, strict) = (free_port(), free_port());
    // The second one gets a certificate of its own.
    std::fs::create_dir(bed.path("sub")).unwrap();
    let file = format!(
        "defaults: {{script: ./tls.py, healthCheck: {{protocol: https, interval: 50ms, retries: 1, action: report}}}}\nprocesses:\n\
         - {{name: open, port: {open}, ready: {{http: {{url: 'https://127.0.0.1:$PORT/', insecure: true}}}}, healthCheck: {{insecure: true}}}}\n\
         - {{name: strict, port: {strict}, cwd: sub, ready: port}}\n"
    );
    start(&bed, &file, &["--wait=60s"]);
    bed.wait_view("open", |view| view["health"] == "healthy");
    // A certificate that nobody vouches for is none.
    bed.wait_view("strict", |view| view["health"] == "unhealthy");
    let events = bed
        .wait_log_of_events("strict", "\"unhealthy\"")
        .to_lowercase();
    assert!(
        events.contains("certificate") || events.contains("issuer"),
        "{events}"
    );
}
