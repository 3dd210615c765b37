//! Waiting for a condition, with a deadline: the only place where a test lets time pass.

use std::time::{Duration, Instant};

/// How long anything that a test waits for may take on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

#[expect(
    clippy::disallowed_methods,
    reason = "what other processes do is no event that a test could wait for; every use has a deadline"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// Waits until `condition` holds; `what` is said where it never does.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Waits until `look` finds something, and returns it.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    match within(DEADLINE, look) {
        Some(found) => found,
        None => panic!("waited {DEADLINE:?} in vain: {what}"),
    }
}

/// What `look` finds before the time is over.
pub(crate) fn within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + time;
    loop {
        // What held when the time was over counts, however late this thread had its turn.
        let over = Instant::now() >= until;
        if let Some(found) = look() {
            return Some(found);
        }
        if over {
            return None;
        }
        pause();
    }
}

/// Sees to it that `condition` holds all the time.
#[track_caller]
pub(crate) fn holds_for(time: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let broken = within(time, || (!condition()).then_some(()));
    assert!(broken.is_none(), "held no longer: {what}");
}
