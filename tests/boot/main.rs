//! Start at boot on a real systemd, which really reboots. Each test has a machine of its own.
//!
//! They need root and a test bed, and are run by `tests/boot/run`.
#![cfg(test)]
#![expect(
    clippy::let_underscore_must_use,
    reason = "a test clears up as well as it can"
)]

mod cron;
mod limits;
mod machine;
mod refusals;
mod socket;
mod system;
mod transient;
mod user;
#[path = "../wait.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod wait;
