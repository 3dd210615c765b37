//! What is said of config files that are not good: each file of `tests/rejected`, and beside it the whole message.
//! `SNAPSHOTS=overwrite cargo test -p tsm-cli --test e2e -- rejected` writes the messages anew, to be read.

use std::path::{Path, PathBuf};

use crate::bed::Bed;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/rejected")
}

#[test]
fn each_message_is_what_it_was_when_it_was_last_read() {
    let bed = Bed::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "txt"))
        .collect();
    files.sort();
    assert!(files.len() > 10);
    let mut different = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        bed.file(name, std::fs::read(&file).unwrap());
        let told = bed.tsm(["config", "check", name]).exits(2);
        assert_eq!(told.stdout, "", "{name}");
        let expected = directory().join(format!("{name}.txt"));
        if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
            std::fs::write(&expected, &told.stderr).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        if told.stderr != expected {
            different.push(format!(
                "{name} says\n{}instead of\n{expected}",
                told.stderr
            ));
        }
        // `start -c` says the same, and starts nothing.
        let started = bed.tsm(["start", "-c", name]).exits(2);
        assert_eq!(started.stderr, told.stderr, "{name}");
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(!bed.home().exists());
}
