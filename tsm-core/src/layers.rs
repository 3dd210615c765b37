//! Checks what ARCHITECTURE.md says that modules never do, by reading their source.

use std::fs;
use std::path::{Path, PathBuf};

/// The source files of this library without those of tests, each with its path below `src`, and what stands in it before
/// its tests, without comments.
fn files() -> Vec<(String, String)> {
    fn below(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    below(&source, &mut paths);
    let code = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        text.lines().filter(is_code).collect::<Vec<_>>().join("\n")
    };
    let name = |path: &PathBuf| {
        let name = path.strip_prefix(&source).unwrap();
        name.to_str().unwrap().to_owned()
    };
    let is_of_tests = |name: &String| {
        let own = ["api.rs", "layers.rs", "fail.rs", "config/reference.rs"];
        own.contains(&name.as_str()) || name.contains("tests")
    };
    let all = paths.iter().map(|path| (name(path), code(path)));
    let found: Vec<_> = all.filter(|(name, _)| !is_of_tests(name)).collect();
    assert!(found.len() > 150, "{}", found.len());
    found
}

/// Lines of the files that `wanted` names in which one of these words stands.
fn lines_with(wanted: impl Fn(&str) -> bool, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, code) in files().iter().filter(|(name, _)| wanted(name)) {
        let bad = code
            .lines()
            .filter(|line| words.iter().any(|word| line.contains(word)));
        found.extend(bad.map(|line| format!("{name}: {}", line.trim())));
    }
    found
}

#[test]
fn only_sys_names_the_crates_that_speak_with_the_kernel() {
    let outside = |name: &str| name != "sys.rs" && !name.starts_with("sys/");
    let found = lines_with(outside, &["libc::", "nix::", "rustix::", "unsafe {"]);
    let unix = |line: &String| !line.contains("os::unix::");
    let found: Vec<_> = found.into_iter().filter(unix).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_is_pure_asks_nobody() {
    let pure = |name: &str| {
        let files = [
            "supervise/machine.rs",
            "supervise/vitals.rs",
            "config/plan.rs",
        ];
        files.contains(&name) || name.starts_with("supervise/machine/")
    };
    let found = lines_with(
        pure,
        &[
            "clock::", "std::fs", "std::io", "sys::", "std::env", "thread",
        ],
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn nothing_is_printed_exited_or_read_from_the_environment() {
    let found = lines_with(
        |_| true,
        &[
            "println!(",
            "print!(",
            "process::exit",
            "env::var",
            "env::args",
        ],
    );
    assert!(found.is_empty(), "{found:#?}");
}
