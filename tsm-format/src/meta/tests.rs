use proptest::prelude::*;

use super::*;

const EXAMPLE: &[u8] = b"script='entrypoints/devpages.sh' pid=71282 port=4001 \
    start_time=1758318163 type=cli tsm_id=60 cwd='/Users/mricos/src/devops/devpages'\n";

fn full() -> Meta {
    Meta {
        script: b"node it's".to_vec(),
        pid: Some(1),
        port: Some(65535),
        start_time: u64::MAX,
        kind: Kind::Daemon,
        kind_text: None,
        id: 7,
        cwd: b"/srv/\xff".to_vec(),
        state: Some(State::from("online")),
        desired: Some("up".into()),
        namespace: Some(String::new()),
        args: Some(b"--a 'b c'".to_vec()),
        run: Some(3),
        boot: Some("0b2c-11".into()),
        ticks: Some(12_345),
        last_pid: Some(6),
        last_ticks: Some(7),
        last_end: Some(8),
        lowered: Some("core 0".into()),
        started_ms: Some(1),
        restarts: Some(2),
        failures: Some(0),
        exit: Some("signal:11+core".into()),
        exit_ms: Some(4),
        reason: Some(b"two\nlines".to_vec()),
        next_ms: Some(5),
        slow: Some(true),
        request: Some("restart".into()),
        out_pipe: Some(8),
        err_pipe: Some(9),
        followed: Some(true),
        cgroup: Some("/sys/fs/cgroup/a".to_owned()),
        out_file: Some(b"/var/log/x y".to_vec()),
        err_file: Some(b"same".to_vec()),
        ready: Some(false),
        health: Some("starting".into()),
        status: Some(b"warming up".to_vec()),
        due_ms: Some(6),
        extra: vec![("node_env".into(), b"dev".to_vec()), ("z".into(), vec![])],
    }
}

#[test]
fn the_documented_line_stays_as_it_is() {
    let meta = Meta::parse(EXAMPLE).unwrap();
    assert_eq!(meta.script, b"entrypoints/devpages.sh");
    assert_eq!(
        (meta.pid, meta.port, meta.id),
        (Some(71282), Some(4001), 60)
    );
    assert_eq!((meta.start_time, meta.kind), (1_758_318_163, Kind::Cli));
    assert_eq!(meta.to_line(), EXAMPLE);
    assert_eq!(Fields::parse(EXAMPLE).unwrap().to_line(), EXAMPLE);
}

