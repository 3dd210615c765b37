//! The environment of a process as a reader sees it, and how two differ.

use serde::Serialize;

use crate::env::secret::Secrets;
use crate::env::{Environment, Origin};
use crate::error::Result;
use crate::name::ProcessName;
use crate::store::ProcessStore;
use crate::text::Text;

/// One variable of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: Text,
    /// Its value as it is; [`Variables::shown`] gives it as it may be shown.
    #[serde(skip)]
    pub value: Text,
    /// Where it comes from.
    pub origin: Origin,
}

/// The environment of a process: what it gets at its next start.
#[derive(Clone, Debug)]
pub struct Variables {
    /// The variables by name.
    pub all: Vec<Variable>,
    secrets: Secrets,
}

/// A variable in which two environments differ; `None` where one does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub name: Text,
    /// Its value in the first.
    pub left: Option<Text>,
    /// Its value in the second.
    pub right: Option<Text>,
}

/// What a shell changes with every command or directory: no difference worth telling.
const RESTLESS: [&[u8]; 4] = [b"_", b"SHLVL", b"PWD", b"OLDPWD"];

impl Variables {
    /// Reads the snapshot of a process and adds what TSM sets. Needs no supervisor.
    ///
    /// # Errors
    /// [`crate::error::Error::Damaged`] with the line, [`crate::error::Error::Io`].
    pub fn read(store: &ProcessStore, name: &ProcessName) -> Result<Self> {
        let snapshot = store.environment(name)?;
        let spec = store.spec(name)?.map(|saved| saved.spec);
        let meta = store.meta(name)?;
        let origins = spec.as_ref().map(|spec| spec.origins.clone());
        let origins = origins.unwrap_or_default();
        let port = spec.as_ref().map_or(meta.port, |spec| spec.port);
        let home = store.home().root().display();
        let cookie = meta.run.map(|run| format!("{home}:{}:{run}", meta.id));
        let own = [
            ("PORT", port.map(|port| port.to_string())),
            ("TSM_COOKIE", cookie),
            ("TSM_ID", Some(meta.id.to_string())),
            ("TSM_NAME", Some(name.to_string())),
        ];
        let own: Vec<Variable> = own
            .into_iter()
            .filter_map(|(name, value)| {
                Some(Variable {
                    name: name.into(),
                    value: value?.into(),
                    origin: Origin::Tsm,
                })
            })
            .collect();
        let mut all: Vec<Variable> = snapshot
            .iter()
            .filter(|(name, _)| own.iter().all(|variable| variable.name.as_bytes() != *name))
            .map(|(name, value)| Variable {
                name: Text::from_bytes(name),
                value: Text::from_bytes(value),
                origin: origins.of(name),
            })
            .collect();
        all.extend(own);
        crate::sorted::by(&mut all, |a, b| a.name.cmp(&b.name));
        Ok(Self {
            all,
            secrets: Secrets::of(store.home())?,
        })
    }

    /// A value as it may be shown: secrets are covered.
    pub fn shown(&self, variable: &Variable) -> Text {
        self.cover(&variable.name, &variable.value)
    }

    /// As [`Self::shown`], of any name and value.
    pub fn cover(&self, name: &Text, value: &Text) -> Text {
        let shown = self
            .secrets
            .shown(&name.to_string_lossy(), &value.to_string_lossy());
        // A value that is not UTF-8 and not secret stays as it is.
        if shown == value.to_string_lossy() {
            return value.clone();
        }
        shown.into()
    }

    /// Whether a variable counts as a secret.
    pub fn is_secret(&self, variable: &Variable) -> bool {
        self.secrets.is_secret(&variable.name.to_string_lossy())
    }

    /// In which variables these (left) and others (right) differ, by name. What TSM sets for a run is left out.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let right = |name: &Text| {
            let found = other.all.iter().find(|variable| variable.name == *name);
            found
                .filter(|variable| variable.origin != Origin::Tsm)
                .map(|variable| variable.value.clone())
        };
        let left = self.all.iter().filter(|v| v.origin != Origin::Tsm);
        let mut differences: Vec<Difference> = left
            .map(|variable| Difference {
                name: variable.name.clone(),
                left: Some(variable.value.clone()),
                right: right(&variable.name),
            })
            .collect();
        let is_new = |name: &Text| differences.iter().all(|known| known.name != *name);
        let new: Vec<Difference> = other
            .all
            .iter()
            .filter(|variable| variable.origin != Origin::Tsm && is_new(&variable.name))
            .map(|variable| Difference {
                name: variable.name.clone(),
                left: None,
                right: Some(variable.value.clone()),
            })
            .collect();
        differences.extend(new);
        differences.retain(|difference| difference.left != difference.right);
        crate::sorted::by(&mut differences, |a, b| a.name.cmp(&b.name));
        differences
    }

    /// In which variables these (left) and a shell (right) differ. What a shell changes by itself all the time (`_`,
    /// `SHLVL`, `PWD`, `OLDPWD`) and what TSM sets are left out.
    pub fn differences_to_shell(&self, shell: &Environment) -> Vec<Difference> {
        let mut shell = shell.clone();
        shell.strip_captured();
        let is_told = |name: &[u8]| {
            let own = self
                .all
                .iter()
                .any(|variable| variable.origin == Origin::Tsm && variable.name.as_bytes() == name);
            !RESTLESS.contains(&name) && !own
        };
        let all = shell.iter().filter(|(name, _)| is_told(name));
        let other = Self {
            all: all
                .map(|(name, value)| Variable {
                    name: Text::from_bytes(name),
                    value: Text::from_bytes(value),
                    origin: Origin::Shell,
                })
                .collect(),
            secrets: self.secrets.clone(),
        };
        let mut differences = self.differences(&other);
        differences.retain(|difference| is_told(difference.name.as_bytes()));
        differences
    }
}
