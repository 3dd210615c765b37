//! Replacing a file so that a reader sees the old one or the new one, never a part.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{IoContext as _, Result};
use crate::{fail, sys};

/// Replaces `path` by `bytes` so that a reader sees the old file or the new one, never a part. Mode 0600.
///
/// The bytes are written into a spare file beside it (its name with a dot before), which then changes places with it:
/// the file before stays as the next spare. That costs neither a new inode nor, on file systems that write a file out
/// when another is renamed over it, a wait for the disk. A spare that a reader still has open, from the time when it was
/// the file, is left to that reader, and a new one is made. Nothing is synced here: a record may be lost with the machine, and what a
/// person asked for is synced by the supervisor's worker.
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io); what stood there is kept.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let spare = spare(path);
    let write = || -> io::Result<()> {
        let mut file = open_spare(&spare)?;
        file.write_all(bytes)?;
        // The spare is an older version, which may have been longer.
        file.set_len(bytes.len() as u64)?;
        // Closed first: the lease on it would keep a reader waiting.
        drop(file);
        sys::exchange(&spare, path)
    };
    write().at("write", path)
}

/// Opens a file that only the caller has open; nobody reads it while it is written.
pub(crate) fn open_spare(spare: &Path) -> io::Result<File> {
    fail::error("write")?;
    let file = match sys::open_for_writing(spare) {
        // Somebody put a directory, a FIFO or a link in the place of the file, and it has changed
        // places with the spare: it is moved aside.
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::StorageFull
            ) && fs::symlink_metadata(spare).is_ok_and(|meta| !meta.is_file()) =>
        {
            fs::rename(spare, with_suffix(spare, ".strange"))?;
            sys::open_for_writing(spare)?
        }
        file => file?,
    };
    if sys::is_alone_with(&file) {
        return Ok(file);
    }
    // A reader has it open from the time when it was the file: that inode is the reader's, and ours
    // is a new one.
    drop(file);
    fs::remove_file(spare)?;
    sys::open_for_writing(spare)
}

/// The spare file of a file: its name with a dot before, which no name of a process begins with.
pub(crate) fn spare(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
