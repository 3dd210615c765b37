//! Config files: the first byte chooses the language; whatever the text, no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsm_core::config::Language;

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let language = match first % 4 {
        0 => Language::Yaml,
        1 => Language::Json { comments: false },
        2 => Language::Json { comments: true },
        _ => Language::Toml,
    };
    let _ = language.read(text);
});
