//! The shell hook in shells that a person types into, and as Tetra loads it.

use std::fs;

use crate::bed::{Bed, TSM, run};
use crate::command::fed;
use crate::programs::has;

/// Types lines into an interactive shell on a terminal, and returns the screen.
#[track_caller]
fn typed_on_a_terminal(bed: &Bed, shell: &[&str], lines: &str) -> String {
    let spawn = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut command = bed.command("python3");
    command.args(["-c", spawn]).args(shell).env("TERM", "dumb");
    fed(command, lines, "a shell on a terminal").stdout
}

#[test]
fn the_hook_works_in_interactive_shells_on_a_terminal() {
    let shells: [(&str, &[&str], String); 3] = [
        (
            "bash",
            &["bash", "--norc", "-i"],
            format!("eval \"$('{TSM}' init bash)\""),
        ),
        (
            "zsh",
            &["zsh", "-f", "-i"],
            format!("eval \"$('{TSM}' init zsh)\""),
        ),
        (
            "fish",
            &["fish", "--no-config", "-i"],
            format!("'{TSM}' init fish | source"),
        ),
    ];
    for (shell, words, load) in shells {
        if !has(shell) || !has("python3") {
            continue;
        }
        let bed = Bed::new();
        let text = if shell == "fish" {
            "echo $EXPORTED"
        } else {
            "mine; echo $EXPORTED $plain"
        };
        let service = bed.service("service", &format!("#!/usr/bin/env {shell}"), text);
        let define = match shell {
            "fish" => "set -x EXPORTED 'x y'",
            _ => "plain=1; mine() { echo mine; }; export EXPORTED='x y'",
        };
        let lines = format!(
            "{load}\n{define}\ntsm start '{service}' --name a\necho \"status=\"$status$?\nexit\n"
        );
        let lines = if shell == "fish" {
            lines.replace("$?", "")
        } else {
            lines.replace("$status$?", "$?")
        };
        let screen = typed_on_a_terminal(&bed, words, &lines);
        assert!(screen.contains("TSM ID: 1"), "{screen}");
        assert!(screen.contains("status=0"), "{screen}");
        let expected = if shell == "fish" {
            "x y\n"
        } else {
            "mine\nx y 1\n"
        };
        assert_eq!(bed.said("a"), expected, "{shell}");
    }
}

#[test]
fn an_interactive_bash_without_a_terminal_says_nothing_more() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    let service = bed.service("service.sh", "#!/bin/bash", "echo $plain");
    let said = |lines: &str| {
        let mut command = bed.command("setsid");
        command
            .args(["bash", "--norc", "--noediting", "-i"])
            .env("PS1", "");
        let said = fed(command, lines, "bash -i").stderr;
        // bash names its own pid.
        said.chars()
            .filter(|c| !c.is_ascii_digit())
            .collect::<String>()
    };
    let without = said("plain=1\n:\n:\nexit 0\n");
    let with = said(&format!(
        "plain=1\neval \"$('{TSM}' init bash)\"\ntsm start '{service}' --name a\nexit 0\n"
    ));
    assert_eq!(with, without);
    assert_eq!(bed.said("a"), "1\n");
}

#[test]
fn names_are_completed() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    bed.start_idle("api");
    let typed =
        "COMP_LINE='tsm stop a'; COMP_POINT=${#COMP_LINE}; COMP_WORDS=(tsm stop a); COMP_CWORD=2
        _tsm_complete; echo \"${COMPREPLY[@]}\"; complete -p tsm";
    let output = bed.hooked("bash", typed).ok();
    assert_eq!(
        output.stdout,
        "all api\ncomplete -o default -F _tsm_complete tsm\n"
    );
}

#[test]
fn tetra_loads_the_hook_of_the_program_on_path() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/../shell/tsm.sh");
    let text = format!(
        "set -eu\ntsm() {{ . '{module}' && tsm \"$@\"; }}\ntsm supervisor status --json; type -t _tsm_start"
    );
    let bin = bed.root().join("bin");
    fs::create_dir(&bin).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let with = format!("{}:{path}", bin.display());
    let load = |path: &str| {
        let mut command = bed.command("/bin/bash");
        run({
            command.args(["--norc", "-c", &text]).env("PATH", path);
            command
        })
    };
    let output = load(&bin_only(&bed));
    assert_eq!(output.status, 1);
    assert!(
        output.stderr.contains("no tsm on PATH"),
        "{}",
        output.stderr
    );
    std::os::unix::fs::symlink(TSM, bin.join("tsm")).unwrap();
    let output = load(&with).ok();
    assert!(output.stdout.contains("\"running\""), "{}", output.stdout);
    assert!(output.stdout.ends_with("function\n"), "{}", output.stdout);
}

/// A PATH on which there is surely no `tsm`.
fn bin_only(bed: &Bed) -> String {
    bed.root().join("bin").display().to_string()
}
