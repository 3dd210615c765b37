//! The event loop.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use super::fdstore::{FdStore, Heard, Keeper};
use super::machine::{Action, Event, Phase, Report};
use super::mover::OpenLogs;
use super::requests::{Connection, Waiter};
use super::service::Service;
use super::syncer::Syncer;
use super::worklog::WorkLog;
use super::{EXIT_OTHER_SUPERVISOR, READY, fail};
use crate::error::{Error, IoContext as _, Result};
use crate::events::EventKind;
use crate::home::Home;
use crate::logs::Stream;
use crate::store::Writer;
use crate::sys::limits::Limit;
use crate::sys::poll::{Interest, Poll, Ready};
use crate::sys::signal::SignalSource;
use crate::sys::{self, Signal, WaitStatus, clock};

/// How a supervisor runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose.
    pub home: Home,
    /// In the foreground: it takes the place of one that is there, and SIGTERM or SIGINT stop the services too.
    pub foreground: bool,
    /// The environment of this process, in which the keeper of descriptors is named.
    pub environment: Vec<(OsString, OsString)>,
}

/// How long changes gather before `status.json` is written.
const STATUS_DELAY: Duration = Duration::from_millis(300);
/// How long after a write failed for want of room it is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How many launches are made before other events get their turn.
const LAUNCHES_AT_ONCE: usize = 16;
/// How long exits gather before `/proc` is read to look for what they left behind.
const SWEEP_DELAY: Duration = Duration::from_millis(4);

/// What a watched descriptor is. The upper byte of a token; the rest is an id or a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Listener = 1,
    Signals = 2,
    Keeper = 3,
    Syncer = 4,
    Connection = 5,
    Leader = 6,
    Out = 7,
    Err = 8,
    Report = 9,
    Member = 10,
}

pub(super) fn token(kind: Kind, number: u32) -> u64 {
    (kind as u64) << 56 | u64::from(number)
}

/// Ends of a supervisor's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Not yet.
    No,
    /// The services stay up.
    LeaveServices,
    /// The services are being stopped; they end first.
    StopServices,
    /// Another supervisor has taken over.
    HandedOver,
}

pub(super) struct Supervisor {
    pub(super) writer: Writer,
    pub(super) options: Options,
    pub(super) poll: Poll,
    pub(super) listener: OwnedFd,
    pub(super) store: FdStore,
    pub(super) guardian: Option<u32>,
    pub(super) log: WorkLog,
    pub(super) services: BTreeMap<u32, Service>,
    pub(super) deadlines: BTreeSet<(Duration, u32)>,
    pub(super) launches: VecDeque<u32>,
    pub(super) sweeps: Vec<u32>,
    pub(super) sweep_at: Option<Duration>,
    pub(super) connections: HashMap<u32, Connection>,
    pub(super) next_connection: u32,
    pub(super) waiters: HashMap<u32, Vec<Waiter>>,
    pub(super) logs: OpenLogs,
    pub(super) syncer: Syncer,
    pub(super) boot: String,
    pub(super) null: File,
    pub(super) own_limits: Vec<Limit>,
    pub(super) started_ms: u64,
    pub(super) ending: Ending,
    pub(super) notices: Vec<String>,
    /// Ids whose records could not be written.
    pub(super) unsaved: BTreeSet<u32>,
    /// What was prepared for a launch by the request that asks for it, so that it is not read again.
    pub(super) prepared: HashMap<u32, (crate::spec::ProcessSpec, crate::env::Environment)>,
    pub(super) random: u64,
    /// Adopted processes that have ended and whose status somebody else is about to take; until when that is waited for.
    pub(super) awaited: BTreeMap<u32, Duration>,
    /// The highest id that any record ever had here.
    pub(super) highest_id: u32,
    /// Requests whose processes were deleted, for commands that ask again.
    pub(super) deleted: VecDeque<(String, u32, crate::name::ProcessName)>,
    /// The names that deleted processes had, until their commands were told.
    pub(super) removed_names: HashMap<u32, crate::name::ProcessName>,
    /// Who belongs to which service, as long as one round of the loop lasts.
    pub(super) remembered: Option<HashMap<u32, Vec<sys::Identity>>>,
    signals: SignalSource,
    status_at: Option<Duration>,
    retry_at: Option<Duration>,
}

