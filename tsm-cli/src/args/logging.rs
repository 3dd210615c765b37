//! Options about logs: how they are kept, and how they are shown.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use tsm_core::error::Error;
use tsm_core::spec::{LogMode, LogSettings, LogTarget, OnFull, parse_duration, parse_size};

// How the logs of a process are kept.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct LogOptions {
    /// Rotate a log at this size; 0: never [default: 20M]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) log_max_size: Option<u64>,
    /// Keep so many rotated segments of each stream [default: 5]
    #[arg(long, value_name = "N")]
    pub(crate) log_keep: Option<u32>,
    /// Remove what is older than this [default: nothing for its age]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) log_max_age: Option<Duration>,
    /// Compress rotated segments; =no: leave them as they are [default: yes]
    #[arg(long, value_name = "YES|NO", num_args = 0..=1, require_equals = true, default_missing_value = "yes", value_parser = yes_or_no)]
    pub(crate) log_compress: Option<bool>,
    /// pipe: TSM writes the logs; direct: the service has the files itself, for gigabytes
    #[arg(long, value_name = "MODE")]
    pub(crate) log_mode: Option<LogMode>,
    /// Take --log-mode direct for root too, who can empty the log by `> /dev/stderr`
    #[arg(long)]
    pub(crate) log_force: bool,
    /// On a full disk: wait, the service waits with what it prints; drop, that is dropped and counted
    #[arg(long, value_name = "WHAT")]
    pub(crate) log_on_full: Option<OnFull>,
    /// Standard output goes into this file, or to /dev/null
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Standard error goes into this file, where standard output goes (same), or to /dev/null
    #[arg(long, value_name = "FILE|same")]
    pub(crate) err: Option<PathBuf>,
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" | "true" | "on" => Ok(true),
        "no" | "false" | "off" => Ok(false),
        _ => Err(format!("'{text}' is neither yes nor no")),
    }
}

impl LogOptions {
    /// Each option, and whether it was given.
    pub(crate) fn given(&self) -> [(&'static str, bool); 9] {
        [
            ("--log-max-size", self.log_max_size.is_some()),
            ("--log-keep", self.log_keep.is_some()),
            ("--log-max-age", self.log_max_age.is_some()),
            ("--log-compress", self.log_compress.is_some()),
            ("--log-mode", self.log_mode.is_some()),
            ("--log-force", self.log_force),
            ("--log-on-full", self.log_on_full.is_some()),
            ("--out", self.out.is_some()),
            ("--err", self.err.is_some()),
        ]
    }

    /// What they mean. Paths are those of this directory.
    pub(crate) fn settings(&self) -> Result<LogSettings, Error> {
        let settings = LogSettings {
            max_size: self.log_max_size,
            keep: self.log_keep,
            max_age_ms: self.log_max_age.map(|age| age.as_millis() as u64),
            compress: self.log_compress,
            mode: self.log_mode,
            force: self.log_force.then_some(true),
            on_full: self.log_on_full,
            out: self
                .out
                .as_deref()
                .map(|path| target("--out", path))
                .transpose()?,
            err: self
                .err
                .as_deref()
                .map(|path| target("--err", path))
                .transpose()?,
        };
        settings.check()?;
        Ok(settings)
    }
}

fn target(option: &str, path: &std::path::Path) -> Result<LogTarget, Error> {
    if path == std::path::Path::new("same") {
        return Ok(LogTarget::Same);
    }
    if path == std::path::Path::new("/dev/null") {
        return Ok(LogTarget::Null);
    }
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::bad_value(option, format!("{}: {error}", path.display())))?;
    Ok(LogTarget::File(absolute.into()))
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// A name, an ID, a glob, @NAMESPACE or `all` [default: all]
    #[arg(value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,
    /// How many lines, or `all` [default: 20; all with --since, --until or --grep]
    #[arg(short = 'n', long, alias = "lines", value_name = "N")]
    pub(crate) tail: Option<String>,
    /// Go on with what is printed from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only standard output
    #[arg(long, conflicts_with = "err", action = ArgAction::SetTrue)]
    pub(crate) out: bool,
    /// Only standard error
    #[arg(long)]
    pub(crate) err: bool,
    /// What came at this time or later: 10m (ago), "2026-11-22 10:00", start, last-start, last-crash
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// What came before this time
    #[arg(
        long,
        value_name = "TIME",
        conflicts_with = "follow",
        allow_hyphen_values = true
    )]
    pub(crate) until: Option<String>,
    /// Lines in which this regular expression is found; (?i) before it: in either case
    #[arg(long, value_name = "RE", allow_hyphen_values = true)]
    pub(crate) grep: Option<String>,
    /// Put the time before each line
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    /// Print an object for each line: time, name, stream, line
    #[arg(long)]
    pub(crate) json: bool,
    /// No names before the lines of several processes
    #[arg(long)]
    pub(crate) no_prefix: bool,
    /// Print where the logs are, and nothing of them
    #[arg(long = "where")]
    pub(crate) places: bool,
}
