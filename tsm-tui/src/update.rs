//! What happens, and what becomes of it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tsm_core::control::Verb;

use crate::model::{Facts, LogLine, Mode, Model, Note};

/// Something that happened.
#[derive(Debug)]
pub enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// The screen has this many columns and rows.
    Resize(u16, u16),
    /// A look at the home told this.
    Facts(Facts),
    /// The home, or a log, could not be read.
    Trouble(String),
    /// The last lines of the log of a process.
    Log {
        /// Whose.
        id: u32,
        /// Oldest first.
        lines: Vec<LogLine>,
    },
    /// What was asked of the supervisor is answered.
    Acted {
        /// What was asked.
        verb: Verb,
        /// Of which process.
        id: u32,
        /// What there is to tell, or why it did not work.
        result: Result<String, String>,
    },
    /// It is time to go: a signal came, or the terminal went away.
    Leave,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Look at the home now.
    Look,
    /// Read the last lines of a log.
    ReadLog {
        /// The id of the process.
        id: u32,
        /// Its name.
        name: String,
        /// How many lines are of use.
        lines: usize,
    },
    /// Ask the supervisor.
    Act {
        /// For what.
        verb: Verb,
        /// The id of the process.
        id: u32,
        /// Its name.
        name: String,
    },
    /// End.
    Leave,
}

/// Takes a message in, and says what is to be done.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(key) => return press(model, key),
        Message::Resize(columns, rows) => {
            model.screen = (columns, rows);
            return read_log(model);
        }
        Message::Facts(facts) => {
            let before = place(model);
            model.facts = Some(facts);
            model.trouble = None;
            select_near(model, before);
            return read_log(model);
        }
        Message::Trouble(text) => model.trouble = Some(text),
        Message::Log { id, lines } => {
            // An answer about a process that was left meanwhile tells nothing.
            if model.selected == Some(id) {
                model.log = Some((id, lines));
            }
        }
        Message::Acted { verb, id, result } => {
            model
                .under_way
                .retain(|(other_verb, other, _)| (*other_verb, *other) != (verb, id));
            let (text, is_error) = match result {
                Ok(text) => (text, false),
                Err(text) => (text, true),
            };
            model.note = Some(Note { text, is_error });
            return vec![Effect::Look];
        }
        Message::Leave => return vec![Effect::Leave],
    }
    Vec::new()
}

fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return vec![Effect::Leave];
    }
    model.note = None;
    match model.mode.clone() {
        Mode::Table => press_in_table(model, key),
        Mode::Filter => press_in_filter(model, key),
        Mode::Help if key.code == KeyCode::Char('q') => vec![Effect::Leave],
        Mode::Help => {
            if matches!(key.code, KeyCode::Esc | KeyCode::Char('?') | KeyCode::Enter) {
                model.mode = Mode::Table;
            }
            Vec::new()
        }
        Mode::Delete { id, name } => match key.code {
            KeyCode::Char('y' | 'Y') => {
                model.mode = Mode::Table;
                act(model, Verb::Delete, id, name)
            }
            KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc | KeyCode::Enter => {
                model.mode = Mode::Table;
                Vec::new()
            }
            _ => Vec::new(),
        },
    }
}

fn press_in_table(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    if key
        .modifiers
        .intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
    {
        return Vec::new();
    }
    match key.code {
        KeyCode::Char('q') => return vec![Effect::Leave],
        KeyCode::Char('?') => model.mode = Mode::Help,
        KeyCode::Char('/') => model.mode = Mode::Filter,
        KeyCode::Esc => return set_filter(model, String::new()),
        KeyCode::Char('s') => return act_on_selected(model, Verb::Start),
        KeyCode::Char('S') => return act_on_selected(model, Verb::Stop),
        KeyCode::Char('r') => return act_on_selected(model, Verb::Restart),
        KeyCode::Char('d') => {
            if let Some(view) = model.selected_view() {
                let (id, name) = (view.id, view.name.to_string());
                model.mode = Mode::Delete { id, name };
            }
        }
        code => return travel(model, code),
    }
    Vec::new()
}

fn press_in_filter(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let mut filter = model.filter.clone();
    match key.code {
        KeyCode::Esc => {
            model.mode = Mode::Table;
            filter.clear();
        }
        KeyCode::Enter => model.mode = Mode::Table,
        KeyCode::Char('u') if control => filter.clear(),
        KeyCode::Backspace => {
            filter.pop();
        }
        KeyCode::Char(c) if !control => filter.push(c),
        KeyCode::Up | KeyCode::Down => return travel(model, key.code),
        _ => {}
    }
    set_filter(model, filter)
}

fn set_filter(model: &mut Model, filter: String) -> Vec<Effect> {
    if model.filter == filter {
        return Vec::new();
    }
    let before = place(model);
    model.filter = filter;
    select_near(model, before);
    read_log(model)
}

/// Moves the selection.
fn travel(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    let visible = model.visible();
    let Some(last) = visible.len().checked_sub(1) else {
        return Vec::new();
    };
    let at = place(model);
    let page = usize::from(model.screen.1 / 2).max(1);
    let to = match code {
        KeyCode::Char('j') | KeyCode::Down => at + 1,
        KeyCode::Char('k') | KeyCode::Up => at.saturating_sub(1),
        KeyCode::Char('g') | KeyCode::Home => 0,
        KeyCode::Char('G') | KeyCode::End => last,
        KeyCode::PageDown => at + page,
        KeyCode::PageUp => at.saturating_sub(page),
        _ => return Vec::new(),
    };
    let id = visible[to.min(last)].id;
    if model.selected == Some(id) {
        return Vec::new();
    }
    model.selected = Some(id);
    model.log = None;
    read_log(model)
}

/// The row of the selected process, 0 where none is.
fn place(model: &Model) -> usize {
    let visible = model.visible();
    let at = |id| visible.iter().position(|view| view.id == id);
    model.selected.and_then(at).unwrap_or(0)
}

/// Keeps the selected process; where it is gone, the one in its row is selected.
fn select_near(model: &mut Model, row: usize) {
    let visible = model.visible();
    if visible.iter().any(|view| Some(view.id) == model.selected) {
        return;
    }
    let near = visible.get(row).or(visible.last()).map(|view| view.id);
    model.selected = near;
    model.log = None;
}

fn read_log(model: &Model) -> Vec<Effect> {
    let Some(view) = model.selected_view() else {
        return Vec::new();
    };
    vec![Effect::ReadLog {
        id: view.id,
        name: view.name.to_string(),
        lines: usize::from(model.screen.1),
    }]
}

fn act_on_selected(model: &mut Model, verb: Verb) -> Vec<Effect> {
    let Some(view) = model.selected_view() else {
        return Vec::new();
    };
    let (id, name) = (view.id, view.name.to_string());
    act(model, verb, id, name)
}

fn act(model: &mut Model, verb: Verb, id: u32, name: String) -> Vec<Effect> {
    if model
        .under_way
        .iter()
        .any(|(other_verb, other, _)| (*other_verb, *other) == (verb, id))
    {
        return Vec::new();
    }
    model.under_way.push((verb, id, name.clone()));
    vec![Effect::Act { verb, id, name }]
}
