//! What stands at a place of the log: a group of it, or why not.

use super::files::{LogFiles, SegmentEntry};
use crate::format::group::{BLOCK, GroupHeader, HeaderError};
use crate::wrong::{self, Wrong};

/// How a log, or a place in it, was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong.
    #[default]
    Clean,
    /// What a crash leaves of groups that were never acknowledged.
    Torn,
    /// Damage to something acknowledged.
    Corrupt,
}

/// Why there is no group at a place.
pub(super) enum Miss {
    NoRoom,
    Header(HeaderError),
    /// Right checksums, but not this place of this log.
    NotOurs(&'static str),
    /// Ours, but not the next one.
    NotNext(&'static str, u64),
    Body(String),
    /// Whatever else is there, this is damage (rows 12 and 13).
    Damage(String),
}

/// Whether a header belongs to this place of this log.
pub(super) fn ours(
    header: &GroupHeader,
    entry: &SegmentEntry,
    pos: u64,
    log_id: Option<[u8; 16]>,
) -> std::result::Result<(), &'static str> {
    let any_log = wrong::is(Wrong::ForeignGroupsTaken);
    let any_use = wrong::is(Wrong::StaleGroupsTaken);
    if log_id.is_some_and(|id| id != header.log_id) && !any_log {
        return Err("header: of another log");
    }
    if header.segment_epoch != entry.first_epoch && !any_use {
        return Err("header: of a file of another name");
    }
    if header.generation != entry.generation && !any_use {
        return Err("header: of another generation of the file");
    }
    if header.position != pos && !wrong::is(Wrong::MisplacedGroupsTaken) {
        return Err("header: of another place in the file");
    }
    Ok(())
}

/// Rows 12 and 13: what is wrong with a segment as a whole.
pub(super) fn first_header_damage(files: &LogFiles, entry: &SegmentEntry) -> Option<String> {
    if entry.len < BLOCK || !entry.len.is_multiple_of(BLOCK) {
        return Some(format!(
            "file is {} bytes long: cut, or no segment",
            entry.len
        ));
    }
    let (header, _) = GroupHeader::parse(&entry.head).ok()?;
    let log_id = files.state.as_ref().map(|s| s.log_id);
    let why = ours(&header, entry, 0, log_id).err()?;
    // A reused file keeps its old groups, which were retired, until the first
    // new one is written.
    let newest = files.segments.last().is_some_and(|l| l.path == entry.path);
    let retired = files.state.as_ref().map_or(0, |s| s.retired_generation);
    let stale = log_id == Some(header.log_id) && header.generation <= retired;
    if newest && stale {
        return None;
    }
    Some(format!("{why} (segment swapped, renamed or missing)"))
}

/// A file of a format to come, whose shape is not ours to judge: its prelude's
/// checksum is right.
pub(super) fn newer_format(head: &[u8]) -> Option<HeaderError> {
    match GroupHeader::parse(head) {
        Err(newer @ (HeaderError::Version(3..) | HeaderError::Flags(_))) => Some(newer),
        _ => None,
    }
}
