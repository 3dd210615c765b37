//! The line editor: the one file that knows rustyline.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::OsString;
use std::io;

use anstyle::AnsiColor;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::history::MemHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, ExternalPrinter as _, Helper};

use crate::events::Events;
use crate::history::{History, RECALLED};
use crate::line::OWN;
use crate::prompt::{Counts, paint, prompt};
use crate::scan::{self, scan};
use crate::{Candidate, Commands, Next, Options, Session, complain};

/// Shared by the editor, which asks for candidates, and the shell, which runs commands; never at the same time.
type Shared<'c> = RefCell<&'c mut (dyn Commands + 'c)>;

/// What the editor needs to know of commands.
struct Known<'a, 'c> {
    commands: &'a Shared<'c>,
    colour: bool,
    /// The process that `use` named.
    in_use: Option<String>,
    files: FilenameCompleter,
    before: HistoryHinter,
}

impl Known<'_, '_> {
    /// Where the word at the end of `before` begins, and what it may become.
    fn candidates(&self, before: &str) -> (usize, Vec<Candidate>) {
        let found = scan(before.as_bytes());
        let start = found.last_word;
        let trimmed = before.trim_start();
        if found.comment || found.pipe.is_some() || trimmed.starts_with('!') {
            return (start, Vec::new());
        }
        let word = &before[start..];
        let mut words = shlex::split(&before[..start]).unwrap_or_default();
        // What stands before a command of ours is no part of it.
        match words.first().map(String::as_str) {
            Some("help") => drop(words.drain(..1)),
            Some("watch") if words.get(1).is_some_and(|word| word == "-n") => {
                words.drain(..words.len().min(3));
            }
            Some("watch") => drop(words.drain(..1)),
            Some("events") => {
                let states = ["on", "off"].into_iter();
                let states = states.map(|state| Candidate::new(state, ""));
                return (start, states.filter(|c| c.word.starts_with(word)).collect());
            }
            Some("use") => words = vec!["info".to_owned()],
            _ => {}
        }
        let is_first = words.is_empty();
        words.push(word.to_owned());
        let mut found = self.commands.borrow().complete(&words);
        for candidate in self.of_the_one_in_use(&words) {
            if !found.contains(&candidate) {
                found.push(candidate);
            }
        }
        if is_first {
            let own = OWN.iter().filter(|(own, _)| own.starts_with(word));
            found.extend(own.map(|(own, help)| Candidate::new(*own, *help)));
            found.sort_by(|a, b| a.word.cmp(&b.word));
        }
        (start, found)
    }
}

impl Known<'_, '_> {
    /// What the last word may become where the process in use is meant and not named.
    fn of_the_one_in_use(&self, words: &[String]) -> Vec<Candidate> {
        let (Some(name), Some((last, before))) = (&self.in_use, words.split_last()) else {
            return Vec::new();
        };
        let commands = self.commands.borrow();
        let typed: Vec<OsString> = before.iter().map(OsString::from).collect();
        let addressed = commands.address(typed.clone(), name);
        if addressed == typed {
            return Vec::new();
        }
        let addressed = addressed
            .into_iter()
            .filter_map(|word| word.into_string().ok());
        let words: Vec<String> = addressed.chain([last.clone()]).collect();
        commands.complete(&words)
    }
}

impl Completer for Known<'_, '_> {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, found) = self.candidates(&line[..pos]);
        // What is complete is followed by the next word, but for `K=`.
        let end = |word: &str| if word.ends_with('=') { "" } else { " " };
        let alone = found.len() == 1;
        let mut pairs: Vec<Pair> = found
            .into_iter()
            .map(|Candidate { word, help }| Pair {
                replacement: if alone {
                    format!("{word}{}", end(&word))
                } else {
                    word.clone()
                },
                display: if help.is_empty() || alone {
                    word
                } else {
                    format!("{word}  {help}")
                },
            })
            .collect();
        // Files are offered where nothing else is, and where a target may be a file.
        let starts = line.trim_start().starts_with("start ");
        let first_word = line[..start].trim().is_empty();
        if (pairs.is_empty() || starts) && !first_word && !line[start..pos].starts_with('-') {
            let (at, files) = self.files.complete_path(line, pos)?;
            if at == start {
                pairs.extend(files);
            } else if pairs.is_empty() {
                return Ok((at, files));
            }
        }
        Ok((start, pairs))
    }
}

impl Hinter for Known<'_, '_> {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<String> {
        // Without colours a hint could not be told from what was typed.
        if !self.colour || pos < line.len() || line.trim().is_empty() {
            return None;
        }
        if let Some(hint) = self.before.hint(line, pos, context) {
            return Some(hint);
        }
        let (start, found) = self.candidates(line);
        let word = &line[start..];
        match &found[..] {
            [only] if !word.is_empty() => only.word.strip_prefix(word).map(str::to_owned),
            _ => None,
        }
        .filter(|rest| !rest.is_empty())
    }
}

