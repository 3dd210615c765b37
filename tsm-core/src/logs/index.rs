//! The time index of a log file: when its bytes arrived.
//!
//! Beside a log file stands its index, named as the file with `.idx` added: lines `OFFSET UNIX_MS`,
//! the time in milliseconds since 1970 at which a chunk that begins at byte OFFSET arrived. Bytes
//! between two notes belong to the earlier one. Writers append a line made by [`note_line`]
//! *before* the bytes that it is about: so a reader that sees the bytes finds their time.
//!
//! The index is a convenience, and nothing that stands in it is an error: a line that cannot be
//! read is passed over, a last line without a newline does not count, and a note makes void all
//! earlier ones at the same or a higher offset (the file was truncated in between, say). How it begins, see [`heading`].

pub(super) mod heading;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

pub(crate) use heading::Heading;

use super::segments::FileId;
use crate::events::{EventKind, History};
use crate::home::Home;
use crate::name::ProcessName;

/// How much is read at a time.
const BLOCK: u64 = 8 * 1024;

/// Two numbers of 20 digits, and a space: what is longer is damaged.
const LONGEST_LINE: usize = 41;

/// No file is as large, with all that was ever cut off it: what says more is damaged.
pub(super) const LARGEST: u64 = 1 << 62;

/// The end of the year 9999, in milliseconds since 1970.
const LATEST: u64 = 253_402_300_799_999;

/// What a writer appends to the index when a chunk arrives at `offset` at `unix_ms`.
///
/// ```
/// assert_eq!(tsm_core::logs::index::note_line(4096, 1_758_318_163_000), "4096 1758318163000\n");
/// ```
pub fn note_line(offset: u64, unix_ms: u64) -> String {
    format!("{offset} {unix_ms}\n")
}

/// Where the index of the log file at `log` is.
pub fn index_path(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".idx");
    path.into()
}

/// Appends a note to the index of `log`. An index that has become larger than `bound` loses notes, so that times become
/// coarser: evenly, and as few as halve it.
pub(crate) fn append_note(log: &Path, offset: u64, unix_ms: u64, bound: u64) -> io::Result<()> {
    let mut file = crate::sys::open_for_appending(&index_path(log))?;
    file.write_all(note_line(offset, unix_ms).as_bytes())?;
    if file.metadata()?.len() > bound {
        drop(file);
        thin(log, bound / 2)?;
    }
    Ok(())
}

/// Leaves out notes until what is left fits into `bound`, but not those with which a run begins: bytes without a note of their own
/// belong to the one before, and `--since start` would show no first lines. The file is overwritten in place: whoever reads it meanwhile,
/// or after this was interrupted, finds true notes all the same, for each voids those before it that it contradicts.
fn thin(log: &Path, bound: u64) -> io::Result<()> {
    let path = index_path(log);
    let heading = Heading::read(&path).map_or_else(String::new, Heading::line);
    let notes = notes_of(log)?;
    let mut moments = moments_of(log);
    let most = bound as usize / 4 / (LONGEST_LINE + 1);
    moments.drain(..moments.len().saturating_sub(most));
    moments.sort_unstable();
    let moments_until = |ms: u64| moments.partition_point(|moment| *moment <= ms);
    let mut gap = 200;
    let thinned = loop {
        let mut kept = heading.clone();
        let mut last = None;
        let mut before = None;
        for &(offset, ms) in &notes {
            // The first since one of these moments.
            let begins = || moments_until(ms) > before.map_or(0, moments_until);
            if last.is_none_or(|last: u64| ms.abs_diff(last) >= gap) || begins() {
                kept.push_str(&note_line(offset, ms));
                last = Some(ms);
            }
            before = Some(ms);
        }
        if kept.len() as u64 <= bound || last.is_none() || gap > u64::MAX / 2 {
            break kept;
        }
        gap *= 2;
    };
    let file = crate::sys::open_for_writing(&path)?;
    file.write_all_at(thinned.as_bytes(), 0)?;
    // After the new content: an interruption leaves true notes behind it, and no missing ones.
    file.set_len(thinned.len() as u64)
}

/// The moments from which on lines of a log may be asked for ([`Since`](crate::view::Since)), oldest first, in milliseconds since 1970:
/// the history beside it tells. None where the log is not in the `logs` of a home.
fn moments_of(log: &Path) -> Vec<u64> {
    let history = || {
        let logs = log.parent().filter(|parent| parent.ends_with("logs"))?;
        let name: ProcessName = log.file_stem()?.to_str()?.parse().ok()?;
        History::read(&Home::at(logs.parent()?).events(&name)).ok()
    };
    let history = history().unwrap_or_default();
    let moments = history.events().filter_map(|event| {
        let after = match event.kind {
            EventKind::StartRequested { .. } | EventKind::RestartRequested { .. } => 0,
            // What it printed last may have come in the very millisecond in which it ended.
            EventKind::Exited { .. } => 1,
            _ => return None,
        };
        let at = chrono::DateTime::parse_from_rfc3339(&event.at).ok()?;
        Some(at.timestamp_millis() as u64 + after)
    });
    moments.collect()
}

