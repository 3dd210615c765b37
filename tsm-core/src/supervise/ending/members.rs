//! Who of a run is still there besides its main process: remembered, watched, and named.

use std::collections::HashMap;

use crate::supervise::machine::Event;
use crate::supervise::service::Member;
use crate::supervise::supervisor::{Kind, Supervisor, token};
use crate::sys::poll::Interest;
use crate::sys::procfs::{self, Process};
use crate::sys::{Identity, Pidfd};

impl Supervisor {
    /// Notes who belongs to a run before the first signal: afterwards, parents are gone and sessions are orphaned.
    pub(in crate::supervise) fn remember(&mut self, id: u32) {
        if self.group_of(id).is_some() {
            // The cgroup knows.
            return;
        }
        let Some(found) = self.look_once(id) else {
            return;
        };
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let leftovers = service.leftovers.get_or_insert_default();
        leftovers.known = found;
    }

    /// As [`Self::look`], but one look serves all the stops that one moment brings.
    fn look_once(&mut self, id: u32) -> Option<Vec<Identity>> {
        if self.sweeping.remembered.is_none() {
            // All services that run, since more of them may be stopped in this round.
            let running = self
                .services
                .iter()
                .filter(|(_, service)| service.leader.is_some());
            let ids: Vec<u32> = running.map(|(id, _)| *id).collect();
            let mut all: HashMap<u32, Vec<Identity>> = HashMap::new();
            for (owner, process) in self.look(&ids)? {
                all.entry(owner).or_default().push(process.identity);
            }
            self.sweeping.remembered = Some(all);
        }
        self.sweeping.remembered.as_ref()?.get(&id).cloned()
    }

    /// Watches those who are left of a run. Returns how many there are in the leader's group, and elsewhere.
    pub(super) fn watch_members(&mut self, id: u32, found: &[Process]) -> (u32, u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return (0, 0);
        };
        let leader = service.leader.as_ref().map(|leader| leader.identity);
        let group = service.group();
        let leftovers = service.leftovers.get_or_insert_default();
        let mut before = std::mem::take(&mut leftovers.left);
        let (mut in_group, mut elsewhere) = (0, 0);
        for process in found {
            let member_of_group = Some(process.group) == group;
            if member_of_group {
                in_group += 1;
            } else {
                elsewhere += 1;
            }
            if Some(process.identity) == leader {
                // Its own handle watches it.
                continue;
            }
            if !leftovers.known.contains(&process.identity) {
                leftovers.known.push(process.identity);
            }
            if let Some(at) = before
                .iter()
                .position(|m| m.identity == process.identity && !m.ended)
            {
                let mut member = before.swap_remove(at);
                // A process that left or joined the group is asked again.
                member.asked &= member.in_group == member_of_group;
                member.in_group = member_of_group;
                leftovers.left.push(member);
                continue;
            }
            match Pidfd::open(process.identity) {
                Ok(Some(handle)) => {
                    if let Err(error) =
                        self.poll
                            .add(&handle, token(Kind::Member, id), Interest::ReadOnce)
                    {
                        self.log.say(format_args!(
                            "cannot watch process {}: {error}",
                            process.identity.pid
                        ));
                    }
                    let identity = process.identity;
                    leftovers.left.push(Member {
                        identity,
                        handle,
                        in_group: member_of_group,
                        asked: false,
                        ended: false,
                    });
                }
                // It ended since it was looked at.
                Ok(None) if member_of_group => in_group -= 1,
                Ok(None) => elsewhere -= 1,
                Err(error) => self.log.say(format_args!(
                    "cannot watch process {}: {error}",
                    process.identity.pid
                )),
            }
        }
        // They have ended, or are no longer part of the run: a watch on them would wake the loop
        // for nothing.
        for gone in before {
            self.poll.unwatch(&gone.handle);
        }
        (in_group, elsewhere)
    }

    pub(super) fn drop_members(&mut self, id: u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        if let Some(leftovers) = service.leftovers.take() {
            for member in leftovers.left {
                self.poll.unwatch(&member.handle);
            }
        }
    }

    /// Somebody who was left has ended. When all of the group, or all of the rest, have, it is looked again.
    pub(in crate::supervise) fn on_member_ended(&mut self, id: u32) {
        let Some(leftovers) = self
            .services
            .get_mut(&id)
            .and_then(|s| s.leftovers.as_mut())
        else {
            return;
        };
        let mut looked_at = [false; 2];
        for member in &mut leftovers.left {
            if !member.ended && member.handle.has_ended() {
                member.ended = true;
                looked_at[usize::from(member.in_group)] = true;
            }
        }
        let all_gone = |in_group: bool, left: &[Member]| {
            left.iter().all(|m| m.in_group != in_group || m.ended)
        };
        let gone = (looked_at[0] && all_gone(false, &leftovers.left))
            || (looked_at[1] && all_gone(true, &leftovers.left));
        if gone {
            self.step(id, Event::LeftGone);
        }
    }

    /// Those who are left, for messages.
    pub(in crate::supervise) fn members_in_words(&self, id: u32) -> String {
        let Some(service) = self.services.get(&id) else {
            return String::new();
        };
        let leader = service.live_pid();
        let members = service
            .leftovers
            .iter()
            .flat_map(|l| &l.left)
            .filter(|m| !m.ended)
            .map(|m| m.identity.pid);
        let mut pids: Vec<u32> = leader.into_iter().chain(members).collect();
        if pids.is_empty() {
            // Those in a group of their own are not remembered one by one.
            let group = self.members_in_group(id).unwrap_or_default();
            pids.extend(group.iter().map(|process| process.identity.pid));
        }
        if pids.is_empty() {
            return "processes that are just ending".to_owned();
        }
        let words: Vec<String> = pids
            .into_iter()
            .map(|pid| match procfs::why_it_resists(pid) {
                Some(why) => format!("{pid} ({}: {why})", procfs::name(pid)),
                None => format!("{pid} ({})", procfs::name(pid)),
            })
            .collect();
        words.join(", ")
    }
}
