//! The cookie that each service's environment bears (`TSM_COOKIE=HOME:ID:RUN`): by it, what belongs to a service is
//! recognized wherever it went.
//!
//! The home stands in it as the kernel names it, without links, `..` and doubled slashes, so that it does not depend on
//! how the home was spelled. Cookies with another spelling are recognized all the same: older versions wrote them.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::home::Home;
use crate::sys::procfs;

/// Reads and writes the cookies of one home.
///
/// ```
/// use tsm_core::cookie::Cookies;
/// use tsm_core::home::Home;
///
/// let cookies = Cookies::of(&Home::at("/srv/services"));
/// let cookie = cookies.write(7, 3);
/// assert_eq!(cookie, "/srv/services:7:3");
/// assert_eq!(cookies.read(cookie.as_bytes()), Some((7, 3)));
/// // Another home's says nothing here.
/// assert_eq!(cookies.read(b"/home/eve/.tsm:7:3"), None);
/// ```
#[derive(Clone, Debug)]
pub struct Cookies {
    root: PathBuf,
}

impl Cookies {
    /// Those of this home.
    pub fn of(home: &Home) -> Self {
        // A home that does not exist has no processes either.
        let root = std::fs::canonicalize(home.root()).unwrap_or_else(|_| home.root().to_owned());
        Self { root }
    }

    /// The cookie of a run.
    pub fn write(&self, id: u32, run: u64) -> String {
        format!("{}{run}", self.prefix(id))
    }

    /// What the cookies of all runs of a process begin with.
    pub fn prefix(&self, id: u32) -> String {
        format!("{}:{id}:", self.root.display())
    }

    /// The id and the run that a cookie names, if it is one of this home.
    pub fn read(&self, cookie: &[u8]) -> Option<(u32, u64)> {
        let mut parts = cookie.rsplitn(3, |&byte| byte == b':');
        let run = number(parts.next()?)?;
        let id = u32::try_from(number(parts.next()?)?).ok()?;
        let root = Path::new(OsStr::from_bytes(parts.next()?));
        // The cheap comparisons first: the file system is asked only where both fail.
        let ours = root == self.root
            || root.as_os_str() == OsStr::new(&self.root.display().to_string())
            || std::fs::canonicalize(root).is_ok_and(|root| root == self.root);
        ours.then_some((id, run))
    }

    /// The id and the run that a process belongs to by its cookie; `None` where it bears none of this home.
    ///
    /// # Errors
    /// Where that cannot be told: too many open files, no memory.
    pub fn of_process(&self, pid: u32) -> io::Result<Option<(u32, u64)>> {
        let cookie = procfs::environment_variable(pid, "TSM_COOKIE")?;
        Ok(cookie.and_then(|cookie| self.read(&cookie)))
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_means_the_home_however_it_is_spelled() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let spellings = [
            real.clone(),
            link.clone(),
            real.join("../real"),
            PathBuf::from(format!("{}/", link.display())),
        ];
        let written = Cookies::of(&Home::at(&real)).write(7, 3);
        for spelling in &spellings {
            let cookies = Cookies::of(&Home::at(spelling));
            assert_eq!(cookies.write(7, 3), written);
            for other in &spellings {
                let old = format!("{}:7:3", other.display());
                assert_eq!(cookies.read(old.as_bytes()), Some((7, 3)), "{old}");
            }
        }
        let cookies = Cookies::of(&Home::at(&real));
        for foreign in ["", "7:3", "/elsewhere:7:3", ":7:3"] {
            assert_eq!(cookies.read(foreign.as_bytes()), None, "{foreign}");
        }
        let torn = format!("{}:7", real.display());
        assert_eq!(cookies.read(torn.as_bytes()), None);
    }
}
