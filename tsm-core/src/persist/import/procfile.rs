//! A Procfile: `NAME: COMMAND` on each line, with `.env` beside it.

use std::path::Path;

use super::Foreign;

/// The port that the first one is told, where its command asks for one; each further one gets one a hundred higher.
const FIRST_PORT: u16 = 5000;
const STEP: u16 = 100;

/// Reads it. A command that uses `$PORT` is told one, as other readers of such files do.
pub(super) fn read(text: &str, directory: &Path) -> Result<Vec<Foreign>, String> {
    let dotenv = directory.join(".env");
    let env_files: Vec<_> = Some(dotenv)
        .filter(|file| file.is_file())
        .into_iter()
        .collect();
    let mut processes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = line
            .split_once(':')
            .map(|(name, command)| (name.trim(), command.trim()));
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        let Some((name, command)) =
            entry.filter(|(name, command)| is_name(name) && !command.is_empty())
        else {
            return Err(format!(
                "line {} is none of a Procfile (NAME: COMMAND), and the file is no list of processes that TSM knows",
                number + 1
            ));
        };
        let offset = STEP.checked_mul(processes.len() as u16).unwrap_or(0);
        let asks = command.contains("$PORT") || command.contains("${PORT");
        processes.push(Foreign {
            name: name.to_owned(),
            script: command.to_owned(),
            cwd: directory.to_owned(),
            env_files: env_files.clone(),
            port: asks.then(|| FIRST_PORT.saturating_add(offset)),
            up: true,
            ..Foreign::default()
        });
    }
    Ok(processes)
}
