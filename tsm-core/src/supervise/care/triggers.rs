//! What starts a process again besides its own end: changed files, and the clock. They ask for what a person could ask for, and no more:
//! what was stopped stays stopped.

use std::collections::BTreeSet;
use std::path::Path;

use super::Care;
use super::watching::{Watched, Watching};
use crate::error::Result;
use crate::events::EventKind;
use crate::spec::WatchSpec;
use crate::supervise::machine::{Desired, Event, Phase, Rest};
use crate::supervise::supervisor::{Kind, Supervisor, token};
use crate::sys::clock;
use crate::sys::poll::Interest;
use crate::sys::wall::WallTimer;

/// A schedule that came due so recently while no supervisor was there is kept, in milliseconds.
const KEPT: u64 = 60_000;

/// What is due by the clock on the wall.
#[derive(Default)]
pub(in crate::supervise) struct WallClock {
    /// When, in Unix milliseconds, and whose.
    pub(in crate::supervise) dues: BTreeSet<(u64, u32)>,
    /// That clock, where anything is.
    pub(in crate::supervise) timer: Option<WallTimer>,
}

impl Supervisor {
    /// Whether a process is one whose start means that it waits for its time.
    pub(in crate::supervise) fn only_runs_by_the_clock(&self, id: u32) -> bool {
        let Some(service) = self.services.get(&id) else {
            return false;
        };
        let rests = matches!(service.machine.phase, Phase::Resting(_));
        let care = service.care.as_deref();
        rests && care.is_some_and(|care| care.is_scheduled_task() && !care.is_due)
    }

    /// Sees to it that what is wanted up is watched and has its next time, and what is not is not.
    pub(in crate::supervise) fn set_triggers(&mut self, id: u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let wanted = service.machine.desired == Desired::Up;
        let Some(care) = service
            .care
            .as_deref_mut()
            .filter(|care| care.has_triggers())
        else {
            return;
        };
        let watched = wanted && care.watch.is_some();
        if care.is_watched != watched {
            // A new number makes void whatever a thread still brings for the old one.
            care.is_watched = watched;
            care.watch_number += 1;
            care.watching = None;
            if watched {
                self.begin_watching(id);
            }
        }
        let scheduled = self.services.get(&id).and_then(|s| s.care.as_deref());
        if scheduled.is_some_and(|care| care.schedule.is_some() || care.due_ms.is_some()) {
            self.plan(id, None);
        }
    }

    /// Goes on with what another supervisor had begun.
    pub(in crate::supervise) fn adopt_triggers(&mut self, id: u32) {
        let kept = self
            .services
            .get(&id)
            .and_then(|service| service.meta.due_ms);
        self.set_triggers(id);
        let scheduled = self.services.get(&id).and_then(|s| s.care.as_deref());
        if kept.is_some() && scheduled.is_some_and(|care| care.schedule.is_some()) {
            self.plan(id, kept);
        }
    }

    fn begin_watching(&mut self, id: u32) {
        let spec = self.services.get(&id).and_then(|service| {
            let watch = service.care.as_ref()?.watch.clone()?;
            Some((
                watch,
                crate::text::Text::from_bytes(service.meta.cwd.clone()),
            ))
        });
        let Some((watch, cwd)) = spec else { return };
        let home = self.writer.home().root().to_owned();
        let number = self.watch_number(id);
        let begun = self.worker.apart(
            // A directory may have many files, or lie on a file system that does not answer.
            move || Watched::begin(&watch, cwd.as_path(), &home),
            move |supervisor, begun: Result<(Watched, Watching)>| match begun {
                Ok((watched, watching)) => {
                    let care = supervisor
                        .services
                        .get_mut(&id)
                        .and_then(|s| s.care.as_deref_mut());
                    // Where it is no longer wanted, the thread is never begun.
                    if let Some(care) = care.filter(|care| care.watch_number == number) {
                        care.watching = Some(watching);
                        supervisor.go_on_watching(id, number, watched);
                    }
                }
                Err(error) => {
                    let name = supervisor.name_of(id);
                    supervisor.log.say(format_args!("'{name}': {error}"));
                }
            },
        );
        if let Err(error) = begun {
            self.log.say(format_args!("cannot watch files: {error}"));
        }
    }

    fn watch_number(&self, id: u32) -> u64 {
        let care = self.services.get(&id).and_then(|s| s.care.as_deref());
        care.map_or(0, |care| care.watch_number)
    }

    fn go_on_watching(&mut self, id: u32, number: u64, mut watched: Watched) {
        let begun = self.worker.apart(
            move || {
                let changed = watched.next();
                (watched, changed)
            },
            move |supervisor, (watched, changed)| {
                let Some(path) = changed else { return };
                if supervisor.watch_number(id) == number {
                    // The next wait comes first, so that no change during the restart is missed.
                    supervisor.go_on_watching(id, number, watched);
                    supervisor.changed(id, &path);
                }
            },
        );
        if let Err(error) = begun {
            self.log.say(format_args!("cannot watch files: {error}"));
        }
    }

