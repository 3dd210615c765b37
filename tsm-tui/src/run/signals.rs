//! Signals: those that ask to end, that stop and continue, that tell of another size.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::Duration;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use tsm_core::error::BestEffort as _;
use tsm_core::sys::signal;

use crate::message::Message;
use crate::terminal;

/// How long the terminal may take to be restored before it is done without asking it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a stop may take to begin. Where nobody could continue us (no shell with job control), none begins.
const STOP: Duration = Duration::from_millis(300);

/// What the thread that hears signals shares with the one that draws.
pub(super) struct Signals {
    asked: Arc<AtomicI32>,
    in_foreground: Arc<AtomicBool>,
    continued: Receiver<()>,
    done: Sender<()>,
}

impl Signals {
    /// Begins to hear.
    pub(super) fn hear(say: SyncSender<Message>) -> io::Result<Self> {
        let mut signals = signal_hook::iterator::Signals::new([
            SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH,
        ])?;
        let (tell, continued) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        let asked = Arc::new(AtomicI32::new(0));
        let in_foreground = Arc::new(AtomicBool::new(false));
        let (keep, foreground) = (Arc::clone(&asked), Arc::clone(&in_foreground));
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let away = foreground.load(Ordering::SeqCst);
                match signal {
                    // These are meant for the program that has the terminal.
                    SIGINT | SIGQUIT | SIGTSTP if away => {}
                    SIGTSTP => {
                        say.send(Message::Suspend)
                            .best_effort("nobody draws any more");
                    }
                    SIGCONT => {
                        tell.send(()).best_effort("nobody waits for it");
                        if !away {
                            // After a stop that could not be seen coming.
                            say.send(Message::Continued)
                                .best_effort("nobody draws any more");
                        }
                    }
                    SIGWINCH => {
                        if let Ok((columns, rows)) = crossterm::terminal::size() {
                            say.send(Message::Resize(columns, rows))
                                .best_effort("nobody draws any more");
                        }
                    }
                    signal => {
                        keep.store(signal, Ordering::SeqCst);
                        say.try_send(Message::Leave)
                            .best_effort("where it is full, the thread that draws is awake anyway");
                        if is_done.recv_timeout(PATIENCE).is_err() {
                            // The terminal takes nothing, or a program has it.
                            terminal::give_back_modes();
                            signal_hook::low_level::emulate_default_handler(signal)
                                .best_effort("a signal without a default does nothing");
                        }
                        return;
                    }
                }
            }
        });
        Ok(Self {
            asked,
            in_foreground,
            continued,
            done,
        })
    }

    /// The signal that asked to end.
    pub(super) fn asked_to_end(&self) -> Option<i32> {
        let signal = self.asked.load(Ordering::SeqCst);
        (signal != 0).then_some(signal)
    }

    /// The terminal is restored.
    pub(super) fn done(&self) {
        self.done.send(()).best_effort("the thread may have ended");
    }

    /// Stops this process group as Ctrl-Z would, and comes back when it is continued.
    pub(super) fn stop_until_continued(&self) -> io::Result<()> {
        for () in self.continued.try_iter() {}
        self.in_foreground(|| {
            signal::stop_group(|| {
                self.continued.recv_timeout(STOP).best_effort("while the process is stopped it waits for nothing, and then this is there at once");
            })
        })
    }

    /// Lets another program have the terminal, and what is typed there to end or stop it.
    pub(super) fn in_foreground<T>(&self, act: impl FnOnce() -> T) -> T {
        self.in_foreground.store(true, Ordering::SeqCst);
        let done = act();
        self.in_foreground.store(false, Ordering::SeqCst);
        done
    }
}
