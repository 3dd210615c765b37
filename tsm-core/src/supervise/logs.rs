//! What services print: moved from their pipes into their files, cut between lines, kept by rules, compressed later.

mod blocking;
pub(super) mod cutting;
pub(super) mod direct;
pub(super) mod dropping;
pub(super) mod mover;
mod pacing;
pub(super) mod rules;
pub(super) mod upkeep;

use crate::spec::LogSettings;
use direct::DirectLogs;
use mover::OpenLogs;
use pacing::Paced;

/// The logs of all services.
#[derive(Default)]
pub(super) struct Logs {
    /// Files that bytes were moved into last.
    pub(super) open: OpenLogs,
    /// Those that are looked at by the clock.
    pub(super) paced: Paced,
    /// Logs that services write themselves, where there are any.
    pub(super) direct: Option<Box<DirectLogs>>,
    /// What was said of the logs of all processes.
    pub(super) defaults: LogSettings,
    /// What is to be done for logs, and when.
    pub(super) upkeep: upkeep::Due,
}
