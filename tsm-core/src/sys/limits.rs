//! Resource limits (`getrlimit(2)`).

use std::io;

/// One resource limit: its number on this kernel, soft and hard value (`u64::MAX` is unlimited).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limit {
    /// The kernel's number of the resource (`RLIMIT_…`).
    pub resource: u32,
    /// What holds now, in the unit of that resource (`getrlimit(2)`: bytes, seconds, or a number).
    pub soft: u64,
    /// Up to where an unprivileged process may raise it, in the same unit.
    pub hard: u64,
}

/// The resource of the stack's size.
pub const STACK: u32 = number_of(libc::RLIMIT_STACK);
const NOFILE: u32 = number_of(libc::RLIMIT_NOFILE);
const NICE: u32 = number_of(libc::RLIMIT_NICE);

/// As every C library's kernel counts them; the type is that of the C library: unsigned with glibc, signed with musl.
#[cfg_attr(
    target_env = "gnu",
    expect(clippy::unnecessary_cast, reason = "with musl it is none")
)]
const fn number_of(resource: RlimitResource) -> u32 {
    resource as u32
}

#[cfg(target_env = "gnu")]
type RlimitResource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type RlimitResource = libc::c_int;

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
    let done = unsafe { libc::getrlimit(resource as RlimitResource, &raw mut value) };
    (done == 0).then_some(Limit {
        resource,
        soft: value.rlim_cur,
        hard: value.rlim_max,
    })
}

/// The nice value of this process (`getpriority(2)`); `None` where the kernel does not tell.
pub fn nice() -> Option<i32> {
    rustix::process::getpriority_process(None).ok()
}

/// What a system of today gives to a process that nobody has limited: the limits of process 1, which may be read by all.
/// Soft and hard, by the number of the resource.
pub fn of_init() -> Vec<Limit> {
    // In the order of the kernel's numbers (`fs/proc/base.c`).
    const NAMES: [&str; RESOURCES as usize] = [
        "Max cpu time",
        "Max file size",
        "Max data size",
        "Max stack size",
        "Max core file size",
        "Max resident set",
        "Max processes",
        "Max open files",
        "Max locked memory",
        "Max address space",
        "Max file locks",
        "Max pending signals",
        "Max msgqueue size",
        "Max nice priority",
        "Max realtime priority",
        "Max realtime timeout",
    ];
    let text = std::fs::read_to_string("/proc/1/limits").unwrap_or_default();
    let value = |word: Option<&str>| match word? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    };
    let limit = |(resource, name): (usize, &&str)| {
        let line = text.lines().find_map(|line| line.strip_prefix(*name))?;
        let mut words = line.split_ascii_whitespace();
        Some(Limit {
            resource: resource as u32,
            soft: value(words.next())?,
            hard: value(words.next())?,
        })
    };
    NAMES.iter().enumerate().filter_map(limit).collect()
}

/// What a resource is called by `ulimit` and systemd: `nofile`, `core` …
pub fn name(resource: u32) -> &'static str {
    const NAMES: [&str; RESOURCES as usize] = [
        "cpu",
        "fsize",
        "data",
        "stack",
        "core",
        "rss",
        "nproc",
        "nofile",
        "memlock",
        "as",
        "locks",
        "sigpending",
        "msgqueue",
        "nice",
        "rtprio",
        "rttime",
    ];
    NAMES.get(resource as usize).copied().unwrap_or("?")
}

/// A limit of open files, soft and hard.
pub(crate) fn open_files(number: u64) -> Limit {
    Limit {
        resource: NOFILE,
        soft: number,
        hard: number,
    }
}

/// Whether it is the one of open files.
pub(crate) fn is_open_files(limit: &Limit) -> bool {
    limit.resource == NOFILE
}

/// The soft limit of open files among these limits; without one, there is none.
pub(crate) fn open_files_in(limits: &[Limit]) -> u64 {
    let files = limits.iter().find(|limit| is_open_files(limit));
    files.map_or(u64::MAX, |limit| limit.soft)
}

/// Whether this process may raise hard limits (`CAP_SYS_RESOURCE`, `capabilities(7)`).
pub(crate) fn may_raise_hard() -> bool {
    has_capability(24)
}

/// Whether a child of this process may have this nice value: one that is not below its own, or not below what
/// `RLIMIT_NICE` allows, or any with `CAP_SYS_NICE` (`setpriority(2)`, `getrlimit(2)`).
pub(crate) fn may_have_nice(wanted: i32, own: &[Limit]) -> bool {
    let ceiling = own.iter().find(|limit| limit.resource == NICE);
    let lowest = ceiling.map_or(20, |limit| {
        20 - i64::try_from(limit.soft).unwrap_or(40).min(40)
    });
    nice().is_none_or(|own| wanted >= own) || i64::from(wanted) >= lowest || has_capability(23)
}

/// By its number in `capabilities(7)` (`linux/capability.h`).
fn has_capability(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 << number != 0)
}

/// Lowers `limits` to what a process with the limits `own` may set without privileges: none above its own hard one.
/// Returns those that were too high, as they were asked for.
pub fn fit(limits: &mut [Limit], own: &[Limit]) -> Vec<Limit> {
    let mut lowered = Vec::new();
    for limit in limits {
        let most = own.iter().find(|o| o.resource == limit.resource);
        if let Some(most) = most.filter(|most| limit.hard > most.hard) {
            lowered.push(*limit);
            limit.hard = most.hard;
            limit.soft = limit.soft.min(most.hard);
        }
    }
    lowered
}

/// Raises the soft limit of open files to the hard one. Returns the limit as it is then.
///
/// # Errors
/// Those of `getrlimit(2)` and `setrlimit(2)`.
pub fn raise_open_files() -> io::Result<u64> {
    let limit = get(NOFILE).ok_or_else(io::Error::last_os_error)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_fit_below_the_hard_ones_of_the_process_that_sets_them() {
        let limit = |resource, soft, hard| Limit {
            resource,
            soft,
            hard,
        };
        let own = [limit(4, 0, 0), limit(7, 1024, 4096)];
        let mut limits = [
            limit(4, u64::MAX, u64::MAX),
            limit(7, 100, 4096),
            limit(3, 5, 6),
        ];
        assert_eq!(fit(&mut limits, &own), [limit(4, u64::MAX, u64::MAX)]);
        assert_eq!(
            limits,
            [limit(4, 0, 0), limit(7, 100, 4096), limit(3, 5, 6)]
        );
        let mut limits = [limit(7, 100, 8192), limit(4, 0, 0)];
        assert_eq!(fit(&mut limits, &own), [limit(7, 100, 8192)]);
        assert_eq!(limits[0], limit(7, 100, 4096));
    }

    #[test]
    fn the_limits_of_process_1_are_read_by_their_names() {
        let limits = of_init();
        // Where /proc is hidden there are none.
        if let Some(files) = limits.iter().find(|limit| name(limit.resource) == "nofile") {
            assert!(files.soft > 0 && files.hard >= files.soft);
            assert_eq!(limits.len(), RESOURCES as usize);
        }
        assert_eq!(name(number_of(libc::RLIMIT_NOFILE)), "nofile");
        assert_eq!(name(number_of(libc::RLIMIT_CORE)), "core");
        assert_eq!(name(number_of(libc::RLIMIT_RTTIME)), "rttime");
    }
}
