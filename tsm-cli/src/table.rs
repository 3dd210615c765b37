//! The table of processes, in as much width as there is.

use anstyle::AnsiColor;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use tsm_core::meta::State;
use tsm_core::sys::clock;
use tsm_core::view::ProcessView;

use crate::output::Output;
use crate::words;

/// Where standard output is no terminal, nothing is left out for want of room.
const DEFAULT_WIDTH: u16 = u16::MAX;

/// How wide the terminal is; `COLUMNS` counts where there is none.
pub(crate) fn terminal_width(output: Output) -> u16 {
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let real = output.terminal.then(|| Table::new().width()).flatten();
    // A terminal that is narrower than that would show nothing readable anyway.
    real.or(columns).unwrap_or(DEFAULT_WIDTH).max(40)
}

/// Text of a process without what would move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The same, but tabs stay.
pub(crate) fn printable_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

struct Column {
    head: &'static str,
    right: bool,
    /// Columns of a lower number give way first where the terminal is narrow.
    rank: u8,
    cells: Vec<String>,
}

/// All processes, a line each.
pub(crate) fn processes(output: Output, views: &[ProcessView], width: u16) -> String {
    let now = clock::unix_ms();
    let column = |head, right, rank, cell: &dyn Fn(&ProcessView) -> String| Column {
        head,
        right,
        rank,
        cells: views.iter().map(cell).collect(),
    };
    let optional = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut columns = vec![
        column("ID", true, 9, &|v| v.id.to_string()),
        column("NAME", false, 9, &|v| v.name.to_string()),
        column("STATE", false, 9, &|v| state(v, now)),
        column("PID", true, 8, &|v| {
            optional(v.pid.map(|pid| pid.to_string()))
        }),
        column("PORT", true, 7, &|v| {
            optional(v.port.map(|port| port.to_string()))
        }),
        column("HEALTH", false, 8, &|v| {
            optional(v.condition().map(str::to_owned))
        }),
        column("UPTIME", true, 6, &|v| {
            optional(v.uptime_ms.map(words::duration))
        }),
        column("CPU", true, 4, &|v| {
            optional(v.cpu_percent.map(|cpu| format!("{cpu:.1}%")))
        }),
        column("MEM", true, 5, &|v| {
            optional(v.memory_bytes.map(words::size))
        }),
        column("RESTARTS", true, 3, &|v| v.restarts.to_string()),
        column("NAMESPACE", false, 1, &|v| v.namespace.clone()),
        column("SCRIPT", false, 2, &|v| {
            printable(&v.script.to_string_lossy())
        }),
        column("CWD", false, 0, &|v| printable(&v.cwd.to_string_lossy())),
    ];
    // A column without any value says nothing.
    columns.retain(|column| {
        let empty = match column.head {
            "PORT" | "HEALTH" | "CPU" | "MEM" => column.cells.iter().all(|cell| cell == "-"),
            "NAMESPACE" => column.cells.iter().all(|cell| cell == "default"),
            _ => false,
        };
        !empty
    });
    if total_width(&columns) > usize::from(width) {
        // One long name should not take the room of all the others.
        limit_names(&mut columns, LONG_NAME);
    }
    while total_width(&columns) > usize::from(width) {
        let Some(lowest) = (0..columns.len())
            .min_by_key(|&at| columns[at].rank)
            .filter(|&at| columns[at].rank < 9)
        else {
            break;
        };
        columns.remove(lowest);
    }
    shorten_names(&mut columns, usize::from(width));
    render(output, &columns, views)
}

/// Two blanks stand between columns.
fn total_width(columns: &[Column]) -> usize {
    columns
        .iter()
        .map(|column| column_width(column) + 2)
        .sum::<usize>()
        .saturating_sub(2)
}

fn column_width(column: &Column) -> usize {
    column
        .cells
        .iter()
        .map(|cell| cell.chars().count())
        .chain([column.head.len()])
        .max()
        .unwrap_or(0)
}

/// Where not even the columns that always stand have room, names lose their middles.
fn shorten_names(columns: &mut [Column], width: usize) {
    let excess = total_width(columns).saturating_sub(width);
    if excess == 0 {
        return;
    }
    let Some(names) = columns.iter_mut().find(|column| column.head == "NAME") else {
        return;
    };
    let room = column_width(names).saturating_sub(excess).max(8);
    limit_names(columns, room);
}

/// So long a name may be before columns are left out for want of room.
const LONG_NAME: usize = 24;

fn limit_names(columns: &mut [Column], room: usize) {
    let Some(names) = columns.iter_mut().find(|column| column.head == "NAME") else {
        return;
    };
    for cell in &mut names.cells {
        if cell.chars().count() > room {
            // Names are ASCII, so bytes are characters.
            let (head, tail) = ((room - 1).div_ceil(2), (room - 1) / 2);
            *cell = format!("{}…{}", &cell[..head], &cell[cell.len() - tail..]);
        }
    }
}

fn state(view: &ProcessView, now_ms: u64) -> String {
    match view.next_ms {
        Some(next) if view.state == State::Backoff => {
            let state = if view.slow_lane {
                "crash loop"
            } else {
                "backoff"
            };
            let wait = words::seconds(next.saturating_sub(now_ms));
            format!("{state}, next in {wait}")
        }
        _ if view.state == State::Waiting
            && let Some(due) = view.next_run_at.as_deref().and_then(words::unix_ms) =>
        {
            let wait = words::duration(due.saturating_sub(now_ms));
            format!("waiting, next in {wait}")
        }
        _ => match &view.exit {
            Some(exit) if view.state == State::Stopped && exit.reason == "reboot" => {
                "stopped (reboot)".to_owned()
            }
            _ => view.state.to_string(),
        },
    }
}

fn colour(state: &State) -> Color {
    match state {
        State::Running | State::Done => Color::Green,
        State::Failed => Color::Red,
        State::Starting
        | State::Stopping
        | State::Backoff
        | State::Waiting
        | State::Unsupervised => Color::Yellow,
        _ => Color::DarkGrey,
    }
}

fn render(output: Output, columns: &[Column], views: &[ProcessView]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if output.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let align = |cell: Cell, right| {
        cell.set_alignment(if right {
            CellAlignment::Right
        } else {
            CellAlignment::Left
        })
    };
    table.set_header(
        columns
            .iter()
            .map(|column| align(Cell::new(column.head), column.right)),
    );
    for (row, view) in views.iter().enumerate() {
        table.add_row(columns.iter().map(|column| {
            let cell = align(Cell::new(&column.cells[row]), column.right);
            match column.head {
                "STATE" if output.colour => cell.fg(colour(&view.state)),
                "HEALTH" if output.colour => match view.health.as_deref() {
                    Some("unhealthy") => cell.fg(Color::Red),
                    Some("healthy") => cell.fg(Color::Green),
                    _ => cell,
                },
                _ => cell,
            }
        }));
    }
    let count = columns.len();
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if at + 1 == count { 0 } else { 2 }));
    }
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    let mut text = lines.join(
        "
",
    ) + "
";
    if output.colour {
        // Only the first line is the head.
        if let Some((head, rest)) = text.split_once('\n') {
            text = format!("{}\n{rest}", output.paint(AnsiColor::BrightBlack, head));
        }
    }
    text
}
