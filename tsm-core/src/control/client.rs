//! The client's side: what a program can ask of the supervisor of a home, and what it is told.

mod conversation;
mod healing;
mod lookups;
mod reaching;
mod shells;
mod silence;
mod supervising;
mod unit;
mod vanished;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::protocol::{
    ActOptions, ActRequest, ApplyItem, ApplyRequest, ApplyThen, Body, Outcome, Reply,
    ReportedError, ResurrectRequest, SavedCounts, StartRequest, Verb,
};
use crate::env::{EnvUpdate, Snapshot};
use crate::error::{Error, ErrorKind, Result};
use crate::home::Home;
use crate::meta::State;
use crate::name::ProcessName;
use crate::persist;
use crate::store::ProcessStore;

/// How long a supervisor may take until it says that it understood: longer than a guardian's longest pause between two.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take to say how it is: who asks for that does not want to wait.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reader waits for what the supervisor knows besides.
const SAMPLES_TIMEOUT: Duration = Duration::from_millis(200);
/// How often a request is repeated to a new supervisor when the one before died with it.
const ATTEMPTS: u32 = 20;

/// How a supervisor is started where there is none.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// A program that calls [`crate::supervise::guard`] when it is executed with `arguments`: `tsm`, or your own.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The environment that the supervisor itself gets; services never see it. Nothing secret: where the supervisor is put into a unit of
    /// the user's own systemd, which is that of `XDG_RUNTIME_DIR`, it stands in a command line for a moment.
    pub environment: Vec<(OsString, OsString)>,
}

impl Launcher {
    /// The command line program `tsm` starts it, such as `/usr/bin/tsm`; a name without `/` is looked for on the PATH of this process. The
    /// supervisor gets no variables, unless some are put into [`environment`](Self::environment).
    ///
    /// ```
    /// use tsm_core::control::Launcher;
    /// use tsm_core::home::Home;
    ///
    /// let launcher = Launcher::tsm("/usr/bin/tsm", &Home::at("/srv/services"));
    /// assert_eq!(launcher.arguments, ["supervisor", "guard", "--home", "/srv/services"]);
    /// ```
    pub fn tsm(program: impl Into<PathBuf>, home: &Home) -> Self {
        Self {
            program: program.into(),
            arguments: vec![
                "supervisor".into(),
                "guard".into(),
                "--home".into(),
                home.root().into(),
            ],
            environment: Vec::new(),
        }
    }
}

/// Talks to the supervisor of one home.
#[derive(Debug)]
pub struct Client {
    home: Home,
    launcher: Launcher,
    by: String,
}

impl Client {
    /// A client. `by` says in the history who asked, such as "mr from `tsm stop` on pts/3".
    ///
    /// ```
    /// use tsm_core::control::{Client, Launcher};
    /// use tsm_core::home::Home;
    ///
    /// // The program that a supervisor is started with, where none runs: `tsm`, or one that calls `supervise::guard`.
    /// let home = Home::at("/srv/services");
    /// let launcher = Launcher::tsm("/usr/bin/tsm", &home);
    /// let client = Client::new(home, launcher, "my program");
    /// // Asking how it is starts none.
    /// assert!(client.status()?.is_none());
    /// # Ok::<(), tsm_core::error::Error>(())
    /// ```
    pub fn new(home: Home, launcher: Launcher, by: impl Into<String>) -> Self {
        Self {
            home,
            launcher,
            by: by.into(),
        }
    }

