//! What outlives a supervisor, who holds it meanwhile, and how the next one gets it.

pub(super) mod carried;
pub(super) mod fdstore;
pub(super) mod handover;
mod notifying;
pub(super) mod place;
mod stopped_guardian;
pub(super) mod upgrading;
