//! The terminal: taken, given back, and given back whatever happens.

mod named;

use std::io::{self, Stdout, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::style::Print;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};

use crate::message::Message;

use named::Named;

use tsm_core::error::BestEffort as _;

/// Clicks and the wheel are told, and no movement: that would wake us for nothing.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while the dashboard has it. It is given back when this goes away.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Named<Stdout>>>,
}

impl Screen {
    /// Takes the terminal.
    pub(crate) fn take() -> io::Result<Self> {
        let mut screen = Self {
            terminal: Terminal::new(CrosstermBackend::new(Named::new(io::stdout())))?,
        };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes it again after [`give_back`], or after somebody else wrote on it.
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        TAKEN.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        execute!(
            io::stdout(),
            EnterAlternateScreen,
            Print(MOUSE_ON),
            EnableBracketedPaste
        )?;
        self.redraw()
    }

    /// Draws everything anew with the next frame. The terminal's own `clear` would ask where the cursor is, and wait for a
    /// terminal that does not answer.
    pub(crate) fn redraw(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::from((Position::ORIGIN, size)))
    }

    /// What draws.
    pub(crate) fn terminal(&mut self) -> &mut Terminal<CrosstermBackend<Named<Stdout>>> {
        &mut self.terminal
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back().best_effort("there is nobody to tell");
    }
}

/// Gives the terminal back, as it was. Where it is not taken, nothing happens.
pub(crate) fn give_back() -> io::Result<()> {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return Ok(());
    }
    // Each of it, whatever becomes of the other: lines have to be edited again even where nothing can be written.
    let written = execute!(
        io::stdout(),
        DisableBracketedPaste,
        Print(MOUSE_OFF),
        LeaveAlternateScreen,
        Show
    );
    disable_raw_mode()?;
    written?;
    io::stdout().flush()
}

/// Gives only the modes of the terminal back: where it takes no bytes at the moment, writing would wait for ever.
pub(crate) fn give_back_modes() {
    disable_raw_mode().best_effort("there is nobody to tell");
}

/// What a thread said that panicked.
static BROKEN: Mutex<Option<String>> = Mutex::new(None);

/// So long a thread that panicked waits until the one that draws has ended the program. A release ends at once after that.
const DRAWING_ENDS: Duration = Duration::from_secs(2);

/// Sees to it that a panic leaves no terminal behind that cannot be used. One of the thread that calls this, which draws,
/// gives the terminal back and is told as ever. One of another thread is kept for [`broken`]: this thread ends the program in
/// good order, for which the other one waits. A process that aborts on a panic would not let it.
pub(crate) fn restore_on_panic(say: SyncSender<Message>) {
    let drawing = std::thread::current().id();
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == drawing {
            give_back().best_effort("there is nobody to tell");
            told(panic);
            return;
        }
        {
            let mut broken = BROKEN.lock().unwrap_or_else(PoisonError::into_inner);
            let what = panic.to_string();
            broken.get_or_insert(what.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        say.try_send(Message::Broken)
            .best_effort("where the channel is full, the thread that draws is awake anyway");
        if cfg!(panic = "abort") {
            std::thread::park_timeout(DRAWING_ENDS);
            give_back().best_effort("there is nobody to tell");
            told(panic);
        }
    }));
}

/// What a thread said that panicked, if one did.
pub(crate) fn broken() -> Option<String> {
    let mut broken = BROKEN.lock().unwrap_or_else(PoisonError::into_inner);
    broken.take()
}
