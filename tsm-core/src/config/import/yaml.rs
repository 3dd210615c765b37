//! Writing YAML as a person does: short lists in one line, maps over several, quotes only where they are needed.

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doc {
    /// As it stands.
    Plain(String),
    /// A text, quoted where something else would be read.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// Keys and values.
    Map(Vec<(String, Self)>),
}

impl Doc {
    pub(super) fn number(number: i64) -> Self {
        Self::Plain(number.to_string())
    }

    /// In one line.
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::plain).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, doc)| format!("{}: {}", quoted(key), doc.plain()));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl From<&str> for Doc {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Doc {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A line, or several, of a block.
pub(super) fn entry(yaml: &mut String, indent: usize, key: &str, doc: &Doc) {
    let margin = " ".repeat(indent);
    let key = quoted(key);
    // Variables stand below each other; other maps are short.
    if let Doc::Map(entries) = doc
        && key.starts_with("env")
    {
        yaml.extend([margin.as_str(), &key, ":\n"]);
        for (key, doc) in entries {
            entry(yaml, indent + 2, key, doc);
        }
        return;
    }
    let value = match doc {
        // Alone on its line, a text needs quotes less often.
        Doc::Text(text) if is_plain(text, false) => text.clone(),
        doc => doc.plain(),
    };
    yaml.extend([margin.as_str(), &key, ": ", &value, "\n"]);
}

fn quoted(text: &str) -> String {
    if is_plain(text, true) {
        return text.to_owned();
    }
    // YAML can read any string that JSON has quoted.
    serde_json::Value::from(text).to_string()
}

/// Whether a text is read as itself without quotes; `inside` a list or a map in one line.
fn is_plain(text: &str, inside: bool) -> bool {
    let word = text.to_ascii_lowercase();
    let means_something = matches!(
        word.as_str(),
        "" | "~" | "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    let like_a_number = text
        .trim_start_matches(['+', '-', '.'])
        .starts_with(|c: char| c.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || b"+-._:xXoOeE".contains(&b));
    let begins_badly = text
        .starts_with(|c: char| c.is_whitespace() || "-?:,[]{}#&*!|>'\"%@`".contains(c))
        && !(text.starts_with("--")
            || (text.starts_with('-') && text[1..].starts_with(|c: char| c.is_ascii_alphabetic())));
    let flow = inside && text.contains([',', '[', ']', '{', '}']);
    !(means_something
        || like_a_number
        || begins_badly
        || flow
        || text.contains(": ")
        || text.contains(" #")
        || text.ends_with(':')
        || text.ends_with(' ')
        || text.contains(|c: char| c.is_control()))
}
