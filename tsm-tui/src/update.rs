//! What happens, and what becomes of it: pure, but for the model.

mod acting;
mod layers;
mod mouse;
mod viewing;

use crossterm::event::KeyEvent;
use tsm_core::watch::Change;

use crate::keys::{self, Action, View};
use crate::layer::{Layer, Prompt, Purpose};
use crate::message::{Effect, LogFrom, LogPart, LogWish, Measured, Message, TextWish};
use crate::meter::Meter;
use crate::model::{MOST_LOG_LINES, Model};
use crate::pane::PaneLine;
use crate::{ansi, geometry};

/// Takes a message in, and says what is to be done. What is to be known from then on tells [`Model::wants`].
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let effects = take(model, message);
    model
        .table
        .keep_in_sight(usize::from(geometry::overview(model).rows.height));
    match model.view {
        View::Overview => model.wish_tail(),
        View::Logs | View::Output => {}
        _ => model.wish_text(),
    }
    effects
}

fn take(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(key) => return press(model, key),
        Message::Mouse { event, now_ms } => return mouse::act(model, event, now_ms),
        Message::Paste(text) => return layers::paste(model, &text),
        Message::Resize(columns, rows) => model.screen = (columns, rows),
        Message::Known {
            processes,
            supervised,
            damaged,
            now_ms,
        } => {
            model.is_known = true;
            model.trouble = None;
            model.supervised = supervised;
            model.damaged = damaged;
            model.now_ms = now_ms;
            model.revision += 1;
            model.table.replace(processes);
        }
        Message::Changed {
            changes,
            damaged,
            now_ms,
        } => {
            model.trouble = None;
            model.damaged = damaged;
            model.now_ms = now_ms;
            for change in changes {
                learn(model, change);
            }
            model.table.arrange();
            viewing::close_if_gone(model);
            // Where nothing runs nothing is measured: what was is not how it is.
            if !model.table.any_runs() {
                model.machine = None;
            }
        }
        Message::Tick { now_ms, measured } => tick(model, now_ms, measured),
        Message::Log { wish, part } => log(model, &wish, part),
        Message::Text { wish, text } => show_text(model, &wish, &text),
        Message::Printed { job, bytes } => acting::printed(model, job, &bytes),
        Message::Ended { job, status } => acting::ended(model, job, status),
        Message::Candidates { ask, found } => return layers::offer(model, &ask, found),
        Message::Trouble(text) => model.trouble = Some(text),
        Message::Suspend => return vec![Effect::Suspend],
        Message::Continued => return vec![Effect::Redraw],
        Message::Leave | Message::Broken => return vec![Effect::Leave],
    }
    Vec::new()
}

fn learn(model: &mut Model, change: Change) {
    let mut concerns = |id: u32| {
        if model.view == View::Ports || model.about.contains(&id) {
            model.revision += 1;
        }
    };
    match change {
        Change::Appeared(view) => {
            concerns(view.id);
            model.table.put(*view);
        }
        Change::Changed { now, .. } => {
            concerns(now.id);
            model.table.put(*now);
        }
        Change::Removed(view) => {
            concerns(view.id);
            model.table.remove(view.id);
        }
        Change::Supervised(supervised) => model.supervised = supervised,
        _ => {}
    }
}

/// Every so many seconds a text is read again that changes while nothing happens.
const INFO_SECONDS: u64 = 2;
const PORTS_SECONDS: u64 = 5;

fn tick(model: &mut Model, now_ms: u64, measured: Option<Measured>) {
    model.now_ms = now_ms;
    model.ticks += 1;
    model.table.tick(now_ms);
    let every = match model.view {
        View::Info | View::Tree => INFO_SECONDS,
        View::Ports => PORTS_SECONDS,
        _ => u64::MAX,
    };
    if model.ticks.is_multiple_of(every) {
        model.revision += 1;
    }
    if let Some(measured) = measured {
        model.table.measured(&measured.usage);
        model.disk_full = measured.disk_full;
        let meter = model.machine.take().map(|(_, meter)| meter);
        let mut meter: Meter = meter.unwrap_or_default();
        if let Some(busy) = measured.machine.busy {
            meter.push(busy, measured.machine.memory_used);
        }
        model.machine = Some((measured.machine, meter));
    }
}

