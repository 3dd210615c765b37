//! A config file as a tree of values, each with its place in the file, whatever language it is written in.

use std::borrow::Cow;

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};

/// Where something stands in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1, in characters.
    pub column: usize,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: Place,
    /// What it is.
    pub value: Value,
}

/// What stands there.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order of the file.
    Map(Vec<Entry>),
}

/// One key of a map, and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where the key stands.
    pub at: Place,
    /// The key.
    pub key: String,
    /// Its value.
    pub node: Node,
}

/// The languages of config files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `.yaml`, `.yml`.
    Yaml,
    /// `.json`, and `.jsonc` with comments and trailing commas.
    Json {
        /// Whether comments and trailing commas are allowed.
        comments: bool,
    },
    /// `.toml`.
    Toml,
}

/// What cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where.
    pub at: Place,
    /// Why not.
    pub reason: String,
}

impl Value {
    /// What it is called in messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl Language {
    /// The language of a file, by its extension.
    pub fn of(path: &std::path::Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json { comments: false }),
            "jsonc" => Some(Self::Json { comments: true }),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// The first place that is not of this language, and why.
    pub fn read(self, text: &str) -> Result<Node, Unreadable> {
        // Editors of other systems begin a file with this mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match self {
            Self::Yaml => read_yaml(text),
            Self::Json { comments } => read_json(text, comments),
            Self::Toml => read_toml(text),
        }
    }
}

/// The place of a byte of the text.
fn place(text: &str, byte: usize) -> Place {
    let before = &text[..text.floor_char_boundary(byte.min(text.len()))];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

fn read_yaml(text: &str) -> Result<Node, Unreadable> {
    let marked = |marker: &saphyr::Marker| Place {
        line: marker.line(),
        column: marker.col() + 1,
    };
    let documents = MarkedYaml::load_from_str(text).map_err(|error| Unreadable {
        at: marked(error.marker()),
        reason: error.info().to_owned(),
    })?;
    match documents.as_slice() {
        [] => Ok(Node {
            at: Place { line: 1, column: 1 },
            value: Value::Null,
        }),
        [document] => from_yaml(document),
        [_, second, ..] => Err(Unreadable {
            at: marked(&second.span.start),
            reason: "a second document begins here; one file has one".to_owned(),
        }),
    }
}

fn from_yaml(yaml: &MarkedYaml<'_>) -> Result<Node, Unreadable> {
    let at = Place {
        line: yaml.span.start.line(),
        column: yaml.span.start.col() + 1,
    };
    let unreadable = |reason: &str| Unreadable {
        at,
        reason: reason.to_owned(),
    };
    let value = match &yaml.data {
        YamlData::Value(scalar) => from_scalar(scalar),
        YamlData::Representation(text, ..) => Value::Text(text.to_string()),
        YamlData::Sequence(items) => {
            Value::List(items.iter().map(from_yaml).collect::<Result<_, _>>()?)
        }
        YamlData::Mapping(entries) => {
            let mut own: Vec<Entry> = Vec::new();
            let mut merged: Vec<Entry> = Vec::new();
            for (key, value) in entries {
                let key = from_yaml(key)?;
                let node = from_yaml(value)?;
                let text = match key.value {
                    Value::Text(text) => text,
                    Value::Integer(number) => number.to_string(),
                    Value::Bool(value) => value.to_string(),
                    other => {
                        let reason = format!("a key is a text, and this is {}", other.kind());
                        return Err(Unreadable { at: key.at, reason });
                    }
                };
                if text == "<<" {
                    merged.extend(to_merge(node)?);
                } else {
                    own.push(Entry {
                        at: key.at,
                        key: text,
                        node,
                    });
                }
            }
            // A key that is written here wins over one from an anchor, and the first anchor wins
            // over the next.
            for entry in merged {
                if own.iter().all(|known| known.key != entry.key) {
                    own.push(entry);
                }
            }
            Value::Map(own)
        }
        YamlData::Tagged(_, inner) => return from_yaml(inner),
        YamlData::Alias(_) | YamlData::BadValue => {
            return Err(unreadable("this cannot be understood as YAML"));
        }
    };
    Ok(Node { at, value })
}

/// The entries that `<<: *anchor` or `<<: [*one, *two]` brings.
fn to_merge(node: Node) -> Result<Vec<Entry>, Unreadable> {
    match node.value {
        Value::Map(entries) => Ok(entries),
        Value::List(items) => {
            let maps: Vec<Vec<Entry>> =
                items.into_iter().map(to_merge).collect::<Result<_, _>>()?;
            Ok(maps.into_iter().flatten().collect())
        }
        other => Err(Unreadable {
            at: node.at,
            reason: format!("`<<` takes a map, and this is {}", other.kind()),
        }),
    }
}

fn from_scalar(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(*value),
        Scalar::Integer(value) => Value::Integer(*value),
        Scalar::FloatingPoint(value) => Value::Float(value.into_inner()),
        Scalar::String(text) => Value::Text(text.to_string()),
    }
}

