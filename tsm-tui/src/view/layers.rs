//! What lies above: help, candidates, menus, the form.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::draw_input;
use super::text::fit;
use crate::form::{Field, Form};
use crate::geometry;
use crate::keys;
use crate::layer::{Completion, Layer, Menu};
use crate::model::Model;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, last: Rect) {
    match &model.layer {
        Some(Layer::Help(top)) => help(model, frame, *top),
        Some(Layer::Menu(menu)) => draw_menu(model, frame, menu),
        Some(Layer::Form(form)) => draw_form(model, frame, form),
        Some(Layer::Prompt(prompt)) => {
            let above = Rect {
                height: last.y,
                y: 0,
                ..last
            };
            candidates(model, frame, above, 1, &prompt.completion);
        }
        Some(Layer::Question(_)) | None => {}
    }
}

/// A window with a title; gives what is inside.
fn window(model: &Model, frame: &mut Frame<'_>, area: Rect, title: &str) -> Rect {
    let theme = model.theme;
    let block = Block::bordered()
        .border_style(theme.frame())
        .title(Span::styled(format!(" {title} "), theme.strong()));
    let inside = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    inside
}

fn help(model: &Model, frame: &mut Frame<'_>, top: usize) {
    let theme = model.theme;
    let bindings: Vec<_> = keys::of(model.view).into_iter().flatten().collect();
    let keys = bindings.iter().map(|binding| binding.shown.chars().count());
    let keys = keys.max().unwrap_or(0);
    let words = bindings.iter().map(|binding| binding.help.chars().count());
    let words = words.max().unwrap_or(0);
    // Beside each other where one below the other has no room.
    let single = (keys + 2 + words) as u16;
    let (width, height) = model.screen;
    let room = usize::from(height.saturating_sub(3)).max(1);
    let lines = bindings.len();
    let halves = lines > room && width >= 2 * single + 5;
    let rows = if halves { lines.div_ceil(2) } else { lines };
    let columns = if halves { 2 * single + 3 } else { single };
    let mut area = geometry::window(model, columns, rows as u16);
    area.height = area.height.min(height.saturating_sub(1).max(1));
    let title = format!("Keys: {}", model.view.title());
    let inside = window(model, frame, area, &title);
    let top = top.min(rows.saturating_sub(usize::from(inside.height)));
    let line = |at: usize| -> Vec<Span<'static>> {
        let Some(binding) = bindings.get(at) else {
            return Vec::new();
        };
        vec![
            Span::styled(
                fit(binding.shown, keys, false),
                theme.accent().patch(theme.strong()),
            ),
            Span::raw(format!("  {}", fit(binding.help, words, false))),
        ]
    };
    let shown = (top..rows).take(usize::from(inside.height)).map(|at| {
        let mut spans = line(at);
        if halves {
            spans.push(Span::raw("   "));
            spans.extend(line(at + rows));
        }
        Line::from(spans)
    });
    frame.render_widget(Paragraph::new(shown.collect::<Vec<_>>()), inside);
    if rows > usize::from(inside.height) && area.height > 1 {
        let more = format!(
            " {}-{} of {rows} ",
            top + 1,
            (top + usize::from(inside.height)).min(rows)
        );
        let x = area
            .right()
            .saturating_sub(more.len() as u16 + 1)
            .max(area.x);
        let y = area.bottom() - 1;
        frame
            .buffer_mut()
            .set_stringn(x, y, &more, more.len(), theme.faint());
    }
}

/// How many candidates are shown at once.
const MOST_CANDIDATES: usize = 8;

