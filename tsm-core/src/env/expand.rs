//! `${VAR}` and `${VAR:-default}` in the values of config files and dotenv files.

/// Replaces `${VAR}` by the value that `lookup` gives, `${VAR:-default}` by the default where there is none or it is
/// empty, and `$$` by a dollar. A dollar before anything else is a dollar.
///
/// # Errors
/// What is wrong, in words: a variable that is not set, or a `${` that does not end.
pub(crate) fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        }
        let Some(inner) = rest.strip_prefix('{') else {
            expanded.push('$');
            continue;
        };
        let end = closing_brace(inner)
            .ok_or("a `${` has no `}`; write `$${` for these two characters themselves")?;
        let (name, default) = match inner[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..end], None),
        };
        if !crate::env::file::is_identifier(name.as_bytes()) {
            return Err("what stands in a `${…}` names no variable".to_owned());
        }
        match (lookup(name), default) {
            (Some(value), None) => expanded.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => expanded.push_str(&value),
            (_, Some(default)) => expanded.push_str(&expand(default, lookup)?),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        expand(text, &|name| match name {
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
