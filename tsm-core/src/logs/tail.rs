//! One log as one run of bytes: its segments put together, read backwards for where lines begin
//! and forwards for the lines, with the times of its index.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use memchr::{memchr, memrchr};

use super::direct::{self, Place};
use super::index::Index;
use super::packed::Opened;
use super::query::Grep;
use super::segments::{Listings, Segment};
use super::{LogError, Stream};

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
        index.get_or_insert_with(|| Index::open(&segment.index_path(), limit))
    }
}

/// The offset in its index of the first byte of a segment: where a service writes the file itself, what was cut off its
/// head counts.
pub(super) fn first_offset(segment: &Segment) -> u64 {
    segment.place.map_or(0, |place| place.base + place.skip)
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
}

/// How often a log is looked for again whose head is cut off while it is read.
const MOST_RELOCATIONS: u32 = 100;

impl LogStream {
    pub(super) fn open(
        source: usize,
        stream: Stream,
        live: &Path,
        listings: &mut Listings,
    ) -> Result<Self, LogError> {
        let mut segments = listings.segments(live)?;
        let mut newest = None;
        while let Some(last) = segments.last_mut() {
            if let Some(file) = last.open()? {
                if last.place.is_none() {
                    last.len = file.len().map_err(LogError::read(&last.path()))?;
                }
                newest = Some(Arc::new(file));
                break;
            }
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
            bytes.resize(before + (end - at).min(MATCH_BLOCK as u64) as usize, 0);
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

    /// Where it goes on when nothing could be read at `at`, though the log has not ended: always further on.
    fn past_gone(&self, at: u64) -> u64 {
        let end = self.part_end(at);
        if end > at { end } else { self.end }
    }

    /// Finds the bytes of a log again whose head was cut off since it was opened. Positions stay what they are.
    fn relocate(&mut self) -> Result<(), LogError> {
        let Some(last) = self.parts.last() else {
            return Ok(());
        };
        let first = |segment: &Segment| i128::from(first_offset(segment));
        // What is to be added to an offset that counts everything, to have a position.
        let difference = i128::from(last.start) - first(&last.segment);
        let id = last.segment.id;
        let found = Listings::default().segments(&self.live)?;
        let Some(live) = found.iter().position(|segment| segment.id == id) else {
            return Ok(());
        };
        let mut parts = Vec::new();
        let mut start = first(&found[live]) + difference;
        for (number, segment) in found
            .into_iter()
            .take(live + 1)
            .enumerate()
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            if number != live {
                start -= i128::from(segment.len);
            }
            let Ok(start) = u64::try_from(start) else {
                break;
            };
            parts.push(Part {
                segment,
                start,
                index: None,
            });
        }
        parts.reverse();
        self.parts = parts;
        self.older = None;
        Ok(())
    }

    /// Where the bytes of the newest file are now, where its service writes it itself.
    fn place_now(&self) -> Result<Option<Place>, LogError> {
        let place = self.parts.last().and_then(|part| part.segment.place);
        let (Some(_), Some(newest)) = (place, &self.newest) else {
            return Ok(None);
        };
        let now = direct::place(newest.file(), &self.live);
        // A log that is no such one any more does not change any more either.
        Ok(now.map_err(LogError::read(&self.live))?.or(place))
    }

    /// Reads from `at` on within one segment; less than wanted where it or the log ends, and
    /// nothing where bytes are gone.
    fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, LogError> {
        for _ in 0..MOST_RELOCATIONS {
            let Some(number) = self.part_of(at) else {
                return Ok(0);
            };
            if number + 1 < self.parts.len() {
                return self.read_older(number, at, buffer);
            }
            let before = self.place_now()?;
            let n = self.read_newest(at, buffer)?;
            let after = self.place_now()?;
            let known = self.parts[number].segment.place;
            let is_known = |now: Option<Place>| {
                now.map(|place| (place.base, place.skip))
                    == known.map(|place| (place.base, place.skip))
            };
            if is_known(before) && is_known(after) {
                self.bytes_read += n as u64;
                return Ok(n);
            }
            self.relocate()?;
        }
        // It cannot be found again: as good as gone.
        Ok(0)
    }

    /// How much of `wanted` bytes is in a part from `at` on.
    fn within(&self, at: u64, wanted: usize) -> usize {
        (wanted as u64).min(self.part_end(at).saturating_sub(at)) as usize
    }

    fn read_newest(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, LogError> {
        let wanted = self.within(at, buffer.len());
        let (Some(part), Some(file)) = (self.parts.last(), &self.newest) else {
            return Ok(0);
        };
        let skip = part.segment.place.map_or(0, |place| place.skip);
        file.read_at(&mut buffer[..wanted], at - part.start + skip)
            .map_err(LogError::read(&part.segment.path()))
    }

    fn read_older(&mut self, number: usize, at: u64, buffer: &mut [u8]) -> Result<usize, LogError> {
        let wanted = self.within(at, buffer.len());
        let part = &mut self.parts[number];
        if self.older.as_ref().is_none_or(|(open, _)| *open != number) {
            self.older = Some((number, part.segment.open()?));
        }
        let Some((_, Some(file))) = &self.older else {
            return Ok(0);
        };
        let n = file
            .read_at(&mut buffer[..wanted], at - part.start)
            .map_err(LogError::read(&part.segment.path()))?;
        self.bytes_read += n as u64;
        Ok(n)
    }
}

/// Finds where lines begin, from the end of a log to its start.
#[derive(Debug)]
pub(super) struct Backward {
    /// Where the line that was found last begins; at first the end of the log.
    at: u64,
    block: Vec<u8>,
    block_start: u64,
    next_block: u64,
}

impl Backward {
    pub(super) fn new(log: &LogStream) -> Self {
        Self {
            at: log.end,
            block: Vec::new(),
            block_start: log.end,
            next_block: BACKWARD_BLOCKS.0,
        }
    }

    /// Where the line before begins; `None` at the start of the log.
    pub(super) fn line_before(&mut self, log: &mut LogStream) -> Result<Option<u64>, LogError> {
        if self.at <= log.begin {
            return Ok(None);
        }
        // The newline right before the line found last ends the one that is looked for.
        let mut end = self.at - 1;
        loop {
            // A block is shorter than it should be where bytes are gone.
            let within = end
                .saturating_sub(self.block_start)
                .min(self.block.len() as u64) as usize;
            if let Some(newline) = self.block[..within].iter().rposition(|byte| *byte == b'\n') {
                self.at = self.block_start + newline as u64 + 1;
                return Ok(Some(self.at));
            }
            end = end.min(self.block_start);
            if end == 0 {
                self.at = 0;
                return Ok(Some(0));
            }
            let start = log
                .part_start(end - 1)
                .max(end.saturating_sub(self.next_block));
            self.block.resize((end - start) as usize, 0);
            let n = log.read(start, &mut self.block)?;
            self.block.truncate(n);
            self.block_start = start;
            self.next_block = (self.next_block * 2).min(BACKWARD_BLOCKS.1);
        }
    }
}

/// Finds where lines begin in which something is found, from the end of a log to its start.
#[derive(Debug)]
pub(super) struct BackwardMatches {
    /// What stands before this is still to be looked at.
    at: u64,
    /// Where lines begin that were found, ascending.
    found: Vec<u64>,
}

impl BackwardMatches {
    pub(super) fn new(log: &LogStream) -> Self {
        Self {
            at: log.end,
            found: Vec::new(),
        }
    }

    /// Where the line before begins; `None` at the start of the log.
    pub(super) fn line_before(
        &mut self,
        log: &mut LogStream,
        grep: &Grep,
    ) -> Result<Option<u64>, LogError> {
        let mut size = MATCH_BLOCK as u64;
        loop {
            if let Some(start) = self.found.pop() {
                return Ok(Some(start));
            }
            if self.at <= log.begin {
                return Ok(None);
            }
            let low = self.at.saturating_sub(size).max(log.begin);
            let start = if low == log.begin {
                low
            } else {
                log.line_from(low)?
            };
            if start >= self.at {
                // One line is all of it.
                size *= 2;
                continue;
            }
            let lines = log.read_all(start, self.at)?;
            grep.each_match(&lines, |begin, _| self.found.push(start + begin as u64));
            self.at = start;
        }
    }
}

/// Cuts what it is fed into lines, and keeps the one that has not ended.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    unfinished: Vec<u8>,
    start: u64,
}

impl Splitter {
    /// Begins in the middle of a line that began at `start`.
    pub(super) fn resume(start: u64, unfinished: Vec<u8>) -> Self {
        Self { unfinished, start }
    }

