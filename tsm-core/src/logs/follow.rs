//! What is written from now on, as it is written.
//!
//! The kernel tells of changes (inotify): of bytes in the live files, of names in their
//! directories. A file is read to its end before another one that took its name is begun, so
//! nothing is lost at a rotation, and of a rotation that was missed the segments in between are
//! read too. With nothing to do it makes no system call.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::index::{Index, index_path, read_full_at};
use super::segments::{FileId, Segment, directory, is_absent, segments};
use super::tail::{FORWARD_BLOCK, LogStream, Splitter};
use super::{Line, LogError, Source, Stream};
use crate::sys::inotify::{Inotify, Mask, WatchId};

/// How much of one log is read for one batch: a log that floods does not hold up the others, and
/// a caller that was away for long does not get everything at once.
const BATCH_BYTES: usize = 1024 * 1024;

/// Gives the lines of logs as they are written: made by [`tail_and_follow`](super::tail_and_follow).
///
/// It follows each log through appends, truncation (it then begins at 0 again), rotation, removal
/// and re-creation, and waits for a log that does not exist yet. It holds one descriptor for the
/// events, and two for each log: the file and its index.
///
/// Its descriptor ([`AsFd`]) is readable when something happened. Who polls it along with others
/// then calls [`next_batch`](Self::next_batch) with a time-out of zero until it gives no line.
#[derive(Debug)]
pub struct Follower {
    inotify: Inotify,
    directories: BTreeMap<WatchId, PathBuf>,
    logs: Vec<Followed>,
}

impl Follower {
    /// Watches the directories of the sources, and follows no log yet.
    pub(super) fn watching(sources: &[Source]) -> Result<Self, LogError> {
        let inotify = Inotify::new().map_err(LogError::Events)?;
        let mut directories = BTreeMap::new();
        let mut seen = HashSet::new();
        for path in sources
            .iter()
            .flat_map(|source| source.out.iter().chain(&source.err))
        {
            let directory = directory(path);
            if seen.insert(directory) {
                let watch =
                    inotify
                        .watch(directory, Mask::NAMES)
                        .map_err(|source| LogError::Watch {
                            path: directory.to_owned(),
                            source,
                        })?;
                directories.insert(watch, directory.to_owned());
            }
        }
        Ok(Self {
            inotify,
            directories,
            logs: Vec::new(),
        })
    }

    /// Follows a log from its end as it was when it was opened; its unfinished line is taken out
    /// of it and held here.
    pub(super) fn add(&mut self, log: &mut LogStream) -> Result<(), LogError> {
        let mut followed = Followed::new(log)?;
        followed.arm(&self.inotify)?;
        self.logs.push(followed);
        Ok(())
    }

