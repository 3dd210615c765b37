//! Which TCP ports somebody listens on, and which processes hold a socket (`proc_net(5)`, `proc_pid_fd(5)`).

use std::collections::HashMap;
use std::{fs, io};

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
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
pub fn tcp() -> io::Result<Vec<Listening>> {
    let mut all = parse(&fs::read_to_string("/proc/net/tcp")?);
    match fs::read_to_string("/proc/net/tcp6") {
        Ok(text) => all.extend(parse(&text)),
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(all)
}

/// The inodes of the TCP sockets that listen on a port. Of the tables only so much is read as is needed: the kernel lists
/// those that listen first.
///
/// # Errors
/// An [`io::Error`] where `/proc/net` cannot be read.
pub fn tcp_on(port: u16) -> io::Result<Vec<u64>> {
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
pub fn holders(inodes: &[u64]) -> HashMap<u64, u32> {
    let mut found: HashMap<u64, u32> = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else {
        return found;
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        // What is not ours, or has ended, cannot be looked into.
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        for link in descriptors.flatten() {
            let inode = fs::read_link(link.path()).ok().and_then(|target| {
                let inode = target.to_str()?.strip_prefix("socket:[")?;
                inode.strip_suffix(']')?.parse::<u64>().ok()
            });
            if let Some(inode) = inode.filter(|inode| inodes.contains(inode)) {
                let lowest = found.entry(inode).or_insert(pid);
                *lowest = pid.min(*lowest);
            }
        }
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
