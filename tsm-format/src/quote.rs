//! Shell quoting: bytes to shell words and back.
//!
//! What is written here is on one line always, and means the same bytes to bash (and to every shell
//! that knows `$'…'`) as it does to [`unquote_word`]. Nothing is evaluated: no variable, command,
//! tilde or glob is expanded, so a file that somebody else wrote can be read safely.

mod reader;

use std::borrow::Cow;

use thiserror::Error;

use reader::Reader;

/// Quotes `value` as one shell word on one line that stands for exactly these bytes.
///
/// The word is `'…'`, or `$'…'` where the value holds control characters or is not valid UTF-8, so
/// that the result is always printable text. An empty value is `''`. A NUL byte cannot stand in any
/// shell word: it is written as `\000`, which [`unquote_word`] refuses.
///
/// ```
/// use tsm_format::quote::quote;
///
/// assert_eq!(quote(b"it's"), br"'it'\''s'");
/// assert_eq!(quote(b"a\nb\xff1"), br"$'a\nb\3771'");
/// ```
pub fn quote(value: &[u8]) -> Vec<u8> {
    let mut word = Vec::with_capacity(value.len() + 2);
    quote_into(value, &mut word);
    word
}

/// Appends what [`quote`] gives to `out`.
pub fn quote_into(value: &[u8], out: &mut Vec<u8>) {
    let printable = str::from_utf8(value).is_ok_and(|text| !text.chars().any(char::is_control));
    if printable {
        out.push(b'\'');
        for (index, piece) in value.split(|&byte| byte == b'\'').enumerate() {
            if index > 0 {
                out.extend_from_slice(br"'\''");
            }
            out.extend_from_slice(piece);
        }
        out.push(b'\'');
        return;
    }
    out.extend_from_slice(b"$'");
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => out.extend_from_slice(br"\n"),
                '\t' => out.extend_from_slice(br"\t"),
                '\r' => out.extend_from_slice(br"\r"),
                '\x1b' => out.extend_from_slice(br"\e"),
                '\\' => out.extend_from_slice(br"\\"),
                '\'' => out.extend_from_slice(br"\'"),
                // C1 controls (U+0080 to U+009F) too: some terminals act on them.
                other => {
                    let mut buffer = [0; 4];
                    let bytes = other.encode_utf8(&mut buffer).as_bytes();
                    if other.is_control() {
                        octal_into(bytes, out);
                    } else {
                        out.extend_from_slice(bytes);
                    }
                }
            }
        }
        octal_into(chunk.invalid(), out);
    }
    out.push(b'\'');
}

/// Tells whether `name` is one that a shell can assign to.
pub fn is_identifier(name: &[u8]) -> bool {
    name.first().is_some_and(|first| !first.is_ascii_digit())
        && name
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Three digits always, which is the most that a shell reads: a digit that follows is text.
fn octal_into(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        let digits = [byte >> 6, (byte >> 3) & 7, byte & 7];
        out.push(b'\\');
        out.extend(digits.map(|digit| b'0' + digit));
    }
}

/// Tells whether `value` can stand without quotes: not empty, and of `[A-Za-z0-9_./:=@%+,-]` only.
pub fn is_bare(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|&byte| is_bare_byte(byte))
}

fn is_bare_byte(byte: u8) -> bool {
    BARE[usize::from(byte)]
}

/// A table, because a thousand records are read at once by those who list them.
const BARE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'_' | b'.' | b'/' | b':' | b'=' | b'@' | b'%' | b'+' | b',' | b'-'
            );
        byte += 1;
    }
    table
};

/// Joins `words` by a space, each bare where that is safe and quoted by [`quote`] where not.
///
/// ```
/// use tsm_format::quote::quote_words;
///
/// let words: [&[u8]; 3] = [b"node", b"my app.js", b""];
/// assert_eq!(quote_words(words.into_iter()), b"node 'my app.js' ''");
/// ```
pub fn quote_words<'a>(words: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut line = Vec::new();
    for (index, word) in words.enumerate() {
        if index > 0 {
            line.push(b' ');
        }
        if is_bare(word) {
            line.extend_from_slice(word);
        } else {
            quote_into(word, &mut line);
        }
    }
    line
}

/// The error of reading a shell word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct QuoteError {
    /// Where in the input: the opening quote, the backslash or the byte that is wrong.
    pub offset: usize,
    /// What is wrong there.
    pub kind: QuoteErrorKind,
}

