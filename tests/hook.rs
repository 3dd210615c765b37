//! The shell hook: what only the shell knew when it said `tsm start` is there at the first line of the service.

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use crate::bed::{Bed, Output, TSM, run};
use crate::processes;
use crate::programs::has;
use crate::wait::{wait_for, wait_until};

/// What a person's `.bashrc` defines, in the way that completion, nvm and pyenv do.
const PERSON: &str = r#"
for f in /usr/share/bash-completion/bash_completion /etc/bash_completion; do
    if [ -r "$f" ]; then . "$f"; break; fi
done
shopt -s extglob expand_aliases
plain='it'\''s "plain" $HOME `id`'
lines=$'two\nlines\t\e[1m'
list=(a 'b c' [7]=$'x\ny')
declare -A map=([key]=value ['a ]b']='$(id)' ["it's"]='"')
declare -i count=7
declare -r fixed='never'
declare -u loud=shout
declare -n other=plain
declare -a empty=()
declare declared
alias ll='ls -l' say='echo "it'\''s"'
nvm_echo() { command printf %s\\n "$*" 2> /dev/null; }
nvm() {
    if [ $# -lt 1 ]; then nvm --help; return; fi
    local -a args=("$@"); local COMMAND="${1-}"; shift
    case $COMMAND in
        'help' | '--help') cat <<EOH
usage: nvm ${COMMAND}
}
EOH
        ;;
        use) { nvm_echo "now $1" && [[ "$1" =~ ^v?([0-9]+)$ ]]; } || return 3 ;;
        +([0-9])) nvm_echo "number" ;;
    esac
}
pyenv() {
    local command="${1:-}"; [ "$#" -gt 0 ] && shift
    case "$command" in rehash | shell) eval "$(echo ":" "sh-$command" "$@")" ;; *) echo "pyenv $command" ;; esac
}
dashed-name() { echo dashed; }
export -f nvm_echo
"#;

/// Prints all that is to be there; what it prints in the shell and in the service has to be the same.
const REPORT: &str = r"
declare -p plain lines list map count fixed loud other empty declared
nvm use 20; nvm --help; nvm 123; pyenv which; dashed-name
alias; declare -f; declare -F | grep -v ' tsm$\| _tsm_'
shopt extglob nullglob expand_aliases; set -o | grep 'pipefail\|nounset\|errexit'
";

impl Bed {
    /// Runs a script in a shell that has loaded the hook.
    #[track_caller]
    pub(crate) fn hooked(&self, shell: &str, text: &str) -> Output {
        let text = format!("eval \"$('{TSM}' init {shell})\"\n{text}");
        let path = self.file("typed", text);
        let mut command = self.command(shell);
        match shell {
            "zsh" => command.arg("-f"),
            _ => command.arg("--norc"),
        };
        command.arg(path);
        run(command)
    }

    /// A script that does something and then stays.
    pub(crate) fn service(&self, name: &str, first_line: &str, text: &str) -> String {
        let sleeper = self.sleeper();
        let text = format!(
            "{first_line}\n{text}\necho END\nexec '{}' 100000\n",
            sleeper.display()
        );
        self.script(name, &text).display().to_string()
    }

    /// What a process has printed up to its line END.
    #[track_caller]
    pub(crate) fn said(&self, name: &str) -> String {
        self.said_in_run(name, 1)
    }

    /// The same in one of its runs, counted from 1.
    #[track_caller]
    pub(crate) fn said_in_run(&self, name: &str, run: usize) -> String {
        let said = wait_for(&format!("run {run} of {name} prints all"), || {
            let log = self.read_log(&format!("{name}.out"));
            let parts: Vec<&str> = log.split("END\n").collect();
            (parts.len() > run).then(|| parts[run - 1].to_owned())
        });
        assert_eq!(self.read_log(&format!("{name}.err")), "", "{name}");
        said
    }

