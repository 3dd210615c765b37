//! From the end of a log to its start.

use super::{BACKWARD_BLOCKS, LogStream, MATCH_BLOCK, make_room};
use crate::logs::LogError;
use crate::logs::query::Grep;

/// Finds where lines begin, from the end of a log to its start.
#[derive(Debug)]
pub(in crate::logs) struct Backward {
    /// Where the line that was found last begins; at first the end of the log.
    at: u64,
    block: Vec<u8>,
    block_start: u64,
    next_block: u64,
}

impl Backward {
    pub(in crate::logs) fn new(log: &LogStream) -> Self {
        Self {
            at: log.end,
            block: Vec::new(),
            block_start: log.end,
            next_block: BACKWARD_BLOCKS.0,
        }
    }

    /// Where the line before begins; `None` at the start of the log.
    pub(in crate::logs) fn line_before(
        &mut self,
        log: &mut LogStream,
    ) -> Result<Option<u64>, LogError> {
        if self.at <= log.begin {
            return Ok(None);
        }
        // The newline right before the line found last ends the one that is looked for.
        let mut end = self.at - 1;
        loop {
            // A block is shorter than it should be where bytes are gone.
            let within = end
                .saturating_sub(self.block_start)
                .min(self.block.len() as u64) as usize;
            if let Some(newline) = self.block[..within].iter().rposition(|byte| *byte == b'\n') {
                self.at = self.block_start + newline as u64 + 1;
                return Ok(Some(self.at));
            }
            end = end.min(self.block_start);
            if end == 0 {
                self.at = 0;
                return Ok(Some(0));
            }
            let start = log
                .part_start(end - 1)
                .max(end.saturating_sub(self.next_block));
            self.block.clear();
            make_room(&mut self.block, (end - start) as usize);
            let n = log.read(start, &mut self.block)?;
            self.block.truncate(n);
            self.block_start = start;
            self.next_block = (self.next_block * 2).min(BACKWARD_BLOCKS.1);
        }
    }
}

/// Finds where lines begin in which something is found, from the end of a log to its start.
#[derive(Debug)]
pub(in crate::logs) struct BackwardMatches {
    /// What stands before this is still to be looked at.
    at: u64,
    /// Where lines begin that were found, ascending.
    found: Vec<u64>,
}

impl BackwardMatches {
    pub(in crate::logs) fn new(log: &LogStream) -> Self {
        Self {
            at: log.end,
            found: Vec::new(),
        }
    }

    /// Where the line before begins; `None` at the start of the log.
    pub(in crate::logs) fn line_before(
        &mut self,
        log: &mut LogStream,
        grep: &Grep,
    ) -> Result<Option<u64>, LogError> {
        let mut size = MATCH_BLOCK as u64;
        loop {
            if let Some(start) = self.found.pop() {
                return Ok(Some(start));
            }
            if self.at <= log.begin {
                return Ok(None);
            }
            let low = self.at.saturating_sub(size).max(log.begin);
            let start = if low == log.begin {
                low
            } else {
                log.line_from(low)?
            };
            if start >= self.at {
                // The whole block is part of one line.
                size *= 2;
                continue;
            }
            let lines = log.read_all(start, self.at)?;
            grep.each_match(&lines, |begin, _| self.found.push(start + begin as u64));
            self.at = start;
        }
    }
}
