//! epochwal's spool as a primary uses it: a record per frame, in its default
//! configuration, and a thread that prunes.
//!
//! LSNs are the caller's and must rise in the order of the submits, so that
//! threads which share a spool take turns: each holds a lock from the choice of
//! its LSNs until its records are staged, and waits for the disk without it.

use super::Arm;
use super::keeper::{DUE, Keeper, SEGMENT, grow};
use epochwal::Stats;
use epochwal::spool::{Record, Spool, SpoolOptions, SpoolTicket};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use turns::text;

pub struct EpochwalSpool {
    spool: Arc<Spool>,
    next_lsn: Mutex<u64>,
    alone: bool,
    keeper: Keeper,
}

impl EpochwalSpool {
    pub fn open(dir: &Path, threads: usize) -> Result<EpochwalSpool, String> {
        let options = SpoolOptions {
            segment_size: SEGMENT,
            ..SpoolOptions::default()
        };
        let spool = Arc::new(Spool::open(&dir.join("db"), &options).map_err(text)?);
        let mut next_lsn = 1;
        grow(|items| {
            let records = records(next_lsn, items);
            spool.append(&records, None).map_err(text)?;
            next_lsn += items.len() as u64;
            prune(&spool);
            Ok(stats(&spool).segments_free)
        })?;
        let kept = spool.clone();
        Ok(EpochwalSpool {
            spool,
            next_lsn: Mutex::new(next_lsn),
            alone: threads == 1,
            keeper: Keeper::start(move || prune(&kept)),
        })
    }

    fn submit(&self, batch: &[&[u8]]) -> Result<SpoolTicket, String> {
        let mut next_lsn = self.next_lsn.lock();
        let ticket = self.spool.submit(&records(*next_lsn, batch));
        *next_lsn += batch.len() as u64;
        ticket.map_err(text)
    }
}

fn records<'a>(first_lsn: u64, batch: &[&'a [u8]]) -> Vec<Record<'a>> {
    let record = |(payload, lsn): (&&'a [u8], u64)| Record {
        term: 1,
        lsn,
        timestamp_ms: 0,
        payload,
    };
    batch.iter().zip(first_lsn..).map(record).collect()
}

fn stats(spool: &Spool) -> Stats {
    let stats = spool.stats().expect("the spool is open");
    stats.expect("it is on a disk")
}

/// Prunes as the log grows, as a primary does whose replicas have it all.
fn prune(spool: &Spool) {
    if stats(spool).log_bytes >= DUE {
        let durable = spool.bounds().current_lsn;
        spool.prune_through(durable).expect("it is durable");
    }
}

impl Arm for EpochwalSpool {
    fn commit(&self, _thread: usize, batch: &[&[u8]]) -> Result<(), String> {
        let last_lsn = if self.alone {
            let mut next_lsn = self.next_lsn.lock();
            let records = records(*next_lsn, batch);
            *next_lsn += batch.len() as u64;
            self.spool.append(&records, None).map_err(text)?.last_lsn
        } else {
            let ticket = self.submit(batch)?;
            self.spool.wait(ticket, None).map_err(text)?;
            ticket.last_lsn
        };
        self.keeper.committed(last_lsn / batch.len() as u64);
        Ok(())
    }

    fn groups(&self) -> Option<u64> {
        Some(stats(&self.spool).groups)
    }
}
