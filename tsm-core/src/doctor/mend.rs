//! Mending what is safe: nothing is lost by it, and nothing is signalled but a supervisor or guardian that is stopped.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::cookie::Cookies;
use crate::env::{Environment, Snapshot, file};
use crate::error::{Error, IoContext as _, NewerVersion, Result};
use crate::home::Home;
use crate::keepers::Keeper;
use crate::meta::{Meta, State};
use crate::name::ProcessName;
use crate::persist::Dump;
use crate::spec::{ProcessSpec, SavedSpec};
use crate::store::{ProcessStore, Writer, replace_file};
use crate::sys::{self, Identity, procfs};

/// Continues a supervisor and a guardian that are stopped.
pub(super) fn stopped(home: &Home, done: &mut Vec<String>) -> Result<()> {
    for keeper in Keeper::find(home).doing("read /proc")? {
        if keeper.is_stopped() && keeper.go_on().doing("continue a process")? {
            done.push(format!("the {keeper} was stopped and goes on"));
        }
    }
    Ok(())
}

/// Whether the root of a home is ours and only its mode is wrong.
pub(super) fn may_close(home: &Home) -> bool {
    let meta = fs::symlink_metadata(home.root());
    meta.is_ok_and(|meta| {
        meta.is_dir() && meta.uid() == sys::account::effective_uid() && meta.mode() & 0o022 != 0
    })
}

/// Closes the root of a home to others.
pub(super) fn close_root(home: &Home, done: &mut Vec<String>) -> Result<()> {
    close(home.root(), 0o700).at("set the mode of", home.root())?;
    done.push(format!("{} is closed to others", home.root().display()));
    Ok(())
}

/// Sets the mode of a file or directory; a link in its place is not followed.
fn close(path: &Path, mode: u32) -> io::Result<()> {
    match sys::open_as_it_is(path) {
        Ok(file) => file.set_permissions(fs::Permissions::from_mode(mode)),
        // A socket cannot be opened; its directory is closed to others by now.
        Err(error) if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file()) => Err(error),
        Err(_) => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
    }
}

/// Closes all files and directories of a home to others.
pub(super) fn modes(home: &Home, done: &mut Vec<String>) -> Result<()> {
    let own = fs::metadata(home.root()).at("look at", home.root())?.uid();
    let mut closed = 0;
    for (path, meta) in super::files::everything(home)? {
        if super::files::is_open(&meta) && meta.uid() == own {
            let mode = if meta.is_dir() { 0o700 } else { 0o600 };
            match close(&path, mode) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => {
                    done.at("set the mode of", &path)?;
                    closed += 1;
                }
            }
        }
    }
    match closed {
        0 => {}
        1 => done.push("1 file is closed to others".to_owned()),
        number => done.push(format!("{number} files are closed to others")),
    }
    Ok(())
}

/// The pid of the main process on record, if exactly that one is there.
pub(super) fn live_pid(meta: &Meta) -> Option<u32> {
    let (pid, start) = meta.pid.zip(meta.ticks)?;
    let process = procfs::process(pid)?;
    (process.identity == Identity { pid, start } && !process.ended).then_some(pid)
}

/// The record of a process whose `.meta` is lost, as far as its spec, its history and its pid file tell it.
///
/// # Errors
/// Where it cannot be told whether it runs.
pub(crate) fn meta_from_spec(store: &ProcessStore, saved: &SavedSpec) -> Result<Meta> {
    let mut meta = Meta {
        id: saved.id,
        ..Meta::default()
    };
    crate::supervise::describe(&mut meta, &saved.spec);
    let wanted = store.last_wanted(&saved.name);
    meta.desired = Some(if wanted { "up" } else { "down" }.to_owned());
    if let Some((run, identity)) = find_run(store, &saved.name, saved.id)? {
        meta.run = Some(run);
        meta.pid = Some(identity.pid);
        meta.ticks = Some(identity.start);
        meta.boot = procfs::boot_id().ok();
        meta.state = Some(State::Running);
    }
    Ok(meta)
}

