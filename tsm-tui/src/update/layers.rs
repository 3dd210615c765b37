//! Keys while something lies above the view: help, a question, a line that is typed, a menu, the form.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use tsm_core::words::moment;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler as _;

use crate::form::{Field, Form};
use crate::geometry;
use crate::keys::Action;
use crate::layer::{Candidate, Layer, Menu, Prompt, Purpose, last_word, with_last_word};
use crate::message::{Ask, Effect, LogFrom};
use crate::model::Model;

use super::{act, acting};

pub(super) fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        // What closes everywhere, and what the terminal itself would do.
        KeyCode::Char('z') if control => return vec![Effect::Suspend],
        KeyCode::Char('l') if control => return vec![Effect::Redraw],
        KeyCode::Esc => return cancel(model),
        KeyCode::Char('c') if control => return cancel(model),
        _ => {}
    }
    let Some(layer) = model.layer.take() else {
        return Vec::new();
    };
    match layer {
        Layer::Help(top) => help(model, top, key),
        Layer::Question(question) => match key.code {
            KeyCode::Char('y' | 'Y') => {
                let (doing, done) = (question.doing, question.done);
                acting::run(model, question.words, &doing, &done, question.typed)
            }
            KeyCode::Char('n' | 'N' | 'q') | KeyCode::Enter => Vec::new(),
            _ => {
                model.layer = Some(Layer::Question(question));
                Vec::new()
            }
        },
        Layer::Prompt(prompt) => type_line(model, prompt, key),
        Layer::Menu(menu) => choose(model, menu, key),
        Layer::Form(form) => fill_in(model, form, key),
    }
}

/// Escape: what is being typed has no effect, and a filter is gone.
fn cancel(model: &mut Model) -> Vec<Effect> {
    if let Some(Layer::Prompt(prompt)) = model.layer.take() {
        match prompt.purpose {
            Purpose::TableFilter => model.table.set_filter(""),
            Purpose::LineFilter => set_line_filter(model, ""),
            Purpose::Search => search(model, ""),
            _ => {}
        }
    }
    Vec::new()
}

fn help(model: &mut Model, top: usize, key: KeyEvent) -> Vec<Effect> {
    let top = match key.code {
        KeyCode::Char('q') => return vec![Effect::Leave],
        KeyCode::Char('?') | KeyCode::Enter | KeyCode::F(1) => return Vec::new(),
        KeyCode::Down | KeyCode::Char('j') => top + 1,
        KeyCode::Up | KeyCode::Char('k') => top.saturating_sub(1),
        KeyCode::PageDown | KeyCode::Char(' ') => top + 10,
        KeyCode::PageUp => top.saturating_sub(10),
        KeyCode::Home | KeyCode::Char('g') => 0,
        _ => top,
    };
    // How far it goes is for the view to say.
    model.layer = Some(Layer::Help(top));
    Vec::new()
}

fn type_line(model: &mut Model, mut prompt: Prompt, key: KeyEvent) -> Vec<Effect> {
    let is_command = prompt.purpose == Purpose::Command;
    match key.code {
        KeyCode::Enter => return accept(model, prompt),
        KeyCode::Tab | KeyCode::BackTab => {
            complete_line(&mut prompt, key.code == KeyCode::BackTab);
            let effects = ask_line(&mut prompt);
            model.layer = Some(Layer::Prompt(prompt));
            return effects;
        }
        KeyCode::Up | KeyCode::Down if is_command => {
            earlier(model, &mut prompt, key.code == KeyCode::Up);
            prompt.completion.clear();
        }
        // The table can be gone through while it is filtered.
        KeyCode::Up | KeyCode::Down | KeyCode::PageUp | KeyCode::PageDown
            if prompt.purpose == Purpose::TableFilter =>
        {
            let action = match key.code {
                KeyCode::Up => Action::Move(-1),
                KeyCode::Down => Action::Move(1),
                KeyCode::PageUp => Action::Page(-1),
                _ => Action::Page(1),
            };
            super::travel(model, action);
        }
        KeyCode::Backspace if prompt.input.value().is_empty() => return Vec::new(),
        _ => {
            let before = prompt.input.value().to_owned();
            prompt.input.handle_event(&Event::Key(key));
            if prompt.input.value() != before {
                return typed(model, prompt);
            }
        }
    }
    model.layer = Some(Layer::Prompt(prompt));
    Vec::new()
}