    /// Files that a process is watched for have changed.
    fn changed(&mut self, id: u32, path: &Path) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let watch: Option<&WatchSpec> =
            service.care.as_ref().and_then(|care| care.watch.as_deref());
        let Some(watch) = watch else { return };
        let signal = watch.signal;
        let path = path
            .strip_prefix(crate::text::Text::from_bytes(service.meta.cwd.clone()).as_path())
            .unwrap_or(path);
        let path = path.to_string_lossy().into_owned();
        if let Some(signal) = signal {
            let leader = service
                .leader
                .as_ref()
                .filter(|leader| leader.ended.is_none());
            let sent = leader.map(|leader| leader.handle.signal(signal));
            if let Some(Err(error)) = sent {
                let name = service.name.clone();
                self.log
                    .say(format_args!("cannot send {signal} to '{name}': {error}"));
            }
            self.note(id, EventKind::FilesChanged { path });
            return;
        }
        self.note(id, EventKind::FilesChanged { path });
        self.start_anew(id);
    }

    /// Ends what runs and starts it, or starts what does not.
    fn start_anew(&mut self, id: u32) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        match service.machine.phase {
            Phase::Resting(_) => self.step(id, Event::Start),
            _ => self.step(id, Event::Restart),
        }
    }

    /// Works out when a process is started next by the clock; `kept`: what a supervisor before had worked out.
    pub(super) fn plan(&mut self, id: u32, kept: Option<u64>) {
        let now = clock::unix_ms();
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let wanted = service.machine.desired == Desired::Up;
        let Some(care) = service.care.as_deref_mut() else {
            return;
        };
        let schedule = care.schedule.as_deref().filter(|_| wanted);
        let due = match (schedule, kept, care.due_ms) {
            (None, ..) => None,
            // What came due a moment ago, while no supervisor was there, is not lost.
            (Some(_), Some(kept), _) if kept + KEPT > now => Some(kept),
            (Some(_), None, Some(due)) if due > now => Some(due),
            (Some(schedule), ..) => schedule.next_after(now),
        };
        if care.due_ms != due {
            if let Some(before) = care.due_ms.take() {
                self.wall.dues.remove(&(before, id));
            }
            care.due_ms = due;
            self.wall.dues.extend(due.map(|due| (due, id)));
            service.meta.due_ms = due;
            service.dirty = true;
            self.save(id);
        } else if service.meta.due_ms != due {
            service.meta.due_ms = due;
            service.dirty = true;
            self.save(id);
        }
        self.wind_clock();
    }

    /// Sets the clock to the next time that something is due.
    fn wind_clock(&mut self) {
        let first = self.wall.dues.first().map(|(due, _)| *due);
        if self.wall.timer.is_none() && first.is_some() {
            let made = WallTimer::new().and_then(|timer| {
                self.poll
                    .add(&timer, token(Kind::Wall, 0), Interest::Read)?;
                Ok(timer)
            });
            match made {
                Ok(timer) => self.wall.timer = Some(timer),
                Err(error) => {
                    return self
                        .log
                        .say(format_args!("cannot make a clock for schedules: {error}"));
                }
            }
        }
        if let Some(timer) = &self.wall.timer
            && let Err(error) = timer.set(first)
        {
            self.log.say(format_args!("cannot set a clock: {error}"));
        }
    }

    /// Something is due, or somebody has set the clock of this machine.
    pub(in crate::supervise) fn on_wall_clock(&mut self) {
        let set = self.wall.timer.as_ref().is_some_and(WallTimer::has_jumped);
        let now = clock::unix_ms();
        while let Some(&(due, id)) = self.wall.dues.first().filter(|(due, _)| *due <= now) {
            self.wall.dues.pop_first();
            self.on_time(id, due);
        }
        if set {
            // Every next time was worked out by a clock that has been set since.
            let all: Vec<u32> = self.wall.dues.iter().map(|(_, id)| *id).collect();
            for id in all {
                self.forget_due(id);
                self.plan(id, None);
            }
        }
        self.wind_clock();
    }

    fn forget_due(&mut self, id: u32) {
        let care = self
            .services
            .get_mut(&id)
            .and_then(|s| s.care.as_deref_mut());
        if let Some(due) = care.and_then(|care| care.due_ms.take()) {
            self.wall.dues.remove(&(due, id));
        }
    }

    /// The time of a process has come.
    fn on_time(&mut self, id: u32, due: u64) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let care = service.care.as_deref_mut();
        // A schedule that was changed or removed since has other times.
        let Some(care) = care.filter(|care| care.due_ms == Some(due)) else {
            return;
        };
        care.due_ms = None;
        let task = service.care.as_deref().is_some_and(Care::is_scheduled_task);
        let rests = matches!(
            service.machine.phase,
            Phase::Resting(Rest::Exited | Rest::Failed | Rest::Stopped) | Phase::Waiting { .. }
        );
        // A task that still runs is not disturbed, and never runs twice at once.
        let skipped = task && !rests;
        if let Some(care) = service.care.as_deref_mut() {
            care.is_due = !skipped;
        }
        self.note(id, EventKind::Scheduled { skipped });
        if !skipped {
            self.start_anew(id);
        }
        if let Some(care) = self
            .services
            .get_mut(&id)
            .and_then(|s| s.care.as_deref_mut())
        {
            care.is_due = false;
        }
        self.plan(id, None);
    }

    /// The start of a task that runs by the clock: from now on it waits for its time.
    pub(in crate::supervise) fn wait_for_time(&mut self, id: u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        service.machine.desired = Desired::Up;
        if service.sync_meta(clock::monotonic(), clock::unix_ms()) {
            service.dirty = true;
        }
        service.fresh = false;
        self.save(id);
        self.set_triggers(id);
        let waiters = self.clients.waiters.remove(&id).unwrap_or_default();
        let name = self.name_of(id);
        let note = format!("waits for its time; 'tsm restart {name}' runs it now");
        for waiter in waiters {
            self.settle(waiter.connection, id, Some(&note), None);
        }
    }
}
