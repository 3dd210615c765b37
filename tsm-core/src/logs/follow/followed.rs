//! One log that is followed: which file of it is read, how far, and which one comes next.

mod moving;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::direct::{self, Place};
use super::super::index::Index;
use super::super::packed::Opened;
use super::super::rotate;
use super::super::segments::{FileId, Segment, directory, is_absent, segments};
use super::super::tail::{FORWARD_BLOCK, LogStream, Splitter, first_offset};
use super::super::{Gone, Line, LogError, Stream};
use super::Timed;
use crate::sys::inotify::{Inotify, Mask, WatchId};

/// How much of one log is read for one batch: a log that floods does not hold up the others, and
/// a caller that was away for long does not get everything at once.
const BATCH_BYTES: usize = 1024 * 1024;

/// The file that is read now.
#[derive(Debug)]
struct Current {
    file: Arc<Opened>,
    /// What it is, and where it was when it was opened.
    segment: Segment,
    read_up_to: u64,
    index: Index,
    /// Where its bytes were when it was last looked at, where its service writes it itself.
    place: Option<Place>,
    /// How many bytes of the stream were written before it, where that is noted.
    before: Option<u64>,
}

impl Current {
    /// How far it was read, counted as the offsets in its index are.
    fn position(&self) -> u64 {
        self.read_up_to + self.place.map_or(0, |place| place.base)
    }

    /// How many bytes of the stream were written up to where it was read, where that is known.
    fn end(&self) -> Option<u64> {
        Some(self.before?.saturating_add(self.read_up_to))
    }
}

/// How many bytes were written before a live file that nothing was written into yet.
fn before_first(live: &Segment) -> Option<u64> {
    let is_unwritten = live.number() == 0 && live.is_empty();
    is_unwritten.then(|| rotate::written_up_to(&live.path(), 1).unwrap_or(0))
}

/// One log that is followed.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) source: usize,
    pub(super) stream: Stream,
    pub(super) path: PathBuf,
    /// The path as it is put together from directory and name, to compare with events.
    pub(super) path_in_directory: PathBuf,
    current: Option<Current>,
    unfinished: Splitter,
    /// The watch of the live file.
    pub(super) watch: Option<WatchId>,
    /// Whether another file may have come under the live file's name, so that the watch is due.
    pub(super) rearm: bool,
    /// Whether there may be something to read.
    pub(super) changed: bool,
    pub(super) directory_gone: bool,
    /// The index that belongs to the file before, and how far it reached: after a rotation it
    /// stands for a moment beside the new file.
    stale_index: Option<(FileId, u64)>,
    /// The time of the last line that had one, and the highest time so far.
    last_time: Option<u64>,
    key: Option<u64>,
    /// Its service writes it itself, so that lines go on from one segment to the next.
    was_direct: bool,
    /// How many bytes were removed before they were read.
    gone: u64,
    /// How many bytes of the stream were written up to where the file before the current one was left, until it is
    /// known where the current one begins.
    reached: Option<u64>,
}

impl Followed {
    pub(super) fn new(log: &mut LogStream) -> Result<Self, LogError> {
        let (start, bytes) = log.take_unfinished()?;
        let newest = log.newest();
        let first = newest
            .as_ref()
            .map_or(0, |(_, segment)| first_offset(segment));
        let start = start.saturating_sub(log.newest_start()) + first;
        let current = newest.map(|(file, segment)| {
            let mut index = segment.open_index(u64::MAX);
            index.cover(start);
            Current {
                file,
                segment: segment.clone(),
                read_up_to: segment.len + segment.place.map_or(0, |place| place.skip),
                index,
                place: segment.place,
                before: segment.before().or_else(|| before_first(segment)),
            }
        });
        Ok(Self {
            current,
            unfinished: Splitter::resume(start, bytes),
            ..Self::from_the_start(log.source, log.stream, &log.live)
        })
    }

    /// Nothing of it was read yet, and all is to be.
    pub(super) fn from_the_start(source: usize, stream: Stream, path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default();
        Self {
            source,
            stream,
            path_in_directory: directory(path).join(name),
            path: path.to_owned(),
            current: None,
            unfinished: Splitter::default(),
            watch: None,
            rearm: true,
            changed: true,
            directory_gone: false,
            stale_index: None,
            last_time: None,
            key: None,
            was_direct: direct::is_direct(path),
            gone: 0,
            reached: None,
        }
    }