/// The line is another one now: what acts as one types, acts.
fn typed(model: &mut Model, mut prompt: Prompt) -> Vec<Effect> {
    prompt.wrong = None;
    prompt.earlier = None;
    let value = prompt.input.value().to_owned();
    let mut effects = Vec::new();
    match prompt.purpose {
        Purpose::TableFilter => model.table.set_filter(&value),
        Purpose::LineFilter => set_line_filter(model, &value),
        Purpose::Search => search(model, &value),
        Purpose::Command => {
            let ask = prompt.completion.ask(Ask::Line(value));
            effects.push(Effect::Complete(ask));
        }
        Purpose::Compare => {
            prompt.completion.chosen = None;
            prompt.completion.candidates = names(model, &value);
        }
        Purpose::Jump | Purpose::Scale(_) => {}
    }
    model.layer = Some(Layer::Prompt(prompt));
    effects
}

fn set_line_filter(model: &mut Model, typed: &str) {
    if let Some(pane) = model.pane_mut() {
        pane.set_filter(typed);
    }
}

fn search(model: &mut Model, typed: &str) {
    let size = geometry::text(model);
    if let Some(pane) = model.pane_mut() {
        pane.set_search(typed, size);
    }
}

/// Offers the processes to compare with.
pub(super) fn offer_names(model: &mut Model) {
    let candidates = names(model, "");
    if let Some(Layer::Prompt(prompt)) = &mut model.layer {
        prompt.completion.candidates = candidates;
    }
}

fn names(model: &Model, beginning: &str) -> Vec<Candidate> {
    let own: Vec<String> = model
        .subjects()
        .map(|entry| entry.view.name.to_string())
        .collect();
    let names = model.names().into_iter();
    let names = names.filter(|name| name.starts_with(beginning) && !own.contains(name));
    let candidate = |word| Candidate {
        word,
        help: String::new(),
    };
    names.map(candidate).collect()
}

/// Takes a candidate, whole or as far as all agree. With a single one, the next word may begin.
fn complete_line(prompt: &mut Prompt, back: bool) {
    let line = prompt.input.value().to_owned();
    let is_only = prompt.completion.candidates.len() == 1;
    let Some(mut word) = prompt.completion.tab(last_word(&line), back) else {
        return;
    };
    if is_only && !word.ends_with(['=', '/']) && prompt.purpose == Purpose::Command {
        word.push(' ');
    }
    prompt.input = Input::new(with_last_word(&line, &word));
}

/// Asks for what comes next, where nothing is to be gone through.
fn ask_line(prompt: &mut Prompt) -> Vec<Effect> {
    if prompt.purpose != Purpose::Command
        || prompt
            .completion
            .chosen
            .is_some_and(|_| prompt.completion.candidates.len() > 1)
    {
        return Vec::new();
    }
    let ask = Ask::Line(prompt.input.value().to_owned());
    if prompt.completion.asked.as_ref() == Some(&ask) {
        return Vec::new();
    }
    vec![Effect::Complete(prompt.completion.ask(ask))]
}

/// Asks what a command may begin with.
pub(super) fn ask_first(model: &mut Model) -> Vec<Effect> {
    match &mut model.layer {
        Some(Layer::Prompt(prompt)) => ask_line(prompt),
        _ => Vec::new(),
    }
}

/// Goes through the commands that were typed before.
fn earlier(model: &Model, prompt: &mut Prompt, back: bool) {
    let count = model.typed.len();
    let next = match (prompt.earlier, back) {
        (None, true) if count > 0 => Some(0),
        (Some(at), true) => Some((at + 1).min(count - 1)),
        (Some(at), false) if at > 0 => Some(at - 1),
        _ => None,
    };
    prompt.earlier = next;
    let line = next.and_then(|at| model.typed.get(count - 1 - at));
    prompt.input = Input::new(line.cloned().unwrap_or_default());
}

