//! Records that this supervisor did not write: those that appeared while it ran, and several that bear one id.

use std::collections::{HashMap, HashSet};
use std::fs;

use crate::error::{Error, Result};
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::supervise::supervisor::Supervisor;

impl Supervisor {
    /// Takes over a record of this name that appeared on disk and is not known here, so that nothing is ever written over
    /// it. Returns its id, if there is one.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is there and cannot be taken over.
    pub(in crate::supervise) fn adopt_appeared(
        &mut self,
        name: &ProcessName,
    ) -> Result<Option<u32>> {
        if let Some(id) = self.id_of_name(name) {
            return Ok(Some(id));
        }
        let path = self.writer.home().meta(name);
        if !path.exists() {
            return Ok(None);
        }
        let damaged = |reason: String| Error::Damaged {
            path: path.clone(),
            reason: format!("{reason}; put it right, or remove the files of '{name}' beside it")
                .into(),
        };
        let meta = match self.writer.store().meta(name) {
            Ok(meta) => meta,
            Err(error) => {
                self.rebuild(name, &error, &mut HashMap::new())?;
                self.go_on_all();
                let reason = match error {
                    Error::Damaged { reason, .. } => reason.to_string(),
                    error => error.to_string(),
                };
                return match self.id_of_name(name) {
                    Some(id) => Ok(Some(id)),
                    None => Err(damaged(reason)),
                };
            }
        };
        let id = meta.id;
        if let Some(known) = self.services.get(&id) {
            let known = &known.name;
            return Err(damaged(format!(
                "it bears ID {id}, which is that of '{known}'"
            )));
        }
        let (records, _) = self.writer.store().records()?;
        if self.records_to_leave(&records).contains(name) {
            return Err(damaged(format!("another record bears ID {id}, too")));
        }
        self.log.say(format_args!(
            "the record of '{name}' appeared, and is taken over"
        ));
        self.adopt(name.clone(), meta, &mut HashMap::new())?;
        self.go_on_all();
        self.status_changed();
        Ok(Some(id))
    }

    /// The records that are left alone, because others bear their ids: of such, the one is right whose spec bears its name,
    /// or else whose pid file bears its pid. Where that tells nothing, none is.
    pub(super) fn records_to_leave(&self, records: &[(ProcessName, Meta)]) -> HashSet<ProcessName> {
        let mut by_id: HashMap<u32, Vec<&(ProcessName, Meta)>> = HashMap::new();
        for record in records {
            by_id.entry(record.1.id).or_default().push(record);
        }
        let mut left = HashSet::new();
        for (id, same) in by_id.into_iter().filter(|(_, same)| same.len() > 1) {
            let only = |is_right: &dyn Fn(&(ProcessName, Meta)) -> bool| {
                let mut right = same.iter().filter(|record| is_right(record));
                match (right.next(), right.next()) {
                    (Some(record), None) => Some(&record.0),
                    _ => None,
                }
            };
            let right = only(&|(name, _)| self.has_spec_of(name, id))
                .or_else(|| only(&|(name, meta)| self.has_pid_of(name, meta)));
            let others = same.iter().map(|(name, _)| name);
            left.extend(others.filter(|name| Some(*name) != right).cloned());
        }
        left
    }

    fn has_spec_of(&self, name: &ProcessName, id: u32) -> bool {
        let saved = self.writer.store().spec(name).ok().flatten();
        saved.is_some_and(|saved| saved.id == id && saved.name == *name)
    }

    fn has_pid_of(&self, name: &ProcessName, meta: &Meta) -> bool {
        let text = fs::read_to_string(self.writer.home().pid(name)).unwrap_or_default();
        meta.pid.is_some() && text.trim().parse().ok() == meta.pid
    }
}