    /// The home.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Starts something new with this snapshot and waits until it is executed, or ready where the request says so.
    ///
    /// # Errors
    /// [`Error::Awaited`] where it was not ready in time or ended before, [`Error::Reported`] with the supervisor's words (kind: already
    /// there, failed …), [`Error::Unreachable`].
    ///
    /// ```no_run
    /// use tsm_core::control::StartRequest;
    /// use tsm_core::env::Environment;
    /// use tsm_core::launch::{Typed, resolve};
    /// use tsm_core::spec::ProcessSpec;
    ///
    /// # use tsm_core::control::{Client, Launcher};
    /// # use tsm_core::home::Home;
    /// # let launcher = Launcher { program: "tsm".into(), arguments: vec![], environment: vec![] };
    /// # let client = Client::new(Home::at("/tmp/nobodys-home"), launcher, "an example");
    /// let typed = Typed {
    ///     target: "python3 -m http.server 8000".as_ref(),
    ///     args: &[],
    ///     cwd: "/srv".as_ref(),
    ///     path: Some("/usr/bin:/bin".as_ref()),
    ///     interpreter: None,
    ///     shell: None,
    /// };
    /// let resolved = resolve(typed)?;
    /// let spec = ProcessSpec::new("python3 -m http.server 8000", resolved.program, "/srv");
    /// let mut request = StartRequest::new(resolved.name, spec);
    /// request.wait_ms = Some(20_000);
    /// let environment = Environment::from_os([("PATH".into(), "/usr/bin:/bin".into())]);
    /// let (started, _) = client.start(request, &environment.into())?;
    /// println!("{} runs as {:?}", started.name, started.pid);
    /// # Ok::<(), tsm_core::error::Error>(())
    /// ```
    pub fn start(
        &self,
        mut request: StartRequest,
        snapshot: &Snapshot,
    ) -> Result<(Outcome, Vec<String>)> {
        let (mut first, mut accepted) = (None, None);
        let wait_ms = request.wait_ms;
        let ports: Vec<u16> = request.spec.port.into_iter().collect();
        // Looked up by the command, since it may take a look at all processes of the machine.
        request.taken_ports = self.taken_ports(&ports)?;
        let (blob, shell_bytes) = snapshot.to_bytes();
        request.shell_bytes = shell_bytes;
        let body = Body::Start(Box::new(request));
        let asked = self.ask_within(wait_ms, &body, &blob, |reply| match reply {
            Reply::Outcome(outcome) => first = Some(outcome),
            Reply::Accepted { names } => accepted = names.into_iter().next(),
            _ => {}
        });
        let notices = match (asked, accepted) {
            // The supervisor goes on with it; only this command stops waiting.
            (Err(Error::TimedOut { .. }), Some(name)) => {
                let late = self.too_late(name, wait_ms);
                let message = late.error.map_or_else(String::new, |error| error.message);
                return Err(Error::Awaited {
                    kind: ErrorKind::TimedOut,
                    name: late.name,
                    message,
                });
            }
            (asked, _) => asked?,
        };
        match first {
            Some(Outcome {
                error: Some(error),
                name,
                ..
            }) if wait_ms.is_some() => Err(Error::Awaited {
                kind: error.kind,
                name,
                message: error.message,
            }),
            Some(Outcome {
                error: Some(error), ..
            }) => Err(error.into()),
            Some(outcome) => Ok((outcome, notices)),
            None => Err(self.unreachable("answered without an outcome; it is of another version")),
        }
    }

    /// Does something with the processes that `selectors` mean, and waits until each is settled; `settled` sees each
    /// outcome as it comes, and before that the names of all.
    ///
    /// # Errors
    /// [`Error::Reported`] where nothing was done at all, [`Error::Unreachable`]. What went wrong with single processes
    /// stands in their outcomes.
    ///
    /// ```no_run
    /// use tsm_core::control::{ActOptions, Verb};
    ///
    /// # use tsm_core::control::{Client, Launcher};
    /// # use tsm_core::home::Home;
    /// # let launcher = Launcher { program: "tsm".into(), arguments: vec![], environment: vec![] };
    /// # let client = Client::new(Home::at("/tmp/nobodys-home"), launcher, "an example");
    /// let (outcomes, notices) = client.act(Verb::Stop, &["api-*".to_owned()], ActOptions::default(), |_| {})?;
    /// for outcome in outcomes {
    ///     match outcome.error {
    ///         Some(error) => eprintln!("{}: {}", outcome.name, error.message),
    ///         None => println!("{} is stopped", outcome.name),
    ///     }
    /// }
    /// # Ok::<(), tsm_core::error::Error>(())
    /// ```
    pub fn act(
        &self,
        verb: Verb,
        selectors: &[String],
        options: ActOptions,
        on_reply: impl FnMut(&Reply),
    ) -> Result<(Vec<Outcome>, Vec<String>)> {
        self.act_with(verb, selectors, options, None, on_reply)
    }

