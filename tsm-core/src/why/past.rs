//! A history, understood: its runs, and what counts now of all that happened.

use serde::Serialize;

use crate::events::{EventKind, History, OutOfMemory, rfc3339};
use crate::spec::{HealthAction, ProcessSpec};
use crate::supervise::machine::STEADY;
use crate::sys::WaitStatus;
use crate::why::{HitLimit, Unfit};

/// One run of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Its number: 1 for the first.
    pub run: u64,
    /// Its pid.
    pub pid: u32,
    /// When it began, RFC 3339.
    pub from: String,
    /// When it ended, RFC 3339; `None` while it runs.
    pub to: Option<String>,
    /// When it began, Unix milliseconds.
    #[serde(skip)]
    pub from_ms: u64,
    /// Whether somebody asked for its end.
    #[serde(skip)]
    pub asked: bool,
    #[serde(skip)]
    pub(super) ended: Option<Ended>,
}

/// How a run ended, as the history has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) at_ms: u64,
    pub(super) status: String,
    pub(super) uptime_ms: u64,
    pub(super) oom: Option<OutOfMemory>,
    pub(super) limit: Option<HitLimit>,
    pub(super) unfit: Option<Unfit>,
}

impl Run {
    /// Whether it was no failure: it was up for [`STEADY`] and ready, or ended with exit status 0 or because somebody asked.
    pub fn is_well(&self) -> bool {
        let steady = STEADY.as_millis() as u64;
        match &self.ended {
            None => crate::sys::clock::unix_ms().saturating_sub(self.from_ms) >= steady,
            Some(_) if self.asked => true,
            Some(ended) => match ended.unfit {
                Some(Unfit::NotReady { .. }) => false,
                Some(Unfit::Unhealthy { .. }) => ended.uptime_ms >= steady,
                None => {
                    ended.uptime_ms >= steady
                        || WaitStatus::parse(&ended.status).is_some_and(WaitStatus::is_success)
                }
            },
        }
    }
}

/// What counts now of all that happened.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Its runs, oldest first.
    pub runs: Vec<Run>,
    /// The last start, restart or stop that somebody asked for.
    pub request: Option<EventKind>,
    /// Whether TSM started it again by itself since.
    pub started_again: bool,
    /// Whether the last of these was a stop.
    pub stop_asked: bool,
    /// What told the supervisor to end that took it along.
    pub shut_down: Option<String>,
    /// Why it could not be executed.
    pub exec_failed: Option<String>,
    /// What of it did not end.
    pub resists: Option<String>,
    /// After how many restarts in a row it was given up.
    pub gave_up: Option<u32>,
    /// How many runs in a row failed.
    pub failures: u32,
    /// Since when, Unix milliseconds.
    pub failing_since: Option<u64>,
    pub(super) gave_up_ms: Option<u64>,
    /// The limit that a run which goes on has hit, with the run.
    hit: Option<(u64, HitLimit)>,
    /// What the last check of the run that goes on found, where it is not healthy.
    pub(super) unhealthy: Option<String>,
    /// Why TSM ends the run that goes on.
    pub(super) unfit: Option<Unfit>,
    /// Whether what is not healthy is only told of.
    reports: bool,
}

impl Past {
    /// Reads it out of a history.
    pub fn of(history: &History) -> Self {
        Self::of_spec(history, None)
    }

    /// Reads it out of the history of a process with this spec.
    pub(super) fn of_spec(history: &History, spec: Option<&ProcessSpec>) -> Self {
        let health = spec.and_then(|spec| spec.health.as_deref());
        let mut past = Self {
            reports: health.is_some_and(|health| health.action == HealthAction::Report),
            ..Self::default()
        };
        for event in history.events() {
            past.take(&event.kind, event.at_ms().unwrap_or(0));
        }
        past
    }

    /// The last run that is over.
    pub fn last_ended(&self) -> Option<&Run> {
        self.runs.iter().rev().find(|run| run.ended.is_some())
    }

