//! Compressed segments, `NAME.out.N.zst`: any `zstd` reads them, and any place of them is reached without unpacking what
//! stands before.
//!
//! A segment is compressed in frames of [`FRAME`] bytes, each for itself. The last frame is a table of their sizes, in the
//! seekable format of zstd (a "skippable" frame, which other programs pass over), and the first one, skippable too, tells
//! which file this was made of: so a follower that was reading that file knows it again. A file without a table, that
//! somebody else compressed, is unpacked whole.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;

use super::index::read_full_at;
use super::segments::FileId;

/// How much is compressed at a time.
const FRAME: usize = 512 << 10;
/// The middle between speed and size that zstd itself takes.
const LEVEL: i32 = 3;
/// Skippable frames: 0x184D2A50 to 0x184D2A5F. The seek table has the one that the seekable format gives it.
const ORIGIN_MAGIC: u32 = 0x184D_2A51;
const TABLE_MAGIC: u32 = 0x184D_2A5E;
const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;
/// Number of frames, descriptor, magic number.
const FOOTER: usize = 9;
const ORIGIN_TAG: &[u8; 8] = b"tsm-log1";
const ORIGIN: usize = 8 + 40;

/// Compresses `plain` into `packed`, which is empty. `between` is called between two frames, and ends it by an error.
pub(crate) fn pack(
    plain: &File,
    packed: &mut File,
    mut between: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let origin = FileId::of(&plain.metadata()?).to_bytes();
    let mut head = Vec::new();
    put_skippable(
        &mut head,
        ORIGIN_MAGIC,
        &[&ORIGIN_TAG[..], &origin].concat(),
    );
    packed.write_all(&head)?;
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    let mut block = vec![0; FRAME];
    let mut table = Vec::new();
    let mut frames = 0_u32;
    let mut at = 0;
    loop {
        let n = read_full_at(plain, &mut block, at)?;
        if n == 0 {
            break;
        }
        at += n as u64;
        let frame = compressor.compress(&block[..n])?;
        packed.write_all(&frame)?;
        table.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        table.extend_from_slice(&(n as u32).to_le_bytes());
        frames += 1;
        between()?;
    }
    table.extend_from_slice(&frames.to_le_bytes());
    // No checksums are in the table.
    table.push(0);
    table.extend_from_slice(&SEEKABLE_MAGIC.to_le_bytes());
    let mut tail = Vec::new();
    put_skippable(&mut tail, TABLE_MAGIC, &table);
    packed.write_all(&tail)
}

fn put_skippable(into: &mut Vec<u8>, magic: u32, content: &[u8]) {
    into.extend_from_slice(&magic.to_le_bytes());
    into.extend_from_slice(&(content.len() as u32).to_le_bytes());
    into.extend_from_slice(content);
}

/// A compressed segment, open.
#[derive(Debug)]
pub(super) struct Packed {
    file: File,
    pub(super) len: u64,
    /// The file that it was made of, where it says so.
    pub(super) origin: Option<FileId>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Where each frame begins: in the file, and of the content. The last is the end of both.
    Frames {
        starts: Vec<(u64, u64)>,
        /// The frame that was unpacked last.
        last: Mutex<Option<(usize, Vec<u8>)>>,
    },
    /// Unpacked whole, into memory that is a file.
    Whole(File),
}

impl Packed {
    pub(super) fn open(file: File) -> io::Result<Self> {
        let (origin, first) = read_origin(&file)?;
        if let Some(starts) = read_table(&file, first)? {
            let len = starts.last().map_or(0, |(_, end)| *end);
            let last = Mutex::new(None);
            return Ok(Self {
                file,
                len,
                origin,
                content: Content::Frames { starts, last },
            });
        }
        let mut whole = crate::sys::fd::memory_file(c"tsm-segment")?;
        let mut decoder = zstd::stream::read::Decoder::new(&file)?;
        let len = io::copy(&mut decoder, &mut whole)?;
        Ok(Self {
            file,
            len,
            origin,
            content: Content::Whole(whole),
        })
    }

    /// Fills the buffer from `offset` on as far as there is something; tells how far.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (starts, last) = match &self.content {
            Content::Whole(file) => return read_full_at(file, buffer, offset),
            Content::Frames { starts, last } => (starts, last),
        };
        let mut last = last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut filled = 0;
        while filled < buffer.len() && offset + (filled as u64) < self.len {
            let at = offset + filled as u64;
            let number = starts.partition_point(|(_, start)| *start <= at) - 1;
            if last.as_ref().is_none_or(|(known, _)| *known != number) {
                *last = Some((number, self.unpack(starts, number)?));
            }
            let Some((_, frame)) = last.as_ref() else {
                break;
            };
            let within = (at - starts[number].1) as usize;
            let n = (frame.len() - within).min(buffer.len() - filled);
            buffer[filled..filled + n].copy_from_slice(&frame[within..within + n]);
            filled += n;
        }
        Ok(filled)
    }

    fn unpack(&self, starts: &[(u64, u64)], number: usize) -> io::Result<Vec<u8>> {
        let (from, begin) = starts[number];
        let (to, end) = starts[number + 1];
        let mut packed = vec![0; (to - from) as usize];
        self.file.read_exact_at(&mut packed, from)?;
        let length = (end - begin) as usize;
        let frame = zstd::bulk::Decompressor::new()?.decompress(&packed, length)?;
        if frame.len() != length {
            return Err(damaged("a frame has another length than the table says"));
        }
        Ok(frame)
    }
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Which file it was made of, and where what follows begins.
pub(super) fn read_origin(file: &File) -> io::Result<(Option<FileId>, u64)> {
    let mut head = [0; 8 + ORIGIN];
    let n = read_full_at(file, &mut head, 0)?;
    let is_ours = n == head.len()
        && head[..4] == ORIGIN_MAGIC.to_le_bytes()
        && head[4..8] == (ORIGIN as u32).to_le_bytes()
        && head[8..16] == *ORIGIN_TAG;
    if !is_ours {
        return Ok((None, 0));
    }
    Ok((FileId::from_bytes(&head[16..]), head.len() as u64))
}