    pub(crate) fn read_log(&self, name: &str) -> String {
        let bytes = fs::read(self.home().join("logs").join(name)).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// `declare -f` ends with the functions of the hook in the shell itself, and not in the service.
fn without_the_hook(text: &str) -> String {
    let mut kept = String::new();
    let mut skipping = false;
    for line in text.lines() {
        skipping |= line.starts_with("tsm ()") || line.starts_with("_tsm_");
        if !skipping {
            kept.push_str(line);
            kept.push('\n');
        }
        if line == "}" {
            skipping = false;
        }
    }
    kept
}

/// Names the lines in which two long texts differ.
#[track_caller]
fn assert_same(found: &str, expected: &str) {
    let lines = |text: &str, other: &str| -> Vec<String> {
        let other: HashSet<&str> = other.lines().collect();
        let only = text.lines().filter(|line| !other.contains(line));
        only.take(8)
            .map(|line| line.chars().take(200).collect())
            .collect()
    };
    let (found, expected) = (&without_the_hook(found), &without_the_hook(expected));
    let (more, missing) = (lines(found, expected), lines(expected, found));
    assert!(
        found == expected,
        "not expected: {more:#?}\nmissing: {missing:#?}"
    );
}

#[test]
fn a_bash_service_finds_all_that_the_shell_knew() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    let service = bed.service("service.sh", "#!/usr/bin/env bash", REPORT);
    let typed = format!(
        "{PERSON}\nshopt -s nullglob; set -o pipefail\ntsm start '{service}' --name a >&2\n{REPORT}"
    );
    let output = bed.hooked("bash", &typed);
    assert_eq!(output.status, 0, "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 2, "{}", output.stderr);
    let expected = without_the_hook(&output.stdout);
    assert!(expected.contains("now 20") && expected.contains("usage: nvm --help"));
    assert_same(&bed.said("a"), &expected);

    // And whenever it is started again, from a shell that knows nothing.
    bed.tsm(["restart", "a"]).ok();
    assert_same(&bed.said_in_run("a", 2), &expected);
    let before = bed.crash("a");
    bed.wait_new_pid("a", before);
    assert_same(&bed.said_in_run("a", 3), &expected);
    bed.tsm(["stop", "a"]).ok();
    bed.tsm(["supervisor", "stop"]).ok();
    bed.tsm(["start", "a"]).ok();
    assert_same(&bed.said_in_run("a", 4), &expected);

    let info = bed.tsm(["info", "a"]).ok();
    assert!(
        info.stdout.contains("\nShell state: bash, "),
        "{}",
        info.stdout
    );
    bed.tsm(["delete", "a", "-y"]).ok();
    assert!(!bed.home().join("processes/a.shell").exists());
}

#[test]
fn sourced_by_an_empty_bash_the_files_give_the_shell_back() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    let all = "declare -p | grep -v '^declare -[-a-zA-Z]* \\(BASH\\|BASH_[A-Z_0-9]*\\|COMP_WORDBREAKS\\|_xspecs\\|COLUMNS\\|DIRSTACK\\|EPOCH[A-Z]*\\|FUNCNAME\\|GROUPS\\|LINENO\\|LINES\\|PIPESTATUS\\|PPID\\|RANDOM\\|SECONDS\\|SRANDOM\\|SHLVL\\|OLDPWD\\|PWD\\|HISTCMD\\|BASHPID\\|_\\)\\(=\\|$\\)'
        declare -f; declare -F | grep -v ' tsm$\\| _tsm_'; alias; shopt -p; set +o\n";
    let typed = format!(
        "{PERSON}\nexport EXPORTED='x y'; declare -ix NUMBER=5; declare -rx CONSTANT=1\nshopt -s nullglob globstar; shopt -u sourcepath; set -o nounset -o noclobber +o hashall
        tsm start --name a -- sleep 100000 >&2\n{all}"
    );
    let output = bed.hooked("bash", &typed);
    assert_eq!(output.stderr.lines().count(), 2, "{}", output.stderr);
    let mut bash = Command::new("bash");
    bash.env_clear()
        .current_dir(bed.work())
        .args(["--norc", "-c"]);
    bash.arg(format!("source \"$0/a.env\"; source \"$0/a.shell\"\n{all}"));
    bash.arg(bed.home().join("processes"));
    let again = run(bash);
    assert_eq!(again.stderr, "");
    assert_same(&again.stdout, &output.stdout);
}

#[test]
fn no_shell_however_strange_makes_the_hook_say_anything() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    let service = bed.service(
        "service.sh",
        "#!/bin/bash",
        "echo \"$plain ${list[1]}\"; type -t mine",
    );
    let strange = [
        "shopt -s nullglob failglob extglob nocasematch globstar dotglob xpg_echo",
        "set -euo pipefail",
        "set -C; set -a; set -f; set -k",
        "set -o posix",
        "IFS=sta:-",
        "IFS=",
        "shopt -s extdebug lastpipe",
        "trap 'echo trap' DEBUG; set -T",
        "trap 'echo trap' EXIT ERR; set -E",
        "exec <&-",
        "set -o vi; set -o history; set -m; set -H",
        "declare -r plain list; readonly -f mine",
        "declare() { echo 1; }; command() { echo 2; }; cat() { echo 3; }; printf() { echo 4; }; builtin() { echo 5; }
         unset() { echo 6; }; set() { echo 7; }; trap() { echo 8; }; shopt() { echo 9; }; alias() { echo 10; }
         exec() { echo 11; }; eval() { echo 12; }; return() { echo 13; }; local() { echo 14; }; export() { echo 15; }",
        "declare() { echo 1; }; builtin() { echo 5; }; unset() { echo 6; }; set() { echo 7; }; shopt() { echo 9; }
         export -f declare builtin unset set shopt",
        "shopt -s expand_aliases\nalias declare='echo 1' set='echo 2' unset='echo 3' builtin='echo 4' printf='echo 5'",
        "foo-bar() { :; }; a.b() { :; }; n::x() { :; }; function if { :; }; +x() { :; }",
        "hd() {\ncat <<E1 | tr a b && echo x\n}\nE1\n}\nhd2() { local x=$(cat <<E\n$1\nE\n); coproc X { cat; }; }",
    ];
    for (number, strange) in strange.iter().enumerate() {
        let name = format!("s{number}");
        let typed = format!(
            "plain=1; list=(a 'b c'); mine() {{ :; }}\n{strange}\ntsm start '{service}' --name {name}\n:"
        );
        let output = bed.hooked("bash", &typed);
        assert_eq!(output.status, 0, "{strange}: {}", output.stderr);
        assert_eq!(output.stderr, "", "{strange}");
        assert_eq!(bed.said(&name), "1 b c\nfunction\n", "{strange}");
    }
    let left: Vec<_> = fs::read_dir(bed.root().join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_bash_starts_is_as_it_would_have_been() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    let own = bed.file("own.sh", "from_own=yes\n");
    let service = bed.service(
        "service.sh",
        "#!/bin/bash",
        "echo \"$plain $from_own\"; env | grep '^BASH_ENV\\|TSM_BASH'; bash -c 'echo \"${plain-none} $from_own\"'",
    );
    let typed = format!(
        "plain=1\nexport BASH_ENV='{0}'\ntsm start '{service}' --name a\nunset BASH_ENV\ntsm start '{service}' --name b",
        own.display()
    );
    assert_eq!(bed.hooked("bash", &typed).stderr, "");
    let said = bed.said("a");
    assert_eq!(
        said,
        format!("1 yes\nBASH_ENV={}\nnone yes\n", own.display())
    );
    assert_eq!(bed.said("b"), "1 \nnone \n");
}

#[test]
fn programs_that_are_not_bash_get_the_variables_only() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    bed.script("sh.sh", "#!/bin/sh\nexec sleep 100000\n");
    bed.script("private.sh", "#!/bin/bash -p\nexec sleep 100000\n");
    let typed = "plain=1\ntsm start ./sh.sh --name a; tsm start --name b -- sleep 100000; tsm start ./private.sh --name c";
    assert_eq!(bed.hooked("bash", typed).stderr, "");
    for (name, reason) in [
        ("a", "program is not bash"),
        ("b", "program is not bash"),
        ("c", "bash runs with -p"),
    ] {
        let pid = bed.pid(name);
        assert_eq!(processes::variable(pid, "BASH_ENV"), None, "{name}");
        assert_eq!(processes::variable(pid, "TSM_BASH_ENV"), None, "{name}");
        let info = bed.tsm(["info", name]).ok().stdout;
        let line = format!("\nShell state: not used ({reason})\n");
        assert!(info.contains(&line), "{info}");
    }
}

