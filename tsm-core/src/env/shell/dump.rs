//! From what a hook hands over to a `NAME.shell` file.
//!
//! A hook prints parts, each as a name and a text with a NUL behind both, the last one named `end`. The text is what the
//! shell prints of itself (`declare -p`, `declare -f` …); here it is put in order, without what the shell would not take
//! back, and without what stands in `NAME.env` already.

use std::fmt::Write as _;

use thiserror::Error;

use super::{END, HEADER, MAX_BYTES, Shell, ShellState};
use crate::env::quote::{quote, unquote_word};

/// The error of understanding what a hook handed over.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The shell did not come to its end.
    #[error("it ends in the middle")]
    CutOff,
    /// It is of a shell that this version does not know.
    #[error("it is of no shell that this tsm knows; load the hook anew")]
    UnknownShell,
    /// More than a state may be.
    #[error("it is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// A line that should declare something does not.
    #[error("it declares '{0}', which is no variable")]
    NotADeclaration(String),
}

/// What bash sets by itself, or will not take back.
const OWNED_BY_BASH: &[&str] = &[
    "BASH",
    "BASHOPTS",
    "BASHPID",
    "BASH_ALIASES",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_CMDS",
    "BASH_COMMAND",
    "BASH_EXECUTION_STRING",
    "BASH_LINENO",
    "BASH_MONOSECONDS",
    "BASH_REMATCH",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_TRAPSIG",
    "BASH_VERSINFO",
    "BASH_VERSION",
    "BASH_XTRACEFD",
    "COLUMNS",
    "COMP_CWORD",
    "COMP_KEY",
    "COMP_LINE",
    "COMP_POINT",
    "COMP_TYPE",
    "COMP_WORDS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "HOSTNAME",
    "HOSTTYPE",
    "LINENO",
    "LINES",
    "MACHTYPE",
    "OLDPWD",
    "OPTERR",
    "OPTIND",
    "OSTYPE",
    "PIPESTATUS",
    "POSIXLY_CORRECT",
    "PPID",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "TSM_BASH_ENV",
    "UID",
    "_",
];

/// `set -o` options that are on in every new bash.
const SET_BY_DEFAULT: &[&str] = &["braceexpand", "hashall", "interactive-comments"];

/// `set -o` options of a person's session, or such as would keep a script from running.
const NOT_SET: &[&str] = &[
    "emacs",
    "histexpand",
    "history",
    "monitor",
    "noexec",
    "onecmd",
    "privileged",
    "vi",
];

/// `shopt` options that are on in every new bash that knows them.
const SHOPT_BY_DEFAULT: &[&str] = &[
    "checkwinsize",
    "cmdhist",
    "complete_fullquote",
    "extquote",
    "force_fignore",
    "globasciiranges",
    "globskipdots",
    "hostcomplete",
    "interactive_comments",
    "patsub_replacement",
    "progcomp",
    "promptvars",
    "sourcepath",
];

/// `shopt` options that nobody can set, that would start a debugger, and those that have lines of their own.
const SHOPT_ELSEWHERE: &[&str] = &[
    "expand_aliases",
    "extdebug",
    "extglob",
    "login_shell",
    "restricted_shell",
];

/// The parts of a dump, by name.
struct Parts<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Parts<'a> {
    fn split(dump: &'a [u8]) -> Result<Self, DumpError> {
        if dump.len() > MAX_BYTES {
            return Err(DumpError::TooLarge);
        }
        let mut pieces = dump.split(|&byte| byte == 0);
        let mut parts = Vec::new();
        while let (Some(name), Some(text)) = (pieces.next(), pieces.next()) {
            if name == b"end" {
                return Ok(Self(parts));
            }
            parts.push((name, text));
        }
        Err(DumpError::CutOff)
    }

    fn get(&self, name: &str) -> &'a [u8] {
        let part = self.0.iter().find(|(known, _)| *known == name.as_bytes());
        part.map_or(&[], |(_, text)| text)
    }

    /// The words of a list such as `SHELLOPTS`.
    fn list(&self, name: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(self.get(name));
        text.split(':').map(str::to_owned).collect()
    }
}

