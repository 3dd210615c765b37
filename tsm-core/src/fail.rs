//! Named points at which tests let the supervisor die. Without the feature `fail-points` there is nothing here.

/// Kills this process at once if a test asked for it at this point: `TSM_FAIL_POINT` names a file that holds the point's
/// name, and how often it is come to first (1 where no number is there); the file is removed first, so that it happens once.
#[cfg(feature = "fail-points")]
pub(crate) fn point(name: &str) {
    let Some(file) = std::env::var_os("TSM_FAIL_POINT") else {
        return;
    };
    let Ok(wanted) = std::fs::read_to_string(&file) else {
        return;
    };
    let mut words = wanted.split_whitespace();
    if words.next() != Some(name) {
        return;
    }
    let times: u32 = words.next().and_then(|n| n.parse().ok()).unwrap_or(1);
    if times > 1 {
        // Renamed, so that a test that arms it anew meanwhile wins.
        let temporary = std::path::PathBuf::from(&file).with_extension("counting");
        let _ = std::fs::write(&temporary, format!("{name} {}", times - 1));
        let _ = std::fs::rename(&temporary, &file);
        return;
    }
    let _ = std::fs::remove_file(&file);
    let own = crate::sys::Identity {
        pid: std::process::id(),
        start: crate::sys::procfs::start_time(std::process::id()).unwrap_or(0),
    };
    if let Ok(Some(handle)) = crate::sys::Pidfd::open(own) {
        let _ = handle.signal(crate::sys::Signal::KILL);
    }
}

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

/// See above; this one does nothing.
#[cfg(not(feature = "fail-points"))]
pub(crate) fn point(_name: &str) {}
