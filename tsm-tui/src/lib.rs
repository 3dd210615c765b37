//! `tsm tui`: the dashboard of TSM.
//!
//! What is known is the [`Model`]; whatever happens is a [`Message`]; [`update`] makes a new state of both and says what
//! is to be done as [`Effect`]s; [`view`] draws. None of these touches a terminal, a file or a clock. What has to be known
//! is not asked for: [`Model::wants`] says what is seen, and nothing else is read. What does all that stands in [`run`].
//!
//! Whatever the dashboard does is a command of `tsm`, run by the program itself, as [`Commands`] gives it; so is every
//! text that it shows, but for the table, logs and trees, which come from the files and from `/proc`.

mod ansi;
mod form;
mod geometry;
mod keys;
mod layer;
mod message;
mod meter;
mod model;
mod pane;
mod run;
mod table;
mod terminal;
mod theme;
mod update;
mod view;

pub use ansi::Styled;
pub use form::{Field, Form};
pub use keys::{Action, View};
pub use layer::{Candidate, Completion, Layer, Menu, Prompt, Purpose, Question};
pub use message::{
    Ask, Effect, LogFrom, LogPart, LogSource, LogWish, Machine, Measured, Message, TextOf,
    TextWish, Wants,
};
pub use meter::Meter;
pub use model::{Job, Logs, Model, Note, Output, Page};
pub use pane::{Pane, PaneLine, Pattern};
pub use run::{Commands, Options, run};
pub use table::{Column, Entry, Row, Sum, Table};
pub use theme::{Depth, Theme};
pub use update::update;
pub use view::view;

#[cfg(test)]
mod tests;
