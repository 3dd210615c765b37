//! What the guardian holds for its supervisor: descriptors by name.

use std::os::fd::OwnedFd;

/// The longest name that is kept apart from others: a letter, an id and a run have at most 32 bytes.
const NAME_BYTES: usize = 40;

/// A descriptor and its name, in one place: a name is looked for among thousands.
pub(super) struct Stored {
    pub(super) name: [u8; NAME_BYTES],
    pub(super) fd: OwnedFd,
}

impl Stored {
    pub(super) fn name(&self) -> &[u8] {
        self.name.split(|&b| b == 0).next().unwrap_or_default()
    }
}

/// A name as it is kept, and compared with others.
pub(super) fn fixed(name: &str) -> [u8; NAME_BYTES] {
    let mut fixed = [0; NAME_BYTES];
    let length = name.len().min(NAME_BYTES);
    fixed[..length].copy_from_slice(&name.as_bytes()[..length]);
    fixed
}
