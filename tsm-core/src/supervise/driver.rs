//! Driving the state machines: feeding them events, doing what comes out, and their deadlines. Nobody else steps a machine; what is
//! decided is decided there, and only carried out here.

use std::time::Duration;

use super::care::errands::{HookKind, Purpose};
use super::machine::{Action, Event, Force, Machine, Phase, Stage};
use super::service::Service;
use super::supervisor::Supervisor;
use super::vitals::VitalEvent;
use crate::fail;
use crate::meta::State;
use crate::sys::{WaitStatus, clock};

/// How many launches are made before other events get their turn.
const LAUNCHES_AT_ONCE: usize = 8;
/// How many children may be about to execute their programs at once.
const LAUNCHES_UNDER_WAY: usize = 12;
/// How long exits gather before `/proc` is read to look for what they left behind.
const SWEEP_DELAY: Duration = Duration::from_millis(4);

impl Supervisor {
    /// Feeds the state machine of a process, executes what comes out, and puts the new state on record.
    pub(super) fn step(&mut self, id: u32, event: Event) {
        if event == Event::Start && self.only_runs_by_the_clock(id) {
            return self.wait_for_time(id);
        }
        let now = clock::monotonic();
        let jitter = self.draw();
        self.tie(id);
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let before = service.machine.phase;
        let is_up = |machine: &Machine| {
            matches!(
                machine.phase,
                Phase::Running { .. } | Phase::Lingering { .. }
            )
        };
        let was_up = is_up(&service.machine);
        let (machine, actions) = service.machine.step(event, now, jitter);
        service.machine = machine;
        let vital = match (was_up, is_up(&machine)) {
            (false, true) => Some(VitalEvent::Launched),
            (true, false) => Some(VitalEvent::Ended),
            _ => None,
        };
        // The record comes before any act, so that a successor knows what was being done.
        if service.sync_meta(now, clock::unix_ms()) {
            service.dirty = true;
            // A successor that finds it starting has to know that the start was asked for in this
            // boot.
            if service.meta.pid.is_none() && service.meta.state == Some(State::Starting) {
                service.meta.boot = Some(self.boot.clone());
            }
        }
        let launches_next = actions.contains(&Action::Launch);
        // The deadline of the last phase is void, even where the new one has none.
        if let Some(armed) = service.armed.take() {
            self.deadlines.remove(&(armed, id));
        }
        if let Some(deadline) = machine.deadline() {
            service.armed = Some(deadline);
            self.deadlines.insert((deadline, id));
        }
        let is_over = match machine.phase {
            Phase::Ending { stage, .. } => stage == Stage::PostStop,
            _ => true,
        };
        if is_over {
            // Its number is given up only now that nothing of the run is left.
            self.end_of_run(id);
        }
        // A launch writes the record itself, together with its run.
        if !launches_next && !actions.contains(&Action::Sweep) {
            self.save(id);
        }
        if let Some(vital) = vital {
            self.vital(id, vital);
            if vital == VitalEvent::Launched {
                self.run_hook(id, HookKind::PostStart);
            }
        }
        for action in actions {
            fail::point("action");
            self.execute(id, action);
        }
        // After the actions, so that those that need it see how it is then.
        if machine.phase != before {
            self.untie(id);
        }
        self.set_triggers(id);
    }

    pub(super) fn execute(&mut self, id: u32, action: Action) {
        match action {
            Action::Launch => self.launching.queue.push_back(id),
            Action::PreStopHook => self.run_hook(id, HookKind::PreStop),
            Action::PostStopHook => self.run_hook(id, HookKind::PostStop),
            Action::Remember => self.remember(id),
            Action::SignalGroup(force) => {
                // A start that waits for its hook waits no longer, and nothing at all outlives a
                // kill.
                self.kill_errands(id, |purpose| match purpose {
                    Purpose::Hook(HookKind::PreStart) => true,
                    Purpose::Notice(_) => false,
                    _ => force == Force::Kill,
                });
                self.signal_group(id, force);
            }
            Action::SignalRest(force) => self.signal_rest(id, force),
            Action::Sweep => {
                self.sweeping.wanted.push(id);
                if self.sweeping.at.is_none() {
                    self.sweeping.at = Some(clock::monotonic() + SWEEP_DELAY);
                }
            }
            Action::Remove => self.remove(id),
            Action::Report(report) => self.report(id, report),
        }
    }

    /// Tells the machines of what was due at `now`.
    pub(super) fn fire_deadlines(&mut self, now: Duration) {
        while let Some(&(at, id)) = self.deadlines.first() {
            if at > now {
                break;
            }
            self.deadlines.pop_first();
            if let Some(service) = self.services.get_mut(&id) {
                service.armed = None;
            }
            self.on_deadline(id);
        }
        let overdue: Vec<u32> = self
            .awaited
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in overdue {
            self.leader_ended(id, WaitStatus::Unknown);
        }
        self.drop_slow_connections(now);
    }

    /// Makes some of the launches that wait. Each child holds some memory of ours until it executes, so that only so many
    /// are under way at once.
    pub(super) fn launch_some(&mut self) {
        for _ in 0..self.launches_to_make() {
            let Some(id) = self.launching.queue.pop_front() else {
                return;
            };
            self.launch(id);
        }
    }

    /// How many launches can be made right now.
    pub(super) fn launches_to_make(&self) -> usize {
        // Asked before every wait, so the common case must not walk all services.
        if self.launching.queue.is_empty() || self.is_quieting() {
            return 0;
        }
        let under_way = self
            .services
            .values()
            .filter(|service| service.report.is_some())
            .count();
        LAUNCHES_UNDER_WAY
            .saturating_sub(under_way)
            .min(LAUNCHES_AT_ONCE)
    }

    /// Looks what of ended runs is left. Where that takes a look at all processes, ends that come together share one.
    pub(super) fn sweep_if_due(&mut self) {
        if self.sweeping.wanted.is_empty() || self.sweep_without_reading() {
            (self.sweeping.at, self.sweeping.not_before) = (None, None);
            return;
        }
        let now = clock::monotonic();
        if self.sweeping.not_before.is_some_and(|at| at > now) {
            // The look before failed; looking again at once would fail as well.
            return;
        }
        self.sweeping.not_before = None;
        let ending = |service: &&Service| matches!(service.machine.phase, Phase::Ending { .. });
        // When all that are ending have come, waiting for more gains nothing.
        let all_are_here =
            || self.services.values().filter(ending).count() <= self.sweeping.wanted.len();
        if self.sweeping.at.is_some_and(|at| at <= now) || all_are_here() {
            self.sweeping.at = None;
            self.sweep_all();
        }
    }

    /// A number from 0 to 1 for jitter: xorshift, which is as random as jitter needs.
    pub(super) fn draw(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}
