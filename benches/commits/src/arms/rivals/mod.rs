//! Other logs and databases, each in the durable mode that its users use, with
//! a commit of the same bytes.
//!
//! Where a setting would hold a rival back for a reason that is not the
//! commit (compressing bytes that do not compress, a log file of one
//! megabyte), it is set in the rival's favour.

pub mod fjall;
pub mod okaywal;
pub mod postgres;
pub mod raft_engine;
pub mod redb;
pub mod rocksdb;
pub mod sqlite;

/// The page number of a thread's frame: threads write pages of their own.
fn page(thread: usize, frames: usize, index: usize) -> u32 {
    1 + (thread * frames + index) as u32
}

/// Waits until a store has done its work in the background, so that it does
/// not do it in another arm's turn. Not for ever: what goes on longer than
/// this is a store that can't keep up.
fn until_idle(idle: impl Fn() -> bool) {
    use std::time::{Duration, Instant};
    let began = Instant::now();
    while !idle() && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(2));
    }
}
