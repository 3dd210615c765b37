//! Lines that are looked at: scrolled, followed, searched, filtered, wrapped. Logs and every other text are one.

use std::collections::VecDeque;

use ratatui::layout::Size;
use regex::{Regex, RegexBuilder};

use crate::ansi::Styled;

/// How many lines a pane keeps where nothing else is said.
pub(crate) const KEPT: usize = 10_000;

/// A line of a pane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaneLine {
    /// What stands there.
    pub styled: Styled,
    /// Which of several sources it is from.
    pub source: usize,
    /// Whether it was written to standard error.
    pub is_error: bool,
    /// When it was written, in milliseconds since 1970.
    pub time_ms: Option<u64>,
}

impl PaneLine {
    /// A line of bytes that may hold colours.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            styled: crate::ansi::parse(bytes),
            ..Self::default()
        }
    }
}

/// What is looked for: a regular expression, or, where that is none yet, the text itself. Without a capital letter in it,
/// case does not count.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As it was typed.
    pub typed: String,
    regex: Option<Regex>,
}

impl Pattern {
    /// What was typed; `None` where that is nothing.
    pub fn new(typed: &str) -> Option<Self> {
        if typed.is_empty() {
            return None;
        }
        let blind = !typed.chars().any(char::is_uppercase);
        let build = |text: &str| RegexBuilder::new(text).case_insensitive(blind).build();
        let regex = build(typed).or_else(|_| build(&regex::escape(typed)));
        Some(Self {
            typed: typed.to_owned(),
            regex: regex.ok(),
        })
    }

    /// Whether it is in a text.
    pub fn is_in(&self, text: &str) -> bool {
        self.regex
            .as_ref()
            .is_some_and(|regex| regex.is_match(text))
    }

    /// Where it is in a text.
    pub fn places(&self, text: &str) -> Vec<(usize, usize)> {
        let found = self.regex.iter().flat_map(|regex| regex.find_iter(text));
        let found = found.map(|hit| (hit.start(), hit.end()));
        found.filter(|(begin, end)| begin < end).collect()
    }
}

/// Lines, and what is seen of them.
#[derive(Clone, Debug)]
pub struct Pane {
    lines: VecDeque<PaneLine>,
    /// How many lines were there before the first of `lines`.
    gone: usize,
    /// The numbers of the lines that pass the filter, counted with those that are gone; `None` without a filter.
    passing: Option<VecDeque<usize>>,
    /// The line at the top, counted among those that pass …
    top: usize,
    /// … and how many of its rows are above.
    skip: usize,
    /// The end stays in sight.
    follow: bool,
    /// Whether scrolling to the end follows again.
    is_live: bool,
    /// How many lines are kept.
    kept: usize,
    /// Long lines go on in the next row.
    pub wrap: bool,
    /// Without that: how many columns are left of the screen.
    pub left: usize,
    /// Times stand before lines.
    pub times: bool,
    filter: Option<Pattern>,
    search: Option<Pattern>,
    /// The line that the search is at, counted with those that are gone.
    hit: Option<usize>,
}

impl Default for Pane {
    fn default() -> Self {
        Self {
            lines: VecDeque::new(),
            gone: 0,
            passing: None,
            top: 0,
            skip: 0,
            follow: false,
            is_live: false,
            kept: KEPT,
            wrap: true,
            left: 0,
            times: false,
            filter: None,
            search: None,
            hit: None,
        }
    }
}

impl Pane {
    /// A pane that shows the end, and what is added to it.
    pub fn following() -> Self {
        Self {
            follow: true,
            is_live: true,
            ..Self::default()
        }
    }

    /// How many lines pass the filter.
    pub fn len(&self) -> usize {
        self.passing
            .as_ref()
            .map_or(self.lines.len(), VecDeque::len)
    }

    /// Whether no line passes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many lines there are, whatever the filter says.
    pub fn all(&self) -> usize {
        self.lines.len()
    }

    /// The text of all that passes.
    pub fn text(&self) -> String {
        let lines = (0..self.len()).filter_map(|at| self.line(at));
        let lines: Vec<&str> = lines.map(|line| line.styled.text.as_str()).collect();
        lines.join("\n")
    }

    /// A line, counted among those that pass.
    pub fn line(&self, at: usize) -> Option<&PaneLine> {
        match &self.passing {
            None => self.lines.get(at),
            Some(passing) => self.lines.get(passing.get(at)? - self.gone),
        }
    }

    /// Whether the search is at this line, counted among those that pass.
    pub fn is_hit(&self, at: usize) -> bool {
        self.hit.is_some() && self.hit == self.number(at)
    }

