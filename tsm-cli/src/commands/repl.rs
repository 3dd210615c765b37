//! `tsm repl`.
//!
//! A line is parsed here, by the parser of the command line, and then run by a `tsm` of its own: so it prints what the
//! command prints, Ctrl-C ends it and not the shell, and nothing that it does to its own process (a supervisor in the
//! foreground, signals, descriptors) is left behind.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::process::{Command as Program, Stdio};

use clap::CommandFactory as _;
use tsm_core::error::ErrorKind;
use tsm_core::store::ProcessStore;
use tsm_repl::{Commands, Options, status_number};

use crate::app::{self, Context, Failure, Outcome};
use crate::args::{Cli, Command, Global, When};
use crate::output::complain;

pub(crate) fn run(context: &Context, global: &Global) -> Outcome {
    let options = Options {
        store: context.store(),
        place: context.place(),
        colour: context.output.colour,
    };
    let mut commands = OwnCommands {
        store: context.store(),
        global: Global {
            // The working directory stays, but the home was made absolute anyway.
            home: global
                .home
                .is_some()
                .then(|| context.home.root().to_owned()),
            ..global.clone()
        },
        interactive: io::stdin().is_terminal(),
    };
    let status = match tsm_repl::run(&options, &mut commands) {
        Ok(status) => status,
        Err(error) => {
            complain(format_args!("cannot read what is typed: {error}"));
            return Err(Failure::Told(ErrorKind::Failed));
        }
    };
    if status == 0 {
        Ok(())
    } else {
        Err(Failure::Status(status))
    }
}

/// All commands of `tsm`, but for those that take the whole terminal.
struct OwnCommands {
    store: ProcessStore,
    /// The options that the shell itself was given; they hold for each line that does not say otherwise.
    global: Global,
    interactive: bool,
}

impl OwnCommands {
    /// The options of the shell that a line does not set itself.
    fn inherited(&self, line: &Global) -> Vec<OsString> {
        let mut options: Vec<OsString> = Vec::new();
        if let (Some(home), None) = (&self.global.home, &line.home) {
            options.extend(["--home".into(), home.into()]);
        }
        if line.color == When::Auto {
            match self.global.color {
                When::Auto => {}
                When::Always => options.push("--color=always".into()),
                When::Never => options.push("--color=never".into()),
            }
        }
        if self.global.quiet && !line.quiet {
            options.push("--quiet".into());
        }
        options
    }
}

impl Commands for OwnCommands {
    fn run(&mut self, words: Vec<OsString>) -> u8 {
        let typed = std::iter::once("tsm".into()).chain(words.iter().cloned());
        let cli = match app::parse(typed.collect()) {
            Ok(cli) => cli,
            Err(error) => return app::wrong_usage(&error),
        };
        if let Some(command @ (Command::Repl | Command::Tui)) = cli.command {
            let name = if matches!(command, Command::Repl) {
                "repl"
            } else {
                "tui"
            };
            complain(format_args!(
                "'{name}' does not run inside the REPL; leave it with 'exit' first"
            ));
            return ErrorKind::Usage.exit_status();
        }
        // Where lines come from a file, it is ours alone.
        let stdin = if self.interactive {
            Stdio::inherit()
        } else {
            Stdio::null()
        };
        let status = std::env::current_exe().and_then(|program| {
            Program::new(app::executable(program))
                .args(self.inherited(&cli.global))
                .args(words)
                .stdin(stdin)
                .status()
        });
        match status {
            Ok(status) => status_number(status),
            Err(error) => {
                complain(format_args!("cannot run tsm: {error}"));
                ErrorKind::Failed.exit_status()
            }
        }
    }

    fn names(&self) -> Vec<String> {
        // Where the home cannot be read there is nothing to complete; the next command says why.
        let names = self.store.names().unwrap_or_default();
        names.into_iter().map(String::from).collect()
    }

    fn commands(&self) -> Vec<String> {
        let tsm = Cli::command();
        let names = tsm
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .flat_map(|command| {
                std::iter::once(command.get_name()).chain(command.get_visible_aliases())
            })
            .filter(|name| !["repl", "tui", "monit"].contains(name));
        names.map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsm_core::home::Home;

    fn commands() -> OwnCommands {
        let cli = app::parse(vec![
            "tsm".into(),
            "--home".into(),
            "/a".into(),
            "repl".into(),
            "-q".into(),
        ]);
        OwnCommands {
            store: ProcessStore::new(Home::at("/a")),
            global: cli.unwrap().global,
            interactive: false,
        }
    }

    #[test]
    fn a_line_has_the_options_of_the_shell_unless_it_says_otherwise() {
        let inherited = |words: &[&str]| {
            let words = words.iter().map(OsString::from).collect();
            commands().inherited(&app::parse(words).unwrap().global)
        };
        assert_eq!(inherited(&["tsm", "list"]), ["--home", "/a", "--quiet"]);
        assert_eq!(inherited(&["tsm", "list", "--home", "/b"]), ["--quiet"]);
    }

    #[test]
    fn what_takes_the_whole_terminal_is_refused() {
        for word in ["repl", "tui", "monit"] {
            assert_eq!(commands().run(vec![word.into()]), 2, "{word}");
        }
        let known = commands().commands();
        assert!(known.contains(&"stop".to_owned()) && known.contains(&"ls".to_owned()));
        assert!(!known.contains(&"monit".to_owned()));
    }
}
