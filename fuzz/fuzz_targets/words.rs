//! What a person types in one word: names, selectors, durations, command lines. No panic; and what was understood is written
//! so that the same is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsm_core::env::quote;
use tsm_core::name::ProcessName;
use tsm_core::selector::Selector;
use tsm_core::spec::parse_duration;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(words) = quote::split_words(bytes) {
        let line = quote::quote_words(words.iter().map(Vec::as_slice));
        assert_eq!(quote::split_words(&line).ok(), Some(words));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(name) = text.parse::<ProcessName>() {
        assert_eq!(name.as_str(), text);
        assert!(!text.contains('/') && !text.starts_with('.'), "a name is no path");
    }
    if let Ok(selector) = text.parse::<Selector>() {
        let _ = selector.selects(1, "api", "default");
    }
    let _ = parse_duration(text);
});
