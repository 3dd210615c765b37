//! TSM, the Tetra Services Manager, as a library.
//!
//! TSM starts any script or command in the exact shell environment of the moment, keeps it running, brings it back after
//! a crash, and can always say what runs, where, since when, with which environment, and why it stopped. All that it
//! knows lies in small plain-text files under one directory, the [home](home::Home).
//!
//! # The five ideas
//!
//! 1. **The disk is the truth.** Every fact about a process is in a file that a person can read. A reader needs no server, and a
//!    supervisor that died is replaced by one that reads the same files.
//! 2. **The supervisor may die.** Services are in sessions of their own, and each descriptor that must outlive the supervisor (log
//!    pipes, handles on processes, the control socket, the lock) is held by a guardian too.
//! 3. **The environment is part of the process.** It is captured at the start, byte for byte, and given back at every restart.
//! 4. **Logs lose nothing.** They are pipes that outlive the supervisor, moved into files unchanged and rotated between lines.
//! 5. **Idle is idle.** With nothing to do no system call is made, whatever is supervised.
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
//! # A life of a service
//!
//! 1. *What is meant.* A person types a target; [`launch::resolve`] finds out what that means to the kernel, and
//!    [`ProcessSpec`](spec::ProcessSpec) says all that was asked. Or a file declares it: [`config::Config`].
//! 2. *In which environment.* [`env::Environment`] is the snapshot; with the shell hook, [`env::ShellState`] what only the shell knew.
//! 3. *Start.* [`Client::start`](control::Client::start) sends both. The supervisor records the start, forks a child that waits,
//!    records its pid, and lets it execute: so no program runs without being on record.
//! 4. *Life.* The record ([`meta`]) says what is, the history ([`events`]) what happened. [`logs`] reads what it printed, [`probe`] what it
//!    uses, and [`why`] tells why it is as it is.
//! 5. *End.* The state machine decides what follows: a restart at once, later, or none. [`Client::act`](control::Client::act) stops it, and
//!    returns when no process of it is left.
//! 6. *Reboot.* [`persist`] brings back what should run; [`startup`] tells the init system to do so.
//!
//! # Units and errors
//!
//! Times that end in `_ms` are milliseconds, since 1970 where they are moments; sizes are bytes; times as text are RFC 3339 in UTC. Every
//! fallible function returns [`error::Error`], whose message says what failed, on which path or process, and what to do, and whose
//! [`kind`](error::Error::kind) is the exit status of the command line. Two modules do not: those of [`sys`] return what the kernel said, and a
//! question to a server ([`probe::ask_http`]) an [`AskError`](probe::AskError).
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
//! // Who starts a supervisor where none runs: the program tsm, or this one (see `supervise::guard`).
//! let launcher = Launcher::tsm("/usr/bin/tsm", &home);
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
//! Whole programs are in `examples/`: `embed` starts a service and is its own supervisor, `watch` prints what happens to one, `dashboard`
//! draws what changes, `harness` starts services for a test suite. Each is run by a test.
//!
//! The library never prints, never exits, and reads neither the environment nor the arguments of its program.

#![deny(missing_docs, clippy::missing_errors_doc)]

#[cfg(test)]
mod api;
pub mod config;
pub mod control;
pub mod cookie;
pub mod doctor;
pub mod env;
pub mod error;
pub mod events;
mod fail;
pub mod home;
mod keepers;
pub mod launch;
#[cfg(test)]
mod layers;
pub mod logs;
pub mod name;
pub mod persist;
pub mod probe;
pub mod selector;
mod sorted;
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

pub use tsm_format::{json, meta};
pub use watch::watch;
