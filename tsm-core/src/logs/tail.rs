//! One log as one run of bytes: its segments put together, read backwards for where lines begin
//! and forwards for the lines, with the times of its index.

mod backward;
mod forward;
mod reading;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use memchr::memchr;

use super::index::Index;
use super::packed::Opened;
use super::segments::{FileId, Listed, Listings, Segment};
use super::{LogError, Stream};

pub(super) use backward::{Backward, BackwardMatches};
pub(super) use forward::{Forward, Splitter};

/// The first and the largest block that is read backwards: most often a few lines are wanted.
const BACKWARD_BLOCKS: (u64, u64) = (8 * 1024, 256 * 1024);

/// How much is looked through at a time.
const MATCH_BLOCK: usize = 512 * 1024;

/// How much is read forwards at a time.
pub(super) const FORWARD_BLOCK: usize = 32 * 1024;

/// A segment in its place.
#[derive(Debug)]
struct Part {
    segment: Segment,
    /// How many bytes stand before it in the log.
    start: u64,
    /// Opened when it is first needed.
    index: Option<Index>,
}

impl Part {
    fn index(&mut self) -> &mut Index {
        let Self { segment, index, .. } = self;
        // Notes beyond the end are about bytes that are not read.
        let limit = segment.len + first_offset(segment);
        index.get_or_insert_with(|| segment.open_index(limit))
    }
}

/// The offset in its index of the first byte of a segment: where a service writes the file itself, what was cut off its
/// head counts.
pub(super) fn first_offset(segment: &Segment) -> u64 {
    segment.place.map_or(0, |place| place.first())
}

/// A log as it was when it was opened. Positions count from the first byte of the oldest segment.
///
/// Of its files only the newest is held open: it is the one that a follower goes on with. Older
/// ones are opened when they are read, and known by what they are. What vanishes meanwhile is
/// passed over.
#[derive(Debug)]
pub(super) struct LogStream {
    pub(super) source: usize,
    pub(super) stream: Stream,
    pub(super) live: PathBuf,
    parts: Vec<Part>,
    /// Lines that begin before this are not wanted …
    begin: u64,
    /// … nor is what stands here and beyond.
    end: u64,
    newest: Option<Arc<Opened>>,
    /// The older segment that was read last; its file is `None` where it is gone.
    older: Option<(usize, Option<Opened>)>,
    bytes_read: u64,
    /// How many bytes were there when it was opened, and were not when they were to be given.
    gone: u64,
    /// Older segments that cannot be read …
    unreadable: Vec<FileId>,
    /// … and what is wrong with them, as far as it was not told yet.
    failed: Vec<LogError>,
}

impl LogStream {
    pub(super) fn open(
        source: usize,
        stream: Stream,
        live: &Path,
        listings: &mut Listings,
    ) -> Result<Self, LogError> {
        let Listed {
            mut segments,
            mut failed,
        } = listings.segments(live)?;
        let mut newest = None;
        while let Some(last) = segments.last_mut() {
            let opened = match last.open() {
                Err(error) if last.number() > 0 => {
                    failed.push(error);
                    None
                }
                opened => opened?,
            };
            if let Some(file) = opened {
                // It may have grown since it was listed. If its service writes it, length and place
                // are already of one moment.
                if last.place.is_none() {
                    last.len = file.len().map_err(LogError::read(&last.path()))?;
                }
                newest = Some(Arc::new(file));
                break;
            }
            // It has gone since it was listed, or cannot be read.
            segments.pop();
        }
        let mut end = 0;
        let parts = segments.into_iter().map(|segment| {
            let start = end;
            end += segment.len;
            Part {
                segment,
                start,
                index: None,
            }
        });
        let parts = parts.collect();
        Ok(Self {
            source,
            stream,
            live: live.to_owned(),
            parts,
            begin: 0,
            end,
            newest,
            older: None,
            bytes_read: 0,
            gone: 0,
            unreadable: Vec::new(),
            failed,
        })
    }

    /// The newest file, what it is, and up to where it has been taken in.
    pub(super) fn newest(&self) -> Option<(Arc<Opened>, &Segment)> {
        let segment = &self.parts.last()?.segment;
        Some((Arc::clone(self.newest.as_ref()?), segment))
    }

