//! The keys of config files, each by what it does to a service that really runs.

use serde_json::Value;

use crate::bed::{Bed, free_port, is_root};
use crate::wait::{wait_for, wait_until};

/// A web server on PORT: `/` always answers well, `/well` where the file `well-NUMBER` is there.
const SERVER: &str = "import http.server, os\n\
    class H(http.server.BaseHTTPRequestHandler):\n\
    \x20   def do_GET(self):\n\
    \x20       well = self.path == '/' or os.path.exists('well-' + os.environ.get('NODE_APP_INSTANCE', '0'))\n\
    \x20       self.send_response(200 if well else 503); self.end_headers()\n\
    \x20   def log_message(self, *a): pass\n\
    http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n";

/// Starts what a file declares, and returns what was said.
#[track_caller]
fn start(bed: &Bed, file: &str, more: &[&str]) -> String {
    bed.file("tspm.yaml", file);
    bed.tsm(["start", "-c"].iter().chain(more)).ok().stdout
}

fn port(bed: &Bed, name: &str) -> u64 {
    bed.view(name)["port"].as_u64().unwrap()
}

#[test]
fn port_auto_finds_one_that_nobody_has_and_keeps_it() {
    let bed = Bed::new();
    bed.file("server.py", SERVER);
    let file = "processes:\n\
        - {name: a, script: ./server.py, port: auto, ready: {http: /}}\n\
        - {name: b, script: ./server.py, port: auto, instances: 2, ready: port, healthCheck: {protocol: tcp, interval: 50ms}}\n";
    let told = start(&bed, file, &["--wait=60s"]);
    assert_eq!(told, "a    started\nb@0  started\nb@1  started\n");
    let ports = ["a", "b@0", "b@1"].map(|name| port(&bed, name));
    assert!(
        ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2],
        "{ports:?}"
    );
    bed.wait_view("b@1", |view| view["health"] == "healthy");
    // Twice is once, and what was stopped gets the one that it had.
    let pid = bed.pid("a");
    assert!(
        start(&bed, file, &[])
            .lines()
            .all(|line| line.ends_with("unchanged"))
    );
    assert_eq!(bed.pid("a"), pid);
    bed.tsm(["stop", "a"]).ok();
    start(&bed, file, &["--wait=60s"]);
    assert_eq!(port(&bed, "a"), ports[0]);
    let told = bed.tsm(["info", "a"]).ok().stdout;
    assert!(
        told.contains(&format!("http://127.0.0.1:{}/", ports[0])),
        "{told}"
    );
    // Where somebody else took that meanwhile, it gets another one.
    bed.tsm(["stop", "a"]).ok();
    let taken = std::net::TcpListener::bind(("127.0.0.1", ports[0] as u16)).unwrap();
    start(&bed, file, &["--wait=60s"]);
    assert_ne!(port(&bed, "a"), ports[0]);
    drop(taken);
    // What had none gets one.
    start(&bed, "processes: [{name: c, script: sleep 100000}]", &[]);
    let file = "processes: [{name: c, script: sleep 100000, port: auto}]";
    assert_eq!(start(&bed, file, &[]), "c  restarted (port)\n");
    assert!(port(&bed, "c") >= 20_000);
    assert_eq!(start(&bed, file, &[]), "c  unchanged\n");
    bed.tsm(["scale", "b", "3", "--wait=60s"]).ok();
    assert!(!ports.contains(&port(&bed, "b@2")));
}

#[test]
fn each_instance_is_asked_at_its_own_port() {
    let bed = Bed::new();
    bed.file("server.py", SERVER);
    bed.file("well-0", "");
    let first = wait_for("two free ports", || {
        let (one, next) = (free_port(), free_port());
        (next == one + 1).then_some(one)
    });
    let file = format!(
        "processes:\n- name: api\n  script: ./server.py\n  instances: 2\n  port: {first}+\n  ready: {{http: /well}}\n\
         \x20 healthCheck: {{path: /well, interval: 50ms, retries: 1, action: report}}\n"
    );
    start(&bed, &file, &[]);
    bed.wait_view("api@0", |view| {
        view["ready"] == true && view["health"] == "healthy"
    });
    assert_eq!(bed.view("api@1")["ready"], false);
    bed.file("well-1", "");
    bed.wait_view("api@1", |view| {
        view["ready"] == true && view["health"] == "healthy"
    });
    std::fs::remove_file(bed.path("well-1")).unwrap();
    bed.wait_view("api@1", |view| view["health"] == "unhealthy");
    assert_eq!(bed.view("api@0")["health"], "healthy");
}

