//! Paths that another user can change: where this process is root they are refused, so that no link or directory that is put
//! there leads to what only root may touch (`path_resolution(7)`). A path that nobody but root can change stays what it was
//! when it was looked at.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, Stat};

/// How many links are followed on the way to a file.
const MOST_LINKS: usize = 40;
/// Group and others may write.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Who, other than `own`, can make `path` lead elsewhere: whoever owns a directory or link on the way to it. `None` where
/// nobody can. What is not there yet is nobody's.
///
/// Each directory is opened relative to the one before, so that what was looked at is what is gone on from.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] where several users can: a directory that a group or everybody may write to.
pub(crate) fn changer(path: &Path, own: u32) -> io::Result<Option<u32>> {
    let open = |directory: &rustix::fd::OwnedFd, name: &OsString| {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(directory, name, flags, Mode::empty())
    };
    let root = || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open("/", flags, Mode::empty())
    };
    let foreign = |stat: &Stat| {
        let uid = stat.st_uid;
        (uid != 0 && uid != own).then_some(uid)
    };
    let mut directory = root()?;
    let mut rest: Vec<OsString> = parts(path);
    rest.reverse();
    let mut links = 0;
    while let Some(name) = rest.pop() {
        let stat = rustix::fs::fstat(&directory)?;
        if let Some(changer) = foreign(&stat) {
            return Ok(Some(changer));
        }
        let others_write = stat.st_mode & OTHERS_WRITE != 0;
        // In a directory like /tmp, others make things of their own and cannot move ours.
        if others_write && stat.st_mode & STICKY == 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "several users may change a directory on the way to {}",
                    path.display()
                ),
            ));
        }
        let next = match open(&directory, &name) {
            Ok(next) => next,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let stat = rustix::fs::fstat(&next)?;
        if let Some(changer) = foreign(&stat) {
            return Ok(Some(changer));
        }
        match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::Symlink => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                let target = rustix::fs::readlinkat(&next, "", Vec::new())?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                if target.is_absolute() {
                    directory = root()?;
                }
                let mut ahead = parts(&target);
                ahead.reverse();
                rest.extend(ahead);
            }
            rustix::fs::FileType::Directory => directory = next,
            // A file: the way ends here.
            _ => return Ok(None),
        }
    }
    Ok(None)
}

fn parts(path: &Path) -> Vec<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

/// Refuses a path that another user can make lead elsewhere, where this process is root; else that user's own rights are all
/// that such a path is used with.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] with who can change it; those of [`changer`].
pub(crate) fn refuse_changeable(path: &Path) -> io::Result<()> {
    if super::account::effective_uid() != 0 {
        return Ok(());
    }
    match changer(path, 0)? {
        None => Ok(()),
        Some(uid) => {
            let name = super::account::name_of(uid);
            Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{name} can change where the path leads, and root is not to follow; use a directory of root's, or run tsm as {name}"
                ),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    const SOMEBODY: u32 = 65534;

    fn is_root() -> bool {
        crate::sys::account::effective_uid() == 0
    }

    #[test]
    fn who_owns_a_directory_or_a_link_on_the_way_can_change_it() {
        let own = crate::sys::account::effective_uid();
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("mine/deep/log");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        assert_eq!(changer(&file, own).unwrap(), None);
        std::fs::write(&file, "").unwrap();
        assert_eq!(changer(&file, own).unwrap(), None);
        symlink(root.path().join("mine"), root.path().join("link")).unwrap();
        assert_eq!(
            changer(&root.path().join("link/deep/log"), own).unwrap(),
            None
        );
        assert_eq!(
            changer(&root.path().join("link/../mine/deep"), own).unwrap(),
            None
        );
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(root.path().join("mine"), open).unwrap();
        let refused = changer(&file, own).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        symlink("loop", root.path().join("loop")).unwrap();
        assert!(changer(&root.path().join("loop"), own).is_err());
        if !is_root() {
            return;
        }
        let closed = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(root.path().join("mine"), closed).unwrap();
        chown(root.path().join("mine"), Some(SOMEBODY), None).unwrap();
        assert_eq!(changer(&file, 0).unwrap(), Some(SOMEBODY));
        // A path that does not exist yet is judged by the directories that do.
        let later = root.path().join("mine/later/log");
        assert_eq!(changer(&later, 0).unwrap(), Some(SOMEBODY));
    }
}