/// Enter: the line holds.
fn accept(model: &mut Model, mut prompt: Prompt) -> Vec<Effect> {
    let value = prompt.input.value().trim().to_owned();
    match &prompt.purpose {
        Purpose::TableFilter | Purpose::LineFilter => {}
        Purpose::Search => {
            let pane = model.pane();
            let found = pane.is_some_and(|pane| (0..pane.len()).any(|at| pane.is_hit(at)));
            if !value.is_empty() && !found {
                super::viewing::not_found(model);
            }
        }
        Purpose::Command => return acting::command(model, &value),
        Purpose::Compare => {
            model.page.compare = Some((!value.is_empty()).then_some(value));
            model.page.has_come = false;
            model.page.pane.to_top();
        }
        Purpose::Scale(name) => {
            // How many, or how many more or fewer.
            let digits = value.strip_prefix(['+', '-']).unwrap_or(&value);
            let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
            if !is_number && value != "max" {
                prompt.wrong = Some("4, max, +2 or -1".to_owned());
                model.layer = Some(Layer::Prompt(prompt));
                return Vec::new();
            }
            let words = vec!["scale".to_owned(), name.clone(), value.clone()];
            let doing = format!("scaling {name}");
            let done = format!("{name} scaled: {value}");
            return acting::run(model, words, &doing, &done, false);
        }
        Purpose::Jump => match moment("time", &value, model.now_ms.max(1)) {
            Ok(time) => {
                model.logs.pane.set_follow(false, geometry::text(model));
                model.logs.pane.times = true;
                model.wish_logs(LogFrom::Time(time));
            }
            Err(error) => {
                let error = error.to_string();
                let wrong = error.strip_prefix("time: ").unwrap_or(&error);
                prompt.wrong = Some(wrong.to_owned());
                model.layer = Some(Layer::Prompt(prompt));
            }
        },
    }
    Vec::new()
}

fn choose(model: &mut Model, mut menu: Menu, key: KeyEvent) -> Vec<Effect> {
    let count = menu.items.len();
    match key.code {
        KeyCode::Enter => {
            let chosen = menu.items[menu.at].0.clone();
            let done = format!("{chosen} sent");
            let doing = format!("{} with {chosen}", menu.doing);
            menu.words.push(chosen);
            return acting::run(model, menu.words, &doing, &done, false);
        }
        KeyCode::Down | KeyCode::Tab => menu.at = (menu.at + 1) % count,
        KeyCode::Up | KeyCode::BackTab => menu.at = (menu.at + count - 1) % count,
        KeyCode::Home => menu.at = 0,
        KeyCode::End => menu.at = count - 1,
        // A letter goes to the next one that begins with it.
        KeyCode::Char(c) => {
            let c = c.to_ascii_uppercase();
            let order = (1..=count).map(|by| (menu.at + by) % count);
            let begins = |at: &usize| menu.items[*at].0.starts_with(c);
            menu.at = order.clone().find(begins).unwrap_or(menu.at);
        }
        _ => {}
    }
    model.layer = Some(Layer::Menu(menu));
    Vec::new()
}

fn fill_in(model: &mut Model, mut form: Form, key: KeyEvent) -> Vec<Effect> {
    form.wrong = None;
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let is_last = form.at + 1 == Field::ALL.len();
    match key.code {
        KeyCode::Enter | KeyCode::Char('s') if key.code == KeyCode::Enter || control => {
            // Enter goes on where there is nothing to start yet.
            if key.code == KeyCode::Enter && form.value_of(Field::Command).is_empty() && !is_last {
                form.go(1);
            } else {
                return start(model, form);
            }
        }
        KeyCode::Tab => {
            let is_empty = form.value().is_empty();
            // A field that is complete, or empty, is left.
            if is_empty || (!complete_field(&mut form) && !form.completion.tab) {
                form.go(1);
            }
        }
        KeyCode::Down => form.go(1),
        KeyCode::Up | KeyCode::BackTab => form.go(-1),
        _ => {
            let before = form.value().to_owned();
            let at = form.at;
            form.inputs[at].handle_event(&Event::Key(key));
            if form.value() == before {
                model.layer = Some(Layer::Form(form));
                return Vec::new();
            }
        }
    }
    let effects = ask_field(model, &mut form);
    model.layer = Some(Layer::Form(form));
    effects
}

