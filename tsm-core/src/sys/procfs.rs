//! What `/proc` tells of processes (`proc_pid_stat(5)`, `proc_pid_environ(5)`).

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::Identity;

/// One process at the moment of looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Pid and start time.
    pub identity: Identity,
    /// Parent's pid.
    pub parent: u32,
    /// Process group.
    pub group: u32,
    /// Session.
    pub session: u32,
    /// Its state, as a letter: `R` runs, `S` sleeps, `T` is stopped, `Z` is a zombie …
    pub state: char,
    /// Zombie or dead: it only waits to be reaped.
    pub ended: bool,
    /// CPU time used by it (not by its reaped children), in clock ticks.
    pub cpu_ticks: u64,
    /// Resident memory in pages.
    pub rss_pages: u64,
    /// How many threads it has.
    pub threads: u64,
}

impl Process {
    /// Whether a signal stopped it, so that SIGCONT continues it; a debugger's hold is another.
    pub fn is_stopped(&self) -> bool {
        self.state == 'T'
    }
}

/// The id that the kernel drew at this boot (`/proc/sys/kernel/random/boot_id`).
///
/// # Errors
/// Where `/proc` is not there.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// When a process started, in clock ticks since boot; `None` where there is none of this pid, or that cannot be told.
pub fn start_time(pid: u32) -> Option<u64> {
    process(pid).map(|process| process.identity.start)
}

/// The effective user id of a process: who `/proc/PID` belongs to (`proc(5)`).
pub fn owner(pid: u32) -> Option<u32> {
    let meta = std::fs::metadata(format!("/proc/{pid}")).ok()?;
    Some(std::os::unix::fs::MetadataExt::uid(&meta))
}

/// Looks at one process; `None` where there is none of this pid, or that cannot be told. For what only shows.
pub fn process(pid: u32) -> Option<Process> {
    look(pid).ok().flatten()
}

/// Looks at one process; `None` where there is none of this pid.
///
/// A question that the kernel did not answer is not the answer no: whoever lets something hang on it asks this.
///
/// # Errors
/// Where that cannot be told: too many open files, no memory.
pub fn look(pid: u32) -> io::Result<Option<Process>> {
    read_stat(&format!("/proc/{pid}/stat"), &mut [0; 1024])
}

/// Whether a process has a controlling terminal; where that cannot be told, it has.
pub(crate) fn has_terminal(pid: u32) -> bool {
    let text = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = text.iter().rposition(|&b| b == b')').map(|at| at + 2);
    let fields = after_name.and_then(|at| text.get(at..));
    // State, parent, group and session stand before (`proc_pid_stat(5)`, tty_nr).
    let terminal = fields.and_then(|fields| fields.split(|&b| b == b' ').nth(4));
    terminal != Some(b"0")
}