    /// Where the newest file begins.
    pub(super) fn newest_start(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.start)
    }

    /// Leaves only the lines of some time: those that came at `since` or later, and before `until`.
    pub(super) fn narrow(
        &mut self,
        since: Option<u64>,
        until: Option<u64>,
    ) -> Result<(), LogError> {
        // The end first: the beginning is looked for only up to it.
        if let Some(until) = until {
            self.end = self.line_at(until)?;
        }
        if let Some(since) = since {
            self.begin = self.line_at(since)?;
        }
        Ok(())
    }

    /// Where the first line begins that came at `ms` or later. Of a file without times, the time of its last byte says
    /// whether it is of interest.
    fn line_at(&mut self, ms: u64) -> Result<u64, LogError> {
        let mut found = None;
        for part in &mut self.parts {
            part.index().cover(0);
            let first = first_offset(&part.segment);
            let offset = if part.index().is_empty() {
                let modified = part.segment.modified;
                let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                let is_later = since.is_none_or(|since| since.as_millis() as u64 >= ms);
                (is_later && part.segment.len > 0).then_some(first)
            } else {
                part.index().first_at(ms)
            };
            if let Some(offset) = offset {
                found = Some(part.start + offset.saturating_sub(first_offset(&part.segment)));
                break;
            }
        }
        let Some(at) = found.filter(|at| *at < self.end) else {
            return Ok(self.end);
        };
        self.line_from(at)
    }

    /// Where the first line begins at `at` or beyond.
    fn line_from(&mut self, at: u64) -> Result<u64, LogError> {
        // One byte back: a line begins at `at` if a newline stands right before it.
        let Some(mut at) = at.checked_sub(1) else {
            return Ok(0);
        };
        let mut block = vec![0; BACKWARD_BLOCKS.0 as usize];
        while at < self.end {
            let n = self.read(at, &mut block)?;
            if let Some(newline) = memchr(b'\n', &block[..n]) {
                return Ok(at + newline as u64 + 1);
            }
            at = if n == 0 {
                self.part_end(at)
            } else {
                at + n as u64
            };
        }
        Ok(self.end)
    }

    /// How many bytes of logs and indexes were read.
    pub(super) fn bytes_read(&self) -> u64 {
        let indexes = self.parts.iter().filter_map(|part| part.index.as_ref());
        self.bytes_read + indexes.map(Index::bytes_read).sum::<u64>()
    }

    /// How many bytes had to be passed over because they were removed while it was read.
    pub(super) fn gone(&self) -> u64 {
        self.gone
    }

    /// What could not be read, since this was asked last.
    pub(super) fn take_failed(&mut self) -> Vec<LogError> {
        std::mem::take(&mut self.failed)
    }

    /// Takes away the last line if no newline ends it, and gives where it began and its bytes.
    pub(super) fn take_unfinished(&mut self) -> Result<(u64, Vec<u8>), LogError> {
        let mut last = [0];
        if self.end == 0 || (self.read(self.end - 1, &mut last)? == 1 && last == *b"\n") {
            return Ok((self.end, Vec::new()));
        }
        let start = Backward::new(self).line_before(self)?.unwrap_or(0);
        let bytes = self.read_all(start, self.end)?;
        self.end = start;
        Ok((start, bytes))
    }

    /// Reads everything from `at` to `end` that is still there.
    fn read_all(&mut self, mut at: u64, end: u64) -> Result<Vec<u8>, LogError> {
        let mut bytes = Vec::new();
        while at < end {
            let before = bytes.len();
            make_room(&mut bytes, (end - at).min(MATCH_BLOCK as u64) as usize);
            let n = self.read(at, &mut bytes[before..])?;
            bytes.truncate(before + n);
            at = if n == 0 {
                self.part_end(at)
            } else {
                at + n as u64
            };
        }
        Ok(bytes)
    }

    /// When the byte at `at` arrived, and the time that its line is ordered by: its own or else
    /// that of the line before, or a later line's where the clock was set back in between. As it
    /// depends on nothing that stands before, the last lines are the same however many one reads.
    pub(super) fn time_and_key(&mut self, at: u64) -> (Option<u64>, Option<u64>) {
        let Some(number) = self.part_of(at) else {
            return (None, None);
        };
        let (before, rest) = self.parts.split_at_mut(number);
        let Some((part, after)) = rest.split_first_mut() else {
            return (None, None);
        };
        let mut floor = u64::MAX;
        for later in after {
            later.index().cover(0);
            floor = floor.min(later.index().floor());
        }
        let offset = at - part.start + first_offset(&part.segment);
        let index = part.index();
        index.cover(offset);
        if let Some(note) = index.note_of(offset) {
            return (Some(note.ms), Some(note.floor.min(floor)));
        }
        floor = floor.min(index.floor());
        let inherited = before.iter_mut().rev().find_map(|earlier| {
            let last = earlier.segment.len.checked_sub(1)? + first_offset(&earlier.segment);
            earlier.index().cover(last);
            earlier.index().time_of(last)
        });
        (None, inherited.map(|ms| ms.min(floor)))
    }

    /// Lets go of the indexes' files. Only times that were asked for can be asked for again.
    fn close_indexes(&mut self) {
        for index in self.parts.iter_mut().filter_map(|part| part.index.as_mut()) {
            index.close();
        }
    }

    fn part_of(&self, at: u64) -> Option<usize> {
        self.parts
            .partition_point(|part| part.start <= at)
            .checked_sub(1)
    }

    fn part_start(&self, at: u64) -> u64 {
        self.part_of(at)
            .map_or(0, |number| self.parts[number].start)
    }

    fn part_end(&self, at: u64) -> u64 {
        let Some(number) = self.part_of(at) else {
            // What stood there was removed.
            return self.parts.first().map_or(self.end, |part| part.start);
        };
        let part = &self.parts[number];
        (part.start + part.segment.len).min(self.end)
    }

    /// Where it goes on when nothing could be read at `at`, though the log has not ended: always further on. What is
    /// passed over is counted.
    fn past_gone(&mut self, at: u64) -> u64 {
        let end = self.part_end(at);
        let next = if end > at { end } else { self.end };
        let part = self.part_of(at).map(|number| self.parts[number].segment.id);
        if part.is_none_or(|id| !self.unreadable.contains(&id)) {
            self.gone += next.saturating_sub(at);
        }
        next
    }
}

/// Makes room for so many bytes more, to be read into. `Vec::resize` fills them one by one where it is compiled for size,
/// which took two thirds of the time of a search; this copies them.
fn make_room(bytes: &mut Vec<u8>, more: usize) {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.reserve(more);
    let mut left = more;
    while left > 0 {
        let some = left.min(ZEROS.len());
        bytes.extend_from_slice(&ZEROS[..some]);
        left -= some;
    }
}
