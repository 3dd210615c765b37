//! `NAME.events.jsonl`: read whatever it holds, and appended to so that it stays bounded.
//!
//! A line that a crash tore, or that a newer TSM wrote, hides no other: what is no JSON is counted and passed over, and what
//! is JSON of an unknown kind is kept as it stands.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Event;
use crate::error::BestEffort as _;
use crate::{fail, sys};

/// A history that would become larger than this, in bytes, loses its older half first.
pub const MOST_BYTES: u64 = 256 << 10;

/// One line of a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// All that stands there, fields that this version does not know too.
    pub raw: Value,
    /// What it means; `None` where it is of a kind that this version does not know.
    pub event: Option<Event>,
}

/// What happened to a process, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The lines that can be read.
    pub entries: Vec<Entry>,
    /// How many others there are.
    pub unreadable: usize,
    /// Whether the file was read from its beginning.
    pub whole: bool,
}

impl History {
    /// Reads a history; one that is not there is empty.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::read_last(path, u64::MAX)
    }

    /// Reads the lines that begin within the last `bytes` of a history.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn read_last(path: &Path, bytes: u64) -> io::Result<Self> {
        let mut file = match sys::open_without_waiting(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::parse(&[])),
            Err(error) => return Err(error),
        };
        sys::only_regular(&file)?;
        let skipped = file.metadata()?.len().saturating_sub(bytes);
        let mut text = Vec::new();
        if skipped > 0 {
            // From the byte before, so that a line that begins right there is known to be whole.
            file.seek(SeekFrom::Start(skipped - 1))?;
        }
        file.read_to_end(&mut text)?;
        let from = match text.iter().position(|&byte| byte == b'\n') {
            Some(end) if skipped > 0 => end + 1,
            None if skipped > 0 => text.len(),
            _ => 0,
        };
        Ok(Self {
            whole: skipped == 0,
            ..Self::parse(&text[from..])
        })
    }

    /// Reads the text of a history.
    ///
    /// ```
    /// use tsm_core::events::{EventKind, History};
    ///
    /// let history = History::parse(br#"{"at":"2026-01-01T00:00:00.000Z","event":"started","run":1,"pid":70}
    /// {"at":"2026-01-01T00:00:01.000Z","event":"of a later version"}
    /// {"at":"2026-01-01T00:0"#);
    /// // What was torn is counted, and hides nothing else.
    /// assert_eq!((history.entries.len(), history.unreadable), (2, 1));
    /// let first = history.events().next().map(|event| &event.kind);
    /// assert!(matches!(first, Some(EventKind::Started { run: 1, .. })));
    /// ```
    pub fn parse(text: &[u8]) -> Self {
        let mut history = Self {
            whole: true,
            ..Self::default()
        };
        for line in text.split(|&byte| byte == b'\n') {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match serde_json::from_slice::<Value>(line) {
                Ok(raw @ Value::Object(_)) => history.entries.push(Entry {
                    event: serde_json::from_slice(line).ok(),
                    raw,
                }),
                _ => history.unreadable += 1,
            }
        }
        history
    }

    /// The events that this version knows, oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.entries.iter().filter_map(|entry| entry.event.as_ref())
    }
}

/// Appends one line to a history, and lets its older half go where it would become too large.
pub(crate) fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    fail::error("write")?;
    let mut file = match open(path) {
        // Somebody put a directory, a FIFO or a link in its place, which is moved aside.
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::StorageFull
            ) && fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) =>
        {
            fs::rename(path, beside(path, ".strange"))?;
            open(path)?
        }
        file => file?,
    };
    let size = file.metadata()?.len();
    if size > 0 && size + line.len() as u64 > MOST_BYTES {
        file = halve(path, &file, size)?;
    } else if size > 0 {
        let mut last = [0];
        file.read_exact_at(&mut last, size - 1)?;
        if last != *b"\n" {
            // A line that was torn ends here, so that it takes no other with it.
            return file.write_all(&[b"\n", line].concat());
        }
    }
    file.write_all(line)
}

