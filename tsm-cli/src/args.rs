//! What may be typed.

mod care;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tsm_core::config::Count;
use tsm_core::name::ProcessName;
use tsm_core::spec::{CpuShare, RestartPolicy, ServiceLimits, parse_duration, parse_size};
use tsm_core::sys::Signal;

mod logging;

pub(crate) use care::{CareArgs, PortChoice, WaitArgs};
pub(crate) use logging::{LogOptions, LogsArgs};

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
#[command(name = "tsm", version, styles = STYLES, after_help = EXIT_STATUSES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Clone, Args)]
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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a script, a program or a "quoted command line"; or known, stopped processes again
    #[command(after_help = "Examples:
  tsm start server.sh --name api --port 4001
  tsm start \"npm run dev\" --name web
  tsm start --name files -- python3 -m http.server 8000
  tsm start api worker            start these two again, in the environment that they had
  tsm start -c tspm.yaml          what a config file declares; `tsm config schema` has its keys")]
    Start(Box<StartArgs>),
    /// Ask processes to end, and end what is left after the time-out
    Stop(StopArgs),
    /// Stop with SIGKILL at once
    Kill(SelectArgs),
    /// Stop and start again in the same environment, or with --update-env in that of this shell
    Restart(RestartArgs),
    /// So many instances of a process: 4, max, +2 or -1
    Scale(ScaleArgs),
    /// Stop and remove all files; asks on a terminal where a glob or `all` is meant
    #[command(visible_alias = "rm", alias = "del")]
    Delete(DeleteArgs),
    /// Send a signal to main processes, as `tsm signal api HUP`
    #[command(alias = "sendsignal")]
    Signal(SignalArgs),
    /// Ask processes to read their configuration anew: SIGHUP, or their --reload-signal
    Reload(SelectArgs),
    /// All processes
    #[command(visible_alias = "ls", alias = "ps")]
    List(ListArgs),
    /// One process in full
    #[command(visible_alias = "describe", aliases = ["desc", "show"])]
    Info(InfoArgs),
    /// The ports that processes declare, those that they really listen on, and who else has one
    Ports(PortsArgs),
    /// What processes printed
    Logs(LogsArgs),
    /// Why processes are as they are: a sentence, and the evidence
    Why(InfoArgs),
    /// All that happened to a process
    History(crate::commands::history::HistoryArgs),
    /// What is wrong with the home, and the remedies; exits 1 where something is
    Doctor(crate::commands::doctor::DoctorArgs),
    /// Count restarts anew, and start at once what waits for its next one
    Reset(SelectArgs),
    /// Make what is in the logs of processes a segment of its own
    Rotate(SelectArgs),
    /// Empty the logs of processes
    Flush(SelectArgs),
    /// Open the log files of processes again by name, after another program renamed them
    Reopen(SelectArgs),
    /// The environment of a process: show, compare, change
    #[command(subcommand)]
    Env(EnvCommand),
    /// Write down what there is and what should run, for `resurrect`
    Save(SaveArgs),
    /// Start what should run, be the supervisor, and stay in the foreground; --detach returns
    #[command(
        after_help = "The records decide: what should have run when the machine went down runs again. The dump that `tsm save` wrote
adds what has no record any more. SIGTERM or SIGINT stop all services in order, then this ends."
    )]
    Resurrect(ResurrectArgs),
    /// Bring in what another manager ran: a dump of TSPM, PM2's dump.pm2, or a Procfile
    Import(ImportArgs),
    /// Start what should run at every boot, and hand what runs over to the init system
    #[command(
        after_help = "As root: a system unit that runs as the user who called sudo, or -u. Else: a unit of your own systemd.
