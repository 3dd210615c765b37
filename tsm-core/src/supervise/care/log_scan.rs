//! Readiness that is told by a line: the logs of a run are looked through as they grow, wherever they are.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::awaiting::Awaiting;
use super::failure::Failure;
use crate::error::{BestEffort as _, Result};
use crate::logs::Stream;
use crate::logs::index::{Index, index_path};
use crate::spec::compile;
use crate::supervise::supervisor::Supervisor;
use crate::supervise::vitals::{Readiness, VitalEvent};

/// Of a line that does not end, so much is looked at.
const LONGEST_LINE: usize = 64 << 10;
/// How much of a log is looked at, at most, for what a run printed before this supervisor began.
const LOOK_BACK: u64 = 1 << 20;
const STREAMS: [Stream; 2] = [Stream::Out, Stream::Err];

/// Looks through what a run prints.
pub(super) struct LogScan {
    pattern: regex::bytes::Regex,
    logs: [Scanned; 2],
    /// A line that matches was there from the beginning.
    found: bool,
}

/// One log, as far as it was looked at.
#[derive(Default)]
struct Scanned {
    path: PathBuf,
    file: Option<File>,
    /// A line that has not ended yet.
    line: Vec<u8>,
}

impl LogScan {
    /// Begins at the ends of these logs, or, for a run that another supervisor began, with what it has printed since.
    fn new(pattern: &str, logs: [PathBuf; 2], since_ms: Option<u64>) -> Result<Self> {
        let mut scan = Self {
            pattern: compile(pattern)?,
            logs: logs.map(|path| Scanned {
                path,
                ..Scanned::default()
            }),
            found: false,
        };
        for log in &mut scan.logs {
            scan.found |= match since_ms {
                Some(since_ms) => log.look_back(&scan.pattern, since_ms),
                // What the run before has printed says nothing of this one.
                None => log.skip(),
            };
        }
        Ok(scan)
    }

    /// Looks at what has come since; tells whether a line matches.
    fn look(&mut self, stream: Stream) -> bool {
        let log = &mut self.logs[usize::from(stream == Stream::Err)];
        self.found |= log.look(&self.pattern);
        self.found
    }
}

impl Scanned {
    fn skip(&mut self) -> bool {
        if let Ok(mut file) = File::open(&self.path) {
            file.seek(SeekFrom::End(0))
                .best_effort("where that is no file that has an end, it is looked at as it is");
            self.file = Some(file);
        }
        false
    }

    fn look_back(&mut self, pattern: &regex::bytes::Regex, since_ms: u64) -> bool {
        let Ok(mut file) = File::open(&self.path) else {
            return false;
        };
        let length = file.metadata().map_or(0, |meta| meta.len());
        // A log may be gigabytes long, and what matters is what came last.
        let from = length.saturating_sub(LOOK_BACK);
        let mut bytes = Vec::new();
        let read = file
            .seek(SeekFrom::Start(from))
            .and_then(|_| (&mut file).take(LOOK_BACK).read_to_end(&mut bytes));
        self.file = Some(file);
        if read.is_err() {
            return false;
        }
        let index = Index::load(&index_path(&self.path));
        let mut offset = from;
        let mut found = false;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let recent = index.time_of(offset).is_none_or(|ms| ms >= since_ms);
            if recent && line.ends_with(b"\n") {
                found |= pattern.is_match(line.trim_ascii_end());
            } else if recent {
                // Half a line: the rest of it comes with the next look.
                self.line = line.to_vec();
            }
            offset += line.len() as u64;
        }
        found
    }

    fn look(&mut self, pattern: &regex::bytes::Regex) -> bool {
        // A log that was rotated begins anew.
        let same = |file: &File| match (file.metadata(), std::fs::metadata(&self.path)) {
            (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
            _ => false,
        };
        let is_same = self.file.as_ref().is_some_and(same);
        // First the rest of the old file, then the new one from its beginning.
        let mut found = self.read(pattern);
        if !is_same {
            self.file = File::open(&self.path).ok();
            found |= self.read(pattern);
        }
        found
    }

    fn read(&mut self, pattern: &regex::bytes::Regex) -> bool {
        let mut bytes = [0; 16 << 10];
        loop {
            let Some(file) = &mut self.file else {
                return false;
            };
            let length = match file.read(&mut bytes) {
                Ok(0) | Err(_) => return false,
                Ok(length) => length,
            };
            for piece in bytes[..length].split_inclusive(|&byte| byte == b'\n') {
                // A line that never ends must not fill the memory.
                if self.line.len() < LONGEST_LINE {
                    self.line.extend_from_slice(piece);
                }
                if piece.ends_with(b"\n") {
                    let found = pattern.is_match(self.line.trim_ascii_end());
                    self.line.clear();
                    if found {
                        return true;
                    }
                }
            }
        }
    }
}