#[test]
fn writes_own_fields_in_their_order() {
    let line = full().to_line();
    let expected = br"script='node it'\''s' pid=1 port=65535 start_time=18446744073709551615 type=daemon tsm_id=7 cwd=$'/srv/\377' state=online desired=up namespace='' args='--a '\''b c'\''' run=3 boot=0b2c-11 ticks=12345 last_pid=6 last_ticks=7 last_end=8 lowered='core 0' started_ms=1 restarts=2 failures=0 exit=signal:11+core exit_ms=4 reason=$'two\nlines' next_ms=5 slow=1 request=restart out_pipe=8 err_pipe=9 followed=1 cgroup=/sys/fs/cgroup/a out_file='/var/log/x y' err_file=same ready=0 health=starting status='warming up' due_ms=6 node_env=dev z=''
";
    assert_eq!(
        line.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    assert_eq!(Meta::parse(&line).unwrap(), full());
    // Every known key, once, in the order of the list.
    let fields = Fields::parse(&line).unwrap();
    let keys: Vec<_> = fields.iter().map(|(key, _)| key).collect();
    assert_eq!(keys[..KNOWN.len()], KNOWN);
}

#[test]
fn reads_lines_of_the_original() {
    let line = b"type=python tpm_id=3 port=- pid= cwd=\"/a b\" script=server.py restart_count=2 \n";
    let meta = Meta::parse(line).unwrap();
    assert_eq!((meta.id, meta.port, meta.pid), (3, None, None));
    assert_eq!(
        (meta.kind, meta.kind_text.as_deref()),
        (Kind::Cli, Some(&b"python"[..]))
    );
    assert_eq!(meta.cwd, b"/a b");
    assert_eq!(
        meta.to_line(),
        b"script='server.py' pid= start_time=0 type=python tsm_id=3 cwd='/a b' restart_count=2\n"
    );
    for (pid, expected) in [("0", None), ("-", None), ("''", None), ("5", Some(5))] {
        let line = format!("script=a tsm_id=1 pid={pid} port=");
        assert_eq!(Meta::parse(line.as_bytes()).unwrap().pid, expected);
    }
    let meta = Meta::parse(b"TSM_ID=4 PID=9 script='x' start_dir='/d'").unwrap();
    assert_eq!((meta.id, meta.pid, &meta.cwd[..]), (4, Some(9), &b"/d"[..]));
    assert_eq!(meta.extra, [("start_dir".to_owned(), b"/d".to_vec())]);
    let meta = Meta::parse(b"script=x tsm_id=1 tpm_id=2 cwd=/c start_dir=/d").unwrap();
    assert_eq!(
        (meta.id, &meta.cwd[..], meta.extra.len()),
        (1, &b"/c"[..], 2)
    );
    assert_eq!(
        Meta::parse(b"script=$(id) tsm_id=1").unwrap().script,
        b"$(id)"
    );
}

#[test]
fn a_known_type_wins_over_the_text_of_an_unknown_one() {
    let mut meta = Meta::parse(b"script=x tsm_id=1 type=command").unwrap();
    meta.kind = Kind::Service;
    assert!(
        meta.to_line()
            .windows(13)
            .any(|window| window == b" type=service")
    );
}

#[test]
fn says_what_is_wrong_and_where() {
    let error = |line: &[u8]| Meta::parse(line).unwrap_err();
    assert_eq!(error(b""), MetaError::Empty);
    assert_eq!(error(b" \n"), MetaError::Empty);
    assert_eq!(error(&[0; 30]), MetaError::Nul { offset: 0 });
    assert_eq!(error(b"script=x\0"), MetaError::Nul { offset: 8 });
    assert_eq!(
        error(br"script=$'a\0' tsm_id=1"),
        MetaError::Nul { offset: 10 }
    );
    assert_eq!(
        error(b"script=x server.js"),
        MetaError::NotAnAssignment { offset: 9 }
    );
    assert_eq!(error(b"1a=x"), MetaError::NotAnAssignment { offset: 0 });
    assert_eq!(
        error(b"script=x tsm_id=1\npid=3"),
        MetaError::MoreThanOneLine { offset: 18 }
    );
    let kind = QuoteErrorKind::UnterminatedSingle;
    assert_eq!(
        error(b"pid=1 script='x"),
        MetaError::Quoting { offset: 13, kind }
    );
    assert_eq!(
        error(b"pid=1 tsm_id=1"),
        MetaError::Missing { field: "script" }
    );
    assert_eq!(error(b"script=x"), MetaError::Missing { field: "tsm_id" });
    for (field, value) in [
        ("pid", "x"),
        ("pid", "-1"),
        ("port", "65536"),
        ("start_time", "1.5"),
        ("tsm_id", "+1"),
        ("run", "18446744073709551616"),
        ("slow", "2"),
        ("state", r"$'\377'"),
    ] {
        let line = format!("script=x tsm_id=1 {field}={value}");
        assert_eq!(error(line.as_bytes()), MetaError::Malformed { field });
    }
    assert_eq!(error(b"script=x").to_string(), "field `tsm_id` is missing");
}

#[test]
fn later_duplicates_win_at_the_first_place() {
    let fields = Fields::parse(b"a=1 b=2 a=3\n").unwrap();
    assert_eq!(fields.to_line(), b"a=3 b=2\n");
    let meta = Meta::parse(b"script=x pid=1 tsm_id=1 u=1 pid=2 v=1 u=2").unwrap();
    assert_eq!(meta.pid, Some(2));
    assert_eq!(
        meta.extra,
        [("u".into(), b"2".to_vec()), ("v".to_owned(), b"1".to_vec())]
    );
}

#[test]
fn fields_are_set_and_removed() {
    let mut fields = Fields::default();
    fields.set("script", b"x").unwrap();
    fields.set("n", b"1").unwrap();
    fields.set("script", b"y").unwrap();
    assert_eq!(fields.get("script"), Some(&b"y"[..]));
    assert_eq!(fields.to_line(), b"script='y' n=1\n");
    assert_eq!(fields.remove("n"), Some(b"1".to_vec()));
    assert_eq!(fields.remove("n"), None);
    assert_eq!(
        fields.set("a-b", b""),
        Err(MetaError::BadKey { key: "a-b".into() })
    );
    assert_eq!(fields.set("a", b"x\0"), Err(MetaError::Nul { offset: 1 }));
}

#[test]
fn what_cannot_stand_in_a_line_is_left_out() {
    let mut meta = Meta::parse(EXAMPLE).unwrap();
    let extra: [(&str, &[u8]); 4] = [("a b", b"1"), ("pid", b"x"), ("", b""), ("nul", b"\0")];
    meta.extra = extra
        .map(|(key, value)| (key.to_owned(), value.to_vec()))
        .into();
    assert_eq!(meta.to_line(), EXAMPLE);
}

#[test]
fn bash_sources_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.meta");
    std::fs::write(&path, full().to_line()).unwrap();
    let script = r#"source "$1"; printf '%s\0' "$script" "$cwd" "$args" "$reason" "$exit" "$z""#;
    let mut bash = std::process::Command::new("bash");
    let output = bash
        .args(["--norc", "-c", script, "bash"])
        .arg(path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let expected = b"node it's\0/srv/\xff\0--a 'b c'\0two\nlines\0signal:11+core\0\0";
    assert_eq!(output.stdout, expected);
}

#[test]
fn many_unknown_fields_cost_no_quadratic_time() {
    let mut line = b"script=x tsm_id=1".to_vec();
    for index in 0..100_000 {
        line.extend(format!(" k{index}=v").into_bytes());
    }
    assert_eq!(Meta::parse(&line).unwrap().extra.len(), 100_000);
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        2 => prop::sample::select(b"'\"\\$ \n=aZ09_./-".to_vec()),
        1 => 1..=255_u8,
    ];
    prop::collection::vec(byte, 0..16)
}

