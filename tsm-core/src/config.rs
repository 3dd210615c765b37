//! Declared services: `tspm.yaml` and its like, read into what is to be started.

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