/// Writes an index for the `length` bytes of `log` from `first` on: its offsets count from there.
pub(super) fn copy_part(log: &Path, to: &Path, first: u64, length: u64) -> io::Result<()> {
    let mut before = None;
    let mut text = String::new();
    for (offset, ms) in notes_of(log)? {
        if offset <= first {
            before = Some(ms);
        } else if offset < first + length {
            text.push_str(&note_line(offset - first, ms));
        }
    }
    if let Some(ms) = before {
        text.insert_str(0, &note_line(0, ms));
    }
    std::fs::write(to, text)?;
    std::fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o600))
}

/// Lets the offsets of an index count from `first` on; what was noted before is left out, but for the time of that byte.
pub(super) fn shift(log: &Path, first: u64) -> io::Result<()> {
    if first == 0 || !index_path(log).exists() {
        return Ok(());
    }
    copy_part(log, &index_path(log), first, u64::MAX - first)
}

/// The notes of a log that count.
fn notes_of(log: &Path) -> io::Result<Vec<(u64, u64)>> {
    let text = match std::fs::read(index_path(log)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let mut notes: Vec<(u64, u64)> = Vec::new();
    for (offset, ms) in text.split(|byte| *byte == b'\n').filter_map(parse) {
        // A note at the same offset, or a lower one, voids those after it: the log was truncated.
        while notes.last().is_some_and(|(last, _)| *last >= offset) {
            notes.pop();
        }
        notes.push((offset, ms));
    }
    Ok(notes)
}

/// The offset that was noted last of a log: so many bytes were written at least.
pub(crate) fn last_offset(log: &Path) -> Option<u64> {
    let notes = notes_of(log).ok()?;
    notes.last().map(|(offset, _)| *offset)
}

/// When the first byte of a log that is noted came.
pub(crate) fn first_note(log: &Path) -> Option<u64> {
    // Room for the heading, too.
    let mut head = [0; 2 * (LONGEST_LINE + 3)];
    let file = crate::sys::open_without_waiting(&index_path(log)).ok()?;
    let n = read_full_at(&file, &mut head, 0).ok()?;
    let mut lines = head[..n].split(|byte| *byte == b'\n');
    lines.find_map(parse).map(|(_, ms)| ms)
}

/// A note, and the lowest time in it and all later ones: what lines are ordered by, so that the
/// order stays that of the file when the clock was set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) offset: u64,
    pub(super) ms: u64,
    pub(super) floor: u64,
}

/// The notes of one log file, as far as they were needed: it is read backwards from its end, and
/// then on as it grows.
#[derive(Debug, Default)]
pub struct Index {
    notes: VecDeque<Note>,
    /// `None` where there is no index, or all of it was read and it is not to grow.
    file: Option<File>,
    id: Option<FileId>,
    /// Notes at this offset of the log and beyond are not wanted.
    limit: u64,
    /// What stands before this byte of the index is still to be read backwards …
    head: u64,
    /// … and this is the end of the line that is cut there.
    head_line: Vec<u8>,
    /// What stands before this byte has been read, whole lines all.
    end: u64,
    bytes_read: u64,
}

impl Index {
    /// Reads the whole index at `path`. One that is not there, or cannot be read, has no notes.
    pub fn load(path: &Path) -> Self {
        let mut index = Self::open(path, u64::MAX);
        index.cover(0);
        index
    }

    /// When the byte at `offset` of the log file arrived, in milliseconds since 1970.
    pub fn time_of(&self, offset: u64) -> Option<u64> {
        self.note_of(offset).map(|note| note.ms)
    }

    /// Opens the index at `path` and reads nothing of it but its end. Notes at `limit` and beyond
    /// do not count.
    pub(super) fn open(path: &Path, limit: u64) -> Self {
        let mut index = Self {
            limit,
            ..Self::default()
        };
        // An index that cannot be read is no error either: its lines have no time.
        if let Ok(file) = crate::sys::open_without_waiting(path)
            && let Ok(metadata) = file.metadata()
            && metadata.is_file()
        {
            index.id = Some(FileId::of(&metadata));
            index.file = Some(file);
            index.end = index.end_of_lines(metadata.len()).unwrap_or(0);
            index.head = index.end;
        }
        index
    }

    /// Whether there is an index at all.
    pub(super) fn exists(&self) -> bool {
        self.id.is_some()
    }

    /// The index file and how far it has been read.
    pub(super) fn position(&self) -> Option<(FileId, u64)> {
        self.id.map(|id| (id, self.end))
    }

    /// How many bytes were read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The note that the byte at `offset` belongs to, among those read so far.
    pub(super) fn note_of(&self, offset: u64) -> Option<Note> {
        let after = self.notes.partition_point(|note| note.offset <= offset);
        self.notes.get(after.checked_sub(1)?).copied()
    }