    fn take(&mut self, kind: &EventKind, at_ms: u64) {
        match kind {
            EventKind::StartRequested { .. } | EventKind::RestartRequested { .. } => {
                self.settle();
                self.stop_asked = false;
                self.end_is_asked();
                self.request = Some(kind.clone());
            }
            EventKind::StopRequested { .. } => {
                self.settle();
                self.stop_asked = true;
                self.end_is_asked();
                self.request = Some(kind.clone());
            }
            EventKind::ShutDown { by } => {
                self.settle();
                self.end_is_asked();
                self.shut_down = Some(by.clone());
            }
            EventKind::Started { run, pid } | EventKind::Adopted { run, pid } => {
                self.shut_down = None;
                self.exec_failed = None;
                self.begin(*run, *pid, at_ms);
            }
            EventKind::Exited {
                run,
                pid,
                status,
                uptime_ms,
                oom,
            } => {
                let unfit = self.unfit.take();
                self.unhealthy = None;
                if self.runs.last().is_none_or(|last| last.run != *run) {
                    // The history does not go back to its beginning.
                    self.begin(*run, *pid, at_ms.saturating_sub(*uptime_ms));
                }
                if let Some(last) = self.runs.last_mut() {
                    last.to = Some(rfc3339(at_ms));
                    last.ended = Some(Ended {
                        at_ms,
                        status: status.clone(),
                        uptime_ms: *uptime_ms,
                        oom: oom.clone(),
                        limit: self
                            .hit
                            .take()
                            .filter(|(of, _)| of == run)
                            .map(|(_, hit)| hit),
                        unfit,
                    });
                }
            }
            EventKind::LaunchFailed { reason, .. } => self.exec_failed = Some(reason.clone()),
            EventKind::Backoff { failures, .. } => {
                self.started_again = true;
                self.fails(*failures, at_ms);
            }
            EventKind::LimitHit {
                run,
                limit,
                allowed,
                used,
            } => {
                let hit = HitLimit {
                    limit: limit.clone(),
                    allowed: *allowed,
                    used: *used,
                };
                self.hit = Some((*run, hit));
            }
            EventKind::NotReady { after_ms, reason } => {
                self.unfit = Some(Unfit::NotReady {
                    after_ms: *after_ms,
                    reason: reason.clone(),
                });
            }
            EventKind::Unhealthy { reason } => {
                self.unhealthy = Some(reason.clone());
                let reason = reason.clone();
                self.unfit = (!self.reports).then_some(Unfit::Unhealthy { reason });
            }
            EventKind::Healthy => (self.unhealthy, self.unfit) = (None, None),
            EventKind::GaveUp { failures } => {
                self.gave_up = Some(*failures);
                self.gave_up_ms = Some(at_ms);
                self.fails(failures.saturating_add(1), at_ms);
            }
            EventKind::Resists { members } => self.resists = Some(members.clone()),
            EventKind::Stopped => self.resists = None,
            EventKind::Reset { .. } => (self.failures, self.failing_since) = (0, None),
            _ => {}
        }
    }

    /// Somebody asked for something: what was before does not count any more.
    fn settle(&mut self) {
        // Set anew as a whole, so that a field that is added is forgotten unless it is named here.
        *self = Self {
            runs: std::mem::take(&mut self.runs),
            unhealthy: self.unhealthy.take(),
            unfit: self.unfit.take(),
            reports: self.reports,
            ..Self::default()
        };
    }

    fn end_is_asked(&mut self) {
        if let Some(last) = self.runs.last_mut().filter(|run| run.ended.is_none()) {
            last.asked = true;
        }
    }

    fn begin(&mut self, run: u64, pid: u32, from_ms: u64) {
        if self.runs.last().is_some_and(|last| last.run == run) {
            // Adopted: its beginning is known.
            return;
        }
        (self.unhealthy, self.unfit) = (None, None);
        self.runs.push(Run {
            run,
            pid,
            from: rfc3339(from_ms),
            to: None,
            from_ms,
            asked: false,
            ended: None,
        });
    }