#[test]
fn a_command_line_with_shell_syntax_and_a_function_run_in_bash() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    let sleeper = bed.sleeper();
    let typed = format!(
        "mine() {{ echo \"mine $*\"; echo END; exec '{}' 100000; }}
         tsm start 'list=(1 2); mine ${{list[1]}}' --name line
         tsm start mine --name function 'a b' c",
        sleeper.display()
    );
    let output = bed.hooked("bash", &typed);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    assert_eq!(bed.said("line"), "mine 2\n");
    assert_eq!(bed.said("function"), "mine a b c\n");
}

#[test]
fn another_start_of_the_same_program_replaces_the_state() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    let service = bed.service("service.sh", "#!/bin/bash", "echo \"${plain-none}\"");
    bed.hooked("bash", &format!("plain=1\ntsm start '{service}'"))
        .ok();
    assert_eq!(bed.said("service"), "1\n");
    let without = format!("'{TSM}'");
    for (run, typed, expected) in [(2, "plain=2\ntsm", "2\n"), (3, &without, "none\n")] {
        bed.tsm(["stop", "service"]).ok();
        bed.hooked("bash", &format!("{typed} start '{service}'"))
            .ok();
        assert_eq!(bed.said_in_run("service", run), expected);
    }
    assert!(!bed.home().join("processes/service.shell").exists());
}

