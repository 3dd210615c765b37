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
    (is_in_login_session(std::process::id()) && sessions_end_all()).then(|| {
        let user = account::name_of(account::effective_uid());
        format!(
            "the services of this home end when {user} logs out (KillUserProcesses=yes in logind.conf); {}",
            remedy(&user)
        )
    })
}

/// What makes services stay that are in a login session. Lingering alone does not: the session ends, and all that is in it.
pub(crate) fn remedy(user: &str) -> String {
    let again = "'tsm supervisor stop' and 'tsm restart all'";
    if does_linger(user) {
        format!("{again} make them stay; logs/tsm.log says why where they do not leave the session")
    } else {
        format!("'loginctl enable-linger', {again} make them stay, or 'sudo tsm startup'")
    }
}

/// Whether the end of a session of this user is the end of all that is in it; root is left out where nobody says otherwise
/// (`KillExcludeUsers=`).
pub(crate) fn sessions_end_all() -> bool {
    account::effective_uid() != 0 && ends_processes(&settings())
}

/// Whether a process is in the scope of a login session.
pub(crate) fn is_in_login_session(pid: u32) -> bool {
    let group = fs::read_to_string(format!("/proc/{pid}/cgroup"));
    group.is_ok_and(|group| is_login_session(&group))
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
            // Later files override earlier ones, as systemd reads them (`systemd.unit(5)`).
            crate::sorted::sort(&mut files);
        }
        for file in files {
            // A file that is missing or may not be read says nothing.
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
