//! A mistake in a config file, as a person is shown it.

use std::fmt;

use super::node::Place;
use crate::env::secret::without_secrets;

/// Of a line that is longer than this, the part around the mistake is shown.
const LONGEST: usize = 160;
/// So much of it before the mistake.
const BEFORE: usize = 60;

/// One mistake in a config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub at: Place,
    /// What is wrong, and what to do.
    pub message: String,
    /// The line of the file, secrets covered; a part of it where it is very long.
    pub line: String,
    /// Behind how many characters of that line the mistake is, where that can be told.
    pub mark: Option<usize>,
}

impl Mistake {
    /// A mistake at this place of a file that holds this text.
    pub(super) fn new(text: &str, at: Place, message: impl Into<String>) -> Self {
        let whole = text.lines().nth(at.line.saturating_sub(1));
        let whole = whole.unwrap_or_default().trim_end();
        let covered = without_secrets(whole);
        let column = at.column.saturating_sub(1);
        // Where covering a secret has moved the place, nothing is pointed at.
        let same = whole.chars().take(column).eq(covered.chars().take(column));
        let mark = Some(column).filter(|_| same && column <= covered.chars().count());
        let (line, mark) = excerpt(&covered, mark);
        Self {
            at,
            message: message.into(),
            line,
            mark,
        }
    }
}

/// The line, or where it is too long the part around the mark.
fn excerpt(line: &str, mark: Option<usize>) -> (String, Option<usize>) {
    let length = line.chars().count();
    if length <= LONGEST {
        return (line.to_owned(), mark);
    }
    let from = mark
        .unwrap_or(0)
        .saturating_sub(BEFORE)
        .min(length - LONGEST);
    let part: String = line.chars().skip(from).take(LONGEST).collect();
    let begin = if from > 0 { "…" } else { "" };
    let end = if from + LONGEST < length { "…" } else { "" };
    let mark = mark.map(|mark| mark - from + begin.chars().count());
    (format!("{begin}{part}{end}"), mark)
}

/// What is wrong, and below it the line with its number and a mark.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, message, .. } = self;
        write!(f, "{}:{}: {message}", at.line, at.column)?;
        if self.line.trim().is_empty() {
            return Ok(());
        }
        write!(f, "\n{:>5} | {}", at.line, self.line)?;
        let Some(mark) = self.mark else { return Ok(()) };
        // A tab goes as far as the one above it.
        let blank = |letter: char| if letter == '\t' { '\t' } else { ' ' };
        let blanks: String = self.line.chars().take(mark).map(blank).collect();
        write!(f, "\n{:>5} | {blanks}^", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, line: usize, column: usize) -> String {
        Mistake::new(text, Place { line, column }, "wrong").to_string()
    }

    #[test]
    fn the_line_is_shown_with_a_mark() {
        assert_eq!(
            told("a\n  b: c", 2, 3),
            "2:3: wrong\n    2 |   b: c\n      |   ^"
        );
        assert_eq!(
            told("\tb: ü c", 1, 7),
            "1:7: wrong\n    1 | \tb: ü c\n      | \t     ^"
        );
        // At the end of a line that lacks something, and of a file.
        assert_eq!(
            told("a: [", 1, 5),
            "1:5: wrong\n    1 | a: [\n      |     ^"
        );
        assert_eq!(told("a: [\n", 2, 1), "2:1: wrong");
    }

    #[test]
    fn a_secret_is_covered_and_nothing_is_pointed_at_behind_it() {
        let line = "DATABASE_URL: postgres://app:hunter2@db/x, prot: 1";
        let at = line.find("prot").unwrap() + 1;
        let told = told(line, 1, at);
        assert!(!told.contains("hunter2") && !told.contains('^'), "{told}");
    }

    #[test]
    fn of_a_long_line_the_part_around_the_mark_is_shown() {
        for (before, after) in [(0, 1000), (1000, 1000), (1000, 0), (100, 100)] {
            let line = format!("{}X{}", "-".repeat(before), "-".repeat(after));
            let mistake = Mistake::new(
                &line,
                Place {
                    line: 1,
                    column: before + 1,
                },
                "wrong",
            );
            assert!(mistake.line.chars().count() <= LONGEST + 2);
            let marked = mistake.line.chars().nth(mistake.mark.unwrap());
            assert_eq!(marked, Some('X'), "{before} {after}");
        }
    }
}