Platforms: systemd, openrc, cron; without one, the first that this machine runs."
    )]
    Startup(StartupArgs),
    /// Undo `startup`; what runs goes on
    Unstartup(UnstartupArgs),
    /// Look at a config file without starting anything
    #[command(subcommand)]
    Config(ConfigCommand),
    /// An interactive shell of these commands; reads them from standard input where that is no terminal
    Repl,
    /// A dashboard: all processes, their logs, and keys to start and stop them
    #[command(visible_alias = "monit")]
    Tui,
    /// The shell hook, to be evaluated: eval "$(tsm init bash)"; fish: tsm init fish | source
    #[command(
        after_help = "With it, `tsm start` hands over what only the shell knows: functions, arrays, aliases, options."
    )]
    Init {
        /// bash, zsh or fish
        shell: HookShell,
    },
    /// Completions alone, to be evaluated; the shell hook has them too
    Completions {
        /// bash, zsh or fish
        shell: HookShell,
    },
    /// What the word that is being typed may become, one a line
    #[command(name = "__complete", hide = true)]
    Complete {
        /// The words up to the cursor
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// The supervisor itself; other commands start it when they need it
    #[command(subcommand)]
    Supervisor(SupervisorCommand),
}

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Its name [default: the file's stem, made unique]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) name: Option<ProcessName>,
    /// The port that it listens on, handed to it as PORT; auto: one that nobody has
    #[arg(long, value_name = "PORT|auto")]
    pub(crate) port: Option<PortChoice>,
    /// Where it runs [default: this directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    /// What executes the file, with arguments; `none`: the file itself
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) interpreter: Option<String>,
    /// When it is started again by itself: no, on-failure, always
    #[arg(long, value_name = "POLICY", default_value = "on-failure")]
    pub(crate) restart: RestartPolicy,
    /// Give up after so many restarts in a row [default: never]
    #[arg(long, value_name = "N")]
    pub(crate) max_restarts: Option<u32>,
    /// The signal that asks it to end [default: TERM]
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<Signal>,
    /// How long a stop waits before SIGKILL [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) stop_timeout: Option<Duration>,
    /// The signal by which `tsm reload` asks it to read its configuration anew [default: HUP]
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) reload_signal: Option<Signal>,
    /// What it is: `service`, which stays in the foreground, or `daemon`, which puts itself into the background
    #[arg(long = "type", value_name = "TYPE", default_value = "service")]
    pub(crate) kind: StartKind,
    /// The file that a daemon writes its pid into; without, what is left of it is followed
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) care: CareArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// A label to select it by, as @NAME
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<ProcessName>,
    /// The user that it runs as; only root may say so
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// So many of it, as NAME@0, NAME@1 …, or `max`: as many as there are cores. With --port, each has a port of its own,
    /// from that one on
    #[arg(long, short = 'i', value_name = "N")]
    pub(crate) instances: Option<Count>,
    #[command(flatten)]
    pub(crate) file: ApplyArgs,
    #[command(flatten)]
    pub(crate) logs: LogOptions,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// What stands behind `--` is a target, whatever it looks like
    #[arg(long, hide = true)]
    pub(crate) literal_target: bool,
    /// A script, a program on PATH, or a quoted command line, and its arguments; or names of known processes
    #[arg(value_name = "TARGET [ARG]")]
    pub(crate) words: Vec<OsString>,
}

impl StartArgs {
    /// An option that only makes sense for something new, if one was given.
    pub(crate) fn spec_option(&self) -> Option<&'static str> {
        let given = [
            ("--port", self.port.is_some()),
            ("--cwd", self.cwd.is_some()),
            ("--env", !self.variables.env.is_empty()),
            ("--env-file", !self.variables.env_file.is_empty()),
            ("--interpreter", self.interpreter.is_some()),
            ("--restart", self.restart != RestartPolicy::OnFailure),
            ("--max-restarts", self.max_restarts.is_some()),
            ("--stop-signal", self.stop_signal.is_some()),
            ("--stop-timeout", self.stop_timeout.is_some()),
            ("--reload-signal", self.reload_signal.is_some()),
            ("--type", self.kind != StartKind::Service),
            ("--pid-file", self.pid_file.is_some()),
            ("--max-memory", self.limits.max_memory.is_some()),
            ("--max-cpu", self.limits.max_cpu.is_some()),
            ("--tasks", self.limits.tasks.is_some()),
            ("--nofile", self.limits.nofile.is_some()),
            ("--nice", self.limits.nice.is_some()),
            ("--oom-score-adj", self.limits.oom_score_adj.is_some()),
            ("--namespace", self.namespace.is_some()),
            ("--user", self.user.is_some()),
            ("--instances", self.instances.is_some()),
        ];
        given
            .into_iter()
            .chain(self.logs.given())
            .find(|(_, given)| *given)
            .map(|(option, _)| option)
            .or_else(|| self.care.given())
    }
}

/// How a program behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StartKind {
    #[value(alias = "cli")]
    Service,
    Daemon,
}