#[test]
fn what_a_process_is_given_is_in_the_process() {
    let bed = Bed::new();
    bed.file("one.env", "A=one\nB=one\n");
    bed.file("two.env", "B=two\n");
    std::fs::create_dir(bed.path("sub")).unwrap();
    bed.script(
        "say.sh",
        "#!/bin/sh\necho \"$A $B $C ${PWD##*/} $1 $2 $WORKER\"; ulimit -n; exec sleep 100000\n",
    );
    let file = "namespace: shop\nprocesses:\n- name: a\n  script: ./say.sh\n  args: x 'y z'\n  cwd: sub\n  envFile: [one.env, two.env]\n\
        \x20 env: {C: 3}\n  nice: 7\n  limits: {nofile: 321, oomScoreAdj: 600}\n  instances: 1\n  instanceVar: WORKER\n";
    start(&bed, file, &[]);
    assert_eq!(
        bed.wait_log("a@0.out", "321\n"),
        "one two 3 sub x y z 0\n321\n"
    );
    let pid = bed.pid("a@0");
    let proc = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let stat = proc("stat");
    // proc_pid_stat(5): the nice value is the 17th field behind the name.
    let nice = stat.rsplit(')').next().unwrap().split_whitespace().nth(16);
    assert_eq!(nice, Some("7"), "{stat}");
    assert_eq!(proc("oom_score_adj").trim(), "600");
    assert_eq!(bed.view("a@0")["namespace"], "shop");
    // Who runs it is root's to say.
    let file =
        "processes: [{name: u, script: sh -c 'id -un; exec sleep 100000', cwd: /, user: nobody}]";
    bed.file("tspm.yaml", file);
    if is_root() {
        bed.open_to_others();
        bed.tsm(["start", "-c"]).ok();
        assert_eq!(bed.wait_log("u.out", "\n"), "nobody\n");
    } else {
        let refused = bed.tsm(["start", "-c"]).exits(2);
        assert!(
            refused.stderr.contains("tspm.yaml:1:13: 'u': "),
            "{}",
            refused.stderr
        );
    }
}

#[test]
fn how_it_ends_and_comes_back_is_as_declared() {
    let bed = Bed::new();
    bed.script("polite.sh", "#!/bin/sh\ntrap 'echo asked by INT; exit 0' INT\ntrap '' TERM\necho up\nwhile :; do sleep 0.02; done\n");
    bed.script(
        "deaf.sh",
        "#!/bin/sh\ntrap '' TERM\necho up\nwhile :; do sleep 0.02; done\n",
    );
    let file = "processes:\n- {name: polite, script: ./polite.sh, stopSignal: INT, killTimeout: 1h}\n\
        - {name: deaf, script: ./deaf.sh, killTimeout: 100}\n\
        - {name: slow, script: sleep 100000, restartDelay: 1h}\n\
        - {name: once, script: sleep 100001, autorestart: false}\n\
        - {name: thrice, script: ./fail.sh, maxRestarts: 2, minRestartDelay: 1, minUptime: 1h}\n\
        - {name: young, script: ./fail.sh, maxRestarts: 1, minRestartDelay: 1, minUptime: 0}\n";
    bed.script("fail.sh", "#!/bin/sh\necho run\nexit 1\n");
    start(&bed, file, &[]);
    bed.wait_log("polite.out", "up");
    bed.wait_log("deaf.out", "up");
    bed.tsm(["stop", "polite", "deaf"]).ok();
    bed.wait_log("polite.out", "asked by INT");
    assert_eq!(bed.view("deaf")["exit"]["signal"], "SIGKILL");
    // So long before the first restart, too.
    bed.crash("slow");
    let view = bed.wait_state("slow", "backoff");
    assert_eq!(view["slow_lane"], false, "{view}");
    bed.crash("once");
    bed.wait_state("once", "failed");
    bed.wait_state("thrice", "failed");
    assert_eq!(bed.wait_log("thrice.out", "run"), "run\nrun\nrun\n");
    // One that was up for long enough never has too many in a row.
    wait_until("it comes back again and again", || {
        bed.view("young")["restarts"].as_u64() >= Some(3)
    });
}

