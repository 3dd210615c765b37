//! End-to-end tests: they drive the built `tsm` as a person or a program would, each in a world of its own.
#![cfg(test)]

mod bed;
mod command;
mod concurrency;
mod config;
mod env_commands;
mod environment;
mod exit_status;
mod fault_act;
mod fault_clients;
mod fault_disk;
mod fault_files;
mod fault_guardian;
mod fault_handover;
mod fault_identity;
mod fault_killed;
mod fault_kit;
mod fault_quiet;
mod fault_start;
mod fault_stress;
mod hook;
mod isolation;
mod logs;
mod modes;
mod ports;
mod processes;
mod programs;
mod refusals;
mod repl;
mod restart;
mod selectors;
mod start_rules;
mod stop;
mod torn;
mod transcript;
mod wait;
