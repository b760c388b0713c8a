//! The sequencer: many threads stage, an epoch gathers what all of them
//! staged, and one write with one sync makes it durable. The coordinator's
//! batches and the spool's records go through it alike.
//!
//! An [`Entry`]'s way: `submit` takes room in the current epoch through
//! `staging` (one atomic word) and encodes into its `buffer`; `wait` sleeps in
//! `waiters` or leads a `flush`, which seals the epoch, has the log write it,
//! and wakes who waited. The `ticker` flushes what nobody waits for.

mod buffer;
mod close;
mod core;
mod entry;
mod events;
mod flush;
mod handle;
mod lanes;
mod options;
mod sink;
mod snapshot;
mod staging;
mod stats;
mod submit;
mod ticker;
mod wait;
mod waiters;
#[cfg(all(test, feature = "loom"))]
mod weak_tests;

pub(crate) use self::core::{Phase, Sequencer, inside_callback};
pub(crate) use entry::Entry;
pub(crate) use events::Events;
pub(crate) use handle::{Dropped, Handle};
pub use options::{
    EpochInterval, Knobs, Options, Overflow, SPILL_BYTES, Sequencing, SyncPolicy, SyncStyle,
};
pub(crate) use sink::{DurableGroup, Sink};
pub(crate) use staging::Reserved;
pub use stats::{Latency, Stats};
pub(crate) use wait::{Ask, Limit};
pub(crate) use waiters::WaitWord;

use crate::error::Result;

/// What [`Coordinator::on_durable`](crate::Coordinator::on_durable) calls: the epoch,
/// and how it went.
pub type DurableFn = Box<dyn FnOnce(u64, Result<()>) + Send>;