#[test]
fn logs_go_where_they_are_declared_to() {
    let bed = Bed::new();
    bed.script("say.sh", "#!/bin/sh\necho out $NODE_APP_INSTANCE; echo err $NODE_APP_INSTANCE >&2; exec sleep 100000\n");
    std::fs::create_dir(bed.path("var")).unwrap();
    let file = "logDir: var\nprocesses:\n- {name: a, script: ./say.sh}\n\
        - {name: b, script: ./say.sh, outFile: var/b.log, errFile: var/b-err.log}\n\
        - {name: c, script: ./say.sh, combineLogs: true}\n\
        - {name: d, script: ./say.sh, instances: 2, stdout: var/d.log, stderr: 'null'}\n\
        - {name: e, script: ./say.sh, instances: 2, mergeLogs: true, combineLogs: true}\n";
    start(&bed, file, &[]);
    let log = |name: &str, lines: usize| {
        let text = bed.wait_file(&format!("var/{name}"), |text| text.lines().count() >= lines);
        let mut lines: Vec<&str> = text.lines().map(str::trim).collect();
        lines.sort_unstable();
        lines.join(" ")
    };
    assert_eq!(
        (log("a.out", 1), log("a.err", 1)),
        ("out".into(), "err".into())
    );
    assert_eq!(
        (log("b.log", 1), log("b-err.log", 1)),
        ("out".into(), "err".into())
    );
    assert_eq!(log("c.out", 2), "err out");
    assert_eq!(
        (log("d@0.log", 1), log("d@1.log", 1)),
        ("out 0".into(), "out 1".into())
    );
    assert_eq!(log("e.out", 4), "err 0 err 1 out 0 out 1");
    // Further ones have files of their own, too.
    bed.tsm(["scale", "d", "3"]).ok();
    assert_eq!(log("d@2.log", 1), "out 2");
    // `tsm logs` knows them all.
    let told = bed.tsm(["logs", "d"]).ok().stdout;
    let mut lines: Vec<&str> = told.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["d@0 | out 0", "d@1 | out 1", "d@2 | out 2"],
        "{told}"
    );
}

#[test]
fn hooks_watch_and_schedule_are_as_declared() {
    let bed = Bed::new();
    bed.file("conf/a.yml", "");
    bed.script(
        "a.sh",
        "#!/bin/sh\ntrap 'echo reloaded' HUP\necho up\nwhile :; do sleep 0.05; done\n",
    );
    let file = "processes:\n\
        - {name: hangs, script: sleep 100000, preStart: sleep 100000, hookTimeout: 200ms}\n\
        - {name: words, script: sleep 100001, preStart: [sh, -c, 'echo \"$0 $1\"', 'one word', '$HOME']}\n\
        - {name: reads, script: ./a.sh, watch: conf, watchDelay: 50ms, watchSignal: HUP, ignoreWatch: '*.bak'}\n\
        - {name: night, script: sleep 100002, schedule: UTC 0 3 29 2 *}\n\
        - {name: day, script: sleep 100003, schedule: {cron: '@daily', zone: utc}}\n";
    bed.file("tspm.yaml", file);
    let failed = bed.tsm(["start", "-c"]).exits(1);
    assert_eq!(
        failed.stderr,
        "tsm: cannot start 'hangs': its preStart hook failed: it took longer than 0.2 s and was killed\n"
    );
    // The words of a list are one command, and no shell looks at them.
    assert_eq!(bed.wait_log("words.out", "\n"), "one word $HOME\n");
    bed.wait_log("reads.out", "up");
    let pid = bed.pid("reads");
    // Until the watching has begun, changes are not seen.
    wait_until("it is told of a change", || {
        bed.file("conf/a.yml", "changed");
        let log = bed.tsm(["logs", "reads"]).ok().stdout;
        log.contains("reloaded")
    });
    assert_eq!(bed.pid("reads"), pid);
    for (name, words) in [
        ("night", "Schedule: 0 3 29 2 * (UTC), next "),
        ("day", "Schedule: @daily (UTC), next "),
    ] {
        let told = bed.tsm(["info", name]).ok().stdout;
        assert!(told.contains(words), "{told}");
    }
    let next: Value = bed.view("night")["next_run_at"].clone();
    assert!(
        next.as_str().unwrap().ends_with("-02-29T03:00:00.000Z"),
        "{next}"
    );
}

