//! Reading records from segments, from a place that the index or a cursor
//! knows: each item is verified by its own checksum.

use super::index::{Mark, SegmentData, Written};
use super::read_file;
use super::records::{Gathered, Payload, SpoolRecord};
use super::ring::RecordAt;
use super::view::payload_start;
use crate::error::{Error, Result};
use crate::format::bytes::get_u32;
use crate::format::group::{BLOCK, GROUP_HEADER, GroupHeader};
use crate::format::item::{ITEM_HEADER, ItemHead, ItemKind};
use crate::format::record::Record;
use crate::format::terms::Terms;
use crate::log::{Disk, Window};
use crate::storage::{File, OpenMode};
use crate::sync::Ordering;
use crate::wrong::{self, Wrong};
use std::sync::Arc;

/// Bytes read first; more each time after that, for whoever reads on.
pub(super) const FIRST_READ: usize = 16 << 10;

/// A place between two items of a segment. Holding it keeps the segment's file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) data: Arc<SegmentData>,
    /// Names the segment.
    pub(super) first_epoch: u64,
    /// Offset of the group; in a RDLW file the position of the record.
    pub(super) group: u64,
    /// Offset in its payload.
    item: u64,
}

impl Place {
    /// At a mark, or the segment's start.
    pub(super) fn new(data: Arc<SegmentData>, first_epoch: u64, mark: Option<Mark>) -> Place {
        let (group, item) = mark.map_or((data.start(), 0), |m| (m.group, m.item));
        Place {
            data,
            first_epoch,
            group,
            item,
        }
    }

    /// Where the durable groups of its segment end.
    pub(super) fn end(&self) -> u64 {
        self.data.end.load(Ordering::Acquire)
    }
}

impl SegmentData {
    /// The file, opened by the first who asks.
    fn open(&self, disk: &Disk) -> Result<Arc<dyn File>> {
        let mut file = self.file.lock();
        if let Some(file) = &*file {
            return Ok(file.clone());
        }
        let opened = disk
            .open(&self.path, OpenMode::Read)
            .map_err(|e| Error::io("open a segment", &self.path, &e))?;
        *file = Some(opened.clone());
        Ok(opened)
    }
}

/// A stretch of a segment on its way into memory.
struct Reader<'a> {
    file: Arc<dyn File>,
    place: &'a mut Place,
    end: u64,
    window: Window,
}

