//! Notices: a command or an address on the network is told of what happens to a process. Nothing waits for them; what
//! cannot be told is tried again a few times.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Timer;
use super::errands::{Order, Purpose};
use super::failure::Failure;
use crate::events::Event;
use crate::probe::{AskError, post};
use crate::spec::{CommandLine, NoticeTarget};
use crate::supervise::supervisor::Supervisor;
use crate::sys::clock;

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The pauses between attempts.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];
/// How many may be under way at once; what comes on top of them is only in the history.
const MOST_AT_ONCE: usize = 64;

/// A notice on its way.
pub(in crate::supervise) struct Delivery {
    id: u32,
    event: String,
    body: String,
    to: NoticeTarget,
    /// How often it was tried in vain.
    failed: usize,
}

/// Notices that are not through.
#[derive(Default)]
pub(in crate::supervise) struct Deliveries {
    /// Those that wait to be tried again.
    pub(in crate::supervise) waiting: HashMap<u32, Delivery>,
    /// How many are being tried.
    pub(in crate::supervise) under_way: usize,
}

impl Supervisor {
    /// Tells those who want to know that something happened to a process.
    pub(in crate::supervise) fn tell_of_event(&mut self, id: u32, event: &Event) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let Some(care) = service.care.as_ref().filter(|care| !care.notify.is_empty()) else {
            return;
        };
        // An event of strings and numbers is always a map of JSON.
        let Value::Object(mut document) = crate::json::value(event) else {
            return;
        };
        let Some(name) = document.get("event").and_then(Value::as_str) else {
            return;
        };
        let name = name.to_owned();
        let targets: Vec<NoticeTarget> = care
            .notify
            .iter()
            .filter(|notice| notice.wants(&name))
            .map(|notice| notice.to.clone())
            .collect();
        if targets.is_empty() {
            return;
        }
        let process = json!({
            "id": id,
            "name": service.name,
            "namespace": service.namespace(),
            "state": service.meta.state,
            "pid": service.live_pid(),
            "restarts": service.machine.restarts,
        });
        document.insert("process".to_owned(), process);
        document.insert("host".to_owned(), crate::sys::host_name().into());
        let body = Value::Object(document).to_string();
        for to in targets {
            if self.deliveries.under_way >= MOST_AT_ONCE {
                let name = self.name_of(id);
                self.log.say(format_args!(
                    "too many notices are under way; nobody is told of '{name}' now"
                ));
                return;
            }
            self.deliveries.under_way += 1;
            self.deliver(Delivery {
                id,
                event: name.clone(),
                body: body.clone(),
                to,
                failed: 0,
            });
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery.to.clone() {
            NoticeTarget::Webhook { url, headers } => {
                let body = delivery.body.clone();
                let mut delivery = Some(delivery);
                let begun = self
                    .worker
                    .apart(move || post(&url, &headers, &body, TIMEOUT), {
                        let delivery = delivery.take();
                        move |supervisor: &mut Self, outcome: Result<(), AskError>| {
                            if let Some(delivery) = delivery {
                                supervisor.delivered(delivery, outcome.map_err(Failure::from));
                            }
                        }
                    });
                if let Err(error) = begun {
                    self.deliveries.under_way = self.deliveries.under_way.saturating_sub(1);
                    self.log.say(format_args!("cannot tell anybody: {error}"));
                }
            }
            NoticeTarget::Command(command) => self.deliver_by_command(delivery, &command),
        }
    }

    fn deliver_by_command(&mut self, delivery: Delivery, command: &CommandLine) {
        let id = delivery.id;
        let variables = vec![("TSM_EVENT", delivery.event.clone().into_bytes())];
        let input = Some(format!("{}\n", delivery.body).into_bytes());
        let begun = self.begin_errand(
            id,
            Order {
                purpose: Purpose::Notice(Box::new(delivery)),
                command,
                timeout: TIMEOUT,
                variables,
                input,
            },
        );
        if let Err(error) = begun {
            self.deliveries.under_way = self.deliveries.under_way.saturating_sub(1);
            self.log.say(format_args!("cannot tell anybody: {error}"));
        }
    }

    /// A notice has been delivered, or not.
    pub(super) fn delivered(&mut self, mut delivery: Delivery, outcome: Result<(), Failure>) {
        let Err(reason) = outcome else {
            self.deliveries.under_way = self.deliveries.under_way.saturating_sub(1);
            return;
        };
        let name = self.name_of(delivery.id);
        let Some(pause) = PAUSES.get(delivery.failed) else {
            self.deliveries.under_way = self.deliveries.under_way.saturating_sub(1);
            self.log.say(format_args!(
                "nobody could be told of '{}' of '{name}', and it is given up: {reason}",
                delivery.event
            ));
            return;
        };
        // Told at the first failure and at the end, not at each try.
        if delivery.failed == 0 {
            self.log.say(format_args!(
                "cannot tell of '{}' of '{name}', trying again: {reason}",
                delivery.event
            ));
        }
        delivery.failed += 1;
        let at = clock::monotonic() + *pause;
        let mut number = self.errands.next;
        while self.deliveries.waiting.contains_key(&number) {
            number = number.wrapping_add(1);
        }
        self.errands.next = number.wrapping_add(1);
        self.deliveries.waiting.insert(number, delivery);
        self.timers.insert((at, Timer::Notice(number)));
    }

    /// A notice is tried again.
    pub(super) fn deliver_again(&mut self, number: u32) {
        if let Some(delivery) = self.deliveries.waiting.remove(&number) {
            self.deliver(delivery);
        }
    }
}
