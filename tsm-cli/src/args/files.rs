//! What the commands about config files take.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::pages;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a file, and say every mistake with its place
    #[command(after_long_help = pages::CONFIG_CHECK)]
    Check(ConfigFileArgs),
    /// Print a JSON Schema of config files, for editors
    #[command(after_long_help = pages::CONFIG_SCHEMA)]
    Schema,
    /// Print what another tool starts as a config file: a PM2 ecosystem (.json, .js, .cjs, .mjs) or a Procfile
    #[command(after_long_help = pages::CONFIG_IMPORT)]
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
