//! Which files a log is made of, and how each is known again after a rename.
//!
//! A log is `NAME.out.N` … `NAME.out.1` and the live file `NAME.out`, in this order. Rotation
//! renames each segment to the next higher number, so that a path says nothing for long: a file
//! is known by its [`FileId`]. This is the only place that knows how segments are named.

mod file_id;
mod opening;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub(crate) use file_id::FileId;
pub(crate) use opening::is_packed_from;
use opening::open_packed;

use super::LogError;
use super::direct::{self, Place};
use super::index::{Heading, Index, index_path};

/// So many numbers in a row may be free before there are no more segments. A rotation under way
/// leaves one free, and may move on while one looks.
pub(crate) const GAP: u32 = 2;

/// Up to this number, a segment is looked for under each.
const DENSE_NUMBERS: u32 = 1000;

/// A file that is part of a log.
#[derive(Debug, Clone)]
pub struct Segment {
    live: PathBuf,
    number: u32,
    is_packed: bool,
    /// Where its bytes are, where its service writes it itself.
    pub(super) place: Option<Place>,
    pub(super) id: FileId,
    pub(super) len: u64,
    pub(super) modified: Option<SystemTime>,
}

impl Segment {
    /// Where it was when it was listed.
    pub fn path(&self) -> PathBuf {
        let plain = numbered(&self.live, self.number);
        if self.is_packed {
            return compressed_path(&plain);
        }
        plain
    }

    /// Opens what notes the times of its bytes; notes at `limit` and beyond do not count.
    pub(super) fn open_index(&self, limit: u64) -> Index {
        let path = self.index_path().map(|(path, _)| path);
        path.map_or_else(Index::default, |path| Index::open(&path, limit))
    }

    /// How many bytes of the stream were written before it, where that is noted.
    pub(super) fn before(&self) -> Option<u64> {
        let (_, heading) = self.index_path()?;
        Some(heading.filter(|heading| self.is_of(heading))?.before)
    }

    /// Where its index is and how that begins; `None` where what is in its place is another file's.
    fn index_path(&self) -> Option<(PathBuf, Option<Heading>)> {
        let read = |number| {
            let path = index_path(&numbered(&self.live, number));
            let heading = Heading::read(&path);
            (path, heading)
        };
        // It is renamed just after its segment, and both may have been renamed once more meanwhile.
        let numbers = [0, -1, 1, 2].map(|step| self.number.checked_add_signed(step));
        let mut found = numbers.into_iter().flatten().map(read);
        let own = found.next()?;
        let Some(heading) = own.1.filter(|heading| !self.is_of(heading)) else {
            return Some(own);
        };
        let moved = found.find(|(_, heading)| heading.is_some_and(|heading| self.is_of(&heading)));
        // After a backup was restored, all files have other inodes.
        let is_of_another = || {
            let there = fs::metadata(numbered(&self.live, self.number));
            there.is_ok_and(|there| there.ino() == heading.inode)
        };
        moved.or_else(|| (!is_of_another()).then_some(own))
    }

    fn is_of(&self, heading: &Heading) -> bool {
        heading.inode == self.id.inode()
    }

    /// 0 for the live file, 1 for the newest rotated one, and so on.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// How many bytes it had when it was listed, unpacked.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it had no bytes when it was listed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Looks at the file that has this number now; `None` where there is none.
    fn stat(live: &Path, number: u32) -> Result<Option<Self>, LogError> {
        let path = numbered(live, number);
        if number == 0 && direct::is_direct(live) {
            return Self::stat_direct(live);
        }
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) && number > 0 => {
                return Self::stat_packed(live, number);
            }
            // Without a live file there is no log yet, or a rotation is just making it.
            Err(error) if is_absent(&error) => return Ok(None),
            Err(source) => return Err(LogError::Read { path, source }),
        };
        if !metadata.is_file() {
            return Err(LogError::NotAFile { path });
        }
        Ok(Some(Self::of(live, number, &metadata)))
    }

    fn of(live: &Path, number: u32, metadata: &Metadata) -> Self {
        Self {
            live: live.to_owned(),
            number,
            is_packed: false,
            place: None,
            id: FileId::of(metadata),
            len: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }

    /// Looks at a live file that its service writes itself. Its length is of the same moment as the place of its bytes.
    fn stat_direct(live: &Path) -> Result<Option<Self>, LogError> {
        let look = || -> io::Result<Self> {
            let file = crate::sys::open_without_waiting(live)?;
            let mut segment = Self::of(live, 0, &file.metadata()?);
            if let Some(place) = direct::place(&file, live)? {
                segment.len = place.len();
                segment.place = Some(place);
            }
            Ok(segment)
        };
        match look() {
            Err(error) if is_absent(&error) => Ok(None),
            seen => Ok(Some(seen.map_err(LogError::read(live))?)),
        }
    }

    /// The segment that has its temporary name still, and counts already.
    fn stat_pending(live: &Path) -> Option<Self> {
        let metadata = fs::metadata(direct::pending_path(live)).ok()?;
        Some(Self::of(live, 1, &metadata))
    }

    /// The compressed segment that bears the number of a plain one and was not made of it.
    fn stat_beside(&self) -> Result<Option<Self>, LogError> {
        let beside = Self::stat_packed(&self.live, self.number)?;
        Ok(beside.filter(|packed| packed.id != self.id))
    }

    fn stat_packed(live: &Path, number: u32) -> Result<Option<Self>, LogError> {
        let path = compressed_path(&numbered(live, number));
        let Some((packed, metadata)) = open_packed(&path)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            live: live.to_owned(),
            number,
            is_packed: true,
            place: None,
            id: packed.origin.unwrap_or_else(|| FileId::of(&metadata)),
            len: packed.len,
            modified: metadata.modified().ok(),
        }))
    }
}

