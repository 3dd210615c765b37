//! Instances, their ports, and what processes need of each other.

use std::path::Path;

use super::{Declared, Reader};
use crate::config::node::{Entry, Node, Value};
use crate::config::order;
use crate::config::scale::{MOST_INSTANCES, cores};
use crate::name::ProcessName;
use crate::selector::suggestion;
use crate::spec::{Condition, Dependency, LogTarget};

impl Declared {
    /// One for each instance; one that has none stays as it is.
    pub(super) fn instances(self) -> Vec<Self> {
        let Some(instance) = self.instance.clone() else {
            return vec![self];
        };
        let each = (0..instance.number).filter_map(|number| {
            let mut one = self.clone();
            one.name = self.name.instance(number).ok()?;
            if let Some(first) = instance.first_port {
                one.port = u16::try_from(u32::from(first) + number).ok();
            }
            let mut of_its_own = instance.clone();
            of_its_own.number = number;
            let file = |target: &Option<LogTarget>| match target {
                Some(LogTarget::File(path)) if !self.care.merge_logs => Some(path.clone()),
                _ => None,
            };
            of_its_own.out_file = file(&self.care.logs.out);
            of_its_own.err_file = file(&self.care.logs.err);
            of_its_own.own_files(&mut one.care.logs, number);
            // The number of the instance wins over a variable of that name.
            one.env.retain(|(name, _)| *name != instance.variable);
            one.env
                .push((instance.variable.clone(), number.to_string()));
            one.instance = Some(of_its_own);
            Some(one)
        });
        each.collect()
    }

    /// Its logs are in this directory, where nothing else is said of them.
    pub(super) fn log_into(&mut self, directory: &Path) {
        // Names that the file gives count first.
        let file = |end: &str| {
            let path = directory.join(format!("{}.{end}", self.name));
            LogTarget::File(path.as_os_str().into())
        };
        let logs = &mut self.care.logs;
        logs.out.get_or_insert_with(|| file("out"));
        logs.err.get_or_insert_with(|| file("err"));
    }
}

/// What `port` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortKey {
    This(u16),
    /// Each instance has one of its own, from this one on.
    From(u16),
    /// One that nobody has.
    Any,
}

impl PortKey {
    pub(super) fn number(self) -> Option<u16> {
        match self {
            Self::This(port) | Self::From(port) => Some(port),
            Self::Any => None,
        }
    }
}

