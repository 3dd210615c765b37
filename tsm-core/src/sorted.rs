//! One sort for what is sorted here and there. Each type and key that the standard library sorts by is some 4 KiB of code; here all are sorted by
//! their places, and only the moves are each type's own.

use std::cmp::Ordering;

/// Sorts by the order of the items; the sort is stable.
pub(crate) fn sort<T: Ord>(items: &mut [T]) {
    by(items, T::cmp);
}

/// Sorts by a key of each item; the sort is stable.
pub(crate) fn by_key<T, K: Ord>(items: &mut [T], mut key: impl FnMut(&T) -> K) {
    by(items, |a, b| key(a).cmp(&key(b)));
}

/// Sorts by a comparison; the sort is stable.
pub(crate) fn by<T>(items: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    let mut from = order(items.len(), &mut |a, b| compare(&items[a], &items[b]));
    for to in 0..items.len() {
        // The item may have been moved already, so its way is followed to where it is now.
        let mut at = from[to];
        while at < to {
            at = from[at];
        }
        from[to] = at;
        items.swap(to, at);
    }
}

/// The places of the items, in their order.
fn order(count: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_by(|&a, &b| compare(a, b));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_order_of_the_standard_library(given: Vec<(u8, u16)>) {
            let (mut ours, mut theirs) = (given.clone(), given.clone());
            by_key(&mut ours, |item| item.0 % 8);
            theirs.sort_by_key(|item| item.0 % 8);
            prop_assert_eq!(&ours, &theirs);
            sort(&mut ours);
            theirs.sort_unstable();
            prop_assert_eq!(&ours, &theirs);
        }
    }
}
