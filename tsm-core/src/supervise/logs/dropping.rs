//! What a full disk has no room for, where its service is not to wait (`--log-on-full drop`): whole lines are dropped, and
//! counted in the events.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use super::cutting;
use super::mover::AT_ONCE;
use crate::events::{Event, EventKind};
use crate::logs::Stream;
use crate::supervise::service::LogEnd;
use crate::supervise::supervisor::Supervisor;
use crate::sys::fd;

impl Supervisor {
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
                    service.log_end(stream).dropped = None;
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
}
