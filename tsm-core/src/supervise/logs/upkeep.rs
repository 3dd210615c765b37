//! What becomes of logs later: segments are compressed when it has become quiet, and what is too old goes.
//!
//! Each has a time of its own in one list, so that nothing is looked at that is not due. Whatever a supervisor that died
//! had not done yet, the next one finds when it begins.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::rules::LogPlace;
use crate::error::{BestEffort as _, Error, IoContext as _, Result};
use crate::fail;
use crate::logs::segments::FileId;
use crate::logs::{Stream, direct, index, packed, rotate};
use crate::spec::LogRules;
use crate::supervise::supervisor::Supervisor;
use crate::supervise::worker::{Turns, Urgency};
use crate::sys::clock;

/// How long after a rotation there has to be no other one, until segments are compressed: what floods would have them
/// removed before they are of use.
const PACK_DELAY: Duration = Duration::from_secs(2);
/// The end of the name of what a segment is being compressed into.
const PACKING: &str = ".zst.tmp";
/// How long that is waited for.
const PACK_AT_LATEST: Duration = Duration::from_secs(30);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::supervise) enum Upkeep {
    /// A log that its service writes itself is looked at again.
    Look,
    /// A segment is compressed.
    Pack,
    /// The log is looked at for what is too old.
    Age,
}

/// What became of a rotation that was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::supervise) enum Rotation {
    /// It is done, or the worker is at it.
    Done,
    /// It is done at the end of the line that is being printed.
    Later,
    /// There is nothing to make a segment of.
    Nothing,
}

/// What became of the segments of a log that was emptied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::supervise) enum Segments {
    /// There are none any more.
    Gone,
    /// They lie outside of the home, and others may have made them.
    Kept,
}

/// What is due when, of which log: each thing of each log once.
#[derive(Default)]
pub(in crate::supervise) struct Due {
    by_time: BTreeSet<(Duration, Work)>,
    at: HashMap<Work, Duration>,
}

/// Something that is to be done for a log.
type Work = (u32, Stream, Upkeep);

impl Due {
    /// When the next thing is due.
    pub(in crate::supervise) fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// In place of what stands there of it already.
    fn put(&mut self, at: Duration, work: Work) {
        if let Some(before) = self.at.insert(work, at) {
            self.by_time.remove(&(before, work));
        }
        self.by_time.insert((at, work));
    }

    /// Takes one thing that is due.
    fn take(&mut self, now: Duration) -> Option<Work> {
        let (at, _) = self.by_time.first()?;
        if *at > now {
            return None;
        }
        let (_, work) = self.by_time.pop_first()?;
        self.at.remove(&work);
        Some(work)
    }

    fn forget(&mut self, id: u32) {
        self.by_time.retain(|(_, work)| work.0 != id);
        self.at.retain(|work, _| work.0 != id);
    }
}

impl Supervisor {
    /// A log was rotated: what follows from that is put on the list.
    pub(super) fn log_was_rotated(&mut self, id: u32, stream: Stream, rules: &LogRules) {
        if rules.compress && rules.keep > 0 {
            self.pack_soon(id, stream);
        }
        if rules.max_age_ms > 0 {
            self.watch_age(id, stream);
        }
    }

    /// Puts a log on the list, in place of what stands there of it already.
    pub(super) fn due_in(&mut self, delay: Duration, id: u32, stream: Stream, what: Upkeep) {
        let at = clock::monotonic() + delay;
        self.logs.upkeep.put(at, (id, stream, what));
    }

    /// Nothing more is done for the logs of a process.
    pub(in crate::supervise) fn forget_upkeep(&mut self, id: u32) {
        self.logs.upkeep.forget(id);
        self.forget_direct(id);
    }

    /// Does what is due.
    pub(in crate::supervise) fn keep_up_logs(&mut self) {
        while let Some((id, stream, what)) = self.logs.upkeep.take(clock::monotonic()) {
            match what {
                Upkeep::Look => self.look_at_direct(id, stream),
                Upkeep::Pack => self.pack_next(id, stream),
                Upkeep::Age => self.watch_age(id, stream),
            }
        }
    }

