//! Who reads `NAME.shell`: only a program that is really bash (or zsh) and will read its start-up file.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::env::{Environment, Shell};
use crate::spec::ProcessSpec;
use crate::text::Text;

/// How many `#!` lines and `env`s may stand before a program: the kernel itself gives up after four.
const MOST_STEPS: usize = 6;
/// How much of a file the kernel looks at for a `#!` line.
const HEAD: usize = 256;

/// Whether a program gets the state of the shell that it was started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShellUse {
    /// At its first line.
    Used,
    /// Only the variables; why, in words.
    NotUsed(&'static str),
}

/// Finds out whether what `spec` executes, behind `#!` lines and `env`, reads the state of `shell`. Looks at files.
pub fn shell_use(spec: &ProcessSpec, environment: &Environment, shell: Shell) -> ShellUse {
    // The file has mode 0600, and belongs to the supervisor's user.
    if spec.user.is_some() {
        return ShellUse::NotUsed("another user may not read it");
    }
    if shell == Shell::Bash && starts_in_posix_mode(environment) {
        return ShellUse::NotUsed("bash runs in POSIX mode");
    }
    let mut words: Vec<Vec<u8>> = spec.program.words.iter().map(bytes).collect();
    let mut file = bytes(&spec.program.file);
    for _ in 0..MOST_STEPS {
        let Some(path) = find(&file, spec.cwd.as_path(), environment) else {
            break;
        };
        if let Some(interpreter) = shebang(&path) {
            // The kernel puts the file itself behind the interpreter and its single argument.
            words.splice(..1, interpreter.into_iter().chain([file.clone()]));
        } else if base(&words[0]) == b"env" {
            match behind_env(&words[1..]) {
                Ok(rest) => words = rest,
                Err(reason) => return ShellUse::NotUsed(reason.unwrap_or(not_this(shell))),
            }
        } else {
            return judge(shell, &path, &words);
        }
        let Some(first) = words.first() else { break };
        file.clone_from(first);
    }
    ShellUse::NotUsed(not_this(shell))
}

/// Whether bash takes POSIX mode, or `-p`, from its environment; then it reads no `BASH_ENV`.
fn starts_in_posix_mode(environment: &Environment) -> bool {
    let options = environment.get(b"SHELLOPTS").unwrap_or_default();
    let mut options = options.split(|&b| b == b':');
    environment.get(b"POSIXLY_CORRECT").is_some()
        || options.any(|option| option == b"posix" || option == b"privileged")
}

fn bytes(text: &Text) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn not_this(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => "program is not bash",
        Shell::Zsh => "program is not zsh",
    }
}

fn base(word: &[u8]) -> &[u8] {
    word.rsplit(|&b| b == b'/').next().unwrap_or_default()
}

