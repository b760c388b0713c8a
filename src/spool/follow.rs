//! Following a segment to mark where its records stand.

use super::index::{Mark, Segment};
use crate::error::{Error, Result};
use crate::format::group::{GROUP_HEADER, GroupHeader};
use crate::format::item::{ItemHead, ItemKind};
use crate::format::names::Names;
use crate::format::record::RecordHead;
use crate::format::state::State;
use crate::format::terms::Terms;
use crate::log::{Disk, Group, LogFiles, Step, Walker};
use crate::storage::{OpenMode, read_up_to};
use std::collections::BTreeMap;

/// A segment to be followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) first_epoch: u64,
    pub(super) generation: u64,
    /// The first epoch of the next one; none behind the newest.
    pub(super) next: Option<u64>,
}

/// Follows a segment that was there when the log was opened in this state to
/// its end, every byte of it verified. No other file is looked at but the next:
/// the writer's may come and go meanwhile.
pub(super) fn follow(
    disk: &Disk,
    names: &Names,
    opened: &State,
    part: Part,
    terms: &Terms,
) -> Result<Segment> {
    let epochs = [Some(part.first_epoch), part.next];
    let epochs: Vec<u64> = epochs.into_iter().flatten().collect();
    let files = LogFiles::part(disk, names, opened, part.generation, &epochs)?;
    let mut segment = Segment::new(part.first_epoch, names.segment(part.first_epoch));
    let mut walker = Walker::new(disk.clone(), files, None);
    loop {
        match walker.step(true)? {
            Step::Group(group) if group.segment == 0 => {
                note_group(&mut segment, &mut walker, &group, terms)?;
            }
            Step::Group(_) | Step::Epoch(..) => return Ok(segment),
            Step::End(end) => {
                return match (end.error(), part.next) {
                    (Some(error), _) => Err(error),
                    (None, None) => Ok(segment),
                    // What the next one follows must be there.
                    (None, Some(_)) => Err(Error::corrupt(end.reason).at(&end.path, end.offset)),
                };
            }
        }
    }
}

/// Where the records of the segments stand that an open has followed itself.
#[derive(Default)]
pub(super) struct Followed {
    /// By first epoch.
    segments: BTreeMap<u64, Segment>,
    /// The walker's history, which may end with a term that has just begun:
    /// whether a record is live it tells of all that came before.
    terms: Terms,
}

impl Followed {
    /// The next group.
    pub(super) fn group(&mut self, walker: &mut Walker, group: &Group) -> Result<()> {
        let entry = &walker.files.segments[group.segment];
        if group.header.position == 0 {
            let segment = Segment::new(entry.first_epoch, entry.path.clone());
            self.segments.insert(entry.first_epoch, segment);
        }
        let Some(segment) = self.segments.get_mut(&entry.first_epoch) else {
            return Ok(());
        };
        if self.terms != walker.order.terms {
            self.terms = walker.order.terms.clone();
        }
        note_group(segment, walker, group, &self.terms)
    }

    /// The segment with this first epoch, if it was followed.
    pub(super) fn take(&mut self, first_epoch: u64) -> Option<Segment> {
        self.segments.remove(&first_epoch)
    }
}

/// Notes the records of a group that the walker has just given.
fn note_group(
    segment: &mut Segment,
    walker: &mut Walker,
    group: &Group,
    terms: &Terms,
) -> Result<()> {
    let position = group.header.position;
    let (payload, items) = walker.payload()?;
    for (item, head) in items {
        note_item(segment, payload, *item, head, position, terms);
    }
    segment.reach(position + group.header.length);
    Ok(())
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