    /// Waits until there are lines, and gives them: those of one log in the order of the file,
    /// those of several in order of time. Empty when the time is over. Without a time-out it waits
    /// as long as nothing comes.
    ///
    /// A line that has not ended is held back until its newline comes. It is given as it is, with
    /// `complete` false, when its file is truncated, removed or replaced.
    ///
    /// # Errors
    /// Where a log or the events cannot be read, or the directory of the logs is gone (it may take a
    /// change in it until this is seen). No line is lost by it: the call may be repeated.
    pub fn next_batch(&mut self, timeout: Option<Duration>) -> Result<Vec<Line>, LogError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            self.take_events()?;
            let lines = self.read()?;
            if !lines.is_empty() {
                return Ok(lines);
            }
            if let Some(gone) = self.logs.iter().find(|log| log.directory_gone) {
                let path = directory(&gone.path).to_owned();
                return Err(LogError::DirectoryGone { path });
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let reading = self.logs.iter().any(|log| log.changed);
            if reading && left.is_none_or(|left| !left.is_zero()) {
                // In the midst of a long line.
                continue;
            }
            if !self.inotify.wait(left).map_err(LogError::Events)? {
                return Ok(Vec::new());
            }
        }
    }

    /// Gives the lines that have not ended, for a caller that ends, or that wants to show a prompt
    /// at last. What follows them comes as lines of their own.
    pub fn flush_partial(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        for log in &mut self.logs {
            log.give_unfinished(&mut lines);
        }
        in_order(lines)
    }

    /// Takes the events that wait and marks the logs that they are about.
    fn take_events(&mut self) -> Result<(), LogError> {
        let events = self.inotify.read_events().map_err(LogError::Events)?;
        let mut files = HashSet::new();
        let mut names: HashSet<(WatchId, OsString)> = HashSet::new();
        let mut gone = HashSet::new();
        let mut lost = false;
        for event in events {
            if event.mask.intersects(Mask::OVERFLOW) {
                lost = true;
            } else if let Some(path) = self.directories.get(&event.watch) {
                match event.name {
                    Some(name) => {
                        names.insert((event.watch, name));
                    }
                    None => {
                        gone.insert(path.as_path());
                    }
                }
            } else {
                files.insert(event.watch);
            }
        }
        if !lost && files.is_empty() && names.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let names: HashSet<PathBuf> = names
            .into_iter()
            .filter_map(|(watch, name)| Some(self.directories.get(&watch)?.join(name)))
            .collect();
        for log in &mut self.logs {
            let renamed = lost || names.contains(&log.path_in_directory);
            log.rearm |= renamed;
            log.changed |= renamed || log.watch.is_some_and(|watch| files.contains(&watch));
            if gone.contains(directory(&log.path)) {
                log.directory_gone = true;
                log.changed = true;
            }
        }
        Ok(())
    }

    /// Reads what has changed.
    fn read(&mut self) -> Result<Vec<Line>, LogError> {
        let mut lines = Vec::new();
        for number in 0..self.logs.len() {
            let log = &mut self.logs[number];
            if !log.changed {
                continue;
            }
            let before = log.watch;
            let outcome = log.arm(&self.inotify).and_then(|()| log.read(&mut lines));
            // Two logs may be one file, and one watch then serves both.
            if let Some(old) = before
                && log.watch != before
                && self.logs.iter().all(|log| log.watch != Some(old))
            {
                self.inotify.unwatch(old).map_err(LogError::Events)?;
            }
            if let Err(error) = outcome {
                // What was read is not lost: it goes back, and comes with the next call.
                for line in lines {
                    if let Some(log) = self.logs.iter_mut().find(|log| log.is_of(&line)) {
                        log.given_back.push(line);
                        log.changed = true;
                    }
                }
                return Err(error);
            }
        }
        Ok(in_order(lines))
    }
}

