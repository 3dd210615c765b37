//! `NAME.shell` for bash.
//!
//! The file has to be read rightly in a shell of which nothing is known: functions and aliases of any name may be there
//! before it, and come into being while it is read. So:
//!
//! * All that it calls, it calls as `builtin`. Whether that is the shell's own is made sure of first, in POSIX mode, where
//!   `unset` and `set` are never functions.
//! * Until its last block every option that would change how it is read is as in a new shell; in that block, which bash
//!   reads whole before it begins, the options come, and a function called `builtin` at the very end.
//! * The environment decides over what stands in it. A variable gets a value here only where it is neither exported nor
//!   readonly already, and nobody gave or took it by other means than the shell ([`given`]); of one that was exported only
//!   the attributes are here. The same holds for functions that were exported.

use std::fmt::Write as _;

use super::{DumpError, Parts, counted, header, lines, statements};
use crate::env::quote::{quote, unquote_word};
use crate::env::shell::{END, Shell, given};
use crate::error::BestEffort as _;

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

/// `shopt` options that nobody can set, and one that would start a debugger.
const NOT_SHOPT: &[&str] = &["extdebug", "login_shell", "restricted_shell"];

/// Makes the shell one in which the file can be read, and notes how it was. It stands before all else; with `bash -v` the
/// two first lines of the file are printed all the same, because bash prints a line before it runs it.
const TAKE: &str = "{ _tsm_o=$-${_tsm_o:+${_tsm_o//[!vx]}}; _tsm_b=:$BASHOPTS:; \
     _tsm_p=${POSIXLY_CORRECT+${POSIXLY_CORRECT@a}=$POSIXLY_CORRECT}; POSIXLY_CORRECT=1; \
     \\set +aefkuvxET; \\unset -f builtin; \\set +o posix; \
     builtin shopt -u expand_aliases nocasematch; builtin shopt -s extglob; } 2> /dev/null\n";

/// Puts back what [`TAKE`] took and POSIX mode changed, but for the flags of `set`.
const GIVE: &str = r#"for _tsm_n in expand_aliases extglob inherit_errexit nocasematch shift_verbose sourcepath; do
    case $_tsm_b in *:"$_tsm_n":*) builtin shopt -s "$_tsm_n" ;; *) builtin shopt -u "$_tsm_n" ;; esac
done 2> /dev/null
case $_tsm_p in
=*) POSIXLY_CORRECT=${_tsm_p#*=} ;;
?*) builtin export POSIXLY_CORRECT="${_tsm_p#*=}" ;;
esac
"#;

/// The user's own `BASH_ENV` comes back, and is read as it would have been. `_tsm_m` is empty where the file is not read
/// as `BASH_ENV`.
const BEGIN: &str = r#"_tsm_m=${TSM_BASH_ENV-}
builtin unset -v TSM_BASH_ENV
case $_tsm_m in
=*) builtin export BASH_ENV="${_tsm_m#=}" ;;
-) builtin unset -v BASH_ENV ;;
esac
if [[ $_tsm_m == =?* ]]; then
    builtin eval "_tsm_f=\"${BASH_ENV//\"/\\\"}\""
    if [[ -f $_tsm_f ]]; then
