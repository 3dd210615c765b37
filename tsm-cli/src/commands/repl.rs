//! `tsm repl`.
//!
//! A line is parsed here, by the parser of the command line, and then run by a `tsm` of its own: so it prints what the
//! command prints, Ctrl-C ends it and not the shell, and nothing that it does to its own process (a supervisor in the
//! foreground, signals, descriptors) is left behind.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::process::{Command as Program, Stdio};

use tsm_core::error::ErrorKind;
use tsm_core::store::ProcessStore;
use tsm_repl::{Candidate, Commands, Options, status_number};

use super::complete::{Live, Source, Typed, Word, candidates};
use crate::app::{self, Context, Failure, Outcome};
use crate::args::{self, Command, Global, When};
use crate::output::complain;
use crate::usage::wrong_usage;

pub(crate) fn run(context: &Context, global: &Global) -> Outcome {
    let options = Options {
        store: context.store(),
        place: context.place(),
        colour: context.output.colour,
    };
    let mut commands = OwnCommands {
        store: context.store(),
        global: Global {
            // The working directory stays the same, but the home has been made absolute anyway.
            home: global
                .home
                .is_some()
                .then(|| context.home.root().to_owned()),
            ..global.clone()
        },
        interactive: io::stdin().is_terminal(),
        tsm: args::whole(),
        processes: OnceCell::new(),
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
    tsm: clap::Command,
    /// As they were when this line was begun: they are asked for with every key.
    processes: OnceCell<Vec<Word>>,
}

/// What takes the whole terminal, which the shell itself is reading.
const NOT_INSIDE: &[&str] = &["repl", "tui", "monit"];

impl Source for OwnCommands {
    fn processes(&self) -> Vec<Word> {
        let live = || Live { store: &self.store }.processes();
        self.processes.get_or_init(live).clone()
    }

    fn variables(&self, name: &str) -> Vec<String> {
        Live { store: &self.store }.variables(name)
    }

    fn declared(&self, file: Option<&str>) -> Vec<String> {
        Live { store: &self.store }.declared(file)
    }
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
    fn run(&mut self, words: Vec<OsString>, stdout: Option<Stdio>) -> u8 {
        let typed = std::iter::once("tsm".into()).chain(words.iter().cloned());
        let typed: Vec<OsString> = typed.collect();
        let cli = match app::parse(typed.clone()) {
            Ok(cli) => cli,
            Err(error) => return wrong_usage(&error, &typed),
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
        // Where the lines come from a file, a command must not read on in it.
        let stdin = if self.interactive {
            Stdio::inherit()
        } else {
            Stdio::null()
        };
        let status = std::env::current_exe().and_then(|program| {
            let mut program = Program::new(app::executable(program));
            program
                .args(self.inherited(&cli.global))
                .args(words)
                .stdin(stdin);
            if let Some(stdout) = stdout {
                program.stdout(stdout);
            }
            program.status()
        });
        match status {
            Ok(status) => status_number(status),
            Err(error) => {
                complain(format_args!("cannot run tsm: {error}"));
                ErrorKind::Failed.exit_status()
            }
        }
    }

    fn complete(&self, words: &[String]) -> Vec<Candidate> {
        let found = candidates(&self.tsm, words, self).into_iter();
        let found =
            found.filter(|(word, _)| words.len() > 1 || !NOT_INSIDE.contains(&word.as_str()));
        found
            .map(|(word, help)| Candidate::new(word, help))
            .collect()
    }

    fn is_command(&self, word: &str) -> bool {
        self.tsm.find_subcommand(word).is_some() && !NOT_INSIDE.contains(&word)
    }

    fn address(&self, words: Vec<OsString>, name: &str) -> Vec<OsString> {
        let texts: Vec<String> = words
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let typed = Typed::read(&self.tsm, &texts);
        // `list` alone shows all, and is not narrowed to the one that is in use; `start` alone
        // starts it again.
        let is_list = typed.path.first() == Some(&"list");
        if !typed.is_of_processes() || is_list || texts.iter().any(|word| word == "--help") {
            return words;
        }
        let says_which = match (&typed.path[..], typed.positionals.first()) {
            (_, None) => false,
            // The first word may be a variable, a signal or a number instead of a process.
            (["env", _] | ["signal" | "scale"], Some(first)) => self.exists(first),
            (_, Some(_)) => true,
        };
        if says_which {
            return words;
        }
        let at = typed.command_at + 1;
        let mut addressed = words;
        addressed.insert(at, name.into());
        addressed
    }

    fn exists(&self, name: &str) -> bool {
        // Read anew, since it may have come into being after this line was begun.
        let mut known = Live { store: &self.store }.processes().into_iter();
        known.any(|(word, _)| word == name)
    }

    fn refresh(&mut self) {
        self.processes.take();
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
            tsm: args::whole(),
            processes: OnceCell::new(),
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
            assert_eq!(commands().run(vec![word.into()], None), 2, "{word}");
            assert!(!commands().is_command(word));
        }
        assert!(commands().is_command("stop") && commands().is_command("ls"));
        assert!(commands().complete(&["mon".to_owned()]).is_empty());
    }

    #[test]
    fn the_process_in_use_is_named_where_none_is() {
        let home = tempfile::tempdir().unwrap();
        let home = Home::at(home.path());
        home.prepare().unwrap();
        let line = "script='x' pid= tsm_id=7 cwd='/'\n";
        std::fs::write(home.processes().join("db.meta"), line).unwrap();
        let commands = OwnCommands {
            store: ProcessStore::new(home),
            ..commands()
        };
        let addressed = |line: &str| {
            let words = line.split(' ').map(OsString::from).collect();
            let words = commands.address(words, "api").into_iter();
            words
                .collect::<Vec<_>>()
                .join(" ".as_ref())
                .into_string()
                .unwrap()
        };
        for (typed, meant) in [
            ("info", "info api"),
            ("logs -f --tail 3", "logs api -f --tail 3"),
            ("restart --env A=b", "restart api --env A=b"),
            ("stop db", "stop db"),
            ("stop @web", "stop @web"),
            ("env show", "env show api"),
            ("env show PATH", "env show api PATH"),
            ("env set A=b", "env set api A=b"),
            ("env set db A=b", "env set db A=b"),
            ("start", "start api"),
            ("start x.sh", "start x.sh"),
            ("list", "list"),
            ("stop --help", "stop --help"),
            ("supervisor stop", "supervisor stop"),
        ] {
            assert_eq!(addressed(typed), meant);
        }
    }
}
