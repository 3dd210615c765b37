//! Health checks: when one is due, a thread of its own asks the server, or an errand runs the command. The loop goes on, and
//! what comes of it goes to `vitals`, which alone says what that means.

use std::time::Duration;

use super::errands::{Order, Purpose};
use super::failure::Failure;
use crate::error::IoContext as _;
use crate::probe::{AskError, ask_http, ask_tcp};
use crate::spec::HealthCheck;
use crate::supervise::supervisor::Supervisor;
use crate::supervise::vitals::VitalEvent;

impl Supervisor {
    /// Checks the health of a process, and feeds its vitals with what comes of it.
    pub(super) fn check_health(&mut self, id: u32) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let (run, own_port) = (service.run(), service.meta.port);
        let health = service.care.as_ref().and_then(|care| care.health.clone());
        let Some(health) = health else { return };
        let timeout = Duration::from_millis(health.timeout_ms);
        let told = move |supervisor: &mut Self, outcome: Result<(), AskError>| {
            supervisor.health_checked(id, run, outcome.map_err(Failure::from));
        };
        let begun = match health.check {
            HealthCheck::Http(check) => self
                .worker
                .apart(
                    move || ask_http(&check.at(own_port).ok_or(AskError::NoPort)?, timeout),
                    told,
                )
                .doing("start a thread"),
            HealthCheck::Tcp { host, port } => self
                .worker
                .apart(
                    move || {
                        let port = port.or(own_port).ok_or(AskError::NoPort)?;
                        ask_tcp(&host, port, timeout)
                    },
                    told,
                )
                .doing("start a thread"),
            HealthCheck::Command(command) => self.begin_errand(
                id,
                Order {
                    purpose: Purpose::Health,
                    command: &command,
                    timeout,
                    variables: Vec::new(),
                    input: None,
                },
            ),
            HealthCheck::Watchdog => return,
        };
        if let Err(error) = begun {
            // That it cannot be looked at says nothing about its health.
            self.log
                .say(format_args!("cannot check a process: {error}"));
            self.vital(id, VitalEvent::Unchecked);
        }
    }

    /// A check has come out.
    pub(super) fn health_checked(&mut self, id: u32, run: u64, outcome: Result<(), Failure>) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        // It may have been begun for a run that is over.
        if service.run() != run {
            return;
        }
        let well = outcome.is_ok();
        if let Some(care) = service.care.as_mut() {
            care.trouble = outcome.err().map(|failure| failure.to_string());
        }
        self.vital(id, VitalEvent::Checked { well });
    }
}
