//! The first line of an index: which file it is of, and where that stands in all that was written.
//!
//! `# INODE BEFORE`: so many bytes of the stream were written before the first one of that file. It tells whether anything is
//! missing between two files, and whose index this is where another program has renamed a log. Whoever reads notes only passes
//! over it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use super::{LARGEST, index_path, read_full_at};

/// A sign, two spaces, two numbers of 20 digits, and the end of the line.
const LONGEST: usize = 44;

/// What the first line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heading {
    /// The inode of the log that the index is of.
    pub(crate) inode: u64,
    /// How many bytes of the stream were written before it.
    pub(crate) before: u64,
}

impl Heading {
    /// That of an index; `None` where it has none, as those have that an older TSM began.
    pub(crate) fn read(index: &Path) -> Option<Self> {
        let file = crate::sys::open_without_waiting(index).ok()?;
        let mut head = [0; LONGEST];
        let n = read_full_at(&file, &mut head, 0).ok()?;
        let end = head[..n].iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&head[..end]).ok()?;
        let (inode, before) = line.strip_prefix("# ")?.split_once(' ')?;
        let (inode, before) = (inode.parse().ok()?, before.parse().ok()?);
        (before <= LARGEST).then_some(Self { inode, before })
    }

    /// Begins the index of a log, where that has not begun.
    pub(crate) fn write(self, log: &Path) -> io::Result<()> {
        let mut file: File = crate::sys::open_for_appending(&index_path(log))?;
        if file.metadata()?.len() > 0 {
            return Ok(());
        }
        file.write_all(self.line().as_bytes())
    }

    pub(super) fn line(self) -> String {
        format!("# {} {}\n", self.inode, self.before)
    }
}

/// The last line of the index of a segment that another program made of the log, by renaming it.
const RENAMED: &[u8] = b"# renamed\n";

/// Says in an index that another program has renamed its log.
pub(in crate::logs) fn mark_renamed(index: &Path) -> io::Result<()> {
    crate::sys::open_for_appending(index)?.write_all(RENAMED)
}

/// Whether another program has renamed the log that an index is of. One that cannot be read says nothing.
pub(in crate::logs) fn is_marked(index: &Path) -> bool {
    let look = || -> io::Result<bool> {
        let file = crate::sys::open_without_waiting(index)?;
        let len = file.metadata()?.len();
        let mut last = [0; RENAMED.len()];
        let at = len.saturating_sub(last.len() as u64);
        let n = read_full_at(&file, &mut last, at)?;
        Ok(last[..n] == *RENAMED)
    };
    look().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Option<Heading> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.idx");
        std::fs::write(&path, text).unwrap();
        Heading::read(&path)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_says_what_was_written_and_survives_anything(
            inode in any::<u64>(),
            before in 0..=LARGEST,
            rest in "[0-9 \n]{0,60}",
            noise in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let heading = Heading { inode, before };
            prop_assert!(heading.line().len() <= LONGEST);
            prop_assert_eq!(read((heading.line() + &rest).as_bytes()), Some(heading));
            // The same, where its end is missing, or at the end of something.
            let torn = heading.line();
            prop_assert_eq!(read(torn.trim_end().as_bytes()), None);
            prop_assert_eq!(read(("0 1\n".to_owned() + &torn).as_bytes()), None);
            read(&noise);
        }
    }

    #[test]
    fn an_index_that_has_begun_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a");
        for before in [3, 4] {
            Heading { inode: 7, before }.write(&log).unwrap();
        }
        let text = std::fs::read_to_string(index_path(&log)).unwrap();
        assert_eq!(text, "# 7 3\n");
        // What cannot be is damaged.
        assert_eq!(read(b"# 7 18446744073709551615\n"), None);
    }
}
