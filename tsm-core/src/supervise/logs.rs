//! What services print: moved from their pipes into their files, cut between lines, kept by rules, compressed later.

mod cutting;
pub(super) mod direct;
pub(super) mod mover;
pub(super) mod rules;
pub(super) mod upkeep;
