//! How a person names one process or several: a name, an id, a glob, `@namespace`, or `all`.

use std::str::FromStr;

use crate::error::{Error, Reason, Result};
use crate::name::ProcessName;

/// Which processes are meant. Never a part of a name: `api` does not select `api-old`.
///
/// ```
/// use tsm_core::selector::Selector;
///
/// let selector: Selector = "api".parse()?;
/// assert!(selector.selects(1, "api", "default") && selector.selects(2, "api@0", "default"));
/// assert!(!selector.selects(3, "api-old", "default"));
/// assert!("@shop".parse::<Selector>()?.selects(4, "db", "shop"));
/// # Ok::<(), tsm_core::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Selector {
    /// One name; also its instances `NAME@0`, `NAME@1` …
    Name(String),
    /// One TSM id.
    Id(u32),
    /// A glob over names, such as `api-*`.
    Glob(glob::Pattern),
    /// Everything in a namespace.
    Namespace(String),
    /// Everything.
    All,
}

impl Selector {
    /// Whether this process is meant.
    pub fn selects(&self, id: u32, name: &str, namespace: &str) -> bool {
        match self {
            Self::Name(wanted) => names_it(wanted, name),
            Self::Id(wanted) => id == *wanted,
            Self::Glob(pattern) => pattern.matches(name),
            Self::Namespace(wanted) => namespace == wanted,
            Self::All => true,
        }
    }

    /// Whether it may mean nothing without that being an error: `all` of no processes is none.
    pub fn may_be_empty(&self) -> bool {
        matches!(self, Self::All)
    }

    /// Whether it may mean several at once, so that a person is asked before something is deleted.
    pub fn is_wide(&self) -> bool {
        matches!(self, Self::Glob(_) | Self::Namespace(_) | Self::All)
    }
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason: Reason| {
            Err(Error::BadSelector {
                text: text.to_owned(),
                reason,
            })
        };
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(namespace) = text.strip_prefix('@') {
            return match namespace.parse::<ProcessName>() {
                Ok(_) => Ok(Self::Namespace(namespace.to_owned())),
                Err(_) => refuse("a namespace is '@' and a name".into()),
            };
        }
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return match text.parse() {
                Ok(id) => Ok(Self::Id(id)),
                Err(_) => refuse("no ID is that large".into()),
            };
        }
        if text.contains(['*', '?', '[']) {
            return match glob::Pattern::new(text) {
                Ok(pattern) => Ok(Self::Glob(pattern)),
                Err(error) => refuse(error.into()),
            };
        }
        match text.parse::<ProcessName>() {
            Ok(_) => Ok(Self::Name(text.to_owned())),
            Err(Error::BadName { reason, .. }) => refuse(reason.into()),
            Err(error) => Err(error),
        }
    }
}

/// Whether `wanted` names this process: it is its name, or it is an instance of that.
pub fn names_it(wanted: &str, name: &str) -> bool {
    name == wanted
        || name.strip_prefix(wanted).is_some_and(|rest| {
            rest.strip_prefix('@')
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        })
}

/// The known name that a mistyped one was most likely meant to be.
pub fn suggestion<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|name| {
            let likeness = strsim::jaro_winkler(wanted, name);
            let begins = !wanted.is_empty() && name.starts_with(wanted);
            (if begins { likeness.max(0.9) } else { likeness }, name)
        })
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(selector: &str, name: &str) -> bool {
        selector
            .parse::<Selector>()
            .unwrap()
            .selects(7, name, "web")
    }

    #[test]
    fn a_name_means_itself_and_its_instances_and_nothing_else() {
        assert!(hits("api", "api"));
        assert!(hits("api", "api@0"));
        assert!(hits("api", "api@12"));
        for other in ["api-old", "api@", "api@x", "ap", "myapi"] {
            assert!(!hits("api", other), "{other}");
        }
        assert!(hits("7", "api") && !hits("8", "api"));
        assert!(hits("api-*", "api-old") && !hits("api-*", "api"));
        assert!(hits("@web", "x") && !hits("@db", "x"));
        assert!(hits("all", "x"));
    }

    #[test]
    fn a_likely_name_is_suggested_and_an_unlikely_one_is_not() {
        let known = ["devpages-dev", "api", "worker"];
        assert_eq!(
            suggestion("devpage", known.into_iter()).as_deref(),
            Some("devpages-dev")
        );
        assert_eq!(
            suggestion("wroker", known.into_iter()).as_deref(),
            Some("worker")
        );
        assert_eq!(suggestion("postgres", known.into_iter()), None);
    }
}
