//! What it looks like. Drawing changes nothing, and only what is in sight is looked at.

mod layers;
mod overview;
mod page;
mod text;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::geometry;
use crate::keys::{self, View};
use crate::layer::{Layer, Prompt};
use crate::model::Model;

/// Draws the whole screen.
pub fn view(model: &Model, frame: &mut Frame<'_>) {
    // Between a change of size and the message about it, the frame is what there is.
    let area = frame.area();
    let resized;
    let model = if model.screen == (area.width, area.height) {
        model
    } else {
        let mut copy = model.clone();
        copy.screen = (area.width, area.height);
        resized = copy;
        &resized
    };
    let last = if model.view == View::Overview {
        overview::draw(model, frame);
        geometry::overview(model).last
    } else {
        page::draw(model, frame);
        geometry::page(model).last
    };
    last_line(model, frame, last);
    layers::draw(model, frame, last);
}

/// What is typed, asked or told; else the keys.
fn last_line(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let theme = model.theme;
    let error = |text: &str| Line::styled(one_line(text), theme.bad().patch(theme.strong()));
    let line = match &model.layer {
        Some(Layer::Prompt(prompt)) => return draw_prompt(model, frame, area, prompt),
        Some(Layer::Question(question)) => {
            Line::styled(format!("{} y/n", question.text), theme.strong())
        }
        Some(Layer::Menu(_)) => Line::styled("Enter sends it  Escape closes", theme.faint()),
        Some(Layer::Form(_)) => Line::styled(
            "Tab completes  ↑ ↓ other field  Enter starts it  Escape closes",
            theme.faint(),
        ),
        Some(Layer::Help(_)) => Line::styled("Escape closes  q leaves", theme.faint()),
        None => {
            if let Some(note) = &model.note {
                if note.is_error {
                    error(&note.text)
                } else {
                    Line::raw(one_line(&note.text))
                }
            } else if let Some(trouble) = &model.trouble {
                error(trouble)
            } else if let Some(job) = model.jobs.last() {
                let more = match model.jobs.len() {
                    1 => String::new(),
                    number => format!(" and {} more", number - 1),
                };
                let keys = if job.typed && model.view != View::Output {
                    "  ! shows it, Ctrl-C ends it"
                } else {
                    ""
                };
                Line::raw(one_line(&format!("{} …{more}", job.doing)) + keys)
            } else {
                hints(model, area.width)
            }
        }
    };
    frame.render_widget(line, area);
}

/// A line is one line, whatever an error holds.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The keys that one needs most, as many as there is room for; help and the way out always.
fn hints(model: &Model, width: u16) -> Line<'static> {
    let theme = model.theme;
    let mut all: Vec<(String, &str)> = Vec::new();
    if model.view == View::Overview && !model.table.filter().is_empty() {
        all.push(("Esc".to_owned(), "drop filter"));
    }
    for binding in keys::of(model.view).into_iter().flatten() {
        if !binding.hint.is_empty() {
            let key = binding.shown.split(' ').next().unwrap_or_default();
            let key = if key == "Escape" { "Esc" } else { key };
            all.push((key.to_owned(), binding.hint));
        }
    }
    // `?help` says its key itself.
    let words = |(key, hint): &(String, &str)| {
        if hint.starts_with(key.as_str()) {
            (key.clone(), hint[key.len()..].to_owned())
        } else {
            (key.clone(), format!(" {hint}"))
        }
    };
    let width_of = |(key, hint): &(String, String)| key.chars().count() + hint.chars().count() + 2;
    let all: Vec<(String, String)> = all.iter().map(words).collect();
    let last = |(key, _): &&(String, String)| key == "?" || key == "q";
    let kept: usize = all.iter().filter(last).map(width_of).sum();
    let mut room = usize::from(width + 2).saturating_sub(kept);
    let mut spans = Vec::new();
    for hint in &all {
        if !last(&hint) {
            if width_of(hint) > room {
                continue;
            }
            room -= width_of(hint);
        }
        let (key, words) = hint.clone();
        spans.push(Span::styled(key, theme.accent().patch(theme.strong())));
        spans.push(Span::styled(format!("{words}  "), theme.faint()));
    }
    Line::from(spans)
}

/// A line that is typed, its end in sight, and the cursor.
fn draw_prompt(model: &Model, frame: &mut Frame<'_>, area: Rect, prompt: &Prompt) {
    let theme = model.theme;
    let mut label = prompt.purpose.label();
    let wrong = prompt.wrong.as_ref().map(|wrong| format!("  {wrong}"));
    // A long label is not to take the room of what is typed.
    if label.len() > usize::from(area.width / 2) {
        label = format!("{} ", label.split([' ', '(']).next().unwrap_or_default());
    }
    let used = label.chars().count() as u16;
    let field = Rect {
        x: area.x + used.min(area.width),
        width: area.width.saturating_sub(used),
        ..area
    };
    frame.render_widget(
        Line::styled(label, theme.accent().patch(theme.strong())),
        area,
    );
    draw_input(frame, field, &prompt.input, Style::new());
    if let Some(wrong) = wrong {
        let typed = prompt
            .input
            .visual_cursor()
            .max(prompt.input.value().chars().count());
        let x = field.x.saturating_add(typed as u16).min(area.right());
        let rest = Rect {
            x,
            width: area.right() - x,
            ..area
        };
        frame.render_widget(Line::styled(wrong, theme.bad()), rest);
    }
}

/// What is typed, scrolled so that the cursor is in sight, and the cursor.
fn draw_input(frame: &mut Frame<'_>, area: Rect, input: &tui_input::Input, style: Style) {
    if area.width == 0 || area.height == 0 {
        return;
    }
    let room = usize::from(area.width).saturating_sub(1);
    let scroll = input.visual_scroll(room);
    let line = Line::styled(input.value().to_owned(), style);
    let shown = ratatui::widgets::Paragraph::new(line).scroll((0, scroll as u16));
    frame.render_widget(shown, area);
    let x = input.visual_cursor().saturating_sub(scroll) as u16;
    frame.set_cursor_position(Position::new(area.x + x.min(area.width - 1), area.y));
}
