//! What becomes of logs later: segments are compressed when it has become quiet, and what is too old goes.
//!
//! Each has a time of its own in one list, so that nothing is looked at that is not due. Whatever a supervisor that died
//! had not done yet, the next one finds when it begins.

use std::collections::BTreeSet;
use std::time::Duration;

use super::supervisor::Supervisor;
use crate::logs::{Stream, index, rotate};
use crate::spec::LogRules;
use crate::sys::clock;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Upkeep {
    /// The log is looked at for what is too old.
    Age,
}

/// What is due when, of which log.
pub(super) type Due = BTreeSet<(Duration, u32, Stream, Upkeep)>;

impl Supervisor {
    /// A log was rotated: what follows from that is put on the list.
    pub(super) fn log_was_rotated(&mut self, id: u32, stream: Stream, rules: &LogRules) {
        if rules.max_age_ms > 0 {
            self.watch_age(id, stream);
        }
    }

    /// Puts a log on the list, in place of what stands there of it already.
    fn due_in(&mut self, delay: Duration, id: u32, stream: Stream, what: Upkeep) {
        self.upkeep
            .retain(|entry| (entry.1, entry.2, entry.3) != (id, stream, what));
        self.upkeep
            .insert((clock::monotonic() + delay, id, stream, what));
    }

    /// Nothing more is done for the logs of a process.
    pub(super) fn forget_upkeep(&mut self, id: u32) {
        self.upkeep.retain(|entry| entry.1 != id);
    }

    /// Does what is due.
    pub(super) fn keep_up_logs(&mut self) {
        while let Some(&entry) = self.upkeep.first() {
            let (at, id, stream, what) = entry;
            if at > clock::monotonic() {
                return;
            }
            self.upkeep.remove(&entry);
            match what {
                Upkeep::Age => self.watch_age(id, stream),
            }
        }
    }

    /// Rotates a log whose first byte is too old, removes segments whose last one is, and comes back when the next will be.
    pub(super) fn watch_age(&mut self, id: u32, stream: Stream) {
        let Some(place) = self.log_place(id, stream) else {
            return;
        };
        let most = place.rules.max_age_ms;
        if most == 0 {
            return;
        }
        let age = |since: u64| clock::unix_ms().saturating_sub(since);
        let is_empty = std::fs::metadata(&place.path).map_or(true, |live| live.len() == 0);
        let first = index::first_note(&place.path).filter(|_| !is_empty);
        if first.is_some_and(|first| age(first) > most) {
            self.rotate_between_lines(id, stream);
        }
        if let Err(error) = rotate::prune(&place.path, 0, &place.rules) {
            self.log.say(format_args!(
                "cannot remove old segments of {}: {error}",
                place.path.display()
            ));
        }
        // The next to become too old is the live file or the oldest segment.
        let live =
            index::first_note(&place.path).map_or(most, |first| most.saturating_sub(age(first)));
        let oldest = rotate::age_of_oldest(&place.path).map(|age| most.saturating_sub(age));
        let next = live.min(oldest.unwrap_or(most)).clamp(1000, 86_400_000);
        self.due_in(Duration::from_millis(next), id, stream, Upkeep::Age);
    }

    /// Rotates a log: now, where its file ends with a line, and else at the end of the line that is in it. Returns
    /// whether that was now; nothing in it is nothing to rotate.
    pub(super) fn rotate_between_lines(&mut self, id: u32, stream: Stream) -> bool {
        let Some(place) = self.log_place(id, stream) else {
            return true;
        };
        let Ok(file) = std::fs::File::open(&place.path) else {
            return true;
        };
        let len = file.metadata().map_or(0, |metadata| metadata.len());
        if len == 0 {
            return true;
        }
        let Some(service) = self.services.get_mut(&id) else {
            return true;
        };
        let end = service.log_end(stream);
        let goes_on = end.reader.is_some();
        if goes_on && !super::cutting::ends_with_a_line(&file, len).unwrap_or(true) {
            end.rotate = true;
            return false;
        }
        self.rotate_log(id, stream);
        true
    }
}
