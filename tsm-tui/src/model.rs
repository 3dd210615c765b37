//! What the dashboard knows.

use tsm_core::home::Home;
use tsm_core::name::ProcessName;
use tsm_core::view::ProcessView;

use crate::form::Form;
use crate::geometry;
use crate::keys::View;
use crate::layer::Layer;
use crate::message::{LogFrom, LogSource, LogWish, Machine, TextOf, TextWish, Wants};
use crate::meter::Meter;
use crate::pane::Pane;
use crate::table::{Entry, Table};
use crate::theme::Theme;

/// How many lines of a log are read at first, and how many more each time that somebody scrolls to their begin.
pub(crate) const LOG_LINES: usize = 1_000;
/// How many lines of a log are read at most.
pub(crate) const MOST_LOG_LINES: usize = 100_000;

/// Something to tell in the last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The words.
    pub text: String,
    /// Whether something went wrong.
    pub is_error: bool,
}

/// A command that is under way.
#[derive(Clone, Debug)]
pub struct Job {
    /// What tells it from others.
    pub number: u64,
    /// What it does: `stopping api`.
    pub doing: String,
    /// What is told when it is done: `api stopped`.
    pub done: String,
    /// Whether somebody typed it, and wants to see what it prints.
    pub typed: bool,
    /// What it has printed so far.
    pub printed: Vec<u8>,
}

/// Lines of logs as they are shown.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    /// What is wished.
    pub wish: Option<LogWish>,
    /// What came of it.
    pub pane: Pane,
    /// Whether anything has come.
    pub has_begun: bool,
    /// Whether what comes first goes further back than what is there.
    pub extends: bool,
    /// Why nothing comes.
    pub trouble: Option<String>,
}

/// A text as it is shown.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What is wished.
    pub wish: Option<TextWish>,
    /// What came of it.
    pub pane: Pane,
    /// Whether it has come.
    pub has_come: bool,
    /// Whether secrets are uncovered.
    pub reveal: bool,
    /// Whom an environment is compared with: `Some(None)` is this shell.
    pub compare: Option<Option<String>>,
}

/// What the last command printed.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// The command.
    pub title: String,
    /// What it printed.
    pub pane: Pane,
    /// Its number, while it runs.
    pub job: Option<u64>,
    /// Whether the view of it was opened already: who has closed it does not want it again.
    pub was_open: bool,
}

/// All that the dashboard knows.
#[derive(Clone, Debug)]
pub struct Model {
    /// The processes.
    pub table: Table,
    /// Whether they were read at all.
    pub is_known: bool,
    /// Whether a supervisor has the home in hand.
    pub supervised: bool,
    /// What could not be read, a line each.
    pub damaged: Vec<String>,
    /// Whether the disk has no room left.
    pub disk_full: bool,
    /// Why the home cannot be read, while that is so.
    pub trouble: Option<String>,
    /// How busy the machine is, and was.
    pub machine: Option<(Machine, Meter)>,
    /// What is shown.
    pub view: View,
    /// The ids of the processes that the view is about.
    pub about: Vec<u32>,
    /// The log below the table.
    pub tail: Logs,
    /// The log as a view.
    pub logs: Logs,
    /// Any other view.
    pub page: Page,
    /// What the last command printed.
    pub output: Output,
    /// What lies above and takes the keys.
    pub layer: Option<Layer>,
    /// What is under way.
    pub jobs: Vec<Job>,
    /// The form that was last filled in, and the job that starts what it says.
    pub started: Option<(u64, Form)>,
    /// The number of the next job.
    pub next_job: u64,
    /// The commands that were typed, the last one last.
    pub typed: Vec<String>,
    /// What to tell, until the next key.
    pub note: Option<Note>,
    /// How often something happened that texts may have changed by.
    pub revision: u64,
    /// How many seconds have passed.
    pub ticks: u64,
    /// What time it is, in milliseconds since 1970.
    pub now_ms: u64,
    /// Where and when the mouse was clicked last.
    pub click: Option<(u16, u16, u64)>,
    /// Colours.
    pub theme: Theme,
    /// Whose processes these are.
    pub home: Home,
    /// What the first line says of the home; `None` for the default one.
    pub place: Option<String>,
    /// Columns and rows of the screen.
    pub screen: (u16, u16),
    /// How a time is written: `2026-11-22 10:29:24`.
    pub stamp: fn(u64) -> String,
}

impl Model {
    /// A dashboard that knows nothing yet.
    pub fn new(home: Home, screen: (u16, u16)) -> Self {
        Self {
            table: Table::default(),
            is_known: false,
            supervised: true,
            damaged: Vec::new(),
            disk_full: false,
            trouble: None,
            machine: None,
            view: View::Overview,
            about: Vec::new(),
            tail: Logs::default(),
            logs: Logs::default(),
            page: Page::default(),
            output: Output::default(),
            layer: None,
            jobs: Vec::new(),
            started: None,
            next_job: 0,
            typed: Vec::new(),
            note: None,
            revision: 0,
            ticks: 0,
            now_ms: 0,
            click: None,
            theme: Theme::default(),
            home,
            place: None,
            screen,
            stamp: tsm_core::words::local_time,
        }
    }