fn log(model: &mut Model, wish: &LogWish, part: LogPart) {
    // What was wished before comes too late.
    let logs = if model.view == View::Logs && model.logs.wish.as_ref() == Some(wish) {
        &mut model.logs
    } else if model.view == View::Overview && model.tail.wish.as_ref() == Some(wish) {
        &mut model.tail
    } else {
        return;
    };
    match part {
        LogPart::Begin(lines) => {
            logs.trouble = None;
            logs.has_begun = true;
            if std::mem::take(&mut logs.extends) {
                logs.pane.keep(MOST_LOG_LINES);
                logs.pane.extend_back(lines);
            } else {
                logs.pane.replace(lines);
                if let LogFrom::Time(time) = wish.from {
                    logs.pane.to_time(time);
                }
            }
        }
        LogPart::More(lines) => logs.pane.push(lines),
        LogPart::Failed(error) => logs.trouble = Some(error),
    }
}

fn show_text(model: &mut Model, wish: &TextWish, text: &[u8]) {
    // One that was read a moment earlier is still of use, one of something else is not.
    let wished = model.page.wish.as_ref();
    if wished.is_none_or(|wished| wished.text != wish.text) {
        return;
    }
    model.page.has_come = true;
    model.page.pane.replace(lines(text));
}

/// The lines of a text.
fn lines(text: &[u8]) -> Vec<PaneLine> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|&byte| byte == b'\n')
        .map(|line| PaneLine {
            styled: ansi::parse(line),
            ..PaneLine::default()
        })
        .collect()
}

fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    model.note = None;
    if model.layer.is_some() {
        return layers::press(model, key);
    }
    match keys::action(model.view, key) {
        Some(action) => act(model, action),
        None => Vec::new(),
    }
}

/// Does what a key of the view asks for.
fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let overview = model.view == View::Overview;
    match action {
        Action::Leave => return vec![Effect::Leave],
        Action::Interrupt => {
            let Some(job) = model.jobs.last() else {
                return vec![Effect::Leave];
            };
            return vec![Effect::Interrupt(job.number)];
        }
        Action::Redraw => return vec![Effect::LookAgain, Effect::Redraw],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Help => model.layer = Some(Layer::Help(0)),
        Action::Command => {
            prompt(model, Purpose::Command, "");
            return layers::ask_first(model);
        }
        Action::LastOutput => viewing::show_output(model),
        Action::Filter if overview => {
            let filter = model.table.filter().to_owned();
            prompt(model, Purpose::TableFilter, &filter);
        }
        Action::Filter => {
            let typed = model.pane().and_then(|pane| pane.filter());
            let typed = typed.map_or_else(String::new, |pattern| pattern.typed.clone());
            prompt(model, Purpose::LineFilter, &typed);
        }
        Action::Search => prompt(model, Purpose::Search, ""),
        Action::Jump => prompt(model, Purpose::Jump, ""),
        Action::Compare => {
            prompt(model, Purpose::Compare, "");
            layers::offer_names(model);
        }
        Action::Sort => model.table.sort_by_next(),
        Action::Reverse => {
            let (column, _) = model.table.order();
            model.table.sort_by(column);
        }
        Action::Group => model.table.toggle_groups(),
        Action::Fold(collapsed) => model.table.fold(collapsed),
        Action::Mark => {
            model.table.toggle_mark();
            model.table.select(model.table.place() + 1);
        }
        Action::MarkAll => model.table.mark_all(),
        Action::Unmark => model.table.unmark(),
        Action::Move(_) | Action::Page(_) | Action::First | Action::Last if overview => {
            travel(model, action);
        }
        Action::Start
        | Action::Stop
        | Action::Restart
        | Action::Reload
        | Action::Delete
        | Action::Reset
        | Action::Signal
        | Action::Scale
        | Action::EditEnv
        | Action::Save
        | Action::New => return acting::act(model, action),
        _ => return viewing::act(model, action),
    }
    Vec::new()
}

fn prompt(model: &mut Model, purpose: Purpose, value: &str) {
    model.layer = Some(Layer::Prompt(Prompt::new(purpose, value)));
}

/// Moves the selection.
fn travel(model: &mut Model, action: Action) {
    let at = model.table.place();
    let page = usize::from(geometry::overview(model).rows.height).max(1);
    let to = match action {
        Action::Move(by) => at.saturating_add_signed(by),
        Action::Page(by) => at.saturating_add_signed(by * page as isize),
        Action::First => 0,
        _ => usize::MAX,
    };
    model.table.select(to);
}
