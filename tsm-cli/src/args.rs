//! What may be typed.

mod care;
mod environment;
mod files;
mod keeping;
mod logging;
mod pages;
mod select;
mod start;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use care::{CareArgs, PortChoice, WaitArgs};
pub(crate) use environment::{EnvCommand, EnvFormat, EnvShowArgs};
pub(crate) use files::{ConfigCommand, ConfigFileArgs, ConfigImportArgs};
pub(crate) use keeping::{ImportArgs, ResurrectArgs, SaveArgs, StartupArgs, UnstartupArgs};
pub(crate) use logging::{LogOptions, LogsArgs};
pub(crate) use select::{
    DeleteArgs, InfoArgs, ListArgs, PortsArgs, SelectArgs, SignalArgs, StopArgs,
};
pub(crate) use start::{RestartArgs, ScaleArgs, StartArgs, StartKind, VariableArgs};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXIT_STATUSES: &str =
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 no such process, 4 already there or running,
5 the port is taken, 6 the supervisor cannot be reached or started, 7 timed out.";

/// Keep programs running: in the environment of this shell, through crashes, with their logs.
#[derive(Debug, Parser)]
#[command(name = "tsm", version, styles = STYLES, after_help = EXIT_STATUSES, after_long_help = pages::TSM, disable_help_subcommand = true, disable_version_flag = true)]
pub(crate) struct Cli {
    /// Print the version
    #[arg(short = 'V', short_alias = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The directory that holds everything [default: TSM_HOME, TSPM_HOME, $TETRA_DIR/tsm, ~/.tsm]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// When to use colours; NO_COLOR counts too
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Where the shell hook says what only the shell knows
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    pub(crate) shell_state: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

// Structs of arguments have `//` above them instead of `///`: clap would take a doc comment for the
// help of the command that they are part of.

/// All of the command line, with the arguments of every command; parsing needs only those of one.
pub(crate) fn whole() -> clap::Command {
    let mut whole = <Cli as clap::CommandFactory>::command();
    whole.build();
    whole
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Start a script, a program or a "quoted command line"; or known, stopped processes again
    #[command(after_long_help = pages::START)]
    Start(Box<StartArgs>),
    /// Ask processes to end, and end what is left after the time-out
    #[command(after_long_help = pages::STOP)]
    Stop(StopArgs),
    /// Stop with SIGKILL at once
    #[command(after_long_help = pages::KILL)]
    Kill(SelectArgs),
    /// Stop and start again in the same environment, or with --update-env in that of this shell
    #[command(after_long_help = pages::RESTART)]
    Restart(RestartArgs),
    /// Run so many instances of a process: 4, max, +2 or -1
    #[command(after_long_help = pages::SCALE)]
    Scale(ScaleArgs),
    /// Stop processes and remove their records and logs; asks on a terminal where a glob or `all` is meant
    #[command(visible_alias = "rm", alias = "del", after_long_help = pages::DELETE)]
    Delete(DeleteArgs),
    /// Send a signal to main processes, as `tsm signal api HUP`
    #[command(alias = "sendsignal", after_long_help = pages::SIGNAL)]
    Signal(SignalArgs),
    /// Ask processes to read their configuration anew: SIGHUP, or their --reload-signal
    #[command(after_long_help = pages::RELOAD)]
    Reload(SelectArgs),
    /// Show all processes, a line each
    #[command(visible_alias = "ls", aliases = ["ps", "status"], after_long_help = pages::LIST)]
    List(ListArgs),
    /// Show a process in full
    #[command(visible_alias = "describe", aliases = ["desc", "show"], after_long_help = pages::INFO)]
    Info(InfoArgs),
    /// Show the ports that processes declare, those that they really listen on, and who else has one
    #[command(after_long_help = pages::PORTS)]
    Ports(PortsArgs),
    /// Show what processes printed
    #[command(after_long_help = pages::LOGS)]
    Logs(LogsArgs),
    /// Say why processes are as they are: a sentence, and the evidence
    #[command(after_long_help = pages::WHY)]
    Why(InfoArgs),
    /// Show all that happened to a process
    #[command(after_long_help = pages::HISTORY)]
    History(crate::commands::history::HistoryArgs),
    /// Say what is wrong with the home, and the remedies; exits 1 where something is
    #[command(after_long_help = pages::DOCTOR)]
    Doctor(crate::commands::doctor::DoctorArgs),
    /// Count restarts anew, and start at once what waits for its next one
    #[command(after_long_help = pages::RESET)]
    Reset(SelectArgs),
    /// Make what is in the logs of processes a segment of its own
    #[command(after_long_help = pages::ROTATE)]
    Rotate(SelectArgs),
    /// Empty the logs of processes
    #[command(after_long_help = pages::FLUSH)]
    Flush(SelectArgs),
    /// Open the log files of processes again by name, after another program renamed them
    #[command(after_long_help = pages::REOPEN)]
    Reopen(SelectArgs),
    /// Show, compare and change the environment of a process
    #[command(subcommand, after_long_help = pages::ENV)]
    Env(EnvCommand),
    /// Write down what there is and what should run, for `resurrect`
    #[command(after_long_help = pages::SAVE)]
    Save(SaveArgs),
    /// Start what should run, be the supervisor, and stay in the foreground; --detach returns
    #[command(
        after_help = "The records decide: what should have run when the machine went down runs again. The dump that `tsm save` wrote
adds what has no record any more. SIGTERM or SIGINT stop all services in order, then this ends.",
        after_long_help = pages::RESURRECT
    )]
    Resurrect(ResurrectArgs),
    /// Bring in what another manager ran: a dump of TSPM, PM2's dump.pm2, or a Procfile
    #[command(after_long_help = pages::IMPORT)]
    Import(ImportArgs),
    /// Start what should run at every boot, and hand what runs over to the init system
    #[command(
        after_help = "As root: a system unit that runs as the user who called sudo, or -u. Else: a unit of your own systemd.
