//! Limits that a person sets for a service, and what else is written about how it runs: [`ServiceLimits`], [`Daemon`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::text::Text;

/// What a service may use. Nothing is limited where there is `None`.
///
/// In a cgroup of its own (`cgroups(7)`) the kernel enforces memory, CPU and tasks; elsewhere memory and tasks of the
/// whole tree are looked at every ten seconds, and a service that is over its limit is ended as a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceLimits {
    /// Memory of all its processes, in bytes (`memory.max`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// CPU time, in shares of one core (`cpu.max`). Only a cgroup can hold a service to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuShare>,
    /// How many processes and threads (`pids.max`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u32>,
    /// How many open files each of its processes may have (`RLIMIT_NOFILE`, soft and hard).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nofile: Option<u64>,
    /// Its nice value, from -20 (first) to 19 (last).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// How soon the kernel's OOM killer takes it, from -1000 (never) to 1000 (first); see `proc_pid_oom_score_adj(5)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
}

impl ServiceLimits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether something is limited that only a cgroup, or looking at the whole tree, can hold a service to.
    pub fn has_tree_limits(&self) -> bool {
        self.memory.is_some() || self.cpu.is_some() || self.tasks.is_some()
    }
}

/// A share of CPU time: thousandths of one core.
///
/// ```
/// use tsm_core::spec::CpuShare;
/// assert_eq!("1.5".parse::<CpuShare>().unwrap(), CpuShare(1500));
/// assert_eq!("50%".parse::<CpuShare>().unwrap().to_string(), "0.5");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CpuShare(pub u32);

impl FromStr for CpuShare {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (number, factor) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent, 10.0),
            None => (text.trim(), 1000.0),
        };
        number
            .parse::<f64>()
            .ok()
            .map(|number| (number * factor).round())
            .filter(|thousandths| (1.0..=10_000_000.0).contains(thousandths))
            .map(|thousandths| Self(thousandths as u32))
            .ok_or_else(|| {
                let reason = format!("'{text}' is no share of CPU time; write 1.5 (cores) or 50%");
                Error::bad_value("cpu", reason)
            })
    }
}

impl fmt::Display for CpuShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1000.0)
    }
}

/// How a program is followed that puts itself into the background.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Daemon {
    /// The file that it writes its pid into; where there is none, the process that is left of it is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid_file: Option<Text>,
}

/// Reads a size: a number of bytes, or one with a unit in powers of 1024 (`256K`, `4M`, `1.5G`).
///
/// ```
/// assert_eq!(tsm_core::spec::parse_size("512M").unwrap(), 512 << 20);
/// assert_eq!(tsm_core::spec::parse_size("1.5GiB").unwrap(), 1536 << 20);
/// assert!(tsm_core::spec::parse_size("much").is_err());
/// ```
///
/// # Errors
/// [`Error::BadValue`] where it is none, or 2^53 bytes or more.
pub fn parse_size(text: &str) -> Result<u64> {
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let unit = unit.trim().to_ascii_uppercase();
    let unit = unit
        .strip_suffix("IB")
        .or(unit.strip_suffix('B'))
        .unwrap_or(&unit);
    let factor = match unit {
        "" => 1_u64,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => 0,
    };
    number
        .parse::<f64>()
        .ok()
        .map(|number| number * factor as f64)
        // Larger numbers are not told apart exactly, and no machine has so much.
        .filter(|bytes| *bytes < (1_u64 << 53) as f64 && factor > 0)
        .map(|bytes| bytes as u64)
        .ok_or_else(|| {
            Error::bad_value("size", format!("'{text}' is no size; write 256K, 4M or 1G"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_a_bound() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("256K", 256 << 10),
            ("4m", 4 << 20),
            ("1 GiB", 1 << 30),
            ("2TB", 2 << 40),
            ("0.5K", 512),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "K", "-1", "1X", "1.2.3M", "99999999T", "inf"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_of_cpu_are_read_in_cores_and_percent() {
        let share = |text: &str| text.parse::<CpuShare>().ok();
        assert_eq!(share("2"), Some(CpuShare(2000)));
        assert_eq!(share("0.25"), Some(CpuShare(250)));
        assert_eq!(share("150%"), Some(CpuShare(1500)));
        for text in ["0", "-1", "", "many", "%", "nan"] {
            assert_eq!(share(text), None, "{text}");
        }
        assert_eq!(CpuShare(1500).to_string(), "1.5");
    }
}
