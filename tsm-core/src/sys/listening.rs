//! Which TCP ports somebody listens on, and which processes hold a socket (`proc_net(5)`, `proc_pid_fd(5)`).

use std::collections::HashMap;
use std::{fs, io};

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listening {
    /// The port.
    pub port: u16,
    /// The user that made it.
    pub uid: u32,
    /// The number by which `/proc/PID/fd` names it.
    pub inode: u64,
}

/// All TCP sockets that listen, of IPv4 and IPv6, in this network namespace.
///
/// # Errors
/// An [`io::Error`] where `/proc/net` cannot be read.
pub(crate) fn tcp() -> io::Result<Vec<Listening>> {
    let mut all = parse(&fs::read_to_string("/proc/net/tcp")?);
    match fs::read_to_string("/proc/net/tcp6") {
        Ok(text) => all.extend(parse(&text)),
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(all)
}

/// A socket that waits for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// `tcp`, `tcp6`, `udp`, `udp6` or `unix`.
    pub protocol: &'static str,
    /// Its address.
    pub address: Option<std::net::IpAddr>,
    /// Its port.
    pub port: Option<u16>,
    /// Its path, or with an `@` in front its abstract name.
    pub path: Option<String>,
    /// The number by which `/proc/PID/fd` names it.
    pub inode: u64,
}

/// All sockets of this network namespace that wait for somebody: TCP and Unix sockets that listen, UDP sockets that are
/// bound and not connected.
///
/// # Errors
/// An [`io::Error`] where `/proc/net` cannot be read.
pub(crate) fn all() -> io::Result<Vec<Open>> {
    const LISTEN: &str = "0A";
    const UNCONNECTED: &str = "07";
    let mut found = Vec::new();
    for (protocol, state) in [
        ("tcp", LISTEN),
        ("tcp6", LISTEN),
        ("udp", UNCONNECTED),
        ("udp6", UNCONNECTED),
    ] {
        match fs::read_to_string(format!("/proc/net/{protocol}")) {
            Ok(text) => {
                let lines = text.lines().skip(1);
                found.extend(lines.filter_map(|line| inet_line(line, protocol, state)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // Names are what their programs made of them: they need not be text.
    let text = fs::read("/proc/net/unix")?;
    let text = String::from_utf8_lossy(&text);
    found.extend(text.lines().skip(1).filter_map(unix_line));
    Ok(found)
}

fn inet_line(line: &str, protocol: &'static str, wanted: &str) -> Option<Open> {
    let mut fields = line.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    if fields.nth(1)? != wanted {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    Some(Open {
        protocol,
        address: Some(ip_address(address)?),
        port: Some(u16::from_str_radix(port, 16).ok()?),
        path: None,
        inode,
    })
}

/// An address as `/proc/net` writes it: words of 32 bits in the order of this machine.
fn ip_address(hex: &str) -> Option<std::net::IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..hex.len()).step_by(8) {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => Some(std::net::Ipv4Addr::from(four).into()),
        Err(_) => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
    }
}

fn unix_line(line: &str) -> Option<Open> {
    const ACCEPTS: u32 = 0x10000;
    let mut fields = line.split_ascii_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    if flags & ACCEPTS == 0 {
        return None;
    }
    let inode = fields.nth(2)?.parse().ok()?;
    // All that is left is the path, blanks and all.
    let path = fields.collect::<Vec<_>>().join(" ");
    Some(Open {
        protocol: "unix",
        address: None,
        port: None,
        path: (!path.is_empty()).then_some(path),
        inode,
    })
}

/// Which processes hold sockets of `wanted` numbers, as far as this user may look; each with each of its sockets.
pub(crate) fn all_holders(wanted: impl Fn(u64) -> bool) -> Vec<(u64, u32)> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir("/proc") else {
        return found;
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        // A process of another user, or one that has ended, cannot be looked into.
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        for link in descriptors.flatten() {
            let inode = fs::read_link(link.path()).ok().and_then(|target| {
                let inode = target.to_str()?.strip_prefix("socket:[")?;
                inode.strip_suffix(']')?.parse::<u64>().ok()
            });
            if let Some(inode) = inode.filter(|inode| wanted(*inode)) {
                found.push((inode, pid));
            }
        }
    }
    found
}

/// Whether nobody listens on a port, of IPv4 or IPv6: a moment ago, that is.
pub(crate) fn is_free(port: u16) -> bool {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
    // Connections of before that linger do not count: the library binds with `SO_REUSEADDR`.
    let free = |bound: io::Result<TcpListener>| match bound {
        Ok(_) => true,
        // A kernel without IPv6.
        Err(error) => {
            error.kind() == io::ErrorKind::AddrNotAvailable
                || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
        }
    };
    free(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
        && free(TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))
}

/// The inodes of the TCP sockets that listen on a port. Of the tables only so much is read as is needed: the kernel lists
/// those that listen first.
///
/// # Errors
/// An [`io::Error`] where `/proc/net` cannot be read.
pub(crate) fn tcp_on(port: u16) -> io::Result<Vec<u64>> {
    use std::io::BufRead as _;
    let mut inodes = Vec::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in io::BufReader::new(file).lines().skip(1) {
            let line = line?;
            // `parse` leaves out the first line, which is the heading.
            let found = parse(&format!("\n{line}"));
            let Some(socket) = found.first() else { break };
            if socket.port == port {
                inodes.push(socket.inode);
            }
        }
    }
    Ok(inodes)
}

fn parse(text: &str) -> Vec<Listening> {
    const LISTEN: &str = "0A";
    let line = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        if fields.nth(1)? != LISTEN {
            return None;
        }
        Some(Listening {
            port: u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?,
            uid: fields.nth(3)?.parse().ok()?,
            inode: fields.nth(1)?.parse().ok()?,
        })
    };
    text.lines().skip(1).filter_map(line).collect()
}

/// The lowest pid that holds each of these sockets, as far as this user may look.
pub(crate) fn holders(inodes: &[u64]) -> HashMap<u64, u32> {
    let mut found: HashMap<u64, u32> = HashMap::new();
    for (inode, pid) in all_holders(|inode| inodes.contains(&inode)) {
        let lowest = found.entry(inode).or_insert(pid);
        *lowest = (*lowest).min(pid);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_we_listen_on_is_found_with_us_as_its_holder() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(address) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let all = tcp().unwrap();
            let ours = all.iter().find(|l| l.port == port).unwrap();
            assert_eq!(ours.uid, crate::sys::account::effective_uid());
            assert_eq!(holders(&[ours.inode])[&ours.inode], std::process::id());
        }
    }

    #[test]
    fn what_does_not_listen_or_cannot_be_read_is_passed_over() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:0FA1 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 77 1 0 100 0 0 10 0\n\
             1: 0100007F:0FA1 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 78 1 0 100 0 0 10 0\n\
             2: nonsense\n";
        let ours = Listening {
            port: 4001,
            uid: 1000,
            inode: 77,
        };
        assert_eq!(parse(text), [ours]);
    }
}
