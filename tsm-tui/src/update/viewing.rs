//! Views of a process: which one is open, of whom, and what is seen of it.

use crate::geometry;
use crate::keys::{Action, View};
use crate::message::{Effect, LogFrom};
use crate::model::{LOG_LINES, Logs, MOST_LOG_LINES, Model, Page};
use crate::pane::Pane;
use crate::table::Row;

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let size = geometry::text(model);
    let rows = usize::from(size.height).max(1) as isize;
    match action {
        Action::Open(View::Logs)
            if model.view == View::Overview
                && model.table.marks() == 0
                && matches!(model.table.selected(), Some(Row::Group(_))) =>
        {
            model.table.fold(None);
        }
        Action::Open(view) => open(model, view),
        Action::AllPorts => {
            model.about.clear();
            show(model, View::Ports);
        }
        Action::Back => back(model),
        Action::NextView(by) => {
            let here = View::TABS.iter().position(|view| *view == model.view);
            if let Some(here) = here {
                let next = (here as isize + by).rem_euclid(View::TABS.len() as isize);
                show(model, View::TABS[next as usize]);
            }
        }
        Action::NextProcess(by) => next_process(model, by),
        Action::Follow => follow(model),
        Action::Wrap => {
            if let Some(pane) = model.pane_mut() {
                pane.wrap = !pane.wrap;
                pane.left = 0;
                let wraps = if pane.wrap { "wrapped" } else { "not wrapped" };
                model.tell(format!("long lines are {wraps}"), false);
            }
        }
        Action::Times => model.logs.pane.times = !model.logs.pane.times,
        Action::Reveal => model.page.reveal = !model.page.reveal,
        Action::Hit(back) => {
            let Some(pane) = model.pane_mut() else {
                return Vec::new();
            };
            if pane.search().is_none() {
                model.tell("nothing was searched for; / does", false);
            } else if !pane.next_hit(back, size) {
                not_found(model);
            }
        }
        Action::Side(by) => {
            if let Some(pane) = model.pane_mut().filter(|pane| !pane.wrap) {
                pane.left = pane.left.saturating_add_signed(by * 8);
            }
        }
        Action::Move(by) => scroll(model, by),
        Action::Page(by) => scroll(model, by * (rows - 1).max(1)),
        Action::First => {
            if let Some(pane) = model.pane_mut() {
                pane.to_top();
            }
            older(model);
        }
        Action::Last => {
            let is_past = |from: LogFrom| matches!(from, LogFrom::Time(_));
            let wish = model.logs.wish.as_ref();
            if model.view == View::Logs && wish.is_some_and(|wish| is_past(wish.from)) {
                follow(model);
            } else if let Some(pane) = model.pane_mut() {
                pane.to_end(size);
            }
        }
        _ => {}
    }
    Vec::new()
}

/// Says that a search found nothing, and where it looked.
pub(super) fn not_found(model: &mut Model) {
    let lines = model.logs.pane.all();
    let wish = model.logs.wish.as_ref().map(|wish| wish.from);
    match wish {
        Some(LogFrom::End(wished)) if model.view == View::Logs && lines >= wished => {
            let text = format!("not found in the last {lines} lines; g reads older ones");
            model.tell(text, true);
        }
        _ => model.tell("not found", true),
    }
}

/// Scrolls the pane of the view by rows.
pub(super) fn scroll(model: &mut Model, rows: isize) {
    let size = geometry::text(model);
    let at_top = model
        .pane_mut()
        .is_some_and(|pane| pane.scroll(rows, size) && rows < 0);
    if at_top {
        older(model);
    }
}

/// Wishes for more lines of a log whose begin is seen, if there may be more.
fn older(model: &mut Model) {
    if model.view != View::Logs {
        return;
    }
    let Some(wish) = &model.logs.wish else { return };
    let from = match wish.from {
        LogFrom::End(lines) if lines < MOST_LOG_LINES && model.logs.pane.all() >= lines => {
            LogFrom::End((lines * 10).min(MOST_LOG_LINES))
        }
        _ => return,
    };
    model.logs.extends = true;
    model.wish_logs(from);
}

