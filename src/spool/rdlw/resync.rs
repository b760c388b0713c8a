//! Where a damaged file goes on.

use super::scan::{Found, Scanner};
use crate::error::Result;
use crate::format::rdlw::{Claim, Header, claims, is_lsn};

/// What lies behind a place without a sound record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Onward {
    /// Where the next record is.
    pub(super) next: Option<u64>,
    /// The LSN of the first sound record that was seen at all.
    pub(super) seen: Option<u64>,
}

impl Scanner {
    /// Looks on, byte by byte, for a sound record with an LSN above the last.
    ///
    /// Each one that is seen makes the damage corruption. Which one to go on
    /// with is another question. If the damaged record's length is right, and
    /// its payload holds copies of records, these are no records of this file;
    /// if its length is wrong, those that it seems to hold are. Where it ends
    /// at a sound record, or with the file, the length may be right: then
    /// those inside count only if they follow each other to that end, which
    /// copies in a payload can't, because a checksum stands behind them.
    pub(super) fn resync(&mut self, at: u64) -> Result<Onward> {
        let end = self.likely_end(at)?;
        let mut onward = Onward::default();
        let mut place = at + 1;
        while let Some(found) = self.source.find_magic(place)? {
            let inside = end.filter(|end| found < *end);
            let header = match self.look(found)? {
                Found::Sound(header) if self.is_above(&header, self.last_lsn()) => header,
                _ => {
                    place = found + 1;
                    continue;
                }
            };
            onward.seen.get_or_insert(header.lsn);
            let reached = match inside {
                Some(end) => self.follow(found, header, end)?,
                None => found,
            };
            if inside.is_none_or(|end| reached >= end) {
                onward.next = Some(found);
                break;
            }
            place = reached;
        }
        Ok(onward)
    }

    /// Where the damaged record at `at` seems to end: where its checksum says
    /// so but for the first bytes, where another record stands, or with the
    /// file.
    fn likely_end(&mut self, at: u64) -> Result<Option<u64>> {
        if let Some(end) = self.proven_end(at)? {
            return Ok(Some(end));
        }
        let head = self.source.head(at)?;
        let Ok((first, second)) = claims(&head, self.source.left(at)) else {
            return Ok(None);
        };
        for claim in [Some(first), second].into_iter().flatten() {
            let Claim::Fits(header) = claim else { continue };
            let end = at + header.record_len();
            if self.source.left(end) == 0 || self.sound_above(end, self.last_lsn())?.is_some() {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// How far from `at` sound records of rising LSNs follow each other;
    /// `end` and beyond is far enough.
    fn follow(&mut self, at: u64, mut header: Header, end: u64) -> Result<u64> {
        let mut reached = at + header.record_len();
        while reached < end {
            match self.sound_above(reached, header.lsn)? {
                Some(next) => header = next,
                None => break,
            }
            reached += header.record_len();
        }
        Ok(reached)
    }

    fn sound_above(&mut self, at: u64, lsn: u64) -> Result<Option<Header>> {
        match self.look(at)? {
            Found::Sound(header) if self.is_above(&header, lsn) => Ok(Some(header)),
            _ => Ok(None),
        }
    }

    fn is_above(&self, header: &Header, lsn: u64) -> bool {
        is_lsn(header.lsn) && header.lsn > lsn
    }
}
