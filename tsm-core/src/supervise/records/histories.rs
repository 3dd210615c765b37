//! Histories that lose nothing: what could not be written waits for room, and what a supervisor that died had done and
//! not noted any more is noted by the next one.

use std::collections::VecDeque;

use crate::events::{Event, EventKind, History, OutOfMemory, rfc3339};
use crate::fail;
use crate::meta::{Meta, State};
use crate::name::ProcessName;
use crate::supervise::machine::{Machine, Phase, Rest, SLOW_AFTER};
use crate::supervise::supervisor::Supervisor;
use crate::sys::oom::{self, OomCounts};
use crate::sys::{WaitStatus, clock};

/// How many events wait at most for room on the disk.
const MOST_WAITING: usize = 4096;
/// What is read of a history to find out how it ends, in bytes.
const END: u64 = 4 << 10;

/// Events that the disk had no room for, oldest first.
#[derive(Default)]
pub(in crate::supervise) struct Unwritten {
    events: VecDeque<(ProcessName, Event)>,
    told: bool,
}

impl Unwritten {
    fn waits_for(&self, name: &ProcessName) -> bool {
        self.events.iter().any(|(waiting, _)| waiting == name)
    }

    /// Whether nothing waits.
    pub(in crate::supervise) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// A process was deleted: nothing of it is written any more.
    pub(in crate::supervise) fn forget(&mut self, name: &ProcessName) {
        self.events.retain(|(waiting, _)| waiting != name);
    }
}

impl Supervisor {
    /// Appends to the history of a process.
    pub(in crate::supervise) fn note(&mut self, id: u32, kind: EventKind) {
        self.note_event(id, Event::now(kind));
    }

    fn note_event(&mut self, id: u32, event: Event) {
        self.tell_of_event(id, &event);
        let Some(service) = self.services.get(&id) else {
            return;
        };
        // In their order: behind what waits already.
        if !self.records.unwritten.waits_for(&service.name) {
            fail::point("note");
            match self.writer.append_event(&service.name, &event) {
                Ok(()) => return fail::point("noted"),
                Err(error) => {
                    // Told once, until all of it is written.
                    if !std::mem::replace(&mut self.records.unwritten.told, true) {
                        self.log
                            .say(format_args!("{error}; what happens waits in memory"));
                    }
                }
            }
        }
        // A disk that stays full must not eat the memory of the supervisor: the oldest go first.
        if self.records.unwritten.events.len() >= MOST_WAITING {
            self.records.unwritten.events.pop_front();
        }
        let name = service.name.clone();
        self.records.unwritten.events.push_back((name, event));
        self.retry_later();
    }

    /// Writes the events that waited for room.
    pub(in crate::supervise) fn write_waiting_events(&mut self) {
        let mut blocked: Vec<ProcessName> = Vec::new();
        // An event that cannot be written holds up the later ones of its process, so that a history
        // keeps its order.
        for (name, event) in std::mem::take(&mut self.records.unwritten.events) {
            if blocked.contains(&name) || self.writer.append_event(&name, &event).is_err() {
                if !blocked.contains(&name) {
                    blocked.push(name.clone());
                }
                self.records.unwritten.events.push_back((name, event));
            }
        }
        if self.records.unwritten.events.is_empty() {
            self.records.unwritten.told = false;
        } else {
            self.retry_later();
        }
    }

    /// How the history of a process ends.
    fn end_of_history(&self, id: u32) -> History {
        let Some(service) = self.services.get(&id) else {
            return History::default();
        };
        let path = self.writer.home().events(&service.name);
        // A history that cannot be read tells nothing; at worst something is noted twice.
        History::read_last(&path, END).unwrap_or_default()
    }

    /// Notes what somebody asked for; a command that asks again, because the supervisor died, asked once.
    pub(in crate::supervise) fn note_request(&mut self, id: u32, kind: EventKind, resumed: bool) {
        if resumed {
            // The supervisor that died may have noted the request before it died, or not.
            let history = self.end_of_history(id);
            let noted = history.events().rev().find(|event| event.kind.is_request());
            if noted.is_some_and(|event| event.kind == kind) {
                return;
            }
        }
        self.note(id, kind);
    }

