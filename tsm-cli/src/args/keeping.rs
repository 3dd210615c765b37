//! What the commands take by which processes outlive a boot, or come from elsewhere.

use std::path::PathBuf;

use clap::Args;

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