    /// Gives each line that ends in `chunk`, which stands at `at`, with the place where it began.
    pub(super) fn feed(
        &mut self,
        mut chunk: &[u8],
        mut at: u64,
        mut line: impl FnMut(u64, Vec<u8>),
    ) {
        while !chunk.is_empty() {
            if self.unfinished.is_empty() {
                self.start = at;
            }
            let (head, ended) = match memchr(b'\n', chunk) {
                Some(newline) => (newline, 1),
                None => (chunk.len(), 0),
            };
            self.unfinished.extend_from_slice(&chunk[..head]);
            if ended == 1 {
                line(self.start, std::mem::take(&mut self.unfinished));
            }
            chunk = &chunk[head + ended..];
            at += (head + ended) as u64;
        }
    }

    /// What follows stands at another place: of another file, say.
    pub(super) fn move_to(&mut self, start: u64) {
        self.start = start;
    }

    /// Takes the line that has not ended, if there is one.
    pub(super) fn take_unfinished(&mut self) -> Option<(u64, Vec<u8>)> {
        if self.unfinished.is_empty() {
            return None;
        }
        Some((self.start, std::mem::take(&mut self.unfinished)))
    }

    /// Where the line began that has not ended.
    pub(super) fn unfinished_start(&self) -> Option<u64> {
        (!self.unfinished.is_empty()).then_some(self.start)
    }
}

/// The lines of a log from some place to its end.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) log: LogStream,
    at: u64,
    splitter: Splitter,
    lines: VecDeque<(u64, Vec<u8>)>,
    /// Where only lines are wanted in which something is found.
    grep: Option<Grep>,
    /// What was read and not looked through yet: the beginning of a line.
    rest: Vec<u8>,
}

