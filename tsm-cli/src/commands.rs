//! The commands.

pub(crate) mod act;
pub(crate) mod apply;
pub(crate) mod complete;
pub(crate) mod config;
pub(crate) mod env;
pub(crate) mod hook;
pub(crate) mod info;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod persist;
pub(crate) mod repl;
pub(crate) mod start;
pub(crate) mod startup;
pub(crate) mod supervisor;
pub(crate) mod tui;
pub(crate) mod variables;
