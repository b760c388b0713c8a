//! epochwal: the durability kit for people who write databases.
//!
//! A [`Coordinator`] is a parallel page WAL with epoch group commit: threads
//! stage the page frames of their transactions, an epoch gathers whatever is
//! staged, reaches the disk as one group with one sync, and committers wait
//! for their epoch. After a crash [`Recovery`] gives back exactly the
//! committed prefix.
//!
//! ```
//! use epochwal::{Batch, Coordinator, Frame, Options, Recovery, RecoveryOptions};
//!
//! # let dir = tempfile::tempdir()?;
//! # let db = dir.path().join("app.db");
//! let wal = Coordinator::open(&db, &Options::default())?;
//! let frames = [
//!     Frame { page_number: 1, db_size_if_commit: 0, data: &[7; 4096] },
//!     Frame { page_number: 2, db_size_if_commit: 2, data: &[8; 4096] },
//! ];
//! let batch = Batch { txn_id: 1, txn_epoch: 0, commit_seq: 1, frames: &frames, metadata: &[] };
//! let ticket = wal.commit(&batch, None)?; // on stable storage
//!
//! // After a crash, or beside the writer as here:
//! let mut log = Recovery::open(&db, &RecoveryOptions::default())?;
//! while let Some(batch) = log.next_batch()? {
//!     assert_eq!((batch.epoch, batch.txn_id, batch.frames.len()), (ticket.epoch, 1, 2));
//! }
//! // Once the pages are safe in the database file, the log may go.
//! wal.checkpoint(ticket.epoch)?;
//! wal.close(None)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Spool`](spool::Spool) is a durable, ordered log of records for
//! replication, and a [`Primary`](primary::Primary) is a spool with the durable
//! knowledge of how far each replica has come.
//!
//! ```
//! use epochwal::primary::{Ack, AckPolicy, Level, Primary, PrimaryOptions, Quorum};
//! use epochwal::spool::{ReadLimit, Record, SpoolOptions};
//!
//! # let dir = tempfile::tempdir()?;
//! # let db = dir.path().join("app.db");
//! let primary = Primary::open(&db, &SpoolOptions::default(), &PrimaryOptions::default())?;
//! let spool = primary.spool().expect("it was opened over one");
//! let replica = primary.register("replica-1", None)?;
//! spool.append(&[Record { term: 1, lsn: 1, timestamp_ms: 0, payload: b"insert a" }], None)?;
//!
//! // What a replica does: it reads, and says what it has.
//! for record in spool.read_since(replica.restart_lsn, ReadLimit::default())? {
//!     let ack = Ack { written: record.lsn, durable: record.lsn, ..Ack::default() };
//!     primary.ack("replica-1", replica.generation, &ack)?;
//! }
//! let one = AckPolicy::new(Quorum::Replicas(1), Level::Durable);
//! primary.wait_acks(1, &one, None)?.ok()?;
//! primary.prune(None)?; // what no replica needs
//! primary.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Handles are for any number of threads. A call that blocks says so, and takes
//! a timeout where it waits for others: `None` is for ever, zero polls. Every
//! failure is an [`Error`] with an [`ErrorKind`], the status of the C ABI; its
//! message names the field, or the file and the place in it. What was handed in
//! stays staged only where the error has an [`Error::ticket`]. In the child of a
//! `fork` inherited handles answer [`ErrorKind::Forked`].
//!
//! The data's way through the modules, top to bottom:
//! public faces (`ffi`, this crate's API) -> `coordinator`, `primary`,
//! `recovery` -> `sequencer` -> `log` -> `format` -> `storage`.

pub mod batch;
pub mod coordinator;
pub mod error;
// Documented by its header.
#[cfg(feature = "capi")]
#[doc(hidden)]
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
