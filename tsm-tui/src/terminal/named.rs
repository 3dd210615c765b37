//! The sixteen named colours by the sequences that every terminal with colours knows.
//!
//! What draws writes them as the first ones of a palette of 256 (`38;5;1`), which a terminal of sixteen colours need not
//! understand; `31` is understood by all (`console_codes(4)`, "ECMA-48 Select Graphic Rendition").

use std::io::{self, Write};

/// Writes to a terminal, named colours by their own sequences. Nothing is written before [`Write::flush`].
#[derive(Debug)]
pub(crate) struct Named<W> {
    inner: W,
    held: Vec<u8>,
}

impl<W: Write> Named<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            held: Vec::with_capacity(16 << 10),
        }
    }
}

impl<W: Write> Write for Named<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let renamed = rename(&self.held);
        self.held.clear();
        self.inner.write_all(&renamed)?;
        self.inner.flush()
    }
}

/// The bytes with each colour of the palette that has a name called by it.
fn rename(bytes: &[u8]) -> Vec<u8> {
    let mut renamed = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, b"\x1b[") {
        let (before, sequence) = rest.split_at(at + 2);
        renamed.extend_from_slice(before);
        let is_parameter = |byte: &u8| byte.is_ascii_digit() || *byte == b';';
        let end = sequence.iter().position(|byte| !is_parameter(byte));
        let end = end.unwrap_or(sequence.len());
        let (parameters, after) = sequence.split_at(end);
        if after.first() == Some(&b'm') {
            graphics(parameters, &mut renamed);
        } else {
            renamed.extend_from_slice(parameters);
        }
        rest = after;
    }
    renamed.extend_from_slice(rest);
    renamed
}

fn graphics(parameters: &[u8], renamed: &mut Vec<u8>) {
    let all: Vec<&[u8]> = parameters.split(|&byte| byte == b';').collect();
    let number =
        |at: usize| -> Option<u16> { std::str::from_utf8(all.get(at)?).ok()?.parse().ok() };
    let mut at = 0;
    while at < all.len() {
        if at > 0 {
            renamed.push(b';');
        }
        let named = match (number(at), number(at + 1), number(at + 2)) {
            (Some(which @ (38 | 48)), Some(5), Some(colour @ 0..16)) => Some((which, colour)),
            _ => None,
        };
        if let Some((which, colour)) = named {
            let bright = if colour < 8 { 0 } else { 60 };
            let code = which - 8 + bright + colour % 8;
            renamed.extend_from_slice(code.to_string().as_bytes());
            at += 3;
            continue;
        }
        // The parts of another colour are no codes of their own.
        let parts = match (number(at), number(at + 1)) {
            (Some(38 | 48), Some(5)) => 3,
            (Some(38 | 48), Some(2)) => 5,
            _ => 1,
        };
        let parts = &all[at..(at + parts).min(all.len())];
        renamed.extend_from_slice(&parts.join(&b';'));
        at += parts.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_with_names_are_renamed() {
        let renamed = |text: &str| String::from_utf8(rename(text.as_bytes())).unwrap();
        for (written, sent) in [
            ("a\x1b[38;5;1mb", "a\x1b[31mb"),
            ("\x1b[38;5;9;48;5;0m", "\x1b[91;40m"),
            ("\x1b[48;5;15m", "\x1b[107m"),
            ("\x1b[38;5;200m", "\x1b[38;5;200m"),
            ("\x1b[38;2;38;5;1m", "\x1b[38;2;38;5;1m"),
            ("\x1b[0;1;38;5;4m\x1b[39m", "\x1b[0;1;34m\x1b[39m"),
            ("\x1b[38;5;1H", "\x1b[38;5;1H"),
            ("\x1b[m\x1b[", "\x1b[m\x1b["),
            ("plain", "plain"),
        ] {
            assert_eq!(renamed(written), sent, "{written:?}");
        }
        let mut named = Named::new(Vec::new());
        named.write_all(b"\x1b[38;5").unwrap();
        named.write_all(b";2mx").unwrap();
        assert!(named.inner.is_empty());
        named.flush().unwrap();
        assert_eq!(named.inner, b"\x1b[32mx");
    }
}
