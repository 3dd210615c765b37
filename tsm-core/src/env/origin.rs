//! Where the variables of a snapshot come from, and how a snapshot is changed.

use serde::{Deserialize, Serialize};

use super::{EnvError, Environment, Snapshot};
use crate::text::Text;

/// Where a variable comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The shell that started the process.
    Shell,
    /// `--env`, or `tsm env set`.
    Option,
    /// `--env-file`.
    File,
    /// A config file.
    Config,
    /// TSM itself.
    Tsm,
}

impl Origin {
    /// As a person reads it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Option => "--env",
            Self::File => "file",
            Self::Config => "config",
            Self::Tsm => "TSM",
        }
    }
}

/// Which variables of a snapshot are not the shell's. These stay when the shell's part is taken anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origins {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    option: Vec<Text>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    file: Vec<Text>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    config: Vec<Text>,
    /// Variables that the shell has and the process is not to have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unset: Vec<Text>,
}

impl Origins {
    /// Whether everything is the shell's.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Where a variable comes from.
    pub fn of(&self, name: &[u8]) -> Origin {
        let stands_in = |names: &[Text]| names.iter().any(|known| known.as_bytes() == name);
        if stands_in(&self.option) {
            Origin::Option
        } else if stands_in(&self.file) {
            Origin::File
        } else if stands_in(&self.config) {
            Origin::Config
        } else {
            Origin::Shell
        }
    }

    /// The variables that config files, and files which these name, give.
    pub fn declared(&self) -> impl Iterator<Item = &Text> {
        self.config.iter().chain(&self.file)
    }

    /// Whether the process is not to have a variable, whatever the shell says.
    pub fn is_unset(&self, name: &[u8]) -> bool {
        self.unset.iter().any(|known| known.as_bytes() == name)
    }

    /// The names over which the shell has no say: those that were given by other means, and those that the process is not
    /// to have.
    pub fn not_of_the_shell(&self) -> impl Iterator<Item = &[u8]> {
        self.given().chain(&self.unset).map(Text::as_bytes)
    }

    /// Notes where a variable comes from.
    pub fn note(&mut self, name: &[u8], origin: Origin) {
        self.forget(name);
        let names = match origin {
            Origin::Option => &mut self.option,
            Origin::File => &mut self.file,
            Origin::Config => &mut self.config,
            Origin::Shell | Origin::Tsm => return,
        };
        names.push(Text::from_bytes(name));
    }

    /// Notes that the process is not to have a variable, whether or not the shell does.
    pub fn note_unset(&mut self, name: &[u8]) {
        self.forget(name);
        self.unset.push(Text::from_bytes(name));
    }

    fn forget(&mut self, name: &[u8]) {
        for names in [
            &mut self.option,
            &mut self.file,
            &mut self.config,
            &mut self.unset,
        ] {
            names.retain(|known| known.as_bytes() != name);
        }
    }

    /// The variables that were given by other means than the shell.
    pub fn given(&self) -> impl Iterator<Item = &Text> {
        self.option.iter().chain(&self.file).chain(&self.config)
    }
}

/// A variable to set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Its name.
    pub name: Text,
    /// Its value.
    pub value: Text,
    /// Where it comes from.
    pub origin: Origin,
}

/// How a snapshot is to change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvUpdate {
    /// Variables to set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<Assignment>,
    /// Variables to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<Text>,
    /// Variables that no option, file or config gives any more: they are removed, and the shell decides over them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub released: Vec<Text>,
    /// The frame's raw bytes are a snapshot of this shell, which takes the place of the one before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_shell: bool,
    /// The frame's raw bytes are the whole snapshot as it is to be, whoever it came from …
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// … and so many of them, the last ones, are its shell part.
    #[serde(default)]
    pub shell_bytes: usize,
}

impl EnvUpdate {
    /// Adds a variable to set.
    pub fn set(&mut self, name: &[u8], value: &[u8], origin: Origin) {
        self.set.push(Assignment {
            name: Text::from_bytes(name),
            value: Text::from_bytes(value),
            origin,
        });
    }

    /// What turns one environment into another, the variables that are new or differ as `origin`.
    pub fn between(before: &Environment, after: &Environment, origin: Origin) -> Self {
        let mut update = Self::default();
        for (name, value) in after.iter() {
            // Where a variable stands there twice, the first one counts, as for getenv(3).
            if before.get(name) != Some(value) && after.get(name) == Some(value) {
                update.set(name, value, origin);
            }
        }
        for (name, _) in before.iter() {
            if after.get(name).is_none() {
                update.unset.push(Text::from_bytes(name));
            }
        }
        update
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
            && self.unset.is_empty()
            && self.released.is_empty()
            && !self.from_shell
            && !self.exact
    }

