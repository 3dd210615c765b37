//! The event loop.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use super::care::Timer;
use super::care::errands::Errand;
use super::care::notices::Delivery;
use super::care::saying::Ears;
use super::ending::groups::Groups;
use super::helper::Helper;
use super::logs::mover::OpenLogs;
use super::machine::{Event, Phase, Stage};
use super::requests::answers::Waiter;
use super::requests::connections::Connection;
use super::requests::resurrecting::{Given, NOBODY, Resurrection};
use super::service::Service;
use super::succession::carried::Carried;
use super::succession::fdstore::{FdStore, Heard, Keeper};
use super::succession::handover::Handover;
use super::succession::place::{self, Place};
use super::succession::upgrading::{OwnProgram, Upgrade, UpgradeWords};
use super::worklog::WorkLog;
use super::{EXIT_OTHER_SUPERVISOR, READY};
use crate::control::{Asked, Request, ResurrectRequest};
use crate::cookie::Cookies;
use crate::error::{Error, IoContext as _, Result};
use crate::home::Home;
use crate::logs::Stream;
use crate::spec::LogSettings;
use crate::store::Writer;
use crate::sys::inotify::Inotify;
use crate::sys::limits::Limit;
use crate::sys::poll::{Interest, Poll, Ready};
use crate::sys::signal::SignalSource;
use crate::sys::{self, Pidfd, Signal, clock};

/// How a supervisor runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose.
    pub home: Home,
    /// In the foreground: it takes the place of one that is there, and SIGTERM or SIGINT stop the services too.
    pub foreground: bool,
    /// What is to be brought back when it begins.
    pub resurrect: Option<ResurrectRequest>,
    /// The environment of this process, in which the keeper of descriptors is named.
    pub environment: Vec<(OsString, OsString)>,
    /// How a program file is executed that this one is upgraded to; where there is nothing, it cannot be.
    pub upgrade: Option<UpgradeWords>,
}

impl Options {
    fn variable(&self, name: &str) -> Option<OsString> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }
}

