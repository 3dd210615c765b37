//! Every view but the overview: tabs above, lines below.

use ratatui::Frame;
use ratatui::layout::{Rect, Size};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text::{fit, put};
use crate::geometry::{self, Gutter};
use crate::keys::View;
use crate::message::{LogFrom, LogSource};
use crate::model::Model;
use crate::pane::Pane;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let areas = geometry::page(model);
    head(model, frame, areas.tabs);
    let Some(pane) = model.pane() else { return };
    let theme = model.theme;
    if let Some(nothing) = nothing(model, pane) {
        frame.render_widget(Line::styled(nothing, theme.faint()), areas.body);
        return;
    }
    let sources = model
        .logs
        .wish
        .as_ref()
        .filter(|_| model.view == View::Logs);
    let sources = sources.map_or(&[][..], |wish| &wish.sources);
    let gutter = geometry::gutter(model);
    draw_pane(model, frame, areas.body, pane, gutter, sources);
}

/// What is said where there is nothing to be seen.
fn nothing(model: &Model, pane: &Pane) -> Option<String> {
    if model.view == View::Logs
        && let Some(trouble) = &model.logs.trouble
    {
        return Some(super::one_line(trouble));
    }
    if !pane.is_empty() {
        return None;
    }
    let has_come = match model.view {
        View::Logs => model.logs.has_begun,
        View::Output => true,
        _ => model.page.has_come,
    };
    Some(match pane.filter() {
        Some(_) => "no line passes the filter".to_owned(),
        None if !has_come => "reading …".to_owned(),
        None => match model.view {
            View::Logs => "nothing printed so far".to_owned(),
            View::Env if model.page.compare.is_some() => "no difference".to_owned(),
            View::Tree => "it does not run".to_owned(),
            View::Ports => "no process declares a port or listens anywhere".to_owned(),
            View::Output if model.output.job.is_some() => "…".to_owned(),
            _ => "nothing".to_owned(),
        },
    })
}

/// Whom the view is about, where one is in it, and the tabs.
fn head(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let theme = model.theme;
    let mut spans = Vec::new();
    if model.view == View::Output {
        spans.push(Span::styled(
            format!("tsm {}", model.output.title),
            theme.strong(),
        ));
        if model.output.job.is_some() {
            spans.push(Span::styled("  runs; Ctrl-C ends it", theme.faint()));
        }
    } else {
        let subjects: Vec<_> = model.subjects().collect();
        match subjects.as_slice() {
            [] => spans.push(Span::styled("all processes", theme.strong())),
            [one] => {
                spans.push(Span::styled(one.view.name.to_string(), theme.strong()));
                let state = &one.view.state;
                spans.push(Span::styled(
                    format!(" {state}"),
                    theme.state(&one.view.state),
                ));
            }
            several => {
                let names: Vec<&str> = several.iter().map(|e| e.view.name.as_str()).collect();
                spans.push(Span::styled(names.join(" "), theme.strong()));
            }
        }
    }
    let tabs = geometry::tabs(model);
    if tabs.is_empty() && model.view != View::Output {
        spans.push(Span::raw(format!("  {}", model.view.title())));
    }
    let room = tabs.first().map_or(area.right(), |(_, x, _)| *x);
    let used: usize = spans.iter().map(Span::width).sum();
    let fits = |part: &String| used + part.chars().count() + 3 <= usize::from(room);
    let part = [place(model, true), place(model, false)];
    if let Some(part) = part.into_iter().find(fits) {
        spans.push(Span::styled(format!("  {part}"), theme.faint()));
    }
    let left = Rect {
        width: room.saturating_sub(area.x),
        ..area
    };
    frame.render_widget(Line::from(spans), left);
    for (view, x, width) in tabs {
        let style = if view == model.view {
            theme.selected()
        } else {
            theme.faint()
        };
        let tab = Rect { x, width, ..area };
        frame.render_widget(Line::styled(format!(" {} ", view.title()), style), tab);
    }
}

