//! The terminal and the threads around model, update and view.
//!
//! One thread draws and waits for nothing but messages. Others wait for keys, for signals, for the home to change, for
//! logs to grow, for texts and for commands; each does only what [`Model::wants`] says is seen.

mod completing;
mod facts;
mod input;
mod jobs;
mod logs;
mod signals;
mod texts;
mod wake;

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use tsm_core::error::BestEffort as _;
use tsm_core::store::ProcessStore;

use crate::layer::Candidate;
use crate::message::{Effect, Message, Wants};
use crate::model::Model;
use crate::terminal::{self, Screen};
use crate::theme::Theme;
use crate::update::update;
use crate::view::view;

/// What comes faster than this is drawn together; what a person does is drawn at once.
const BETWEEN_FRAMES: Duration = Duration::from_millis(33);
/// How many messages may wait: who has more to say waits, too.
const WAITING_MESSAGES: usize = 256;

/// The commands of `tsm`, as the command line has them.
pub trait Commands: Send + Sync {
    /// The program that runs this command, told by its words without `tsm` before them.
    ///
    /// # Errors
    /// Where the file of this program cannot be found.
    fn command(&self, words: &[String]) -> io::Result<Command>;

    /// What the last of `words` may become; nothing where a file is wanted.
    fn complete(&self, words: &[String]) -> Vec<Candidate>;
}

/// How the dashboard is.
pub struct Options {
    /// What is done, and what texts are made by.
    pub commands: Arc<dyn Commands>,
    /// What is shown.
    pub store: ProcessStore,
    /// What the first line says of the home; `None` for the default one.
    pub place: Option<String>,
    /// Colours.
    pub theme: Theme,
}

/// Shows the dashboard until it is left, and restores the terminal: at the end, after an error, in a panic, and when a
/// signal asks to end, which then ends the process as it would have.
///
/// # Errors
/// An [`io::Error`] where there is no terminal, or it cannot be drawn on.
pub fn run(options: Options) -> io::Result<()> {
    let (say, heard) = mpsc::sync_channel(WAITING_MESSAGES);
    // Before the terminal is changed, so that no signal finds it so.
    let signals = signals::Signals::hear(say.clone())?;
    terminal::restore_on_panic(say.clone());
    let outcome = converse(options, &say, &heard, &signals);
    let restored = terminal::give_back();
    signals.done();
    if let Some(signal) = signals.asked_to_end() {
        signal_hook::low_level::emulate_default_handler(signal)?;
    }
    outcome.and(restored)
}

fn converse(
    options: Options,
    say: &SyncSender<Message>,
    heard: &Receiver<Message>,
    signals: &signals::Signals,
) -> io::Result<()> {
    let mut screen = Screen::take()?;
    let size = screen.terminal().size()?;
    let mut model = Model::new(options.store.home().clone(), (size.width, size.height));
    model.theme = options.theme;
    model.place = options.place;
    let input = input::Input::hear(say.clone())?;
    let facts = facts::spawn(options.store.clone(), say.clone())?;
    let logs = logs::spawn(say.clone())?;
    let texts = texts::spawn(Arc::clone(&options.commands), say.clone());
    let completing = completing::spawn(Arc::clone(&options.commands), say.clone());
    let jobs = jobs::Jobs::new(Arc::clone(&options.commands), say.clone());
    let mut wanted = Wants::default();
    loop {
        if let Some(what) = terminal::broken() {
            return Err(io::Error::other(what));
        }
        screen.terminal().draw(|frame| view(&model, frame))?;
        let drawn = Instant::now();
        let wants = model.wants();
        if (wants.clock, wants.usage) != (wanted.clock, wanted.usage) {
            facts.want(wants.clock, wants.usage);
        }
        if wants.log != wanted.log {
            logs.want(wants.log.clone());
        }
        if wants.text != wanted.text
            && let Some(wish) = &wants.text
        {
            texts
                .send(wish.clone())
                .best_effort("the thread lives as long as we do");
        }
        wanted = wants;
        let Some(messages) = gather(heard, drawn) else {
            return Ok(());
        };
        for message in messages {
            if matches!(message, Message::Continued) {
                screen.enter()?;
                continue;
            }
            if matches!(message, Message::Broken) {
                continue;
            }
            for effect in update(&mut model, message) {
                match effect {
                    Effect::Leave => {
                        // What only shows something would go on for ever.
                        for job in model.jobs.iter().filter(|job| job.typed) {
                            jobs.interrupt(job.number);
                        }
                        return Ok(());
                    }
                    Effect::LookAgain => facts.look_again(),
                    Effect::Redraw => screen.redraw()?,
                    Effect::Suspend => {
                        let pause = input.pause();
                        terminal::give_back()?;
                        signals.stop_until_continued()?;
                        screen.enter()?;
                        drop(pause);
                    }
                    Effect::Run { job, words } => jobs.run(job, &words, model.screen.0),
                    Effect::Interrupt(job) => jobs.interrupt(job),
                    Effect::Foreground { job, words } => {
                        let pause = input.pause();
                        terminal::give_back()?;
                        let status = signals.in_foreground(|| jobs.foreground(&words));
                        screen.enter()?;
                        drop(pause);
                        let ended = Message::Ended { job, status };
                        // It has no effects but on the model.
                        update(&mut model, ended);
                    }
                    Effect::Complete(ask) => {
                        completing
                            .send(ask)
                            .best_effort("the thread lives as long as we do");
                    }
                }
            }
        }
    }
}

/// What hands its own environment over, or compares it: to that nothing may be added.
const OF_ENVIRONMENT: &[&str] = &[
    "start",
    "restart",
    "env",
    "resurrect",
    "import",
    "supervisor",
];

/// A command whose output is to be so wide.
fn command(commands: &dyn Commands, words: &[String], columns: u16) -> io::Result<Command> {
    let mut command = commands.command(words)?;
    let of_environment = |word: &str| words.iter().any(|own| own == word);
    if !OF_ENVIRONMENT.iter().any(|word| of_environment(word)) {
        command.env("COLUMNS", columns.to_string());
    }
    Ok(command)
}

/// Waits for something to happen, and takes all that has. What is not a person's doing may wait for the next frame.
fn gather(heard: &Receiver<Message>, drawn: Instant) -> Option<Vec<Message>> {
    let is_urgent = |message: &Message| {
        matches!(
            message,
            Message::Key(_)
                | Message::Mouse { .. }
                | Message::Paste(_)
                | Message::Resize(..)
                | Message::Suspend
                | Message::Continued
                | Message::Broken
                | Message::Leave
        )
    };
    // The sender that this thread holds itself keeps the channel open.
    let mut messages = vec![heard.recv().ok()?];
    loop {
        let urgent = messages.iter().any(is_urgent);
        let rest = BETWEEN_FRAMES.saturating_sub(drawn.elapsed());
        if urgent || rest.is_zero() || messages.len() >= WAITING_MESSAGES {
            messages.extend(heard.try_iter().take(WAITING_MESSAGES));
            return Some(messages);
        }
        match heard.recv_timeout(rest) {
            Ok(message) => messages.push(message),
            Err(RecvTimeoutError::Timeout) => return Some(messages),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}
