//! `tsm tui`: the dashboard of TSM.
//!
//! What is known is the [`Model`]; whatever happens is a [`Message`]; [`update`] makes a new state of both and says what
//! is to be done as [`Effect`]s; [`view`] draws. None of these touches a terminal, a file or a clock. What does stands
//! in [`run`]: it never waits for a file or a supervisor in the thread that draws.

mod format;
mod model;
mod run;
mod update;
mod view;

pub use model::{Facts, LogLine, Mode, Model, Note};
pub use run::{Options, run};
pub use update::{Effect, Message, update};
pub use view::view;

#[cfg(test)]
mod tests;
