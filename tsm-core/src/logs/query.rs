//! Which lines of logs are wanted: the last ones, those of some time, those that match.

use memchr::{memchr, memrchr};
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::Look;

use crate::error::{Error, Result};

/// Which lines are wanted; all of them where nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only so many, the last ones, of those that everything else leaves.
    pub lines: Option<usize>,
    /// Only what came at this time or later, for each source, in milliseconds since 1970. Sources beyond the end of the
    /// list have no such time.
    pub since_ms: Vec<Option<u64>>,
    /// Only what came before this time.
    pub until_ms: Option<u64>,
    /// Only lines in which this is found.
    pub grep: Option<Grep>,
}

impl Query {
    /// The last lines, or all.
    pub fn last(lines: Option<usize>) -> Self {
        Self {
            lines,
            ..Self::default()
        }
    }

    pub(super) fn since_of(&self, source: usize) -> Option<u64> {
        self.since_ms.get(source).copied().flatten()
    }
}

/// A regular expression that lines are looked at with.
#[derive(Clone, Debug)]
pub struct Grep {
    /// For one line.
    single: Regex,
    /// For many lines at once, where that finds the same.
    many: Option<Regex>,
}

impl Grep {
    /// Reads an expression in the language of the `regex` crate; `(?i)` before it makes it blind to case.
    ///
    /// # Errors
    /// [`Error::BadValue`] that shows where it is wrong.
    ///
    /// ```
    /// use tsm_core::logs::Grep;
    ///
    /// assert!(Grep::new("^GET /api")?.is_match(b"GET /api/users"));
    /// let wrong = Grep::new("a(b").unwrap_err().to_string();
    /// assert_eq!(wrong, "--grep: unclosed group\n  a(b\n   ^");
    /// # Ok::<(), tsm_core::error::Error>(())
    /// ```
    pub fn new(pattern: &str) -> Result<Self> {
        let wrong = |error: regex::Error| explain(pattern, &error);
        let single = RegexBuilder::new(pattern).build().map_err(wrong)?;
        let many = RegexBuilder::new(pattern).multi_line(true).build();
        Ok(Self {
            single,
            many: many.ok().filter(|_| !means_the_ends(pattern)),
        })
    }

    /// Whether it is found in a line.
    pub fn is_match(&self, line: &[u8]) -> bool {
        self.single.is_match(line)
    }

    /// Gives each line of `lines` in which it is found: where it begins, and where it ends, its newline not counted.
    pub(super) fn each_match(&self, lines: &[u8], mut found: impl FnMut(usize, usize)) {
        let mut at = 0;
        let mut many = self.many.as_ref();
        while at < lines.len() {
            let hit = match many {
                None => at..at,
                Some(many) => match many.find_at(lines, at) {
                    Some(hit) => hit.range(),
                    None => return,
                },
            };
            if hit.start == lines.len() && lines.ends_with(b"\n") {
                return;
            }
            let begin =
                memrchr(b'\n', &lines[at..hit.start]).map_or(at, |newline| at + newline + 1);
            let end = memchr(b'\n', &lines[hit.start..])
                .map_or(lines.len(), |newline| hit.start + newline);
            // A match that goes beyond the end of a line need not match the line itself.
            if (many.is_some() && hit.end <= end) || self.single.is_match(&lines[begin..end]) {
                found(begin, end);
            }
            if hit.end > end {
                // It may go to the end of all lines, and so may the next one from each line on: from here on line by line.
                many = None;
            }
            at = end + 1;
        }
    }
}

/// Whether an expression means the beginning or the end of what is looked at, be it a line or many: `\A`, `\z`, `(?-m)^`.
fn means_the_ends(pattern: &str) -> bool {
    let parsed = regex_syntax::ParserBuilder::new()
        .multi_line(true)
        .utf8(false)
        .build()
        .parse(pattern);
    let ends = [Look::Start, Look::End];
    parsed.is_ok_and(|parsed| {
        let looks = parsed.properties().look_set();
        ends.into_iter().any(|end| looks.contains(end))
    })
}

/// What is wrong with an expression, and where.
fn explain(pattern: &str, error: &regex::Error) -> Error {
    let wrong = match regex_syntax::parse(pattern) {
        Err(regex_syntax::Error::Parse(error)) => {
            Some((error.kind().to_string(), error.span().start.offset))
        }
        Err(regex_syntax::Error::Translate(error)) => {
            Some((error.kind().to_string(), error.span().start.offset))
        }
        _ => None,
    };
    let reason = match wrong {
        Some((what, at)) => {
            let before = pattern.get(..at).map_or(0, |before| before.chars().count());
            format!("{what}\n  {pattern}\n  {:before$}^", "")
        }
        None => error.to_string(),
    };
    Error::bad_value("--grep", reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(pattern: &str, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let grep = Grep::new(pattern).unwrap();
        grep.each_match(text.as_bytes(), |begin, end| {
            lines.push(text[begin..end].to_owned());
        });
        lines
    }

    #[test]
    fn lines_are_found_one_by_one() {
        let text = "one\ntwo three\n\nthree four\nfive";
        assert_eq!(found("three", text), ["two three", "three four"]);
        assert_eq!(found("^three", text), ["three four"]);
        assert_eq!(found("e$", text), ["one", "two three", "five"]);
        assert_eq!(found("^$", text), [""]);
        assert_eq!(found(r"e\s+f", text), ["three four"]);
        // Only over the end of a line.
        assert_eq!(found(r"e\st", text), [""; 0]);
        assert_eq!(found(r"\Afive\z", text), ["five"]);
        assert_eq!(found("(?-m)^th.*r$", text), ["three four"]);
        assert_eq!(found("(?-m:^three)", text), ["three four"]);
        assert_eq!(found("(?i)FIVE", text), ["five"]);
        assert_eq!(found("", "a\nb\n"), ["a", "b"]);
    }

    #[test]
    fn what_matches_beyond_the_ends_of_lines_does_not_go_on_for_ever() {
        let line = |n: usize| format!("{n} GET /users 200 here some text");
        let lines: Vec<String> = (0..10_000).map(line).collect();
        let text = lines.join("\n");
        assert_eq!(found("GET[^\"]*here", &text), lines);
        assert_eq!(found("GET[^\"]*500", &text), [""; 0]);
        assert_eq!(found("(?s)GET.*text$", &text), lines);
    }

    proptest! {
        #[test]
        fn many_at_once_find_what_each_alone_finds(
            text in "[ab \n]{0,60}",
            pattern in "\\^?(a|b|\\[\\^a\\]|\\\\s|\\.|ab|b\\*|\\\\b){1,3}\\$?",
        ) {
            let grep = Grep::new(&pattern).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let alone: Vec<&&str> = lines.iter().filter(|l| grep.is_match(l.as_bytes())).collect();
            let at_once = found(&pattern, &text);
            prop_assert_eq!(at_once.iter().map(String::as_str).collect::<Vec<_>>(),
                alone.into_iter().copied().collect::<Vec<_>>());
        }
    }
}
