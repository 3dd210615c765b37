//! What is noted of logs that services write themselves: when their bytes came, and what others do to their files.

use std::path::Path;

use super::{Cut, LET_FLOOD, has_room_for, kept, size, written};
use crate::events::EventKind;
use crate::logs::{Stream, direct, index};
use crate::supervise::logs::mover::{index_bound, word};
use crate::supervise::logs::rules::LogPlace;
use crate::supervise::service::Service;
use crate::supervise::supervisor::Supervisor;
use crate::sys::clock;

impl Supervisor {
    /// Notes where a run begins, so that its lines can be asked for.
    pub(super) fn note_beginning(&mut self, id: u32, stream: Stream, path: &Path) {
        let Some(known) = self.known_direct(id, stream) else {
            return;
        };
        known.gone = false;
        // What the worker cuts off changes the offsets that a note would be about.
        if !known.busy
            && let Ok(written) = written(path)
        {
            known.written = written;
            self.note_time(id, stream, written);
        }
    }

    /// Notes that what stands from an offset on comes now.
    fn note_time(&mut self, id: u32, stream: Stream, offset: u64) {
        let Some(LogPlace { path, rules }) = self.log_place(id, stream) else {
            return;
        };
        let noted = index::append_note(&path, offset, clock::unix_ms(), index_bound(&rules));
        if let Err(error) = noted {
            self.log.say(format_args!(
                "cannot write {}: {error}",
                index::index_path(&path).display()
            ));
        }
    }

    /// Notes what a run printed last, before its end is on record.
    pub(in crate::supervise) fn note_end_of_direct(&mut self, id: u32) {
        for stream in [Stream::Out, Stream::Err] {
            if self.is_direct(id, stream) {
                self.note_direct(id, stream);
            }
        }
    }

    /// Notes when what is new came, and has a log cut that is too large. Returns whether there was anything new.
    pub(super) fn note_direct(&mut self, id: u32, stream: Stream) -> bool {
        let Some(LogPlace { path, rules }) = self.log_place(id, stream) else {
            return false;
        };
        let Some(known) = self.known_direct(id, stream) else {
            return false;
        };
        if known.busy {
            // What the worker cuts off changes the offsets that a note would be about. What is new is
            // found when the worker is through.
            return true;
        }
        if known.file.is_none() || known.file != direct::its_file(&path) {
            self.log_is_gone(id, stream, &path);
            return false;
        }
        let (was_gone, so_far) = (std::mem::take(&mut known.gone), known.written);
        if was_gone {
            // Whoever renamed it has renamed it back.
            let stream = word(stream);
            self.note(id, EventKind::LogUnblocked { stream });
        }
        let is_mended = self.mend_direct(id, &path, so_far);
        let Some(known) = self.known_direct(id, stream) else {
            return false;
        };
        let Ok(now) = written(&path) else {
            return false;
        };
        let before = std::mem::replace(&mut known.written, now);
        if now < before {
            self.log_shrank(id, stream, &path, before, now);
            return true;
        }
        let flooded = known.floods > 0;
        // What came just before it was mended was not counted.
        if now == before && !flooded && !is_mended {
            return false;
        }
        // Whether it wrote, in the time between two looks, as much as is kept of all.
        // At least one byte: with nothing kept, every log would flood all the time.
        let floods = now - before >= kept(&rules).max(1);
        known.floods = if floods { known.floods + 1 } else { 0 };
        let looks = known.floods;
        if now > before {
            self.note_time(id, stream, before);
        }
        let size = size(&path).unwrap_or(0);
        if !floods {
            if size >= rules.max_size {
                self.cut_direct(id, stream, Cut::TooLarge);
            }
        } else if looks >= LET_FLOOD || !has_room_for(&path, 4 * (now - before)) {
            // It was left alone for long enough, or four more looks like this one would fill the
            // disk.
            if let Some(known) = self.known_direct(id, stream) {
                known.floods = 1;
            }
            if size > kept(&rules).saturating_add(rules.max_size) {
                self.cut_direct(id, stream, Cut::TooMuch);
            }
        }
        true
    }

    /// Writes the state anew that stands beside a log, where that is missing or damaged. Returns whether it was.
    fn mend_direct(&mut self, id: u32, path: &Path, written: u64) -> bool {
        let runs = |s: &Service| s.live_pid().is_some();
        if !self.services.get(&id).is_some_and(runs) {
            return false;
        }
        let mended = direct::mend(path, written);
        match &mended {
            Ok(false) => {}
            Ok(true) => self.log.say(format_args!(
                "what stood beside {} was missing or damaged, and is written anew",
                path.display()
            )),
            Err(error) => self.log.say_seldom(
                "head",
                format_args!(
                    "cannot write what stands beside {}: {error}",
                    path.display()
                ),
            ),
        }
        mended.unwrap_or(false)
    }

    /// A log may have become shorter while no supervisor looked at it: so many bytes had been written at least.
    pub(super) fn compare_with_notes(&mut self, id: u32, stream: Stream, path: &Path) {
        let noted = index::last_offset(path).unwrap_or(0);
        self.mend_direct(id, path, noted);
        if let Ok(now) = written(path)
            && now < noted
        {
            self.log_shrank(id, stream, path, noted, now);
        }
    }

    /// The file that a service writes has lost its name, and TSM did not do that.
    fn log_is_gone(&mut self, id: u32, stream: Stream, path: &Path) {
        let runs = |s: &Service| s.live_pid().is_some();
        if !self.services.get(&id).is_some_and(runs) {
            return;
        }
        let told = self.known_direct(id, stream).map(|known| &mut known.gone);
        if told.is_none_or(|told| std::mem::replace(told, true)) {
            return;
        }
        self.log.say(format_args!(
            "somebody removed or renamed {}, and the service goes on writing into it",
            path.display()
        ));
        let stream = word(stream);
        self.note(id, EventKind::LogRemoved { stream });
    }

    /// A log became shorter, and TSM did not do that.
    fn log_shrank(&mut self, id: u32, stream: Stream, path: &Path, before: u64, after: u64) {
        let word = word(stream);
        self.log.say(format_args!(
            "{} became shorter ({before} to {after} bytes): somebody truncated it, or the service opened its /dev/std{word} anew",
            path.display()
        ));
        self.note(
            id,
            EventKind::LogShrank {
                stream: word,
                before,
                after,
            },
        );
        // Everything noted beyond that point is about lines that are gone.
        if let Err(error) = index::append_note(path, after, clock::unix_ms(), u64::MAX) {
            self.log.say(format_args!(
                "cannot note the time in {}: {error}",
                index::index_path(path).display()
            ));
        }
    }
}
