//! Mending for `doctor --fix`: what this supervisor knows counts more than what the files say.

use std::collections::HashMap;

use crate::doctor::mend;
use crate::error::Result;
use crate::meta::Meta;
use crate::name::ProcessName;
use crate::supervise::supervisor::Supervisor;

impl Supervisor {
    /// Mends the files of the home, and takes over records that are new by that.
    pub(super) fn mend(&mut self) -> Result<Vec<String>> {
        let by_name: HashMap<&ProcessName, &Meta> = self
            .services
            .values()
            .map(|service| (&service.name, &service.meta))
            .collect();
        // The memory of the supervisor is newer than any file.
        let known = |name: &ProcessName| by_name.get(name).map(|meta| (*meta).clone());
        let done = mend::all(&self.writer, &known)?;
        let (records, _) = self.writer.store().records()?;
        for (name, _) in records {
            if let Err(error) = self.adopt_appeared(&name) {
                self.log.say(error);
            }
        }
        for what in &done {
            self.log.say(format_args!("mended: {what}"));
        }
        self.status_changed();
        Ok(done)
    }
}