Platforms: systemd, openrc, cron; without one, the first that this machine runs.",
        after_long_help = pages::STARTUP
    )]
    Startup(StartupArgs),
    /// Undo `startup`; what runs goes on
    #[command(after_long_help = pages::UNSTARTUP)]
    Unstartup(UnstartupArgs),
    /// Check, describe and import config files; starts nothing
    #[command(subcommand, after_long_help = pages::CONFIG)]
    Config(ConfigCommand),
    /// Open an interactive shell of these commands; reads them from standard input where that is no terminal
    #[command(after_long_help = pages::REPL)]
    Repl,
    /// Open a dashboard: all processes, their logs, and keys to start and stop them
    #[command(
        visible_alias = "monit",
        after_help = "`?` shows the keys. TSM_THEME=light or dark tells of the background where the terminal does not.",
        after_long_help = pages::TUI
    )]
    Tui,
    /// Print the shell hook, to be evaluated: eval "$(tsm init bash)"; fish: tsm init fish | source
    #[command(
        after_help = "With it, `tsm start` hands over what only the shell knows: functions, arrays, aliases, options.",
        after_long_help = pages::INIT
    )]
    Init {
        /// bash, zsh or fish
        shell: HookShell,
    },
    /// Print completions alone, to be evaluated; the shell hook has them too
    #[command(after_long_help = pages::COMPLETIONS)]
    Completions {
        /// bash, zsh or fish
        shell: HookShell,
    },
    /// Print the JSON Schema of what a command prints with --json; without a name, list them
    #[command(after_long_help = pages::SCHEMA)]
    Schema {
        /// Of which document
        #[arg(value_name = "DOCUMENT")]
        document: Option<String>,
    },
    /// Write the manual pages into a directory
    #[command(after_long_help = pages::MAN)]
    Man(ManArgs),
    /// What the word that is being typed may become, one a line
    #[command(name = "__complete", hide = true)]
    Complete {
        /// The words up to the cursor
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Look after the supervisor itself; other commands start it when they need it
    #[command(subcommand, after_long_help = pages::SUPERVISOR)]
    Supervisor(SupervisorCommand),
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Where to: a page for each command, as tsm-start.1
    #[arg(value_name = "DIR", required_unless_present = "print")]
    pub(crate) directory: Option<PathBuf>,
    /// Print the page of this command instead, as `env show`; `tsm`: the one of all
    #[arg(long, value_name = "COMMAND", conflicts_with = "directory")]
    pub(crate) print: Option<String>,
}

/// The shells that there is a hook for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookShell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SupervisorCommand {
    /// Say whether it runs, and since when; starts nothing
    #[command(after_long_help = pages::SUPERVISOR_STATUS)]
    Status {
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Start it in the background, where none runs
    #[command(after_long_help = pages::SUPERVISOR_START)]
    Start,
    /// End it and leave the services up
    #[command(after_long_help = pages::SUPERVISOR_STOP)]
    Stop,
    /// Let it go on as this very tsm, in the same process; services, requests and logs notice nothing
    #[command(after_long_help = pages::SUPERVISOR_UPGRADE)]
    Upgrade,
    /// Be it, in the foreground, in the place of one that is there
    #[command(after_long_help = pages::SUPERVISOR_RUN)]
    Run,
}
