//! The lines of several logs in order of time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::query::{Grep, Query};
use super::tail::{Backward, BackwardMatches, Forward, LogStream};
use super::{Line, LogError, Stream};

/// What lines are ordered by: time, then stream, then source. The last number is that of the log
/// among those merged. Within a log it never decreases, so merging keeps the order of the file.
type Key = (Option<u64>, Stream, usize, usize);

/// The last lines of some logs, in order of time: made by [`tail`](super::tail()).
///
/// An error of a rotated segment leaves that out; any other one ends its log, and the others go on.
#[derive(Debug)]
pub struct Tail {
    logs: Vec<Forward>,
    /// The next line of each log that has one.
    heads: Vec<Option<Line>>,
    order: BinaryHeap<Reverse<Key>>,
    /// What went wrong and was not told yet.
    failed: VecDeque<LogError>,
}

/// Bytes of a log that were there when it was opened, and were removed before they were read: by a rotation, say, of a log
/// that floods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// Which of the sources it is, counted from 0.
    pub source: usize,
    /// The stream.
    pub stream: Stream,
    /// How many bytes.
    pub bytes: u64,
}

impl Tail {
    /// Merges logs; `failed` are errors of others, which are given first.
    pub(super) fn new(mut logs: Vec<LogStream>, failed: Vec<LogError>, query: &Query) -> Self {
        let mut failed = VecDeque::from(failed);
        let starts = match query.lines {
            None => vec![Some(0); logs.len()],
            Some(n) => starts_of_last(&mut logs, n, query.grep.as_ref(), &mut failed),
        };
        failed.extend(logs.iter_mut().flat_map(LogStream::take_failed));
        // A log that has none of the lines is closed here.
        let logs = logs.into_iter().zip(starts);
        let logs =
            logs.filter_map(|(log, start)| Some(Forward::new(log, start?, query.grep.clone())));
        let logs: Vec<_> = logs.collect();
        let heads = logs.iter().map(|_| None).collect();
        let mut tail = Self {
            logs,
            heads,
            order: BinaryHeap::new(),
            failed,
        };
        for number in 0..tail.logs.len() {
            tail.advance(number);
        }
        tail
    }

    /// The bytes that had to be passed over so far.
    pub fn gone(&self) -> impl Iterator<Item = Gone> {
        let logs = self.logs.iter().map(|forward| &forward.log);
        logs.filter(|log| log.gone() > 0).map(|log| Gone {
            source: log.source,
            stream: log.stream,
            bytes: log.gone(),
        })
    }

    /// How many bytes of logs and of their indexes were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.logs
            .iter()
            .map(|forward| forward.log.bytes_read())
            .sum()
    }

    /// Reads the next line of a log. One that fails has no head any more, and so has ended.
    fn advance(&mut self, number: usize) {
        let forward = &mut self.logs[number];
        let next = forward.next();
        // Of a segment that cannot be read, the others are given all the same.
        self.failed.extend(forward.log.take_failed());
        let (start, bytes, complete) = match next {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(error) => return self.failed.push_back(error),
        };
        let log = &mut forward.log;
        let (time_ms, key) = log.time_and_key(start);
        self.order
            .push(Reverse((key, log.stream, log.source, number)));
        let (source, stream) = (log.source, log.stream);
        self.heads[number] = Some(Line {
            source,
            stream,
            time_ms,
            bytes,
            complete,
        });
    }
}

impl Iterator for Tail {
    type Item = Result<Line, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.pop_front() {
            return Some(Err(error));
        }
        let Reverse((_, _, _, number)) = self.order.pop()?;
        let line = self.heads[number].take()?;
        self.advance(number);
        Some(Ok(line))
    }
}

/// Finds where the last `n` lines of all logs begin in each; `None` where a log has none of them.
/// It merges backwards: of each log it reads no more than one line beyond. One that fails has no more lines.
fn starts_of_last(
    logs: &mut [LogStream],
    n: usize,
    grep: Option<&Grep>,
    failed: &mut VecDeque<LogError>,
) -> Vec<Option<u64>> {
    let mut starts = vec![None; logs.len()];
    if n == 0 {
        return starts;
    }
    let mut backward: Vec<_> = logs.iter().map(Backward::new).collect();
    let mut matches: Vec<_> = logs.iter().map(BackwardMatches::new).collect();
    let mut latest: BinaryHeap<(Key, u64)> = BinaryHeap::new();
    let mut look = |log: &mut LogStream, number: usize| {
        let found = match grep {
            Some(grep) => matches[number].line_before(log, grep),
            None => backward[number].line_before(log),
        };
        let start = found.unwrap_or_else(|error| {
            failed.push_back(error);
            None
        })?;
        let (_, key) = log.time_and_key(start);
        Some(((key, log.stream, log.source, number), start))
    };
    for (number, log) in logs.iter_mut().enumerate() {
        latest.extend(look(log, number));
    }
    for _ in 0..n {
        let Some((key, start)) = latest.pop() else {
            break;
        };
        let number = key.3;
        starts[number] = Some(start);
        latest.extend(look(&mut logs[number], number));
    }
    starts
}
