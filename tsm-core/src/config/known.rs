//! The records that a plan compares with.

use std::collections::HashSet;

use super::plan::{Known, Standing, Wanted};
use crate::error::{Error, Result};
use crate::meta::State;
use crate::name::ProcessName;
use crate::store::ProcessStore;
use crate::text::Text;
use crate::view::Overview;

impl Known {
    /// The records of what is `wanted`, and with `file` those of all that this file ever declared. What of the latter
    /// cannot be read comes back as errors.
    ///
    /// # Errors
    /// A record of what is wanted that cannot be read: it is not to be lost by starting another one.
    pub fn read(
        store: &ProcessStore,
        wanted: &[Wanted],
        file: Option<&Text>,
    ) -> Result<(Vec<Self>, Vec<Error>)> {
        let (mut known, mut damaged) = (Vec::new(), Vec::new());
        if !store.home().exists() {
            return Ok((known, damaged));
        }
        let declared: HashSet<&ProcessName> = wanted.iter().map(|wanted| &wanted.name).collect();
        for view in Overview::read(store)?.processes {
            let is_declared = declared.contains(&view.name);
            if !is_declared && file.is_none() {
                continue;
            }
            let standing = match view.state {
                State::Done => Standing::Done,
                State::Running
                | State::Starting
                | State::Backoff
                | State::Waiting
                | State::Unsupervised => Standing::Up,
                State::Stopping if view.wanted => Standing::Up,
                _ => Standing::Down,
            };
            match Self::of(store, view.name, standing) {
                Ok(found) if is_declared || found.spec.config.as_ref() == file => known.push(found),
                Ok(_) => {}
                Err(error) if is_declared => return Err(error),
                Err(error) => damaged.push(error),
            }
        }
        Ok((known, damaged))
    }

    fn of(store: &ProcessStore, name: ProcessName, standing: Standing) -> Result<Self> {
        let environment = store.environment(&name)?;
        let spec = match store.spec(&name)? {
            Some(saved) => saved.spec,
            None => crate::launch::spec_of_original(&store.meta(&name)?, &environment)?,
        };
        Ok(Self {
            name,
            spec,
            environment,
            standing,
        })
    }
}
