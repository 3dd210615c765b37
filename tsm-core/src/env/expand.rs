//! `${VAR}` and `${VAR:-default}` in the values of config files and dotenv files.

/// How a dollar is written that stands for itself before a `{`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dollar {
    /// As `$$`: in config files.
    Doubled,
    /// As `\$`, beside the other escapes of a double-quoted text: in dotenv files.
    Escaped,
    /// Not at all: in the bare values of dotenv files, where `$$` is what it says.
    Plain,
}

/// Replaces `${VAR}` by the value that `lookup` gives, `${VAR:-default}` by the default where there is none or it is
/// empty, and what [`Dollar`] says. A dollar before anything else is a dollar.
///
/// # Errors
/// What is wrong, in words: a variable that is not set, or a `${` that does not end.
pub(crate) fn expand(
    text: &str,
    dollar: Dollar,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    let is_special = |c: char| c == '$' || (c == '\\' && dollar == Dollar::Escaped);
    while let Some(at) = rest.find(is_special) {
        expanded.push_str(&rest[..at]);
        let special = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        if special == b'\\' {
            rest = unescape(rest, &mut expanded);
            continue;
        }
        // Before the brace is looked at: `$${` stands for these two characters.
        if dollar == Dollar::Doubled
            && let Some(after) = rest.strip_prefix('$')
        {
            expanded.push('$');
            rest = after;
            continue;
        }
        let Some(inner) = rest.strip_prefix('{') else {
            expanded.push('$');
            continue;
        };
        let end = closing_brace(inner).ok_or_else(|| {
            let written = match dollar {
                Dollar::Doubled => "write `$${` for these two characters themselves",
                Dollar::Escaped => "write `\\${` for these two characters themselves",
                Dollar::Plain => "put the value into '…' for these two characters themselves",
            };
            format!("a `${{` has no `}}`; {written}")
        })?;
        let (name, default) = match inner[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..end], None),
        };
        // Not shown: where a brace was forgotten, it may be a secret.
        if !crate::env::quote::is_identifier(name.as_bytes()) {
            return Err("what stands in a `${…}` names no variable".to_owned());
        }
        match (lookup(name), default) {
            (Some(value), None) => expanded.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => expanded.push_str(&value),
            (_, Some(default)) => {
                // A default may hold variables of its own.
                expanded.push_str(&expand(without_quotes(default), dollar, lookup)?);
            }
            (None, None) => {
                return Err(format!(
                    "the variable {name} is not set here; set it, or write ${{{name}:-default}}"
                ));
            }
        }
        rest = &inner[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Appends what the escape stands for whose backslash stood before `rest`; returns what is behind it.
fn unescape<'a>(rest: &'a str, expanded: &mut String) -> &'a str {
    let mut letters = rest.chars();
    match letters.next() {
        Some('n') => expanded.push('\n'),
        Some('r') => expanded.push('\r'),
        Some('t') => expanded.push('\t'),
        Some(plain @ ('\\' | '"' | '$')) => expanded.push(plain),
        Some(other) => expanded.extend(['\\', other]),
        None => expanded.push('\\'),
    }
    letters.as_str()
}

/// The brace that closes a `${`; a default may hold further ones.
fn closing_brace(inner: &str) -> Option<usize> {
    let mut depth = 0_u32;
    for (at, letter) in inner.char_indices() {
        match letter {
            '{' if inner[..at].ends_with('$') => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A default may stand in quotes, which are none of it.
fn without_quotes(default: &str) -> &str {
    let inner = |quote: char| {
        let inner = default.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then_some(inner)
    };
    inner('"').or_else(|| inner('\'')).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        expand(text, Dollar::Doubled, &|name| match name {
            "HOME" => Some("/home/mr".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn variables_defaults_and_dollars() {
        for (text, expected) in [
            ("plain", "plain"),
            ("${HOME}/x", "/home/mr/x"),
            ("${NONE:-y}", "y"),
            ("${NONE:-${HOME}}!", "/home/mr!"),
            ("${NONE:-a}b}", "ab}"),
            ("${NONE:-\"a b\"}", "a b"),
            ("${NONE:-'a b'}", "a b"),
            ("${NONE:-it's}", "it's"),
            ("${EMPTY:-y}", "y"),
            ("${EMPTY}", ""),
            ("${NONE:-}", ""),
            ("$$HOME $HOME $", "$HOME $HOME $"),
            ("$${HOME}", "${HOME}"),
            ("100 $ {a}", "100 $ {a}"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_expanded_is_told() {
        assert!(expanded("${NONE}").unwrap_err().contains("NONE is not set"));
        assert!(expanded("a${HOME").unwrap_err().contains("no `}`"));
        assert!(
            expanded("${a b}")
                .unwrap_err()
                .contains("names no variable")
        );
        assert!(expanded("${}").unwrap_err().contains("names no variable"));
    }
}
