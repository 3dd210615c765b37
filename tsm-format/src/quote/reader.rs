//! A shell word, read byte by byte: bare text, `'…'`, `"…"` and `$'…'` (*Quoting* in `bash(1)`). It knows no word but the one
//! it reads, and expands nothing.

use super::{QuoteError, QuoteErrorKind, Unquoted, error, is_blank};

/// One word on its way in.
pub(super) struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    value: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            at: 0,
            value: Vec::new(),
        }
    }

    /// Reads the word that `input` begins with: its value, and how many bytes it took.
    pub(super) fn read(mut self, unquoted: Unquoted) -> Result<(Vec<u8>, usize), QuoteError> {
        self.word(unquoted)?;
        Ok((self.value, self.at))
    }

    fn word(&mut self, unquoted: Unquoted) -> Result<(), QuoteError> {
        while let Some(byte) = self.peek(0) {
            let start = self.at;
            match byte {
                _ if is_blank(byte) => break,
                b'\'' => self.single()?,
                b'"' => self.double(start, unquoted)?,
                b'$' if self.peek(1) == Some(b'\'') => self.ansi()?,
                // Translated by bash, were there a translation: the same as `"…"`.
                b'$' if self.peek(1) == Some(b'"') => {
                    self.at += 1;
                    self.double(start, unquoted)?;
                }
                b'\\' => match self.peek(1) {
                    None => return Err(error(start, QuoteErrorKind::TrailingBackslash)),
                    // A line that goes on.
                    Some(b'\n') => self.at += 2,
                    Some(escaped) => {
                        self.at += 1;
                        self.take(escaped)?;
                    }
                },
                _ => {
                    if unquoted == Unquoted::Refused && self.shell_acts_on(byte) {
                        let kind = QuoteErrorKind::NeedsShell(char::from(byte));
                        return Err(error(start, kind));
                    }
                    self.take(byte)?;
                }
            }
        }
        Ok(())
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.input.get(self.at + ahead).copied()
    }

    /// Takes the byte at the cursor as the byte `value` of the word.
    fn take(&mut self, value: u8) -> Result<(), QuoteError> {
        if value == 0 {
            return Err(error(self.at, QuoteErrorKind::Nul));
        }
        self.value.push(value);
        self.at += 1;
        Ok(())
    }

    fn shell_acts_on(&self, byte: u8) -> bool {
        match byte {
            b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => true,
            b'~' => self.at == 0 || matches!(self.input[self.at - 1], b'=' | b':'),
            _ => self.expands(byte),
        }
    }

    /// Tells whether an expansion begins at the cursor, within `"…"` or without.
    fn expands(&self, byte: u8) -> bool {
        match byte {
            b'`' => true,
            b'$' => self
                .peek(1)
                .is_some_and(|next| next.is_ascii_alphanumeric() || b"_{([*@#?$!-".contains(&next)),
            _ => false,
        }
    }

    /// `'…'`, the cursor on the opening quote.
    fn single(&mut self) -> Result<(), QuoteError> {
        let start = self.at + 1;
        let Some(length) = self.input[start..].iter().position(|&byte| byte == b'\'') else {
            return Err(error(self.at, QuoteErrorKind::UnterminatedSingle));
        };
        let text = &self.input[start..start + length];
        if let Some(nul) = text.iter().position(|&byte| byte == 0) {
            return Err(error(start + nul, QuoteErrorKind::Nul));
        }
        self.value.extend_from_slice(text);
        self.at = start + length + 1;
        Ok(())
    }

    /// `"…"`, the cursor on the opening quote; `start` is where the piece begins.
    fn double(&mut self, start: usize, unquoted: Unquoted) -> Result<(), QuoteError> {
        self.at += 1;
        loop {
            match self.peek(0) {
                None => return Err(error(start, QuoteErrorKind::UnterminatedDouble)),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => match self.peek(1) {
                    Some(escaped @ (b'\\' | b'"' | b'$' | b'`')) => {
                        self.at += 1;
                        self.take(escaped)?;
                    }
                    Some(b'\n') => self.at += 2,
                    // Before anything else a backslash is itself.
                    _ => self.take(b'\\')?,
                },
                Some(byte) => {
                    if unquoted == Unquoted::Refused && self.expands(byte) {
                        let kind = QuoteErrorKind::NeedsShell(char::from(byte));
                        return Err(error(self.at, kind));
                    }
                    self.take(byte)?;
                }
            }
        }
    }

    /// `$'…'`, the cursor on the `$`.
    fn ansi(&mut self) -> Result<(), QuoteError> {
        let start = self.at;
        self.at += 2;
        loop {
            match self.peek(0) {
                None => return Err(error(start, QuoteErrorKind::UnterminatedAnsi)),
                Some(b'\'') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.ansi_escape(start)?,
                Some(byte) => self.take(byte)?,
            }
        }
    }

    /// One escape of `$'…'`, the cursor on the backslash; `start` is where the `$'` stands.
    fn ansi_escape(&mut self, start: usize) -> Result<(), QuoteError> {
        let Some(letter) = self.peek(1) else {
            return Err(error(start, QuoteErrorKind::UnterminatedAnsi));
        };
        let backslash = self.at;
        self.at += 2;
        let value = match letter {
            b'a' => 0x07,
            b'b' => 0x08,
            b'e' | b'E' => 0x1b,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'\\' | b'\'' | b'"' | b'?' => letter,
            b'0'..=b'7' => {
                self.at -= 1;
                // `\777` is 0xff, as in bash: the low eight bits count.
                self.digits(3, 8).unwrap_or_default() as u8
            }
            b'x' => {
                // `\x{…}` is bash's own, and undocumented: any number of digits, the last two count.
                let braced = self.peek(0) == Some(b'{');
                if braced {
                    self.at += 1;
                    let value = self.digits(usize::MAX, 16).unwrap_or_default() as u8;
                    if self.peek(0) == Some(b'}') {
                        self.at += 1;
                    }
                    value
                } else if let Some(value) = self.digits(2, 16) {
                    value as u8
                } else {
                    return self.not_an_escape(letter);
                }
            }
            b'u' | b'U' => {
                let Some(value) = self.digits(if letter == b'u' { 4 } else { 8 }, 16) else {
                    return self.not_an_escape(letter);
                };
                let Some(character) = char::from_u32(value) else {
                    return Err(error(backslash, QuoteErrorKind::NotACharacter));
                };
                if character == '\0' {
                    return Err(error(backslash, QuoteErrorKind::Nul));
                }
                let mut buffer = [0; 4];
                self.value
                    .extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                return Ok(());
            }
            b'c' => match self.peek(0) {
                // The quote ends the string, whatever stands before it.
                None | Some(b'\'') => return self.not_an_escape(letter),
                Some(control) => {
                    self.at += 1;
                    // `\c\\` is one escape, and so is `\c\` before anything else.
                    if control == b'\\' && self.peek(0) == Some(b'\\') {
                        self.at += 1;
                    } else if control == b'\\' && self.peek(0) == Some(b'\'') {
                        // To bash the pair `\'` does not end the string: it is 0x1c and a quote.
                        self.value.push(0x1c);
                        return self.take(b'\'');
                    }
                    if control == b'?' {
                        0x7f
                    } else {
                        control.to_ascii_uppercase() & 0x1f
                    }
                }
            },
            _ => return self.not_an_escape(letter),
        };
        if value == 0 {
            return Err(error(backslash, QuoteErrorKind::Nul));
        }
        self.value.push(value);
        Ok(())
    }

    /// A backslash before a letter that makes no escape: both are text.
    fn not_an_escape(&mut self, letter: u8) -> Result<(), QuoteError> {
        self.at -= 1;
        self.value.push(b'\\');
        self.take(letter)
    }

    /// Up to `most` digits at the cursor as a number of which the low bits are kept, or `None`.
    fn digits(&mut self, most: usize, radix: u32) -> Option<u32> {
        let start = self.at;
        let mut value = 0_u32;
        while self.at - start < most
            && let Some(digit) = self
                .peek(0)
                .and_then(|byte| char::from(byte).to_digit(radix))
        {
            value = value.wrapping_mul(radix).wrapping_add(digit);
            self.at += 1;
        }
        (self.at > start).then_some(value)
    }
}
