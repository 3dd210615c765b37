//! The event loop: one thread, one `epoll_wait(2)`, one closed set of what a descriptor can be ([`Kind`]). It owns everything, and
//! shares nothing: other threads hand over what they found. Each module that takes part in it adds its methods and owns its part
//! of the state; none of them may wait.

mod beginning;
mod farewell;
mod keeper;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::EXIT_OTHER_SUPERVISOR;
use super::care::Timer;
use super::care::errands::Errands;
use super::care::notices::Deliveries;
use super::care::saying::Ears;
use super::care::triggers::WallClock;
use super::ending::Sweeping;
use super::ending::groups::Groups;
use super::launching::Launching;
use super::logs::Logs;
use super::records::Records;
use super::requests::connections::Clients;
use super::requests::replacing::Replacing;
use super::requests::resurrecting::{Given, NOBODY, Resurrecting};
use super::service::Service;
use super::succession::Succession;
use super::succession::carried::Carried;
use super::succession::fdstore::FdStore;
use super::succession::place::Place;
use super::succession::upgrading::UpgradeWords;
use super::worker::Worker;
use super::worklog::WorkLog;
use crate::control::{Asked, ResurrectRequest};
use crate::cookie::Cookies;
use crate::error::{Error, IoContext as _, Result};
use crate::home::Home;
use crate::logs::Stream;
use crate::store::Writer;
use crate::sys::limits::Limit;
use crate::sys::poll::{Interest, Poll, Ready};
use crate::sys::signal::SignalSource;
use crate::sys::{self, clock};

