//! The control socket: whatever arrives, in whatever pieces, no panic and a bounded buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsm_core::control::{FrameBuffer, Reply, Request};

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let mut buffer = FrameBuffer::default();
    for piece in rest.chunks(usize::from(first).max(1)) {
        buffer.push(piece);
        while let Ok(Some((json, _))) = buffer.take_frame() {
            let _ = serde_json::from_slice::<Request>(json);
            let _ = serde_json::from_slice::<Reply>(json);
        }
    }
});
