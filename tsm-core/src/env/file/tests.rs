use std::process::{Command, Output};

use proptest::prelude::*;

use super::*;
use crate::env::EnvErrorKind;

fn env(block: &[u8]) -> Environment {
    Environment::from_block(block).unwrap()
}

/// Reads `text` and gives the variables as a block.
fn read(text: &[u8]) -> Vec<u8> {
    parse(text).unwrap().to_block()
}

fn refused(text: &[u8]) -> (usize, EnvFileErrorReason) {
    let error = parse(text).unwrap_err();
    (error.line, error.reason)
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        2 => prop::sample::select(b"'\"\\$`!\n\t\x1b #=;-%()~aA_0 ".to_vec()),
        1 => 1..=255_u8,
    ];
    prop::collection::vec(byte, 0..most)
}

fn variables() -> impl Strategy<Value = Environment> {
    let odd_name = bytes(6).prop_map(|mut name| {
        name.retain(|&byte| byte != b'=');
        name.push(b'x');
        name
    });
    let name = prop_oneof![
        4 => "[A-Za-z_][A-Za-z0-9_]{0,6}".prop_map(String::into_bytes),
        1 => prop::sample::select(vec![b"UID".to_vec(), b"BASH_FUNC_f%%".to_vec(), b"export".to_vec()]),
        1 => odd_name,
    ];
    prop::collection::vec((name, bytes(20)), 0..12).prop_map(|list| {
        let mut env = Environment::new();
        for (name, value) in list {
            env.push(&name, &value).unwrap();
        }
        env
    })
}

#[test]
fn writes_one_variable_a_line() {
    let env = env(b"A=it's\0E=\0N=a\nb\0UID=0\0a-b=\x1b\0BASH_FUNC_f%%=() {\n}\0\xff=1\0");
    let text = format(&env);
    let expected = [
        HEADER,
        br"export A='it'\''s'
export E=''
export N=$'a\nb'
#= 'UID'='0'
#= 'a-b'=$'\e'
#= 'BASH_FUNC_f%%'=$'() {\n}'
#= $'\377'='1'
",
    ]
    .concat();
    assert_eq!(String::from_utf8(text.clone()), String::from_utf8(expected));
    assert_eq!(parse(&text).unwrap(), env);
    assert_eq!(format(&Environment::new()), HEADER);
    assert_eq!(parse(HEADER).unwrap(), Environment::new());
}

#[test]
fn reads_what_a_person_or_bash_wrote() {
    let text = br#"# my variables

A=1
B='two words' C="a \$b \"c\"" # two of them
export D=three\ words E=
  export	F=$'a\nb'
declare -x G="it's"
declare -rx H="1"
declare -x OLDPWD
export I="over
two lines"
#no variable
#= 'a-b'='1'
A=2"#;
    assert_eq!(
        read(text),
        b"A=1\0B=two words\0C=a $b \"c\"\0D=three words\0E=\0F=a\nb\0G=it's\0H=1\0\
          I=over\ntwo lines\0a-b=1\0A=2\0"
    );
    assert_eq!(read(b"A=\"1\"\nexport B='2'\n"), b"A=1\0B=2\0");
    assert_eq!(read(b"\n  # c\nA='1'"), b"A=1\0");
}

