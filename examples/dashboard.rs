//! A little dashboard of its own over `tsm-core`: drawn anew whenever something changes, and at no other time.
//!
//! ```console
//! $ cargo run -p tsm-core --example dashboard -- ~/.tsm
//! ```
//!
//! With a number behind the home it ends after that many changes.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

use std::process::ExitCode;

use tsm_core::error::Result;
use tsm_core::home::Home;
use tsm_core::store::ProcessStore;
use tsm_core::watch::{Change, Watch};
use tsm_core::words::duration;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(home) = words.first() else {
        eprintln!("usage: dashboard HOME [CHANGES]");
        return ExitCode::from(2);
    };
    let changes = words.get(1).and_then(|word| word.parse().ok());
    match run(&Home::at(home), changes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dashboard: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(home: &Home, changes: Option<usize>) -> Result<()> {
    let mut watch = tsm_core::watch(ProcessStore::new(home.clone()))?.with_logs()?;
    let mut last = Vec::new();
    draw(&watch, &last);
    let mut seen = 0;
    while changes.is_none_or(|changes| seen < changes) {
        let batch = watch.next_batch(None)?;
        seen += batch.len();
        last = batch.iter().map(in_words).collect();
        draw(&watch, &last);
    }
    Ok(())
}

fn draw(watch: &Watch, last: &[String]) {
    // Home, and clear what is below: no flicker, and no library.
    print!("\x1b[H\x1b[J");
    let supervisor = if watch.is_supervised() {
        "a supervisor"
    } else {
        "no supervisor"
    };
    println!("{} processes, {supervisor}\n", watch.processes().len());
    for view in watch.processes() {
        let pid = view
            .pid
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let name = view.name.as_str();
        println!(
            "{:>4}  {name:<24} {:<12} {pid:>8}  {:>3} restarts",
            view.id, view.state, view.restarts
        );
    }
    println!();
    for line in last {
        println!("{line}");
    }
}

fn in_words(change: &Change) -> String {
    match change {
        Change::Appeared(view) => format!("{} is new", view.name),
        Change::Changed { before, now } if before.state != now.state => {
            let after = before
                .uptime_ms
                .map(|ms| format!(" after {}", duration(ms)));
            let after = after.filter(|_| before.pid.is_some() && now.pid.is_none());
            format!(
                "{}: {} -> {}{}",
                now.name,
                before.state,
                now.state,
                after.unwrap_or_default()
            )
        }
        Change::Changed { now, .. } => format!("{} changed", now.name),
        Change::Removed(view) => format!("{} is gone", view.name),
        Change::LogGrew {
            name,
            stream,
            bytes,
        } => format!("{name} printed ({stream:?}, {bytes} bytes by now)"),
        Change::Supervised(true) => "a supervisor came".to_owned(),
        Change::Supervised(false) => "the supervisor went".to_owned(),
        _ => String::new(),
    }
}
