//! What is where on the screen: for drawing it, and for knowing what the mouse is at.

use ratatui::layout::{Constraint, Layout, Rect, Size};

use crate::keys::View;
use crate::model::Model;
use crate::table::Column;

/// The parts of the overview, from above.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overview {
    /// Totals.
    pub totals: Rect,
    /// The machine; no row where the screen is low.
    pub machine: Rect,
    /// The heads of the columns.
    pub heads: Rect,
    /// The rows of the table.
    pub rows: Rect,
    /// The line above the log.
    pub rule: Rect,
    /// The log.
    pub log: Rect,
    /// The last line.
    pub last: Rect,
}

/// The screen as the overview divides it. The table gets the rows that it needs, up to two thirds; the log gets the rest.
pub(crate) fn overview(model: &Model) -> Overview {
    let (columns, rows) = model.screen;
    let area = Rect::new(0, 0, columns, rows);
    let machine = u16::from(rows >= 14);
    let between = rows.saturating_sub(2 + machine);
    let needed = u16::try_from(model.table.rows().len())
        .unwrap_or(u16::MAX)
        .saturating_add(1)
        .max(2);
    let table = needed.min((between * 2 / 3).max(3)).min(between);
    let log = between.saturating_sub(table);
    let [totals, machine, heads, rows, rule, log, last] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(machine),
        Constraint::Length(table.min(1)),
        Constraint::Length(table.saturating_sub(1)),
        Constraint::Length(log.min(1)),
        Constraint::Length(log.saturating_sub(1)),
        Constraint::Length(1),
    ])
    .areas(area);
    Overview {
        totals,
        machine,
        heads,
        rows,
        rule,
        log,
        last,
    }
}

/// The parts of every other view, from above.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// Whom it is about, and which view it is.
    pub tabs: Rect,
    /// What is shown.
    pub body: Rect,
    /// The last line.
    pub last: Rect,
}

/// The screen as every other view divides it.
pub(crate) fn page(model: &Model) -> Page {
    let (columns, rows) = model.screen;
    let [tabs, body, last] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(Rect::new(0, 0, columns, rows));
    Page { tabs, body, last }
}

/// What stands before each line of a log, in columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gutter {
    /// The sign of standard error.
    pub sign: u16,
    /// The time.
    pub time: u16,
    /// The name of the process.
    pub name: u16,
}

impl Gutter {
    /// All of it.
    pub(crate) fn width(self) -> u16 {
        self.sign + self.time + self.name
    }
}

/// What stands before the lines of the view.
pub(crate) fn gutter(model: &Model) -> Gutter {
    if model.view != View::Logs {
        return Gutter::default();
    }
    let sources = model.logs.wish.as_ref().map(|wish| &wish.sources[..]);
    let names = sources.filter(|sources| sources.len() > 1).unwrap_or(&[]);
    let longest = names.iter().map(|source| source.name.len()).max();
    let most = usize::from(model.screen.0 / 4);
    let time = match (model.logs.pane.times, model.screen.0) {
        (false, _) => 0,
        (true, ..100) => 9,
        (true, _) => 20,
    };
    Gutter {
        sign: 1,
        time,
        name: longest.map_or(0, |longest| longest.min(most) as u16 + 1),
    }
}

/// How large the text of the view is.
pub(crate) fn text(model: &Model) -> Size {
    let body = page(model).body;
    Size {
        width: body.width.saturating_sub(gutter(model).width()).max(1),
        height: body.height,
    }
}

/// A column of the table, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Which.
    pub column: Column,
    /// Where it begins.
    pub x: u16,
    /// How wide it is, sparkline and all.
    pub width: u16,
    /// How many blanks are behind it.
    pub(crate) gap: u16,
    /// How wide the sparkline in it is.
    pub spark: u16,
    /// Whether it is flush right.
    pub right: bool,
}

/// How wide a sparkline in the table is.
const SPARK: u16 = 10;

