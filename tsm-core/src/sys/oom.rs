//! The kernel's OOM killer: how often it was at work, and at which limit (`proc_vmstat(5)`, `cgroups(7)`, memory.events).

use std::path::{Path, PathBuf};

/// What is known of the OOM killer at one moment: counters that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OomCounts {
    /// Kills in this process's own cgroup and below; 0 where there is no cgroup v2.
    pub group: u64,
    /// Kills on the whole machine.
    pub machine: u64,
}

impl OomCounts {
    /// Reads them; what cannot be read counts as nothing.
    pub(crate) fn read() -> Self {
        let group =
            own_group().and_then(|group| std::fs::read_to_string(group.join("memory.events")).ok());
        let machine = std::fs::read_to_string("/proc/vmstat").ok();
        let count = |text: Option<String>| field(&text.unwrap_or_default(), "oom_kill");
        Self {
            group: count(group).unwrap_or(0),
            machine: count(machine).unwrap_or(0),
        }
    }
}

/// The limit of memory of this process's own cgroup, or of the nearest above that has one, in bytes.
pub(crate) fn limit_of_own_group() -> Option<u64> {
    let group = own_group()?;
    group
        .ancestors()
        .take_while(|group| group.starts_with(GROUPS))
        .find_map(|group| {
            let limit = std::fs::read_to_string(group.join("memory.max")).ok()?;
            limit.trim().parse().ok()
        })
}

const GROUPS: &str = "/sys/fs/cgroup";

fn own_group() -> Option<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(GROUPS).join(path))
}

/// The number behind a word at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_whole_name() {
        let text = "low 0\nhigh 3\nmax 12\noom 2\noom_kill 1\noom_group_kill 7\n";
        assert_eq!(field(text, "oom_kill"), Some(1));
        assert_eq!(field(text, "oom"), Some(2));
        assert_eq!(field(text, "kill"), None);
        // Whatever there is on this machine, it can be read.
        let _ = (OomCounts::read(), limit_of_own_group());
    }
}
