//! What lies above a view and takes the keys: help, questions, lines to type in, menus, the form.

use tui_input::Input;

use crate::message::Ask;

/// Something that a word may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The whole word.
    pub word: String,
    /// What it is; may be empty.
    pub help: String,
}

/// What takes the keys.
#[derive(Clone, Debug)]
pub enum Layer {
    /// The keys of the view; so many rows are above.
    Help(usize),
    /// A question, and what is done if the answer is yes.
    Question(Question),
    /// A line that is typed.
    Prompt(Prompt),
    /// One of several.
    Menu(Menu),
    /// Something new to start.
    Form(crate::form::Form),
}

/// A question that is answered by yes or no.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// The command that is run, `tsm` left out.
    pub words: Vec<String>,
    /// What it does, for the last line.
    pub doing: String,
    /// What is told when it is done.
    pub done: String,
    /// Whether it was typed, and its output is to be shown.
    pub typed: bool,
}

/// What a line is typed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// What a row of the table has to hold.
    TableFilter,
    /// What a line of the view has to hold.
    LineFilter,
    /// What to find in the view.
    Search,
    /// When to go to in the logs.
    Jump,
    /// A command.
    Command,
    /// How many instances of a process there are to be.
    Scale(String),
    /// Whom to compare the environment of a process with.
    Compare,
}

impl Purpose {
    /// What stands before the line.
    pub fn label(&self) -> String {
        match self {
            Self::TableFilter | Self::Search => "/".to_owned(),
            Self::LineFilter => "&".to_owned(),
            Self::Jump => "go to (10m, 14:05, 2026-11-22 10:00): ".to_owned(),
            Self::Command => ":".to_owned(),
            Self::Scale(name) => format!("how many {name}: "),
            Self::Compare => "compare with (empty: this shell): ".to_owned(),
        }
    }
}

/// A line that is typed.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What for.
    pub purpose: Purpose,
    /// What was typed, and the cursor.
    pub input: Input,
    /// What it may become.
    pub completion: Completion,
    /// Which of the earlier lines is shown, from the newest.
    pub earlier: Option<usize>,
    /// What is wrong with it.
    pub wrong: Option<String>,
}

impl Prompt {
    /// A line that begins so.
    pub fn new(purpose: Purpose, value: &str) -> Self {
        Self {
            purpose,
            input: Input::new(value.to_owned()),
            completion: Completion::default(),
            earlier: None,
            wrong: None,
        }
    }
}

/// What a word may become, and which of that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// What is asked and not answered.
    pub asked: Option<Ask>,
    /// Whether it is answered.
    pub answered: bool,
    /// Whether Tab was pressed before it was.
    pub tab: bool,
    /// The answer.
    pub candidates: Vec<Candidate>,
    /// Which one stands in the line.
    pub chosen: Option<usize>,
}

impl Completion {
    /// Asks anew, and forgets the last answer.
    pub fn ask(&mut self, ask: Ask) -> Ask {
        self.asked = Some(ask.clone());
        self.answered = false;
        self.tab = false;
        self.chosen = None;
        ask
    }

    /// Takes an answer, if it is the one that is waited for. Tells whether Tab was pressed meanwhile.
    pub fn answer(&mut self, ask: &Ask, found: Vec<Candidate>) -> bool {
        if self.asked.as_ref() != Some(ask) {
            return false;
        }
        self.candidates = found;
        self.answered = true;
        self.chosen = None;
        std::mem::take(&mut self.tab)
    }

    /// What Tab makes of the last word: the only candidate, what all of them begin with, else each of them in turn.
    pub fn tab(&mut self, word: &str, back: bool) -> Option<String> {
        let count = self.candidates.len();
        // What is still being found out is waited for.
        self.tab = self.asked.is_some() && !self.answered;
        if count == 0 || self.tab {
            return None;
        }
        if self.chosen.is_none() {
            let common = common_prefix(&self.candidates);
            if count > 1 && common.len() > word.len() && common.starts_with(word) {
                return Some(common);
            }
        }
        let next = match (self.chosen, back) {
            (None, false) => 0,
            (None, true) => count - 1,
            (Some(at), false) => (at + 1) % count,
            (Some(at), true) => (at + count - 1) % count,
        };
        self.chosen = Some(next);
        Some(self.candidates[next].word.clone())
    }

    /// Nothing more to offer.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

fn common_prefix(candidates: &[Candidate]) -> String {
    let mut words = candidates.iter().map(|candidate| candidate.word.as_str());
    let first = words.next().unwrap_or_default();
    let common = words.fold(first, |common, word| {
        let end = common
            .char_indices()
            .zip(word.chars())
            .find(|((_, a), b)| a != b)
            .map(|((at, _), _)| at);
        let end = end.unwrap_or(common.len().min(word.len()));
        &common[..end]
    });
    common.to_owned()
}

/// The last word of a line, as far as it is typed.
pub(crate) fn last_word(line: &str) -> &str {
    let at = line.rfind(char::is_whitespace);
    at.map_or(line, |at| line[at..].trim_start())
}

/// A line with another last word.
pub(crate) fn with_last_word(line: &str, word: &str) -> String {
    let before = &line[..line.len() - last_word(line).len()];
    format!("{before}{word}")
}

/// One of several, to be chosen.
#[derive(Clone, Debug)]
pub struct Menu {
    /// What for.
    pub title: String,
    /// What there is to choose: the word, and what it means.
    pub items: Vec<(String, String)>,
    /// Which one is chosen.
    pub at: usize,
    /// The words of the command, before the chosen one.
    pub words: Vec<String>,
    /// What it does, for the last line.
    pub doing: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(words: &[&str]) -> Completion {
        let candidate = |word: &&str| Candidate {
            word: (*word).to_owned(),
            help: String::new(),
        };
        Completion {
            candidates: words.iter().map(candidate).collect(),
            ..Completion::default()
        }
    }

    #[test]
    fn tab_goes_as_far_as_it_is_sure_and_then_around() {
        let mut of = completion(&["restart", "resurrect"]);
        assert_eq!(of.tab("r", false).as_deref(), Some("res"));
        assert_eq!(of.tab("res", false).as_deref(), Some("restart"));
        assert_eq!(of.tab("restart", false).as_deref(), Some("resurrect"));
        assert_eq!(of.tab("resurrect", false).as_deref(), Some("restart"));
        assert_eq!(of.tab("restart", true).as_deref(), Some("resurrect"));
        assert_eq!(
            completion(&["stop"]).tab("s", false).as_deref(),
            Some("stop")
        );
        assert_eq!(completion(&[]).tab("s", false), None);
        assert_eq!(
            completion(&["añb", "añc"]).tab("a", false).as_deref(),
            Some("añ")
        );
    }

    #[test]
    fn only_the_last_word_is_completed() {
        assert_eq!(last_word("stop ap"), "ap");
        assert_eq!(last_word("stop "), "");
        assert_eq!(with_last_word("stop ap", "api "), "stop api ");
        assert_eq!(with_last_word("", "stop"), "stop");
    }
}
