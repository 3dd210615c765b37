//! The worker thread: what would make the loop wait (syncing to the disk, compressing, looking into a file system that
//! may hang) is done there. It is started on demand and ends after a second without work.
//!
//! The loop hands over a piece of work and what is to be done when it is through; that is called on the loop, with all of
//! the supervisor at hand. Urgent work goes first, and work in the background gives way to it between two steps.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::supervisor::Supervisor;
use crate::error::{BestEffort as _, IoContext as _, Result};
use crate::sys;

/// How long intent gathers before it is synced.
const GATHER: Duration = Duration::from_millis(300);
/// How long the thread waits for more work.
const IDLE: Duration = Duration::from_secs(1);
/// So many files are synced one by one; more of them by one sync of the whole file system.
const ONE_BY_ONE: usize = 8;

/// When a piece of work gets its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A command waits for it.
    Now,
    /// Whenever there is nothing else to do.
    Background,
}

/// Work for the thread.
type Work = Box<dyn FnOnce(&Turns) -> Result<()> + Send>;
/// What the loop does when it is through.
type Then = Box<dyn FnOnce(&mut Supervisor, Result<()>)>;

#[derive(Default)]
struct State {
    urgent: VecDeque<(u64, Work)>,
    background: VecDeque<(u64, Work)>,
    /// Files that hold intent, to be synced together …
    unsynced: HashSet<PathBuf>,
    /// … at this time.
    sync_at: Option<Instant>,
    done: Vec<(u64, Result<()>)>,
    running: bool,
    finishing: bool,
}

struct Shared {
    home: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    /// Write end: tells the loop that something is through.
    wake: File,
}

/// Lets work in the background give way.
pub(super) struct Turns(Arc<Shared>);

pub(super) struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    event: File,
    next: u64,
    then: HashMap<u64, Then>,
    urgent: HashSet<u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked has left nothing half done that matters here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finished(&self, number: u64, result: Result<()>) {
        self.lock().done.push((number, result));
        std::io::Write::write(&mut &self.wake, b"!")
            .best_effort("a full pipe wakes the loop just as well");
    }
}

impl Turns {
    /// Does the urgent work that has come in meanwhile; to be called between two steps of a few milliseconds each.
    pub(super) fn give_way(&self) {
        loop {
            // The lock is released before the work, which may take long.
            let next = self.0.lock().urgent.pop_front();
            let Some((number, work)) = next else { return };
            let result = work(self);
            self.0.finished(number, result);
        }
    }

    /// Whether the supervisor ends, and what can be done another time should be.
    pub(super) fn is_finishing(&self) -> bool {
        self.0.lock().finishing
    }
}

impl Worker {
    pub(super) fn new(home: &Path) -> std::io::Result<Self> {
        let (event, wake) = sys::fd::pipe_to_poll()?;
        let wake = File::from(wake);
        // With a full pipe the worker must not wait: the loop is awake anyway.
        sys::fd::set_nonblocking(&wake)?;
        Ok(Self {
            shared: Arc::new(Shared {
                home: home.to_owned(),
                state: Mutex::default(),
                changed: Condvar::new(),
                wake,
            }),
            thread: None,
            event: event.into(),
            next: 0,
            then: HashMap::new(),
            urgent: HashSet::new(),
        })
    }

    /// Whether a command waits for something that is not through.
    pub(super) fn has_urgent_work(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// Readable when something is through.
    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Has `work` done by the thread, and then `then` by the loop. Where the supervisor ends before, `then` is not called.
    pub(super) fn submit(
        &mut self,
        urgency: Urgency,
        work: impl FnOnce(&Turns) -> Result<()> + Send + 'static,
        then: impl FnOnce(&mut Supervisor, Result<()>) + 'static,
    ) {
        self.next += 1;
        // The continuation first: the work may be done before this function returns.
        self.then.insert(self.next, Box::new(then));
        if urgency == Urgency::Now {
            self.urgent.insert(self.next);
        }
        let mut state = self.shared.lock();
        let queue = match urgency {
            Urgency::Now => &mut state.urgent,
            Urgency::Background => &mut state.background,
        };
        queue.push_back((self.next, Box::new(work)));
        drop(state);
        if !self.ensure_thread() {
            // No thread can be had: late is better than never.
            self.work_here();
        }
    }

    /// Has `work` done by a thread of its own, which may take its time, and then `then` by the loop.
    ///
    /// # Errors
    /// Where no thread is to be had; then neither is called.
    pub(super) fn apart<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(&mut Supervisor, T) + 'static,
    ) -> std::io::Result<()> {
        self.next += 1;
        let number = self.next;
        let shared = Arc::clone(&self.shared);
        let (said, heard) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("tsm-apart".to_owned())
            .stack_size(512 << 10)
            .spawn(move || {
                // The outcome before the wake-up, so that the loop finds it without waiting.
                said.send(work())
                    .best_effort("where nobody hears it, the supervisor ends");
                shared.finished(number, Ok(()));
            })?;
        // What runs on the loop need not be `Send`, since only the outcome crosses threads.
        let then = move |supervisor: &mut Supervisor, _: Result<()>| {
            if let Ok(outcome) = heard.try_recv() {
                then(supervisor, outcome);
            }
        };
        self.then.insert(number, Box::new(then));
        Ok(())
    }

