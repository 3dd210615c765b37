//! `tsm config import`.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tsm_core::config::import::{Imported, from_pm2, from_procfile};
use tsm_core::error::{Error, IoContext as _};

use crate::app::{Context, Outcome};
use crate::args::ConfigImportArgs;
use crate::output::Output;

/// The files that are looked for where none is named, in this order.
const USUAL: [&str; 6] = [
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.mjs",
    "ecosystem.config.json",
    "ecosystem.json",
    "Procfile",
];

/// What node executes: the module is read as node reads it, and printed behind a line of our own.
const EVALUATE: &str = "import(require('url').pathToFileURL(process.argv[1])).then(m => {
  const value = m.default ?? m;
  process.stdout.write('\\n' + process.argv[2] + '\\n' + JSON.stringify(value));
}, error => { console.error(String(error && error.stack || error)); process.exit(1); });";
/// What stands before what we want to know: the module may print, too.
const MARK: &str = "--- tsm config import ---";

pub(crate) fn run(context: &Context, args: &ConfigImportArgs) -> Outcome {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => USUAL
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .ok_or_else(|| {
                let reason = format!("none of {} is in this directory", USUAL.join(", "));
                Error::bad_value("import", reason)
            })?,
    };
    let imported = import(&path)?;
    match &args.output {
        None => Output::raw(imported.yaml.as_bytes())?,
        Some(output) => {
            // An existing file may have been edited by hand: it is not overwritten.
            let mut file = File::create_new(output).at("create", output)?;
            file.write_all(imported.yaml.as_bytes())
                .at("write", output)?;
            context.output.fact(format_args!(
                "{}: written; 'tsm start -c {} --dry-run' shows what it would start",
                output.display(),
                output.display()
            ))?;
        }
    }
    for remark in imported.remarks {
        context.output.remark(remark);
    }
    Ok(())
}

fn import(path: &Path) -> Result<Imported, Error> {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    match extension.as_ref() {
        "json" => {
            let text = std::fs::read_to_string(path).at("read", path)?;
            let value =
                serde_json::from_slice(text.as_bytes()).map_err(|error| Error::Damaged {
                    path: path.to_owned(),
                    reason: error.into(),
                })?;
            from_pm2(&value, path)
        }
        "js" | "cjs" | "mjs" => from_pm2(&evaluated(path)?, path),
        _ => {
            let text = std::fs::read_to_string(path).at("read", path)?;
            let has_env = path.with_file_name(".env").exists();
            from_procfile(&text, path, has_env)
        }
    }
}

/// What a module of JavaScript exports.
fn evaluated(path: &Path) -> Result<Value, Error> {
    let whole = std::path::absolute(path).at("find", path)?;
    // node would report a missing file in many lines.
    std::fs::metadata(&whole).at("read", path)?;
    let damaged = |reason: String| Error::Damaged {
        path: path.to_owned(),
        reason: reason.into(),
    };
    let told = Command::new("node")
        .args(["-e", EVALUATE, "--"])
        .arg(&whole)
        .arg(MARK)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            damaged(format!(
                "it is JavaScript, and node cannot be executed ({error}); install node, or write the file as .json"
            ))
        })?;
    if !told.status.success() {
        let words = String::from_utf8_lossy(&told.stderr);
        // node prints the place and a stack as well; the line with the error's name says what is
        // wrong.
        let lines: Vec<&str> = words.lines().map(str::trim).collect();
        let first = lines.iter().find(|line| line.contains("Error"));
        let reason = first.or(lines.first()).copied().unwrap_or("node failed");
        return Err(damaged(format!("node cannot read it: {reason}")));
    }
    let text = String::from_utf8_lossy(&told.stdout);
    // From the right: the module itself may print the mark.
    let json = text.rsplit_once(MARK).map_or("", |(_, json)| json.trim());
    serde_json::from_slice(json.as_bytes())
        .map_err(|_nothing| damaged("it exports nothing that could be an ecosystem".to_owned()))
}
