//! Dotenv files: whatever the bytes, no panic; and what can be written is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsm_core::env::dotenv;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(variables) = dotenv::parse(bytes, &|_| None) {
        let pairs = variables.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        let (text, left_out) = dotenv::format(pairs);
        assert!(left_out.is_empty(), "{left_out:?}");
        assert_eq!(dotenv::parse(text.as_bytes(), &|_| None).as_ref(), Ok(&variables));
    }
});
