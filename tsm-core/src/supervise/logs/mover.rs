//! Moving what services print from their pipes into their log files, unchanged, by `splice(2)`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::cutting::{self, Next};
use super::dropping::skip_dropped_line;
use super::pacing;
use super::rules::LogPlace;
use crate::error::{BestEffort as _, IoContext as _, Result};
use crate::fail;
use crate::logs::{Stream, index, rotate};
use crate::spec::LogRules;
use crate::supervise::launching::stream_kind;
use crate::supervise::service::Service;
use crate::supervise::supervisor::Supervisor;
use crate::sys::{self, clock, fd};

/// How many log files are kept open; those that are written to often stay.
const OPEN_FILES: usize = 64;
/// How much is moved before other events get their turn.
pub(super) const AT_ONCE: usize = 1 << 20;
/// How much is moved by one system call, which ends where a multiple of it ends in the file: a pipe is locked meanwhile, and
/// whoever writes into it waits, or spins. What a file system is given in pieces that begin and end anywhere, it caches in five
/// times as many: measured, a third of the whole cost.
const PIECE: usize = 64 << 10;
/// At most one note in the time index in so many milliseconds.
const NOTE_EVERY_MS: u64 = 100;

/// Log files that are open, the one used last at the end.
#[derive(Default)]
pub(in crate::supervise) struct OpenLogs {
    files: Vec<((u32, Stream), File)>,
}

impl OpenLogs {
    /// The file for a stream and its length, opened (and made) where it is not open or was removed.
    fn get(&mut self, key: (u32, Stream), path: &Path) -> io::Result<(&File, u64)> {
        let mut found = None;
        if let Some(at) = self.files.iter().position(|(k, _)| *k == key) {
            let (_, open) = self.files.remove(at);
            // A file that somebody removed or renamed is no longer written to.
            found = length_if_named(&open, path).map(|length| (open, length));
        }
        // Pushed at the end of the list below, so that the first one is the one whose last use was
        // longest ago.
        let (file, length) = if let Some(found) = found {
            found
        } else {
            let file = open(path)?;
            let length = file.metadata()?.len();
            (file, length)
        };
        if self.files.len() >= OPEN_FILES {
            self.files.remove(0);
        }
        self.files.push((key, file));
        let last = self.files.len() - 1;
        Ok((&self.files[last].1, length))
    }

    /// The same, where it was asked for a moment ago: whether it still has its name is not looked at again.
    fn again(&mut self, key: (u32, Stream), path: &Path) -> io::Result<(&File, u64)> {
        let is_last = self.files.last().is_some_and(|(k, _)| *k == key);
        if !is_last {
            return self.get(key, path);
        }
        let file = &self.files[self.files.len() - 1].1;
        Ok((file, file.metadata()?.len()))
    }

    pub(super) fn close(&mut self, key: (u32, Stream)) {
        self.files.retain(|(k, _)| *k != key);
    }
}

/// Opens a log to write and read it; where it is not there, it is made.
pub(in crate::supervise) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Opening a FIFO of that name would block; what is no regular file is refused below.
    options.read(true).write(true).custom_flags(fd::NONBLOCK);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // It may be missing because a rotation was cut off halfway.
            rotate::finish_rotation(path)?;
            fail::error("log-made")?;
            options
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)?
        }
        opened => opened?,
    };
    sys::only_regular(&file)?;
    Ok(file)
}

/// The length of an open file, if the path is still its name.
fn length_if_named(file: &File, path: &Path) -> Option<u64> {
    let (open, named) = (file.metadata().ok()?, std::fs::metadata(path).ok()?);
    rotate::same_file(&open, &named).then_some(open.len())
}

/// How much of what waits in a pipe is moved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// All of it.
    All,
    /// No more than goes up to the end of a piece; the rest waits for what comes after it.
    WholePieces,
}

/// How a round of moving ended.
pub(super) enum Moved {
    /// The pipe is empty for now.
    Empty,
    /// So many bytes were moved, and there may be more; none, where what waits is no whole piece.
    Some(usize),
    /// Nobody will ever write into it again.
    Ended,
}

impl Supervisor {
    /// A log pipe has something, or its last writer is gone.
    pub(in crate::supervise) fn on_log(&mut self, id: u32, stream: Stream, hangup: bool) {
        let paused = |service: &mut Service| service.log_end(stream).paused;
        if self.services.get_mut(&id).is_some_and(paused) {
            // The end of its writer is told although nothing is watched for.
            return;
        }
        // One that is looked at by the clock tells its end only.
        self.end_pacing(id, stream);
        match self.move_some(id, stream) {
            Ok(Moved::Ended) => self.close_log(id, stream),
            // An empty pipe that hangs up has ended as well; epoll would say so again and again.
            Ok(Moved::Empty) if hangup => self.close_log(id, stream),
            Ok(Moved::Some(bytes)) if bytes >= pacing::FLOOD => self.pace(id, stream),
            Ok(Moved::Empty | Moved::Some(_)) => {}
            Err(error) => self.block_log(id, stream, &error),
        }
        self.look_at_log(id, stream);
    }

