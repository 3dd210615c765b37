//! The overview: totals and the machine, the table, the log of the selected process.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tsm_core::meta::State;
use tsm_core::view::ProcessView;
use tsm_core::words::{duration, size};

use super::page;
use super::text::fit;
use crate::geometry::{self, Gutter, MARK, Placed};
use crate::model::Model;
use crate::table::{Column, Entry, Row};

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let areas = geometry::overview(model);
    frame.render_widget(totals(model, areas.totals.width), areas.totals);
    if areas.machine.height > 0 {
        frame.render_widget(machine(model), areas.machine);
    }
    let columns = geometry::columns(model);
    frame.render_widget(heads(model, &columns), areas.heads);
    rows(model, frame, areas.rows, &columns);
    if areas.rule.height > 0 {
        let has_sparks = columns.iter().any(|column| column.spark > 0);
        frame.render_widget(rule(model, areas.rule.width, !has_sparks), areas.rule);
    }
    log(model, frame, areas.log);
}

/// `1 process`, `2 processes`.
fn processes(number: usize) -> String {
    format!("{number} process{}", if number == 1 { "" } else { "es" })
}

fn totals(model: &Model, width: u16) -> Line<'static> {
    let theme = model.theme;
    let mut spans = vec![Span::styled("TSM", theme.strong().patch(theme.accent()))];
    if !model.is_known {
        spans.push(Span::raw("  reading …"));
        return Line::from(spans);
    }
    let mut part = |text: String, style: Style| {
        spans.push(Span::raw("  "));
        spans.push(Span::styled(text, style));
    };
    let sum = model.table.total();
    part(processes(sum.processes), Style::new());
    part(
        format!("{} running", sum.running),
        theme.state(&State::Running),
    );
    for state in [
        State::Starting,
        State::Stopping,
        State::Waiting,
        State::Backoff,
        State::Failed,
    ] {
        let number = model.table.in_state(&state);
        if number > 0 {
            part(format!("{number} {state}"), theme.state(&state));
        }
    }
    if model.table.unhealthy() > 0 {
        part(
            format!("{} unhealthy", model.table.unhealthy()),
            theme.bad(),
        );
    }
    if model.disk_full {
        part("disk full".to_owned(), theme.bad());
    }
    if !model.supervised && sum.running > 0 {
        part("no supervisor".to_owned(), theme.warning());
    }
    if !model.damaged.is_empty() {
        let number = model.damaged.len();
        part(format!("{number} unreadable (:doctor)"), theme.bad());
    }
    if sum.running > 0 {
        part(format!("CPU {:.1}%", sum.cpu), Style::new());
        part(format!("MEM {}", size(sum.memory)), Style::new());
    }
    if model.table.marks() > 0 {
        part(format!("{} marked", model.table.marks()), theme.accent());
    }
    if !model.table.filter().is_empty() {
        part(format!("filter: {}", model.table.filter()), theme.accent());
    }
    // It is known to who looks, and may be long: on a narrow screen it is the first to go.
    if let Some(place) = &model.place {
        let used: usize = spans.iter().map(Span::width).sum();
        let room = usize::from(width).saturating_sub(used + 2);
        if place.chars().count() <= room {
            spans.push(Span::raw(" ".repeat(room - place.chars().count() + 2)));
            spans.push(Span::styled(place.clone(), theme.faint()));
        }
    }
    Line::from(spans)
}

fn machine(model: &Model) -> Line<'static> {
    let theme = model.theme;
    let Some((machine, meter)) = &model.machine else {
        return Line::default();
    };
    let [one, five, fifteen] = machine.load;
    let number = f64::from(machine.cores.max(1));
    let load = if one > 2.0 * number {
        theme.bad()
    } else if one > number {
        theme.warning()
    } else {
        Style::new()
    };
    let busy = machine
        .busy
        .map_or("-".to_owned(), |busy| format!("{busy:.0}"));
    let cores = match machine.cores {
        1 => "1 core".to_owned(),
        number => format!("{number} cores"),
    };
    let label = |text: &'static str| Span::styled(text, theme.faint());
    let spark = usize::from(model.screen.0 / 10).clamp(4, 20);
    Line::from(vec![
        label("machine  load "),
        Span::styled(format!("{one:.2} {five:.2} {fifteen:.2}"), load),
        label("  CPU "),
        Span::styled(meter.cpu(spark, 100.0), theme.accent()),
        Span::raw(format!(" {busy}% of {cores}")),
        label("  MEM "),
        Span::raw(format!(
            "{} of {}",
            size(machine.memory_used),
            size(machine.memory_all)
        )),
    ])
}

