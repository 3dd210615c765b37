//! Files with parts left out of them (`fallocate(2)`, `SEEK_DATA` of `lseek(2)`): what a log that its service writes itself is shortened by.

use std::fs::File;
use std::io;

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

/// The block size of the file system in bytes: what holes begin and end at.
///
/// # Errors
/// Those of `fstatvfs(3)`.
pub(crate) fn block_size(file: &File) -> io::Result<u64> {
    Ok(rustix::fs::fstatvfs(file)?.f_bsize.max(512))
}

/// Where the next data is at `from` or beyond (`SEEK_DATA`, `lseek(2)`); `None` where there is none up to the end.
///
/// # Errors
/// Those of `lseek(2)`.
pub(crate) fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(at) => Ok(Some(at)),
        Err(Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes a hole (`FALLOC_FL_PUNCH_HOLE`, `fallocate(2)`): the file stays as long as it was.
///
/// # Errors
/// Those of `fallocate(2)`: a file system that cannot do that says [`io::ErrorKind::Unsupported`].
pub(crate) fn punch(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(file, flags, offset, length)?)
}

/// Takes a part out of a file, so that what follows moves up (`FALLOC_FL_COLLAPSE_RANGE`). False where the file system
/// cannot do that.
///
/// # Errors
/// Those of `fallocate(2)`.
pub(crate) fn collapse(file: &File, offset: u64, length: u64) -> io::Result<bool> {
    match rustix::fs::fallocate(file, FallocateFlags::COLLAPSE_RANGE, offset, length) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