fn read_json(text: &str, comments: bool) -> Result<Node, Unreadable> {
    let strict = jsonc_parser::ParseOptions {
        allow_comments: comments,
        allow_trailing_commas: comments,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed =
        jsonc_parser::parse_to_ast(text, &jsonc_parser::CollectOptions::default(), &strict);
    let parsed = parsed.map_err(|error| Unreadable {
        at: place(text, error.range().start),
        reason: json_reason(&error.kind().to_string()),
    })?;
    match parsed.value {
        Some(value) => from_json(text, &value),
        None => Ok(Node {
            at: Place { line: 1, column: 1 },
            value: Value::Null,
        }),
    }
}

/// What is allowed in files of another name is told so.
fn json_reason(reason: &str) -> String {
    let reason = reason.trim_end_matches('.');
    if reason.ends_with("are not allowed") {
        format!(
            "{reason} in .json; name the file .jsonc, which has both comments and trailing commas"
        )
    } else {
        reason.to_owned()
    }
}

fn from_json(text: &str, json: &jsonc_parser::ast::Value<'_>) -> Result<Node, Unreadable> {
    use jsonc_parser::ast::Value as Json;
    use jsonc_parser::common::Ranged as _;
    let at = place(text, json.range().start);
    let value = match json {
        Json::StringLit(literal) => Value::Text(literal.value.to_string()),
        Json::NumberLit(literal) => number(literal.value).ok_or_else(|| Unreadable {
            at,
            reason: format!("{} is no number", literal.value),
        })?,
        Json::BooleanLit(literal) => Value::Bool(literal.value),
        Json::NullKeyword(_) => Value::Null,
        Json::Array(array) => Value::List(
            array
                .elements
                .iter()
                .map(|element| from_json(text, element))
                .collect::<Result<_, _>>()?,
        ),
        Json::Object(object) => {
            let mut entries: Vec<Entry> = Vec::new();
            for property in &object.properties {
                let at = place(text, property.name.range().start);
                let key = property.name.as_str().to_owned();
                if entries.iter().any(|entry| entry.key == key) {
                    let reason = format!("the key '{key}' stands here twice");
                    return Err(Unreadable { at, reason });
                }
                let node = from_json(text, &property.value)?;
                entries.push(Entry { at, key, node });
            }
            Value::Map(entries)
        }
    };
    Ok(Node { at, value })
}

fn number(text: &str) -> Option<Value> {
    match text.parse::<i64>() {
        Ok(number) => Some(Value::Integer(number)),
        Err(_) => text.parse::<f64>().ok().map(Value::Float),
    }
}

fn read_toml(text: &str) -> Result<Node, Unreadable> {
    let table = toml::de::DeTable::parse(text).map_err(|error| Unreadable {
        at: place(text, error.span().map_or(0, |span| span.start)),
        reason: error.message().replace('\n', ", "),
    })?;
    from_toml_table(text, place(text, table.span().start), table.get_ref())
}

fn from_toml_table(
    text: &str,
    at: Place,
    table: &toml::de::DeTable<'_>,
) -> Result<Node, Unreadable> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        entries.push(Entry {
            at: place(text, key.span().start),
            key: key.get_ref().to_string(),
            node: from_toml(text, value)?,
        });
    }
    // The table is sorted by name; people read and expect the order of the file.
    crate::sorted::by_key(&mut entries, |entry| entry.at);
    Ok(Node {
        at,
        value: Value::Map(entries),
    })
}

