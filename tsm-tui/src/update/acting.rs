//! What is done to processes: each action is a command of `tsm`.

use crate::form::Form;
use crate::keys::{Action, View};
use crate::layer::{Layer, Menu, Prompt, Purpose, Question};
use crate::message::Effect;
use crate::model::{Job, Model, Note, Output, scaled_name};
use crate::pane::{Pane, PaneLine};
use crate::table::Column;

use super::lines;

/// The signals that are offered, and what they are mostly taken for.
const SIGNALS: [(&str, &str); 10] = [
    ("HUP", "read its configuration again"),
    ("USR1", "whatever it makes of it"),
    ("USR2", "whatever it makes of it"),
    ("INT", "as Ctrl-C"),
    ("TERM", "asked to end"),
    ("QUIT", "end, with a core or a trace"),
    ("STOP", "halt"),
    ("CONT", "go on"),
    ("WINCH", "another size of its terminal"),
    ("KILL", "end at once"),
];

/// A command on what is selected, in the words for what it does meanwhile and has done at last.
struct Verb {
    word: &'static str,
    doing: &'static str,
    done: &'static str,
    /// What it is asked by, first, where it ends more than one process or for good.
    question: Option<&'static str>,
}

impl Verb {
    /// `None` for an action that is not simply such a command.
    fn of(action: Action, is_one: bool) -> Option<Self> {
        let (word, doing, done, question) = match action {
            Action::Start => ("start", "starting", "started", None),
            Action::Reload => ("reload", "reloading", "asked to reload", None),
            Action::Reset => ("reset", "resetting", "reset", None),
            Action::Stop => ("stop", "stopping", "stopped", Some("Stop")),
            Action::Restart => ("restart", "restarting", "restarted", Some("Restart")),
            Action::Delete => ("delete", "deleting", "deleted", Some("Delete")),
            _ => return None,
        };
        let is_for_good = word == "delete";
        Some(Self {
            word,
            doing,
            done,
            question: question.filter(|_| is_for_good || !is_one),
        })
    }
}

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::New => {
            model.layer = Some(Layer::Form(Form::default()));
            return Vec::new();
        }
        Action::Save => {
            return run(model, vec!["save".to_owned()], "saving", "saved", false);
        }
        _ => {}
    }
    let targets = model.targets();
    let Some(first) = targets.first() else {
        model.tell("no process is selected", false);
        return Vec::new();
    };
    let ids: Vec<String> = targets.iter().map(|view| view.id.to_string()).collect();
    let whom = match targets.len() {
        1 => first.name.to_string(),
        number => format!("{number} processes"),
    };
    let is_one = targets.len() == 1;
    let (first, scaled) = (first.id.to_string(), scaled_name(&first.name));
    let with = |verb: &str| {
        let mut words = vec![verb.to_owned()];
        words.extend(ids.iter().cloned());
        words
    };
    if let Some(verb) = Verb::of(action, is_one) {
        let mut words = with(verb.word);
        let (doing, done) = (
            format!("{} {whom}", verb.doing),
            format!("{whom} {}", verb.done),
        );
        let Some(question) = verb.question else {
            return run(model, words, &doing, &done, false);
        };
        let mut text = format!("{question} {whom}?");
        if action == Action::Delete {
            let files = if is_one { "its files" } else { "their files" };
            text = format!("{question} {whom} and {files}?");
            words.push("--yes".to_owned());
        }
        model.layer = Some(Layer::Question(Question {
            text,
            words,
            doing,
            done,
            typed: false,
        }));
        return Vec::new();
    }
    match action {
        Action::Signal => {
            let items = SIGNALS.iter().map(|(name, help)| {
                let name = (*name).to_owned();
                (name, (*help).to_owned())
            });
            model.layer = Some(Layer::Menu(Menu {
                title: format!("Signal to {whom}"),
                items: items.collect(),
                at: 0,
                words: with("signal"),
                doing: format!("signalling {whom}"),
            }));
        }
        Action::Scale => {
            let there = model.table.all().map(|entry| &entry.view.name);
            let number = there.filter(|name| scaled_name(name) == scaled).count();
            let prompt = Prompt::new(Purpose::Scale(scaled), &number.to_string());
            model.layer = Some(Layer::Prompt(prompt));
        }
        Action::EditEnv => {
            let words = ["env", "edit", &first].map(str::to_owned).to_vec();
            let job = begin(model, format!("editing {whom}"), String::new(), false);
            return vec![Effect::Foreground { job, words }];
        }
        _ => {}
    }
    Vec::new()
}

/// Runs a command; `done` is told when it has worked and printed nothing of more use.
pub(super) fn run(
    model: &mut Model,
    words: Vec<String>,
    doing: &str,
    done: &str,
    typed: bool,
) -> Vec<Effect> {
    // The same is not asked for twice.
    if !typed && model.jobs.iter().any(|job| job.doing == doing) {
        return Vec::new();
    }
    if typed {
        model.output = Output {
            title: words.join(" "),
            pane: Pane::following(),
            job: Some(model.next_job),
            was_open: false,
        };
    }
    let job = begin(model, doing.to_owned(), done.to_owned(), typed);
    vec![Effect::Run { job, words }]
}

fn begin(model: &mut Model, doing: String, done: String, typed: bool) -> u64 {
    let number = model.next_job;
    model.next_job += 1;
    model.jobs.push(Job {
        number,
        doing,
        done,
        typed,
        printed: Vec::new(),
    });
    number
}

