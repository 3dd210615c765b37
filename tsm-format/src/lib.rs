//! What TSM writes and reads a thousand times for one command: the words of a shell, the lines of `NAME.meta`, JSON. Bytes and text only: nothing here
//! knows a file or a process.
//!
//! It is a crate of its own because it is compiled for speed, and the rest for size.

#![deny(missing_docs, clippy::missing_errors_doc)]

pub mod json;
pub mod meta;
pub mod quote;