    /// As [`Self::act`]; before that, the environment of each changes. A `snapshot` is this shell's, where it is to take the
    /// place of the one before.
    ///
    /// # Errors
    /// As [`Self::act`].
    pub fn act_with(
        &self,
        verb: Verb,
        selectors: &[String],
        options: ActOptions,
        update: Option<(EnvUpdate, Option<Snapshot>)>,
        mut on_reply: impl FnMut(&Reply),
    ) -> Result<(Vec<Outcome>, Vec<String>)> {
        let selected = match verb {
            Verb::Start | Verb::Restart | Verb::Delete => self.selected(selectors)?,
            _ => Vec::new(),
        };
        let ports = match verb {
            Verb::Start | Verb::Restart => lookups::ports_to_start(&selected),
            _ => Vec::new(),
        };
        let replaced = update
            .as_ref()
            .is_some_and(|(_, snapshot)| snapshot.is_some());
        let store = ProcessStore::new(self.home.clone());
        let mut cannot_start = match verb {
            Verb::Start | Verb::Restart if !replaced => shells::damaged(&store, &selected),
            _ => Vec::new(),
        };
        if verb == Verb::Restart {
            cannot_start.extend(vanished::found(&store, &selected));
        }
        let mut blob = Vec::new();
        let update = update.map(|(mut update, snapshot)| {
            if let Some(snapshot) = snapshot {
                update.from_shell = !update.exact;
                (blob, update.shell_bytes) = snapshot.to_bytes();
            }
            update
        });
        let body = Body::Act(ActRequest {
            verb,
            selectors: selectors.to_vec(),
            options,
            update,
            taken_ports: self.taken_ports(&ports)?,
            cannot_start,
        });
        let mut accepted = Vec::new();
        let asked = self.ask_for_outcomes(options.wait_ms, &body, &blob, |reply| {
            if let Reply::Accepted { names } = reply {
                accepted.extend_from_slice(names);
            }
            on_reply(reply);
        });
        let (mut outcomes, notices) = asked?;
        if verb == Verb::Delete {
            lookups::add_deleted(&mut outcomes, &accepted, &selected);
        }
        Ok((outcomes, notices))
    }

    /// Makes processes what a plan says, and waits until each is settled, or with `wait_ms` until each is ready, for no
    /// longer than that; `snapshot` is this shell's.
    ///
    /// # Errors
    /// [`Error::Reported`] where nothing was done at all, [`Error::Unreachable`]. What went wrong with single processes
    /// stands in their outcomes.
    ///
    /// ```no_run
    /// use tsm_core::config::{Config, Known, Options, plan};
    /// use tsm_core::control::ApplyItem;
    /// use tsm_core::env::{Environment, Snapshot};
    /// use tsm_core::store::ProcessStore;
    ///
    /// # use tsm_core::control::{Client, Launcher};
    /// # use tsm_core::home::Home;
    /// # let home = Home::at("/tmp/nobodys-home");
    /// # let client = Client::new(home.clone(), Launcher::tsm("/usr/bin/tsm", &home), "an example");
    /// // What `tsm start -c tspm.yaml` does: the file, what there is, the steps from one to the other.
    /// let snapshot = Snapshot::from(Environment::from_os(std::env::vars_os()));
    /// let config = Config::load("tspm.yaml".as_ref(), &|name| std::env::var(name).ok(), None)?;
    /// let wanted = config.wanted(&snapshot)?;
    /// let (known, _) = Known::read(&ProcessStore::new(home), &wanted, None)?;
    /// let file = config.file()?;
    /// let options = Options { file: &file, prune: false, update_env: false, shell: &snapshot.environment };
    /// let steps = plan(&wanted, |_| true, &known, &options);
    /// let items = steps.iter().map(ApplyItem::from).collect();
    /// let (outcomes, _) = client.apply(items, &snapshot, Some(20_000), |_| {})?;
    /// for outcome in outcomes {
    ///     match outcome.error {
    ///         Some(error) => eprintln!("{}: {}", outcome.name, error.message),
    ///         None => println!("{} runs as {:?}", outcome.name, outcome.pid),
    ///     }
    /// }
    /// # Ok::<(), tsm_core::error::Error>(())
    /// ```
    pub fn apply(
        &self,
        items: Vec<ApplyItem>,
        snapshot: &Snapshot,
        wait_ms: Option<u64>,
        on_reply: impl FnMut(&Reply),
    ) -> Result<(Vec<Outcome>, Vec<String>)> {
        let starts = items.iter().filter(|item| {
            matches!(item.then, ApplyThen::Start | ApplyThen::Restart) && item.spec.is_some()
        });
        let mut ports: Vec<u16> = starts.filter_map(|item| item.spec.as_ref()?.port).collect();
        let names: Vec<String> = items
            .iter()
            .filter(|item| item.then == ApplyThen::Start)
            .map(|item| item.name.to_string())
            .collect();
        ports.extend(lookups::ports_to_start(&self.selected(&names)?));
        let (blob, shell_bytes) = snapshot.to_bytes();
        let body = Body::Apply(ApplyRequest {
            items,
            taken_ports: self.taken_ports(&ports)?,
            shell_bytes,
            wait_ms,
        });
        self.ask_for_outcomes(wait_ms, &body, &blob, on_reply)
    }