impl Forward {
    /// Reads all lines from the one that begins at `at`.
    pub(super) fn new(mut log: LogStream, at: u64, grep: Option<Grep>) -> Self {
        let at = at.max(log.begin);
        log.time_and_key(at);
        log.close_indexes();
        Self {
            log,
            at,
            splitter: Splitter::default(),
            lines: VecDeque::new(),
            grep,
            rest: Vec::new(),
        }
    }

    /// The next line: where it begins, its bytes, and whether a newline ends it.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Vec<u8>, bool)>, LogError> {
        loop {
            if let Some((start, bytes)) = self.lines.pop_front() {
                return Ok(Some((start, bytes, true)));
            }
            if self.at >= self.log.end {
                // Of a log that is done, nothing stays open while the others are read.
                self.log.newest = None;
                self.log.older = None;
                if let Some(grep) = &self.grep {
                    let rest = std::mem::take(&mut self.rest);
                    let is_found = !rest.is_empty() && grep.is_match(&rest);
                    let start = self.at - rest.len() as u64;
                    return Ok(is_found.then_some((start, rest, false)));
                }
                let rest = self.splitter.take_unfinished();
                return Ok(rest.map(|(start, bytes)| (start, bytes, false)));
            }
            if self.grep.is_some() {
                self.look_through()?;
                continue;
            }
            let mut block = vec![0; FORWARD_BLOCK];
            let n = self.log.read(self.at, &mut block)?;
            if n == 0 {
                self.at = self.log.past_gone(self.at);
                continue;
            }
            let lines = &mut self.lines;
            self.splitter.feed(&block[..n], self.at, |start, bytes| {
                lines.push_back((start, bytes));
            });
            self.at += n as u64;
        }
    }
    /// Reads on, and keeps the lines in which something is found.
    fn look_through(&mut self) -> Result<(), LogError> {
        let Some(grep) = &self.grep else {
            return Ok(());
        };
        let held = self.rest.len();
        self.rest.resize(held + MATCH_BLOCK, 0);
        let n = self.log.read(self.at, &mut self.rest[held..])?;
        self.rest.truncate(held + n);
        let first = self.at - held as u64;
        if n == 0 {
            // Bytes are gone; what stood before them is a line that has lost its end.
            let next = self.log.past_gone(self.at);
            let rest = std::mem::take(&mut self.rest);
            if !rest.is_empty() && next > self.at && grep.is_match(&rest) {
                self.lines.push_back((first, rest));
            }
            self.at = next;
            return Ok(());
        }
        self.at += n as u64;
        // The beginning of a line that was there before has no newline in it.
        let Some(newline) = memrchr(b'\n', &self.rest[held..]) else {
            return Ok(());
        };
        let whole = held + newline + 1;
        let (rest, lines) = (&self.rest, &mut self.lines);
        grep.each_match(&rest[..whole], |begin, end| {
            lines.push_back((first + begin as u64, rest[begin..end].to_vec()));
        });
        self.rest.drain(..whole);
        Ok(())
    }
}
