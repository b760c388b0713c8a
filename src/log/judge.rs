//! The verdict where following the log has come to its end (`docs/format.md`,
//! "Reading"): a torn tail, corruption, or simply the end.

use super::files::Version;
use super::place::{Miss, Verdict, first_header_damage, newer_format, ours};
use super::walk::{End, Walker};
use crate::error::{Error, ErrorKind, Result};
use crate::format::group::{
    BLOCK, Certificate, GROUP_HEADER, GroupHeader, GroupKind, HeaderError, has_magic,
};
use crate::wrong::{self, Wrong};
use std::fmt::Write as _;

const HOW_TO_GO_ON: &str = "; an open that salvages keeps what is before";

/// What is found beyond the end.
#[derive(Default)]
struct Beyond {
    /// The highest watermark: W.
    watermark: Option<u64>,
    /// Headers of ours with an epoch above the end.
    leftovers: Vec<(usize, u64)>,
    /// The highest epoch of any header of this log.
    highest: u64,
    /// A later segment that can't be there.
    damage: Option<(usize, String)>,
    /// A later segment of a newer format.
    newer: Option<(usize, HeaderError)>,
}

/// Judges the place where the walker stands; `miss` says what is there, none:
/// all segments were read.
pub(super) fn judge(walker: &mut Walker, miss: Option<Miss>) -> Result<End> {
    let last = walker.last();
    let beyond = look_on(walker, last)?;
    let mut end = verdict(walker, miss, last, beyond)?;
    if end.verdict == Verdict::Corrupt && walker.files.names.kind() == GroupKind::Records {
        end.lsns_beyond = lsns_of(walker, &end.leftovers)?;
        if let Some((low, high)) = end.lsns_beyond {
            let _ = write!(end.reason, "; records of LSN {low} to {high} lie beyond");
        }
        end.reason.push_str(HOW_TO_GO_ON);
    }
    Ok(end)
}

/// The range of the LSNs in groups that can't be read any more, as far as their
/// certificates can be.
fn lsns_of(walker: &mut Walker, groups: &[(usize, u64)]) -> Result<Option<(u64, u64)>> {
    let mut range: Option<(u64, u64)> = None;
    for &(index, pos) in groups {
        let bytes = walker.read(index, pos, GROUP_HEADER)?;
        let Ok((header, crc)) = GroupHeader::parse(bytes) else {
            continue;
        };
        let payload_end = GROUP_HEADER as u64 + header.payload_len;
        let trailer_len = (header.length - payload_end) as usize;
        let trailer = walker.read(index, pos + payload_end, trailer_len)?;
        if let Ok(certificate) = Certificate::parse(trailer, &header, crc)
            && certificate.summary.seq_low > 0
        {
            let (low, high) = (certificate.summary.seq_low, certificate.summary.seq_high);
            let (lowest, highest) = range.unwrap_or((low, high));
            range = Some((lowest.min(low), highest.max(high)));
        }
    }
    Ok(range)
}

