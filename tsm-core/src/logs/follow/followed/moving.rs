//! From one file of a log to the next: where a rotation, or a cut of its head, has moved what comes.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use super::super::Timed;
use super::{Current, Followed};
use crate::logs::LogError;
use crate::logs::direct::{self, Place};
use crate::logs::index::Index;
use crate::logs::packed::Opened;
use crate::logs::segments::{Segment, segments};
use crate::logs::tail::first_offset;

impl Followed {
    /// Takes in whether its service writes the live file itself by now, or does not any more. What says so is written just
    /// after the file was made, and nothing was cut off by then.
    pub(super) fn look_who_writes(&mut self) -> Result<(), LogError> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        if current.segment.number() > 0 {
            return Ok(());
        }
        let now = direct::place(current.file.file(), &self.path);
        match (current.place, now.map_err(LogError::read(&self.path))?) {
            (None, Some(_)) => {
                current.place = Some(Place::default());
                self.was_direct = true;
            }
            (Some(before), None) => {
                // The offsets in the index begin with the file again.
                let start = self.unfinished.unfinished_start().unwrap_or(0);
                self.unfinished.move_to(start.saturating_sub(before.base));
                current.place = None;
                current.index = Index::default();
                self.was_direct = false;
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the bytes of the current file are now, if its head was cut off since that was last looked at.
    pub(super) fn was_cut(&self) -> Result<Option<Place>, LogError> {
        let Some((current, known)) = self.current.as_ref().and_then(|c| Some((c, c.place?))) else {
            return Ok(None);
        };
        let now = direct::place(current.file.file(), &self.path);
        let now = now.map_err(LogError::read(&self.path))?;
        Ok(now.filter(|now| !now.is_as(&known)))
    }

    /// Goes on after the head of the current file was cut off: in it, or in the segment that has the bytes now.
    pub(super) fn relocate(&mut self, now: Place, lines: &mut Vec<Timed>) -> Result<(), LogError> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let position = current.position();
        if position >= now.first() {
            current.read_up_to = position - now.base;
            current.place = Some(now);
            return Ok(());
        }
        let found = segments(&self.path)?.segments;
        let Some(live) = found
            .iter()
            .position(|segment| segment.id == current.segment.id)
        else {
            current.place = None;
            return Ok(());
        };
        // A segment ends where the next one begins.
        let mut start = i128::from(first_offset(&found[live]));
        let mut chosen = None;
        for segment in found[..live].iter().rev() {
            start -= i128::from(segment.len);
            chosen = Some((segment.clone(), start));
            if i128::from(position) >= start {
                break;
            }
        }
        let Some((mut segment, start)) = chosen else {
            // The rest was removed, so what is left begins here.
            self.miss(now.first().saturating_sub(position), lines);
            let Some(current) = &mut self.current else {
                return Ok(());
            };
            current.read_up_to = now.skip;
            current.place = Some(now);
            return Ok(());
        };
        let Some(file) = segment.open()? else {
            // It was moved or removed just now, and is looked for again.
            return Ok(());
        };
        let offset = i128::from(position) - start;
        self.miss(u64::try_from(-offset).unwrap_or(0), lines);
        let offset = u64::try_from(offset).unwrap_or(0);
        self.unfinished.move_to(offset);
        self.begin(&segment, file, offset);
        Ok(())
    }

    /// So many bytes are missing here: what comes is not the end of the line before.
    fn miss(&mut self, bytes: u64, lines: &mut Vec<Timed>) {
        if bytes > 0 {
            self.give_unfinished(lines);
            self.gone = self.gone.saturating_add(bytes);
        }
    }

    /// Makes a file the current one.
    fn begin(&mut self, segment: &Segment, file: Opened, read_up_to: u64) {
        self.current = Some(Current {
            file: Arc::new(file),
            segment: segment.clone(),
            read_up_to,
            index: Index::default(),
            place: segment.place,
            before: segment.before(),
        });
        self.count_what_is_missing();
    }

    /// Counts what was removed between the file before and the current one.
    pub(super) fn count_what_is_missing(&mut self) {
        let Some(current) = &self.current else {
            return;
        };
        if let (Some(reached), Some(before)) = (self.reached, current.before) {
            self.gone = self.gone.saturating_add(before.saturating_sub(reached));
            self.reached = None;
        }
    }

    /// Whether the current file has no name any more.
    pub(super) fn is_removed(&self) -> bool {
        let current = self.current.as_ref();
        let metadata = current.and_then(|current| current.file.file().metadata().ok());
        // A file that was only renamed, as a rotation does it, goes on to be read.
        metadata.is_some_and(|metadata| metadata.nlink() == 0)
    }

    /// Goes on to the file that was begun after the current one; false where there is none.
    pub(super) fn open_next(&mut self, lines: &mut Vec<Timed>) -> Result<bool, LogError> {
        let (later, is_listed) = self.later_segments()?;
        for (number, mut segment) in later.into_iter().enumerate() {
            if let Some(file) = segment.open()? {
                let place = segment.place;
                let first = place.map_or(0, |place| place.skip);
                let end = self.current.as_ref().and_then(Current::end);
                let is_next = (is_listed && number == 0)
                    || end.is_some_and(|end| segment.before() == Some(end));
                if self.was_direct || place.is_some() || is_next {
                    // The line goes on there.
                    self.unfinished.move_to(first_offset(&segment));
                } else {
                    self.give_unfinished(lines);
                }
                self.was_direct = self.was_direct || place.is_some();
                if let Some(last) = self.current.take() {
                    self.stale_index = last.index.position();
                    let is_piped = last.place.is_none() && place.is_none();
                    // Of one whose index was removed before it was seen, it is counted on from the one before.
                    let counted = self
                        .reached
                        .map(|reached| reached.saturating_add(last.read_up_to));
                    self.reached = last.end().or(counted).filter(|_| is_piped);
                }
                self.begin(&segment, file, first);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The segments that are newer than the current file, the oldest first, and whether that was listed before them.
    fn later_segments(&self) -> Result<(Vec<Segment>, bool), LogError> {
        // What cannot be read of it is missing, and is counted as that.
        let mut all = segments(&self.path)?.segments;
        let Some(current) = &self.current else {
            return Ok((all, false));
        };
        if let Some(number) = all
            .iter()
            .position(|segment| segment.id == current.segment.id)
        {
            return Ok((all.split_off(number + 1), true));
        }
        // It was removed or compressed. Whatever was written to later is newer.
        let modified = current
            .file
            .file()
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok();
        // Times are coarse: two segments of a flood may have the same.
        let is_later = |segment: &Segment| match (segment.before(), current.end()) {
            (Some(before), Some(end)) => before >= end,
            _ => segment.modified > modified,
        };
        all.retain(|segment| segment.number() == 0 || is_later(segment));
        Ok((all, false))
    }
}
