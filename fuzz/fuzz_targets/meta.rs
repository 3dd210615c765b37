//! `NAME.meta`: whatever the bytes, no panic; and what was read is written so that the same is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsm_core::meta::Meta;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(meta) = Meta::parse(bytes) {
        let line = meta.to_line();
        let again = Meta::parse(&line).expect("a line that was written is read");
        assert_eq!(again.to_line(), line);
    }
});
