//! Who belongs to a service: its processes, as the tree that they are.

use std::collections::{HashMap, HashSet};
use std::io;

use super::owner;
use crate::env::secret::cover_words;
use crate::sys::procfs::{Process, ProcessTable};
use crate::sys::{Identity, clock, procfs};

/// A process of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its pid.
    pub pid: u32,
    /// How many of its ancestors belong to the service too.
    pub depth: usize,
    /// Whether siblings of it come after it.
    pub has_next: bool,
    /// The words that it was executed with, secrets covered; or in brackets its name where the kernel does not tell them.
    pub command: String,
    /// Bytes of memory that are resident.
    pub memory_bytes: u64,
    /// CPU time that it has used, in milliseconds.
    pub cpu_ms: u64,
    /// How many threads it has.
    pub threads: u64,
    /// How long it has been there, in milliseconds.
    pub age_ms: u64,
}

/// The processes of the service with this main process: its descendants, and what else is in its session. Each stands
/// after its parent; what is in the session without one stands at the end. Empty where the main process is gone.
///
/// # Errors
/// An [`io::Error`] where `/proc` cannot be read.
pub fn tree(leader: Identity) -> io::Result<Vec<Member>> {
    let table = ProcessTable::read()?;
    if !table.is_alive(leader) {
        return Ok(Vec::new());
    }
    let leaders = HashMap::from([(leader.pid, (0, leader.start))]);
    let mut owners = HashMap::new();
    let mut members: Vec<&Process> = table
        .iter()
        .filter(|process| owner(process, &table, &leaders, &mut owners).is_some())
        .collect();
    // By age, which is the order in which they were made.
    crate::sorted::by_key(&mut members, |process| {
        (process.identity.start, process.identity.pid)
    });
    let pids: HashSet<u32> = members.iter().map(|member| member.identity.pid).collect();
    let mut children: HashMap<u32, Vec<&Process>> = HashMap::new();
    let mut roots = Vec::new();
    for process in &members {
        let pid = process.identity.pid;
        let parent = process.parent;
        if pid != leader.pid && pids.contains(&parent) {
            children.entry(parent).or_default().push(process);
        } else {
            roots.push(*process);
        }
    }
    crate::sorted::by_key(&mut roots, |process| process.identity.pid != leader.pid);
    let mut found = Vec::new();
    // Taken from the end, so that the first one is pushed last and comes out first.
    let mut open: Vec<(&Process, usize, bool)> = Vec::new();
    for root in roots.iter().rev() {
        open.push((root, 0, false));
    }
    while let Some((process, depth, has_next)) = open.pop() {
        found.push(member(process, depth, has_next));
        if let Some(below) = children.remove(&process.identity.pid) {
            let mut is_last = true;
            for child in below.into_iter().rev() {
                open.push((child, depth + 1, !is_last));
                is_last = false;
            }
        }
    }
    Ok(found)
}

fn member(process: &Process, depth: usize, has_next: bool) -> Member {
    let pid = process.identity.pid;
    let words = procfs::command_line(pid).unwrap_or_default();
    let words = cover_words(words.iter().map(|word| word.to_string_lossy()));
    let command = match words.join(" ") {
        none if none.trim().is_empty() => format!("[{}]", procfs::name(pid)),
        command => command,
    };
    let ms = |ticks: u64| ticks * 1000 / clock::ticks_per_second().max(1);
    Member {
        pid,
        depth,
        has_next,
        command: if process.ended {
            format!("{command} (ended)")
        } else {
            command
        },
        memory_bytes: process.rss_pages * clock::page_size(),
        cpu_ms: ms(process.cpu_ticks),
        threads: process.threads,
        age_ms: ms(clock::boot_ticks().saturating_sub(process.identity.start)),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_stands_below_its_parent() {
        let mut child = Command::new("/bin/sleep")
            .arg("1000")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let own = std::process::id();
        let start = procfs::start_time(own).unwrap();
        let found = tree(Identity { pid: own, start }).unwrap();
        let gone = tree(Identity {
            pid: own,
            start: start + 1,
        })
        .unwrap();
        drop(child.kill());
        drop(child.wait());
        assert_eq!((found[0].pid, found[0].depth), (own, 0));
        let below = found.iter().find(|member| member.pid == child.id());
        assert_eq!(below.unwrap().depth, 1);
        assert!(gone.is_empty());
    }
}
