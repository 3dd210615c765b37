//! `resurrect` on the supervisor's side. The dump is read by the worker; what comes of that is done
//! here, some of it at a time.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::control::{Asked, Reply, ReportedError, ResurrectRequest, Verb};
use crate::env::{Environment, Snapshot};
use crate::error::{Error, IoContext as _, Result};
use crate::events::EventKind;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::persist::{self, Dump, Saved, Step};
use crate::spec::SavedSpec;
use crate::store::Staged;
use crate::supervise::machine::{Desired, Event, Machine, Phase, Rest};
use crate::supervise::service::{self, Service};
use crate::supervise::supervisor::Supervisor;
use crate::supervise::worker::Urgency;
use crate::sys;

/// How many records are made from a dump before other events get their turn.
const RESTORED_AT_ONCE: usize = 8;
/// The connection that a resurrection has that nobody asked for over the socket: the one of a foreground's start.
pub(in crate::supervise) const NOBODY: u32 = u32::MAX;

/// A resurrection that is under way.
pub(in crate::supervise) struct Resurrection {
    connection: u32,
    by: String,
    token: String,
    /// Processes that have no record yet, and whether each is started.
    to_restore: VecDeque<(Saved, bool)>,
    /// Processes whose start or stop nobody has heard of yet; for [`NOBODY`], since a connection counts its own.
    waits_for: BTreeSet<u32>,
    failed: u32,
}

/// Saves and resurrections that are under way.
#[derive(Default)]
pub(in crate::supervise) struct Resurrecting {
    pub(in crate::supervise) under_way: Vec<Resurrection>,
    /// How many dumps are being written.
    pub(in crate::supervise) saves: u32,
}

impl Supervisor {
    /// Reads the dump, and goes on with [`Self::carry_out`].
    pub(in crate::supervise) fn resurrect(
        &mut self,
        number: u32,
        request: ResurrectRequest,
        given: Given,
        asked: Asked,
    ) {
        let home = self.writer.home();
        let path = request.from.clone().unwrap_or_else(|| home.dump());
        let named = request.from.is_some();
        let found: Arc<Mutex<Option<Dump>>> = Arc::default();
        let told = Arc::clone(&found);
        // A dump may lie on a file system that does not answer, and the loop must not wait for it.
        self.worker.submit(
            Urgency::Now,
            move |_| {
                let dump = given.read(&path, named)?;
                *told.lock().unwrap_or_else(PoisonError::into_inner) = dump;
                Ok(())
            },
            move |supervisor, read| {
                let dump = found.lock().unwrap_or_else(PoisonError::into_inner).take();
                let done = read.and_then(|()| supervisor.carry_out(number, &request, dump, asked));
                if let Err(error) = done {
                    supervisor.resurrection_failed(number, &error);
                }
            },
        );
    }

    fn resurrection_failed(&mut self, number: u32, error: &Error) {
        if number != NOBODY {
            return self.fail(number, error);
        }
        self.log.say(error);
        self.announce_ready();
    }

