//! Logs that have lost something.

use super::files::Known;
use super::{Finding, Kind};
use crate::store::ProcessStore;
use crate::sys::clock;
use crate::why::LogLoss;

/// For how long a loss is told of, in milliseconds: what is older is for `why` and `history`.
const TOLD_FOR: u64 = 24 * 60 * 60 * 1000;

pub(super) fn look(store: &ProcessStore, known: &Known, findings: &mut Vec<Finding>) {
    let now = clock::unix_ms();
    for name in known.keys() {
        // A history that cannot be read is reported elsewhere.
        let Ok(history) = store.history(name) else {
            continue;
        };
        for loss in LogLoss::all(&history) {
            if now.saturating_sub(loss.at_ms) <= TOLD_FOR {
                let problem = format!("'{name}': {} ({})", loss.in_words(), loss.at);
                findings.push(Finding::new(Kind::LogLoss, problem, loss.remedy()).of(name));
            }
        }
    }
}
