//! What a process may be called.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The longest name, in bytes: with `.events.jsonl` and `.tmp` behind it, it is still a file name.
pub const MAX_BYTES: usize = 128;

/// A valid name of a process: 1 to 128 bytes of letters, digits, `.`, `_`, `-` and `@`, beginning with a letter, digit
/// or `_`, not only digits (that is an id) and not `all`.
///
/// ```
/// use tsm_core::name::ProcessName;
/// assert!("api@0".parse::<ProcessName>().is_ok());
/// assert!("../etc".parse::<ProcessName>().is_err());
/// assert!("42".parse::<ProcessName>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProcessName(Box<str>);

impl ProcessName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A valid name made from a file's stem or a program's name: what is not allowed becomes `-`.
    pub fn from_stem(stem: &str) -> Self {
        // Eight bytes are left, for a `_` in front and a number behind.
        let mut name: String = stem
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "._-@".contains(c) {
                    c
                } else {
                    '-'
                }
            })
            .take(MAX_BYTES - 8)
            .collect();
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            name.insert(0, '_');
        }
        if name == "all" || name.bytes().all(|b| b.is_ascii_digit()) {
            name.insert(0, '_');
        }
        Self(name.into())
    }

    /// This name with a number behind it, for a second program of the same name.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Self {
        Self(format!("{}-{number}", self.0).into())
    }
}

impl ProcessName {
    /// The name of an instance: `api@0`.
    ///
    /// # Errors
    /// [`Error::BadName`] where it is too long.
    pub fn instance(&self, number: u32) -> Result<Self> {
        format!("{}@{number}", self.0).parse()
    }

    /// The name of which this one is an instance, and its number.
    pub fn of_instance(&self) -> Option<(&str, u32)> {
        let (name, number) = self.0.rsplit_once('@')?;
        // `parse` would take a sign as well.
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        Some((name, number.parse().ok().filter(|_| digits)?))
    }
}

impl FromStr for ProcessName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason| {
            Err(Error::BadName {
                name: text.to_owned(),
                reason,
            })
        };
        let Some(first) = text.bytes().next() else {
            return refuse("it is empty");
        };
        if text.len() > MAX_BYTES {
            return refuse("it is longer than 128 bytes");
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-@".contains(&b))
        {
            return refuse("only letters, digits, '.', '_', '-' and '@' may stand in it");
        }
        if !(first.is_ascii_alphanumeric() || first == b'_') {
            return refuse("it has to begin with a letter, a digit or '_'");
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return refuse("only digits would be an ID");
        }
        if text == "all" {
            return refuse("'all' stands for every process");
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for ProcessName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ProcessName> for String {
    fn from(name: ProcessName) -> Self {
        name.0.into()
    }
}

impl Borrow<str> for ProcessName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_would_leave_the_home_or_mean_something_else_is_refused() {
        for text in [
            "",
            "..",
            "../x",
            "a/b",
            "-x",
            ".x",
            "@x",
            "all",
            "7",
            "a b",
            "a\nb",
            "ä",
            &"x".repeat(129),
        ] {
            assert!(text.parse::<ProcessName>().is_err(), "{text:?}");
        }
        for text in [
            "api",
            "api@0",
            "_x",
            "7up",
            "a.b-c_d",
            "All",
            &"x".repeat(128),
        ] {
            assert!(text.parse::<ProcessName>().is_ok(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_stem_gives_a_valid_name(stem in ".*", number in 2_u32..) {
            let name = ProcessName::from_stem(&stem);
            prop_assert_eq!(&name.as_str().parse::<ProcessName>().unwrap(), &name);
            prop_assert!(name.numbered(number).as_str().parse::<ProcessName>().is_ok());
        }
    }
}
