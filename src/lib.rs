//! epochwal: the durability kit for people who write databases.
//!
//! A [`Coordinator`] is a parallel page WAL with epoch group commit: threads
//! stage the page frames of their transactions, an epoch gathers whatever is
//! staged, reaches the disk as one group with one sync, and committers wait
//! for their epoch. After a crash [`Recovery`] gives back exactly the
//! committed prefix.
//!
//! The data's way through the modules, top to bottom:
//! public faces (`ffi`, this crate's API) -> `coordinator`, `primary`,
//! `recovery` -> `sequencer` -> `log` -> `format` -> `storage`.

pub mod batch;
pub mod coordinator;
pub mod error;
#[cfg(feature = "capi")]
pub mod ffi;
pub mod format;
mod log;
pub mod primary;
pub mod recovery;
pub mod segment;
mod sequencer;
pub mod spool;
pub mod storage;
mod sync;
#[cfg(not(feature = "wrong"))]
mod wrong;
#[cfg(feature = "wrong")]
pub mod wrong;

pub use batch::{Batch, BatchHead, Frame, FrameSource};
pub use coordinator::{Coordinator, Options, Stats};
pub use error::{Error, ErrorKind, Result, Ticket};
pub use recovery::{Recovery, RecoveryOptions, RecoveryReport};