impl Highlighter for Known<'_, '_> {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        let blank = line.len() - line.trim_start().len();
        let (indent, rest) = line.split_at(blank);
        if !self.colour || rest.is_empty() || rest.starts_with(['#', '!']) {
            return Cow::Borrowed(line);
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (first, after) = rest.split_at(end);
        let own = OWN.iter().any(|(own, _)| *own == first);
        let colour = if own || self.commands.borrow().is_command(first) {
            AnsiColor::Green
        } else if after.is_empty() {
            // It may still become one.
            return Cow::Borrowed(line);
        } else {
            AnsiColor::Red
        };
        Cow::Owned(format!("{indent}{}{after}", paint(true, colour, first)))
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(paint(self.colour, AnsiColor::BrightBlack, hint))
    }

    fn highlight_char(&self, line: &str, _: usize, kind: CmdKind) -> bool {
        // Only the first word is coloured: what follows changes nothing of it.
        self.colour && kind != CmdKind::MoveCursor && line.trim_start().split(' ').count() <= 2
    }
}

impl Validator for Known<'_, '_> {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if scan(context.input().as_bytes()).complete {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

impl Helper for Known<'_, '_> {}

/// Reads and obeys lines until Ctrl-D, `exit` or `quit`.
pub(crate) fn run<'c>(options: &Options, commands: &'c mut (dyn Commands + 'c)) -> io::Result<()> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(RECALLED)
        .map_err(into_io)?
        .build();
    let memory = MemHistory::with_config(&config);
    let shared = RefCell::new(commands);
    let mut editor: Editor<Known<'_, '_>, MemHistory> =
        Editor::with_history(config, memory).map_err(into_io)?;
    editor.set_helper(Some(Known {
        commands: &shared,
        colour: options.colour,
        in_use: None,
        files: FilenameCompleter::new(),
        before: HistoryHinter::new(),
    }));
    let mut session = Session::new(options, true)?;
    super::say("Commands of tsm, without 'tsm'; 'help' has all, Tab completes, Ctrl-D leaves");
    let mut history = Some(History::new(options.store.home().root()));
    cut(history.as_ref());
    let mut events: Option<Events> = None;
    loop {
        recall(&mut history, &mut editor)?;
        shared.borrow_mut().refresh();
        if let Some(known) = editor.helper_mut() {
            known.in_use = session.in_use().map(str::to_owned);
        }
        let counts = Counts::read(&options.store);
        let place = options.place.as_deref();
        let prompt = prompt(place, session.in_use(), counts, options.colour);
        let entered = match editor.readline(&prompt) {
            Ok(entered) => entered,
            // Ctrl-C ends the line.
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(into_io(error)),
        };
        // What is pasted may be several commands.
        for line in scan::commands(&entered) {
            // What may be a secret can be recalled in this shell, but is not written.
            editor.add_history_entry(line).map_err(into_io)?;
            remember(&mut history, line);
            match session.obey(line.as_bytes(), &mut **shared.borrow_mut()) {
                Next::Leave => return Ok(()),
                Next::Go(_) => {}
                Next::Events(false) => events = None,
                Next::Events(true) => {
                    let mut printer = editor.create_external_printer().map_err(into_io)?;
                    let tell = move |text: String| printer.print(text).is_ok();
                    match Events::tell(&options.store, options.colour, tell) {
                        Ok(told) => events = Some(told),
                        Err(error) => complain(error),
                    }
                }
            }
        }
        if let Some(error) = events.as_ref().and_then(Events::failed) {
            complain(format_args!("changes are not told any more: {error}"));
            events = None;
        }
    }
}

/// A history that fails is told once, and done without from then on.
fn without(history: &mut Option<History>, doing: &str, error: &io::Error) {
    complain(format_args!("the history cannot be {doing}: {error}"));
    *history = None;
}

fn cut(history: Option<&History>) {
    if let Some(Err(error)) = history.map(History::cut) {
        // It goes on growing, and is tried again by the next shell.
        complain(format_args!("the history cannot be cut: {error}"));
    }
}

fn recall(
    history: &mut Option<History>,
    editor: &mut Editor<Known<'_, '_>, MemHistory>,
) -> io::Result<()> {
    match history.as_mut().map(History::news) {
        Some(Ok(lines)) => {
            for line in lines {
                editor.add_history_entry(line).map_err(into_io)?;
            }
        }
        Some(Err(error)) => without(history, "read", &error),
        None => {}
    }
    Ok(())
}

fn remember(history: &mut Option<History>, line: &str) {
    if let Some(Err(error)) = history.as_mut().map(|history| history.append(line)) {
        without(history, "written", &error);
    }
}

fn into_io(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        other => io::Error::other(other),
    }
}
