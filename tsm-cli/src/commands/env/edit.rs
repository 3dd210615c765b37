//! `tsm env edit`.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use tsm_core::control::{ActOptions, Verb};
use tsm_core::env::{EnvUpdate, Environment, Origin, file, is_tsms_own};
use tsm_core::error::{Error, IoContext as _};
use tsm_core::name::ProcessName;
use tsm_core::sys::signal::leave_to_child;

use crate::app::{Context, Outcome};
use crate::commands::act;
use crate::output::complain;

/// Lets a person edit a copy that nobody else reads, checks it when the editor returns, and hands on what changed.
pub(super) fn run(context: &Context, name: &ProcessName) -> Outcome {
    let path = context.home.env(name);
    // A missing file is written anew.
    let before = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        read => Some(read.at("read", &path)?),
    };
    // The copy holds secrets, and the directory of temporary files is everybody's.
    let directory = tempfile::Builder::new()
        .prefix("tsm-env-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir()
        .at("make a directory in", std::env::temp_dir())?;
    let copy = directory.path().join(format!("{name}.env"));
    let write = || -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        let mut opened = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&copy)?;
        match &before {
            Some(before) => opened.write_all(before),
            None => opened.write_all(&file::format(&Environment::new())),
        }
    };
    write().at("write", &copy)?;
    let edited = loop {
        edit(&copy)?;
        let bytes = fs::read(&copy).at("read", &copy)?;
        let read = file::parse(&bytes).map_err(|error| error.to_string());
        let read = read.and_then(|edited| match mistake(before.as_deref(), &edited, &bytes) {
            Some(mistake) => Err(mistake),
            None => Ok(edited),
        });
        match read {
            Ok(environment) => break environment,
            Err(error) => {
                complain(format_args!("{name}.env: {error}"));
                if !ask_again()? {
                    // Nobody should have to type it again.
                    let kept = directory.keep();
                    return Err(Error::Damaged {
                        path: kept.join(format!("{name}.env")),
                        reason: "what you wrote is kept here; the environment is as it was".into(),
                    }
                    .into());
                }
            }
        }
    };
    let (update, whole) = change(before.as_deref(), edited);
    if update.is_empty() {
        context.output.remark("nothing changed");
        return Ok(());
    }
    act::act_with(
        context,
        Verb::Update,
        &[name.to_string()],
        ActOptions::default(),
        Some((update, whole.map(Into::into))),
        false,
    )
}

/// What would have no effect: a variable that stands there twice now, or that TSM itself sets.
fn mistake(before: Option<&[u8]>, edited: &Environment, text: &[u8]) -> Option<String> {
    let before = before.and_then(|before| file::parse(before).ok());
    let before = before.unwrap_or_default();
    let count = |environment: &Environment, wanted: &[u8]| {
        environment
            .iter()
            .filter(|(name, _)| *name == wanted)
            .count()
    };
    let changed = edited.iter().find_map(|(name, value)| {
        // Duplicates that were there before stay allowed, so that an old file can be edited at all.
        if count(edited, name) > count(&before, name).max(1) {
            return Some((name, "stands there twice, and only one of them can count"));
        }
        let own = is_tsms_own(name) && before.get(name) != Some(value);
        own.then_some((name, "is set by TSM itself in every run; leave it as it is"))
    });
    let (name, what) = changed?;
    let begin = [b"export ", name, b"="].concat();
    let line = text.split(|&byte| byte == b'\n').collect::<Vec<_>>();
    let line = line.iter().rposition(|line| line.starts_with(&begin));
    let line = line.map_or_else(String::new, |at| format!("line {}: ", at + 1));
    Some(format!("{line}{} {what}", String::from_utf8_lossy(name)))
}

/// What changed; and the whole of it, where what was there before could not be read.
fn change(before: Option<&[u8]>, edited: Environment) -> (EnvUpdate, Option<Environment>) {
    match before.map(file::parse) {
        Some(Ok(before)) => (EnvUpdate::between(&before, &edited, Origin::Option), None),
        _ => (
            EnvUpdate {
                exact: true,
                ..EnvUpdate::default()
            },
            Some(edited),
        ),
    }
}

fn edit(copy: &Path) -> Result<(), Error> {
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|editor| !editor.is_empty()))
        .unwrap_or_else(|| "vi".to_owned());
    // Ctrl-C belongs to the editor; here it would leave the copy behind. Set before the editor
    // runs, since it may come from then on.
    let left = leave_to_child();
    // The editor's setting may hold arguments, which the shell splits; the path is passed apart, so
    // that it is never split.
    let mut child = Command::new("/bin/sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(copy)
        .spawn()
        .doing("run the editor")?;
    let status = child.wait().doing("wait for the editor")?;
    drop(left);
    if status.success() {
        return Ok(());
    }
    Err(Error::bad_value(
        "env edit",
        format!(
            "'{editor}' ended with {status}; the environment is as it was. $VISUAL or $EDITOR names another one"
        ),
    ))
}

fn ask_again() -> Result<bool, Error> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let mut answer = String::new();
    let mut stderr = io::stderr();
    write!(stderr, "Edit again? [Y/n] ")
        .and_then(|()| stderr.flush())
        .and_then(|()| io::stdin().lock().read_line(&mut answer))
        .doing("ask")?;
    Ok(!answer.is_empty() && !matches!(answer.trim(), "n" | "N" | "no"))
}
