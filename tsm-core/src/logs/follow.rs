//! What is written from now on, as it is written.
//!
//! The kernel tells of changes (inotify): of bytes in the live files, of names in their
//! directories. A file is read to its end before another one that took its name is begun, so
//! nothing is lost at a rotation, and of a rotation that was missed the segments in between are
//! read too. With nothing to do it makes no system call.

mod followed;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::followed::Followed;
use super::segments::directory;
use super::tail::LogStream;
use super::{Gone, Line, LogError, Source, Stream};
use crate::sys::inotify::{Inotify, Mask, WatchId};

/// Gives the lines of logs as they are written: made by [`tail_and_follow`](super::tail_and_follow).
///
/// It follows each log through appends, truncation (it then begins at 0 again), rotation, removal
/// and re-creation, and waits for a log that does not exist yet. It holds one descriptor for the
/// events, and two for each log: the file and its index.
///
/// Its descriptor ([`AsFd`]) is readable when something happened. Who polls it along with others
/// then calls [`next_batch`](Self::next_batch) with a time-out of zero until it gives no line and is not
/// [behind](Self::is_behind).
#[derive(Debug)]
pub struct Follower {
    inotify: Inotify,
    directories: BTreeMap<WatchId, PathBuf>,
    logs: Vec<Followed>,
    /// What went wrong and was not told yet.
    failed: VecDeque<LogError>,
    /// Directories that are gone, and the logs in them, which are followed again when they are back.
    lost: Vec<(PathBuf, Vec<Followed>)>,
    /// Where these are looked out for.
    parents: BTreeMap<WatchId, PathBuf>,
    /// Directories in which new files tell of other logs, and the names in them that were seen.
    others: Vec<(WatchId, HashSet<OsString>)>,
    /// A new file has come into one of these.
    has_appeared: bool,
}

impl Follower {
    /// Watches the directories of the sources, and follows no log yet. Gives the errors of those that cannot be watched
    /// too, where there are others.
    pub(super) fn watching(sources: &[Source]) -> Result<(Self, Vec<LogError>), LogError> {
        let inotify = Inotify::new().map_err(LogError::Events)?;
        let mut directories = BTreeMap::new();
        let mut failed = Vec::new();
        let mut seen = HashSet::new();
        for path in sources
            .iter()
            .flat_map(|source| source.out.iter().chain(&source.err))
        {
            let directory = directory(path);
            if seen.insert(directory) {
                let path = directory.to_owned();
                match inotify.watch(directory, Mask::NAMES) {
                    Ok(watch) => drop(directories.insert(watch, path)),
                    Err(source) => failed.push(LogError::Watch { path, source }),
                }
            }
        }
        if directories.is_empty() && !failed.is_empty() {
            // With no directory to watch, nothing would ever come.
            return Err(failed.remove(0));
        }
        let follower = Self {
            inotify,
            directories,
            logs: Vec::new(),
            failed: VecDeque::new(),
            lost: Vec::new(),
            parents: BTreeMap::new(),
            others: Vec::new(),
            has_appeared: false,
        };
        Ok((follower, failed))
    }