/// Runs a supervisor until it ends; this process must have been made for it, or be in the foreground.
///
/// Returns the exit status for this process: 0, or the one that tells a guardian that another supervisor was there.
///
/// # Errors
/// Whatever keeps it from starting. What fails later it logs, and goes on.
pub fn run(options: Options) -> Result<u8> {
    sys::signal::reset_dispositions();
    sys::set_umask(0o077);
    if !options.foreground {
        sys::set_process_name(c"tsm-supervisor");
    }
    let said = match Supervisor::start(options) {
        Ok(Some(mut supervisor)) => {
            supervisor.announce();
            return supervisor.serve();
        }
        Ok(None) => return Ok(EXIT_OTHER_SUPERVISOR),
        Err(error) => error,
    };
    Err(said)
}

impl Supervisor {
    /// `None` where another supervisor has the home.
    fn start(options: Options) -> Result<Option<Self>> {
        let own_limits = sys::limits::current();
        sys::limits::raise_open_files().doing("raise the limit of open files")?;
        // Services get back the limits that this process was started with, as far as their specs do not say more.
        let raised = sys::limits::current();
        let lookup = |name: &str| {
            options
                .environment
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value.clone())
        };
        let mut inherited: HashMap<String, OwnedFd> =
            sys::spawn::take_listen_fds(lookup).into_iter().collect();
        let mut store = FdStore::find(lookup);
        let mut log = WorkLog::open();
        options.home.prepare()?;

