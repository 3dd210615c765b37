//! What the command looks up itself before it asks, since it may take long: the supervisor is told, and decides.

use super::Client;
use crate::control::protocol::{Outcome, TakenPort};
use crate::error::Result;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::probe::PortHolder;
use crate::selector::Selector;
use crate::spec::DEFAULT_NAMESPACE;
use crate::store::ProcessStore;

/// The declared ports of those of these processes that do not run.
pub(super) fn ports_to_start(selected: &[(ProcessName, Meta)]) -> Vec<u16> {
    let down = selected.iter().filter(|(_, meta)| meta.pid.is_none());
    down.filter_map(|(_, meta)| meta.port).collect()
}

/// Those that a supervisor had begun to delete when it died, and that were gone when the next one was asked: they are deleted.
pub(super) fn add_deleted(
    outcomes: &mut Vec<Outcome>,
    accepted: &[ProcessName],
    selected: &[(ProcessName, Meta)],
) {
    for (name, meta) in selected.iter().filter(|(name, _)| accepted.contains(name)) {
        if !outcomes.iter().any(|outcome| outcome.name == *name) {
            outcomes.push(Outcome {
                id: meta.id,
                name: name.clone(),
                pid: None,
                note: None,
                error: None,
            });
        }
    }
    crate::sorted::by_key(&mut *outcomes, |outcome| outcome.id);
}

impl Client {
    /// The records that these selectors mean.
    pub(super) fn selected(&self, selectors: &[String]) -> Result<Vec<(ProcessName, Meta)>> {
        let selectors: Vec<Selector> = selectors
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_>>()?;
        let (mut records, _) = ProcessStore::new(self.home.clone()).records()?;
        records.retain(|(name, meta)| {
            let namespace = meta.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
            let mut selectors = selectors.iter();
            selectors.any(|s| s.selects(meta.id, name.as_str(), namespace))
        });
        Ok(records)
    }

    /// Who listens on these ports: looked up here, since it may take a look at all processes, and told to the supervisor,
    /// which decides.
    pub(super) fn taken_ports(&self, ports: &[u16]) -> Result<Vec<TakenPort>> {
        let holders = PortHolder::find(ports, &ProcessStore::new(self.home.clone()))?;
        let taken = |holder: PortHolder| TakenPort {
            port: holder.port,
            id: holder.known_as.as_ref().map(|(id, _)| *id),
            holder: holder.to_string(),
        };
        Ok(holders.into_iter().map(taken).collect())
    }
}