    /// What the records and the dump ask for is begun.
    fn carry_out(
        &mut self,
        number: u32,
        request: &ResurrectRequest,
        dump: Option<Dump>,
        asked: Asked,
    ) -> Result<()> {
        // At boot a home without anything is in order: the supervisor is there for what comes.
        let is_boot = number == NOBODY && request.mode.boot;
        if dump.is_none() && self.services.is_empty() && !is_boot {
            return Err(Error::NothingToResurrect {
                home: self.writer.home().root().to_owned(),
            });
        }
        self.notice_ends();
        let steps = self.steps_to_take(request, dump.as_ref());
        let names = steps.iter().map(|(name, _)| name.clone()).collect();
        let saved = dump.map(|dump| dump.processes).unwrap_or_default();
        let named = |saved: Saved| (saved.name.clone(), saved);
        let mut saved: HashMap<ProcessName, Saved> = saved.into_iter().map(named).collect();
        let ids = self.services.iter().map(|(id, s)| (s.name.clone(), *id));
        let ids: HashMap<ProcessName, u32> = ids.collect();
        if number == NOBODY {
            self.log
                .say(format_args!("resurrecting {} processes", steps.len()));
        } else {
            self.say(number, &Reply::Accepted { names });
            if let Some(connection) = self.clients.connections.get_mut(&number) {
                connection.pending = steps.len() as u32;
            }
            if steps.is_empty() {
                self.done(number);
            }
        }
        let mut resurrection = Resurrection {
            connection: number,
            by: asked.by,
            token: asked.token,
            to_restore: VecDeque::new(),
            waits_for: BTreeSet::new(),
            failed: 0,
        };
        let mut events = Vec::new();
        for (name, step) in steps {
            if let Step::Restore { start } = step {
                let saved = saved.remove(&name).map(|saved| (saved, start));
                resurrection.to_restore.extend(saved);
                continue;
            }
            let Some(&id) = ids.get(&name) else {
                continue;
            };
            resurrection.waits_for.insert(id);
            let by = resurrection.by.clone();
            events.push(if step == Step::Start {
                (
                    id,
                    Verb::Start,
                    Event::Start,
                    EventKind::StartRequested { by },
                )
            } else {
                let stop = Event::Stop { force: false };
                (id, Verb::Stop, stop, EventKind::StopRequested { by })
            });
        }
        // Before any step, since a step that is settled at once looks for it.
        self.resurrecting.under_way.push(resurrection);
        let mut order: Vec<u32> = events.iter().map(|(id, ..)| *id).collect();
        self.in_order(&mut order, false);
        let place = |id: u32| order.iter().position(|other| *other == id).unwrap_or(0);
        if !self.dependents.is_empty() {
            // Stops come before all starts, and among them the other way round: who needs others
            // ends first.
            let turned = |verb: Verb, id: u32| match verb {
                Verb::Stop => -(place(id) as i64) - 1,
                _ => place(id) as i64,
            };
            crate::sorted::by_key(&mut events, |(id, verb, ..)| turned(*verb, *id));
        }
        for (id, verb, event, kind) in events {
            self.note(id, kind);
            // The waiter first, since the step may settle it at once.
            self.add_waiter(number, id, verb, None);
            self.step(id, event);
        }
        self.end_resurrections();
        Ok(())
    }

    /// What ended while nobody watched counts as ended, whichever event comes first.
    fn notice_ends(&mut self) {
        let has_ended = |service: &Service| {
            let leader = service.leader.as_ref();
            leader.is_some_and(|leader| leader.ended.is_none() && leader.handle.has_ended())
        };
        let ended = self.services.iter().filter(|(_, s)| has_ended(s));
        let ended: Vec<u32> = ended.map(|(id, _)| *id).collect();
        for id in ended {
            self.on_leader_ended(id, false);
            // Its end may never be reported: in a container there may be nobody who reaps it.
            if self.services.get(&id).is_some_and(has_ended) {
                self.leader_ended(id, sys::WaitStatus::Unknown);
            }
        }
    }

    /// What the records and the dump ask for.
    fn steps_to_take(
        &self,
        request: &ResurrectRequest,
        dump: Option<&Dump>,
    ) -> Vec<(ProcessName, Step)> {
        // At boot, a back-off that a supervisor began before it died is waited out. A person who
        // asks for all does not want to wait.
        let waits_on = request.mode.boot && self.continues;
        let records: Vec<(ProcessName, bool, bool)> = self
            .services
            .values()
            .map(|service| {
                // A task that is done need not run again.
                let runs = match service.machine.phase {
                    Phase::Resting(rest) => service.task && rest == Rest::Exited,
                    Phase::Waiting { .. } | Phase::Ending { .. } => waits_on,
                    _ => true,
                };
                let wanted = service.machine.desired == Desired::Up;
                (service.name.clone(), wanted, runs)
            })
            .collect();
        let deleted = persist::deleted_since(self.writer.home());
        let mut steps = persist::plan(&records, dump, &deleted, &request.mode);
        if request.mode.boot && self.continues {
            // What has ended by itself since the boot, and was left that way, has had its start.
            let ended = self.ended_by_themselves();
            steps.retain(|(name, step)| *step != Step::Start || !ended.contains(name));
        }
        steps
    }