/// The columns that have room, from the left. Where there is too little, the less important ones go first, and a long
/// name loses its end before a fact goes.
pub(crate) fn columns(model: &Model) -> Vec<Placed> {
    let room = usize::from(model.screen.0).saturating_sub(usize::from(MARK));
    let (name, state) = model.table.widths();
    let indent = usize::from(model.table.is_grouped());
    let mut columns = vec![
        (Column::State, state.clamp(7, 12), 9, false),
        (Column::Name, (name + indent).max(4), 9, false),
        (Column::Id, 5, 6, true),
        (Column::Pid, 7, 4, true),
        (Column::Cpu, 6, 7, true),
        (Column::Memory, 6, 5, true),
        (Column::Restarts, 8, 2, true),
        (Column::Uptime, 7, 8, true),
        (Column::Port, 5, 3, true),
        (Column::Health, 9, 1, false),
    ];
    let total = |columns: &[(Column, usize, u8, bool)]| {
        let widths = columns.iter().map(|(_, width, ..)| width + 1);
        widths.sum::<usize>().saturating_sub(1)
    };
    let shorten = |columns: &mut Vec<(Column, usize, u8, bool)>, least: usize| {
        let excess = total(columns).saturating_sub(room);
        columns[1].1 = columns[1]
            .1
            .saturating_sub(excess)
            .max(least.min(columns[1].1));
    };
    shorten(&mut columns, 16);
    while total(&columns) > room {
        let lowest = (0..columns.len()).min_by_key(|&at| columns[at].2);
        match lowest.filter(|&at| columns[at].2 < 9) {
            Some(lowest) => columns.remove(lowest),
            None => break,
        };
    }
    shorten(&mut columns, 4);
    // Sparklines have room before wider gaps between columns do.
    let left = room.saturating_sub(total(&columns));
    let (gaps, sparks) = (columns.len(), 2 * usize::from(SPARK) + 2);
    let wide = left >= gaps && !(sparks..sparks + gaps).contains(&left);
    let (gap, left) = if wide { (2, left - gaps) } else { (1, left) };
    let spark = if left >= 2 * usize::from(SPARK) + 2 {
        let most = usize::from(SPARK) + (left - 2 * usize::from(SPARK) - 2) / 4;
        most.min(2 * usize::from(SPARK)) as u16
    } else {
        0
    };
    let mut x = MARK;
    columns
        .into_iter()
        .map(|(column, width, _, right)| {
            let has_spark = matches!(column, Column::Cpu | Column::Memory) && spark > 0;
            let spark = if has_spark { spark } else { 0 };
            let width = width as u16 + if has_spark { spark + 1 } else { 0 };
            let placed = Placed {
                column,
                x,
                width,
                gap,
                spark,
                right,
            };
            x += width + gap;
            placed
        })
        .collect()
}

/// How wide the marks at the left of the table are.
pub(crate) const MARK: u16 = 1;

/// A window in the middle of the screen, as large as its text and a frame; smaller where there is no room.
pub(crate) fn window(model: &Model, columns: u16, rows: u16) -> Rect {
    let (width, height) = model.screen;
    let (columns, rows) = (
        columns.saturating_add(2).min(width),
        rows.saturating_add(2).min(height),
    );
    Rect::new((width - columns) / 2, (height - rows) / 2, columns, rows)
}

/// The tabs of the view, each with where it begins and how wide it is.
pub(crate) fn tabs(model: &Model) -> Vec<(View, u16, u16)> {
    let widths: u16 = View::TABS
        .iter()
        .map(|view| view.title().len() as u16 + 2)
        .sum();
    if model.view == View::Output || widths + 8 > model.screen.0 {
        return Vec::new();
    }
    let mut x = model.screen.0 - widths;
    View::TABS
        .iter()
        .map(|view| {
            let width = view.title().len() as u16 + 2;
            let tab = (*view, x, width);
            x += width;
            tab
        })
        .collect()
}
