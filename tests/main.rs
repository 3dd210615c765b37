//! End-to-end tests: they drive the built `tsm` as a person or a program would, each in a world of its own.
#![cfg(test)]

mod bed;
mod concurrency;
mod environment;
mod exit_status;
mod isolation;
mod logs;
mod modes;
mod processes;
mod programs;
mod refusals;
mod restart;
mod selectors;
mod start_rules;
mod stop;
mod torn;
mod transcript;
mod wait;
