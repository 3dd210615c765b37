//! How the logs of a process are kept: how large they become, how long they stay, and who writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::text::Text;

/// How large a log becomes before it is rotated, where nothing else is said: 20 MiB.
pub const DEFAULT_MAX_SIZE: u64 = 20 << 20;
/// How many rotated segments are kept of each stream, where nothing else is said.
pub const DEFAULT_KEEP: u32 = 5;
/// The smallest size at which a log is rotated.
pub const SMALLEST_MAX_SIZE: u64 = 4 << 10;
/// The largest number of segments: at each rotation all of them are renamed, which takes 36 ms for so many.
pub const LARGEST_KEEP: u32 = 1_000;

/// What was said of the logs of a process, or of all processes of a home. What was not said is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSettings {
    /// At how many bytes a log is rotated; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// How many rotated segments are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
    /// How old what is kept may become, in milliseconds; 0 is as old as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_ms: Option<u64>,
    /// Whether rotated segments are compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<bool>,
    /// Who writes the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<LogMode>,
    /// Whether [`LogMode::Direct`] is taken for a service of root too, which can empty its log by `> /dev/stderr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// What becomes of bytes that the disk has no room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_full: Option<OnFull>,
    /// Where standard output goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<LogTarget>,
    /// Where standard error goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub err: Option<LogTarget>,
}

/// Who writes a log file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogMode {
    /// The supervisor, out of a pipe.
    #[default]
    Pipe,
    /// The service itself.
    Direct,
}

/// What becomes of bytes that the disk has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// They stay in the pipe, and the service waits.
    #[default]
    Wait,
    /// They are dropped and counted, and the service goes on.
    Drop,
}

/// Where a stream goes that does not go into the home.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogTarget {
    /// Into this file; its path is absolute.
    File(Text),
    /// Standard error only: into the log of standard output.
    Same,
    /// Nowhere.
    Null,
}

/// What holds for one process: what was said of it, else what was said of the home, else the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogRules {
    /// At how many bytes a log is rotated; `u64::MAX` is never.
    pub max_size: u64,
    /// How many rotated segments are kept.
    pub keep: u32,
    /// How old what is kept may become, in milliseconds; 0 is as old as it likes.
    pub max_age_ms: u64,
    /// Whether rotated segments are compressed.
    pub compress: bool,
    /// Who writes the file.
    pub mode: LogMode,
    /// What becomes of bytes that the disk has no room for.
    pub on_full: OnFull,
}

impl Default for LogRules {
    fn default() -> Self {
        LogSettings::default().rules(&LogSettings::default())
    }
}

impl LogSettings {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether nothing that it prints is kept.
    pub fn keeps_nothing(&self) -> bool {
        self.out == Some(LogTarget::Null)
            && matches!(self.err, Some(LogTarget::Null | LogTarget::Same))
    }

    /// What holds, where `home` says what holds for all processes.
    ///
    /// ```
    /// use tsm_core::spec::LogSettings;
    ///
    /// let own = LogSettings { keep: Some(2), ..LogSettings::default() };
    /// let home = LogSettings { keep: Some(9), max_size: Some(1 << 20), ..LogSettings::default() };
    /// let rules = own.rules(&home);
    /// assert_eq!((rules.keep, rules.max_size, rules.compress), (2, 1 << 20, true));
    /// ```
    pub fn rules(&self, home: &Self) -> LogRules {
        let max_size = self.max_size.or(home.max_size).unwrap_or(DEFAULT_MAX_SIZE);
        LogRules {
            max_size: match max_size {
                0 => u64::MAX,
                size => size.max(SMALLEST_MAX_SIZE),
            },
            keep: self.keep.or(home.keep).unwrap_or(DEFAULT_KEEP),
            max_age_ms: self.max_age_ms.or(home.max_age_ms).unwrap_or(0),
            compress: self.compress.or(home.compress).unwrap_or(true),
            mode: self.mode.or(home.mode).unwrap_or_default(),
            on_full: self.on_full.or(home.on_full).unwrap_or_default(),
        }
    }

    /// Looks for what cannot be: a size or a number out of bounds, `same` for standard output, a relative path.
    ///
    /// # Errors
    /// [`Error::BadValue`] that names the field.
    pub fn check(&self) -> Result<()> {
        if let Some(size) = self
            .max_size
            .filter(|size| (1..SMALLEST_MAX_SIZE).contains(size))
        {
            let reason = format!("{size} bytes are too few; at least 4K, or 0 for no rotation");
            return Err(Error::bad_value("log max-size", reason));
        }
        if let Some(keep) = self.keep.filter(|keep| *keep > LARGEST_KEEP) {
            let reason = format!("{keep} are too many; at most {LARGEST_KEEP}");
            return Err(Error::bad_value("log keep", reason));
        }
        if self.out == Some(LogTarget::Same) {
            return Err(Error::bad_value("--out", "'same' is for --err only"));
        }
        for (option, target) in [("--out", &self.out), ("--err", &self.err)] {
            if let Some(LogTarget::File(path)) = target
                && !path.as_path().is_absolute()
            {
                let reason = format!("{} is not an absolute path", path.to_string_lossy());
                return Err(Error::bad_value(option, reason));
            }
        }
        Ok(())
    }
}

impl FromStr for LogMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "pipe" => Ok(Self::Pipe),
            "direct" => Ok(Self::Direct),
            _ => Err(Error::bad_value(
                "log mode",
                format!("'{text}' is neither pipe nor direct"),
            )),
        }
    }
}

impl fmt::Display for LogMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pipe => "pipe",
            Self::Direct => "direct",
        })
    }
}

impl FromStr for OnFull {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "wait" => Ok(Self::Wait),
            "drop" => Ok(Self::Drop),
            _ => Err(Error::bad_value(
                "log on-full",
                format!("'{text}' is neither wait nor drop"),
            )),
        }
    }
}

impl fmt::Display for OnFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Wait => "wait",
            Self::Drop => "drop",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_process_goes_before_the_home_and_that_before_the_defaults() {
        let none = LogSettings::default();
        let rules = none.rules(&none);
        assert_eq!((rules.max_size, rules.keep), (20 << 20, 5));
        assert!(rules.compress && rules.max_age_ms == 0);
        assert_eq!((rules.mode, rules.on_full), (LogMode::Pipe, OnFull::Wait));
        let never = LogSettings {
            max_size: Some(0),
            ..none.clone()
        };
        assert_eq!(never.rules(&none).max_size, u64::MAX);
        assert_eq!(none.rules(&never).max_size, u64::MAX);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let said = |settings: LogSettings| settings.check().unwrap_err().to_string();
        let none = LogSettings::default();
        assert!(none.check().is_ok());
        let small = LogSettings {
            max_size: Some(10),
            ..none.clone()
        };
        assert!(said(small).contains("at least 4K"));
        let same = LogSettings {
            out: Some(LogTarget::Same),
            ..none.clone()
        };
        assert!(said(same).contains("--err only"));
        let relative = LogSettings {
            err: Some(LogTarget::File("x.log".into())),
            ..none
        };
        assert!(said(relative).contains("absolute"));
    }
}
