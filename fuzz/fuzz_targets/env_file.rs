//! `NAME.env`: whatever the bytes, no panic; and what was read is written so that the same is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsm_core::env::file;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(environment) = file::parse(bytes) {
        let text = file::format(&environment);
        assert_eq!(file::parse(&text).as_ref(), Ok(&environment));
    }
});
