//! How TSM writes JSON: by one serializer, in a line or in many, into memory. A serializer for each form and each kind of writer would be the code
//! of all that is written once more.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// A value in one line, without its end.
///
/// # Errors
/// Those of the value: a map whose keys are no strings.
pub fn line(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::with_capacity(256);
    append(value, &mut json)?;
    Ok(json)
}

/// Appends a value in one line, without its end.
///
/// # Errors
/// Those of the value: a map whose keys are no strings.
pub fn append(value: &(impl Serialize + ?Sized), json: &mut Vec<u8>) -> serde_json::Result<()> {
    write(value, json, false)
}

/// A value as people read it: each key in a line of its own, two spaces further in than what it belongs to; without a line's end behind it.
///
/// ```
/// let json = tsm_format::json::document(&serde_json::json!({"a": [1, 2], "b": {}}))?;
/// assert_eq!(json, b"{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}");
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
/// Those of the value: a map whose keys are no strings.
pub fn document(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::with_capacity(256);
    write(value, &mut json, true)?;
    Ok(json)
}

/// A value as what its JSON says; nothing where it has none.
pub fn value(value: &(impl Serialize + ?Sized)) -> serde_json::Value {
    line(value)
        .and_then(|json| serde_json::from_slice(&json))
        .unwrap_or_default()
}

fn write(
    value: &(impl Serialize + ?Sized),
    json: &mut Vec<u8>,
    in_lines: bool,
) -> serde_json::Result<()> {
    let layout = Layout {
        in_lines,
        depth: 0,
        holds_something: false,
    };
    value.serialize(&mut Serializer::with_formatter(Bytes(json), layout))
}

/// Where it is written to: a function, where a vector's own would become part of each place that writes.
struct Bytes<'a>(&'a mut Vec<u8>);

impl Write for Bytes<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Every other piece is a quote, a bracket or a comma.
        if let [byte] = bytes {
            self.0.push(*byte);
        } else {
            self.0.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What stands between values.
struct Layout {
    in_lines: bool,
    depth: usize,
    /// Whether something stands in what ends next.
    holds_something: bool,
}

const NEXT: &[u8] = b",\n                                ";

impl Layout {
    fn begin(&mut self) {
        self.depth += 1;
        self.holds_something = false;
    }

    fn next(&self, to: &mut (impl Write + ?Sized), is_first: bool) -> io::Result<()> {
        if !self.in_lines {
            return if is_first { Ok(()) } else { to.write_all(b",") };
        }
        self.new_line(to, usize::from(is_first))
    }

    fn end(&mut self, to: &mut (impl Write + ?Sized)) -> io::Result<()> {
        self.depth -= 1;
        if self.in_lines && self.holds_something {
            self.new_line(to, 1)?;
        }
        Ok(())
    }

    /// All of it at once, from `from` of [`NEXT`] on: there is one before each value.
    fn new_line(&self, to: &mut (impl Write + ?Sized), from: usize) -> io::Result<()> {
        let end = 2 + 2 * self.depth;
        to.write_all(&NEXT[from..end.min(NEXT.len())])?;
        for _ in NEXT.len()..end {
            to.write_all(b" ")?;
        }
        Ok(())
    }
}

impl Formatter for Layout {
    fn begin_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.begin();
        to.write_all(b"[")
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        to: &mut W,
        is_first: bool,
    ) -> io::Result<()> {
        self.next(to, is_first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _to: &mut W) -> io::Result<()> {
        self.holds_something = true;
        Ok(())
    }

    fn end_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.end(to)?;
        to.write_all(b"]")
    }

    fn begin_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.begin();
        to.write_all(b"{")
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        to: &mut W,
        is_first: bool,
    ) -> io::Result<()> {
        self.next(to, is_first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(if self.in_lines { b": " } else { b":" })
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _to: &mut W) -> io::Result<()> {
        self.holds_something = true;
        Ok(())
    }

    fn end_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.end(to)?;
        to.write_all(b"}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i16>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_serde_json_writes(given in values()) {
            prop_assert_eq!(line(&given).unwrap(), serde_json::to_vec(&given).unwrap());
            prop_assert_eq!(document(&given).unwrap(), serde_json::to_vec_pretty(&given).unwrap());
            prop_assert_eq!(value(&given), given);
        }
    }

    #[test]
    fn what_is_deeper_than_the_spaces_at_hand_is_as_far_in_as_it_belongs() {
        let mut deep = json!([1, {}]);
        for _ in 0..40 {
            deep = json!({"in": [deep, 2]});
        }
        let expected = serde_json::to_vec_pretty(&deep).unwrap();
        assert_eq!(document(&deep).unwrap(), expected);
    }
}
