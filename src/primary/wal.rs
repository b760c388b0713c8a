//! What a primary asks of the log that its replicas follow.

use crate::error::Result;
use std::fmt::Debug;
use std::time::Duration;

/// Where a log begins and ends, read from memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The lowest LSN that can be read; 0 where there is none.
    pub oldest_lsn: u64,
    /// The highest durable LSN ever; 0 where there is none.
    pub current_lsn: u64,
    /// Records at or below it are gone.
    pub pruned_through: u64,
    /// Of records at or below it some are gone, while others can be read yet:
    /// whoever has less does not get the rest. 0 where none are.
    pub lost_through: u64,
}

/// Whether two histories agree up to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// They do.
    Same,
    /// They part behind this LSN.
    Diverged {
        /// The last LSN that both have.
        last_common_lsn: u64,
    },
}

/// A log of records, the primary's own. Its functions may be called from any
/// thread; those that block say so.
#[doc(hidden)]
pub trait Wal: Send + Sync + Debug {
    /// Its bounds now.
    fn bounds(&self) -> Bounds;
    /// Whether it outlives the process.
    fn is_durable(&self) -> bool;
    /// Names the log: another one has another identity.
    fn identity(&self) -> [u8; 16];
    /// Bytes of the records above `lsn`, about. Cheap.
    fn bytes_above(&self, lsn: u64) -> u64;
    /// Whether a replica at `lsn` of `term` is on this log's branch. Not asked
    /// beyond the end.
    fn check_branch(&self, lsn: u64, term: u64) -> Branch;
    /// Lets records at or below `lsn` go; what it gives is the caller's.
    /// Blocks on the disk.
    fn prune_through(&self, lsn: u64) -> Result<u64>;
    /// Keeps durably that `lsn` was acknowledged by a quorum. Blocks on the disk.
    fn save_quorum(&self, lsn: u64) -> Result<()>;
    /// What was saved so.
    fn quorum(&self) -> u64;
    /// Whether a slot store was ever made beside the log.
    fn has_slot_store(&self) -> bool;
    /// Keeps durably that there is one. Blocks on the disk.
    fn note_slot_store(&self) -> Result<()>;
    /// Waits until something above `lsn` is durable; false: not in time.
    fn wait_for_lsn_after(&self, lsn: u64, timeout: Option<Duration>) -> Result<bool>;
}