/// Where the frames begin by the table at the end; `None` where there is no table that fits the file.
fn read_table(file: &File, first: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
    let len = file.metadata()?.len();
    let mut footer = [0; FOOTER];
    if len < FOOTER as u64 || read_full_at(file, &mut footer, len - FOOTER as u64)? < FOOTER {
        return Ok(None);
    }
    let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    // The descriptor's highest bit tells of checksums in the table, which ours has none of.
    if number(&footer[5..]) != SEEKABLE_MAGIC || footer[4] != 0 {
        return Ok(None);
    }
    let frames = number(&footer) as usize;
    let size = frames * 8 + FOOTER;
    let Some(at) = len.checked_sub(size as u64 + 8) else {
        return Ok(None);
    };
    let mut table = vec![0; 8 + size];
    file.read_exact_at(&mut table, at)?;
    if number(&table) != TABLE_MAGIC || number(&table[4..]) as usize != size {
        return Ok(None);
    }
    let mut starts = vec![(first, 0)];
    let (mut from, mut begin) = (first, 0);
    for entry in table[8..8 + frames * 8].chunks_exact(8) {
        from += u64::from(number(entry));
        begin += u64::from(number(&entry[4..]));
        starts.push((from, begin));
    }
    Ok((from == at).then_some(starts))
}

/// An open file of a log: as it was written, or compressed.
#[derive(Debug)]
pub(super) enum Opened {
    Plain(File),
    Packed(Packed),
}

impl Opened {
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Plain(file) => read_full_at(file, buffer, offset),
            Self::Packed(packed) => packed.read_at(buffer, offset),
        }
    }

    /// How many bytes it has, unpacked.
    pub(super) fn len(&self) -> io::Result<u64> {
        match self {
            Self::Plain(file) => Ok(file.metadata()?.len()),
            Self::Packed(packed) => Ok(packed.len),
        }
    }

    /// The file itself.
    pub(super) fn file(&self) -> &File {
        match self {
            Self::Plain(file) => file,
            Self::Packed(packed) => &packed.file,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn packed(content: &[u8]) -> Packed {
        let mut plain = tempfile::tempfile().unwrap();
        plain.write_all(content).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        pack(&plain, &mut file, || Ok(())).unwrap();
        let packed = Packed::open(file).unwrap();
        assert_eq!(packed.origin, Some(FileId::of(&plain.metadata().unwrap())));
        packed
    }

    #[test]
    fn any_place_is_read_and_other_programs_read_it_whole() {
        let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = packed(&content);
        assert_eq!(packed.len, content.len() as u64);
        for (at, length) in [
            (0, 10),
            (FRAME - 3, 9),
            (content.len() - 5, 99),
            (3, FRAME * 2),
        ] {
            let mut buffer = vec![0; length];
            let n = packed.read_at(&mut buffer, at as u64).unwrap();
            assert_eq!(n, length.min(content.len() - at));
            assert!(buffer[..n] == content[at..at + n], "{at}");
        }
        assert_eq!(
            packed.read_at(&mut [0; 4], content.len() as u64).unwrap(),
            0
        );
        let mut whole = Vec::new();
        let mut file = &packed.file;
        io::Seek::rewind(&mut file).unwrap();
        let mut decoder = zstd::stream::read::Decoder::new(file).unwrap();
        decoder.read_to_end(&mut whole).unwrap();
        assert!(whole == content);
    }

    #[test]
    fn what_others_compressed_is_read_too_and_what_is_damaged_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&zstd::stream::encode_all(&b"hello\n"[..], 1).unwrap())
            .unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let foreign = Packed::open(file).unwrap();
        let mut buffer = [0; 99];
        assert_eq!(foreign.read_at(&mut buffer, 1).unwrap(), 5);
        assert_eq!(&buffer[..5], b"ello\n");
        assert_eq!((foreign.len, foreign.origin), (6, None));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"no zstd at all").unwrap();
        io::Seek::rewind(&mut file).unwrap();
        assert!(Packed::open(file).is_err());
        assert_eq!(packed(b"").len, 0);
    }
}