    /// Compresses segments when there was no rotation for a moment, or when that has been waited for for long.
    fn pack_soon(&mut self, id: u32, stream: Stream) {
        let now = clock::monotonic();
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let by = *service
            .log_end(stream)
            .pack_by
            .get_or_insert(now + PACK_AT_LATEST);
        let delay = PACK_DELAY.min(by.saturating_sub(now));
        self.due_in(delay, id, stream, Upkeep::Pack);
    }

    /// Finds the segments that a supervisor before had not compressed, and removes what it left half compressed. One look at
    /// a directory serves all logs in it.
    pub(in crate::supervise) fn pack_what_is_left(&mut self) {
        let ids: Vec<u32> = self.services.keys().copied().collect();
        let all = ids
            .into_iter()
            .flat_map(|id| [(id, Stream::Out), (id, Stream::Err)]);
        let mut looked_at: Vec<(PathBuf, LeftBehind)> = Vec::new();
        for (id, stream) in all {
            let Some(LogPlace { path, rules }) = self.log_place(id, stream) else {
                continue;
            };
            // What another program alone looks after is not looked at.
            if rules.max_size == u64::MAX && !self.is_in_the_home(id, stream) {
                continue;
            }
            let Some(directory) = path.parent() else {
                continue;
            };
            if looked_at.iter().all(|(known, _)| known != directory) {
                looked_at.push((directory.to_owned(), LeftBehind::in_directory(directory)));
            }
            let left = looked_at.iter().find(|(known, _)| known == directory);
            let Some((_, left)) = left else { continue };
            let is_left = left.plain.contains(&path);
            for (_, torn) in left.torn.iter().filter(|(live, _)| *live == path) {
                if let Err(error) = std::fs::remove_file(torn).at("remove", torn) {
                    self.log.say(error);
                }
            }
            if is_left {
                self.log_was_rotated(id, stream, &rules);
            }
        }
    }