/// A line that somebody typed as a command.
pub(super) fn command(model: &mut Model, line: &str) -> Vec<Effect> {
    let line = line.trim();
    let line = line.strip_prefix("tsm ").unwrap_or(line).trim();
    let Some(words) = shlex::split(line) else {
        model.tell("a quote is open", true);
        return Vec::new();
    };
    let Some(first) = words.first() else {
        return Vec::new();
    };
    if model.typed.last().map(String::as_str) != Some(line) {
        model.typed.push(line.to_owned());
    }
    let named: Vec<&str> = words.iter().map(String::as_str).collect();
    match named.as_slice() {
        ["q" | "quit" | "exit"] => return vec![Effect::Leave],
        ["tui" | "monit", ..] => {
            model.tell("this is it", false);
            return Vec::new();
        }
        // These take the terminal.
        ["repl", ..] | ["env", "edit", ..] => {
            let job = begin(model, line.to_owned(), String::new(), false);
            return vec![Effect::Foreground { job, words }];
        }
        _ => {}
    }
    let is_delete = matches!(first.as_str(), "delete" | "del" | "rm");
    let is_answered = |word: &String| matches!(word.as_str(), "-y" | "--yes" | "--help" | "-h");
    if is_delete && !words.iter().any(is_answered) {
        let mut words = words;
        words.insert(1, "--yes".to_owned());
        model.layer = Some(Layer::Question(Question {
            text: format!("Run '{line}'?"),
            words,
            doing: line.to_owned(),
            done: String::new(),
            typed: true,
        }));
        return Vec::new();
    }
    run(model, words, line, "", true)
}

/// A command printed something.
pub(super) fn printed(model: &mut Model, job: u64, bytes: &[u8]) {
    let Some(at) = model.jobs.iter().position(|known| known.number == job) else {
        return;
    };
    let known = &mut model.jobs[at];
    known.printed.extend_from_slice(bytes);
    if !known.typed || model.output.job != Some(job) {
        return;
    }
    // What has no newline yet is told at the end.
    let Some(end) = known.printed.iter().rposition(|&byte| byte == b'\n') else {
        return;
    };
    let whole: Vec<u8> = known.printed.drain(..=end).collect();
    model.output.pane.push(lines(&whole));
    open_output(model);
}

/// Opens what a typed command prints, once: where it is more than the last line can tell.
fn open_output(model: &mut Model) {
    if model.output.pane.all() > 1 && model.layer.is_none() && !model.output.was_open {
        model.output.was_open = true;
        model.view = View::Output;
    }
}

/// A command ended.
pub(super) fn ended(model: &mut Model, job: u64, status: Option<i32>) {
    let Some(at) = model.jobs.iter().position(|known| known.number == job) else {
        return;
    };
    let ended = model.jobs.remove(at);
    model.revision += 1;
    let is_error = status != Some(0);
    let note = |text, is_error| Some(Note { text, is_error });
    if ended.typed {
        if model.output.job == Some(job) {
            model.output.job = None;
            model.output.pane.push(lines(&ended.printed));
            // A text is read from its begin.
            if model.output.pane.follows() && !is_error {
                model.output.pane.to_top();
            }
        }
        let first = model.output.pane.line(0);
        let first = first.map(|line| without_name(&line.styled.text).to_owned());
        let several = model.output.pane.all() > 1;
        model.note = match (first, status) {
            (_, Some(0)) if several => None,
            (Some(first), _) if !several => note(first, is_error),
            (None, Some(0)) => note(format!("done: {}", ended.doing), false),
            (_, Some(status)) => note(format!("exit status {status}"), true),
            (_, None) => note("it was ended by a signal".to_owned(), true),
        };
        open_output(model);
    } else {
        let told = lines(&ended.printed);
        remember(model, &ended, told.clone());
        model.note = if is_error {
            // The first complaint says what is wrong; what comes behind it is help, or more of the same.
            let text = |line: &PaneLine| line.styled.text.clone();
            let mut all = told.iter().map(text).filter(|line| !line.trim().is_empty());
            let complaint = all.clone().find(|line| line.starts_with("tsm: "));
            let wrong = complaint.or_else(|| all.next_back());
            let wrong = wrong.map(|line| without_name(&line).to_owned());
            let wrong = wrong.unwrap_or_else(|| match status {
                Some(status) => format!("{}: exit status {status}", ended.doing),
                None => format!("{}: ended by a signal", ended.doing),
            });
            let more = if told.len() > 1 { " (! shows all)" } else { "" };
            // A form is not to be filled in again for one mistake.
            let form = model.started.take().filter(|(number, _)| *number == job);
            if let Some((_, mut form)) = form.filter(|_| model.layer.is_none()) {
                form.wrong = Some(wrong.clone());
                model.layer = Some(Layer::Form(form));
            }
            note(format!("{wrong}{more}"), true)
        } else if ended.done.is_empty() {
            None
        } else {
            note(ended.done, false)
        };
    }
}

/// Keeps what an action printed for who wants to see it.
fn remember(model: &mut Model, ended: &Job, told: Vec<PaneLine>) {
    if model.output.job.is_none() && !told.is_empty() && model.view != View::Output {
        let mut pane = Pane::default();
        pane.replace(told);
        model.output = Output {
            title: ended.doing.clone(),
            pane,
            job: None,
            was_open: true,
        };
    }
}

/// A message without who says it: that is clear here.
fn without_name(text: &str) -> &str {
    text.strip_prefix("tsm: ").unwrap_or(text)
}

/// Sorts by a column whose head was clicked.
pub(super) fn sort(model: &mut Model, column: Column) {
    model.table.sort_by(column);
}
