//! Resource limits (`getrlimit(2)`).

use std::io;

/// One resource limit: its number on this kernel, soft and hard value (`u64::MAX` is unlimited).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limit {
    /// The kernel's number of the resource (`RLIMIT_…`).
    pub resource: u32,
    /// What holds now.
    pub soft: u64,
    /// Up to where an unprivileged process may raise it.
    pub hard: u64,
}

/// How many resources Linux limits.
const RESOURCES: u32 = 16;

/// All limits of this process.
pub fn current() -> Vec<Limit> {
    (0..RESOURCES).filter_map(get).collect()
}

fn get(resource: u32) -> Option<Limit> {
    let mut value = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: getrlimit writes one rlimit into the valid place that it is given.
    let done = unsafe { libc::getrlimit(resource, &raw mut value) };
    (done == 0).then_some(Limit {
        resource,
        soft: value.rlim_cur,
        hard: value.rlim_max,
    })
}

/// Raises the soft limit of open files to the hard one. Returns the limit as it is then.
pub fn raise_open_files() -> io::Result<u64> {
    let limit = get(libc::RLIMIT_NOFILE).ok_or_else(io::Error::last_os_error)?;
    let value = libc::rlimit {
        rlim_cur: limit.hard,
        rlim_max: limit.hard,
    };
    // SAFETY: setrlimit reads one rlimit from the valid place that it is given.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const value) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.hard)
}