impl Reader<'_> {
    fn corrupt(&self, why: &str, offset: u64) -> Error {
        Error::corrupt(why).at(&self.place.data.path, offset)
    }

    /// `len` bytes at `offset`, all of which are durable.
    fn bytes(&mut self, offset: u64, len: usize) -> Result<&[u8]> {
        if self.window.held_from(offset).len() < len {
            self.load(offset, len)?;
        }
        Ok(&self.window.held_from(offset)[..len])
    }

    fn load(&mut self, offset: u64, len: usize) -> Result<()> {
        let path = &self.place.data.path;
        let whole = offset
            .checked_add(len as u64)
            .is_some_and(|e| e <= self.end);
        let got = match whole {
            true => self
                .window
                .slice(&*self.file, self.end, offset, len)
                .map_err(|e| Error::io("read a segment", path, &e).at(path, offset))?
                .len(),
            false => 0,
        };
        match got < len {
            true => Err(self.corrupt("segment: it ends in a group", offset)),
            false => Ok(()),
        }
    }

    /// The item at `offset`, its checksum verified; `rest` bytes of payload are
    /// left for it.
    fn item(&mut self, offset: u64, rest: usize) -> Result<(ItemHead, &[u8])> {
        let head = self.bytes(offset, rest.min(ITEM_HEADER))?;
        let len = head.get(4..8).map_or(0, |l| get_u32(l, 0) as usize);
        if len < ITEM_HEADER || len > rest {
            return Err(self.corrupt("item: impossible length", offset));
        }
        let item = self.bytes(offset, len)?;
        let head = ItemHead::parse(item).ok();
        match head.filter(|head| head.len == len && head.verify(item)) {
            // Borrowed anew, since the error needs all of it.
            Some(head) => Ok((head, &self.window.held_from(offset)[..len])),
            None => Err(self.corrupt("item: checksum", offset)),
        }
    }

    /// The header of the group that the place is in.
    fn header(&mut self) -> Result<GroupHeader> {
        let (at, first_epoch) = (self.place.group, self.place.first_epoch);
        let parsed = GroupHeader::parse(self.bytes(at, GROUP_HEADER)?);
        match parsed {
            Ok((header, _))
                if header.position == at
                    && header.segment_epoch == first_epoch
                    && at + header.length <= self.end =>
            {
                Ok(header)
            }
            _ => Err(self.corrupt("group: its header is not the one that was written", at)),
        }
    }

    /// Gathers records above `lsn` from the group with this header. False: the
    /// limit is reached, and the place is before the record that is beyond it.
    fn group(
        &mut self,
        header: &GroupHeader,
        lsn: u64,
        terms: &Terms,
        into: &mut Gathered,
    ) -> Result<bool> {
        let mut bytes = Vec::new();
        let mut records = Vec::new();
        let mut more = Ok(true);
        while self.place.item < header.payload_len && matches!(more, Ok(true)) {
            more = self.next_item(header, lsn, terms, into, (&mut records, &mut bytes));
        }
        if more.is_err() && wrong::is(Wrong::RecordsBeforeAnErrorLost) {
            return more;
        }
        // Those before an item that can't be read as well: the place is behind them.
        let bytes = Arc::new(bytes);
        for record in records {
            into.push(SpoolRecord {
                term: record.term,
                lsn: record.lsn,
                timestamp_ms: record.timestamp_ms,
                payload: Payload::within(&bytes, record.at..record.at + record.len),
            });
        }
        more
    }

    /// Takes in the item at the place, and goes on behind it.
    fn next_item(
        &mut self,
        header: &GroupHeader,
        lsn: u64,
        terms: &Terms,
        into: &mut Gathered,
        (records, bytes): (&mut Vec<RecordAt>, &mut Vec<u8>),
    ) -> Result<bool> {
        let at = payload_start(self.place.group) + self.place.item;
        let rest = (header.payload_len - self.place.item) as usize;
        let (head, item) = self.item(at, rest)?;
        // Damage that makes a record look like one to be skipped is found too:
        // each is verified before it is judged.
        let record = match head.kind {
            ItemKind::Void => None,
            _ => match Record::parse(item) {
                Ok(record) => Some(record),
                Err(why) => return Err(self.corrupt(why, at)),
            },
        };
        let live =
            |r: &Record<'_>| terms.is_live(r.term, r.lsn) || wrong::is(Wrong::DeadRecordsRead);
        if let Some(record) = record.filter(|r| r.lsn > lsn && live(r)) {
            let ahead = (records.len(), bytes.len());
            if into.is_beyond(record.lsn) || !into.has_room(record.payload.len(), ahead) {
                return Ok(false);
            }
            records.push(RecordAt {
                term: record.term,
                lsn: record.lsn,
                timestamp_ms: record.timestamp_ms,
                at: bytes.len(),
                len: record.payload.len(),
            });
            bytes.extend_from_slice(record.payload);
        }
        self.place.item += head.len as u64;
        Ok(true)
    }
}

/// Gathers records above `lsn` from a place on, to `end`. `terms` is at least as
/// new. False: the limit is reached first.
pub(super) fn gather(
    disk: &Disk,
    place: &mut Place,
    (lsn, end): (u64, u64),
    terms: &Terms,
    into: &mut Gathered,
) -> Result<bool> {
    let file = place.data.open(disk)?;
    if place.data.written != Written::Groups {
        return read_file::gather(&*file, place, (lsn, end), terms, into);
    }
    let mut reader = Reader {
        file,
        place,
        end,
        window: Window::growing(FIRST_READ),
    };
    while reader.place.group + BLOCK <= end {
        let header = reader.header()?;
        if !reader.group(&header, lsn, terms, into)? {
            return Ok(false);
        }
        reader.place.group += header.length;
        reader.place.item = 0;
    }
    Ok(true)
}
