//! The processes, and which of them stand in which row of the table.

mod order;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tsm_core::meta::State;
use tsm_core::view::ProcessView;

use crate::meter::Meter;

pub use order::Column;
use order::{compare, holds, is_up};

/// A process, and what was measured of it lately.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it is known.
    pub view: ProcessView,
    /// CPU and memory lately.
    pub meter: Meter,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// The head of a namespace.
    Group(String),
    /// A process, by its id.
    Process(u32),
}

/// What a namespace comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    /// How many processes …
    pub processes: usize,
    /// … and how many of them run.
    pub running: usize,
    /// CPU in percent.
    pub cpu: f64,
    /// Bytes of memory.
    pub memory: u64,
}

/// The table: processes, order, filter, selection, marks.
#[derive(Clone, Debug, Default)]
pub struct Table {
    all: BTreeMap<u32, Entry>,
    rows: Vec<Row>,
    selected: Option<Row>,
    /// The first row in sight.
    pub top: usize,
    marked: BTreeSet<u32>,
    collapsed: BTreeSet<String>,
    filter: String,
    sort: Column,
    descending: bool,
    /// Whether there are heads of namespaces; `None`: where there is more than one.
    grouped: Option<bool>,
    /// How wide the longest name and the longest state are.
    widths: (usize, usize),
    /// What all come to, and each namespace.
    sums: (Sum, BTreeMap<String, Sum>),
    /// How many are in which state, and how many are unhealthy.
    states: HashMap<State, usize>,
    unhealthy: usize,
    /// Whether they are of more than one namespace.
    is_mixed: bool,
}