    /// Follows a log from its end as it was when it was opened; its unfinished line is taken out
    /// of it and held here. One in a directory that is not watched is passed over.
    pub(super) fn go_on(&mut self, log: &mut LogStream) -> Result<(), LogError> {
        let directory = directory(&log.live);
        if self
            .directories
            .values()
            .all(|watched| watched != directory)
        {
            return Ok(());
        }
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
    /// Where a log or the events cannot be read, or the directory of logs is gone (it may take a
    /// change in it until this is seen): these are not followed until it is there again. The call may be repeated: no line is lost by an
    /// error, and a log that could not be read is tried again when it changes.
    pub fn next_batch(&mut self, timeout: Option<Duration>) -> Result<Vec<Line>, LogError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            // Before the files are read: what comes in between is an event for the next round.
            self.take_events()?;
            let lines = self.read()?;
            if !lines.is_empty() {
                return Ok(lines);
            }
            if let Some(error) = self.failed.pop_front() {
                return Err(error);
            }
            if let Some(gone) = self.logs.iter().find(|log| log.directory_gone) {
                let path = directory(&gone.path).to_owned();
                self.lose(&path);
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

    /// Follows no log of a directory that is gone until that is there again.
    fn lose(&mut self, gone: &Path) {
        let of_it = self.logs.extract_if(.., |log| directory(&log.path) == gone);
        // What was open of them is closed here.
        let anew = |log: Followed| Followed::from_the_start(log.source, log.stream, &log.path);
        let lost = of_it.map(anew).collect();
        self.lost.push((gone.to_owned(), lost));
        self.directories.retain(|_, known| known != gone);
        let parent = directory(gone);
        if let Ok(watch) = self.inotify.watch(parent, Mask::NAMES) {
            self.parents.insert(watch, parent.to_owned());
            // It may have come back before that.
            self.find_again(gone);
        }
    }

    /// Follows the logs of a directory again, from their beginnings, if it is there.
    fn find_again(&mut self, back: &Path) {
        let place = self.lost.iter().position(|(lost, _)| lost == back);
        let Some(place) = place.filter(|_| back.is_dir()) else {
            return;
        };
        let (_, logs) = self.lost.remove(place);
        for log in logs {
            if let Err(error) = self.watch_directory(&log.path) {
                self.failed.push_back(error);
                continue;
            }
            self.logs.push(log);
        }
    }

    /// Whether it was in the midst of a long line when it came back without a line: what is left was told by no event.
    pub fn is_behind(&self) -> bool {
        self.logs.iter().any(|log| log.changed)
    }

    /// Looks out for new files in a directory, such as the records of processes: with more of them there may be more logs to
    /// be followed. See [`take_appeared`](Self::take_appeared), which says so once for what came before this.
    ///
    /// # Errors
    /// Where it cannot be watched.
    pub fn look_out_in(&mut self, directory: &Path) -> Result<(), LogError> {
        let watch = self.inotify.watch(directory, Mask::NAMES);
        let path = directory.to_owned();
        let watch = watch.map_err(|source| LogError::Watch { path, source })?;
        let entries = std::fs::read_dir(directory).map_err(LogError::read(directory))?;
        let names = entries.flatten().map(|entry| entry.file_name());
        self.others.push((watch, names.collect()));
        self.has_appeared = true;
        Ok(())
    }

    /// Whether a new file came, since this was asked last, where one is looked out for.
    pub fn take_appeared(&mut self) -> bool {
        std::mem::take(&mut self.has_appeared)
    }

    /// Follows the logs of one more process, all that is in them; `number` is that of its lines'
    /// [`source`](Line::source).
    ///
    /// # Errors
    /// Where a directory cannot be watched; the other log is followed all the same.
    pub fn add(&mut self, number: usize, source: &Source) -> Result<(), LogError> {
        let mut outcome = Ok(());
        for (stream, path) in [(Stream::Out, &source.out), (Stream::Err, &source.err)] {
            let Some(path) = path else { continue };
            if let Err(error) = self.watch_directory(path) {
                outcome = Err(error);
                continue;
            }
            self.logs
                .push(Followed::from_the_start(number, stream, path));
        }
        outcome
    }

    fn watch_directory(&mut self, log: &Path) -> Result<(), LogError> {
        let directory = directory(log);
        if self.directories.values().any(|known| known == directory) {
            return Ok(());
        }
        let path = directory.to_owned();
        match self.inotify.watch(directory, Mask::NAMES) {
            Ok(watch) => {
                self.directories.insert(watch, path);
                Ok(())
            }
            Err(source) => Err(LogError::Watch { path, source }),
        }
    }

    /// Whether there is nothing left to follow.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// The bytes that were removed before they were given, since this was asked last.
    pub fn take_gone(&mut self) -> Vec<Gone> {
        self.logs
            .iter_mut()
            .filter_map(Followed::take_gone)
            .collect()
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
                // Events were lost, so that each log is looked at.
                lost = true;
                self.has_appeared = true;
            } else if let Some((_, seen)) = self
                .others
                .iter_mut()
                .find(|(watch, _)| *watch == event.watch)
            {
                self.has_appeared |= event.name.is_some_and(|name| seen.insert(name));
            } else if let Some(name) = event
                .name
                .as_ref()
                .filter(|_| self.parents.contains_key(&event.watch))
            {
                names.insert((event.watch, name.clone()));
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
            .filter_map(|(watch, name)| {
                let directory = self.directories.get(&watch);
                Some(directory.or_else(|| self.parents.get(&watch))?.join(name))
            })
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
        let lost = self.lost.iter().map(|(lost, _)| lost);
        let back = lost.filter(|lost| names.contains(*lost)).cloned();
        for back in back.collect::<Vec<_>>() {
            self.find_again(&back);
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
                self.logs[number].changed = false;
                self.failed.push_back(error);
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
    crate::sorted::by_key(&mut lines, |(key, line)| (*key, line.stream, line.source));
    lines.into_iter().map(|(_, line)| line).collect()
}
