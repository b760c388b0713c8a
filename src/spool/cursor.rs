//! A reader that keeps its place.

use super::Spool;
use super::read::Place;
use super::records::{Gathered, ReadLimit, SpoolRecord};
use crate::error::{Error, Result};
use std::time::Duration;

/// Reads on from where it was. Its segment outlives a prune until it leaves it.
/// One thread at a time; borrows its spool.
pub struct Cursor<'a> {
    spool: &'a Spool,
    at: CursorAt,
}

/// A cursor without its spool.
#[derive(Debug)]
pub(super) struct CursorAt {
    lsn: u64,
    /// The term of the last record that it gave.
    term: Option<u64>,
    place: Option<Place>,
}

impl std::fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("lsn", &self.at.lsn)
            .finish_non_exhaustive()
    }
}

impl<'a> Cursor<'a> {
    pub(super) fn new(spool: &'a Spool, lsn: u64) -> Cursor<'a> {
        Cursor {
            spool,
            at: CursorAt::new(lsn),
        }
    }

    /// The LSN of the last record it gave, or the one it began behind.
    pub fn lsn(&self) -> u64 {
        self.at.lsn()
    }

    /// The next records: as [`Spool::read_since`], but waits until there is one.
    /// [`ErrorKind::Diverged`](crate::ErrorKind::Diverged) where the last record that it gave was cut off
    /// since ([`Error::lsn`](crate::Error::lsn) is the last that is left).
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) where none came in time; the cursor stays where it
    /// is after any error.
    pub fn next_batch(
        &mut self,
        limit: ReadLimit,
        timeout: Option<Duration>,
    ) -> Result<Vec<SpoolRecord>> {
        self.at
            .next_batch(self.spool, limit, timeout, None, &|| None)
    }
}

impl CursorAt {
    pub(super) fn new(lsn: u64) -> CursorAt {
        CursorAt {
            lsn,
            term: None,
            place: None,
        }
    }

    pub(super) fn lsn(&self) -> u64 {
        self.lsn
    }

    /// `stopped`: says why no more is to be given, once it is so; whoever makes
    /// it so wakes the spool's readers.
    pub(super) fn next_batch(
        &mut self,
        spool: &Spool,
        limit: ReadLimit,
        timeout: Option<Duration>,
        mut interrupted: Option<&mut dyn FnMut() -> bool>,
        stopped: &dyn Fn() -> Option<Error>,
    ) -> Result<Vec<SpoolRecord>> {
        if limit.records == 0 {
            return Err(Error::invalid("max_records: 0"));
        }
        loop {
            spool.live()?;
            if let Some(error) = stopped() {
                return Err(error);
            }
            let behind = self.term.map(|term| (term, self.lsn));
            let mut gathered = Gathered::behind(behind, limit);
            spool
                .shared
                .gather_whole(self.lsn, &mut self.place, &mut gathered)?;
            if let Some(last) = gathered.records.last() {
                self.lsn = last.lsn;
                self.term = Some(last.term);
                return Ok(gathered.records);
            }
            let ask = interrupted.as_mut().map(|ask| &mut **ask as _);
            spool.wait_for_records(self.lsn, timeout, ask, stopped)?;
        }
    }
}
