//! Start at boot: [`Platform`], and one file for each init system.
//!
//! A platform says what has to be done as a list of [`Step`]s, which are shown, carried out one after the other, and taken
//! back where one of them fails. What it finds of its own on a machine it finds by the mark in the files themselves, so that
//! `unstartup` needs no record of what `startup` did.

mod cgroup;
mod cron;
mod names;
mod needs;
mod openrc;
mod owner;
mod program;
mod record;
mod steps;
mod systemd;

use std::fmt;
use std::path::PathBuf;

pub use cgroup::{move_here, move_home};
pub use needs::Needs;
pub use owner::{Candidates, Owner};
pub use program::check as check_program;
pub use record::StartupRecord;
pub use steps::{Command, Failure, Step, carry_out};
pub use systemd::does_linger;

use crate::error::{Error, Result};
use crate::home::Home;

/// For whom an init system starts TSM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The machine's own, which root sets up.
    System,
    /// The user's, which needs nobody's permission.
    User,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::System => "system",
            Self::User => "user",
        })
    }
}

/// Where an init system keeps what it starts.
#[derive(Clone, Debug)]
pub struct Place {
    /// The machine's start, or the user's own.
    pub scope: Scope,
    /// The user's runtime directory (`XDG_RUNTIME_DIR`).
    pub runtime_directory: Option<PathBuf>,
    /// Where the user's own configuration is (`XDG_CONFIG_HOME`, `~/.config`).
    pub config_directory: PathBuf,
}

/// What is to be started at boot.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose services, and which home.
    pub owner: Owner,
    /// By whose init system.
    pub place: Place,
    /// The program `tsm`.
    pub program: PathBuf,
    /// What the records ask of whoever starts them.
    pub needs: Needs,
}

/// What a platform does for that.
#[derive(Clone, Debug)]
pub struct Installation {
    /// What is started, as the platform calls it: `tsm.service`.
    pub unit: String,
    /// The file that says so; for cron, whose tables have no such thing, what it is called there.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
    /// What is done, in this order. Those of `starts` come behind them, once the record of the start-up is written.
    pub steps: Vec<Step>,
    /// What brings it up now; empty where it only counts at the next boot.
    pub starts: Vec<Step>,
    /// What a person should know besides.
    pub remarks: Vec<String>,
    /// Whether services of this user are kept without a login by this (`loginctl enable-linger`).
    pub lingers: bool,
}

/// What was found of TSM's on a machine.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which platform has it.
    pub platform: &'static str,
    /// The machine's start, or the user's own.
    pub scope: Scope,
    /// As the platform calls it.
    pub unit: String,
    /// The file.
    pub path: PathBuf,
    /// The home that it starts.
    pub home: PathBuf,
    /// Whether it is up now, as the init system sees it.
    pub active: bool,
    /// What has to be done to remove it, once it is not up any more.
    pub steps: Vec<Step>,
}

/// One init system.
pub trait Platform: fmt::Debug {
    /// What it is called on the command line.
    fn name(&self) -> &'static str;

    /// Whether this machine runs it.
    fn is_here(&self) -> bool;

    /// What has to be done so that it starts what is wanted, at every boot and now. Changes nothing.
    ///
    /// # Errors
    /// What keeps it from being done, with the remedy.
    fn install(&self, wanted: &Wanted) -> Result<Installation>;

    /// All that it has of TSM's in a place, for whichever home and, where root looks, whichever user. Changes nothing.
    fn find(&self, place: &Place, owner: &Owner) -> Vec<Found>;
}

/// The platforms, the most able ones first.
pub fn platforms() -> [&'static dyn Platform; 3] {
    [&systemd::Systemd, &openrc::OpenRc, &cron::Cron]
}

/// The platform of a name; without one, the first that this machine runs.
///
/// # Errors
/// [`Error::Startup`], [`Error::BadValue`]: with the list of those that there are.
///
/// ```
/// assert_eq!(tsm_core::startup::platform(Some("systemd"))?.name(), "systemd");
/// assert!(tsm_core::startup::platform(Some("sysvinit")).is_err());
/// # Ok::<(), tsm_core::error::Error>(())
/// ```
pub fn platform(name: Option<&str>) -> Result<&'static dyn Platform> {
    let known = || platforms().map(Platform::name).join(", ");
    match name {
        Some(name) => platforms()
            .into_iter()
            .find(|platform| platform.name() == name)
            .ok_or_else(|| {
                Error::bad_value(
                    "startup",
                    format!(
                        "'{name}' is no init system that TSM knows; it knows {}",
                        known()
                    ),
                )
            }),
        None => platforms()
            .into_iter()
            .find(|platform| platform.is_here())
            .ok_or_else(|| Error::Startup {
                step: "start at boot".to_owned(),
                reason: format!(
                    "none of {} runs on this machine; let what starts it run 'tsm resurrect -d' as you",
                    known()
                )
                .into(),
            }),
    }
}

/// The mark that a file of ours bears: whose it is.
const MARK: &str = "# TSM home: ";

/// The two lines with which a file of ours begins, each behind a `#`.
fn mark(home: &Home) -> String {
    format!(
        "# Written by 'tsm startup'; 'tsm unstartup' removes it.\n{MARK}{}\n",
        one_line(home.root())
    )
}

/// The home that a file of ours is for; `None` where it is not ours.
fn marked_home(text: &str) -> Option<PathBuf> {
    let line = text.lines().find_map(|line| line.strip_prefix(MARK))?;
    let bytes = crate::env::quote::split_words(line.as_bytes())
        .ok()?
        .pop()?;
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
        .map(|path: std::ffi::OsString| path.into())
}

/// A path on one line, so that [`marked_home`] reads it.
fn one_line(path: &std::path::Path) -> String {
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
    String::from_utf8_lossy(&crate::env::quote::quote(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_names_the_home_whatever_its_path_is() {
        for path in ["/home/x/.tsm", "/srv/two words", "/srv/it's\n%h $x"] {
            let home = Home::at(path);
            let text = format!("#!/bin/sh\n{}\n[Unit]\n", mark(&home));
            assert_eq!(marked_home(&text).unwrap(), home.root());
            assert_eq!(mark(&home).lines().count(), 2, "{path}");
        }
        assert_eq!(marked_home("[Unit]\nDescription=another\n"), None);
    }

    #[test]
    fn an_unknown_platform_is_told_with_the_list() {
        let told = platform(Some("launchd")).unwrap_err().to_string();
        assert!(told.ends_with("it knows systemd, openrc, cron"), "{told}");
    }
}
