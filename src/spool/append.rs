//! A run of records on its way into an epoch, in the order of LSNs.

use super::order::Order;
use super::view::{Bounds, View};
use crate::error::Result;
use crate::format::record::{Record, encode_record, record_len};
use crate::sequencer::{Entry, Reserved};
use crate::sync::Mutex;
use crate::wrong::{self, Wrong};
use std::time::{SystemTime, UNIX_EPOCH};

/// A checked run: all of it becomes durable with one group, or none.
pub(super) struct RecordRun<'a> {
    records: &'a [Record<'a>],
    order: &'a Mutex<Order>,
    view: &'a View,
    /// For records that have no time of their own.
    now_ms: u64,
    len: usize,
    bytes: u64,
}

impl<'a> RecordRun<'a> {
    /// `records`: each checked by itself.
    pub(super) fn new(
        records: &'a [Record<'a>],
        order: &'a Mutex<Order>,
        view: &'a View,
    ) -> Result<Self> {
        let now_ms = now_if_asked(records);
        let run = Self::as_given(records, order, view)?;
        Ok(RecordRun { now_ms, ..run })
    }

    /// As [`RecordRun::new`], with the times that the records have.
    pub(super) fn as_given(
        records: &'a [Record<'a>],
        order: &'a Mutex<Order>,
        view: &'a View,
    ) -> Result<Self> {
        let mut len = 0;
        let mut bytes = 0;
        for record in records {
            len += record_len(record.payload.len())?;
            bytes += record.payload.len() as u64;
        }
        Ok(RecordRun {
            records,
            order,
            view,
            now_ms: 0,
            len,
            bytes,
        })
    }

    /// The run with its timestamps filled in.
    pub(super) fn stamped(&self) -> impl Iterator<Item = Record<'a>> + '_ {
        self.records.iter().map(|record| Record {
            timestamp_ms: match record.timestamp_ms {
                0 => self.now_ms,
                given => given,
            },
            ..*record
        })
    }
}

/// The wall clock, where a record leaves its time to us.
fn now_if_asked(records: &[Record<'_>]) -> u64 {
    if records.iter().all(|r| r.timestamp_ms != 0) {
        return 0;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

impl Entry for RecordRun<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn frames(&self) -> u32 {
        self.records.len() as u32
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn sequence(&self) -> u64 {
        self.records.last().map_or(0, |r| r.lsn)
    }

    /// The order's lock is held from the check to the place in the epoch, so that
    /// records stand in the log as they were taken.
    fn in_turn(&self, take: &mut dyn FnMut() -> Reserved) -> Result<Reserved> {
        let mut order = self.order.lock();
        let pruned = self.view.pruned();
        order.check(self.records, pruned)?;
        if wrong::is(Wrong::OrderOutsideTheLock) {
            drop(order);
            let reserved = take();
            self.order.lock().advance(self.records, pruned);
            return Ok(reserved);
        }
        let reserved = take();
        if let Reserved::Room(_) = reserved {
            order.advance(self.records, pruned);
            if wrong::is(Wrong::SeenBeforeDurable) {
                self.view.open_at(Bounds {
                    current_lsn: order.last,
                    ..self.view.bounds()
                });
            }
        }
        Ok(reserved)
    }

    fn encode(&self, out: &mut [u8], lane: u16, _sequence: u64) -> bool {
        let mut rest = out;
        for record in self.stamped() {
            let Ok(len) = record_len(record.payload.len()) else {
                return false;
            };
            let Some((item, behind)) = rest.split_at_mut_checked(len) else {
                return false;
            };
            encode_record(item, lane, &record);
            rest = behind;
        }
        rest.is_empty()
    }
}