/// Makes the `NAME.shell` file of what a hook handed over.
pub(super) fn compose(dump: &[u8]) -> Result<ShellState, DumpError> {
    let parts = Parts::split(dump)?;
    let shell = String::from_utf8_lossy(parts.get("shell"));
    let (name, version) = shell.split_once(' ').unwrap_or((&shell, ""));
    let (shell, text) = match name {
        "bash" => (Shell::Bash, bash(&parts, version)?),
        "zsh" => (Shell::Zsh, zsh(&parts, version)),
        _ => return Err(DumpError::UnknownShell),
    };
    if text.len() > MAX_BYTES {
        return Err(DumpError::TooLarge);
    }
    Ok(ShellState { shell, text })
}

fn counted(number: usize, noun: &str) -> String {
    match (number, noun) {
        (1, _) => format!("1 {noun}"),
        (_, "alias") => format!("{number} aliases"),
        _ => format!("{number} {noun}s"),
    }
}

fn header(shell: Shell, version: &str, counts: &str) -> Vec<u8> {
    let version: String = version
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || ".()-".contains(*c))
        .collect();
    [HEADER, format!("{shell} {version}: {counts}\n").as_bytes()].concat()
}

/// What stands first: the shell's own `BASH_ENV` comes back, and is read as it would have been.
const BASH_BEGIN: &str = r#"# 'source' it after NAME.env. Where bash reads it by itself, as BASH_ENV, the user's own BASH_ENV comes back first.
{ _tsm_x=${-//[!x]}; set +x; } 2> /dev/null
case ${TSM_BASH_ENV-} in
=*) declare -x BASH_ENV="${TSM_BASH_ENV#=}" ;;
-) unset BASH_ENV ;;
esac
case ${TSM_BASH_ENV-} in
=?*)
    unset TSM_BASH_ENV
    eval "_tsm_env=\"${BASH_ENV//\"/\\\"}\""
    if [[ -f $_tsm_env ]]; then . "$_tsm_env"; fi
    unset _tsm_env ;;
*) unset TSM_BASH_ENV ;;
esac
"#;

fn bash(parts: &Parts<'_>, version: &str) -> Result<Vec<u8>, DumpError> {
    let shadows = parts.get("shadows").trim_ascii();
    let functions = parts.get("functions");
    let attributes = lines(parts.get("attributes"));
    let (variables, count) = bash_variables(parts.get("variables"))?;
    let aliases = bash_aliases(parts.get("aliases"))?;
    let shopt = parts.list("shopt");
    let is_on = |option: &str| shopt.iter().any(|on| on == option);

    let counts = [
        counted(attributes.len(), "function"),
        counted(count, "variable"),
        counted(aliases.len(), "alias"),
    ]
    .join(", ");
    let mut text = header(Shell::Bash, version, &counts);
    if !shadows.is_empty() {
        // Exported ones are there before the first line; in POSIX mode `unset` and `set` are the shell's own.
        text.extend_from_slice(
            b"POSIXLY_CORRECT=1; unset -f alias builtin declare set shopt unset; set +o posix\n",
        );
        if !is_on("inherit_errexit") {
            text.extend_from_slice(b"shopt -u inherit_errexit\n");
        }
    }
    text.extend_from_slice(BASH_BEGIN.as_bytes());

    text.extend_from_slice(b"\n# options that change how the rest is read\n");
    text.extend_from_slice(bash_shopt(parts, &shopt).as_bytes());
    text.extend_from_slice(b"shopt -u expand_aliases\n");
    if !is_on("extglob") {
        text.extend_from_slice(b"if shopt -q extglob; then _tsm_g=-s; else _tsm_g=-u; fi\n");
    }
    text.extend_from_slice(b"shopt -s extglob\n");

    text.extend_from_slice(b"\n# functions\n");
    text.extend_from_slice(functions);
    let attribute_lines = |own: bool| {
        let mut text = Vec::new();
        for line in &attributes {
            let mut words = line.split(|&b| b == b' ');
            let flags = words.nth(1).unwrap_or_default();
            let name = words.next().unwrap_or_default();
            if flags != b"-f" && is_shadow(name) == own {
                text.extend_from_slice(line);
                text.push(b'\n');
            }
        }
        text
    };
    text.extend(attribute_lines(false));

    text.extend_from_slice(b"\n# variables\n");
    text.extend(variables);

    text.extend_from_slice(b"\n# aliases\n");
    for alias in &aliases {
        text.extend_from_slice(b"alias -- ");
        text.extend(quote(alias));
        text.push(b'\n');
    }

    text.extend_from_slice(b"\n# options\n");
    if !is_on("extglob") {
        text.extend_from_slice(b"shopt \"$_tsm_g\" extglob; unset _tsm_g\n");
    }
    if is_on("expand_aliases") {
        text.extend_from_slice(b"shopt -s expand_aliases\n");
    }
    text.extend_from_slice(bash_set(parts).as_bytes());
    if !shadows.is_empty() {
        text.extend_from_slice(b"\n# functions that stand before what this file had to call\n");
        text.extend_from_slice(shadows);
        text.push(b'\n');
    }
    text.extend_from_slice(END);
    Ok(text)
}