/// What a service may use.
#[derive(Debug, Default, Args)]
pub(crate) struct LimitArgs {
    /// Memory of all its processes, such as 512M: above that it is ended as a failure
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) max_memory: Option<u64>,
    /// CPU time in cores, such as 1.5 or 50%; only where it has a cgroup of its own
    #[arg(long, value_name = "CORES")]
    pub(crate) max_cpu: Option<CpuShare>,
    /// Processes and threads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tasks: Option<u32>,
    /// Open files of each of its processes
    #[arg(long, value_name = "N")]
    pub(crate) nofile: Option<u64>,
    /// Its nice value, from -20 (first) to 19 (last)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-20..20))]
    pub(crate) nice: Option<i32>,
    /// How soon the kernel's OOM killer takes it, from -1000 (never) to 1000 (first)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    pub(crate) oom_score_adj: Option<i32>,
}

impl LimitArgs {
    pub(crate) fn to_limits(&self) -> ServiceLimits {
        ServiceLimits {
            memory: self.max_memory,
            cpu: self.max_cpu,
            tasks: self.tasks,
            nofile: self.nofile,
            nice: self.nice,
            oom_score_adj: self.oom_score_adj,
        }
    }
}

/// Starting what a config file declares.
#[derive(Debug, Default, Args)]
pub(crate) struct ApplyArgs {
    /// Start what this file declares, all or the named, and restart what is declared in another way now
    /// [default: tspm.yaml, tspm.yml, tspm.json, tspm.jsonc or tsm.toml of this directory]
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    pub(crate) config: Option<OsString>,
    /// With -c: the profile to put over everything else
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// With -c: stop what the file declares no more
    #[arg(long)]
    pub(crate) prune: bool,
    /// With -c: show what would be done
    #[arg(long, alias = "dryrun")]
    pub(crate) dry_run: bool,
    /// With -c: in the environment of this shell, too, where it differs
    #[arg(long)]
    pub(crate) update_env: bool,
}

impl ApplyArgs {
    /// An option that only makes sense with a config file, if one was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--profile", self.profile.is_some()),
            ("--prune", self.prune),
            ("--dry-run", self.dry_run),
            ("--update-env", self.update_env),
        ];
        given
            .into_iter()
            .find(|(_, given)| *given)
            .map(|(option, _)| option)
    }
}

