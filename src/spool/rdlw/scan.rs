//! Reading a RDLW file from its beginning to its verdict.

use super::report::{Cause, Report, Verdict};
use super::resync::Onward;
use super::source::Source;
use crate::error::Result;
use crate::format::bytes::u32_at;
use crate::format::rdlw::{
    Claim, Header, Layout, MAGIC, MAX_HEADER, Reason, Record, SUMMED_FROM, begins, claims, crc32,
    crc32_combine, fits, is_lsn, why,
};
use crate::log::Disk;
use crate::wrong::{self, Wrong};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Magic and version byte.
const PREFIX: usize = 5;

/// Finds the term of a record of version 1 or 2 in its payload, where other
/// software keeps it. None is term 1; an error ends the scan.
#[derive(Clone)]
pub struct TermOf(Arc<TermFn>);

type TermFn = dyn Fn(&[u8]) -> Result<Option<u64>> + Send + Sync;

impl TermOf {
    /// `find` is called with each such payload, by whoever scans.
    pub fn new(find: impl Fn(&[u8]) -> Result<Option<u64>> + Send + Sync + 'static) -> TermOf {
        TermOf(Arc::new(find))
    }
}

impl fmt::Debug for TermOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TermOf")
    }
}

/// The same function.
impl PartialEq for TermOf {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for TermOf {}

/// How a file is scanned.
#[derive(Clone, Debug, Default)]
pub struct ScanOptions {
    /// Go on behind damage: of repeated or falling LSNs the first is kept,
    /// records of a falling term are left out, and so is what is damaged.
    pub salvage: bool,
    /// Where the terms of versions 1 and 2 come from.
    pub term_of: Option<TermOf>,
}

/// A record and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// The record; the payload is borrowed until the next one is asked for.
    pub record: Record<'a>,
    /// Where it begins in the file.
    pub offset: u64,
    /// How many bytes it takes there.
    pub len: u64,
    /// How it stands there.
    pub layout: Layout,
}

/// Reads a RDLW file and judges it. Nothing is written.
///
/// Memory: 4 MiB, and one payload where that is longer. What was added to the
/// file since it was opened is not looked at.
#[derive(Debug)]
pub struct Scanner {
    pub(super) source: Source,
    options: ScanOptions,
    /// Where the next record should begin.
    at: u64,
    /// LSN and term of the last record in its order, 0 where there is none.
    last: (u64, u64),
    /// The LSN of the first sound record that was seen behind damage.
    seen: Option<u64>,
    /// What was given last.
    given: Option<(Header, u64)>,
    report: Report,
    done: bool,
}

/// What was found where a record should begin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    Sound(Header),
    Wrong(Reason),
}

impl Scanner {
    /// Opens the file. Errors: [`ErrorKind::NotFound`](crate::ErrorKind) and
    /// those of the file system.
    pub fn open(disk: &Disk, path: &Path, options: ScanOptions) -> Result<Scanner> {
        let source = Source::open(disk, path)?;
        let report = Report {
            file_len: source.left(0),
            ..Report::default()
        };
        Ok(Scanner {
            source,
            options,
            at: 0,
            last: (0, 0),
            seen: None,
            given: None,
            report,
            done: false,
        })
    }

