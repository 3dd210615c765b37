//! Logs: read and followed as long as they are seen.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::{Duration, Instant};

use tsm_core::error::BestEffort as _;
use tsm_core::logs::{self, Follower, Line, LogError, Query, Source, Stream};
use tsm_core::sys::poll::{Interest, Poll};

use super::wake::{self, Sleeper, Waker};
use crate::ansi;
use crate::message::{LogFrom, LogPart, LogWish, Message};
use crate::pane::{KEPT, PaneLine};

/// How many lines before a time that is jumped to are shown …
const BEFORE: usize = 200;
/// … and how many from it on.
const AFTER: usize = 5_000;
/// Lines that come faster than this are told together.
const BETWEEN_LINES: Duration = Duration::from_millis(40);
/// Where so many lines come at once, only the last of them are of use.
const AT_ONCE: Duration = Duration::from_millis(100);

const WAKE: u64 = 0;
const LOGS: u64 = 1;

/// The thread that reads logs.
pub(super) struct Logs {
    waker: Waker,
    wishes: Sender<Option<LogWish>>,
}

impl Logs {
    pub(super) fn want(&self, wish: Option<LogWish>) {
        self.wishes
            .send(wish)
            .best_effort("the thread lives as long as we do");
        self.waker.wake();
    }
}

/// Begins to read.
pub(super) fn spawn(say: SyncSender<Message>) -> io::Result<Logs> {
    let (waker, sleeper) = wake::pair()?;
    let (want, wishes) = mpsc::channel();
    let reader = Reader {
        say,
        sleeper,
        wishes,
    };
    std::thread::spawn(move || {
        reader
            .read()
            .best_effort("it ends when nobody listens, or nothing can be waited for any more");
    });
    Ok(Logs {
        waker,
        wishes: want,
    })
}

struct Reader {
    say: SyncSender<Message>,
    sleeper: Sleeper,
    wishes: Receiver<Option<LogWish>>,
}

impl Reader {
    fn read(mut self) -> io::Result<()> {
        let mut current: Option<(LogWish, Option<Follower>)> = None;
        let mut ready = Vec::new();
        loop {
            let mut poll = Poll::new(2)?;
            poll.add(&self.sleeper, WAKE, Interest::Read)?;
            if let Some((_, Some(follower))) = &current {
                poll.add(follower, LOGS, Interest::Read)?;
            }
            // Until something else is wished.
            let wish = loop {
                poll.wait(None, &mut ready)?;
                if ready.iter().any(|ready| ready.token == WAKE) {
                    self.sleeper.clear();
                    if let Some(wish) = self.wishes.try_iter().last() {
                        break wish;
                    }
                }
                if let Some((wish, Some(follower))) = &mut current {
                    match more(follower) {
                        Ok(lines) if lines.is_empty() => {}
                        Ok(lines) => {
                            if !self.tell(wish, LogPart::More(lines)) {
                                return Ok(());
                            }
                            self.sleeper.rest(BETWEEN_LINES);
                        }
                        Err(error) => {
                            self.tell(wish, LogPart::Failed(in_words(&error)));
                            // It would be told again and again.
                            current = None;
                            poll = Poll::new(1)?;
                            poll.add(&self.sleeper, WAKE, Interest::Read)?;
                        }
                    }
                }
            };
            current = None;
            let Some(wish) = wish else { continue };
            let (part, follower) = match begin(&wish) {
                Ok((lines, follower)) => (LogPart::Begin(lines), follower),
                Err(error) => (LogPart::Failed(in_words(&error)), None),
            };
            if !self.tell(&wish, part) {
                return Ok(());
            }
            current = Some((wish, follower));
        }
    }

    fn tell(&self, wish: &LogWish, part: LogPart) -> bool {
        let wish = wish.clone();
        self.say.send(Message::Log { wish, part }).is_ok()
    }
}

fn in_words(error: &LogError) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// What is there, and who tells what comes.
fn begin(wish: &LogWish) -> Result<(Vec<PaneLine>, Option<Follower>), LogError> {
    let sources: Vec<Source> = wish
        .sources
        .iter()
        .map(|source| Source {
            name: source.name.clone(),
            out: source.out.clone(),
            err: source.err.clone(),
        })
        .collect();
    // What cannot be read of a log stands among the lines of all.
    let shown = |line: Result<Line, LogError>| match line {
        Ok(line) => show(&line),
        Err(error) => remark(&in_words(&error)),
    };
    match wish.from {
        LogFrom::End(lines) => {
            let (tail, follower) = logs::tail_and_follow(&sources, Some(lines))?;
            Ok((tail.map(shown).collect(), Some(follower)))
        }
        LogFrom::Time(time) => {
            let before = Query {
                until_ms: Some(time),
                ..Query::last(Some(BEFORE))
            };
            let after = Query {
                since_ms: vec![Some(time); sources.len()],
                ..Query::default()
            };
            let before = logs::select(&sources, &before)?;
            let after = logs::select(&sources, &after)?.take(AFTER);
            Ok((before.chain(after).map(shown).collect(), None))
        }
    }
}

/// What has come.
fn more(follower: &mut Follower) -> Result<Vec<PaneLine>, LogError> {
    let begin = Instant::now();
    let mut lines: Vec<Line> = Vec::new();
    loop {
        let batch = follower.next_batch(Some(Duration::ZERO))?;
        let is_over = batch.is_empty();
        lines.extend(batch);
        if lines.len() > KEPT {
            lines.drain(..lines.len() - KEPT);
        }
        if is_over || begin.elapsed() > AT_ONCE {
            let gone = follower.take_gone().into_iter().map(|gone| PaneLine {
                source: gone.source,
                ..remark(&format!(
                    "{} bytes were removed before they could be read",
                    gone.bytes
                ))
            });
            return Ok(gone.chain(lines.iter().map(show)).collect());
        }
    }
}

/// A line that no process wrote.
fn remark(words: &str) -> PaneLine {
    PaneLine {
        is_error: true,
        ..PaneLine::of(format!("tsm: {words}").as_bytes())
    }
}

fn show(line: &Line) -> PaneLine {
    PaneLine {
        styled: ansi::parse(&line.bytes),
        source: line.source,
        is_error: line.stream == Stream::Err,
        time_ms: line.time_ms,
    }
}
