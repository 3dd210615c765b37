//! What a TARGET is: a script, a program on PATH, or a command line. It is the command that decides, once, where a person can be asked; a
//! restart executes what was decided.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use crate::env::{Shell, ShellState, quote::quote};
use crate::error::{Error, IoContext as _, Result};
use crate::name::ProcessName;
use crate::spec::Program;
use crate::text::Text;

/// What a person typed behind `start`.
#[derive(Clone, Copy, Debug)]
pub struct Typed<'a> {
    /// The first word.
    pub target: &'a OsStr,
    /// The words behind it.
    pub args: &'a [OsString],
    /// The directory in which it was typed, or `--cwd`.
    pub cwd: &'a Path,
    /// The value of PATH.
    pub path: Option<&'a OsStr>,
    /// What only the shell knew in which it was typed, where its hook handed that over.
    pub shell: Option<&'a ShellState>,
    /// `--interpreter`: a program with arguments, or `none` to execute the file itself.
    pub interpreter: Option<&'a str>,
}

/// What it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What is executed.
    pub program: Program,
    /// A name for the process, from the file's stem or the program.
    pub name: ProcessName,
}

/// Interpreters by extension, in the order of preference; the words behind a program's name are its arguments.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("sh", &["bash", "sh"]),
    ("bash", &["bash"]),
    ("zsh", &["zsh"]),
    ("fish", &["fish"]),
    ("py", &["python3", "python"]),
    ("js", &["node", "bun"]),
    ("mjs", &["node", "bun"]),
    ("cjs", &["node", "bun"]),
    ("ts", &["bun", "deno run -A", "tsx", "ts-node", "node"]),
    ("mts", &["bun", "deno run -A", "tsx", "ts-node", "node"]),
    ("rb", &["ruby"]),
    ("pl", &["perl"]),
    ("php", &["php"]),
    ("lua", &["lua"]),
    ("jar", &["java -jar"]),
    ("R", &["Rscript"]),
    ("tcl", &["tclsh"]),
    ("exs", &["elixir"]),
    ("ps1", &["pwsh"]),
];

/// Finds out what `typed` means. A word that holds a `/` is a path; else it is a file in the directory, a program on
/// PATH, or (with spaces) a command line.
///
/// # Errors
/// [`Error::CannotStart`] with the reason and the remedy.
///
/// ```
/// use tsm_core::launch::{Typed, resolve};
///
/// let typed = Typed {
///     target: "sh -c 'echo hello'".as_ref(),
///     args: &[],
///     cwd: "/".as_ref(),
///     path: Some("/usr/bin:/bin".as_ref()),
///     interpreter: None,
///     shell: None,
/// };
/// let resolved = resolve(typed)?;
/// assert_eq!(resolved.name.as_str(), "sh");
/// assert_eq!(resolved.program.words.len(), 3);
/// # Ok::<(), tsm_core::error::Error>(())
/// ```
pub fn resolve(typed: Typed<'_>) -> Result<Resolved> {
    let word = typed.target.as_bytes();
    if word.iter().all(u8::is_ascii_whitespace) {
        return refuse(typed.target, "it is empty");
    }
    let has_space = word.iter().any(u8::is_ascii_whitespace);
    let path = plain(&typed.cwd.join(typed.target));
    let is_file = path.is_file();
    // A file wins over a program of the same name on `PATH`, and over a command line with blanks.
    if is_file || (word.contains(&b'/') && !has_space) {
        return script(&path, typed);
    }
    if has_space {
        return command_line(typed);
    }
    if typed.interpreter.is_some() {
        return refuse(
            typed.target,
            format!(
                "there is no such file in {}, and --interpreter is for files",
                typed.cwd.display()
            ),
        );
    }
    if on_path(typed.target, typed.path) {
        let words = std::iter::once(typed.target)
            .chain(typed.args.iter().map(OsString::as_os_str))
            .map(Text::from);
        let program = Program {
            file: typed.target.into(),
            words: words.collect(),
            shell_fallback: false,
        };
        return Ok(Resolved {
            program,
            name: stem(Path::new(typed.target)),
        });
    }
    if let Some(state) = typed.shell.filter(|state| state.defines(word)) {
        // Quoted, it would no longer be an alias.
        let call = if word
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(b))
        {
            word.to_vec()
        } else {
            quote(word)
        };
        let call = [&call, &b" \"$@\""[..]].concat();
        let mut words = vec![OsStr::from_bytes(&call), typed.target];
        words.extend(typed.args.iter().map(OsString::as_os_str));
        return Ok(in_shell(state.shell(), &words, Path::new(typed.target)));
    }
    if path.is_dir() {
        return refuse(typed.target, "it is a directory; name a file in it");
    }
    let reason = format!(
        "there is no such file in {}, and no such program on PATH",
        typed.cwd.display()
    );
    refuse(typed.target, reason)
}