fn heads(model: &Model, columns: &[Placed]) -> Line<'static> {
    let theme = model.theme;
    let style = theme.faint().patch(theme.strong());
    let (sorted, descending) = model.table.order();
    let mut spans = vec![Span::raw(" ".repeat(usize::from(MARK)))];
    for placed in columns {
        let mut head = placed.column.head().to_owned();
        let is_sorted = placed.column == sorted;
        if is_sorted {
            let sign = if descending { '▾' } else { '▴' };
            if head.len() < usize::from(placed.width) {
                head.push(sign);
            } else {
                head.pop();
                head.push(sign);
            }
        }
        let right = placed.right && placed.spark == 0;
        let head = if placed.spark > 0 {
            let number = usize::from(placed.width - placed.spark - 1);
            format!(
                "{}{}",
                fit(&head, number, true),
                " ".repeat(usize::from(placed.spark) + 1)
            )
        } else {
            fit(&head, usize::from(placed.width), right)
        };
        let own = if is_sorted {
            style.patch(theme.accent())
        } else {
            style
        };
        spans.push(Span::styled(head, own));
        spans.push(Span::raw(" ".repeat(usize::from(placed.gap))));
    }
    Line::from(spans)
}

fn rows(model: &Model, frame: &mut Frame<'_>, area: Rect, columns: &[Placed]) {
    let theme = model.theme;
    let all = model.table.rows();
    if all.is_empty() {
        if model.is_known {
            let text = if model.table.all().len() == 0 {
                " No processes. Press a to start one."
            } else {
                " No process passes the filter."
            };
            frame.render_widget(Line::raw(text), area);
        }
        return;
    }
    let shown = all
        .iter()
        .skip(model.table.top)
        .take(usize::from(area.height));
    for (row, y) in shown.zip(area.y..) {
        let place = Rect {
            y,
            height: 1,
            ..area
        };
        let line = match row {
            Row::Group(namespace) => group(model, namespace),
            Row::Process(id) => match model.table.get(*id) {
                Some(entry) => process(model, entry, columns),
                None => continue,
            },
        };
        frame.render_widget(line, place);
        if model.table.selected() == Some(row) {
            frame.buffer_mut().set_style(place, theme.selected());
        }
    }
}

fn group(model: &Model, namespace: &str) -> Line<'static> {
    let theme = model.theme;
    let sign = if model.table.is_collapsed(namespace) {
        "▸"
    } else {
        "▾"
    };
    let sum = model.table.sum(namespace);
    let usage = match sum.running {
        0 => String::new(),
        _ => format!("  CPU {:.1}%  MEM {}", sum.cpu, size(sum.memory)),
    };
    let number = processes(sum.processes);
    let text = format!("  {number}, {} running{usage}", sum.running);
    Line::from(vec![
        Span::styled(format!("{sign}{namespace}"), theme.strong()),
        Span::styled(text, theme.faint()),
    ])
}

fn process(model: &Model, entry: &Entry, columns: &[Placed]) -> Line<'static> {
    let theme = model.theme;
    let view = &entry.view;
    let mark = if model.table.is_marked(view.id) {
        "*"
    } else {
        " "
    };
    let mut spans = vec![Span::styled(mark, theme.accent().patch(theme.strong()))];
    for placed in columns {
        let (text, style) = cell(model, view, placed.column);
        if placed.spark > 0 {
            let number = usize::from(placed.width - placed.spark - 1);
            let spark = usize::from(placed.spark);
            let bars = if placed.column == Column::Cpu {
                entry.meter.cpu(spark, 100.0)
            } else {
                entry.meter.memory(spark)
            };
            spans.push(Span::styled(fit(&text, number, true), style));
            spans.push(Span::styled(format!(" {bars}"), theme.accent()));
        } else {
            let width = usize::from(placed.width);
            spans.push(Span::styled(fit(&text, width, placed.right), style));
        }
        spans.push(Span::raw(" ".repeat(usize::from(placed.gap))));
    }
    Line::from(spans)
}