    /// Notes the end of a run, unless a supervisor that died right then had done so.
    pub(in crate::supervise) fn note_exit(
        &mut self,
        id: u32,
        pid: u32,
        status: WaitStatus,
        uptime_ms: u64,
    ) {
        let oom = self.out_of_memory(id, status);
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let run = service.run();
        let started_ms = service.meta.started_ms;
        // Only of a run that another supervisor had watched can the end be noted already.
        let adopted = service.leader.as_ref().is_none_or(|leader| !leader.child);
        if adopted {
            let history = self.end_of_history(id);
            let is_of = |event: &Event| matches!(event.kind, EventKind::Exited { run: of, .. } if of == run);
            if history.events().any(is_of) {
                return;
            }
            self.note_start_if_missing(id, &history, run, pid, started_ms);
        }
        self.note(
            id,
            EventKind::Exited {
                run,
                pid,
                status: status.to_string(),
                uptime_ms,
                oom,
            },
        );
    }

    /// Notes what follows from the end of a run, unless a supervisor that died right then had done so.
    pub(super) fn note_consequence(&mut self, id: u32, kind: EventKind) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        // What this supervisor has begun, no other can have noted.
        if !service.begun_here {
            let run = service.run();
            let history = self.end_of_history(id);
            let mut after = history
                .events()
                .rev()
                .take_while(|event| event.kind.run() != Some(run));
            let same = |event: &Event| {
                std::mem::discriminant(&event.kind) == std::mem::discriminant(&kind)
            };
            if after.any(same) {
                return;
            }
        }
        self.note(id, kind);
    }

    fn note_start_if_missing(
        &mut self,
        id: u32,
        history: &History,
        run: u64,
        pid: u32,
        started_ms: Option<u64>,
    ) {
        let is_start =
            |event: &Event| matches!(event.kind, EventKind::Started { run: of, .. } if of == run);
        // Where nothing of the run before it was read, its beginning may be further back.
        let is_of_earlier = |event: &Event| event.kind.run().is_some_and(|of| of < run);
        let goes_back = history.whole || history.events().any(is_of_earlier);
        if goes_back && !history.events().any(is_start) {
            let at = started_ms.map_or_else(|| rfc3339(clock::unix_ms()), rfc3339);
            let kind = EventKind::Started { run, pid };
            self.note_event(id, Event { at, kind });
        }
    }

    /// Notes what the supervisor before had done and died before it could note it.
    pub(in crate::supervise) fn complete_history(
        &mut self,
        id: u32,
        was: Option<&State>,
        executed: Option<u32>,
    ) {
        let history = self.end_of_history(id);
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let (run, started_ms) = (service.run(), service.meta.started_ms);
        let missing = missing(&history, was, &service.meta, &service.machine);
        if let Some(pid) = executed {
            self.note_start_if_missing(id, &history, run, pid, started_ms);
        }
        if let Some(kind) = missing {
            self.note(id, kind);
        }
    }

    /// What the OOM killer had to do with an end that nobody asked for.
    fn out_of_memory(&mut self, id: u32, status: WaitStatus) -> Option<OutOfMemory> {
        const KILL: i32 = 9;
        let service = self.services.get(&id)?;
        let killed = matches!(status, WaitStatus::Signal { number: KILL, .. });
        // While the service is being ended, the SIGKILL was ours.
        if !killed || matches!(service.machine.phase, Phase::Ending { .. }) {
            return None;
        }
        // The service's own group knows for certain.
        if self.kills_in_group(id).is_some() {
            return self.out_of_memory_in_group(id);
        }
        let (before, since) = (self.records.oom_seen, self.records.oom_seen_ms);
        let now = OomCounts::read();
        (self.records.oom_seen, self.records.oom_seen_ms) = (now, clock::unix_ms());
        // Without a group of its own, a count that has risen since the last look is all there is to
        // go by.
        if now.group <= before.group && now.machine <= before.machine {
            return None;
        }
        let limit_bytes = if now.group > before.group {
            oom::limit_of_own_group()
        } else {
            None
        };
        Some(OutOfMemory {
            limit_bytes,
            since: Some(rfc3339(since)),
        })
    }

    /// Tells once that a process has begun to crash again and again, and why.
    pub(super) fn tell_of_crash_loop(&mut self, id: u32, failures: u32) {
        if failures != SLOW_AFTER + 1 {
            return;
        }
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let reason = service.meta.reason.as_deref().unwrap_or_default();
        let reason = String::from_utf8_lossy(reason).into_owned();
        let notice = format!(
            "'{0}' crashes again and again: {reason}, {failures} times in a row; it is tried every 5 min from now on; 'tsm why {0}'",
            service.name
        );
        self.log.say(&notice);
        self.notices.push(notice);
        self.note_consequence(id, EventKind::CrashLoop { failures, reason });
    }
}

