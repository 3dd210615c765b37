//! A line of shell assignments as it stands, before anything is made of it.

use std::borrow::Cow;
use std::collections::HashMap;

use super::MetaError;
use crate::quote::{
    QuoteErrorKind, Unquoted, is_bare, is_blank, is_identifier, quote_into, read_word,
};

/// The fields of a `.meta` line: keys and their values, in their order.
///
/// ```
/// use tsm_format::meta::Fields;
///
/// let mut fields = Fields::parse(b"script='my app' pid=12\n")?;
/// assert_eq!(fields.get("script"), Some(&b"my app"[..]));
/// fields.set("pid", b"13")?;
/// assert_eq!(fields.to_line(), b"script='my app' pid=13\n");
/// # Ok::<(), tsm_format::meta::MetaError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fields(Vec<(String, Vec<u8>)>);

impl Fields {
    /// Reads a line of `key=value`, quoted or not; blanks and a newline may follow it.
    ///
    /// Where a key stands twice, the later value counts, at the place of the first.
    ///
    /// # Errors
    ///
    /// A line without fields, a NUL byte, and anything that is no assignment, with the byte at
    /// which it stands.
    pub fn parse(line: &[u8]) -> Result<Self, MetaError> {
        let mut fields = Assignments::new(line)?
            .map(|field| field.map(|(key, value)| (key.to_owned(), value.into_owned())))
            .collect::<Result<Vec<_>, _>>()?;
        last_wins(&mut fields);
        Ok(Self(fields))
    }

    /// Writes the line, with its newline. Values are bare where that is safe, but those of `script`
    /// and `cwd` are always quoted.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        for (key, value) in &self.0 {
            append(&mut line, key, value);
        }
        line.push(b'\n');
        line
    }

    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value)
    }

    /// Sets `key` to `value`: where it stands, or at the end where it is new.
    ///
    /// # Errors
    ///
    /// A key that is no shell identifier, or a value with a NUL byte in it.
    pub fn set(&mut self, key: &str, value: &[u8]) -> Result<(), MetaError> {
        if !is_identifier(key.as_bytes()) {
            return Err(MetaError::BadKey {
                key: key.to_owned(),
            });
        }
        if let Some(offset) = value.iter().position(|&byte| byte == 0) {
            return Err(MetaError::Nul { offset });
        }
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value.to_vec(),
            None => self.0.push((key.to_owned(), value.to_vec())),
        }
        Ok(())
    }

    /// Removes `key` and returns its value, where there was one.
    pub fn remove(&mut self, key: &str) -> Option<Vec<u8>> {
        let place = self.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.remove(place).1)
    }

    /// Iterates over keys and values in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()))
    }
}

/// Gives each key the value of its last field, at the place of its first.
pub(super) fn last_wins(fields: &mut Vec<(String, Vec<u8>)>) {
    // The usual case, quickly.
    if fields.len() < 8 {
        let key = |index: usize| fields[index].0.as_str();
        if (1..fields.len()).all(|later| (0..later).all(|index| key(index) != key(later))) {
            return;
        }
    }
    let mut places = HashMap::with_capacity(fields.len());
    let mut kept: Vec<(String, Vec<u8>)> = Vec::with_capacity(fields.len());
    for (key, value) in fields.drain(..) {
        if let Some(&place) = places.get(&key) {
            let (_, known): &mut (String, Vec<u8>) = &mut kept[place];
            *known = value;
        } else {
            places.insert(key.clone(), kept.len());
            kept.push((key, value));
        }
    }
    *fields = kept;
}

/// Appends a field, its value bare where that is safe.
pub(super) fn append(line: &mut Vec<u8>, key: &str, value: &[u8]) {
    if !line.is_empty() {
        line.push(b' ');
    }
    line.extend_from_slice(key.as_bytes());
    line.push(b'=');
    // As the original wrote them: `script` and `cwd` in quotes, and a number or nothing for `pid`.
    let bare = match key {
        "script" | "cwd" => false,
        "pid" => value.is_empty() || is_bare(value),
        _ => is_bare(value),
    };
    if bare {
        line.extend_from_slice(value);
    } else {
        quote_into(value, line);
    }
}

/// The assignments of a line, one after the other, copied only where quoting makes it necessary.
pub(super) struct Assignments<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Assignments<'a> {
    pub(super) fn new(line: &'a [u8]) -> Result<Self, MetaError> {
        // Looked for first: a file that a power cut left is often NUL bytes altogether.
        if line.contains(&0) {
            let offset = line.iter().take_while(|&&byte| byte != 0).count();
            return Err(MetaError::Nul { offset });
        }
        if line.iter().all(|&byte| is_blank(byte)) {
            return Err(MetaError::Empty);
        }
        Ok(Self { line, at: 0 })
    }

    fn field(&mut self) -> Result<(&'a str, Cow<'a, [u8]>), MetaError> {
        let (line, start) = (self.line, self.at);
        let rest = &line[start..];
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count();
        // Such text is ASCII and begins with a letter, or it is no key.
        let is_key = rest.get(length) == Some(&b'=') && !rest[0].is_ascii_digit() && length > 0;
        let Some(key) = str::from_utf8(&rest[..length]).ok().filter(|_| is_key) else {
            return Err(MetaError::NotAnAssignment { offset: start });
        };
        let value_at = start + length + 1;
        let (value, used) = read_word(&line[value_at..], Unquoted::Text).map_err(|error| {
            let offset = value_at + error.offset;
            match error.kind {
                QuoteErrorKind::Nul => MetaError::Nul { offset },
                kind => MetaError::Quoting { offset, kind },
            }
        })?;
        self.at = value_at + used;
        Ok((key, value))
    }
}

impl<'a> Iterator for Assignments<'a> {
    type Item = Result<(&'a str, Cow<'a, [u8]>), MetaError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut new_line = false;
        while let Some(&byte) = self.line.get(self.at)
            && is_blank(byte)
        {
            new_line |= byte == b'\n';
            self.at += 1;
        }
        if self.at >= self.line.len() {
            return None;
        }
        let offset = self.at;
        if new_line {
            self.at = self.line.len();
            return Some(Err(MetaError::MoreThanOneLine { offset }));
        }
        let field = self.field();
        if field.is_err() {
            // An iterator that stands still would give the same error for ever.
            self.at = self.line.len();
        }
        Some(field)
    }
}