    /// Moves all that a pipe holds now.
    pub(in crate::supervise) fn drain(&mut self, id: u32, stream: Stream) {
        loop {
            match self.move_some(id, stream) {
                Ok(Moved::Some(_)) => {}
                Ok(Moved::Ended) => return self.close_log(id, stream),
                Ok(Moved::Empty) => return,
                Err(error) => return self.block_log(id, stream, &error),
            }
        }
    }

    /// Moves what waits in a pipe, or the first part of it.
    fn move_some(&mut self, id: u32, stream: Stream) -> Result<Moved> {
        let Some(service) = self.services.get_mut(&id) else {
            return Ok(Moved::Empty);
        };
        let end = service.log_end(stream);
        let Some(pipe) = &end.reader else {
            return Ok(Moved::Empty);
        };
        // Counted once, not before each piece: the kernel locks the pipe for it, and its writer waits, or spins.
        let waiting = fd::bytes_waiting(pipe) as usize;
        if waiting == 0 {
            return Ok(Moved::Empty);
        }
        self.move_bytes(id, stream, waiting.min(AT_ONCE), Share::All)
    }

    /// Moves so many bytes, which wait in a pipe.
    pub(super) fn move_bytes(
        &mut self,
        id: u32,
        stream: Stream,
        waiting: usize,
        share: Share,
    ) -> Result<Moved> {
        let Some(LogPlace { path, rules }) = self.log_place(id, stream) else {
            return Ok(Moved::Empty);
        };
        let mut moved = 0;
        // In pieces, since `splice(2)` holds the pipe's lock and the service waits for that.
        while moved < waiting {
            let Some(service) = self.services.get_mut(&id) else {
                return Ok(Moved::Empty);
            };
            let end = service.log_end(stream);
            let Some(pipe) = &end.reader else {
                return Ok(Moved::Empty);
            };
            if end.in_dropped_line {
                match skip_dropped_line(end).at("read what was printed for", &path)? {
                    0 => return Ok(Moved::Empty),
                    skipped => moved += skipped,
                }
                continue;
            }
            // The length is asked for each time: others may truncate the file, and what is written beyond its end would
            // leave a hole.
            let open = &mut self.logs.open;
            let found = if moved == 0 {
                open.get((id, stream), &path)
            } else {
                open.again((id, stream), &path)
            };
            let (file, offset) = found.at("open", &path)?;
            // A log that cannot be rotated grows on: better than losing what comes.
            let limit = if end.unrotatable {
                u64::MAX
            } else {
                rules.max_size
            };
            let piece = PIECE - (offset % PIECE as u64) as usize;
            let most =
                match cutting::next(pipe, file, offset, (limit, end.rotate), &mut end.last_line) {
                    Ok(Next::Move(most)) => most.min(piece),
                    Ok(Next::Rotate) => match self.rotate_log(id, stream) {
                        Err(error) if is_no_room(&error) => return Err(error).at("rotate", &path),
                        // Rotated, or it grows on.
                        Ok(()) | Err(_) => continue,
                    },
                    // A log that cannot be read is not cut between lines.
                    Err(_) => piece,
                };
            if share == Share::WholePieces && waiting - moved < most {
                return Ok(Moved::Some(moved));
            }
            // The note comes before the bytes, so that whoever follows the log knows their time when it sees them. A log
            // that begins anew begins with a note.
            let now_ms = clock::unix_ms();
            if offset == 0 || now_ms.saturating_sub(end.noted_ms) >= NOTE_EVERY_MS {
                end.noted_ms = now_ms;
                let bound = index_bound(&rules);
                let begun = if offset == 0 {
                    rotate::begin_index(&path)
                } else {
                    Ok(())
                };
                let noted = begun.and_then(|()| index::append_note(&path, offset, now_ms, bound));
                if let Err(error) = noted {
                    // Lines without a time are still lines.
                    self.log.say_seldom(
                        "index",
                        format_args!(
                            "cannot write {}: {error}",
                            index::index_path(&path).display()
                        ),
                    );
                }
            }
            match fd::splice(pipe, file, offset, most) {
                // Nothing to splice and no error: all writers have closed the pipe.
                Ok(0) => return Ok(Moved::Ended),
                Ok(more) => moved += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Moved::Empty),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).at("write to", &path),
            }
            if std::mem::take(&mut end.blocked) {
                // It is on record then, unless that was all that there was room for.
                self.retry_later();
            }
        }
        Ok(Moved::Some(moved))
    }

    /// Adds what a hook printed to a log of its process. What cannot be written is lost: a hook has no pipe that waits.
    pub(in crate::supervise) fn append_to_log(&mut self, id: u32, stream: Stream, bytes: &[u8]) {
        let Some(LogPlace { path, rules }) = self.log_place(id, stream) else {
            return;
        };
        let written = if self.is_direct(id, stream) {
            super::direct::append(&path, bytes, index_bound(&rules))
        } else {
            let file = self.logs.open.get((id, stream), &path);
            file.and_then(|(file, offset)| {
                let bound = index_bound(&rules);
                index::append_note(&path, offset, clock::unix_ms(), bound)?;
                std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
            })
        };
        if let Err(error) = written {
            self.log
                .say(format_args!("cannot write {}: {error}", path.display()));
        }
    }

    /// Rotates a log now. Where that cannot be done, it goes on growing from now on: that is better than losing what comes.
    /// Not where the disk is full: there may be room later, and what is printed waits for it.
    pub(super) fn rotate_log(&mut self, id: u32, stream: Stream) -> io::Result<()> {
        let Some(LogPlace { path, rules }) = self.log_place(id, stream) else {
            return Ok(());
        };
        // Its handle is on the file that gets another name now.
        self.logs.open.close((id, stream));
        let written = rotate::written_up_to(&path, 0);
        let rotated = rotate::rotate(&path, rules.keep)
            .and_then(|()| open(&path).map(drop))
            .and_then(|()| rotate::prune(&path, 0, &rules).map(drop));
        if let (Ok(()), Some(before)) = (&rotated, written) {
            // Also where nothing is kept that would tell.
            rotate::note_beginning(&path, before)
                .best_effort("a reader that is overtaken is not told how much it missed");
        }
        let Some(service) = self.services.get_mut(&id) else {
            return Ok(());
        };
        let end = service.log_end(stream);
        end.rotate = false;
        match rotated {
            Ok(()) => {
                end.unrotatable = false;
                self.log_was_rotated(id, stream, &rules);
                Ok(())
            }
            Err(error) if is_no_room(&error) => Err(error),
            Err(error) => {
                let told = std::mem::replace(&mut end.unrotatable, true);
                if !told {
                    self.log.say(format_args!(
                        "cannot rotate {}: {error}; it goes on growing",
                        path.display()
                    ));
                }
                Err(error)
            }
        }
    }

    /// Closes a log pipe after its last bytes were moved, and lets the keeper forget it. While they cannot be written, it
    /// stays: the next run writes into it as well, behind them.
    pub(in crate::supervise) fn close_log(&mut self, id: u32, stream: Stream) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        if service.log_end(stream).reader.is_none() {
            return;
        }
        loop {
            match self.move_some(id, stream) {
                Ok(Moved::Some(_)) => {}
                Ok(Moved::Empty | Moved::Ended) => break,
                Err(error) => return self.block_log(id, stream, &error),
            }
        }
        self.drop_log(id, stream);
    }

    /// Closes a log pipe with what is in it, and lets the keeper forget it.
    pub(in crate::supervise) fn drop_log(&mut self, id: u32, stream: Stream) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let end = service.log_end(stream);
        let run = end.run;
        let is_to_be_rotated = end.rotate;
        if let Some(pipe) = end.reader.take() {
            // The keeper holds it too, so that only this ends the watch.
            self.poll.unwatch(&pipe);
        }
        match stream {
            Stream::Out => service.meta.out_pipe = None,
            Stream::Err => service.meta.err_pipe = None,
        }
        let (_, letter) = stream_kind(stream);
        self.store.forget(&format!("{letter}{id}.{run}"));
        if is_to_be_rotated {
            // The end of that line does not come any more.
            if let Err(error) = self.rotate_log(id, stream) {
                self.log.say(format_args!(
                    "a log of which a line has not ended stays as it is: {error}"
                ));
            }
        }
    }

    /// The log files of a process are removed or renamed: they are not written any further.
    pub(in crate::supervise) fn close_log_files(&mut self, id: u32) {
        for stream in [Stream::Out, Stream::Err] {
            self.logs.open.close((id, stream));
        }
    }
}

/// The word for a stream in the history.
pub(super) fn word(stream: Stream) -> String {
    match stream {
        Stream::Out => "out",
        Stream::Err => "err",
    }
    .to_owned()
}

/// How large the time index of a log becomes.
pub(super) fn index_bound(rules: &LogRules) -> u64 {
    (rules.max_size / 16).clamp(16 << 10, 1 << 20)
}

pub(super) fn is_no_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