    /// What has to be known to draw this.
    pub fn wants(&self) -> Wants {
        let overview = self.view == View::Overview;
        let about_running = self.about.iter().any(|id| {
            let entry = self.table.get(*id);
            entry.is_some_and(|entry| entry.view.pid.is_some())
        });
        let moves = self.table.any_runs() || self.table.any_waits();
        let refreshes = matches!(self.view, View::Info | View::Tree | View::Ports);
        Wants {
            clock: (overview && moves) || (refreshes && about_running),
            usage: overview && self.table.any_runs(),
            log: match self.view {
                View::Overview => self.tail.wish.clone(),
                View::Logs => self.logs.wish.clone(),
                _ => None,
            },
            text: match self.view {
                View::Overview | View::Logs | View::Output => None,
                _ => self.page.wish.clone(),
            },
        }
    }

    /// The pane of the view, and how large it is.
    pub fn pane(&self) -> Option<&Pane> {
        match self.view {
            View::Overview => None,
            View::Logs => Some(&self.logs.pane),
            View::Output => Some(&self.output.pane),
            _ => Some(&self.page.pane),
        }
    }

    /// As [`Self::pane`], to be changed.
    pub fn pane_mut(&mut self) -> Option<&mut Pane> {
        match self.view {
            View::Overview => None,
            View::Logs => Some(&mut self.logs.pane),
            View::Output => Some(&mut self.output.pane),
            _ => Some(&mut self.page.pane),
        }
    }

    /// The processes that the view is about, as far as they are still there.
    pub fn subjects(&self) -> impl Iterator<Item = &Entry> {
        self.about.iter().filter_map(|id| self.table.get(*id))
    }

    /// Whom an action is about.
    pub fn targets(&self) -> Vec<&ProcessView> {
        match self.view {
            View::Overview => self.table.targets(),
            _ => self.subjects().collect(),
        }
        .into_iter()
        .map(|entry| &entry.view)
        .collect()
    }

    /// Wishes for the log below the table what the selected process needs.
    pub fn wish_tail(&mut self) {
        let rows = geometry::overview(self).log.height;
        let wish = self.table.selected_entry().map(|entry| LogWish {
            sources: vec![self.source(&entry.view)],
            from: LogFrom::End(usize::from(rows.max(1))),
        });
        let wish = wish.filter(|_| rows > 0);
        let sources = |wish: &Option<LogWish>| wish.as_ref().map(|wish| wish.sources.clone());
        if sources(&wish) != sources(&self.tail.wish) {
            let mut pane = Pane::following();
            pane.wrap = false;
            self.tail = Logs {
                pane,
                ..Logs::default()
            };
        }
        self.tail.wish = wish;
    }

    /// Wishes for the log view what it is about.
    pub fn wish_logs(&mut self, from: LogFrom) {
        let sources: Vec<LogSource> = self
            .subjects()
            .map(|entry| self.source(&entry.view))
            .collect();
        self.logs.wish = Some(LogWish { sources, from });
    }

    fn source(&self, view: &ProcessView) -> LogSource {
        let (out, err) = view.log_files(&self.home);
        LogSource {
            name: view.name.to_string(),
            out,
            err,
        }
    }

    /// Wishes for the view what it is about, as it is now.
    pub fn wish_text(&mut self) {
        let names: Vec<String> = self
            .subjects()
            .map(|entry| entry.view.name.to_string())
            .collect();
        let Some(text) = self.text_of(&names) else {
            return;
        };
        self.page.wish = Some(TextWish {
            text,
            columns: self.screen.0,
            revision: self.revision,
        });
    }

    fn text_of(&self, names: &[String]) -> Option<TextOf> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let first = names.first().map(String::as_str);
        let commands = match self.view {
            View::Info => vec![words(&["info", first?])],
            View::History => vec![words(&["why", first?]), words(&["history", first?])],
            View::Env => {
                let mut command: Vec<String> = match &self.page.compare {
                    None => words(&["env", "show", first?]),
                    Some(None) => words(&["env", "diff", first?]),
                    Some(Some(other)) => words(&["env", "diff", first?, other]),
                };
                if self.page.reveal {
                    command.push("--reveal".to_owned());
                }
                vec![command]
            }
            View::Ports => {
                let mut command = vec!["ports".to_owned()];
                command.extend(names.iter().cloned());
                vec![command]
            }
            View::Tree => {
                let leader = self.subjects().next()?.view.leader;
                return Some(TextOf::Tree(leader));
            }
            View::Overview | View::Logs | View::Output => return None,
        };
        Some(TextOf::Commands(commands))
    }

    /// The names of all processes.
    pub fn names(&self) -> Vec<String> {
        let names = self.table.all().map(|entry| entry.view.name.to_string());
        names.collect()
    }

    /// Tells something in the last line.
    pub fn tell(&mut self, text: impl Into<String>, is_error: bool) {
        self.note = Some(Note {
            text: text.into(),
            is_error,
        });
    }
}

/// What a process is called for `tsm scale`: instances by the name of all of them.
pub(crate) fn scaled_name(name: &ProcessName) -> String {
    let whole = name.of_instance();
    whole.map_or_else(|| name.to_string(), |(whole, _)| whole.to_owned())
}
