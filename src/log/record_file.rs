//! A file of another format that takes a log's records in place of segments.

use super::writer::GroupPlace;
use crate::error::Result;
use crate::storage::File;
use std::ops::Range;
use std::sync::Arc;

/// What the writer of such a log asks of the file. Positions only rise: a prune
/// takes bytes from the front, and moves none of those that it keeps.
pub(crate) trait RecordFile: Send + std::fmt::Debug {
    /// Adds the records of a group's payload behind the last, durable on return.
    /// Errors as those of [`LogWriter::append`](super::LogWriter::append).
    fn append(&mut self, payload: &[u8]) -> Result<GroupPlace>;

    /// The position of the first byte, and of the one behind the last.
    fn extent(&self) -> Range<u64>;

    /// The LSN of the last record in it, and in what was prepared to replace it; 0:
    /// there is none.
    fn last_lsn(&self) -> u64;

    /// Writes `kept`, whose last record is `last_lsn`, to a new file that shall
    /// replace this one, which it leaves as it is.
    fn prepare(&mut self, kept: Range<u64>, last_lsn: u64) -> Result<()>;

    /// Puts what was prepared in its place, and gives that file. Who has the old
    /// one open can read it on. After an error that heals it is as it was; after
    /// any other it must not be used any more.
    fn replace(&mut self) -> Result<Option<Arc<dyn File>>>;
}
