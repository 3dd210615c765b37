//! What it looks like.
//!
//! From above: totals, the table, the log of the selected process, and a last line that holds the keys, or what there is
//! to tell or to ask. Where there is no room, the less important columns go first, then the log.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};
use tsm_core::control::Verb;
use tsm_core::view::ProcessView;
use tsm_core::words::{duration, size};

use crate::model::{Mode, Model};

/// What `?` shows.
const HELP: &[&str] = &[
    "j k \u{2191} \u{2193}    move; g G first, last",
    "s S r      start, stop, restart",
    "d          delete, asks y/n",
    "/          filter; Enter keeps it",
    "?          this help",
    "Escape     closes filter, help, question",
    "q          leave",
];

/// Draws the whole screen.
pub fn view(model: &Model, frame: &mut Frame<'_>) {
    let [totals, table, log, last] = parts(model, frame.area());
    frame.render_widget(totals_line(model), totals);
    draw_table(model, frame, table);
    draw_log(model, frame, log);
    frame.render_widget(last_line(model, last.width), last);
    if model.mode == Mode::Help {
        draw_help(model, frame);
    }
}

/// The table gets the rows that it needs, up to half of the screen; the log gets the rest.
fn parts(model: &Model, area: Rect) -> [Rect; 4] {
    let between = area.height.saturating_sub(2);
    let needed = u16::try_from(model.visible().len())
        .unwrap_or(u16::MAX)
        .saturating_add(1)
        .max(2);
    let table = needed.min((between / 2).max(3)).min(between);
    Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(table),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area)
}

/// A style that is nothing where no colours are wanted.
fn coloured(model: &Model, colour: Color) -> Style {
    if model.colour {
        Style::new().fg(colour)
    } else {
        Style::new()
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn state_colour(state: &str) -> Color {
    match state {
        "running" | "done" => Color::Green,
        "failed" => Color::Red,
        "starting" | "stopping" | "backoff" | "waiting" | "unsupervised" => Color::Yellow,
        _ => Color::DarkGray,
    }
}

fn totals_line(model: &Model) -> Line<'static> {
    let mut spans = vec![Span::styled("TSM", bold())];
    let Some(facts) = &model.facts else {
        spans.push(Span::raw("  reading …"));
        return Line::from(spans);
    };
    let mut part = |text: String, style: Style| {
        spans.push(Span::raw("  "));
        spans.push(Span::styled(text, style));
    };
    let number = |states: &[&str]| {
        let among = |view: &&ProcessView| states.contains(&view.state.as_str());
        facts.processes.iter().filter(among).count()
    };
    let all = facts.processes.len();
    part(
        format!("{all} process{}", if all == 1 { "" } else { "es" }),
        Style::new(),
    );
    let running = number(&["running", "unsupervised"]);
    part(
        format!("{running} running"),
        coloured(model, state_colour("running")),
    );
    for state in ["backoff", "failed"] {
        let count = number(&[state]);
        if count > 0 {
            part(
                format!("{count} {state}"),
                coloured(model, state_colour(state)),
            );
        }
    }
    if facts.disk_full {
        part("disk full".to_owned(), coloured(model, Color::Red));
    }
    if !facts.supervised && running > 0 {
        part("no supervisor".to_owned(), coloured(model, Color::Yellow));
    }
    if !facts.damaged.is_empty() {
        part(
            format!("{} unreadable", facts.damaged.len()),
            coloured(model, Color::Red),
        );
    }
    if running > 0 {
        let cpu: f64 = facts.processes.iter().filter_map(|v| v.cpu_percent).sum();
        let memory: u64 = facts.processes.iter().filter_map(|v| v.memory_bytes).sum();
        part(format!("CPU {cpu:.1}%"), Style::new());
        part(format!("MEM {}", size(memory)), Style::new());
    }
    // It is known to who looks, and may be long: on a narrow screen it is the first to go.
    if let Some(place) = &model.place {
        part(place.clone(), coloured(model, Color::Blue));
    }
    Line::from(spans)
}

struct Column {
    head: &'static str,
    right: bool,
    /// Columns of a lower number give way first; 9 stays.
    rank: u8,
    width: usize,
    cell: fn(&ProcessView) -> String,
}

fn columns(visible: &[&ProcessView], room: usize) -> Vec<Column> {
    fn or_dash(value: Option<String>) -> String {
        value.unwrap_or_else(|| "-".to_owned())
    }
    let column = |head: &'static str, right, rank, cell: fn(&ProcessView) -> String| Column {
        head,
        right,
        rank,
        width: visible
            .iter()
            .map(|view| cell(view).chars().count())
            .chain([head.len()])
            .max()
            .unwrap_or(0),
        cell,
    };
    let mut columns = vec![
        column("STATE", false, 9, |v| v.state.clone()),
        column("NAME", false, 9, |v| v.name.to_string()),
        column("ID", true, 7, |v| v.id.to_string()),
        column("PID", true, 6, |v| or_dash(v.pid.map(|n| n.to_string()))),
        column("PORT", true, 5, |v| or_dash(v.port.map(|n| n.to_string()))),
        column("CPU", true, 3, |v| {
            or_dash(v.cpu_percent.map(|cpu| format!("{cpu:.1}%")))
        }),
        column("MEM", true, 4, |v| or_dash(v.memory_bytes.map(size))),
        column("UPTIME", true, 8, |v| or_dash(v.uptime_ms.map(duration))),
        column("RESTARTS", true, 2, |v| v.restarts.to_string()),
    ];
    // Where no process has a port, that column is the first to go.
    if visible.iter().all(|view| view.port.is_none())
        && let Some(port) = columns.iter_mut().find(|column| column.head == "PORT")
    {
        port.rank = 1;
    }
    let total = |columns: &[Column]| columns.iter().map(|c| c.width + 2).sum::<usize>() - 2;
    // A long name gives way before the facts do, but not below this.
    let shorten = |columns: &mut Vec<Column>, least: usize| {
        let excess = total(columns).saturating_sub(room);
        if let Some(name) = columns.iter_mut().find(|c| c.head == "NAME") {
            let least = least.min(name.width);
            name.width = name.width.saturating_sub(excess).max(least);
        }
    };
    shorten(&mut columns, 20);
    while total(&columns) > room {
        let lowest = (0..columns.len())
            .min_by_key(|&at| columns[at].rank)
            .filter(|&at| columns[at].rank < 9);
        let Some(lowest) = lowest else { break };
        columns.remove(lowest);
    }
    shorten(&mut columns, 4);
    columns
}

