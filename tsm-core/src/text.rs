//! Bytes from the system (paths, arguments) that are nearly always UTF-8, in JSON.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};

/// Bytes that are text for people and exact for programs: a JSON string where they are UTF-8, else
/// `{"hex": "66ff"}`.
///
/// ```
/// use tsm_core::text::Text;
///
/// let text = |bytes: &[u8]| serde_json::to_string(&Text::from_bytes(bytes)).unwrap();
/// assert_eq!(text(b"/srv"), r#""/srv""#);
/// assert_eq!(text(b"f\xff"), r#"{"hex":"66ff"}"#);
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Box<[u8]>);

impl Text {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As an operating-system string.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// As a path.
    pub fn as_path(&self) -> &Path {
        Path::new(self.as_os_str())
    }

    /// For display; what is not UTF-8 is replaced.
    pub fn to_string_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl<T: AsRef<OsStr>> From<T> for Text {
    fn from(text: T) -> Self {
        Self(text.as_ref().as_bytes().into())
    }
}

impl From<Text> for OsString {
    fn from(text: Text) -> Self {
        Self::from_vec(text.0.into())
    }
}

impl Text {
    /// From bytes as they are.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string_lossy(), f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(&self.0) {
            serializer.serialize_str(text)
        } else {
            let hex: String = self
                .0
                .iter()
                .flat_map(|b| [b >> 4, b & 15])
                .map(hex_digit)
                .collect();
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry("hex", &hex)?;
            map.end()
        }
    }
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or {\"hex\": \"…\"}")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.as_bytes().into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                let Some((key, hex)) = map.next_entry::<String, String>()? else {
                    return Err(A::Error::custom("an empty object"));
                };
                // Digits alone: what a number is parsed from may have a sign.
                let are_digits = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
                if key != "hex" || hex.len() % 2 != 0 || !are_digits {
                    return Err(A::Error::custom("not {\"hex\": \"…\"}"));
                }
                (0..hex.len() / 2)
                    .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16))
                    .collect::<Result<Vec<u8>, _>>()
                    .map(|bytes| Text(bytes.into()))
                    .map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_survive_json(bytes: Vec<u8>) {
            let text = Text::from_bytes(bytes);
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<Text>(&json).unwrap(), text);
        }
    }

    #[test]
    fn hex_has_digits_alone() {
        let read = |json: &str| serde_json::from_str::<Text>(json);
        assert_eq!(
            read(r#"{"hex":"66fF"}"#).unwrap(),
            Text::from_bytes(b"f\xff".to_vec())
        );
        for wrong in ["+1", "-1", "6", "6g", "é", " 1"] {
            assert!(read(&format!(r#"{{"hex":"{wrong}"}}"#)).is_err(), "{wrong}");
        }
    }
}
