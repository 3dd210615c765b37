//! The order of processes that need each other: what is not there yet holds a start, and who still needs a process holds
//! its end. Whether it does is decided by pure functions here; the state machines obey their [`Ties`].

use std::collections::{BTreeSet, HashMap};

use super::machine::{Event, Phase, Rest, Stage, Ties};
use super::service::Service;
use super::supervisor::Supervisor;
use crate::control::{Asked, Verb};
use crate::error::Error;
use crate::events::EventKind;
use crate::name::ProcessName;
use crate::selector::names_it;
use crate::spec::{Condition, Dependency};

/// What others may know of a process that they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Where it is in its life.
    pub phase: Phase,
    /// It is a task.
    pub task: bool,
    /// It is ready, while it runs.
    pub ready: bool,
    /// It is healthy, while it runs.
    pub healthy: bool,
    /// Its spec is being replaced: it is about to be started anew.
    pub renewed: bool,
}

/// How a need is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It is.
    Met,
    /// It will be, if all goes well.
    Open,
    /// Not until somebody, or a restart, does something about it.
    Stuck,
}

/// Whether what is needed of a process is true of it.
pub(super) fn need(condition: Condition, standing: &Standing) -> Need {
    let running = matches!(standing.phase, Phase::Running { .. });
    let done = standing.phase == Phase::Resting(Rest::Exited);
    let met = match condition {
        // A service that ended well has been started, too.
        Condition::Started => running || done,
        Condition::Ready => running && standing.ready || done && standing.task,
        Condition::Healthy => running && standing.healthy || done && standing.task,
        Condition::Completed => done,
    };
    if met && !standing.renewed {
        return Need::Met;
    }
    match standing.phase {
        Phase::Resting(_) | Phase::Waiting { .. } | Phase::Removed if !standing.renewed => {
            Need::Stuck
        }
        _ => Need::Open,
    }
}

/// Whether a process that is in this phase has to end before what it needs may.
pub(super) fn is_ending(phase: Phase) -> bool {
    match phase {
        // Nobody waits for a process that not even SIGKILL ends.
        Phase::Ending { stage, .. } => stage != Stage::Resisting,
        Phase::Lingering { .. } => true,
        _ => false,
    }
}

/// Whether a need is for more than that the other one runs.
fn wants_ready(need: &Dependency) -> bool {
    matches!(need.condition, Condition::Ready | Condition::Healthy)
}

impl Service {
    /// What others may know of it.
    fn standing(&self, renewed: bool) -> Standing {
        Standing {
            phase: self.machine.phase,
            task: self.task,
            ready: self.is_ready(),
            healthy: self.is_healthy(),
            renewed,
        }
    }
}

impl Supervisor {
    /// Knows who needs whom, after specs have changed.
    pub(super) fn index_needs(&mut self) {
        let nobody = self.services.values().all(|s| s.needs.is_empty());
        self.dependents.clear();
        if nobody {
            return;
        }
        for (id, service) in &self.services {
            for need in &service.needs {
                let dependents = self.dependents.entry(need.name.clone()).or_default();
                dependents.insert(*id);
            }
        }
    }

    /// Those that need a process.
    fn dependents_of(&self, name: &ProcessName) -> BTreeSet<u32> {
        let of = |name: &str| self.dependents.get(name).into_iter().flatten();
        // A need may name all instances at once.
        let whole = name.of_instance().map_or("", |(whole, _)| whole);
        of(name.as_str()).chain(of(whole)).copied().collect()
    }

    /// Whether anybody needs it.
    pub(super) fn is_needed(&self, service: &Service) -> bool {
        !self.dependents.is_empty() && !self.dependents_of(&service.name).is_empty()
    }

    /// The processes that a need names.
    fn needed(&self, need: &Dependency) -> impl Iterator<Item = (u32, &Service)> {
        let named = move |service: &Service| names_it(need.name.as_str(), service.name.as_str());
        self.services
            .iter()
            .filter(move |(_, service)| named(service))
            .map(|(id, service)| (*id, service))
    }

    /// How a need is met by all that it names; what there is none of is not.
    fn met(&self, dependency: &Dependency) -> Need {
        let all = self.needed(dependency).map(|(id, service)| {
            let standing = service.standing(self.replacing.ids.contains(&id));
            need(dependency.condition, &standing)
        });
        all.reduce(|one, other| match (one, other) {
            (Need::Stuck, _) | (_, Need::Stuck) => Need::Stuck,
            (Need::Open, _) | (_, Need::Open) => Need::Open,
            _ => Need::Met,
        })
        // It may be in the dump that is being restored, and on its way.
        .unwrap_or(if self.has_to_restore() {
            Need::Open
        } else {
            Need::Stuck
        })
    }

