//! What an init system is told (`sd_notify(3)`): when all is launched, how things are, that it reloads, that it stops.

use std::fmt::Write as _;
use std::time::Duration;

use super::fdstore::Keeper;
use crate::error::BestEffort as _;
use crate::supervise::machine::{Desired, Phase, Rest};
use crate::supervise::supervisor::{Ending, Supervisor};
use crate::sys::clock;

/// How much longer than the longest stop time-out a stop of everything may take: leftovers have their own, then SIGKILL.
const STOP_MARGIN: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Tells that what should run was launched, adopted, or failed to launch.
    pub(in crate::supervise) fn announce_ready(&mut self) {
        let status = format!("READY=1\nSTATUS={}", self.status_in_words());
        self.store.notify(&status);
    }

    /// Tells how things are, after a change.
    pub(in crate::supervise) fn tell_status(&mut self) {
        if self.store.keeper() != Keeper::ServiceManager {
            return;
        }
        let status = format!("STATUS={}", self.status_in_words());
        self.store.notify(&status);
        if self.ending == Ending::StopServices {
            // Those that others need end after these: each has its own time.
            self.announce_stopping();
        }
    }

    /// Tells that records are being read anew; [`Self::announce_ready`] ends that.
    pub(in crate::supervise) fn announce_reloading(&mut self) {
        // `sd_notify(3)` wants the time with a reload, to tell one from the next.
        let now = clock::monotonic().as_micros();
        self.store
            .notify(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// Tells that all services are being stopped, and how long that may take: a service may have come since the unit was
    /// written, with a longer time-out.
    pub(in crate::supervise) fn announce_stopping(&mut self) {
        let time_outs = self
            .services
            .values()
            .map(|s| s.machine.policy.stop_timeout);
        let longest = time_outs.max().unwrap_or_default() + STOP_MARGIN;
        self.store.notify(&format!(
            "STOPPING=1\nEXTEND_TIMEOUT_USEC={}",
            longest.as_micros()
        ));
    }

    fn status_in_words(&self) -> String {
        let wanted = self
            .services
            .values()
            .filter(|s| s.machine.desired == Desired::Up);
        let running = self.services.values().filter(|s| s.live_pid().is_some());
        let mut text = format!("{} of {} up", running.count(), wanted.count());
        let counted = [
            (
                "waiting to be restarted",
                self.count(|phase| matches!(phase, Phase::Waiting { .. })),
            ),
            (
                "failed",
                self.count(|phase| phase == Phase::Resting(Rest::Failed)),
            ),
        ];
        for (what, number) in counted.into_iter().filter(|(_, number)| *number > 0) {
            write!(text, ", {number} {what}").best_effort("a String takes everything");
        }
        text
    }

    fn count(&self, is: impl Fn(Phase) -> bool) -> usize {
        self.services
            .values()
            .filter(|s| is(s.machine.phase))
            .count()
    }
}