    /// Those that ended by themselves since the boot.
    fn ended_by_themselves(&self) -> HashSet<ProcessName> {
        let stopped = Phase::Resting(Rest::Stopped);
        let ended = self.services.values().filter(|service| {
            let this_boot = service.meta.boot.as_deref() == Some(self.boot.as_str());
            this_boot && service.machine.phase != stopped
        });
        ended.map(|service| service.name.clone()).collect()
    }

    /// Whether records wait to be made from a dump.
    pub(in crate::supervise) fn has_to_restore(&self) -> bool {
        self.resurrecting
            .under_way
            .iter()
            .any(|resurrection| !resurrection.to_restore.is_empty())
    }

    /// Makes some of the records that wait for it.
    pub(in crate::supervise) fn restore_some(&mut self) {
        for _ in 0..RESTORED_AT_ONCE {
            let next = self
                .resurrecting
                .under_way
                .iter_mut()
                .find_map(|resurrection| {
                    let (saved, start) = resurrection.to_restore.pop_front()?;
                    let (by, token) = (resurrection.by.clone(), resurrection.token.clone());
                    Some((resurrection.connection, by, token, saved, start))
                });
            let Some((number, by, token, saved, start)) = next else {
                return;
            };
            let name = saved.name.clone();
            match self.restore(saved, start) {
                Ok(id) if start => {
                    if let Some(service) = self.services.get_mut(&id) {
                        // A command that asks again after a supervisor's death does not count it twice.
                        service.meta.request = Some(token);
                    }
                    if let Some(resurrection) = self.resurrection_of(number) {
                        resurrection.waits_for.insert(id);
                    }
                    self.note(id, EventKind::StartRequested { by });
                    self.add_waiter(number, id, Verb::Start, None);
                    self.step(id, Event::Start);
                }
                Ok(id) => self.settle(number, id, Some("is back, stopped as it was"), None),
                Err(error) => self.restore_failed(number, &name, &error),
            }
        }
        self.end_resurrections();
    }

    fn resurrection_of(&mut self, number: u32) -> Option<&mut Resurrection> {
        self.resurrecting
            .under_way
            .iter_mut()
            .find(|resurrection| resurrection.connection == number)
    }

    fn restore_failed(&mut self, number: u32, name: &ProcessName, error: &Error) {
        self.log
            .say(format_args!("cannot bring '{name}' back: {error}"));
        let reported: ReportedError = error.into();
        if number == NOBODY {
            if let Some(resurrection) = self.resurrection_of(number) {
                resurrection.failed += 1;
            }
            return;
        }
        // There is no record that could be settled.
        let outcome = crate::control::Outcome {
            id: 0,
            name: name.clone(),
            pid: None,
            note: None,
            error: Some(reported),
        };
        self.tell_outcome(number, outcome);
    }

