//! Records that the original TSM wrote, which have `.meta` and `.env` alone.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use super::{Typed, resolve};
use crate::env::{Environment, quote};
use crate::error::{Error, Result};
use crate::meta::Meta;
use crate::spec::ProcessSpec;
use crate::text::Text;

/// The spec of a record that the original TSM wrote, which has `.meta` and `.env` alone.
pub(crate) fn spec_of_original(meta: &Meta, environment: &Environment) -> Result<ProcessSpec> {
    let typed_args = meta.args.as_deref().unwrap_or_default();
    let args = quote::split_words(typed_args)
        .map_err(|error| Error::bad_value("args of the record", error))?
        .into_iter()
        .map(OsString::from_vec)
        .collect::<Vec<_>>();
    let script = OsStr::from_bytes(&meta.script);
    let cwd = Path::new(OsStr::from_bytes(&meta.cwd));
    let path = environment.get(b"PATH").map(OsStr::from_bytes);
    let resolved = resolve(Typed {
        target: script,
        args: &args,
        cwd,
        path,
        shell: None,
        interpreter: None,
    })?;
    let mut spec = ProcessSpec::new(script, resolved.program, cwd);
    spec.args = args.iter().map(Text::from).collect();
    spec.port = meta.port;
    Ok(spec)
}
