//! Who listens on a port: the process, its user, and the TSM process that it belongs to.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use crate::cookie::Cookies;
use crate::error::{IoContext as _, Result};
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::store::ProcessStore;
use crate::sys::{account, listening, procfs};
use crate::view::ProcessView;

/// How far up its ancestors are asked whose a process is.
const ANCESTORS: usize = 64;

/// Somebody who listens on a TCP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortHolder {
    /// The port.
    pub port: u16,
    /// Its pid and command line, where this user may know.
    pub process: Option<(u32, String)>,
    /// Its user.
    pub user: String,
    /// What TSM knows it as, where it belongs to a process of this home: id and name.
    pub known_as: Option<(u32, ProcessName)>,
}

impl PortHolder {
    /// Who listens on these ports; those that nobody listens on are left out. The records of `store` tell what belongs to
    /// TSM. With no port to ask for, nothing is read.
    ///
    /// # Errors
    /// [`crate::error::Error::System`] where `/proc` cannot be read.
    pub fn find(ports: &[u16], store: &ProcessStore) -> Result<Vec<Self>> {
        if ports.is_empty() {
            return Ok(Vec::new());
        }
        let mut taken = listening::tcp().doing("tell which ports are taken")?;
        taken.retain(|socket| ports.contains(&socket.port));
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let inodes: Vec<u64> = taken.iter().map(|socket| socket.inode).collect();
        let pids = listening::holders(&inodes);
        // For this purpose, a record that cannot be read belongs to nobody.
        let records = store.records().map(|(read, _)| read).unwrap_or_default();
        let cookies = Cookies::of(store.home());
        // If several share a port, one whose process is known is named.
        crate::sorted::by_key(&mut taken, |socket| {
            (socket.port, !pids.contains_key(&socket.inode))
        });
        // Of equal ones, the first stays.
        taken.dedup_by_key(|socket| socket.port);
        let holder = |socket: listening::Listening| {
            let pid = pids.get(&socket.inode).copied();
            Self {
                port: socket.port,
                process: pid.map(|pid| (pid, command_of(pid))),
                user: account::name_of(socket.uid),
                known_as: pid.and_then(|pid| owner(pid, &records, &cookies)),
            }
        };
        Ok(taken.into_iter().map(holder).collect())
    }
}

/// `port 4001 is taken by python3 -m http.server (PID: 71282, user mr), which is 'web' (ID: 3)`.
impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {} is taken by {}", self.port, self.who())
    }
}

impl PortHolder {
    /// Who it is, in words.
    pub fn who(&self) -> String {
        let known_as = self.known_as.as_ref();
        let known_as = known_as.map(|(id, name)| format!(", which is '{name}' (ID: {id})"));
        let process = match &self.process {
            Some((pid, command)) => format!("{command} (PID: {pid}, user {})", self.user),
            None => format!("a process of user {}", self.user),
        };
        process + &known_as.unwrap_or_default()
    }
}

/// A socket that a process listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// `tcp`, `tcp6`, `udp`, `udp6` or `unix`.
    pub protocol: &'static str,
    /// The address; null for `unix`.
    pub address: Option<String>,
    /// The port; null for `unix`.
    pub port: Option<u16>,
    /// The path or, with an `@` in front, the abstract name; null for the others.
    pub path: Option<String>,
    /// Who listens.
    pub pid: u32,
    /// Its command line, shortened.
    pub command: String,
}

/// `tcp 127.0.0.1:4001`, `tcp6 [::]:4001`, `unix /run/x.sock`.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.protocol)?;
        match (&self.address, self.port, &self.path) {
            (Some(address), Some(port), _) if address.contains(':') => {
                write!(f, "[{address}]:{port}")
            }
            (Some(address), Some(port), _) => write!(f, "{address}:{port}"),
            (_, _, path) => f.write_str(path.as_deref().unwrap_or("?")),
        }
    }
}

/// The ports of one process: what it declares, and what its tree really listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessPorts {
    /// TSM id.
    pub id: u32,
    /// Its name.
    pub name: ProcessName,
    /// Whether it runs.
    pub running: bool,
    /// The port that it declares.
    pub declared: Option<u16>,
    /// Whether somebody of its tree listens on that over TCP or UDP.
    pub listens_as_declared: bool,
    /// Who else has the declared port, in words.
    pub held_by: Option<String>,
    /// All that its tree listens on.
    pub listening: Vec<Listener>,
}

