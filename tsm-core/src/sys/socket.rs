//! Unix sockets (`unix(7)`): the control socket, and messages that carry descriptors. Nothing here waits but [`connect`], which is a
//! command's.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::net::sockopt::Timeout;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// An address for a socket file: a socket's path has at most 107 bytes, so the directory is named by a descriptor.
fn address(path: &Path) -> io::Result<(OwnedFd, SocketAddrUnix)> {
    let (directory, file) = (path.parent(), path.file_name());
    let (Some(directory), Some(file)) = (directory, file) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = rustix::fs::open(
        directory,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut short = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    short.extend_from_slice(std::os::unix::ffi::OsStrExt::as_bytes(file));
    Ok((directory, SocketAddrUnix::new(short)?))
}

/// Listens at `path`, which must not exist yet; the socket file gets the mode that the umask leaves.
///
/// # Errors
/// Those of `bind(2)`: [`io::ErrorKind::AddrInUse`] where something is there, and those of its directory.
pub(crate) fn listen(path: &Path) -> io::Result<OwnedFd> {
    let (_directory, address) = address(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Connects to the socket file at `path`. Where the backlog is full, and later where the other side takes nothing, it is
/// waited for `patience` at once ([`io::ErrorKind::WouldBlock`] then).
///
/// # Errors
/// Those of `connect(2)`: [`io::ErrorKind::NotFound`] without a file, [`io::ErrorKind::ConnectionRefused`] where nobody listens.
pub(crate) fn connect(path: &Path, patience: Duration) -> io::Result<OwnedFd> {
    let (_directory, address) = address(path)?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

/// Connects a datagram socket to where `sd_notify(3)` messages go: a path, or `@name` for the abstract name space.
///
/// # Errors
/// Those of `connect(2)`; [`io::ErrorKind::InvalidInput`] or the like where it is too long for an address.
pub(crate) fn connect_notify(target: &std::ffi::OsStr) -> io::Result<OwnedFd> {
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(target);
    let address = match bytes.strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name)?,
        None => SocketAddrUnix::new(bytes)?,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

/// A socket file at `path`, which must not exist yet, for messages whose senders the kernel names.
///
/// # Errors
/// Those of `bind(2)`: [`io::ErrorKind::AddrInUse`] where something is there, and those of its directory.
pub(crate) fn hear_at(path: &Path) -> io::Result<OwnedFd> {
    let (_directory, address) = address(path)?;
    hear_by(&address)
}

/// The same under a name of the abstract name space, without its zero byte.
///
/// # Errors
/// Those of `bind(2)`: [`io::ErrorKind::AddrInUse`] where another has the name.
pub(crate) fn hear_hidden(name: &[u8]) -> io::Result<OwnedFd> {
    hear_by(&SocketAddrUnix::new_abstract_name(name)?)
}

fn hear_by(address: &SocketAddrUnix) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    // Before it has a name: a message that came earlier would bear no sender.
    rustix::net::sockopt::set_socket_passcred(&socket, true)?;
    rustix::net::bind(&socket, address)?;
    Ok(socket)
}

/// A message whose sender the kernel names.
#[derive(Debug)]
pub(crate) struct Heard {
    /// How many bytes it has.
    pub length: usize,
    /// The pid of its sender.
    pub pid: u32,
}

/// The next message at a socket of [`hear_at`] or [`hear_hidden`]; `None` where there is none. A message without a sender
/// is passed over.
///
/// # Errors
/// Those of `recvmsg(2)`.
pub(crate) fn hear(socket: impl AsFd, bytes: &mut [u8]) -> io::Result<Option<Heard>> {
    let mut space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS), ScmCredentials(1))];
    loop {
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            &socket,
            &mut [IoSliceMut::new(bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        );
        let length = match received {
            Ok(received) => received.bytes,
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        let mut pid = None;
        for message in control.drain() {
            match message {
                // Descriptors that nobody asked for are closed.
                RecvAncillaryMessage::ScmRights(rights) => rights.for_each(drop),
                RecvAncillaryMessage::ScmCredentials(who) => {
                    pid = Some(who.pid.as_raw_nonzero().get() as u32);
                }
                _ => {}
            }
        }
        if let Some(pid) = pid {
            return Ok(Some(Heard { length, pid }));
        }
    }
}

/// The next connection that waits at a listening socket; `None` where none does.
///
/// # Errors
/// Those of `accept(2)`: no descriptor is left.
pub(crate) fn accept(listener: impl AsFd) -> io::Result<Option<OwnedFd>> {
    match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(socket) => Ok(Some(socket)),
        // A connection that still waits is reported again, since the listener is watched
        // level-triggered.
        Err(
            rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED,
        ) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether who connects to `path` comes to `listener`. It is tried, so that the listener sees a connection that ends at
/// once; one whose backlog is full counts as found.
///
/// # Errors
/// Those of `socket(2)` and `connect(2)`: it could not be tried.
pub(crate) fn is_found_at(listener: impl AsFd, path: &Path) -> io::Result<bool> {
    let (_directory, address) = address(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => {}
        Err(rustix::io::Errno::AGAIN) => return Ok(true),
        Err(
            rustix::io::Errno::NOENT
            | rustix::io::Errno::CONNREFUSED
            | rustix::io::Errno::NOTSOCK
            | rustix::io::Errno::PROTOTYPE,
        ) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    }
    Ok(rustix::net::getpeername(&socket)? == Some(rustix::net::getsockname(listener)?))
}

/// Two connected sockets that keep the borders of messages and tell when the other is closed.
///
/// # Errors
/// Those of `socketpair(2)`: no descriptor is left.
pub(crate) fn message_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

/// User id and pid of the process at the other end of a connection (`SO_PEERCRED`), as they were when it connected.
///
/// # Errors
/// Those of `getsockopt(2)`.
pub(crate) fn peer(socket: impl AsFd) -> io::Result<(u32, u32)> {
    let credentials = rustix::net::sockopt::socket_peercred(socket)?;
    Ok((
        credentials.uid.as_raw(),
        credentials.pid.as_raw_nonzero().get() as u32,
    ))
}

/// Sends bytes and descriptors as one message. [`io::ErrorKind::WouldBlock`] where the other side has to read first.
///
/// # Errors
/// Those of `sendmsg(2)`; [`io::ErrorKind::InvalidInput`] where there are too many descriptors for one message.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = SendFlags::NOSIGNAL;
    match rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags) {
        Ok(sent) => Ok(sent),
        // Too many descriptors are under way at once: the same remedy as for a full queue.
        Err(rustix::io::Errno::TOOMANYREFS | rustix::io::Errno::NOBUFS) => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(errno) => Err(errno.into()),
    }
}

/// How many descriptors one message may carry.
pub(crate) const MAX_FDS: usize = 16;

/// Receives one message and its descriptors, which are close-on-exec. 0 bytes: the other side is closed.
///
/// # Errors
/// Those of `recvmsg(2)`; [`io::ErrorKind::WouldBlock`] where there is none yet.
pub(crate) fn receive(
    socket: impl AsFd,
    bytes: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(received.bytes)
}
