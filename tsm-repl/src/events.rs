//! `events on`: what changes is told above the prompt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anstyle::AnsiColor;
use tsm_core::error::{Error, Result};
use tsm_core::meta::State;
use tsm_core::store::ProcessStore;
use tsm_core::view::ProcessView;
use tsm_core::watch::{Change, Watch};

use crate::prompt::paint;

/// Tells changes as long as it lives.
#[derive(Debug)]
pub(crate) struct Events {
    over: Arc<AtomicBool>,
    failed: Arc<Mutex<Option<Error>>>,
}

impl Events {
    /// Begins to watch the home; `tell` gets a line for each change that a person wants to know of, and says whether it
    /// could be shown.
    pub(crate) fn tell(
        store: &ProcessStore,
        colour: bool,
        mut tell: impl FnMut(String) -> bool + Send + 'static,
    ) -> Result<Self> {
        let mut watch = tsm_core::watch(store.clone())?;
        let events = Self {
            over: Arc::default(),
            failed: Arc::default(),
        };
        let (over, failed) = (Arc::clone(&events.over), Arc::clone(&events.failed));
        // It waits for the next change, and then sees that it is over.
        std::thread::spawn(move || {
            let done = serve(&mut watch, colour, &over, &mut tell);
            if let Err(error) = done {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        });
        Ok(events)
    }

    /// Why nothing is told any more, where that is so.
    pub(crate) fn failed(&self) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().map(ToString::to_string)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn serve(
    watch: &mut Watch,
    colour: bool,
    over: &AtomicBool,
    tell: &mut dyn FnMut(String) -> bool,
) -> Result<()> {
    while !over.load(Ordering::Relaxed) {
        for change in watch.next_batch(None)? {
            let line = in_words(&change, colour).filter(|_| !over.load(Ordering::Relaxed));
            if line.is_some_and(|line| !tell(format!("{line}\n"))) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A change in words, where it is worth telling.
fn in_words(change: &Change, colour: bool) -> Option<String> {
    let (colour_of, text) = match change {
        Change::Changed { before, now } => {
            let came_back = now.restarts > before.restarts && now.state == State::Running;
            if before.state == now.state && !came_back {
                return None;
            }
            state(now, came_back)?
        }
        Change::Appeared(view) => (AnsiColor::Blue, format!("{} is new", view.name)),
        Change::Removed(view) => (AnsiColor::Blue, format!("{} was deleted", view.name)),
        Change::Supervised(true) => (AnsiColor::Blue, "a supervisor is there".to_owned()),
        Change::Supervised(false) => (AnsiColor::Yellow, "no supervisor is there".to_owned()),
        _ => return None,
    };
    Some(paint(colour, colour_of, &format!("* {text}")))
}

fn state(view: &ProcessView, came_back: bool) -> Option<(AnsiColor, String)> {
    let name = &view.name;
    let reason = view.exit.as_ref().map(|exit| exit.reason.as_str());
    let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    Some(match &view.state {
        // On the way to something that will be told.
        State::Starting | State::Stopping => return None,
        State::Running => {
            let pid = view
                .pid
                .map_or_else(String::new, |pid| format!(", pid {pid}"));
            if came_back {
                (
                    AnsiColor::Yellow,
                    format!("{name} was restarted{reason}{pid}"),
                )
            } else {
                (AnsiColor::Green, format!("{name} runs{pid}"))
            }
        }
        State::Failed => (AnsiColor::Red, format!("{name} failed{reason}")),
        State::Backoff => (
            AnsiColor::Yellow,
            format!("{name} waits to be restarted{reason}"),
        ),
        state => (AnsiColor::Yellow, format!("{name} is {state}{reason}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;
    use tsm_core::home::Home;

    fn record(home: &Home, state: &str, more: &str) {
        let path = home.processes().join("api.meta");
        let line = format!("script='x' pid= tsm_id=1 cwd='/' state={state} {more}\n");
        std::fs::write(path.with_extension("tmp"), line).unwrap();
        std::fs::rename(path.with_extension("tmp"), path).unwrap();
    }

    #[test]
    fn changes_are_told_until_that_is_over() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        home.prepare().unwrap();
        let (say, told) = mpsc::channel();
        let store = ProcessStore::new(home.clone());
        let events = Events::tell(&store, false, move |line| say.send(line).is_ok()).unwrap();
        let next = || told.recv_timeout(Duration::from_secs(20)).unwrap();
        record(&home, "stopped", "");
        assert_eq!(next(), "* api is new\n");
        record(&home, "failed", "exit=code:3");
        assert_eq!(next(), "* api failed (exited with status 3)\n");
        drop(events);
        record(&home, "exited", "exit=code:0");
        // The thread has ended, and with it the sender.
        assert!(told.recv_timeout(Duration::from_secs(20)).is_err());
    }
}
