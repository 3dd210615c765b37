//! The rules that a spec gives a machine: when it restarts, how long it waits, how long its end may take. All default numbers are defined here.

use std::time::Duration;

use crate::spec::{BackoffSpec, RestartPolicy};

/// Delay before the second restart in a row; the first is at once.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(250);

/// The longest delay before the slow lane.
pub const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Delays are drawn from this much below to this much above, so that many services do not restart in step.
pub const JITTER: f64 = 0.2;

/// After this long up, restarts are counted anew.
pub const STEADY: Duration = Duration::from_mins(1);

/// After this many restarts in a row, the slow lane.
pub const SLOW_AFTER: u32 = 16;

/// Time between two tries in the slow lane.
pub const SLOW: Duration = Duration::from_mins(5);

/// How long what is outside the process group gets between SIGTERM and SIGKILL, at the least: it has what the group left of its time.
pub const REST_TIMEOUT: Duration = Duration::from_secs(2);

/// How long after SIGKILL a process is said to resist.
pub const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// The parts of a spec that the machine decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// When it is started again.
    pub restart: RestartPolicy,
    /// After how many restarts in a row it is given up.
    pub max_restarts: Option<u32>,
    /// How long a stop waits before SIGKILL.
    pub stop_timeout: Duration,
    /// Which hooks there are.
    pub hooks: HookSet,
    /// How long restarts wait.
    pub backoff: Backoff,
}

/// How long restarts wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first restart in a row.
    pub at_first: Duration,
    /// Before the second one.
    pub first: Duration,
    /// By so much longer each time.
    pub factor: u32,
    /// No longer than this, before the slow lane.
    pub most: Duration,
    /// After so long up, restarts are counted anew.
    pub steady: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            at_first: Duration::ZERO,
            first: BACKOFF_FIRST,
            factor: 2,
            most: BACKOFF_MAX,
            steady: STEADY,
        }
    }
}

impl Backoff {
    /// What a spec asks for.
    pub fn new(spec: Option<&BackoffSpec>) -> Self {
        let usual = Self::default();
        let Some(spec) = spec else {
            return usual;
        };
        let ms = |time: Option<u64>| time.map(Duration::from_millis);
        let steady = ms(spec.steady_ms).unwrap_or(usual.steady);
        if let Some(fixed) = ms(spec.fixed_ms) {
            return Self {
                at_first: fixed,
                first: fixed,
                factor: 1,
                most: fixed,
                steady,
            };
        }
        let first = ms(spec.first_ms).unwrap_or(usual.first);
        Self {
            at_first: usual.at_first,
            first,
            // Below 1 the delays would shrink from one restart to the next.
            factor: spec.factor.unwrap_or(usual.factor).max(1),
            most: ms(spec.most_ms).unwrap_or(usual.most).max(first),
            steady,
        }
    }

    /// The longest delay that there can be before the restart number `failures` in a row.
    pub(in crate::supervise) fn longest(&self, failures: u32) -> Duration {
        self.delay(failures, 1.0).0
    }

    /// The delay before the restart number `failures` in a row, and whether that is the slow lane.
    pub(super) fn delay(&self, failures: u32, jitter: f64) -> (Duration, bool) {
        let spread = 1.0 - JITTER + 2.0 * JITTER * jitter.clamp(0.0, 1.0);
        if failures > SLOW_AFTER {
            // The slow lane is never faster than the back-off before it.
            return (SLOW.max(self.most).mul_f64(spread), true);
        }
        if failures <= 1 {
            return (self.at_first, false);
        }
        // The second restart in a row waits for `first`, hence the exponent begins at 0.
        let times = self.factor.saturating_pow(failures - 2);
        let longer = self.first.saturating_mul(times).min(self.most);
        // A fixed delay is kept exactly as a person set it.
        let spread = if self.factor == 1 { 1.0 } else { spread };
        (longer.mul_f64(spread), false)
    }
}

/// Which hooks the machine has to have run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookSet {
    /// One before a run is asked to end.
    pub pre_stop: bool,
    /// One when nothing of a run is left.
    pub post_stop: bool,
}
