//! `tsm tui`.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use tsm_core::error::{Error, ErrorKind};
use tsm_core::store::ProcessStore;
use tsm_tui::{Candidate, Commands, Options, Theme};

use super::complete::{Live, candidates};
use crate::app::{self, Context, Failure, Outcome};
use crate::args;
use crate::output::complain;

pub(crate) fn run(context: &Context) -> Outcome {
    let missing = [
        ("standard input", io::stdin().is_terminal()),
        ("standard output", io::stdout().is_terminal()),
    ];
    if let Some((stream, _)) = missing.iter().find(|(_, terminal)| !terminal) {
        complain(format_args!(
            "'tui' needs a terminal, and {stream} is none; 'tsm list' and 'tsm logs' do without"
        ));
        return Err(Failure::Told(ErrorKind::Usage));
    }
    let colour = context.output.colour;
    let options = Options {
        commands: Arc::new(OwnCommands {
            home: context.home.root().to_owned(),
            store: context.store(),
            colour,
        }),
        store: context.store(),
        place: context.place(),
        theme: Theme::detect(colour, |name| std::env::var(name).ok()),
    };
    tsm_tui::run(options).map_err(|source| {
        Failure::Core(Error::System {
            action: "draw on the terminal",
            source,
        })
    })
}

/// Commands of this program, with the home and the colours of the dashboard unless they say otherwise.
struct OwnCommands {
    home: PathBuf,
    store: ProcessStore,
    colour: bool,
}

impl Commands for OwnCommands {
    fn command(&self, words: &[String]) -> io::Result<Command> {
        let program = std::env::current_exe().map(app::executable)?;
        let mut command = Command::new(program);
        // What follows a `--` belongs to another program.
        let own = || words.iter().take_while(|word| *word != "--");
        // Not through the environment, since that is what a start hands over.
        if !own().any(|word| word.starts_with("--home")) {
            command.arg("--home").arg(&self.home);
        }
        if !own().any(|word| word.starts_with("--color")) {
            let when = if self.colour { "always" } else { "never" };
            command.arg(format!("--color={when}"));
        }
        command.args(words);
        Ok(command)
    }

    fn complete(&self, words: &[String]) -> Vec<Candidate> {
        let source = Live { store: &self.store };
        let found = candidates(&args::whole(), words, &source).into_iter();
        found.map(|(word, help)| Candidate { word, help }).collect()
    }
}
