//! A supervisor that a command starts by itself, put into a transient unit of the user's own systemd: where the user lingers, that
//! outlives the login, and starts guardian and supervisor again where both are killed.
//!
//! `systemd-run` asks for it and waits until the guardian said that a supervisor is at work: some 15 ms more than without. Where
//! anything of it fails, the supervisor is started in the caller's session, as on a machine without systemd.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Launcher;
use super::silence::Silence;
use crate::error::{BestEffort as _, Result};
use crate::home::Home;
use crate::startup::does_linger;
use crate::supervise::{STANDING, UNIT};
use crate::sys::{Pidfd, account, standing};

/// What the unit is besides its program. A supervisor that ended well, or that could not begin, is not started again (exit statuses
/// of `tsm`); everything else is, again and again.
const PROPERTIES: [&str; 16] = [
    "Type=notify",
    "NotifyAccess=main",
    "Delegate=yes",
    "KillMode=process",
    "Restart=on-failure",
    "RestartSec=100ms",
    "StartLimitIntervalSec=0",
    "RestartPreventExitStatus=1 2 3 4 5 6 7",
    "SuccessExitStatus=3",
    // When the kernel kills one of many services, that is not the end of the others.
    "OOMPolicy=continue",
    "TasksMax=infinity",
    // How long it may take is up to the command that waits.
    "TimeoutStartSec=infinity",
    "WorkingDirectory=/",
    "UMask=0077",
    "StandardInput=null",
    "StandardOutput=null",
];

/// What the user's systemd has already, and better.
const ITS_OWN: [&str; 2] = ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];

/// The runtime directory of the user's own systemd, where it can be reached and goes on when the user logs out.
pub(super) fn manager(launcher: &Launcher) -> Option<PathBuf> {
    let runtime = launcher
        .environment
        .iter()
        .find(|(name, _)| name == "XDG_RUNTIME_DIR")?;
    let runtime = PathBuf::from(&runtime.1);
    let uid = account::effective_uid();
    // After `su` the variable may still name another user's directory.
    let is_ours = |path: &Path| std::fs::metadata(path).is_ok_and(|meta| meta.uid() == uid);
    let reachable = is_ours(&runtime.join("systemd/private")) && is_ours(&runtime.join("bus"));
    // Without lingering, the user's systemd ends with the last login, and the unit with it.
    (reachable && does_linger(&account::name_of(uid))).then_some(runtime)
}

/// Starts it there, and waits until a supervisor is at work, as long as `silence` allows.
///
/// # Errors
/// Those of waiting. Where it was not started there, why, in words.
pub(super) fn start(
    runtime: &Path,
    home: &Home,
    launcher: &Launcher,
    silence: &mut Silence<'_>,
) -> Result<std::result::Result<(), String>> {
    let mut command = Command::new("systemd-run");
    command
        .args(words(home, launcher))
        .env_clear()
        .envs(
            launcher
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .env("XDG_RUNTIME_DIR", runtime)
        .env(
            "DBUS_SESSION_BUS_ADDRESS",
            whole(&["unix:path=".as_ref(), runtime.join("bus").as_os_str()]),
        )
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Err(format!("systemd-run: {error}"))),
    };
    let ended = match Pidfd::open_child(child.id()) {
        Ok(handle) => silence.readable(&handle)?,
        Err(_) => false,
    };
    // Killed first, since it may hang.
    if !ended {
        child
            .kill()
            .best_effort("it is a child of ours that was not waited for");
        child
            .wait()
            .best_effort("it is a child of ours that was not waited for");
        return Ok(Err("systemd-run does not come back".to_owned()));
    }
    let status = match child.wait() {
        Ok(status) if status.success() => return Ok(Ok(())),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let mut said = [0; 512];
    let length = child
        .stderr
        .and_then(|mut stderr| stderr.read(&mut said).ok());
    let said = String::from_utf8_lossy(&said[..length.unwrap_or(0)]).into_owned();
    let first = said.lines().next().unwrap_or_default();
    Ok(Err(format!("systemd-run: {status}: {first}")))
}

