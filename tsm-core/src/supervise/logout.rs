//! Whether what is started here ends when its user logs out: `KillUserProcesses=` in `logind.conf(5)`.

use std::fs;
use std::path::PathBuf;

use crate::startup::does_linger;
use crate::sys::account;

/// From the weakest to the strongest; within a directory by name (`logind.conf(5)`).
const FILES: [&str; 4] = [
    "/usr/lib/systemd/logind.conf",
    "/run/systemd/logind.conf",
    "/etc/systemd/logind.conf",
    "/etc/systemd/logind.conf.d",
];

/// What a person has to know who starts services from a login session that takes them along, and what to do.
pub(super) fn warning() -> Option<String> {
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let uid = account::effective_uid();
    if uid == 0 || !is_login_session(&group) || !ends_processes(&settings()) {
        return None;
    }
    let user = account::name_of(uid);
    (!does_linger(&user)).then(|| {
        format!(
            "the services of this home end when {user} logs out (KillUserProcesses=yes in logind.conf); 'tsm startup' makes them stay, or 'loginctl enable-linger' and 'tsm supervisor stop'"
        )
    })
}

/// The scope of a login has the name `session-N.scope`.
fn is_login_session(cgroup: &str) -> bool {
    cgroup.lines().any(|line| {
        line.split('/').any(|part| {
            let number = part.strip_prefix("session-");
            number.is_some_and(|number| number.strip_suffix(".scope").is_some())
        })
    })
}

fn settings() -> String {
    let mut text = String::new();
    for path in FILES {
        let mut files = vec![PathBuf::from(path)];
        if let Ok(entries) = fs::read_dir(path) {
            files = entries.flatten().map(|entry| entry.path()).collect();
            files.retain(|file| {
                file.extension()
                    .is_some_and(|extension| extension == "conf")
            });
            files.sort();
        }
        for file in files {
            // What is not there, or not for our eyes, says nothing.
            text.push_str(&fs::read_to_string(file).unwrap_or_default());
            text.push('\n');
        }
    }
    text
}

/// The last word on it counts.
fn ends_processes(settings: &str) -> bool {
    let mut values = settings.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "KillUserProcesses").then(|| value.trim().to_ascii_lowercase())
    });
    let last = values.next_back();
    last.is_some_and(|value| matches!(value.as_str(), "yes" | "true" | "on" | "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_session_is_told_by_its_scope_and_the_last_word_counts() {
        assert!(is_login_session(
            "0::/user.slice/user-1000.slice/session-3.scope\n"
        ));
        for other in [
            "0::/system.slice/tsm.service\n",
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice\n",
            "",
        ] {
            assert!(!is_login_session(other));
        }
        assert!(ends_processes(
            "[Login]\n#KillUserProcesses=no\nKillUserProcesses = yes\n"
        ));
        assert!(!ends_processes(
            "KillUserProcesses=yes\nKillUserProcesses=no\n"
        ));
        assert!(!ends_processes("#KillUserProcesses=yes\n"));
        assert!(!ends_processes(""));
    }
}
