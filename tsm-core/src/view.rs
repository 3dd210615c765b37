//! What is, for people and programs: the records as a reader sees them, with or without a supervisor.
//!
//! An [`Overview`] is all of a home at one moment, and each [`ProcessView`] in it what `tsm list --json` prints of a process. What a record
//! says is compared with what the kernel says: a pid counts only where the process of that pid started when the record says so.

mod document;
mod moments;
mod variables;

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::env::quote;
use crate::env::secret::{cover_command, cover_words};
use crate::error::{IoContext as _, Result};
use crate::events::rfc3339;
use crate::home::Home;
use crate::meta::{Meta, State};
use crate::name::ProcessName;
use crate::probe::{CpuSample, Usages};
use crate::spec::DEFAULT_NAMESPACE;
use crate::store::{Damage, ProcessStore};
use crate::sys::{Identity, Signal, WaitStatus, clock, procfs};
use crate::text::Text;

pub use document::write_status;
pub use moments::Since;
pub use variables::{Difference, Variable, Variables};

/// One process, as `list --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProcessView {
    /// TSM id.
    pub id: u32,
    /// Name.
    pub name: ProcessName,
    /// Namespace.
    pub namespace: String,
    /// `starting`, `running`, `stopping`, `stopped`, `exited`, `backoff`, `failed`, `waiting`, `done` or `unsupervised`.
    pub state: State,
    /// Pid of the main process, while it runs.
    pub pid: Option<u32>,
    /// Declared port.
    pub port: Option<u16>,
    /// How often TSM started it again by itself.
    pub restarts: u64,
    /// When it was last started, RFC 3339.
    pub started_at: Option<String>,
    /// How long it has run, while it runs.
    pub uptime_ms: Option<u64>,
    /// CPU used by its tree, in percent of one core, on average since its start.
    pub cpu_percent: Option<f64>,
    /// Resident memory of its tree.
    pub memory_bytes: Option<u64>,
    /// How it last ended.
    pub exit: Option<ExitView>,
    /// What was started, as typed; secrets are covered.
    pub script: Text,
    /// Its arguments; secrets are covered.
    pub args: Vec<Text>,
    /// Where it runs.
    pub cwd: Text,
    /// `cli`, `service` or `daemon`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it should run.
    pub wanted: bool,
    /// What it waits for before it is started, in words, while it does.
    pub waits: Option<String>,
    /// When it is started again, while it waits for that.
    pub next_start_at: Option<String>,
    /// Whether it crashes again and again and is only tried every few minutes.
    pub slow_lane: bool,
    /// Whether it is ready, while it runs; null where that is not asked for.
    pub ready: Option<bool>,
    /// `starting`, `healthy` or `unhealthy`, while it runs; null where that is not asked for.
    pub health: Option<String>,
    /// What it says of itself.
    pub status_text: Option<String>,
    /// The directory of its cgroup, where it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// When it is due by the clock, RFC 3339.
    pub next_run_at: Option<String>,
    /// When it was last started, Unix seconds.
    #[serde(skip)]
    pub started_s: u64,
    /// When it is started again, Unix milliseconds.
    #[serde(skip)]
    pub next_ms: Option<u64>,
    /// What its CPU usage was measured from.
    #[serde(skip)]
    pub sample: Option<CpuSample>,
    /// Its main process, while it runs.
    #[serde(skip)]
    pub leader: Option<Identity>,
    /// The limits that are lower than asked for, in words.
    #[serde(skip)]
    pub lowered: Option<String>,
    /// Where standard output goes, where not into the home.
    #[serde(skip)]
    pub out_file: Option<Text>,
    /// Where standard error goes, where not into the home; or `same`.
    #[serde(skip)]
    pub err_file: Option<Text>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExitView {
    /// Exit status.
    pub code: Option<i32>,
    /// The signal that ended it, by name.
    pub signal: Option<String>,
    /// When, RFC 3339.
    pub at: Option<String>,
    /// In words.
    pub reason: String,
}