/// The last event, where it should be in a history that ends like this and is not: a record is written before what it says
/// is noted. `was` is the state on record.
fn missing(
    history: &History,
    was: Option<&State>,
    meta: &Meta,
    machine: &Machine,
) -> Option<EventKind> {
    let last = history.events().next_back()?;
    let after_an_end = matches!(
        last.kind,
        EventKind::Exited { .. } | EventKind::LaunchFailed { .. }
    );
    let failures = machine.failures;
    match was {
        Some(State::Backoff) if after_an_end => {
            let now = clock::unix_ms();
            Some(EventKind::Backoff {
                delay_ms: meta.next_ms.unwrap_or(now).saturating_sub(now),
                failures,
                slow: meta.slow.unwrap_or(false),
            })
        }
        Some(State::Failed)
            if after_an_end
                && machine.has_failed()
                && machine
                    .policy
                    .max_restarts
                    .is_some_and(|max| failures >= max) =>
        {
            Some(EventKind::GaveUp { failures })
        }
        // Exits and adoptions may stand between the request and what settled it.
        Some(State::Stopped) if machine.phase == Phase::Resting(Rest::Stopped) => {
            let mut back = history.events().rev();
            let settled = back.find(|event| {
                !matches!(
                    event.kind,
                    EventKind::Exited { .. } | EventKind::Adopted { .. }
                )
            });
            settled
                .is_some_and(|event| {
                    matches!(
                        event.kind,
                        EventKind::StopRequested { .. } | EventKind::ShutDown { .. }
                    )
                })
                .then_some(EventKind::Stopped)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RestartPolicy;
    use crate::supervise::machine::{Backoff, Desired, HookSet, Policy};
    use std::time::Duration;

    fn machine(phase: Phase) -> Machine {
        let policy = Policy {
            restart: RestartPolicy::OnFailure,
            max_restarts: Some(3),
            stop_timeout: Duration::ZERO,
            hooks: HookSet::default(),
            backoff: Backoff::default(),
        };
        let mut machine = Machine::new(policy, Desired::Up, phase);
        machine.failures = 3;
        machine
    }

    fn history(kinds: &[EventKind]) -> History {
        let lines: String = kinds
            .iter()
            .map(|kind| Event::now(kind.clone()).to_line())
            .collect();
        History::parse(lines.as_bytes())
    }

    fn exited() -> EventKind {
        EventKind::Exited {
            run: 4,
            pid: 7,
            status: "code:1".to_owned(),
            uptime_ms: 5,
            oom: None,
        }
    }

    #[test]
    fn what_was_not_noted_any_more_is_found_out_from_the_record() {
        let waiting = Phase::Waiting {
            until: Duration::ZERO,
            slow: false,
        };
        let backoff = EventKind::Backoff {
            delay_ms: 0,
            failures: 3,
            slow: false,
        };
        let meta = Meta::default();
        let find = |kinds: &[EventKind], was, phase| {
            missing(&history(kinds), Some(&was), &meta, &machine(phase))
        };
        assert_eq!(
            find(&[exited()], State::Backoff, waiting),
            Some(backoff.clone())
        );
        assert_eq!(find(&[exited(), backoff], State::Backoff, waiting), None);
        let failed = Phase::Resting(Rest::Failed);
        let gave_up = EventKind::GaveUp { failures: 3 };
        assert_eq!(
            find(&[exited()], State::Failed, failed),
            Some(gave_up.clone())
        );
        assert_eq!(find(&[exited(), gave_up], State::Failed, failed), None);
        let stopped = Phase::Resting(Rest::Stopped);
        let asked = EventKind::StopRequested {
            by: "mr".to_owned(),
        };
        assert_eq!(
            find(&[asked.clone(), exited()], State::Stopped, stopped),
            Some(EventKind::Stopped)
        );
        assert_eq!(
            find(
                &[asked, exited(), EventKind::Stopped],
                State::Stopped,
                stopped
            ),
            None
        );
        assert_eq!(find(&[], State::Stopped, stopped), None);
        assert_eq!(find(&[exited()], State::Running, stopped), None);
    }
}
