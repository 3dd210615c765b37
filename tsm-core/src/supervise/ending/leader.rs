//! The end of a main process: how it ended, and what of that goes on record before anything else happens.

use crate::error::BestEffort as _;
use crate::events::EventKind;
use crate::logs::Stream;
use crate::supervise::machine::{Event, Phase};
use crate::supervise::service::Service;
use crate::supervise::supervisor::{Kind, Supervisor, token};
use crate::sys::poll::Interest;
use crate::sys::{self, WaitStatus, clock};

/// How long whoever reaps an adopted process may take. An init reaps at once; a status that is not known counts as a
/// failure, so that a slow one is worth waiting for.
const REAPER_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

impl Supervisor {
    /// The leader of a run has ended (or, with `hangup`, has been reaped by somebody else).
    pub(in crate::supervise) fn on_leader_ended(&mut self, id: u32, hangup: bool) {
        // It may have named another main process as its last act.
        self.hear_services();
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let Some(leader) = &service.leader else {
            return;
        };
        // The event may belong to a leader that has been replaced since.
        if leader.ended.is_some() || !leader.handle.has_ended() {
            return;
        }
        let status = if leader.child {
            // Only looked at: the zombie keeps pid, group and session taken until the run is over.
            match leader.handle.peek() {
                Ok(Some(status)) => status,
                Ok(None) => {
                    // Not yet: watched anew.
                    self.poll
                        .rewatch(&leader.handle, token(Kind::Leader, id), Interest::ReadOnce);
                    return;
                }
                Err(_) => leader.handle.exit_info().unwrap_or(WaitStatus::Unknown),
            }
        } else {
            match leader.handle.exit_info() {
                Some(status) => status,
                // It was reaped, and this kernel does not keep the status for us
                // (`PIDFD_GET_INFO`).
                None if hangup => WaitStatus::Unknown,
                None => {
                    // It has ended and has not been reaped yet. The handle's hang-up, or the
                    // guardian, says when it is.
                    self.poll
                        .rewatch(&leader.handle, token(Kind::Leader, id), Interest::None);
                    self.await_reaper(id);
                    return;
                }
            }
        };
        self.leader_ended(id, status);
    }

    /// Whoever reaps an adopted process says how it ended within this time, or nobody does.
    fn await_reaper(&mut self, id: u32) {
        let at = clock::monotonic() + REAPER_PATIENCE;
        self.awaited.insert(id, at);
    }

    /// The guardian reaped a process; it may be one of ours.
    pub(in crate::supervise) fn on_reaped_by_guardian(&mut self, pid: u32, status: WaitStatus) {
        // The number alone could be another process's by now: our handle has to have ended as well.
        let found = self.services.iter().find(|(_, service)| {
            service.leader.as_ref().is_some_and(|l| {
                l.identity.pid == pid && !l.child && l.ended.is_none() && l.handle.has_ended()
            })
        });
        if let Some((&id, service)) = found {
            let told = service
                .leader
                .as_ref()
                .and_then(|leader| leader.handle.exit_info());
            self.leader_ended(id, told.unwrap_or(status));
        }
    }

    pub(in crate::supervise) fn leader_ended(&mut self, id: u32, status: WaitStatus) {
        self.awaited.remove(&id);
        // What it reported and printed has to come before the news of its end.
        let reported = self
            .services
            .get(&id)
            .is_some_and(|service| service.report.is_some());
        if reported {
            self.on_report(id);
        }
        self.drain(id, Stream::Out);
        self.drain(id, Stream::Err);
        self.note_end_of_direct(id);
        let Some(leader) = self.services.get_mut(&id).and_then(|s| s.leader.as_mut()) else {
            return;
        };
        // From here on a second event for the same end finds `ended` set and does nothing.
        leader.ended = Some(status);
        leader.ended_ticks = clock::boot_ticks();
        self.poll.unwatch(&leader.handle);
        if status.is_success() && self.follow(id) {
            return;
        }
        // Before the group goes, and its counters with it.
        let group_oom = self.out_of_memory_in_group(id);
        self.note_limits_of_group(id);
        let Some(ended) = self.services.get_mut(&id).and_then(|service| {
            let group_oom = group_oom.map(|oom| oom.in_words());
            RunEnded::put_on_record(service, status, group_oom)
        }) else {
            return;
        };
        // Scripts read the pid file: they should not signal a number that may be another's soon.
        if let Some(service) = self.services.get(&id)
            && let Err(error) = self.writer.write_pid(&service.name, None)
        {
            self.log.say(error);
        }
        if ended.never_executed {
            self.step(id, Event::NeverExecuted);
            return;
        }
        // A daemon that nobody can follow has failed, however the one that was started ended.
        let event = match status {
            _ if ended.lost.is_some() => Event::Exited { success: false },
            WaitStatus::Unknown => Event::EndedUnseen,
            _ => Event::Exited {
                success: status.is_success(),
            },
        };
        if let Some(reason) = ended.lost {
            self.note(
                id,
                EventKind::LaunchFailed {
                    run: ended.run,
                    reason,
                },
            );
        }
        self.note_exit(id, ended.pid, status, ended.uptime_ms);
        self.step(id, event);
        // Where its run is being ended, the record follows with what comes of that, within moments.
        let follows = self.services.get(&id).is_some_and(|service| {
            matches!(
                service.machine.phase,
                Phase::Ending { leader: false, .. } | Phase::Launching { .. }
            )
        });
        if !follows {
            self.save(id);
        }
    }

