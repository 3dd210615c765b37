//! When a process is started by the clock.

use std::str::FromStr;

use chrono::{DateTime, Local, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// When a process is started by the clock: a task runs, a service is restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// Five fields as `crontab(5)` has them, six with seconds first, or `@daily` and its like.
    pub cron: String,
    /// Which clock is meant.
    #[serde(default)]
    pub zone: Zone,
}

impl ScheduleSpec {
    /// A schedule.
    ///
    /// # Errors
    /// [`Error::BadValue`] where that is none.
    pub fn new(cron: &str, zone: Zone) -> Result<Self> {
        parse_cron(cron)?;
        Ok(Self {
            cron: cron.to_owned(),
            zone,
        })
    }

    /// The first time after this one, both in Unix milliseconds; `None` where there is none within some years.
    pub fn next_after(&self, unix_ms: u64) -> Option<u64> {
        let cron = parse_cron(&self.cron).ok()?;
        let at = DateTime::<Utc>::from_timestamp_millis(unix_ms as i64)?;
        let next = match self.zone {
            Zone::Utc => cron
                .find_next_occurrence(&at, false)
                .ok()?
                .timestamp_millis(),
            Zone::Local => cron
                .find_next_occurrence(&at.with_timezone(&Local), false)
                .ok()?
                .timestamp_millis(),
        };
        u64::try_from(next).ok()
    }
}

/// `0 3 * * *`, with `UTC ` in front by the clock of UTC.
impl FromStr for ScheduleSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix("UTC ") {
            Some(cron) => Self::new(cron, Zone::Utc),
            None => Self::new(text, Zone::Local),
        }
    }
}

fn parse_cron(text: &str) -> Result<croner::Cron> {
    let parser = croner::parser::CronParser::builder()
        .seconds(croner::parser::Seconds::Optional)
        .build();
    parser.parse(text).map_err(|error| {
        // With another number of fields there is no place to name.
        let place = match text.split_whitespace().count() {
            5..=7 => format!(": {}", error.to_string().trim_end_matches('.')),
            _ => String::new(),
        };
        let reason = format!("'{text}' is no schedule such as '0 3 * * *' or @daily{place}");
        Error::bad_value("schedule", reason)
    })
}

/// Which clock a schedule goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zone {
    /// That of this machine.
    #[default]
    Local,
    /// Coordinated universal time.
    Utc,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_says_when_it_is_due() {
        let at = |text: &str| {
            let at = DateTime::parse_from_rfc3339(text).unwrap();
            at.timestamp_millis() as u64
        };
        let next = |cron: &str, after: &str| {
            let schedule: ScheduleSpec = format!("UTC {cron}").parse().unwrap();
            schedule.next_after(at(after)).unwrap()
        };
        let noon = "2026-11-26T12:00:00Z";
        assert_eq!(next("0 3 * * *", noon), at("2026-11-27T03:00:00Z"));
        assert_eq!(next("0 12 * * *", noon), at("2026-11-27T12:00:00Z"));
        assert_eq!(next("*/5 * * * * *", noon), at("2026-11-26T12:00:05Z"));
        assert_eq!(next("@hourly", noon), at("2026-11-26T13:00:00Z"));
        assert_eq!(next("0 0 29 2 *", noon), at("2028-02-29T00:00:00Z"));
        assert_eq!(
            "0 3 * * *".parse::<ScheduleSpec>().unwrap().zone,
            Zone::Local
        );
        for text in ["", "x", "0 3 * *", "61 * * * *", "UTC"] {
            let error = text.parse::<ScheduleSpec>().unwrap_err().to_string();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