/// The run of a process whose record is lost: its pid file names a process that bears its cookie.
fn find_run(store: &ProcessStore, name: &ProcessName, id: u32) -> Result<Option<(u64, Identity)>> {
    let text = fs::read_to_string(store.home().pid(name)).unwrap_or_default();
    let Ok(pid) = text.trim().parse() else {
        return Ok(None);
    };
    let process = procfs::look(pid).doing("look at a process")?;
    let cookie = Cookies::of(store.home()).of_process(pid);
    Ok(match (process, cookie.doing("look at a process")?) {
        (Some(process), Some((of, run))) if of == id => Some((run, process.identity)),
        _ => None,
    })
}

/// Mends all files that can be mended from what `known` (the supervisor, or the records) and the other files know. Says
/// what was done.
pub(crate) fn all(
    writer: &Writer,
    known: &dyn Fn(&ProcessName) -> Option<Meta>,
) -> Result<Vec<String>> {
    let mut done = Vec::new();
    let store = writer.store();
    let dump = Dump::read(&store.home().dump()).ok().flatten();
    records(writer, known, &mut done)?;
    let mut highest = 0;
    for name in store.names()? {
        let Ok(meta) = store.meta(&name) else {
            continue;
        };
        highest = highest.max(meta.id);
        let saved = dump.as_ref().and_then(|dump| {
            let found = dump.processes.iter();
            found
                .clone()
                .find(|saved| saved.name == name && saved.id == meta.id)
        });
        let snapshot = saved.and_then(|saved| saved.snapshot().ok());
        environment(store, &name, &meta, snapshot.as_ref(), &mut done)?;
        spec(
            writer,
            &name,
            &meta,
            saved.map(|saved| &saved.spec),
            &mut done,
        )?;
    }
    pids(writer, known, &mut done)?;
    next_id(store.home(), highest, &mut done)?;
    Ok(done)
}

