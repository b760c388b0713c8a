//! Following the log, group by group, and judging where it ends: the decision
//! table of `docs/format.md`. The rows are named in the comments.

use super::files::{LogFiles, Version};
use super::lock::ReaderHold;
use super::order::Order;
use super::place::{Miss, Verdict, first_header_damage, newer_format, ours};
use super::window::Window;
use super::{Disk, judge};
use crate::error::{Error, Result};
use crate::format::group::{
    BLOCK, CERTIFICATE, Certificate, GROUP_HEADER, GroupHeader, GroupKind, LaneCounts, Summary,
    TermRun,
};
use crate::format::item::ItemHead;
use crate::format::v1;
use crate::storage::{File, OpenMode};
use crate::wrong::{self, Wrong};
use std::path::PathBuf;
use std::sync::Arc;

/// A group that continues the log. Its bytes stand in the walker until the
/// next step.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) segment: usize,
    pub(crate) header: GroupHeader,
    pub(crate) certificate: Certificate,
}

/// Where and how a log ends.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) verdict: Verdict,
    /// A newer format: neither torn nor corrupt.
    pub(crate) newer_format: bool,
    /// The segment at which reading stopped; the number of segments at the end.
    pub(crate) segment: usize,
    /// Where in it the next group would stand.
    pub(crate) position: u64,
    /// Whether something of this log stands there that could not be read.
    pub(crate) unread: bool,
    /// Where something is wrong, which may be further on.
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) reason: String,
    /// Headers of this log beyond the end, with epochs above it: (segment, offset).
    pub(crate) leftovers: Vec<(usize, u64)>,
    /// The highest epoch among them.
    pub(crate) highest_leftover: u64,
    /// Of a corrupt log of records: the lowest and the highest LSN among them.
    pub(crate) lsns_beyond: Option<(u64, u64)>,
}

impl End {
    /// The error that a strict reader answers with; none where the log is clean or torn.
    pub(crate) fn error(&self) -> Option<Error> {
        let kind = match (self.newer_format, self.verdict) {
            (true, _) => crate::error::ErrorKind::Format,
            (_, Verdict::Corrupt) => crate::error::ErrorKind::Corrupt,
            (_, Verdict::Torn) if wrong::is(Wrong::TornTailIsRefused) => {
                crate::error::ErrorKind::Corrupt
            }
            _ => return None,
        };
        Some(Error::new(kind, self.reason.clone()).at(&self.path, self.offset))
    }
}

/// A payload, and its items as (offset in it, head).
pub(crate) type Payload<'a> = (&'a [u8], &'a [(usize, ItemHead)]);

/// One step along the log.
#[derive(Debug)]
pub(crate) enum Step {
    /// A group of version 2; marks too.
    Group(Box<Group>),
    /// A whole segment of version 1: its epoch, and its number in the list.
    /// The records are read by [`Walker::version_one`].
    Epoch(u64, usize),
    /// Nothing follows.
    End(Box<End>),
}

/// What the next group must link to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The epoch of the group before; none before the first.
    pub(crate) epoch: Option<u64>,
    /// The checksum of its certificate; none: taken from what comes.
    pub(crate) link: Option<u32>,
    /// The highest sequence, where the coordinator assigned it.
    pub(crate) assigned: Option<u64>,
}

/// Follows a log from its oldest live segment.
#[derive(Debug)]
pub(crate) struct Walker {
    pub(crate) disk: Disk,
    pub(crate) files: LogFiles,
    pub(super) at: usize,
    pub(super) pos: u64,
    pub(crate) chain: Chain,
    /// Of a log of records.
    pub(crate) order: Order,
    /// The highest watermark seen in headers that were followed.
    pub(crate) watermark: u64,
    pub(crate) highest_seq: u64,
    /// A living writer's durable epoch: nothing above it is given.
    cap: Option<Option<u64>>,
    hold: Option<ReaderHold>,
    pub(super) window: Window,
    open: Option<(usize, Arc<dyn File>)>,
    lanes: LaneCounts,
    items: Vec<(usize, ItemHead)>,
    runs: Vec<TermRun>,
    payload: (u64, usize),
    one: Vec<u8>,
    ended: bool,
}