/// Where in the lines one is, and which of them are seen; in few words where it is not to be `long`.
fn place(model: &Model, long: bool) -> String {
    let Some(pane) = model.pane() else {
        return String::new();
    };
    let size = geometry::text(model);
    let mut words = Vec::new();
    if let Some(filter) = pane.filter() {
        let number = format!("{} of {}", pane.len(), pane.all());
        words.push(if long {
            format!("&{} ({number})", filter.typed)
        } else {
            format!("&{number}")
        });
    }
    if let Some(search) = pane.search().filter(|_| long) {
        words.push(format!("/{}", search.typed));
    }
    if model.view == View::Logs {
        let wish = model.logs.wish.as_ref();
        match wish.map(|wish| wish.from) {
            Some(LogFrom::Time(time)) => {
                let time = (model.stamp)(time);
                words.push(if long {
                    format!("from {time}; G: to the end")
                } else {
                    format!("from {}", time.get(11..).unwrap_or_default())
                });
            }
            _ if pane.follows() => words.push("follows".to_owned()),
            _ if long => words.push(format!("{}%; f: follow", pane.percent(size))),
            _ => words.push(format!("{}%", pane.percent(size))),
        }
    } else if pane.len() > usize::from(size.height) {
        words.push(format!("{}%", pane.percent(size)));
    }
    if model.view == View::Env {
        let other = model.page.compare.as_ref();
        if let Some(other) = other.map(|other| other.as_deref().unwrap_or("this shell")) {
            let compared = if long { "compared " } else { "" };
            words.push(format!("{compared}with {other}"));
        }
        if model.page.reveal {
            let secrets = if long { "secrets " } else { "" };
            words.push(format!("{secrets}uncovered"));
        }
    }
    words.join("  ")
}

/// Draws the lines of a pane that are in sight.
pub(super) fn draw_pane(
    model: &Model,
    frame: &mut Frame<'_>,
    area: Rect,
    pane: &Pane,
    gutter: Gutter,
    sources: &[LogSource],
) {
    let theme = model.theme;
    let text = Rect {
        x: area.x + gutter.width().min(area.width),
        width: area.width.saturating_sub(gutter.width()),
        ..area
    };
    let size = Size {
        width: text.width.max(1),
        height: area.height,
    };
    let buffer = frame.buffer_mut();
    let (mut at, mut skip) = pane.begin(size);
    let mut y = area.y;
    while y < area.bottom() {
        let Some(line) = pane.line(at) else { break };
        let breaks = if pane.wrap {
            line.styled.breaks(usize::from(size.width))
        } else {
            vec![pane.left]
        };
        let base = if line.is_error {
            theme.bad()
        } else {
            Style::new()
        };
        let hits = pane.search().map(|search| search.places(&line.styled.text));
        let hits = hits.unwrap_or_default();
        let is_hit = pane.is_hit(at);
        let style = |own: Style, byte: usize| {
            let own = theme.adapt(own);
            let own = if own.fg.is_none() {
                base.patch(own)
            } else {
                own
            };
            let is_found = hits
                .iter()
                .any(|(begin, end)| (*begin..*end).contains(&byte));
            if is_found {
                own.patch(theme.found())
            } else {
                own
            }
        };
        for (row, begin) in breaks.iter().enumerate().skip(skip) {
            if y >= area.bottom() {
                break;
            }
            let end = breaks.get(row + 1).copied().unwrap_or(usize::MAX);
            let place = Rect {
                y,
                height: 1,
                ..text
            };
            put(buffer, place, line.styled.pieces(), (*begin, end), style);
            if row == 0 {
                let before = Rect {
                    y,
                    height: 1,
                    ..area
                };
                draw_gutter(model, buffer, before, line, gutter, sources);
            }
            if is_hit && gutter.sign > 0 {
                buffer.set_stringn(area.x, y, ">", 1, theme.accent());
            } else if is_hit && !theme.has_colours() {
                buffer.set_style(place, theme.strong());
            }
            y += 1;
        }
        skip = 0;
        at += 1;
    }
}

/// What stands before a line: a sign where it was written to standard error, when, and by whom.
fn draw_gutter(
    model: &Model,
    buffer: &mut ratatui::buffer::Buffer,
    area: Rect,
    line: &crate::pane::PaneLine,
    gutter: Gutter,
    sources: &[LogSource],
) {
    let theme = model.theme;
    if gutter.sign > 0 && line.is_error {
        let sign = if theme.has_colours() { "▏" } else { "!" };
        buffer.set_stringn(area.x, area.y, sign, 1, theme.bad());
    }
    let mut x = area.x + gutter.sign;
    if gutter.time > 0 {
        let stamp = line.time_ms.map(model.stamp).unwrap_or_default();
        let stamp = if gutter.time < 20 {
            stamp.get(11..).unwrap_or_default()
        } else {
            &stamp
        };
        buffer.set_stringn(x, area.y, stamp, usize::from(gutter.time), theme.faint());
        x += gutter.time;
    }
    if gutter.name > 0
        && let Some(source) = sources.get(line.source)
    {
        let name = fit(&source.name, usize::from(gutter.name) - 1, false);
        buffer.set_stringn(
            x,
            area.y,
            name,
            usize::from(gutter.name),
            theme.source(line.source),
        );
    }
}
