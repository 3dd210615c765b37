//! Times and sizes in a person's units.

use chrono::DateTime;
pub(crate) use tsm_core::words::{duration, local_rfc3339, local_time, seconds, size};

/// `1 process`, `2 processes`.
pub(crate) fn processes(number: usize) -> String {
    if number == 1 {
        "1 process".to_owned()
    } else {
        format!("{number} processes")
    }
}

/// A time of a history or a record, in Unix milliseconds.
pub(crate) fn unix_ms(rfc3339: &str) -> Option<u64> {
    let time = DateTime::parse_from_rfc3339(rfc3339).ok()?;
    u64::try_from(time.timestamp_millis()).ok()
}
