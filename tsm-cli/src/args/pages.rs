//! What stands below the options in `tsm COMMAND --help`: how the command is used, and its exit statuses.
//!
//! Tests require that every command has such a page, and that the parser takes each line of it.

/// Examples, then what else is to be said, then the exit statuses.
macro_rules! page {
    ($($example:literal)+ $(; $more:literal)?) => {
        concat!(
            "Examples:\n", $("  ", $example, "\n",)+
            $("\n", $more, "\n",)?
            "\nExit status:\n  ",
            "0 done; 1 failed; 2 wrong usage; 3 no such process; 4 already there or already running;\n  ",
            "5 the port is taken; 6 the supervisor cannot be reached or started; 7 timed out",
        )
    };
}

pub(super) const TSM: &str = page! {
    r#"tsm start server.sh --name api --port 4001   # run it, in the environment of this shell"#
    r#"tsm list                                     # what runs"#
    r#"tsm logs api -f                              # what it prints"#
    r#"tsm startup                                  # all of it again at every boot"#
};

pub(super) const START: &str = page! {
    r#"tsm start server.sh --name api --port 4001"#
    r#"tsm start "npm run dev" --name web --watch=src"#
    r#"tsm start --name files -- python3 -m http.server 8000"#
    r#"tsm start ./api.js --port 4000 --instances 4 --wait=20s"#
    r#"tsm start api worker         # known, stopped ones again, in the environment that they had"#
    r#"tsm start -c tspm.yaml       # what a config file declares; 'tsm config schema' has its keys"#
};

pub(super) const STOP: &str = page! {
    r#"tsm stop api                 # SIGTERM, after its time-out SIGKILL; returns when nothing of it is left"#
    r#"tsm stop 'api-*' @web 3      # a glob, a namespace, an ID"#
    r#"tsm stop all"#
    r#"tsm stop api --force         # SIGKILL at once"#
};

pub(super) const KILL: &str = page! {
    r#"tsm kill api"#
    r#"tsm kill --all"#
};

pub(super) const RESTART: &str = page! {
    r#"tsm restart api              # in the environment that it has"#
    r#"tsm restart api --update-env # in that of this shell"#
    r#"tsm restart api --env LOG_LEVEL=debug --wait"#
};

pub(super) const SCALE: &str = page! {
    r#"tsm scale api 4"#
    r#"tsm scale api +2 --wait=20s"#
    r#"tsm scale api max            # as many as there are cores"#
};

pub(super) const DELETE: &str = page! {
    r#"tsm delete api"#
    r#"tsm delete api --keep-logs"#
    r#"tsm delete '@old' -y         # without being asked"#
};

pub(super) const SIGNAL: &str = page! {
    r#"tsm signal api HUP"#
    r#"tsm signal @web USR1"#
    r#"tsm signal api INT --group   # to its whole process group"#
};

pub(super) const RELOAD: &str = page! {
    r#"tsm reload nginx             # SIGHUP, or the --reload-signal of its start"#
    r#"tsm reload --all"#
};

pub(super) const LIST: &str = page! {
    r#"tsm list"#
    r#"tsm list @web 'api-*'"#
    r#"tsm list --json --fast       # for programs; 'tsm schema list' says what it prints"#
};

pub(super) const INFO: &str = page! {
    r#"tsm info api"#
    r#"tsm info api --json"#
};

pub(super) const PORTS: &str = page! {
    r#"tsm ports"#
    r#"tsm ports api --json"#
};

pub(super) const LOGS: &str = page! {
    r#"tsm logs api worker -n 50 -f # both, merged by time, and what comes from now on"#
    r#"tsm logs api --since 10m --grep 'GET /api'"#
    r#"tsm logs api --err --since last-start -t"#
    r#"tsm logs --json --tail 100   # an object a line"#
};

pub(super) const WHY: &str = page! {
    r#"tsm why api"#
    r#"tsm why all --json"#
};

pub(super) const HISTORY: &str = page! {
    r#"tsm history api"#
    r#"tsm history api -n 20 --json"#
};

pub(super) const DOCTOR: &str = page! {
    r#"tsm doctor"#
    r#"tsm doctor --fix             # mend what is safe, and say what was done"#
    ; "It exits 1 where something is wrong that is not mended."
};

pub(super) const RESET: &str = page! {
    r#"tsm reset api"#
    r#"tsm reset --all"#
};

