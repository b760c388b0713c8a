//! A reader's records by the batch, as owned copies: what callers take who
//! can't borrow, those of other languages first of all.

use super::SpoolReader;
use super::records::{Payload, ReadLimit, SpoolRecord};
use crate::error::{Error, Result};
use crate::format::record::Record;
use std::ops::Range;
use std::sync::Arc;

impl SpoolReader {
    /// The next records: at least one, also where it alone is above the limit of
    /// bytes; none at the end. Their payloads are copies that share one buffer.
    ///
    /// Errors are those of [`SpoolReader::next_record`], told once all before
    /// them is given, and [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a
    /// limit of no records. The report may be one record ahead of what was given.
    pub fn next_batch(&mut self, limit: ReadLimit) -> Result<Vec<SpoolRecord>> {
        if limit.records == 0 {
            return Err(Error::invalid("max_records: 0"));
        }
        let mut batch = Copies::default();
        while batch.heads.len() < limit.records {
            match self.next_record() {
                Ok(Some(record)) if batch.has_room(&record, limit.bytes) => batch.push(&record),
                Ok(Some(record)) => {
                    let mut beyond = Copies::default();
                    beyond.push(&record);
                    self.ahead = beyond.into_records().pop().map(Ok);
                    break;
                }
                Ok(None) => break,
                Err(error) if batch.heads.is_empty() => return Err(error),
                Err(error) => {
                    self.ahead = Some(Err(error));
                    break;
                }
            }
        }
        Ok(batch.into_records())
    }
}

/// Records with their payloads one behind the other.
#[derive(Default)]
struct Copies {
    /// Term, LSN, time, and where the payload is.
    heads: Vec<(u64, u64, u64, Range<usize>)>,
    bytes: Vec<u8>,
}

impl Copies {
    fn has_room(&self, record: &Record<'_>, limit: usize) -> bool {
        self.heads.is_empty() || self.bytes.len().saturating_add(record.payload.len()) <= limit
    }

    fn push(&mut self, record: &Record<'_>) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(record.payload);
        let range = at..self.bytes.len();
        self.heads
            .push((record.term, record.lsn, record.timestamp_ms, range));
    }

    fn into_records(self) -> Vec<SpoolRecord> {
        let bytes = Arc::new(self.bytes);
        let heads = self.heads.into_iter();
        heads
            .map(|(term, lsn, timestamp_ms, range)| SpoolRecord {
                term,
                lsn,
                timestamp_ms,
                payload: Payload::within(&bytes, range),
            })
            .collect()
    }
}
