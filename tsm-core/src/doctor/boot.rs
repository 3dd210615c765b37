//! Start at boot: whether what was installed is there and leads somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Finding, Kind};
use crate::home::Home;
use crate::startup::StartupRecord;

const REMEDY: &str = "'tsm startup' writes it anew, 'tsm unstartup' removes it";

pub(super) fn look(home: &Home, findings: &mut Vec<Finding>) {
    let Some(record) = StartupRecord::read(home) else {
        return;
    };
    if record.platform == "cron" {
        // A crontab is no file of its own that could be looked at.
        return;
    }
    let problem = match fs::read_to_string(&record.path) {
        Err(error) => Some(format!(
            "TSM is to start at boot by {}, which cannot be read: {error}",
            record.path.display()
        )),
        Ok(text) => points_nowhere(&text).map(|program| {
            format!(
                "{} starts {}, which is not there",
                record.path.display(),
                program.display()
            )
        }),
    };
    if let Some(problem) = problem {
        findings.push(Finding::new(Kind::BootUnit, problem, REMEDY));
    }
}

/// The program that a unit starts, where there is none.
fn points_nowhere(text: &str) -> Option<PathBuf> {
    let programs = text.lines().filter_map(|line| {
        let line = line.trim();
        let command = line
            .strip_prefix("ExecStart=")
            .or_else(|| line.strip_prefix("command="))?;
        first_word(command)
    });
    programs
        .filter(|program| program.starts_with('/'))
        .map(PathBuf::from)
        .find(|program| !is_program(program))
}

fn first_word(command: &str) -> Option<String> {
    // systemd's own prefixes of a command.
    let command = command.trim_start_matches(['@', '-', ':', '+', '!']);
    let words = shlex::split(command)?;
    // systemd writes a percent sign twice.
    words.into_iter().next().map(|word| word.replace("%%", "%"))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_whose_program_is_gone_is_found() {
        let nowhere = |text| points_nowhere(text).map(|path| path.display().to_string());
        assert_eq!(nowhere("[Service]\nExecStart=/bin/sh -c x\n"), None);
        assert_eq!(
            nowhere("ExecStart=\"/no such/tsm\" --home /x resurrect\n").as_deref(),
            Some("/no such/tsm")
        );
        assert_eq!(
            nowhere("command=\"/nowhere/tsm\"\n").as_deref(),
            Some("/nowhere/tsm")
        );
        assert_eq!(
            nowhere("ExecStart=-/etc/passwd\n").as_deref(),
            Some("/etc/passwd")
        );
    }
}
