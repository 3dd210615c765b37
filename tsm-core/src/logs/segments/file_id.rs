//! What a file is, whatever its name.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

/// What makes a file the same file under another name. The time of birth stands in it because
/// file systems use the inode numbers of removed files again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    dev: u64,
    inode: u64,
    born: Option<SystemTime>,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            inode: metadata.ino(),
            // `None` on file systems that keep no time of birth.
            born: metadata.created().ok(),
        }
    }

    /// The number of its inode.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// As it stands in a compressed segment: 40 bytes.
    pub(in crate::logs) fn to_bytes(self) -> Vec<u8> {
        let born = self
            .born
            .and_then(|born| born.duration_since(SystemTime::UNIX_EPOCH).ok());
        let (seconds, nanos) = born.map_or((u64::MAX, 0), |born| {
            (born.as_secs(), u64::from(born.subsec_nanos()))
        });
        [self.dev, self.inode, seconds, nanos, 0]
            .into_iter()
            .flat_map(u64::to_le_bytes)
            .collect()
    }

    /// What [`to_bytes`](Self::to_bytes) made.
    pub(in crate::logs) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes
            .chunks_exact(8)
            .filter_map(|chunk| Some(u64::from_le_bytes(chunk.try_into().ok()?)));
        let (dev, inode) = (numbers.next()?, numbers.next()?);
        let (seconds, nanos) = (numbers.next()?, numbers.next()?);
        let born = (seconds != u64::MAX)
            .then(|| Duration::new(seconds, nanos as u32))
            .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        Some(Self { dev, inode, born })
    }
}
