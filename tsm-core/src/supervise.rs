//! Supervision: the guardian, the supervisor's event loop, and one pure state machine for each process.
//!
//! guardian → supervisor → services. The [guardian](guard) is a few hundred lines that hold what must outlive the
//! supervisor: the log pipes, the handles on processes, the control socket and the lock. The [supervisor](run) holds
//! them too and does all the work. It may die at any moment: the guardian starts the next one, which finds every
//! service by its record and goes on.
//!
//! The supervisor never blocks, and with nothing to do it makes no system call: it waits for pidfds, log pipes, the
//! control socket, signals and the next deadline in one `epoll_wait`.

mod adopt;
mod answers;
mod appeared;
mod applying;
mod awaiting;
mod care;
mod carried;
mod checking;
mod connections;
mod crowding;
mod cutting;
mod direct;
mod driver;
mod ending;
mod errands;
mod fdstore;
mod following;
mod groups;
mod guardian;
mod handover;
mod helper;
mod histories;
mod hooks;
mod launching;
mod log_rules;
mod log_scan;
mod log_upkeep;
mod logout;
pub mod machine;
mod mending;
mod mover;
mod notices;
mod notifying;
pub mod ordering;
mod original;
mod place;
mod records;
mod reloading;
mod requests;
mod resurrecting;
mod sampling;
mod saying;
mod service;
mod shells;
mod signalling;
mod stopped_guardian;
mod supervisor;
mod triggers;
mod updating;
mod upgrading;
pub mod vitals;
mod watching;
mod worklog;

pub use groups::make_room;
pub use guardian::guard;
pub(crate) use service::describe;
pub use supervisor::{Options, run};
pub use upgrading::{Trial, UpgradeWords, try_out};

/// What a supervisor says on its standard output when it listens.
pub(crate) const READY: &str = "ready";

/// The exit status of a supervisor that found another one in its place: it is not started again.
pub(crate) const EXIT_OTHER_SUPERVISOR: u8 = 3;
