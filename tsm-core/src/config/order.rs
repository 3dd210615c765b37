//! The order of declared processes: what is needed comes first, and what goes round in a circle is found.

use crate::name::ProcessName;
use crate::selector::names_it;
use crate::spec::Dependency;

/// The items with each behind what it needs; otherwise in the order in which they stand. What is needed and is not among
/// them counts as there. Where they go round, the circle is cut at its first.
pub(super) fn sorted<'a, T>(
    items: &[&'a T],
    of: impl Fn(&'a T) -> (&'a ProcessName, &'a [Dependency]),
) -> Vec<&'a T> {
    let mut done = vec![false; items.len()];
    let mut order = Vec::with_capacity(items.len());
    for first in 0..items.len() {
        // Depth first, without recursion: a chain may be as long as a file.
        let mut stack = vec![(first, false)];
        let mut on_way = vec![false; items.len()];
        while let Some((index, expanded)) = stack.pop() {
            if done[index] {
                continue;
            }
            if expanded {
                done[index] = true;
                order.push(items[index]);
                continue;
            }
            if std::mem::replace(&mut on_way[index], true) {
                continue;
            }
            stack.push((index, true));
            let (_, needs) = of(items[index]);
            for need in needs.iter().rev() {
                let needed = (0..items.len()).rev().filter(|&other| {
                    !done[other] && names_it(need.name.as_str(), of(items[other]).0.as_str())
                });
                stack.extend(needed.map(|other| (other, false)));
            }
        }
    }
    order
}

/// A circle among needs, as names in its order with the first once more at its end; `needs` gives the indexes that an
/// item needs.
pub(super) fn circle(count: usize, needs: impl Fn(usize) -> Vec<usize>) -> Option<Vec<usize>> {
    // 0: not looked at; 1: on the way; 2: done.
    let mut marks = vec![0_u8; count];
    for first in 0..count {
        if marks[first] != 0 {
            continue;
        }
        let mut way = vec![(first, needs(first))];
        marks[first] = 1;
        while let Some((index, open)) = way.last_mut() {
            let Some(next) = open.pop() else {
                marks[*index] = 2;
                way.pop();
                continue;
            };
            match marks[next] {
                0 => {
                    marks[next] = 1;
                    way.push((next, needs(next)));
                }
                1 => {
                    let from = way.iter().position(|(index, _)| *index == next)?;
                    let mut circle: Vec<usize> =
                        way[from..].iter().map(|(index, _)| *index).collect();
                    circle.push(next);
                    return Some(circle);
                }
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Condition;
    use proptest::prelude::*;

    fn item(name: &str, needs: &[&str]) -> (ProcessName, Vec<Dependency>) {
        let needs = needs.iter().map(|name| Dependency {
            name: name.parse().unwrap(),
            condition: Condition::Started,
        });
        (name.parse().unwrap(), needs.collect())
    }

    fn order(items: &[(ProcessName, Vec<Dependency>)]) -> Vec<&str> {
        let items: Vec<&(ProcessName, Vec<Dependency>)> = items.iter().collect();
        let sorted = sorted(&items, |(name, needs)| (name, needs.as_slice()));
        sorted.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn what_is_needed_comes_first_and_the_rest_stays_in_its_order() {
        let items = [
            item("web", &["api", "cache"]),
            item("api", &["db"]),
            item("other", &[]),
            item("db", &[]),
            item("cache", &["db", "elsewhere"]),
        ];
        assert_eq!(order(&items), ["db", "api", "cache", "web", "other"]);
        let instances = [
            item("web", &["api"]),
            item("api@0", &[]),
            item("api@1", &[]),
        ];
        assert_eq!(order(&instances), ["api@0", "api@1", "web"]);
        // Nothing is lost where they go round.
        assert_eq!(order(&[item("a", &["b"]), item("b", &["a"])]).len(), 2);
    }

    #[test]
    fn a_circle_is_found_with_its_way() {
        let edges = [vec![1], vec![2], vec![3, 1], vec![]];
        assert_eq!(circle(4, |i| edges[i].clone()), Some(vec![1, 2, 1]));
        let edges = [vec![1, 2], vec![2], vec![]];
        assert_eq!(circle(3, |i| edges[i].clone()), None);
        assert_eq!(circle(1, |_| vec![0]), Some(vec![0, 0]));
    }

    const SIZE: usize = 6;

    /// Who needs whom, each only those before it; and the order in which they stand.
    fn graphs() -> impl Strategy<Value = (Vec<Vec<usize>>, Vec<usize>)> {
        let edges = proptest::collection::vec((0..SIZE, 0..SIZE), 0..12);
        let stand = Just((0..SIZE).collect::<Vec<_>>()).prop_shuffle();
        (edges, stand).prop_map(|(edges, stand)| {
            let mut needs = vec![Vec::new(); SIZE];
            for (one, other) in edges {
                if one != other {
                    needs[one.max(other)].push(one.min(other));
                }
            }
            (needs, stand)
        })
    }

    proptest! {
        #[test]
        fn in_whatever_order_they_stand_each_comes_behind_what_it_needs((needs, stand) in graphs()) {
            let name = |index: usize| format!("p{index}");
            let names: Vec<String> = (0..SIZE).map(name).collect();
            let items: Vec<_> = stand
                .iter()
                .map(|&index| {
                    let needs: Vec<&str> = needs[index].iter().map(|&n| names[n].as_str()).collect();
                    item(&names[index], &needs)
                })
                .collect();
            let sorted = order(&items);
            let at = |index: usize| sorted.iter().position(|own| *own == names[index]).unwrap();
            prop_assert_eq!(sorted.len(), SIZE);
            for (index, needs) in needs.iter().enumerate() {
                for &needed in needs {
                    prop_assert!(at(needed) < at(index), "{:?}", sorted);
                }
            }
            prop_assert_eq!(circle(SIZE, |index| needs[index].clone()), None);
        }

        #[test]
        fn a_circle_that_is_told_is_one((mut needs, _) in graphs(), from in 0..SIZE, to in 0..SIZE) {
            let (low, high) = (from.min(to), from.max(to));
            needs[high].push(low);
            needs[low].push(high);
            let circle = circle(SIZE, |index| needs[index].clone()).unwrap();
            prop_assert!(circle.len() > 1 && circle.first() == circle.last());
            for pair in circle.windows(2) {
                prop_assert!(needs[pair[0]].contains(&pair[1]), "{:?}", circle);
            }
        }
    }
}