    /// The number of a line that passes, counted with those that are gone.
    fn number(&self, at: usize) -> Option<usize> {
        match &self.passing {
            None => Some(at + self.gone),
            Some(passing) => passing.get(at).copied(),
        }
    }

    /// Where the line of a number stands among those that pass, or the first one behind it.
    fn position(&self, number: usize) -> usize {
        match &self.passing {
            None => number.saturating_sub(self.gone),
            Some(passing) => passing.partition_point(|&known| known < number),
        }
    }

    /// Whether the end stays in sight.
    pub fn follows(&self) -> bool {
        self.follow
    }

    /// Keeps the end in sight, or no longer.
    pub fn set_follow(&mut self, follow: bool, size: Size) {
        if self.follow && !follow {
            self.settle(size);
        }
        self.follow = follow;
        self.is_live |= follow;
    }

    /// Keeps so many lines from now on.
    pub fn keep(&mut self, lines: usize) {
        self.kept = lines.max(KEPT);
    }

    /// What is looked for.
    pub fn search(&self) -> Option<&Pattern> {
        self.search.as_ref()
    }

    /// What a line has to hold to be seen.
    pub fn filter(&self) -> Option<&Pattern> {
        self.filter.as_ref()
    }

    /// Puts other lines in place of all; the place stays as far as it can.
    pub fn replace(&mut self, lines: Vec<PaneLine>) {
        self.lines = lines.into();
        self.gone = 0;
        self.hit = None;
        self.trim();
        self.sift();
        self.top = self.top.min(self.len().saturating_sub(1));
    }

    /// Puts lines in place of all that end as these do and go further back; what is in sight stays there.
    pub fn extend_back(&mut self, lines: Vec<PaneLine>) {
        let number = self.number(self.top).unwrap_or(self.gone) - self.gone;
        let more = lines.len().saturating_sub(self.lines.len());
        let (skip, follow) = (self.skip, self.follow);
        self.replace(lines);
        self.top = self.position(number + more);
        (self.skip, self.follow) = (skip, follow);
    }