    /// A record as a dump has it, under the id that it had where that is free.
    fn restore(&mut self, saved: Saved, start: bool) -> Result<u32> {
        let name = saved.name.clone();
        let snapshot: Snapshot = saved
            .snapshot()
            .map_err(|error| Error::bad_value(name.as_str(), error))?;
        let highest = self.services.keys().next_back().copied().unwrap_or(0);
        let highest = highest.max(self.highest_id);
        let is_none = matches!(saved.id, 0 | u32::MAX);
        let id = if is_none || self.services.contains_key(&saved.id) {
            self.writer.allocate_id(highest)?
        } else {
            // The counter first: should we die in between, the ID is not given out a second time.
            self.writer.skip_ids(saved.id)?;
            saved.id
        };
        self.highest_id = self.highest_id.max(id);
        let document = SavedSpec::new(id, name.clone(), saved.spec);
        let staged = self.writer.stage(&document, &snapshot)?;
        staged.iter().try_for_each(Staged::commit)?;
        self.make_logs(&name, &document.spec.logs)?;
        let spec = document.spec;
        let mut meta = Meta {
            id,
            ..Meta::default()
        };
        service::describe(&mut meta, &spec);
        let desired = if start { Desired::Up } else { Desired::Down };
        let machine = Machine::new(
            service::policy_of(&spec),
            desired,
            Phase::Resting(Rest::Stopped),
        );
        let mut service = Service::new(name.clone(), meta, machine, spec.stop_signal);
        service.apply_spec(&spec);
        service.begun_here = true;
        service.apply_spec(&spec);
        service.sync_meta(sys::clock::monotonic(), sys::clock::unix_ms());
        self.services.insert(id, service);
        self.index_needs();
        self.save(id);
        let home = self.writer.home();
        let paths = [home.spec(&name), home.env(&name), home.meta(&name)];
        self.worker.sync_soon(paths);
        let environment: Environment = snapshot.environment;
        if start {
            self.launching.prepared.insert(id, (spec, environment));
        }
        Ok(id)
    }

    /// A process that a resurrection waits for is settled, well or not.
    pub(super) fn resurrected(&mut self, number: u32, id: u32, error: Option<&ReportedError>) {
        let told = error.map(|error| error.message.clone());
        let Some(resurrection) = self.resurrection_of(number) else {
            return;
        };
        if !resurrection.waits_for.remove(&id) {
            return;
        }
        resurrection.failed += u32::from(told.is_some());
        if let (NOBODY, Some(told)) = (number, told) {
            self.log.say(told);
        }
        self.end_resurrections();
    }

    /// Nobody waits at this connection any more: what was begun goes on, untold.
    pub(super) fn forget_resurrection(&mut self, number: u32) {
        if let Some(resurrection) = self.resurrection_of(number) {
            resurrection.waits_for.clear();
        }
        self.end_resurrections();
    }

    /// Those that have nothing left to do are over.
    fn end_resurrections(&mut self) {
        let over = |r: &Resurrection| r.to_restore.is_empty() && r.waits_for.is_empty();
        let boot = self
            .resurrecting
            .under_way
            .iter()
            .find(|r| r.connection == NOBODY);
        let booted = boot.filter(|r| over(r)).map(|r| r.failed);
        self.resurrecting.under_way.retain(|r| !over(r));
        if let Some(failed) = booted {
            if failed > 0 {
                self.log.say(format_args!(
                    "{failed} of what should run could not be started; see above, and 'tsm list'"
                ));
            }
            self.announce_ready();
        }
    }
}

/// A dump that came with a request, if one did.
pub(in crate::supervise) enum Given {
    /// Its document; empty where none came.
    Bytes(Vec<u8>),
    /// As it was read by whoever asks.
    Dump(Option<Dump>),
}

impl Given {
    /// The dump that came, else that of a file.
    fn read(self, path: &Path, named: bool) -> Result<Option<Dump>> {
        match self {
            Self::Dump(Some(dump)) => return Ok(Some(dump)),
            Self::Bytes(bytes) if !bytes.is_empty() => {
                let wrong =
                    |reason| Error::bad_value("the dump that came with the request", reason);
                return Dump::parse(&bytes).map_err(wrong).map(Some);
            }
            Self::Dump(None) | Self::Bytes(_) => {}
        }
        let dump = Dump::read(path)?;
        if named && dump.is_none() {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(missing).at("read", path);
        }
        Ok(dump)
    }
}