    /// Has these files synced within a second. They hold intent: what is to run, and how.
    pub(super) fn sync_soon(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        let mut state = self.shared.lock();
        state.unsynced.extend(paths);
        let is_known = state.running && state.sync_at.is_some();
        state.sync_at.get_or_insert_with(|| Instant::now() + GATHER);
        drop(state);
        // A thread that knows the time is not woken for each file: with a hundred stops that saves
        // a tenth.
        if !is_known {
            // Where no thread can be had, the next change tries again.
            self.ensure_thread();
        }
    }

    fn ensure_thread(&mut self) -> bool {
        let mut state = self.shared.lock();
        if state.running {
            drop(state);
            self.shared.changed.notify_one();
            return true;
        }
        // Set before the thread begins, so that no second one is started.
        state.running = true;
        drop(state);
        let shared = Arc::clone(&self.shared);
        let spawned = std::thread::Builder::new()
            .name("tsm-worker".to_owned())
            .stack_size(256 << 10)
            .spawn(move || serve(&shared));
        let Ok(thread) = spawned else {
            self.shared.lock().running = false;
            return false;
        };
        self.thread = Some(thread);
        true
    }

    fn work_here(&self) {
        let turns = Turns(Arc::clone(&self.shared));
        turns.give_way();
        let background = self.shared.lock().background.pop_front();
        if let Some((number, work)) = background {
            let result = work(&turns);
            self.shared.finished(number, result);
        }
    }

    /// What is through, with what is to be done then.
    fn take_done(&mut self) -> Vec<(Option<Then>, Result<()>)> {
        // The pipe is emptied first: a job that is done after that wakes the loop once more.
        let mut bytes = [0; 64];
        std::io::Read::read(&mut self.event, &mut bytes)
            .best_effort("what is through stands in the state, not in the pipe");
        let done = std::mem::take(&mut self.shared.lock().done);
        done.into_iter()
            .map(|(number, result)| {
                self.urgent.remove(&number);
                (self.then.remove(&number), result)
            })
            .collect()
    }

    /// Waits until everything is done and synced: this supervisor ends. Returns what went wrong.
    pub(super) fn finish(&mut self) -> Vec<crate::error::Error> {
        self.shared.lock().finishing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .best_effort("a thread that panicked has said so");
        }
        self.then.clear();
        let done = std::mem::take(&mut self.shared.lock().done);
        done.into_iter()
            .filter_map(|(_, result)| result.err())
            .collect()
    }
}

impl Supervisor {
    /// Goes on with what the worker has done.
    pub(super) fn on_worker(&mut self) {
        for (then, result) in self.worker.take_done() {
            match (then, result) {
                (Some(then), result) => then(self, result),
                (None, Err(error)) => self.log.say(error),
                (None, Ok(())) => {}
            }
        }
    }
}

enum Turn {
    Work(u64, Work),
    Sync(Vec<PathBuf>),
    End,
}

fn serve(shared: &Arc<Shared>) {
    let turns = Turns(Arc::clone(shared));
    loop {
        match next_turn(shared) {
            Turn::Work(number, work) => {
                let result = work(&turns);
                shared.finished(number, result);
            }
            Turn::Sync(paths) => {
                if let Err(error) = sync_paths(&shared.home, &paths) {
                    // Nobody waits for it (no job has the number 0), and its error is logged.
                    shared.finished(0, Err(error));
                }
            }
            Turn::End => return,
        }
    }
}

fn next_turn(shared: &Shared) -> Turn {
    let mut state = shared.lock();
    let mut idle_until = Instant::now() + IDLE;
    loop {
        let now = Instant::now();
        // Urgent work first, and the sync only when nothing else waits.
        let job = state.urgent.pop_front();
        if let Some((number, work)) = job.or_else(|| state.background.pop_front()) {
            return Turn::Work(number, work);
        }
        if state.sync_at.is_some_and(|at| at <= now || state.finishing) {
            state.sync_at = None;
            return Turn::Sync(state.unsynced.drain().collect());
        }
        if state.finishing || (state.sync_at.is_none() && now >= idle_until) {
            // Under the lock: work that comes from now on finds no thread and starts one.
            state.running = false;
            return Turn::End;
        }
        if let Some(at) = state.sync_at {
            idle_until = at + IDLE;
        }
        let until = state.sync_at.unwrap_or(idle_until);
        let wait = until.saturating_duration_since(now);
        let waited = shared.changed.wait_timeout(state, wait);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn sync_paths(home: &Path, paths: &[PathBuf]) -> Result<()> {
    // One sync of the file system is cheaper than many of single files.
    if paths.len() > ONE_BY_ONE {
        return File::open(home)
            .and_then(sys::sync_file_system)
            .at("sync", home);
    }
    for path in paths {
        match File::open(path).and_then(|file| file.sync_all()) {
            // It was replaced or removed since, and whoever did that takes care of it.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).at("sync", path);
            }
            _ => {}
        }
    }
    // The name of a new file lies in its directory, which has to be synced as well (`fsync(2)`).
    let directories: HashSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
    for directory in directories {
        File::open(directory)
            .and_then(|file| file.sync_all())
            .at("sync", directory)?;
    }
    Ok(())
}