    /// Adds lines at the end.
    pub fn push(&mut self, lines: Vec<PaneLine>) {
        for line in lines {
            if let (Some(passing), Some(filter)) = (&mut self.passing, &self.filter)
                && filter.is_in(&line.styled.text)
            {
                passing.push_back(self.gone + self.lines.len());
            }
            self.lines.push_back(line);
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.lines.len() > self.kept {
            self.lines.pop_front();
            let first = match &mut self.passing {
                None => true,
                Some(passing) if passing.front() == Some(&self.gone) => {
                    passing.pop_front();
                    true
                }
                Some(_) => false,
            };
            self.gone += 1;
            if first {
                self.top = self.top.saturating_sub(1);
            }
        }
    }

    /// Finds the lines that pass anew.
    fn sift(&mut self) {
        let Some(filter) = &self.filter else {
            self.passing = None;
            return;
        };
        let numbered = self.lines.iter().enumerate();
        let passing = numbered.filter(|(_, line)| filter.is_in(&line.styled.text));
        self.passing = Some(passing.map(|(at, _)| at + self.gone).collect());
    }

    /// Shows only lines in which this is found; nothing shows all. What was at the top stays near.
    pub fn set_filter(&mut self, typed: &str) {
        let number = self.number(self.top);
        self.filter = Pattern::new(typed);
        self.sift();
        self.skip = 0;
        self.top = number.map_or(0, |number| self.position(number));
        self.top = self.top.min(self.len().saturating_sub(1));
    }

    /// Looks for something else, from the top of the screen on; nothing ends the search. Tells whether it is there.
    pub fn set_search(&mut self, typed: &str, size: Size) -> bool {
        self.search = Pattern::new(typed);
        self.hit = None;
        if self.search.is_none() {
            return true;
        }
        let (top, _) = self.begin(size);
        // Who follows looks at the end: what is found last is nearest.
        if self.follow {
            let len = self.len();
            return self.seek((0..len).rev(), size);
        }
        self.seek((top..self.len()).chain(0..top), size)
    }

    /// Goes to the next line in which it is found, or the one before; around the end where there is none. Tells whether
    /// there is one.
    pub fn next_hit(&mut self, back: bool, size: Size) -> bool {
        let (top, _) = self.begin(size);
        let here = self.hit.map(|number| self.position(number));
        let len = self.len();
        if back {
            let here = here.unwrap_or(top).min(len);
            return self.seek((0..here).rev().chain((here..len).rev()), size);
        }
        let from = here.map_or(top, |here| (here + 1).min(len));
        self.seek((from..len).chain(0..from), size)
    }

    fn seek(&mut self, mut order: impl Iterator<Item = usize>, size: Size) -> bool {
        let Some(search) = &self.search else {
            return false;
        };
        let is_in = |at: &usize| {
            let line = self.line(*at);
            line.is_some_and(|line| search.is_in(&line.styled.text))
        };
        let Some(at) = order.find(is_in) else {
            return false;
        };
        self.hit = self.number(at);
        self.show(at, size);
        true
    }

    /// Brings a line into sight.
    fn show(&mut self, at: usize, size: Size) {
        self.settle(size);
        let rows = usize::from(size.height);
        let mut end = self.top;
        let mut used = 0;
        while end < self.len() && used + self.height(end, size) <= rows + self.skip {
            used += self.height(end, size);
            end += 1;
        }
        if at < self.top || at >= end {
            self.follow = false;
            self.top = at.saturating_sub(rows / 3);
            self.skip = 0;
            let last = self.last_top(size);
            if (self.top, 0) > last {
                (self.top, self.skip) = last;
            }
        }
    }

    /// How many rows a line takes.
    pub fn height(&self, at: usize, size: Size) -> usize {
        let Some(line) = self.line(at).filter(|_| self.wrap) else {
            return 1;
        };
        let width = usize::from(size.width).max(2);
        if line.styled.columns <= width {
            return 1;
        }
        if line.styled.columns == line.styled.text.len() {
            return line.styled.columns.div_ceil(width);
        }
        line.styled.breaks(width).len()
    }

    /// The first line in sight, and how many of its rows are above the screen.
    pub fn begin(&self, size: Size) -> (usize, usize) {
        let last = self.last_top(size);
        if self.follow {
            last
        } else {
            (self.top, self.skip).min(last)
        }
    }

    /// Where the screen begins when it shows the end.
    fn last_top(&self, size: Size) -> (usize, usize) {
        let mut left = usize::from(size.height);
        let mut at = self.len();
        while at > 0 {
            let height = self.height(at - 1, size);
            if height > left {
                return if left == 0 {
                    (at, 0)
                } else {
                    (at - 1, height - left)
                };
            }
            left -= height;
            at -= 1;
        }
        (0, 0)
    }

    /// Takes what is in sight for the place to scroll from.
    fn settle(&mut self, size: Size) {
        (self.top, self.skip) = self.begin(size);
    }

    /// Scrolls by rows, down where positive. Tells whether it came to the top.
    pub fn scroll(&mut self, rows: isize, size: Size) -> bool {
        self.settle(size);
        self.follow = false;
        let last = self.last_top(size);
        if rows > 0 {
            for _ in 0..rows {
                if (self.top, self.skip) >= last {
                    break;
                }
                if self.skip + 1 < self.height(self.top, size) {
                    self.skip += 1;
                } else {
                    self.top += 1;
                    self.skip = 0;
                }
            }
            self.follow = self.is_live && (self.top, self.skip) >= last;
            return false;
        }
        for _ in rows..0 {
            if self.skip > 0 {
                self.skip -= 1;
            } else if self.top > 0 {
                self.top -= 1;
                self.skip = self.height(self.top, size) - 1;
            } else {
                return true;
            }
        }
        (self.top, self.skip) == (0, 0)
    }

    /// Goes to the first line.
    pub fn to_top(&mut self) {
        self.follow = false;
        (self.top, self.skip, self.left) = (0, 0, 0);
    }

    /// Goes to the last line.
    pub fn to_end(&mut self, size: Size) {
        self.follow = self.is_live;
        (self.top, self.skip) = self.last_top(size);
    }

    /// Goes to the first line of this time or later.
    pub fn to_time(&mut self, time_ms: u64) {
        let since = |at: &usize| {
            let time = self.line(*at).and_then(|line| line.time_ms);
            time.is_some_and(|time| time >= time_ms)
        };
        let found = (0..self.len()).find(since);
        self.follow = false;
        self.skip = 0;
        self.top = found.unwrap_or(self.len().saturating_sub(1));
        self.hit = self.number(self.top);
    }

    /// How much of all lines is above the end of the screen, in percent.
    pub fn percent(&self, size: Size) -> usize {
        let (top, _) = self.begin(size);
        let mut rows = 0;
        let mut end = top;
        while end < self.len() && rows < usize::from(size.height) {
            rows += self.height(end, size);
            end += 1;
        }
        (end * 100).checked_div(self.len()).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests;