fn refuse<T>(target: &OsStr, reason: impl Into<String>) -> Result<T> {
    Err(Error::CannotStart {
        target: target.to_string_lossy().into_owned(),
        reason: reason.into().into(),
    })
}

fn stem(path: &Path) -> ProcessName {
    ProcessName::from_stem(&path.file_stem().unwrap_or_default().to_string_lossy())
}

/// The path without `.` parts; `..` stays, since what it means depends on links.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .collect()
}

fn on_path(name: &OsStr, path: Option<&OsStr>) -> bool {
    let path = path.unwrap_or_else(|| OsStr::from_bytes(super::DEFAULT_PATH));
    std::env::split_paths(path).any(|directory| {
        std::fs::metadata(directory.join(name))
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}

fn script(path: &Path, typed: Typed<'_>) -> Result<Resolved> {
    let meta = std::fs::metadata(path).at("look at", path)?;
    if meta.is_dir() {
        return refuse(typed.target, "it is a directory");
    }
    if !meta.is_file() {
        return refuse(typed.target, "it is no regular file");
    }
    let words = |before: &[&str]| {
        let before = before.iter().map(OsStr::new);
        let after = typed.args.iter().map(OsString::as_os_str);
        before
            .chain([path.as_os_str()])
            .chain(after)
            .map(Text::from)
            .collect::<Vec<_>>()
    };
    let name = stem(path);
    let direct = |shell_fallback| Program {
        file: path.into(),
        words: words(&[]),
        shell_fallback,
    };
    let through = |interpreter: &str| {
        let parts: Vec<&str> = interpreter.split_ascii_whitespace().collect();
        Program {
            file: parts[0].into(),
            words: words(&parts),
            shell_fallback: false,
        }
    };

    if let Some(interpreter) = typed.interpreter {
        return match interpreter.split_ascii_whitespace().next() {
            None => Err(Error::bad_value(
                "--interpreter",
                "it is empty; name a program, or 'none'",
            )),
            Some("none") => Ok(Resolved {
                program: direct(false),
                name,
            }),
            Some(program) if program.contains('/') || on_path(OsStr::new(program), typed.path) => {
                Ok(Resolved {
                    program: through(interpreter),
                    name,
                })
            }
            Some(program) => refuse(
                typed.target,
                format!("--interpreter: no program '{program}' on PATH"),
            ),
        };
    }
    let is_pm2s = |file: &OsStr| file.as_bytes().starts_with(b"ecosystem.config.");
    if path.file_name().is_some_and(is_pm2s) {
        let reason = "it is a config file of PM2, and says nothing when it runs; 'tsm config import FILE -o tspm.yaml' makes one of tsm, for 'tsm start -c tspm.yaml'";
        return refuse(typed.target, reason);
    }
    let executable = meta.permissions().mode() & 0o111 != 0;
    // An extension says less than what the kernel itself goes by.
    if executable && begins_with_known_format(path)? {
        return Ok(Resolved {
            program: direct(false),
            name,
        });
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let Some((_, interpreters)) = INTERPRETERS.iter().find(|(known, _)| *known == extension) else {
        if executable {
            // With neither a shebang nor an extension, it is run as a shell script, as a shell
            // would do.
            return Ok(Resolved {
                program: direct(true),
                name,
            });
        }
        let reason = match &*extension {
            "yaml" | "yml" | "toml" | "json" | "jsonc" => {
                "it is no program; a config file is started by 'tsm start -c FILE'"
            }
            _ => {
                "it is not executable, and its extension names no known interpreter; chmod +x it, or use --interpreter PROGRAM"
            }
        };
        return refuse(typed.target, reason);
    };
    let found = interpreters.iter().find(|interpreter| {
        interpreter
            .split(' ')
            .next()
            .is_some_and(|program| on_path(OsStr::new(program), typed.path))
    });
    if let Some(interpreter) = found {
        Ok(Resolved {
            program: through(interpreter),
            name,
        })
    } else {
        let wanted = interpreters.join(", ");
        refuse(
            typed.target,
            format!(
                "none of its interpreters is on PATH ({wanted}); install one, or use --interpreter PROGRAM"
            ),
        )
    }
}

/// Whether the kernel itself knows what to do with the file: a `#!` line or an ELF header.
fn begins_with_known_format(path: &Path) -> Result<bool> {
    let mut head = [0; 4];
    let mut file = match File::open(path) {
        Ok(file) => file,
        // A file that may be executed but not read is no script.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(true),
        Err(error) => return Err(error).at("open", path),
    };
    let length = file.read(&mut head).at("read", path)?;
    Ok(head[..length].starts_with(b"#!") || head[..length] == *b"\x7fELF")
}

fn command_line(typed: Typed<'_>) -> Result<Resolved> {
    let Some(line) = typed.target.to_str() else {
        return refuse(typed.target, "a command line has to be UTF-8");
    };
    if let Some(word) = typed.args.first() {
        return refuse(
            typed.target,
            format!(
                "'{}' stands behind a quoted command line, which takes no further words; put it inside the quotes, or an \
                 option of tsm with one dash before them",
                word.to_string_lossy()
            ),
        );
    }
    if typed.interpreter.is_some() {
        return refuse(
            typed.target,
            "--interpreter is for files, and this is a command line",
        );
    }
    let words = shlex::split(line).filter(|words| !words.is_empty());
    // Only what means the same without a shell is executed without one.
    if let Some(words) = &words
        && !has_shell_syntax(line)
        && !is_builtin(&words[0])
    {
        let args: Vec<OsString> = words[1..].iter().map(OsString::from).collect();
        let target = OsString::from(&words[0]);
        // A quoted path with blanks in it, which `resolve` would take for another command line.
        if words[0].contains(char::is_whitespace) {
            return script(
                &plain(&typed.cwd.join(&target)),
                Typed {
                    target: &target,
                    args: &args,
                    ..typed
                },
            );
        }
        return resolve(Typed {
            target: &target,
            args: &args,
            ..typed
        });
    }
    let first = words.as_ref().map_or("sh", |words| words[0].as_str());
    if let Some(state) = typed.shell {
        return Ok(in_shell(
            state.shell(),
            &[OsStr::new(line)],
            Path::new(first),
        ));
    }
    let words = ["/bin/sh", "-c", line].map(Text::from);
    Ok(Resolved {
        program: Program {
            file: "/bin/sh".into(),
            words: words.into(),
            shell_fallback: false,
        },
        name: stem(Path::new(first)),
    })
}

/// `bash -c WORDS`, in the shell whose state is there.
fn in_shell(shell: Shell, words: &[&OsStr], name: &Path) -> Resolved {
    let shell = shell.to_string();
    let before = [OsStr::new(&shell), OsStr::new("-c")].into_iter();
    Resolved {
        program: Program {
            file: shell.as_str().into(),
            words: before
                .chain(words.iter().copied())
                .map(Text::from)
                .collect(),
            shell_fallback: false,
        },
        name: stem(name),
    }
}

/// Whether a command line means something to a shell beyond words and quotes.
fn has_shell_syntax(line: &str) -> bool {
    let (mut single, mut double) = (false, false);
    let mut previous = ' ';
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            _ if single => {}
            // What is escaped means nothing to the shell.
            '\\' => {
                chars.next();
            }
            '$' | '`' => return true,
            _ if double => {}
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '*' | '?' | '[' | '\n' | '{' | '}' => {
                return true;
            }
            '#' | '~' | '!' if previous.is_whitespace() => return true,
            _ => {}
        }
        previous = c;
    }
    // `NAME=value command` sets a variable; an `=` in a later word is plain text.
    line.split_whitespace().next().is_some_and(|word| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    })
}

fn is_builtin(word: &str) -> bool {
    const WORDS: &[&str] = &[
        ".", ":", "cd", "eval", "exec", "exit", "export", "for", "if", "set", "source", "trap",
        "ulimit", "umask", "until", "while",
    ];
    WORDS.contains(&word)
}

#[cfg(test)]
mod tests;
