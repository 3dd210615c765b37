//! A JSON Schema of config files, made from the tables of keys, for editors that complete and check as one types.

use serde_json::{Map, Value, json};

use super::keys::{Fate, Key, Kind, PROCESS, TOP, snake_case};
use crate::spec::Condition;

/// The schema (JSON Schema, draft 2020-12).
pub fn schema() -> Value {
    let mut schema = object(TOP, true);
    let extra = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Processes that TSM keeps running",
        "anyOf": [
            { "required": ["processes"] },
            { "required": ["apps"] },
            { "required": ["services"] },
        ],
        // Parts that are shared by anchors, and what tells editors of this schema.
        "patternProperties": { "^x-": {}, r"^\$schema$": { "type": "string" } },
    });
    if let (Value::Object(schema), Value::Object(extra)) = (&mut schema, extra) {
        schema.extend(extra);
    }
    schema
}

/// A map with these keys in camelCase, snake_case and by their other names. What is refused is left out, so that an
/// editor marks it.
fn object(table: &'static [Key], required: bool) -> Value {
    let mut properties = Map::new();
    for key in table.iter().filter(|key| key.fate == Fate::Acts) {
        for name in key.aliases.iter().chain([&key.name]) {
            let mut value = of_kind(key.kind, required);
            if let Value::Object(value) = &mut value {
                value.insert("description".to_owned(), key.about.into());
            }
            let snake = snake_case(name);
            if snake != *name {
                properties.insert(snake, value.clone());
            }
            properties.insert((*name).to_owned(), value);
        }
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn of_kind(kind: Kind, required: bool) -> Value {
    let variable = r"\$\{";
    match kind {
        Kind::Text => json!({ "type": ["string", "number"] }),
        Kind::Texts | Kind::Words => json!({ "anyOf": [
            { "type": ["string", "number"] },
            { "type": "array", "items": { "type": ["string", "number", "boolean"] } },
        ] }),
        Kind::Bool => {
            json!({ "anyOf": [{ "type": "boolean" }, { "type": "string", "pattern": variable }] })
        }
        Kind::Count => number(0, i64::from(u32::MAX), variable),
        Kind::Nice => number(-20, 19, variable),
        Kind::Port => number(1, 65_535, r"\$\{|^[0-9]+\+$|^auto$"),
        Kind::OwnPort => json!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": 65_535 },
            { "const": true },
            { "type": "string", "pattern": variable },
        ] }),
        Kind::CountOr(words) => json!({ "anyOf": [
            { "type": "integer", "minimum": 1 },
            { "enum": words },
            { "type": "string", "pattern": variable },
        ] }),
        Kind::Needs => json!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "name": { "type": "string" }, "condition": { "enum": Condition::WORDS } },
                    "required": ["name"],
                    "additionalProperties": false,
                },
            ] } },
        ] }),
        Kind::Duration | Kind::Size => json!({ "type": ["number", "string"] }),
        Kind::OneOf(words) => json!({ "enum": words }),
        Kind::Variables => json!({
            "type": "object",
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
        }),
        Kind::OrMap(short, table) => {
            json!({ "anyOf": [of_kind(*short, false), object(table, false)] })
        }
        Kind::Command => of_kind(Kind::Words, false),
        Kind::BoolOrTexts => {
            json!({ "anyOf": [{ "type": "boolean" }, of_kind(Kind::Texts, false)] })
        }
        Kind::Number => json!({ "type": ["number", "string"] }),
        Kind::Map(table) => object_of(table, false),
        Kind::Named(table) => {
            json!({ "type": "object", "additionalProperties": object_of(table, false) })
        }
        Kind::Maps(table) => json!({ "type": "array", "items": object_of(table, required) }),
        Kind::Anything => json!({}),
    }
}

/// The keys of a process, in a list where it needs a name and a script, or as defaults where it does not.
fn object_of(table: &'static [Key], required: bool) -> Value {
    let mut value = object(table, false);
    if table != PROCESS {
        return value;
    }
    if let Value::Object(value) = &mut value {
        value.insert(
            "patternProperties".to_owned(),
            json!({ "^env_": of_kind(Kind::Variables, false) }),
        );
        if required {
            value.insert("required".to_owned(), json!(["name"]));
        }
    }
    value
}

fn number(least: i64, most: i64, variable: &str) -> Value {
    json!({ "anyOf": [
        { "type": "integer", "minimum": least, "maximum": most },
        { "type": "string", "pattern": variable },
    ] })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::keys::find;
    use super::*;

    #[test]
    fn the_schema_has_every_key_that_acts_and_none_that_is_refused() {
        let schema = schema();
        let process = &schema["properties"]["processes"]["items"]["properties"];
        for name in ["name", "maxRestarts", "max_restarts", "env_file", "dotEnv"] {
            assert!(process[name].is_object(), "{name}");
        }
        assert!(process["docker"].is_null());
        assert_eq!(process["port"]["anyOf"][0]["maximum"], 65_535);
        assert_eq!(schema["anyOf"][0]["required"], json!(["processes"]));
    }

    /// The names that a table makes known: each key that acts, in both cases and by its other names.
    fn names(table: &[Key]) -> BTreeSet<String> {
        let acting = table.iter().filter(|key| key.fate == Fate::Acts);
        let names = acting.flat_map(|key| key.aliases.iter().chain([&key.name]));
        names
            .flat_map(|name| [(*name).to_owned(), snake_case(name)])
            .collect()
    }

    /// Every map of the schema, however deep, that stands for a table of keys.
    fn maps<'a>(
        value: &'a Value,
        table: &'static [Key],
        all: &mut Vec<(&'a Value, &'static [Key])>,
    ) {
        all.push((value, table));
        for key in table.iter().filter(|key| key.fate == Fate::Acts) {
            let own = &value["properties"][key.name];
            match key.kind {
                Kind::Map(inner) => maps(own, inner, all),
                Kind::Maps(inner) => maps(&own["items"], inner, all),
                Kind::Named(inner) => maps(&own["additionalProperties"], inner, all),
                Kind::OrMap(short, inner) => {
                    maps(&own["anyOf"][1], inner, all);
                    if let Kind::Maps(inner) = short {
                        maps(&own["anyOf"][0]["items"], inner, all);
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn the_schema_lists_exactly_the_keys_that_parse() {
        let schema = schema();
        let mut all = Vec::new();
        maps(&schema, TOP, &mut all);
        assert!(all.len() > 20, "{}", all.len());
        for (map, table) in all {
            let Some(properties) = map["properties"].as_object() else {
                panic!("no properties: {map}");
            };
            let listed: BTreeSet<String> = properties.keys().cloned().collect();
            assert_eq!(listed, names(table));
            assert_eq!(map["additionalProperties"], json!(false));
            for name in &listed {
                let found = find(table, name).map(|key| key.fate);
                assert_eq!(found, Some(Fate::Acts), "{name}");
            }
        }
    }
}