pub(super) const ROTATE: &str = page! {
    r#"tsm rotate api"#
    r#"tsm rotate --all"#
};

pub(super) const FLUSH: &str = page! {
    r#"tsm flush api"#
    r#"tsm flush @web"#
};

pub(super) const REOPEN: &str = page! {
    r#"tsm reopen api               # in the 'postrotate' of logrotate"#
    r#"tsm reopen --all"#
};

pub(super) const ENV: &str = page! {
    r#"tsm env show api"#
    r#"tsm env diff api"#
    r#"tsm env set api LOG_LEVEL=debug"#
};

pub(super) const ENV_SHOW: &str = page! {
    r#"tsm env show api"#
    r#"tsm env show api PATH HOME"#
    r#"tsm env show api --format dotenv --reveal > api.env"#
};

pub(super) const ENV_DIFF: &str = page! {
    r#"tsm env diff api             # against this shell"#
    r#"tsm env diff api worker"#
    ; "It exits 1 where something differs, and 2 where that cannot be told."
};

pub(super) const ENV_SET: &str = page! {
    r#"tsm env set api LOG_LEVEL=debug WORKERS=4"#
    r#"tsm restart api              # then it acts"#
};

pub(super) const ENV_UNSET: &str = page! {
    r#"tsm env unset api LOG_LEVEL"#
};

pub(super) const ENV_EDIT: &str = page! {
    r#"tsm env edit api"#
};

pub(super) const SAVE: &str = page! {
    r#"tsm save"#
    r#"tsm save --to services.json  # somewhere else"#
};

pub(super) const RESURRECT: &str = page! {
    r#"tsm resurrect -d             # start what should run, and return"#
    r#"tsm resurrect                # the same, and be the supervisor in the foreground"#
    r#"tsm resurrect -d --from ~/.pm2/dump.pm2"#
    r#"tsm resurrect --dry-run"#
    ; "The records decide: what should have run when the machine went down runs again. The dump that `tsm save` wrote
adds what has no record any more. SIGTERM or SIGINT stop all services in order, then this ends."
};

pub(super) const IMPORT: &str = page! {
    r#"tsm import ~/.pm2/dump.pm2 --dry-run"#
    r#"tsm import ~/.pm2/dump.pm2 --start"#
    r#"tsm import Procfile"#
};

pub(super) const STARTUP: &str = page! {
    r#"sudo tsm startup             # a unit of the system, that runs as you"#
    r#"tsm startup                  # a unit of your own systemd, without root"#
    r#"tsm startup --print          # only show what would be done"#
    ; "As root: a system unit that runs as the user who called sudo, or -u. Else: a unit of your own systemd.
Platforms: systemd, openrc, cron; without one, the first that this machine runs."
};

pub(super) const UNSTARTUP: &str = page! {
    r#"tsm unstartup"#
    r#"sudo tsm unstartup"#
};

pub(super) const CONFIG: &str = page! {
    r#"tsm config check tspm.yaml"#
    r#"tsm config schema > tspm.schema.json"#
    r#"tsm config import ecosystem.config.js -o tspm.yaml"#
};

pub(super) const CONFIG_CHECK: &str = page! {
    r#"tsm config check"#
    r#"tsm config check tspm.yaml --profile production"#
};

pub(super) const CONFIG_SCHEMA: &str = page! {
    r#"tsm config schema > tspm.schema.json"#
};

pub(super) const CONFIG_IMPORT: &str = page! {
    r#"tsm config import            # what is in this directory, printed"#
    r#"tsm config import Procfile -o tspm.yaml"#
};

pub(super) const REPL: &str = page! {
    r#"tsm repl"#
    r#"tsm repl < commands.txt      # a command a line"#
};

pub(super) const TUI: &str = page! {
    r#"tsm tui                      # ? shows the keys"#
    ; "TSM_THEME=light or dark tells of the background where the terminal does not."
};

pub(super) const INIT: &str = page! {
    r#"eval "$(tsm init bash)"      # in ~/.bashrc"#
    r#"eval "$(tsm init zsh)"       # in ~/.zshrc"#
    r#"tsm init fish | source       # in ~/.config/fish/config.fish"#
    ; "With it, `tsm start` hands over what only the shell knows: functions, arrays, aliases, options."
};

