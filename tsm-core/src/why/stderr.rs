//! What the run that is told of wrote to standard error.

use super::Past;
use crate::config::HomeDefaults;
use crate::error::Error;
use crate::logs::{self, LogError};
use crate::spec::{LogMode, ProcessSpec};
use crate::store::ProcessStore;
use crate::text::Text;
use crate::view::ProcessView;

/// How many lines are told.
const LINES: usize = 10;
/// How much older than its run a line may seem, in milliseconds.
const SPREAD_MS: u64 = 200;
/// What a process writes into its log itself is noted when it is seen, which may be so much later, in milliseconds.
const DIRECT_SPREAD_MS: u64 = 1200;

/// The last lines of a run, and whether some of them may be of the run before. `goes_on`: of the last run, also where that
/// has not ended; else of the last one that has.
pub(super) fn last_lines(
    store: &ProcessStore,
    view: &ProcessView,
    past: &Past,
    spec: Option<&ProcessSpec>,
    goes_on: bool,
) -> (Vec<Text>, bool) {
    let source = logs::Source {
        name: view.name.to_string(),
        out: None,
        err: view.error_log(store.home()),
    };
    let bounds = Bounds::of(past, is_direct(store, spec), goes_on);
    let query = logs::Query {
        until_ms: bounds.until,
        ..logs::Query::last(Some(LINES))
    };
    let (mut lines, mut unsure) = (Vec::new(), false);
    // What cannot be read of a log stands among its lines: it is no reason to say nothing of the process.
    let failed = |error: LogError| Text::from(format!("({})", Error::from(error)));
    let found = match logs::select(&[source], &query) {
        Ok(found) => found,
        Err(error) => return (vec![failed(error)], false),
    };
    for line in found {
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                lines.push(failed(error));
                continue;
            }
        };
        match bounds.whose(line.time_ms) {
            Whose::Before => continue,
            Whose::Either => unsure = true,
            Whose::Last => {}
        }
        lines.push(Text::from_bytes(line.bytes));
    }
    (lines, unsure)
}

/// Whether a process writes its log itself.
fn is_direct(store: &ProcessStore, spec: Option<&ProcessSpec>) -> bool {
    // A file with mistakes changes nothing.
    let home = HomeDefaults::read(&store.home().defaults()).unwrap_or_default();
    spec.is_some_and(|spec| spec.logs.rules(&home.logs).mode == LogMode::Direct)
}

/// Which run a line is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// One before it.
    Before,
    /// It, or the one before.
    Either,
    /// It, the one that is told of.
    Last,
}

/// What tells the lines of a run from those of the runs before and behind it.
///
/// The first bytes that come out of the pipe of a run always have a note of their own, and those of the run before have
/// been moved when it ends.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    /// When the run before ended, Unix milliseconds; `None` where no such run is known.
    before: Option<u64>,
    /// When it was launched, at the latest, Unix milliseconds.
    launched: u64,
    /// From when on lines are those of the run behind it, Unix milliseconds; `None` where there is none.
    until: Option<u64>,
    direct: bool,
}

impl Bounds {
    fn of(past: &Past, direct: bool, goes_on: bool) -> Self {
        let has_ended = past.runs.iter().rposition(|run| run.ended.is_some());
        let behind = has_ended.filter(|_| !goes_on).map(|at| at + 1);
        let behind = behind.unwrap_or(past.runs.len());
        let Some((told, earlier)) = past.runs[..behind].split_last() else {
            return Self::default();
        };
        let launched = told.ended.as_ref().map_or(told.from_ms, |ended| {
            told.from_ms
                .min(ended.at_ms.saturating_sub(ended.uptime_ms))
        });
        let before = earlier.last().and_then(|run| run.ended.as_ref());
        let spread = if direct { DIRECT_SPREAD_MS } else { 0 };
        let ended = told.ended.as_ref().filter(|_| behind < past.runs.len());
        Self {
            before: before.map(|ended| ended.at_ms),
            launched,
            until: ended.map(|ended| ended.at_ms + spread + 1),
            direct,
        }
    }

    fn whose(&self, time_ms: Option<u64>) -> Whose {
        let either = if self.before.is_some() {
            Whose::Either
        } else {
            Whose::Last
        };
        let Some(time) = time_ms else {
            return either;
        };
        if self.direct {
            return match self.before {
                _ if time + DIRECT_SPREAD_MS < self.launched => Whose::Before,
                Some(ended) if time <= ended + DIRECT_SPREAD_MS => Whose::Either,
                _ => Whose::Last,
            };
        }
        let is_near = time + SPREAD_MS >= self.launched;
        match self.before {
            None if is_near => Whose::Last,
            None => Whose::Before,
            Some(ended) if time > ended && time >= self.launched => Whose::Last,
            // Left behind by the run before, or its first: when it was launched is known a little too late.
            Some(ended) if time > ended && is_near => Whose::Either,
            // In one millisecond, or the clock was set back.
            Some(_) if time >= self.launched => Whose::Either,
            Some(_) => Whose::Before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(before: Option<u64>, launched: u64, direct: bool) -> impl Fn(u64) -> Whose {
        let bounds = Bounds {
            before,
            launched,
            direct,
            ..Bounds::default()
        };
        move |time| bounds.whose(Some(time))
    }

    #[test]
    fn a_line_is_of_the_run_in_whose_time_its_bytes_came() {
        let whose = of(Some(5_000), 5_007, false);
        assert_eq!(
            [4_999, 5_000, 5_007, 9_000].map(whose),
            [Whose::Before, Whose::Before, Whose::Last, Whose::Last]
        );
        // What the run before left behind spoke while the next one waited.
        let whose = of(Some(5_000), 9_000, false);
        assert_eq!([6_000, 9_000].map(whose), [Whose::Before, Whose::Last]);
    }

    #[test]
    fn what_cannot_be_told_apart_is_shown_and_said() {
        // It was launched in the millisecond in which the run before ended.
        let whose = of(Some(5_000), 5_000, false);
        assert_eq!(
            [4_999, 5_000, 5_001].map(whose),
            [Whose::Before, Whose::Either, Whose::Last]
        );
        let whose = of(Some(5_000), 5_007, false);
        assert_eq!(whose(5_005), Whose::Either);
        // The clock was set back.
        let whose = of(Some(5_000), 4_000, false);
        assert_eq!(
            [3_900, 4_100, 5_001].map(whose),
            [Whose::Before, Whose::Either, Whose::Last]
        );
        let bounds = Bounds {
            before: Some(5_000),
            launched: 5_007,
            ..Bounds::default()
        };
        assert_eq!(bounds.whose(None), Whose::Either);
        // What it writes itself is seen later.
        let whose = of(Some(5_000), 5_007, true);
        assert_eq!(
            [3_000, 4_900, 5_900, 6_300].map(whose),
            [Whose::Before, Whose::Either, Whose::Either, Whose::Last]
        );
    }

    #[test]
    fn where_no_other_run_is_known_a_line_may_seem_a_little_older() {
        let whose = of(None, 5_000, false);
        assert_eq!(
            [4_700, 4_900, 5_000].map(whose),
            [Whose::Before, Whose::Last, Whose::Last]
        );
    }
}