impl ProcessView {
    /// What a record says, taken at its word. `now_ms` is only used for how long it has run.
    pub fn from_meta(name: &ProcessName, meta: &Meta, now_ms: u64) -> Self {
        let status = meta.exit.as_deref().and_then(WaitStatus::parse);
        let reason = meta
            .reason
            .as_deref()
            .map(|reason| String::from_utf8_lossy(reason).into_owned());
        let is_waiting = meta.state == Some(State::Waiting);
        let (waits, reason) = if is_waiting {
            (reason, None)
        } else {
            (None, reason)
        };
        let exit = status.map(|status| ExitView {
            code: if let WaitStatus::Code(code) = status {
                Some(code)
            } else {
                None
            },
            signal: if let WaitStatus::Signal { number, .. } = status {
                Some(
                    Signal::from_number(number)
                        .map_or_else(|| number.to_string(), |signal| signal.to_string()),
                )
            } else {
                None
            },
            at: meta.exit_ms.map(rfc3339),
            reason: reason.clone().unwrap_or_else(|| status.in_words()),
        });
        // A launch that failed, or a reboot, is a reason without a status.
        let exit = exit.or_else(|| {
            let reason = reason.filter(|_| meta.pid.is_none())?;
            Some(ExitView {
                code: None,
                signal: None,
                at: meta.exit_ms.map(rfc3339),
                reason,
            })
        });
        // A record that says of no state (the original TSM wrote none) tells nothing of a process that is there now.
        let is_up = matches!(
            meta.state,
            Some(State::Starting | State::Running | State::Stopping)
        );
        let pid = meta.pid.filter(|_| is_up);
        let started_ms = meta
            .started_ms
            .or((meta.start_time > 0).then_some(meta.start_time * 1000));
        let args = meta
            .args
            .as_deref()
            .map(|args| quote::split_words(args).unwrap_or_default())
            .unwrap_or_default();
        Self {
            id: meta.id,
            name: name.clone(),
            namespace: meta
                .namespace
                .clone()
                .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            state: meta.state.clone().unwrap_or(State::Stopped),
            pid,
            port: meta.port,
            restarts: meta.restarts.unwrap_or(0),
            started_at: started_ms.map(rfc3339),
            uptime_ms: pid
                .and(started_ms)
                .map(|started| now_ms.saturating_sub(started)),
            cpu_percent: None,
            memory_bytes: None,
            exit,
            script: covered(&meta.script),
            args: covered_words(args),
            cwd: Text::from_bytes(meta.cwd.clone()),
            kind: meta.kind.as_str().to_owned(),
            wanted: meta.desired.as_deref() == Some("up"),
            waits,
            next_start_at: meta.next_ms.map(rfc3339),
            slow_lane: meta.slow.unwrap_or(false),
            ready: meta.ready.filter(|_| pid.is_some()),
            health: meta.health.clone().filter(|_| pid.is_some()),
            next_run_at: meta.due_ms.map(rfc3339),
            status_text: meta
                .status
                .as_deref()
                .filter(|_| pid.is_some())
                .map(|status| String::from_utf8_lossy(status).into_owned()),
            cgroup: meta.cgroup.clone(),
            started_s: started_ms.unwrap_or(0) / 1000,
            next_ms: meta.next_ms,
            sample: None,
            leader: None,
            lowered: meta.lowered.clone(),
            out_file: meta.out_file.clone().map(Text::from_bytes),
            err_file: meta.err_file.clone().map(Text::from_bytes),
        }
    }

    /// The live files of both streams; `None` for a stream that has none of its own.
    pub fn log_files(&self, home: &Home) -> (Option<PathBuf>, Option<PathBuf>) {
        let bytes = |file: &'_ Option<Text>| file.as_ref().map(|file| file.as_bytes().to_vec());
        let (out, err) = (bytes(&self.out_file), bytes(&self.err_file));
        home.log_files(&self.name, out.as_deref(), err.as_deref())
    }

    /// The live file that standard error goes into, which may be that of standard output.
    pub fn error_log(&self, home: &Home) -> Option<PathBuf> {
        let (out, err) = self.log_files(home);
        err.or_else(|| out.filter(|_| self.is_error_in_output()))
    }

    /// Whether standard error goes where standard output goes.
    pub fn is_error_in_output(&self) -> bool {
        let file = self.err_file.as_ref();
        file.is_some_and(|file| file.as_bytes() == b"same")
    }
}