    /// Where the bytes begin that came at `ms` or later, among the notes read so far.
    pub(super) fn first_at(&self, ms: u64) -> Option<u64> {
        let note = self.notes.iter().find(|note| note.ms >= ms);
        note.map(|note| note.offset)
    }

    /// Whether no note was read.
    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// The lowest time in the notes read so far.
    pub(super) fn floor(&self) -> u64 {
        self.notes.front().map_or(u64::MAX, |note| note.floor)
    }

    /// Reads backwards until the note is found that the byte at `offset` belongs to.
    pub(super) fn cover(&mut self, offset: u64) {
        while self.head > 0 && self.notes.front().is_none_or(|note| note.offset > offset) {
            if self.read_block_before_head().is_err() {
                // Damaged media, most likely. What was read counts.
                self.head = 0;
            }
        }
    }

    /// Closes the file: it is not going to be read any further.
    pub(super) fn close(&mut self) {
        self.file = None;
        self.head = 0;
    }

    /// Reads what was appended. An index that became shorter is read anew from its beginning.
    pub(super) fn refresh(&mut self) {
        if self.read_on().is_err() {
            // As with `cover`: no time is better than no line.
            self.close();
        }
    }

    /// Forgets the notes of what stands before `offset` of the log.
    pub(super) fn forget_before(&mut self, offset: u64) {
        while self
            .notes
            .get(1)
            .is_some_and(|second| second.offset <= offset)
        {
            self.notes.pop_front();
        }
    }

    /// Finds the end of the last whole line.
    fn end_of_lines(&mut self, len: u64) -> io::Result<u64> {
        let mut end = len;
        while end > 0 {
            let start = end.saturating_sub(BLOCK);
            let block = self.read(start, end)?;
            if let Some(newline) = block.iter().rposition(|byte| *byte == b'\n') {
                return Ok(start + newline as u64 + 1);
            }
            end = start;
        }
        Ok(0)
    }

    fn read_block_before_head(&mut self) -> io::Result<()> {
        let start = self.head.saturating_sub(BLOCK);
        let mut text = self.read(start, self.head)?;
        text.append(&mut self.head_line);
        self.head = start;
        let whole = if start == 0 {
            0
        } else {
            let cut = text
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(text.len(), |at| at + 1);
            self.head_line = text[..cut].to_vec();
            if self.head_line.len() > LONGEST_LINE + 1 {
                // Such a long line is no note, whatever is still to come of it.
                self.head_line = b"?\n".to_vec();
            }
            cut
        };
        for line in text[whole..].split(|byte| *byte == b'\n').rev() {
            if let Some((offset, ms)) = parse(line)
                && offset < self.limit
                && self.notes.front().is_none_or(|next| offset < next.offset)
            {
                let floor = ms.min(self.floor());
                self.notes.push_front(Note { offset, ms, floor });
            }
        }
        Ok(())
    }

    fn read_on(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let len = file.metadata()?.len();
        if len < self.end {
            self.notes.clear();
            self.head = 0;
            self.head_line.clear();
            self.end = 0;
        }
        let mut torn = Vec::new();
        let mut at = self.end;
        while at < len {
            let block = self.read(at, len.min(at + BLOCK))?;
            if block.is_empty() {
                break;
            }
            at += block.len() as u64;
            torn.extend_from_slice(&block);
            let whole = torn
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            for (offset, ms) in torn[..whole].split(|byte| *byte == b'\n').filter_map(parse) {
                while self.notes.back().is_some_and(|last| last.offset >= offset) {
                    self.notes.pop_back();
                }
                self.notes.push_back(Note {
                    offset,
                    ms,
                    floor: ms,
                });
            }
            torn.drain(..whole);
            if torn.len() > BLOCK as usize {
                // No line is that long: it is damaged, and its rest will not be a note either.
                torn.clear();
            }
            self.end = at - torn.len() as u64;
        }
        Ok(())
    }

    /// Reads the bytes from `start` to `end`, fewer where the file became shorter.
    fn read(&mut self, start: u64, end: u64) -> io::Result<Vec<u8>> {
        let Some(file) = &self.file else {
            return Ok(Vec::new());
        };
        let mut block = vec![0; (end - start) as usize];
        let n = read_full_at(file, &mut block, start)?;
        block.truncate(n);
        self.bytes_read += n as u64;
        Ok(block)
    }
}

/// Fills the buffer from `offset` on as far as there is something; tells how far.
pub(super) fn read_full_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads a line without its newline.
fn parse(line: &[u8]) -> Option<(u64, u64)> {
    let (offset, ms) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let number = |digits: &str| {
        // `parse` would take a sign too.
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain {
            digits.parse::<u64>().ok()
        } else {
            None
        }
    };
    let note = (number(offset)?, number(ms)?);
    (note.0 <= LARGEST && note.1 <= LATEST).then_some(note)
}

#[cfg(test)]
mod tests;
