//! Follows one service and prints what happens to it: each state that it comes into, and each line of its history.
//!
//! ```console
//! $ cargo run -p tsm-core --example watch -- ~/.tsm api
//! ```
//!
//! With a state behind the name it ends when the service comes into that one: `watch ~/.tsm api stopped`. It needs no
//! supervisor, since it is the files that are watched, and it waits in the kernel for as long as nothing happens.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

use std::process::ExitCode;

use tsm_core::error::Result;
use tsm_core::home::Home;
use tsm_core::name::ProcessName;
use tsm_core::store::ProcessStore;
use tsm_core::watch::{Change, Watch};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (Some(home), Some(name)) = (words.first(), words.get(1)) else {
        eprintln!("usage: watch HOME SERVICE [STATE]");
        return ExitCode::from(2);
    };
    match follow(&Home::at(home), name, words.get(2)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("watch: {error}");
            ExitCode::from(error.kind().exit_status())
        }
    }
}

fn follow(home: &Home, name: &str, until: Option<&String>) -> Result<()> {
    let name: ProcessName = name.parse()?;
    let store = ProcessStore::new(home.clone());
    // Watched first and read then, so that nothing happens in between unseen.
    let mut watch = tsm_core::watch(store.clone())?;
    let mut printed = store.history(&name)?.entries.len();
    println!("{name} is {}", state(&watch, &name));
    while until.is_none_or(|until| state(&watch, &name) != *until) {
        for change in watch.next_batch(None)? {
            match change {
                Change::Appeared(view) if view.name == name => println!("{name} is {}", view.state),
                Change::Changed { before, now } if now.name == name => {
                    // The history has why; an event is written before the state that comes of it.
                    printed = print_events(&store, &name, printed)?;
                    if before.state != now.state {
                        println!("{name}: {} -> {}", before.state, now.state);
                    }
                }
                Change::Removed(view) if view.name == name => {
                    println!("{name} is gone");
                    return Ok(());
                }
                Change::Supervised(true) => println!("a supervisor came"),
                Change::Supervised(false) => println!("the supervisor went"),
                _ => {}
            }
        }
    }
    print_events(&store, &name, printed).map(drop)
}

fn state(watch: &Watch, name: &ProcessName) -> String {
    let mut processes = watch.processes();
    let found = processes.find(|view| view.name == *name);
    found.map_or_else(|| "not there".to_owned(), |view| view.state.to_string())
}

/// Prints what the history has beyond the first `printed` lines, and returns how many it has now.
fn print_events(store: &ProcessStore, name: &ProcessName, printed: usize) -> Result<usize> {
    let history = store.history(name)?;
    // One that grew too large has lost its older half: then what is left has been printed, but for the last.
    let from = if printed <= history.entries.len() {
        printed
    } else {
        history.entries.len().saturating_sub(1)
    };
    for entry in &history.entries[from..] {
        println!("  {}", entry.raw);
    }
    Ok(history.entries.len())
}
