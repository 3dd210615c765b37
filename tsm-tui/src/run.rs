//! The terminal and the threads around model, update and view.
//!
//! One thread draws and never waits for anything but messages. Others wait for keys, for signals, for the home (once a
//! second, and the log of the selected process after it) and for the supervisor's answers.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyEventKind};
use ratatui::DefaultTerminal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tsm_core::control::{ActOptions, Client, Verb};
use tsm_core::home::Home;
use tsm_core::logs::{self, Source, Stream};
use tsm_core::name::ProcessName;
use tsm_core::probe::CpuSample;
use tsm_core::store::ProcessStore;
use tsm_core::view::Overview;

use crate::format::plain;
use crate::model::{Facts, LogLine, Model};
use crate::update::{Effect, Message, update};
use crate::view::view;

/// How often the home is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// How the dashboard is.
#[derive(Debug)]
pub struct Options {
    /// Whom actions are asked of.
    pub client: Client,
    /// What is shown.
    pub store: ProcessStore,
    /// What the first line says of the home; `None` for the default one.
    pub place: Option<String>,
    /// Whether there are colours.
    pub colour: bool,
}

/// Shows the dashboard until it is left, and restores the terminal: at the end, after an error, in a panic, and when a
/// signal asks to end, which then ends the process as it would have.
///
/// # Errors
/// An [`io::Error`] where there is no terminal, or it cannot be drawn on.
pub fn run(options: Options) -> io::Result<()> {
    let (say, heard) = mpsc::channel();
    // Before the terminal is changed, so that no signal finds it so.
    let signals = Signals::new([SIGTERM, SIGHUP, SIGINT])?;
    let signalled = hear_signals(signals, say.clone());
    let mut terminal = ratatui::try_init()?;
    let outcome = converse(&mut terminal, options, &say, &heard);
    let restored = ratatui::try_restore();
    if let Ok(signal) = signalled.try_recv() {
        signal_hook::low_level::emulate_default_handler(signal)?;
    }
    outcome.and(restored)
}

fn converse(
    terminal: &mut DefaultTerminal,
    options: Options,
    say: &Sender<Message>,
    heard: &Receiver<Message>,
) -> io::Result<()> {
    let size = terminal.size()?;
    let mut model = Model {
        colour: options.colour,
        place: options.place,
        screen: (size.width, size.height),
        ..Model::default()
    };
    let client = Arc::new(options.client);
    let (wish, wishes) = mpsc::channel();
    watch(options.store, wishes, say.clone());
    hear_keys(say.clone());
    loop {
        terminal.draw(|frame| view(&model, frame))?;
        // All that has come is taken in before the next frame. This function holds a sender itself: there is always one.
        let Ok(first) = heard.recv() else {
            return Ok(());
        };
        for message in std::iter::once(first).chain(heard.try_iter()) {
            for effect in update(&mut model, message) {
                match effect {
                    Effect::Leave => return Ok(()),
                    Effect::Look => {
                        // The thread lives as long as we do.
                        let _ = wish.send(Wish::Look);
                    }
                    Effect::ReadLog { id, name, lines } => {
                        let _ = wish.send(Wish::Log { id, name, lines });
                    }
                    Effect::Act { verb, id, name } => {
                        act(Arc::clone(&client), verb, id, name, say.clone());
                    }
                }
            }
        }
    }
}

/// Tells of the first signal that asks to end, and keeps its number.
fn hear_signals(mut signals: Signals, say: Sender<Message>) -> Receiver<i32> {
    let (keep, kept) = mpsc::channel();
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let _ = keep.send(signal);
            let _ = say.send(Message::Leave);
        }
    });
    kept
}

fn hear_keys(say: Sender<Message>) {
    std::thread::spawn(move || {
        loop {
            let message = match event::read() {
                Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => Message::Key(key),
                Ok(Event::Resize(columns, rows)) => Message::Resize(columns, rows),
                Ok(_) => continue,
                Err(_) => Message::Leave,
            };
            let last = matches!(message, Message::Leave);
            if say.send(message).is_err() || last {
                return;
            }
        }
    });
}

