//! What `start` and its like take: how a process is to be run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tsm_core::config::Count;
use tsm_core::name::ProcessName;
use tsm_core::spec::{CpuShare, RestartPolicy, ServiceLimits, parse_duration, parse_size};
use tsm_core::sys::Signal;

use super::{CareArgs, LogOptions, PortChoice, SelectArgs, WaitArgs};

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
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// What stands behind `--` is a target, whatever it looks like
    #[arg(long, hide = true)]
    pub(crate) literal_target: bool,
    /// A script, a program on PATH, or a quoted command line, and its arguments; or names of known processes. Behind the
    /// target, options with one dash but for -n are the program's; behind `--`, all are
    #[arg(value_name = "TARGET [ARG]")]
    pub(crate) words: Vec<OsString>,
    // The last one, since its heading holds for all options after it.
    #[command(flatten)]
    pub(crate) logs: LogOptions,
}

impl StartArgs {
    /// An option that only makes sense for something new, if one was given.
    pub(crate) fn spec_option(&self) -> Option<&'static str> {
        let given = [
            ("--port", self.port.is_some()),
            ("--cwd", self.cwd.is_some()),
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

/// Takes a whole number from `low` to `high`.
fn between(low: i32, high: i32) -> impl Fn(&str) -> Result<i32, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(format!("'{text}' is no whole number from {low} to {high}")),
    }
}

/// Takes a whole number from 1 on.
pub(super) fn at_least_one(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("'{text}' is no whole number from 1 on")),
    }
}

/// How a program behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StartKind {
    #[value(alias = "cli")]
    Service,
    Daemon,
}

// What a service may use.
#[derive(Debug, Default, Args)]
pub(crate) struct LimitArgs {
    /// Memory of all its processes, such as 512M: above that it is ended as a failure
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) max_memory: Option<u64>,
    /// CPU time in cores, such as 1.5 or 50%; only where it has a cgroup of its own
    #[arg(long, value_name = "CORES")]
    pub(crate) max_cpu: Option<CpuShare>,
    /// Processes and threads
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) tasks: Option<u32>,
    /// Open files of each of its processes
    #[arg(long, value_name = "N")]
    pub(crate) nofile: Option<u64>,
    /// Its nice value, from -20 (first) to 19 (last)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = between(-20, 19))]
    pub(crate) nice: Option<i32>,
    /// How soon the kernel's OOM killer takes it, from -1000 (never) to 1000 (first)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = between(-1000, 1000))]
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

// Starting what a config file declares.
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

// Variables on top of a snapshot.
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