fn records(
    writer: &Writer,
    known: &dyn Fn(&ProcessName) -> Option<Meta>,
    done: &mut Vec<String>,
) -> Result<()> {
    let store = writer.store();
    let mut names = store.names()?;
    for (path, _) in super::files::everything(store.home())? {
        let file = path.file_name().and_then(|file| file.to_str());
        let stem = file.and_then(|file| file.strip_suffix(".spec.json"));
        if let Some(name) = stem.and_then(|stem| stem.parse::<ProcessName>().ok())
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    for name in names {
        if store.meta(&name).is_ok() {
            continue;
        }
        let (meta, from) = match (known(&name), store.spec(&name)) {
            (Some(meta), _) => (meta, "what the supervisor knows"),
            (None, Ok(Some(saved))) if saved.name == name => {
                (meta_from_spec(store, &saved)?, "its spec and its history")
            }
            _ => continue,
        };
        writer.write_meta(&name, &meta)?;
        done.push(format!("the record of '{name}' is made anew from {from}"));
    }
    Ok(())
}

fn environment(
    store: &ProcessStore,
    name: &ProcessName,
    meta: &Meta,
    saved: Option<&Snapshot>,
    done: &mut Vec<String>,
) -> Result<()> {
    let path = store.home().env(name);
    if let Ok(environment) = store.environment(name) {
        let bytes = fs::read(&path).at("read", &path)?;
        if !bytes.is_empty() && !file::is_shell_form(&bytes) {
            replace_file(&path, &file::format(&environment))?;
            done.push(format!(
                "{} is written so that bash sources it",
                path.display()
            ));
        }
        return Ok(());
    }
    let (environment, from) = match (live_pid(meta).and_then(environment_of), saved) {
        (Some(environment), _) => (environment, "its running process"),
        (None, Some(saved)) => (saved.environment.clone(), "dump.json"),
        (None, None) => return Ok(()),
    };
    // Renamed first: the old file is never overwritten before its copy is safe.
    keep_aside(&path)?;
    replace_file(&path, &file::format(&environment))?;
    done.push(format!("{} is made anew from {from}", path.display()));
    Ok(())
}

/// The environment that a process was executed with, less what TSM gave it; `None` where it overwrote it.
fn environment_of(pid: u32) -> Option<Environment> {
    let block = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut environment = Environment::from_block(&block).ok()?;
    // Each process of ours has a cookie: without one, the process has overwritten its environment
    // (`setproctitle`).
    environment.get(b"TSM_COOKIE")?;
    environment.strip_captured();
    Some(environment)
}

fn spec(
    writer: &Writer,
    name: &ProcessName,
    meta: &Meta,
    saved: Option<&ProcessSpec>,
    done: &mut Vec<String>,
) -> Result<()> {
    let store = writer.store();
    let is_missing = match store.spec(name) {
        Ok(Some(_)) => return Ok(()),
        // The original TSM wrote none.
        Ok(None) if meta.run.is_none() && meta.desired.is_none() => return Ok(()),
        Ok(None) => true,
        // What a newer TSM wrote must not be overwritten.
        Err(Error::Damaged { reason, .. }) if reason.is::<NewerVersion>() => return Ok(()),
        Err(_) => false,
    };
    let (spec, from) = if let Some(spec) = saved {
        (spec.clone(), "dump.json")
    } else {
        let rebuilt = store
            .environment(name)
            .and_then(|environment| crate::launch::spec_of_original(meta, &environment));
        // The next look reports what cannot be rebuilt.
        let Ok(mut spec) = rebuilt else {
            return Ok(());
        };
        if let Some(namespace) = &meta.namespace {
            spec.namespace.clone_from(namespace);
        }
        let from = "its record; its restart policy and other options are the usual ones again";
        (spec, from)
    };
    let path = store.home().spec(name);
    if !is_missing {
        keep_aside(&path)?;
    }
    let mut saved = SavedSpec::new(meta.id, name.clone(), spec);
    saved.shell_state = store.home().shell(name).exists();
    // Numbers and strings: serializing them does not fail.
    let mut json = crate::json::document(&saved).unwrap_or_default();
    json.push(b'\n');
    replace_file(&path, &json)?;
    done.push(format!("{} is made anew from {from}", path.display()));
    Ok(())
}

/// What cannot be read may still tell a person something.
fn keep_aside(path: &Path) -> Result<()> {
    let mut torn = path.as_os_str().to_owned();
    torn.push(".torn");
    match fs::symlink_metadata(path) {
        // An empty file, as a power cut leaves them, has nothing to tell.
        Ok(meta) if meta.is_file() && meta.len() == 0 => Ok(()),
        Ok(_) => fs::rename(path, &torn).at("move aside", path),
        Err(_) => Ok(()),
    }
}

fn pids(
    writer: &Writer,
    known: &dyn Fn(&ProcessName) -> Option<Meta>,
    done: &mut Vec<String>,
) -> Result<()> {
    let directory = writer.home().pids();
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).at("read", &directory),
    };
    for entry in entries {
        let path = entry.at("read", &directory)?.path();
        let file = path.file_name().and_then(|file| file.to_str());
        let Some(name) = file.and_then(|file| file.strip_suffix(".pid")) else {
            continue;
        };
        let Ok(name) = name.parse::<ProcessName>() else {
            continue;
        };
        let live = known(&name).as_ref().and_then(live_pid);
        let text = fs::read_to_string(&path).unwrap_or_default();
        if live.is_some() && text.trim().parse().ok() == live {
            continue;
        }
        writer.write_pid(&name, live)?;
        done.push(match live {
            Some(pid) => format!("{} names {pid} again", path.display()),
            None => format!("{} is removed", path.display()),
        });
    }
    Ok(())
}

fn next_id(home: &Home, highest: u32, done: &mut Vec<String>) -> Result<()> {
    let path = home.next_id();
    let text = fs::read_to_string(&path).unwrap_or_default();
    if highest > 0 && text.trim().parse::<u32>().is_err() {
        replace_file(&path, format!("{}\n", highest + 1).as_bytes())?;
        done.push(format!("{} says {} again", path.display(), highest + 1));
    }
    Ok(())
}
