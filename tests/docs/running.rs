//! What a page shows is run, section by section, and what it prints is compared.

use std::path::Path;
use std::process::Command;

use super::{lines, repository};
use crate::bed::{Bed, TSM, free_port, run};
use crate::programs;

/// A part of a page from a heading to the next one.
#[derive(Default)]
pub(super) struct Section {
    pub(super) title: String,
    needs: Vec<String>,
    ports: Vec<String>,
    files: Vec<(String, String)>,
    commands: Vec<(String, Vec<String>)>,
}

pub(super) fn sections(page: &str) -> Vec<Section> {
    let mut all = vec![Section::default()];
    for (block, line) in lines(page) {
        let section = all.last_mut().unwrap();
        match block {
            None if line.starts_with('#') => all.push(Section {
                title: line.trim_start_matches('#').trim().to_owned(),
                ..Section::default()
            }),
            None => {
                let said = line
                    .strip_prefix("<!-- ")
                    .and_then(|rest| rest.strip_suffix(" -->"));
                for part in said.into_iter().flat_map(|said| said.split("; ")) {
                    let words = |rest: &str| rest.split(' ').map(str::to_owned).collect();
                    match part.split_once(": ") {
                        Some(("needs", rest)) => section.needs = words(rest),
                        Some(("ports", rest)) => section.ports = words(rest),
                        _ => {}
                    }
                }
            }
            Some("console") => {
                if let Some(command) = line.strip_prefix("$ ") {
                    section.commands.push((command.to_owned(), Vec::new()));
                } else if let Some(more) = line.strip_prefix("> ") {
                    let (command, _) = section.commands.last_mut().unwrap();
                    command.push('\n');
                    command.push_str(more);
                } else if let Some((_, printed)) = section.commands.last_mut() {
                    printed.push(line.to_owned());
                }
            }
            Some(info) => {
                if let Some((_, file)) = info.split_once(' ') {
                    match section.files.iter_mut().find(|(name, _)| name == file) {
                        Some((_, text)) => text.extend([line, "\n"]),
                        None => section.files.push((file.to_owned(), format!("{line}\n"))),
                    }
                }
            }
        }
    }
    all.retain(|section| !section.commands.is_empty());
    all
}

/// In a form in which only what is meant differs: no numbers, and one blank between words.
fn normal(text: &str) -> String {
    let mut found = String::new();
    for char in text.chars() {
        match char {
            '0'..='9' if found.ends_with('0') => {}
            '0'..='9' => found.push('0'),
            c if c.is_whitespace() => {
                if !found.ends_with(' ') {
                    found.push(' ');
                }
            }
            c => found.push(c),
        }
    }
    found
}

/// Whether there is a docker daemon, and `docker compose`. `tests/docker/run` sees to both.
fn docker_answers() -> bool {
    let good = |words: &[&str]| {
        let output = Command::new("docker").args(words).output();
        output.is_ok_and(|output| output.status.success())
    };
    let answers = good(&["info"]) && good(&["compose", "version"]);
    let required = std::env::var_os("TSM_TESTS_REQUIRE_DOCKER").is_some_and(|v| v == "1");
    assert!(
        answers || !required,
        "no docker daemon, and TSM_TESTS_REQUIRE_DOCKER=1"
    );
    if !answers {
        println!("skipped: there is no docker daemon with docker compose");
    }
    answers
}

fn is_there(program: &str) -> bool {
    if program == "docker-daemon" {
        return docker_answers();
    }
    programs::has(program)
}

pub(super) fn try_out(page: &str, section: &Section) {
    if !section.needs.iter().all(|program| is_there(program)) {
        return;
    }
    let bed = Bed::new();
    let ports: Vec<(&String, String)> = section
        .ports
        .iter()
        .map(|port| (port, free_port().to_string()))
        .collect();
    let with_ports = |text: &str| {
        let replace = |text: String, (port, free): &(&String, String)| text.replace(*port, free);
        ports.iter().fold(text.to_owned(), replace)
    };
    for (name, text) in &section.files {
        bed.file(name, with_ports(text));
    }
    std::os::unix::fs::symlink(repository().join("examples"), bed.path("examples")).unwrap();
    let mut script = "exec 2>&1\n".to_owned();
    for (command, _) in &section.commands {
        let command = with_ports(command);
        script.extend(["{ ", &command, "\n}\nprintf '\\001%d\\002' $?\n"]);
    }
    bed.file(".script", script);
    let programs = Path::new(TSM).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(programs).chain(std::env::split_paths(&path));
    let mut bash = bed.command("bash");
    bash.arg(".script")
        .env("PATH", std::env::join_paths(path).unwrap());
    // Where docker is asked, and its plugins.
    for name in ["DOCKER_HOST", "DOCKER_CONFIG"] {
        if let Some(value) = std::env::var_os(name) {
            bash.env(name, value);
        }
    }
    // Where programs that build keep what they built.
    bash.env("GOCACHE", bed.root().join("tmp/go"))
        .env("GOFLAGS", "-p=1");
    let printed = run(bash).stdout;
    let mut outputs = printed.split('\x02');
    for (command, shown) in &section.commands {
        let output = outputs.next().unwrap_or_default();
        let (output, status) = output.rsplit_once('\x01').unwrap_or((output, "none"));
        let expected = command
            .rsplit_once("# exit status ")
            .map_or("0", |(_, status)| status.trim());
        let here = format!("{page}, '{}': `{command}`", section.title);
        assert_eq!(status, expected, "{here} prints:\n{output}");
        let (output, mut at) = (normal(output), 0);
        for line in shown {
            for part in normal(line)
                .split('…')
                .map(str::trim)
                .filter(|part| !part.is_empty())
            {
                match output[at..].find(part) {
                    Some(found) => at += found + part.len(),
                    None => panic!("{here} does not print {part:?} where it should:\n{printed}"),
                }
            }
        }
    }
}