fn open(path: &Path) -> io::Result<File> {
    let file = fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(sys::OPEN_SAFELY)
        .open(path)?;
    sys::only_regular(&file)?;
    Ok(file)
}

/// Replaces a history by its newer half. A reader sees the one or the other.
fn halve(path: &Path, file: &File, size: u64) -> io::Result<File> {
    let from = size - MOST_BYTES.min(size) / 2;
    let mut text = vec![0; (size - from) as usize];
    file.read_exact_at(&mut text, from)?;
    let begin = text
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    if text.last() != Some(&b'\n') {
        text.push(b'\n');
    }
    let temporary = beside(path, ".tmp");
    let written = sys::open_for_writing(&temporary).and_then(|mut file| {
        file.set_len(0)?;
        file.write_all(&text[begin..])?;
        fs::rename(&temporary, path)
    });
    if let Err(error) = written {
        fs::remove_file(&temporary).best_effort("the first error is the one to tell");
        return Err(error);
    }
    open(path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(suffix);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventKind;

    fn line(run: u64) -> String {
        Event::now(EventKind::Started { run, pid: 1 }).to_line()
    }

    fn runs(history: &History) -> Vec<u64> {
        history
            .events()
            .map(|event| match event.kind {
                EventKind::Started { run, .. } => run,
                _ => 0,
            })
            .collect()
    }

    #[test]
    fn what_is_torn_or_unknown_hides_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.events.jsonl");
        append(&path, line(1).as_bytes()).unwrap();
        append(
            &path,
            br#"{"at":"2026-01-01T00:00:00.000Z","event":"from-the-future","x":1}"#,
        )
        .unwrap();
        // That one had no newline; and here a write was cut off.
        append(&path, line(2).as_bytes()).unwrap();
        append(&path, b"{\"at\":\"2026-0").unwrap();
        append(&path, line(3).as_bytes()).unwrap();
        let history = History::read(&path).unwrap();
        assert_eq!(runs(&history), [1, 2, 3]);
        assert_eq!((history.entries.len(), history.unreadable), (4, 1));
        assert_eq!(history.entries[1].raw["x"], 1);
    }

    #[test]
    fn it_is_bounded_and_the_newest_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.events.jsonl");
        let many = 10_000;
        for run in 1..=many {
            append(&path, line(run).as_bytes()).unwrap();
            if run % 500 == 0 {
                assert!(fs::metadata(&path).unwrap().len() <= MOST_BYTES);
            }
        }
        let history = History::read(&path).unwrap();
        let kept = runs(&history);
        assert_eq!(history.unreadable, 0);
        assert!(kept.len() as u64 * (line(many).len() as u64) >= MOST_BYTES / 3);
        let newest: Vec<u64> = (many + 1 - kept.len() as u64..=many).collect();
        assert_eq!(kept, newest);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_last_bytes_are_whole_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.events.jsonl");
        for run in 1..=9 {
            append(&path, line(run).as_bytes()).unwrap();
        }
        let length = line(9).len() as u64;
        let last = |bytes| runs(&History::read_last(&path, bytes).unwrap());
        assert_eq!(last(2 * length), [8, 9]);
        assert_eq!(last(2 * length - 1), [9]);
        assert_eq!(last(1), Vec::<u64>::new());
        assert_eq!(last(1 << 20).len(), 9);
        assert_eq!(
            runs(&History::read(&directory.path().join("none")).unwrap()),
            Vec::<u64>::new()
        );
    }

    #[test]
    fn a_directory_in_its_place_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.events.jsonl");
        fs::create_dir(&path).unwrap();
        append(&path, line(1).as_bytes()).unwrap();
        assert_eq!(runs(&History::read(&path).unwrap()), [1]);
        assert!(directory.path().join("x.events.jsonl.strange").is_dir());
    }
}