#[test]
fn names_the_line_that_cannot_be_read() {
    use EnvFileErrorReason as Reason;
    assert_eq!(
        refused(b"#\nexport A=1\nfoo\n"),
        (3, Reason::NotAnAssignment)
    );
    assert_eq!(refused(b"#\nexport -n A=1\n"), (2, Reason::NotAnAssignment));
    assert_eq!(
        refused(b"#\nPATH+=:/x\n"),
        (2, Reason::NotAnIdentifier("PATH+".into()))
    );
    let no_equals = EnvError {
        entry: None,
        kind: EnvErrorKind::NoEquals,
    };
    assert_eq!(refused(b"#= 'A'\n"), (1, Reason::Variable(no_equals)));
    assert_eq!(refused(b"#= 'A'='1' x\n"), (1, Reason::NotAnAssignment));
    let quoting = |offset, kind| Reason::Quoting(QuoteError { offset, kind });
    let unterminated = quoting(9, QuoteErrorKind::UnterminatedSingle);
    assert_eq!(refused(b"#\nexport A='1\n\n"), (2, unterminated));
    let expansion = quoting(15, QuoteErrorKind::NeedsShell('$'));
    assert_eq!(
        refused(b"export A='\n'\nexport PATH=/x:$PATH\n"),
        (3, expansion)
    );
    assert_eq!(
        refused(b"A=1\nB=\0\n"),
        (2, quoting(2, QuoteErrorKind::Nul))
    );
    let error = parse(b"export A=$B").unwrap_err();
    let message = "line 1: `$` that a shell would act on (quote it by `'…'`) at byte 9";
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_file_of_ours_that_was_damaged_is_told_with_the_damaged_line() {
    use EnvFileErrorReason as Reason;
    let whole = format(&env(b"A=1\0B=x y\0C=it's\0D=a\nb\0E=5\0"));
    let whole = String::from_utf8(whole).unwrap();
    let damaged = |from: &str, to: &str| {
        let text = whole.replacen(from, to, 1);
        assert_ne!(text, whole);
        refused(text.as_bytes())
    };
    let line = |(line, _)| line;
    assert_eq!(line(damaged("'x y'", "'x y")), 3);
    assert_eq!(line(damaged("'x y'", "x y'")), 3);
    assert_eq!(line(damaged("s'\n", "s\n")), 4);
    assert_eq!(line(damaged("b'\n", "b\n")), 5);
    assert_eq!(line(damaged("$'a", "$a")), 5);
    assert_eq!(damaged("'1'\n", "'1'"), (2, Reason::Behind));
    assert_eq!(refused(b""), (1, Reason::Empty));
    assert_eq!(refused(b" \n\n"), (1, Reason::Empty));
    // What a person adds by hand, and a comment behind it.
    let more = format!("{whole}\nF=1 # mine\n  export G=\"2\"\n# end\n");
    assert_eq!(
        read(more.as_bytes()),
        b"A=1\0B=x y\0C=it's\0D=a\nb\0E=5\0F=1\0G=2\0"
    );
}

proptest! {
    /// Whatever single byte is lost: the line is told, or only this line reads otherwise.
    #[test]
    fn a_lost_byte_changes_no_other_variable(env in variables(), at in any::<prop::sample::Index>()) {
        let mut text = format(&env);
        let at = HEADER.len() + at.index(text.len() - HEADER.len() + 1);
        prop_assume!(at < text.len());
        let line = text[..at].split(|&b| b == b'\n').count() - 1;
        text.remove(at);
        match parse(&text) {
            Ok(read) => {
                // The header is line 0. A line may have become a comment.
                let (before, number) = (line - 1, env.len());
                prop_assert!(read.len() == number || read.len() == number - 1);
                prop_assert!(read.iter().take(before).eq(env.iter().take(before)));
                let behind = number - before - 1;
                let tail = |all: &Environment| {
                    let all: Vec<_> = all.variables.iter().rev().take(behind).cloned().collect();
                    all
                };
                prop_assert_eq!(tail(&read), tail(&env));
            }
            Err(error) => prop_assert!(error.line == line + 1),
        }
    }
}

#[test]
fn reads_the_output_of_printenv() {
    let text = b"SHELL=/bin/bash\nQUOTED=\"it's\" $x \\n\nMULTI=a\nb c\n  d=e\nx-y=1\n\nEMPTY=\n\
        BASH_FUNC_f%%=() {  echo \"A=1\";\n export X=1\n}\nBASH_FUNC_g-h()=() { :\n}\n_=/usr/bin/printenv\n";
    assert_eq!(
        read(text),
        b"SHELL=/bin/bash\0QUOTED=\"it's\" $x \\n\0MULTI=a\nb c\n  d=e\nx-y=1\n\0EMPTY=\0\
          BASH_FUNC_f%%=() {  echo \"A=1\";\n export X=1\n}\0BASH_FUNC_g-h()=() { :\n}\0\
          _=/usr/bin/printenv\0"
    );
    assert_eq!(read(b"A=x\n\nB=y\n\n"), b"A=x\n\0B=y\n\0");
    assert_eq!(read(b"A=x"), b"A=x\0");
    assert_eq!(read(b"a-b=x\nB=1\n"), b"a-b=x\0B=1\0");
    assert_eq!(read(b"A=1\nBASH_FUNC_%%=x\n"), b"A=1\nBASH_FUNC_%%=x\0");
    assert_eq!(refused(b"\nhello\n"), (2, EnvFileErrorReason::NoVariable));
}

#[test]
fn reads_the_first_line_of_the_original() {
    let text = b"TSM_ENV_FILE=\"/srv/my app/env/local.env\"\nA=\"1\"\nexport B=2\n";
    assert_eq!(
        read(text),
        b"TSM_ENV_FILE=/srv/my app/env/local.env\0A=\"1\"\nexport B=2\0"
    );
    assert_eq!(read(b"TSM_ENV_FILE=\"\"\nA=1\n"), b"TSM_ENV_FILE=\0A=1\0");
    assert_eq!(
        read(b"A=1\nTSM_ENV_FILE=\"x\"\n"),
        b"A=1\0TSM_ENV_FILE=\"x\"\0"
    );
}

/// Sources `text` in an empty bash and gives what it wrote.
fn source(text: &[u8], locale: &str) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let mut bash = Command::new("/bin/bash");
    bash.args([
        "--norc",
        "-c",
        "source \"$1\"; exec /usr/bin/env -0",
        "bash",
    ])
    .arg(file.path());
    bash.env_clear().env("LC_ALL", locale).output().unwrap()
}

