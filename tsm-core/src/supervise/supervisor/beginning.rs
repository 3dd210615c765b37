//! How a supervisor begins: the lock, the socket, what its predecessor left, and the records. Nothing is started, ended or written over
//! before the lock is held and every record has been read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use super::{EVENTS_AT_ONCE, Ending, Kind, Options, Supervisor, is_of_a_service, token};
use crate::cookie::Cookies;
use crate::error::{BestEffort as _, IoContext as _, Result};
use crate::store::Writer;
use crate::supervise::care::errands::Errands;
use crate::supervise::care::notices::Deliveries;
use crate::supervise::care::saying::Ears;
use crate::supervise::care::triggers::WallClock;
use crate::supervise::ending::Sweeping;
use crate::supervise::ending::groups::Groups;
use crate::supervise::launching::Launching;
use crate::supervise::logs::Logs;
use crate::supervise::records::Records;
use crate::supervise::requests::connections::Clients;
use crate::supervise::requests::replacing::Replacing;
use crate::supervise::requests::resurrecting::Resurrecting;
use crate::supervise::succession::Succession;
use crate::supervise::succession::carried::Carried;
use crate::supervise::succession::fdstore::{FdStore, Keeper};
use crate::supervise::succession::handover;
use crate::supervise::succession::place::{self, Place};
use crate::supervise::worker::Worker;
use crate::supervise::worklog::WorkLog;
use crate::supervise::{READY, logout, unit};
use crate::sys::poll::{Interest, Poll};
use crate::sys::signal::SignalSource;
use crate::sys::{self, Signal, clock};

/// What a supervisor has from who was there before it: descriptors by the names that they have in the store, and the store.
struct Inheritance {
    fds: HashMap<String, OwnedFd>,
    store: FdStore,
}

impl Inheritance {
    /// From the program that was executed here before an upgrade, or else from who started this one.
    fn take(options: &Options, carried: Option<&mut Carried>) -> Self {
        let lookup = |name: &str| options.variable(name);
        match carried {
            Some(carried) => {
                let (fds, channel) = carried.take_fds();
                let store = channel.map_or_else(|| FdStore::find(lookup), FdStore::of_guardian);
                Self { fds, store }
            }
            None => Self {
                fds: sys::spawn::take_listen_fds(lookup).into_iter().collect(),
                store: FdStore::find(lookup),
            },
        }
    }

    /// The lock on the home, and whether this supervisor continues another one that did not end well. `None` where another one has it.
    fn take_lock(
        &mut self,
        options: &Options,
        log: &mut WorkLog,
    ) -> Result<Option<(Writer, bool)>> {
        // Having inherited it proves nothing: a supervisor that ended well has released it, and
        // another one may have taken it since.
        if let Some(lock) = self.fds.remove("lock").map(File::from)
            && sys::lock::take(&lock).at("lock", options.home.lock())?
        {
            return Ok(Some((Writer::with_lock(options.home.clone(), lock), true)));
        }
        if let Some(writer) = Writer::acquire(options.home.clone())? {
            return Ok(Some((writer, false)));
        }
        // In a unit, this is the one that systemd started after a guardian died and left its
        // supervisor behind.
        let takes_over = options.foreground || unit::of_environment(&options.environment).is_some();
        if !takes_over {
            return Ok(None);
        }
        let taken = handover::take_over(&options.home)?;
        log.say(format_args!(
            "took over from another supervisor, with {} descriptors",
            taken.len()
        ));
        // Into our keeper's store at once: the one that held them ends with the supervisor that
        // handed over.
        for (name, fd) in taken.iter().filter(|(name, _)| is_of_a_service(name)) {
            self.store.put(name, fd.as_fd());
        }
        self.fds.extend(taken);
        let lock = self.fds.remove("lock").map(File::from);
        Ok(lock.map(|lock| (Writer::with_lock(options.home.clone(), lock), true)))
    }

    /// The socket that others know, or a new one.
    fn take_socket(&mut self, options: &Options, continues: bool) -> Result<OwnedFd> {
        let kept = self.fds.remove("socket").filter(|_| continues);
        // No command finds a socket whose file is gone, or whose path belongs to another socket by
        // now.
        match kept.and_then(|listener| place::found(&options.home, listener)) {
            Some(listener) => Ok(listener),
            None => place::listen(&options.home),
        }
    }
}

/// What wakes a supervisor from the start: commands, signals, its worker, and its guardian.
fn watch_sources(
    listener: &OwnedFd,
    signals: &SignalSource,
    worker: &Worker,
    store: &FdStore,
) -> Result<Poll> {
    let poll = Poll::new(EVENTS_AT_ONCE).doing("make an epoll")?;
    poll.add(listener, token(Kind::Listener, 0), Interest::Read)
        .doing("watch the control socket")?;
    poll.add(signals, token(Kind::Signals, 0), Interest::Read)
        .doing("watch signals")?;
    poll.add(worker.event(), token(Kind::Worker, 0), Interest::Read)
        .doing("watch the worker")?;
    if let Some(socket) = guardian_socket(store) {
        poll.add(socket, token(Kind::Keeper, 0), Interest::Read)
            .doing("watch the guardian")?;
    }
    Ok(poll)
}

