//! Whose services are started at boot, and from which home.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext as _, Result};
use crate::home::Home;
use crate::store::ProcessStore;
use crate::sys::account::{self, Account};
use crate::sys::{lock, procfs};

/// So many other homes are shown to who named one that is empty.
const SHOWN: usize = 4;

/// A user and a home.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The user.
    pub account: Account,
    /// Where the user logs in to.
    pub directory: PathBuf,
    /// The home.
    pub home: Home,
}

/// What a person said of whose services are meant.
#[derive(Clone, Debug)]
pub struct Candidates<'a> {
    /// `-u`.
    pub user: Option<&'a str>,
    /// `--home`.
    pub home: Option<&'a Path>,
}

impl Candidates<'_> {
    /// Finds out who is meant: the user that was named, else the one who called sudo, else this one; and which home: the one
    /// that was named, else that of the home variables, else that of the one live supervisor of this user, else
    /// `.tsm` where the user logs in to.
    ///
    /// # Errors
    /// [`Error::BadValue`] for a user who does not exist; [`Error::Startup`] where only root may, or several homes are
    /// meant.
    pub fn find(&self, variable: impl Fn(&str) -> Option<OsString>) -> Result<Owner> {
        let own = account::effective_uid();
        let sudo = variable("SUDO_USER")
            .and_then(|name| name.into_string().ok())
            // Only root can have it from sudo: anybody may set the variable.
            .filter(|name| own == 0 && !name.is_empty());
        let named = self.user.map(str::to_owned).or(sudo);
        let wanted = named.unwrap_or_else(|| own.to_string());
        let account = account::find(&wanted).doing("look the user up")?;
        let account = account.ok_or_else(|| {
            let reason = format!("there is no user '{wanted}' on this machine");
            Error::bad_value("-u", reason)
        })?;
        if own != 0 && account.uid != own {
            return Err(Error::Startup {
                step: format!("start what {} runs at boot", account.name),
                reason: format!("only root may; sudo tsm startup -u {}", account.name).into(),
            });
        }
        let directory = account::directory(&account.name).doing("look the user up")?;
        let directory = directory.unwrap_or_else(|| "/".into());
        let home = match self.home {
            Some(home) => Home::at(home),
            None => usual_home(&account, &directory, variable)?,
        };
        Ok(Owner {
            account,
            directory,
            home,
        })
    }
}

fn usual_home(
    account: &Account,
    directory: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Home> {
    // Under sudo `HOME` may be root's, though the services are another user's.
    if let Ok(home) = Home::resolve(|name| variable(name).filter(|_| name != "HOME")) {
        return Ok(Home::at(home.root()));
    }
    let live: Vec<PathBuf> = live_homes()
        .into_iter()
        .filter(|(_, uid)| *uid == account.uid)
        .map(|(home, _)| home)
        .collect();
    match live.as_slice() {
        [] => Ok(Home::at(directory.join(".tsm"))),
        [one] => Ok(Home::at(one)),
        several => Err(Error::Startup {
            step: "tell which home is meant".to_owned(),
            reason: format!(
                "{} has supervisors of {}; name one: --home DIR",
                account.name,
                list(several.iter().map(|home| home.display().to_string()))
            )
            .into(),
        }),
    }
}

impl Owner {
    /// Does something with the files of the home as its owner would.
    ///
    /// # Errors
    /// Those of `what`; [`Error::System`] where root may not act as the owner.
    pub fn acting<T>(&self, what: impl FnOnce() -> Result<T>) -> Result<T> {
        account::acting_as(&self.account, what).doing("act as the owner of the home")?
    }

    /// Refuses a home that has nothing to start: most likely another one is meant, and those that were seen are told.
    ///
    /// # Errors
    /// [`Error::Startup`]; [`Error::UnsafeHome`], [`Error::Io`] for a home that the owner may not use.
    pub fn check_home(&self) -> Result<()> {
        let root = self.home.root();
        let has_something = self.acting(|| {
            if !self.home.exists() {
                return Ok(false);
            }
            self.home.check_owner()?;
            let names = ProcessStore::new(self.home.clone()).names()?;
            Ok(!names.is_empty() || self.home.dump().exists())
        })?;
        if has_something {
            return Ok(());
        }
        let mut seen: BTreeMap<PathBuf, u32> = live_homes();
        seen.entry(self.directory.join(".tsm"))
            .or_insert(self.account.uid);
        // A home of another user is the least likely one.
        let mut seen: Vec<(bool, PathBuf, u32)> = seen
            .into_iter()
            .map(|(home, uid)| (uid != self.account.uid, home, uid))
            .collect();
        crate::sorted::sort(&mut seen);
        let seen = seen.into_iter().filter_map(|(_, home, uid)| {
            let names = ProcessStore::new(Home::at(&home)).names().ok()?;
            let other = home != root && !names.is_empty();
            let owner = account::name_of(uid);
            let (home, processes) = (home.display(), names.len());
            other.then(|| format!("{home} of {owner} (processes: {processes})"))
        });
        let seen: Vec<String> = seen.take(SHOWN).collect();
        let remedy = if seen.is_empty() {
            "start something first, or name another home: --home DIR".to_owned()
        } else {
            format!("there is {}; name one: --home DIR", list(seen.into_iter()))
        };
        Err(Error::Startup {
            step: format!("start {} at boot", root.display()),
            reason: format!("it has neither a process nor a dump.json; {remedy}").into(),
        })
    }
}

fn list(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" and ")
}

/// The homes whose supervisors this process can see, each with the user id of its supervisor: who holds a `.lock`.
fn live_homes() -> BTreeMap<PathBuf, u32> {
    let mut homes = BTreeMap::new();
    let Ok(table) = procfs::ProcessTable::read() else {
        return homes;
    };
    for process in table.iter() {
        let pid = process.identity.pid;
        // A name and an open `.lock` prove nothing by themselves, which is why the lock is asked
        // below.
        if !procfs::name(pid).starts_with("tsm") {
            continue;
        }
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        let links = entries
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok());
        for path in links.filter(|path| path.file_name().is_some_and(|name| name == ".lock")) {
            if let (Some(home), Ok(meta)) = (path.parent(), fs::metadata(format!("/proc/{pid}")))
                && home.join("processes").is_dir()
                && lock::is_held(&path)
            {
                homes.insert(home.to_owned(), meta.uid());
            }
        }
    }
    homes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(user: Option<&str>, home: Option<&str>, set: &[(&str, &str)]) -> Result<Owner> {
        let home = home.map(Path::new);
        Candidates { user, home }.find(|name| {
            let found = set.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn a_named_home_goes_before_the_variables_and_these_before_the_usual_one() {
        let root = |owner: Owner| owner.home.root().to_owned();
        let set = [("TSM_HOME", "/b"), ("HOME", "/c"), ("SUDO_USER", "")];
        assert_eq!(root(find(None, Some("/a"), &set).unwrap()), Path::new("/a"));
        assert_eq!(root(find(None, None, &set).unwrap()), Path::new("/b"));
        let told = find(Some("nobody-of-this-name"), None, &set).unwrap_err();
        assert!(
            told.to_string()
                .contains("there is no user 'nobody-of-this-name'")
        );
    }

    #[test]
    fn a_home_with_nothing_in_it_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("none");
        let owner = find(None, home.to_str(), &[]).unwrap();
        let told = owner.check_home().unwrap_err().to_string();
        assert!(
            told.contains("it has neither a process nor a dump.json"),
            "{told}"
        );
        owner.home.prepare().unwrap();
        fs::write(owner.home.dump(), "{}").unwrap();
        owner.check_home().unwrap();
    }
}
