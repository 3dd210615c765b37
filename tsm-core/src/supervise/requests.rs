//! Requests: each that comes over the socket is done or begun here.

mod acting;
pub(super) mod answers;
mod applying;
pub(super) mod connections;
mod crowding;
mod mending;
mod reloading;
pub(super) mod replacing;
pub(super) mod resurrecting;
mod saving;
mod starting;
mod updating;

use std::collections::HashSet;

use super::succession::fdstore::Keeper;
use super::supervisor::{Ending, Supervisor};
use crate::control::{ActRequest, Asked, Body, PROTOCOL, Reply, Request, SupervisorStatus, Verb};
use crate::env::Snapshot;
use crate::error::{Error, Result};
use crate::fail;
use crate::logs::Stream;
use crate::probe::CpuSample;
use crate::selector::Selector;
use crate::sys::clock;
pub(super) use acting::Acting;
use resurrecting::Given;

impl Supervisor {
    /// Does what a request asks for, or begins it; the answer comes now or when it is done.
    pub(super) fn obey(&mut self, number: u32, request: Request, blob: &[u8]) {
        if request.version > PROTOCOL {
            let reason = format!(
                "the supervisor is tsm {} and older than this command; 'tsm supervisor upgrade' upgrades it",
                crate::version::own()
            );
            return self.fail(number, &Error::bad_value("supervisor", reason));
        }
        if !matches!(
            request.body,
            Body::Status | Body::Samples(_) | Body::Handover | Body::Upgrade { .. }
        ) {
            self.meet(request.asked.version.as_deref());
        }
        if self.must_wait(&request.body) {
            self.replacing
                .deferred
                .push((number, request, blob.to_vec()));
            return;
        }
        let done = match request.body {
            Body::Start(start) => self.start_new(number, *start, blob, &request.asked),
            Body::Apply(apply) => self.apply(number, apply, blob, &request.asked),
            Body::Act(act) => self.act(number, &act, blob, &request.asked),
            Body::Save { empty } => {
                self.save_dump(number, empty);
                Ok(())
            }
            Body::Resurrect(_) if self.ending != Ending::No => {
                Err(Error::bad_value("supervisor", "it is ending; try again"))
            }
            Body::Resurrect(resurrect) => {
                let given = Given::Bytes(blob.to_vec());
                self.resurrect(number, resurrect, given, request.asked);
                Ok(())
            }
            Body::Status => {
                let status = self.status();
                self.say(number, &Reply::Status(status));
                self.finish_connection(number);
                Ok(())
            }
            Body::Mend => self.mend().map(|done| {
                self.say(number, &Reply::Mended(done));
                self.done(number);
            }),
            Body::Samples(samples) => {
                let before = self.keep_samples(samples);
                self.say(number, &Reply::Samples(before));
                self.finish_connection(number);
                Ok(())
            }
            Body::Shutdown => {
                self.log.say(format_args!(
                    "told to end by {}; the services stay up",
                    request.asked.by
                ));
                self.leave_services();
                // The end of the connection is the answer, and comes when this supervisor has
                // ended.
                self.say(number, &Reply::Accepted { names: Vec::new() });
                Ok(())
            }
            Body::Handover => {
                self.hand_over(number);
                Ok(())
            }
            Body::Upgrade { program } => self.upgrade_to(number, &program),
        };
        if let Err(error) = done {
            self.fail(number, &error);
        }
    }

    /// Keeps what a reader measured, and returns what was kept before. What was kept a moment ago stays: an average over
    /// less than a second says little.
    fn keep_samples(&mut self, samples: Vec<CpuSample>) -> Vec<CpuSample> {
        let mut before = Vec::new();
        for sample in samples {
            let Some(service) = self.services.get_mut(&sample.id) else {
                continue;
            };
            before.extend(service.sample);
            let stays = service.sample.is_some_and(|kept| {
                kept.start == sample.start
                    && sample.at.saturating_sub(kept.at) < clock::ticks_per_second()
            });
            if !stays {
                service.sample = Some(sample);
            }
        }
        before
    }

    fn status(&self) -> SupervisorStatus {
        SupervisorStatus {
            pid: std::process::id(),
            guardian: self
                .guardian
                .filter(|_| self.store.keeper() == Keeper::Guardian),
            sentinel: self.sentinel.map(|sentinel| sentinel.pid),
            version: crate::version::own(),
            started_ms: self.started_ms,
            processes: self.services.len() as u32,
            running: self
                .services
                .values()
                .filter(|service| service.live_pid().is_some())
                .count() as u32,
            foreground: self.options.foreground,
            unit: super::unit::of_own_cgroup(),
        }
    }

