//! Who listens on a port: the process, its user, and the TSM process that it belongs to.

use std::fmt;

use crate::cookie::Cookies;
use crate::error::{IoContext as _, Result};
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::store::ProcessStore;
use crate::sys::{account, listening, procfs};

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
    /// [`crate::Error::System`] where `/proc` cannot be read.
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
        // What cannot be read belongs to nobody for this purpose.
        let records = store.records().map(|(read, _)| read).unwrap_or_default();
        let cookies = Cookies::of(store.home());
        // Of several that share a port, one whose process can be told is named.
        taken.sort_by_key(|socket| (socket.port, !pids.contains_key(&socket.inode)));
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
        write!(f, "port {} is taken by ", self.port)?;
        match &self.process {
            Some((pid, command)) => write!(f, "{command} (PID: {pid}, user {})", self.user)?,
            None => write!(f, "a process of user {}", self.user)?,
        }
        match &self.known_as {
            Some((id, name)) => write!(f, ", which is '{name}' (ID: {id})"),
            None => Ok(()),
        }
    }
}

/// Whether a process is this main process, descends from it, or bears a cookie that begins so.
pub(super) fn belongs(pid: u32, leader: crate::sys::Identity, cookie: &str) -> bool {
    let mut at = pid;
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
    // It is only shown.
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