    /// The next record; none at the end, and then [`Scanner::report`] has the
    /// verdict. Without `salvage` the end is where the first damage is.
    ///
    /// An error is one of the file system, and says nothing about the file:
    /// the same record may be asked for again.
    pub fn next_record(&mut self) -> Result<Option<Scanned<'_>>> {
        if self.done {
            return Ok(None);
        }
        let Some((header, term)) = self.advance()? else {
            self.done = true;
            return Ok(None);
        };
        if self.damaged() && !self.options.salvage {
            self.count_beyond(header, term)?;
            return Ok(None);
        }
        let len = header.record_len();
        let offset = self.at;
        // Read before anything is noted, since it may fail.
        let payload_at = offset + header.layout.header_len() as u64;
        self.source
            .forward(payload_at, header.payload_len as usize)?;
        self.take(&header, term);
        self.note(&header, term);
        self.given = Some((header, term));
        let payload = self
            .source
            .forward(payload_at, header.payload_len as usize)?;
        Ok(Some(Scanned {
            record: Record {
                term,
                lsn: header.lsn,
                timestamp: header.timestamp,
                payload,
            },
            offset,
            len,
            layout: header.layout,
        }))
    }

    /// What was given last, once more; none where that is not in memory.
    pub(in crate::spool) fn last(&mut self) -> Option<Scanned<'_>> {
        let (header, term) = self.given?;
        let offset = self.report.last_offset;
        let payload_at = offset + header.layout.header_len() as u64;
        let payload = self.source.held(payload_at, header.payload_len as usize)?;
        Some(Scanned {
            record: Record {
                term,
                lsn: header.lsn,
                timestamp: header.timestamp,
                payload,
            },
            offset,
            len: header.record_len(),
            layout: header.layout,
        })
    }

    /// What was seen so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// The LSN that the next record must be above.
    pub(super) fn last_lsn(&self) -> u64 {
        self.last.0
    }

    fn damaged(&self) -> bool {
        matches!(self.report.verdict, Verdict::Corrupt { .. })
    }

    /// Stands before the next sound record in its order, past damage; gives
    /// its header and term. None at the end.
    fn advance(&mut self) -> Result<Option<(Header, u64)>> {
        while self.source.left(self.at) > 0 {
            let ahead = self.source.left(self.at).min(MAX_HEADER as u64);
            self.source.forward(self.at, ahead as usize)?;
            let reason = match self.look(self.at)? {
                Found::Wrong(reason) => reason,
                Found::Sound(header) => {
                    let term = self.term(&header)?;
                    let Some(cause) = self.out_of_order(&header, term) else {
                        return Ok(Some((header, term)));
                    };
                    self.skip(header.record_len(), cause);
                    continue;
                }
            };
            let cause = self.cause(reason)?;
            let onward = match wrong::is(Wrong::DamageIsCut) {
                true => Onward::default(),
                false => self.resync(self.at)?,
            };
            let left = self.source.left(self.at);
            match onward.next {
                Some(next) => self.skip(next - self.at, cause),
                None if onward.seen.is_some() || cause.is_no_crash() => self.skip(left, cause),
                None if wrong::is(Wrong::TornTailIsRefused) => self.skip(left, cause),
                None => {
                    if !self.damaged() {
                        let offset = self.at;
                        self.report.verdict = Verdict::Torn { offset, cause };
                    }
                    self.report.skip(self.at, left, cause);
                    self.at += left;
                }
            }
            self.seen = self.seen.or(onward.seen);
        }
        // Where no record was in its order, the one that was seen is what the
        // verdict stands on.
        if let (Some(lsn), Verdict::Corrupt { beyond, .. }) = (self.seen, &mut self.report.verdict)
            && beyond.count == 0
        {
            beyond.add(lsn);
        }
        Ok(None)
    }

    /// Leaves out what stands here, which is more than a torn tail.
    fn skip(&mut self, len: u64, cause: Cause) {
        if !self.damaged() {
            self.report.verdict = Verdict::Corrupt {
                offset: self.at,
                cause,
                beyond: Default::default(),
            };
        }
        self.report.skip(self.at, len, cause);
        self.at += len;
    }

    /// Goes on behind a record that is in its order.
    fn take(&mut self, header: &Header, term: u64) {
        let len = header.record_len();
        self.at += len;
        self.source.passed(self.at, len);
        self.last = (header.lsn, term);
        if let Verdict::Corrupt { beyond, .. } = &mut self.report.verdict {
            beyond.add(header.lsn);
        }
    }

    /// Notes a record that is given.
    fn note(&mut self, header: &Header, term: u64) {
        let report = &mut self.report;
        if report.records == 0 {
            report.first_lsn = header.lsn;
        }
        report.records += 1;
        report.last_lsn = header.lsn;
        report.last_term = term;
        report.last_offset = self.at - header.record_len();
        report.end = self.at;
    }

    /// Goes to the end, to know what lies behind the damage.
    fn count_beyond(&mut self, header: Header, term: u64) -> Result<()> {
        self.take(&header, term);
        while let Some((header, term)) = self.advance()? {
            self.take(&header, term);
        }
        self.done = true;
        Ok(())
    }

    /// The record's term: its own, or what the caller finds in it.
    fn term(&mut self, header: &Header) -> Result<u64> {
        let (None, Some(term_of)) = (header.term, &self.options.term_of) else {
            return Ok(header.term.unwrap_or(1));
        };
        let at = self.at + header.layout.header_len() as u64;
        let payload = self.source.forward(at, header.payload_len as usize)?;
        Ok((term_of.0)(payload)?.unwrap_or(1))
    }

    fn out_of_order(&self, header: &Header, term: u64) -> Option<Cause> {
        let (after_lsn, after_term) = self.last;
        if !is_lsn(header.lsn) || header.lsn <= after_lsn {
            let (lsn, after) = (header.lsn, after_lsn);
            return Some(Cause::Lsn { lsn, after });
        }
        (term < after_term).then_some(Cause::Term {
            term,
            after: after_term,
        })
    }

    /// What stands at `at`, whatever its order.
    pub(super) fn look(&mut self, at: u64) -> Result<Found> {
        let head = self.source.head(at)?;
        let (first, second) = match claims(&head, self.source.left(at)) {
            Ok(claims) => claims,
            Err(reason) => return Ok(Found::Wrong(reason)),
        };
        for claim in [Some(first), second].into_iter().flatten() {
            if let Claim::Fits(header) = claim
                && self.is_sound(at, &header)?
            {
                return Ok(Found::Sound(header));
            }
        }
        Ok(Found::Wrong(why(first, second)))
    }

    fn is_sound(&mut self, at: u64, header: &Header) -> Result<bool> {
        if header.layout == Layout::One {
            return self.is_credible(at, header);
        }
        if wrong::is(Wrong::LengthTrusted) {
            self.source.forward(at, header.record_len() as usize)?;
        }
        let len = header.payload_end() - SUMMED_FROM as u64;
        let sum = self.source.sum(at + SUMMED_FROM as u64, len)?;
        let said = self.source.peek(at + header.payload_end(), 4)?;
        Ok(Some(sum) == u32_at(said, 0))
    }

    /// A record of version 1 has no checksum. It is believed but where
    /// nothing begins behind it and another version's checksum shows that its
    /// version byte is damaged.
    fn is_credible(&mut self, at: u64, header: &Header) -> Result<bool> {
        Ok(self.something_begins(at + header.record_len())? || self.proven_end(at)?.is_none())
    }

    /// Whether the file ends here, or a record seems to begin.
    fn something_begins(&mut self, at: u64) -> Result<bool> {
        Ok(begins(self.source.peek(at, PREFIX)?))
    }

    /// Where the record at `at` ends whose first five bytes must be damaged,
    /// because the rest is right.
    pub(super) fn proven_end(&mut self, at: u64) -> Result<Option<u64>> {
        let head = self.source.head(at)?;
        let left = self.source.left(at);
        let magic = head.starts_with(&MAGIC);
        let version = head.get(MAGIC.len()).copied();
        for layout in [Layout::Three33, Layout::Three41, Layout::Two, Layout::One] {
            let Some(Claim::Fits(header)) = layout.read(&head).map(|h| fits(h, left)) else {
                continue;
            };
            let as_it_says = version == Some(layout.version());
            let end = at + header.record_len();
            let proven = match layout {
                _ if magic && as_it_says => false,
                // Next to nothing, but one of the two bytes fields is right.
                Layout::One => {
                    (magic || as_it_says)
                        && header.lsn > self.last.0
                        && self.something_begins(end)?
                }
                _ => {
                    let len = header.payload_end() - PREFIX as u64;
                    let rest = self.source.sum(at + PREFIX as u64, len)?;
                    let sum = crc32_combine(crc32(&[layout.version()]), rest, len);
                    let said = self.source.peek(at + header.payload_end(), 4)?;
                    Some(sum) == u32_at(said, 0)
                }
            };
            if proven {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// What the damage is called.
    fn cause(&mut self, reason: Reason) -> Result<Cause> {
        if self.proven_end(self.at)?.is_some() {
            return Ok(Cause::Prefix);
        }
        // What a crash leaves of a first record begins as one, or with zeros.
        let head = self.source.head(self.at)?;
        let zeros = head.iter().take(MAGIC.len()).all(|b| *b == 0);
        Ok(match reason {
            Reason::Magic if self.at == 0 && head.len() >= MAGIC.len() && !zeros => Cause::Foreign,
            _ => Cause::Damage(reason),
        })
    }
}
