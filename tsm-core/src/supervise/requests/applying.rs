//! Making processes what a config file declares, as a plan says. The plan is made by the command, which knows the file; no file of a
//! person's is read here.

use super::Acting;
use super::starting::refuse_taken_port;
use crate::control::{
    ActOptions, ActRequest, ApplyItem, ApplyRequest, ApplyThen, Asked, Outcome, Reply, TakenPort,
    Verb,
};
use crate::env::{EnvError, Origins, Snapshot};
use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::supervise::machine::Phase;
use crate::supervise::supervisor::{Ending, Supervisor};
use crate::sys::listening;

impl Supervisor {
    /// Takes the steps of a plan. Each is settled by itself: what goes wrong with one keeps none of the others.
    pub(super) fn apply(
        &mut self,
        number: u32,
        request: ApplyRequest,
        blob: &[u8],
        asked: &Asked,
    ) -> Result<()> {
        if self.ending != Ending::No {
            return Err(Error::bad_value("supervisor", "it is ending; try again"));
        }
        let mut shell = Snapshot::from_bytes(blob, request.shell_bytes)
            .map_err(|error| Error::bad_value("snapshot", error))?;
        shell.environment.strip_captured();
        let names = request.items.iter().map(|item| item.name.clone()).collect();
        // Said before anything is done: a command that was told so asks again with the same token
        // if its supervisor dies.
        self.say(number, &Reply::Accepted { names });
        if let Some(connection) = self.clients.connections.get_mut(&number) {
            connection.pending = request.items.len() as u32;
        }
        if request.items.is_empty() {
            self.done(number);
        }
        let how = How {
            number,
            asked,
            shell: &shell,
            taken: &request.taken_ports,
            wait_ms: request.wait_ms,
        };
        for item in request.items {
            let name = item.name.clone();
            if let Err(error) = self.apply_one(item, how) {
                let outcome = Outcome {
                    id: self.id_of_name(&name).unwrap_or(0),
                    name,
                    pid: None,
                    note: None,
                    error: Some((&error).into()),
                };
                self.tell_outcome(number, outcome);
            }
        }
        Ok(())
    }

    fn apply_one(&mut self, item: ApplyItem, how: How<'_>) -> Result<()> {
        let (number, asked) = (how.number, how.asked);
        let Some(id) = self.id_of_name(&item.name) else {
            return self.apply_new(item, how);
        };
        let service = &self.services[&id];
        // The record bears the token of the request by which it was begun.
        if service.meta.request.as_deref() == Some(asked.token.as_str()) {
            // Asked again after a supervisor died: it was done, or is being done.
            self.wait_for_start(number, id, how.wait_ms.is_some());
            return Ok(());
        }
        if let Some(spec) = &item.spec
            && !item.any_port
            && matches!(item.then, ApplyThen::Start | ApplyThen::Restart)
            && spec.port != service.meta.port
        {
            // Before anything is stopped for it.
            refuse_taken_port(&service.name, spec.port, Some(id), how.taken)?;
        }
        let then = act_of(item.then, how);
        let new_port = if item.any_port {
            self.other_port(id)?
        } else {
            None
        };
        if item.spec.is_none() && item.update.is_empty() && new_port.is_none() {
            self.then_act(number, id, then.as_ref(), how.wait_ms, asked);
            return Ok(());
        }
        let (before, snapshot) = self.read_whole(id)?;
        let mut spec = item.spec.map_or_else(|| before.clone(), |spec| *spec);
        let fresh = item.update.from_shell.then(|| how.shell.clone());
        let (after, origins) = item
            .update
            .apply(&snapshot, &before.origins, fresh)
            .map_err(|error| Error::bad_value("environment", error))?;
        spec.origins = origins;
        if let Some(port) = new_port {
            spec.port = Some(port);
        }
        // Nothing changes on disk, so that nothing has to be made safe before the act.
        if after == snapshot && spec == before {
            self.then_act(number, id, then.as_ref(), how.wait_ms, asked);
            return Ok(());
        }
        let Some((saved, staged)) = self.stage(id, spec, &after)? else {
            return Ok(());
        };
        let (asked, wait_ms) = (asked.clone(), how.wait_ms);
        self.replace_intent(id, staged, move |supervisor, replaced| match replaced {
            Ok(()) => {
                // What was prepared for a launch has the old spec and environment.
                supervisor.launching.prepared.remove(&id);
                let file = saved
                    .spec
                    .config
                    .as_ref()
                    .map(|file| file.to_string_lossy());
                supervisor.note(
                    id,
                    EventKind::Configured {
                        by: asked.by.clone(),
                        file: file.unwrap_or_default().into_owned(),
                    },
                );
                if let Some(service) = supervisor.services.get_mut(&id) {
                    service.apply_spec(&saved.spec);
                    service.dirty = true;
                    supervisor.save(id);
                    supervisor.index_needs();
                }
                supervisor.then_act(number, id, then.as_ref(), wait_ms, &asked);
                // While it was being replaced, those that need it were held: they go on even if its
                // state has not changed.
                supervisor.untie(id);
            }
            Err(error) => supervisor.settle(number, id, None, Some((&error).into())),
        });
        Ok(())
    }

