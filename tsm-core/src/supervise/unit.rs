//! A guardian and its supervisor in a transient unit of the user's own systemd: how they were started there, and what they do
//! otherwise then.
//!
//! A command puts them there where its user lingers (`control::client::unit`). The guardian is the unit's main process. Where it is
//! killed, alone or together with the supervisor, systemd starts another one, whose supervisor takes the place of one that is left.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::worklog::WorkLog;
use crate::sys::{self, cgroup, standing};

/// The variable that names the unit to who runs in it.
pub(crate) const UNIT: &str = "TSM_UNIT";
/// The variable that says what the command had from its own parent that asked for the unit.
pub(crate) const STANDING: &str = "TSM_UNIT_STANDING";

/// How long a supervisor whose guardian is gone waits for systemd to start another one, until it makes one of itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The unit that this process was started in, to go by its environment.
pub(super) fn of_environment(environment: &[(OsString, OsString)]) -> Option<&str> {
    variable(environment, UNIT)
}

fn variable<'a>(environment: &'a [(OsString, OsString)], name: &str) -> Option<&'a str> {
    let found = environment.iter().find(|(known, _)| known == name);
    found.and_then(|(_, value)| value.to_str())
}

/// Whether systemd executes this after the end of the main process (`ExecStopPost=`): only then is there a result.
pub(super) fn is_after_the_end(environment: &[(OsString, OsString)]) -> bool {
    of_environment(environment).is_some() && variable(environment, "SERVICE_RESULT").is_some()
}

/// Whether services may be started from here: in what this process has from the user's systemd it may be other than the command,
/// which is then told to do without.
pub(super) fn is_as_the_command(environment: &[(OsString, OsString)], log: &mut WorkLog) -> bool {
    let Some(there) = variable(environment, STANDING) else {
        return true;
    };
    let differences = standing::differences(there, &standing::own());
    if !differences.is_empty() {
        log.say(format_args!(
            "the user's systemd would start services with other {}: not in a unit of it",
            differences.join(", ")
        ));
    }
    differences.is_empty()
}

/// Where systemd is told that a supervisor is at work; `None` outside of a unit.
pub(super) fn way_to_systemd(environment: &[(OsString, OsString)]) -> Option<OwnedFd> {
    of_environment(environment)?;
    let target = variable(environment, "NOTIFY_SOCKET")?;
    sys::socket::connect_notify(target.as_ref()).ok()
}

/// The unit of systemd in whose cgroup this process is: a service, or the scope of a login session.
pub(super) fn of_own_cgroup() -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    unit_in(path).map(str::to_owned)
}

fn unit_in(path: &str) -> Option<&str> {
    let is_unit = |part: &&str| {
        [".service", ".scope"]
            .iter()
            .any(|suffix| part.ends_with(suffix))
    };
    let own = path.strip_suffix(cgroup::SUPERVISOR).unwrap_or(path);
    // The groups of services below a unit are named after them, which may be anything.
    let mut parts = own.split('/').filter(|part| !part.is_empty()).rev();
    parts.next().filter(is_unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_last_part_of_the_way() {
        for (path, unit) in [
            (
                "/user.slice/user-1000.slice/session-3.scope",
                Some("session-3.scope"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/tsm-1.service/supervisor",
                Some("tsm-1.service"),
            ),
            ("/system.slice/tsm.service/supervisor", Some("tsm.service")),
            ("/user.slice/user-1000.slice", None),
            ("/", None),
        ] {
            assert_eq!(unit_in(path), unit, "{path}");
        }
    }

    #[test]
    fn after_the_end_there_is_a_result() {
        let variables = |names: &[&str]| -> Vec<(OsString, OsString)> {
            names
                .iter()
                .map(|name| ((*name).into(), "x".into()))
                .collect()
        };
        assert!(is_after_the_end(&variables(&[UNIT, "SERVICE_RESULT"])));
        assert!(!is_after_the_end(&variables(&[UNIT])));
        assert!(!is_after_the_end(&variables(&["SERVICE_RESULT"])));
    }
}
