//! Whose index is whose: each follows its segment, whoever has renamed that, and was killed before it had renamed this.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{absent_is_fine, is_taken, present};
use crate::logs::index::{Heading, heading, index_path};
use crate::logs::segments::{self, numbered};

/// An interrupted rotation may have left the index of a segment at the number that it had before.
pub(super) fn give_back_index(live: &Path, free: u32) -> io::Result<()> {
    let (left, owner) = (
        index_path(&numbered(live, free)),
        index_path(&numbered(live, free + 1)),
    );
    if is_taken(live, free + 1) && !owner.exists() {
        return absent_is_fine(fs::rename(left, owner));
    }
    absent_is_fine(fs::remove_file(left))
}

/// The index of what an interrupted rotation made `.1` may still stand beside the live file, which is not there yet.
pub(crate) fn finish_rotation(live: &Path) -> io::Result<()> {
    let newest = index_path(&numbered(live, 1));
    let index = index_path(live);
    if is_taken(live, 1) && !newest.exists() && index.exists() {
        // Another program may have renamed it as well.
        heading::mark_renamed(&index)?;
        fs::rename(index, newest)?;
    }
    Ok(())
}

/// Sees to it that the index beside a live file, into which the first bytes are about to be written, is that file's. Where another
/// program has renamed the log, the index follows it.
pub(crate) fn begin_index(live: &Path) -> io::Result<()> {
    let (inode, len) = (fs::metadata(live)?.ino(), fs::metadata(live)?.len());
    if len > 0 {
        // After a backup was restored, all files have other inodes.
        return Ok(());
    }
    if Heading::read(&index_path(live)).is_some_and(|heading| heading.inode != inode) {
        give_back_indexes(live)?;
    }
    note_beginning(live, written_up_to(live, 1).unwrap_or(0))
}

/// Lets each index follow its segment, where another program has renamed these, which knows nothing of indexes.
fn give_back_indexes(live: &Path) -> io::Result<()> {
    let numbers = present(live).map(|(number, _)| number);
    let inode_of = |number| Some((segments::inode_and_len(live, number)?.0, number));
    let segments: Vec<(u64, u32)> = numbers.filter_map(inode_of).collect();
    let highest = segments.last().map_or(0, |(_, number)| *number);
    // From the highest down: segments only get higher numbers.
    for number in (0..=highest).rev() {
        let index = index_path(&numbered(live, number));
        let Some(heading) = Heading::read(&index) else {
            continue;
        };
        let now = segments.iter().find(|(inode, _)| *inode == heading.inode);
        match now {
            Some((_, now)) if *now == number => {}
            Some((_, now)) => {
                if number == 0 {
                    heading::mark_renamed(&index)?;
                }
                fs::rename(index, index_path(&numbered(live, *now)))?;
            }
            // It has a name that no segment has.
            None if number == 0 => fs::remove_file(index)?,
            None => {}
        }
    }
    Ok(())
}

/// Notes how many bytes of a stream were written before its live file, where that is not noted yet.
pub(crate) fn note_beginning(live: &Path, before: u64) -> io::Result<()> {
    let inode = fs::metadata(live)?.ino();
    Heading { inode, before }.write(live)
}

/// How many bytes of a stream were written up to the end of a segment, or of the live file; `None` where nobody noted it.
pub(crate) fn written_up_to(live: &Path, number: u32) -> Option<u64> {
    let heading = Heading::read(&index_path(&numbered(live, number)))?;
    let (inode, len) = segments::inode_and_len(live, number)?;
    (inode == heading.inode).then_some(heading.before.saturating_add(len))
}
