//! The control socket: what a command asks of the supervisor, what it is told, and how both travel.
//!
//! A frame is two little-endian 32-bit lengths, then that many bytes of JSON, then that many raw bytes (an environment,
//! which JSON could not hold). One connection carries one request and its replies.

mod client;
mod frame;
mod protocol;

pub use client::{Client, Launcher};
pub use frame::{FrameBuffer, MAX_BLOB, MAX_JSON, encode};
pub(crate) use protocol::HANDOVER_RECORD;
pub use protocol::{
    ActOptions, ActRequest, ApplyItem, ApplyRequest, ApplyThen, Asked, Body, CannotStart, Outcome,
    PROTOCOL, Reply, ReportedError, Request, ResurrectRequest, SavedCounts, StartRequest,
    SupervisorStatus, TakenPort, Verb,
};