/// Opens a view of what is meant.
fn open(model: &mut Model, view: View) {
    if model.view == View::Overview {
        let targets = model.table.targets();
        let ids: Vec<u32> = match view {
            // Several logs are merged, and several may listen; the rest is about one.
            View::Logs | View::Ports => targets.iter().map(|entry| entry.view.id).collect(),
            _ => {
                let one = model.table.selected_entry().or(targets.first().copied());
                one.map(|entry| entry.view.id).into_iter().collect()
            }
        };
        if ids.is_empty() {
            model.tell("no process is selected", false);
            return;
        }
        model.about = ids;
    } else if model.about.is_empty() {
        let selected = model.table.selected_entry().map(|entry| entry.view.id);
        model.about = selected.into_iter().collect();
    }
    show(model, view);
}

/// Shows a view of the processes that the last one was about.
pub(super) fn show(model: &mut Model, view: View) {
    let is_other = model.view != view;
    model.view = view;
    model.revision += 1;
    match view {
        View::Logs => {
            let mut pane = Pane::following();
            pane.wrap = model.logs.pane.wrap;
            pane.times = model.logs.pane.times;
            model.logs = Logs {
                pane,
                ..Logs::default()
            };
            model.wish_logs(LogFrom::End(LOG_LINES));
        }
        View::Overview | View::Output => {}
        _ => {
            let reveal = model.page.reveal && !is_other;
            model.page = Page {
                reveal,
                ..Page::default()
            };
        }
    }
}

/// Shows what the last command printed.
pub(super) fn show_output(model: &mut Model) {
    if model.output.title.is_empty() {
        model.tell("no command has run yet; : runs one", false);
    } else {
        model.view = View::Output;
    }
}

/// Closes what is open: a filter or a search of the view, then the view; in the overview the filter, then the marks.
fn back(model: &mut Model) {
    let size = geometry::text(model);
    if model.view == View::Overview {
        if model.table.filter().is_empty() {
            model.table.unmark();
        } else {
            model.table.set_filter("");
        }
        return;
    }
    if let Some(pane) = model.pane_mut() {
        if pane.filter().is_some() {
            pane.set_filter("");
            return;
        }
        if pane.search().is_some() {
            pane.set_search("", size);
            return;
        }
    }
    if model.view == View::Env && model.page.compare.take().is_some() {
        return;
    }
    close(model);
}

/// Back to the table.
pub(super) fn close(model: &mut Model) {
    model.view = View::Overview;
    model.page = Page::default();
    let shown = (model.logs.pane.wrap, model.logs.pane.times);
    model.logs = Logs::default();
    (model.logs.pane.wrap, model.logs.pane.times) = shown;
}

/// Who looks at what was deleted looks at nothing.
pub(super) fn close_if_gone(model: &mut Model) {
    let is_gone = !model.about.is_empty() && model.subjects().next().is_none();
    if is_gone && !matches!(model.view, View::Overview | View::Output) {
        close(model);
        model.tell("it was deleted", false);
    }
}

/// The same view of the next process of the table.
fn next_process(model: &mut Model, by: isize) {
    let rows = model.table.rows().len();
    let mut at = model.table.place();
    for _ in 0..rows {
        let next = at.saturating_add_signed(by);
        if next >= rows || next == at {
            return;
        }
        at = next;
        if let Some(Row::Process(id)) = model.table.rows().get(at).cloned() {
            model.table.select(at);
            model.about = vec![id];
            show(model, model.view);
            return;
        }
    }
}

fn follow(model: &mut Model) {
    let size = geometry::text(model);
    let wish = model.logs.wish.as_ref();
    if wish.is_some_and(|wish| matches!(wish.from, LogFrom::Time(_))) {
        model.logs.pane.set_follow(true, size);
        model.wish_logs(LogFrom::End(LOG_LINES));
        return;
    }
    let follows = model.logs.pane.follows();
    model.logs.pane.set_follow(!follows, size);
}