fn verdict(
    walker: &mut Walker,
    miss: Option<Miss>,
    last: Option<u64>,
    beyond: Beyond,
) -> Result<End> {
    let state_mark = walker
        .files
        .state
        .as_ref()
        .map(|s| s.watermark)
        .filter(|w| *w > 0);
    let claimed = beyond.watermark.max(state_mark);
    let (expected, present) = walker.files.expected_and_present();
    let covered = claimed > last && !wrong::is(Wrong::DamageIsCut);
    let mut end = place(walker, &beyond);
    // What older uses left (not ours, not next) and zeros are no such thing.
    end.unread |= match &miss {
        Some(Miss::Body(_) | Miss::Damage(_)) => true,
        Some(Miss::Header(why)) => *why != HeaderError::NotAHeader,
        _ => false,
    };
    let reason = miss.as_ref().map_or("the log ends here", reason_of);
    // Rows 12 and 13.
    if let Some(Miss::Damage(why)) = &miss {
        end.verdict = Verdict::Corrupt;
        end.reason = why.clone();
        return Ok(end);
    }
    if let Some((index, why)) = &beyond.damage {
        end.verdict = Verdict::Corrupt;
        end.path = walker.files.segments[*index].path.clone();
        end.offset = 0;
        end.reason = why.clone();
        return Ok(end);
    }
    // Row 14: the walk came to its end with a segment too few.
    if present < expected && !wrong::is(Wrong::MissingSegmentsNotMissed) {
        end.verdict = Verdict::Corrupt;
        end.reason = format!(
            "{} of the {expected} segments that the state file names are missing",
            expected - present
        );
        return Ok(end);
    }
    // Row 11: its prelude's checksum is right, so it is no damage to a version
    // that is known, whatever the state file says of later epochs.
    let newer = matches!(
        miss,
        Some(Miss::Header(
            HeaderError::Version(3..) | HeaderError::Flags(_)
        ))
    );
    let newer = newer || beyond.newer.is_some();
    let contradicted = beyond.watermark > last || !beyond.leftovers.is_empty();
    // Rows 3, 5 and 7.
    if covered && (contradicted || !newer) {
        end.verdict = Verdict::Corrupt;
        end.reason = format!(
            "{reason}; epochs up to {} were durable, {} can be read",
            claimed.unwrap_or(0),
            last.map_or("none of them".into(), |l| format!("only those up to {l}"))
        );
        return Ok(end);
    }
    match &beyond.newer {
        // Row 11, further on: one who knows that format called the end good
        // that is here, so nothing is dropped.
        Some((index, why)) => {
            end.newer_format = true;
            end.path = walker.files.segments[*index].path.clone();
            end.offset = 0;
            end.reason = newer_reason(why);
        }
        None => classify(walker, &mut end, miss, !beyond.leftovers.is_empty())?,
    }
    Ok(end)
}

/// Nothing acknowledged is touched: torn, newer, or just the end.
fn classify(walker: &mut Walker, end: &mut End, miss: Option<Miss>, leftovers: bool) -> Result<()> {
    let last = walker.last();
    let Some(miss) = miss else {
        return Ok(());
    };
    let torn = match &miss {
        // Row 4.
        Miss::Body(_) => true,
        // Row 6.
        Miss::NotNext(_, epoch) => Some(*epoch) > last,
        // Row 11.
        Miss::Header(why @ (HeaderError::Version(3..) | HeaderError::Flags(_))) if !leftovers => {
            end.newer_format = true;
            end.reason = newer_reason(why);
            return Ok(());
        }
        // Row 9.
        Miss::Header(HeaderError::Checksum) => {
            let fresh = walker
                .files
                .state
                .as_ref()
                .is_none_or(|s| s.retired_generation == 0);
            let (index, pos) = (walker.at, walker.pos);
            fresh && has_magic(walker.read(index, pos, 4)?)
        }
        _ => false,
    };
    // Row 8.
    if torn || leftovers {
        end.verdict = Verdict::Torn;
        end.reason = reason_of(&miss).to_string();
    }
    // Row 10 else.
    Ok(())
}

fn newer_reason(why: &HeaderError) -> String {
    match why {
        HeaderError::Version(v) => format!("header: version {v} is newer than this library"),
        _ => "header: flags that are newer than this library".into(),
    }
}

fn reason_of(miss: &Miss) -> &str {
    match miss {
        Miss::NoRoom => "segment: full",
        Miss::Header(HeaderError::NotAHeader) => "header: none where a group should stand",
        Miss::Header(HeaderError::Checksum) => "header: checksum",
        Miss::Header(HeaderError::Version(_)) => "header: unknown version",
        Miss::Header(HeaderError::Flags(_)) => "header: unknown flags",
        Miss::Header(HeaderError::Field(_)) => "header: impossible field",
        Miss::NotOurs(why) | Miss::NotNext(why, _) => why,
        Miss::Body(why) | Miss::Damage(why) => why,
    }
}