impl Walker {
    /// For a writer, or a reader that has no writer beside it: `hold` is none.
    pub(crate) fn new(disk: Disk, files: LogFiles, hold: Option<ReaderHold>) -> Self {
        let mut order = Order::default();
        order.know(files.state.as_ref());
        Walker {
            disk,
            files,
            at: 0,
            pos: 0,
            chain: Chain::default(),
            order,
            watermark: 0,
            highest_seq: 0,
            cap: None,
            hold,
            window: Window::default(),
            open: None,
            lanes: LaneCounts::default(),
            items: Vec::new(),
            runs: Vec::new(),
            payload: (0, 0),
            one: Vec::new(),
            ended: false,
        }
    }

    /// Starts at a segment other than the oldest: what is before it is not
    /// looked at, and its first group is taken as it comes.
    pub(crate) fn start_at(&mut self, segment: usize) {
        self.at = segment;
        self.pos = 0;
        self.chain = Chain::default();
        self.order.restart();
        self.ended = false;
    }

    /// Sets what there is to follow, before the first step.
    pub(crate) fn set_files(&mut self, files: LogFiles) {
        self.order.know(files.state.as_ref());
        self.files = files;
    }

    /// Holds only what was listed and is still to be read, so that a checkpoint
    /// need not wait for this reader to let go of what it never looks at.
    pub(crate) fn narrow_hold(&self) -> Result<()> {
        match (&self.hold, self.files.segments.get(self.at)) {
            (Some(hold), Some(oldest)) => hold.narrow(oldest.first_epoch),
            _ => Ok(()),
        }
    }

