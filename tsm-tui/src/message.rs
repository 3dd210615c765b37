//! What happens, what is to be done, and what is wished to be known.

use std::path::PathBuf;

use crossterm::event::{KeyEvent, MouseEvent};
use tsm_core::sys::Identity;
use tsm_core::view::ProcessView;
use tsm_core::watch::Change;

use crate::layer::Candidate;
use crate::pane::PaneLine;

/// Something that happened.
#[derive(Debug)]
pub enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse {
        /// What.
        event: MouseEvent,
        /// When, in milliseconds since 1970.
        now_ms: u64,
    },
    /// Text was pasted.
    Paste(String),
    /// The screen has this many columns and rows.
    Resize(u16, u16),
    /// The home was looked at as a whole.
    Known {
        /// Its processes.
        processes: Vec<ProcessView>,
        /// Whether a supervisor has it in hand.
        supervised: bool,
        /// What could not be read, a line each.
        damaged: Vec<String>,
        /// When that was, in milliseconds since 1970.
        now_ms: u64,
    },
    /// Something in it changed.
    Changed {
        /// What.
        changes: Vec<Change>,
        /// What cannot be read now.
        damaged: Vec<String>,
        /// When that was, in milliseconds since 1970.
        now_ms: u64,
    },
    /// A second has passed.
    Tick {
        /// What time it is, in milliseconds since 1970.
        now_ms: u64,
        /// What was measured, where something was.
        measured: Option<Measured>,
    },
    /// Lines of logs.
    Log {
        /// What they were wished by.
        wish: LogWish,
        /// The lines.
        part: LogPart,
    },
    /// A text.
    Text {
        /// What it was wished by.
        wish: TextWish,
        /// Its bytes.
        text: Vec<u8>,
    },
    /// A command printed something.
    Printed {
        /// Which.
        job: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// A command ended.
    Ended {
        /// Which.
        job: u64,
        /// Its exit status; `None` where it could not be run, or a signal ended it.
        status: Option<i32>,
    },
    /// What may be typed.
    Candidates {
        /// What was asked.
        ask: Ask,
        /// The answer.
        found: Vec<Candidate>,
    },
    /// The home cannot be read.
    Trouble(String),
    /// The terminal is to be given back to the shell.
    Suspend,
    /// Somebody else may have had the terminal: everything is to be drawn again.
    Continued,
    /// A thread has panicked.
    Broken,
    /// It is time to go: a signal came, or the terminal went away.
    Leave,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// CPU in percent of a core, and bytes of memory, of the processes that run, by id.
    pub usage: Vec<(u32, f64, u64)>,
    /// The machine.
    pub machine: Machine,
    /// Whether the disk has no room left.
    pub disk_full: bool,
}

/// How busy the machine is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// Load on average over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// How many cores it has.
    pub cores: u32,
    /// CPU of all of them, in percent; `None` where it was not measured for long enough.
    pub busy: Option<f64>,
    /// Bytes of memory in use.
    pub memory_used: u64,
    /// Bytes of memory it has.
    pub memory_all: u64,
}

/// What completions are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The last word of a command line, `tsm` left out.
    Line(String),
    /// A program or a script.
    Program(String),
    /// A directory.
    Directory(String),
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Run a command of tsm.
    Run {
        /// What tells it from others.
        job: u64,
        /// Its words, `tsm` left out.
        words: Vec<String>,
    },
    /// Run a command of tsm that takes the terminal.
    Foreground {
        /// What tells it from others.
        job: u64,
        /// Its words, `tsm` left out.
        words: Vec<String>,
    },
    /// End a command as Ctrl-C would.
    Interrupt(u64),
    /// Find out what may be typed.
    Complete(Ask),
    /// Look at everything again.
    LookAgain,
    /// Draw everything again.
    Redraw,
    /// Give the terminal back to the shell.
    Suspend,
    /// End.
    Leave,
}

/// What is to be known as long as it is seen, and no longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// To be told when a second has passed.
    pub clock: bool,
    /// What processes and the machine use.
    pub usage: bool,
    /// Lines of logs.
    pub log: Option<LogWish>,
    /// A text.
    pub text: Option<TextWish>,
}

/// Which lines of which logs are wished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogWish {
    /// Whose.
    pub sources: Vec<LogSource>,
    /// From where on.
    pub from: LogFrom,
}

/// The logs of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSource {
    /// Its name.
    pub name: String,
    /// The file of standard output.
    pub out: Option<PathBuf>,
    /// The file of standard error.
    pub err: Option<PathBuf>,
}

/// Where lines begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFrom {
    /// The last so many, and what comes.
    End(usize),
    /// Around this time, in milliseconds since 1970.
    Time(u64),
}

/// Lines of logs.
#[derive(Debug)]
pub enum LogPart {
    /// Those that were there.
    Begin(Vec<PaneLine>),
    /// Those that came since.
    More(Vec<PaneLine>),
    /// They cannot be read.
    Failed(String),
}

/// Which text is wished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextWish {
    /// Which.
    pub text: TextOf,
    /// How wide it may be.
    pub columns: u16,
    /// Goes up when it has to be read again.
    pub revision: u64,
}

/// Where a text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextOf {
    /// What these commands of tsm print, one after the other.
    Commands(Vec<Vec<String>>),
    /// The processes of a service.
    Tree(Option<Identity>),
}
