//! A dashboard of which a thread panics as soon as `:` and a letter are typed: `tests/panic.rs` looks at what becomes of
//! the terminal.
//!
//! ```console
//! $ cargo run -p tsm-tui --example panics -- HOME
//! ```

#![expect(clippy::panic, reason = "that is what it is for")]

use std::io;
use std::process::Command;
use std::sync::Arc;

use tsm_core::home::Home;
use tsm_core::store::ProcessStore;
use tsm_tui::{Candidate, Commands, Options, Theme};

struct Panics;

impl Commands for Panics {
    fn command(&self, _: &[String]) -> io::Result<Command> {
        Ok(Command::new("true"))
    }

    fn complete(&self, _: &[String]) -> Vec<Candidate> {
        panic!("as it should")
    }
}

fn main() -> io::Result<()> {
    let home = std::env::args_os().nth(1).unwrap_or_default();
    tsm_tui::run(Options {
        commands: Arc::new(Panics),
        store: ProcessStore::new(Home::at(home)),
        place: None,
        theme: Theme::default(),
    })
}
