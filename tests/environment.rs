//! Variables arrive as they were, byte for byte, however often a process is started again.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use crate::bed::{Bed, run};
use crate::processes::{self, Seen};

/// Names and values that are hard to carry.
fn hard_variables() -> Vec<(Vec<u8>, Vec<u8>)> {
    let large: Vec<u8> = (0..100 << 10).map(|n| b' ' + (n % 94) as u8).collect();
    let pairs: &[(&[u8], &[u8])] = &[
        (b"EMPTY", b""),
        (b"NEWLINES", b"\na\n\nb\n"),
        (b"ESCAPE", b"\x1b[31mred\x1b[0m\x07\x01\x7f"),
        (b"TABS", b"\t a\r\n"),
        (b"NOT_UTF8", b"\xff\xfe caf\xe9"),
        (b"UTF8", "žluťoučký 🐎".as_bytes()),
        (b"QUOTES", b"'\"'\\''$'x'`id`$(id)$HOME;!"),
        (b"EQUALS", b"a=b=c"),
        (b"BLANKS", b"  two  "),
        (b"BACKSLASH", b"\\n\\\\"),
        (b"EXPORT", b"x\nexport INJECTED='1'\n#= 'A'='b'"),
        (b"BASH_FUNC_greet%%", b"() {  echo \"hello\n}\"\n}"),
        (b"BASH_FUNC_other()", b"() { :; }"),
        (b"with-dash", b"1"),
        (b"with space", b"1"),
        (b"with.dot", b"1"),
        (b"1digit", b"1"),
        (b"qu'ote", b"1"),
        (b"new\nline", b"1"),
        (b"not\xffutf8", b"\xff"),
        ("ünïcode".as_bytes(), b"1"),
        (b"UID", b"77"),
        (b"SHELLOPTS", b"braceexpand:xtrace"),
        (b"PWD", b"/somewhere/else"),
        (b"OLDPWD", b"/before"),
        (b"SHLVL", b"9"),
        (b"_", b"/what/ran"),
        (b"BASH_ENV", b"/no/such/file"),
        (b"IFS", b"x"),
        (b"LD_SOMETHING", b"x"),
    ];
    let mut variables: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    variables.push((b"LARGE".to_vec(), large));
    // And as many of random bytes as make three hundred.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for number in variables.len()..300 {
        let value: Vec<u8> = (0..draw(60)).map(|_| 1 + draw(255) as u8).collect();
        let name = match number % 3 {
            0 => format!("WILD_{number}").into_bytes(),
            1 => [
                format!("wild {number} ").as_bytes(),
                &[1 + draw(60) as u8, 0x80],
            ]
            .concat(),
            _ => format!("BASH_FUNC_wild{number}%%").into_bytes(),
        };
        variables.push((name, value));
    }
    variables
}

fn with(mut command: Command, variables: &[(Vec<u8>, Vec<u8>)]) -> Command {
    for (name, value) in variables {
        command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
    }
    command
}

/// The variables that `command` gives to what it executes, as `NAME=value`, sorted.
fn variables_of(command: &Command) -> Vec<Vec<u8>> {
    let mut entries: Vec<Vec<u8>> = command
        .get_envs()
        .filter_map(|(name, value)| Some([name.as_bytes(), b"=", value?.as_bytes()].concat()))
        .collect();
    entries.sort();
    entries
}

/// Requires that a process has exactly these variables and those that TSM adds.
#[track_caller]
fn assert_environment(pid: u32, expected: &[Vec<u8>], when: &str) {
    let added: [&[u8]; 3] = [b"TSM_ID=", b"TSM_NAME=", b"TSM_COOKIE="];
    let (own, found): (Vec<_>, Vec<_>) = processes::environment(pid)
        .into_iter()
        .partition(|entry| added.iter().any(|name| entry.starts_with(name)));
    let text = |entries: &[Vec<u8>], others: &[Vec<u8>]| -> Vec<String> {
        entries
            .iter()
            .filter(|entry| !others.contains(entry))
            .map(|entry| String::from_utf8_lossy(&entry[..entry.len().min(80)]).into_owned())
            .collect()
    };
    let (missing, more) = (text(expected, &found), text(&found, expected));
    assert!(
        missing.is_empty() && more.is_empty(),
        "{when}: missing {missing:?}, not expected {more:?}"
    );
    assert_eq!(own.len(), added.len(), "{when}");
}