    /// The deadline of a process's state machine has come.
    pub(in crate::supervise) fn on_deadline(&mut self, id: u32) {
        self.step(id, Event::Deadline);
    }

    /// A run is over: nothing holds its leader's pid any more.
    pub(in crate::supervise) fn end_of_run(&mut self, id: u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        service.leftovers = None;
        if service
            .leader
            .as_ref()
            .is_none_or(|leader| leader.ended.is_none())
        {
            return;
        }
        if let Some(leader) = service.leader.as_ref().filter(|leader| leader.child) {
            // A zombie of ours has kept its number until now. Who was started up to this tick is the run's; another of
            // this number cannot come before the next one, since pids are given out in a circle.
            if service.meta.last_end.is_some() {
                service.meta.last_end = Some(clock::boot_ticks().max(leader.ended_ticks));
                service.dirty |= !matches!(service.machine.phase, Phase::Launching { .. });
            }
        }
        // How it ended is on record before its handle, which could tell it to a successor, is given up.
        self.save(id);
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let Some(leader) = service.leader.take() else {
            return;
        };
        if leader.child {
            leader
                .handle
                .reap()
                .best_effort("it is a zombie that waited for this");
        }
        let run = service.run();
        self.store.forget(&format!("p{id}.{run}"));
        self.remove_group_of(id);
    }
}

/// A main process has ended, and its record says so.
struct RunEnded {
    run: u64,
    pid: u32,
    uptime_ms: u64,
    /// It was never executed: that is no run.
    never_executed: bool,
    /// Why nobody can follow the daemon that it started.
    lost: Option<String>,
}

impl RunEnded {
    /// `None` where it has no main process.
    fn put_on_record(
        service: &mut Service,
        status: WaitStatus,
        group_oom: Option<String>,
    ) -> Option<Self> {
        let leader = service.leader.as_ref()?;
        let (identity, ended_ticks) = (leader.identity, leader.ended_ticks);
        let now_ms = clock::unix_ms();
        let was_unfit = matches!(service.machine.phase, Phase::Ending { .. });
        let followed = service.followed.as_mut();
        let lost = followed.and_then(|followed| followed.take_lost());
        if let Some(reason) = &lost {
            service.launch_error = Some(reason.clone().into());
        }
        let over_limit = service.over_limit.take().map(String::from);
        let why = over_limit.or(group_oom).or_else(|| lost.clone());
        service.put_end_on_record(identity, ended_ticks);
        let meta = &mut service.meta;
        let uptime_ms = now_ms.saturating_sub(meta.started_ms.unwrap_or(now_ms));
        let was_provisional = std::mem::take(&mut service.provisional);
        let never_executed = was_provisional
            && matches!(status, WaitStatus::Signal { number, .. } if number == sys::signal::NEVER_EXECUTED);
        // A child that was never executed is no run: its end must not stand where that of the last
        // run does.
        if !never_executed {
            // A child that cannot execute its program ends with 127: if its supervisor died before
            // it heard of that, this is a first start that failed.
            service.fresh &= was_provisional && status == WaitStatus::Code(127);
            // Why it was ended by us stands there already.
            let before = meta.reason.take().filter(|_| was_unfit);
            let words = status.in_words();
            meta.reason = Some(match (before, why) {
                (Some(before), _) => [&before, format!("; {words}").as_bytes()].concat(),
                (None, Some(why)) => format!("{words}; {why}").into_bytes(),
                (None, None) => words.into_bytes(),
            });
            meta.exit = Some(status.to_string());
            meta.exit_ms = Some(now_ms);
        }
        Some(Self {
            run: service.run(),
            pid: identity.pid,
            uptime_ms,
            never_executed,
            lost,
        })
    }
}