    /// The bytes that were removed before they were read, since this was asked last.
    pub(super) fn take_gone(&mut self) -> Option<Gone> {
        let bytes = std::mem::take(&mut self.gone);
        let (source, stream) = (self.source, self.stream);
        (bytes > 0).then_some(Gone {
            source,
            stream,
            bytes,
        })
    }

    /// Watches the file that has the live file's name now. Without one the watch stays on the old
    /// file, which may still be written to.
    pub(super) fn arm(&mut self, inotify: &Inotify) -> Result<(), LogError> {
        if !self.rearm {
            return Ok(());
        }
        match inotify.watch(&self.path, Mask::MODIFY) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) if is_absent(&error) => self.watch_renamed(inotify)?,
            Err(source) => {
                return Err(LogError::Watch {
                    path: self.path.clone(),
                    source,
                });
            }
        }
        self.rearm = false;
        Ok(())
    }

    /// Watches the current file under the name that rotation gave it, where it was not watched yet.
    fn watch_renamed(&mut self, inotify: &Inotify) -> Result<(), LogError> {
        // Only where there is no watch yet: a watch stays with its file when that is renamed.
        let Some(current) = self.current.as_ref().filter(|_| self.watch.is_none()) else {
            return Ok(());
        };
        for segment in segments(&self.path)?.segments {
            if segment.id == current.segment.id {
                let path = segment.path();
                match inotify.watch(&path, Mask::MODIFY) {
                    Ok(watch) => self.watch = Some(watch),
                    // It was rotated once more, so there is a new live file, and an event for it.
                    Err(error) if is_absent(&error) => {}
                    Err(source) => return Err(LogError::Watch { path, source }),
                }
            }
        }
        Ok(())
    }

    /// Reads what is there, or as much as a batch may hold; `changed` tells whether there is more.
    pub(super) fn read(&mut self, lines: &mut Vec<Timed>) -> Result<(), LogError> {
        let mut budget = BATCH_BYTES;
        loop {
            // First which file has the name, then the rest of this one: if another file has the
            // name already, nobody writes to this one any more, and what is read last is its end.
            let named = match fs::metadata(&self.path) {
                Ok(metadata) => Some(FileId::of(&metadata)),
                Err(error) if is_absent(&error) => None,
                Err(source) => {
                    return Err(LogError::Read {
                        path: self.path.clone(),
                        source,
                    });
                }
            };
            if !self.read_to_end(&mut budget, lines)? {
                return Ok(());
            }
            let current = self.current.as_ref().map(|current| current.segment.id);
            if named.is_none() {
                if self.is_removed() {
                    self.give_unfinished(lines);
                }
                // While the file is held open, the kernel does not tell that the directory went.
                let directory = fs::metadata(directory(&self.path));
                self.directory_gone |= directory.is_err_and(|error| is_absent(&error));
                break;
            }
            if named == current || !self.open_next(lines)? {
                break;
            }
        }
        self.changed = false;
        Ok(())
    }

    /// Reads the current file to its end (true), or until the budget is spent (false).
    fn read_to_end(
        &mut self,
        budget: &mut usize,
        lines: &mut Vec<Timed>,
    ) -> Result<bool, LogError> {
        self.take_back_what_changed()?;
        let mut block = vec![0; FORWARD_BLOCK];
        while let Some(n) = self.read_block(&mut block, lines)? {
            let Some(current) = &self.current else {
                break;
            };
            if n == 0 {
                let len = current
                    .file
                    .len()
                    .map_err(LogError::read(&current.segment.path()))?;
                if len >= current.read_up_to {
                    break;
                }
                if self.was_cut()?.is_some() {
                    continue;
                }
                if self.lost_its_last_line(len)? {
                    continue;
                }
                // Truncated.
                self.give_unfinished(lines);
                self.restart();
                continue;
            }
            self.take(&block[..n], lines);
            *budget = budget.saturating_sub(n);
            if *budget == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The line that had not ended may have been taken back as [`lost_its_last_line`](Self::lost_its_last_line) tells, and more
    /// may have come before this looked: then its bytes are others now, and are read again.
    fn take_back_what_changed(&mut self) -> Result<(), LogError> {
        let (Some(current), Some(start)) = (&mut self.current, self.unfinished.unfinished_start())
        else {
            return Ok(());
        };
        if self.was_direct {
            return Ok(());
        }
        let tail = self.unfinished.tail(current.read_up_to.min(256) as usize);
        let at = current.read_up_to - tail.len() as u64;
        let mut bytes = vec![0; tail.len()];
        let read = current.file.read_at(&mut bytes, at);
        let n = read.map_err(LogError::read(&current.segment.path()))?;
        if n < tail.len() || bytes == tail {
            // Nothing changed but for what was added, or it is shorter now.
            return Ok(());
        }
        current.read_up_to = start;
        self.unfinished = Splitter::resume(start, Vec::new());
        Ok(())
    }

    /// Whether nothing was taken from the current file, which has this length now, but the line that had not ended: that is
    /// how a full disk is dealt with where lines are dropped. It is read on from there.
    fn lost_its_last_line(&mut self, len: u64) -> Result<bool, LogError> {
        let Some(current) = &mut self.current else {
            return Ok(false);
        };
        let base = current.place.map_or(0, |place| place.base);
        if len == 0 || self.unfinished.unfinished_start() != Some(base + len) {
            return Ok(false);
        }
        // Somebody may have emptied it, and others may have written as much.
        let mut before = [0];
        let read = current.file.read_at(&mut before, len - 1);
        if read.map_err(LogError::read(&current.segment.path()))? != 1 || before != *b"\n" {
            return Ok(false);
        }
        current.read_up_to = len;
        self.unfinished = Splitter::resume(base + len, Vec::new());
        Ok(true)
    }

    /// Reads at the current position; `None` where there is no file.
    fn read_block(
        &mut self,
        block: &mut [u8],
        lines: &mut Vec<Timed>,
    ) -> Result<Option<usize>, LogError> {
        loop {
            self.look_who_writes()?;
            if let Some(now) = self.was_cut()? {
                self.relocate(now, lines)?;
            }
            let Some(current) = &self.current else {
                return Ok(None);
            };
            let n = current
                .file
                .read_at(block, current.read_up_to)
                .map_err(LogError::read(&current.segment.path()))?;
            // What was read while the head was being cut off may be from anywhere.
            if self.was_cut()?.is_none() {
                return Ok(Some(n));
            }
        }
    }

    /// Cuts into lines what was read at the current position.
    fn take(&mut self, bytes: &[u8], lines: &mut Vec<Timed>) {
        self.refresh_index();
        self.count_what_is_missing();
        let Some(current) = &mut self.current else {
            return;
        };
        let mut ended = Vec::new();
        self.unfinished
            .feed(bytes, current.position(), |start, bytes| {
                ended.push((start, bytes));
            });
        current.read_up_to += bytes.len() as u64;
        for (start, bytes) in ended {
            self.give(start, bytes, true, lines);
        }
        if let Some(current) = &mut self.current {
            let needed = self
                .unfinished
                .unfinished_start()
                .unwrap_or(current.position());
            current.index.forget_before(needed);
        }
    }

    fn give(&mut self, start: u64, bytes: Vec<u8>, complete: bool, lines: &mut Vec<Timed>) {
        let index = self.current.as_ref().map(|current| &current.index);
        let time_ms = index.and_then(|index| index.time_of(start));
        self.last_time = time_ms.or(self.last_time);
        self.key = self.key.max(self.last_time);
        let (source, stream) = (self.source, self.stream);
        lines.push((
            self.key,
            Line {
                source,
                stream,
                time_ms,
                bytes,
                complete,
            },
        ));
    }

    pub(super) fn give_unfinished(&mut self, lines: &mut Vec<Timed>) {
        if let Some((start, bytes)) = self.unfinished.take_unfinished() {
            self.give(start, bytes, false, lines);
        }
    }

    /// Begins the current file anew.
    fn restart(&mut self) {
        if let Some(current) = &mut self.current {
            current.read_up_to = 0;
            current.index = current.segment.open_index(u64::MAX);
            current.index.cover(0);
        }
    }

    /// Takes in what was noted; opens the index where there was none, or one of another file.
    fn refresh_index(&mut self) {
        let Some(current) = &mut self.current else {
            return;
        };
        if current.index.exists() {
            current.index.refresh();
            return;
        }
        // Of a file that has just been made it is noted before its first bytes come.
        current.before = current.before.or_else(|| current.segment.before());
        let mut index = current.segment.open_index(u64::MAX);
        if let (Some((old, reached)), Some((id, end))) = (self.stale_index, index.position())
            && old == id
            && end >= reached
        {
            // That is the index of the file before, which a rotation has not moved yet.
            return;
        }
        index.cover(
            self.unfinished
                .unfinished_start()
                .unwrap_or(current.position()),
        );
        current.index = index;
    }
}