/// Whether a function bears the name of something that `NAME.shell` calls.
fn is_shadow(name: &[u8]) -> bool {
    [
        &b"alias"[..],
        b"builtin",
        b"declare",
        b"set",
        b"shopt",
        b"unset",
    ]
    .contains(&name)
}

fn bash_shopt(parts: &Parts<'_>, on: &[String]) -> String {
    let known: Vec<String> = lines(parts.get("options"))
        .iter()
        .filter_map(|line| line.rsplit(|&b| b == b' ').next())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    let is_default = |name: &str| SHOPT_BY_DEFAULT.contains(&name);
    let mut text = String::new();
    // Another version of bash may not know one of them.
    let mut line = |flag: &str, names: Vec<&str>| {
        if !names.is_empty() {
            let names = names.join(" ");
            let _ = writeln!(text, "shopt {flag} {names} 2> /dev/null || :");
        }
    };
    let known = known.iter().map(String::as_str);
    let of_interest = known.filter(|name| !SHOPT_ELSEWHERE.contains(name));
    let (is_on, is_off): (Vec<&str>, Vec<&str>) =
        of_interest.partition(|name| on.iter().any(|option| option == name));
    line("-s", is_on.into_iter().filter(|n| !is_default(n)).collect());
    line("-u", is_off.into_iter().filter(|n| is_default(n)).collect());
    text
}

/// The last line but one: what a script's own first line asked for stays, so that only what differs from a new shell is
/// set.
fn bash_set(parts: &Parts<'_>) -> String {
    let on = parts.list("set");
    let mut words = String::new();
    for option in &on {
        let name = option.as_str();
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if plain && !name.is_empty() && !SET_BY_DEFAULT.contains(&name) && !NOT_SET.contains(&name)
        {
            let _ = write!(words, " -o {name}");
        }
    }
    for name in SET_BY_DEFAULT {
        if !on.iter().any(|option| option == name) {
            let _ = write!(words, " +o {name}");
        }
    }
    let mut text = String::new();
    text.push_str("if [[ $_tsm_x ]]; then \\unset _tsm_x; \\set -x; else \\unset _tsm_x; fi\n");
    if !words.is_empty() {
        let _ = writeln!(text, "\\set{words}");
    }
    text
}

/// The declarations of `declare -p` without what stands in the environment, and how many they are.
fn bash_variables(text: &[u8]) -> Result<(Vec<u8>, usize), DumpError> {
    let mut kept = Vec::new();
    let mut count = 0;
    for statement in statements(text) {
        let shown = || String::from_utf8_lossy(&statement[..statement.len().min(40)]).into_owned();
        let declaration = statement
            .strip_prefix(b"declare -")
            .and_then(|rest| rest.split_at_checked(rest.iter().position(|&b| b == b' ')?));
        let Some((flags, rest)) = declaration else {
            return Err(DumpError::NotADeclaration(shown()));
        };
        let rest = &rest[1..];
        let end = rest.iter().position(|&b| b == b'=');
        let (name, value) = (
            &rest[..end.unwrap_or(rest.len())],
            end.map(|at| &rest[at..]),
        );
        let is_owned = OWNED_BY_BASH.iter().any(|owned| owned.as_bytes() == name);
        if is_owned || name.starts_with(b"_tsm_") {
            continue;
        }
        let has = |flag: u8| flags.contains(&flag);
        let is_array = has(b'a') || has(b'A');
        let mut put = |flags: &[u8], value: Option<&[u8]>| {
            kept.extend_from_slice(b"declare -");
            kept.extend_from_slice(flags);
            kept.push(b' ');
            kept.extend_from_slice(name);
            kept.extend_from_slice(value.unwrap_or_default());
            kept.push(b'\n');
        };
        if has(b'x') && !is_array {
            // Its value comes from the environment.
            if flags == b"x" && value.is_some() {
                continue;
            }
            put(flags, None);
        } else if flags.iter().any(|flag| b"iluc".contains(flag))
            && value.is_some_and(|value| !is_number(value))
        {
            // These would change or evaluate the value: it comes first.
            let kind: &[u8] = match (has(b'a'), has(b'A')) {
                (true, _) => b"a",
                (_, true) => b"A",
                _ => b"-",
            };
            put(kind, value);
            put(flags, None);
        } else {
            put(flags, value);
        }
        count += 1;
    }
    Ok((kept, count))
}

