//! Which version of TSM this is, and which of two is the newer one.

use semver::Version;

/// The version of this build.
pub fn own() -> String {
    #[cfg(feature = "fail-points")]
    if let Some(version) = said_by_the_file() {
        return version;
    }
    env!("CARGO_PKG_VERSION").to_owned()
}

/// A test makes a newer version of a program by writing `tsm-version=9.0.0` behind the end of a copy of it.
#[cfg(feature = "fail-points")]
fn said_by_the_file() -> Option<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = std::fs::File::open("/proc/self/exe").ok()?;
    file.seek(SeekFrom::End(-64)).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let text = String::from_utf8_lossy(&tail);
    Some(text.rsplit_once("tsm-version=")?.1.trim().to_owned())
}

/// Whether `one` is newer than `other`. What is no version is not newer than anything.
///
/// ```
/// use tsm_core::version::is_newer;
/// assert!(is_newer("0.10.0", "0.9.1"));
/// assert!(is_newer("1.0.0", "1.0.0-rc.1"));
/// assert!(!is_newer("1.0.0", "1.0.0") && !is_newer("soon", "1.0.0"));
/// ```
pub fn is_newer(one: &str, other: &str) -> bool {
    match (Version::parse(one), Version::parse(other)) {
        (Ok(one), Ok(other)) => one > other,
        _ => false,
    }
}
