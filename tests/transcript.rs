//! The words that are fixed: scripts and people match them.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

use snapbox::{Assert, Redactions, str};

use crate::bed::Bed;

#[test]
fn start_and_info_say_the_fixed_words() {
    let bed = Bed::new();
    bed.script("entrypoints/devpages.sh", "#!/bin/sh\nexec sleep 100000\n");
    // In the transcript, 59 processes came before.
    fs::DirBuilder::new()
        .mode(0o700)
        .create(bed.home())
        .unwrap();
    let mut next_id = fs::OpenOptions::new();
    next_id.write(true).create(true).mode(0o600);
    std::io::Write::write_all(
        &mut next_id.open(bed.home().join("next_id")).unwrap(),
        b"60\n",
    )
    .unwrap();

    let started = bed
        .tsm([
            "start",
            "entrypoints/devpages.sh",
            "--name",
            "devpages-dev",
            "--port",
            "4971",
        ])
        .ok();
    let view = bed.view("devpages-dev");
    let mut redactions = Redactions::new();
    let time = view["started_at"].as_str().unwrap();
    let time = time[..19].replace('T', " ");
    for (name, value) in [
        ("[PID]", view["pid"].to_string()),
        ("[DATE]", time),
        ("[CWD]", bed.work().display().to_string()),
    ] {
        redactions.insert(name, value).unwrap();
    }
    let assert = Assert::new().redact_with(redactions);
    assert.eq(
        started.stdout,
        str![[r"
Starting process: devpages-dev
Process started with PID: [PID], TSM ID: 60

"]],
    );
    assert_eq!(started.stderr, "");
    let told = bed.tsm(["info", "devpages-dev"]).ok();
    assert.eq(
        told.stdout,
        str![[r"
Process: devpages-dev (ID: 60)
Status: ✓ Running (PID: [PID])
Script: entrypoints/devpages.sh
Port: 4971
Started: [DATE]
Working Dir: [CWD]
...
"]],
    );
    assert_eq!(told.stderr, "");
}

#[test]
fn list_json_has_the_promised_fields() {
    let bed = Bed::new();
    bed.tsm([
        "start", "--name", "a", "--port", "4971", "--", "sleep", "100000",
    ])
    .ok();
    let view = bed.view("a");
    assert_eq!(view["id"], 1);
    assert_eq!(view["name"], "a");
    assert_eq!(view["namespace"], "default");
    assert_eq!(view["state"], "running");
    assert_eq!(view["port"], 4971);
    assert_eq!(view["restarts"], 0);
    assert_eq!(view["exit"], serde_json::Value::Null);
    assert_eq!(view["script"], "sleep");
    assert_eq!(view["args"], serde_json::json!(["100000"]));
    assert_eq!(view["cwd"], bed.work().to_str().unwrap());
    assert_eq!(view["type"], "cli");
    assert!(view["pid"].is_u64() && view["uptime_ms"].is_u64());
    // `--fast` leaves these out; in full they are numbers.
    assert!(view["memory_bytes"].is_null() && view["cpu_percent"].is_null());
    let full = bed.info("a");
    assert!(full["memory_bytes"].as_u64().unwrap() > 0, "{full}");
    assert!(full["cpu_percent"].is_number());

    bed.tsm(["stop", "a"]).ok();
    let view = bed.view("a");
    assert!(view["pid"].is_null() && view["uptime_ms"].is_null());
    assert_eq!(view["exit"]["signal"], "SIGTERM");
    assert!(view["exit"]["code"].is_null());
    assert!(view["exit"]["at"].as_str().unwrap().contains('T'));
    assert!(!view["exit"]["reason"].as_str().unwrap().is_empty());
}

#[test]
fn a_table_is_as_wide_as_the_screen() {
    let bed = Bed::new();
    let long = "a-process-with-a-name-that-is-rather-long-for-a-table-of-eighty-columns-and-more";
    for name in ["api", long] {
        bed.start_idle(name);
    }
    for width in ["60", "80", "200"] {
        let mut command = bed.tsm_command(["list"]);
        command.env("COLUMNS", width);
        let table = crate::bed::run(command).ok().stdout;
        let width: usize = width.parse().unwrap();
        assert!(
            table.lines().all(|line| line.chars().count() <= width),
            "wider than {width}:\n{table}"
        );
        assert!(
            table.contains("api") && table.contains("running"),
            "{table}"
        );
        assert!(!table.contains('\x1b'), "colours without a terminal");
    }
}
