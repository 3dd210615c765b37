//! The supervisor's way to whoever holds its descriptors: the guardian, or systemd, which is spoken to alike (`FDSTORE=1` of
//! `sd_pid_notify_with_fds(3)`). It never waits for the other side, and asks nothing back: they come with the next start.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::{self, WaitStatus};

/// What a guardian says when all services are to be stopped.
pub(in crate::supervise) const STOP_SERVICES: &[u8] = b"TSM_STOP_SERVICES=1";

/// Who holds what outlives this supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervise) enum Keeper {
    /// The guardian, over a socket pair.
    Guardian,
    /// systemd, over `NOTIFY_SOCKET`.
    ServiceManager,
    /// Nobody: a supervisor in the foreground of a terminal. The pipes survive in the services themselves.
    Nobody,
}

/// A message that could not be sent yet.
struct Queued {
    text: String,
    fd: Option<OwnedFd>,
}

/// Sends descriptors to the keeper. A keeper that does not read (it is stopped, say) delays nothing: what it cannot take
/// now is sent when it can.
pub(in crate::supervise) struct FdStore {
    keeper: Keeper,
    socket: Option<OwnedFd>,
    queue: VecDeque<Queued>,
}

/// What the keeper said.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::supervise) enum Heard {
    /// It reaped this process.
    Exited(u32, WaitStatus),
    /// Its sentinel is this child of its; `None` where it has none now.
    Sentinel(Option<u32>),
    /// The unit that this is in is being stopped.
    Stopping,
    /// It is gone.
    Gone,
}

impl FdStore {
    /// Finds the keeper by the environment (`TSM_STORE_FD` from a guardian, `NOTIFY_SOCKET` from systemd).
    pub(in crate::supervise) fn find(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let channel = lookup("TSM_STORE_FD")
            .and_then(|number| number.into_string().ok()?.parse().ok())
            .and_then(sys::fd::adopt);
        if let Some(channel) = channel {
            return Self {
                keeper: Keeper::Guardian,
                socket: Some(channel),
                queue: VecDeque::new(),
            };
        }
        let notify =
            lookup("NOTIFY_SOCKET").and_then(|target| sys::socket::connect_notify(&target).ok());
        let keeper = if notify.is_some() {
            Keeper::ServiceManager
        } else {
            Keeper::Nobody
        };
        Self {
            keeper,
            socket: notify,
            queue: VecDeque::new(),
        }
    }

    /// Goes on with a way to the guardian that was found before.
    pub(in crate::supervise) fn of_guardian(channel: OwnedFd) -> Self {
        Self {
            keeper: Keeper::Guardian,
            socket: Some(channel),
            queue: VecDeque::new(),
        }
    }

    /// The way to the guardian, where there is one.
    pub(super) fn guardian_socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket().filter(|_| self.keeper == Keeper::Guardian)
    }

    /// Lets the guardian go on as the program of this file.
    pub(super) fn upgrade_guardian(&mut self, program: BorrowedFd<'_>) {
        self.send("TSM_UPGRADE=1".to_owned(), Some(program));
    }

    pub(in crate::supervise) fn keeper(&self) -> Keeper {
        self.keeper
    }

    /// The socket to watch: for messages from a guardian, and for room while something waits to be sent.
    pub(in crate::supervise) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Whether something waits to be sent.
    pub(in crate::supervise) fn is_backed_up(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Gives a descriptor to the keeper under a name.
    pub(in crate::supervise) fn put(&mut self, name: &str, fd: BorrowedFd<'_>) {
        self.send(format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}"), Some(fd));
    }

    /// Lets the keeper forget all that it holds under a name.
    pub(in crate::supervise) fn forget(&mut self, name: &str) {
        self.send(format!("FDSTOREREMOVE=1\nFDNAME={name}"), None);
    }

    /// Tells the keeper how things are (`READY=1`, `STOPPING=1` …).
    pub(in crate::supervise) fn notify(&mut self, state: &str) {
        self.send(state.to_owned(), None);
    }

    fn send(&mut self, text: String, fd: Option<BorrowedFd<'_>>) {
        if self.socket.is_none() {
            return;
        }
        // In order: what waits goes first.
        self.flush();
        if self.queue.is_empty() && self.try_send(&text, fd).is_ok() {
            return;
        }
        // A descriptor that waits is duplicated, so that it outlives whatever happens to the original.
        let fd = fd.and_then(|fd| fd.try_clone_to_owned().ok());
        self.queue.push_back(Queued { text, fd });
    }

    /// An error is only ever "not now": a keeper that is gone takes everything.
    fn try_send(&self, text: &str, fd: Option<BorrowedFd<'_>>) -> Result<(), ()> {
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        match sys::socket::send(socket, text.as_bytes(), fd.as_slice()) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Err(())
            }
            // Any other error means that the keeper is gone, which is noticed when it is listened
            // to.
            _ => Ok(()),
        }
    }

    /// Sends what waits, as far as the keeper takes it.
    pub(in crate::supervise) fn flush(&mut self) {
        while let Some(first) = self.queue.front() {
            if self
                .try_send(&first.text, first.fd.as_ref().map(AsFd::as_fd))
                .is_err()
            {
                return;
            }
            self.queue.pop_front();
        }
    }

    /// The next thing that a guardian said; `None` where it says nothing now.
    pub(in crate::supervise) fn hear(&mut self) -> Option<Heard> {
        if self.keeper != Keeper::Guardian {
            return None;
        }
        let mut bytes = [0; 128];
        let mut none = Vec::new();
        loop {
            match sys::socket::receive(self.socket.as_ref()?, &mut bytes, &mut none) {
                Ok(0) => {
                    self.keeper = Keeper::Nobody;
                    return Some(Heard::Gone);
                }
                Ok(length) if bytes[..length] == *STOP_SERVICES => return Some(Heard::Stopping),
                Ok(length) => {
                    let heard = std::str::from_utf8(&bytes[..length])
                        .ok()
                        .and_then(understand);
                    // A message that only a newer guardian sends is passed over.
                    if heard.is_some() {
                        return heard;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => {
                    self.keeper = Keeper::Nobody;
                    // An error that stays would otherwise be told again and again.
                    return Some(Heard::Gone);
                }
            }
        }
    }

    /// Closes the way to a keeper that is gone.
    pub(in crate::supervise) fn disconnect(&mut self) -> Option<OwnedFd> {
        self.queue.clear();
        self.socket.take()
    }
}

/// What a guardian says besides; `None` for what only a newer one says.
fn understand(text: &str) -> Option<Heard> {
    if let Some(pid) = text.strip_prefix("TSM_SENTINEL=") {
        return Some(Heard::Sentinel(
            Some(pid.parse().ok()?).filter(|&pid| pid != 0),
        ));
    }
    let (pid, status) = text.strip_prefix("TSM_EXITED=")?.split_once(' ')?;
    Some(Heard::Exited(pid.parse().ok()?, WaitStatus::parse(status)?))
}