/// Variables on top of a snapshot.
#[derive(Debug, Default, Args)]
pub(crate) struct VariableArgs {
    /// Set a variable in its environment; may be repeated, and goes before --env-file
    #[arg(long, value_name = "K=V")]
    pub(crate) env: Vec<OsString>,
    /// Set the variables of a dotenv file; may be repeated, later ones go before earlier ones
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// In the environment of this shell: new, changed and removed variables take effect; what --env, --env-file or
    /// `tsm env set` gave stays
    #[arg(long)]
    pub(crate) update_env: bool,
    #[command(flatten)]
    pub(crate) variables: VariableArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// Which process, without the number of an instance
    #[arg(value_name = "NAME")]
    pub(crate) name: ProcessName,
    /// How many
    #[arg(value_name = "N", allow_hyphen_values = true)]
    pub(crate) count: Count,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// The variables that a process gets, and where each comes from
    Show(EnvShowArgs),
    /// In which variables a process differs from this shell, or from another process; exits 1 where it does, and 2 where
    /// that cannot be told
    Diff {
        /// Which process
        #[arg(value_name = "NAME")]
        name: String,
        /// The other one [default: this shell]
        #[arg(value_name = "OTHER")]
        other: Option<String>,
        /// Show secrets
        #[arg(long)]
        reveal: bool,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Set variables, for the next start
    Set {
        /// Which process
        #[arg(value_name = "NAME")]
        name: String,
        /// The variables
        #[arg(value_name = "K=V", required = true)]
        assignments: Vec<OsString>,
    },
    /// Remove variables, for the next start
    Unset {
        /// Which process
        #[arg(value_name = "NAME")]
        name: String,
        /// Their names
        #[arg(value_name = "K", required = true)]
        names: Vec<OsString>,
    },
    /// Edit the snapshot with $VISUAL or $EDITOR, for the next start
    Edit {
        /// Which process
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct EnvShowArgs {
    /// Which process
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Only these variables
    #[arg(value_name = "K")]
    pub(crate) names: Vec<OsString>,
    /// Print for a program: dotenv, json (an object of names and values) or shell (lines to source)
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<EnvFormat>,
    /// Show secrets
    #[arg(long)]
    pub(crate) reveal: bool,
    /// Print a JSON array of name, value, origin and whether it is secret
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EnvFormat {
    Dotenv,
    Json,
    Shell,
}

/// Which processes.
#[derive(Debug, Args)]
pub(crate) struct SelectArgs {
    /// A name, an ID, a glob, @NAMESPACE or `all`
    #[arg(value_name = "SELECTOR", required_unless_present = "all")]
    pub(crate) selectors: Vec<String>,
    /// All processes
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl SelectArgs {
    pub(crate) fn into_selectors(self) -> Vec<String> {
        if self.all {
            vec!["all".to_owned()]
        } else {
            self.selectors
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// SIGKILL at once
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SignalArgs {
    /// A name, an ID, a glob, @NAMESPACE or `all`
    #[arg(value_name = "SELECTOR", required = true)]
    pub(crate) selectors: Vec<String>,
    /// HUP, SIGUSR1, 10 …
    #[arg(value_name = "SIGNAL", required = true)]
    pub(crate) signal: Signal,
    /// To the whole process group
    #[arg(short, long)]
    pub(crate) group: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Leave the logs
    #[arg(long)]
    pub(crate) keep_logs: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Default, Args)]
pub(crate) struct ListArgs {
    /// Only these
    #[arg(value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
    /// Leave CPU and memory out, which cost a look at every process of the machine
    #[arg(long)]
    pub(crate) fast: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PortsArgs {
    /// Only these
    #[arg(value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Which
    #[arg(value_name = "SELECTOR", required = true)]
    pub(crate) selectors: Vec<String>,
    /// Print a JSON object, or an array where several are meant
    #[arg(long)]
    pub(crate) json: bool,
}

/// The shells that there is a hook for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookShell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// Print it instead; secrets stand in it
    #[arg(long, conflicts_with = "to")]
    pub(crate) print: bool,
    /// Write it to this file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Replace a list by an empty one, too
    #[arg(long)]
    pub(crate) empty: bool,
    /// Print what was saved as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResurrectArgs {
    /// Return when all is settled; a supervisor goes on in the background
    #[arg(long, short)]
    pub(crate) detach: bool,
    /// At boot: what was deleted since `save` stays deleted
    #[arg(long)]
    pub(crate) boot: bool,
    /// The dump decides: what it lists as up is up, all else is stopped
    #[arg(long)]
    pub(crate) exact: bool,
    /// Another dump than the home's: TSM's own, TSPM's, PM2's, or a Procfile
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Show what would be done
    #[arg(long, alias = "dryrun")]
    pub(crate) dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The list: ~/.pm2/dump.pm2, ~/.tspm/dump.json, Procfile …
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Start what ran there; else all is stopped at first
    #[arg(long)]
    pub(crate) start: bool,
    /// Show what would be done
    #[arg(long, alias = "dryrun")]
    pub(crate) dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StartupArgs {
    /// systemd, openrc or cron [default: what this machine runs]
    #[arg(value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// Whose services [default: the user who called sudo, else this one]
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Print what would be written and run, and change nothing
    #[arg(long, alias = "dry-run")]
    pub(crate) print: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnstartupArgs {
    /// systemd, openrc or cron [default: whatever there is]
    #[arg(value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// Whose services [default: the user who called sudo, else this one]
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Whether a file is good; else every mistake with its place
    Check(ConfigFileArgs),
    /// A JSON Schema of config files, for editors
    Schema,
    /// What another tool starts, as a config file: a PM2 ecosystem (.json, .js, .cjs, .mjs) or a Procfile
    Import(ConfigImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigImportArgs {
    /// The file [default: ecosystem.config.js, .cjs, .mjs, .json or Procfile of this directory]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Write it to this file, which must not be there [default: print it]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigFileArgs {
    /// The file [default: tspm.yaml, tspm.yml, tspm.json, tspm.jsonc or tsm.toml of this directory]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The profile to put over everything else
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Print the declared names as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SupervisorCommand {
    /// Whether it runs, and since when; starts nothing
    Status {
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Start it in the background, where none runs
    Start,
    /// End it and leave the services up
    Stop,
    /// Let it go on as this very tsm, in the same process; services, requests and logs notice nothing
    Upgrade,
    /// Be it, in the foreground; takes the place of one that is there
    Run,
}
