//! Whether the program and the directory of a process that runs are there still: one that could not start again is not
//! stopped for a restart. They may lie on any file system, so the command looks, and not the supervisor.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::control::protocol::CannotStart;
use crate::error::Error;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::spec::ProcessSpec;
use crate::store::ProcessStore;
use crate::sys;

/// The selected processes that run and could not be started again.
pub(super) fn found(store: &ProcessStore, selected: &[(ProcessName, Meta)]) -> Vec<CannotStart> {
    let mut found = Vec::new();
    for (name, meta) in selected.iter().filter(|(_, meta)| meta.pid.is_some()) {
        // A damaged spec is for the supervisor to refuse, and so is what another user runs.
        let Ok(Some(saved)) = store.spec(name) else {
            continue;
        };
        if saved.spec.user.is_none()
            && let Some(what) = missing(&saved.spec)
        {
            let reason = format!("{what}; it runs on as it was");
            let error = Error::LaunchFailed {
                name: name.to_string(),
                reason: reason.into(),
            };
            found.push(CannotStart {
                id: meta.id,
                error: (&error).into(),
            });
        }
    }
    found
}

fn missing(spec: &ProcessSpec) -> Option<String> {
    let bytes = |text: &crate::text::Text| text.as_bytes().to_vec();
    let cwd = bytes(&spec.cwd);
    let cwd = Path::new(std::ffi::OsStr::from_bytes(&cwd));
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if let Err(error) = std::fs::metadata(cwd) {
        return Some(told(cwd, &error));
    }
    let file = bytes(&spec.program.file);
    // A bare name is left to the launch, which goes along the PATH of the snapshot.
    if file.contains(&b'/') {
        let path = cwd.join(std::ffi::OsStr::from_bytes(&file));
        if let Err(error) = sys::may_execute(&path) {
            return Some(told(&path, &error));
        }
    }
    // The script that an interpreter is given, where that is the target itself.
    let script = spec
        .program
        .words
        .get(1)
        .filter(|word| **word == spec.script)?;
    let path = cwd.join(std::ffi::OsStr::from_bytes(script.as_bytes()));
    let error = std::fs::metadata(&path).err()?;
    Some(told(&path, &error))
}
