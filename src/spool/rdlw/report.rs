//! What a scan has found.

use crate::error::{Error, ErrorKind};
use crate::format::rdlw::{Reason, VERSION};
use std::fmt;
use std::path::Path;

/// As many of a list are kept, so that a damaged file takes no memory.
pub(super) const LISTED: usize = 1000;

/// How a file ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// With a sound record, or empty.
    #[default]
    Clean,
    /// With something that is no sound record, and nothing sound behind it:
    /// what a crash leaves of an append that nobody was told of.
    Torn {
        /// Where the last sound record ends.
        offset: u64,
        /// What is wrong there.
        cause: Cause,
    },
    /// Not as a crash leaves it: nothing may be cut.
    Corrupt {
        /// Where the first damage is.
        offset: u64,
        /// What is wrong there.
        cause: Cause,
        /// The records behind it.
        beyond: Beyond,
    },
}

/// What is wrong with a place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No sound record is there.
    Damage(Reason),
    /// A record whose checksum is right, but not its first five bytes.
    Prefix,
    /// The file does not begin as one of these does.
    Foreign,
    /// A sound record whose LSN is not above the one before, or is none.
    Lsn {
        /// Its LSN.
        lsn: u64,
        /// That of the record before, 0 for the first.
        after: u64,
    },
    /// A sound record of a lower term than the one before.
    Term {
        /// Its term.
        term: u64,
        /// That of the record before.
        after: u64,
    },
}

/// Sound records behind damage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// How many.
    pub count: u64,
    /// The LSN of the last.
    pub last: u64,
    /// The LSNs of the first thousand.
    pub lsns: Vec<u64>,
}

impl Beyond {
    pub(super) fn add(&mut self, lsn: u64) {
        self.count += 1;
        self.last = lsn;
        if self.lsns.len() < LISTED {
            self.lsns.push(lsn);
        }
    }
}

/// Bytes that a salvaging scan leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where they begin.
    pub offset: u64,
    /// How many there are.
    pub len: u64,
    /// What is wrong with them.
    pub cause: Cause,
}

/// What a scan has seen so far; at its end, of the whole file. What is left
/// out is told with `salvage` and without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many records were given.
    pub records: u64,
    /// The LSN of the first; 0 where there is none.
    pub first_lsn: u64,
    /// The LSN of the last; 0 where there is none.
    pub last_lsn: u64,
    /// The term of the last; 0 where there is none.
    pub last_term: u64,
    /// The file's length when it was opened.
    pub file_len: u64,
    /// Where the last begins.
    pub last_offset: u64,
    /// Where the last ends.
    pub end: u64,
    /// How the file ends.
    pub verdict: Verdict,
    /// The first thousand places that are left out.
    pub skipped: Vec<Skipped>,
    /// How many places there are.
    pub skips: u64,
    /// How many bytes they are.
    pub skipped_bytes: u64,
}

impl Report {
    pub(super) fn skip(&mut self, offset: u64, len: u64, cause: Cause) {
        self.skips += 1;
        self.skipped_bytes += len;
        if self.skipped.len() < LISTED {
            self.skipped.push(Skipped { offset, len, cause });
        }
    }
}

impl Cause {
    /// Whether no crash leaves this behind: a length that no writer writes,
    /// a newer version, a file of something else, a wrong order.
    pub(super) fn is_no_crash(&self) -> bool {
        match self {
            Cause::Damage(reason) => {
                let newer = matches!(reason, Reason::Version(version) if *version > VERSION);
                newer || matches!(reason, Reason::TooLong(_))
            }
            Cause::Prefix => false,
            Cause::Foreign | Cause::Lsn { .. } | Cause::Term { .. } => true,
        }
    }
}

impl Verdict {
    /// What keeps a caller from taking the file for whole: nothing where it
    /// is clean or torn.
    ///
    /// [`ErrorKind::Format`] for a newer version or a file of something else,
    /// else [`ErrorKind::Corrupt`].
    pub fn error(&self, path: &Path) -> Option<Error> {
        let Verdict::Corrupt {
            offset,
            cause,
            beyond,
        } = self
        else {
            return None;
        };
        let kind = match cause {
            Cause::Foreign | Cause::Damage(Reason::Version(_)) if beyond.count == 0 => {
                ErrorKind::Format
            }
            _ => ErrorKind::Corrupt,
        };
        let how = match kind {
            ErrorKind::Corrupt => "; to salvage is to go on without it",
            _ => "",
        };
        Some(Error::new(kind, format!("{cause}; {beyond}{how}")).at(path, *offset))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Damage(reason) => reason.fmt(f),
            Cause::Prefix => f.write_str("record with a damaged magic or version"),
            Cause::Foreign => f.write_str("not an RDLW file"),
            Cause::Lsn { lsn, after } => write!(f, "LSN {lsn} behind LSN {after}"),
            Cause::Term { term, after } => write!(f, "term {term} behind term {after}"),
        }
    }
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.count, self.lsns.first()) {
            (1, Some(lsn)) => write!(f, "1 sound record behind it, LSN {lsn}"),
            (n, Some(first)) => {
                write!(
                    f,
                    "{n} sound records behind it, LSNs {first} to {}",
                    self.last
                )
            }
            (_, None) => f.write_str("no sound record behind it"),
        }
    }
}
