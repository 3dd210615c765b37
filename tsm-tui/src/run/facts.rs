//! The home and the machine: told of when something changes, measured while that is seen.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::{Duration, Instant};

use tsm_core::error::{BestEffort as _, Result};
use tsm_core::probe::{CpuSample, Machine, Usages};
use tsm_core::store::ProcessStore;
use tsm_core::sys::clock;
use tsm_core::sys::poll::{Interest, Poll};
use tsm_core::view::is_disk_full;
use tsm_core::watch::Watch;

use super::wake::{self, Sleeper, Waker};
use crate::message::{self, Measured, Message};

/// How often something is measured, at most.
const TICK: Duration = Duration::from_secs(1);
/// Measuring takes at most this part of the time: with thousands of processes it is done less often.
const SHARE: u32 = 100;
/// Changes that come faster than this are told together.
const BETWEEN_CHANGES: Duration = Duration::from_millis(50);
/// How long it takes until a home that could not be watched is tried again.
const AGAIN: Duration = Duration::from_secs(5);

const HOME: u64 = 0;
const WAKE: u64 = 1;

enum Request {
    Want { clock: bool, usage: bool },
    LookAgain,
}

/// The thread that looks.
pub(super) struct Facts {
    waker: Waker,
    requests: Sender<Request>,
}

impl Facts {
    pub(super) fn want(&self, clock: bool, usage: bool) {
        self.ask(Request::Want { clock, usage });
    }

    pub(super) fn look_again(&self) {
        self.ask(Request::LookAgain);
    }

    fn ask(&self, request: Request) {
        self.requests
            .send(request)
            .best_effort("the thread lives as long as we do");
        self.waker.wake();
    }
}

/// Begins to look.
pub(super) fn spawn(store: ProcessStore, say: SyncSender<Message>) -> io::Result<Facts> {
    let (waker, sleeper) = wake::pair()?;
    let (ask, requests) = mpsc::channel();
    let mut looker = Looker {
        store,
        say,
        sleeper,
        requests,
        clock: false,
        usage: false,
        next_tick: Instant::now(),
        next_measure: Instant::now(),
        earlier: HashMap::new(),
        machine: None,
    };
    std::thread::spawn(move || {
        while let Err(error) = looker.look() {
            if looker
                .say
                .send(Message::Trouble(error.to_string()))
                .is_err()
            {
                return;
            }
            looker.sleeper.rest(AGAIN);
            looker.sleeper.clear();
        }
    });
    Ok(Facts {
        waker,
        requests: ask,
    })
}

struct Looker {
    store: ProcessStore,
    say: SyncSender<Message>,
    sleeper: Sleeper,
    requests: Receiver<Request>,
    clock: bool,
    usage: bool,
    next_tick: Instant,
    next_measure: Instant,
    earlier: HashMap<u32, CpuSample>,
    machine: Option<Machine>,
}

impl Looker {
    /// Looks until nobody listens.
    fn look(&mut self) -> Result<()> {
        let mut watch = tsm_core::watch(self.store.clone())?;
        let mut damaged = damaged(&watch);
        let known = Message::Known {
            processes: watch.processes().cloned().collect(),
            supervised: watch.is_supervised(),
            damaged: damaged.clone(),
            now_ms: clock::unix_ms(),
        };
        if self.say.send(known).is_err() {
            return Ok(());
        }
        let failed = |source| tsm_core::error::Error::System {
            action: "wait for changes",
            source,
        };
        let mut poll = Poll::new(2).map_err(failed)?;
        poll.add(&watch, HOME, Interest::Read).map_err(failed)?;
        poll.add(&self.sleeper, WAKE, Interest::Read)
            .map_err(failed)?;
        let mut ready = Vec::new();
        let mut told = Instant::now();
        loop {
            let until = self.next_tick.saturating_duration_since(Instant::now());
            poll.wait(self.clock.then_some(until), &mut ready)
                .map_err(failed)?;
            let is_ready = |token| ready.iter().any(|ready| ready.token == token);
            let mut changes = Vec::new();
            if is_ready(WAKE) {
                self.sleeper.clear();
                if self.take_requests() {
                    changes.extend(watch.look_again()?);
                }
            }
            let is_due = self.clock && Instant::now() >= self.next_tick;
            if is_due {
                // That the supervisor is gone may leave no trace in the files.
                if self.store.is_supervised() != watch.is_supervised() {
                    changes.extend(watch.look_again()?);
                }
                let measured = self.usage.then(|| self.measure(&watch)).flatten();
                let tick = Message::Tick {
                    now_ms: clock::unix_ms(),
                    measured,
                };
                if self.say.send(tick).is_err() {
                    return Ok(());
                }
                self.next_tick = Instant::now() + TICK;
            }
            if is_ready(HOME) {
                let rest = BETWEEN_CHANGES.saturating_sub(told.elapsed());
                if !rest.is_zero() {
                    self.sleeper.rest(rest);
                }
                changes.extend(watch.next_batch(Some(Duration::ZERO))?);
            }
            let damaged_now = self::damaged(&watch);
            if changes.is_empty() && damaged_now == damaged {
                continue;
            }
            damaged.clone_from(&damaged_now);
            let changed = Message::Changed {
                changes,
                damaged: damaged_now,
                now_ms: clock::unix_ms(),
            };
            if self.say.send(changed).is_err() {
                return Ok(());
            }
            told = Instant::now();
        }
    }

    /// Takes what is asked; tells whether everything is to be looked at again.
    fn take_requests(&mut self) -> bool {
        let mut again = false;
        for request in self.requests.try_iter() {
            match request {
                Request::LookAgain => again = true,
                Request::Want { clock, usage } => {
                    if clock && !self.clock {
                        self.next_tick = Instant::now();
                    }
                    (self.clock, self.usage) = (clock, usage);
                }
            }
        }
        again
    }

    /// Measures what runs, if it is time again.
    fn measure(&mut self, watch: &Watch) -> Option<Measured> {
        let begin = Instant::now();
        if begin < self.next_measure {
            return None;
        }
        // What cannot be measured now is not shown; it is no trouble with the home.
        let usages = Usages::of(watch.processes()).unwrap_or_default();
        let machine = Machine::read().unwrap_or_default();
        let ids = watch.processes().map(|view| view.id);
        let found = ids.filter_map(|id| Some((id, usages.get(id)?)));
        let mut samples = HashMap::new();
        let usage = found
            .map(|(id, usage)| {
                samples.insert(id, usage.sample);
                let before = self.earlier.get(&id);
                let percent = before.and_then(|before| usage.sample.percent_since(before));
                let percent = percent.unwrap_or(usage.cpu_percent);
                (id, percent, usage.memory_bytes)
            })
            .collect();
        self.earlier = samples;
        let busy = self.machine.and_then(|before| machine.busy_since(&before));
        self.machine = Some(machine);
        let measured = Measured {
            usage,
            machine: message::Machine {
                load: machine.load,
                cores: machine.cores,
                busy,
                memory_used: machine.memory_used,
                memory_all: machine.memory_all,
            },
            disk_full: is_disk_full(self.store.home()),
        };
        self.next_measure = begin + (begin.elapsed() * SHARE).max(TICK / 2);
        Some(measured)
    }
}

fn damaged(watch: &Watch) -> Vec<String> {
    watch.damaged().map(|(_, what)| what.to_owned()).collect()
}
