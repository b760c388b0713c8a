//! The spool: appends, reads, prunes, cuts, and what it must never lose.

#[path = "../common/mod.rs"]
mod common;

mod append;
mod bounded;
mod calls;
#[path = "../crash/coverage.rs"]
#[allow(dead_code)] // what only the coordinator's tests count
mod coverage;
mod crash;
mod cursor;
mod cut_short;
mod damage;
mod export;
mod fails;
mod faults;
mod held;
mod import;
mod ledger;
mod lost;
#[path = "../../fuzz/src/memory.rs"]
mod memory;
mod model;
mod prune;
mod race;
mod read;
mod reader;
mod session;
mod shared;
mod single_file;
mod slots_beside;
mod together;
mod tools;
mod truncate;
#[path = "../crash/turns.rs"]
mod turns;
#[path = "../faults/ways.rs"]
mod ways;
mod with_primary;
mod wrong;
