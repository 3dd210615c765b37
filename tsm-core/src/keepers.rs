//! The supervisor and the guardian of a home as processes: found in `/proc`, and continued where somebody stopped them.
//!
//! Each notices by itself when the other *ends*, and a sentinel notices when both do. That the guardian is *stopped* (SIGSTOP) the kernel tells nobody but its
//! parent, and where both are stopped nobody is left to notice: so who waits in vain for an answer looks here.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use crate::home::Home;
use crate::sys::procfs::{self, Process, ProcessTable};
use crate::sys::{self, Pidfd, Signal};

/// The part that a process plays in supervision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Guardian,
    Supervisor,
    /// A supervisor that somebody started in the foreground, in a terminal perhaps.
    Foreground,
    /// Who waits for the end of the guardian, or brings both back. It keeps nobody waiting, and the guardian, whose child it is, continues it.
    Sentinel,
}

impl Part {
    /// What a command line is, to go by its words, for the home with this root.
    pub(crate) fn of_command_line(pid: u32, root: &OsStr) -> Option<Self> {
        // A process that cannot be read does not count.
        let words = procfs::command_line(pid).unwrap_or_default();
        let [_, supervisor, command, option, home] = words.as_slice() else {
            return None;
        };
        if supervisor != "supervisor" || option != "--home" || home != root {
            return None;
        }
        match command.to_str()? {
            "run-guarded" => Some(Self::Supervisor),
            // A sentinel is forked of the guardian; it cannot always say what it is in its command line.
            "guard" if Self::of_name(pid) == Some(Self::Sentinel) => Some(Self::Sentinel),
            "guard" => Some(Self::Guardian),
            "watch" => Some(Self::Sentinel),
            _ => None,
        }
    }

    /// What a process calls itself, see [`sys::set_process_name`]; a supervisor in the foreground keeps its program's name.
    fn of_name(pid: u32) -> Option<Self> {
        match procfs::name(pid).as_str() {
            "tsm-guardian" => Some(Self::Guardian),
            "tsm-supervisor" => Some(Self::Supervisor),
            "tsm-sentinel" => Some(Self::Sentinel),
            _ => None,
        }
    }
}

/// A supervisor or a guardian at the moment of looking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeper {
    part: Part,
    process: Process,
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Guardian => "guardian",
            Part::Supervisor => "supervisor",
            Part::Foreground => "supervisor in the foreground",
            Part::Sentinel => "sentinel",
        };
        write!(f, "{part} (PID: {})", self.process.identity.pid)
    }
}

impl Keeper {
    /// Supervisor and guardian of a home, where they are its owner's: by what they call themselves and by their command line, or, where that is
    /// another program's than `tsm`, by the lock that they have open. Where there are none, whoever has the lock.
    ///
    /// # Errors
    /// Where `/proc` cannot be read.
    pub(crate) fn find(home: &Home) -> io::Result<Vec<Self>> {
        let all = of_owner(home)?;
        let mut found = Self::among(&all, home);
        found.retain(|keeper| keeper.part != Part::Sentinel);
        if found.is_empty() {
            let with_lock = all
                .into_iter()
                .filter(|process| procfs::has_open(process.identity.pid, &home.lock()));
            let part = Part::Foreground;
            found.extend(with_lock.map(|process| Self { part, process }));
        }
        // A guardian that goes on sees by itself what became of its supervisor.
        crate::sorted::by_key(&mut found, |keeper| (keeper.part, keeper.process.identity));
        Ok(found)
    }

    /// Those among these processes that say what they are.
    fn among(all: &[Process], home: &Home) -> Vec<Self> {
        let root = home.root().as_os_str();
        let keeper = |process: &Process| {
            let pid = process.identity.pid;
            let part = Part::of_name(pid)?;
            let is_of_home = Part::of_command_line(pid, root) == Some(part)
                || procfs::has_open(pid, &home.lock());
            let process = *process;
            is_of_home.then_some(Self { part, process })
        };
        all.iter().filter_map(keeper).collect()
    }

    /// Ends it; `false` where it is gone.
    ///
    /// # Errors
    /// Where it may not be signalled.
    pub(crate) fn end(&self) -> io::Result<bool> {
        match Pidfd::open(self.process.identity)? {
            Some(handle) => handle.signal(Signal::KILL),
            None => Ok(false),
        }
    }

    /// What it is.
    pub(crate) fn part(&self) -> Part {
        self.part
    }