#[test]
fn logs_are_shown_as_declared_and_kept_as_written() {
    let bed = Bed::new();
    let file = "processes:\n- {name: a, script: sh -c 'echo one; exec sleep 100000', logType: json}\n\
        - {name: b, script: sh -c 'echo two; exec sleep 100001', logDateFormat: '[at] YYYY'}\n";
    start(&bed, file, &[]);
    assert_eq!(bed.wait_log("a.out", "one\n"), "one\n");
    bed.wait_log("b.out", "two\n");
    let told = bed.tsm(["logs", "a"]).ok().stdout;
    let line: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&line["name"], &line["line"], &line["stream"]),
        (&"a".into(), &"one".into(), &"out".into())
    );
    let told = bed.tsm(["logs", "b"]).ok().stdout;
    let year = told
        .strip_prefix("[at ")
        .and_then(|rest| rest.strip_suffix("] two\n"));
    assert!(
        year.is_some_and(|year| year.len() == 4 && year.starts_with("20")),
        "{told}"
    );
}

#[test]
fn shared_parts_profiles_and_variables_come_together() {
    let bed = Bed::new();
    let jsonc = "{\n  \"$schema\": \"./tspm.schema.json\",\n  // comments, and commas at the end\n  \"defaults\": {\"env\": {\"WHO\": \"all\", \"ZONE\": \"${ZONE:-here}\", \"HOME_OF\": \"${HOME}\"}},\n\
        \x20 \"profiles\": {\"production\": {\"namespace\": \"prod\"}},\n  \"processes\": [\n\
        \x20   {\"name\": \"base\", \"script\": \"sleep 100000\", \"env\": {\"WHO\": \"base\", \"PRICE\": \"5$$\"}, \"env_production\": {\"WHO\": \"live\"},},\n\
        \x20   {\"name\": \"more\", \"extends\": \"base\", \"env\": {\"MORE\": 1}, /* its own */},\n  ],\n}\n";
    bed.file("tspm.jsonc", jsonc);
    let told = |name: &str| {
        let told = bed
            .tsm(["env", "show", name, "--format", "json"])
            .ok()
            .stdout;
        let told: Value = serde_json::from_str(&told).unwrap();
        ["WHO", "ZONE", "PRICE", "MORE"].map(|name| told[name].as_str().unwrap_or("-").to_owned())
    };
    bed.tsm(["start", "-c", "tspm.jsonc"]).ok();
    assert_eq!(told("base"), ["base", "here", "5$", "-"]);
    assert_eq!(told("more"), ["base", "here", "5$", "1"]);
    let mut command = bed.tsm_command(["start", "-c", "tspm.jsonc", "--profile", "production"]);
    command.env("ZONE", "there");
    let told_changes = crate::bed::run(command).ok().stdout;
    assert!(
        told_changes.contains("base  restarted (namespace, env.WHO, env.ZONE)"),
        "{told_changes}"
    );
    assert_eq!(told("more"), ["live", "there", "5$", "1"]);
    assert_eq!(bed.view("base")["namespace"], "prod");
    let refused = bed
        .tsm(["start", "-c", "tspm.jsonc", "--profile", "prodution"])
        .exits(2);
    assert!(
        refused
            .stderr
            .contains("there is no profile 'prodution', only production"),
        "{}",
        refused.stderr
    );
    // The same shared in the language of YAML.
    bed.file(
        "tspm.yaml",
        "x-shared: &shared {script: sleep 100001, env: {A: 1}}\nprocesses:\n- &one {<<: *shared, name: one}\n- {<<: *one, name: two}\n",
    );
    let told = bed.tsm(["start", "-c", "tspm.yaml"]).ok().stdout;
    assert_eq!(told, "one  started\ntwo  started\n");
}
