//! How soon a child that ended is followed by another: soon for the first few times, and then later each time.

use std::time::Duration;

/// The pause before a child is made again.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);
/// So many deaths are each answered after the first pause.
const QUICK: u32 = 8;
/// A child that lived this long starts the count anew.
const STEADY: Duration = Duration::from_secs(10);

/// The deaths of a child, one soon after the other, and the pause after the last of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    deaths: u32,
    last: Duration,
}

impl Pauses {
    /// Before the first death.
    pub(super) fn new() -> Self {
        Self {
            deaths: 0,
            last: FIRST,
        }
    }

    /// As the program counted that was executed here before.
    pub(super) fn after_deaths(deaths: u32, last: Option<Duration>) -> Self {
        Self {
            deaths,
            last: last.unwrap_or(FIRST),
        }
    }

    /// How many there were.
    pub(super) fn deaths(self) -> u32 {
        self.deaths
    }

    /// The pause after the last one.
    pub(super) fn last(self) -> Duration {
        self.last
    }

    /// The pause after one more, of a child that had lived so long.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= STEADY {
            *self = Self::new();
        }
        self.deaths += 1;
        if self.deaths > QUICK {
            self.last = (self.last * 2).min(LONGEST);
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_are_followed_soon_and_others_later_each_time() {
        let mut pauses = Pauses::new();
        for _ in 0..QUICK {
            assert_eq!(pauses.after(Duration::ZERO), FIRST);
        }
        assert_eq!(pauses.after(Duration::ZERO), FIRST * 2);
        assert_eq!(pauses.after(Duration::ZERO), FIRST * 4);
        // An upgrade changes nothing of that.
        let mut pauses = Pauses::after_deaths(pauses.deaths(), Some(pauses.last()));
        assert_eq!(pauses.after(Duration::ZERO), FIRST * 8);
        for _ in 0..10 {
            pauses.after(Duration::ZERO);
        }
        assert_eq!(pauses.last(), LONGEST);
    }

    #[test]
    fn one_that_lived_for_long_starts_the_count_anew() {
        let mut pauses = Pauses::after_deaths(20, Some(LONGEST));
        assert_eq!(pauses.after(STEADY), FIRST);
        assert_eq!(pauses.deaths(), 1);
    }
}