    /// Has the oldest segment that is not compressed yet compressed, and then the next one.
    fn pack_next(&mut self, id: u32, stream: Stream) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let end = service.log_end(stream);
        if end.packing {
            // One at a time; the next one follows by itself.
            return;
        }
        end.pack_by = None;
        let Some(LogPlace { path: live, rules }) = self.log_place(id, stream) else {
            return;
        };
        if !rules.compress {
            return;
        }
        let Some(plain) = rotate::oldest_plain(&live) else {
            return;
        };
        let opened = File::open(&plain).and_then(|file| Ok((FileId::of(&file.metadata()?), file)));
        let (segment, file) = match opened {
            Ok(opened) => opened,
            // It was removed or renamed in the meantime, so there may be others.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.pack_soon(id, stream);
            }
            // It stays as it is until the next rotation or the next supervisor.
            Err(error) => {
                return self
                    .log
                    .say(format_args!("cannot compress {}: {error}", plain.display()));
            }
        };
        if let Some(service) = self.services.get_mut(&id) {
            service.log_end(stream).packing = true;
        }
        // Named by the inode, since a segment may be renamed while it is being compressed.
        let mut packed = live.clone().into_os_string();
        packed.push(format!(".{}{PACKING}", segment.inode()));
        let packed = PathBuf::from(packed);
        let target = packed.clone();
        self.worker.submit(
            Urgency::Background,
            move |turns| pack(&file, &target, turns).at("compress", &plain),
            move |supervisor, done| {
                if let Some(service) = supervisor.services.get_mut(&id) {
                    service.log_end(stream).packing = false;
                }
                if supervisor.is_being_cut(id, stream) {
                    std::fs::remove_file(&packed)
                        .best_effort("its segments are being renamed: later, once more");
                    return supervisor.pack_soon(id, stream);
                }
                let placed = done.and_then(|()| {
                    rotate::replace_by_packed(&live, &segment, &packed).at("compress", &live)
                });
                match placed {
                    Ok(()) if supervisor.services.contains_key(&id) => {
                        supervisor.pack_next(id, stream);
                    }
                    Ok(()) => {}
                    // The segment stays as it is until the next rotation or the next supervisor.
                    Err(error) => supervisor.log.say(error),
                }
            },
        );
    }

    /// Empties both logs of a process, segments and all where those are TSM's alone.
    pub(in crate::supervise) fn flush_logs(&mut self, id: u32) -> Result<Segments> {
        let mut left = Segments::Gone;
        for stream in [Stream::Out, Stream::Err] {
            let Some(LogPlace { path, .. }) = self.log_place(id, stream) else {
                continue;
            };
            // What waits in the pipe was printed before this.
            self.drain(id, stream);
            // The live file first: where it cannot be emptied, nothing is.
            if self.is_direct(id, stream) {
                self.flush_direct(id, stream, &path)?;
            } else {
                empty(&path).at("empty", &path)?;
                empty(&index::index_path(&path)).at("empty the index of", &path)?;
            }
            if self.is_in_the_home(id, stream) {
                rotate::remove_segments(&path).at("remove segments of", &path)?;
            } else if rotate::has_segments(&path) {
                left = Segments::Kept;
            }
        }
        Ok(left)
    }

    /// Lets go of the log files, which somebody may have renamed, and makes those anew that are not there.
    pub(in crate::supervise) fn reopen_logs(&mut self, id: u32) -> Result<()> {
        for stream in [Stream::Out, Stream::Err] {
            let running = self.services.get(&id).filter(|s| s.live_pid().is_some());
            if let Some(service) = running
                && self.is_direct(id, stream)
            {
                let reason = format!(
                    "'{}' writes its log itself and has the file open; use copytruncate, or restart it",
                    service.name
                );
                return Err(Error::bad_value("reopen", reason));
            }
            self.drain(id, stream);
        }
        self.close_log_files(id);
        let Some(service) = self.services.get(&id) else {
            return Ok(());
        };
        let settings = service
            .logs
            .as_ref()
            .map(|own| own.settings().clone())
            .unwrap_or_default();
        self.make_logs(&service.name, &settings)?;
        for stream in [Stream::Out, Stream::Err] {
            // The index of what was renamed follows it.
            if let Some(LogPlace { path, .. }) = self.log_place(id, stream)
                && !self.is_direct(id, stream)
                && path.exists()
            {
                rotate::begin_index(&path).at("begin the index of", &path)?;
            }
        }
        Ok(())
    }

    /// Rotates a log whose first byte is too old, removes segments whose last one is, and comes back when the next will be.
    pub(in crate::supervise) fn watch_age(&mut self, id: u32, stream: Stream) {
        let Some(place) = self.log_place(id, stream) else {
            return;
        };
        let most = place.rules.max_age_ms;
        if most == 0 {
            return;
        }
        let age = |since: u64| clock::unix_ms().saturating_sub(since);
        let first = if self.is_direct(id, stream) {
            direct::first_time(&place.path)
        } else {
            let is_empty = std::fs::metadata(&place.path).map_or(true, |live| live.len() == 0);
            index::first_note(&place.path).filter(|_| !is_empty)
        };
        let mut live = first.map_or(most, |first| most.saturating_sub(age(first)));
        if live == 0 {
            if let Err(error) = self.rotate_between_lines(id, stream) {
                self.log.say(error);
            }
            // Where that is later, at the end of a line or by the worker, this is looked at again then.
            live = most;
        }
        let busy = self.is_being_cut(id, stream);
        if !busy && let Err(error) = rotate::prune(&place.path, 0, &place.rules) {
            self.log.say(format_args!(
                "cannot remove old segments of {}: {error}",
                place.path.display()
            ));
        }
        // The next to become too old is the live file or the oldest segment.
        let oldest = rotate::age_of_oldest(&place.path).map(|age| most.saturating_sub(age));
        let next = live.min(oldest.unwrap_or(most)).clamp(1000, 86_400_000);
        self.due_in(Duration::from_millis(next), id, stream, Upkeep::Age);
    }

    /// Rotates a log: now, where its file ends with a line, and else at the end of the line that is in it. One that its
    /// service writes itself is cut by the worker.
    pub(in crate::supervise) fn rotate_between_lines(
        &mut self,
        id: u32,
        stream: Stream,
    ) -> Result<Rotation> {
        let Some(place) = self.log_place(id, stream) else {
            return Ok(Rotation::Nothing);
        };
        if self.is_direct(id, stream) {
            return self.rotate_direct(id, stream, &place.path);
        }
        let file = match File::open(&place.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Rotation::Nothing),
            opened => opened.at("open", &place.path)?,
        };
        let len = file.metadata().map_or(0, |metadata| metadata.len());
        if len == 0 {
            return Ok(Rotation::Nothing);
        }
        let Some(service) = self.services.get_mut(&id) else {
            return Ok(Rotation::Nothing);
        };
        let end = service.log_end(stream);
        let goes_on = end.reader.is_some();
        // Without anybody who writes, the end of that line never comes.
        if goes_on && !super::cutting::ends_with_a_line(&file, len).unwrap_or(true) {
            end.rotate = true;
            return Ok(Rotation::Later);
        }
        self.rotate_log(id, stream).at("rotate", &place.path)?;
        Ok(Rotation::Done)
    }
}

