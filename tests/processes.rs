//! Real processes over the real file system: killed at random moments, beside
//! each other, and at the limits that a process can have.
//!
//! A test starts this program again in a part (see `child`): limits, locks and
//! a kill belong to a process, not to a thread.

#[path = "processes/beside.rs"]
mod beside;
#[path = "processes/child.rs"]
mod child;
mod common;
#[path = "processes/kill.rs"]
mod kill;
#[path = "processes/limits.rs"]
mod limits;
#[path = "processes/primary.rs"]
mod primary;

/// No test: where the child processes begin.
#[test]
fn part() {
    match child::part().as_deref() {
        None => {}
        Some("writer") => kill::writer(),
        Some("primary") => primary::writer(),
        Some("reader") => beside::reader(),
        Some("second writer") => beside::second_writer(),
        Some("descriptors") => limits::descriptors(),
        Some("file size") => limits::file_size(),
        Some("full disk") => limits::full_disk(),
        Some(other) => panic!("no part {other}"),
    }
}