fn read_stat(path: &str, buffer: &mut [u8; 1024]) -> io::Result<Option<Process>> {
    let length = File::open(path).and_then(|mut file| file.read(buffer));
    let Some(length) = unless_gone(length)? else {
        return Ok(None);
    };
    match parse_stat(&buffer[..length]) {
        Some(process) => Ok(Some(process)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// `None` for what a process that is gone, or is not ours to look at, answers.
fn unless_gone<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) || error.raw_os_error() == Some(libc::ESRCH) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Parses `/proc/PID/stat`. The second field is the program's name in parentheses and may itself hold any byte, so
/// the fields are counted from the last closing parenthesis.
fn parse_stat(text: &[u8]) -> Option<Process> {
    let pid = number(text.split(|&b| b == b' ').next()?)?;
    let after_name = text.iter().rposition(|&b| b == b')')? + 2;
    let mut fields = text.get(after_name..)?.split(|&b| b == b' ');
    let state = fields.next()?.first().copied()?;
    let parent = number(fields.next()?)?;
    // -1 both: it is just being reaped (`do_task_stat` in `fs/proc/array.c`).
    let (group, session) = (fields.next()?, fields.next()?);
    let is_reaped = group.starts_with(b"-") || session.starts_with(b"-");
    let known = |field: &[u8]| if is_reaped { Some(0) } else { number(field) };
    let (group, session) = (known(group)?, known(session)?);
    // tty_nr, tpgid, flags, minflt, cminflt, majflt, cmajflt stand between.
    let user = number(fields.nth(7)?)?;
    let system = number(fields.next()?)?;
    // cutime, cstime, priority, nice stand between.
    let threads = number(fields.nth(4)?)?;
    // itrealvalue stands between.
    let start = number(fields.nth(1)?)?;
    let rss = number(fields.nth(1)?)?;
    Some(Process {
        identity: Identity {
            pid: pid as u32,
            start,
        },
        parent: parent as u32,
        group: group as u32,
        session: session as u32,
        state: char::from(state),
        ended: is_reaped || matches!(state, b'Z' | b'X' | b'x'),
        cpu_ticks: user + system,
        rss_pages: rss,
        threads,
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.trim_end().parse().ok()
}

/// All processes of the machine at one moment (as far as `/proc` can show one moment).
#[derive(Debug, Default)]
pub struct ProcessTable {
    all: HashMap<u32, Process>,
}

impl ProcessTable {
    /// Reads it.
    ///
    /// # Errors
    /// Where not all of it can be read: who is missing in it is gone.
    pub fn read() -> io::Result<Self> {
        let mut all = HashMap::with_capacity(256);
        let mut buffer = [0; 1024];
        let mut path = String::with_capacity(32);
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().filter(|n| n.as_bytes()[0].is_ascii_digit()) else {
                continue;
            };
            path.clear();
            path.push_str("/proc/");
            path.push_str(pid);
            path.push_str("/stat");
            if let Some(process) = read_stat(&path, &mut buffer)? {
                all.insert(process.identity.pid, process);
            }
        }
        Ok(Self { all })
    }

    /// The process of this pid.
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.all.get(&pid)
    }

    /// Whether exactly this process is there and has not ended.
    pub fn is_alive(&self, identity: Identity) -> bool {
        self.all
            .get(&identity.pid)
            .is_some_and(|p| p.identity == identity && !p.ended)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.all.values()
    }
}

/// The direct children of a process whose main thread made or inherited them; `None` where the kernel does not tell
/// (`CONFIG_PROC_CHILDREN`).
pub(crate) fn children_of_main_thread(pid: u32) -> Option<Vec<u32>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    Some(
        text.split_ascii_whitespace()
            .filter_map(|child| child.parse().ok())
            .collect(),
    )
}

/// The value of one variable in the environment that a process was executed with; `None` where it has none, may not be
/// read, or was overwritten by the process.
///
/// # Errors
/// Where that cannot be told: too many open files, no memory.
pub(crate) fn environment_variable(pid: u32, name: &str) -> io::Result<Option<Vec<u8>>> {
    // The file says of no size; most environments are read by two calls this way.
    let mut environ = Vec::with_capacity(16 << 10);
    let read = File::open(format!("/proc/{pid}/environ"))
        .and_then(|mut file| file.read_to_end(&mut environ));
    if unless_gone(read)?.is_none() {
        return Ok(None);
    }
    let value = environ.split(|&b| b == 0).find_map(|entry| {
        entry
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
            .map(<[u8]>::to_vec)
    });
    Ok(value)
}

/// The words that a process was executed with; none where it is gone or may not be read.
///
/// # Errors
/// Where that cannot be told: too many open files, no memory.
pub fn command_line(pid: u32) -> io::Result<Vec<OsString>> {
    let read = std::fs::read(format!("/proc/{pid}/cmdline"));
    let Some(mut bytes) = unless_gone(read)? else {
        return Ok(Vec::new());
    };
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(bytes
        .split(|&b| b == 0)
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect())
}

/// Whether a process has this file open, or one that was removed from this path.
pub(crate) fn has_open(pid: u32, path: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let removed = [path.as_os_str().as_bytes(), b" (deleted)"].concat();
    let is_it = |link: PathBuf| link == path || link.as_os_str().as_bytes() == removed.as_slice();
    entries
        .flatten()
        .any(|entry| std::fs::read_link(entry.path()).is_ok_and(is_it))
}

/// The file that a process executes.
pub fn executable(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The controlling terminal of a process, as a name below `/dev`: `pts/3`, `tty1`; `None` where it has none.
pub fn terminal(pid: u32) -> Option<String> {
    const CONSOLES: u64 = 4;
    const PSEUDO: std::ops::RangeInclusive<u64> = 136..=143;
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = text.iter().rposition(|&b| b == b')')? + 2;
    // state, ppid, pgrp and session stand before.
    let device = number(text.get(after_name..)?.split(|&b| b == b' ').nth(4)?)?;
    // The minor number has bits 31 to 20 and 7 to 0, the major one 15 to 8 (`proc_pid_stat(5)`).
    let (major, minor) = (
        (device >> 8) & 0xfff,
        (device & 0xff) | ((device >> 12) & 0xfff00),
    );
    match major {
        CONSOLES => Some(format!("tty{minor}")),
        major if PSEUDO.contains(&major) => {
            let terminal = (major - PSEUDO.start()) * 256 + minor;
            Some(format!("pts/{terminal}"))
        }
        _ => None,
    }
}

/// The working directory of a process.
pub(crate) fn working_directory(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// Why SIGKILL does not end a process, where that can be seen: it is another user's (`kill(2)`), or waits in the kernel.
pub(crate) fn why_it_resists(pid: u32) -> Option<String> {
    why_in_status(
        &std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?,
        super::account::effective_uid(),
    )
}

fn why_in_status(status: &str, own: u32) -> Option<String> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    // Real, effective, saved, of the file system; the effective one says nothing here.
    let uids: Vec<u32> = field("Uid:")?
        .split_ascii_whitespace()
        .filter_map(|uid| uid.parse().ok())
        .collect();
    if own != 0 && uids.first() != Some(&own) && uids.get(2) != Some(&own) {
        let user = super::account::name_of(*uids.first()?);
        return Some(format!("it became user {user}, who alone may end it"));
    }
    field("State:")?
        .trim_start()
        .starts_with('D')
        .then(|| "it waits in the kernel, for a disk or the like".to_owned())
}

/// The short name of a process, for messages.
pub fn name(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .map_or_else(|_| "?".to_owned(), |n| n.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let line = b"71 (a) b (c) S 1 70 69 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 1 0 12345 1000 99 18446744073709551615";
        let process = parse_stat(line).unwrap();
        assert_eq!(
            process.identity,
            Identity {
                pid: 71,
                start: 12345
            }
        );
        assert_eq!(
            (process.parent, process.group, process.session),
            (1, 70, 69)
        );
        assert_eq!((process.cpu_ticks, process.rss_pages), (56, 99));
        assert!(!process.ended);
    }

    #[test]
    fn what_resists_is_told_with_its_reason() {
        let status =
            |state: &str, uids: &str| format!("Name:\tx\nState:\t{state}\nPid:\t7\nUid:\t{uids}\n");
        let why = |state, uids, own| why_in_status(&status(state, uids), own);
        assert_eq!(why("S (sleeping)", "7\t0\t7\t0", 7), None);
        assert!(
            why("S (sleeping)", "0\t0\t0\t0", 7)
                .unwrap()
                .contains("root")
        );
        assert_eq!(why("S (sleeping)", "7\t7\t7\t7", 0), None);
        assert!(
            why("D (disk sleep)", "7\t7\t7\t7", 7)
                .unwrap()
                .contains("kernel")
        );
    }

    #[test]
    fn this_process_is_in_the_table() {
        let table = ProcessTable::read().unwrap();
        let own = std::process::id();
        let identity = Identity {
            pid: own,
            start: start_time(own).unwrap(),
        };
        assert!(table.is_alive(identity));
        assert!(!table.is_alive(Identity {
            start: identity.start + 1,
            ..identity
        }));
    }
}