    /// Asks whether a writer lives, and how far it is durable.
    pub(crate) fn refresh_live(&mut self) -> Result<bool> {
        let Some(hold) = &mut self.hold else {
            return Ok(false);
        };
        if self.cap.is_none() && !wrong::is(Wrong::ReadsAheadOfTheWriter) {
            self.cap = hold.live_durable(&self.disk)?;
            if self.cap.is_some() {
                self.window.clear();
                self.open = None;
                // It may have cut off a tail: whatever it made durable since is
                // behind a save of the history.
                if self.files.names.kind() == GroupKind::Records {
                    let state = LogFiles::read_state(&self.disk, &self.files.names)?;
                    self.order.know(state.as_ref());
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a writer lives beside this reader.
    pub(crate) fn is_live(&self) -> bool {
        self.cap.is_some()
    }

    /// The segment being read.
    pub(crate) fn current_path(&self) -> PathBuf {
        match self.files.segments.get(self.at) {
            Some(entry) => entry.path.clone(),
            None => self.files.names.state(),
        }
    }

    /// The last epoch read well, or the floor.
    pub(crate) fn last(&self) -> Option<u64> {
        let floor = self.files.state.as_ref().and_then(|s| s.floor);
        self.chain.epoch.max(floor)
    }

    /// Bytes of segments read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.window.total_read
    }

    /// The next group or version 1 epoch. With `body` every byte of a group
    /// is checked and its items are listed; without, header and certificate.
    pub(crate) fn step(&mut self, body: bool) -> Result<Step> {
        loop {
            match self.step_listed(body) {
                // A writer that opened meanwhile removes names without a group.
                Err(e) if e.os_error() == Some(libc::ENOENT) && self.relist()? => {
                    self.ended = false;
                }
                step => return step,
            }
        }
    }

    /// Lists the files again if a writer came and went since they were listed:
    /// each that opens saves the state. Says whether one did.
    fn relist(&mut self) -> Result<bool> {
        if self.hold.is_none() || self.cap.is_some() {
            return Ok(false);
        }
        // Every segment's end asks, so the state is looked at alone first:
        // listing opens each segment.
        let now = LogFiles::read_state(&self.disk, &self.files.names)?;
        let known = self.files.state.as_ref().map(|s| s.update);
        if now.map(|s| s.update) == known {
            return Ok(false);
        }
        let files = LogFiles::list(&self.disk, &self.files.names)?;
        let here = self.files.segments.get(self.at).map(|s| s.first_epoch);
        let at = match here {
            Some(epoch) => files.segments.partition_point(|s| s.first_epoch < epoch),
            None => self.at.min(files.segments.len()),
        };
        if files.segments.get(at).map(|s| s.first_epoch) != here {
            self.pos = 0;
        }
        self.at = at;
        self.set_files(files);
        self.window.clear();
        self.open = None;
        Ok(true)
    }

    fn step_listed(&mut self, body: bool) -> Result<Step> {
        loop {
            if self.at >= self.files.segments.len() || self.ended {
                self.ended = true;
                return self.finish(None);
            }
            if self.cap_reached() {
                return Ok(self.clean_end());
            }
            let entry = &self.files.segments[self.at];
            if entry.version == Version::One {
                return self.step_one();
            }
            match self.try_group(body)? {
                Ok(group) if self.beyond_cap(group.header.epoch, group.header.kind) => {
                    return Ok(self.clean_end());
                }
                // The tail may be a living writer's, and not durable yet.
                Ok(group) if self.unconfirmed(&group) && self.refresh_live()? => {}
                Ok(group) => {
                    self.accept(&group);
                    return Ok(Step::Group(Box::new(group)));
                }
                // A writer may have come since: what was read may be its doing.
                Err(_) if self.refresh_live()? || self.relist()? => {}
                Err(miss) => {
                    if !matches!(miss, Miss::Damage(_)) && self.next_segment_continues()? {
                        // Row 2.
                        self.at += 1;
                        self.pos = 0;
                        continue;
                    }
                    self.ended = true;
                    return self.finish(Some(miss));
                }
            }
        }
    }

    fn cap_reached(&self) -> bool {
        match self.cap {
            None => false,
            Some(None) => true,
            Some(Some(cap)) => self.last().is_some_and(|last| last >= cap),
        }
    }

    fn beyond_cap(&self, epoch: u64, kind: GroupKind) -> bool {
        kind != GroupKind::Mark && matches!(self.cap, Some(cap) if cap.is_none_or(|c| epoch > c))
    }

    fn unconfirmed(&self, group: &Group) -> bool {
        let known = self.files.state.as_ref().map_or(0, |s| s.watermark);
        self.at + 1 == self.files.segments.len() && group.header.epoch > known
    }

    fn clean_end(&mut self) -> Step {
        self.ended = true;
        let at = self.at.min(self.files.segments.len() - 1);
        Step::End(Box::new(End {
            verdict: Verdict::Clean,
            newer_format: false,
            segment: self.at,
            position: self.pos,
            unread: false,
            offset: self.pos,
            path: self.files.segments[at].path.clone(),
            reason: String::new(),
            leftovers: Vec::new(),
            highest_leftover: 0,
            lsns_beyond: None,
        }))
    }

    fn finish(&mut self, miss: Option<Miss>) -> Result<Step> {
        let end = judge::judge(self, miss)?;
        Ok(Step::End(Box::new(end)))
    }

    /// The file of segment `index`, opened when it is first needed.
    pub(super) fn file(&mut self, index: usize) -> Result<Arc<dyn File>> {
        if let Some((open, file)) = &self.open
            && *open == index
        {
            return Ok(file.clone());
        }
        let path = &self.files.segments[index].path;
        let file = self
            .disk
            .open(path, OpenMode::Read)
            .map_err(|e| Error::io("open a segment", path, &e))?;
        self.window.clear();
        self.open = Some((index, file.clone()));
        Ok(file)
    }

    pub(super) fn read(&mut self, index: usize, offset: u64, len: usize) -> Result<&[u8]> {
        let file = self.file(index)?;
        let entry = &self.files.segments[index];
        self.window
            .slice(&*file, entry.len, offset, len)
            .map_err(|e| Error::io("read a segment", &entry.path, &e).at(&entry.path, offset))
    }

    /// Row 1, or why not.
    fn try_group(&mut self, body: bool) -> Result<std::result::Result<Group, Miss>> {
        let (index, pos) = (self.at, self.pos);
        let entry = self.files.segments[index].clone();
        if pos == 0
            && let Some(newer) = newer_format(&entry.head)
        {
            return Ok(Err(Miss::Header(newer)));
        }
        if pos == 0
            && let Some(damage) = first_header_damage(&self.files, &entry)
        {
            return Ok(Err(Miss::Damage(damage)));
        }
        if entry.len.saturating_sub(pos) < BLOCK {
            return Ok(Err(Miss::NoRoom));
        }
        let bytes = self.read(index, pos, GROUP_HEADER)?;
        let (header, header_crc) = match GroupHeader::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => return Ok(Err(Miss::Header(error))),
        };
        let log_id = self.files.state.as_ref().map(|s| s.log_id);
        if let Err(why) = ours(&header, &entry, pos, log_id) {
            return Ok(Err(Miss::NotOurs(why)));
        }
        if let Err(why) = self.continues(&header) {
            return Ok(Err(Miss::NotNext(why, header.epoch)));
        }
        if header.segment_size > entry.len && !wrong::is(Wrong::CutSegmentIsTaken) {
            return Ok(Err(Miss::Damage(format!(
                "file is {} bytes long, its header says {}",
                entry.len, header.segment_size
            ))));
        }
        let kind = self.files.names.kind();
        if header.kind != kind && header.kind != GroupKind::Mark {
            return Ok(Err(Miss::Body(match kind {
                GroupKind::Records => "group: of page batches, in a log of records".into(),
                _ => "group: of records, in a log of pages".into(),
            })));
        }
        self.read_body(header, header_crc, body)
    }

    fn read_body(
        &mut self,
        header: GroupHeader,
        header_crc: u32,
        body: bool,
    ) -> Result<std::result::Result<Group, Miss>> {
        let (index, pos) = (self.at, self.pos);
        let payload_end = GROUP_HEADER + header.payload_len as usize;
        let length = header.length as usize;
        let (from, to) = if body {
            (0, length)
        } else {
            (payload_end, length)
        };
        // `segment_size` bounds the length, and the file's length bounds that.
        let bytes = self.read(index, pos + from as u64, to - from)?;
        if bytes.len() < to - from {
            return Ok(Err(Miss::Body("group: the file ends in it".into())));
        }
        let trailer = &bytes[payload_end - from..];
        let certificate = match Certificate::parse(trailer, &header, header_crc) {
            Ok(certificate) => certificate,
            Err(why) => return Ok(Err(Miss::Body(why.into()))),
        };
        debug_assert!(trailer.len() >= CERTIFICATE);
        self.runs.clear();
        if body {
            let mut items = std::mem::take(&mut self.items);
            let mut lanes = std::mem::take(&mut self.lanes);
            items.clear();
            lanes.clear();
            let bytes = self.read(index, pos, length)?;
            let payload = &bytes[GROUP_HEADER..payload_end];
            let counted = Summary::walk(payload, true, &mut lanes, |at, head| {
                items.push((at, *head));
                head.check_body(header.kind, &payload[at..at + head.len])
            });
            self.items = items;
            self.lanes = lanes;
            match counted {
                Err((at, why)) => {
                    let at = pos + (GROUP_HEADER + at) as u64;
                    return Ok(Err(Miss::Body(format!("{why} (at offset {at})"))));
                }
                Ok(counted) => {
                    if let Err(why) = certificate.agrees_with(&counted) {
                        return Ok(Err(Miss::Body(why.into())));
                    }
                    if let Some(at) = counted.out_of_order {
                        let at = pos + (GROUP_HEADER + at) as u64;
                        let why = format!("record: out of order (at offset {at})");
                        return Ok(Err(Miss::Damage(why)));
                    }
                    self.runs = counted.runs;
                }
            }
            self.payload = (pos + GROUP_HEADER as u64, header.payload_len as usize);
        }
        let order = self.order.check(&header, &certificate, &self.runs);
        if let Err(why) = self.sequences_touch(&certificate).and(order) {
            return Ok(Err(Miss::Damage(why)));
        }
        Ok(Ok(Group {
            segment: index,
            header,
            certificate,
        }))
    }

    /// Whether a header that is ours is the next one of the log.
    pub(super) fn continues(&self, header: &GroupHeader) -> std::result::Result<(), &'static str> {
        let floor = self.files.state.as_ref().and_then(|s| s.floor).unwrap_or(0);
        match self.chain.epoch {
            Some(before) if header.previous_epoch != before => {
                return Err("header: links to another epoch");
            }
            None if header.previous_epoch > floor && self.at == 0 => {
                return Err("header: epochs between the checkpoint and it are missing");
            }
            _ => {}
        }
        let linked = self.chain.link.is_none_or(|link| link == header.link);
        if !linked && !wrong::is(Wrong::LinkNotChecked) {
            return Err("header: links to another group");
        }
        let rises = match header.kind {
            GroupKind::Mark => header.epoch == header.previous_epoch,
            _ => header.epoch > header.previous_epoch || self.chain.epoch.is_none(),
        };
        if rises {
            Ok(())
        } else {
            Err("header: epoch does not follow the one before")
        }
    }

    /// Where the coordinator assigns sequences the ranges of neighbours touch.
    fn sequences_touch(&self, certificate: &Certificate) -> std::result::Result<(), String> {
        let sum = &certificate.summary;
        if !certificate.flags.assigned || sum.items == 0 {
            return Ok(());
        }
        if let Some(before) = self.chain.assigned
            && before.checked_add(1) != Some(sum.seq_low)
        {
            return Err(format!(
                "certificate: sequences start at {}, the ones before end at {before}",
                sum.seq_low
            ));
        }
        let beyond_first = sum.seq_high.checked_sub(sum.seq_low);
        if beyond_first != Some(u64::from(sum.items) - 1) {
            return Err(format!(
                "certificate: sequences {} to {} for {} items",
                sum.seq_low, sum.seq_high, sum.items
            ));
        }
        Ok(())
    }

    fn accept(&mut self, group: &Group) {
        let sum = &group.certificate.summary;
        self.pos += group.header.length;
        self.watermark = self.watermark.max(group.header.watermark);
        if self.files.names.kind() == GroupKind::Records {
            self.order.take(&group.certificate, &self.runs);
            self.highest_seq = self.order.highest;
        } else {
            self.highest_seq = self.highest_seq.max(sum.seq_high);
        }
        let mark = group.header.kind == GroupKind::Mark;
        let assigned = if mark {
            self.chain.assigned
        } else {
            group.certificate.flags.assigned.then_some(sum.seq_high)
        };
        let first_ever = mark && group.header.epoch == 0;
        self.chain = Chain {
            epoch: (!first_ever)
                .then_some(group.header.epoch)
                .or(self.chain.epoch),
            link: Some(group.certificate.crc),
            assigned,
        };
    }

    fn next_segment_continues(&mut self) -> Result<bool> {
        let Some(next) = self.files.segments.get(self.at + 1) else {
            return Ok(false);
        };
        if next.version == Version::One {
            // Nothing links a version 1 file to what is before it, so what the
            // rest of this segment says decides. A file in front of it that does
            // not even begin with a group is a damaged one.
            let last = self.last();
            return Ok(self.pos > 0 && !judge::more_in_segment(self, last)?);
        }
        if self.chain.link.is_none() {
            return Ok(false);
        }
        let log_id = self.files.state.as_ref().map(|s| s.log_id);
        Ok(match GroupHeader::parse(&next.head) {
            Ok((header, _)) => {
                ours(&header, next, 0, log_id).is_ok() && self.continues(&header).is_ok()
            }
            Err(_) => false,
        })
    }

    fn step_one(&mut self) -> Result<Step> {
        let index = self.at;
        let len = self.files.segments[index].len;
        let entry = &self.files.segments[index];
        if let Err(error) = v1::decode_header(&entry.head, len, Some(entry.first_epoch)) {
            let error = error.in_file(&entry.path);
            self.ended = true;
            let end = judge::version_one(self, index, &error)?;
            return Ok(Step::End(Box::new(end)));
        }
        let mut bytes = std::mem::take(&mut self.one);
        bytes.clear();
        let read = self.read(index, 0, usize::try_from(len).unwrap_or(usize::MAX))?;
        bytes.extend_from_slice(read);
        self.one = bytes;
        let entry = &self.files.segments[index];
        let decoded = v1::decode(&self.one, Some(entry.first_epoch));
        let (epoch, highest) = match decoded {
            Ok(segment) => (segment.epoch, segment.highest_commit_seq()),
            Err(error) => {
                let error = error.in_file(&entry.path);
                self.ended = true;
                let end = judge::version_one(self, index, &error)?;
                return Ok(Step::End(Box::new(end)));
            }
        };
        if self.beyond_cap(epoch, GroupKind::Pages) {
            return Ok(self.clean_end());
        }
        self.highest_seq = self.highest_seq.max(highest.unwrap_or(0));
        // A file of version 1 has its name only since it was synced.
        self.watermark = self.watermark.max(epoch);
        self.chain = Chain {
            epoch: Some(epoch),
            link: Some(0),
            assigned: None,
        };
        self.at += 1;
        self.pos = 0;
        Ok(Step::Epoch(epoch, index))
    }

    /// The records of the version 1 epoch that the last step gave.
    pub(crate) fn version_one(&self) -> Result<v1::Segment<'_>> {
        v1::decode(&self.one, None).map_err(|e| {
            let path = &self.files.segments[self.at.saturating_sub(1)].path;
            e.in_file(path)
        })
    }

    /// The bytes of the version 1 epoch that the last step gave.
    pub(crate) fn version_one_bytes(&self) -> &[u8] {
        &self.one
    }

    /// The payload of the group that the last step with `body` gave, and its
    /// items as (offset in the payload, head).
    pub(crate) fn payload(&mut self) -> Result<Payload<'_>> {
        let (offset, len) = self.payload;
        let index = self.at;
        let file = self.file(index)?;
        let entry = &self.files.segments[index];
        let bytes = self
            .window
            .slice(&*file, entry.len, offset, len)
            .map_err(|e| Error::io("read a segment", &entry.path, &e))?;
        Ok((bytes, &self.items))
    }
}