/// The inode of a segment, or of what it was made of, and how many bytes it has; `None` where there is none that can be read.
pub(super) fn inode_and_len(live: &Path, number: u32) -> Option<(u64, u64)> {
    let found = Segment::stat(live, number).ok()??;
    Some((found.id.inode(), found.len))
}

/// What a log is made of.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Listed {
    /// Its files, the oldest first, the live file last, compressed ones too. A log that is not there has none.
    pub segments: Vec<Segment>,
    /// What bears the name of a segment and cannot be read as one.
    pub failed: Vec<LogError>,
}

/// Lists the files that the log with the live file `live` is made of.
///
/// # Errors
/// Where the directory or the live file cannot be looked at, or that is no regular file. What is wrong with a rotated
/// segment stands beside the others.
pub fn segments(live: &Path) -> Result<Listed, LogError> {
    Listings::default().segments(live)
}

/// The names in the directories of logs, each directory read once: so many logs of one directory
/// cost one reading of it.
#[derive(Debug, Default)]
pub(super) struct Listings {
    directories: HashMap<PathBuf, BTreeSet<OsString>>,
}

impl Listings {
    /// See [`segments`].
    pub(super) fn segments(&mut self, live: &Path) -> Result<Listed, LogError> {
        loop {
            let found = self.look(live)?;
            let Some(place) = found.segments.last().and_then(|newest| newest.place) else {
                return Ok(found);
            };
            // Bytes that move from the live file into a segment meanwhile would be met twice, or never.
            // Looked at once more: only an unchanged place makes the list one of a single moment.
            let again = Segment::stat(live, 0)?.and_then(|live| live.place);
            if again.is_some_and(|again| again.is_as(&place) && again.pending == place.pending) {
                return Ok(found);
            }
            // The listing of the directory is older than the change.
            self.directories.clear();
        }
    }

    fn look(&mut self, live: &Path) -> Result<Listed, LogError> {
        let numbers = self.numbers(live)?;
        let highest = numbers.last().copied().unwrap_or(0);
        // From the newest to the oldest, as a rotation moves files: one that is renamed meanwhile
        // is met twice rather than never. It may be on a number that was not listed, and even
        // above the highest.
        let dense = 0..=highest.min(DENSE_NUMBERS);
        let sparse = numbers.into_iter().filter(|number| *number > DENSE_NUMBERS);
        let mut found: Vec<Segment> = Vec::new();
        let mut failed = Vec::new();
        let mut absent = 0;
        let mut are_numbers_mixed = false;
        for number in dense.chain(sparse).chain(highest.saturating_add(1)..) {
            let is_pending = number == 1
                && found
                    .first()
                    .and_then(|live: &Segment| live.place)
                    .is_some_and(|place| place.pending);
            let segment = if is_pending {
                Ok(Segment::stat_pending(live))
            } else {
                Segment::stat(live, number)
            };
            let segment = match segment {
                Err(error) if number > 0 => {
                    absent = 0;
                    failed.push(error);
                    continue;
                }
                segment => segment?,
            };
            let Some(segment) = segment else {
                absent += 1;
                // A rotation that is under way leaves one number free, which says nothing.
                if number > highest && absent > GAP {
                    break;
                }
                continue;
            };
            absent = 0;
            let beside = if number > 0 && !segment.is_packed && !is_pending {
                segment.stat_beside()
            } else {
                Ok(None)
            };
            let beside = beside.unwrap_or_else(|error| {
                failed.push(error);
                None
            });
            are_numbers_mixed |= beside.is_some();
            for segment in [Some(segment), beside].into_iter().flatten() {
                match found.iter().position(|known| known.id == segment.id) {
                    // What was found since it was met first is newer than it: it came by rotations
                    // that took place meanwhile, and is not of the log as it was at the beginning.
                    Some(first) => found.truncate(first + 1),
                    None => found.push(segment),
                }
            }
        }
        if are_numbers_mixed {
            // Another program renames plain segments only, so that their numbers do not tell the order. The time of a segment
            // is that of its last byte.
            found.sort_by_key(|segment| (segment.number > 0, Reverse(segment.modified)));
        }
        found.reverse();
        Ok(Listed {
            segments: found,
            failed,
        })
    }

