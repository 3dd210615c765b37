//! Instances: `start --instances`, `scale`, and restarts that go through them one by one.

use std::collections::BTreeMap;

use serde_json::json;
use tsm_core::config::{self, Count};
use tsm_core::control::{self, ApplyItem, ApplyThen, StartRequest};
use tsm_core::env::{EnvUpdate, Snapshot};
use tsm_core::error::Error;
use tsm_core::name::ProcessName;
use tsm_core::selector::{Selector, names_it, suggestion};
use tsm_core::spec::{DEFAULT_NAMESPACE, INSTANCE_VARIABLE, Instance, ProcessSpec};

use super::{apply, waiting};
use crate::app::{Context, Failure, Outcome};
use crate::args::{ScaleArgs, WaitArgs};
use crate::output::{self, complain};

/// `scale NAME N`.
pub(crate) fn run(context: &Context, args: &ScaleArgs) -> Outcome {
    let store = context.store();
    let names = if context.home.exists() {
        store.names()?
    } else {
        Vec::new()
    };
    let name = args.name.as_str();
    let mut there: Vec<(ProcessName, ProcessSpec)> = Vec::new();
    for own in names.iter().filter(|own| names_it(name, own.as_str())) {
        let spec = store.spec(own)?.map(|saved| saved.spec);
        there.extend(spec.map(|spec| (own.clone(), spec)));
    }
    if there.is_empty() {
        let known = names
            .iter()
            .map(|own| own.of_instance().map_or(own.as_str(), |(whole, _)| whole));
        return Err(Error::NoSuchProcess {
            selector: name.to_owned(),
            suggestion: suggestion(name, known),
        }
        .into());
    }
    let items = config::scale(name, &there, args.count)?;
    // New instances get the environment of the first.
    let first = there
        .iter()
        .filter(|(_, spec)| spec.instance.is_some())
        .min_by_key(|(_, spec)| spec.instance.as_ref().map(|instance| instance.number));
    let model = match first {
        Some((own, _)) => Snapshot {
            environment: store.environment(own)?,
            shell: store.shell(own)?,
        },
        None => Snapshot::default(),
    };
    let steps: Vec<(ProcessName, &'static str)> = items
        .iter()
        .map(|item| {
            let word = match item.then {
                ApplyThen::Delete => "stopped (one too many; its logs are kept)",
                _ => "started",
            };
            (item.name.clone(), word)
        })
        .collect();
    if steps.is_empty() && !args.json {
        context.output.remark(format_args!(
            "'{name}' has as many instances as that already"
        ));
    }
    let outcomes = apply::ask(context, items, &model, args.wait.ms())?;
    tell(context, args.json, args.wait, &steps, &outcomes)
}

/// `start --instances N`: the request once for each.
pub(crate) fn start(
    context: &Context,
    request: &StartRequest,
    count: Count,
    update: &EnvUpdate,
    shell: &Snapshot,
    (json, wait): (bool, WaitArgs),
) -> Outcome {
    let name = request.name.as_ref().unwrap_or(&request.suggested);
    if context.home.exists() {
        let (records, _) = context.store().records()?;
        let known = records
            .iter()
            .find(|(own, _)| names_it(name.as_str(), own.as_str()));
        if let Some((own, meta)) = known {
            return Err(Error::AlreadyThere {
                name: own.to_string(),
                id: meta.id,
                state: meta
                    .state
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string),
                remedy: format!(
                    "'tsm scale {name} N' changes how many there are, another --name starts others"
                ),
            }
            .into());
        }
    }
    let variable = INSTANCE_VARIABLE.to_owned();
    let of = Instance::first(&request.spec, variable, request.spec.port);
    let mut items = Vec::new();
    for number in 0..count.of(0)? {
        let (name, spec) = config::instance(name.as_str(), &request.spec, &of, number)?;
        let mut update = update.clone();
        let own = config::number_of(&of, number, tsm_core::env::Origin::Option);
        update.set.extend(own.set);
        items.push(ApplyItem {
            name,
            spec: Some(Box::new(spec)),
            update,
            then: ApplyThen::Start,
            any_port: request.any_port,
        });
    }
    let steps: Vec<(ProcessName, &'static str)> = items
        .iter()
        .map(|item| (item.name.clone(), "started"))
        .collect();
    let outcomes = apply::ask(context, items, shell, wait.ms())?;
    tell(context, json, wait, &steps, &outcomes)
}

fn tell(
    context: &Context,
    json: bool,
    wait: WaitArgs,
    steps: &[(ProcessName, &'static str)],
    outcomes: &[control::Outcome],
) -> Outcome {
    if json {
        let documents: Vec<_> = outcomes
            .iter()
            .map(|outcome| {
                let error = outcome.error.as_ref().map(|error| error.message.as_str());
                json!({ "name": outcome.name, "id": outcome.id, "pid": outcome.pid, "error": error })
            })
            .collect();
        output::json(&documents)?;
    }
    let mut worst = None;
    for (name, word) in steps {
        let outcome = outcomes.iter().find(|outcome| outcome.name == *name);
        if let Some(error) = outcome.and_then(|outcome| outcome.error.as_ref()) {
            complain(&error.message);
            if wait.ms().is_some() {
                waiting::last_lines(context, name);
            }
            worst.get_or_insert(error.kind);
        } else if !json {
            context.output.fact(format_args!("{name}  {word}"))?;
        }
    }
    worst.map_or(Ok(()), |kind| Err(Failure::Told(kind)))
}

/// What a restart does one by one: the instances of each process that has several, by their numbers; what else is meant
/// comes first, at once. `None` where there are no instances among it.
pub(crate) fn one_by_one(
    context: &Context,
    selectors: &[String],
) -> Result<Option<Vec<Vec<String>>>, Error> {
    if !context.home.exists() {
        return Ok(None);
    }
    let selectors: Vec<Selector> = selectors
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let (records, _) = context.store().records()?;
    let mut whole: Vec<String> = Vec::new();
    let mut instances: BTreeMap<&str, Vec<(u32, String)>> = BTreeMap::new();
    for (name, meta) in &records {
        let namespace = meta.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let is_meant = |s: &Selector| s.selects(meta.id, name.as_str(), namespace);
        if !selectors.iter().any(is_meant) {
            continue;
        }
        match name.of_instance() {
            Some((base, number)) => instances
                .entry(base)
                .or_default()
                .push((number, name.to_string())),
            None => whole.push(name.to_string()),
        }
    }
    // The supervisor reports a selector that means nothing.
    let means_nothing = |s: &Selector| {
        !s.may_be_empty()
            && records.iter().all(|(name, meta)| {
                let namespace = meta.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
                !s.selects(meta.id, name.as_str(), namespace)
            })
    };
    if instances.values().all(|those| those.len() < 2) || selectors.iter().any(means_nothing) {
        return Ok(None);
    }
    let mut rounds: Vec<Vec<String>> = Vec::new();
    if !whole.is_empty() {
        rounds.push(whole);
    }
    for mut those in instances.into_values() {
        those.sort_unstable();
        rounds.extend(those.into_iter().map(|(_, name)| vec![name]));
    }
    Ok(Some(rounds))
}
