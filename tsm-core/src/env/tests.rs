use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::*;

fn env(block: &[u8]) -> Environment {
    Environment::from_block(block).unwrap()
}

#[test]
fn reads_and_writes_a_block() {
    let block = b"A=1\0B=x=y\0A=\0a-b=\xff\0";
    let read = env(block);
    assert_eq!(read.len(), 4);
    assert_eq!(read.get(b"A"), Some(&b"1"[..]));
    assert_eq!(read.get(b"B"), Some(&b"x=y"[..]));
    assert_eq!(read.get(b"C"), None);
    assert_eq!(read.to_block(), block);
    assert_eq!(env(&block[..block.len() - 1]), read);
    assert!(env(b"").is_empty() && env(b"\0").is_empty());
}

#[test]
fn refuses_an_entry_by_its_index() {
    let error = Environment::from_block(b"A=1\0B\0").unwrap_err();
    assert_eq!(
        error,
        EnvError {
            entry: Some(1),
            kind: EnvErrorKind::NoEquals
        }
    );
    assert_eq!(
        error.to_string(),
        "entry 1: no `=` in it; a variable is NAME=value"
    );
    let error = Environment::from_block(b"=1\0").unwrap_err();
    assert_eq!(
        error,
        EnvError {
            entry: Some(0),
            kind: EnvErrorKind::EmptyName
        }
    );
    assert_eq!(
        Environment::from_block(b"A=1\0\0B=2\0").unwrap_err().entry,
        Some(1)
    );
}

#[test]
fn sets_in_place_and_drops_duplicates() {
    let mut env = env(b"A=1\0B=2\0A=3\0C=4\0A=5\0");
    env.set(b"A", b"x").unwrap();
    assert_eq!(env.to_block(), b"A=x\0B=2\0C=4\0");
    env.set(b"D", b"").unwrap();
    assert!(env.remove(b"B"));
    assert!(!env.remove(b"B"));
    assert_eq!(env.to_block(), b"A=x\0C=4\0D=\0");
}

#[test]
fn refuses_what_is_no_variable() {
    let mut env = Environment::new();
    let cases: [(&[u8], &[u8], &str); 4] = [
        (b"", b"1", "the name is empty"),
        (b"a=b", b"1", "the name `a=b` holds a `=`"),
        (b"a\0", b"1", "the name `a\0` holds a NUL byte"),
        (b"a", b"secret\0", "the value of `a` holds a NUL byte"),
    ];
    for (name, value, message) in cases {
        assert_eq!(env.set(name, value).unwrap_err().to_string(), message);
    }
    assert!(env.is_empty());
    assert_eq!(
        env.set_assignment(b"A").unwrap_err().kind,
        EnvErrorKind::NoEquals
    );
    assert_eq!(
        env.set_assignment(b"=x").unwrap_err().kind,
        EnvErrorKind::EmptyName
    );
    env.set_assignment(b"A=b=c").unwrap();
    env.set_assignment(b"E=").unwrap();
    assert_eq!(env.to_block(), b"A=b=c\0E=\0");
}

#[test]
fn strips_what_belongs_to_the_capturing_program() {
    let mut env = env(
        b"TSM_ID=1\0TSM_NAME=a\0TSM_COOKIE=c\0NOTIFY_SOCKET=/s\0WATCHDOG_PID=1\0WATCHDOG_USEC=1\0\
          LISTEN_PID=1\0LISTEN_FDS=1\0LISTEN_FDNAMES=x\0TSM_HOME=/t\0TSM_IDS=1\0LISTENER=1\0A=1\0",
    );
    env.strip_captured();
    assert_eq!(env.to_block(), b"TSM_HOME=/t\0TSM_IDS=1\0LISTENER=1\0A=1\0");
}

#[test]
fn takes_variables_of_the_os_that_are_some() {
    let pair = |name: &[u8], value: &[u8]| {
        (
            OsStr::from_bytes(name).to_owned(),
            OsStr::from_bytes(value).to_owned(),
        )
    };
    let env = Environment::from_os([pair(b"A", b"\xff"), pair(b"=x", b"1"), pair(b"B", b"")]);
    assert_eq!(env.to_block(), b"A=\xff\0B=\0");
}

#[test]
fn debug_shows_no_value() {
    let shown = format!("{:?}", env(b"TOKEN=hunter2\0B=1\0"));
    assert_eq!(
        shown,
        r#"Environment { len: 2, names: ["TOKEN", "B"], .. }"#
    );
}
