//! What `--json` prints is what `tsm schema` says: every document, with no key that is not described.

use serde_json::{Value, json};

use crate::bed::{Bed, free_port};
use crate::wait::wait_for;

/// The schema of a document, with nothing allowed that it does not name.
#[track_caller]
fn schema(bed: &Bed, document: &str) -> Value {
    let printed = bed.tsm(["schema", document]).ok().stdout;
    let mut schema: Value = serde_json::from_str(&printed).unwrap();
    close(&mut schema);
    schema
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.contains_key("properties") && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

#[track_caller]
fn check(bed: &Bed, document: &str, value: &Value) {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema(bed, document))
        .unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(
        wrong.is_empty(),
        "{document}: {}\n{value:#}",
        wrong.join("\n")
    );
}

/// Runs `tsm ARGS`, whatever its exit status, and checks what it prints.
#[track_caller]
fn prints(bed: &Bed, document: &str, args: &[&str]) -> Value {
    let output = bed.tsm(args);
    let Ok(value) = serde_json::from_str(&output.stdout) else {
        panic!("{args:?} prints no JSON: {output:?}");
    };
    check(bed, document, &value);
    value
}

#[test]
fn documents_of_what_runs_crashed_and_was_stopped() {
    let bed = Bed::new();
    let port = free_port().to_string();
    let server = ["--", "python3", "-m", "http.server", &port];
    let has_python = crate::programs::has("python3");
    if has_python {
        let start = ["start", "--json", "--name", "web", "--port", &port];
        prints(&bed, "outcomes", &[&start[..], &server].concat());
    }
    bed.script("crash.sh", "#!/bin/sh\necho out; echo err >&2; exit 3\n");
    let crashes = [
        "start",
        "./crash.sh",
        "--name",
        "crash",
        "--max-restarts",
        "1",
    ];
    bed.tsm(crashes).ok();
    let health = "--health=cmd:true";
    let care = ["--ready=cmd:true", health, "--pre-start=true", "--watch=."];
    let more = ["--schedule=@daily", "--notify=true", "--max-memory=1G"];
    let start = ["start", "--name", "full", "--nofile=512", "--env=TOKEN=abc"];
    let full = [&start[..], &care, &more, &["--", "sleep", "100000"]].concat();
    bed.tsm(full).ok();
    bed.wait_state("crash", "failed");
    prints(&bed, "outcomes", &["stop", "full", "--json"]);
    prints(&bed, "outcomes", &["start", "full", "--json"]);

    for list in [&["list", "--json"][..], &["list", "--json", "--fast"]] {
        let all = prints(&bed, "list", list);
        assert!(all.as_array().unwrap().len() >= 2);
    }
    for name in ["crash", "full", "all"] {
        prints(&bed, "info", &["info", name, "--json"]);
        prints(&bed, "why", &["why", name, "--json"]);
    }
    let exit = &prints(&bed, "info", &["info", "crash", "--json"])["exit"];
    assert_eq!(exit["code"], 3);
    prints(&bed, "history", &["history", "crash", "--json"]);
    prints(&bed, "log-files", &["logs", "--where", "--json"]);
    for line in bed.tsm(["logs", "crash", "--json"]).ok().stdout.lines() {
        check(&bed, "logs", &serde_json::from_str(line).unwrap());
    }
    let ports = prints(&bed, "ports", &["ports", "--json"]);
    assert_eq!(ports.as_array().unwrap().len(), usize::from(has_python));
    prints(&bed, "env-show", &["env", "show", "full", "--json"]);
    let differences = prints(
        &bed,
        "env-diff",
        &["env", "diff", "full", "crash", "--json"],
    );
    assert!(!differences.as_array().unwrap().is_empty());
    prints(&bed, "save", &["save", "--json"]);
    prints(
        &bed,
        "supervisor-status",
        &["supervisor", "status", "--json"],
    );
    // Written a moment after what it tells of.
    let status = wait_for("there is a status", || {
        std::fs::read_to_string(bed.home().join("status.json")).ok()
    });
    check(&bed, "status", &serde_json::from_str(&status).unwrap());

    let acts = [
        "restart", "reload", "rotate", "reopen", "flush", "reset", "stop", "kill",
    ];
    for act in acts {
        let outcomes = prints(&bed, act, &[act, "full", "--json"]);
        assert_eq!(outcomes.as_array().unwrap().len(), 1, "{act}");
    }
    prints(&bed, "outcomes", &["signal", "full", "HUP", "--json"]);
    prints(
        &bed,
        "resurrect-plan",
        &["resurrect", "--dry-run", "--json"],
    );
    prints(&bed, "outcomes", &["resurrect", "-d", "--json"]);
    prints(&bed, "outcomes", &["delete", "full", "-y", "--json"]);
    prints(&bed, "doctor", &["doctor", "--json"]);
    bed.tsm(["supervisor", "stop"]).ok();
    std::fs::write(bed.home().join("processes/crash.meta"), "script='x").unwrap();
    let found = prints(&bed, "doctor", &["doctor", "--json"]);
    assert_eq!(found["ok"], false, "{found}");
    prints(&bed, "doctor", &["doctor", "--fix", "--json"]);
    prints(
        &bed,
        "supervisor-status",
        &["supervisor", "status", "--json"],
    );
}

#[test]
fn documents_of_config_files_scaling_and_imports() {
    let bed = Bed::new();
    let file = "processes:\n  - {name: db, script: sleep 100000}\n  - {name: api, script: sleep 100000, instances: 2, \
                dependsOn: [db]}\n";
    bed.file("tspm.yaml", file);
    prints(&bed, "config-check", &["config", "check", "--json"]);
    prints(&bed, "apply-plan", &["start", "-c", "--dry-run", "--json"]);
    prints(&bed, "apply", &["start", "-c", "--json"]);
    prints(&bed, "apply", &["start", "-c", "--json"]);
    bed.file("tspm.yaml", file.replace("api,", "api, port: 4000+,"));
    let plan = prints(&bed, "apply-plan", &["start", "-c", "--dry-run", "--json"]);
    assert_eq!(plan[1]["step"], "restart", "{plan}");
    prints(&bed, "scale", &["scale", "api", "3", "--json"]);
    prints(&bed, "outcomes", &["restart", "api", "--json"]);
    bed.file("Procfile", "web: sleep 100000\n");
    let import = ["import", "Procfile", "--dry-run", "--json"];
    prints(&bed, "resurrect-plan", &import);
    prints(&bed, "outcomes", &["import", "Procfile", "--json"]);
    let start = [
        "start", "--name", "many", "-i", "2", "--json", "--", "sleep", "100000",
    ];
    prints(&bed, "scale", &start);
}

#[test]
fn what_there_is_no_schema_of_is_answered_with_the_nearest() {
    let bed = Bed::new();
    let listed = bed.tsm(["schema"]).ok().stdout;
    assert!(listed.lines().count() > 15, "{listed}");
    let wrong = bed.tsm(["schema", "hstory"]).exits(2);
    assert!(
        wrong.message().contains("did you mean 'history'?"),
        "{wrong:?}"
    );
}
