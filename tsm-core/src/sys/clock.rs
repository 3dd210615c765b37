//! The two clocks: one that only goes forward, for time-outs, and the one on the wall, for people.

use std::fs::Metadata;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since boot by `CLOCK_MONOTONIC` (`clock_gettime(2)`): what every time-out is measured with, so that a clock set by hand changes none.
pub(crate) fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Milliseconds since the Unix epoch.
pub fn unix_ms() -> u64 {
    let now = kernels_now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64);
    now.saturating_add_signed(crate::fail::clock() * 1000)
}

/// How long ago a file got its last byte, by the clock that the kernel writes such times with; `None` where that is still to come.
pub(crate) fn age_of(file: &Metadata) -> Option<Duration> {
    kernels_now().duration_since(file.modified().ok()?).ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that the time comes from"
)]
fn kernels_now() -> SystemTime {
    SystemTime::now()
}

/// Clock ticks a second (`_SC_CLK_TCK`): the unit of times in `/proc/PID/stat`.
pub(crate) fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

/// Bytes of a memory page (`getauxval(3)`).
pub(crate) fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// Clock ticks since boot (`CLOCK_BOOTTIME`): the scale on which `/proc/PID/stat` says when a process started.
pub(crate) fn boot_ticks() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let ticks = ticks_per_second();
    now.tv_sec as u64 * ticks + now.tv_nsec as u64 * ticks / 1_000_000_000
}
