//! What a full disk has no room for, where its service is not to wait (`--log-on-full drop`): whole lines are dropped, and
//! counted in the events.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::cutting;
use super::mover::AT_ONCE;
use crate::error::BestEffort as _;
use crate::events::{Event, EventKind};
use crate::logs::Stream;
use crate::supervise::launching::stream_kind;
use crate::supervise::service::{Dropped, LogEnd};
use crate::supervise::supervisor::Supervisor;
use crate::sys::fd;

/// What was dropped and is not on record, in memory that is a file and that the keeper holds: a supervisor that dies while the
/// disk is full loses no count.
pub(in crate::supervise) struct Tally(File);

impl Tally {
    fn write(&self, end: (u64, u64, bool)) {
        let (bytes, lines, in_line) = end;
        let numbers = [bytes, lines, u64::from(in_line)].map(u64::to_le_bytes);
        self.0
            .write_all_at(&numbers.concat(), 0)
            .best_effort("there is no memory: then only this supervisor knows");
    }

    fn read(&self) -> Option<(u64, u64, bool)> {
        let mut numbers = [0; 24];
        self.0.read_exact_at(&mut numbers, 0).ok()?;
        let mut numbers = numbers
            .chunks_exact(8)
            .filter_map(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
        Some((numbers.next()?, numbers.next()?, numbers.next()? > 0))
    }
}

/// What the keeper knows it by: the letters of pipes are `o` and `e`.
fn tally_key(id: u32, stream: Stream) -> String {
    let (_, letter) = stream_kind(stream);
    let letter = if letter == 'o' { 'd' } else { 'f' };
    format!("{letter}{id}")
}

impl Supervisor {
    /// Makes the tally of a log of which something is going to be dropped.
    pub(super) fn begin_tally(&mut self, id: u32, stream: Stream) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let end = service.log_end(stream);
        if end.tally.is_some() {
            return;
        }
        match fd::memory_file(c"tsm-dropped") {
            Ok(file) => {
                self.store.put(&tally_key(id, stream), file.as_fd());
                end.tally = Some(Tally(file));
            }
            Err(error) => self.log.say_seldom(
                "tally",
                format_args!(
                    "cannot keep count of what is dropped for the next supervisor: {error}"
                ),
            ),
        }
    }

    /// Goes on counting where a supervisor before has counted.
    pub(in crate::supervise) fn adopt_tally(
        &mut self,
        id: u32,
        stream: Stream,
        inherited: &mut HashMap<String, OwnedFd>,
    ) {
        let Some(kept) = inherited.remove(&tally_key(id, stream)) else {
            return;
        };
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let end = service.log_end(stream);
        let tally = Tally(kept.into());
        if let Some((bytes, lines, in_line)) = tally.read() {
            end.dropped = (bytes > 0).then(|| Box::new(Dropped { bytes, lines }));
            end.in_dropped_line = in_line;
        }
        end.tally = Some(tally);
        if end.dropped.is_some() {
            self.retry_later();
        }
    }

    /// Nothing of a process is counted any more.
    pub(in crate::supervise) fn forget_tallies(&mut self, id: u32) {
        for stream in [Stream::Out, Stream::Err] {
            let end = self.services.get_mut(&id).map(|s| s.log_end(stream));
            if end.is_some_and(|end| end.tally.take().is_some()) {
                self.store.forget(&tally_key(id, stream));
            }
        }
    }

    /// Puts on record what was dropped, where there is room for that again.
    pub(super) fn note_dropped(&mut self) {
        let mut later = false;
        for service in self.services.values_mut() {
            for (stream, word) in [(Stream::Out, "out"), (Stream::Err, "err")] {
                let end = service.log_end(stream);
                let Some(dropped) = end.dropped.as_deref().copied() else {
                    continue;
                };
                let event = Event::now(EventKind::LogDropped {
                    stream: word.to_owned(),
                    bytes: dropped.bytes,
                    lines: dropped.lines,
                });
                if self.writer.append_event(&service.name, &event).is_ok() {
                    let end = service.log_end(stream);
                    end.dropped = None;
                    keep_count(end);
                } else {
                    later = true;
                }
            }
        }
        if later {
            self.retry_later();
        }
    }
}

/// Drops what waits in a pipe and counts it. False where the pipe cannot be read.
pub(super) fn drop_what_waits(end: &mut LogEnd) -> bool {
    let Some(pipe) = &end.reader else {
        return false;
    };
    let waiting = fd::bytes_waiting(pipe) as usize;
    let Ok(bytes) = fd::take(pipe, waiting.min(AT_ONCE)) else {
        return false;
    };
    let Some(last) = bytes.last() else {
        return false;
    };
    end.in_dropped_line = *last != b'\n';
    count_dropped(end, bytes.len() as u64, newlines(&bytes));
    true
}

/// Takes the beginning of a line out of a log again whose rest is dropped: what follows would look like its end. Returns
/// how many bytes that are.
pub(super) fn take_back_torn_line(path: &Path) -> io::Result<u64> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let len = file.metadata()?.len();
    if cutting::ends_with_a_line(&file, len)? {
        return Ok(0);
    }
    let begin = cutting::line_start(&file, len, len)?;
    file.set_len(begin)?;
    Ok(len - begin)
}

/// Takes the rest of a line out of the pipe whose beginning was dropped, and says how many bytes that were.
pub(super) fn skip_dropped_line(end: &mut LogEnd) -> io::Result<usize> {
    let Some(pipe) = &end.reader else {
        return Ok(0);
    };
    let waiting = fd::peek(pipe)?;
    let newline = waiting.iter().position(|byte| *byte == b'\n');
    let rest = newline.map_or(waiting.len(), |newline| newline + 1);
    let bytes = fd::take(pipe, rest)?;
    end.in_dropped_line = newline.is_none();
    count_dropped(end, bytes.len() as u64, newlines(&bytes));
    Ok(bytes.len())
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

pub(super) fn count_dropped(end: &mut LogEnd, bytes: u64, lines: u64) {
    let dropped = end.dropped.get_or_insert_default();
    dropped.bytes += bytes;
    dropped.lines += lines;
    keep_count(end);
}

/// Writes down what was counted.
pub(in crate::supervise) fn keep_count(end: &LogEnd) {
    if let Some(tally) = &end.tally {
        let counted = end.dropped.as_deref().copied().unwrap_or_default();
        tally.write((counted.bytes, counted.lines, end.in_dropped_line));
    }
}