/// What sourcing `text` gives, sorted, less what bash itself sets.
fn sourced(text: &[u8], locale: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let output = source(text, locale);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    sorted(&env(&output.stdout))
}

fn sorted(env: &Environment) -> Vec<(Vec<u8>, Vec<u8>)> {
    let bashs: [&[u8]; 5] = [b"_", b"SHLVL", b"PWD", b"OLDPWD", b"LC_ALL"];
    let mut list = env.variables.clone();
    list.retain(|(name, _)| !bashs.contains(&name.as_slice()));
    list.sort();
    list
}

#[test]
fn bash_gives_every_value_back() {
    let mut values: Vec<Vec<u8>> = (1..=255).map(|byte| vec![b'a', byte, b'1']).collect();
    let more: [&[u8]; 7] = [
        b"",
        b"'",
        b"\x1b[1mred\x1b[0m",
        b"two\nlines\n",
        b"$HOME `id` $(id) !! \\",
        b"\xff\xfe\xc3",
        b"a  b\t c",
    ];
    values.extend(more.map(<[u8]>::to_vec));
    values.push("'x\n\u{1f600}\"".repeat(10_000).into_bytes());
    values.push(vec![b'y'; 100 * 1024]);
    let mut env = Environment::new();
    for (index, value) in values.iter().enumerate() {
        env.set(std::format!("V{index}").as_bytes(), value).unwrap();
    }
    for locale in ["C.UTF-8", "C"] {
        assert_eq!(sourced(&format(&env), locale), sorted(&env));
    }
}

#[test]
fn bash_is_silent_about_what_it_cannot_take() {
    let env = env(
        b"SHELLOPTS=x\0BASHOPTS=x\0UID=7\0EUID=7\0PPID=7\0BASH_VERSINFO=x\0a-b=1\0\
          BASH_FUNC_f%%=() { :\n}\0\xff=1\x001A=1\0A=1\0",
    );
    assert_eq!(
        sourced(&format(&env), "C.UTF-8"),
        [(b"A".to_vec(), b"1".to_vec())]
    );
    assert_eq!(parse(&format(&env)).unwrap(), env);
}

proptest! {
    #[test]
    fn any_environment_round_trips(env in variables()) {
        prop_assert_eq!(parse(&format(&env)).unwrap(), env);
    }

    #[test]
    fn reading_never_panics(text in bytes(60), any in prop::collection::vec(any::<u8>(), 0..60)) {
        let starts: [&[u8]; 6] =
            [b"", b"#\n", b"export ", b"#= ", b"TSM_ENV_FILE=\"", b"declare -x A=\""];
        for start in starts {
            for text in [&text, &any] {
                drop(parse(&[start, &text[..]].concat()));
            }
        }
    }

    #[test]
    fn printenv_round_trips(values in prop::collection::vec("[ -~]{0,9}(\n [ -~]{0,9}){0,3}\n{0,2}", 1..9)) {
        let mut env = Environment::new();
        let mut text = Vec::new();
        for (index, value) in values.iter().enumerate() {
            env.set(std::format!("V{index}").as_bytes(), value.as_bytes()).unwrap();
            text.extend(std::format!("V{index}={value}\n").into_bytes());
        }
        prop_assert_eq!(parse(&text).unwrap(), env);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn bash_sources_any_value(values in prop::collection::vec(bytes(30), 40..80)) {
        let mut env = Environment::new();
        for (index, value) in values.iter().enumerate() {
            env.set(std::format!("V{index}").as_bytes(), value).unwrap();
        }
        prop_assert_eq!(sourced(&format(&env), "C.UTF-8"), sorted(&env));
    }
}