/// How many events are heard of at once.
const EVENTS_AT_ONCE: usize = 256;
/// For how long events that do not cease keep deadlines from being looked at.
const LONGEST_HOLD: Duration = Duration::from_secs(1);

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
    Worker = 4,
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
    pub(super) log: WorkLog,
    /// This boot, by the kernel's word for it.
    pub(super) boot: String,
    pub(super) null: File,
    pub(super) own_limits: Vec<Limit>,
    pub(super) started_ms: u64,
    /// It goes on where another supervisor of this boot was, which died or handed over.
    pub(super) continues: bool,
    pub(super) cookies: Cookies,
    /// The part of the tree of cgroups that was given to this supervisor.
    pub(super) groups: Option<Groups>,
    pub(super) random: u64,

    pub(super) poll: Poll,
    signals: SignalSource,
    pub(super) listener: OwnedFd,
    pub(super) place: Place,
    pub(super) store: FdStore,
    pub(super) guardian: Option<u32>,
    /// Who notices where both are killed.
    pub(super) sentinel: Option<sys::Identity>,
    keeper_interest: Interest,
    pub(super) worker: Worker,

    pub(super) services: BTreeMap<u32, Service>,
    /// Who needs whom; empty where nobody needs anybody.
    pub(super) dependents: super::ordering::Dependents,
    /// The times of the state machines …
    pub(super) deadlines: BTreeSet<(Duration, u32)>,
    /// … and those of what is asked for besides running.
    pub(super) timers: BTreeSet<(Duration, Timer)>,
    /// The highest id that any record ever had here.
    pub(super) highest_id: u32,
    /// Processes that were taken over, with their states, what is wanted of them, and whether they were found dead.
    pub(super) adopted: Vec<(
        u32,
        Option<crate::meta::State>,
        super::machine::Desired,
        bool,
    )>,
    /// Adopted processes that have ended and whose status somebody else is about to take; until when that is waited for.
    pub(super) awaited: BTreeMap<u32, Duration>,

    pub(super) launching: Launching,
    pub(super) sweeping: Sweeping,
    pub(super) logs: Logs,
    pub(super) records: Records,
    pub(super) clients: Clients,
    pub(super) replacing: Replacing,
    pub(super) resurrecting: Resurrecting,
    /// What every command is told.
    pub(super) notices: Vec<String>,
    /// Where services say how they are.
    pub(super) ears: Ears,
    pub(super) errands: Errands,
    pub(super) deliveries: Deliveries,
    pub(super) wall: WallClock,
    /// When the trees of services are to be looked at that have limits and no cgroup to hold them.
    pub(super) sample_at: Option<Duration>,
    pub(super) succession: Succession,
    pub(super) ending: Ending,
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
    // It outlives the command that started it, whose umask must not decide who reads the home.
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
    fn serve(&mut self) -> Result<u8> {
        let mut ready: Vec<Ready> = Vec::with_capacity(EVENTS_AT_ONCE);
        let mut heard = clock::monotonic();
        loop {
            // With launches or restores left, events only get their turn in between.
            let wait = if self.launches_to_make() == 0 && !self.has_to_restore() {
                self.time_to_next()
            } else {
                Some(Duration::ZERO)
            };
            if std::mem::take(&mut self.records.is_code_idle) {
                // The last thing before it waits: what runs after it is mapped again, 64 KiB for each function.
                sys::release_code();
            }
            self.poll.wait(wait, &mut ready).doing("wait for events")?;
            heard = all_heard_of(heard, clock::monotonic(), ready.len());
            for event in &ready {
                self.on_ready(*event)?;
            }
            // After the events: an exit that lies in the queue wins over the time-out that it would
            // have missed.
            self.fire_deadlines(heard);
            self.accept_again();
            self.look_at_home_if_due();
            self.look_at_paced_logs();
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
            // A look at all processes is good for one round only: by the next one it is out of
            // date.
            self.sweeping.remembered = None;
            for id in self.clients.removed_names.keys() {
                self.sweeping.suspects.remove(id);
            }
            self.clients.forget_removed();
            if self.is_over() {
                return Ok(0);
            }
        }
    }

    fn time_to_next(&self) -> Option<Duration> {
        let first = [
            self.deadlines.first().map(|(at, _)| *at),
            self.timers.first().map(|(at, _)| *at),
            self.awaited.values().min().copied(),
            self.launching.follow_at,
            self.sweeping.at,
            self.logs.upkeep.next(),
            self.logs.paced.deadline(),
            self.records.deadline(),
            self.clients.deadline(),
            self.sample_at,
            self.place.deadline(),
            self.succession.deadline(),
        ];
        let at = first.into_iter().flatten().min()?;
        Some(at.saturating_sub(clock::monotonic()))
    }

    fn on_ready(&mut self, event: Ready) -> Result<()> {
        // The number is in the low half, the kind in the highest byte.
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
            k if k == Kind::Worker as u8 => self.on_worker(),
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
            // Only signals are left: every token was made by `token`.
            _ => {
                while let Some(signal) = self.signals.next().doing("read a signal")? {
                    self.on_signal(signal);
                }
            }
        }
        Ok(())
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

/// The time up to which all that happened was heard of, if so many events came now: with as many as can come at once, more
/// may be waiting. A thousand services that end together are not to be taken for some that do not end, only because there
/// was much to do. Events that never cease hold up the deadlines for no longer than a moment.
fn all_heard_of(before: Duration, now: Duration, events: usize) -> Duration {
    // A full batch says that more events wait, so that no deadline may count as missed yet.
    if events < EVENTS_AT_ONCE {
        now
    } else {
        // With ever more events the deadlines would never come.
        before.max(now.saturating_sub(LONGEST_HOLD))
    }
}

/// Whether a descriptor of the store is a service's: a letter for what it is, and the id.
pub(super) fn is_of_a_service(name: &str) -> bool {
    name.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_wait_for_what_happened_before_them() {
        let at = Duration::from_millis;
        // All that there was is heard of: what is due now is due.
        assert_eq!(all_heard_of(at(1000), at(1500), 255), at(1500));
        // There may be more: nothing new is due before it is heard, too.
        assert_eq!(all_heard_of(at(1000), at(1500), 256), at(1000));
        assert_eq!(all_heard_of(at(1000), at(1990), 256), at(1000));
        // But not for ever.
        assert_eq!(all_heard_of(at(1000), at(2500), 256), at(1500));
    }
}
