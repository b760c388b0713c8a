//! Following a segment to mark where its records stand.

use super::index::{Mark, Segment};
use crate::error::{Error, ErrorKind, Result};
use crate::format::group::{GROUP_HEADER, GroupHeader};
use crate::format::item::{ItemHead, ItemKind};
use crate::format::names::Names;
use crate::format::record::RecordHead;
use crate::format::terms::Terms;
use crate::log::{Disk, LogFiles, Step, Walker};
use crate::storage::{OpenMode, read_up_to};

/// Follows the segment that begins with `first_epoch` to its end, every byte of
/// it verified.
pub(super) fn follow(
    disk: &Disk,
    names: &Names,
    first_epoch: u64,
    terms: &Terms,
) -> Result<Segment> {
    let files = LogFiles::list(disk, names)?;
    let mut segment = Segment::new(first_epoch, names.segment(first_epoch));
    let at = files
        .segments
        .iter()
        .position(|s| s.first_epoch == first_epoch);
    let Some(at) = at else {
        return Err(gone(names, first_epoch));
    };
    let mut walker = Walker::new(disk.clone(), files, None);
    walker.start_at(at);
    loop {
        match walker.step(true)? {
            Step::Group(group) if group.segment == at => {
                let (payload, items) = walker.payload()?;
                for (item, head) in items {
                    note_item(
                        &mut segment,
                        payload,
                        *item,
                        head,
                        group.header.position,
                        terms,
                    );
                }
                segment.reach(group.header.position + group.header.length);
            }
            Step::Group(_) | Step::Epoch(..) => return Ok(segment),
            Step::End(end) => {
                return match end.error() {
                    Some(error) => Err(error),
                    None => Ok(segment),
                };
            }
        }
    }
}

fn note_item(
    segment: &mut Segment,
    payload: &[u8],
    item: usize,
    head: &ItemHead,
    group: u64,
    terms: &Terms,
) {
    if head.kind != ItemKind::Record {
        return;
    }
    let Ok(record) = RecordHead::parse(&payload[item..]) else {
        return;
    };
    if terms.is_live(record.term, record.lsn) {
        let mark = Mark {
            lsn: record.lsn,
            group,
            item: item as u64,
        };
        segment.note(mark, head.len as u64);
    }
}

/// The first record of a segment, where it is a live one; none where only
/// following the segment can tell.
pub(super) fn first_lsn(
    disk: &Disk,
    names: &Names,
    first_epoch: u64,
    terms: &Terms,
) -> Result<Option<u64>> {
    let path = names.segment(first_epoch);
    let file = disk
        .open(&path, OpenMode::Read)
        .map_err(|e| Error::io("open a segment", &path, &e))?;
    let mut head = [0; GROUP_HEADER + 48];
    let len = read_up_to(&*file, &mut head, 0)
        .map_err(|e| Error::io("read a segment", &path, &e).at(&path, 0))?;
    let whole = len == head.len() && GroupHeader::parse(&head).is_ok();
    let record = RecordHead::parse(&head[GROUP_HEADER..]);
    Ok(match record {
        Ok(record) if whole && terms.is_live(record.term, record.lsn) => Some(record.lsn),
        _ => None,
    })
}

/// A segment that was let go of while it was looked for.
pub(super) fn gone(names: &Names, first_epoch: u64) -> Error {
    Error::new(ErrorKind::NotFound, "a segment is gone").in_file(&names.segment(first_epoch))
}