    /// The numbers of the rotated segments of `live`, ascending.
    fn numbers(&mut self, live: &Path) -> Result<BTreeSet<u32>, LogError> {
        let Some(name) = live.file_name() else {
            return Err(LogError::NotAFile {
                path: live.to_owned(),
            });
        };
        let directory = directory(live);
        if !self.directories.contains_key(directory) {
            self.directories
                .insert(directory.to_owned(), read_names(directory)?);
        }
        let mut prefix = name.to_owned();
        prefix.push(".");
        let names = self.directories.get(directory).into_iter();
        Ok(names
            .flat_map(|names| names.range(prefix.clone()..))
            .map_while(|name| name.as_bytes().strip_prefix(prefix.as_bytes()))
            .filter_map(segment_number)
            .collect())
    }
}

/// The directory that a log is in.
pub(super) fn directory(live: &Path) -> &Path {
    match live.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether the error says that there is no such file (or not even its directory).
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn read_names(directory: &Path) -> Result<BTreeSet<OsString>, LogError> {
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<_>>()
            .map_err(LogError::read(directory)),
        Err(error) if is_absent(&error) => Ok(BTreeSet::new()),
        Err(source) => Err(LogError::Read {
            path: directory.to_owned(),
            source,
        }),
    }
}

/// The number of a segment by what follows the name and the dot; rotation writes no leading zeros.
fn segment_number(suffix: &[u8]) -> Option<u32> {
    let suffix = suffix.strip_suffix(b".zst").unwrap_or(suffix);
    // A name with a leading zero is somebody else's.
    if !suffix.iter().all(u8::is_ascii_digit) || suffix.first() == Some(&b'0') {
        return None;
    }
    std::str::from_utf8(suffix).ok()?.parse().ok()
}

/// Where the segment of this number is; 0 is the live file.
pub(crate) fn numbered(live: &Path, number: u32) -> PathBuf {
    let mut path = live.as_os_str().to_owned();
    if number > 0 {
        path.push(format!(".{number}"));
    }
    path.into()
}

/// Where a segment is when it is compressed.
pub(crate) fn compressed_path(segment: &Path) -> PathBuf {
    let mut path = segment.as_os_str().to_owned();
    path.push(".zst");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(live: &Path) -> Vec<(u32, u64)> {
        segments(live)
            .unwrap()
            .segments
            .iter()
            .map(|s| (s.number(), s.len()))
            .collect()
    }

    #[test]
    fn lists_only_what_belongs_to_the_log_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("a.out");
        assert!(listed(&live).is_empty());
        assert!(listed(&dir.path().join("none/a.out")).is_empty());
        for (name, text) in [
            ("a.out", "0"),
            ("a.out.1", "11"),
            ("a.out.3", "333"),
            ("a.out.10", "4444"),
            ("a.out.2.idx", "z"),
            ("a.out.idx", "z"),
            ("a.out.1.idx", "z"),
            ("a.out.02", "z"),
            ("a.out.+4", "z"),
            ("a.out.99999999999", "z"),
            ("a.out2", "z"),
            ("aa.out.1", "z"),
            ("a.err.1", "z"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        assert_eq!(listed(&live), [(10, 4), (3, 3), (1, 2), (0, 1)]);
    }

    #[test]
    fn a_segment_is_found_after_rotation_and_missed_when_gone() {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("a.out");
        fs::write(&live, "first").unwrap();
        let mut segment = segments(&live).unwrap().segments.remove(0);
        fs::rename(&live, numbered(&live, 2)).unwrap();
        fs::write(&live, "other").unwrap();
        assert!(segment.open().unwrap().is_some());
        assert_eq!(segment.number(), 2);
        fs::remove_file(segment.path()).unwrap();
        assert!(segment.open().unwrap().is_none());
    }

    #[test]
    fn a_directory_is_no_log() {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("a.out");
        fs::create_dir(&live).unwrap();
        assert!(matches!(segments(&live), Err(LogError::NotAFile { path }) if path == live));
    }
}
