//! Supervision: the guardian, the supervisor's event loop, and one pure state machine for each process.
//!
//! guardian → supervisor → services, and guardian → sentinel. The [guardian](guard) is a few hundred lines that hold what must outlive the
//! supervisor: the log pipes, the handles on processes, the control socket and the lock. The [supervisor](run) holds
//! them too and does all the work. It may die at any moment: the guardian starts the next one, which finds every
//! service by its record and goes on. The guardian may die too: its supervisor takes its place, and where both are killed, the
//! [sentinel](heal), which does nothing but wait for that, has them started again.
//!
//! The supervisor never blocks, and with nothing to do it makes no system call: it waits for pidfds, log pipes, the
//! control socket, signals and the next deadline in one `epoll_wait`.

mod adopt;
mod care;
mod driver;
mod ending;
mod guardian;
mod launching;
pub(crate) mod logout;
mod logs;
pub mod machine;
mod ordering;
mod records;
mod requests;
mod sentinel;
mod service;
mod succession;
mod supervisor;
mod unit;
mod vitals;
mod worker;
mod worklog;

pub use ending::groups::make_room;
pub use guardian::guard;
pub use sentinel::heal;
pub(crate) use service::describe;
pub use succession::upgrading::{Trial, UpgradeWords, try_out};
pub use supervisor::{Options, run};
pub(crate) use unit::{STANDING, UNIT};

/// What a supervisor says on its standard output when it listens.
pub(crate) const READY: &str = "ready";

/// The exit status of a supervisor that found another one in its place: it is not started again.
pub(crate) const EXIT_OTHER_SUPERVISOR: u8 = 3;
