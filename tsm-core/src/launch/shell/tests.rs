use std::fs;

use super::*;
use crate::spec::Program;

/// A directory with programs that only look like some.
struct Bed(tempfile::TempDir);

impl Bed {
    fn new() -> Self {
        let bed = Self(tempfile::tempdir().unwrap());
        for program in ["bash", "bash-5.3", "zsh", "env", "dash", "nobash"] {
            bed.file(program, "\x7fELF");
        }
        for (link, to) in [("sh", "bash"), ("mybash", "bash-5.3")] {
            std::os::unix::fs::symlink(bed.0.path().join(to), bed.0.path().join(link)).unwrap();
        }
        bed
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        let text = text.replace('@', &self.0.path().display().to_string());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn of(&self, shell: Shell, line: &str) -> ShellUse {
        self.with(shell, line, &[])
    }

    fn with(&self, shell: Shell, line: &str, variables: &[(&str, &str)]) -> ShellUse {
        let words: Vec<Text> = line.split(' ').map(Text::from).collect();
        let program = Program {
            file: words[0].clone(),
            words,
            shell_fallback: false,
        };
        let spec = ProcessSpec::new("x", program, self.0.path().as_os_str());
        let mut environment = Environment::new();
        let path = self.0.path().as_os_str().as_bytes();
        environment.set(b"PATH", path).unwrap();
        for (name, value) in variables {
            environment.set(name.as_bytes(), value.as_bytes()).unwrap();
        }
        shell_use(&spec, &environment, shell)
    }

    fn script(&self, first_line: &str) -> ShellUse {
        self.file("script", &format!("{first_line}\necho\n"));
        self.of(Shell::Bash, "./script x")
    }
}

#[test]
fn bash_is_known_behind_shebang_and_env() {
    let bed = Bed::new();
    for line in [
        "bash x.sh",
        "bash -c x",
        "bash -eu x.sh -p",
        "bash -O extglob --norc -o pipefail x",
        "bash -- -p",
        "bash -l x",
        "./bash-5.3 x",
        "mybash x",
        "env A=1 bash x",
        "env -S bash x",
        "env -u A bash x",
        "env -uA --unset=B bash x",
    ] {
        assert_eq!(bed.of(Shell::Bash, line), ShellUse::Used, "{line}");
    }
    for first in [
        "#!@/bash",
        "#! @/bash -eu",
        "#!@/env bash",
        "#!@/env -S bash -e",
        "#!@/env -S A=1 bash",
        "#!@/env -S -u A bash",
    ] {
        assert_eq!(bed.script(first), ShellUse::Used, "{first}");
    }
    bed.file("outer", "#!./inner -x\n");
    bed.file("inner", "#!@/bash\n");
    assert_eq!(bed.of(Shell::Bash, "./outer"), ShellUse::Used);
}

#[test]
fn what_reads_no_bash_env_gets_none() {
    let bed = Bed::new();
    let not = |line| match bed.of(Shell::Bash, line) {
        ShellUse::NotUsed(reason) => reason,
        ShellUse::Used => panic!("{line}"),
    };
    for line in [
        "sh x", "./sh x", "dash x", "nobash x", "zsh x", "nothing", "env",
    ] {
        assert_eq!(not(line), "program is not bash", "{line}");
    }
    for line in [
        "env -i bash x",
        "env - bash x",
        "env -u BASH_ENV bash x",
        "env --unset=TSM_BASH_ENV bash x",
        "env BASH_ENV=x bash x",
    ] {
        let reason = "env takes away what the state comes by";
        assert_eq!(not(line), reason, "{line}");
    }
    assert!(not("env --frob bash x").contains("this option"));
    assert_eq!(not("bash -ep x"), "bash runs with -p");
    assert_eq!(not("bash --posix x"), "bash runs with --posix");
    assert_eq!(not("bash -o posix x"), "bash runs with -o posix");
    assert!(not("bash -i").contains("interactive"));
    for first in ["#!@/sh", "#!@/bash -p", "#!@/env sh", "#!@/nothing", "echo"] {
        assert_ne!(bed.script(first), ShellUse::Used, "{first}");
    }
    bed.file("loop", "#!./loop\n");
    assert_eq!(not("./loop"), "program is not bash");
}

#[test]
fn posix_mode_from_the_environment_counts() {
    let bed = Bed::new();
    for (name, value, used) in [
        ("POSIXLY_CORRECT", "1", false),
        ("SHELLOPTS", "braceexpand:posix", false),
        ("SHELLOPTS", "braceexpand:pipefail", true),
    ] {
        let found = bed.with(Shell::Bash, "bash x", &[(name, value)]);
        assert_eq!(found == ShellUse::Used, used, "{name}={value}");
    }
}

#[test]
fn zsh_reads_its_state_unless_told_not_to() {
    let bed = Bed::new();
    assert_eq!(bed.of(Shell::Zsh, "zsh x -f"), ShellUse::Used);
    for line in ["zsh -f x", "zsh -o NO_RCS x", "bash x", "zsh --no-rcs x"] {
        assert_ne!(bed.of(Shell::Zsh, line), ShellUse::Used, "{line}");
    }
}

#[test]
fn the_path_of_the_state_survives_that_bash_expands_it() {
    let path = Path::new("/h $HOME`id`$(id)\\\"x/a.shell");
    let variables = shell_variables(Shell::Bash, path, Path::new("/d"), &Environment::new());
    assert_eq!(variables[1], ("TSM_BASH_ENV", b"-".to_vec()));
    if !Path::new("/bin/bash").exists() {
        return;
    }
    let bed = tempfile::tempdir().unwrap();
    let directory = bed.path().join("h $HOME`id`$(id)\\\"x'*~");
    fs::create_dir(&directory).unwrap();
    let file = directory.join("a.shell");
    fs::write(&file, "echo read").unwrap();
    let variables = shell_variables(Shell::Bash, &file, bed.path(), &Environment::new());
    let output = std::process::Command::new("/bin/bash")
        .args(["-c", "echo run"])
        .env("BASH_ENV", OsStr::from_bytes(&variables[0].1))
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"read\nrun\n");
    assert_eq!(output.stderr, b"");
}