impl ProcessPorts {
    /// The ports of these processes; those that declare none and listen nowhere are left out.
    ///
    /// # Errors
    /// [`crate::error::Error::System`] where `/proc` cannot be read.
    pub fn find(store: &ProcessStore, views: &[ProcessView]) -> Result<Vec<Self>> {
        let sockets = listening::all().doing("tell who listens")?;
        let inodes: HashMap<u64, usize> = sockets
            .iter()
            .enumerate()
            .map(|(at, socket)| (socket.inode, at))
            .collect();
        let records = store.records().map(|(read, _)| read).unwrap_or_default();
        let cookies = Cookies::of(store.home());
        let mut owners: HashMap<u32, Option<u32>> = HashMap::new();
        let mut by_id: HashMap<u32, Vec<(usize, Listener)>> = HashMap::new();
        for (inode, pid) in listening::all_holders(|inode| inodes.contains_key(&inode)) {
            let id = *owners
                .entry(pid)
                .or_insert_with(|| owner(pid, &records, &cookies).map(|(id, _)| id));
            let (Some(id), Some(&at)) = (id, inodes.get(&inode)) else {
                continue;
            };
            let socket = &sockets[at];
            let all = by_id.entry(id).or_default();
            match all.iter_mut().find(|(known, _)| *known == at) {
                // Workers that share a socket are named by the one with the lowest pid.
                Some((_, known)) if known.pid <= pid => {}
                Some((_, known)) => (known.pid, known.command) = (pid, command_of(pid)),
                None => all.push((
                    at,
                    Listener {
                        protocol: socket.protocol,
                        address: socket.address.map(|address| address.to_string()),
                        port: socket.port,
                        path: socket.path.clone(),
                        pid,
                        command: command_of(pid),
                    },
                )),
            }
        }
        let mut found = Vec::new();
        let mut not_theirs = Vec::new();
        for view in views {
            let mut listening: Vec<Listener> = by_id
                .remove(&view.id)
                .unwrap_or_default()
                .into_iter()
                .map(|(_, listener)| listener)
                .collect();
            crate::sorted::by(&mut listening, |a, b| {
                (a.port.is_none(), a.port, a.protocol, &a.address, &a.path).cmp(&(
                    b.port.is_none(),
                    b.port,
                    b.protocol,
                    &b.address,
                    &b.path,
                ))
            });
            listening.dedup();
            let listens = view.port.is_some() && listening.iter().any(|l| l.port == view.port);
            if view.port.is_none() && listening.is_empty() {
                continue;
            }
            not_theirs.extend(view.port.filter(|_| !listens));
            found.push(Self {
                id: view.id,
                name: view.name.clone(),
                running: view.pid.is_some(),
                declared: view.port,
                listens_as_declared: listens,
                held_by: None,
                listening,
            });
        }
        for holder in PortHolder::find(&not_theirs, store)? {
            let held = found.iter_mut().filter(|process| {
                process.declared == Some(holder.port) && !process.listens_as_declared
            });
            for process in held {
                process.held_by = Some(holder.who());
            }
        }
        Ok(found)
    }
}

/// Whether a process is this main process, descends from it, or bears a cookie that begins so.
pub(super) fn belongs(pid: u32, leader: crate::sys::Identity, cookie: &str) -> bool {
    let mut at = pid;
    // Bounded, since parents are read one after the other and may seem to form a circle.
    for _ in 0..ANCESTORS {
        let Some(process) = procfs::process(at) else {
            break;
        };
        if process.identity == leader {
            return true;
        }
        if process.parent <= 1 {
            break;
        }
        at = process.parent;
    }
    procfs::environment_variable(pid, "TSM_COOKIE")
        .ok()
        .flatten()
        .is_some_and(|value| value.starts_with(cookie.as_bytes()))
}

fn command_of(pid: u32) -> String {
    const LONGEST: usize = 60;
    // It is only shown, so that a command line that cannot be read is no error.
    let words = procfs::command_line(pid).unwrap_or_default();
    let line: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let line = line.join(" ");
    if line.is_empty() {
        return procfs::name(pid);
    }
    let mut short: String = line.chars().take(LONGEST).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    // A command line may hold anything, and goes to a terminal.
    short
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// The record whose main process is this one or an ancestor of it, or whose cookie one of them bears.
fn owner(
    pid: u32,
    records: &[(ProcessName, Meta)],
    cookies: &Cookies,
) -> Option<(u32, ProcessName)> {
    let mut pid = pid;
    for _ in 0..ANCESTORS {
        if pid <= 1 {
            return None;
        }
        let process = procfs::process(pid)?;
        let by_record = records
            .iter()
            // With its start time: the number alone may be another process's by now.
            .find(|(_, meta)| meta.pid == Some(pid) && meta.ticks == Some(process.identity.start));
        let by_cookie = || {
            let (id, _) = cookies.of_process(pid).ok()??;
            records.iter().find(|(_, meta)| meta.id == id)
        };
        if let Some((name, meta)) = by_record.or_else(by_cookie) {
            return Some((meta.id, name.clone()));
        }
        pid = process.parent;
    }
    None
}