        if options.foreground && store.keeper() == Keeper::Nobody {
            // Orphans of the services come to us; where that is refused, they go to init.
            let _ = sys::become_subreaper();
        }
        let writer = match inherited.remove("lock") {
            Some(lock) => Some(Writer::with_lock(options.home.clone(), File::from(lock))),
            None => Writer::acquire(options.home.clone())?,
        };
        let writer = match writer {
            Some(writer) => writer,
            None if options.foreground => {
                let taken = super::handover::take_over(&options.home)?;
                log.say(format_args!(
                    "took over from another supervisor, with {} descriptors",
                    taken.len()
                ));
                inherited.extend(taken);
                match inherited.remove("lock") {
                    Some(lock) => Writer::with_lock(options.home.clone(), File::from(lock)),
                    None => return Ok(None),
                }
            }
            None => return Ok(None),
        };
        writer.remove_temporary_files()?;
        let listener = match inherited.remove("socket") {
            Some(listener) => listener,
            None => listen(&options.home)?,
        };
        let signals = SignalSource::open(&[Signal::TERM, Signal::INT, Signal::HUP, Signal::CHLD])
            .doing("take signals")?;
        let poll = Poll::new(256).doing("make an epoll")?;
        poll.add(&listener, token(Kind::Listener, 0), Interest::Read)
            .doing("watch the control socket")?;
        poll.add(&signals, token(Kind::Signals, 0), Interest::Read)
            .doing("watch signals")?;
        let syncer = Syncer::new(writer.home().root()).doing("make an event descriptor")?;
        poll.add(syncer.event(), token(Kind::Syncer, 0), Interest::Read)
            .doing("watch the helper")?;
        let mut guardian = None;
        if store.keeper() == Keeper::Guardian
            && let Some(socket) = store.socket()
        {
            poll.add(socket, token(Kind::Keeper, 0), Interest::Read)
                .doing("watch the guardian")?;
            guardian = sys::procfs::process(std::process::id()).map(|own| own.parent);
        }
        store.put("lock", writer.lock().as_fd());
        store.put("socket", listener.as_fd());
        let null = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .at("open", "/dev/null")?;
        let mut supervisor = Self {
            boot: sys::procfs::boot_id().doing("read the boot id")?,
            writer,
            poll,
            listener,
            store,
            guardian,
            log,
            services: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            launches: VecDeque::new(),
            sweeps: Vec::new(),
            sweep_at: None,
            connections: HashMap::new(),
            next_connection: 0,
            waiters: HashMap::new(),
            logs: OpenLogs::default(),
            syncer,
            null,
            own_limits: raised,
            started_ms: clock::unix_ms(),
            ending: Ending::No,
            notices: Vec::new(),
            unsaved: BTreeSet::new(),
            prepared: HashMap::new(),
            random: clock::unix_ms() ^ (u64::from(std::process::id()) << 32) | 1,
            awaited: BTreeMap::new(),
            highest_id: 0,
            deleted: VecDeque::new(),
            removed_names: HashMap::new(),
            remembered: None,
            signals,
            status_at: None,
            retry_at: None,
            options,
        };
        drop(own_limits);
        supervisor.adopt_all(inherited)?;
        Ok(Some(supervisor))
    }

    /// Says that it listens: to the command that started it, to the keeper, and to the log.
    fn announce(&mut self) {
        let running = self
            .services
            .values()
            .filter(|service| service.live_pid().is_some())
            .count();
        self.log.say(format_args!(
            "supervisor of {} at work: {} processes, {running} running",
            self.writer.home().root().display(),
            self.services.len()
        ));
        self.store
            .notify(&format!("READY=1\nSTATUS={running} running"));
        if !self.options.foreground {
            use std::io::Write as _;
            // Nobody may be there to read it: after a crash there is no command that waits.
            let _ = writeln!(std::io::stdout(), "{READY}");
            let _ = std::io::stdout().flush();
            let _ = sys::fd::replace_stdio(1, self.null.as_fd());
        }
    }

    fn serve(&mut self) -> Result<u8> {
        let mut ready: Vec<Ready> = Vec::with_capacity(256);
        loop {
            let wait = if self.launches.is_empty() {
                self.time_to_next()
            } else {
                Some(Duration::ZERO)
            };
            self.poll.wait(wait, &mut ready).doing("wait for events")?;
            for event in &ready {
                self.on_ready(*event)?;
            }
            self.fire_deadlines();
            self.launch_some();
            self.sweep_if_due();
            self.write_status_if_due();
            self.watch_keeper();
            self.remembered = None;
            self.removed_names.clear();
            if self.is_over() {
                return Ok(0);
            }
        }
    }

    fn time_to_next(&self) -> Option<Duration> {
        let connections = self
            .connections
            .values()
            .filter_map(|connection| connection.deadline())
            .min();
        let first = [
            self.deadlines.first().map(|(at, _)| *at),
            self.sweep_at,
            self.status_at,
            self.retry_at,
            self.awaited.values().min().copied(),
            connections,
        ];
        let at = first.into_iter().flatten().min()?;
        Some(at.saturating_sub(clock::monotonic()))
    }

    fn on_ready(&mut self, event: Ready) -> Result<()> {
        let number = event.token as u32;
        let kind = (event.token >> 56) as u8;
        match kind {
            k if k == Kind::Listener as u8 => self.accept_all(),
            k if k == Kind::Connection as u8 => self.on_connection(number, event),
            k if k == Kind::Leader as u8 => self.on_leader_ended(number, event.hangup),
            k if k == Kind::Out as u8 => self.on_log(number, Stream::Out, event.hangup),
            k if k == Kind::Err as u8 => self.on_log(number, Stream::Err, event.hangup),
            k if k == Kind::Report as u8 => self.on_report(number),
            k if k == Kind::Member as u8 => self.on_member_ended(number),
            k if k == Kind::Syncer as u8 => self.syncer.collect(&mut self.log),
            k if k == Kind::Keeper as u8 => self.on_keeper(),
            _ => {
                while let Some(signal) = self.signals.next().doing("read a signal")? {
                    self.on_signal(signal);
                }
            }
        }
        Ok(())
    }

    fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::CHLD => self.reap_strangers(),
            Signal::HUP => self.log.say("SIGHUP: nothing to read anew"),
            _ if !self.options.foreground => {
                self.log
                    .say(format_args!("{signal}: ending; the services stay up"));
                self.ending = Ending::LeaveServices;
            }
            _ => {
                let again = self.ending == Ending::StopServices;
                self.log.say(format_args!(
                    "{signal}: {}",
                    if again {
                        "killing all services"
                    } else {
                        "stopping all services"
                    }
                ));
                self.ending = Ending::StopServices;
                self.store.notify("STOPPING=1");
                let ids: Vec<u32> = self.services.keys().copied().collect();
                for id in ids {
                    self.step(id, Event::ShutDown { force: again });
                }
            }
        }
    }

    /// Children that are no leaders: orphans that came to us because there is no guardian.
    fn reap_strangers(&mut self) {
        if self.store.keeper() == Keeper::Guardian {
            return;
        }
        while let Some(pid) = sys::pidfd::any_ended_child() {
            let known = self
                .services
                .values()
                .any(|s| s.leader.as_ref().is_some_and(|l| l.identity.pid == pid));
            if known || sys::pidfd::reap_child(pid).is_none() {
                // A leader's status is taken through its handle; looking further would find the same one again.
                return;
            }
        }
    }

    fn on_keeper(&mut self) {
        self.store.flush();
        while let Some(heard) = self.store.hear() {
            match heard {
                Heard::Exited(pid, status) => self.on_reaped_by_guardian(pid, status),
                Heard::Gone => {
                    if let Some(socket) = self.store.disconnect() {
                        // Dropping it ends the watch as well.
                        let _ = self.poll.remove(&socket);
                    }
                    self.guardian = None;
                    // From here on orphans would go to init; as their reaper they are still found.
                    let _ = sys::become_subreaper();
                    self.log.say("the guardian is gone; services and logs are safe as long as this supervisor lives");
                }
            }
        }
    }

    /// Watches the keeper for room while something waits to be sent to it.
    fn watch_keeper(&mut self) {
        if self.store.keeper() == Keeper::Guardian
            && let Some(socket) = self.store.socket()
        {
            let interest = if self.store.is_backed_up() {
                Interest::ReadWrite
            } else {
                Interest::Read
            };
            // Nothing to be done where it fails: the queue is flushed with the next message, too.
            let _ = self.poll.modify(socket, token(Kind::Keeper, 0), interest);
        }
    }

    /// Feeds the state machine of a process, executes what comes out, and puts the new state on record.
    pub(super) fn step(&mut self, id: u32, event: Event) {
        let now = clock::monotonic();
        let jitter = self.draw();
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let (machine, actions) = service.machine.step(event, now, jitter);
        service.machine = machine;
        // The record follows before anything is done, so that a successor knows what was being done.
        if service.sync_meta(now, clock::unix_ms()) {
            service.dirty = true;
        }
        let launches_next = actions.contains(&Action::Launch);
        if let Some(armed) = service.armed.take() {
            self.deadlines.remove(&(armed, id));
        }
        if let Some(deadline) = machine.deadline() {
            service.armed = Some(deadline);
            self.deadlines.insert((deadline, id));
        }
        if !matches!(machine.phase, Phase::Ending { .. }) {
            self.end_of_run(id);
        }
        // A launch writes the record itself, with its run.
        if !launches_next && !actions.contains(&Action::Sweep) {
            self.save(id);
        }
        for action in actions {
            fail::point("action");
            self.execute(id, action);
        }
    }

    fn execute(&mut self, id: u32, action: Action) {
        match action {
            Action::Launch => self.launches.push_back(id),
            Action::Remember => self.remember(id),
            Action::SignalGroup(force) => self.signal_group(id, force),
            Action::SignalRest(force) => self.signal_rest(id, force),
            Action::Sweep => {
                self.sweeps.push(id);
                if self.sweep_at.is_none() {
                    self.sweep_at = Some(clock::monotonic());
                }
            }
            Action::Remove => self.remove(id),
            Action::Report(report) => self.report(id, report),
        }
    }

    fn report(&mut self, id: u32, report: Report) {
        let Some(service) = self.services.get(&id) else {
            self.answer(id, report);
            return;
        };
        let failures = service.machine.failures;
        let name = service.name.clone();
        match report {
            Report::Started => {
                let event = EventKind::Started {
                    run: service.run(),
                    pid: service.live_pid().unwrap_or(0),
                };
                self.note(id, event);
            }
            Report::Backoff { delay, slow } => {
                self.note(
                    id,
                    EventKind::Backoff {
                        delay_ms: delay.as_millis() as u64,
                        failures,
                        slow,
                    },
                );
                if slow && failures == super::machine::SLOW_AFTER + 1 {
                    self.log.say(format_args!(
                        "'{name}' crashes again and again; from now on it is tried every 5 min"
                    ));
                }
            }
            Report::GaveUp => {
                self.note(id, EventKind::GaveUp { failures });
                self.log.say(format_args!(
                    "'{name}' is given up after {failures} restarts in a row"
                ));
            }
            Report::Stopped => self.note(id, EventKind::Stopped),
            Report::Resists => {
                let members = self.members_in_words(id);
                self.log
                    .say(format_args!("'{name}' resists SIGKILL: {members}"));
                self.note(id, EventKind::Resists { members });
            }
            Report::StartFailed | Report::Ended | Report::Removed => {}
        }
        self.answer(id, report);
    }

    /// Appends to the history of a process.
    pub(super) fn note(&mut self, id: u32, kind: EventKind) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        if let Err(error) = self
            .writer
            .append_event(&service.name, &crate::events::Event::now(kind))
        {
            self.log.say(error);
        }
    }

    /// Writes the record of a process, if it changed.
    pub(super) fn save(&mut self, id: u32) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        if !service.dirty {
            return;
        }
        match self.writer.write_meta(&service.name, &service.meta) {
            Ok(()) => {
                service.dirty = false;
                self.unsaved.remove(&id);
            }
            Err(error) => {
                // Supervision goes on in memory; the record is written when there is room.
                if self.unsaved.insert(id) {
                    self.log
                        .say(format_args!("{error}; going on without, and trying again"));
                }
                self.retry_at = Some(clock::monotonic() + RETRY_DELAY);
            }
        }
        self.status_changed();
    }

    pub(super) fn status_changed(&mut self) {
        if self.status_at.is_none() {
            self.status_at = Some(clock::monotonic() + STATUS_DELAY);
        }
    }

    fn write_status_if_due(&mut self) {
        let now = clock::monotonic();
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            let ids: Vec<u32> = self.unsaved.iter().copied().collect();
            for id in ids {
                self.save(id);
            }
            self.unblock_logs();
        }
        if self.status_at.is_some_and(|at| at <= now) {
            self.status_at = None;
            self.write_status();
        }
    }

    /// Lets blocked logs be tried again in a while.
    pub(super) fn retry_later(&mut self) {
        if self.retry_at.is_none() {
            self.retry_at = Some(clock::monotonic() + RETRY_DELAY);
        }
    }

    pub(super) fn write_status(&mut self) {
        let path = self.writer.home().status();
        let views = self
            .services
            .values()
            .map(|s| crate::view::ProcessView::from_meta(&s.name, &s.meta, self.started_ms));
        if let Err(error) = crate::view::write_status(&path, views) {
            self.log.say(error);
        }
    }

    fn fire_deadlines(&mut self) {
        let now = clock::monotonic();
        while let Some(&(at, id)) = self.deadlines.first() {
            if at > now {
                break;
            }
            self.deadlines.pop_first();
            if let Some(service) = self.services.get_mut(&id) {
                service.armed = None;
            }
            self.on_deadline(id);
        }
        let overdue: Vec<u32> = self
            .awaited
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in overdue {
            self.leader_ended(id, WaitStatus::Unknown);
        }
        self.drop_slow_connections(now);
    }

    fn launch_some(&mut self) {
        for _ in 0..LAUNCHES_AT_ONCE {
            let Some(id) = self.launches.pop_front() else {
                return;
            };
            self.launch(id);
        }
    }

    fn sweep_if_due(&mut self) {
        let Some(at) = self.sweep_at else { return };
        if self.sweeps.is_empty() {
            self.sweep_at = None;
        } else if self.sweep_without_reading() {
            self.sweep_at = None;
        } else if clock::monotonic() >= at + SWEEP_DELAY || self.sweeps.len() == 1 {
            self.sweep_at = None;
            self.sweep_all();
        } else {
            self.sweep_at = Some(at);
        }
        if !self.sweeps.is_empty() && self.sweep_at.is_none() {
            self.sweep_at = Some(clock::monotonic());
        }
    }

    fn is_over(&mut self) -> bool {
        match self.ending {
            Ending::No => false,
            Ending::StopServices => {
                let over = self.services.values().all(|s| {
                    matches!(s.machine.phase, Phase::Resting(_) | Phase::Removed)
                        || matches!(
                            s.machine.phase,
                            Phase::Ending {
                                stage: super::machine::Stage::Resisting,
                                ..
                            }
                        )
                });
                if over {
                    self.say_goodbye();
                }
                over
            }
            Ending::LeaveServices | Ending::HandedOver => {
                self.say_goodbye();
                true
            }
        }
    }

    fn say_goodbye(&mut self) {
        if self.ending != Ending::HandedOver {
            let ids: Vec<u32> = self.services.keys().copied().collect();
            for id in ids {
                self.save(id);
            }
            self.write_status();
        }
        self.flush_connections();
        self.syncer.finish(&mut self.log);
        self.store.notify("STOPPING=1");
        if self.ending != Ending::HandedOver {
            // The guardian holds both a moment longer; the next supervisor need not wait for it. First the lock, then the
            // socket: who finds no socket starts a supervisor, and that must get the lock.
            let released = sys::lock::release(self.writer.lock()).at("unlock", self.writer.home().lock());
            let path = self.writer.home().socket();
            let removed = std::fs::remove_file(&path).at("remove", &path);
            for failed in [released.err(), removed.err()].into_iter().flatten() {
                self.log.say(failed);
            }
        }
        self.log.say("supervisor ended");
    }

    /// A number from 0 to 1 for jitter: xorshift, which is as random as jitter needs.
    fn draw(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn cookie(&self, id: u32, run: u64) -> String {
        format!("{}:{id}:{run}", self.writer.home().root().display())
    }

    /// The processes that one selector means, in the order of ids.
    pub(super) fn select(&self, selector: &crate::selector::Selector) -> Vec<u32> {
        let selected = self
            .services
            .iter()
            .filter(|(id, s)| selector.selects(**id, s.name.as_str(), s.namespace()));
        selected.map(|(id, _)| *id).collect()
    }

    pub(super) fn no_such_process(&self, wanted: &str) -> Error {
        let known = self.services.values().map(|service| service.name.as_str());
        Error::NoSuchProcess {
            selector: wanted.to_owned(),
            suggestion: crate::selector::suggestion(wanted, known),
        }
    }
}

/// Makes the control socket; what a dead supervisor left behind is replaced in one step.
fn listen(home: &Home) -> Result<OwnedFd> {
    let path = home.socket();
    let temporary = path.with_extension("sock.tmp");
    // It may be left from an attempt that was interrupted.
    let _ = std::fs::remove_file(&temporary);
    let listener = sys::socket::listen(&temporary).at("listen at", &path)?;
    std::fs::rename(&temporary, &path).at("listen at", &path)?;
    Ok(listener)
}