#[test]
fn variables_survive_restart_crash_stop_and_another_shell() {
    let bed = Bed::new();
    let command = bed.tsm_command(["start", "--name", "a", "--", "sleep", "100000"]);
    let command = with(command, &hard_variables());
    let expected = variables_of(&command);
    run(command).ok();
    let pid = bed.pid("a");
    assert_environment(pid, &expected, "after start");

    bed.tsm(["restart", "a"]).ok();
    assert_environment(bed.pid("a"), &expected, "after restart");

    let before = bed.crash("a");
    let pid = bed.wait_new_pid("a", before);
    assert_environment(pid, &expected, "after a crash");

    bed.tsm(["stop", "a"]).ok();
    let mut other = bed.tsm_command(["start", "a"]);
    other
        .env("OTHER", "shell")
        .env("EMPTY", "no")
        .env_remove("COLUMNS");
    run(other).ok();
    assert_environment(bed.pid("a"), &expected, "after stop and start");

    // And when no supervisor is left that could remember.
    bed.tsm(["stop", "a"]).ok();
    bed.tsm(["supervisor", "stop"]).ok();
    bed.tsm(["start", "a"]).ok();
    assert_environment(bed.pid("a"), &expected, "by another supervisor");

    // As after a reboot: by its record, and by the dump where it has none.
    bed.tsm(["save"]).ok();
    bed.tsm(["supervisor", "stop"]).ok();
    Seen::now(bed.pid("a")).signal(rustix::process::Signal::KILL);
    bed.wait_state("a", "failed");
    bed.edit_meta("a", "boot", "00000000-0000-4000-8000-000000000000");
    bed.tsm(["resurrect", "--detach", "--boot"]).ok();
    assert_environment(bed.pid("a"), &expected, "after a reboot");
    bed.tsm(["delete", "a"]).ok();
    bed.tsm(["resurrect", "--detach"]).ok();
    assert_environment(bed.pid("a"), &expected, "from the dump");
}

#[test]
fn restart_from_another_shell_keeps_the_environment() {
    let bed = Bed::new();
    let mut command = bed.tsm_command(["start", "--name", "a", "--", "sleep", "100000"]);
    command.env("KEPT", "1");
    let expected = variables_of(&command);
    run(command).ok();
    let mut other = bed.tsm_command(["restart", "a"]);
    other.env("KEPT", "2").env("NEW", "1");
    run(other).ok();
    assert_environment(bed.pid("a"), &expected, "after restart");
}

#[test]
fn tsm_says_who_a_process_is() {
    let bed = Bed::new();
    bed.start_idle("before");
    bed.tsm([
        "start", "--name", "api", "--port", "4971", "--", "sleep", "100000",
    ])
    .ok();
    let pid = bed.pid("api");
    let variable = |name| processes::variable(pid, name).map(|v| v.into_string().unwrap());
    assert_eq!(variable("TSM_ID").as_deref(), Some("2"));
    assert_eq!(variable("TSM_NAME").as_deref(), Some("api"));
    assert_eq!(variable("PORT").as_deref(), Some("4971"));
    let cookie = variable("TSM_COOKIE").unwrap();
    let prefix = format!("{}:2:", bed.home().display());
    let run: u64 = cookie.strip_prefix(&prefix).unwrap().parse().unwrap();
    bed.tsm(["restart", "api"]).ok();
    let cookie = processes::variable(bed.pid("api"), "TSM_COOKIE").unwrap();
    let cookie = cookie.into_string().unwrap();
    let next: u64 = cookie.strip_prefix(&prefix).unwrap().parse().unwrap();
    assert!(next > run, "{run} {next}");
    // Without --port there is no PORT, and the shell's own one stays.
    assert_eq!(processes::variable(bed.pid("before"), "PORT"), None);
    let mut command = bed.tsm_command(["start", "--name", "c", "--", "sleep", "100000"]);
    command.env("PORT", "not a number");
    crate::bed::run(command).ok();
    let port = processes::variable(bed.pid("c"), "PORT");
    assert_eq!(port.unwrap(), "not a number");
}