impl AsFd for Follower {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// A line, and the time that it is ordered by within its batch.
type Timed = (Option<u64>, Line);

/// Sorts by time, stream and source. The sort is stable and the times of a log do not decrease,
/// so lines of one log stay in their order.
fn in_order(mut lines: Vec<Timed>) -> Vec<Line> {
    lines.sort_by_key(|(key, line)| (*key, line.stream, line.source));
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The file that is read now.
#[derive(Debug)]
struct Current {
    file: Arc<File>,
    id: FileId,
    path: PathBuf,
    read_up_to: u64,
    index: Index,
}

/// One log that is followed.
#[derive(Debug)]
struct Followed {
    source: usize,
    stream: Stream,
    path: PathBuf,
    /// The path as it is put together from directory and name, to compare with events.
    path_in_directory: PathBuf,
    current: Option<Current>,
    unfinished: Splitter,
    /// The watch of the live file.
    watch: Option<WatchId>,
    /// Whether another file may have come under the live file's name, so that the watch is due.
    rearm: bool,
    /// Whether there may be something to read.
    changed: bool,
    directory_gone: bool,
    /// The index that belongs to the file before, and how far it reached: after a rotation it
    /// stands for a moment beside the new file.
    stale_index: Option<(FileId, u64)>,
    /// The time of the last line that had one, and the highest time so far.
    last_time: Option<u64>,
    key: Option<u64>,
    /// Lines that could not be given because another log failed.
    given_back: Vec<Timed>,
}

impl Followed {
    fn new(log: &mut LogStream) -> Result<Self, LogError> {
        let (start, bytes) = log.take_unfinished()?;
        let start = start.saturating_sub(log.newest_start());
        let current = log.newest().map(|(file, id, path, read_up_to)| {
            let mut index = Index::open(&index_path(&path), u64::MAX);
            index.cover(start);
            Current {
                file,
                id,
                path,
                read_up_to,
                index,
            }
        });
        let name = log.live.file_name().unwrap_or_default();
        Ok(Self {
            source: log.source,
            stream: log.stream,
            path_in_directory: directory(&log.live).join(name),
            path: log.live.clone(),
            current,
            unfinished: Splitter::resume(start, bytes),
            watch: None,
            rearm: true,
            changed: true,
            directory_gone: false,
            stale_index: None,
            last_time: None,
            key: None,
            given_back: Vec::new(),
        })
    }

    fn is_of(&self, (_, line): &Timed) -> bool {
        self.source == line.source && self.stream == line.stream
    }

    /// Watches the file that has the live file's name now. Without one the watch stays on the old
    /// file, which may still be written to.
    fn arm(&mut self, inotify: &Inotify) -> Result<(), LogError> {
        if !self.rearm {
            return Ok(());
        }
        match inotify.watch(&self.path, Mask::MODIFY) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) if is_absent(&error) => {}
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
        let Some(current) = self.current.as_ref().filter(|_| self.watch.is_none()) else {
            return Ok(());
        };
        for segment in segments(&self.path)? {
            if segment.id == current.id {
                // If it is gone by now, it is rotated once more, and the live file is there.
                self.watch = inotify.watch(&segment.path(), Mask::MODIFY).ok();
            }
        }
        Ok(())
    }

    /// Reads what is there, or as much as a batch may hold; `changed` tells whether there is more.
    fn read(&mut self, lines: &mut Vec<Timed>) -> Result<(), LogError> {
        lines.append(&mut self.given_back);
        let mut budget = BATCH_BYTES;
        loop {
            // First who has the name, then the rest of the file: if another one has it already,
            // nobody writes to this one any more, and its end is its end.
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
            let current = self.current.as_ref().map(|current| current.id);
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
        let mut block = vec![0; FORWARD_BLOCK];
        while let Some(current) = &mut self.current {
            let n = read_full_at(&current.file, &mut block, current.read_up_to)
                .map_err(LogError::read(&current.path))?;
            if n == 0 {
                let metadata = current
                    .file
                    .metadata()
                    .map_err(LogError::read(&current.path))?;
                if metadata.len() >= current.read_up_to {
                    break;
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

    /// Cuts into lines what was read at the current position.
    fn take(&mut self, bytes: &[u8], lines: &mut Vec<Timed>) {
        self.refresh_index();
        let Some(current) = &mut self.current else {
            return;
        };
        let mut ended = Vec::new();
        self.unfinished
            .feed(bytes, current.read_up_to, |start, bytes| {
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
                .unwrap_or(current.read_up_to);
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

    fn give_unfinished(&mut self, lines: &mut Vec<Timed>) {
        if let Some((start, bytes)) = self.unfinished.take_unfinished() {
            self.give(start, bytes, false, lines);
        }
    }

    /// Begins the current file anew.
    fn restart(&mut self) {
        if let Some(current) = &mut self.current {
            current.read_up_to = 0;
            current.index = Index::open(&index_path(&current.path), u64::MAX);
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
        let mut index = Index::open(&index_path(&current.path), u64::MAX);
        if let (Some((old, reached)), Some((id, end))) = (self.stale_index, index.position())
            && old == id
            && end >= reached
        {
            return;
        }
        index.cover(
            self.unfinished
                .unfinished_start()
                .unwrap_or(current.read_up_to),
        );
        current.index = index;
    }

    /// Whether the current file has no name any more.
    fn is_removed(&self) -> bool {
        let current = self.current.as_ref();
        let metadata = current.and_then(|current| current.file.metadata().ok());
        metadata.is_some_and(|metadata| metadata.nlink() == 0)
    }

    /// Goes on to the file that was begun after the current one; false where there is none.
    fn open_next(&mut self, lines: &mut Vec<Timed>) -> Result<bool, LogError> {
        for mut segment in self.later_segments()? {
            if let Some(file) = segment.open()? {
                self.give_unfinished(lines);
                if let Some(last) = self.current.take() {
                    self.stale_index = last.index.position();
                }
                let path = segment.path();
                self.current = Some(Current {
                    file: Arc::new(file),
                    id: segment.id,
                    path,
                    read_up_to: 0,
                    index: Index::default(),
                });
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The segments that are newer than the current file, the oldest first.
    fn later_segments(&self) -> Result<Vec<Segment>, LogError> {
        let mut all = segments(&self.path)?;
        let Some(current) = &self.current else {
            return Ok(all);
        };
        if let Some(number) = all.iter().position(|segment| segment.id == current.id) {
            return Ok(all.split_off(number + 1));
        }
        // It was removed or compressed. Whatever was written to later is newer.
        let modified = current
            .file
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok();
        all.retain(|segment| segment.number() == 0 || segment.modified > modified);
        Ok(all)
    }
}
