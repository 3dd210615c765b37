//! Files as the other managers write them.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::env::Environment;
use crate::spec::RestartPolicy;

/// A directory with a script and one of these files in it, whose DIR is that directory.
struct Bed(tempfile::TempDir);

impl Bed {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("server.sh"), "#!/bin/sh\n").unwrap();
        fs::write(directory.path().join(".env"), "A=file\nB=\"two words\"\n").unwrap();
        Self(directory)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        let directory = self.0.path().to_str().unwrap();
        fs::write(&path, text.replace("DIR", directory)).unwrap();
        path
    }

    fn import(&self, name: &str, text: &str) -> Imported {
        read(&self.write(name, text), &shell()).unwrap().unwrap()
    }

    fn refused(&self, name: &str, text: &str) -> String {
        read(&self.write(name, text), &shell())
            .unwrap_err()
            .to_string()
    }
}

fn shell() -> Snapshot {
    let mut environment = Environment::new();
    environment.set(b"PATH", b"/usr/bin:/bin").unwrap();
    environment.set(b"SHELL_ONLY", b"1").unwrap();
    environment.into()
}

/// The words that a process is executed with, and those of its variables that are looked for.
fn seen(imported: &Imported, at: usize, variables: &[&str]) -> (String, Vec<Option<String>>) {
    let saved = &imported.dump.processes[at];
    let words: Vec<String> = saved
        .spec
        .program
        .words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let environment = saved.snapshot().unwrap().environment;
    let value = |name: &&str| {
        let value = environment.get(name.as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    (words.join("|"), variables.iter().map(value).collect())
}

fn some(words: &[&str]) -> Vec<Option<String>> {
    words.iter().map(|word| Some((*word).to_owned())).collect()
}

#[test]
fn tspms_dump_by_name() {
    let bed = Bed::new();
    let imported = bed.import("dump.json", include_str!("golden/tspm-map.json"));
    assert_eq!(imported.source, Source::Tspm);
    assert_eq!(imported.left_out, Vec::<String>::new());
    let directory = bed.0.path().display();
    let (words, variables) = seen(&imported, 0, &["NODE_ENV", "PORT", "SHELL_ONLY"]);
    assert_eq!(
        words,
        format!("sh|{directory}/server.sh|--verbose|two words")
    );
    assert_eq!(variables, some(&["production", "4001", "1"]));
    let api = &imported.dump.processes[0];
    assert!(api.up && api.id == 0);
    assert_eq!(api.spec.namespace, "shop");
    assert_eq!(
        (api.spec.restart, api.spec.max_restarts),
        (RestartPolicy::Always, Some(5))
    );
    assert_eq!(
        (api.spec.stop_timeout_ms, api.spec.limits.memory),
        (3000, Some(100 << 20))
    );
    assert_eq!(
        imported.notes,
        ["'api': not carried over: healthCheck, watch"]
    );
    let names: Vec<&str> = imported
        .dump
        .processes
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(names, ["api", "worker@0", "worker@1"]);
    let (words, variables) = seen(&imported, 2, &["NODE_APP_INSTANCE"]);
    assert_eq!((words.as_str(), variables), ("sleep|100000", some(&["1"])));
    assert!(!imported.dump.processes[2].up);
}

#[test]
fn tspms_dump_as_a_list_of_either_kind() {
    let bed = Bed::new();
    let imported = bed.import("dump.json", include_str!("golden/tspm-list.json"));
    let (_, variables) = seen(&imported, 0, &["A", "B"]);
    assert_eq!(variables, some(&["config", "two words"]));
    assert_eq!(imported.left_out.len(), 1);
    assert!(
        imported.left_out[0].starts_with("'gone' is left out: "),
        "{:?}",
        imported.left_out
    );
    let imported = bed.import("dump.json", include_str!("golden/tspm-rust.json"));
    let api = &imported.dump.processes[0];
    assert_eq!(
        (api.spec.max_restarts, api.spec.stop_timeout_ms),
        (Some(7), 1500)
    );
    assert_eq!(imported.notes, ["'api': not carried over: restart_delay"]);
}

#[test]
fn pm2s_dump() {
    let bed = Bed::new();
    let imported = bed.import("dump.pm2", include_str!("golden/dump.pm2"));
    assert_eq!(imported.source, Source::Pm2);
    let directory = bed.0.path().display();
    let variables = [
        "NODE_ENV",
        "PORT",
        "SHELL_ONLY",
        "PM2_HOME",
        "unique_id",
        "web",
    ];
    let (words, variables) = seen(&imported, 0, &variables);
    assert_eq!(words, format!("sh|-e|{directory}/server.sh|one|two words"));
    // The whole environment stands there: nothing is added.
    assert_eq!(variables[..2], some(&["production", "4001"]));
    assert_eq!(variables[2..], [None, None, None, None]);
    let web = &imported.dump.processes[0];
    assert_eq!(
        (web.spec.max_restarts, web.spec.stop_timeout_ms),
        (None, 5000)
    );
    assert_eq!(web.spec.limits.memory, Some(300 << 20));
    let (words, variables) = seen(&imported, 1, &["ONLY", "SHELL_ONLY"]);
    assert_eq!(
        (words.as_str(), variables),
        ("/bin/sleep|100000", some(&["this", "1"]))
    );
    let batch = &imported.dump.processes[1];
    assert_eq!((batch.name.as_str(), batch.up), ("batch-job", false));
    assert_eq!(batch.spec.restart, RestartPolicy::No);
    assert_eq!(
        imported.notes,
        [
            "'web': not carried over: cron_restart; it was a cluster of several workers; one process takes their place",
            "'batch-job': it was called 'batch job'",
        ]
    );
}

#[test]
fn a_procfile() {
    let bed = Bed::new();
    let imported = bed.import("Procfile", include_str!("golden/Procfile"));
    assert_eq!(imported.source, Source::Procfile);
    let names: Vec<&str> = imported
        .dump
        .processes
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(names, ["web", "worker", "clock"]);
    let web = &imported.dump.processes[0];
    assert_eq!(
        (web.spec.port, imported.dump.processes[1].spec.port),
        (Some(5000), None)
    );
    let (words, variables) = seen(&imported, 2, &["A", "SHELL_ONLY"]);
    assert_eq!(words, "/bin/sh|-c|echo \"$A: tick\" && exec sleep 100000");
    assert_eq!(variables, some(&["file", "1"]));
}

#[test]
fn what_is_no_list_is_refused_and_a_dump_of_our_own_is_none_of_these() {
    let bed = Bed::new();
    let own = String::from_utf8(Dump::empty().unwrap().to_json()).unwrap();
    for text in [
        own.as_str(),
        r#"{"saved_at":"x","version":9,"processes":[]}"#,
    ] {
        assert_eq!(
            read(&bed.write("dump.json", text), &shell()).unwrap(),
            None,
            "{text}"
        );
    }
    assert_eq!(read(&bed.0.path().join("none"), &shell()).unwrap(), None);
    for (name, text, told) in [
        ("torn.json", "{\"api\": {\"config\"", "it is torn ("),
        (
            "list.json",
            "[{\"name\":\"x\"}]",
            "its entry 0 has no pm_exec_path",
        ),
        ("list.json", "[1]", "its entry 0 is no object"),
        (
            "map.json",
            "{\"api\":{\"pid\":1}}",
            "its entry 'api' has no config",
        ),
        (
            "list.json",
            "{\"processes\":[2]}",
            "entry 0 of its processes is no object",
        ),
        (
            "Procfile",
            "web: run\njust words\n",
            "line 2 is none of a Procfile",
        ),
        ("Procfile", "\u{0}\u{1}", "line 1 is none of a Procfile"),
        ("Procfile", "# nothing\n", "it lists no process"),
        ("dump.json", "", "it is torn (it is empty)"),
    ] {
        let refused = bed.refused(name, text);
        assert!(refused.contains(told), "{text}: {refused}");
    }
}

proptest::proptest! {
    /// Whatever stands in a file, it is read or refused.
    #[test]
    fn nothing_makes_it_panic(text in "[\\[{\"a-z:0-9,}\\] \\n]{0,80}") {
        let bed = Bed::new();
        drop(read(&bed.write("any", &text), &shell()));
    }
}