pub(super) const COMPLETIONS: &str = page! {
    r#"eval "$(tsm completions bash)""#
    r#"tsm completions fish | source"#
};

pub(super) const MAN: &str = page! {
    r#"tsm man ~/.local/share/man/man1"#
    r#"tsm man --print start | man -l -"#
};

pub(super) const SCHEMA: &str = page! {
    r#"tsm schema                   # what there is"#
    r#"tsm schema list"#
    r#"tsm schema info > info.schema.json"#
};

pub(super) const SUPERVISOR: &str = page! {
    r#"tsm supervisor status"#
    r#"tsm supervisor upgrade"#
    r#"tsm supervisor stop          # services go on"#
};

pub(super) const SUPERVISOR_STATUS: &str = page! {
    r#"tsm supervisor status"#
    r#"tsm supervisor status --json"#
};

pub(super) const SUPERVISOR_START: &str = page! {
    r#"tsm supervisor start"#
};

pub(super) const SUPERVISOR_STOP: &str = page! {
    r#"tsm supervisor stop          # services go on; the next command that changes something starts it again"#
};

pub(super) const SUPERVISOR_UPGRADE: &str = page! {
    r#"tsm supervisor upgrade       # after a new tsm was installed"#
};

pub(super) const SUPERVISOR_RUN: &str = page! {
    r#"tsm supervisor run           # in a container, or under another init"#
};

#[cfg(test)]
mod tests {
    use crate::app::parse;
    use crate::args::whole;

    /// The examples of a page, without what is said of each.
    fn examples(page: &str) -> Vec<String> {
        let lines = page.lines().skip_while(|line| *line != "Examples:").skip(1);
        let lines = lines.take_while(|line| !line.is_empty());
        lines
            .map(|line| line.split("  #").next().unwrap_or(line).trim().to_owned())
            .map(|line| line.split(" # ").next().unwrap_or(&line).trim().to_owned())
            .collect()
    }

    /// The words that `tsm` gets of a line of shell.
    fn words(line: &str) -> Vec<String> {
        let line = line.trim_start_matches("sudo ");
        let line = line
            .strip_prefix("eval \"$(")
            .map_or(line, |line| line.strip_suffix(")\"").unwrap_or(line));
        let words = shlex::split(line).unwrap();
        let of_the_shell = |word: &String| ["|", ">", "<"].contains(&word.as_str());
        words
            .into_iter()
            .take_while(|word| !of_the_shell(word))
            .collect()
    }

    fn look(command: &clap::Command, path: &[&str]) {
        let page = command.get_after_long_help().map(ToString::to_string);
        let page = page.unwrap_or_default();
        let examples = examples(&page);
        assert!(!examples.is_empty(), "{path:?} has no example");
        assert!(page.contains("\nExit status:\n"), "{path:?}");
        for example in &examples {
            let words = words(example);
            assert_eq!(words[0], "tsm", "{example}");
            if let Err(error) = parse(words.iter().map(Into::into).collect()) {
                panic!("{example}: {error}");
            }
        }
        let is_of_it = |example: &String| {
            let words = words(example);
            words[1..].starts_with(&path.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert!(
            examples.iter().any(is_of_it),
            "no example of {path:?} uses it"
        );
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            look(sub, &[path, &[sub.get_name()]].concat());
        }
    }

    #[test]
    fn every_command_has_examples_that_the_parser_takes() {
        look(&whole(), &[]);
    }

    #[test]
    fn what_a_command_says_of_itself_is_not_what_its_arguments_say() {
        let whole = whole();
        for sub in <crate::args::Cli as clap::CommandFactory>::command().get_subcommands() {
            let built = whole.find_subcommand(sub.get_name()).unwrap();
            let about = |command: &clap::Command| command.get_about().map(ToString::to_string);
            assert_eq!(about(built), about(sub), "{}", sub.get_name());
            assert_eq!(
                built.get_long_about().map(ToString::to_string),
                sub.get_long_about().map(ToString::to_string)
            );
        }
    }

    #[test]
    fn lines_are_no_wider_than_help_is_wrapped_at() {
        fn look(command: &clap::Command) {
            let page = command.get_after_long_help().map(ToString::to_string);
            for line in page.unwrap_or_default().lines() {
                assert!(line.chars().count() <= 120, "{line}");
            }
            command.get_subcommands().for_each(look);
        }
        look(&whole());
    }
}
