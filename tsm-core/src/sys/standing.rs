//! What a process has from its parent besides environment, directory, mask and soft limits, and what no program can ask for back: what
//! it can see, whose groups it is in, what it has given up. A service that is started by another parent's child may do other things.

use std::os::unix::fs::MetadataExt as _;

use super::limits;

const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
const HARD_LIMITS: &str = "hard-limits";

/// That of this process, as one word after the other: `NAME=VALUE`.
pub(crate) fn own() -> String {
    let mut words = Vec::new();
    for name in NAMESPACES {
        // A kind of name space that this kernel lacks, no process has.
        if let Ok(link) = std::fs::read_link(format!("/proc/self/ns/{name}")) {
            words.push(format!("namespace-{}", link.display()).replace(':', "="));
        }
    }
    if let Ok(root) = std::fs::metadata("/") {
        words.push(format!("root-directory={}:{}", root.dev(), root.ino()));
    }
    let mut groups: Vec<u32> = rustix::process::getgroups()
        .unwrap_or_default()
        .into_iter()
        .chain([rustix::process::getegid()])
        .map(rustix::process::Gid::as_raw)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    words.push(format!("groups={}", joined(groups)));
    words.push(format!("group={}", rustix::process::getegid().as_raw()));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (field, name) in [
        ("NoNewPrivs:", "no-new-privileges"),
        ("Seccomp:", "seccomp"),
    ] {
        let value = status.lines().find_map(|line| line.strip_prefix(field));
        words.extend(value.map(|value| format!("{name}={}", value.trim())));
    }
    let hard = limits::current().into_iter().map(|limit| limit.hard);
    words.push(format!("{HARD_LIMITS}={}", joined(hard)));
    words.join(" ")
}

fn joined<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    texts.join(",")
}

/// In what `here` is other than `there` so that what is started here may do less or sees something else, by name. A higher limit is no difference.
pub(crate) fn differences(there: &str, here: &str) -> Vec<String> {
    let value = |of: &str, name: &str| {
        let mut words = of.split(' ').filter_map(|word| word.split_once('='));
        words.find_map(|(known, value)| (known == name).then(|| value.to_owned()))
    };
    let mut names = Vec::new();
    for (name, wanted) in there.split(' ').filter_map(|word| word.split_once('=')) {
        let found = value(here, name).unwrap_or_default();
        let is_good = if name == HARD_LIMITS {
            let numbers = |text: &str| -> Vec<u64> {
                text.split(',').filter_map(|n| n.parse().ok()).collect()
            };
            let (wanted, found) = (numbers(wanted), numbers(&found));
            wanted.len() == found.len() && wanted.iter().zip(&found).all(|(w, f)| f >= w)
        } else {
            wanted == found
        };
        if !is_good {
            names.push(name.replace('-', " "));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_and_a_higher_limit_is_none() {
        let own = own();
        assert_eq!(differences(&own, &own), Vec::<String>::new());
        assert!(
            own.contains("namespace-mnt=") && own.contains(" hard-limits="),
            "{own}"
        );
        let there = "namespace-mnt=[1] groups=4,27 seccomp=0 hard-limits=5,18446744073709551615";
        assert_eq!(
            differences(there, &there.replace("=5,", "=6,")),
            Vec::<String>::new()
        );
        let here = "namespace-mnt=[2] groups=4 seccomp=0 hard-limits=4,18446744073709551615";
        assert_eq!(
            differences(there, here),
            ["namespace mnt", "groups", "hard limits"]
        );
        assert_eq!(differences("root-directory=1:2", ""), ["root directory"]);
    }
}
