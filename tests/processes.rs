//! What the kernel says of processes.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// A process that is still the same one when its number was given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: u32,
    start: u64,
}

impl Seen {
    /// The process that has this number now.
    #[track_caller]
    pub(crate) fn now(pid: u32) -> Self {
        match stat(pid) {
            Some(stat) => Self {
                pid,
                start: stat.start,
            },
            None => panic!("there is no process {pid}"),
        }
    }

    /// Whether it lives; a zombie does not.
    pub(crate) fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.start == self.start && !stat.ended)
    }

    /// Sends it a signal, if it is still there.
    pub(crate) fn signal(self, signal: Signal) {
        if self.is_alive() {
            signal_pid(self.pid, signal);
        }
    }
}

/// Signals a process that this test started.
fn signal_pid(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        // It may have ended a moment ago.
        let _ = kill_process(pid, signal);
    }
}

/// A line of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) ended: bool,
    pub(crate) stopped: bool,
    pub(crate) session: u32,
    pub(crate) group: u32,
    start: u64,
}

pub(crate) fn stat(pid: u32) -> Option<Stat> {
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    // The name in parentheses may hold anything; the fields behind it count from the state, the third.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        ended: matches!(fields[0], "Z" | "X"),
        stopped: fields[0] == "T",
        group: number(5)? as u32,
        session: number(6)? as u32,
        start: number(22)?,
    })
}

/// A field of `/proc/PID/status`.
#[track_caller]
pub(crate) fn status_field(pid: u32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap().trim().to_owned()
}

/// Where a link under `/proc/PID` leads.
#[track_caller]
pub(crate) fn link(pid: u32, name: &str) -> PathBuf {
    let path = format!("/proc/{pid}/{name}");
    match fs::read_link(&path) {
        Ok(target) => target,
        Err(error) => panic!("{path}: {error}"),
    }
}

/// The open descriptors of a process and where each leads.
#[track_caller]
pub(crate) fn descriptors(pid: u32) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number = path.file_name()?.to_str()?.parse().ok()?;
            Some((number, fs::read_link(path).ok()?))
        })
        .collect();
    found.sort();
    found
}

/// The environment that a process was executed with, sorted.
#[track_caller]
pub(crate) fn environment(pid: u32) -> Vec<Vec<u8>> {
    let block = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let mut entries: Vec<Vec<u8>> = block
        .split(|&b| b == 0)
        .filter(|entry| !entry.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    entries.sort();
    entries
}

/// A variable of the environment that a process was executed with.
#[track_caller]
pub(crate) fn variable(pid: u32, name: &str) -> Option<OsString> {
    let wanted = format!("{name}=");
    environment(pid)
        .iter()
        .find_map(|entry| entry.strip_prefix(wanted.as_bytes()))
        .map(|value| std::ffi::OsStr::from_bytes(value).to_owned())
}

/// The living children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// All living processes that bear the cookie of this home, or name a file below `root` on their command line.
pub(crate) fn belonging_to(home: &Path, root: &Path) -> Vec<(Seen, String)> {
    let cookie = [b"TSM_COOKIE=", home.as_os_str().as_bytes(), b":"].concat();
    let root = root.as_os_str().as_bytes();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|&pid| pid != std::process::id())
        .filter_map(|pid| {
            let stat = stat(pid).filter(|stat| !stat.ended)?;
            // Another user's, or gone: then it is none of ours, or no longer there.
            let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let marked = variables
                .split(|&b| b == 0)
                .any(|entry| entry.starts_with(&cookie));
            let named = words.windows(root.len()).any(|window| window == root);
            let seen = Seen {
                pid,
                start: stat.start,
            };
            (marked || named).then(|| {
                let words = String::from_utf8_lossy(&words).replace('\0', " ");
                (seen, words)
            })
        })
        .collect()
}