/// The file that a word means to `execvp`.
fn find(word: &[u8], cwd: &Path, environment: &Environment) -> Option<PathBuf> {
    let word_path = Path::new(OsStr::from_bytes(word));
    if word.contains(&b'/') {
        return Some(cwd.join(word_path));
    }
    super::search_path(environment)
        .map(|directory| cwd.join(directory).join(word_path))
        .find(|path| {
            std::fs::metadata(path)
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// The words of a `#!` line: the interpreter, and all else as one argument.
fn shebang(path: &Path) -> Option<Vec<Vec<u8>>> {
    let mut head = Vec::new();
    let file = crate::sys::open_without_waiting(path).ok()?;
    file.take(HEAD as u64).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?;
    let line = line.split(|&b| b == b'\n').next()?.trim_ascii();
    let end = line
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(line.len());
    let (interpreter, argument) = (&line[..end], line[end..].trim_ascii());
    let words = [interpreter, argument].into_iter();
    Some(
        words
            .filter(|w| !w.is_empty())
            .map(<[u8]>::to_vec)
            .collect(),
    )
}

/// The variables by which a shell finds its state.
const FINDS: [&[u8]; 5] = [
    b"BASH_ENV",
    b"TSM_BASH_ENV",
    b"ZDOTDIR",
    b"TSM_ZDOTDIR",
    b"TSM_ZSH_STATE",
];

/// What `env` executes.
///
/// # Errors
/// Why the state does not get through it; `None` where it executes nothing.
fn behind_env(words: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Option<&'static str>> {
    const TAKEN: Option<&str> = Some("env takes away what the state comes by");
    let unset = |name: &[u8]| {
        if FINDS.contains(&name) {
            Err(TAKEN)
        } else {
            Ok(())
        }
    };
    let mut words: Vec<Vec<u8>> = words.to_vec();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let split = word
            .strip_prefix(b"--split-string=")
            .or_else(|| word.strip_prefix(b"-S").filter(|rest| !rest.is_empty()));
        if let Some(line) = split {
            let parts: Vec<Vec<u8>> = line
                .split(u8::is_ascii_whitespace)
                .filter(|part| !part.is_empty())
                .map(<[u8]>::to_vec)
                .collect();
            words.splice(at..=at, parts);
            continue;
        }
        match word.as_slice() {
            b"--" => {
                at += 1;
                break;
            }
            b"-S" | b"--split-string" => {
                let line = words.get(at + 1).ok_or(None)?.clone();
                words.splice(at..=at + 1, [[b"-S", line.as_slice()].concat()]);
            }
            b"-C" | b"--chdir" => at += 2,
            b"-v" | b"--debug" => at += 1,
            b"-u" | b"--unset" => {
                unset(words.get(at + 1).ok_or(None)?)?;
                at += 2;
            }
            b"-" | b"-i" | b"--ignore-environment" => return Err(TAKEN),
            option if option.starts_with(b"-") => {
                let name = option
                    .strip_prefix(b"--unset=")
                    .or_else(|| option.strip_prefix(b"-u"));
                unset(name.ok_or(Some("it cannot be told what env does with this option"))?)?;
                at += 1;
            }
            word if word.contains(&b'=') => {
                unset(word.split(|&b| b == b'=').next().unwrap_or_default())?;
                at += 1;
            }
            _ => break,
        }
    }
    let rest = words.split_off(at.min(words.len()));
    if rest.is_empty() {
        return Err(None);
    }
    Ok(rest)
}

/// Whether an executable is the shell, and reads its start-up file with these words.
fn judge(shell: Shell, path: &Path, words: &[Vec<u8>]) -> ShellUse {
    let not_it = ShellUse::NotUsed(not_this(shell));
    let called = base(&words[0]);
    if called == b"sh" || called == b"-sh" {
        return not_it;
    }
    // `bash`, `bash-5.2`, and whatever links to them.
    let wanted = shell.to_string();
    let is_it = |name: &[u8]| {
        name.strip_prefix(wanted.as_bytes()).is_some_and(|rest| {
            let mut version = rest.iter();
            version.all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'))
        })
    };
    let real = std::fs::canonicalize(path).unwrap_or_default();
    if !is_it(base(path.as_os_str().as_bytes())) && !is_it(base(real.as_os_str().as_bytes())) {
        return not_it;
    }
    let options = match shell {
        Shell::Bash => bash_options(words),
        Shell::Zsh => zsh_options(words),
    };
    options.map_or(ShellUse::Used, ShellUse::NotUsed)
}

/// The option with which bash reads no `BASH_ENV`, if one is there.
fn bash_options(words: &[Vec<u8>]) -> Option<&'static str> {
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        match word.as_slice() {
            b"--posix" => return Some("bash runs with --posix"),
            b"--rcfile" | b"--init-file" => drop(rest.next()),
            b"-" | b"--" => return None,
            long if long.starts_with(b"--") => {}
            short if short.starts_with(b"-") || short.starts_with(b"+") => {
                let on = short[0] == b'-';
                for flag in &short[1..] {
                    match flag {
                        b'p' if on => return Some("bash runs with -p"),
                        b'i' if on => return Some("an interactive bash reads its own files"),
                        b'o' | b'O' => {
                            let name = rest.next()?;
                            if on && *flag == b'o' && name == b"posix" {
                                return Some("bash runs with -o posix");
                            }
                            if on && *flag == b'o' && name == b"privileged" {
                                return Some("bash runs with -o privileged");
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => return None,
        }
    }
    None
}

/// The option with which zsh reads no `.zshenv`, if one is there.
fn zsh_options(words: &[Vec<u8>]) -> Option<&'static str> {
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        match word.as_slice() {
            b"-" | b"--" => return None,
            b"--emulate" | b"--no-rcs" | b"--norcs" => {
                return Some("zsh runs with an option by which it reads no .zshenv");
            }
            long if long.starts_with(b"--") => {}
            short if short.starts_with(b"-") || short.starts_with(b"+") => {
                for flag in &short[1..] {
                    match flag {
                        b'f' if short[0] == b'-' => return Some("zsh runs with -f"),
                        b'p' if short[0] == b'-' => return Some("zsh runs with -p"),
                        b'o' => {
                            let name = rest.next()?.to_ascii_lowercase();
                            let name: Vec<u8> = name.into_iter().filter(|b| *b != b'_').collect();
                            if name == b"norcs" || name == b"privileged" {
                                return Some(
                                    "zsh runs with an option by which it reads no .zshenv",
                                );
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => return None,
        }
    }
    None
}

/// The variables by which a shell finds its state, and by which the state puts back what stood in their place.
pub fn shell_variables(
    shell: Shell,
    file: &Path,
    directory: &Path,
    environment: &Environment,
) -> Vec<(&'static str, Vec<u8>)> {
    let before = |name: &[u8]| match environment.get(name) {
        Some(value) => [b"=", value].concat(),
        None => b"-".to_vec(),
    };
    let path = file.as_os_str().as_bytes();
    match shell {
        Shell::Bash => vec![
            ("BASH_ENV", escaped(path)),
            ("TSM_BASH_ENV", before(b"BASH_ENV")),
        ],
        Shell::Zsh => vec![
            ("ZDOTDIR", directory.as_os_str().as_bytes().to_vec()),
            ("TSM_ZDOTDIR", before(b"ZDOTDIR")),
            ("TSM_ZSH_STATE", path.to_vec()),
        ],
    }
}

/// A path that bash reads as it stands: it expands the value of `BASH_ENV` as within double quotes.
fn escaped(path: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(path.len());
    for &byte in path {
        if matches!(byte, b'$' | b'`' | b'\\' | b'"') {
            value.push(b'\\');
        }
        value.push(byte);
    }
    value
}

#[cfg(test)]
mod tests;
