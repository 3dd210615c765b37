//! Connections: reading requests without trusting them, and writing answers without waiting for anybody. What a request means is none of
//! its business; who may connect at all is decided by the rights on the socket and by whose process it is (`SO_PEERCRED`, `unix(7)`).

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use super::answers::Waiter;
use crate::control::{FrameBuffer, Reply, ReportedError, Request, encode};
use crate::error::Error;
use crate::name::ProcessName;
use crate::supervise::supervisor::{Kind, Supervisor, token};
use crate::sys::poll::{Interest, Ready};
use crate::sys::{self, clock};

/// How long a client may take to say what it wants, and to hear an answer that waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much is read from one connection before it is looked at.
const READ_AT_ONCE: usize = 256 << 10;
/// How many connections are accepted before other events get their turn.
const ACCEPTED_AT_ONCE: usize = 32;
/// When it is tried again to accept connections, where that failed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How many bytes of a request may wait for the rest of it before it is looked at what all of them have here together …
const MUCH: usize = 1 << 20;
/// … and how many that may be.
const MOST_WAITING: usize = 128 << 20;
/// How many bytes of answers may wait for a client to take them: more than any command is ever told.
const MOST_UNHEARD: usize = 8 << 20;
/// So many descriptors are left to the work itself by connections: `/proc`, records, logs, restarts.
const KEPT_FOR_WORK: u64 = 16;

pub(in crate::supervise) struct Connection {
    socket: File,
    pub(super) peer_pid: u32,
    /// Whose process it is, where not this supervisor's own user's: root's.
    peer_uid: Option<u32>,
    incoming: FrameBuffer,
    outgoing: Vec<u8>,
    /// What only this command is told when it is done.
    pub(super) notices: Vec<String>,
    /// Outcomes that are still to come.
    pub(super) pending: u32,
    /// Since when it keeps us waiting: for its request, or for taking what we say.
    pub(super) waiting_since: Option<Duration>,
    /// It has sent a whole request, or something that is none.
    pub(super) asked: bool,
    done: bool,
}

impl Connection {
    /// When it is dropped for being slow.
    fn deadline(&self) -> Option<Duration> {
        self.waiting_since.map(|since| since + PATIENCE)
    }
}

/// Everybody who is connected, and what they wait for.
#[derive(Default)]
pub(in crate::supervise) struct Clients {
    pub(in crate::supervise) connections: HashMap<u32, Connection>,
    pub(in crate::supervise) next: u32,
    /// Who waits for what becomes of a process.
    pub(in crate::supervise) waiters: HashMap<u32, Vec<Waiter>>,
    /// Connections could not be accepted: when that is tried again.
    pub(in crate::supervise) accept_at: Option<Duration>,
    /// Connections that were refused.
    pub(in crate::supervise) refused: u64,
    /// The names that deleted processes had, until their commands were told …
    pub(in crate::supervise) removed_names: HashMap<u32, ProcessName>,
    /// … and what of them could not be removed.
    pub(in crate::supervise) removal_errors: HashMap<u32, ReportedError>,
}

impl Clients {
    /// When the next of them is to be accepted, or dropped for being slow.
    pub(in crate::supervise) fn deadline(&self) -> Option<Duration> {
        let slow = self.connections.values().filter_map(Connection::deadline);
        slow.chain(self.accept_at).min()
    }

    /// All who waited for a deleted process have been told.
    pub(in crate::supervise) fn forget_removed(&mut self) {
        self.removed_names.clear();
        self.removal_errors.clear();
    }
}

impl Supervisor {
    pub(in crate::supervise) fn accept_all(&mut self) {
        self.tidy_later();
        // A few at a time: a flood of connections must not hold up everything else.
        for _ in 0..ACCEPTED_AT_ONCE {
            let socket = match sys::socket::accept(&self.listener) {
                Ok(Some(socket)) => socket,
                Ok(None) => return,
                Err(error) => return self.accept_later(&error),
            };
            if let Err(error) = self.accept(socket) {
                self.clients.refused += 1;
                // One line in a while tells as much as a thousand.
                self.log.say_seldom(
                    "refused",
                    format_args!(
                        "refused a connection, the {}th: {error}",
                        self.clients.refused
                    ),
                );
            }
        }
    }

    /// Who connects waits; asking again at once would be answered the same.
    fn accept_later(&mut self, error: &io::Error) {
        self.log.say_seldom(
            "accept",
            format_args!("cannot accept connections: {error}; trying again"),
        );
        // A connection that has said nothing makes room.
        self.shed(None);
        // The log files that are kept open may be what takes the descriptors; they are opened again
        // when they are needed.
        self.logs.open = crate::supervise::logs::mover::OpenLogs::default();
        self.clients.accept_at = Some(clock::monotonic() + ACCEPT_AGAIN);
        // Whoever still waits to be accepted would wake the loop again and again.
        self.listen_for(Interest::None);
    }

