//! Where TSM keeps its files, who may read them, and the path of each.
//!
//! A [`Home`] is a path and makes nothing: only what begins to write prepares the directory. Nobody but its owner may read or
//! write in it, and a home that others could write to is refused.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext as _, Reason, Result};
use crate::name::ProcessName;
use crate::sys;

/// What the file `layout` says in a home that this version writes.
pub const LAYOUT: &str = "tsm 1";

/// A home: the directory that holds everything that TSM knows. `docs/on-disk-format.md` says what each file in it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
    named: bool,
}

impl Home {
    /// The home at `root`, named by a person (`--home`).
    ///
    /// ```
    /// use tsm_core::home::Home;
    ///
    /// let home = Home::at("/srv/services");
    /// assert_eq!(home.meta(&"api".parse()?).to_str(), Some("/srv/services/processes/api.meta"));
    /// // As the command line finds it: TSM_HOME, TSPM_HOME, TETRA_DIR, HOME.
    /// let usual = Home::resolve(|name| (name == "HOME").then(|| "/home/mr".into()))?;
    /// assert_eq!(usual.root().to_str(), Some("/home/mr/.tsm"));
    /// # Ok::<(), tsm_core::error::Error>(())
    /// ```
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        // Where the working directory is unknown, the path stays as it was given.
        let root = std::path::absolute(&root).unwrap_or(root);
        Self { root, named: true }
    }

    /// The home that the environment means: `TSM_HOME`, else `TSPM_HOME`, else `$TETRA_DIR/tsm`, else `~/.tsm`.
    ///
    /// `variable` looks a variable up, so that the library itself reads no environment.
    ///
    /// # Errors
    /// [`Error::BadValue`] where not even `HOME` is set.
    pub fn resolve(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let given = |name| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let root = given("TSM_HOME")
            .or_else(|| given("TSPM_HOME"))
            .or_else(|| given("TETRA_DIR").map(|tetra| tetra.join("tsm")))
            .or_else(|| given("HOME").map(|home| home.join(".tsm")));
        match root {
            Some(root) => Ok(Self {
                named: false,
                ..Self::at(root)
            }),
            None => Err(Error::bad_value(
                "home",
                "none of TSM_HOME, TSPM_HOME, TETRA_DIR and HOME is set; use --home DIR",
            )),
        }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether there is a home here already. One that cannot be looked at may be there: what is done with it tells.
    pub fn exists(&self) -> bool {
        match fs::metadata(&self.root) {
            Ok(meta) => meta.is_dir(),
            Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
        }
    }

    /// Makes the home and its directories where they are missing, and refuses one that is not safe: another user's, or
    /// one that others may write to.
    ///
    /// # Errors
    /// [`Error::UnsafeHome`], [`Error::NewerLayout`], [`Error::Io`].
    pub fn prepare(&self) -> Result<()> {
        if !self.root.exists() {
            sys::guarded::refuse_changeable(&self.root).at("create", &self.root)?;
        }
        if let Some(parent) = self.root.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
        }
        for directory in [
            self.root.clone(),
            self.logs(),
            self.pids(),
            self.processes(),
        ] {
            let made = fs::DirBuilder::new().mode(0o700).create(&directory);
            match made {
                // The umask may have taken bits of ours away.
                Ok(()) => set_mode(&directory, 0o700)?,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).at("create", &directory),
            }
            if directory == self.root {
                self.check_owner()?;
                // A directory that others may read is closed to them.
                let open = fs::metadata(&directory)
                    .is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0);
                if open {
                    set_mode(&directory, 0o700)?;
                }
            }
        }
        self.check_layout()?;
        self.mark_layout()
    }

    /// Writes down the layout of a home that says of none. Several commands may do so at once: the first one does.
    fn mark_layout(&self) -> Result<()> {
        let path = self.layout();
        let made = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        match made {
            Ok(mut file) => file
                .set_permissions(fs::Permissions::from_mode(0o600))
                .and_then(|()| file.write_all(format!("{LAYOUT}\n").as_bytes()))
                .at("write", &path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error).at("create", &path),
        }
    }

    /// Where root named the home of another user, this process becomes one of that user's, for good: no right of root's is
    /// used on what that user can change. Returns the user's name then.
    ///
    /// # Errors
    /// [`Error::UnsafeHome`] where that user is not known here; [`Error::System`], [`Error::Io`].
    pub fn become_owner(&self) -> Result<Option<String>> {
        if sys::account::effective_uid() != 0 || !self.named {
            return Ok(None);
        }
        let owner = match fs::metadata(&self.root) {
            Ok(meta) => meta.uid(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("look at", &self.root),
        };
        if owner == 0 {
            return Ok(None);
        }
        let account = sys::account::find(&owner.to_string()).doing("look the user up")?;
        let Some(account) = account else {
            return Err(Error::UnsafeHome {
                path: self.root.clone(),
                reason: format!("it is owned by {owner}, and there is no such user").into(),
            });
        };
        sys::account::become_user(&account).doing("become the owner of the home")?;
        Ok(Some(account.name))
    }

    /// Refuses a home that another user owns or may write to.
    ///
    /// # Errors
    /// [`Error::UnsafeHome`], [`Error::Io`].
    pub fn check_owner(&self) -> Result<()> {
        let unsafe_home = |reason: Reason| {
            Err(Error::UnsafeHome {
                path: self.root.clone(),
                reason,
            })
        };
        let meta = fs::metadata(&self.root).at("look at", &self.root)?;
        if !meta.is_dir() {
            return unsafe_home("it is not a directory".into());
        }
        let own = sys::account::effective_uid();
        if let Err(error) = sys::guarded::refuse_changeable(&self.root)
            && meta.uid() == own
        {
            return unsafe_home(error.into());
        }
        if meta.uid() != own {
            let owner = sys::account::name_of(meta.uid());
            if own != 0 {
                return unsafe_home(
                    format!("it is owned by {owner}; use a home of your own (--home DIR)").into(),
                );
            }
            if !self.named {
                return unsafe_home(format!(
                    "it is owned by {owner} and you are root; say --home {} if that is what you mean",
                    self.root.display()
                ).into());
            }
        }
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o022 != 0 {
            return unsafe_home(
                format!(
                    "others may write to it (mode {mode:03o}); chmod 700 {}",
                    self.root.display()
                )
                .into(),
            );
        }
        Ok(())
    }

    /// Refuses to change a home that a newer TSM wrote.
    ///
    /// # Errors
    /// [`Error::NewerLayout`].
    pub fn check_layout(&self) -> Result<()> {
        let path = self.layout();
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(());
        };
        let found = text.trim();
        let number = found
            .strip_prefix("tsm ")
            .and_then(|n| n.parse::<u32>().ok());
        match number {
            Some(number) if number > 1 => Err(Error::NewerLayout {
                path,
                found: found.to_owned(),
                own: LAYOUT,
            }),
            // A torn or empty file says nothing; the layout is the one that this program writes.
            _ => Ok(()),
        }
    }

    /// Refuses a home that another machine has in use: it is on a disk that several reach, or was copied.
    ///
    /// Who holds the lock writes the machine's id into it, and takes it out again when nothing of the home runs any more.
    ///
    /// # Errors
    /// [`Error::UnsafeHome`].
    pub fn check_machine(&self) -> Result<()> {
        let written = fs::read_to_string(self.lock()).unwrap_or_default();
        let (written, Some(own)) = (written.trim(), sys::machine_id()) else {
            return Ok(());
        };
        // A torn file says nothing.
        if written == own || !sys::is_machine_id(written) {
            return Ok(());
        }
        Err(Error::UnsafeHome {
            path: self.root.clone(),
            reason: format!(
                "another machine has it in use (id {written}, this one is {own}); use a home of this machine (--home DIR), or, if that machine does not use it any more, rm {}",
                self.lock().display()
            ).into(),
        })
    }

    /// `next_id`.
    pub fn next_id(&self) -> PathBuf {
        self.root.join("next_id")
    }

    /// `layout`.
    pub fn layout(&self) -> PathBuf {
        self.root.join("layout")
    }

    /// `.lock`: who holds it is the supervisor.
    pub fn lock(&self) -> PathBuf {
        self.root.join(".lock")
    }

    /// `supervisor.sock`: the control socket.
    pub fn socket(&self) -> PathBuf {
        self.root.join("supervisor.sock")
    }

    /// `defaults.toml`: what holds for all processes that do not say otherwise.
    pub fn defaults(&self) -> PathBuf {
        self.root.join("defaults.toml")
    }

    /// `dump.json`: what `save` saved.
    pub fn dump(&self) -> PathBuf {
        self.root.join("dump.json")
    }

    /// `processes/deleted.jsonl`: what was deleted since the last `save`.
    pub fn deleted(&self) -> PathBuf {
        self.processes().join("deleted.jsonl")
    }

    /// `startup/`: what start at boot needs.
    pub fn startup(&self) -> PathBuf {
        self.root.join("startup")
    }

    /// `startup/startup.json`: what `startup` installed.
    pub fn startup_record(&self) -> PathBuf {
        self.startup().join("startup.json")
    }

    /// `status.json`.
    pub fn status(&self) -> PathBuf {
        self.root.join("status.json")
    }

    /// `logs/`.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// `pids/`.
    pub fn pids(&self) -> PathBuf {
        self.root.join("pids")
    }

    /// `processes/`.
    pub fn processes(&self) -> PathBuf {
        self.root.join("processes")
    }

    /// `logs/tsm.log`: the supervisor's own log.
    pub fn supervisor_log(&self) -> PathBuf {
        self.logs().join("tsm.log")
    }

    /// `logs/NAME.out`.
    pub fn out_log(&self, name: &ProcessName) -> PathBuf {
        self.logs().join(format!("{name}.out"))
    }

    /// `logs/NAME.err`.
    pub fn err_log(&self, name: &ProcessName) -> PathBuf {
        self.logs().join(format!("{name}.err"))
    }

    /// The live files of both streams, from what a record says of them; `None` for a stream that has none of its own.
    pub fn log_files(
        &self,
        name: &ProcessName,
        out: Option<&[u8]>,
        err: Option<&[u8]>,
    ) -> (Option<PathBuf>, Option<PathBuf>) {
        let file = |target: Option<&[u8]>, own: PathBuf| match target {
            None => Some(own),
            Some(b"same" | b"/dev/null") => None,
            Some(path) => Some(OsStr::from_bytes(path).into()),
        };
        (file(out, self.out_log(name)), file(err, self.err_log(name)))
    }

    /// `pids/NAME.pid`.
    pub fn pid(&self, name: &ProcessName) -> PathBuf {
        self.pids().join(format!("{name}.pid"))
    }

    /// `processes/NAME.meta`.
    pub fn meta(&self, name: &ProcessName) -> PathBuf {
        self.processes().join(format!("{name}.meta"))
    }

    /// `processes/NAME.env`.
    pub fn env(&self, name: &ProcessName) -> PathBuf {
        self.processes().join(format!("{name}.env"))
    }

    /// `processes/NAME.shell`.
    pub fn shell(&self, name: &ProcessName) -> PathBuf {
        self.processes().join(format!("{name}.shell"))
    }

    /// `processes/.zsh`: where a zsh finds the file that reads `NAME.shell`.
    pub fn zsh_directory(&self) -> PathBuf {
        self.processes().join(".zsh")
    }

    /// `processes/NAME.spec.json`.
    pub fn spec(&self, name: &ProcessName) -> PathBuf {
        self.processes().join(format!("{name}.spec.json"))
    }

    /// `processes/NAME.events.jsonl`.
    pub fn events(&self, name: &ProcessName) -> PathBuf {
        self.processes().join(format!("{name}.events.jsonl"))
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("set the mode of", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(set: &[(&str, &str)]) -> Result<PathBuf> {
        let lookup = |name: &str| {
            set.iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| OsString::from(v))
        };
        Home::resolve(lookup).map(|home| home.root)
    }

    #[test]
    fn the_variables_count_in_their_order_and_empty_ones_do_not() {
        let all = [
            ("TSM_HOME", "/a"),
            ("TSPM_HOME", "/b"),
            ("TETRA_DIR", "/c"),
            ("HOME", "/d"),
        ];
        assert_eq!(resolve(&all).unwrap(), Path::new("/a"));
        assert_eq!(resolve(&all[1..]).unwrap(), Path::new("/b"));
        assert_eq!(resolve(&all[2..]).unwrap(), Path::new("/c/tsm"));
        assert_eq!(resolve(&all[3..]).unwrap(), Path::new("/d/.tsm"));
        assert_eq!(
            resolve(&[("TSM_HOME", ""), ("HOME", "/d")]).unwrap(),
            Path::new("/d/.tsm")
        );
        assert_eq!(
            resolve(&[]).unwrap_err().kind(),
            crate::error::ErrorKind::Usage
        );
    }

    #[test]
    fn a_home_is_private_and_one_that_others_may_write_to_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let home = Home::at(parent.path().join("deep/er"));
        home.prepare().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for directory in [
            home.root().to_owned(),
            home.logs(),
            home.pids(),
            home.processes(),
        ] {
            assert_eq!(mode(&directory), 0o700, "{}", directory.display());
        }
        assert_eq!(mode(&home.layout()), 0o600);
        set_mode(home.root(), 0o770).unwrap();
        assert!(matches!(home.prepare(), Err(Error::UnsafeHome { .. })));
    }

    #[test]
    fn a_home_of_another_machine_is_refused_with_the_remedy() {
        let Some(own) = sys::machine_id() else { return };
        let parent = tempfile::tempdir().unwrap();
        let home = Home::at(parent.path());
        home.check_machine().unwrap();
        for fine in ["", "\n", "\0\0\0\0", "torn", &own, &format!("{own}\n")] {
            fs::write(home.lock(), fine).unwrap();
            home.check_machine().unwrap();
        }
        fs::write(home.lock(), "0123456789abcdef0123456789abcdef\n").unwrap();
        let told = home.check_machine().unwrap_err().to_string();
        assert!(told.contains("another machine has it in use (id 0123456789abcdef"));
        assert!(
            told.ends_with(&format!("rm {}", home.lock().display())),
            "{told}"
        );
    }

    #[test]
    fn a_newer_layout_is_refused_and_a_torn_one_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let home = Home::at(parent.path());
        home.prepare().unwrap();
        fs::write(home.layout(), "tsm 2\n").unwrap();
        assert!(matches!(home.prepare(), Err(Error::NewerLayout { .. })));
        fs::write(home.layout(), "").unwrap();
        home.prepare().unwrap();
    }
}
