//! Times and sizes in a person's units.

use chrono::{DateTime, Local};
pub(crate) use tsm_core::words::{duration, seconds, size};

/// Local time of a Unix time in milliseconds: `2025-09-20 10:29:23`.
pub(crate) fn local_time(unix_ms: u64) -> String {
    DateTime::from_timestamp_millis(unix_ms as i64)
        .map(|time| {
            time.with_timezone(&Local)
                .format("%Y-%m-%d %H:%M:%S")
                .to_string()
        })
        .unwrap_or_default()
}

/// `1 process`, `2 processes`.
pub(crate) fn processes(number: usize) -> String {
    if number == 1 {
        "1 process".to_owned()
    } else {
        format!("{number} processes")
    }
}