fn from_toml(text: &str, toml: &toml::Spanned<toml::de::DeValue<'_>>) -> Result<Node, Unreadable> {
    use toml::de::DeValue;
    let at = place(text, toml.span().start);
    let no_number = |literal: Cow<'_, str>| Unreadable {
        at,
        reason: format!("{literal} is no number that fits"),
    };
    let value = match toml.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map(Value::Integer)
            .map_err(|_overflow| no_number(integer.as_str().into()))?,
        DeValue::Float(float) => float
            .as_str()
            .parse()
            .map(Value::Float)
            .map_err(|_overflow| no_number(float.as_str().into()))?,
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(array) => Value::List(
            array
                .iter()
                .map(|item| from_toml(text, item))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => return from_toml_table(text, at, table),
    };
    Ok(Node { at, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "\
base: &base
  cwd: /srv
  port: 1
processes:
  - name: \u{e4}pi # a comment
    <<: *base
    port: 4001
    env: {A: yes, B: 1.5, C: null, D: true}
";
    const JSON: &str =
        "{\n  \"processes\": [\n    {\"name\": \"\u{e4}pi\", \"port\": 4001}\n  ]\n}\n";
    const TOML: &str = "[[processes]]\nport = 4001\nname = \"\u{e4}pi\"\n";

    fn entry<'a>(node: &'a Node, key: &str) -> &'a Entry {
        let Value::Map(entries) = &node.value else {
            panic!("{node:?} is no map");
        };
        entries.iter().find(|entry| entry.key == key).unwrap()
    }

    fn first(node: &Node) -> &Node {
        let Value::List(items) = &entry(node, "processes").node.value else {
            panic!("no list");
        };
        &items[0]
    }

    #[test]
    fn each_language_gives_the_same_tree_with_its_places() {
        let read = |language: Language, text: &str| language.read(text).unwrap();
        let json = Language::Json { comments: false };
        for (language, text, port) in [
            (Language::Yaml, YAML, (7, 5)),
            (json, JSON, (3, 21)),
            (Language::Toml, TOML, (2, 1)),
        ] {
            let tree = read(language, text);
            let process = first(&tree);
            assert_eq!(
                entry(process, "name").node.value,
                Value::Text("\u{e4}pi".to_owned())
            );
            let found = entry(process, "port");
            assert_eq!(found.node.value, Value::Integer(4001));
            assert_eq!((found.at.line, found.at.column), port, "{language:?}");
        }
        let tree = read(Language::Yaml, YAML);
        let merged = entry(first(&tree), "cwd");
        assert_eq!(merged.node.value, Value::Text("/srv".to_owned()));
        let env = &entry(first(&tree), "env").node;
        assert_eq!(entry(env, "A").node.value, Value::Text("yes".to_owned()));
        assert_eq!(entry(env, "B").node.value, Value::Float(1.5));
        assert_eq!(entry(env, "C").node.value, Value::Null);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let told = |language: Language, text: &str| {
            let error = language.read(text).unwrap_err();
            (error.at.line, error.reason)
        };
        let json = Language::Json { comments: false };
        assert_eq!(told(Language::Yaml, "a: 1\nb: [1, 2\n").0, 3);
        assert_eq!(told(Language::Yaml, "a: 1\na: 2\n").0, 2);
        assert_eq!(told(Language::Yaml, "a: 1\n---\nb: 1\n").0, 3);
        assert_eq!(told(json, "{\n  \"a\": 1,\n}").0, 2);
        assert_eq!(told(json, "{\n  // note\n}").0, 2);
        assert!(told(json, "{\"a\": 1,\n \"a\": 2}").1.contains("twice"));
        assert_eq!(told(Language::Toml, "a = 1\nb = \n").0, 2);
        assert_eq!(told(Language::Toml, "a = 1\na = 2\n").0, 2);
        let jsonc = Language::Json { comments: true };
        assert!(jsonc.read("{ // note\n \"a\": [1, 2,], }").is_ok());
    }

    #[test]
    fn an_empty_file_holds_nothing() {
        for language in [Language::Yaml, Language::Json { comments: false }] {
            assert_eq!(language.read("").unwrap().value, Value::Null);
        }
        assert_eq!(
            Language::Toml.read("").unwrap().value,
            Value::Map(Vec::new())
        );
    }
}
