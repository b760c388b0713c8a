//! What happens to a log over its life: other options in each session, files
//! that other sessions left, salvage and what comes after it, numbers that run
//! out, logs too long to be looked through, closes at a bad moment.
//!
//! The sweeps of `crash.rs`, `faults.rs` and `damage.rs` take one kind of
//! session and break it everywhere. These tests are the other way round: a
//! history that takes several sessions to come about, and one thing that must
//! hold at its end.

mod common;
#[path = "history/handles.rs"]
mod handles;
#[path = "history/links.rs"]
mod links;
#[path = "history/log.rs"]
mod log;
#[path = "history/long.rs"]
mod long;
#[path = "history/numbers.rs"]
mod numbers;
#[path = "history/readers.rs"]
mod readers;
#[path = "history/salvage.rs"]
mod salvage;
#[path = "history/syncs.rs"]
mod syncs;
#[path = "history/wrong.rs"]
mod wrong;