fn guardian_socket(store: &FdStore) -> Option<BorrowedFd<'_>> {
    store
        .socket()
        .filter(|_| store.keeper() == Keeper::Guardian)
}

/// The guardian, which forked this process.
fn guardian_of(store: &FdStore) -> Option<u32> {
    guardian_socket(store)?;
    sys::procfs::process(std::process::id()).map(|own| own.parent)
}

impl Supervisor {
    /// `None` where another supervisor has the home.
    pub(super) fn start(options: Options, mut carried: Option<Carried>) -> Result<Option<Self>> {
        sys::limits::raise_open_files().doing("raise the limit of open files")?;
        // A child of this process has these from the start; the spec says what its service should
        // have instead.
        let own_limits = sys::limits::current();
        let mut inherited = Inheritance::take(&options, carried.as_mut());
        let mut log = WorkLog::open();
        if inherited.fds.contains_key("lock") && !options.home.processes().is_dir() {
            // Somebody removed the home while a supervisor was down: its successor does not make it
            // anew.
            log.say("the home was removed; ending");
            return Ok(None);
        }
        options.home.prepare()?;
        if options.foreground {
            // Orphans of the services come to us; where that is refused, they go to init.
            sys::become_subreaper().best_effort("where it is refused, they go to init");
        }
        let Some((writer, continues)) = inherited.take_lock(&options, &mut log)? else {
            return Ok(None);
        };
        // Not before the lock is held: another supervisor could be using them.
        let kept = writer.keep_foreign_status().err();
        for error in writer.remove_temporary_files().into_iter().chain(kept) {
            log.say(error);
        }
        let listener = inherited.take_socket(&options, continues)?;
        let Inheritance { mut fds, mut store } = inherited;
        let signals = SignalSource::open(&[Signal::TERM, Signal::INT, Signal::HUP, Signal::CHLD])
            .doing("take signals")?;
        let worker = Worker::new(writer.home().root()).doing("make an event descriptor")?;
        let poll = watch_sources(&listener, &signals, &worker, &store)?;
        let guardian = guardian_of(&store);
        let ears = Ears::inherited(fds.remove("notify"), fds.remove("notify-hidden"));
        let place = Place::watch(writer.home(), &poll);
        // After an upgrade in place, the keeper has them already.
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
        let own_unit = unit::of_environment(&options.environment);
        let groups = Groups::find(guardian, own_unit, &mut log);
        let mut supervisor = Self {
            boot: sys::procfs::boot_id().doing("read the boot id")?,
            null,
            own_limits,
            started_ms: clock::unix_ms(),
            continues,
            cookies: Cookies::of(writer.home()),
            groups,
            // xorshift never leaves 0, so the last bit is set.
            random: clock::unix_ms() ^ (u64::from(std::process::id()) << 32) | 1,
            writer,
            options,
            log,
            poll,
            signals,
            listener,
            place,
            store,
            guardian,
            sentinel: None,
            keeper_interest: Interest::Read,
            worker,
            services: BTreeMap::new(),
            dependents: HashMap::new(),
            deadlines: BTreeSet::new(),
            timers: BTreeSet::new(),
            highest_id: 0,
            adopted: Vec::new(),
            awaited: BTreeMap::new(),
            launching: Launching::default(),
            sweeping: Sweeping::default(),
            logs: Logs::default(),
            records: Records::begin(),
            clients: Clients::default(),
            replacing: Replacing::default(),
            resurrecting: Resurrecting::default(),
            notices: Vec::new(),
            ears,
            errands: Errands::default(),
            deliveries: Deliveries::default(),
            wall: WallClock::default(),
            sample_at: None,
            succession: Succession::begin(),
            ending: Ending::No,
        };
        supervisor.take_up_work(fds, carried)?;
        Ok(Some(supervisor))
    }

    /// Takes over what ran before it, by the descriptors that the keeper gave back.
    fn take_up_work(
        &mut self,
        fds: HashMap<String, OwnedFd>,
        carried: Option<Carried>,
    ) -> Result<()> {
        self.watch_program();
        self.watch_ears();
        if let Some(carried) = carried {
            self.go_on_after_upgrade(carried);
        }
        self.read_defaults();
        if !self.options.foreground && !self.continues {
            self.notices.extend(logout::warning());
        }
        self.adopt_all(fds)
            .map_err(|error| self.cannot_take_over(error))?;
        self.succession.carried = None;
        Ok(())
    }

    /// Says that it listens: to the command that started it, to the keeper, and to the log.
    pub(super) fn announce(&mut self) {
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
        // A resurrection announces it when all is launched.
        if self.options.resurrect.is_none() {
            self.announce_ready();
        }
        if !self.options.foreground {
            use std::io::Write as _;
            // Nobody may be there to read it: after a crash there is no command that waits.
            writeln!(std::io::stdout(), "{READY}")
                .best_effort("after a crash there is no command that waits");
            std::io::stdout()
                .flush()
                .best_effort("nobody may be there to read it");
            sys::fd::replace_stdio(1, self.null.as_fd())
                .best_effort("the pipe stays open then, and its reader has the word it waits for");
        }
    }
}
