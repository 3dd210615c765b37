//! The helper thread: what would make the loop wait (syncing to the disk) is done there. It is started on demand and
//! ends when there is nothing left to do.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::worklog::WorkLog;
use crate::sys;

/// How long intent gathers before it is synced.
const GATHER: Duration = Duration::from_millis(300);
/// So many files are synced one by one; more of them by one sync of the whole file system.
const ONE_BY_ONE: usize = 8;

#[derive(Default)]
struct Work {
    paths: Vec<PathBuf>,
    errors: Vec<String>,
    running: bool,
    finishing: bool,
}

pub(super) struct Syncer {
    home: PathBuf,
    work: Arc<Mutex<Work>>,
    thread: Option<JoinHandle<()>>,
    /// Read end: the thread tells the loop that there are errors to log.
    event: OwnedFd,
    wake: Arc<OwnedFd>,
}

fn lock(work: &Mutex<Work>) -> MutexGuard<'_, Work> {
    // A thread that panicked left nothing half done that matters here.
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Syncer {
    pub(super) fn new(home: &Path) -> std::io::Result<Self> {
        let (event, wake) = sys::fd::pipe(true)?;
        Ok(Self {
            home: home.to_owned(),
            work: Arc::default(),
            thread: None,
            event,
            wake: Arc::new(wake),
        })
    }

    /// Readable when the thread has something to say.
    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Has these files synced within a second. They hold intent: what is to run, and how.
    pub(super) fn sync_soon(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        let mut work = lock(&self.work);
        work.paths.extend(paths);
        if work.running {
            return;
        }
        work.running = true;
        drop(work);
        let (home, work, wake) = (
            self.home.clone(),
            Arc::clone(&self.work),
            Arc::clone(&self.wake),
        );
        let spawned = std::thread::Builder::new()
            .name("tsm-sync".to_owned())
            .stack_size(64 << 10)
            .spawn(move || sync_all(&home, &work, &wake));
        match spawned {
            Ok(thread) => self.thread = Some(thread),
            // The next change tries again.
            Err(_) => lock(&self.work).running = false,
        }
    }

    /// Logs what went wrong.
    pub(super) fn collect(&mut self, log: &mut WorkLog) {
        let mut bytes = [0; 64];
        if let Ok(event) = self.event.try_clone() {
            let _ = std::io::Read::read(&mut File::from(event), &mut bytes);
        }
        for error in std::mem::take(&mut lock(&self.work).errors) {
            log.say(error);
        }
    }

    /// Waits until everything is synced: this supervisor ends.
    pub(super) fn finish(&mut self, log: &mut WorkLog) {
        lock(&self.work).finishing = true;
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        self.collect(log);
    }
}

fn sync_all(home: &Path, work: &Mutex<Work>, wake: &OwnedFd) {
    loop {
        if !lock(work).finishing {
            std::thread::park_timeout(GATHER);
        }
        let paths = {
            let mut work = lock(work);
            if work.paths.is_empty() {
                work.running = false;
                return;
            }
            std::mem::take(&mut work.paths)
        };
        let errors = sync_paths(home, &paths);
        if !errors.is_empty() {
            lock(work).errors.extend(errors);
            let _ = wake
                .try_clone()
                .map(|wake| std::io::Write::write(&mut File::from(wake), b"!"));
        }
    }
}

fn sync_paths(home: &Path, paths: &[PathBuf]) -> Vec<String> {
    let in_words = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("cannot sync {path}: {error}")
    };
    if paths.len() > ONE_BY_ONE {
        return File::open(home)
            .and_then(sys::sync_file_system)
            .map_err(in_words(home))
            .err()
            .into_iter()
            .collect();
    }
    let mut errors = Vec::new();
    for path in paths {
        match File::open(path).and_then(|file| file.sync_all()) {
            // It was replaced or removed since: whoever did that sees to it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => errors.push(in_words(path)(error)),
            Ok(()) => {}
        }
    }
    for directory in paths.iter().filter_map(|path| path.parent()) {
        if let Err(error) = File::open(directory).and_then(|file| file.sync_all()) {
            errors.push(in_words(directory)(error));
        }
    }
    errors
}
