//! The tables.

use crossterm::event::KeyCode;

use super::Action as A;
use super::{Binding, Chord, View, binding};

const fn char(c: char) -> Chord {
    Chord::Key(KeyCode::Char(c))
}

const UP: Chord = Chord::Key(KeyCode::Up);
const DOWN: Chord = Chord::Key(KeyCode::Down);
const LEFT: Chord = Chord::Key(KeyCode::Left);
const RIGHT: Chord = Chord::Key(KeyCode::Right);
const PAGE_UP: Chord = Chord::Key(KeyCode::PageUp);
const PAGE_DOWN: Chord = Chord::Key(KeyCode::PageDown);
const HOME: Chord = Chord::Key(KeyCode::Home);
const END: Chord = Chord::Key(KeyCode::End);
const ENTER: Chord = Chord::Key(KeyCode::Enter);
const ESCAPE: Chord = Chord::Key(KeyCode::Esc);
const TAB: Chord = Chord::Key(KeyCode::Tab);
pub(super) const BACK_TAB: Chord = Chord::Key(KeyCode::BackTab);
const BACKSPACE: Chord = Chord::Key(KeyCode::Backspace);

pub(super) const MOVING: &[Binding] = &[
    binding(
        &[DOWN, UP, char('j'), char('k')],
        "↑ ↓ j k",
        &[A::Move(1), A::Move(-1), A::Move(1), A::Move(-1)],
        "one row",
        "",
    ),
    binding(
        &[PAGE_DOWN, PAGE_UP, Chord::Control('f'), Chord::Control('b')],
        "PgUp PgDn",
        &[A::Page(1), A::Page(-1), A::Page(1), A::Page(-1)],
        "a page",
        "",
    ),
    binding(
        &[char('g'), char('G'), HOME, END],
        "g G",
        &[A::First, A::Last, A::First, A::Last],
        "first, last",
        "",
    ),
];

pub(super) const VIEWS: &[Binding] = &[
    binding(
        &[char('l')],
        "l",
        &[A::Open(View::Logs)],
        "logs (of all that are marked, merged)",
        "logs",
    ),
    binding(&[char('i')], "i", &[A::Open(View::Info)], "info", "info"),
    binding(
        &[char('v')],
        "v",
        &[A::Open(View::Env)],
        "environment",
        "env",
    ),
    binding(
        &[char('h')],
        "h",
        &[A::Open(View::History)],
        "why it is as it is, and its history",
        "history",
    ),
    binding(
        &[char('t')],
        "t",
        &[A::Open(View::Tree)],
        "its processes as a tree",
        "",
    ),
    binding(
        &[char('p'), char('P')],
        "p P",
        &[A::Open(View::Ports), A::AllPorts],
        "ports; of all processes",
        "",
    ),
];

pub(super) const ACTS: &[Binding] = &[
    binding(&[char('s')], "s", &[A::Start], "start", "start"),
    binding(&[char('S')], "S", &[A::Stop], "stop", "Stop"),
    binding(&[char('r')], "r", &[A::Restart], "restart", "restart"),
    binding(&[char('R')], "R", &[A::Reload], "reload", ""),
    binding(&[char('d')], "d", &[A::Delete], "delete; asks", "delete"),
    binding(&[char('x')], "x", &[A::Signal], "send a signal", ""),
    binding(
        &[char('c')],
        "c",
        &[A::Scale],
        "change how many instances there are",
        "",
    ),
    binding(&[char('z')], "z", &[A::Reset], "count restarts anew", ""),
    binding(
        &[char('e')],
        "e",
        &[A::EditEnv],
        "edit its environment in $EDITOR",
        "",
    ),
    binding(&[char('a')], "a", &[A::New], "start a new one", "add"),
    binding(&[char('W')], "W", &[A::Save], "save all for resurrect", ""),
];

