//! From the tree of a config file to declared processes: defaults, `extends`, profiles and variables put together, every
//! key and value checked, and every mistake told with its place.

mod care;
mod checks;
mod known;
mod merging;
mod needs;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use care::Care;
use merging::merge;
use needs::PortKey;

use super::keys::{self, TOP};
use super::mistake::Mistake;
use super::node::{Entry, Language, Node, Place, Value};
use crate::error::{Error, IoContext as _, Result};
use crate::name::ProcessName;
use crate::spec::{Dependency, INSTANCE_VARIABLE, Instance, RestartPolicy};
use crate::sys::Signal;

/// The files that are looked for where none is named, in this order.
pub const DEFAULT_FILES: [&str; 5] = [
    "tspm.yaml",
    "tspm.yml",
    "tspm.json",
    "tspm.jsonc",
    "tsm.toml",
];

/// What `type` may say.
const TYPES: [&str; 3] = ["service", "task", "daemon"];

/// A config file that was read and holds no mistake.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// What it declares, in the order of the file; instances one by one.
    pub processes: Vec<Declared>,
    /// What stands in it.
    text: String,
}

impl Config {
    /// A mistake in it.
    pub(super) fn mistake(&self, at: Place, message: impl Into<String>) -> Mistake {
        Mistake::new(&self.text, at, message)
    }
}

/// One declared process.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Its name.
    pub name: ProcessName,
    /// Where it stands in the file.
    pub at: Place,
    /// A path, a program, or a command line.
    pub script: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What executes the script.
    pub interpreter: Option<String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Variables on top of the environment of the command.
    pub env: Vec<(String, String)>,
    /// Files of variables, read before `env`.
    pub env_files: Vec<PathBuf>,
    /// The port.
    pub port: Option<u16>,
    /// Any port will do that nobody has.
    pub any_port: bool,
    /// The namespace.
    pub namespace: Option<String>,
    /// When it is started again by itself.
    pub restart: RestartPolicy,
    /// After how many restarts in a row it is given up.
    pub max_restarts: Option<u32>,
    /// The signal that asks it to end.
    pub stop_signal: Option<Signal>,
    /// How long a stop waits before SIGKILL.
    pub stop_timeout: Option<Duration>,
    /// The user that it runs as.
    pub user: Option<String>,
    /// A task: it runs once, and has to end with 0.
    pub task: bool,
    /// What has to be true of others before it is started.
    pub depends_on: Vec<Dependency>,
    /// What else is said of it.
    pub care: Care,
    /// Which instance it is, where it is one of several.
    pub instance: Option<Instance>,
    /// The directory of the file, where its script is looked for first.
    pub directory: PathBuf,
}

impl Config {
    /// Reads a file. `variable` gives what `${VAR}` stands for; `profile` chooses among `profiles` and `env_NAME`.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read, [`Error::Config`] with every mistake in it.
    pub fn load(
        path: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
        profile: Option<&str>,
    ) -> Result<Self> {
        let language = Language::of(path).ok_or_else(|| {
            let reason = format!(
                "{} is none of .yaml, .yml, .json, .jsonc, .toml",
                path.display()
            );
            Error::bad_value("config file", reason)
        })?;
        let text = std::fs::read_to_string(path).at("read", path)?;
        // Relative paths in the file count from the file, wherever the command runs.
        let absolute = std::path::absolute(path).at("find", path)?;
        let directory = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        let mut reader = Reader {
            text: &text,
            variable,
            profile,
            directory,
            mistakes: Vec::new(),
        };
        let processes = match language.read(&text) {
            Ok(root) => reader.root(&root),
            Err(unreadable) => {
                reader.mistake(unreadable.at, unreadable.reason);
                Vec::new()
            }
        };
        // All mistakes of the file at once: nobody should have to run it again for each of them.
        if reader.mistakes.is_empty() {
            return Ok(Self {
                path: path.to_owned(),
                processes,
                text,
            });
        }
        let mut mistakes = reader.mistakes;
        crate::sorted::by_key(&mut mistakes, |mistake| mistake.at);
        // A mistake in the defaults turns up in each process that has them.
        mistakes.dedup();
        Err(Error::Config {
            path: path.to_owned(),
            mistakes,
        })
    }
}

