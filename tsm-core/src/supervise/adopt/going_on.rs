//! Continues what the previous supervisor was doing with each process, once all records have been taken over.

use std::collections::HashMap;

use crate::meta::State;
use crate::supervise::machine::{Desired, Event, Phase};
use crate::supervise::supervisor::Supervisor;
use crate::sys::{Identity, WaitStatus, clock};

impl Supervisor {
    /// Goes on with what the supervisor before was doing, when all are known: those that need others first.
    pub(in crate::supervise) fn go_on_all(&mut self) {
        self.index_needs();
        let adopted = std::mem::take(&mut self.adopted);
        let mut order: Vec<u32> = adopted.iter().map(|(id, ..)| *id).collect();
        let mut adopted: HashMap<u32, (Option<State>, Desired, bool)> = adopted
            .into_iter()
            .map(|(id, state, desired, dead)| (id, (state, desired, dead)))
            .collect();
        self.in_order(&mut order, true);
        for id in &order {
            if let Some((state, desired, found_dead)) = adopted.remove(id) {
                self.go_on(*id, state.as_ref(), desired, found_dead);
            }
        }
        for id in order {
            self.free(id);
        }
    }

    /// Goes on with what the supervisor before was doing.
    fn go_on(&mut self, id: u32, state: Option<&State>, desired: Desired, found_dead: bool) {
        if found_dead {
            // Its parent is gone as well, so that nobody can say how it ended.
            let Some(service) = self.services.get_mut(&id) else {
                return;
            };
            if let Some(identity) = service
                .meta
                .pid
                .zip(service.meta.ticks)
                .map(|(pid, start)| Identity { pid, start })
            {
                self.ended_unseen(id, identity);
            }
            return;
        }
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        match (service.machine.phase, desired) {
            (Phase::Running { .. }, Desired::Up) if state == Some(&State::Stopping) => {
                // `Stopping` while it is wanted up is a restart, or the end of a run that was
                // unfit. Only the latter has a reason on record.
                let failed = service.meta.reason.is_some();
                self.step(id, if failed { Event::Unfit } else { Event::Restart });
            }
            (Phase::Running { .. }, Desired::Down) => self.step(id, Event::Stop { force: false }),
            (Phase::Ending { .. }, _) => {
                self.sweeping.wanted.push(id);
                self.sweeping.at = Some(clock::monotonic());
            }
            (_, Desired::Gone) => {
                // The machine ignores the deletion of what is being deleted, so this has to look
                // like the first request.
                service.machine.desired = Desired::Down;
                self.step(id, Event::Delete);
            }
            (Phase::Waiting { until, .. }, _) => {
                service.armed = Some(until);
                self.deadlines.insert((until, id));
            }
            _ => {
                if service.sync_meta(clock::monotonic(), clock::unix_ms()) {
                    service.dirty = true;
                    self.save(id);
                }
            }
        }
    }

    /// A process ended while nobody watched.
    fn ended_unseen(&mut self, id: u32, identity: Identity) {
        let now_ms = clock::unix_ms();
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let status = WaitStatus::Unknown;
        // Nobody knows when it ended, so only processes from its first moment are its own for
        // certain.
        service.put_end_on_record(identity, identity.start);
        let meta = &mut service.meta;
        let uptime_ms = now_ms.saturating_sub(meta.started_ms.unwrap_or(now_ms));
        meta.exit = Some(status.to_string());
        meta.exit_ms = Some(now_ms);
        meta.reason = Some(status.in_words().into_bytes());
        let desired = service.machine.desired;
        if let Err(error) = self.writer.write_pid(&service.name, None) {
            self.log.say(error);
        }
        self.note_exit(id, identity.pid, status, uptime_ms);
        self.step(id, Event::EndedUnseen);
        match desired {
            Desired::Up => {}
            Desired::Down => self.step(id, Event::Stop { force: false }),
            Desired::Gone => {
                if let Some(service) = self.services.get_mut(&id) {
                    service.machine.desired = Desired::Down;
                }
                self.step(id, Event::Delete);
            }
        }
    }
}