impl ProcessView {
    /// Whether it is ready, and how healthy, in a word; nothing where that is not asked for.
    pub fn condition(&self) -> Option<&str> {
        match (self.ready, &self.health) {
            (Some(false), _) => Some("not ready"),
            (_, Some(health)) => Some(health),
            (Some(true), None) => Some("ready"),
            (None, None) => None,
        }
    }

    /// Whether it is known how it last ended.
    pub fn exit_is_known(&self) -> bool {
        let exit = self.exit.as_ref();
        exit.is_some_and(|exit| exit.code.is_some() || exit.signal.is_some())
    }
}

/// With less room than this, records and logs cannot be written much longer.
const SMALLEST_ROOM: u64 = 64 << 10;

/// Whether the disk has no room left for records and logs of a home.
pub fn is_disk_full(home: &Home) -> bool {
    let room = crate::sys::free_bytes(home.root());
    room.is_ok_and(|bytes| bytes < SMALLEST_ROOM)
}

/// Why what is printed cannot be written into a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTrouble {
    /// Its file system has no room left.
    NoRoom,
    /// It is not there.
    Gone,
}

/// Directories outside of the home that logs of these processes are in, and that nothing can be written into.
pub fn troubled_log_directories(views: &[ProcessView], home: &Home) -> Vec<(PathBuf, LogTrouble)> {
    let elsewhere = views
        .iter()
        .filter(|view| view.out_file.is_some() || view.err_file.is_some());
    let files = elsewhere.flat_map(|view| {
        let (out, err) = view.log_files(home);
        let files = out.into_iter().chain(err);
        files.map(|file| (file, view.pid.is_some()))
    });
    let mut found: Vec<(PathBuf, LogTrouble)> = Vec::new();
    for (file, runs) in files {
        let Some(directory) = file.parent().filter(|at| !at.starts_with(home.root())) else {
            continue;
        };
        if found.iter().any(|(known, _)| known == directory) {
            continue;
        }
        let trouble = match crate::sys::room(directory) {
            Ok(room) if room.all_bytes > 0 && room.free_bytes < SMALLEST_ROOM => LogTrouble::NoRoom,
            // Of one that does not run, it is made anew or refused when that is started.
            Err(error) if runs && error.kind() == std::io::ErrorKind::NotFound => LogTrouble::Gone,
            _ => continue,
        };
        found.push((directory.to_owned(), trouble));
    }
    found
}

/// All records of a home at one moment.
///
/// ```
/// use tsm_core::home::Home;
/// use tsm_core::store::ProcessStore;
/// use tsm_core::view::Overview;
///
/// # let directory = tempfile::tempdir()?;
/// let store = ProcessStore::new(Home::at(directory.path().join("home")));
/// let overview = Overview::with_usage(&store)?;
/// for view in &overview.processes {
///     println!("{} is {}, with {:?} bytes", view.name, view.state, view.memory_bytes);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Overview {
    /// The processes, by id.
    pub processes: Vec<ProcessView>,
    /// What could not be read.
    pub damaged: Vec<Damage>,
    /// Whether a supervisor has the home in hand.
    pub supervised: bool,
    /// Whether the disk has no room left for records and logs.
    pub disk_full: bool,
}

impl Overview {
    /// Reads the files; needs no supervisor and starts none. Measures neither CPU nor memory: see [`Self::with_usage`].
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where the home cannot be read at all.
    pub fn read(store: &ProcessStore) -> Result<Self> {
        let look = Look::at(store);
        let supervised = look.supervised;
        let see = |name: ProcessName, meta: Meta| look.see(&name, &meta);
        let (mut processes, damaged) = store.records_in_parallel(see)?;
        // Views are large: the keys are sorted, and each view is moved once.
        processes.sort_by_cached_key(|view| view.id);
        let disk_full = is_disk_full(store.home());
        Ok(Self {
            processes,
            damaged,
            supervised,
            disk_full,
        })
    }

    /// As [`Self::read`], with the memory (bytes) and the CPU time (percent of one core) of each process and its children.
    ///
    /// # Errors
    /// As [`Self::read`]; [`crate::error::Error::System`] where `/proc` cannot be read.
    pub fn with_usage(store: &ProcessStore) -> Result<Self> {
        let mut overview = Self::read(store)?;
        let usages = Usages::of(&overview.processes).doing("read /proc")?;
        for view in &mut overview.processes {
            if let Some(usage) = usages.get(view.id) {
                view.memory_bytes = Some(usage.memory_bytes);
                view.cpu_percent = Some(usage.cpu_percent);
                view.sample = Some(usage.sample);
            }
        }
        Ok(overview)
    }