    fn fails(&mut self, failures: u32, at_ms: u64) {
        if failures <= 1 || self.failing_since.is_none() {
            self.failing_since = Some(at_ms);
        }
        self.failures = failures;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Event;

    fn of(kinds: &[(u64, EventKind)]) -> Past {
        let lines: String = kinds
            .iter()
            .map(|(at, kind)| {
                let kind = kind.clone();
                Event {
                    at: rfc3339(*at),
                    kind,
                }
                .to_line()
            })
            .collect();
        Past::of(&History::parse(lines.as_bytes()))
    }

    fn start() -> EventKind {
        let by = "mr from `tsm start`".to_owned();
        EventKind::StartRequested { by }
    }

    fn started(run: u64) -> EventKind {
        EventKind::Started {
            run,
            pid: 70 + run as u32,
        }
    }

    fn exited(run: u64, status: &str, uptime_ms: u64) -> EventKind {
        let (pid, status) = (70 + run as u32, status.to_owned());
        EventKind::Exited {
            run,
            pid,
            status,
            uptime_ms,
            oom: None,
        }
    }

    fn backoff(failures: u32) -> EventKind {
        EventKind::Backoff {
            delay_ms: 1,
            failures,
            slow: false,
        }
    }

    #[test]
    fn a_row_of_failures_is_counted_from_its_first() {
        let past = of(&[
            (1000, start()),
            (1000, started(1)),
            (91_000, exited(1, "code:1", 90_000)),
            (91_000, backoff(1)),
            (91_000, started(2)),
            (92_000, exited(2, "code:1", 1000)),
            (92_000, backoff(2)),
        ]);
        assert_eq!((past.failures, past.failing_since), (2, Some(91_000)));
        assert!(past.runs[0].is_well() && !past.runs[1].is_well());
        assert!(past.started_again);
    }

    #[test]
    fn what_was_asked_for_ends_what_was_before() {
        let stop = EventKind::StopRequested { by: "x".to_owned() };
        let past = of(&[
            (1, start()),
            (1, started(1)),
            (2, exited(1, "code:1", 1)),
            (2, backoff(1)),
            (3, started(2)),
            (4, stop.clone()),
            (5, exited(2, "signal:15", 2)),
            (6, EventKind::Stopped),
        ]);
        assert_eq!((past.failures, past.stop_asked), (0, true));
        assert_eq!(past.request, Some(stop));
        assert!(
            past.runs[1].is_well(),
            "an end that was asked for is no failure"
        );
        assert!(!past.started_again);
    }

    #[test]
    fn what_a_run_was_not_goes_with_its_end() {
        let late = EventKind::NotReady {
            after_ms: 1002,
            reason: None,
        };
        let sick = |reason: &str| EventKind::Unhealthy {
            reason: reason.to_owned(),
        };
        let unfit = |past: &Past, run: usize| past.runs[run].ended.clone().unwrap().unfit;
        let past = of(&[
            (1000, start()),
            (1000, started(1)),
            (2002, late),
            (2003, backoff(1)),
            (2004, exited(1, "code:0", 70_000)),
            (3000, started(2)),
            (4000, sick("no answer")),
            (4001, exited(2, "code:0", 1001)),
            (5000, started(3)),
            (5500, sick("no answer")),
            (5600, EventKind::Healthy),
            (6000, exited(3, "code:0", 1000)),
        ]);
        assert_eq!(
            unfit(&past, 0).unwrap().in_words(),
            "was not ready within 1.0 s"
        );
        assert_eq!(
            unfit(&past, 1).unwrap().in_words(),
            "was not healthy: no answer"
        );
        assert_eq!(unfit(&past, 2), None);
        let well: Vec<bool> = past.runs.iter().map(Run::is_well).collect();
        assert_eq!(well, [false, false, true]);
    }

    #[test]
    fn what_is_only_told_of_is_no_reason_of_an_end() {
        let mut past = Past {
            reports: true,
            ..Past::default()
        };
        let reason = "no answer".to_owned();
        past.take(&started(1), 1);
        past.take(&EventKind::Unhealthy { reason }, 2);
        past.take(&start(), 3);
        assert_eq!(past.unhealthy.as_deref(), Some("no answer"));
        past.take(&exited(1, "code:1", 3), 4);
        assert_eq!(past.runs[0].ended.as_ref().unwrap().unfit, None);
        assert_eq!(past.unhealthy, None);
    }

    #[test]
    fn a_history_that_lost_its_beginning_still_tells_of_its_runs() {
        let past = of(&[(9000, exited(4, "code:1", 3000)), (9000, backoff(4))]);
        assert_eq!((past.runs[0].run, past.runs[0].from_ms), (4, 6000));
        let adopted = EventKind::Adopted { run: 7, pid: 77 };
        let past = of(&[(1, started(7)), (5, adopted), (9, exited(7, "code:0", 8))]);
        assert_eq!(past.runs.len(), 1);
        assert_eq!(past.runs[0].from_ms, 1);
    }
}
