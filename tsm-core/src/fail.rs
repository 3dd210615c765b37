//! Named points at which tests let the supervisor die, or the system say no. Without the feature `fail-points` there is
//! nothing here.
//!
//! `TSM_FAIL_POINT` names a file that says what is to happen: `NAME`, or `NAME TIMES` where the point is to be come to so
//! often first, or `NAME TIMES ERRNO` where the supervisor is not to die, but to meet this error from then on. Beside it,
//! a file of the same name with the extension `clock` holds by how many seconds the clock on the wall is wrong.
//!
//! Unit tests hook in at the same points, and at [moments](moment) that are nothing but for them: see `hook`.

#[cfg(feature = "fail-points")]
mod armed {
    use std::io;
    use std::path::{Path, PathBuf};

    use crate::error::BestEffort as _;

    /// What stands in the file: the point, how often it is still to be come to, and an error.
    fn wanted(file: &Path) -> Option<(String, u32, Option<i32>)> {
        let text = std::fs::read_to_string(file).ok()?;
        let mut words = text.split_whitespace();
        let name = words.next()?.to_owned();
        let times = words.next().and_then(|n| n.parse().ok()).unwrap_or(1);
        Some((name, times, words.next().and_then(|n| n.parse().ok())))
    }

    fn count(file: &Path, text: &str) {
        // Renamed, so that a test that arms it anew meanwhile wins.
        let temporary = file.with_extension("counting");
        std::fs::write(&temporary, text).best_effort("the test fails that waits for it");
        std::fs::rename(&temporary, file).best_effort("the test fails that waits for it");
    }

    fn file() -> Option<PathBuf> {
        std::env::var_os("TSM_FAIL_POINT").map(PathBuf::from)
    }

    /// Kills this process at once if a test asked for it at this point; the file is removed first, so that it happens once.
    pub(crate) fn point(name: &str) {
        super::moment(name);
        let Some(file) = file() else { return };
        let Some((wanted, times, None)) = wanted(&file) else {
            return;
        };
        if wanted != name {
            return;
        }
        if times > 1 {
            return count(&file, &format!("{name} {}", times - 1));
        }
        std::fs::remove_file(&file).best_effort("the test fails that waits for it");
        let own = crate::sys::Identity {
            pid: std::process::id(),
            start: crate::sys::procfs::start_time(std::process::id()).unwrap_or(0),
        };
        if let Ok(Some(handle)) = crate::sys::Pidfd::open(own) {
            handle
                .signal(crate::sys::Signal::KILL)
                .best_effort("the test fails that waits for it");
        }
    }

    /// Fails with the error that a test asked for at this point.
    pub(crate) fn error(name: &str) -> io::Result<()> {
        let Some(file) = file() else { return Ok(()) };
        let Some((wanted, times, Some(errno))) = wanted(&file) else {
            return Ok(());
        };
        if wanted != name {
            return Ok(());
        }
        if times > 0 {
            count(&file, &format!("{name} {} {errno}", times - 1));
        }
        if times > 1 {
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(errno))
    }

    /// By how many seconds the clock on the wall is wrong.
    pub(crate) fn clock() -> i64 {
        let text =
            file().and_then(|file| std::fs::read_to_string(file.with_extension("clock")).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

#[cfg(feature = "fail-points")]
pub(crate) use armed::{clock, error, point};

/// Whether a test wants what comes now to fail; it does once.
#[cfg(feature = "fail-points")]
pub(crate) fn fails(name: &str) -> bool {
    std::env::var_os("TSM_FAIL_POINT").is_some_and(|file| {
        std::fs::read_to_string(&file).is_ok_and(|wanted| wanted.trim() == name)
            && std::fs::remove_file(&file).is_ok()
    })
}

/// See above; here nothing does.
#[cfg(not(feature = "fail-points"))]
pub(crate) fn fails(_name: &str) -> bool {
    false
}

/// Does nothing but in unit tests.
#[cfg(not(feature = "fail-points"))]
pub(crate) fn point(name: &str) {
    moment(name);
}

/// A moment at which a unit test of this thread does something of its own.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn moment(_name: &str) {}

#[cfg(test)]
pub(crate) use hook::moment;

/// Does nothing.
#[cfg(not(feature = "fail-points"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature it fails")]
pub(crate) fn error(_name: &str) -> std::io::Result<()> {
    Ok(())
}

/// Nothing.
#[cfg(not(feature = "fail-points"))]
pub(crate) fn clock() -> i64 {
    0
}

#[cfg(test)]
pub(crate) mod hook {
    use std::cell::RefCell;

    type Hook = Box<dyn FnMut(&str)>;

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    }

    /// Calls the hook of this thread, but not from within itself. One that panics is gone.
    pub(crate) fn moment(name: &str) {
        let Some(mut hook) = HOOK.take() else { return };
        hook(name);
        HOOK.set(Some(hook));
    }

    /// Has `hook` called at every point and moment while `work` is done.
    pub(crate) fn with<T>(hook: impl FnMut(&str) + 'static, work: impl FnOnce() -> T) -> T {
        HOOK.set(Some(Box::new(hook)));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        HOOK.set(None);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
