//! Logs that have lost something, or cannot be read.

use super::files::Known;
use super::{Finding, Kind};
use crate::error::Error;
use crate::logs;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::store::ProcessStore;
use crate::sys::clock;
use crate::why::LogLoss;

/// For how long a loss is told of, in milliseconds: what is older is for `why` and `history`.
const TOLD_FOR: u64 = 24 * 60 * 60 * 1000;

pub(super) fn look(store: &ProcessStore, known: &Known, findings: &mut Vec<Finding>) {
    let now = clock::unix_ms();
    for (name, meta) in known {
        parts(store, name, meta, findings);
        // A history that cannot be read is reported elsewhere.
        let Ok(history) = store.history(name) else {
            continue;
        };
        for loss in LogLoss::all(&history) {
            let kind = if loss.is_blocked() {
                Kind::BlockedLog
            } else {
                Kind::LogLoss
            };
            if kind == Kind::BlockedLog || now.saturating_sub(loss.at_ms) <= TOLD_FOR {
                let problem = format!("'{name}': {} ({})", loss.in_words(), loss.at);
                findings.push(Finding::new(kind, problem, loss.remedy()).of(name));
            }
        }
    }
}

/// The files that the logs of a process are made of.
fn parts(store: &ProcessStore, name: &ProcessName, meta: &Meta, findings: &mut Vec<Finding>) {
    let (out, err) = (meta.out_file.as_deref(), meta.err_file.as_deref());
    let (out, err) = store.home().log_files(name, out, err);
    for live in out.into_iter().chain(err) {
        let failed = match logs::segments(&live) {
            Ok(listed) => listed.failed,
            Err(error) => vec![error],
        };
        for error in failed {
            let problem = format!("'{name}': {}", Error::from(error));
            let remedy = "'tsm logs' shows the rest; mend it or move it away";
            findings.push(Finding::new(Kind::DamagedLog, problem, remedy).of(name));
        }
    }
}
