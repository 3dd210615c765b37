//! Times and sizes in a person's units, the same in every frontend.

/// A duration in two digits or so: `42s`, `5m`, `3h 20m`, `12d`.
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

#[cfg(test)]
mod tests {
    use super::*;

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
