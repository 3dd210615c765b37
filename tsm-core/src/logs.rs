//! What the processes wrote: read from the end, merged by time, followed.
//!
//! A log is the bytes of one stream of one process: rotated segments, then the live file (see
//! [`segments`]). Its time index ([`index`]) tells when the bytes arrived; where it is missing or
//! damaged, lines have no time and are shown all the same.
//!
//! What of this module is public only reads. Everything that it reads may be truncated, renamed,
//! removed or made anew meanwhile; none of that is an error. It neither prints nor decides what is
//! shown. What changes the files of a log, which only the supervisor does, is in `rotate`, `packed` and `direct`.

pub(crate) mod direct;
mod follow;
pub mod index;
mod merge;
pub(crate) mod packed;
mod query;
pub(crate) mod rotate;
pub(crate) mod segments;
mod tail;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use follow::Follower;
pub use merge::{Gone, Tail};
pub use query::{Grep, Query};
pub use segments::{Listed, Segment, segments};

use crate::home::Home;
use crate::name::ProcessName;
use segments::Listings;
use tail::LogStream;

/// One of the two streams of a process. Of lines that came at the same time, those of [`Out`]
/// stand first.
///
/// [`Out`]: Stream::Out
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which of the sources it is from, counted from 0.
    pub source: usize,
    /// The stream that it was written to.
    pub stream: Stream,
    /// When its first byte arrived, in milliseconds since 1970; `None` where no index tells.
    pub time_ms: Option<u64>,
    /// What was written, without the newline at its end.
    pub bytes: Vec<u8>,
    /// Whether a newline ended it. Where it is false, the rest may come in a line of its own:
    /// written out without a newline, the bytes are again those of the process.
    pub complete: bool,
}

/// A process whose logs are to be read, and which of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name of the process, for the caller to show.
    pub name: String,
    /// The live file of standard output (`logs/NAME.out`); `None` leaves the stream out.
    pub out: Option<PathBuf>,
    /// The live file of standard error (`logs/NAME.err`); `None` leaves the stream out.
    pub err: Option<PathBuf>,
}

impl Source {
    /// Both logs of a process, where they are unless its spec says otherwise ([`LogSettings`](crate::spec::LogSettings)).
    ///
    /// ```
    /// use tsm_core::home::Home;
    /// use tsm_core::logs::Source;
    ///
    /// let web = Source::of(&Home::at("/srv/services"), &"web".parse()?);
    /// assert_eq!(web.out, Some("/srv/services/logs/web.out".into()));
    /// # Ok::<(), tsm_core::error::Error>(())
    /// ```
    pub fn of(home: &Home, name: &ProcessName) -> Self {
        Self {
            name: name.to_string(),
            out: Some(home.out_log(name)),
            err: Some(home.err_log(name)),
        }
    }
}

/// Why logs cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A log, or the directory that it is in, cannot be read.
    #[error("read the log `{}`", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is something where a log should be that is no file.
    #[error("read the log `{}`: it is not a regular file", path.display())]
    NotAFile {
        /// What is no file.
        path: PathBuf,
    },
    /// The kernel refuses to tell of changes.
    #[error("watch `{}`", path.display())]
    Watch {
        /// The file or directory to be watched.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The directory of a log that is followed was removed or renamed: nothing can come any more.
    #[error("follow the logs in `{}`: the directory is gone", path.display())]
    DirectoryGone {
        /// The directory.
        path: PathBuf,
    },
    /// The kernel refuses to make, read or wait for file events.
    #[error("wait for changes of the logs")]
    Events(#[source] io::Error),
}

impl LogError {
    /// Gives an error of reading its path.
    fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Read {
            path: path.to_owned(),
            source,
        }
    }
}

/// Reads the last `lines` lines of all the sources and both streams together, in order of time;
/// all lines where it is `None`.
///
/// The order within a stream is that of the file, whatever the clock did. A line without a time
/// stands after the line before it in its stream, or first. Of lines of the same time, those of
/// standard output stand before those of standard error, and then those of earlier sources.
///
/// It reads backwards from the end and no further than it must, and gives the lines as they are
/// read. What is written after the call is not among them. It holds a file descriptor for each
/// stream that it still has lines of.
///
/// A log that cannot be read is among what is given, first or where it fails, as an error; the others are given all the
/// same.
///
/// # Errors
/// Where none of the logs can be read. A log that is not there is an empty one.
///
/// ```
/// use tsm_core::logs::{Source, tail};
///
/// let dir = tempfile::tempdir()?;
/// let out = dir.path().join("web.out");
/// std::fs::write(&out, "one\ntwo\nthree")?;
/// let web = Source { name: "web".into(), out: Some(out), err: None };
/// let last = tail(&[web], Some(2))?.collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(last[0].bytes, b"two");
/// assert_eq!((&*last[1].bytes, last[1].complete), (&b"three"[..], false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tail(sources: &[Source], lines: Option<usize>) -> Result<Tail, LogError> {
    select(sources, &Query::last(lines))
}

