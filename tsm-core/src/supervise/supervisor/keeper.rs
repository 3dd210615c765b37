//! Beside the services: orphans, and the keeper of the descriptors. Where the guardian is gone, everything goes on, and a new one is
//! made.

use super::{Kind, Supervisor, token};
use crate::error::BestEffort as _;
use crate::supervise::service::Service;
use crate::supervise::succession::fdstore::{Heard, Keeper};
use crate::sys;
use crate::sys::poll::Interest;

impl Supervisor {
    /// Children that are no leaders: orphans that came to us because there is no guardian.
    pub(super) fn reap_strangers(&mut self) {
        // With a guardian, orphans are its children, and it reaps them.
        if self.store.keeper() == Keeper::Guardian {
            return;
        }
        // A leader's status is taken through its handle, and its zombie stays until the run is
        // over.
        let is_ours = |pid: u32| {
            let leads = |s: &Service| s.leader.as_ref().is_some_and(|l| l.identity.pid == pid);
            self.launching.forgotten.contains_key(&pid)
                || self.services.values().any(leads)
                || self
                    .errands
                    .running
                    .values()
                    .any(|errand| errand.pid == pid)
        };
        // Looked at, not reaped: whoever watches it by its pidfd still has to read its status.
        while let Some(pid) = sys::pidfd::any_ended_child() {
            if !is_ours(pid) {
                if sys::pidfd::reap_child(pid).is_none() {
                    return;
                }
                continue;
            }
            // The kernel would name this one again and again, so those behind it are looked for one
            // by one.
            let children = sys::procfs::children_of_main_thread(std::process::id());
            for child in children.unwrap_or_default() {
                if !is_ours(child) {
                    sys::pidfd::reap_child(child);
                }
            }
            return;
        }
    }

    pub(super) fn on_keeper(&mut self) {
        self.store.flush();
        while let Some(heard) = self.store.hear() {
            match heard {
                Heard::Exited(pid, status) => self.on_reaped_by_guardian(pid, status),
                Heard::Sentinel(pid) => self.meet_sentinel(pid),
                Heard::Stopping => self.stop_all("the end of its unit of systemd"),
                Heard::Gone => {
                    if let Some(socket) = self.store.disconnect() {
                        // Dropping it ends the watch as well.
                        self.poll.unwatch(&socket);
                    }
                    self.guardian = None;
                    self.sentinel = None;
                    // From here on orphans would go to init; as their reaper they are still found.
                    sys::become_subreaper().best_effort("where it is refused, they go to init");
                    self.log.say("the guardian is gone; services and logs are safe as long as this supervisor lives");
                    self.plan_new_guardian();
                }
            }
        }
    }

    /// The guardian's other child. It may have ended since, and its number may be another's, so its parent counts too.
    fn meet_sentinel(&mut self, pid: Option<u32>) {
        let process = pid.and_then(sys::procfs::process);
        let process = process.filter(|process| Some(process.parent) == self.guardian);
        self.sentinel = process.map(|process| process.identity);
    }

    /// Whether these are all children of the guardian that there are without something that a service left behind.
    pub(in crate::supervise) fn are_of_guardian(&self, children: &[u32]) -> bool {
        let is_sentinel = |pid: u32| {
            self.sentinel.is_some_and(|sentinel| {
                sentinel.pid == pid && sys::procfs::start_time(pid) == Some(sentinel.start)
            })
        };
        let own = std::process::id();
        children.contains(&own) && children.iter().all(|&pid| pid == own || is_sentinel(pid))
    }

    /// Watches the keeper for room while something waits to be sent to it.
    pub(super) fn watch_keeper(&mut self) {
        let Some(socket) = self.store.socket() else {
            return;
        };
        let interest = if self.store.is_backed_up() {
            Interest::ReadWrite
        } else {
            Interest::Read
        };
        if interest == self.keeper_interest {
            return;
        }
        self.keeper_interest = interest;
        let token = token(Kind::Keeper, 0);
        let changed = match (self.store.keeper(), interest) {
            (Keeper::Guardian, _) => self.poll.modify(socket, token, interest),
            // A service manager says nothing that could be read.
            (_, Interest::ReadWrite) => self.poll.add(socket, token, interest),
            _ => {
                self.poll.unwatch(socket);
                Ok(())
            }
        };
        changed.best_effort("the queue is flushed with the next message, too");
    }
}
