//! Records of the original TSM whose process may still run: it knew neither boot nor start time, so that a pid alone may be
//! anybody's by now.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::meta::{Meta, State};
use crate::sys::{Identity, account, clock, procfs};

/// How far the time in the record may be from the start of the process. The original noted it after half a second.
const TOLERANCE_MS: u64 = 10_000;

/// Completes a record of the original TSM whose process is there for sure: it is of the same user, in the same directory, and
/// was started when the record says. It runs, so it is wanted up; any other record of the original's stays as it is. Returns whether it did.
pub(super) fn claim(meta: &mut Meta, boot: &str) -> bool {
    let is_original = meta.boot.is_none() && meta.ticks.is_none() && meta.desired.is_none();
    let found = meta
        .pid
        .filter(|_| is_original)
        .and_then(|pid| find(pid, meta));
    let Some(identity) = found else {
        return false;
    };
    meta.ticks = Some(identity.start);
    meta.boot = Some(boot.to_owned());
    meta.started_ms = Some(started_ms(identity));
    meta.state = Some(State::Running);
    meta.desired = Some("up".to_owned());
    true
}

fn find(pid: u32, meta: &Meta) -> Option<Identity> {
    let process = procfs::process(pid).filter(|process| !process.ended)?;
    let wanted = Path::new(std::ffi::OsStr::from_bytes(&meta.cwd));
    let same_place = procfs::working_directory(pid)? == std::fs::canonicalize(wanted).ok()?;
    let same_user = procfs::owner(pid)? == account::effective_uid();
    let apart = started_ms(process.identity).abs_diff(meta.start_time.saturating_mul(1000));
    (same_place && same_user && apart <= TOLERANCE_MS).then_some(process.identity)
}

/// When a process was started, in Unix milliseconds.
fn started_ms(identity: Identity) -> u64 {
    let ago = clock::boot_ticks().saturating_sub(identity.start);
    clock::unix_ms().saturating_sub(ago * 1000 / clock::ticks_per_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(pid: u32, start_time: u64, cwd: &Path) -> Meta {
        Meta {
            pid: Some(pid),
            start_time,
            cwd: cwd.as_os_str().as_bytes().to_vec(),
            ..Meta::default()
        }
    }

    #[test]
    fn only_what_is_the_same_for_sure_is_claimed() {
        let own = std::process::id();
        let identity = procfs::process(own).unwrap().identity;
        let started = started_ms(identity) / 1000;
        let here = std::env::current_dir().unwrap();
        let claimed = |mut meta: Meta| claim(&mut meta, "this boot").then_some(meta);
        let good = claimed(meta(own, started, &here)).unwrap();
        assert_eq!(good.ticks, Some(identity.start));
        assert_eq!(good.desired.as_deref(), Some("up"));
        assert!(claimed(meta(own, started + 9, &here)).is_some());
        assert!(claimed(meta(own, started + 12, &here)).is_none());
        assert!(claimed(meta(own, started.saturating_sub(12), &here)).is_none());
        assert!(claimed(meta(own, started, Path::new("/"))).is_none());
        assert!(claimed(meta(own, started, Path::new("/not/there"))).is_none());
        // A record of our own says itself which process it was.
        let mut known = meta(own, started, &here);
        known.desired = Some("down".to_owned());
        assert!(claimed(known).is_none());
    }
}
