//! Files that hold intent, on their way to their places.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::remove_file;
use super::replacing::with_suffix;
use crate::error::{BestEffort as _, IoContext as _, Result};
use crate::{fail, sys};

/// A file that is written and waits to take the place of another, which is intent: what is to run, and how.
#[derive(Debug)]
pub(crate) struct Staged {
    /// `None` where nothing is to stand in that place.
    temporary: Option<PathBuf>,
    path: PathBuf,
}

impl Staged {
    /// Writes `bytes` beside `path`; what stands there stays.
    pub(super) fn write(path: PathBuf, bytes: &[u8]) -> Result<Self> {
        let temporary = with_suffix(&path, ".tmp");
        let staged = Self {
            temporary: Some(temporary.clone()),
            path,
        };
        let write = || -> io::Result<()> {
            fail::error("write")?;
            let mut file = sys::open_for_writing(&temporary)?;
            file.set_len(0)?;
            file.write_all(bytes)
        };
        let written = write();
        if written.is_err() {
            staged.discard();
        }
        written.at("write", &staged.path)?;
        Ok(staged)
    }

    /// What stands at `path` is to go.
    pub(super) fn removal(path: PathBuf) -> Self {
        Self {
            temporary: None,
            path,
        }
    }

    /// Whether something stands where it is to go; then it is synced before it takes that place.
    pub(crate) fn replaces(&self) -> bool {
        self.path.exists()
    }

    /// Waits until its bytes are on the disk. Takes milliseconds: not for the loop.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn sync(&self) -> Result<()> {
        let Some(temporary) = &self.temporary else {
            return Ok(());
        };
        // Whichever descriptor is synced, it is the file that is written out (`fsync(2)`).
        sys::open_for_appending(temporary)
            .and_then(|file| file.sync_data())
            .at("write", &self.path)
    }

    /// Puts it into its place.
    ///
    /// # Errors
    /// [`Error::Io`]; what stood there is kept.
    pub(crate) fn commit(&self) -> Result<()> {
        let Some(temporary) = &self.temporary else {
            return remove_file(&self.path);
        };
        let renamed = fs::rename(temporary, &self.path);
        if renamed.is_err() {
            self.discard();
        }
        renamed.at("write", &self.path)
    }

    /// Removes it.
    pub(crate) fn discard(&self) {
        if let Some(temporary) = &self.temporary {
            fs::remove_file(temporary).best_effort("the next supervisor removes what stays");
        }
    }
}