impl Supervisor {
    /// Notes how far the logs of a run that is about to begin go, so that nothing of it is missed: `since_ms` where it
    /// began under another supervisor.
    pub(in crate::supervise) fn begin_log_scan(
        &mut self,
        id: u32,
        pattern: &str,
        since_ms: Option<u64>,
    ) {
        let path = |stream| self.log_place(id, stream).map(|place| place.path);
        let logs = STREAMS.map(|stream| path(stream).unwrap_or_default());
        let scan = match LogScan::new(pattern, logs, since_ms) {
            Ok(scan) => scan,
            Err(error) => return self.log.say(error),
        };
        let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
        if let Some(care) = care {
            care.awaiting = Some(Awaiting::Log(Box::new(scan)));
        }
    }

    /// The run may be ready from now on: what it has printed by now counts, and what comes.
    pub(super) fn await_line(&mut self, id: u32) {
        let direct = STREAMS.map(|stream| self.is_direct(id, stream));
        if direct.contains(&true) {
            // Nobody tells the supervisor what a service itself writes into a file.
            let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
            let Some(Awaiting::Log(mut scan)) = care.and_then(|care| care.awaiting.take()) else {
                return;
            };
            return self.search(id, move || {
                let found = STREAMS.map(|stream| scan.look(stream)).contains(&true);
                found.then_some(()).ok_or_else(|| scan.in_vain())
            });
        }
        for stream in STREAMS {
            self.look_at_log(id, stream);
        }
    }

    /// Something was added to a log.
    pub(in crate::supervise) fn look_at_log(&mut self, id: u32, stream: Stream) {
        let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
        let Some(care) = care else { return };
        // Until the run counts as begun it is not looked at; nothing is missed by that.
        let pending = matches!(care.vitals.readiness, Readiness::Pending { .. });
        let Some(Awaiting::Log(scan)) = care.awaiting.as_mut().filter(|_| pending) else {
            return;
        };
        if scan.look(stream) {
            self.vital(id, VitalEvent::Ready);
        }
    }
}

impl LogScan {
    /// Why it is not ready.
    pub(super) fn in_vain(&self) -> Failure {
        Failure::NoLine {
            pattern: self.pattern.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;

    use super::*;

    #[test]
    fn lines_are_found_whole_over_rotations_and_not_before_the_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let [out, err] = ["out", "err"].map(|name| directory.path().join(name));
        std::fs::write(&out, "ready 0\nrea").unwrap();
        let logs = [out.clone(), err.clone()];
        let mut scan = LogScan::new("^ready [0-9]$", logs, None).unwrap();
        let add = |path: &Path, text: &str| {
            let mut file = File::options()
                .append(true)
                .create(true)
                .open(path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        assert!(!scan.look(Stream::Out));
        add(&out, "dy 1\nready");
        assert!(!scan.look(Stream::Out), "half a line is none");
        // The rest of a line that was rotated away counts with what comes in the next file.
        std::fs::rename(&out, directory.path().join("out.1")).unwrap();
        add(&out, " 2\n");
        assert!(scan.look(Stream::Out));
        let mut other = LogScan::new("up", [out, err.clone()], None).unwrap();
        assert!(!other.look(Stream::Err));
        add(&err, "it is up\r\n");
        assert!(
            other.look(Stream::Err),
            "a file that came later is read whole"
        );
    }
}
