//! Hooks: what is executed before and after the start and the end of a process. The machine says when, and waits for those that come before
//! something; a hook that fails or takes too long is told of, and keeps no process from ending.

use std::time::Duration;

use super::PreStart;
use super::errands::{HookKind, Order, Purpose};
use super::failure::Failure;
use crate::error::Error;
use crate::events::EventKind;
use crate::supervise::machine::{Event, Phase, Stage};
use crate::supervise::supervisor::Supervisor;

impl Supervisor {
    /// A hook that ran for the program before this one tells nobody any more how it ended.
    pub(in crate::supervise) fn go_on_without_hook(&mut self, id: u32) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        match service.machine.phase {
            Phase::Ending {
                stage: Stage::PreStop | Stage::PostStop,
                ..
            } => self.step(id, Event::HookDone),
            Phase::Launching { .. } if service.leader.is_none() => {
                self.launching.queue.push_back(id);
            }
            _ => {}
        }
    }

    /// Begins the hook before a start, where there is one that has not run for it yet. Returns whether the launch has to
    /// wait for it.
    pub(in crate::supervise) fn pre_start_hook(&mut self, id: u32) -> bool {
        let Some(care) = self.services.get_mut(&id).and_then(|s| s.care.as_mut()) else {
            return false;
        };
        match care.pre_start {
            PreStart::UnderWay => return true,
            PreStart::Done => {
                // It has run for this launch; the next one has its own.
                care.pre_start = PreStart::Due;
                return false;
            }
            PreStart::Due if care.hook(HookKind::PreStart).is_none() => return false,
            PreStart::Due => care.pre_start = PreStart::UnderWay,
        }
        // On record first, so that a successor finds what the hook may have begun.
        if let Some(service) = self.services.get_mut(&id) {
            service.meta.boot = Some(self.boot.clone());
            service.meta.reason = None;
            service.dirty = true;
            self.save(id);
        }
        self.run_hook(id, HookKind::PreStart);
        true
    }

    /// Runs a hook, where there is one; [`Self::hook_ended`] is called when it has ended, or could not begin.
    pub(in crate::supervise) fn run_hook(&mut self, id: u32, kind: HookKind) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let hook = service.care.as_ref().and_then(|care| care.hook(kind));
        let Some(hook) = hook.cloned() else {
            return self.hook_ended(id, kind, Ok(()));
        };
        let mut variables = vec![("TSM_HOOK", kind.word().as_bytes().to_vec())];
        if let Some(pid) = service.live_pid() {
            variables.push(("TSM_PID", pid.to_string().into_bytes()));
        }
        if let Some(exit) = service
            .meta
            .exit
            .as_ref()
            .filter(|_| kind == HookKind::PostStop)
        {
            variables.push(("TSM_EXIT", exit.clone().into_bytes()));
        }
        let begun = self.begin_errand(
            id,
            Order {
                purpose: Purpose::Hook(kind),
                command: &hook.command,
                timeout: Duration::from_millis(hook.timeout_ms),
                variables,
                input: None,
            },
        );
        if let Err(error) = begun {
            // A hook that cannot be begun counts as one that failed: whoever waits for it must go
            // on.
            self.hook_ended(id, kind, Err(error.into()));
        }
    }

    /// A hook has ended.
    pub(super) fn hook_ended(&mut self, id: u32, kind: HookKind, outcome: Result<(), Failure>) {
        if let Err(reason) = &outcome {
            let Some(service) = self.services.get(&id) else {
                return;
            };
            self.log.say(format_args!(
                "the {} hook of '{}' failed: {reason}",
                kind.word(),
                service.name
            ));
            // A first start that fails takes its record away, and the history with it.
            if !service.fresh {
                let hook = kind.word().to_owned();
                let reason = reason.to_string();
                self.note(id, EventKind::HookFailed { hook, reason });
            }
        }
        match kind {
            HookKind::PostStart => {}
            HookKind::PreStop | HookKind::PostStop => self.step(id, Event::HookDone),
            HookKind::PreStart => self.pre_start_ended(id, outcome),
        }
    }

    fn pre_start_ended(&mut self, id: u32, outcome: Result<(), Failure>) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let Some(care) = service.care.as_mut() else {
            return;
        };
        // Where it was stopped in the meantime, the launch takes care of it.
        let goes_on = matches!(service.machine.phase, Phase::Launching { .. });
        match outcome {
            Err(reason) if goes_on => {
                care.pre_start = PreStart::Due;
                let error = Error::LaunchFailed {
                    name: service.name.to_string(),
                    reason: format!("its preStart hook failed: {reason}").into(),
                };
                self.launch_failed_with(id, error);
            }
            outcome => {
                care.pre_start = if outcome.is_ok() && goes_on {
                    PreStart::Done
                } else {
                    PreStart::Due
                };
                self.launch(id);
            }
        }
    }
}