    /// Asks, and collects the outcomes in the order of ids. What is waited for in vain has an outcome that says so.
    fn ask_for_outcomes(
        &self,
        wait_ms: Option<u64>,
        body: &Body,
        blob: &[u8],
        mut on_reply: impl FnMut(&Reply),
    ) -> Result<(Vec<Outcome>, Vec<String>)> {
        let mut outcomes: Vec<Outcome> = Vec::new();
        let mut waiting = Vec::new();
        let asked = self.ask_within(wait_ms, body, blob, |reply| {
            on_reply(&reply);
            match reply {
                // Asked anew after a supervisor died, the next one says everything again.
                Reply::Accepted { names } => {
                    outcomes.clear();
                    waiting = names;
                }
                Reply::Outcome(outcome) => {
                    waiting.retain(|name| *name != outcome.name);
                    outcomes.push(outcome);
                }
                _ => {}
            }
        });
        let notices = match asked {
            Err(Error::TimedOut { .. }) if !waiting.is_empty() => {
                let late = waiting.into_iter().map(|name| self.too_late(name, wait_ms));
                outcomes.extend(late);
                Vec::new()
            }
            asked => asked?,
        };
        crate::sorted::by_key(&mut outcomes, |outcome| outcome.id);
        Ok((outcomes, notices))
    }

    /// What became of a process that is not ready in the time that a command waits.
    fn too_late(&self, name: ProcessName, wait_ms: Option<u64>) -> Outcome {
        let meta = ProcessStore::new(self.home.clone()).meta(&name).ok();
        let state = meta.as_ref().and_then(|meta| meta.state.as_ref());
        let reason = meta.as_ref().and_then(|meta| meta.reason.as_deref());
        let what = match (state, reason) {
            // What it waits for stands in the reason.
            (Some(State::Waiting), Some(reason)) => String::from_utf8_lossy(reason).into_owned(),
            (Some(State::Running) | None, _) => "runs on".to_owned(),
            (Some(state), _) => format!("is {state}"),
        };
        let time = crate::words::seconds(wait_ms.unwrap_or_default());
        Outcome {
            id: meta.as_ref().map_or(0, |meta| meta.id),
            pid: meta.and_then(|meta| meta.pid),
            note: None,
            error: Some(ReportedError {
                kind: ErrorKind::TimedOut,
                message: format!("'{name}' is not ready after {time}; it {what}"),
            }),
            name,
        }
    }

    /// Writes the dump, and returns when it is safe on the disk. Where nothing would stand in it, it is left as it is: see
    /// [`Self::save_even_nothing`].
    ///
    /// # Errors
    /// [`Error::Reported`] with the supervisor's words; then the dump is as it was.
    ///
    /// ```no_run
    /// # use tsm_core::control::{Client, Launcher};
    /// # use tsm_core::home::Home;
    /// # let launcher = Launcher { program: "tsm".into(), arguments: vec![], environment: vec![] };
    /// # let client = Client::new(Home::at("/tmp/nobodys-home"), launcher, "an example");
    /// let (saved, _) = client.save()?;
    /// println!("{} processes are in the dump, {} of them up", saved.processes, saved.up);
    /// # Ok::<(), tsm_core::error::Error>(())
    /// ```
    pub fn save(&self) -> Result<(SavedCounts, Vec<String>)> {
        self.save_as(&Body::Save { empty: false })
    }

    /// As [`Self::save`], even where there is no process: then `resurrect` brings nothing back.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn save_even_nothing(&self) -> Result<(SavedCounts, Vec<String>)> {
        self.save_as(&Body::Save { empty: true })
    }

    fn save_as(&self, body: &Body) -> Result<(SavedCounts, Vec<String>)> {
        let mut saved = SavedCounts::default();
        let notices = self.ask(body, &[], |reply| {
            if let Reply::Saved(counts) = reply {
                saved = counts;
            }
        })?;
        Ok((saved, notices))
    }

    /// Starts what should run and brings back what only the dump has; waits until each process is settled.
    ///
    /// # Errors
    /// [`Error::Reported`] where nothing was done at all. What went wrong with single processes stands in their outcomes.
    pub fn resurrect(
        &self,
        request: ResurrectRequest,
        on_reply: impl FnMut(&Reply),
    ) -> Result<(Vec<Outcome>, Vec<String>)> {
        let dump = request.dump.as_ref().map(persist::Dump::to_json);
        let dump = dump.unwrap_or_default();
        self.ask_for_outcomes(None, &Body::Resurrect(request), &dump, on_reply)
    }
}
