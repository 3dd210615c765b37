//! Signals that a person sends to a service, through the handle on its main process: they reach that process or nobody.

use crate::control::{ActRequest, Verb};
use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::supervise::machine::Phase;
use crate::supervise::requests::Acting;
use crate::supervise::supervisor::Supervisor;
use crate::sys::{Signal, pidfd};

impl Supervisor {
    /// Sends the signal that was asked for.
    pub(in crate::supervise) fn signal_on(&mut self, acting: Acting<'_>) {
        let Acting {
            number,
            id,
            act,
            asked,
            among_others,
        } = acting;
        if asked.resumed {
            // A supervisor that died had accepted it, and such a request is carried out at once.
            return self.settle(number, id, None, None);
        }
        let runs = self.services.get(&id).is_some_and(|service| {
            let executed = !matches!(service.machine.phase, Phase::Launching { .. });
            executed && service.live_pid().is_some()
        });
        // `all` and globs mean those that run; only a process that was named is worth an error.
        if !runs && among_others {
            return self.settle(number, id, Some("does not run"), None);
        }
        let sent = self.send_signal(id, act);
        if let Ok(signal) = sent {
            let by = asked.by.clone();
            self.note(
                id,
                EventKind::Signalled {
                    signal: signal.to_string(),
                    by,
                },
            );
        }
        self.settle(number, id, None, sent.err().map(|error| (&error).into()));
    }

    fn send_signal(&self, id: u32, act: &ActRequest) -> Result<Signal> {
        let service = self
            .services
            .get(&id)
            .ok_or_else(|| Error::bad_value("signal", "the process is gone"))?;
        let signal = match act.verb {
            Verb::Reload => {
                let saved = self.writer.store().spec(&service.name)?;
                saved
                    .and_then(|saved| saved.spec.reload_signal)
                    .unwrap_or(Signal::HUP)
            }
            _ => act
                .options
                .signal
                .ok_or_else(|| Error::bad_value("signal", "none is named"))?,
        };
        let not_running = || Error::NotRunning {
            name: service.name.to_string(),
            state: service.state_in_words(),
        };
        // A child that has not executed its program yet would receive the signal in its place.
        let leader = service
            .leader
            .as_ref()
            .filter(|leader| leader.ended.is_none())
            .filter(|_| !matches!(service.machine.phase, Phase::Launching { .. }))
            .ok_or_else(not_running)?;
        let sent = if act.options.group {
            // It is alive, or a zombie of ours, so that the number is still that of its group.
            let pinned = leader.child || !leader.handle.has_ended();
            if pinned {
                pidfd::signal_group(leader.identity.pid, signal)
            } else {
                Ok(false)
            }
        } else {
            // Through its handle: the signal cannot reach another process that got the number
            // since.
            leader.handle.signal(signal)
        };
        match sent {
            Ok(true) => Ok(signal),
            Ok(false) => Err(not_running()),
            Err(source) => Err(Error::System {
                action: "send the signal",
                source,
            }),
        }
    }
}
