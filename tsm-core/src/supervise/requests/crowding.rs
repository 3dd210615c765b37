//! More connections than are kept: one that has said nothing makes room for the next, so that no process shuts others out
//! by connecting again and again.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use super::connections::Connection;
use crate::control::{Reply, ReportedError, encode};
use crate::error::{BestEffort as _, ErrorKind};
use crate::supervise::supervisor::Supervisor;
use crate::sys;

/// How many connections may be open at once …
const MOST_CONNECTIONS: usize = 1024;
/// … and how many of them one process may have.
const MOST_OF_ONE_PROCESS: usize = 256;

impl Supervisor {
    /// Whether one more connection of this process may be kept, if need be in the place of one that says nothing.
    pub(super) fn has_room_for(&mut self, pid: u32, newest: &impl AsRawFd) -> bool {
        // Even with few descriptors, one connection at a time is served: otherwise nobody could
        // tell this supervisor to end.
        if self.clients.connections.is_empty() {
            return true;
        }
        let of_it = |connection: &&Connection| connection.peer_pid == pid;
        if self.clients.connections.values().filter(of_it).count() >= MOST_OF_ONE_PROCESS {
            return self.shed(Some(pid));
        }
        if self.clients.connections.len() >= MOST_CONNECTIONS
            || self.is_short_of_descriptors(newest)
        {
            return self.shed(None);
        }
        true
    }

    /// Drops the connection that has said nothing for longest, of this process or else of the one that has most of them;
    /// `false` where all have asked for something.
    pub(super) fn shed(&mut self, of: Option<u32>) -> bool {
        while let Some((number, pid)) = self.silent(of) {
            // What waits to be read counts as said, so it is read first.
            self.read_connection(number);
            match self.clients.connections.get(&number) {
                Some(connection) if connection.asked => {}
                Some(_) => {
                    self.log.say_seldom(
                        "shed",
                        format_args!(
                            "too many connections; dropped one of process {pid}, which says nothing"
                        ),
                    );
                    self.drop_connection(number);
                    return true;
                }
                // It ended when it was read, which makes room as well.
                None => return true,
            }
        }
        false
    }

    /// The connection that is shed next, and whose it is.
    fn silent(&self, of: Option<u32>) -> Option<(u32, u32)> {
        let silent = || {
            let all = self.clients.connections.iter();
            all.filter(|(_, c)| !c.asked && of.is_none_or(|pid| pid == c.peer_pid))
        };
        let mut oldest: HashMap<u32, (usize, Reverse<Option<Duration>>, u32)> = HashMap::new();
        for (number, connection) in silent() {
            let since = Reverse(connection.waiting_since);
            let most = oldest
                .entry(connection.peer_pid)
                .or_insert((0, since, *number));
            most.0 += 1;
            if since > most.1 {
                (most.1, most.2) = (since, *number);
            }
        }
        let first = oldest
            .into_iter()
            .max_by_key(|(_, (number, since, _))| (*number, *since));
        first.map(|(pid, (_, _, number))| (number, pid))
    }

    /// Tells who connects that there is no room, and returns the same for the log.
    pub(super) fn refuse(&self, socket: OwnedFd) -> io::Error {
        let mut of_each: HashMap<u32, usize> = HashMap::new();
        for connection in self.clients.connections.values() {
            *of_each.entry(connection.peer_pid).or_default() += 1;
        }
        let most = of_each.into_iter().max_by_key(|(_, number)| *number);
        let (pid, number) = most.unwrap_or_default();
        let whose = match pid {
            0 => "one that is not to be seen from here".to_owned(),
            _ => format!("{pid} ({})", sys::procfs::name(pid)),
        };
        let why = format!(
            "{} are open, {number} of them process {whose}'s, and all wait for an answer",
            self.clients.connections.len()
        );
        let error = ReportedError {
            kind: ErrorKind::Unreachable,
            message: format!(
                "too many connections to the supervisor of {}; {why}; end some and try again",
                self.writer.home().root().display()
            ),
        };
        // A small answer fits into an empty socket; who does not take it sees the end of the connection.
        if let Ok(frame) = encode(&Reply::Failed(error), &[]) {
            File::from(socket)
                .write(&frame)
                .best_effort("who does not take it sees the end of the connection");
        }
        io::Error::other(format!("too many at once; {why}"))
    }
}
