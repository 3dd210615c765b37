//! How the keys of a process are put together: defaults, what it extends, its own, and a profile over all of it.

use super::Reader;
use crate::config::keys::{self, Kind};
use crate::config::node::{Entry, Node, Place, Value};

impl Reader<'_> {
    /// The keys of the chosen profile. All of them are looked at: a mistake is one whether it is chosen or not.
    pub(super) fn chosen_profile(&mut self, root: &Node, profiles: Option<&Entry>) -> Vec<Entry> {
        let mut chosen = None;
        let mut names: Vec<&str> = Vec::new();
        if let Some(Value::Map(entries)) = profiles.map(|profiles| &profiles.node.value) {
            for entry in entries {
                // Those that are not chosen are read as well, so that mistakes in them are told.
                let keys = self.process_keys(&entry.node);
                names.push(&entry.key);
                if self.profile == Some(&entry.key) {
                    chosen = Some(keys);
                }
            }
        }
        let Some(wanted) = self.profile.filter(|_| chosen.is_none()) else {
            return chosen.unwrap_or_default();
        };
        // An `env_production` of any process makes `production` a profile as well.
        env_profiles(root, &mut names);
        if !names.contains(&wanted) {
            crate::sorted::sort(&mut names);
            names.dedup();
            let there = if names.is_empty() {
                "this file has none".to_owned()
            } else {
                format!("only {}", names.join(", "))
            };
            let at = profiles.map_or(root.at, |profiles| profiles.at);
            self.mistake(at, format!("there is no profile '{wanted}', {there}"));
        }
        Vec::new()
    }

    /// Merges what a process extends, and then its own keys, into `merged`.
    pub(super) fn inherit(
        &mut self,
        all: &[(Place, Vec<Entry>)],
        index: usize,
        chain: &mut Vec<usize>,
        merged: &mut Vec<Entry>,
    ) {
        let name_of = |index: usize| {
            let named = all[index].1.iter().find(|entry| entry.key == "name");
            named.map_or("?", |entry| match &entry.node.value {
                Value::Text(name) => name.as_str(),
                _ => "?",
            })
        };
        let (_, own) = &all[index];
        chain.push(index);
        let extends = own.iter().find(|entry| entry.key == "extends");
        if let Some(entry) = extends
            && let Value::Text(base) = &entry.node.value
        {
            match (0..all.len()).find(|&other| name_of(other) == base) {
                // A circle is reported once, from its first process on.
                Some(base) if chain.contains(&base) && chain.iter().any(|&i| i < chain[0]) => {}
                Some(base) if chain.contains(&base) && chain[0] != base => {}
                Some(base) if chain.contains(&base) => {
                    let circle: Vec<&str> =
                        chain.iter().chain([&base]).map(|&i| name_of(i)).collect();
                    let message = format!("'extends' goes round: {}", circle.join(" → "));
                    self.mistake(entry.at, message);
                }
                Some(base) => self.inherit(all, base, chain, merged),
                None => self.mistake(entry.node.at, format!("there is no process '{base}' here")),
            }
        }
        // Another process may extend the same one without that being a circle.
        chain.pop();
        merge(merged, own);
    }
}

/// The profiles that processes and defaults name by `env_NAME`.
fn env_profiles<'n>(node: &'n Node, names: &mut Vec<&'n str>) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                names.extend(entry.key.strip_prefix("env_"));
                env_profiles(&entry.node, names);
            }
        }
        Value::List(items) => items.iter().for_each(|item| env_profiles(item, names)),
        _ => {}
    }
}

/// Puts the entries of `over` over those of `base`: maps key by key, everything else as a whole.
pub(super) fn merge(base: &mut Vec<Entry>, over: &[Entry]) {
    for entry in over {
        let Some(known) = base.iter_mut().find(|known| known.key == entry.key) else {
            base.push(entry.clone());
            continue;
        };
        match (&mut known.node.value, &entry.node.value) {
            // Maps are merged key by key, all else is replaced as a whole.
            (Value::Map(below), Value::Map(above)) => merge(below, above),
            _ => *known = entry.clone(),
        }
    }
}

/// Gives the keys of a map, and of those in it, their own names: what defaults call otherwise is the same key all the same.
pub(super) fn canonical(kind: Kind, node: &mut Node) {
    let (Kind::Map(table) | Kind::OrMap(_, table)) = kind else {
        return;
    };
    let Value::Map(entries) = &mut node.value else {
        return;
    };
    for entry in entries {
        // An unknown key is reported as it was written.
        if let Some(key) = keys::find(table, &entry.key) {
            key.name.clone_into(&mut entry.key);
            canonical(key.kind, &mut entry.node);
        }
    }
}