    /// Tells a machine how it is tied, before it decides.
    pub(super) fn tie(&mut self, id: u32) {
        if self.dependents.is_empty() {
            return;
        }
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let held = service.needs.iter().any(|need| self.met(need) != Need::Met);
        let dependents = self.dependents_of(&service.name);
        let needed = dependents
            .iter()
            .filter_map(|id| self.services.get(id))
            .any(|dependent| is_ending(dependent.machine.phase));
        if let Some(service) = self.services.get_mut(&id) {
            service.machine.ties = Ties { held, needed };
        }
    }

    /// After a process has changed: those that waited for it go on, and those that wait in vain are told.
    pub(super) fn untie(&mut self, id: u32) {
        if self.dependents.is_empty() {
            return;
        }
        if let Some(service) = self.services.get(&id) {
            let (name, needs) = (service.name.clone(), service.needs.clone());
            self.untie_others(&name, &needs);
        }
    }

    /// After a process of this name, with these needs, has changed or gone.
    pub(super) fn untie_others(&mut self, name: &ProcessName, needs: &[Dependency]) {
        let mut around: Vec<u32> = self.dependents_of(name).into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(dependent) = around.pop() {
            // Whoever waits for a waiting service is told as well when the wait is in vain.
            if seen.insert(dependent) && self.free(dependent) {
                let further = self.services.get(&dependent);
                around.extend(further.iter().flat_map(|s| self.dependents_of(&s.name)));
            }
        }
        for need in needs {
            let lingering =
                |service: &Service| matches!(service.machine.phase, Phase::Lingering { .. });
            let ids: Vec<u32> = self
                .needed(need)
                .filter(|(_, service)| lingering(service))
                .map(|(id, _)| id)
                .collect();
            for id in ids {
                self.step(id, Event::Tied);
            }
        }
    }

    /// Whether somebody waits until a process is ready, to be started then.
    pub(super) fn is_awaited_by_others(&self, id: u32) -> bool {
        let Some(service) = self.services.get(&id).filter(|s| self.is_needed(s)) else {
            return false;
        };
        let held = |dependent: &Service| {
            matches!(dependent.machine.phase, Phase::Held { .. })
                && dependent.needs.iter().any(|need| {
                    wants_ready(need) && names_it(need.name.as_str(), service.name.as_str())
                })
        };
        self.dependents_of(&service.name)
            .iter()
            .filter_map(|id| self.services.get(id))
            .any(held)
    }

    /// Lets a process that waits go on, if it may; else those that wait for it are told why not.
    /// Returns whether it waits still.
    pub(super) fn free(&mut self, id: u32) -> bool {
        let held = |service: &Service| matches!(service.machine.phase, Phase::Held { .. });
        if self.services.get(&id).is_some_and(held) {
            self.step(id, Event::Tied);
            self.tell_held(id);
        }
        self.services.get(&id).is_some_and(held)
    }

