//! Where the kernel put a core (`core(5)`).

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use glob::Pattern;
use serde::Serialize;

use super::Run;
use crate::spec::ProcessSpec;
use crate::text::Text;

/// The clock by which a file system stamps its files may be so much behind.
const CLOCK_STEP: Duration = Duration::from_millis(20);
/// How long after a process ended its core is still being written.
const WRITTEN_WITHIN: Duration = Duration::from_mins(1);

/// Where a core that was dumped is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum CoreDump {
    /// In this file.
    File {
        /// Its path.
        path: Text,
    },
    /// The kernel gave it to a program, which keeps it in its own way.
    Handler {
        /// The program of `/proc/sys/kernel/core_pattern`.
        program: String,
        /// A command that shows it, where one is known.
        command: Option<String>,
    },
    /// It is not where the kernel is told to put it: it was removed, or the process had moved to another directory.
    NotFound {
        /// The pattern that it was named by.
        pattern: String,
    },
}

impl CoreDump {
    /// Looks for the core of a run that ended at `ended_ms`.
    pub(super) fn find(run: &Run, ended_ms: u64, spec: Option<&ProcessSpec>) -> Self {
        let read = |name: &str| {
            let text = std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name));
            text.unwrap_or_default().trim_end().to_owned()
        };
        let pattern = read("core_pattern");
        if let Some(command) = pattern.strip_prefix('|') {
            let program = command.split_whitespace().next().unwrap_or_default();
            let shows = program.ends_with("systemd-coredump");
            return Self::Handler {
                program: program.to_owned(),
                command: shows.then(|| format!("coredumpctl info {}", run.pid)),
            };
        }
        let with_pid = read("core_uses_pid") != "0";
        let cwd = spec.map_or_else(PathBuf::new, |spec| spec.cwd.as_path().to_owned());
        let wanted = cwd.join(expand(&pattern, run.pid, with_pid));
        let ended = UNIX_EPOCH + Duration::from_millis(ended_ms);
        // The beginning is a reading of the wall clock, which may have been set since.
        let began = UNIX_EPOCH + Duration::from_millis(run.from_ms).saturating_sub(CLOCK_STEP);
        let of_this_run = |path: &PathBuf| {
            let modified = path.metadata().and_then(|meta| meta.modified());
            modified.is_ok_and(|at| began <= at && at <= ended + WRITTEN_WITHIN)
        };
        let found = wanted
            .to_str()
            .and_then(|wanted| glob::glob(wanted).ok())
            .and_then(|paths| paths.flatten().find(of_this_run));
        match found {
            Some(path) => Self::File {
                path: Text::from_bytes(path.into_os_string().into_encoded_bytes()),
            },
            None => Self::NotFound { pattern },
        }
    }
}

/// A core pattern as a glob: what it says of the pid is known, all else may be anything.
fn expand(pattern: &str, pid: u32, with_pid: bool) -> String {
    let mut glob = String::new();
    let mut has_pid = false;
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => match letters.next() {
                Some('%') => glob.push('%'),
                Some('p' | 'P') => {
                    has_pid = true;
                    glob.push_str(&pid.to_string());
                }
                Some(_) => glob.push('*'),
                None => {}
            },
            other => glob.push_str(&Pattern::escape(&other.to_string())),
        }
    }
    if with_pid && !has_pid {
        return format!("{glob}.{pid}");
    }
    glob
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::why::past::Past;

    #[test]
    fn a_pattern_names_what_is_known_of_a_core() {
        assert_eq!(expand("core", 7, false), "core");
        assert_eq!(expand("core", 7, true), "core.7");
        assert_eq!(expand("/c/%e-%p-%t", 7, true), "/c/*-7-*");
        assert_eq!(expand("100%%[x]%", 7, false), "100%[[]x[]]");
    }

    #[test]
    fn the_core_of_another_run_is_not_taken_for_this_ones() {
        let directory = tempfile::tempdir().unwrap();
        let now = crate::sys::clock::unix_ms();
        let run = Run {
            run: 1,
            pid: 7,
            from: String::new(),
            to: None,
            from_ms: now + 60_000,
            asked: false,
            ended: None,
        };
        std::fs::write(directory.path().join("core"), "x").unwrap();
        // Whatever the pattern of this machine is: a core that is older than the run is not its.
        let found = CoreDump::find(&run, now + 61_000, None);
        assert!(!matches!(found, CoreDump::File { .. }), "{found:?}");
        assert!(Past::default().runs.is_empty());
    }
}
