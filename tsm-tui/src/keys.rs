//! Which key does what, where: one table for each place. Keys are looked up in it and `?` is drawn from it.

mod tables;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use tables::{ACTS, BACK_TAB, COMMON, ENV, LOGS, MOVING, OVERVIEW_ESCAPE, READING, TABLE, VIEWS};

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