@GIVE@
        _tsm_n=${_tsm_o//[!aefkuET]}
        builtin eval "${_tsm_n:+builtin set -$_tsm_n}"
        builtin . "$_tsm_f"
@TAKE@
    fi
fi
# Whether a variable is to get a value here: not where the environment or your BASH_ENV decides over it.
function _tsm_new { [[ ${!1@a} != *[rx]* && $_tsm_given != *" $1 "* ]]; }
"#;

/// Over the functions that it names the environment decides.
const KEEP_FUNCTIONS: &str = r#"_tsm_f=
if (( ${#_tsm_own[@]} )); then
    builtin export -nf -- "${_tsm_own[@]}" 2> /dev/null
    _tsm_f=$(builtin declare -f -- "${_tsm_own[@]}")
fi
"#;
const PUT_FUNCTIONS_BACK: &str = r#"if (( ${#_tsm_own[@]} )); then
    builtin unset -f -- "${_tsm_own[@]}"
    builtin eval "$_tsm_f"
    builtin export -f -- "${_tsm_own[@]}" 2> /dev/null
fi
"#;

pub(super) fn compose(parts: &Parts<'_>, version: &str) -> Result<Vec<u8>, DumpError> {
    let attributes = Attributes::read(parts.get("attributes"));
    let (variables, count) = variables(parts.get("variables"))?;
    let aliases = aliases(parts.get("aliases"))?;
    let builtin = parts.get("builtin").trim_ascii();

    let counts = [
        counted(
            attributes.0.len() + usize::from(!builtin.is_empty()),
            "function",
        ),
        counted(count, "variable"),
        counted(aliases.len(), "alias"),
    ]
    .join(", ");
    let mut text = header(Shell::Bash, version, &counts);
    let mut put = |more: &[u8]| text.extend_from_slice(more);
    put(TAKE.as_bytes());
    put(&given::line(Shell::Bash, &[]));
    put(
        b"# 'source' it after NAME.env. Where bash reads it by itself, as BASH_ENV, your own BASH_ENV comes back first.\n",
    );
    let begin = BEGIN.replace("@GIVE@\n", GIVE).replace("@TAKE@\n", TAKE);
    put(begin.as_bytes());

    put(b"\n# functions\n");
    let exported = attributes.exported();
    if !exported.is_empty() {
        put(b"if [[ $_tsm_m ]]; then _tsm_own+=(");
        put(&exported.join(&b' '));
        put(b"); fi\n");
    }
    put(KEEP_FUNCTIONS.as_bytes());
    put(&attributes.readable(parts.get("functions")));
    put(PUT_FUNCTIONS_BACK.as_bytes());
    put(&attributes.declared());

    put(b"\n# variables\n");
    put(&variables);

    put(b"\n# aliases\n");
    for alias in &aliases {
        put(b"builtin alias -- ");
        put(&quote(alias));
        put(b"\n");
    }

    put(b"\n# options\n{\n");
    put(GIVE.as_bytes());
    put(shopt(parts).as_bytes());
    put(set(parts).as_bytes());
    put(builtin);
    if !builtin.is_empty() {
        put(b"\n");
    }
    put(b"} ");
    put(END);
    Ok(text)
}

/// The lines of `declare -F`: which attributes each function has.
struct Attributes<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Attributes<'a> {
    fn read(text: &'a [u8]) -> Self {
        let functions = lines(text).into_iter().filter_map(|line| {
            let flags = line.strip_prefix(b"declare -")?;
            let at = flags.iter().position(|&b| b == b' ')?;
            Some((&flags[..at], &flags[at + 1..]))
        });
        Self(functions.collect())
    }

    fn exported(&self) -> Vec<Vec<u8>> {
        let exported = self.0.iter().filter(|(flags, _)| flags.contains(&b'x'));
        exported.map(|(_, name)| quote(name)).collect()
    }

    /// What gives functions more attributes than to be there. Over an exported one that is not there the environment has
    /// decided.
    fn declared(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (flags, name) in &self.0 {
            if *flags != b"f" {
                let name = quote(name);
                text.extend([b"builtin declare -", *flags, b" -- ", &name].concat());
                text.extend_from_slice(b" 2> /dev/null || :\n");
            }
        }
        text
    }

    /// The functions as bash reads them again. It prints a name such as `x=y` in a way that it takes for something else, and
    /// attributes as a call of `declare`, which may be a function.
    fn readable(&self, functions: &[u8]) -> Vec<u8> {
        let is_plain = |name: &[u8]| {
            let mut letters = name.iter();
            letters.all(|b| b.is_ascii_alphanumeric() || b"_-.:+@%,/".contains(b) || *b > 0x7f)
        };
        let mut text = Vec::with_capacity(functions.len());
        let mut rest = functions;
        // They come in the same order as in `declare -F`.
        for (flags, name) in &self.0 {
            if !is_plain(name)
                && let Some((before, behind)) = around_line(rest, &[name, &b" () "[..]].concat())
            {
                text.extend([before, b"function ", name, b" () \n"].concat());
                rest = behind;
            }
            let declared = [b"declare -", *flags, b" ", name].concat();
            if *flags != b"f"
                && let Some((before, behind)) = around_line(rest, &declared)
            {
                text.extend_from_slice(before);
                rest = behind;
            }
        }
        text.extend_from_slice(rest);
        text
    }
}

/// What stands before a line and what behind it.
fn around_line<'a>(text: &'a [u8], line: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let line = [line, b"\n"].concat();
    let mut places = text.windows(line.len()).enumerate();
    let (at, _) = places.find(|(at, part)| *part == line && (*at == 0 || text[at - 1] == b'\n'))?;
    Some((&text[..at], &text[at + line.len()..]))
}

fn shopt(parts: &Parts<'_>) -> String {
    let on = parts.list("shopt");
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
            writeln!(text, "builtin shopt {flag} {names} 2> /dev/null || :")
                .best_effort("a String takes everything");
        }
    };
    let known = known.iter().map(String::as_str);
    let of_interest = known.filter(|name| !NOT_SHOPT.contains(name));
    let (is_on, is_off): (Vec<&str>, Vec<&str>) =
        of_interest.partition(|name| on.iter().any(|option| option == name));
    line("-s", is_on.into_iter().filter(|n| !is_default(n)).collect());
    line("-u", is_off.into_iter().filter(|n| is_default(n)).collect());
    text
}

