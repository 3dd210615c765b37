use std::process::Command;

use proptest::prelude::*;

use super::*;

fn kind(input: &[u8]) -> QuoteErrorKind {
    unquote_word(input).unwrap_err().kind
}

/// Bytes that matter to quoting, mixed with any others; no NUL.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => prop::sample::select(b"'\"\\$`!\n\t\r\x1b\x7f\x01 019afnxuUceE~#;&|*?{}[]=:\xc3\xa9\x80\xff".to_vec()),
        1 => 1..=255_u8,
    ];
    prop::collection::vec(byte, 0..40)
}

#[test]
fn quotes_plain_text_by_single_quotes() {
    assert_eq!(quote(b""), b"''");
    assert_eq!(quote(b"a b"), b"'a b'");
    assert_eq!(quote(br"a\b$`!"), br"'a\b$`!'");
    assert_eq!(quote(b"'"), br"''\'''");
    assert_eq!(quote("grüß".as_bytes()), "'grüß'".as_bytes());
}

#[test]
fn quotes_control_and_foreign_bytes_by_escapes_of_fixed_width() {
    assert_eq!(quote(b"a\nb\t\r\x1b[0m"), br"$'a\nb\t\r\e[0m'");
    assert_eq!(quote(b"\x011'\\"), br"$'\0011\'\\'");
    assert_eq!(quote(b"\x7f7"), br"$'\1777'");
    assert_eq!(quote(b"\xff0\xc3"), br"$'\3770\303'");
    assert_eq!(
        quote("\u{85}é\n".as_bytes()),
        "$'\\302\\205é\\n'".as_bytes()
    );
}

#[test]
fn joins_words() {
    let words: [&[u8]; 6] = [b"/bin/echo", b"-x=1,2@%+:", b"~", b"a b", b"", b"\n"];
    let line = quote_words(words.into_iter());
    assert_eq!(line, br"/bin/echo -x=1,2@%+: '~' 'a b' '' $'\n'");
    assert_eq!(split_words(&line).unwrap(), words);
    assert_eq!(quote_words(std::iter::empty()), b"");
}

#[test]
fn reads_adjacent_pieces_up_to_a_blank() {
    assert_eq!(
        unquote_word(b"a'b'\"c\"$'d'\\ e\tf"),
        Ok((b"abcd e".to_vec(), 14))
    );
    assert_eq!(unquote_word(b""), Ok((vec![], 0)));
    assert_eq!(unquote_word(b" a"), Ok((vec![], 0)));
    assert_eq!(unquote_word(b"a\\\nb"), Ok((b"ab".to_vec(), 4)));
    assert_eq!(
        unquote_word(b"$HOME;#`x`"),
        Ok((b"$HOME;#`x`".to_vec(), 10))
    );
    assert_eq!(unquote_word(b"'a'b"), Ok((b"ab".to_vec(), 4)));
    assert_eq!(unquote_word(b"'a\nb'\nc"), Ok((b"a\nb".to_vec(), 5)));
}

#[test]
fn names_what_is_wrong_and_where() {
    assert_eq!(
        unquote_word(b"ab'c").unwrap_err(),
        error(2, QuoteErrorKind::UnterminatedSingle)
    );
    assert_eq!(
        unquote_word(b"a\"c\\\"").unwrap_err(),
        error(1, QuoteErrorKind::UnterminatedDouble)
    );
    assert_eq!(
        unquote_word(b"a$'c\\'").unwrap_err(),
        error(1, QuoteErrorKind::UnterminatedAnsi)
    );
    assert_eq!(kind(b"$'\\"), QuoteErrorKind::UnterminatedAnsi);
    assert_eq!(kind(b"a\\"), QuoteErrorKind::TrailingBackslash);
    assert_eq!(split_words(b"a b 'c").unwrap_err().offset, 4);
    assert_eq!(
        error(4, QuoteErrorKind::Nul).to_string(),
        "NUL byte at byte 4"
    );
}

#[test]
fn lets_no_nul_out() {
    let inputs: [&[u8]; 9] = [
        b"a\0",
        b"'\0'",
        b"\"\0\"",
        b"\\\0",
        b"$'\0'",
        br"$'\0'",
        br"$'\x00'",
        br"$'\u0000'",
        br"$'\c@'",
    ];
    for input in inputs {
        assert_eq!(kind(input), QuoteErrorKind::Nul, "{}", input.escape_ascii());
    }
    assert_eq!(kind(br"$'\400'"), QuoteErrorKind::Nul);
    assert_eq!(kind(br"$'\ud800'"), QuoteErrorKind::NotACharacter);
}

