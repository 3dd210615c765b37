//! `tsm config`.

use std::path::{Path, PathBuf};

use tsm_core::config::{Config, DEFAULT_FILES, schema};
use tsm_core::error::Error;

use crate::app::{Context, Outcome};
use crate::args::ConfigFileArgs;
use crate::output;

/// `config check`: looks at a file and starts nothing.
pub(crate) fn check(context: &Context, args: &ConfigFileArgs) -> Outcome {
    let config = load(args.file.as_deref(), args.profile.as_deref())?;
    let shell = super::variables::this_shell(context);
    for process in &config.processes {
        process.check_environment(&shell)?;
    }
    let names: Vec<&str> = config
        .processes
        .iter()
        .map(|process| process.name.as_str())
        .collect();
    if args.json {
        output::json(&names)?;
        return Ok(());
    }
    context.output.fact(format_args!(
        "{}: good; it declares {}",
        config.path.display(),
        if names.is_empty() {
            "nothing".to_owned()
        } else {
            names.join(", ")
        }
    ))?;
    Ok(())
}

/// `config schema`.
pub(crate) fn print_schema() -> Outcome {
    output::json(&schema())?;
    Ok(())
}

/// Reads the file that is named, or the one that is usual in this directory.
pub(crate) fn load(file: Option<&Path>, profile: Option<&str>) -> Result<Config, Error> {
    let path = match file {
        Some(path) => path.to_owned(),
        None => usual_file().ok_or_else(|| {
            let reason = format!(
                "none of {} is in this directory; name one",
                DEFAULT_FILES.join(", ")
            );
            Error::bad_value("config file", reason)
        })?,
    };
    let variable = |name: &str| std::env::var(name).ok();
    Config::load(&path, &variable, profile)
}

/// The file that is usual in this directory, where there is one.
pub(crate) fn usual_file() -> Option<PathBuf> {
    DEFAULT_FILES
        .iter()
        .find(|name| Path::new(name).exists())
        .map(PathBuf::from)
}
