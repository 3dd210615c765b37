//! Declared services: `tspm.yaml` and its like, read into what is to be started.
//!
//! From a file to processes it is four steps, each a value that can be looked at before the next:
//!
//! 1. [`Config::load`] reads YAML, JSON or TOML into one tree. Every mistake is a [`Mistake`] with its place in the file, and all of
//!    them are told at once.
//! 2. [`Config::wanted`] makes a [`Wanted`] of each declared process and each of its instances: the script is looked for, files of
//!    variables are read, and nothing is started.
//! 3. [`plan`] compares these with what is [`Known`]: a pure function that returns [`Step`]s.
//! 4. [`Client::apply`](crate::control::Client::apply) takes the steps.
//!
//! What a key means stands in one table ([`PROCESS`], [`TOP`]), which the checks, the JSON [`schema()`] and the [`reference()`] for people
//! are made from.

mod declare;
mod home;
pub mod import;
mod keys;
mod known;
mod mistake;
mod node;
mod order;
mod plan;
mod reference;
mod scale;
mod schema;
mod want;

pub use declare::{Care, Config, DEFAULT_FILES, Declared};
pub use home::HomeDefaults;
pub use keys::{Fate, Key, Kind, PROCESS, TOP};
pub use mistake::Mistake;
pub use node::{Entry, Language, Node, Place, Unreadable, Value};
pub use plan::{Change, Known, Options, Planned, Standing, Step, Wanted, plan};
pub use reference::reference;
pub use scale::{Count, MOST_INSTANCES, cores, instance, number_of, scale};
pub use schema::schema;
