mod real;

use super::*;
use crate::env::quote::quote;

fn dump(parts: &[(&str, &str)]) -> Vec<u8> {
    let parts = parts.iter().chain(&[("end", "")]);
    parts
        .flat_map(|(name, text)| [name.as_bytes(), b"\0", text.as_bytes(), b"\0"].concat())
        .collect()
}

fn composed(parts: &[(&str, &str)]) -> String {
    let parts = [&[("shell", "bash 5.2")], parts].concat();
    let state = ShellState::from_dump(&dump(&parts)).unwrap();
    assert_eq!(ShellState::parse(state.as_bytes()).unwrap(), state);
    String::from_utf8(state.as_bytes().to_vec()).unwrap()
}

#[test]
fn what_stands_in_the_environment_or_belongs_to_bash_is_left_out() {
    let text = composed(&[(
        "variables",
        "declare -x HOME=\"/root\"\ndeclare -ir EUID=\"0\"\ndeclare -- plain=\"a\nb\"\ndeclare -ix N=\"5\"\n\
         declare -r LOCKED=$'x\\'\\n'\ndeclare -ai SUMS=([0]=\"1\")\ndeclare -- _tsm_x=\"1\"\ndeclare -x UNSET\ndeclare -A none\n",
    )]);
    let section = text.split("# variables\n").nth(1).unwrap();
    let section = section.split("\n# aliases").next().unwrap();
    assert_eq!(
        section,
        "_tsm_new plain && builtin declare -- plain=\"a\nb\"\n[[ -v N ]] && builtin declare -ix N\n\
         _tsm_new LOCKED && builtin declare -r LOCKED=$'x\\'\\n'\n\
         _tsm_new SUMS && { builtin declare -a SUMS; SUMS=([0]=\"1\"); builtin declare -ai SUMS; }\n\
         _tsm_new UNSET && builtin declare -x UNSET\n_tsm_new none && builtin declare -A none\n"
    );
    assert!(
        text.starts_with(
            "# TSM shell snapshot for bash 5.2: 0 functions, 6 variables, 0 aliases\n"
        )
    );
}

#[test]
fn only_what_differs_from_a_new_bash_is_set() {
    let text = composed(&[
        (
            "set",
            "braceexpand:emacs:hashall:monitor:pipefail:nounset:history",
        ),
        (
            "shopt",
            "checkwinsize:nullglob:login_shell:expand_aliases:sourcepath",
        ),
        (
            "options",
            "shopt -s checkwinsize\nshopt -u promptvars\nshopt -s nullglob\nshopt -u extglob\nshopt -s sourcepath\nshopt -s expand_aliases\n",
        ),
    ]);
    assert!(text.contains("builtin shopt -s nullglob expand_aliases 2> /dev/null || :\n"));
    assert!(text.contains("shopt -u promptvars 2> /dev/null || :\n"));
    assert!(text.contains(
        "; \\builtin set -o pipefail -o nounset +o interactive-comments${_tsm_o:+ -$_tsm_o}\"\n"
    ));
}

#[test]
fn aliases_are_quoted_whole() {
    let text = composed(&[(
        "aliases",
        "alias ll='ls -l'\nalias q='it'\\''s\n$HOME'\nalias -- -x='1'\nalias a*b='2'\n",
    )]);
    let section = text.split("# aliases\n").nth(1).unwrap();
    for line in [
        "builtin alias -- 'll=ls -l'\n",
        "builtin alias -- '-x=1'\n",
        "builtin alias -- 'a*b=2'\n",
    ] {
        assert!(section.contains(line), "{section}");
    }
}

#[test]
fn what_is_cut_off_or_foreign_is_refused() {
    let whole = dump(&[("shell", "bash 5.2")]);
    assert_eq!(
        ShellState::from_dump(&whole[..whole.len() - 2]),
        Err(DumpError::CutOff)
    );
    assert_eq!(ShellState::from_dump(b""), Err(DumpError::CutOff));
    assert_eq!(
        ShellState::from_dump(&dump(&[("shell", "csh 1")])),
        Err(DumpError::UnknownShell)
    );
    let wrong = dump(&[("shell", "bash 5.2"), ("variables", "rm -rf /\n")]);
    assert!(matches!(
        ShellState::from_dump(&wrong),
        Err(DumpError::NotADeclaration(_))
    ));
}

/// The hook as bash gets it.
const HOOK: &str = include_str!("../../../../../shell/hook.bash");

/// Runs bash, and returns what it prints; it has to print nothing to standard error.
fn bash_prints(script: &[u8]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script");
    std::fs::write(&path, script).unwrap();
    let output = std::process::Command::new("/bin/bash")
        .arg("--norc")
        .arg(&path)
        .env_clear()
        .env("LANG", "C.UTF-8")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said, "", "{}", String::from_utf8_lossy(script));
    output.stdout
}

fn value() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let hard = proptest::sample::select(
        &b"'\"$`\\!\n\t\x01\x7f\x1b\xff\xe9 ]=[()*?~#;&|@%{}-a1\xc3\xa9"[..],
    );
    proptest::collection::vec(prop_oneof![hard, 1_u8..=255], 0..12)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_bash_variables_hold_comes_back(
        values in proptest::collection::vec((value(), value(), value()), 1..6),
    ) {
        if !std::path::Path::new("/bin/bash").exists() {
            return Ok(());
        }
        let mut define = Vec::new();
        let mut report = Vec::new();
        for (number, (a, b, c)) in values.iter().enumerate() {
            let [a, b, c] = [a, b, c].map(|value| quote(value));
            let text = |before: String, value: &[u8]| [before.as_bytes(), value, b"\n"].concat();
            define.extend(text(format!("plain{number}="), &a));
            define.extend(text(format!("declare -r fixed{number}="), &b));
            define.extend(text(format!("list{number}[3]="), &c));
            define.extend(text(format!("declare -l low{number}="), &a));
            // An empty key is none.
            define.extend(text(format!("declare -A map{number}; key=x"), &b));
            define.extend(format!("map{number}[$key]=$plain{number}\n").into_bytes());
            define.extend(text(format!("alias a{number}="), &c));
            report.extend(
                format!(
                    "printf '%s\\0' \"$plain{number}\" \"$fixed{number}\" \"${{!list{number}[@]}}\" \"${{list{number}[@]}}\" \
                     \"$low{number}\" \"${{!map{number}[@]}}\" \"${{map{number}[@]}}\" \"${{BASH_ALIASES[a{number}]}}\"\n"
                )
                .into_bytes(),
            );
        }

        let hook = HOOK.replace("@TSM@", "/bin/true");
        let state = b"{ _tsm_state \"$SHELLOPTS\" \"$BASHOPTS\"; } {_tsm_fd}>&1 >/dev/null\n";
        let dump = bash_prints(&[&define[..], hook.as_bytes(), state].concat());
        let state = ShellState::from_dump(&dump).unwrap();
        let before = bash_prints(&[&define[..], &report].concat());
        let after = bash_prints(&[state.as_bytes(), &report].concat());
        proptest::prop_assert_eq!(before, after);
    }

    #[test]
    fn no_dump_and_no_file_makes_the_reader_panic(bytes: Vec<u8>) {
        drop(ShellState::parse(&bytes));
        drop(ShellState::from_dump(&bytes));
        let framed = [b"shell\0bash 5\0variables\0", &bytes[..], b"\0end\0\0"].concat();
        drop(ShellState::from_dump(&framed));
        let framed = [b"shell\0bash 5\0aliases\0", &bytes[..], b"\0end\0\0"].concat();
        drop(ShellState::from_dump(&framed));
    }
}
