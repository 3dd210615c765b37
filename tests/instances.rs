//! Several processes that run the same: their names, numbers and ports, how many there are, and restarts one by one.

use std::fs;

use serde_json::Value;

use crate::bed::Bed;
use crate::wait::wait_until;

/// A service that notes its number and port, and when it begins and ends.
const SERVICE: &str = "#!/bin/sh\n\
     trap 'echo \"$NODE_APP_INSTANCE$MY_NUMBER down\" >> order; kill $! 2>/dev/null; exit 0' TERM\n\
     echo \"$NODE_APP_INSTANCE$MY_NUMBER ${PORT:-none} up\" >> order\nsleep 100000 & wait\n";

fn order(bed: &Bed, lines: usize) -> Vec<String> {
    let read = || {
        let text = fs::read_to_string(bed.path("order")).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    wait_until("all that should have happened", || read().len() >= lines);
    read()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn ports(bed: &Bed) -> Vec<Value> {
    bed.list().iter().map(|view| view["port"].clone()).collect()
}

#[test]
fn a_file_declares_instances_with_numbers_and_ports_of_their_own() {
    let bed = Bed::new();
    bed.script("service.sh", SERVICE);
    bed.file(
        "tspm.yaml",
        "processes:\n- {name: api, script: ./service.sh, instances: 2, port: 17300+, instanceVar: MY_NUMBER}\n\
         - {name: web, script: sleep 100000, dependsOn: api}\n",
    );
    let told = bed.tsm(["start", "-c"]).ok().stdout;
    assert_eq!(told, "api@0  started\napi@1  started\nweb    started\n");
    assert_eq!(sorted(order(&bed, 2)), ["0 17300 up", "1 17301 up"]);
    assert_eq!(
        ports(&bed),
        [17300, 17301]
            .map(Value::from)
            .into_iter()
            .chain([Value::Null])
            .collect::<Vec<_>>()
    );
    assert!(
        bed.tsm(["start", "-c"])
            .ok()
            .stdout
            .lines()
            .all(|line| line.ends_with("unchanged"))
    );
    // A name means its instances.
    bed.tsm(["stop", "api"]).ok();
    assert_eq!(
        (bed.state("api@0"), bed.state("api@1")),
        ("stopped".into(), "stopped".into())
    );
    assert_eq!(bed.state("web"), "running");
    // More in the file are started, and fewer stopped where that is asked for.
    let file = fs::read_to_string(bed.path("tspm.yaml")).unwrap();
    bed.file("tspm.yaml", file.replace("instances: 2", "instances: 1"));
    let told = bed.tsm(["start", "-c", "--prune"]).ok().stdout;
    assert_eq!(told, "api@0  started\nweb    unchanged\n");
    bed.file("tspm.yaml", file.replace("17300+", "17300"));
    let told = bed.tsm(["config", "check"]).exits(2).stderr;
    assert!(told.contains("write 17300+"), "{told}");
}

#[test]
fn scale_makes_and_ends_instances() {
    let bed = Bed::new();
    bed.script("service.sh", SERVICE);
    let mut command = bed.tsm_command([
        "start",
        "./service.sh",
        "--name",
        "api",
        "--port",
        "17310",
        "--instances",
        "2",
    ]);
    command.env("WHO", "first");
    let told = crate::bed::run(command).ok().stdout;
    assert_eq!(told, "api@0  started\napi@1  started\n");
    assert_eq!(sorted(order(&bed, 2)), ["0 17310 up", "1 17311 up"]);
    let again = bed
        .tsm(["start", "./service.sh", "--name", "api", "--instances", "2"])
        .exits(4);
    assert!(again.stderr.contains("tsm scale api N"), "{}", again.stderr);

    let told = bed.tsm(["scale", "api", "4"]).ok().stdout;
    assert_eq!(told, "api@2  started\napi@3  started\n");
    assert_eq!(sorted(order(&bed, 4))[2..], ["2 17312 up", "3 17313 up"]);
    let shown = bed
        .tsm(["env", "show", "api@3", "--format", "json"])
        .ok()
        .stdout;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["WHO"], &shown["NODE_APP_INSTANCE"]),
        (&"first".into(), &"3".into())
    );

    let told = bed.tsm(["scale", "api", "-2"]).ok().stdout;
    assert!(
        told.starts_with("api@3  stopped") && told.contains("api@2  stopped"),
        "{told}"
    );
    assert_eq!(bed.names(), ["api@0", "api@1"]);
    assert!(bed.home().join("logs/api@3.out").exists());
    let told = bed.tsm(["scale", "api", "2"]).ok();
    assert!(
        told.stdout.is_empty() && told.stderr.contains("already"),
        "{}",
        told.stderr
    );
    bed.tsm(["scale", "api", "0"]).exits(2);
    bed.tsm(["scale", "nobody", "2"]).exits(3);
    bed.start_idle("one");
    let refused = bed.tsm(["scale", "one", "2"]).exits(2);
    assert!(
        refused.stderr.contains("has no instances"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_restart_goes_through_them_one_by_one_and_stops_where_one_fails() {
    let bed = Bed::new();
    bed.script("service.sh", SERVICE);
    bed.tsm(["start", "./service.sh", "--name", "api", "--instances", "3"])
        .ok();
    order(&bed, 3);
    fs::remove_file(bed.path("order")).unwrap();
    let told = bed.tsm(["restart", "api"]).ok().stdout;
    let names: Vec<&str> = told
        .lines()
        .map(|line| line.split(' ').nth(2).unwrap())
        .collect();
    assert_eq!(names, ["api@0", "api@1", "api@2"]);
    let lines = order(&bed, 6);
    let at = |line: &str| lines.iter().position(|other| other == line).unwrap();
    assert!(
        at("0 down") < at("1 down") && at("1 down") < at("2 down"),
        "{lines:?}"
    );
    let before: Vec<u32> = ["api@0", "api@1", "api@2"]
        .map(|name| bed.pid(name))
        .to_vec();
    // One that cannot come up again leaves the others as they are.
    fs::rename(bed.path("service.sh"), bed.path("away.sh")).unwrap();
    let told = bed.tsm(["restart", "api"]).exits(1);
    assert!(
        told.stderr.contains("goes on as it is: api@1, api@2"),
        "{}",
        told.stderr
    );
    assert_eq!([bed.pid("api@1"), bed.pid("api@2")], before[1..]);
    fs::rename(bed.path("away.sh"), bed.path("service.sh")).unwrap();
    let told = bed.tsm(["restart", "api", "--json"]).ok().stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told.as_array().unwrap().len(), 3);
}

#[test]
fn instances_that_a_file_changes_are_restarted_one_by_one_as_well() {
    let bed = Bed::new();
    let file = |more: &str| {
        let text = format!(
            "processes: [{{name: api, script: ./service.sh, instances: 3, ready: {{log: '^ready$'}}{more}}}]\n"
        );
        bed.file("tspm.yaml", text);
    };
    let ready = "#!/bin/sh\ntrap 'echo \"$NODE_APP_INSTANCE down\" >> order; exit 0' TERM\n\
         [ \"$BROKEN\" = $NODE_APP_INSTANCE ] && exit 3\n\
         sleep 0.1; echo \"$NODE_APP_INSTANCE up\" >> order; echo ready\nwhile :; do sleep 0.02; done\n";
    bed.script("service.sh", ready);
    file("");
    bed.tsm(["start", "-c", "--wait=60s"]).ok();
    fs::remove_file(bed.path("order")).unwrap();
    file(", env: {A: 1}");
    let told = bed.tsm(["start", "-c"]).ok().stdout;
    let line = |number: u32| format!("api@{number}  restarted (env.A)\n");
    assert_eq!(told, line(0) + &line(1) + &line(2));
    assert_eq!(
        order(&bed, 6),
        ["0 down", "0 up", "1 down", "1 up", "2 down", "2 up"]
    );
    // Where one does not come up, the others do the work as before.
    let last = bed.pid("api@2");
    file(", env: {A: 1, BROKEN: 1}");
    let told = bed.tsm(["start", "-c"]).exits(1);
    assert_eq!(told.stdout, "api@0  restarted (env.BROKEN)\n");
    let left = "'api@2' goes on as it is, because another instance did not come up";
    assert!(
        told.stderr.contains("'api@1' ended before it was ready") && told.stderr.contains(left),
        "{}",
        told.stderr
    );
    assert_eq!(bed.pid("api@2"), last);
    file("");
    bed.tsm(["start", "-c", "--wait=60s"]).ok();
}
