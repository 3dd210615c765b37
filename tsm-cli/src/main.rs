//! `tsm`: the command line of TSM, the Tetra Services Manager.

mod app;
mod args;
mod arrange;
mod commands;
mod output;
#[cfg(test)]
mod reference;
mod table;
mod usage;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    app::run(&words)
}
