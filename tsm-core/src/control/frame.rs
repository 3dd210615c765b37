//! Frames: cutting a stream of bytes into messages, with bounds.

use std::io;

use serde::Serialize;

/// The most JSON that a frame may hold: 4 MiB.
pub const MAX_JSON: usize = 4 << 20;
/// The most raw bytes that a frame may hold: 32 MiB.
pub const MAX_BLOB: usize = 32 << 20;

const HEADER: usize = 8;

/// Makes a frame.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] where the message cannot be serialized or is larger than a frame may be.
pub fn encode(message: &impl Serialize, blob: &[u8]) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; HEADER];
    crate::json::append(message, &mut frame)?;
    let json = frame.len() - HEADER;
    if json > MAX_JSON || blob.len() > MAX_BLOB {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the message is larger than a frame may be",
        ));
    }
    frame[..4].copy_from_slice(&(json as u32).to_le_bytes());
    frame[4..8].copy_from_slice(&(blob.len() as u32).to_le_bytes());
    frame.extend_from_slice(blob);
    Ok(frame)
}

/// Bytes that arrived and do not make a whole frame yet.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl FrameBuffer {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes wait in it.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Whether none do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a frame has begun and not ended.
    pub fn is_partial(&self) -> bool {
        self.taken < self.bytes.len()
    }

    /// The next whole frame, as JSON and raw bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where its lengths are out of bounds: nothing after it can be understood.
    pub fn take_frame(&mut self) -> io::Result<Option<(&[u8], &[u8])>> {
        let rest = &self.bytes[self.taken..];
        let Some(header) = rest.get(..HEADER) else {
            self.compact();
            return Ok(None);
        };
        let length = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
                as usize
        };
        let (json, blob) = (length(0), length(4));
        // Checked before memory is reserved for it: anybody could announce gigabytes.
        if json > MAX_JSON || blob > MAX_BLOB {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a frame with lengths out of bounds",
            ));
        }
        let end = HEADER + json + blob;
        if rest.len() < end {
            self.compact();
            return Ok(None);
        }
        let start = self.taken;
        self.taken += end;
        let frame = &self.bytes[start + HEADER..start + end];
        Ok(Some(frame.split_at(json)))
    }

    fn compact(&mut self) {
        // Only once no whole frame is left, so that the rest is not moved after each frame.
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_come_out_whole_however_they_are_cut(
            messages in proptest::collection::vec((".*", proptest::collection::vec(any::<u8>(), 0..50)), 0..8),
            cut in 1_usize..40,
        ) {
            let mut stream = Vec::new();
            for (text, blob) in &messages {
                stream.extend(encode(text, blob).unwrap());
            }
            let mut buffer = FrameBuffer::default();
            let mut seen = Vec::new();
            for piece in stream.chunks(cut) {
                buffer.push(piece);
                while let Some((json, blob)) = buffer.take_frame().unwrap() {
                    seen.push((serde_json::from_slice::<String>(json).unwrap(), blob.to_vec()));
                }
            }
            prop_assert_eq!(seen, messages);
            prop_assert!(!buffer.is_partial());
        }

        #[test]
        fn garbage_never_panics(bytes: Vec<u8>) {
            let mut buffer = FrameBuffer::default();
            buffer.push(&bytes);
            while let Ok(Some(_)) = buffer.take_frame() {}
        }
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_anything_is_kept_for_it() {
        let mut buffer = FrameBuffer::default();
        buffer.push(&u32::MAX.to_le_bytes());
        buffer.push(&[0; 4]);
        assert!(buffer.take_frame().is_err());
    }
}