#[test]
fn refuses_what_a_shell_would_act_on_where_told_to() {
    let inputs: [&[u8]; 8] = [
        b"$HOME",
        b"a;b",
        b"\"$(x)\"",
        b"\"`x`\"",
        b"A=(1",
        b"A=~/x",
        b"P=a:~b",
        b"a>b",
    ];
    for input in inputs {
        let refused = read_word(input, Unquoted::Refused).unwrap_err();
        assert!(matches!(refused.kind, QuoteErrorKind::NeedsShell(_)));
        assert!(read_word(input, Unquoted::Text).is_ok());
    }
    let taken: [&[u8]; 6] = [
        b"'$HOME'",
        b"\\$HOME",
        b"100$",
        b"a~b",
        b"\"\\$x ;~\"",
        b"\"$'x'\"",
    ];
    for input in taken {
        assert!(
            read_word(input, Unquoted::Refused).is_ok(),
            "{}",
            input.escape_ascii()
        );
    }
}

/// What bash makes of `words`, as arguments, in one call.
fn bash_words(words: &[u8]) -> Vec<Vec<u8>> {
    let script = [b"printf '%s\\0' ", words].concat();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let mut bash = Command::new("bash");
    let output = bash
        .arg("--norc")
        .arg(file.path())
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = output.stdout.strip_suffix(b"\0").unwrap();
    text.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
}

#[test]
fn reads_each_escape_as_bash_does() {
    let words = br#"$'\a\b\e\E\f\n\r\t\v\\\'\"\?' $'\1\12\123\1234\777' $'\x4\x41\x411\xg' $'\x{41}b\x{4' $'\x{141}c' $'\u41\u00e9\u20acx\U1f600\ug' $'\q\8\9' $'\ca\c[\c?\cZ' $'\c\'x' $'\c\\z' $'\c\n' $'\c' $"abc" "a\q\"\\\$\`b" a\bc'd'"e" "a'b" 'a"b' $'a\
b' "a\
b" "a
b""#;
    assert_eq!(split_words(words).unwrap(), bash_words(words));
}

#[test]
fn bash_reads_what_is_quoted() {
    let mut values = vec![vec![b'x'; 100 * 1024], b"!! $(x) `y` ~ * {a,b}".to_vec()];
    values.extend((1..=255).map(|byte| vec![byte]));
    values.extend((1..=255).map(|byte| vec![0xc3, byte, b'1', b'\n', byte, 0xa9]));
    let quoted: Vec<u8> = values
        .iter()
        .flat_map(|value| [&quote(value)[..], b" "].concat())
        .collect();
    assert!(!quoted.contains(&b'\n'));
    assert_eq!(bash_words(&quoted), values);
    assert_eq!(
        bash_words(&quote_words(values.iter().map(Vec::as_slice))),
        values
    );
}

proptest! {
    #[test]
    fn quoting_round_trips(value in value()) {
        let word = quote(&value);
        prop_assert!(str::from_utf8(&word).is_ok_and(|text| !text.contains(char::is_control)));
        prop_assert_eq!(unquote_word(&word), Ok((value, word.len())));
    }

    #[test]
    fn words_round_trip(words in prop::collection::vec(value(), 0..6)) {
        let line = quote_words(words.iter().map(Vec::as_slice));
        prop_assert_eq!(split_words(&line).unwrap(), words);
    }

    #[test]
    fn reading_never_panics(input in prop::collection::vec(any::<u8>(), 0..60), special in value()) {
        for input in [input, special] {
            let ansi = [b"$'", &input[..], b"'"].concat();
            for input in [&input, &ansi] {
                if let Ok((value, used)) = unquote_word(input) {
                    prop_assert!(used <= input.len() && !value.contains(&0));
                }
                drop(read_word(input, Unquoted::Refused));
                drop(split_words(input));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn bash_reads_any_value(values in prop::collection::vec(value(), 50..100)) {
        let quoted = quote_words(values.iter().map(Vec::as_slice));
        prop_assert_eq!(bash_words(&quoted), values);
    }
}