    /// Whether a signal stopped it, so that SIGCONT continues it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.process.is_stopped()
    }

    /// Whether a person may have suspended it by a key, and may continue it so. One of an init system has no terminal.
    fn is_of_a_terminal(&self) -> bool {
        self.part == Part::Foreground && procfs::has_terminal(self.process.identity.pid)
    }

    /// Continues it; `false` where it is gone.
    ///
    /// # Errors
    /// Where it may not be signalled.
    pub(crate) fn go_on(&self) -> io::Result<bool> {
        go_on(&self.process)
    }

    /// What to do about it, where it keeps others waiting.
    pub(crate) fn remedy(&self) -> String {
        let pid = self.process.identity.pid;
        match self.process.state {
            'T' => format!("'kill -CONT {pid}' continues it"),
            't' => "its debugger has to let it go".to_owned(),
            'D' => "it waits in the kernel, for a disk or the like".to_owned(),
            _ => "the machine may be out of breath".to_owned(),
        }
    }

    /// Whether it can do nothing for now: stopped, traced, or waiting in the kernel.
    fn is_held_up(&self) -> bool {
        matches!(self.process.state, 'T' | 't' | 'D')
    }

    /// How it is, in words.
    pub(crate) fn how(&self) -> String {
        match self.process.state {
            'T' => format!("the {self} is stopped (SIGSTOP, state T)"),
            't' => format!("the {self} is traced (state t)"),
            state => format!("the {self} is there (state {state})"),
        }
    }
}

/// The sentinels of a home.
///
/// # Errors
/// Where `/proc` cannot be read.
pub(crate) fn sentinels(home: &Home) -> io::Result<Vec<Keeper>> {
    let mut found = Keeper::among(&of_owner(home)?, home);
    found.retain(|keeper| keeper.part == Part::Sentinel);
    Ok(found)
}

/// Handles on the supervisor, the guardian and the sentinels of a home, each of which can be read when that process has ended. Who cannot be
/// looked at is left out.
pub(crate) fn handles(home: &Home) -> Vec<Pidfd> {
    let all = of_owner(home).unwrap_or_default();
    let keepers = Keeper::among(&all, home).into_iter();
    keepers
        .filter_map(|keeper| Pidfd::open(keeper.process.identity).ok()?)
        .collect()
}

/// All processes of the owner of a home; none where this process may not act for that.
fn of_owner(home: &Home) -> io::Result<Vec<Process>> {
    let owner = std::fs::metadata(home.root())?.uid();
    let own = sys::account::effective_uid();
    if own != 0 && own != owner {
        return Ok(Vec::new());
    }
    let is_of_owner =
        |process: &&Process| !process.ended && procfs::owner(process.identity.pid) == Some(owner);
    let table = ProcessTable::read()?;
    Ok(table.iter().filter(is_of_owner).copied().collect())
}

/// Continues exactly this process; `false` where it is gone.
pub(crate) fn go_on(process: &Process) -> io::Result<bool> {
    match Pidfd::open(process.identity)? {
        Some(handle) => handle.signal(Signal::CONT),
        None => Ok(false),
    }
}

/// Continues those of a home that are stopped, and says what was done, or why it was not.
pub(crate) fn continue_stopped(home: &Home) -> Vec<Result<String, String>> {
    // Without a look nothing is done here; the command that waits in vain will say what is wrong.
    let found = Keeper::find(home).unwrap_or_default();
    // Whoever suspended it in a terminal wants it that way.
    let stopped = found
        .into_iter()
        .filter(|keeper| keeper.is_stopped() && !keeper.is_of_a_terminal());
    let tried = stopped.filter_map(|keeper| match keeper.go_on() {
        Ok(true) => Some(Ok(format!(
            "the {keeper} was stopped by a signal; it is continued"
        ))),
        Ok(false) => None,
        Err(error) => Some(Err(format!(
            "the {keeper} is stopped and cannot be continued: {error}"
        ))),
    });
    tried.collect()
}

/// How the supervisor and the guardian of a home are, for somebody who waited in vain, and whether one is held up.
pub(crate) fn in_words(home: &Home) -> (String, bool) {
    let found = match Keeper::find(home) {
        Ok(found) => found,
        Err(error) => return (format!("/proc cannot be read: {error}"), false),
    };
    if found.is_empty() {
        let lock = home.lock();
        let words = format!(
            "no supervisor and no guardian is seen in /proc; 'fuser {}' tells who has its lock",
            lock.display()
        );
        return (words, false);
    }
    let is_held_up = found.iter().any(Keeper::is_held_up);
    let told = found
        .iter()
        .filter(|keeper| keeper.is_held_up() || !is_held_up);
    let words: Vec<String> = told
        .map(|keeper| format!("{}: {}", keeper.how(), keeper.remedy()))
        .collect();
    (words.join("; "), is_held_up)
}
