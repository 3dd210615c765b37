//! Named points at which tests let the supervisor die. Without the feature `fail-points` there is nothing here.

/// Kills this process at once if a test asked for it at this point: `TSM_FAIL_POINT` names a file that holds the point's
/// name; the file is removed first, so that it happens once.
#[cfg(feature = "fail-points")]
pub(crate) fn point(name: &str) {
    let Some(file) = std::env::var_os("TSM_FAIL_POINT") else {
        return;
    };
    if std::fs::read_to_string(&file).is_ok_and(|wanted| wanted.trim() == name) {
        let _ = std::fs::remove_file(&file);
        let own = crate::sys::Identity {
            pid: std::process::id(),
            start: crate::sys::procfs::start_time(std::process::id()).unwrap_or(0),
        };
        if let Ok(Some(handle)) = crate::sys::Pidfd::open(own) {
            let _ = handle.signal(crate::sys::Signal::KILL);
        }
    }
}

/// See above; this one does nothing.
#[cfg(not(feature = "fail-points"))]
pub(crate) fn point(_name: &str) {}