/// Reads the lines that a query wants, in the order of [`tail`], with the same promises.
///
/// # Errors
/// As for [`tail`].
pub fn select(sources: &[Source], query: &Query) -> Result<Tail, LogError> {
    open(sources)?.tail(query)
}

/// Reads the last lines as [`tail`] does, and goes on from where they end: no line is lost or
/// given twice between the two.
///
/// A last line that has no newline yet is not among those of the [`Tail`]; the [`Follower`] has it.
///
/// # Errors
/// As for [`tail`]; and where none of their directories is there and can be watched.
///
/// ```
/// use std::time::Duration;
/// use tsm_core::logs::{Source, tail_and_follow};
///
/// let dir = tempfile::tempdir()?;
/// let out = dir.path().join("web.out");
/// std::fs::write(&out, "one\ntwo\nthr")?;
/// let web = Source { name: "web".into(), out: Some(out.clone()), err: None };
/// let (tail, mut follower) = tail_and_follow(&[web], Some(1))?;
/// assert_eq!(tail.collect::<Result<Vec<_>, _>>()?[0].bytes, b"two");
///
/// std::fs::write(&out, "one\ntwo\nthree\n")?;
/// let more = follower.next_batch(Some(Duration::from_secs(5)))?;
/// # assert!(!more.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tail_and_follow(
    sources: &[Source],
    lines: Option<usize>,
) -> Result<(Tail, Follower), LogError> {
    select_and_follow(sources, &Query::last(lines))
}

/// Reads the lines that a query wants as [`select`] does, and goes on from where they end as [`tail_and_follow`] does. The
/// query says nothing of what comes later: whoever wants only matching lines of it looks for them.
///
/// # Errors
/// As for [`tail_and_follow`].
pub fn select_and_follow(sources: &[Source], query: &Query) -> Result<(Tail, Follower), LogError> {
    // The watch comes before the look, so that what comes in between is an event.
    let (mut follower, unwatched) = Follower::watching(sources)?;
    let mut opened = open(sources)?;
    opened.failed.extend(unwatched);
    opened.keep_if(|stream| follower.go_on(stream))?;
    Ok((opened.tail(query)?, follower))
}

/// Logs as they were when they were opened, and what was wrong with others.
#[derive(Default)]
struct OpenedLogs {
    streams: Vec<LogStream>,
    failed: Vec<LogError>,
}

impl OpenedLogs {
    /// Goes on with those with which this can be done; with none, with the first error.
    fn keep_if(
        &mut self,
        mut does: impl FnMut(&mut LogStream) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let failed = &mut self.failed;
        self.streams
            .retain_mut(|stream| does(stream).map_err(|error| failed.push(error)).is_ok());
        self.or_none()
    }

    /// An error where there is nothing to go on with.
    fn or_none(&mut self) -> Result<(), LogError> {
        if self.streams.is_empty() && !self.failed.is_empty() {
            return Err(self.failed.remove(0));
        }
        Ok(())
    }

    fn tail(mut self, query: &Query) -> Result<Tail, LogError> {
        self.keep_if(|stream| stream.narrow(query.since_of(stream.source), query.until_ms))?;
        Ok(Tail::new(self.streams, self.failed, query))
    }
}

/// Opens every stream of the sources as it is now.
fn open(sources: &[Source]) -> Result<OpenedLogs, LogError> {
    let mut listings = Listings::default();
    let mut opened = OpenedLogs::default();
    for (source, paths) in sources.iter().enumerate() {
        for (stream, path) in [(Stream::Out, &paths.out), (Stream::Err, &paths.err)] {
            let Some(path) = path else { continue };
            match LogStream::open(source, stream, path, &mut listings) {
                Ok(stream) => opened.streams.push(stream),
                Err(error) => opened.failed.push(error),
            }
        }
    }
    opened.or_none()?;
    Ok(opened)
}
