//! `tsm tui`.

use std::io::{self, IsTerminal as _};

use tsm_core::error::{Error, ErrorKind};
use tsm_tui::Options;

use crate::app::{Context, Failure, Outcome};
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
    let options = Options {
        client: context.client()?,
        store: context.store(),
        place: context.place(),
        colour: context.output.colour,
    };
    tsm_tui::run(options).map_err(|source| {
        Failure::Core(Error::System {
            action: "draw on the terminal",
            source,
        })
    })
}