/// What a watched descriptor is. The upper byte of a token; the rest is an id or a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Listener = 1,
    Signals = 2,
    Keeper = 3,
    Helper = 4,
    Connection = 5,
    Leader = 6,
    Out = 7,
    Err = 8,
    Report = 9,
    Member = 10,
    Forgotten = 11,
    Handover = 12,
    Trial = 20,
    Program = 21,
    Errand = 13,
    ErrandReport = 14,
    ErrandOut = 15,
    ErrandErr = 16,
    ReadyPipe = 17,
    Notify = 18,
    Home = 19,
    DirectLogs = 30,
    Wall = 31,
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
    pub(super) place: Place,
    pub(super) store: FdStore,
    pub(super) guardian: Option<u32>,
    pub(super) log: WorkLog,
    pub(super) services: BTreeMap<u32, Service>,
    pub(super) deadlines: BTreeSet<(Duration, u32)>,
    /// Processes that were taken over, with their states, what is wanted of them, and whether they were found dead.
    pub(super) adopted: Vec<(u32, String, super::machine::Desired, bool)>,
    /// Who needs whom; empty where nobody needs anybody.
    pub(super) dependents: super::ordering::Dependents,
    /// The times of everything but the state machines.
    pub(super) timers: BTreeSet<(Duration, Timer)>,
    pub(super) errands: HashMap<u32, Errand>,
    pub(super) next_errand: u32,
    /// Where services say how they are.
    pub(super) ears: Ears,
    /// Notices that wait to be tried again.
    pub(super) undelivered: HashMap<u32, Delivery>,
    pub(super) notices_under_way: usize,
    /// What is due by the clock on the wall, in Unix milliseconds, and that clock, where anything is.
    pub(super) dues: BTreeSet<(u64, u32)>,
    pub(super) wall: Option<sys::wall::WallTimer>,
    pub(super) launches: VecDeque<u32>,
    pub(super) sweeps: Vec<u32>,
    pub(super) sweep_at: Option<Duration>,
    /// A look at all processes failed: until when there is none.
    pub(super) no_sweep_before: Option<Duration>,
    /// Connections could not be accepted: when that is tried again.
    pub(super) accept_at: Option<Duration>,
    pub(super) connections: HashMap<u32, Connection>,
    pub(super) next_connection: u32,
    pub(super) waiters: HashMap<u32, Vec<Waiter>>,
    pub(super) logs: OpenLogs,
    /// Logs that services write themselves, where there are any.
    pub(super) direct: Option<Box<super::logs::direct::DirectLogs>>,
    /// What was said of the logs of all processes.
    pub(super) log_defaults: LogSettings,
    /// What is to be done for logs, and when.
    pub(super) upkeep: super::logs::upkeep::Due,
    pub(super) helper: Helper,
    pub(super) boot: String,
    pub(super) null: File,
    pub(super) own_limits: Vec<Limit>,
    pub(super) started_ms: u64,
    pub(super) ending: Ending,
    pub(super) notices: Vec<String>,
    /// Events that could not be written.
    pub(super) unwritten: super::records::histories::Unwritten,
    /// How often the OOM killer had been at work when that was last looked at, and when that was.
    pub(super) oom_seen: sys::oom::OomCounts,
    pub(super) oom_seen_ms: u64,
    /// Ids whose records could not be written.
    pub(super) unsaved: BTreeSet<u32>,
    /// What was prepared for a launch by the request that asks for it, so that it is not read again.
    pub(super) prepared: HashMap<u32, (crate::spec::ProcessSpec, crate::env::Environment)>,
    /// Processes whose program is looked at, for the state of their shell.
    pub(super) shells: HashMap<u32, super::launching::shells::Look>,
    /// Processes whose spec and environment are being replaced …
    pub(super) being_replaced: BTreeSet<u32>,
    /// … and the requests that wait for that, each with its connection and raw bytes.
    pub(super) deferred: Vec<(u32, Request, Vec<u8>)>,
    /// Children whose launch failed, on their way to their exit.
    pub(super) forgotten: HashMap<u32, Pidfd>,
    pub(super) handover: Option<Handover>,
    pub(super) upgrade: Option<Upgrade>,
    /// The file that this program was started from …
    pub(super) program: Option<OwnProgram>,
    /// … and how the kernel says that it was replaced.
    pub(super) program_watch: Option<Inotify>,
    /// When this program began.
    pub(super) begun: Duration,
    /// When a new guardian is to be made in the place of one that is gone.
    pub(super) new_guardian_at: Option<Duration>,
    /// What the program knew that this process executed before, until the services have it.
    pub(super) carried: Option<Carried>,
    pub(super) resurrections: Vec<Resurrection>,
    pub(super) saves_under_way: u32,
    pub(super) random: u64,
    /// Adopted processes that have ended and whose status somebody else is about to take; until when that is waited for.
    pub(super) awaited: BTreeMap<u32, Duration>,
    /// The highest id that any record ever had here.
    pub(super) highest_id: u32,
    /// The names that deleted processes had, until their commands were told.
    pub(super) removed_names: HashMap<u32, crate::name::ProcessName>,
    /// What of deleted processes could not be removed, until their commands were told.
    pub(super) removal_errors: HashMap<u32, crate::control::ReportedError>,
    pub(super) cookies: Cookies,
    /// Who belongs to which service, as long as one round of the loop lasts.
    pub(super) remembered: Option<HashMap<u32, Vec<sys::Identity>>>,
    signals: SignalSource,
    /// Connections that were refused.
    pub(super) refused: u64,
    keeper_interest: Interest,
    /// Orphans that were named as nobody's in the log.
    pub(super) unattributed: BTreeSet<sys::Identity>,
    /// What was seen last of orphans that one of these processes may have left behind.
    pub(super) suspects: HashMap<u32, Vec<String>>,
    /// The part of the tree of cgroups that was given to this supervisor.
    pub(super) groups: Option<Groups>,
    /// When main processes are looked for that are on their way into the background.
    pub(super) follow_at: Option<Duration>,
    /// When the trees of services are to be looked at that have limits and no cgroup to hold them.
    pub(super) sample_at: Option<Duration>,
    pub(super) status_at: Option<Duration>,
    /// When memory and code that nobody needs are given back.
    pub(super) tidy_at: Option<Duration>,
    pub(super) retry_at: Option<Duration>,
    /// It goes on where another supervisor of this boot was, which died or handed over.
    pub(super) continues: bool,
}