/// What a script's own first line asked for stays, so that only what differs from a new shell is set: in one command, so
/// that tracing, which may be among it, traces nothing of this.
fn set(parts: &Parts<'_>) -> String {
    let on = parts.list("set");
    let mut words = String::new();
    for option in &on {
        let name = option.as_str();
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if plain && !name.is_empty() && !SET_BY_DEFAULT.contains(&name) && !NOT_SET.contains(&name)
        {
            write!(words, " -o {name}").best_effort("a String takes everything");
        }
    }
    for name in SET_BY_DEFAULT {
        if !on.iter().any(|option| option == name) {
            write!(words, " +o {name}").best_effort("a String takes everything");
        }
    }
    let set = if words.is_empty() {
        r"${_tsm_o:+\builtin set -$_tsm_o}".to_owned()
    } else {
        format!("\\builtin set{words}${{_tsm_o:+ -$_tsm_o}}")
    };
    // Read anew by `eval`, a word may be an alias.
    format!(
        "_tsm_o=${{_tsm_o//[!aefkuvxET]}}\nbuiltin unset -f _tsm_new\n\
         builtin eval \"\\builtin unset -v _tsm_b _tsm_f _tsm_given _tsm_m _tsm_n _tsm_o _tsm_own _tsm_p; {set}\"\n"
    )
}

/// The declarations of `declare -p`, each of which is made where the environment leaves it to the file, and how many they
/// are.
fn variables(text: &[u8]) -> Result<(Vec<u8>, usize), DumpError> {
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
        let array = [b'a', b'A'].into_iter().find(|&flag| has(flag));
        let declare = |flags: &[u8]| [b"builtin declare -", flags, b" ", name].concat();
        let changes_values = flags.iter().any(|flag| b"iluc".contains(flag));
        let (condition, commands): (&[u8], Vec<Vec<u8>>) = match (array, value) {
            // Its value comes from the environment.
            (None, Some(_)) if flags == b"x" => continue,
            (None, Some(_)) if has(b'x') => (b"[[ -v ", vec![declare(flags)]),
            // Only alone is `(` taken for the begin of an array, but for the word `declare`, which may be a function.
            (Some(kind), Some(value)) => {
                let mut commands = vec![declare(&[kind]), [name, value].concat()];
                if flags != [kind] {
                    commands.push(declare(flags));
                }
                (b"_tsm_new ", commands)
            }
            // These would change or evaluate the value: it comes first.
            (None, Some(value)) if changes_values && !is_number(value) => {
                let first = [&declare(b"-")[..], value].concat();
                (b"_tsm_new ", vec![first, declare(flags)])
            }
            (_, value) => {
                let whole = [&declare(flags)[..], value.unwrap_or_default()].concat();
                (b"_tsm_new ", vec![whole])
            }
        };
        let end: &[u8] = if condition.ends_with(b"_tsm_new ") {
            b" && "
        } else {
            b" ]] && "
        };
        kept.extend([condition, name, end].concat());
        match &*commands {
            [one] => kept.extend_from_slice(one),
            several => kept.extend([b"{ ", &*several.join(&b"; "[..]), b"; }"].concat()),
        }
        kept.push(b'\n');
        count += 1;
    }
    Ok((kept, count))
}

/// Whether a value is `="12"`, which no attribute changes.
fn is_number(value: &[u8]) -> bool {
    let digits = value
        .strip_prefix(b"=\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    // Digits after a leading 0 would be read as octal.
    digits.is_some_and(|digits| {
        digits == b"0"
            || (!digits.is_empty() && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit))
    })
}

/// `name=value` of each alias in the output of `alias -p`.
fn aliases(text: &[u8]) -> Result<Vec<Vec<u8>>, DumpError> {
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