    /// Whether a request is about a process whose spec and environment are just being replaced.
    pub(super) fn must_wait(&self, body: &Body) -> bool {
        let is_being_replaced = |id: &u32| self.replacing.ids.contains(id);
        match body {
            // Whoever asks how things are, or wants an end, is never kept waiting.
            Body::Status | Body::Samples(_) | Body::Shutdown => false,
            _ if self.is_quieting() => true,
            _ if self.replacing.ids.is_empty() => false,
            Body::Start(start) => match &start.name {
                Some(name) => self.id_of_name(name),
                None => self.id_of_program(start),
            }
            .is_some_and(|id| is_being_replaced(&id)),
            Body::Act(act) => act
                .selectors
                .iter()
                .filter_map(|text| text.parse::<Selector>().ok())
                .any(|selector| self.select(&selector).iter().any(is_being_replaced)),
            Body::Apply(apply) => apply
                .items
                .iter()
                .filter_map(|item| self.id_of_name(&item.name))
                .any(|id| is_being_replaced(&id)),
            // Either would find files of which only some have been replaced.
            Body::Handover | Body::Mend => true,
            Body::Save { .. } | Body::Resurrect(_) | Body::Upgrade { .. } => false,
        }
    }

    pub(super) fn act(
        &mut self,
        number: u32,
        act: &ActRequest,
        blob: &[u8],
        asked: &Asked,
    ) -> Result<()> {
        // Before anything is begun: a request that cannot be understood does nothing.
        let fresh = match &act.update {
            Some(update) if update.from_shell || update.exact => {
                let snapshot = Snapshot::from_bytes(blob, update.shell_bytes);
                Some(snapshot.map_err(|error| Error::bad_value("snapshot", error))?)
            }
            _ => None,
        };
        let mut ids = Vec::new();
        let mut seen = HashSet::new();
        for text in &act.selectors {
            let selector: Selector = text.parse()?;
            let mut selected = self.select(&selector);
            if let Selector::Name(name) = &selector
                && selected.is_empty()
                && let Ok(name) = name.parse()
            {
                // Other hands may have put it there since.
                selected.extend(self.adopt_appeared(&name)?);
            }
            if selected.is_empty() && !selector.may_be_empty() {
                // A supervisor that died had found it, and the next one has gone on with deleting it.
                if act.verb == Verb::Delete && asked.resumed {
                    continue;
                }
                return Err(self.no_such_process(text));
            }
            for id in selected {
                if seen.insert(id) {
                    ids.push((id, selector.is_wide()));
                }
            }
        }
        let besides = self.arrange(act.verb, &mut ids);
        let names = ids
            .iter()
            .filter_map(|(id, _)| self.services.get(id))
            .map(|service| service.name.clone())
            .collect();
        self.say(number, &Reply::Accepted { names });
        // Before anything is settled, since the last outcome ends the connection.
        if let Some(connection) = self.clients.connections.get_mut(&number) {
            connection.pending = ids.len() as u32;
        }
        if ids.is_empty() {
            self.done(number);
        }
        for (id, among_others) in ids {
            if besides.contains(&id) {
                self.start_besides(number, id, asked);
                continue;
            }
            let done_already = self.services.get(&id).is_some_and(|service| {
                act.verb == Verb::Restart
                    && service.meta.request.as_deref() == Some(asked.token.as_str())
            });
            match &act.update {
                Some(update) if !done_already => {
                    let fresh = fresh.clone();
                    if let Err(error) = self.update_then_act(number, id, act, update, fresh, asked)
                    {
                        self.settle(number, id, None, Some((&error).into()));
                    }
                }
                _ => self.act_on(Acting {
                    number,
                    id,
                    act,
                    asked,
                    among_others,
                }),
            }
        }
        Ok(())
    }

    /// Removes a process from the disk and from memory.
    pub(super) fn remove(&mut self, id: u32) {
        // Where the logs are kept, the last bytes have to be in them.
        for stream in [Stream::Out, Stream::Err] {
            self.close_log(id, stream);
        }
        self.tell_of_lost_bytes_of(id);
        for stream in [Stream::Out, Stream::Err] {
            self.drop_log(id, stream);
        }
        self.close_log_files(id);
        self.forget_tallies(id);
        self.forget_upkeep(id);
        let Some(mut service) = self.services.remove(&id) else {
            return;
        };
        self.launching.prepared.remove(&id);
        self.launching.shells.remove(&id);
        self.records.unsaved.remove(&id);
        self.records.unwritten.forget(&service.name);
        self.awaited.remove(&id);
        if let Some(armed) = service.armed.take() {
            self.deadlines.remove(&(armed, id));
        }
        // An ID is never used twice, even when the process that had the highest one is gone.
        self.highest_id = self.highest_id.max(id);
        // The note first: killed in between, no dump must bring it back at the next boot.
        if !service.fresh {
            self.note_deleted(id, &service.name);
        }
        fail::point("delete-1-noted");
        if let Err(error) = self.writer.remove(&service.name, service.keep_logs) {
            self.clients.removal_errors.insert(id, (&error).into());
            self.log.say(error);
        }
        fail::point("delete-2-removed");
        // Waiting commands are told the name that it had.
        self.clients.removed_names.insert(id, service.name.clone());
        if !self.dependents.is_empty() {
            self.untie_others(&service.name, &service.needs);
            self.index_needs();
        }
        self.status_changed();
    }
}
