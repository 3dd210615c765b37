//! Where a log is cut: how much may be moved out of a pipe before its file is rotated, so that a segment begins and ends
//! at a line.
//!
//! Nothing has to be remembered between two calls: file and pipe say it all, whoever was killed before.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use crate::sys::fd;

/// What is to be done next with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// So many bytes may be moved, at the most.
    Move(usize),
    /// It is rotated before anything is moved.
    Rotate,
}

/// What was found out of the last line of a log: in the bytes before `up_to` of this file, it begins at `begin`. Only what came
/// since is looked through again: a progress bar without newlines is written in thousands of small pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::supervise) struct LastLine {
    inode: u64,
    up_to: u64,
    begin: u64,
}

impl LastLine {
    /// Where the last line of a file of `len` bytes begins; where that is further back than `most` bytes, no further.
    fn begin(&mut self, file: &File, len: u64, most: u64) -> io::Result<u64> {
        let inode = file.metadata()?.ino();
        let known = if self.inode == inode { self.up_to } else { 0 };
        let first = known.max(len.saturating_sub(most));
        let mut begin = line_start(file, len, len - first)?;
        if begin == first && known > 0 {
            begin = self.begin;
        }
        *self = Self {
            inode,
            up_to: len,
            begin,
        };
        Ok(begin.max(len.saturating_sub(most)))
    }
}

/// Within this much of the largest size a log is rotated at the first end of a line.
fn reserve(limit: u64) -> u64 {
    (limit / 8).min(1 << 20)
}

/// Says what comes next for a file of `len` bytes that is to have at most `limit`. With `wanted`, it is rotated at the end
/// of the line that it is in.
///
/// A line that began long before the limit is let end, beyond it: only a line that is larger than a segment alone is cut.
pub(super) fn next(
    pipe: impl AsFd,
    file: &File,
    len: u64,
    (limit, wanted): (u64, bool),
    last: &mut Option<Box<LastLine>>,
) -> io::Result<Next> {
    if last.as_ref().is_some_and(|last| len < last.up_to) {
        // Somebody truncated it.
        *last = None;
    }
    let stretch = limit - reserve(limit);
    // Nothing in it is nothing to rotate, even where that is wanted.
    if len == 0 || (len < stretch && !wanted) {
        let room = stretch.max(1) - len;
        return Ok(Next::Move(usize::try_from(room).unwrap_or(usize::MAX)));
    }
    if byte_before(file, len)? == b'\n' {
        return Ok(Next::Rotate);
    }
    let waiting = fd::peek(pipe)?;
    let end = waiting.iter().position(|byte| *byte == b'\n');
    let more = end.map_or(waiting.len(), |newline| newline + 1);
    if len + more as u64 > limit {
        let begin = last.get_or_insert_default().begin(file, len, limit)?;
        if len - begin >= limit {
            return Ok(Next::Rotate);
        }
        // The line is all that there is in the file: it fills the segment, and is cut there.
        if begin == 0 {
            return Ok(Next::Move(more.min((limit - len) as usize)));
        }
    }
    // With nothing in the pipe, moving finds out whether that is its end.
    Ok(Next::Move(more.max(1)))
}

/// Whether a file of `len` bytes ends with a line.
pub(super) fn ends_with_a_line(file: &File, len: u64) -> io::Result<bool> {
    Ok(len == 0 || byte_before(file, len)? == b'\n')
}

fn byte_before(file: &File, at: u64) -> io::Result<u8> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at - 1)?;
    Ok(byte[0])
}

/// Where the last line of a file of `len` bytes begins; no further back than `most` bytes.
pub(super) fn line_start(file: &File, len: u64, most: u64) -> io::Result<u64> {
    let first = len.saturating_sub(most);
    let mut end = len;
    let mut block = vec![0; 64 << 10];
    while end > first {
        let start = end.saturating_sub(block.len() as u64).max(first);
        let part = &mut block[..(end - start) as usize];
        file.read_exact_at(part, start)?;
        if let Some(newline) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// Moves all of `text` through a pipe in chunks as the mover does, and returns the segments.
    fn segments_of(text: &[u8], chunks: &[usize], limit: u64) -> Vec<Vec<u8>> {
        let (reader, writer) = fd::pipe_to_poll().unwrap();
        let mut writer = File::from(writer);
        let mut segments = Vec::new();
        let mut file = tempfile::tempfile().unwrap();
        let mut len = 0;
        let mut last = None;
        let mut rest = text;
        let mut chunks = chunks.iter().cycle();
        while !rest.is_empty() {
            let chunk = (*chunks.next().unwrap()).clamp(1, rest.len());
            writer.write_all(&rest[..chunk]).unwrap();
            rest = &rest[chunk..];
            while fd::bytes_waiting(&reader) > 0 {
                match next(&reader, &file, len, (limit, false), &mut last).unwrap() {
                    Next::Rotate => {
                        segments.push(content(&file, len));
                        file = tempfile::tempfile().unwrap();
                        len = 0;
                    }
                    Next::Move(most) => {
                        assert!(most > 0);
                        len += fd::splice(&reader, &file, len, most).unwrap() as u64;
                    }
                }
            }
        }
        segments.push(content(&file, len));
        segments
    }

    fn content(file: &File, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn a_segment_begins_and_ends_at_a_line() {
        let lines: Vec<String> = (0..10_000).map(|n| format!("line {n}\n")).collect();
        let text = lines.concat();
        let segments = segments_of(text.as_bytes(), &[4096], 10_000);
        assert_eq!(segments.concat(), text.as_bytes());
        assert!(segments.len() > 8);
        for segment in &segments[..segments.len() - 1] {
            assert!(
                (8_000..=10_000).contains(&segment.len()),
                "{}",
                segment.len()
            );
            assert_eq!(segment.last(), Some(&b'\n'));
        }
    }

    #[test]
    fn only_a_line_that_is_larger_than_a_segment_is_cut() {
        let mut text = b"short\n".to_vec();
        text.resize(50_000, b'x');
        text.push(b'\n');
        text.resize(56_000, b'y');
        text.push(b'\n');
        let sizes: Vec<usize> = segments_of(&text, &[1000], 10_000)
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(sizes.iter().sum::<usize>(), text.len());
        assert!(sizes.iter().all(|size| *size <= 2 * 10_000), "{sizes:?}");
        // One that is not is let end beyond the limit.
        let mut text = vec![b'a'; 5_000];
        text.push(b'\n');
        text.resize(11_000, b'b');
        text.extend_from_slice(b"\nrest\n");
        let segments = segments_of(&text, &[700], 10_000);
        assert_eq!(segments[0].len(), 11_001);
        assert_eq!(segments[1], b"rest\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_byte_is_in_one_segment(
            lines in prop::collection::vec(0usize..3000, 1..60),
            chunks in prop::collection::vec(1usize..5000, 1..9),
            limit in 64u64..5000,
        ) {
            let mut text = Vec::new();
            for (number, length) in lines.iter().enumerate() {
                text.resize(text.len() + length, b'a' + (number % 26) as u8);
                text.push(b'\n');
            }
            let segments = segments_of(&text, &chunks, limit);
            prop_assert!(segments.concat() == text);
            for pair in segments.windows(2) {
                let cut = pair[0].last() != Some(&b'\n');
                let begin = pair[0].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
                prop_assert!(!cut || (pair[0].len() - begin) as u64 >= limit);
            }
        }
    }
}
