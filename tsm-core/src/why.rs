//! Why a process is in the state that it is in: the cause, and the evidence for it.
//!
//! All of it is found out from the files of the home, when somebody asks; the words are the caller's.

mod changes;
mod core_dump;
mod log_loss;
mod past;
mod stderr;
mod unfit;

use serde::Serialize;

pub use self::changes::{Change, FileChange};
pub use self::core_dump::CoreDump;
pub use self::log_loss::{HowLost, LogLoss};
pub use self::past::{Past, Run};
pub use self::unfit::Unfit;
use crate::error::Result;
use crate::events::{EventKind, OutOfMemory};
use crate::meta::State;
use crate::name::ProcessName;
use crate::spec::ProcessSpec;
use crate::store::ProcessStore;
use crate::sys::{Signal, WaitStatus};
use crate::text::Text;
use crate::view::ProcessView;
use crate::words;

/// Why a process is in the state that it is in.
#[derive(Clone, Debug, Serialize)]
pub struct Why {
    /// Its TSM id.
    pub id: u32,
    /// Its name.
    pub name: ProcessName,
    /// Its state, as `list` has it.
    pub state: State,
    /// Its pid, while it runs.
    pub pid: Option<u32>,
    /// Whether it is as its operator wants it: it runs and did not just crash, or it was stopped or has done its work.
    pub well: bool,
    /// What brought it into this state.
    pub cause: Cause,
    /// How its last run that is over ended.
    pub end: Option<End>,
    /// How many runs in a row failed; 0 where the last one did not.
    pub failures: u32,
    /// Since when they do, RFC 3339, as far back as its history goes.
    pub failing_since: Option<String>,
    /// When it is started again, RFC 3339, while it waits for that.
    pub next_start_at: Option<String>,
    /// The last run that was not a failure.
    pub ran_well: Option<Run>,
    /// What is different since that run began, and what is missing altogether.
    pub changes: Vec<Change>,
    /// The last lines that the run that [`Why::end`] tells of wrote to standard error, or what runs, where that is what the
    /// cause is of.
    pub stderr: Vec<Text>,
    /// Whether some of these lines may be of the run before: nothing tells them apart.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stderr_of_before: bool,
    /// What its logs have lost.
    pub log_losses: Vec<LogLoss>,
}

/// What brought a process into its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// It was not started yet, or its history does not go back so far.
    Unknown,
    /// It is to be started, and what it needs of others is not there, or its time has not come.
    Waiting {
        /// What it waits for, in words.
        reason: String,
    },
    /// It is being started.
    Starting {
        /// By whom; `None` where TSM does so by itself.
        by: Option<String>,
    },
    /// It runs.
    Running {
        /// Since when, RFC 3339.
        since: Option<String>,
        /// Who asked for it; `None` where TSM started it again by itself.
        by: Option<String>,
        /// What the last check found, while it is not healthy.
        #[serde(skip_serializing_if = "Option::is_none")]
        unhealthy: Option<String>,
    },
    /// It is being ended.
    Stopping {
        /// By whom; `None` where TSM does so by itself.
        by: Option<String>,
        /// What it was not, where TSM does so by itself for that.
        #[serde(skip_serializing_if = "Option::is_none")]
        unfit: Option<Unfit>,
    },
    /// Something of it does not end.
    Resists {
        /// Pids and programs.
        members: String,
    },
    /// Somebody stopped it.
    Stopped {
        /// Who.
        by: Option<String>,
    },
    /// It ended with its supervisor.
    ShutDown {
        /// What told the supervisor to end.
        by: String,
    },
    /// It ended by itself, and its restart policy leaves it so.
    Ended {
        /// The policy: `no`, `on-failure`, `always`.
        policy: Option<String>,
    },
    /// Its program could not be executed.
    ExecFailed {
        /// The exact reason.
        reason: String,
    },
    /// It ended and waits to be started again.
    Backoff {
        /// Whether it crashes again and again and is only tried every few minutes.
        slow: bool,
    },
    /// It is not started again.
    GaveUp {
        /// After this many restarts in a row …
        restarts: u32,
        /// … in so many milliseconds, where its history goes back so far.
        within_ms: Option<u64>,
    },
    /// The machine went down while it ran.
    Rebooted,
    /// It ended while no supervisor was there.
    EndedUnseen,
    /// It runs, and nobody looks after it.
    Unsupervised,
}