    /// Says on record what a held process waits for, and tells the commands that wait for it where that is in vain.
    pub(super) fn tell_held(&mut self, id: u32) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        if !matches!(service.machine.phase, Phase::Held { .. }) {
            return;
        }
        let open: Vec<&Dependency> = service
            .needs
            .iter()
            .filter(|need| self.met(need) != Need::Met)
            .collect();
        let words: Vec<String> = open.iter().map(|need| self.in_words(need)).collect();
        let reason = format!("waits for {}", words.join(" and "));
        let to_be_ready: Vec<u32> = open
            .iter()
            .filter(|need| wants_ready(need))
            .flat_map(|need| self.needed(need).map(|(id, _)| id))
            .collect();
        // A port that is only declared is looked for while somebody waits for it.
        for needed in to_be_ready {
            self.want_ready(needed);
        }
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let stuck = self.is_stuck(id, &mut Vec::new());
        let name = service.name.to_string();
        let error = stuck.then(|| Error::Held {
            name,
            reason: reason.clone(),
        });
        if let Some(service) = self.services.get_mut(&id)
            && service.meta.reason.as_deref() != Some(reason.as_bytes())
        {
            service.meta.reason = Some(reason.into_bytes());
            service.meta.boot = Some(self.boot.clone());
            service.dirty = true;
            self.save(id);
        }
        if let Some(error) = error {
            self.tell_stuck(id, &(&error).into());
        }
    }

    /// Whether it waits for what does not come by itself.
    fn is_stuck(&self, id: u32, seen: &mut Vec<u32>) -> bool {
        // A circle of processes that wait for each other does not come undone by itself.
        if seen.contains(&id) {
            return true;
        }
        seen.push(id);
        let Some(service) = self.services.get(&id) else {
            return true;
        };
        let stuck = service.needs.iter().any(|need| match self.met(need) {
            Need::Met => false,
            Need::Stuck => true,
            Need::Open => self.needed(need).any(|(other, service)| {
                matches!(service.machine.phase, Phase::Held { .. }) && self.is_stuck(other, seen)
            }),
        });
        // Only the way to here counts: two may need the same third.
        seen.pop();
        stuck
    }

    /// `'migrate' (completed), which failed: exit status 3`.
    fn in_words(&self, need: &Dependency) -> String {
        let what = match need.condition {
            Condition::Started => String::new(),
            other => format!(" ({other})"),
        };
        let mut others = self.needed(need).filter(|(id, service)| {
            let standing = service.standing(self.replacing.ids.contains(id));
            self::need(need.condition, &standing) != Need::Met
        });
        let Some((_, other)) = others.next() else {
            return format!("'{}'{what}, which does not exist", need.name);
        };
        let name = &other.name;
        let how = || {
            let reason = other.meta.reason.as_deref().map(String::from_utf8_lossy);
            reason.map_or_else(String::new, |reason| format!(": {reason}"))
        };
        match other.machine.phase {
            Phase::Resting(Rest::Failed) => format!("'{name}'{what}, which failed{}", how()),
            Phase::Resting(Rest::Stopped) => format!("'{name}'{what}, which is stopped"),
            Phase::Resting(Rest::Exited) => format!("'{name}'{what}, which ended"),
            Phase::Waiting { .. } => {
                format!(
                    "'{name}'{what}, which ended and is to be started again{}",
                    how()
                )
            }
            _ => format!("'{name}'{what}"),
        }
    }

    /// Processes with what they need before them; turned round, that is the order in which they end.
    pub(super) fn in_order(&self, ids: &mut Vec<u32>, ends: bool) {
        if self.dependents.is_empty() {
            return;
        }
        let items: Vec<u32> = std::mem::take(ids);
        let mut placed = BTreeSet::new();
        for id in &items {
            self.place(*id, &items, &mut placed, &mut Vec::new(), ids);
        }
        if ends {
            ids.reverse();
        }
    }

    fn place(
        &self,
        id: u32,
        among: &[u32],
        placed: &mut BTreeSet<u32>,
        way: &mut Vec<u32>,
        order: &mut Vec<u32>,
    ) {
        // A circle is cut open wherever it was entered, so that all in it get a place.
        if placed.contains(&id) || way.contains(&id) {
            return;
        }
        way.push(id);
        if let Some(service) = self.services.get(&id) {
            for need in &service.needs {
                for (other, _) in self.needed(need) {
                    self.place(other, among, placed, way, order);
                }
            }
        }
        way.pop();
        placed.insert(id);
        if among.contains(&id) {
            order.push(id);
        }
    }

    /// Puts what a request is about into its order, with what has to be started besides; that comes back.
    pub(super) fn arrange(&self, verb: Verb, ids: &mut Vec<(u32, bool)>) -> Vec<u32> {
        if self.dependents.is_empty() {
            return Vec::new();
        }
        let mut order: Vec<u32> = ids.iter().map(|(id, _)| *id).collect();
        let besides = match verb {
            Verb::Start | Verb::Restart => self.to_start_besides(&order),
            _ => Vec::new(),
        };
        order.extend(&besides);
        let ends = matches!(verb, Verb::Stop | Verb::Delete | Verb::Restart);
        self.in_order(&mut order, ends);
        // Services that are only started come before those that are restarted, which are held until
        // then anyway.
        let among_others: HashMap<u32, bool> = ids.drain(..).collect();
        ids.extend(
            order
                .into_iter()
                .map(|id| (id, among_others.get(&id).copied().unwrap_or(true))),
        );
        besides
    }

    /// Starts what others need that a person asked for.
    pub(super) fn start_besides(&mut self, number: u32, id: u32, asked: &Asked) {
        let by = asked.by.clone();
        self.note(id, EventKind::StartRequested { by });
        let note = "is started too, because it is needed";
        self.add_waiter(number, id, Verb::Start, Some(note));
        self.step(id, Event::Start);
    }

    /// What has to be started so that these can be: what they need, and what that needs, as far as it is not there.
    pub(super) fn to_start_besides(&self, ids: &[u32]) -> Vec<u32> {
        if self.dependents.is_empty() {
            return Vec::new();
        }
        let mut besides = Vec::new();
        let mut left: Vec<u32> = ids.to_vec();
        while let Some(id) = left.pop() {
            let Some(service) = self.services.get(&id) else {
                continue;
            };
            for need in &service.needs {
                for (other, service) in self.needed(need) {
                    let at_rest = matches!(service.machine.phase, Phase::Resting(_));
                    if at_rest
                        && !service.is_done()
                        && !ids.contains(&other)
                        && !besides.contains(&other)
                    {
                        besides.push(other);
                        left.push(other);
                    }
                }
            }
        }
        besides
    }
}

/// Who needs a process, by the name that they give it.
pub(super) type Dependents = HashMap<ProcessName, BTreeSet<u32>>;

#[cfg(test)]
mod tests;
