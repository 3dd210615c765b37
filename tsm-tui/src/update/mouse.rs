//! The mouse: what is clicked is selected, opened, folded, sorted; the wheel scrolls what is under it.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;

use crate::geometry;
use crate::keys::{Action, View};
use crate::layer::Layer;
use crate::message::Effect;
use crate::model::Model;
use crate::table::Row;

use super::{acting, layers, viewing};

/// Two clicks within this time, in milliseconds, are a double one.
const DOUBLE_MS: u64 = 500;
/// How many rows the wheel scrolls by.
const WHEEL: isize = 3;

pub(super) fn act(model: &mut Model, event: MouseEvent, now_ms: u64) -> Vec<Effect> {
    let wheel = match event.kind {
        MouseEventKind::ScrollDown => WHEEL,
        MouseEventKind::ScrollUp => -WHEEL,
        MouseEventKind::Down(MouseButton::Left) => {
            return click(model, event.column, event.row, now_ms);
        }
        _ => return Vec::new(),
    };
    match &mut model.layer {
        Some(Layer::Help(top)) => *top = top.saturating_add_signed(wheel),
        Some(_) => {}
        None if model.view == View::Overview => scroll(model, wheel, event.row),
        None => viewing::scroll(model, wheel),
    }
    Vec::new()
}

fn scroll(model: &mut Model, wheel: isize, row: u16) {
    let areas = geometry::overview(model);
    if row >= areas.rule.y && areas.log.height > 0 {
        model.tail.pane.scroll(wheel, areas.log.as_size());
        return;
    }
    let place = model.table.place().saturating_add_signed(wheel);
    model.table.select(place);
}

fn is_in(area: Rect, column: u16, row: u16) -> bool {
    area.contains((column, row).into())
}

fn click(model: &mut Model, column: u16, row: u16, now: u64) -> Vec<Effect> {
    model.note = None;
    let before = model.click.replace((column, row, now));
    let is_double =
        before.is_some_and(|(_, before, at)| before == row && now.saturating_sub(at) <= DOUBLE_MS);
    match &model.layer {
        // A click beside a window closes it; one into a line that is typed says nothing.
        Some(Layer::Help(_)) => {
            model.layer = None;
            return Vec::new();
        }
        Some(_) => return Vec::new(),
        None => {}
    }
    if model.view != View::Overview {
        let tabs = geometry::tabs(model);
        let tab = tabs
            .iter()
            .find(|(_, x, width)| (*x..x + width).contains(&column));
        if row == geometry::page(model).tabs.y {
            match tab {
                Some((view, ..)) => return layers::press_action(model, Action::Open(*view)),
                None => viewing::close(model),
            }
        }
        return Vec::new();
    }
    let areas = geometry::overview(model);
    if is_in(areas.heads, column, row) {
        let heads = geometry::columns(model);
        let head = heads.iter().rfind(|placed| placed.x <= column);
        if let Some(head) = head {
            acting::sort(model, head.column);
        }
    } else if is_in(areas.rows, column, row) {
        let at = model.table.top + usize::from(row - areas.rows.y);
        let Some(clicked) = model.table.rows().get(at).cloned() else {
            return Vec::new();
        };
        let was_selected = model.table.place() == at;
        model.table.select(at);
        match clicked {
            Row::Group(_) => model.table.fold(None),
            Row::Process(_) if column < geometry::MARK => model.table.toggle_mark(),
            Row::Process(_) if is_double && was_selected => {
                return layers::press_action(model, Action::Open(View::Logs));
            }
            Row::Process(_) => {}
        }
    } else if (is_in(areas.rule, column, row) || is_in(areas.log, column, row)) && is_double {
        return layers::press_action(model, Action::Open(View::Logs));
    }
    Vec::new()
}
