//! What the dashboard knows.

use tsm_core::control::Verb;
use tsm_core::view::{Overview, ProcessView};

/// What one look at the home told.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The processes, by id.
    pub processes: Vec<ProcessView>,
    /// What could not be read, a line each.
    pub damaged: Vec<String>,
    /// Whether a supervisor is there.
    pub supervised: bool,
    /// Whether the disk has no room left.
    pub disk_full: bool,
}

impl From<Overview> for Facts {
    fn from(overview: Overview) -> Self {
        Self {
            processes: overview.processes,
            damaged: overview
                .damaged
                .iter()
                .map(|damage| damage.error.to_string())
                .collect(),
            supervised: overview.supervised,
            disk_full: overview.disk_full,
        }
    }
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Text that is safe to show.
    pub text: String,
    /// Whether it was written to standard error.
    pub is_error: bool,
}

/// What the keys mean at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mode {
    /// They act on the table.
    #[default]
    Table,
    /// They are typed into the filter.
    Filter,
    /// The keys are shown.
    Help,
    /// It is asked whether a process is to be deleted.
    Delete {
        /// Its id.
        id: u32,
        /// Its name.
        name: String,
    },
}

/// Something to tell in the status line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The words.
    pub text: String,
    /// Whether something went wrong.
    pub is_error: bool,
}

/// All that the dashboard knows.
#[derive(Debug, Default)]
pub struct Model {
    /// What the last look at the home told; `None` before the first.
    pub facts: Option<Facts>,
    /// Why the home could not be read, while that is so.
    pub trouble: Option<String>,
    /// The id of the selected process.
    pub selected: Option<u32>,
    /// What has to stand in a name, namespace or state.
    pub filter: String,
    /// What the keys mean.
    pub mode: Mode,
    /// The id whose log is shown, and its last lines.
    pub log: Option<(u32, Vec<LogLine>)>,
    /// What to tell, until the next key.
    pub note: Option<Note>,
    /// What was asked of the supervisor and is not answered.
    pub under_way: Vec<(Verb, u32, String)>,
    /// Whether colours are wanted.
    pub colour: bool,
    /// What the first line says of the home; `None` for the default one.
    pub place: Option<String>,
    /// Columns and rows of the screen.
    pub screen: (u16, u16),
}

impl Model {
    /// The processes that pass the filter, by id.
    pub fn visible(&self) -> Vec<&ProcessView> {
        let Some(facts) = &self.facts else {
            return Vec::new();
        };
        let filter = self.filter.to_lowercase();
        let passes = |view: &&ProcessView| {
            let name = view.name.as_str().to_lowercase();
            name.contains(&filter)
                || view.namespace.to_lowercase().contains(&filter)
                || view.state.contains(&filter)
        };
        facts.processes.iter().filter(passes).collect()
    }

    /// The selected process, if it is visible.
    pub fn selected_view(&self) -> Option<&ProcessView> {
        let selected = self.selected?;
        self.visible().into_iter().find(|view| view.id == selected)
    }
}
