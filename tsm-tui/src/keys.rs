//! Which key does what, where: one table for each place. Keys are looked up in it and `?` is drawn from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Something that a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// One row up or down.
    Move(isize),
    /// A page up or down.
    Page(isize),
    /// The first row.
    First,
    /// The last row.
    Last,
    /// To the left or right.
    Side(isize),
    /// Shows a view of what is meant.
    Open(View),
    /// The ports of all processes.
    AllPorts,
    /// The next view, or the one before.
    NextView(isize),
    /// The same view of the next process, or of the one before.
    NextProcess(isize),
    /// Closes what is open.
    Back,
    /// Starts.
    Start,
    /// Stops.
    Stop,
    /// Restarts.
    Restart,
    /// Reloads.
    Reload,
    /// Deletes.
    Delete,
    /// Counts restarts anew.
    Reset,
    /// Sends a signal.
    Signal,
    /// Changes how many instances there are.
    Scale,
    /// Edits the environment.
    EditEnv,
    /// Saves all.
    Save,
    /// Starts a new one.
    New,
    /// Marks or unmarks.
    Mark,
    /// Marks all that are shown.
    MarkAll,
    /// Takes all marks away.
    Unmark,
    /// Sorts by the next column.
    Sort,
    /// Turns the order around.
    Reverse,
    /// Groups by namespace, or not.
    Group,
    /// Folds a namespace.
    Fold(Option<bool>),
    /// Types a filter.
    Filter,
    /// Types what to search for.
    Search,
    /// The next hit, or the one before.
    Hit(bool),
    /// Follows the end, or not.
    Follow,
    /// Wraps long lines, or not.
    Wrap,
    /// Shows times, or not.
    Times,
    /// Asks for a time to jump to.
    Jump,
    /// Uncovers secrets, or covers them.
    Reveal,
    /// Asks whom to compare with.
    Compare,
    /// Types a command.
    Command,
    /// What the last command printed.
    LastOutput,
    /// The keys.
    Help,
    /// Draws everything again.
    Redraw,
    /// Gives the terminal back to the shell for a while.
    Suspend,
    /// Ends what is under way, else leaves.
    Interrupt,
    /// Leaves.
    Leave,
}

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum View {
    /// The table.
    #[default]
    Overview,
    /// Logs.
    Logs,
    /// One process in full.
    Info,
    /// Its environment.
    Env,
    /// What happened, and why it is as it is.
    History,
    /// Its processes.
    Tree,
    /// Where it listens.
    Ports,
    /// What a command printed.
    Output,
}

impl View {
    /// The views of a process, as they stand in the row of tabs.
    pub const TABS: [Self; 6] = [
        Self::Logs,
        Self::Info,
        Self::Env,
        Self::History,
        Self::Tree,
        Self::Ports,
    ];

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Logs => "logs",
            Self::Info => "info",
            Self::Env => "env",
            Self::History => "history",
            Self::Tree => "tree",
            Self::Ports => "ports",
            Self::Output => "output",
        }
    }
}

/// A key, or one with Ctrl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chord {
    Key(KeyCode),
    Control(char),
}

/// Some keys and what they do.
#[derive(Debug)]
pub(crate) struct Binding {
    keys: &'static [Chord],
    /// What the keys are called.
    pub shown: &'static str,
    /// What they do, in the order of the keys.
    actions: &'static [Action],
    /// What they do, in words.
    pub help: &'static str,
    /// In two words for the last line; empty where they do not stand there.
    pub hint: &'static str,
}

const fn binding(
    keys: &'static [Chord],
    shown: &'static str,
    actions: &'static [Action],
    help: &'static str,
    hint: &'static str,
) -> Binding {
    Binding {
        keys,
        shown,
        actions,
        help,
        hint,
    }
}

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
const BACK_TAB: Chord = Chord::Key(KeyCode::BackTab);
const BACKSPACE: Chord = Chord::Key(KeyCode::Backspace);

use Action as A;

const MOVING: &[Binding] = &[
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

const VIEWS: &[Binding] = &[
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

const ACTS: &[Binding] = &[
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

const TABLE: &[Binding] = &[
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

const READING: &[Binding] = &[
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

const LOGS: &[Binding] = &[
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

const ENV: &[Binding] = &[
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

const COMMON: &[Binding] = &[
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
const OVERVIEW_ESCAPE: &[Binding] = &[binding(
    &[ESCAPE],
    "Escape",
    &[A::Back],
    "drop the filter, then the marks; never leaves",
    "",
)];

/// The keys of a place, in the order in which they are shown.
pub(crate) fn of(view: View) -> Vec<&'static [Binding]> {
    match view {
        View::Overview => vec![TABLE, VIEWS, ACTS, MOVING, OVERVIEW_ESCAPE, COMMON],
        View::Logs => vec![LOGS, READING, MOVING, VIEWS, ACTS, COMMON],
        View::Env => vec![ENV, READING, MOVING, VIEWS, ACTS, COMMON],
        View::Output => vec![READING, MOVING, COMMON],
        _ => vec![READING, MOVING, VIEWS, ACTS, COMMON],
    }
}

/// What a key asks for.
pub(crate) fn action(view: View, key: KeyEvent) -> Option<Action> {
    let chord = match key.code {
        KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Chord::Control(c.to_ascii_lowercase())
        }
        _ if key.modifiers.contains(KeyModifiers::ALT) => return None,
        // Some terminals tell of Shift-Tab as of a Tab with Shift.
        KeyCode::Tab if key.modifiers.contains(KeyModifiers::SHIFT) => BACK_TAB,
        code => Chord::Key(code),
    };
    of(view).into_iter().flatten().find_map(|binding| {
        let at = binding.keys.iter().position(|known| *known == chord)?;
        binding.actions.get(at).or(binding.actions.last()).copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [View; 8] = [
        View::Overview,
        View::Logs,
        View::Info,
        View::Env,
        View::History,
        View::Tree,
        View::Ports,
        View::Output,
    ];

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for view in ALL {
            let mut seen = Vec::new();
            for binding in of(view).into_iter().flatten() {
                assert_eq!(
                    binding.keys.len().max(1),
                    binding.actions.len(),
                    "{binding:?}"
                );
                for key in binding.keys {
                    assert!(!seen.contains(key), "{key:?} in {view:?}");
                    seen.push(*key);
                }
            }
        }
    }

    #[test]
    fn every_place_says_how_to_leave_and_where_help_is() {
        for view in ALL {
            let key = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
            assert_eq!(action(view, key('q')), Some(Action::Leave));
            assert_eq!(action(view, key('?')), Some(Action::Help));
            let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
            assert_eq!(action(view, control), Some(Action::Interrupt));
            let escape = KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE);
            assert_eq!(action(view, escape), Some(Action::Back));
        }
    }
}
