//! TSM, the Tetra Services Manager, as a library.
//!
//! TSM starts any script or command in the exact shell environment of the moment, keeps it running, brings it back after
//! a crash, and can always say what runs, where, since when, with which environment, and why it stopped. All that it
//! knows lies in small plain-text files under one directory, the [home](home::Home).
//!
//! # How it fits together
//!
//! - A program asks for something through a [`Client`](control::Client). Where no supervisor runs, the client starts one.
//! - The [supervisor](supervise) alone writes into the home. It launches processes, watches them, moves what they print
//!   into their logs, and starts them again by the rules of a pure [state machine](supervise::machine).
//! - Whoever wants to know something reads the files: [`Overview`](view::Overview), [`logs`], [`store::ProcessStore`].
//!   That needs no supervisor.
//! - Whoever wants to be told of what changes calls [`watch()`].
//!
//! # Embedding
//!
//! ```no_run
//! use std::path::Path;
//! use tsm_core::control::{ActOptions, Client, Launcher, StartRequest, Verb};
//! use tsm_core::env::Environment;
//! use tsm_core::home::Home;
//! use tsm_core::launch::{Typed, resolve};
//! use tsm_core::spec::ProcessSpec;
//!
//! # fn main() -> tsm_core::error::Result<()> {
//! let home = Home::at("/tmp/my-services");
//! let launcher = Launcher { program: "tsm".into(), arguments: vec![], environment: vec![] };
//! let client = Client::new(home, launcher, "my program");
//! let cwd = Path::new("/srv/app");
//! let path = std::env::var_os("PATH");
//! let typed = Typed { target: "server.sh".as_ref(), args: &[], cwd, path: path.as_deref(), interpreter: None, shell: None };
//! let resolved = resolve(typed)?;
//! let spec = ProcessSpec::new("server.sh", resolved.program, cwd);
//! let request = StartRequest::new(resolved.name, spec);
//! let (started, _) = client.start(request, &Environment::from_os(std::env::vars_os()).into())?;
//! println!("{} runs as {:?}", started.name, started.pid);
//! client.act(Verb::Stop, &[started.name.to_string()], ActOptions::default(), |_| {})?;
//! # Ok(())
//! # }
//! ```
//!
//! The library never prints, never exits, and reads neither the environment nor the arguments of its program.

pub mod config;
pub mod control;
pub mod cookie;
pub mod doctor;
pub mod env;
pub mod error;
pub mod events;
mod fail;
pub mod home;
pub mod launch;
pub mod logs;
pub mod meta;
pub mod name;
pub mod persist;
pub mod probe;
pub mod selector;
pub mod spec;
pub mod startup;
pub mod store;
pub mod supervise;
pub mod sys;
pub mod text;
pub mod version;
pub mod view;
pub mod watch;
pub mod why;
pub mod words;

pub use watch::watch;