#[test]
fn what_was_meant_for_the_caller_alone_is_not_captured() {
    let bed = Bed::new();
    let mut command = bed.tsm_command(["start", "--name", "a", "--", "sleep", "100000"]);
    let expected = variables_of(&command);
    for name in [
        "TSM_ID",
        "TSM_NAME",
        "TSM_COOKIE",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
    ] {
        command.env(name, "99");
    }
    run(command).ok();
    let pid = bed.pid("a");
    assert_environment(pid, &expected, "after start");
    assert_eq!(processes::variable(pid, "TSM_ID").unwrap(), "1");
    assert_eq!(processes::variable(pid, "TSM_NAME").unwrap(), "a");
    for keeper in [bed.supervisor_pid(), bed.guardian_pid()] {
        for name in ["TSM_ID", "TSM_NAME", "TSM_COOKIE"] {
            assert_eq!(processes::variable(keeper.unwrap(), name), None, "{name}");
        }
    }
}

#[test]
fn a_service_may_start_another_one_that_lives_on_its_own() {
    let bed = Bed::new();
    let text = format!(
        "#!/bin/sh\n'{}' start --name inner -- sleep 100000\nexec sleep 100000\n",
        crate::bed::TSM
    );
    bed.script("outer.sh", &text);
    bed.tsm(["start", "./outer.sh"]).ok();
    bed.wait_log("outer.out", "TSM ID: 2");
    let inner = bed.pid("inner");
    assert_eq!(processes::variable(inner, "TSM_NAME").unwrap(), "inner");
    bed.tsm(["stop", "outer"]).ok();
    assert_eq!(bed.pid("inner"), inner);
    assert_eq!(bed.state("inner"), "running");
}

#[test]
fn variables_are_set_and_the_last_one_counts() {
    let bed = Bed::new();
    let args = [
        "--env", "A=1", "--env", "B=x=y z", "--env", "A=2", "--env", "EMPTY=",
    ];
    let mut command = bed.tsm_command(["start", "--name", "a"]);
    command
        .args(args)
        .args(["--", "sleep", "100000"])
        .env("A", "0");
    run(command).ok();
    let pid = bed.pid("a");
    assert_eq!(processes::variable(pid, "A").unwrap(), "2");
    assert_eq!(processes::variable(pid, "B").unwrap(), "x=y z");
    assert_eq!(processes::variable(pid, "EMPTY").unwrap(), "");
}

#[test]
fn bash_reads_the_snapshot_without_a_word() {
    let bed = Bed::new();
    if !crate::programs::has("bash") {
        return;
    }
    let plain: Vec<_> = hard_variables()
        .into_iter()
        .filter(|(name, _)| {
            name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
                && !name[0].is_ascii_digit()
                // Bash does not take, or itself keeps, these.
                && ![&b"UID"[..], b"SHELLOPTS", b"_", b"SHLVL", b"PWD", b"OLDPWD"].contains(&&**name)
        })
        .collect();
    let command = bed.tsm_command(["start", "--name", "a", "--", "sleep", "100000"]);
    run(with(command, &hard_variables())).ok();
    let mut bash = Command::new("bash");
    bash.env_clear()
        .args(["--norc", "-c", ". \"$0\" && exec cat /proc/self/environ"])
        .arg(bed.home().join("processes/a.env"));
    // Sourced values do not stand in the environ of bash itself, but in that of what it executes.
    let output = run(bash);
    assert_eq!(output.stderr, "");
    let found: Vec<&[u8]> = output.bytes.split(|&b| b == 0).collect();
    for (name, value) in plain {
        let entry = [&name[..], b"=", &value].concat();
        assert!(
            found.contains(&&*entry),
            "{}",
            String::from_utf8_lossy(&name)
        );
    }
    assert!(!output.stdout.contains("\0INJECTED="));
}
