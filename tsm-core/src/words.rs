//! Times and sizes in a person's units, the same in every frontend.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _};

use crate::error::{Error, Result};

/// A duration in two digits or so: `42s`, `5m`, `3h 20m`, `12d`.
///
/// ```
/// use tsm_core::words::{duration, seconds, size};
///
/// assert_eq!((duration(42_000), duration(12_000_000)), ("42s".to_owned(), "3h 20m".to_owned()));
/// assert_eq!((seconds(3_200), size(3_500_000)), ("3.2 s".to_owned(), "3.3M".to_owned()));
/// ```
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A short time with a decimal: `3.2 s`.
pub fn seconds(ms: u64) -> String {
    if ms < 60_000 {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    } else {
        duration(ms)
    }
}

/// A size in powers of 1024: `812K`, `3.4M`.
pub fn size(bytes: u64) -> String {
    let units = ["B", "K", "M", "G", "T"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0}{}", units[unit])
    } else {
        format!("{value:.1}{}", units[unit])
    }
}

/// Local time of a Unix time in milliseconds: `2025-09-20 10:29:23`.
pub fn local_time(unix_ms: u64) -> String {
    DateTime::from_timestamp_millis(unix_ms as i64)
        .map(|time| {
            time.with_timezone(&Local)
                .format("%Y-%m-%d %H:%M:%S")
                .to_string()
        })
        .unwrap_or_default()
}

/// The same of a time as RFC 3339; what is none stands as it is.
///
/// ```
/// assert_eq!(tsm_core::words::local_rfc3339("yesterday"), "yesterday");
/// ```
pub fn local_rfc3339(text: &str) -> String {
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis());
    match time.map(u64::try_from) {
        Ok(Ok(unix_ms)) => local_time(unix_ms),
        _ => text.to_owned(),
    }
}

/// Reads a moment: so long ago (`10m`), a local date and time (`2026-11-22 10:00`, seconds or only the date too), a local
/// time of today (`10:00`), or RFC 3339. In milliseconds since 1970.
///
/// # Errors
/// [`Error::BadValue`] of `option`, which shows three that can be read.
pub fn moment(option: &str, text: &str, now_ms: u64) -> Result<u64> {
    let text = text.trim();
    if let Ok(ago) = crate::spec::parse_duration(text) {
        return Ok(now_ms.saturating_sub(ago.as_millis() as u64));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_millis().max(0) as u64);
    }
    let today =
        || DateTime::from_timestamp_millis(now_ms as i64).map(|now| now.with_timezone(&Local));
    let of_the_clock = |format| {
        let time = NaiveTime::parse_from_str(text, format).ok()?;
        Some(today()?.date_naive().and_time(time))
    };
    let written = |format| NaiveDateTime::parse_from_str(text, format).ok();
    let local = written("%Y-%m-%d %H:%M")
        .or_else(|| written("%Y-%m-%d %H:%M:%S%.f"))
        .or_else(|| written("%Y-%m-%dT%H:%M:%S%.f"))
        .or_else(|| written("%Y-%m-%dT%H:%M"))
        .or_else(|| {
            Some(
                NaiveDate::parse_from_str(text, "%Y-%m-%d")
                    .ok()?
                    .and_time(NaiveTime::MIN),
            )
        })
        .or_else(|| of_the_clock("%H:%M"))
        .or_else(|| of_the_clock("%H:%M:%S"));
    // An hour that a clock shows twice is the earlier one; one that it leaves out does not exist.
    let time = local.and_then(|local| Local.from_local_datetime(&local).earliest());
    time.map(|time| time.timestamp_millis().max(0) as u64)
        .ok_or_else(|| {
            Error::bad_value(
                option,
                format!(
                    "'{text}' is no time; write 10m, \"2026-11-22 10:00\" or 2026-11-22T10:00:00Z"
                ),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_the_forms_that_people_write() {
        let now = 1_795_700_000_000;
        let at = |text: &str| moment("--since", text, now).unwrap();
        assert_eq!(at("10m"), now - 600_000);
        assert_eq!(at("3s"), now - 3000);
        assert_eq!(at("2026-11-22T10:00:00Z"), 1_795_341_600_000);
        assert_eq!(at("2026-11-22T11:00:00+01:00"), 1_795_341_600_000);
        let local = at("2026-11-22 10:00");
        assert_eq!(at("2026-11-22 10:00:07") - local, 7000);
        assert_eq!(local - at("2026-11-22"), 36_000_000);
        assert!(at("10:00").abs_diff(now) < 86_400_000);
        let wrong = moment("--since", "tomorrow-ish", now)
            .unwrap_err()
            .to_string();
        assert_eq!(
            wrong,
            "--since: 'tomorrow-ish' is no time; write 10m, \"2026-11-22 10:00\" or 2026-11-22T10:00:00Z"
        );
    }

    #[test]
    fn units_are_those_that_a_person_would_use() {
        assert_eq!(duration(59_999), "59s");
        assert_eq!(duration(125_000), "2m");
        assert_eq!(duration(12_000_000), "3h 20m");
        assert_eq!(duration(3 * 86_400_000), "3d");
        assert_eq!(seconds(3_250), "3.2 s");
        assert_eq!(size(0), "0B");
        assert_eq!(size(1536), "1.5K");
        assert_eq!(size(300 << 20), "300M");
    }
}