prop_compose! {
    fn any_meta()(
        (script, cwd, args, reason, status) in
            (value(), value(), prop::option::of(value()), prop::option::of(value()), prop::option::of(value())),
        (pid, port, start_time, id) in
            (prop::option::of(1..=u32::MAX), any::<Option<u16>>(), any::<u64>(), any::<u32>()),
        (kind, kind_text) in prop_oneof![
            prop::sample::select(vec![Kind::Cli, Kind::Service, Kind::Daemon]).prop_map(|kind| (kind, None)),
            value().prop_map(|text| kind_of(&text)),
        ],
        texts in prop::collection::vec(prop::option::of("[^\0]{0,8}"), 7),
        numbers in prop::collection::vec(any::<Option<u64>>(), 9),
        failures in any::<Option<u32>>(),
        (slow, ready) in any::<(Option<bool>, Option<bool>)>(),
        extra in prop::collection::btree_map("x[a-z0-9_]{0,4}", value(), 0..5),
    ) -> Meta {
        let text = |index: usize| texts[index].clone();
        Meta {
            script, pid, port, start_time, kind, kind_text, id, cwd,
            state: text(0).map(|word| State::from(word.as_str())), desired: text(1), namespace: text(2), args, run: numbers[0],
            boot: text(3), ticks: numbers[1], last_pid: None, last_ticks: None, last_end: None, lowered: None, started_ms: numbers[2], restarts: numbers[3],
            failures, exit: text(4), exit_ms: numbers[4], reason, next_ms: numbers[5], slow,
            request: text(5), out_pipe: numbers[6], err_pipe: numbers[7], cgroup: None, followed: None, out_file: None, err_file: None,
            ready, health: text(6), status, due_ms: numbers[8],
            extra: extra.into_iter().rev().collect(),
        }
    }
}

proptest! {
    #[test]
    fn any_meta_round_trips(meta in any_meta()) {
        let line = meta.to_line();
        prop_assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
        prop_assert_eq!(Meta::parse(&line).unwrap(), meta);
        prop_assert_eq!(Fields::parse(&line).unwrap().to_line(), line);
    }

    #[test]
    fn reading_never_panics(any in prop::collection::vec(any::<u8>(), 0..60), special in value()) {
        for text in [any, special] {
            let starts: [&[u8]; 3] = [b"", b"script=x tsm_id=1 a=", b"script='x' pid="];
            for start in starts {
                let line = [start, &text[..]].concat();
                drop(Meta::parse(&line));
                drop(Fields::parse(&line));
            }
        }
    }
}