    /// What was measured now, for the supervisor to keep.
    pub fn samples(&self) -> Vec<CpuSample> {
        self.processes
            .iter()
            .filter_map(|view| view.sample)
            .collect()
    }

    /// Tells CPU usage since the samples that the supervisor had, instead of since the start.
    pub fn compare(&mut self, earlier: &[CpuSample]) {
        let earlier: HashMap<u32, &CpuSample> =
            earlier.iter().map(|sample| (sample.id, sample)).collect();
        for view in &mut self.processes {
            let percent = view
                .sample
                .and_then(|now| now.percent_since(earlier.get(&view.id)?));
            view.cpu_percent = percent.or(view.cpu_percent);
        }
    }
}

/// One moment at which records are seen: whether what they say is kept up to date, and if not, what it is judged by.
pub(crate) struct Look {
    pub(crate) supervised: bool,
    now_ms: u64,
    boot: Option<String>,
}

impl Look {
    pub(crate) fn at(store: &ProcessStore) -> Self {
        let supervised = store.is_supervised();
        Self {
            supervised,
            now_ms: clock::unix_ms(),
            // The kernel is asked only where nobody keeps the records up to date.
            boot: (!supervised).then(procfs::boot_id).and_then(Result::ok),
        }
    }

    /// A process as its record and, where need be, the kernel tell.
    pub(crate) fn see(&self, name: &ProcessName, meta: &Meta) -> ProcessView {
        let mut view = ProcessView::from_meta(name, meta, self.now_ms);
        let identity = meta
            .pid
            .zip(meta.ticks)
            .map(|(pid, start)| Identity { pid, start });
        if !self.supervised {
            judge_unsupervised(&mut view, meta, identity, self.boot.as_deref());
        }
        view.leader = identity.filter(|_| view.pid.is_some());
        view
    }
}

/// A script as it may be shown: it may be a whole command line, with a token in it.
fn covered(script: &[u8]) -> Text {
    // Most are plain paths, and there may be thousands.
    let is_plain = !script.iter().any(|b| matches!(b, b'=' | b':' | b' '));
    match std::str::from_utf8(script).ok().filter(|_| !is_plain) {
        Some(line) => Text::from(cover_command(line).into_owned()),
        None => Text::from_bytes(script),
    }
}

fn covered_words(words: Vec<Vec<u8>>) -> Vec<Text> {
    // Text that is not UTF-8 stays as it is.
    let covered = cover_words(words.iter().map(|word| String::from_utf8_lossy(word)));
    let both = words.into_iter().zip(covered);
    both.map(|(word, covered)| match std::str::from_utf8(&word) {
        Ok(_) => Text::from(covered),
        Err(_) => Text::from_bytes(word),
    })
    .collect()
}

/// Nobody keeps the records up to date: what they say of running processes is checked against the kernel.
fn judge_unsupervised(
    view: &mut ProcessView,
    meta: &Meta,
    identity: Option<Identity>,
    boot: Option<&str>,
) {
    if view.state == State::Waiting && meta.boot.as_deref() != boot {
        view.state = State::Stopped;
    }
    let was_up = matches!(
        view.state,
        State::Starting | State::Running | State::Stopping | State::Backoff
    );
    if !was_up {
        return;
    }
    let this_boot = meta
        .boot
        .as_deref()
        .is_some_and(|recorded| Some(recorded) == boot);
    let alive = this_boot
        && identity.is_some_and(|identity| {
            procfs::process(identity.pid).is_some_and(|p| p.identity == identity && !p.ended)
        });
    view.next_start_at = None;
    view.next_ms = None;
    if alive {
        view.state = State::Unsupervised;
        return;
    }
    view.pid = None;
    view.uptime_ms = None;
    let reason = if this_boot {
        WaitStatus::Unknown.in_words()
    } else {
        "reboot".to_owned()
    };
    // In back-off nothing ran that could have died.
    let died = this_boot && view.state != State::Backoff;
    view.state = if died { State::Failed } else { State::Stopped };
    view.exit = Some(ExitView {
        code: None,
        signal: None,
        at: None,
        reason,
    });
}
