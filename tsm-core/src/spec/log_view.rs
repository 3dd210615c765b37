//! How `tsm logs` shows what a process printed. On disk its logs are the bytes that it wrote, whatever is said here.

use std::fmt;
use std::str::FromStr;

use chrono::format::{Item, StrftimeItems};
use chrono::{Local, TimeZone as _};
use serde::{Deserialize, Serialize};

use crate::error::{BestEffort as _, Error, Result};

/// In which form lines are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogType {
    /// As they are.
    #[default]
    Raw,
    /// As JSON, an object a line with time, name and stream.
    Json,
}

impl FromStr for LogType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "raw" => Ok(Self::Raw),
            "json" => Ok(Self::Json),
            _ => Err(Error::bad_value(
                "logType",
                format!("'{text}' is neither raw nor json"),
            )),
        }
    }
}

/// The form of the time before a line, in the words of `strftime(3)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeFormat(String);

/// What stands for a part of a time in TSPM and PM2, the longer words first, and what does in `strftime(3)`.
const WORDS: [(&str, &str); 21] = [
    ("YYYY", "%Y"),
    ("MMMM", "%B"),
    ("dddd", "%A"),
    ("MMM", "%b"),
    ("ddd", "%a"),
    ("SSS", "%3f"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("HH", "%H"),
    ("hh", "%I"),
    ("mm", "%M"),
    ("ss", "%S"),
    ("ZZ", "%z"),
    ("Z", "%:z"),
    ("A", "%p"),
    ("a", "%P"),
    ("X", "%s"),
    ("D", "%-d"),
    ("H", "%-H"),
    ("T", "T"),
];

/// `YYYY-MM-DD HH:mm:ss`, or with a `%` in it what `strftime(3)` takes.
impl FromStr for TimeFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |reason: String| Error::bad_value("logDateFormat", reason);
        let example = "write YYYY-MM-DD HH:mm:ss, or %F %T as strftime has it";
        let mut format = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next().filter(|_| !text.contains('%')) {
            if let Some(literal) = rest.strip_prefix('[')
                && let Some((literal, behind)) = literal.split_once(']')
            {
                format.push_str(literal);
                rest = behind;
                continue;
            }
            let word = WORDS.iter().find(|(word, _)| rest.starts_with(word));
            match word {
                Some((word, part)) => {
                    format.push_str(part);
                    rest = &rest[word.len()..];
                }
                None if first.is_ascii_alphabetic() => {
                    return Err(wrong(format!(
                        "'{rest}' begins with no part of a time; {example}"
                    )));
                }
                None => {
                    format.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        format.push_str(rest);
        let is_wrong = StrftimeItems::new(&format).any(|item| matches!(item, Item::Error));
        if is_wrong || format.trim().is_empty() {
            return Err(wrong(format!("'{text}' is none; {example}")));
        }
        Ok(Self(format))
    }
}

impl TimeFormat {
    /// A time, Unix milliseconds, in local time.
    pub fn show(&self, unix_ms: u64) -> String {
        use fmt::Write as _;

        let mut shown = String::new();
        if let Some(time) = Local.timestamp_millis_opt(unix_ms as i64).single() {
            write!(shown, "{}", time.format(&self.0))
                .best_effort("a form that it cannot be brought into was refused");
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_either_language() {
        let of = |text: &str| text.parse::<TimeFormat>().map(|format| format.0);
        for (text, format) in [
            ("YYYY-MM-DD HH:mm:ss", "%Y-%m-%d %H:%M:%S"),
            ("YYYY-MM-DDTHH:mm:ss.SSSZ", "%Y-%m-%dT%H:%M:%S.%3f%:z"),
            ("ddd, DD MMM YY hh:mm A", "%a, %d %b %y %I:%M %p"),
            ("[at] HH", "at %H"),
            ("%F %T", "%F %T"),
        ] {
            assert_eq!(of(text).unwrap(), format, "{text}");
        }
        for text in ["", " ", "yyyy-mm-dd", "%Q", "quarter"] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains("YYYY-MM-DD HH:mm:ss"), "{error}");
        }
        let year = "YYYY"
            .parse::<TimeFormat>()
            .unwrap()
            .show(1_500_000_000_000);
        assert_eq!(year, "2017");
    }
}