/// The words of `systemd-run`.
fn words(home: &Home, launcher: &Launcher) -> Vec<OsString> {
    let unit = name();
    let program = launcher.program.as_os_str();
    let mut words: Vec<OsString> = ["--user", "--quiet", "--collect"].map(Into::into).into();
    let mut description = OsString::from("--description=TSM: the supervisor of ");
    description.push(home.root());
    words.push(format!("--unit={unit}").into());
    words.push(description);
    let mut property = |text: OsString| words.extend(["--property".into(), text]);
    for text in PROPERTIES {
        property(text.into());
    }
    // A unit has the adjustment of systemd by default, and not that of the shell.
    if let Ok(adjustment) = std::fs::read_to_string("/proc/self/oom_score_adj") {
        property(format!("OOMScoreAdjust={}", adjustment.trim()).into());
    }
    let mut log = OsString::from("StandardError=append:");
    log.push(home.supervisor_log());
    property(log);
    // This very program runs after the main one, and sees that it is not the main process: see
    // `supervise::make_room`.
    let mut after = OsString::from("ExecStopPost=-");
    let all = std::iter::once(program).chain(launcher.arguments.iter().map(OsString::as_os_str));
    for (number, word) in all.enumerate() {
        after.push(if number == 0 { "" } else { " " });
        after.push(quoted(word));
    }
    property(after);
    let given = launcher.environment.iter();
    // These two describe this login, which may end; systemd gives the unit its own.
    let given = given.filter(|(name, _)| !ITS_OWN.iter().any(|own| name == own));
    let own = [
        (OsString::from(UNIT), OsString::from(&unit)),
        (STANDING.into(), standing::own().into()),
    ];
    for (name, value) in given.cloned().chain(own) {
        words.push(whole(&["--setenv=".as_ref(), &name, "=".as_ref(), &value]));
    }
    words.push("--".into());
    // systemd expands `$` in the words of a command.
    words.push(expanded(program));
    words.extend(launcher.arguments.iter().map(|word| expanded(word)));
    words
}

/// A name that no unit has: one whose services run on is there until the last has ended.
fn name() -> String {
    format!("tsm-{}.service", &super::conversation::token()[..12])
}

/// A word for systemd, which expands `$NAME` when it executes a program.
fn expanded(word: &OsStr) -> OsString {
    let mut bytes = Vec::with_capacity(word.len());
    for &byte in word.as_bytes() {
        bytes.extend(if byte == b'$' {
            &b"$$"[..]
        } else {
            std::slice::from_ref(&byte)
        });
    }
    OsString::from_vec(bytes)
}

/// The same as a word of a command line in one text.
fn quoted(word: &OsStr) -> OsString {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@:=,".contains(byte);
    if !word.is_empty() && word.as_bytes().iter().all(is_plain) {
        return word.to_owned();
    }
    let mut bytes = vec![b'"'];
    for &byte in expanded(word).as_bytes() {
        match byte {
            b'"' | b'\\' => bytes.extend([b'\\', byte]),
            b'\n' => bytes.extend(b"\\n"),
            byte => bytes.push(byte),
        }
    }
    bytes.push(b'"');
    OsString::from_vec(bytes)
}

/// Pieces of a word, one behind the other.
fn whole(pieces: &[&OsStr]) -> OsString {
    let mut whole = OsString::new();
    for piece in pieces {
        whole.push(piece);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_program_as_they_are() {
        assert_eq!(quoted("/usr/bin/tsm".as_ref()), "/usr/bin/tsm");
        assert_eq!(quoted("/a b/\"$x\\".as_ref()), "\"/a b/\\\"$$x\\\\\"");
        assert_eq!(quoted("".as_ref()), "\"\"");
        assert_eq!(expanded("/$HOME/%h".as_ref()), "/$$HOME/%h");
    }

    #[test]
    fn nobody_is_asked_where_there_is_no_manager() {
        let directory = tempfile::tempdir().unwrap();
        let launcher = |environment: Vec<(OsString, OsString)>| Launcher {
            program: "/bin/tsm".into(),
            arguments: vec![],
            environment,
        };
        assert_eq!(manager(&launcher(vec![])), None);
        let there = ("XDG_RUNTIME_DIR".into(), directory.path().into());
        assert_eq!(manager(&launcher(vec![there])), None);
    }

    #[test]
    fn a_unit_has_a_name_of_its_own_and_the_callers_environment() {
        let launcher = Launcher {
            program: "/opt/my tsm".into(),
            arguments: vec!["supervisor".into(), "guard".into()],
            environment: vec![
                ("PATH".into(), "/bin".into()),
                ("XDG_RUNTIME_DIR".into(), "/run/user/1".into()),
            ],
        };
        let all = |_| {
            let words = words(&Home::at("/srv/my home"), &launcher);
            let words = words.into_iter().map(|word| word.into_string().unwrap());
            words.collect::<Vec<_>>()
        };
        let (one, two) = (all(1), all(2));
        assert_ne!(one[3], two[3]);
        for word in [
            "--description=TSM: the supervisor of /srv/my home",
            "KillMode=process",
            "StandardError=append:/srv/my home/logs/tsm.log",
            "ExecStopPost=-\"/opt/my tsm\" supervisor guard",
            "--setenv=PATH=/bin",
        ] {
            assert!(one.iter().any(|known| known == word), "no {word}: {one:?}");
        }
        assert!(
            !one.iter().any(|word| word.contains("/run/user/1")),
            "{one:?}"
        );
        assert_eq!(
            one[one.len() - 4..],
            ["--", "/opt/my tsm", "supervisor", "guard"]
        );
    }
}