impl Reader<'_> {
    /// How many instances: a number, or `max` for as many as there are cores.
    pub(super) fn instances(&mut self, node: &Node) -> Option<u32> {
        if matches!(&node.value, Value::Text(text) if text == "max") {
            return Some(cores());
        }
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            _ => self.text(node)?.trim().parse().ok(),
        };
        let fits = number.filter(|number| (1..=i64::from(MOST_INSTANCES)).contains(number));
        if fits.is_none() {
            let message = format!("a number from 1 to {MOST_INSTANCES}, or max, belongs here");
            self.mistake(node.at, message);
        }
        Some(fits? as u32)
    }

    /// A port: `4000`, `auto`, or the first of those that instances have, `4000+`.
    pub(super) fn port(&mut self, node: &Node, instances: Option<u32>) -> Option<PortKey> {
        let text = match node.value {
            Value::Text(_) => self.text(node)?,
            _ => String::new(),
        };
        if text == "auto" {
            return Some(PortKey::Any);
        }
        if let Some(first) = text.strip_suffix('+') {
            // The last instance needs a port as well.
            let last = instances.unwrap_or(1).saturating_sub(1);
            let first = first.trim().parse::<u16>().ok().filter(|first| *first > 0);
            let fits = first.filter(|first| u32::from(*first) + last <= 65_535);
            if fits.is_none() {
                let message = "a port and '+' belong here, such as 4000+, and the port of the last instance is at most 65535";
                self.mistake(node.at, message);
            }
            return fits.map(PortKey::From);
        }
        let port = self.number(node, 1, 65_535)? as u16;
        // Instances cannot share a port.
        if instances.is_some_and(|number| number > 1) {
            let message = format!(
                "each instance has a port of its own: write {port}+, and they get {port}, {} …, or auto",
                u32::from(port) + 1
            );
            self.mistake(node.at, message);
            return None;
        }
        Some(PortKey::This(port))
    }

    /// That instances which are to write into one file have one.
    pub(super) fn check_merged(&mut self, process: &Declared, keys: &[Entry]) {
        let logs = &process.care.logs;
        let is_file = |target: &Option<LogTarget>| matches!(target, Some(LogTarget::File(_)));
        if process.care.merge_logs && !is_file(&logs.out) && !is_file(&logs.err) {
            let entry = keys.iter().find(|entry| entry.key == "mergeLogs");
            let message = "'mergeLogs' is for a file that 'outFile', 'errFile' or 'logDir' names; in the home each instance has a log of its own, and `tsm logs NAME` merges them by time";
            self.mistake(entry.map_or(process.at, |entry| entry.at), message);
        }
    }

    /// What it needs: names, and names with conditions.
    pub(super) fn dependencies(&mut self, node: &Node) -> Vec<Dependency> {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut needs: Vec<Dependency> = Vec::new();
        for item in items {
            let Some(need) = self.dependency(item) else {
                continue;
            };
            if needs.iter().any(|known| known.name == need.name) {
                let message = format!("'{}' stands in 'dependsOn' twice", need.name);
                self.mistake(item.at, message);
            }
            needs.push(need);
        }
        needs
    }

    fn dependency(&mut self, item: &Node) -> Option<Dependency> {
        let Value::Map(entries) = &item.value else {
            let text = self.text(item)?;
            let name = self.parsed(item.at, text.parse::<ProcessName>())?;
            let condition = Condition::default();
            return Some(Dependency { name, condition });
        };
        let before = self.mistakes.len();
        let (mut name, mut condition) = (None, Condition::default());
        for entry in entries {
            let text = self.text(&entry.node).unwrap_or_default();
            match entry.key.as_str() {
                "name" => name = self.parsed(entry.node.at, text.parse::<ProcessName>()),
                "condition" => {
                    condition = self.parsed(entry.node.at, condition_of(&text))?;
                }
                other => {
                    let message = format!(
                        "unknown key '{other}'; what is needed is a name, or {{name: …, condition: {}}}",
                        Condition::WORDS.join("|")
                    );
                    self.mistake(entry.at, message);
                }
            }
        }
        if name.is_none() && self.mistakes.len() == before {
            self.mistake(item.at, "here is no 'name' of what is needed");
        }
        Some(Dependency {
            name: name?,
            condition,
        })
    }

    /// That what is needed is declared, and that the needs do not go round.
    /// `names` are all that stand in the file, those too of which something else is wrong.
    pub(super) fn check_needs(
        &mut self,
        declared: &[Declared],
        needs: &[Option<Entry>],
        names: &[String],
    ) {
        let place = |index: usize, name: &ProcessName| {
            let entry = needs[index].as_ref()?;
            let items = match &entry.node.value {
                Value::List(items) => items.as_slice(),
                _ => std::slice::from_ref(&entry.node),
            };
            items
                .iter()
                .find(|item| is_named(item, name))
                .map(|item| item.at)
        };
        for (index, process) in declared.iter().enumerate() {
            let at = |name: &ProcessName| place(index, name).unwrap_or(process.at);
            for need in &process.depends_on {
                let Some(needed) = declared.iter().find(|other| other.name == need.name) else {
                    if names.iter().any(|name| name == need.name.as_str()) {
                        continue;
                    }
                    let known = names.iter().map(String::as_str);
                    let meant = suggestion(need.name.as_str(), known)
                        .map(|name| format!("; did you mean '{name}'?"))
                        .unwrap_or_default();
                    let message = format!(
                        "'{}' depends on '{}', which is not declared here{meant}",
                        process.name, need.name
                    );
                    self.mistake(at(&need.name), message);
                    continue;
                };
                // What is kept running never completes, and the wait would never end.
                if need.condition == Condition::Completed && !needed.task {
                    let message = format!(
                        "'{}' waits until '{}' has completed, but that is kept running; give it `type: task`",
                        process.name, need.name
                    );
                    self.mistake(at(&need.name), message);
                }
            }
        }
        let needs_of = |index: usize| {
            let process: &Declared = &declared[index];
            let named = |name: &ProcessName| declared.iter().position(|other| other.name == *name);
            let needs = process.depends_on.iter().rev();
            needs.filter_map(|need| named(&need.name)).collect()
        };
        if let Some(circle) = order::circle(declared.len(), needs_of) {
            let names: Vec<&str> = circle.iter().map(|&i| declared[i].name.as_str()).collect();
            let at = place(circle[0], &declared[circle[1]].name).unwrap_or(declared[circle[0]].at);
            let message = format!("'dependsOn' goes round: {}", names.join(" → "));
            self.mistake(at, message);
        }
    }
}

fn condition_of(text: &str) -> crate::error::Result<Condition> {
    // As Docker Compose writes them, such as `service_completed_successfully`.
    let word = text.strip_prefix("service_");
    word.map_or(text, |word| word.trim_end_matches("_successfully"))
        .parse()
}

/// Whether this item of `dependsOn` names that process.
fn is_named(item: &Node, name: &ProcessName) -> bool {
    let text = match &item.value {
        Value::Map(entries) => entries
            .iter()
            .find(|entry| entry.key == "name")
            .map(|entry| &entry.node.value),
        other => Some(other),
    };
    matches!(text, Some(Value::Text(text)) if text == name.as_str())
}