    /// Accepts connections again, when it is time to.
    pub(in crate::supervise) fn accept_again(&mut self) {
        if self
            .clients
            .accept_at
            .is_some_and(|at| at <= clock::monotonic())
        {
            self.clients.accept_at = None;
            self.listen_for(Interest::Read);
        }
    }

    fn listen_for(&mut self, interest: Interest) {
        let token = token(Kind::Listener, 0);
        if let Err(error) = self.poll.modify(&self.listener, token, interest) {
            self.log
                .say(format_args!("cannot watch the control socket: {error}"));
        }
    }

    pub(super) fn accept(&mut self, socket: OwnedFd) -> io::Result<()> {
        let (uid, peer_pid) = sys::socket::peer(&socket)?;
        let own = sys::account::effective_uid();
        // Root can do all of this without asking.
        if uid != 0 && uid != own {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("from user {uid}"),
            ));
        }
        // The last descriptors are for the work itself: `/proc`, records, logs.
        if !self.has_room_for(peer_pid, &socket) {
            return Err(self.refuse(socket));
        }
        // The numbers wrap around, and a connection may live longer than that.
        let mut number = self.clients.next;
        while self.clients.connections.contains_key(&number) {
            number = number.wrapping_add(1);
        }
        self.clients.next = number.wrapping_add(1);
        self.poll
            .add(&socket, token(Kind::Connection, number), Interest::Read)?;
        let connection = Connection {
            socket: socket.into(),
            peer_pid,
            peer_uid: (uid != own).then_some(uid),
            incoming: FrameBuffer::default(),
            outgoing: Vec::new(),
            notices: Vec::new(),
            pending: 0,
            waiting_since: Some(clock::monotonic()),
            asked: false,
            done: false,
        };
        self.clients.connections.insert(number, connection);
        Ok(())
    }

    /// Whether few descriptors are left, to go by one that was just made: the kernel gives the lowest number that is free.
    pub(super) fn is_short_of_descriptors(&self, newest: &impl AsRawFd) -> bool {
        self.descriptors_left(newest) < KEPT_FOR_WORK
    }

    /// How many more descriptors this process may have, to go by one that was just made.
    pub(in crate::supervise) fn descriptors_left(&self, newest: &impl AsRawFd) -> u64 {
        let limit = sys::limits::open_files_in(&self.own_limits);
        limit.saturating_sub(newest.as_raw_fd() as u64 + 1)
    }

    pub(in crate::supervise) fn on_connection(&mut self, number: u32, event: Ready) {
        if event.writable {
            self.flush_connection(number);
        }
        if event.readable {
            self.read_connection(number);
        }
    }

    pub(super) fn read_connection(&mut self, number: u32) {
        let mut bytes = [0; 16 * 1024];
        let mut read = 0;
        while read < READ_AT_ONCE {
            let Some(connection) = self.clients.connections.get_mut(&number) else {
                return;
            };
            match connection.socket.read(&mut bytes) {
                // The command went away (Ctrl-C). What it was told that it is being done goes on; what nobody has
                // looked at yet is not begun: it has given up waiting for that, and said so.
                Ok(0) => return self.drop_connection(number),
                Ok(length) => {
                    connection.incoming.push(&bytes[..length]);
                    read += length;
                    // Whoever asks and never reads the answers would fill the memory.
                    if connection.outgoing.len() > MOST_UNHEARD
                        || connection.incoming.len() > MUCH && self.is_flooded()
                    {
                        return self.drop_flooding(number);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return self.drop_connection(number),
            }
        }
        self.understand(number);
    }

    /// Whether requests that have begun and not ended hold more memory than they may.
    fn is_flooded(&self) -> bool {
        let waiting = self.clients.connections.values().map(|c| c.incoming.len());
        waiting.sum::<usize>() > MOST_WAITING
    }

    fn drop_flooding(&mut self, number: u32) {
        if let Some(connection) = self.clients.connections.get(&number) {
            self.log.say(format_args!(
                "dropped the connection of process {}: it says more than can be kept",
                connection.peer_pid
            ));
        }
        self.drop_connection(number);
    }

    pub(super) fn understand(&mut self, number: u32) {
        loop {
            let Some(connection) = self.clients.connections.get_mut(&number) else {
                return;
            };
            let frame = match connection.incoming.take_frame() {
                Ok(None) => return,
                Ok(Some((json, blob))) => serde_json::from_slice::<Request>(json)
                    .map(|request| (request, blob.to_vec()))
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            connection.waiting_since = None;
            connection.asked = true;
            let peer_uid = connection.peer_uid;
            match frame {
                Ok((mut request, blob)) => {
                    // Its name is its own word; its user is the kernel's.
                    if let Some(uid) = peer_uid {
                        request.asked.by = format!("{} as uid {uid}", request.asked.by);
                    }
                    self.obey(number, request, &blob);
                }
                Err(reason) => {
                    let error =
                        Error::bad_value("request", format!("it cannot be understood: {reason}"));
                    self.fail(number, &error);
                    return;
                }
            }
        }
    }

    pub(super) fn done(&mut self, number: u32) {
        // Told once, to whichever command is done first.
        let mut notices = std::mem::take(&mut self.notices);
        if let Some(connection) = self.clients.connections.get_mut(&number) {
            notices.append(&mut connection.notices);
        }
        self.say(number, &Reply::Done { notices });
        self.finish_connection(number);
    }

    pub(in crate::supervise) fn fail(&mut self, number: u32, error: &Error) {
        self.say(number, &Reply::Failed(error.into()));
        self.finish_connection(number);
    }

    pub(super) fn finish_connection(&mut self, number: u32) {
        if let Some(connection) = self.clients.connections.get_mut(&number) {
            connection.done = true;
        }
        // Closed only once the answer has left; see `flush_connection`.
        self.flush_connection(number);
    }

    pub(in crate::supervise) fn say(&mut self, number: u32, reply: &Reply) {
        let Some(connection) = self.clients.connections.get_mut(&number) else {
            return;
        };
        match encode(reply, &[]) {
            Ok(frame) => connection.outgoing.extend_from_slice(&frame),
            Err(error) => self.log.say(format_args!("cannot answer: {error}")),
        }
        self.flush_connection(number);
    }

    pub(super) fn flush_connection(&mut self, number: u32) {
        let Some(connection) = self.clients.connections.get_mut(&number) else {
            return;
        };
        while !connection.outgoing.is_empty() {
            match connection.socket.write(&connection.outgoing) {
                Ok(written) => drop(connection.outgoing.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Its time runs from the first byte that it did not take.
                    connection
                        .waiting_since
                        .get_or_insert_with(clock::monotonic);
                    self.poll.rewatch(
                        &connection.socket,
                        token(Kind::Connection, number),
                        Interest::ReadWrite,
                    );
                    return;
                }
                Err(_) => return self.drop_connection(number),
            }
        }
        if connection.done {
            return self.drop_connection(number);
        }
        // It has taken everything, and its request is here, so now it is the client that waits.
        if connection.waiting_since.is_some()
            && !connection.incoming.is_partial()
            && connection.pending > 0
        {
            connection.waiting_since = None;
            self.poll.rewatch(
                &connection.socket,
                token(Kind::Connection, number),
                Interest::Read,
            );
        }
    }

    pub(super) fn drop_connection(&mut self, number: u32) {
        if let Some(connection) = self.clients.connections.remove(&number) {
            self.poll.unwatch(&connection.socket);
        }
        let mut left = Vec::new();
        for (id, waiters) in &mut self.clients.waiters {
            let before = waiters.len();
            waiters.retain(|waiter| waiter.connection != number);
            if waiters.len() < before {
                left.push(*id);
            }
        }
        self.clients
            .waiters
            .retain(|_, waiters| !waiters.is_empty());
        for id in left {
            self.unwant_ready(id);
        }
        self.forget_resurrection(number);
    }

    /// Drops those who stall.
    pub(in crate::supervise) fn drop_slow_connections(&mut self, now: Duration) {
        let mut slow: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (number, connection) in &self.clients.connections {
            if connection.deadline().is_some_and(|at| at <= now) {
                slow.entry(connection.peer_pid).or_default().push(*number);
            }
        }
        for (pid, numbers) in slow {
            let connections = match numbers.len() {
                1 => "the connection".to_owned(),
                number => format!("{number} connections"),
            };
            self.log.say(format_args!(
                "dropped {connections} of process {pid}: stalled for {} s",
                PATIENCE.as_secs()
            ));
            for number in numbers {
                self.drop_connection(number);
            }
        }
    }

    /// This supervisor ends: what was said and not taken yet is said as far as it is taken at once.
    pub(in crate::supervise) fn flush_connections(&mut self) {
        let numbers: Vec<u32> = self.clients.connections.keys().copied().collect();
        for number in numbers {
            self.flush_connection(number);
        }
    }

    /// The socket of a connection, for a handover.
    pub(in crate::supervise) fn take_connection(&mut self, number: u32) -> Option<OwnedFd> {
        let connection = self.clients.connections.remove(&number)?;
        self.poll.unwatch(&connection.socket);
        Some(connection.socket.into())
    }
}