/// What is to be read.
enum Wish {
    Look,
    Log { id: u32, name: String, lines: usize },
}

/// The CPU times of an earlier look.
#[derive(Default)]
struct Usage {
    earlier: Vec<CpuSample>,
    taken: Option<Instant>,
}

impl Usage {
    /// Tells CPU usage since the earlier look.
    fn compare(&mut self, overview: &mut Overview) {
        let samples = overview.samples();
        overview.compare(&self.earlier);
        // Over a shorter time, such as that to a look after an action, a share would be mere noise.
        let is_old = |taken: Instant| taken.elapsed() >= BETWEEN_LOOKS / 2;
        if self.taken.is_none_or(is_old) {
            self.earlier = samples;
            self.taken = Some(Instant::now());
        }
    }
}

/// Looks at the home once a second and whenever it is wished, and reads logs.
fn watch(store: ProcessStore, wishes: Receiver<Wish>, say: Sender<Message>) {
    std::thread::spawn(move || {
        let mut next_look = Instant::now();
        let mut usage = Usage::default();
        loop {
            let wait = next_look.saturating_duration_since(Instant::now());
            let mut look = false;
            let mut log = None;
            match wishes.recv_timeout(wait) {
                // Of several wishes for a log, only the last still counts.
                Ok(first) => {
                    for wish in std::iter::once(first).chain(wishes.try_iter()) {
                        match wish {
                            Wish::Look => look = true,
                            Wish::Log { id, name, lines } => log = Some((id, name, lines)),
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => look = true,
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if look {
                let message = match Overview::read(&store, true) {
                    Ok(mut overview) => {
                        usage.compare(&mut overview);
                        Message::Facts(Facts::from(overview))
                    }
                    Err(error) => Message::Trouble(error.to_string()),
                };
                if say.send(message).is_err() {
                    return;
                }
                next_look = Instant::now() + BETWEEN_LOOKS;
            }
            if let Some((id, name, lines)) = log {
                let message = match read_log(store.home(), &name, lines) {
                    Ok(lines) => Message::Log { id, lines },
                    Err(error) => Message::Trouble(error.to_string()),
                };
                if say.send(message).is_err() {
                    return;
                }
            }
        }
    });
}

fn read_log(home: &Home, name: &str, lines: usize) -> tsm_core::error::Result<Vec<LogLine>> {
    let name: ProcessName = name.parse()?;
    let source = Source {
        name: name.to_string(),
        out: Some(home.out_log(&name)),
        err: Some(home.err_log(&name)),
    };
    let mut read = Vec::new();
    for line in logs::tail(&[source], Some(lines))? {
        let line = line?;
        read.push(LogLine {
            text: plain(&line.bytes),
            is_error: line.stream == Stream::Err,
        });
    }
    Ok(read)
}

/// Asks the supervisor in a thread of its own.
fn act(client: Arc<Client>, verb: Verb, id: u32, name: String, say: Sender<Message>) {
    std::thread::spawn(move || {
        let result = ask(&client, verb, id, &name);
        let _ = say.send(Message::Acted { verb, id, result });
    });
}

fn ask(client: &Client, verb: Verb, id: u32, name: &str) -> Result<String, String> {
    let (outcomes, notices) = client
        .act(verb, &[id.to_string()], ActOptions::default(), |_| {})
        .map_err(|error| error.to_string())?;
    let done = match verb {
        Verb::Start => "started",
        Verb::Stop => "stopped",
        Verb::Restart => "restarted",
        Verb::Delete => "deleted",
        Verb::Update => "updated",
        Verb::Signal => "signalled",
        Verb::Reload => "asked to reload",
        Verb::Reset => "reset",
        Verb::Rotate => "logs rotated",
        Verb::Flush => "logs emptied",
        Verb::Reopen => "logs opened again",
    };
    let mut told = Vec::new();
    for outcome in outcomes {
        if let Some(error) = outcome.error {
            return Err(error.message);
        }
        told.push(match outcome.note {
            Some(note) => format!("{name} {note}"),
            None => format!("{name} {done}"),
        });
    }
    told.extend(notices);
    Ok(told.join("; "))
}
