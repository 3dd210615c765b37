//! What is seen of lines, and what becomes of it.

use super::*;

const SIZE: Size = Size {
    width: 10,
    height: 3,
};

fn lines(range: std::ops::Range<usize>) -> Vec<PaneLine> {
    range
        .map(|n| PaneLine::of(format!("line {n}").as_bytes()))
        .collect()
}

fn top(pane: &Pane) -> &str {
    &pane.line(pane.begin(SIZE).0).unwrap().styled.text
}

#[test]
fn the_end_is_followed_until_one_scrolls_up_and_again_when_one_is_back() {
    let mut pane = Pane::following();
    pane.replace(lines(0..10));
    assert_eq!(top(&pane), "line 7");
    pane.push(lines(10..11));
    assert_eq!(top(&pane), "line 8");
    assert!(!pane.scroll(-2, SIZE));
    pane.push(lines(11..20));
    assert_eq!((top(&pane), pane.follows()), ("line 6", false));
    assert!(pane.scroll(-100, SIZE));
    assert_eq!(top(&pane), "line 0");
    pane.scroll(100, SIZE);
    assert_eq!((top(&pane), pane.follows()), ("line 17", true));
    pane.to_top();
    assert_eq!((top(&pane), pane.percent(SIZE)), ("line 0", 15));
    pane.to_end(SIZE);
    assert_eq!((pane.follows(), pane.percent(SIZE)), (true, 100));
}

#[test]
fn a_text_stays_where_it_is_when_it_is_read_again() {
    let mut pane = Pane::default();
    pane.replace(lines(0..10));
    pane.scroll(100, SIZE);
    assert!(!pane.follows());
    pane.scroll(-3, SIZE);
    pane.replace(lines(0..20));
    assert_eq!(top(&pane), "line 4");
    pane.replace(lines(0..2));
    assert_eq!(top(&pane), "line 0");
    pane.replace(Vec::new());
    assert_eq!(pane.begin(SIZE), (0, 0));
}

#[test]
fn long_lines_are_wrapped_and_scrolled_row_by_row() {
    let mut pane = Pane::following();
    pane.replace(vec![
        PaneLine::of(b"short"),
        PaneLine::of(&[b'x'; 45]),
        PaneLine::of(b"end"),
    ]);
    // Five rows and one: the first two of the five and the short line are above.
    assert_eq!(pane.begin(SIZE), (1, 3));
    pane.scroll(-1, SIZE);
    assert_eq!(pane.begin(SIZE), (1, 2));
    pane.scroll(-3, SIZE);
    assert_eq!(pane.begin(SIZE), (0, 0));
    pane.wrap = false;
    assert_eq!(pane.begin(SIZE), (0, 0));
}

#[test]
fn only_lines_that_pass_the_filter_are_seen() {
    let mut pane = Pane::following();
    pane.replace(lines(0..30));
    pane.set_filter("LINE 1");
    assert_eq!(pane.len(), 0);
    pane.set_filter("line 1");
    assert_eq!(pane.len(), 11);
    pane.push(lines(100..101));
    pane.push(lines(200..201));
    assert_eq!(pane.line(11).unwrap().styled.text, "line 100");
    // What is no expression yet is looked for as it is.
    pane.set_filter("line (");
    assert_eq!(pane.len(), 0);
    pane.set_filter("line [23]$");
    assert_eq!(pane.text(), "line 2\nline 3");
    pane.set_filter("");
    assert_eq!(pane.len(), 32);
}

#[test]
fn a_search_goes_around() {
    let mut pane = Pane::default();
    pane.replace(lines(0..30));
    let at = |pane: &Pane| (0..pane.len()).find(|&at| pane.is_hit(at));
    assert!(pane.set_search("line .?5", SIZE));
    assert_eq!(at(&pane), Some(5));
    assert!(pane.next_hit(false, SIZE));
    assert_eq!(at(&pane), Some(15));
    pane.next_hit(false, SIZE);
    pane.next_hit(false, SIZE);
    assert_eq!(at(&pane), Some(5));
    pane.next_hit(true, SIZE);
    assert_eq!(at(&pane), Some(25));
    let (top, _) = pane.begin(SIZE);
    assert!((top..top + 3).contains(&25), "{top}");
    assert!(!pane.set_search("nothing", SIZE));
    // Who follows finds the last one first.
    let mut pane = Pane::following();
    pane.replace(lines(0..30));
    assert!(pane.set_search("5", SIZE));
    assert_eq!(at(&pane), Some(25));
    let places = Pattern::new("a+").unwrap().places("baac A");
    assert_eq!(places, [(1, 3), (5, 6)]);
}

#[test]
fn the_oldest_lines_go_and_what_is_in_sight_stays() {
    let mut pane = Pane::following();
    pane.replace(lines(0..KEPT));
    pane.set_filter("[05]$");
    pane.scroll(-10, SIZE);
    let before = top(&pane).to_owned();
    pane.push(lines(KEPT..KEPT + 100));
    assert_eq!((pane.all(), top(&pane)), (KEPT, before.as_str()));
    pane.set_filter("");
    assert_eq!(pane.line(0).unwrap().styled.text, "line 100");
    pane.scroll(-3, SIZE);
    pane.push(lines(0..50));
    assert_eq!(pane.line(0).unwrap().styled.text, "line 150");
}

#[test]
fn older_lines_come_above_what_is_in_sight() {
    let mut pane = Pane::following();
    pane.replace(lines(50..60));
    pane.scroll(-100, SIZE);
    pane.extend_back(lines(0..60));
    assert_eq!(top(&pane), "line 50");
    pane.scroll(-1, SIZE);
    assert_eq!(top(&pane), "line 49");
}

#[test]
fn a_time_is_jumped_to() {
    let mut pane = Pane::following();
    let mut timed = lines(0..10);
    for (n, line) in timed.iter_mut().enumerate() {
        line.time_ms = Some(1000 * n as u64);
    }
    pane.replace(timed);
    pane.to_time(2500);
    assert_eq!(top(&pane), "line 3");
}
