//! `NAME.shell` for zsh.
//!
//! The file reads itself in a function with zsh's own options and without aliases, so that what it holds means what it
//! meant; afterwards all is as it was. As in bash, the environment decides over what stands in it.

use super::{DumpError, Parts, counted, header, lines, statements};
use crate::env::shell::{END, Shell, given};

/// The first line of code reads the file once more, inside.
const BEGIN: &str = r#"if [[ -z ${_tsm_inside-} ]]; then () { \builtin emulate -L zsh; \builtin setopt no_aliases no_xtrace no_verbose no_err_exit no_err_return unset no_all_export; \builtin local _tsm_inside=1; \builtin source "$1"; } "${(%):-%x}"; \return $?; fi
"#;

const NEW: &str = r#"# zsh reads it in .zshenv, or 'source' it after NAME.env.

# Whether a variable is to get a value here: not where the environment or your .zshenv decides over it.
function _tsm_new { [[ ${(tP)1} != *(readonly|export)* && $_tsm_given != *" $1 "* ]]; }

# variables
"#;

pub(super) fn compose(parts: &Parts<'_>, version: &str) -> Result<Vec<u8>, DumpError> {
    let (variables, count) = variables(parts)?;
    let functions = String::from_utf8_lossy(parts.get("function-count"));
    let mut counts = [
        counted(functions.parse().unwrap_or_default(), "function"),
        counted(count, "variable"),
    ]
    .join(", ");
    let unreadable = lines(parts.get("unreadable"));
    if !unreadable.is_empty() {
        let names = unreadable.join(&b", "[..]);
        let names = String::from_utf8_lossy(&names);
        counts.push_str("; not kept, because zsh itself cannot read what it prints of them: ");
        counts.extend(names.chars().filter(|c| !c.is_control()).take(200));
    }
    let mut text = header(Shell::Zsh, version, &counts);
    text.extend_from_slice(BEGIN.as_bytes());
    text.extend(given::line(Shell::Zsh, &[]));
    text.extend_from_slice(NEW.as_bytes());
    text.extend(variables);
    text.extend_from_slice(b"builtin unfunction _tsm_new\nbuiltin unset _tsm_given\n");
    // A new zsh has these two by itself, and they would stand before functions of their names.
    let unaliased = statements(parts.get("unaliased"));
    for name in unaliased
        .into_iter()
        .filter(|name| [&b"run-help"[..], b"which-command"].contains(name))
    {
        text.extend(
            [
                b"(( ${+aliases[",
                name,
                b"]} )) && builtin unalias -- ",
                name,
                b"\n",
            ]
            .concat(),
        );
    }
    text.extend_from_slice(b"\n# functions\n");
    text.extend_from_slice(parts.get("functions"));
    text.push(b'\n');
    text.extend_from_slice(END);
    Ok(text)
}

/// The statements of `typeset -p`, each made where the environment leaves it to the file, and how many they are.
fn variables(parts: &Parts<'_>) -> Result<(Vec<u8>, usize), DumpError> {
    let mut text = Vec::new();
    for statement in statements(parts.get("fpath")) {
        text.extend([b"_tsm_new FPATH && ", statement, b"\n"].concat());
    }
    let mut count = 0;
    for statement in statements(parts.get("variables")) {
        let (head, name) = head(statement)?;
        // An exported parameter has its value from the environment, and the words before it give
        // its attributes. Those of a floating point number would rewrite the value.
        if head.starts_with(b"export ") {
            let is_float = head.starts_with(b"export -E") || head.starts_with(b"export -F");
            if head.starts_with(b"export -") && !is_float {
                text.extend([b"(( ${+", name, b"} )) && ", head, b"\n"].concat());
                count += 1;
            }
            continue;
        }
        text.extend([b"_tsm_new ", name, b" && ", statement, b"\n"].concat());
        count += 1;
    }
    for name in statements(parts.get("hidden")) {
        text.extend([b"_tsm_new ", name, b" && typeset -gH -- ", name, b"\n"].concat());
    }
    Ok((text, count))
}

/// What stands before the `=` of `typeset -g -a NAME=…`, and the name.
fn head(statement: &[u8]) -> Result<(&[u8], &[u8]), DumpError> {
    let end = statement.iter().position(|&b| b == b'=');
    let head = &statement[..end.unwrap_or(statement.len())];
    let not_a_declaration = || {
        let shown = &statement[..statement.len().min(40)];
        DumpError::NotADeclaration(String::from_utf8_lossy(shown).into_owned())
    };
    let mut words = head.split(|&b| b == b' ');
    if !matches!(words.next(), Some(b"typeset" | b"export")) {
        return Err(not_a_declaration());
    }
    // `-T SCALAR array` has two names; the first one is what an environment may have.
    let name = words.find(|word| !word.starts_with(b"-"));
    Ok((head, name.ok_or_else(not_a_declaration)?))
}