/// What a word may become: a list that ends where `above` ends.
fn candidates(model: &Model, frame: &mut Frame<'_>, above: Rect, x: u16, completion: &Completion) {
    let theme = model.theme;
    let all = &completion.candidates;
    if all.is_empty() || above.height == 0 {
        return;
    }
    let rows = all
        .len()
        .min(MOST_CANDIDATES)
        .min(usize::from(above.height));
    let chosen = completion.chosen.unwrap_or(0);
    let top = (chosen + 1).saturating_sub(rows);
    let shown = &all[top..(top + rows).min(all.len())];
    let words = shown.iter().map(|candidate| candidate.word.chars().count());
    let words = words.max().unwrap_or(0);
    let helps = shown.iter().map(|candidate| candidate.help.chars().count());
    let helps = helps.max().unwrap_or(0);
    let width = (words + helps + 4).min(usize::from(above.width.saturating_sub(x)));
    let area = Rect {
        x: above.x + x.min(above.width),
        y: above.bottom() - rows as u16,
        width: width as u16,
        height: rows as u16,
    };
    frame.render_widget(Clear, area);
    let lines = shown.iter().enumerate().map(|(at, candidate)| {
        let word = format!(" {}  ", fit(&candidate.word, words, false));
        let is_chosen = completion.chosen == Some(top + at);
        let style = if is_chosen {
            theme.selected()
        } else {
            theme.accent()
        };
        Line::from(vec![
            Span::styled(word, style),
            Span::styled(fit(&candidate.help, helps, false), theme.faint()),
        ])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}

fn draw_menu(model: &Model, frame: &mut Frame<'_>, menu: &Menu) {
    let theme = model.theme;
    let words = menu.items.iter().map(|(word, _)| word.chars().count());
    let words = words.max().unwrap_or(0);
    let helps = menu.items.iter().map(|(_, help)| help.chars().count());
    let helps = helps.max().unwrap_or(0);
    let columns = (words + helps + 4).max(menu.title.chars().count() + 2) as u16;
    let area = geometry::window(model, columns, menu.items.len() as u16);
    let inside = window(model, frame, area, &menu.title);
    let top = (menu.at + 1).saturating_sub(usize::from(inside.height));
    let shown = menu.items.iter().enumerate().skip(top);
    let lines = shown.map(|(at, (word, help))| {
        let style = if at == menu.at {
            theme.selected()
        } else {
            theme.accent()
        };
        Line::from(vec![
            Span::styled(format!(" {}  ", fit(word, words, false)), style),
            Span::styled(fit(help, helps, false), theme.faint()),
        ])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inside);
}

fn draw_form(model: &Model, frame: &mut Frame<'_>, form: &Form) {
    let theme = model.theme;
    let fields = Field::ALL.len() as u16;
    let area = geometry::window(model, 70, fields + 1);
    let inside = window(model, frame, area, "Start a new process");
    let labels = Field::ALL.iter().map(|field| field.label().len()).max();
    let label = labels.unwrap_or(0) as u16 + 2;
    // The field that is typed in stays in sight.
    let rows = inside
        .height
        .saturating_sub(u16::from(form.wrong.is_some()));
    let top = (form.at as u16 + 1).saturating_sub(rows.max(1));
    let mut below = None;
    for (at, field) in Field::ALL.iter().enumerate().skip(usize::from(top)) {
        let y = inside.y + (at as u16 - top);
        if y >= inside.y + rows {
            break;
        }
        let row = Rect {
            y,
            height: 1,
            ..inside
        };
        let is_here = at == form.at;
        let style = if is_here {
            theme.accent().patch(theme.strong())
        } else {
            theme.faint()
        };
        frame.render_widget(
            Line::styled(fit(field.label(), usize::from(label), false), style),
            row,
        );
        let value = Rect {
            x: row.x + label.min(row.width),
            width: row.width.saturating_sub(label),
            ..row
        };
        let input = &form.inputs[at];
        if input.value().is_empty() {
            frame.render_widget(Line::styled(field.example(), theme.faint()), value);
        }
        if is_here {
            draw_input(frame, value, input, theme.strong());
            below = Some(value);
        } else if !input.value().is_empty() {
            frame.render_widget(Line::raw(input.value().to_owned()), value);
        }
    }
    if let Some(wrong) = &form.wrong {
        let row = Rect {
            y: inside.bottom().saturating_sub(1),
            height: 1.min(inside.height),
            ..inside
        };
        frame.render_widget(Line::styled(wrong.clone(), theme.bad()), row);
    }
    if let Some(field) = below.filter(|_| !form.completion.candidates.is_empty()) {
        let rows = form.completion.candidates.len().min(MOST_CANDIDATES) as u16;
        let (_, height) = model.screen;
        // Below the field, or above it where there is more room.
        let under = height.saturating_sub(field.y + 2);
        let bottom = if under >= rows.min(field.y) {
            (field.y + 1 + rows).min(height.saturating_sub(1))
        } else {
            field.y
        };
        let begin = if bottom > field.y { field.y + 1 } else { 0 };
        let above = Rect {
            x: field.x,
            y: begin,
            width: field.width,
            height: bottom.saturating_sub(begin),
        };
        candidates(model, frame, above, 0, &form.completion);
    }
}