    fn apply_new(&mut self, item: ApplyItem, how: How<'_>) -> Result<()> {
        let number = how.number;
        let starts = matches!(item.then, ApplyThen::Start | ApplyThen::Restart);
        let Some(mut spec) = item.spec.filter(|_| starts) else {
            // It was deleted in between, or by a supervisor that died since.
            let outcome = Outcome {
                id: 0,
                name: item.name,
                pid: None,
                note: Some("is gone already".to_owned()),
                error: None,
            };
            self.tell_outcome(number, outcome);
            return Ok(());
        };
        if item.any_port {
            spec.port = Some(self.any_port(&item.name)?);
        }
        refuse_taken_port(&item.name, spec.port, None, how.taken)?;
        let wrong = |error: EnvError| Error::bad_value("environment", error);
        // A snapshot that is given whole names more origins than the shell.
        let origins = if item.update.exact {
            spec.origins.clone()
        } else {
            Origins::default()
        };
        let (snapshot, origins) = item
            .update
            .apply(how.shell, &origins, None)
            .map_err(wrong)?;
        spec.origins = origins;
        let id = self.create(item.name, &spec, &snapshot)?;
        self.add_waiter(number, id, Verb::Start, None);
        if how.wait_ms.is_some() {
            self.wait_until_ready(number, id);
        }
        self.begin(id, *spec, snapshot, how.asked.clone());
        Ok(())
    }

    /// A port that nobody has, where a process has none, or rests and has one that somebody else took meanwhile.
    fn other_port(&self, id: u32) -> Result<Option<u16>> {
        let service = &self.services[&id];
        let rests = matches!(service.machine.phase, Phase::Resting(_));
        let keeps = |port: u16| !rests || listening::is_free(port);
        if service.meta.port.is_some_and(keeps) {
            return Ok(None);
        }
        self.any_port(&service.name).map(Some)
    }

    /// Lets a command wait for a start that was begun before, or settles it where that is over.
    fn wait_for_start(&mut self, number: u32, id: u32, until_ready: bool) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let is_settled = match service.machine.phase {
            Phase::Running { .. } => !until_ready || self.is_ready(id),
            Phase::Resting(_) => true,
            _ => false,
        };
        if is_settled {
            return self.settle(number, id, None, None);
        }
        self.add_waiter(number, id, Verb::Start, None);
        if until_ready {
            self.wait_until_ready(number, id);
        }
        self.tell_held(id);
    }

    fn then_act(
        &mut self,
        number: u32,
        id: u32,
        act: Option<&ActRequest>,
        wait_ms: Option<u64>,
        asked: &Asked,
    ) {
        match act {
            Some(act) => {
                // A task that has changed is done again; if it already runs because of another
                // command, that is no mistake.
                let rests = self
                    .services
                    .get(&id)
                    .is_some_and(|service| matches!(service.machine.phase, Phase::Resting(_)));
                self.act_on(Acting {
                    number,
                    id,
                    act,
                    asked,
                    among_others: !rests,
                });
            }
            None if wait_ms.is_some() => self.wait_for_start(number, id, true),
            None => self.settle(number, id, None, None),
        }
    }
}

/// For whom steps are taken, and how.
#[derive(Clone, Copy)]
struct How<'a> {
    /// The connection that is told.
    number: u32,
    asked: &'a Asked,
    /// The environment of who asks.
    shell: &'a Snapshot,
    /// Who listens on the ports of those that are to be started.
    taken: &'a [TakenPort],
    /// Wait until they are ready.
    wait_ms: Option<u64>,
}

/// What a command would ask for.
fn act_of(then: ApplyThen, how: How<'_>) -> Option<ActRequest> {
    let verb = match then {
        ApplyThen::Start => Verb::Start,
        ApplyThen::Restart => Verb::Restart,
        ApplyThen::Stop => Verb::Stop,
        ApplyThen::Delete => Verb::Delete,
        ApplyThen::Leave => return None,
    };
    Some(ActRequest {
        verb,
        selectors: Vec::new(),
        options: ActOptions {
            // An instance that is one too many leaves behind what it said.
            keep_logs: verb == Verb::Delete,
            wait_ms: how
                .wait_ms
                .filter(|_| matches!(verb, Verb::Start | Verb::Restart)),
            ..ActOptions::default()
        },
        update: None,
        taken_ports: how.taken.to_vec(),
        cannot_start: Vec::new(),
    })
}