fn place(walker: &Walker, beyond: &Beyond) -> End {
    let segments = &walker.files.segments;
    let path = match segments.get(walker.at).or(segments.last()) {
        Some(entry) => entry.path.clone(),
        None => walker.files.names.state(),
    };
    End {
        verdict: Verdict::Clean,
        newer_format: false,
        segment: walker.at,
        position: walker.pos,
        unread: beyond.leftovers.iter().any(|(at, _)| *at == walker.at),
        offset: walker.pos,
        path,
        reason: String::new(),
        leftovers: beyond.leftovers.clone(),
        highest_leftover: beyond.highest,
        lsns_beyond: None,
    }
}

/// Whether the rest of the segment where the walker stands knows of groups
/// above `last`.
pub(super) fn more_in_segment(walker: &mut Walker, last: Option<u64>) -> Result<bool> {
    let mut beyond = Beyond::default();
    look_through(walker, walker.at, walker.pos, last, &mut beyond)?;
    Ok(!beyond.leftovers.is_empty() || beyond.watermark > last)
}

/// Looks for headers of this log, block by block, from where the walker
/// stands through all later segments.
fn look_on(walker: &mut Walker, last: Option<u64>) -> Result<Beyond> {
    let mut beyond = Beyond::default();
    for index in walker.at..walker.files.segments.len() {
        let entry = walker.files.segments[index].clone();
        if entry.version == Version::One {
            // It has its name only since it was durable, and all before it were.
            beyond.watermark = beyond.watermark.max(Some(entry.first_epoch));
            continue;
        }
        if index > walker.at {
            let newer = newer_format(&entry.head).map(|why| (index, why));
            // The shape of a newer file is not ours to judge.
            if newer.is_none() && beyond.damage.is_none() {
                let why = first_header_damage(&walker.files, &entry);
                beyond.damage = why.map(|why| (index, why));
            }
            beyond.newer = beyond.newer.or(newer);
        }
        let pos = if index == walker.at { walker.pos } else { 0 };
        look_through(walker, index, pos, last, &mut beyond)?;
    }
    Ok(beyond)
}

fn look_through(
    walker: &mut Walker,
    index: usize,
    mut pos: u64,
    last: Option<u64>,
    beyond: &mut Beyond,
) -> Result<()> {
    let log_id = walker.files.state.as_ref().map(|s| s.log_id);
    let entry = walker.files.segments[index].clone();
    while entry.len.saturating_sub(pos) >= BLOCK {
        let bytes = walker.read(index, pos, GROUP_HEADER)?;
        if let Ok((header, _)) = GroupHeader::parse(bytes) {
            if log_id == Some(header.log_id) {
                // Wherever it came from, its number was given out.
                beyond.highest = beyond.highest.max(header.epoch);
            }
            if ours(&header, &entry, pos, log_id).is_ok() {
                if header.watermark > 0 {
                    beyond.watermark = beyond.watermark.max(Some(header.watermark));
                }
                if header.kind != GroupKind::Mark && Some(header.epoch) > last {
                    beyond.leftovers.push((index, pos));
                }
            }
        }
        pos += BLOCK;
    }
    Ok(())
}

/// The verdict on a segment of version 1 that does not parse: it was whole
/// when it got its name, so it is never torn; a newer format only where
/// nothing readable follows it.
pub(super) fn version_one(walker: &mut Walker, index: usize, error: &Error) -> Result<End> {
    let mut end = place(walker, &Beyond::default());
    end.reason = error.message().to_string();
    end.offset = error.offset().unwrap_or(0);
    end.verdict = Verdict::Corrupt;
    if error.kind() == ErrorKind::Format {
        let later = walker.files.segments[index + 1..]
            .iter()
            .any(|s| crate::format::prelude::parse(&s.head).is_ok_and(|p| p.version <= 2));
        end.newer_format = !later;
    }
    Ok(end)
}