/// What a supervisor that died left in a directory, by log.
#[derive(Default)]
struct LeftBehind {
    /// Logs with segments that are not compressed.
    plain: HashSet<PathBuf>,
    /// What was being made of segments, in files that belong to no log.
    torn: Vec<(PathBuf, PathBuf)>,
}

impl LeftBehind {
    fn in_directory(directory: &Path) -> Self {
        let mut left = Self::default();
        // A directory that cannot be read has nothing that could be compressed.
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let bytes = path.as_os_str().as_bytes();
            let is_torn = bytes.ends_with(PACKING.as_bytes());
            let numbered = bytes.strip_suffix(PACKING.as_bytes()).unwrap_or(bytes);
            let numbered = Path::new(OsStr::from_bytes(numbered));
            let number = numbered.extension().unwrap_or_default().as_bytes();
            if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
                continue;
            }
            let live = numbered.with_extension("");
            if is_torn {
                left.torn.push((live, path));
            } else {
                left.plain.insert(live);
            }
        }
        left
    }
}

/// Compresses a segment into a file that is complete and safe when this returns.
fn pack(plain: &File, target: &Path, turns: &Turns) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(target).and_then(|mut file| {
        packed::pack(plain, &mut file, || {
            turns.give_way();
            if turns.is_finishing() {
                return Err(io::Error::new(
                    io::ErrorKind::Interrupted,
                    "the supervisor ends; the next one does it",
                ));
            }
            Ok(())
        })?;
        // The time of a segment is that of its last byte, also when it is compressed.
        file.set_modified(plain.metadata()?.modified()?)?;
        file.sync_all()
    });
    if written.is_err() {
        std::fs::remove_file(target).best_effort("the first error is the one to tell");
    }
    fail::point("pack-1-written");
    written
}

/// Makes a file empty; one that is not there is.
fn empty(path: &Path) -> io::Result<()> {
    let emptied = File::options().write(true).truncate(true).open(path);
    rotate::absent_is_fine(emptied.map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_due_once_and_at_the_time_said_last() {
        let mut due = Due::default();
        let second = Duration::from_secs;
        due.put(second(5), (1, Stream::Out, Upkeep::Pack));
        due.put(second(9), (2, Stream::Out, Upkeep::Age));
        due.put(second(3), (1, Stream::Err, Upkeep::Pack));
        due.put(second(7), (1, Stream::Out, Upkeep::Pack));
        due.put(second(6), (3, Stream::Out, Upkeep::Look));
        assert_eq!(due.next(), Some(second(3)));
        assert_eq!(due.take(second(2)), None);
        assert_eq!(due.take(second(5)), Some((1, Stream::Err, Upkeep::Pack)));
        assert_eq!(due.take(second(5)), None);
        due.forget(3);
        assert_eq!(due.take(second(8)), Some((1, Stream::Out, Upkeep::Pack)));
        due.put(second(1), (2, Stream::Out, Upkeep::Age));
        assert_eq!(due.take(second(1)), Some((2, Stream::Out, Upkeep::Age)));
        assert_eq!((due.next(), due.at.len()), (None, 0));
    }
}
