//! The hook in a real shell, and what another real shell makes of the file.

use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::env::Environment;
use crate::launch::shell_variables;

const ZSH_HOOK: &str = include_str!("../../../../../../shell/hook.zsh");
const ZSHENV: &str = include_str!("../../../../../../shell/zshenv.zsh");

/// What a program prints: its output, and what it says of errors.
struct Said {
    out: String,
    err: String,
}

/// A shell with an environment of its own, in a directory of its own.
struct Bench {
    directory: tempfile::TempDir,
    shell: Shell,
    environment: Vec<(&'static str, String)>,
}

impl Bench {
    fn new(shell: Shell) -> Option<Self> {
        let there = Command::new(shell.to_string()).arg("-c").arg(":").status();
        there.ok()?.success().then(|| Self {
            directory: tempfile::tempdir().unwrap(),
            shell,
            environment: Vec::new(),
        })
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn file(&self, name: &str, text: &[u8]) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, words: &[&str]) -> Said {
        let output = Command::new(self.shell.to_string())
            .args(words)
            .env_clear()
            .env("LANG", "C.UTF-8")
            .env("HOME", self.directory.path())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// The state of a shell in which this was typed; the hook says nothing.
    #[track_caller]
    fn state(&self, typed: &str) -> ShellState {
        let dump = self.path("dump");
        // In the place of the program: what it is handed is kept.
        let keep = self.file("keep.sh", format!("cat -- \"$2\" > '{dump}'\n").as_bytes());
        let (hook, no_files) = match self.shell {
            Shell::Bash => (HOOK, "--norc"),
            Shell::Zsh => (ZSH_HOOK, "-f"),
        };
        let hook = hook
            .replace("! -x @TSM@", "1 == 2")
            .replace("@TSM@", &format!("/bin/sh '{keep}'"));
        let script = self.file("typed", format!("{hook}\n{typed}\ntsm start\n").as_bytes());
        let said = self.run(&[no_files, &script]);
        assert_eq!(said.err, "", "{typed}");
        ShellState::from_dump(&std::fs::read(dump).unwrap()).unwrap()
    }

    /// A service that has this state and this own environment.
    fn service(
        &mut self,
        state: &ShellState,
        environment: &[(&'static str, &str)],
        words: &[&str],
    ) -> Said {
        let own = environment
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let own = Environment::from_os(own);
        let file = self.file("state", state.as_bytes());
        let directory = self.path("zdotdir");
        self.file("zdotdir/.zshenv", ZSHENV.as_bytes());
        let found = shell_variables(self.shell, file.as_ref(), directory.as_ref(), &own);
        self.environment = environment
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .chain(
                found
                    .into_iter()
                    .map(|(name, value)| (name, String::from_utf8(value).unwrap())),
            )
            .collect();
        let said = self.run(words);
        self.environment.clear();
        said
    }

    /// What a script prints in a service that says nothing of errors.
    #[track_caller]
    fn prints(
        &mut self,
        state: &ShellState,
        environment: &[(&'static str, &str)],
        script: &str,
    ) -> String {
        let said = self.service(state, environment, &["-c", script]);
        assert_eq!(said.err, "", "{script}");
        said.out
    }
}

fn without(state: &ShellState, names: &[&'static str]) -> ShellState {
    state.leaving_to_environment(names.iter().map(|name| name.as_bytes()))
}

#[test]
fn bash_takes_from_the_environment_what_stands_in_it_or_was_taken_out() {
    let Some(mut bash) = Bench::new(Shell::Bash) else {
        return;
    };
    let state = bash.state(
        "FOO=old PORT=3000 TSM_ID=99; declare -i N=5; declare -ix M=6; list=(1 2); plain=here
         xf() { echo old; }; export -f xf; mine() { echo old; }",
    );
    let show = "echo ${FOO-none} ${PORT-none} ${TSM_ID-none} ${N-none} ${M-none} ${list-none} $plain; env | grep -c '^FOO='
         xf 2> /dev/null || echo no xf; mine 2> /dev/null || echo no mine; bash -c 'type -t xf; type -t mine'; declare -p M";
    assert_eq!(
        bash.prints(
            &state,
            &[
                ("FOO", "new"),
                ("PORT", "4001"),
                ("TSM_ID", "1"),
                ("N", "x"),
                ("M", "7"),
                ("list", "one"),
                ("BASH_FUNC_xf%%", "() { echo new; }"),
            ],
            show
        ),
        "new 4001 1 x 7 one here\n1\nnew\nold\nfunction\ndeclare -ix M=\"7\"\n"
    );
    // What was set or taken out by other means than the shell.
    let given = without(
        &state,
        &["FOO", "list", "BASH_FUNC_xf%%", "BASH_FUNC_mine%%", "a b"],
    );
    let mine = ("BASH_FUNC_mine%%", "() { echo new; }");
    assert_eq!(
        bash.prints(&given, &[mine, ("M", "7")], show),
        "none 3000 99 5 7 none here\n0\nno xf\nnew\nfunction\ndeclare -ix M=\"7\"\n"
    );
    // Without a word in the environment the state decides, but over what was exported.
    assert_eq!(
        bash.prints(&state, &[("M", "7")], show),
        "old 3000 99 5 7 1 here\n0\nno xf\nold\ndeclare -ix M=\"7\"\n"
    );
    // What a variable holds does not count as the line that says what was given.
    let state = bash.state("a=$'x\\n_tsm_given=y'; b=1");
    let given = without(&state, &["b"]);
    assert_eq!(
        bash.prints(&given, &[], "echo \"$a\" ${b-none}"),
        "x\n_tsm_given=y none\n"
    );
    assert_eq!(without(&given, &[]), state);
}

#[test]
fn what_a_trap_prints_is_no_part_of_the_state() {
    let Some(mut bash) = Bench::new(Shell::Bash) else {
        return;
    };
    for trap in [
        "set -Eeuo pipefail; trap 'echo \"Error on line $LINENO; touch PWNED\"' ERR",
        "set -T; exec 3>&1; trap 'echo \"touch PWNED\" >&3' DEBUG; trap 'echo x >&3' RETURN EXIT",
        "set -ET; builtin() { command builtin \"$@\"; }; trap 'echo \"touch PWNED\"' DEBUG ERR",
    ] {
        let state = bash.state(&format!("plain=1\n{trap}"));
        let text = String::from_utf8_lossy(state.as_bytes());
        assert!(!text.contains("PWNED"), "{text}");
        assert_eq!(
            bash.prints(&state, &[], "set +ET; echo $plain"),
            "1\n",
            "{trap}"
        );
    }
    let Some(mut zsh) = Bench::new(Shell::Zsh) else {
        return;
    };
    for trap in [
        "trap 'echo DBG; print -u3 DBG' DEBUG",
        "TRAPDEBUG() { echo DBG }",
        "TRAPZERR() { echo DBG }; TRAPEXIT() { echo DBG }",
    ] {
        let state = zsh.state(&format!("plain=1; exec 3> /dev/null\n{trap}"));
        assert_eq!(
            zsh.prints(&state, &[], "echo $plain; false; true"),
            "1\n",
            "{trap}"
        );
    }
}

#[test]
fn what_your_own_files_made_readonly_stays_and_nothing_is_said() {
    let Some(mut bash) = Bench::new(Shell::Bash) else {
        return;
    };
    let state = bash.state(
        "readonly FIXED=shell; declare -ra LIST=(shell); declare -rA EMPTY=(); export COUNT=3; declare -rx COUNT; last=1",
    );
    let own = bash.file(
        "own.sh",
        b"readonly FIXED=own COUNT; declare -ra LIST=([3]=own); declare -rA EMPTY=()
          shopt -s nocasematch failglob; set -u; trap 'echo failed' ERR\n",
    );
    assert_eq!(
        bash.prints(
            &state,
            &[("BASH_ENV", &own), ("COUNT", "3")],
            "echo $FIXED ${LIST[3]} $last $COUNT; shopt -q nocasematch && shopt -q failglob && echo $-; false"
        ),
        "own own 1 3\nhuBc\nfailed\n"
    );
    let Some(mut zsh) = Bench::new(Shell::Zsh) else {
        return;
    };
    let state = zsh.state("readonly FIXED=shell; typeset -ra LIST=(shell); last=1; f() { echo f }");
    zsh.file(".zshenv", b"readonly FIXED=own; typeset -ra LIST=(own)\n");
    assert_eq!(
        zsh.prints(&state, &[], "echo $FIXED $LIST $last; f"),
        "own own 1\nf\n"
    );
}

#[test]
fn functions_named_like_builtins_come_back_as_they_were() {
    let Some(mut bash) = Bench::new(Shell::Bash) else {
        return;
    };
    for (typed, show, expected) in [
        (
            "declare() { builtin declare \"$@\"; }; shopt -s expand_aliases; alias declare='declare -x'",
            "\\declare -g y=1; echo $y; type -t builtin; alias declare",
            "1\nbuiltin\nalias declare='declare -x'\n",
        ),
        (
            "set() { ls /x; builtin set \"$@\"; }; shopt -s expand_aliases; alias ls='echo ALIASED'",
            "builtin declare -f set",
            "set () \n{ \n    ls /x;\n    builtin set \"$@\"\n}\n",
        ),
        (
            "shopt -s extglob\nshopt() { case $1 in +([a-z])) echo word ;; *) builtin shopt \"$@\" ;; esac; }; builtin shopt -u extglob",
            "shopt -q extglob || echo off; builtin shopt -s extglob; shopt abc",
            "off\nword\n",
        ),
        (
            "set() { echo set; }; eval() { echo eval; }; .() { echo dot; }; builtin set -o posix",
            "set x; shopt -qo posix && echo posix; set +o posix; .; eval; set",
            "posix\ndot\neval\nset\n",
        ),
        (
            "eval() { echo eval; }; .() { echo dot; }; unset() { echo unset; }",
            "eval; .; unset",
            "eval\ndot\nunset\n",
        ),
        (
            "exec 2> /dev/null; builtin() { echo mine; }; set -o nounset -o xtrace",
            "builtin declare; set +x 2>/dev/null; case $- in *u*) echo u ;; esac",
            "mine\nu\n",
        ),
    ] {
        let state = bash.state(typed);
        let said = bash.service(&state, &[], &["-c", &format!("{{ {show}; }} 2> /dev/null")]);
        let traced = typed.contains("xtrace");
        assert!(traced || said.err.is_empty(), "{typed}: {}", said.err);
        assert_eq!(said.out, expected, "{typed}");
    }
    // Exported, they are there before the first line.
    let state = bash.state("plain=1; f() { :; }");
    let functions = [
        "eval", ".", "unset", "set", "builtin", "shopt", "declare", "alias", "export",
    ];
    let exported: Vec<(String, String)> = functions
        .map(|name| {
            (
                format!("BASH_FUNC_{name}%%"),
                "() { echo wrong; }".to_owned(),
            )
        })
        .into();
    let exported: Vec<(&'static str, &str)> = exported
        .iter()
        .map(|(name, text)| (&*name.clone().leak(), &**text))
        .collect();
    let own = bash.file("own.sh", b"own=2\n");
    let environment = [&exported[..], &[("BASH_ENV", &own)]].concat();
    assert_eq!(
        bash.prints(&state, &environment, "echo $plain $own; f"),
        "1 2\n"
    );
}

#[test]
fn names_that_bash_prints_and_cannot_read_are_read() {
    let Some(mut bash) = Bench::new(Shell::Bash) else {
        return;
    };
    let state = bash.state(
        "function x=y { echo 1; }; function a[1]=b { echo 2; }; function 7 { echo 3; }; function a* { echo 4; }
         function {a,b} { echo 5; }; function ~x { echo 6; }; function if { echo 7; }; function a#b { echo 8; }; z() { echo z; }",
    );
    assert_eq!(
        bash.prints(
            &state,
            &[],
            "x\\=y; 'a[1]=b'; 7; 'a*'; '{a,b}'; '~x'; \\if; a#b; z"
        ),
        "1\n2\n3\n4\n5\n6\n7\n8\nz\n"
    );
}

#[test]
fn tracing_shows_the_script_and_not_the_state() {
    let Some(mut bash) = Bench::new(Shell::Bash) else {
        return;
    };
    let state = bash.state("a=1; f() { :; }; builtin() { :; }; set -o pipefail");
    let script = bash.file("s.sh", b"echo hi\nbuiltin() { :; }\necho $-\n");
    let said = bash.service(&state, &[], &["-x", &script]);
    assert_eq!(said.err, "+ echo hi\n+ echo hxB\n");
    let said = bash.service(&state, &[], &["-v", &script]);
    let lines: Vec<&str> = said.err.lines().collect();
    // bash prints a line before it runs it: it takes two to turn that off.
    assert_eq!(
        lines[2..],
        ["echo hi", "builtin() { :; }", "echo $-"],
        "{}",
        said.err
    );
    assert!(lines[0].starts_with("# TSM shell snapshot") && lines[1].starts_with("{ _tsm_o"));
    let said = bash.service(&state, &[], &["-eauf", &script]);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("hi\naefhuB\n", ""));
    assert!(
        bash.prints(
            &state,
            &[],
            "compgen -v _tsm; compgen -A function _tsm; shopt inherit_errexit"
        )
        .starts_with("inherit_errexit")
    );
    let set = bash.state("exec 2> /dev/null; set -x; a=1");
    assert_eq!(
        bash.service(&set, &[], &["-c", "echo $a"]).err,
        "+ echo 1\n"
    );
}

#[test]
fn in_posix_mode_the_file_is_read_too() {
    let Some(mut bash) = Bench::new(Shell::Bash) else {
        return;
    };
    let state = bash.state("a-b() { echo a-b; }; set() { echo set; }; plain=1");
    let file = bash.file("state", state.as_bytes());
    bash.environment = vec![("POSIXLY_CORRECT", "1".to_owned())];
    let said = bash.run(&[
        "-c",
        &format!(
            "source '{file}'; echo $plain $POSIXLY_CORRECT; shopt -o posix; a-b; env | grep POSIX"
        ),
    ]);
    assert_eq!(
        (said.out.as_str(), said.err.as_str()),
        ("1 1\nposix          \ton\na-b\nPOSIXLY_CORRECT=1\n", "")
    );
}

#[test]
fn zsh_reads_its_state_whatever_aliases_and_options_there_are() {
    let Some(mut zsh) = Bench::new(Shell::Zsh) else {
        return;
    };
    let state = zsh.state(
        "FOO=old; typeset -i COUNT=5; export CONST=c; typeset -r CONST; typeset -xi NUM=7; typeset -xF 2 FLOAT=1.5; typeset -gH hidden=h
         typeset -T LDX ldx; export LDX=a:b; typeset -aU unique=(a a b); fpath=(/x $fpath)
         unalias run-help 2> /dev/null; autoload -Uz run-help; build() { ls /x; print built }; 'a b'() { print ab }; builtin() { print mine }",
    );
    zsh.file(
        ".zshenv",
        b"alias ls='ls --color' build='echo alias' typeset='echo t' run-help=man; alias -g print=PRINT builtin=B; setopt ksh_arrays sh_glob ignore_braces
          own=1\n",
    );
    let show = "alias build; whence -w run-help; [[ -o ksharrays ]] && echo ksh; unalias -m '*'; emulate zsh; functions build; 'a b'; builtin; typeset -p COUNT CONST NUM unique; echo $FOO $hidden ${(t)hidden} $ldx[1] $own; whence -w run-help; echo $FLOAT $fpath[1]; env | grep -c TSM_Z";
    let environment = [
        ("CONST", "c"),
        ("NUM", "7"),
        ("LDX", "a:b"),
        ("FLOAT", "1.50"),
    ];
    let script = zsh.file("show", show.replace("; ", "\n").as_bytes());
    let said = zsh.service(&state, &environment, &[&script]);
    assert_eq!(said.err, "");
    assert_eq!(
        said.out,
        "build='echo alias'\nrun-help: function\nksh\nbuild () {\n\tls /x\n\tprint built\n}\nab\nmine\ntypeset -i COUNT=5\nexport -r CONST=c\nexport -i NUM=7\ntypeset -aU unique=( a b )\nold h scalar-hideval a 1\nrun-help: function\n1.50 /x\n0\n"
    );
    // The environment decides.
    let given = without(&state, &["COUNT"]);
    assert_eq!(
        zsh.prints(&given, &[("FOO", "new")], "echo $FOO ${COUNT-none}"),
        "new none\n"
    );
}
