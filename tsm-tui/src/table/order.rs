//! What rows are sorted and filtered by.

use tsm_core::meta::State;
use tsm_core::view::ProcessView;

/// What the table is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// State.
    State,
    /// Name.
    Name,
    /// TSM id.
    #[default]
    Id,
    /// Pid.
    Pid,
    /// CPU.
    Cpu,
    /// Memory.
    Memory,
    /// Restarts.
    Restarts,
    /// Uptime.
    Uptime,
    /// Port.
    Port,
    /// Health.
    Health,
}

impl Column {
    /// All of them, as they stand in the table.
    pub const ALL: [Self; 10] = [
        Self::State,
        Self::Name,
        Self::Id,
        Self::Pid,
        Self::Cpu,
        Self::Memory,
        Self::Restarts,
        Self::Uptime,
        Self::Port,
        Self::Health,
    ];

    /// What stands above it.
    pub fn head(self) -> &'static str {
        match self {
            Self::State => "STATE",
            Self::Name => "NAME",
            Self::Id => "ID",
            Self::Pid => "PID",
            Self::Cpu => "CPU",
            Self::Memory => "MEM",
            Self::Restarts => "RESTARTS",
            Self::Uptime => "UPTIME",
            Self::Port => "PORT",
            Self::Health => "HEALTH",
        }
    }

    /// Whether most comes first where one first sorts by it.
    pub(super) fn begins_descending(self) -> bool {
        matches!(self, Self::Cpu | Self::Memory | Self::Restarts)
    }
}

/// Whether a process runs, looked after or not.
pub(super) fn is_up(view: &ProcessView) -> bool {
    matches!(view.state, State::Running | State::Unsupervised)
}

/// Whether a word is in what is known of a process, or is one of its numbers.
pub(super) fn holds(view: &ProcessView, word: &str) -> bool {
    let number = |n: Option<u32>| n.is_some_and(|n| n.to_string() == word);
    let text = |text: &str| text.to_lowercase().contains(word);
    text(view.name.as_str())
        || text(&view.namespace)
        || view.state.as_str().contains(word)
        || view.condition().is_some_and(|condition| condition == word)
        || number(Some(view.id))
        || number(view.pid)
        || number(view.port.map(u32::from))
        || text(&view.script.to_string_lossy())
}

/// Which of two comes first.
pub(super) fn compare(a: &ProcessView, b: &ProcessView, column: Column) -> std::cmp::Ordering {
    match column {
        Column::State => a.state.as_str().cmp(b.state.as_str()),
        Column::Name => natural(a.name.as_str()).cmp(natural(b.name.as_str())),
        Column::Id => a.id.cmp(&b.id),
        Column::Pid => a.pid.cmp(&b.pid),
        Column::Cpu => {
            let cpu = |view: &ProcessView| view.cpu_percent.unwrap_or(-1.0);
            cpu(a).total_cmp(&cpu(b))
        }
        Column::Memory => a.memory_bytes.cmp(&b.memory_bytes),
        Column::Restarts => a.restarts.cmp(&b.restarts),
        // The start, not the uptime: that one changes all the time.
        Column::Uptime => {
            let since = |view: &ProcessView| view.pid.map(|_| std::cmp::Reverse(view.started_s));
            since(a).cmp(&since(b))
        }
        Column::Port => a.port.cmp(&b.port),
        Column::Health => a.condition().cmp(&b.condition()),
    }
}

/// A name in pieces of digits and others, so that `api@10` comes after `api@9`.
fn natural(name: &str) -> impl Iterator<Item = (u64, &str)> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is_digit = first.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != is_digit)
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        let number = if is_digit {
            piece.parse().unwrap_or(u64::MAX)
        } else {
            0
        };
        Some((number, piece))
    })
}