#[test]
fn a_damaged_state_is_named_and_the_process_goes_on() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    let service = bed.service("service.sh", "#!/bin/bash", "echo $plain");
    bed.hooked(
        "bash",
        &format!("plain=1\nmine() {{ echo; }}\ntsm start '{service}' --name a"),
    )
    .ok();
    let pid = bed.pid("a");
    let path = bed.home().join("processes/a.shell");
    let whole = fs::read_to_string(&path).unwrap();
    let broken = whole.replacen("declare -- plain=\"1\"", "declare -- plain=\"1", 1);
    let cut = &whole[..whole.len() / 2];
    for damaged in [cut, "", broken.as_str()] {
        fs::write(&path, damaged).unwrap();
        let output = bed.tsm(["restart", "a"]);
        assert_eq!(output.status, 1, "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        assert!(
            output.stderr.contains(&format!("{}", path.display())),
            "{}",
            output.stderr
        );
        assert!(output.stderr.contains("line "), "{}", output.stderr);
        assert_eq!(bed.pid("a"), pid);
    }
    fs::write(&path, whole).unwrap();
    bed.tsm(["restart", "a"]).ok();
}

#[test]
fn a_missing_state_is_missed_and_can_be_taken_anew() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    let service = bed.service("service.sh", "#!/bin/bash", "echo $plain");
    bed.hooked("bash", &format!("plain=1\ntsm start '{service}' --name a"))
        .ok();
    assert_eq!(bed.said("a"), "1\n");
    let pid = bed.pid("a");
    let path = bed.home().join("processes/a.shell");
    fs::remove_file(&path).unwrap();

    let told = bed.tsm(["restart", "a"]);
    assert_eq!(told.status, 1, "{}", told.stderr);
    assert_eq!(
        told.stderr,
        format!(
            "tsm: {}: it is missing; 'tsm restart a --update-env' takes this shell's state\n",
            path.display()
        )
    );
    assert_eq!(bed.pid("a"), pid);
    let told = bed.tsm(["doctor"]);
    assert!(told.stdout.contains("a.shell"), "{}", told.stdout);

    bed.hooked("bash", "plain=2; tsm restart a --update-env")
        .ok();
    assert_eq!(bed.said_in_run("a", 2), "2\n");
    // From a shell whose program tells nothing but its environment there is no state, and none is missed.
    fs::remove_file(&path).unwrap();
    bed.tsm(["restart", "a", "--update-env"]).ok();
    bed.tsm(["restart", "a"]).ok();
    assert_eq!(bed.said_in_run("a", 4), "\n");
}

#[test]
fn a_home_with_any_path_is_read_as_it_stands() {
    if !has("bash") {
        return;
    }
    let bed = Bed::new();
    let home = bed.root().join("h $HOME `id` $(id) \"x\" \\ ~");
    let service = bed.service("service.sh", "#!/bin/bash", "echo $plain");
    let typed = format!(
        "plain=1\nexport TSM_HOME='{}'\ntsm start '{service}' --name a",
        home.display()
    );
    let output = bed.hooked("bash", &typed);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    let log = home.join("logs/a.out");
    wait_until("it prints", || {
        fs::read_to_string(&log).is_ok_and(|text| text == "1\nEND\n")
    });
    let mut stop = bed.tsm_command(["kill", "a"]);
    run({
        stop.env("TSM_HOME", &home);
        stop
    })
    .ok();
    let mut stop = bed.tsm_command(["supervisor", "stop"]);
    run({
        stop.env("TSM_HOME", &home);
        stop
    })
    .ok();
}

#[test]
fn a_zsh_service_finds_functions_and_variables() {
    if !has("zsh") {
        return;
    }
    let bed = Bed::new();
    fs::write(bed.root().join("person/.zshenv"), "from_own=yes\n").unwrap();
    let service = bed.service(
        "service.zsh",
        "#!/usr/bin/env zsh",
        "mine x; typeset -p plain list map count fixed; print $from_own ${ZDOTDIR-none}; env | grep -c 'TSM_Z\\|ZDOTDIR'; zsh -c 'print ${plain-none} $from_own'",
    );
    let typed = format!(
        "plain=\"it's\"; list=(a 'b c'); typeset -A map=(k v 'a b' 'c]d'); integer count=5; typeset -r fixed='$x'
         mine() {{ print \"mine $1 $list[2]\" }}
         setopt rc_quotes
         broken() {{ print 'don''t' }}
         unsetopt rc_quotes
         setopt ksh_arrays null_glob err_exit no_unset
         tsm start '{service}' --name a"
    );
    let output = bed.hooked("zsh", &typed);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    assert_eq!(
        bed.said("a"),
        "mine x b c\ntypeset plain='it'\\''s'\ntypeset -a list=( a 'b c' )\ntypeset -A map=( ['a b']='c]d' [k]=v )\n\
         typeset -i count=5\ntypeset -r fixed='$x'\nyes none\n0\nnone yes\n"
    );
    let info = bed.tsm(["info", "a"]).ok().stdout;
    let state = info
        .lines()
        .find(|line| line.starts_with("Shell state: zsh, "));
    assert!(
        state.is_some_and(|state| state.ends_with(
            "; not kept, because zsh itself cannot read what it prints of them: broken"
        )),
        "{info}"
    );
}
