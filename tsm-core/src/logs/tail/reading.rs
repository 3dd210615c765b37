//! Reading the bytes of a log at their positions, whatever becomes of its files meanwhile.

use super::{LogStream, Part, first_offset};
use crate::logs::LogError;
use crate::logs::direct::{self, Place};
use crate::logs::segments::{Listings, Segment};

/// How often a log is looked for again whose head is cut off while it is read.
const MOST_RELOCATIONS: u32 = 100;

impl LogStream {
    /// Finds the bytes of a log again whose head was cut off since it was opened. Positions stay what they are.
    fn relocate(&mut self) -> Result<(), LogError> {
        let Some(last) = self.parts.last() else {
            return Ok(());
        };
        let first = |segment: &Segment| i128::from(first_offset(segment));
        // Added to an offset that counts everything ever written, this gives a position here.
        let difference = i128::from(last.start) - first(&last.segment);
        let id = last.segment.id;
        let found = Listings::default().segments(&self.live)?.segments;
        let Some(live) = found.iter().position(|segment| segment.id == id) else {
            return Ok(());
        };
        let mut parts = Vec::new();
        // Each ends where the one after it begins.
        let mut end = first(&found[live]) + i128::from(found[live].len) + difference;
        for segment in found.into_iter().take(live + 1).rev() {
            end -= i128::from(segment.len);
            let Ok(start) = u64::try_from(end) else {
                // It is older than the segment that this began with.
                break;
            };
            parts.push(Part {
                segment,
                start,
                index: None,
            });
        }
        parts.reverse();
        self.parts = parts;
        self.older = None;
        Ok(())
    }

    /// Where the bytes of the newest file are now, where its service writes it itself.
    fn place_now(&self) -> Result<Option<Place>, LogError> {
        let place = self.parts.last().and_then(|part| part.segment.place);
        let (Some(_), Some(newest)) = (place, &self.newest) else {
            return Ok(None);
        };
        let now = direct::place(newest.file(), &self.live);
        // A log that is no such one any more does not change any more either.
        Ok(now.map_err(LogError::read(&self.live))?.or(place))
    }

    /// Reads from `at` on within one segment; less than wanted where it or the log ends, and
    /// nothing where bytes are gone, or cannot be read: that is told once.
    pub(super) fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, LogError> {
        for _ in 0..MOST_RELOCATIONS {
            let Some(number) = self.part_of(at) else {
                return Ok(0);
            };
            if number + 1 < self.parts.len() {
                let id = self.parts[number].segment.id;
                if self.unreadable.contains(&id) {
                    return Ok(0);
                }
                return self.read_older(number, at, buffer).or_else(|error| {
                    self.unreadable.push(id);
                    self.failed.push(error);
                    Ok(0)
                });
            }
            // Before and after, since the head may be cut off between the two.
            let before = self.place_now()?;
            let n = self.read_newest(at, buffer)?;
            let after = self.place_now()?;
            let known = self.parts[number].segment.place;
            let is_known = |now: Option<Place>| match (now, known) {
                (Some(now), Some(known)) => now.is_as(&known),
                (now, known) => now.is_none() && known.is_none(),
            };
            if is_known(before) && is_known(after) {
                self.bytes_read += n as u64;
                return Ok(n);
            }
            self.relocate()?;
        }
        // It cannot be found again, and counts as removed.
        Ok(0)
    }

    /// How much of `wanted` bytes is in a part from `at` on.
    fn within(&self, at: u64, wanted: usize) -> usize {
        (wanted as u64).min(self.part_end(at).saturating_sub(at)) as usize
    }

    fn read_newest(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, LogError> {
        let wanted = self.within(at, buffer.len());
        let (Some(part), Some(file)) = (self.parts.last(), &self.newest) else {
            return Ok(0);
        };
        let skip = part.segment.place.map_or(0, |place| place.skip);
        file.read_at(&mut buffer[..wanted], at - part.start + skip)
            .map_err(LogError::read(&part.segment.path()))
    }

    fn read_older(&mut self, number: usize, at: u64, buffer: &mut [u8]) -> Result<usize, LogError> {
        let wanted = self.within(at, buffer.len());
        let part = &mut self.parts[number];
        if self.older.as_ref().is_none_or(|(open, _)| *open != number) {
            self.older = Some((number, part.segment.open()?));
        }
        let Some((_, Some(file))) = &self.older else {
            return Ok(0);
        };
        let n = file
            .read_at(&mut buffer[..wanted], at - part.start)
            .map_err(LogError::read(&part.segment.path()))?;
        self.bytes_read += n as u64;
        Ok(n)
    }
}
