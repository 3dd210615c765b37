//! The line editor: the one file that knows rustyline.

use std::io;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::complete::complete;
use crate::history::{History, RECALLED};
use crate::prompt::{Counts, prompt};
use crate::{Commands, Next, Options, complain, obey};

/// What Tab needs to know.
#[derive(Debug, Default)]
struct Known {
    commands: Vec<String>,
    names: Vec<String>,
}

impl Completer for Known {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, found) = complete(&line[..pos], &self.commands, &self.names);
        // What is complete is followed by the next word.
        let end = if found.len() == 1 { " " } else { "" };
        let pairs = found.into_iter().map(|word| Pair {
            replacement: format!("{word}{end}"),
            display: word,
        });
        Ok((start, pairs.collect()))
    }
}

impl Highlighter for Known {}
impl Validator for Known {}
impl Helper for Known {}
impl Hinter for Known {
    type Hint = String;
}

/// Reads and obeys lines until Ctrl-D, `exit` or `quit`.
pub(crate) fn run(options: &Options, commands: &mut dyn Commands) -> io::Result<()> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(RECALLED)
        .map_err(into_io)?
        .build();
    let memory = MemHistory::with_config(&config);
    let mut editor: Editor<Known, MemHistory> =
        Editor::with_history(config, memory).map_err(into_io)?;
    let history = History::new(options.store.home().root());
    let mut may_remember = true;
    match history.read() {
        Ok(lines) => {
            for line in lines {
                editor.add_history_entry(line).map_err(into_io)?;
            }
        }
        Err(error) => {
            complain(format_args!("the history cannot be read: {error}"));
            may_remember = false;
        }
    }
    loop {
        let counts = Counts::read(&options.store);
        let prompt = prompt(options.place.as_deref(), counts, options.colour);
        editor.set_helper(Some(Known {
            commands: commands.commands(),
            names: commands.names(),
        }));
        let entered = match editor.readline(&prompt) {
            Ok(entered) => entered,
            // Ctrl-C ends the line.
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(into_io(error)),
        };
        // What is pasted may be several lines.
        for line in entered
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
        {
            // What may be a secret can be recalled in this shell, but is not written.
            editor.add_history_entry(line).map_err(into_io)?;
            if may_remember && let Err(error) = history.append(line) {
                complain(format_args!("the history cannot be written: {error}"));
                may_remember = false;
            }
            if obey(line.as_bytes(), commands, true) == Next::Leave {
                return Ok(());
            }
        }
    }
}

fn into_io(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        other => io::Error::other(other),
    }
}