impl Table {
    /// All processes, by id.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Entry> + Clone {
        self.all.values()
    }

    /// A process.
    pub fn get(&self, id: u32) -> Option<&Entry> {
        self.all.get(&id)
    }

    /// The rows as they stand below each other.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// How wide the longest name and the longest state are.
    pub fn widths(&self) -> (usize, usize) {
        self.widths
    }

    /// What is typed into the filter.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// What it is sorted by, and whether most comes first.
    pub fn order(&self) -> (Column, bool) {
        (self.sort, self.descending)
    }

    /// Whether processes stand below the heads of their namespaces.
    pub fn is_grouped(&self) -> bool {
        self.grouped.unwrap_or(self.is_mixed)
    }

    /// How many processes are in a state.
    pub fn in_state(&self, state: &State) -> usize {
        self.states.get(state).copied().unwrap_or(0)
    }

    /// How many processes are unhealthy.
    pub fn unhealthy(&self) -> usize {
        self.unhealthy
    }

    /// Whether only the head of a namespace is shown.
    pub fn is_collapsed(&self, namespace: &str) -> bool {
        self.collapsed.contains(namespace)
    }

    /// What all processes come to.
    pub fn total(&self) -> Sum {
        self.sums.0
    }

    /// What a namespace comes to.
    pub fn sum(&self, namespace: &str) -> Sum {
        self.sums.1.get(namespace).copied().unwrap_or_default()
    }

    fn take_stock(&mut self) {
        let (mut states, mut unhealthy) = (HashMap::<State, usize>::new(), 0);
        for Entry { view, .. } in self.all.values() {
            match states.get_mut(&view.state) {
                Some(number) => *number += 1,
                None => {
                    states.insert(view.state.clone(), 1);
                }
            }
            unhealthy += usize::from(view.condition() == Some("unhealthy"));
        }
        let mut namespaces = self.all.values().map(|entry| &entry.view.namespace);
        let first = namespaces.next();
        self.is_mixed = first.is_some_and(|first| namespaces.any(|other| other != first));
        (self.states, self.unhealthy) = (states, unhealthy);
    }

    fn add_up(&mut self) {
        let (mut total, mut each) = (Sum::default(), BTreeMap::<String, Sum>::new());
        for Entry { view, .. } in self.all.values() {
            if !each.contains_key(&view.namespace) {
                each.insert(view.namespace.clone(), Sum::default());
            }
            let own = each.get_mut(&view.namespace);
            for sum in std::iter::once(&mut total).chain(own) {
                sum.processes += 1;
                sum.running += usize::from(is_up(view));
                sum.cpu += view.cpu_percent.unwrap_or(0.0);
                sum.memory += view.memory_bytes.unwrap_or(0);
            }
        }
        self.sums = (total, each);
    }

    /// Whether any process runs.
    pub fn any_runs(&self) -> bool {
        self.all.values().any(|entry| entry.view.pid.is_some())
    }

    /// Whether any process waits to be started again at some time.
    pub fn any_waits(&self) -> bool {
        self.all.values().any(|entry| entry.view.next_ms.is_some())
    }

    // What becomes known.

    /// Takes all processes anew.
    pub fn replace(&mut self, views: Vec<ProcessView>) {
        let before = std::mem::take(&mut self.all);
        for view in views {
            let known = before.get(&view.id).cloned();
            self.insert(view, known);
        }
        self.arrange();
    }

    /// Takes what changed; [`Self::arrange`] is to follow.
    pub fn put(&mut self, view: ProcessView) {
        let known = self.all.remove(&view.id);
        self.insert(view, known);
    }

    fn insert(&mut self, mut view: ProcessView, known: Option<Entry>) {
        let mut meter = Meter::default();
        if let Some(known) = known.filter(|known| known.view.pid == view.pid && view.pid.is_some())
        {
            view.cpu_percent = view.cpu_percent.or(known.view.cpu_percent);
            view.memory_bytes = view.memory_bytes.or(known.view.memory_bytes);
            meter = known.meter;
        }
        self.all.insert(view.id, Entry { view, meter });
    }

    /// A process is gone; [`Self::arrange`] is to follow.
    pub fn remove(&mut self, id: u32) {
        self.all.remove(&id);
        self.marked.remove(&id);
    }

    /// Takes what processes use: CPU in percent and bytes of memory.
    pub fn measured(&mut self, usage: &[(u32, f64, u64)]) {
        for (id, cpu, memory) in usage {
            if let Some(entry) = self.all.get_mut(id).filter(|e| e.view.pid.is_some()) {
                entry.view.cpu_percent = Some(*cpu);
                entry.view.memory_bytes = Some(*memory);
                entry.meter.push(*cpu, *memory);
            }
        }
        if matches!(self.sort, Column::Cpu | Column::Memory) {
            self.arrange();
        } else {
            self.add_up();
        }
    }

    /// Time passes for those that run.
    pub fn tick(&mut self, now_ms: u64) {
        for entry in self.all.values_mut() {
            if entry.view.pid.is_some() && entry.view.started_s > 0 {
                entry.view.uptime_ms = Some(now_ms.saturating_sub(entry.view.started_s * 1000));
            }
        }
    }

    // Rows.

    /// Puts the rows in order. The selected one stays selected; where it is gone, the one in its place is.
    pub fn arrange(&mut self) {
        let place = self.place();
        self.take_stock();
        let words: Vec<String> = self
            .filter
            .split_whitespace()
            .map(str::to_lowercase)
            .collect();
        let passes = |entry: &&Entry| words.iter().all(|word| holds(&entry.view, word));
        let mut entries: Vec<&Entry> = self.all.values().filter(passes).collect();
        let (sort, descending) = (self.sort, self.descending);
        entries.sort_by(|a, b| {
            let order = compare(&a.view, &b.view, sort);
            let order = if descending { order.reverse() } else { order };
            order.then(a.view.id.cmp(&b.view.id))
        });
        let longest = |text: fn(&ProcessView) -> usize| {
            let lengths = entries.iter().map(|entry| text(&entry.view));
            lengths.max().unwrap_or(0)
        };
        self.widths = (
            longest(|view| view.name.as_str().len()),
            longest(|view| match view.next_ms {
                // How long it waits stands behind it.
                Some(_) => view.state.as_str().len() + 5,
                None => view.state.as_str().len(),
            }),
        );
        let ids = |entries: &[&Entry]| -> Vec<Row> {
            let ids = entries.iter().map(|entry| Row::Process(entry.view.id));
            ids.collect()
        };
        self.rows = if self.is_grouped() {
            let mut groups: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
            for entry in entries {
                groups.entry(&entry.view.namespace).or_default().push(entry);
            }
            let mut rows = Vec::new();
            for (namespace, entries) in groups {
                rows.push(Row::Group(namespace.to_owned()));
                if !self.collapsed.contains(namespace) {
                    rows.extend(ids(&entries));
                }
            }
            rows
        } else {
            ids(&entries)
        };
        self.select_near(place);
        self.add_up();
    }

    fn select_near(&mut self, place: usize) {
        let is_there = |row: &Row| self.rows.contains(row);
        if self.selected.as_ref().is_some_and(is_there) {
            return;
        }
        let near = self.rows.get(place).or(self.rows.last()).cloned();
        // At first, and where a group lost the selected one, a process is of more use than a head.
        let below = self.rows.get(place + 1).filter(|_| self.selected.is_none());
        self.selected = match (near, below) {
            (Some(Row::Group(_)), Some(below)) => Some(below.clone()),
            (near, _) => near,
        };
    }

    /// Filters by what was typed: each word has to be in the name, namespace, state or script, or be id, pid or port.
    pub fn set_filter(&mut self, filter: &str) {
        if self.filter != filter {
            filter.clone_into(&mut self.filter);
            self.arrange();
        }
    }

    /// Sorts by a column, or by the other end of it.
    pub fn sort_by(&mut self, column: Column) {
        if self.sort == column {
            self.descending = !self.descending;
        } else {
            self.sort = column;
            self.descending = column.begins_descending();
        }
        self.arrange();
    }

    /// Sorts by the next column.
    pub fn sort_by_next(&mut self) {
        let here = Column::ALL.iter().position(|column| *column == self.sort);
        let next = here.map_or(0, |here| (here + 1) % Column::ALL.len());
        self.sort_by(Column::ALL[next]);
    }

    /// Puts processes below the heads of their namespaces, or no longer.
    pub fn toggle_groups(&mut self) {
        self.grouped = Some(!self.is_grouped());
        self.arrange();
    }

    /// Shows the processes of the selected head, or no longer; on a process, of its namespace. `None` turns it around.
    pub fn fold(&mut self, collapsed: Option<bool>) {
        if !self.is_grouped() {
            return;
        }
        let namespace = match &self.selected {
            Some(Row::Group(namespace)) => namespace.clone(),
            Some(Row::Process(id)) => match self.get(*id) {
                Some(entry) => entry.view.namespace.clone(),
                None => return,
            },
            None => return,
        };
        if collapsed.unwrap_or(!self.is_collapsed(&namespace)) {
            self.selected = Some(Row::Group(namespace.clone()));
            self.collapsed.insert(namespace);
        } else {
            self.collapsed.remove(&namespace);
        }
        self.arrange();
    }

    // Selection and marks.

    /// The selected row.
    pub fn selected(&self) -> Option<&Row> {
        self.selected.as_ref()
    }

    /// The selected process; `None` where it is the head of a namespace.
    pub fn selected_entry(&self) -> Option<&Entry> {
        match self.selected {
            Some(Row::Process(id)) => self.get(id),
            _ => None,
        }
    }

    /// In which row the selected one is, 0 where none is.
    pub fn place(&self) -> usize {
        let selected = self.selected.as_ref();
        let at = selected.and_then(|selected| self.rows.iter().position(|row| row == selected));
        at.unwrap_or(0)
    }

    /// Selects a row, or the nearest to it that there is.
    pub fn select(&mut self, place: usize) {
        let last = self.rows.len().saturating_sub(1);
        if let Some(row) = self.rows.get(place.min(last)) {
            self.selected = Some(row.clone());
        }
    }

    /// Selects a process.
    pub fn select_process(&mut self, id: u32) {
        self.selected = Some(Row::Process(id));
        self.select_near(0);
    }

    /// Keeps the selected row in sight, where so many rows are.
    pub fn keep_in_sight(&mut self, rows: usize) {
        let place = self.place();
        let most = self.rows.len().saturating_sub(rows);
        let least = (place + 1).saturating_sub(rows.max(1));
        self.top = self.top.clamp(least, place.max(least)).min(most.max(least));
    }

    /// Whether a process is marked.
    pub fn is_marked(&self, id: u32) -> bool {
        self.marked.contains(&id)
    }

    /// How many are marked.
    pub fn marks(&self) -> usize {
        self.marked.len()
    }

    /// Marks the selected process, or all of the selected namespace; or takes the marks away.
    pub fn toggle_mark(&mut self) {
        let ids = self.under_selection();
        if ids.iter().all(|id| self.marked.contains(id)) {
            self.marked.retain(|id| !ids.contains(id));
        } else {
            self.marked.extend(ids);
        }
    }

    /// Marks all that are shown.
    pub fn mark_all(&mut self) {
        let ids = self.rows.iter().filter_map(|row| match row {
            Row::Process(id) => Some(*id),
            Row::Group(_) => None,
        });
        self.marked.extend(ids);
    }

    /// Takes all marks away.
    pub fn unmark(&mut self) {
        self.marked.clear();
    }

    /// The selected process, or those of the selected namespace that pass the filter.
    fn under_selection(&self) -> Vec<u32> {
        match &self.selected {
            None => Vec::new(),
            Some(Row::Process(id)) => vec![*id],
            Some(Row::Group(namespace)) => {
                let words: Vec<String> = self
                    .filter
                    .split_whitespace()
                    .map(str::to_lowercase)
                    .collect();
                let of = self.all.values().map(|entry| &entry.view).filter(|view| {
                    view.namespace == *namespace && words.iter().all(|word| holds(view, word))
                });
                of.map(|view| view.id).collect()
            }
        }
    }

    /// Whom an action is about: those that are marked, else the selected one or ones.
    pub fn targets(&self) -> Vec<&Entry> {
        let ids = if self.marked.is_empty() {
            self.under_selection()
        } else {
            self.marked.iter().copied().collect()
        };
        ids.iter().filter_map(|id| self.get(*id)).collect()
    }
}