fn cell(model: &Model, view: &ProcessView, column: Column) -> (String, Style) {
    let theme = model.theme;
    let or_dash = |value: Option<String>| match value {
        Some(value) => (value, Style::new()),
        None => ("-".to_owned(), theme.faint()),
    };
    match column {
        Column::State => {
            let state = match view.next_ms {
                Some(next) if view.state == State::Backoff && next > model.now_ms => {
                    format!("backoff {}", duration(next - model.now_ms + 999))
                }
                _ => view.state.to_string(),
            };
            (state, theme.state(&view.state))
        }
        Column::Name => {
            let indent = if model.table.is_grouped() { " " } else { "" };
            (format!("{indent}{}", view.name), Style::new())
        }
        Column::Id => (view.id.to_string(), Style::new()),
        Column::Pid => or_dash(view.pid.map(|pid| pid.to_string())),
        Column::Cpu => or_dash(view.cpu_percent.map(|cpu| format!("{cpu:.1}%"))),
        Column::Memory => or_dash(view.memory_bytes.map(size)),
        Column::Restarts => (
            view.restarts.to_string(),
            if view.restarts > 0 {
                theme.warning()
            } else {
                theme.faint()
            },
        ),
        Column::Uptime => or_dash(view.uptime_ms.map(duration)),
        Column::Port => or_dash(view.port.map(|port| port.to_string())),
        Column::Health => match view.condition() {
            Some(condition) => (condition.to_owned(), theme.condition(condition)),
            None => ("-".to_owned(), theme.faint()),
        },
    }
}

/// The line above the log: whose it is, how that one is, and with `sparks` what it used lately.
fn rule(model: &Model, width: u16, sparks: bool) -> Line<'static> {
    let theme = model.theme;
    let width = usize::from(width);
    let Some(entry) = model.table.selected_entry() else {
        return Line::styled("─".repeat(width), theme.faint());
    };
    let view = &entry.view;
    let mut spans = vec![Span::styled(
        format!("─ log of {} ", view.name),
        theme.faint(),
    )];
    let reason = view.waits.clone().or_else(|| {
        let exit = view.exit.as_ref().filter(|_| view.pid.is_none());
        exit.map(|exit| exit.reason.clone())
    });
    if let Some(reason) = reason {
        let reason = super::one_line(&reason);
        spans.push(Span::styled(
            format!("─ {reason} "),
            theme.state(&view.state),
        ));
    } else if let Some(text) = &view.status_text {
        spans.push(Span::styled(
            format!("─ {} ", super::one_line(text)),
            theme.faint(),
        ));
    }
    if sparks && view.pid.is_some() {
        let columns = width / 8;
        for (label, bars) in [
            ("─ CPU ", entry.meter.cpu(columns, 100.0)),
            (" MEM ", entry.meter.memory(columns)),
        ] {
            spans.push(Span::styled(label, theme.faint()));
            spans.push(Span::styled(bars, theme.accent()));
        }
        spans.push(Span::raw(" "));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    let rest = "─".repeat(width.saturating_sub(used));
    spans.push(Span::styled(rest, theme.faint()));
    Line::from(spans)
}

fn log(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let logs = &model.tail;
    if area.height == 0 || model.table.selected_entry().is_none() {
        return;
    }
    let theme = model.theme;
    if let Some(trouble) = &logs.trouble {
        frame.render_widget(Line::styled(super::one_line(trouble), theme.bad()), area);
    } else if logs.has_begun && logs.pane.is_empty() {
        frame.render_widget(Line::styled("nothing printed so far", theme.faint()), area);
    } else {
        let gutter = Gutter {
            sign: 1,
            ..Gutter::default()
        };
        page::draw_pane(model, frame, area, &logs.pane, gutter, &[]);
    }
}
