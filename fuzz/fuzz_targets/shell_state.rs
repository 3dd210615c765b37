//! `NAME.shell`: whatever the bytes, no panic; and what is whole stays as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsm_core::env::ShellState;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(state) = ShellState::parse(bytes) {
        assert_eq!(state.as_bytes(), bytes);
    }
    let _ = ShellState::from_dump(bytes);
});
