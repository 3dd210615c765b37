//! `tsm schema`: what the documents that `--json` prints look like, as JSON Schema.
//!
//! What stands there is a promise: keys are added, never taken away or given another meaning. The end-to-end tests check
//! real documents against these files, with nothing in them that is not described.

use tsm_core::error::Error;
use tsm_core::selector::suggestion;

use crate::app::{Context, Outcome};
use crate::output::Output;

/// A document: its name, what prints it, and its schema.
type Document = (&'static str, &'static str, &'static str);

macro_rules! documents {
    ($($name:literal: $printed_by:literal,)*) => {
        &[$(($name, $printed_by, include_str!(concat!("../../schemas/", $name, ".json"))),)*]
    };
}

/// All documents. The name is that of the command where one prints it.
const DOCUMENTS: &[Document] = documents! {
    "list": "tsm list --json",
    "info": "tsm info NAME --json",
    "logs": "tsm logs --json, an object a line",
    "log-files": "tsm logs --where --json",
    "ports": "tsm ports --json",
    "why": "tsm why NAME --json",
    "history": "tsm history NAME --json",
    "doctor": "tsm doctor --json",
    "env-show": "tsm env show NAME --json",
    "env-diff": "tsm env diff NAME --json",
    "outcomes": "tsm start, stop, kill, restart, delete, signal, reload, reset, rotate, flush, reopen, import, resurrect -d --json",
    "apply": "tsm start -c FILE --json",
    "apply-plan": "tsm start -c FILE --dry-run --json",
    "scale": "tsm scale NAME N --json, tsm start --instances N --json",
    "save": "tsm save --json",
    "resurrect-plan": "tsm resurrect --dry-run --json, tsm import --dry-run --json",
    "config-check": "tsm config check --json",
    "supervisor-status": "tsm supervisor status --json",
    "status": "status.json of the home",
};

/// The names of all documents.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    DOCUMENTS.iter().map(|(name, ..)| *name)
}

/// The schema of one document, or what there is.
pub(crate) fn run(context: &Context, document: Option<&str>) -> Outcome {
    let Some(document) = document else {
        for (name, printed_by, _) in DOCUMENTS {
            context
                .output
                .fact(format_args!("{name:<18} {printed_by}"))?;
        }
        return Ok(());
    };
    if let Some(schema) = schema(document) {
        return Ok(Output::raw(schema.as_bytes())?);
    }
    let reason = match suggestion(document, names()) {
        Some(near) => format!("there is none of '{document}'; did you mean '{near}'?"),
        None => format!("there is none of '{document}'; 'tsm schema' lists what there is"),
    };
    Err(Error::bad_value("schema", reason).into())
}

/// By its name, or that of a command that prints it.
fn schema(document: &str) -> Option<&'static str> {
    const OF_OUTCOMES: &[&str] = &[
        "start",
        "stop",
        "kill",
        "restart",
        "delete",
        "signal",
        "reload",
        "reset",
        "rotate",
        "flush",
        "reopen",
        "resurrect",
        "import",
    ];
    let document = if OF_OUTCOMES.contains(&document) {
        "outcomes"
    } else {
        document
    };
    let mut all = DOCUMENTS.iter();
    all.find(|(name, ..)| *name == document)
        .map(|(.., schema)| *schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_a_document_of_its_own_and_describes_each_key() {
        for (name, _, schema) in DOCUMENTS {
            let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
            assert!(schema["title"].is_string(), "{name}");
            assert_eq!(
                schema["$schema"],
                "https://json-schema.org/draft/2020-12/schema"
            );
        }
        assert!(schema("stop").is_some() && schema("nonsense").is_none());
    }

    #[test]
    fn every_command_that_prints_json_has_one() {
        let mut without = Vec::new();
        look(&crate::args::whole(), "", &mut without);
        assert!(without.is_empty(), "{without:?}");
    }

    fn look(command: &clap::Command, path: &str, without: &mut Vec<String>) {
        for sub in command.get_subcommands() {
            let path = format!("{path}{}", sub.get_name());
            let prints_json = sub
                .get_arguments()
                .any(|arg| arg.get_long() == Some("json"));
            if prints_json && schema(&path).is_none() {
                without.push(path.clone());
            }
            look(sub, &format!("{path}-"), without);
        }
    }
}