    /// The snapshot and the origins that a change leads to. `fresh` is this shell's snapshot, where it is to be taken:
    /// then what did not come from the shell stays, what the shell has no more goes, and a shell part that the new
    /// snapshot lacks, because no hook handed one over, stays as it was.
    ///
    /// # Errors
    /// A variable that cannot be.
    pub fn apply(
        &self,
        before: &Snapshot,
        origins: &Origins,
        fresh: Option<Snapshot>,
    ) -> Result<(Snapshot, Origins), EnvError> {
        let mut origins = origins.clone();
        for name in &self.released {
            origins.forget(name.as_bytes());
        }
        let mut after = match fresh {
            None => {
                let mut after = before.clone();
                for name in &self.released {
                    after.environment.remove(name.as_bytes());
                }
                after
            }
            Some(mut fresh) if self.exact => {
                fresh.shell = fresh.shell.or_else(|| before.shell.clone());
                fresh
            }
            Some(mut fresh) => {
                fresh.environment.strip_captured();
                for name in origins.given() {
                    if let Some(value) = before.environment.get(name.as_bytes()) {
                        fresh.environment.set(name.as_bytes(), value)?;
                    }
                }
                for name in &origins.unset {
                    fresh.environment.remove(name.as_bytes());
                }
                fresh.shell = fresh.shell.or_else(|| before.shell.clone());
                fresh
            }
        };
        // Removed first, so that a variable that is named in both is set in the end.
        for name in &self.unset {
            after.environment.remove(name.as_bytes());
            origins.note_unset(name.as_bytes());
        }
        for Assignment {
            name,
            value,
            origin,
        } in &self.set
        {
            after.environment.set(name.as_bytes(), value.as_bytes())?;
            origins.note(name.as_bytes(), *origin);
        }
        Ok((after, origins))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(block: &[u8]) -> Snapshot {
        Environment::from_block(block).unwrap().into()
    }

    #[test]
    fn what_the_shell_has_new_changed_and_no_more_takes_effect_and_the_rest_stays() {
        let before = snapshot(b"A=1\0GONE=1\0OPT=o\0FILE=f\0");
        let mut origins = Origins::default();
        origins.note(b"OPT", Origin::Option);
        origins.note(b"FILE", Origin::File);
        origins.note_unset(b"NEVER");
        let fresh = snapshot(b"A=2\0NEW=1\0OPT=shell\0NEVER=1\0TSM_ID=7\0");
        let mut update = EnvUpdate {
            from_shell: true,
            ..EnvUpdate::default()
        };
        update.set(b"FILE", b"again", Origin::Option);
        let (after, origins) = update.apply(&before, &origins, Some(fresh)).unwrap();
        assert_eq!(after, snapshot(b"A=2\0NEW=1\0OPT=o\0FILE=again\0"));
        assert_eq!(origins.of(b"FILE"), Origin::Option);
        assert_eq!(origins.of(b"A"), Origin::Shell);
    }

    #[test]
    fn a_variable_that_was_unset_and_set_again_is_set() {
        let before = snapshot(b"A=1\0");
        let unset = EnvUpdate {
            unset: vec!["A".into()],
            ..EnvUpdate::default()
        };
        let (without, origins) = unset.apply(&before, &Origins::default(), None).unwrap();
        assert!(without.environment.is_empty());
        let mut set = EnvUpdate::default();
        set.set(b"A", b"2", Origin::Option);
        let (with, origins) = set.apply(&without, &origins, None).unwrap();
        assert_eq!(with, snapshot(b"A=2\0"));
        let again = EnvUpdate::default();
        let (kept, _) = again
            .apply(&with, &origins, Some(snapshot(b"A=shell\0")))
            .unwrap();
        assert_eq!(kept, with);
    }

    #[test]
    fn what_no_file_gives_any_more_is_the_shells_again() {
        let before = snapshot(b"A=config\0B=1\0");
        let mut origins = Origins::default();
        origins.note(b"A", Origin::Config);
        let update = EnvUpdate {
            released: vec!["A".into()],
            ..EnvUpdate::default()
        };
        let (after, origins_after) = update.apply(&before, &origins, None).unwrap();
        assert_eq!(after, snapshot(b"B=1\0"));
        assert!(origins_after.is_empty());
        let fresh = snapshot(b"A=shell\0B=2\0");
        let (after, _) = update.apply(&before, &origins, Some(fresh)).unwrap();
        assert_eq!(after, snapshot(b"A=shell\0B=2\0"));
    }

    #[test]
    fn the_difference_between_two_environments_leads_from_one_to_the_other() {
        let (before, after) = (snapshot(b"A=1\0B=2\0C=3\0"), snapshot(b"B=x\0C=3\0D=4\0"));
        let update = EnvUpdate::between(&before.environment, &after.environment, Origin::Option);
        assert_eq!((update.set.len(), update.unset.len()), (2, 1));
        let (led, _) = update.apply(&before, &Origins::default(), None).unwrap();
        assert_eq!(led, after);
    }
}
