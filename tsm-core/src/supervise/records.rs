//! Records: what the state machine says goes on disk and into the history. Writing waits for no disk: a record is no intent, and what a
//! power cut takes of it is found out again; intent is synced by the worker. What cannot be written is tried again, and lost never.

pub(super) mod histories;

use std::collections::BTreeSet;
use std::time::Duration;

use super::machine::Report;
use super::supervisor::{Ending, Supervisor};
use crate::events::EventKind;
use crate::fail;
use crate::sys::oom::OomCounts;
use crate::sys::{self, clock};
use crate::view::{self, ProcessView};
use histories::Unwritten;

/// How long changes gather before `status.json` is written.
const STATUS_DELAY: Duration = Duration::from_millis(300);
/// How long after a request or a change what it needed is given back.
const TIDY_DELAY: Duration = Duration::from_millis(500);
/// How long that is waited for.
const TIDY_AT_LATEST: Duration = Duration::from_secs(10);
/// How long after a write failed for want of room it is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What is still to be written, and when.
pub(super) struct Records {
    /// Ids whose records could not be written.
    pub(super) unsaved: BTreeSet<u32>,
    /// Events that could not be.
    pub(super) unwritten: Unwritten,
    /// When `status.json` is written.
    pub(super) status_at: Option<Duration>,
    /// When memory and code that nobody needs are given back.
    pub(super) tidy_at: Option<Duration>,
    /// When that is at the latest.
    tidy_by: Option<Duration>,
    /// The code is given back before the next wait.
    pub(super) is_code_idle: bool,
    /// When what could not be written is tried again.
    pub(super) retry_at: Option<Duration>,
    /// How often the OOM killer had been at work when that was last looked at, and when that was.
    pub(super) oom_seen: OomCounts,
    pub(super) oom_seen_ms: u64,
}

impl Records {
    pub(super) fn begin() -> Self {
        Self {
            unsaved: BTreeSet::new(),
            unwritten: Unwritten::default(),
            status_at: None,
            tidy_at: None,
            tidy_by: None,
            is_code_idle: false,
            retry_at: None,
            // The kills before this moment concern none of our runs.
            oom_seen: OomCounts::read(),
            oom_seen_ms: clock::unix_ms(),
        }
    }

    /// When the next of this is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let all = [self.status_at, self.tidy_at, self.retry_at];
        all.into_iter().flatten().min()
    }
}

impl Supervisor {
    pub(super) fn report(&mut self, id: u32, report: Report) {
        let Some(service) = self.services.get(&id) else {
            // Its record is gone, and whoever waits for that still has to hear of it.
            self.answer(id, report);
            return;
        };
        let failures = service.machine.failures;
        let name = service.name.clone();
        match report {
            Report::Started => {
                let event = EventKind::Started {
                    run: service.run(),
                    pid: service.live_pid().unwrap_or(0),
                };
                self.note(id, event);
            }
            Report::Backoff { delay, slow } => {
                self.note_consequence(
                    id,
                    EventKind::Backoff {
                        delay_ms: delay.as_millis() as u64,
                        failures,
                        slow,
                    },
                );
                if slow {
                    self.tell_of_crash_loop(id, failures);
                }
            }
            Report::GaveUp => {
                self.note_consequence(id, EventKind::GaveUp { failures });
                self.log.say(format_args!(
                    "'{name}' is given up after {failures} restarts in a row"
                ));
            }
            Report::Held => self.tell_held(id),
            Report::Stopped => self.note(id, EventKind::Stopped),
            Report::Resists => {
                let members = self.members_in_words(id);
                self.log
                    .say(format_args!("'{name}' resists SIGKILL: {members}"));
                self.note(id, EventKind::Resists { members });
            }
            Report::StartFailed | Report::Ended | Report::Removed => {}
            Report::Ready | Report::NotReady | Report::Healthy | Report::Unhealthy => {
                self.note_vitals(id, report);
                self.untie(id);
            }
        }
        self.answer(id, report);
    }

    /// Writes the record of a process, if it changed.
    pub(super) fn save(&mut self, id: u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        if !service.dirty {
            return;
        }
        fail::point("record");
        match self.writer.write_meta(&service.name, &service.meta) {
            Ok(()) => {
                service.dirty = false;
                self.records.unsaved.remove(&id);
            }
            Err(error) => {
                // Supervision goes on in memory, and the record is written when there is room.
                if self.records.unsaved.insert(id) {
                    self.log
                        .say(format_args!("{error}; going on without, and trying again"));
                }
                self.records.retry_at = Some(clock::monotonic() + RETRY_DELAY);
            }
        }
        self.status_changed();
    }

    pub(super) fn status_changed(&mut self) {
        if self.records.status_at.is_none() {
            self.records.status_at = Some(clock::monotonic() + STATUS_DELAY);
        }
    }

    pub(super) fn write_status_if_due(&mut self) {
        let now = clock::monotonic();
        if self.records.retry_at.is_some_and(|at| at <= now) {
            self.records.retry_at = None;
            let ids: Vec<u32> = self.records.unsaved.iter().copied().collect();
            for id in ids {
                self.save(id);
            }
            self.write_waiting_events();
            self.unblock_logs();
        }
        if self.records.status_at.is_some_and(|at| at <= now) {
            self.records.status_at = None;
            self.write_status();
            self.tell_status();
            self.tidy_later();
        }
        if self.records.tidy_at.is_some_and(|at| at <= now) {
            (self.records.tidy_at, self.records.tidy_by) = (None, None);
            self.continue_guardian();
            sys::trim_memory();
            self.records.is_code_idle = true;
        }
    }

    /// What is being done needs memory and code; after it comes quiet, and both are given back.
    pub(super) fn tidy_later(&mut self) {
        let now = clock::monotonic();
        let by = *self.records.tidy_by.get_or_insert(now + TIDY_AT_LATEST);
        // From the last of it on: what is done right after they were given back would take them again, and keep them.
        self.records.tidy_at = Some(by.min(now + TIDY_DELAY));
    }

    /// Lets blocked logs be tried again in a while.
    pub(super) fn retry_later(&mut self) {
        if self.records.retry_at.is_none() {
            self.records.retry_at = Some(clock::monotonic() + RETRY_DELAY);
        }
    }

    pub(super) fn write_status(&mut self) {
        // Nothing is written into a home that has become another's, even where the kernel could not
        // be asked to say so.
        if self.ending == Ending::No {
            self.look_at_home();
            if self.ending == Ending::HandedOver {
                return;
            }
        }
        let path = self.writer.home().status();
        let views = self
            .services
            .values()
            .map(|s| ProcessView::from_meta(&s.name, &s.meta, self.started_ms));
        if let Err(error) = view::write_status(&path, views) {
            self.log.say(error);
        }
    }
}