pub(super) const TABLE: &[Binding] = &[
    binding(&[char('/')], "/", &[A::Filter], "filter", "filter"),
    binding(
        &[char(' ')],
        "Space",
        &[A::Mark],
        "mark: actions are about all that are marked",
        "",
    ),
    binding(
        &[char('*'), char('u')],
        "* u",
        &[A::MarkAll, A::Unmark],
        "mark all; none",
        "",
    ),
    binding(
        &[char('o'), char('O')],
        "o O",
        &[A::Sort, A::Reverse],
        "sort by the next column; turn around",
        "",
    ),
    binding(
        &[char('N')],
        "N",
        &[A::Group],
        "group by namespace, or not",
        "",
    ),
    binding(
        &[LEFT, RIGHT],
        "← →",
        &[A::Fold(Some(true)), A::Fold(Some(false))],
        "fold a namespace, unfold it",
        "",
    ),
    binding(
        &[ENTER],
        "Enter",
        &[A::Open(View::Logs)],
        "logs; on a namespace: fold",
        "",
    ),
];

pub(super) const READING: &[Binding] = &[
    binding(
        &[ESCAPE, BACKSPACE],
        "Escape",
        &[A::Back, A::Back],
        "back",
        "back",
    ),
    binding(&[char('/')], "/", &[A::Search], "search", "search"),
    binding(
        &[char('n'), char('N')],
        "n N",
        &[A::Hit(false), A::Hit(true)],
        "next hit, the one before",
        "",
    ),
    binding(
        &[char('&')],
        "&",
        &[A::Filter],
        "show only lines with this",
        "filter",
    ),
    binding(
        &[char('w')],
        "w",
        &[A::Wrap],
        "wrap long lines, or not",
        "wrap",
    ),
    binding(
        &[LEFT, RIGHT],
        "← →",
        &[A::Side(-1), A::Side(1)],
        "to the sides, where lines are not wrapped",
        "",
    ),
    binding(
        &[char(' '), char('b')],
        "Space b",
        &[A::Page(1), A::Page(-1)],
        "a page on, a page back",
        "",
    ),
    binding(
        &[TAB, BACK_TAB],
        "Tab",
        &[A::NextView(1), A::NextView(-1)],
        "next view; with Shift the one before",
        "",
    ),
    binding(
        &[char('J'), char('K')],
        "J K",
        &[A::NextProcess(1), A::NextProcess(-1)],
        "next process, the one before",
        "",
    ),
];

pub(super) const LOGS: &[Binding] = &[
    binding(
        &[char('f')],
        "f",
        &[A::Follow],
        "follow the end, or not",
        "follow",
    ),
    binding(
        &[char('T')],
        "T",
        &[A::Times],
        "times before lines, or not",
        "Times",
    ),
    binding(&[char('@')], "@", &[A::Jump], "jump to a time", "@time"),
];

pub(super) const ENV: &[Binding] = &[
    binding(
        &[char('u')],
        "u",
        &[A::Reveal],
        "uncover secrets, cover them",
        "uncover",
    ),
    binding(
        &[char('C')],
        "C",
        &[A::Compare],
        "compare with a process or this shell",
        "Compare",
    ),
];

pub(super) const COMMON: &[Binding] = &[
    binding(
        &[char(':')],
        ":",
        &[A::Command],
        "any command of tsm",
        ":command",
    ),
    binding(
        &[char('!')],
        "!",
        &[A::LastOutput],
        "what the last command printed",
        "",
    ),
    binding(
        &[char('?'), Chord::Key(KeyCode::F(1))],
        "?",
        &[A::Help, A::Help],
        "these keys",
        "?help",
    ),
    binding(
        &[Chord::Control('l')],
        "Ctrl-L",
        &[A::Redraw],
        "draw all again",
        "",
    ),
    binding(
        &[Chord::Control('z')],
        "Ctrl-Z",
        &[A::Suspend],
        "to the shell; 'fg' comes back",
        "",
    ),
    binding(
        &[Chord::Control('c')],
        "Ctrl-C",
        &[A::Interrupt],
        "end a command; else leave",
        "",
    ),
    binding(&[char('q')], "q", &[A::Leave], "leave", "quit"),
];

/// In the overview Escape only closes what is there to be closed.
pub(super) const OVERVIEW_ESCAPE: &[Binding] = &[binding(
    &[ESCAPE],
    "Escape",
    &[A::Back],
    "drop the filter, then the marks; never leaves",
    "",
)];
