//! The spool and its slots: what reading, following, letting go and
//! acknowledging cost.

pub mod acks;
pub mod open;
pub mod page;
pub mod prune;
#[cfg(feature = "rivals")]
mod raft;
pub mod read;
pub mod tail;

use crate::log::page as bytes;
use epochwal::coordinator::SyncPolicy;
use epochwal::spool::{ReadLimit, Record, Spool, SpoolOptions};
use std::path::Path;
use turns::text;

/// Bytes of a payload, where records are small.
const SMALL: usize = 128;
/// Records of a group: what 64 threads leave behind that append one each.
const GROUP: u64 = 64;
/// Records that are read at a time.
const PAGE: ReadLimit = ReadLimit {
    records: 1000,
    bytes: usize::MAX,
};

fn record(lsn: u64, payload: &[u8]) -> Record<'_> {
    Record {
        term: 1,
        lsn,
        timestamp_ms: 1,
        payload,
    }
}

/// Writes a spool with records of LSNs from 1 to `count`, and closes it. Not
/// synced, as nobody measures it.
fn write(database: &Path, count: u64, payload: usize, group: u64) -> Result<(), String> {
    let options = SpoolOptions {
        sync_policy: SyncPolicy::Off,
        ..SpoolOptions::default()
    };
    let spool = open(database, &options)?;
    let payload = bytes(0, payload);
    for first in (1..=count).step_by(group as usize) {
        let lsns = first..(first + group).min(count + 1);
        let records: Vec<_> = lsns.map(|lsn| record(lsn, &payload)).collect();
        spool.append(&records, None).map_err(text)?;
    }
    spool.close(None).map_err(text)
}

fn open(database: &Path, options: &SpoolOptions) -> Result<Spool, String> {
    Spool::open(database, options).map_err(text)
}
