//! The spool: appends, reads, prunes, cuts, and what it must never lose.

#[path = "../common/mod.rs"]
mod common;

mod append;
mod crash;
mod cursor;
mod fails;
mod held;
mod prune;
mod race;
mod read;
mod tools;
mod truncate;
mod with_primary;
