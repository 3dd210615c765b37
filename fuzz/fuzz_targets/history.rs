//! `NAME.events.jsonl`: whatever the bytes, no panic, no line lost or counted twice; and what was understood is written so that
//! the same is read again. What `why` makes of it does not panic either.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsm_core::events::History;
use tsm_core::why::Past;

fuzz_target!(|bytes: &[u8]| {
    let history = History::parse(bytes);
    let lines = bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.iter().all(u8::is_ascii_whitespace));
    assert_eq!(history.entries.len() + history.unreadable, lines.count());
    let known: Vec<_> = history.events().cloned().collect();
    let text: String = known.iter().map(|event| event.to_line()).collect();
    let again: Vec<_> = History::parse(text.as_bytes()).events().cloned().collect();
    assert_eq!(again, known);
    let _ = Past::of(&history);
});