/// What is wrong with a shell word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QuoteErrorKind {
    /// A `'…'` that does not end.
    #[error("unterminated `'`")]
    UnterminatedSingle,
    /// A `"…"` that does not end.
    #[error("unterminated `\"`")]
    UnterminatedDouble,
    /// A `$'…'` that does not end.
    #[error("unterminated `$'`")]
    UnterminatedAnsi,
    /// A backslash with nothing behind it.
    #[error("backslash before the end of the input")]
    TrailingBackslash,
    /// A NUL byte, as it is or through an escape.
    #[error("NUL byte")]
    Nul,
    /// A `\u` or `\U` escape whose number is no Unicode character.
    #[error("escape that is no Unicode character")]
    NotACharacter,
    /// An unquoted character that a shell would act on, in a file that is never evaluated.
    #[error("`{0}` that a shell would act on (quote it by `'…'`)")]
    NeedsShell(char),
}

/// Reads one shell word from the start of `input`: its value, and how many bytes it took.
///
/// Bare text with backslash escapes, `'…'`, `"…"` and `$'…'` (with all of bash's escapes) may stand
/// side by side. The word ends at unquoted whitespace or at the end of the input; where `input` is
/// empty or begins with whitespace, the word is empty and takes no byte. All else is text: `$HOME`,
/// backticks, `;` and `#` stand for themselves.
///
/// # Errors
///
/// A quote that is not closed, a backslash at the very end, an escape that is no Unicode character,
/// or a NUL byte in the value.
///
/// ```
/// use tsm_format::quote::unquote_word;
///
/// assert_eq!(unquote_word(br#"a\ b'c d'"e"$'\x41' rest"#), Ok((b"a bc deA".to_vec(), 19)));
/// ```
pub fn unquote_word(input: &[u8]) -> Result<(Vec<u8>, usize), QuoteError> {
    read_word(input, Unquoted::Text).map(|(value, used)| (value.into_owned(), used))
}

/// Splits `input` into shell words at unquoted whitespace; the counterpart of [`quote_words`].
///
/// # Errors
///
/// Those of [`unquote_word`], with the offset counted from the start of `input`.
///
/// ```
/// use tsm_format::quote::split_words;
///
/// assert_eq!(split_words(b" node 'my app.js' ''\n").unwrap(), [&b"node"[..], b"my app.js", b""]);
/// ```
pub fn split_words(input: &[u8]) -> Result<Vec<Vec<u8>>, QuoteError> {
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        at += input[at..]
            .iter()
            .take_while(|&&byte| is_blank(byte))
            .count();
        if at == input.len() {
            return Ok(words);
        }
        let (word, used) = unquote_word(&input[at..]).map_err(|error| QuoteError {
            offset: at + error.offset,
            ..error
        })?;
        words.push(word);
        at += used;
    }
}

/// What separates words; `\r` does not, as in every shell.
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n')
}

/// What unquoted characters mean that a shell would act on, such as `$` and `;`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unquoted {
    /// They stand for themselves.
    Text,
    /// They are refused, because the same text would mean something else to a shell.
    Refused,
}

/// [`unquote_word`] that borrows the value where it can.
///
/// # Errors
///
/// Those of [`unquote_word`], and, where such are refused, an unquoted character that a shell would act on.
pub fn read_word(input: &[u8], unquoted: Unquoted) -> Result<(Cow<'_, [u8]>, usize), QuoteError> {
    // Nearly every word is wholly bare or one `'…'`: these cost no allocation.
    let bare = input.iter().take_while(|&&byte| is_bare_byte(byte)).count();
    if input.get(bare).is_none_or(|&byte| is_blank(byte)) {
        return Ok((Cow::Borrowed(&input[..bare]), bare));
    }
    if let Some((b'\'', rest)) = input.split_first()
        && let Some(length) = rest.iter().position(|&byte| byte == b'\'')
        && rest.get(length + 1).is_none_or(|&byte| is_blank(byte))
        && !rest[..length].contains(&0)
    {
        return Ok((Cow::Borrowed(&rest[..length]), length + 2));
    }
    let (value, used) = Reader::new(input).read(unquoted)?;
    Ok((Cow::Owned(value), used))
}

fn error(offset: usize, kind: QuoteErrorKind) -> QuoteError {
    QuoteError { offset, kind }
}

#[cfg(test)]
mod tests;