/// Runs a supervisor until it ends; this process must have been made for it, or be in the foreground.
///
/// Returns the exit status for this process: 0, or the one that tells a guardian that another supervisor was there.
///
/// # Errors
/// Whatever keeps it from starting. What fails later it logs, and goes on.
///
/// ```no_run
/// use tsm_core::home::Home;
/// use tsm_core::supervise::{Options, run};
///
/// // A supervisor in the foreground: SIGTERM or SIGINT stop its services in order, then this returns.
/// let status = run(Options {
///     home: Home::at("/srv/services"),
///     foreground: true,
///     resurrect: None,
///     environment: std::env::vars_os().collect(),
///     upgrade: None,
/// })?;
/// std::process::exit(status.into());
/// # #[expect(unreachable_code, reason = "for the type")]
/// # Ok::<(), tsm_core::error::Error>(())
/// ```
pub fn run(options: Options) -> Result<u8> {
    let lookup = |name: &str| options.variable(name);
    let carried = Carried::take(lookup)?;
    sys::signal::reset_dispositions(carried.is_some());
    sys::set_umask(0o077);
    if !options.foreground {
        sys::set_process_name(c"tsm-supervisor");
    }
    let said = match Supervisor::start(options, carried) {
        Ok(Some(mut supervisor)) => {
            supervisor.announce();
            if let Some(mut request) = supervisor.options.resurrect.take() {
                let given = Given::Dump(request.dump.take());
                let asked = Asked {
                    token: String::new(),
                    by: "`tsm resurrect`".to_owned(),
                    resumed: false,
                    version: None,
                };
                supervisor.resurrect(NOBODY, request, given, asked);
            }
            sys::release_code();
            return supervisor.serve();
        }
        Ok(None) => return Ok(EXIT_OTHER_SUPERVISOR),
        Err(error) => error,
    };
    Err(said)
}

