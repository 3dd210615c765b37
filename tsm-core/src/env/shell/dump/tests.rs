use super::*;

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
        "declare -- plain=\"a\nb\"\ndeclare -ix N\ndeclare -r LOCKED=$'x\\'\\n'\ndeclare -a SUMS=([0]=\"1\")\n\
         declare -ai SUMS\ndeclare -x UNSET\ndeclare -A none\n"
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
            "shopt -s checkwinsize\nshopt -u promptvars\nshopt -s nullglob\nshopt -u extglob\nshopt -s sourcepath\n",
        ),
    ]);
    assert!(text.contains("shopt -s nullglob 2> /dev/null || :\n"));
    assert!(text.contains("shopt -u promptvars 2> /dev/null || :\n"));
    assert!(text.contains("\nshopt -s expand_aliases\n"));
    assert!(text.contains("\n\\set -o pipefail -o nounset +o interactive-comments\n"));
}

#[test]
fn aliases_are_quoted_whole() {
    let text = composed(&[(
        "aliases",
        "alias ll='ls -l'\nalias q='it'\\''s\n$HOME'\nalias -- -x='1'\nalias a*b='2'\n",
    )]);
    let section = text.split("# aliases\n").nth(1).unwrap();
    for line in [
        "alias -- 'll=ls -l'\n",
        "alias -- '-x=1'\n",
        "alias -- 'a*b=2'\n",
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