/// A text in so many columns; what is too long loses its end.
fn fit(text: &str, width: usize, right: bool) -> String {
    let length = text.chars().count();
    if length > width {
        let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
        short.push('…');
        short
    } else if right {
        format!("{text:>width$}")
    } else {
        format!("{text:width$}")
    }
}

fn draw_table(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let visible = model.visible();
    let columns = columns(&visible, usize::from(area.width));
    let head: Vec<String> = columns
        .iter()
        .map(|column| fit(column.head, column.width, column.right))
        .collect();
    let mut lines = vec![Line::styled(
        head.join("  "),
        coloured(model, Color::DarkGray).add_modifier(Modifier::BOLD),
    )];
    let rows = usize::from(area.height.saturating_sub(1));
    let selected = visible.iter().position(|v| Some(v.id) == model.selected);
    // The selected row stays in sight, in the middle where it can be.
    let first = selected
        .unwrap_or(0)
        .saturating_sub(rows / 2)
        .min(visible.len().saturating_sub(rows));
    for (at, view) in visible.iter().enumerate().skip(first).take(rows) {
        let mut spans = Vec::new();
        for (number, column) in columns.iter().enumerate() {
            if number > 0 {
                spans.push(Span::raw("  "));
            }
            let style = if column.head == "STATE" {
                coloured(model, state_colour(&view.state))
            } else {
                Style::new()
            };
            let text = fit(&(column.cell)(view), column.width, column.right);
            spans.push(Span::styled(text, style));
        }
        let mut line = Line::from(spans);
        if Some(at) == selected {
            let missing = usize::from(area.width).saturating_sub(line.width());
            line.push_span(Span::raw(" ".repeat(missing)));
            line = line.style(Style::new().add_modifier(Modifier::REVERSED));
        }
        lines.push(line);
    }
    if visible.is_empty()
        && let Some(facts) = &model.facts
    {
        lines.push(Line::raw(if facts.processes.is_empty() {
            "No processes. 'tsm start' starts one."
        } else {
            "No process passes the filter."
        }));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_log(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    if area.height < 2 {
        return;
    }
    let name = model.selected_view().map(|view| view.name.as_str());
    let title = name.map_or_else(String::new, |name| format!("─ log of {name} "));
    let width = usize::from(area.width);
    let rule = "─".repeat(width.saturating_sub(title.chars().count()));
    let mut lines = vec![Line::styled(
        format!("{title}{rule}"),
        coloured(model, Color::DarkGray),
    )];
    let rows = usize::from(area.height) - 1;
    let read = model
        .log
        .as_ref()
        .filter(|(id, _)| name.is_some() && Some(*id) == model.selected);
    if let Some((_, log)) = read {
        let last = &log[log.len().saturating_sub(rows)..];
        lines.extend(last.iter().map(|line| {
            let style = if line.is_error {
                coloured(model, Color::Red)
            } else {
                Style::new()
            };
            Line::styled(line.text.as_str(), style)
        }));
        if log.is_empty() {
            lines.push(Line::styled(
                "nothing printed so far",
                coloured(model, Color::DarkGray),
            ));
        }
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// What is asked or told, else the keys.
fn last_line(model: &Model, width: u16) -> Line<'static> {
    let error = |text: &str| {
        let style = coloured(model, Color::Red).add_modifier(Modifier::BOLD);
        // A status line is one line, whatever an error holds.
        let one_line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Line::styled(one_line, style)
    };
    match &model.mode {
        Mode::Delete { name, .. } => {
            return Line::styled(format!("Delete {name} and its files? y/n"), bold());
        }
        Mode::Filter => {
            return Line::from(vec![
                Span::styled(format!("/{}", model.filter), bold()),
                Span::styled(" ", Style::new().add_modifier(Modifier::REVERSED)),
            ]);
        }
        Mode::Table | Mode::Help => {}
    }
    if let Some(note) = &model.note {
        if note.is_error {
            return error(&note.text);
        }
        return Line::raw(note.text.clone());
    }
    if let Some(trouble) = &model.trouble {
        return error(trouble);
    }
    if let Some((verb, _, name)) = model.under_way.last() {
        let doing = match verb {
            Verb::Start => "starting",
            Verb::Stop => "stopping",
            Verb::Restart => "restarting",
            Verb::Delete => "deleting",
            Verb::Update => "updating",
            Verb::Signal => "signalling",
            Verb::Reload => "reloading",
            Verb::Reset => "resetting",
            Verb::Rotate => "rotating logs of",
            Verb::Flush => "emptying logs of",
            Verb::Reopen => "opening logs again of",
        };
        return Line::raw(format!("{doing} {name} …"));
    }
    if !model.filter.is_empty() {
        let text = format!(
            "filter: {}  / edit  Esc clear  ? help  q leave",
            model.filter
        );
        return Line::raw(text);
    }
    let keys = "j/k move  s start  S stop  r restart  d delete  / filter  ? help  q leave";
    let short = "s S r d  / filter  ? help  q leave";
    Line::styled(
        if usize::from(width) < keys.len() {
            short
        } else {
            keys
        },
        coloured(model, Color::DarkGray),
    )
}

fn draw_help(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let inner = HELP
        .iter()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or(0) as u16;
    // A frame around it only where there is room.
    let room = |border: u16| {
        area.width >= inner + 2 * border && area.height > HELP.len() as u16 + 2 * border
    };
    let border = u16::from(room(1));
    let popup = area.centered(
        Constraint::Length(inner + 2 * border),
        Constraint::Length(HELP.len() as u16 + 2 * border),
    );
    frame.render_widget(Clear, popup);
    let lines: Vec<Line<'_>> = HELP.iter().map(|line| Line::raw(*line)).collect();
    let mut help = Paragraph::new(lines);
    if border == 1 {
        help = help.block(Block::bordered().title(" Keys "));
    } else if model.colour {
        help = help.style(Style::new().bg(Color::DarkGray).fg(Color::White));
    }
    frame.render_widget(help, popup);
}