/// Takes a candidate for the field; tells whether that made it another one.
fn complete_field(form: &mut Form) -> bool {
    let value = form.value().to_owned();
    let last = match form.field() {
        Field::Options => last_word(&value),
        _ => &value,
    };
    let taken = form.completion.tab(last, false);
    let Some(taken) = taken.filter(|taken| taken != last) else {
        return false;
    };
    form.take(&taken);
    // There is nothing more to be asked about a single one, but what is below a directory.
    if form.completion.candidates.len() == 1 && !taken.ends_with('/') {
        form.completion.clear();
        form.completion.asked = form.ask();
        form.completion.answered = true;
    }
    true
}

/// Asks what the field may become, or knows.
fn ask_field(model: &Model, form: &mut Form) -> Vec<Effect> {
    let value = form.value().to_owned();
    let fixed = |words: Vec<String>| {
        let words = words.into_iter().filter(|word| word.starts_with(&value));
        let candidate = |word| Candidate {
            word,
            help: String::new(),
        };
        words.map(candidate).collect::<Vec<_>>()
    };
    match form.field() {
        Field::Restart => {
            form.completion.candidates =
                fixed(["no", "on-failure", "always"].map(str::to_owned).to_vec());
        }
        Field::Namespace => {
            let mut known: Vec<String> = model
                .table
                .all()
                .map(|entry| entry.view.namespace.clone())
                .collect();
            known.sort();
            known.dedup();
            form.completion.candidates = fixed(known);
        }
        _ => {
            let Some(ask) = form.ask() else {
                form.completion.clear();
                return Vec::new();
            };
            // While candidates are gone through, they stay.
            if form.completion.chosen.is_some() && form.completion.candidates.len() > 1 {
                return Vec::new();
            }
            if form.completion.asked.as_ref() != Some(&ask) {
                return vec![Effect::Complete(form.completion.ask(ask))];
            }
        }
    }
    Vec::new()
}

fn start(model: &mut Model, mut form: Form) -> Vec<Effect> {
    match form.words() {
        Ok(words) => {
            let name = match form.value_of(Field::Name) {
                "" => form.value_of(Field::Command).to_owned(),
                name => name.to_owned(),
            };
            let doing = format!("starting {name}");
            model.started = Some((model.next_job, form));
            acting::run(model, words, &doing, &format!("{name} started"), false)
        }
        Err((field, wrong)) => {
            let at = Field::ALL.iter().position(|known| *known == field);
            form.at = at.unwrap_or(form.at);
            form.wrong = Some(wrong);
            model.layer = Some(Layer::Form(form));
            Vec::new()
        }
    }
}

/// Candidates have come.
pub(super) fn offer(model: &mut Model, ask: &Ask, found: Vec<Candidate>) -> Vec<Effect> {
    match model.layer.take() {
        Some(Layer::Prompt(mut prompt)) => {
            let mut effects = Vec::new();
            if prompt.completion.answer(ask, found) {
                complete_line(&mut prompt, false);
                effects = ask_line(&mut prompt);
            }
            model.layer = Some(Layer::Prompt(prompt));
            effects
        }
        Some(Layer::Form(mut form)) => {
            let mut effects = Vec::new();
            if form.completion.answer(ask, found) {
                if !complete_field(&mut form) {
                    form.go(1);
                }
                effects = ask_field(model, &mut form);
            }
            model.layer = Some(Layer::Form(form));
            effects
        }
        other => {
            model.layer = other;
            Vec::new()
        }
    }
}

/// Text was pasted: into what is being typed, and nowhere else, where its letters would be commands.
pub(super) fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    let line = text.lines().next().unwrap_or_default();
    let text: String = line.chars().filter(|c| !c.is_control()).collect();
    let mut effects = Vec::new();
    if !matches!(model.layer, Some(Layer::Prompt(_) | Layer::Form(_))) {
        return effects;
    }
    for c in text.chars() {
        let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        effects = press(model, key);
    }
    effects
}

/// A key of the view, pressed by the mouse.
pub(super) fn press_action(model: &mut Model, action: Action) -> Vec<Effect> {
    act(model, action)
}
