//! From some place of a log to its end.

use std::collections::VecDeque;

use memchr::{memchr, memrchr};

use super::{FORWARD_BLOCK, LogStream, MATCH_BLOCK, make_room};
use crate::logs::LogError;
use crate::logs::query::Grep;

/// The lines of a log from some place to its end.
#[derive(Debug)]
pub(in crate::logs) struct Forward {
    pub(in crate::logs) log: LogStream,
    at: u64,
    splitter: Splitter,
    /// What was read and not given yet, each as [`next`](Self::next) gives it.
    lines: VecDeque<(u64, Vec<u8>, bool)>,
    /// Where only lines are wanted in which something is found.
    grep: Option<Grep>,
    /// What was read and not looked through yet: the beginning of a line.
    rest: Vec<u8>,
}

impl Forward {
    /// Reads all lines from the one that begins at `at`.
    pub(in crate::logs) fn new(mut log: LogStream, at: u64, grep: Option<Grep>) -> Self {
        let at = at.max(log.begin);
        log.time_and_key(at);
        log.close_indexes();
        Self {
            log,
            at,
            splitter: Splitter::default(),
            lines: VecDeque::new(),
            grep,
            rest: Vec::new(),
        }
    }

    /// The next line: where it begins, its bytes, and whether a newline ends it.
    pub(in crate::logs) fn next(&mut self) -> Result<Option<(u64, Vec<u8>, bool)>, LogError> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            if self.at >= self.log.end {
                // A log that is done stays closed while the others are read.
                self.log.newest = None;
                self.log.older = None;
                if let Some(grep) = &self.grep {
                    let rest = std::mem::take(&mut self.rest);
                    let is_found = !rest.is_empty() && grep.is_match(&rest);
                    let start = self.at - rest.len() as u64;
                    return Ok(is_found.then_some((start, rest, false)));
                }
                let rest = self.splitter.take_unfinished();
                return Ok(rest.map(|(start, bytes)| (start, bytes, false)));
            }
            if self.grep.is_some() {
                self.look_through()?;
                continue;
            }
            let mut block = vec![0; FORWARD_BLOCK];
            let n = self.log.read(self.at, &mut block)?;
            let lines = &mut self.lines;
            if n == 0 {
                self.at = self.log.past_gone(self.at);
                // What comes next is not the end of that line.
                let torn = self.splitter.take_unfinished();
                lines.extend(torn.map(|(start, bytes)| (start, bytes, false)));
                continue;
            }
            self.splitter.feed(&block[..n], self.at, |start, bytes| {
                lines.push_back((start, bytes, true));
            });
            self.at += n as u64;
        }
    }

    /// Reads on, and keeps the lines in which something is found.
    fn look_through(&mut self) -> Result<(), LogError> {
        let Some(grep) = &self.grep else {
            return Ok(());
        };
        let held = self.rest.len();
        make_room(&mut self.rest, MATCH_BLOCK);
        let n = self.log.read(self.at, &mut self.rest[held..])?;
        self.rest.truncate(held + n);
        let first = self.at - held as u64;
        if n == 0 {
            // Bytes are gone; what stood before them is a line that has lost its end.
            let next = self.log.past_gone(self.at);
            let rest = std::mem::take(&mut self.rest);
            if !rest.is_empty() && next > self.at && grep.is_match(&rest) {
                self.lines.push_back((first, rest, false));
            }
            self.at = next;
            return Ok(());
        }
        self.at += n as u64;
        // The beginning of a line that was there before has no newline in it.
        let Some(newline) = memrchr(b'\n', &self.rest[held..]) else {
            return Ok(());
        };
        let whole = held + newline + 1;
        let (rest, lines) = (&self.rest, &mut self.lines);
        grep.each_match(&rest[..whole], |begin, end| {
            lines.push_back((first + begin as u64, rest[begin..end].to_vec(), true));
        });
        self.rest.drain(..whole);
        Ok(())
    }
}

/// Cuts what it is fed into lines, and keeps the one that has not ended.
#[derive(Debug, Default)]
pub(in crate::logs) struct Splitter {
    unfinished: Vec<u8>,
    start: u64,
}

impl Splitter {
    /// Begins in the middle of a line that began at `start`.
    pub(in crate::logs) fn resume(start: u64, unfinished: Vec<u8>) -> Self {
        Self { unfinished, start }
    }

    /// Gives each line that ends in `chunk`, which stands at `at`, with the place where it began.
    pub(in crate::logs) fn feed(
        &mut self,
        mut chunk: &[u8],
        mut at: u64,
        mut line: impl FnMut(u64, Vec<u8>),
    ) {
        while !chunk.is_empty() {
            if self.unfinished.is_empty() {
                self.start = at;
            }
            let (head, ended) = match memchr(b'\n', chunk) {
                Some(newline) => (newline, 1),
                None => (chunk.len(), 0),
            };
            self.unfinished.extend_from_slice(&chunk[..head]);
            if ended == 1 {
                line(self.start, std::mem::take(&mut self.unfinished));
            }
            chunk = &chunk[head + ended..];
            at += (head + ended) as u64;
        }
    }

    /// What follows stands at another place: of another file, say.
    pub(in crate::logs) fn move_to(&mut self, start: u64) {
        self.start = start;
    }

    /// Takes the line that has not ended, if there is one.
    pub(in crate::logs) fn take_unfinished(&mut self) -> Option<(u64, Vec<u8>)> {
        if self.unfinished.is_empty() {
            return None;
        }
        Some((self.start, std::mem::take(&mut self.unfinished)))
    }

    /// The last bytes of the line that has not ended, at most so many.
    pub(in crate::logs) fn tail(&self, most: usize) -> &[u8] {
        &self.unfinished[self.unfinished.len().saturating_sub(most)..]
    }

    /// Where the line began that has not ended.
    pub(in crate::logs) fn unfinished_start(&self) -> Option<u64> {
        (!self.unfinished.is_empty()).then_some(self.start)
    }
}