impl Supervisor {
    /// `None` where another supervisor has the home.
    fn start(options: Options, mut carried: Option<Carried>) -> Result<Option<Self>> {
        let own_limits = sys::limits::current();
        sys::limits::raise_open_files().doing("raise the limit of open files")?;
        // Services get back the limits that this process was started with, as far as their specs do not say more.
        let raised = sys::limits::current();
        let lookup = |name: &str| options.variable(name);
        let (mut inherited, mut store) = match &mut carried {
            Some(carried) => {
                let (fds, channel) = carried.take_fds();
                let store = channel.map_or_else(|| FdStore::find(lookup), FdStore::of_guardian);
                (fds, store)
            }
            None => (
                sys::spawn::take_listen_fds(lookup).into_iter().collect(),
                FdStore::find(lookup),
            ),
        };
        let mut log = WorkLog::open();
        options.home.prepare()?;

        if options.foreground {
            // Orphans of the services come to us; where that is refused, they go to init.
            let _ = sys::become_subreaper();
        }
        // A supervisor that ended well has given it back, and may have been followed by another one.
        let kept = match inherited.remove("lock").map(File::from) {
            Some(lock) if sys::lock::take(&lock).at("lock", options.home.lock())? => Some(lock),
            _ => None,
        };
        let mut continues = kept.is_some();
        let writer = match kept {
            Some(lock) => Some(Writer::with_lock(options.home.clone(), lock)),
            None => Writer::acquire(options.home.clone())?,
        };
        let writer = match writer {
            Some(writer) => writer,
            None if options.foreground => {
                continues = true;
                let taken = super::succession::handover::take_over(&options.home)?;
                log.say(format_args!(
                    "took over from another supervisor, with {} descriptors",
                    taken.len()
                ));
                for (name, fd) in taken.iter().filter(|(name, _)| is_of_a_service(name)) {
                    store.put(name, fd.as_fd());
                }
                inherited.extend(taken);
                match inherited.remove("lock") {
                    Some(lock) => Writer::with_lock(options.home.clone(), File::from(lock)),
                    None => return Ok(None),
                }
            }
            None => return Ok(None),
        };
        let kept = writer.keep_foreign_status().err();
        for error in writer.remove_temporary_files().into_iter().chain(kept) {
            log.say(error);
        }
        let kept = inherited.remove("socket").filter(|_| continues);
        let kept = match kept {
            // Without its file nobody finds it, nor where another's has its place.
            Some(listener) => place::found(&options.home, listener),
            None => None,
        };
        let listener = match kept {
            Some(listener) => listener,
            None => place::listen(&options.home)?,
        };
        let signals = SignalSource::open(&[Signal::TERM, Signal::INT, Signal::HUP, Signal::CHLD])
            .doing("take signals")?;
        let poll = Poll::new(256).doing("make an epoll")?;
        poll.add(&listener, token(Kind::Listener, 0), Interest::Read)
            .doing("watch the control socket")?;
        poll.add(&signals, token(Kind::Signals, 0), Interest::Read)
            .doing("watch signals")?;
        let helper = Helper::new(writer.home().root()).doing("make an event descriptor")?;
        poll.add(helper.event(), token(Kind::Helper, 0), Interest::Read)
            .doing("watch the helper")?;
        let mut guardian = None;
        if store.keeper() == Keeper::Guardian
            && let Some(socket) = store.socket()
        {
            poll.add(socket, token(Kind::Keeper, 0), Interest::Read)
                .doing("watch the guardian")?;
            guardian = sys::procfs::process(std::process::id()).map(|own| own.parent);
        }
        let ears = Ears::inherited(
            inherited.remove("notify"),
            inherited.remove("notify-hidden"),
        );
        let place = Place::watch(writer.home(), &poll);
        if carried.is_none() {
            for (name, fd) in ears.named() {
                store.put(name, fd.as_fd());
            }
            store.put("lock", writer.lock().as_fd());
            store.put("socket", listener.as_fd());
        }
        let null = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .at("open", "/dev/null")?;
        let groups = Groups::find(guardian, &mut log);
        let mut supervisor = Self {
            boot: sys::procfs::boot_id().doing("read the boot id")?,
            cookies: Cookies::of(writer.home()),
            writer,
            poll,
            listener,
            place,
            store,
            guardian,
            log,
            services: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            dependents: HashMap::new(),
            adopted: Vec::new(),
            timers: BTreeSet::new(),
            errands: HashMap::new(),
            next_errand: 0,
            ears,
            undelivered: HashMap::new(),
            notices_under_way: 0,
            dues: BTreeSet::new(),
            wall: None,
            launches: VecDeque::new(),
            sweeps: Vec::new(),
            sweep_at: None,
            no_sweep_before: None,
            accept_at: None,
            connections: HashMap::new(),
            next_connection: 0,
            waiters: HashMap::new(),
            logs: OpenLogs::default(),
            direct: None,
            log_defaults: LogSettings::default(),
            upkeep: BTreeSet::new(),
            helper,
            null,
            own_limits: raised,
            started_ms: clock::unix_ms(),
            ending: Ending::No,
            notices: Vec::new(),
            unwritten: super::records::histories::Unwritten::default(),
            oom_seen: sys::oom::OomCounts::read(),
            oom_seen_ms: clock::unix_ms(),
            unsaved: BTreeSet::new(),
            prepared: HashMap::new(),
            shells: HashMap::new(),
            being_replaced: BTreeSet::new(),
            deferred: Vec::new(),
            forgotten: HashMap::new(),
            handover: None,
            upgrade: None,
            program: OwnProgram::find(),
            program_watch: None,
            begun: clock::monotonic(),
            new_guardian_at: None,
            carried: None,
            resurrections: Vec::new(),
            saves_under_way: 0,
            random: clock::unix_ms() ^ (u64::from(std::process::id()) << 32) | 1,
            awaited: BTreeMap::new(),
            highest_id: 0,
            removed_names: HashMap::new(),
            removal_errors: HashMap::new(),
            remembered: None,
            signals,
            refused: 0,
            keeper_interest: Interest::Read,
            unattributed: BTreeSet::new(),
            suspects: HashMap::new(),
            groups,
            follow_at: None,
            sample_at: None,
            status_at: None,
            tidy_at: None,
            retry_at: None,
            continues,
            options,
        };
        drop(own_limits);
        supervisor.watch_program();
        supervisor.watch_ears();
        if let Some(carried) = carried {
            supervisor.go_on_after_upgrade(carried);
        }
        supervisor.read_defaults();
        if !supervisor.options.foreground && !supervisor.continues {
            supervisor.notices.extend(super::logout::warning());
        }
        if let Err(error) = supervisor.adopt_all(inherited) {
            return Err(supervisor.cannot_take_over(error));
        }
        supervisor.carried = None;
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
        if self.options.resurrect.is_none() {
            self.announce_ready();
        }
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
            let wait = if self.launches_to_make() == 0 && !self.has_to_restore() {
                self.time_to_next()
            } else {
                Some(Duration::ZERO)
            };
            self.poll.wait(wait, &mut ready).doing("wait for events")?;
            for event in &ready {
                self.on_ready(*event)?;
            }
            self.fire_deadlines();
            self.accept_again();
            self.look_at_home_if_due();
            self.keep_up_logs();
            self.fire_timers();
            self.give_up_slow_handover();
            self.restore_some();
            self.launch_some();
            self.sweep_if_due();
            self.write_status_if_due();
            self.sample_if_due();
            self.follow_if_due();
            self.look_for_successor();
            self.go_on_upgrading();
            self.watch_keeper();
            self.remembered = None;
            self.removed_names.clear();
            self.removal_errors.clear();
            if self.is_over() {
                return Ok(0);
            }
        }
    }

    fn time_to_next(&self) -> Option<Duration> {
        let connections = self
            .connections
            .values()
            .filter_map(Connection::deadline)
            .min();
        let first = [
            self.deadlines.first().map(|(at, _)| *at),
            self.timers.first().map(|(at, _)| *at),
            self.sweep_at,
            self.accept_at,
            self.place.deadline(),
            self.status_at,
            self.tidy_at,
            self.sample_at,
            self.follow_at,
            self.retry_at,
            self.upkeep.first().map(|(at, ..)| *at),
            self.awaited.values().min().copied(),
            self.handover.as_ref().map(Handover::deadline),
            self.upgrade.as_ref().map(Upgrade::deadline),
            self.program.as_ref().and_then(|program| program.look_at),
            self.new_guardian_at.filter(|_| self.upgrade.is_none()),
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
            k if k == Kind::Helper as u8 => self.on_helper(),
            k if k == Kind::Keeper as u8 => self.on_keeper(),
            k if k == Kind::Forgotten as u8 => self.reap_forgotten(number),
            k if k == Kind::Handover as u8 => self.on_handover(),
            k if k == Kind::Trial as u8 => self.on_trial_ended(),
            k if k == Kind::Program as u8 => self.on_program_changed(),
            k if k == Kind::Errand as u8 => self.on_errand_ended(number),
            k if k == Kind::ErrandReport as u8 => self.on_errand_report(number),
            k if k == Kind::ErrandOut as u8 => self.on_errand_pipe(number, Stream::Out),
            k if k == Kind::ErrandErr as u8 => self.on_errand_pipe(number, Stream::Err),
            k if k == Kind::ReadyPipe as u8 => self.on_ready_pipe(number),
            k if k == Kind::Notify as u8 => self.hear_services(),
            k if k == Kind::DirectLogs as u8 => self.on_direct(),
            k if k == Kind::Home as u8 => self.on_home(),
            k if k == Kind::Wall as u8 => self.on_wall_clock(),
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
            Signal::HUP => {
                self.read_defaults();
                self.reload();
            }
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
                self.announce_stopping();
                let mut ids: Vec<u32> = self.services.keys().copied().collect();
                self.in_order(&mut ids, true);
                for id in ids {
                    let runs = self
                        .services
                        .get(&id)
                        .is_some_and(|s| s.live_pid().is_some());
                    if runs && !again {
                        let by = signal.to_string();
                        self.note(id, crate::events::EventKind::ShutDown { by });
                    }
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
        // A leader's status is taken through its handle, and it stays until its run is over.
        let is_ours = |pid: u32| {
            let leads = |s: &Service| s.leader.as_ref().is_some_and(|l| l.identity.pid == pid);
            self.forgotten.contains_key(&pid)
                || self.services.values().any(leads)
                || self.errands.values().any(|errand| errand.pid == pid)
        };
        while let Some(pid) = sys::pidfd::any_ended_child() {
            if !is_ours(pid) {
                if sys::pidfd::reap_child(pid).is_none() {
                    return;
                }
                continue;
            }
            // The kernel would name this one again and again: those behind it are looked for one by one.
            let children = sys::procfs::children_of_main_thread(std::process::id());
            for child in children.unwrap_or_default() {
                if !is_ours(child) {
                    sys::pidfd::reap_child(child);
                }
            }
            return;
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
                    self.plan_new_guardian();
                }
            }
        }
    }

    /// Watches the keeper for room while something waits to be sent to it.
    fn watch_keeper(&mut self) {
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
        // Nothing to be done where it fails: the queue is flushed with the next message, too.
        let _ = match (self.store.keeper(), interest) {
            (Keeper::Guardian, _) => self.poll.modify(socket, token, interest),
            // A service manager says nothing that could be read.
            (_, Interest::ReadWrite) => self.poll.add(socket, token, interest),
            _ => self.poll.remove(socket),
        };
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
                                stage: Stage::Resisting,
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
            self.write_waiting_events();
            self.write_status();
            self.tell_of_lost_bytes();
        }
        self.flush_connections();
        self.kill_all_errands();
        for error in self.helper.finish() {
            self.log.say(error);
        }
        self.store.notify("STOPPING=1");
        for name in ["lock", "socket"] {
            self.store.forget(name);
        }
        if self.ending != Ending::HandedOver {
            // The keeper holds both a moment longer; the next supervisor need not wait for it. First the lock, then the
            // socket: who finds no socket starts a supervisor, and that must get the lock.
            let in_use = self.services.values().any(|s| s.live_pid().is_some());
            let released = self.writer.release(in_use);
            let path = self.writer.home().socket();
            let removed = std::fs::remove_file(&path).at("remove", &path);
            for failed in [released.err(), removed.err()].into_iter().flatten() {
                self.log.say(failed);
            }
        }
        self.log.say("supervisor ended");
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

/// Whether a descriptor of the store is a service's: a letter for what it is, and the id.
pub(super) fn is_of_a_service(name: &str) -> bool {
    name.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
}
