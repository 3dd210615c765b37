//! How processes are named, and the words of other managers.

use crate::bed::Bed;

fn running(bed: &Bed) -> Vec<String> {
    let views = bed.list();
    views
        .iter()
        .filter(|view| view["state"] == "running")
        .map(|view| view["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_name_is_never_a_part_of_another() {
    let bed = Bed::new();
    for name in ["api-old", "api", "myapi", "api@0", "api@1", "api@x"] {
        bed.start_idle(name);
    }
    bed.tsm(["stop", "api"]).ok();
    assert_eq!(running(&bed), ["api-old", "myapi", "api@x"]);
    bed.tsm(["stop", "ap"]).exits(3);
    bed.tsm(["stop", "pi-old"]).exits(3);
    assert_eq!(running(&bed), ["api-old", "myapi", "api@x"]);
}

#[test]
fn ids_globs_namespaces_and_all() {
    let bed = Bed::new();
    for (name, namespace) in [
        ("web-a", "shop"),
        ("web-b", "shop"),
        ("db", "shop"),
        ("cron", "ops"),
    ] {
        bed.tsm(["start", "--name", name, "--namespace", namespace])
            .exits(2);
        bed.tsm([
            "start",
            "--name",
            name,
            "--namespace",
            namespace,
            "sleep",
            "100000",
        ])
        .ok();
    }
    let id = bed.view("db")["id"].to_string();
    bed.tsm(["stop", &id]).ok();
    assert_eq!(running(&bed), ["web-a", "web-b", "cron"]);
    bed.tsm(["stop", "web-*"]).ok();
    assert_eq!(running(&bed), ["cron"]);
    bed.tsm(["start", "web-?", &id]).ok();
    assert_eq!(running(&bed), ["web-a", "web-b", "db", "cron"]);
    bed.tsm(["stop", "@shop"]).ok();
    assert_eq!(running(&bed), ["cron"]);
    bed.tsm(["start", "@shop"]).ok();
    assert_eq!(running(&bed), ["web-a", "web-b", "db", "cron"]);
    bed.tsm(["stop", "all"]).ok();
    assert_eq!(running(&bed), [""; 0]);
    for all in ["--all", "-a", "*"] {
        bed.tsm(["restart", all]).ok();
        assert_eq!(running(&bed).len(), 4, "{all}");
        bed.tsm(["stop", all]).ok();
        assert_eq!(running(&bed), [""; 0], "{all}");
    }
    // Named twice is meant once.
    let stopped = bed.tsm(["delete", "web-*", "web-a", "@shop"]).ok();
    assert_eq!(stopped.stdout.lines().count(), 3, "{}", stopped.stdout);
    assert_eq!(bed.names(), ["cron"]);
    bed.tsm(["delete", "all"]).ok();
    bed.tsm(["stop", "all"]).ok();
    assert_eq!(bed.process_files(), [""; 0]);
}

#[test]
fn list_and_info_show_what_is_selected() {
    let bed = Bed::new();
    for name in ["web-a", "web-b", "db"] {
        bed.start_idle(name);
    }
    let listed = bed.tsm(["list", "--json", "web-*"]).ok();
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let told = bed.tsm(["info", "--json", "web-a", "db"]).ok();
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told[0]["name"], "web-a");
    assert_eq!(told[1]["name"], "db");
    let told = bed.tsm(["info", "web-a", "db"]).ok().stdout;
    assert!(told.starts_with("Process: web-a (ID: 1)\n"), "{told}");
    assert!(told.contains("\nProcess: db (ID: 3)\n"), "{told}");
}

#[test]
fn words_of_other_managers_work() {
    let bed = Bed::new();
    bed.tsm(["start", "-n", "api", "sleep", "100000"]).ok();
    bed.tsm(["start", "sleep", "200000", "-n", "worker"]).ok();
    assert_eq!(bed.names(), ["api", "worker"]);
    let json = bed.tsm(["list", "--json", "--fast"]).ok().stdout;
    for word in ["ls", "ps"] {
        let other = bed.tsm([word, "--json", "--fast"]).ok().stdout;
        let names = |text: &str| {
            let views: serde_json::Value = serde_json::from_str(text).unwrap();
            views
                .as_array()
                .unwrap()
                .iter()
                .map(|v| v["name"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&other), names(&json), "{word}");
    }
    for word in ["info", "describe", "desc", "show"] {
        let told = bed.tsm([word, "api"]).ok().stdout;
        assert!(told.starts_with("Process: api (ID: 1)\n"), "{word}: {told}");
    }
    bed.tsm(["logs", "api", "--lines", "3"]).ok();
    bed.tsm(["logs", "api", "-n", "3"]).ok();
    bed.tsm(["kill", "api"]).ok();
    assert_eq!(bed.view("api")["exit"]["signal"], "SIGKILL");
    bed.tsm(["del", "api"]).ok();
    bed.tsm(["rm", "worker"]).ok();
    assert_eq!(bed.names(), [""; 0]);
}

#[test]
fn options_of_the_program_are_the_programs() {
    let bed = Bed::new();
    bed.script(
        "args.sh",
        "#!/bin/sh\nprintf '%s\\n' \"$@\"; exec sleep 100000\n",
    );
    bed.tsm([
        "start",
        "./args.sh",
        "-c",
        "x",
        "--name",
        "a",
        "--",
        "--name",
        "b c",
        "--port",
        "--",
    ])
    .ok();
    assert_eq!(
        bed.wait_log("a.out", "--\n"),
        "-c\nx\n--name\nb c\n--port\n--\n"
    );
    let args = serde_json::json!(["-c", "x", "--name", "b c", "--port", "--"]);
    assert_eq!(bed.view("a")["args"], args);
}

#[test]
fn who_types_a_known_program_and_its_arguments_is_told_how_to_start_another() {
    let bed = Bed::new();
    bed.tsm(["start", "sleep", "100000"]).ok();
    for words in [["sleep", "app.js"], ["sleep", "-m"]] {
        let told = bed.tsm([&["start"], &words[..]].concat());
        assert!(told.stderr.contains("tsm start -- sleep …"), "{told:?}");
    }
    bed.tsm(["start", "--", "sleep", "100001"]).ok();
    assert_eq!(running(&bed).len(), 2);
}
