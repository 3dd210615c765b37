//! Which processes are meant, and what is done with them.

use clap::Args;
use tsm_core::sys::Signal;

// Which processes.
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
    /// Only these: a name, an ID, a glob, @NAMESPACE
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
    /// Only these: a name, an ID, a glob, @NAMESPACE
    #[arg(value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// A name, an ID, a glob, @NAMESPACE or `all`
    #[arg(value_name = "SELECTOR", required = true)]
    pub(crate) selectors: Vec<String>,
    /// Print a JSON object, or an array where several are meant
    #[arg(long)]
    pub(crate) json: bool,
}
