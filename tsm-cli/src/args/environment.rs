//! What the commands about environments take.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueEnum};

use super::pages;

#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// Show the variables that a process gets, and where each comes from
    #[command(after_long_help = pages::ENV_SHOW)]
    Show(EnvShowArgs),
    /// Show in which variables a process differs from this shell, or from another process; exits 1 where it does, and 2
    /// where that cannot be told
    #[command(after_long_help = pages::ENV_DIFF)]
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
    #[command(after_long_help = pages::ENV_SET)]
    Set {
        /// Which process
        #[arg(value_name = "NAME")]
        name: String,
        /// The variables
        #[arg(value_name = "K=V", required = true)]
        assignments: Vec<OsString>,
    },
    /// Remove variables, for the next start; 'restart --update-env' does not take them from the shell again
    #[command(after_long_help = pages::ENV_UNSET)]
    Unset {
        /// Which process
        #[arg(value_name = "NAME")]
        name: String,
        /// Their names
        #[arg(value_name = "K", required = true)]
        names: Vec<OsString>,
        /// Leave them to the shell again, as if they had never been set or unset by hand
        #[arg(long)]
        forget: bool,
    },
    /// Edit the snapshot with $VISUAL or $EDITOR, for the next start
    #[command(after_long_help = pages::ENV_EDIT)]
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
