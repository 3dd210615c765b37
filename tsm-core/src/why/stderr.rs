//! What the last run wrote to standard error.

use super::Past;
use crate::config::HomeDefaults;
use crate::error::{Error, Result};
use crate::logs;
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

/// The last lines of the last run, and whether some of them may be of the run before.
pub(super) fn last_lines(
    store: &ProcessStore,
    view: &ProcessView,
    past: &Past,
    spec: Option<&ProcessSpec>,
) -> Result<(Vec<Text>, bool)> {
    let source = logs::Source {
        name: view.name.to_string(),
        out: None,
        err: view.error_log(store.home()),
    };
    let bounds = Bounds::of(past, is_direct(store, spec));
    let (mut lines, mut unsure) = (Vec::new(), false);
    for line in logs::tail(&[source], Some(LINES)).map_err(Error::from)? {
        let line = line.map_err(Error::from)?;
        match bounds.whose(line.time_ms) {
            Whose::Before => continue,
            Whose::Either => unsure = true,
            Whose::Last => {}
        }
        lines.push(Text::from_bytes(line.bytes));
    }
    Ok((lines, unsure))
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
    /// One before the last.
    Before,
    /// The last one, or the one before.
    Either,
    /// The last one.
    Last,
}

/// What tells the lines of the last run from those of the run before.
///
/// The first bytes that come out of the pipe of a run always have a note of their own, and those of the run before have
/// been moved when it ends.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    /// When the run before ended, Unix milliseconds; `None` where no such run is known.
    before: Option<u64>,
    /// When the last run was launched, at the latest, Unix milliseconds.
    launched: u64,
    direct: bool,
}

impl Bounds {
    fn of(past: &Past, direct: bool) -> Self {
        let Some((last, earlier)) = past.runs.split_last() else {
            return Self::default();
        };
        let launched = last.ended.as_ref().map_or(last.from_ms, |ended| {
            last.from_ms
                .min(ended.at_ms.saturating_sub(ended.uptime_ms))
        });
        let before = earlier.last().and_then(|run| run.ended.as_ref());
        Self {
            before: before.map(|ended| ended.at_ms),
            launched,
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
            direct: false,
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
