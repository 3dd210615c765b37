//! Declared services: `tspm.yaml` and its like, read into what is to be started.

mod node;

pub use node::{Entry, Language, Node, Place, Unreadable, Value};