/// Whether a value is `="12"`, which no attribute changes.
fn is_number(value: &[u8]) -> bool {
    let digits = value
        .strip_prefix(b"=\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    // What begins with 0 would be octal.
    digits.is_some_and(|digits| {
        digits == b"0"
            || (!digits.is_empty() && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit))
    })
}

/// `name=value` of each alias in the output of `alias -p`.
fn bash_aliases(text: &[u8]) -> Result<Vec<Vec<u8>>, DumpError> {
    statements(text)
        .into_iter()
        .map(|statement| {
            let rest = statement.strip_prefix(b"alias ").unwrap_or(statement);
            let rest = rest.strip_prefix(b"-- ").unwrap_or(rest);
            let at = rest.iter().position(|&b| b == b'=');
            let value = at.and_then(|at| Some((at, unquote_word(&rest[at + 1..]).ok()?)));
            match value {
                Some((at, (value, _))) => Ok([&rest[..=at], &value].concat()),
                None => Err(DumpError::NotADeclaration(
                    String::from_utf8_lossy(&rest[..rest.len().min(40)]).into_owned(),
                )),
            }
        })
        .collect()
}

/// The hook of zsh chooses what is kept; here it is only put together.
fn zsh(parts: &Parts<'_>, version: &str) -> Vec<u8> {
    let count = |part: &str, noun| {
        let number = String::from_utf8_lossy(parts.get(part));
        counted(number.parse().unwrap_or_default(), noun)
    };
    let counts = [
        count("function-count", "function"),
        count("variable-count", "variable"),
    ]
    .join(", ");
    let mut text = header(Shell::Zsh, version, &counts);
    text.extend_from_slice(b"# zsh reads it in .zshenv, or 'source' it after NAME.env.\n");
    for part in ["variables", "functions"] {
        text.extend_from_slice(format!("\n# {part}\n").as_bytes());
        text.extend_from_slice(parts.get(part));
        text.push(b'\n');
    }
    text.extend_from_slice(END);
    text
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    let lines = text.split(|&b| b == b'\n');
    lines.filter(|line| !line.is_empty()).collect()
}

/// Cuts shell text at the newlines that stand in no quotes.
fn statements(text: &[u8]) -> Vec<&[u8]> {
    #[derive(PartialEq)]
    enum Quotes {
        No,
        Single,
        Double,
        Ansi,
    }
    let mut found = Vec::new();
    let (mut start, mut at, mut quotes) = (0, 0, Quotes::No);
    while at < text.len() {
        let byte = text[at];
        match (&quotes, byte) {
            (Quotes::No | Quotes::Double | Quotes::Ansi, b'\\') => at += 1,
            (Quotes::No, b'\'') if at > 0 && text[at - 1] == b'$' => quotes = Quotes::Ansi,
            (Quotes::No, b'\'') => quotes = Quotes::Single,
            (Quotes::No, b'"') => quotes = Quotes::Double,
            (Quotes::Single | Quotes::Ansi, b'\'') | (Quotes::Double, b'"') => quotes = Quotes::No,
            (Quotes::No, b'\n') => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    found.push(&text[start.min(text.len())..]);
    found.retain(|statement| !statement.is_empty());
    found
}

#[cfg(test)]
mod tests;
