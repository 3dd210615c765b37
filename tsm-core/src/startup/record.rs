//! `startup/startup.json`: what `startup` installed.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Scope;
use crate::error::{BestEffort as _, IoContext as _, Result};
use crate::home::Home;
use crate::store::replace_file;

/// One start at boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartupRecord {
    /// The init system; `system` in the file, as TSPM wrote it.
    #[serde(rename = "system")]
    pub platform: String,
    /// Whose services.
    pub user: String,
    /// The file.
    pub path: PathBuf,
    /// When it was installed, Unix milliseconds.
    pub timestamp: u64,
    /// As the platform calls it.
    #[serde(default)]
    pub unit: String,
    /// The machine's start, or the user's own.
    #[serde(default = "system")]
    pub scope: Scope,
    /// That lingering was switched on by this, and goes off again with it.
    #[serde(default)]
    pub lingers: bool,
}

fn system() -> Scope {
    Scope::System
}

impl StartupRecord {
    /// Reads it; `None` where there is none, or none that can be understood: nothing depends on it.
    pub fn read(home: &Home) -> Option<Self> {
        let bytes = fs::read(home.startup_record()).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn write(&self, home: &Home) -> Result<()> {
        let directory = home.startup();
        if !directory.is_dir() {
            std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700)
                .create(&directory)
                .at("create", &directory)?;
        }
        // Two paths and a few words: serializing them does not fail.
        let mut json = crate::json::line(self).unwrap_or_default();
        json.push(b'\n');
        replace_file(&home.startup_record(), &json)
    }

    /// Removes it, and its directory with it.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn remove(home: &Home) -> Result<()> {
        let path = home.startup_record();
        // Replacing the record has left an older version beside it, and the directory goes only
        // once it is empty.
        for path in [crate::store::spare(&path), path] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).at("remove", &path);
                }
                _ => {}
            }
        }
        fs::remove_dir(home.startup()).best_effort("somebody else's files in it stay");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_again_and_tspms_own_too() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        let record = StartupRecord {
            platform: "systemd".to_owned(),
            user: "mr".to_owned(),
            path: "/etc/systemd/system/tsm.service".into(),
            timestamp: 1,
            unit: "tsm.service".to_owned(),
            scope: Scope::User,
            lingers: true,
        };
        record.write(&home).unwrap();
        record.write(&home).unwrap();
        assert_eq!(StartupRecord::read(&home).unwrap(), record);
        StartupRecord::remove(&home).unwrap();
        StartupRecord::remove(&home).unwrap();
        assert!(!home.startup().exists());
        fs::create_dir(home.startup()).unwrap();
        let text = r#"{"system":"systemd","user":"mr","path":"/etc/systemd/system/tspm.service","timestamp":1758318163000}"#;
        fs::write(home.startup_record(), text).unwrap();
        assert_eq!(StartupRecord::read(&home).unwrap().scope, Scope::System);
        fs::write(home.startup_record(), &text[..9]).unwrap();
        assert_eq!(StartupRecord::read(&home), None);
    }
}
