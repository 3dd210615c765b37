//! Changing the environment of a process: for its next start, or for the restart that follows. What runs keeps the environment that it was
//! given: nobody can change it from outside (`environ(7)`).

use super::Acting;
use crate::control::{ActRequest, Asked, Verb};
use crate::env::{EnvUpdate, Snapshot};
use crate::error::{Error, Result, advised};
use crate::events::EventKind;
use crate::launch;
use crate::name::ProcessName;
use crate::spec::{ProcessSpec, SavedSpec};
use crate::store::Staged;
use crate::supervise::machine::Phase;
use crate::supervise::service::Service;
use crate::supervise::supervisor::Supervisor;
use crate::text::Text;

impl Supervisor {
    /// Changes the environment of a process, and when that is on disk goes on with what was asked. Until then the
    /// process is as it was; a change that cannot be made leaves everything so.
    pub(super) fn update_then_act(
        &mut self,
        number: u32,
        id: u32,
        act: &ActRequest,
        update: &EnvUpdate,
        fresh: Option<Snapshot>,
        asked: &Asked,
    ) -> Result<()> {
        let is_up = |service: &Service| {
            // Not by this very request, which a supervisor that died had accepted.
            let before = service.meta.request.as_deref() != Some(asked.token.as_str());
            let machine = &service.machine;
            before && !matches!(machine.phase, Phase::Resting(_)) && !machine.has_failed()
        };
        if act.verb == Verb::Start && self.services.get(&id).is_some_and(is_up) {
            // It runs with the old environment, and a start would not change that; `restart` does.
            return Err(self.already_there(id));
        }
        let (mut spec, before) = self.read_to_update(id, update)?;
        let (after, origins) = update
            .apply(&before, &spec.origins, fresh)
            .map_err(|error| Error::bad_value("environment", error))?;
        check_port(&spec, update)?;
        let by = asked;
        let (act, asked) = (act.clone(), asked.clone());
        let then_act = move |supervisor: &mut Self| {
            supervisor.act_on(Acting {
                number,
                id,
                act: &act,
                asked: &asked,
                among_others: false,
            });
        };
        if after == before && origins == spec.origins {
            then_act(self);
            return Ok(());
        }
        spec.origins = origins;
        let Some((_, staged)) = self.stage(id, spec, &after)? else {
            return Ok(());
        };
        self.note_environment(id, &before, &after, by);
        self.replace_intent(id, staged, move |supervisor, replaced| match replaced {
            Ok(()) => {
                // What was prepared for a launch has the old spec and environment.
                supervisor.launching.prepared.remove(&id);
                then_act(supervisor);
            }
            Err(error) => {
                supervisor.note_kept_environment(id, &error);
                supervisor.settle(number, id, None, Some((&error).into()));
            }
        });
        Ok(())
    }

    /// Writes down beside them what is to take the place of the spec and the snapshot of a process, see
    /// [`Self::replace_intent`]. `None` where it has gone.
    pub(super) fn stage(
        &mut self,
        id: u32,
        spec: ProcessSpec,
        snapshot: &Snapshot,
    ) -> Result<Option<(SavedSpec, Vec<Staged>)>> {
        let Some(service) = self.services.get(&id) else {
            return Ok(None);
        };
        refuse_too_large(&service.name, &spec, snapshot)?;
        let saved = SavedSpec::new(id, service.name.clone(), spec);
        let staged = self.writer.stage(&saved, snapshot)?;
        Ok(Some((saved, staged)))
    }

    /// Notes in which variables an environment differs from the one that it is about to replace. It comes before, so that
    /// it is not lost where the supervisor dies in between; the command that repeats its request finds it replaced.
    pub(super) fn note_environment(
        &mut self,
        id: u32,
        before: &Snapshot,
        after: &Snapshot,
        asked: &Asked,
    ) {
        let names = changed_names(before, after);
        if names.is_empty() && before.shell == after.shell {
            return;
        }
        let by = asked.by.clone();
        let kind = EventKind::EnvironmentChanged { by, names };
        self.note_request(id, kind, asked.resumed);
    }

    /// What was noted to change did not.
    pub(super) fn note_kept_environment(&mut self, id: u32, error: &Error) {
        let reason = error.to_string();
        self.note(id, EventKind::EnvironmentKept { reason });
    }

    /// The spec and the snapshot as they are. A snapshot that is damaged is nothing that could be changed; but where all
    /// of it is taken anew, because it was the shell's or is given again, nothing of it is needed.
    fn read_to_update(&self, id: u32, update: &EnvUpdate) -> Result<(ProcessSpec, Snapshot)> {
        let damage = match self.read_whole(id) {
            Err(damage @ Error::Damaged { .. }) => damage,
            read => return read,
        };
        let Some(service) = self.services.get(&id) else {
            return Err(damage);
        };
        let Some(saved) = self.writer.store().spec(&service.name)? else {
            return Err(damage);
        };
        // An update says what changes, and without what was there before nothing can change; only a
        // whole environment can take its place.
        if !update.exact && !update.from_shell {
            return Err(damage);
        }
        let is_set = |name: &Text| update.set.iter().any(|variable| variable.name == *name);
        // The new environment comes from the shell, which does not have what was given by hand.
        let origins = &saved.spec.origins;
        let lost = origins.given().filter(|name| !is_set(name));
        let lost: Vec<_> = lost.map(Text::to_string_lossy).collect();
        if update.exact || lost.is_empty() {
            return Ok((saved.spec, Snapshot::default()));
        }
        let advice = format!(
            "but {} came by --env or a file: give it again",
            lost.join(", ")
        );
        Err(match damage {
            Error::Damaged { path, reason } => Error::Damaged {
                path,
                reason: advised(reason, advice),
            },
            other => other,
        })
    }

    pub(super) fn read_whole(&self, id: u32) -> Result<(ProcessSpec, Snapshot)> {
        let (spec, environment) = self.read_for_launch(id)?;
        let service = self.services.get(&id);
        let shell = service.map(|service| self.writer.store().shell(&service.name));
        let shell = shell.transpose()?.flatten();
        Ok((spec, Snapshot { environment, shell }))
    }
}

/// What the kernel would not take is refused before a process is stopped, or its snapshot is replaced.
pub(super) fn refuse_too_large(
    name: &ProcessName,
    spec: &ProcessSpec,
    snapshot: &Snapshot,
) -> Result<()> {
    let fits = launch::check_size(spec, &snapshot.environment);
    fits.map_err(|reason| Error::LaunchFailed {
        name: name.to_string(),
        reason: reason.into(),
    })
}

/// A PORT that is set and differs from the declared port is a mistake: the declared one would win.
fn check_port(spec: &ProcessSpec, update: &EnvUpdate) -> Result<()> {
    let Some(port) = spec.port else {
        return Ok(());
    };
    let differs = update.set.iter().find(|variable| {
        variable.name.as_bytes() == b"PORT"
            && variable.value.as_bytes() != port.to_string().as_bytes()
    });
    match differs {
        Some(variable) => Err(Error::bad_value(
            "PORT",
            format!(
                "{} differs from the declared --port {port}, which the process gets; leave PORT out",
                variable.value.to_string_lossy()
            ),
        )),
        None => Ok(()),
    }
}

/// The names of the variables in which two snapshots differ.
fn changed_names(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let update = EnvUpdate::between(
        &before.environment,
        &after.environment,
        crate::env::Origin::Shell,
    );
    let set = update.set.iter().map(|variable| &variable.name);
    set.chain(&update.unset)
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}