struct Reader<'a> {
    text: &'a str,
    variable: &'a dyn Fn(&str) -> Option<String>,
    profile: Option<&'a str>,
    directory: PathBuf,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn mistake(&mut self, at: Place, message: impl Into<String>) {
        self.mistakes.push(Mistake::new(self.text, at, message));
    }

    fn root(&mut self, root: &Node) -> Vec<Declared> {
        let top = self.known(root, TOP, "");
        let get = |name: &str| {
            top.iter()
                .find(|(key, _)| key.name == name)
                .map(|(_, e)| *e)
        };
        let Some(processes) = get("processes") else {
            if self.mistakes.is_empty() {
                self.mistake(root.at, "there is no `processes`; it lists what is to run");
            }
            return Vec::new();
        };
        let defaults = get("defaults").map(|entry| self.process_keys(&entry.node));
        let defaults = defaults.unwrap_or_default();
        let profile = self.chosen_profile(root, get("profiles"));
        let namespace = get("namespace").and_then(|entry| self.text(&entry.node));
        let log_dir = get("logDir").and_then(|entry| self.text(&entry.node));
        let webhooks = get("webhooks").map_or_else(Vec::new, |entry| self.notices(&entry.node));
        let Value::List(items) = &processes.node.value else {
            return Vec::new();
        };
        let own: Vec<(Place, Vec<Entry>)> = items
            .iter()
            .map(|item| (item.at, self.process_keys(item)))
            .collect();
        let mut declared: Vec<Declared> = Vec::new();
        let mut needs = Vec::new();
        for (index, (at, _)) in own.iter().enumerate() {
            let mut merged = defaults.clone();
            // Defaults first, then what is extended, then its own keys, and the profile over all:
            // the later one wins.
            self.inherit(&own, index, &mut Vec::new(), &mut merged);
            merge(&mut merged, &profile);
            let Some(mut process) = self.declare(*at, &merged, namespace.as_deref()) else {
                continue;
            };
            process.care.notify.extend(webhooks.iter().cloned());
            if let Some(log_dir) = &log_dir {
                process.log_into(&plain(&self.directory.join(log_dir)));
            }
            self.check_merged(&process, &merged);
            if let Some(first) = declared.iter().find(|known| known.name == process.name) {
                let message = format!(
                    "'{}' is declared twice; the first stands in line {}",
                    process.name, first.at.line
                );
                self.mistake(*at, message);
            }
            needs.push(merged.into_iter().find(|entry| entry.key == "dependsOn"));
            declared.push(process);
        }
        // All names that the file gives, including those of processes with mistakes.
        let names: Vec<String> = (own.iter())
            .filter_map(|(_, keys)| keys.iter().find(|entry| entry.key == "name"))
            .filter_map(|entry| self.text(&entry.node))
            .collect();
        self.check_needs(&declared, &needs, &names);
        // Last, since `dependsOn` speaks of the process as a whole and not of its instances.
        declared.into_iter().flat_map(Declared::instances).collect()
    }

    /// A process as it is declared, not yet one for each instance.
    fn declare(&mut self, at: Place, keys: &[Entry], namespace: Option<&str>) -> Option<Declared> {
        let before = self.mistakes.len();
        let get = |name: &str| keys.iter().find(|entry| entry.key == name);
        let mut text = |name: &str| {
            let entry = get(name)?;
            self.text(&entry.node).map(|text| (entry.node.at, text))
        };
        let (name, script) = (text("name"), text("script"));
        let interpreter = text("interpreter");
        let cwd = text("cwd");
        let own_namespace = text("namespace");
        let user = text("user");
        let stop_signal = text("stopSignal");
        let restart = text("restart");
        let kind = text("type");
        let variable = text("instanceVar").map(|(_, name)| name);
        let name = if let Some((at, name)) = name {
            self.parsed(at, name.parse::<ProcessName>())
        } else {
            self.missing(at, before, "name");
            None
        };
        if script.is_none() {
            self.missing(at, before, "script");
        }
        if let Some((at, namespace)) = &own_namespace {
            self.parsed(*at, namespace.parse::<ProcessName>());
        }
        if let Some((at, kind)) = kind
            .as_ref()
            .filter(|(_, kind)| !TYPES.contains(&kind.as_str()))
        {
            self.mistake(*at, format!("'{kind}' is none of {}", TYPES.join(", ")));
        }
        let is_kind = |word: &str| kind.as_ref().is_some_and(|(_, kind)| kind == word);
        let (task, daemon) = (is_kind("task"), is_kind("daemon"));
        let restart = self.restart_policy(restart, get("autorestart"));
        let stop_signal = match stop_signal {
            Some((at, signal)) => self.parsed(at, signal.parse::<Signal>()),
            None => None,
        };
        let instances = get("instances").and_then(|entry| self.instances(&entry.node));
        let port = get("port").and_then(|entry| self.port(&entry.node, instances));
        let max_restarts =
            get("maxRestarts").and_then(|entry| self.number(&entry.node, 0, i64::from(u32::MAX)));
        let stop_timeout = get("killTimeout").and_then(|entry| self.duration(&entry.node));
        let args = get("args").map(|entry| self.words(&entry.node));
        let care = self.care(keys, port.is_some(), daemon, instances);
        let depends_on = get("dependsOn").map(|entry| self.dependencies(&entry.node));
        let env = get("env").map(|entry| self.variables(&entry.node));
        let env_files = get("envFile").map(|entry| self.texts(&entry.node));
        if self.mistakes.len() > before {
            return None;
        }
        Some(Declared {
            name: name?,
            at,
            script: script?.1,
            args: args.unwrap_or_default(),
            interpreter: interpreter.map(|(_, text)| text),
            cwd: match cwd {
                Some((_, cwd)) => plain(&self.directory.join(cwd)),
                None => self.directory.clone(),
            },
            env: env.unwrap_or_default(),
            env_files: env_files
                .unwrap_or_default()
                .iter()
                .map(|file| plain(&self.directory.join(file)))
                .collect(),
            port: port.and_then(PortKey::number),
            any_port: port == Some(PortKey::Any),
            namespace: own_namespace
                .map(|(_, text)| text)
                .or_else(|| namespace.map(str::to_owned)),
            // A task that failed is for a person to look at, unless the file says otherwise.
            restart: restart.unwrap_or(if task {
                RestartPolicy::No
            } else {
                RestartPolicy::default()
            }),
            max_restarts: max_restarts.map(|number| number as u32),
            stop_signal,
            stop_timeout,
            user: user.map(|(_, text)| text),
            task,
            care,
            depends_on: depends_on.unwrap_or_default(),
            // The number is how many there are to be; later each instance has its own.
            instance: instances.map(|number| Instance {
                first_port: match port {
                    Some(PortKey::From(first)) => Some(first),
                    _ => None,
                },
                ..Instance::new(number, variable.as_deref().unwrap_or(INSTANCE_VARIABLE))
            }),
            directory: self.directory.clone(),
        })
    }

    fn restart_policy(
        &mut self,
        restart: Option<(Place, String)>,
        autorestart: Option<&Entry>,
    ) -> Option<RestartPolicy> {
        let restart =
            restart.and_then(|(at, policy)| self.parsed(at, policy.parse::<RestartPolicy>()));
        let autorestart = autorestart.and_then(|entry| self.boolean(&entry.node));
        // `restart` says it more exactly than `autorestart`, and counts first.
        restart.or(autorestart.map(|always| {
            if always {
                RestartPolicy::Always
            } else {
                RestartPolicy::No
            }
        }))
    }

    fn missing(&mut self, at: Place, before: usize, key: &str) {
        // Where the key's value is wrong, that has been reported already.
        if self.mistakes.len() == before {
            self.mistake(at, format!("this process has no '{key}'"));
        }
    }
}

/// A path without `.` parts.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod every_key;
#[cfg(test)]
mod tests;
