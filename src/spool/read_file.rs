//! Reading records from a single RDLW file, from a place that the index or a
//! cursor knows: each is verified by its own checksum.

use super::read::{FIRST_READ, Place};
use super::records::{Gathered, Payload, SpoolRecord};
use crate::error::{Error, Result};
use crate::format::rdlw::{Header, Layout, MAX_HEADER, Record, parse};
use crate::format::terms::Terms;
use crate::log::Window;
use crate::storage::File;
use crate::wrong::{self, Wrong};
use std::sync::Arc;

/// Gathers records above `lsn` from a place on, to position `end`. False: the
/// limit is reached first.
pub(super) fn gather(
    file: &dyn File,
    place: &mut Place,
    (lsn, end): (u64, u64),
    terms: &Terms,
    into: &mut Gathered,
) -> Result<bool> {
    let mut window = Window::growing(FIRST_READ);
    while place.group < end {
        let (header, record) = record_at(file, &mut window, place, end)?;
        let live = terms.is_live(record.term, record.lsn) || wrong::is(Wrong::DeadRecordsRead);
        if record.lsn > lsn && live {
            let len = record.payload.len();
            if !into.has_room(len, (0, 0)) {
                return Ok(false);
            }
            let payload = Arc::new(record.payload.to_vec());
            into.push(SpoolRecord {
                term: record.term,
                lsn: record.lsn,
                timestamp_ms: record.timestamp,
                payload: Payload::within(&payload, 0..len),
            });
        }
        place.group += header.record_len();
    }
    Ok(true)
}

/// The position from a place on of the first record above `lsn`, or of the end.
pub(super) fn position_above(place: &mut Place, lsn: u64) -> Result<u64> {
    let end = place.end();
    let file = place.data.file.lock().clone();
    let Some(file) = file else {
        return Ok(end);
    };
    let mut window = Window::growing(FIRST_READ);
    while place.group < end {
        let (header, record) = record_at(&*file, &mut window, place, end)?;
        if record.lsn > lsn {
            break;
        }
        place.group += header.record_len();
    }
    Ok(place.group)
}

/// The record at the place, all of which is durable.
fn record_at<'a>(
    file: &dyn File,
    window: &'a mut Window,
    place: &Place,
    end: u64,
) -> Result<(Header, Record<'a>)> {
    let path = &place.data.path;
    let base = place.data.start();
    let (at, len) = (place.group - base, end - base);
    let corrupt = |why: &str| Error::corrupt(why).at(path, at);
    let fail = |e: std::io::Error| Error::io("read the spool", path, &e).at(path, at);
    let ahead = (len - at).min(MAX_HEADER as u64) as usize;
    let head = window.slice(file, len, at, ahead).map_err(fail)?;
    let whole = match Layout::Three33.read(head).map(|h| h.record_len()) {
        Some(whole) if whole <= len - at => whole as usize,
        _ => return Err(corrupt("record: impossible length")),
    };
    let bytes = window.slice(file, len, at, whole).map_err(fail)?;
    parse(bytes).map_err(|why| corrupt(&format!("record: {why}")))
}
