//! Moving what services print from their pipes into their log files, unchanged, by `splice(2)`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::launching::stream_kind;
use super::supervisor::{Supervisor, token};
use crate::error::IoContext as _;
use crate::logs::{self, Stream};
use crate::sys::poll::Interest;
use crate::sys::{clock, fd};

/// How many log files are kept open; those that are written to often stay.
const OPEN_FILES: usize = 64;
/// How much is moved before other events get their turn.
const AT_ONCE: usize = 1 << 20;
/// The size of a pipe before it is widened.
const PIPE_BYTES: usize = 64 << 10;
/// The size of the pipe of a service that floods.
const WIDE_PIPE_BYTES: usize = 1 << 20;
/// At most one note in the time index in so many milliseconds.
const NOTE_EVERY_MS: u64 = 100;

/// Log files that are open, the one used last at the end.
#[derive(Default)]
pub(super) struct OpenLogs {
    files: Vec<((u32, Stream), File)>,
}

impl OpenLogs {
    /// The file for a stream, opened (and made) where it is not open or was removed.
    fn get(&mut self, key: (u32, Stream), path: &Path) -> io::Result<(&File, u64)> {
        let mut file = None;
        if let Some(at) = self.files.iter().position(|(k, _)| *k == key) {
            let (_, open) = self.files.remove(at);
            // What somebody removed or renamed is written no further.
            if open.metadata().is_ok_and(|meta| meta.nlink() > 0) && same_file(&open, path) {
                file = Some(open);
            }
        }
        let file = match file {
            Some(file) => file,
            None => OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)?,
        };
        let length = file.metadata()?.len();
        if self.files.len() >= OPEN_FILES {
            self.files.remove(0);
        }
        self.files.push((key, file));
        let last = self.files.len() - 1;
        Ok((&self.files[last].1, length))
    }

    fn close(&mut self, key: (u32, Stream)) {
        self.files.retain(|(k, _)| *k != key);
    }
}

fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// How a round of moving ended.
enum Moved {
    /// The pipe is empty for now.
    Empty,
    /// There may be more.
    More,
    /// Nobody will ever write into it again.
    Ended,
}

impl Supervisor {
    /// A log pipe has something, or its last writer is gone.
    pub(super) fn on_log(&mut self, id: u32, stream: Stream, hangup: bool) {
        match self.move_some(id, stream) {
            Ok(Moved::Ended) => self.close_log(id, stream),
            // An empty pipe that hangs up has ended as well; epoll would say so again and again.
            Ok(Moved::Empty) if hangup => self.close_log(id, stream),
            Ok(Moved::Empty | Moved::More) => {}
            Err(error) => self.block_log(id, stream, &error),
        }
    }

    /// Moves all that a pipe holds now.
    pub(super) fn drain(&mut self, id: u32, stream: Stream) {
        loop {
            match self.move_some(id, stream) {
                Ok(Moved::More) => {}
                Ok(Moved::Ended) => return self.close_log(id, stream),
                Ok(Moved::Empty) => return,
                Err(error) => return self.block_log(id, stream, &error),
            }
        }
    }

    fn move_some(&mut self, id: u32, stream: Stream) -> crate::error::Result<Moved> {
        let Some(service) = self.services.get_mut(&id) else {
            return Ok(Moved::Empty);
        };
        let path = match stream {
            Stream::Out => self.writer.home().out_log(&service.name),
            Stream::Err => self.writer.home().err_log(&service.name),
        };
        let end = service.log_end(stream);
        let Some(pipe) = &end.reader else {
            return Ok(Moved::Empty);
        };
        let waiting = fd::bytes_waiting(pipe) as usize;
        if waiting == 0 {
            return Ok(Moved::Empty);
        }
        if waiting >= PIPE_BYTES && !end.widened {
            end.widened = true;
            // Where the user's share of pipe memory is used up, it stays as it is.
            fd::widen_pipe(pipe, WIDE_PIPE_BYTES);
        }
        let (file, mut offset) = self.logs.get((id, stream), &path).at("open", &path)?;
        let begin = offset;
        // The note comes before the bytes, so that whoever follows the log knows their time when it sees them. A log
        // that begins anew begins with a note.
        let now_ms = clock::unix_ms();
        if waiting > 0 && (begin == 0 || now_ms.saturating_sub(end.noted_ms) >= NOTE_EVERY_MS) {
            end.noted_ms = now_ms;
            let index = logs::index::index_path(&path);
            let written = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&index)
                .and_then(|mut file| {
                    file.write_all(logs::index::note_line(begin, now_ms).as_bytes())
                });
            if let Err(error) = written {
                // Lines without a time are still lines.
                self.log
                    .say(format_args!("cannot write {}: {error}", index.display()));
            }
        }
        let mut outcome = Moved::More;
        while offset - begin < AT_ONCE as u64 {
            match fd::splice(pipe, file, offset, AT_ONCE) {
                Ok(0) => {
                    outcome = Moved::Ended;
                    break;
                }
                Ok(moved) => offset += moved as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    outcome = Moved::Empty;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).at("write to", &path),
            }
        }
        end.blocked = false;
        Ok(outcome)
    }

    /// What cannot be written stays in the pipe, and its service waits; it is tried again in a while.
    fn block_log(&mut self, id: u32, stream: Stream, error: &crate::error::Error) {
        let (kind, _) = stream_kind(stream);
        self.logs.close((id, stream));
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let end = service.log_end(stream);
        if !end.blocked {
            end.blocked = true;
            self.log
                .say(format_args!("{error}; what is printed waits in its pipe"));
        }
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        if let Some(pipe) = &service.log_end(stream).reader {
            let _ = self.poll.modify(pipe, token(kind, id), Interest::None);
        }
        self.retry_later();
    }

    /// Tries blocked logs again.
    pub(super) fn unblock_logs(&mut self) {
        for (&id, service) in &mut self.services {
            for stream in [Stream::Out, Stream::Err] {
                let (kind, _) = stream_kind(stream);
                let end = service.log_end(stream);
                if let Some(pipe) = end.reader.as_ref().filter(|_| end.blocked) {
                    let _ = self.poll.modify(pipe, token(kind, id), Interest::Read);
                }
            }
        }
    }

    /// Closes a log pipe after its last bytes were moved, and lets the keeper forget it.
    pub(super) fn close_log(&mut self, id: u32, stream: Stream) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        if service.log_end(stream).reader.is_none() {
            return;
        }
        while let Ok(Moved::More) = self.move_some(id, stream) {}
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let end = service.log_end(stream);
        let run = end.run;
        if let Some(pipe) = end.reader.take() {
            // The keeper holds it too, so that only this ends the watch.
            let _ = self.poll.remove(&pipe);
        }
        match stream {
            Stream::Out => service.meta.out_pipe = None,
            Stream::Err => service.meta.err_pipe = None,
        }
        let (_, letter) = stream_kind(stream);
        self.store.forget(&format!("{letter}{id}.{run}"));
    }

    /// The log files of a process are removed or renamed: they are not written any further.
    pub(super) fn close_log_files(&mut self, id: u32) {
        for stream in [Stream::Out, Stream::Err] {
            self.logs.close((id, stream));
        }
    }
}