impl Cause {
    /// Whether it is of what runs, and not of how a run ended; `failures`: how many runs in a row have failed.
    pub fn is_of_what_runs(&self, failures: u32) -> bool {
        match self {
            Self::Unsupervised | Self::Stopping { .. } => true,
            Self::Running { .. } => failures == 0,
            _ => false,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// Which run.
    pub run: u64,
    /// Its pid.
    pub pid: u32,
    /// When, RFC 3339.
    pub at: String,
    /// How long after its start, in milliseconds.
    pub uptime_ms: u64,
    /// Its exit status, where it had one.
    pub code: Option<i32>,
    /// The signal that ended it, by name.
    pub signal: Option<String>,
    /// What the kernel's OOM killer had to do with it.
    pub oom: Option<OutOfMemory>,
    /// The limit that it hit before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<HitLimit>,
    /// What it was not, where TSM ended it for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfit: Option<Unfit>,
    /// Where its core is, where one was dumped.
    pub core: Option<CoreDump>,
    /// How it ended, in words.
    pub reason: String,
}

/// A limit that a run hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HitLimit {
    /// `memory` (bytes) or `tasks`.
    pub limit: String,
    /// What it may use, in bytes or tasks.
    pub allowed: u64,
    /// What it used, in the same unit, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
}

impl Why {
    /// Finds out why the process that `view` shows is as it is.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where its history cannot be read. What else cannot be read is left out.
    ///
    /// ```
    /// use tsm_core::home::Home;
    /// use tsm_core::store::ProcessStore;
    /// use tsm_core::view::Overview;
    /// use tsm_core::why::{Cause, Why};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let store = ProcessStore::new(Home::at(directory.path().join("home")));
    /// for view in &Overview::read(&store)?.processes {
    ///     let why = Why::find(&store, view)?;
    ///     if let Cause::Backoff { slow: true } = why.cause {
    ///         println!("{} crashes again and again: {:?}", why.name, why.stderr);
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find(store: &ProcessStore, view: &ProcessView) -> Result<Self> {
        let history = store.history(&view.name)?;
        let spec = store
            .spec(&view.name)
            .ok()
            .flatten()
            .map(|saved| saved.spec);
        let past = Past::of_spec(&history, spec.as_ref());
        let cause = cause(view, &past, spec.as_ref());
        let last = past.runs.last();
        let end = past.runs.iter().rev().find_map(|run| {
            let ended = run.ended.as_ref()?;
            Some(end_of(run, ended, spec.as_ref()))
        });
        let ended_well = past.last_ended().is_none_or(Run::is_well);
        let well = match &cause {
            Cause::Running {
                unhealthy: Some(_), ..
            }
            | Cause::Stopping { unfit: Some(_), .. } => false,
            Cause::Running { .. } => {
                last.is_some_and(Run::is_well) || past.failures == 0 || ended_well
            }
            Cause::Stopped { .. }
            | Cause::Waiting { .. }
            | Cause::Starting { .. }
            | Cause::Stopping { .. } => true,
            Cause::Ended { .. } => ended_well && end.as_ref().is_none_or(|end| end.unfit.is_none()),
            Cause::Unknown | Cause::ShutDown { .. } => !view.wanted,
            _ => false,
        };
        let ran_well = past.runs.iter().rev().find(|run| run.is_well()).cloned();
        let changes = if well {
            Vec::new()
        } else {
            changes::find(store, view, spec.as_ref(), &history, ran_well.as_ref())
        };
        // What runs after an end is not what is told of, unless it is itself what is wrong.
        let goes_on = cause.is_of_what_runs(past.failures);
        let (stderr, stderr_of_before) =
            stderr::last_lines(store, view, &past, spec.as_ref(), goes_on);
        Ok(Self {
            id: view.id,
            name: view.name.clone(),
            state: view.state.clone(),
            pid: view.pid,
            well,
            failures: past.failures,
            failing_since: past.failing_since.map(crate::events::rfc3339),
            next_start_at: view.next_start_at.clone(),
            stderr,
            stderr_of_before,
            log_losses: LogLoss::all(&history),
            cause,
            end,
            ran_well,
            changes,
        })
    }
}

fn cause(view: &ProcessView, past: &Past, spec: Option<&ProcessSpec>) -> Cause {
    let by = |request: &Option<EventKind>| match request {
        Some(
            EventKind::StartRequested { by }
            | EventKind::RestartRequested { by }
            | EventKind::StopRequested { by },
        ) => Some(by.clone()),
        _ => None,
    };
    let rebooted = view
        .exit
        .as_ref()
        .is_some_and(|exit| exit.code.is_none() && exit.reason == "reboot");
    match &view.state {
        State::Starting => Cause::Starting {
            by: by(&past.request).filter(|_| !past.started_again),
        },
        State::Running => Cause::Running {
            since: view.started_at.clone(),
            by: by(&past.request).filter(|_| !past.started_again),
            unhealthy: (view.health.as_deref() == Some("unhealthy"))
                .then(|| past.unhealthy.clone().unwrap_or_default()),
        },
        State::Waiting => match (&view.waits, &view.next_run_at) {
            (Some(reason), _) => Cause::Waiting {
                reason: reason.clone(),
            },
            (None, Some(at)) => Cause::Waiting {
                reason: format!("waits for its time, {}", words::local_rfc3339(at)),
            },
            (None, None) => Cause::Unknown,
        },
        State::Unsupervised => Cause::Unsupervised,
        State::Stopping => {
            if let Some(members) = &past.resists {
                return Cause::Resists {
                    members: members.clone(),
                };
            }
            let unfit = past.unfit.clone().filter(|_| !past.stop_asked);
            let by = by(&past.request).filter(|_| unfit.is_none());
            Cause::Stopping { by, unfit }
        }
        State::Backoff => match &past.exec_failed {
            Some(reason) => Cause::ExecFailed {
                reason: reason.clone(),
            },
            None => Cause::Backoff {
                slow: view.slow_lane,
            },
        },
        _ if rebooted => Cause::Rebooted,
        State::Stopped => match (&past.shut_down, by(&past.request)) {
            (Some(by), _) => Cause::ShutDown { by: by.clone() },
            (None, by) if past.stop_asked => Cause::Stopped { by },
            (None, _) => Cause::Unknown,
        },
        State::Exited | State::Failed => match (&past.gave_up, &past.exec_failed) {
            (Some(restarts), _) => Cause::GaveUp {
                restarts: *restarts,
                within_ms: past
                    .failing_since
                    .zip(past.gave_up_ms)
                    .map(|(since, at)| at.saturating_sub(since)),
            },
            (None, Some(reason)) => Cause::ExecFailed {
                reason: reason.clone(),
            },
            (None, None) if past.last_ended().is_some() && view.exit_is_known() => Cause::Ended {
                policy: spec.map(|spec| spec.restart.to_string()),
            },
            (None, None) if view.state == State::Failed => Cause::EndedUnseen,
            (None, None) => Cause::Unknown,
        },
        _ => Cause::Unknown,
    }
}

fn end_of(run: &Run, ended: &past::Ended, spec: Option<&ProcessSpec>) -> End {
    let status = WaitStatus::parse(&ended.status).unwrap_or(WaitStatus::Unknown);
    let (code, signal, dumped) = match status {
        WaitStatus::Code(code) => (Some(code), None, false),
        WaitStatus::Signal { number, core } => {
            let name =
                Signal::from_number(number).map_or_else(|| number.to_string(), |s| s.to_string());
            (None, Some(name), core)
        }
        WaitStatus::Unknown => (None, None, false),
    };
    let core = dumped.then(|| CoreDump::find(run, ended.at_ms, spec));
    End {
        run: run.run,
        pid: run.pid,
        at: crate::events::rfc3339(ended.at_ms),
        uptime_ms: ended.uptime_ms,
        code,
        signal,
        oom: ended.oom.clone(),
        limit: ended.limit.clone(),
        unfit: ended.unfit.clone(),
        core,
        reason: match &ended.unfit {
            Some(unfit) => format!("{}; {}", unfit.in_words(), status.in_words()),
            None => status.in_words(),
        },
    }
}
