//! Appending groups: the active segment, the roll to the next, the close.

use super::Disk;
use super::lock::WriterLock;
use super::policy::{Knobs, SyncPolicy, SyncStyle};
use super::record_file::RecordFile;
use super::segment_file::{SegmentFile, Style};
use super::spare::SparePool;
use super::state_file::{StateFile, sync_dir};
use super::v1_writer;
use crate::error::{Error, ErrorKind, Result};
use crate::format::group::{
    BLOCK, CertificateFlags, GROUP_HEADER, GroupHeader, GroupKind, Summary, group_len, seal,
};
use crate::format::names::Names;
use crate::storage::OpenMode;
use crate::wrong::{self, Wrong};
use std::path::PathBuf;
use std::sync::Arc;

/// The first segment's size; each next one doubles.
const FIRST_SEGMENT: u64 = 1 << 20;

/// What the log needs to know of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogOptions {
    pub(crate) policy: SyncPolicy,
    pub(crate) style: SyncStyle,
    pub(crate) segment_size: u64,
    pub(crate) version_one: bool,
    /// The records go to a [`RecordFile`]; there are no segments.
    pub(crate) single_file: bool,
    pub(crate) database_id: Option<[u8; 16]>,
    pub(crate) salvage: bool,
    pub(crate) knobs: Knobs,
}

/// A group to be written: its payload stands at [`GROUP_HEADER`] in a buffer
/// that has room for the whole group and starts at a multiple of 4096.
pub(crate) struct GroupInput<'a> {
    pub(crate) buffer: &'a mut [u8],
    pub(crate) payload_len: usize,
    pub(crate) epoch: u64,
    pub(crate) summary: &'a Summary,
    pub(crate) flags: CertificateFlags,
    pub(crate) lane_count: u32,
}

/// Where a group stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupPlace {
    /// The first epoch of its segment, which names the file.
    pub(crate) segment: u64,
    /// Its offset in the file.
    pub(crate) position: u64,
    /// Its length in the file.
    pub(crate) length: u64,
}

/// A segment that holds epochs which are not retired.
#[derive(Clone, Debug)]
pub(crate) struct LiveSegment {
    pub(crate) path: PathBuf,
    pub(crate) first_epoch: u64,
    /// The highest epoch in it, at least.
    pub(crate) last_epoch: u64,
    /// 0: version 1.
    pub(crate) generation: u64,
    pub(crate) size: u64,
    /// Bytes of groups in it.
    pub(crate) used: u64,
}

/// The segment that groups are appended to: the last of the live ones.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) file: SegmentFile,
    pub(super) pos: u64,
}

/// A log open for writing. One thread at a time.
#[derive(Debug)]
pub(crate) struct LogWriter {
    pub(super) disk: Disk,
    pub(super) names: Names,
    pub(super) options: LogOptions,
    pub(super) style: Style,
    pub(super) lock: Arc<WriterLock>,
    pub(super) state: StateFile,
    pub(super) spares: SparePool,
    pub(super) live: Vec<LiveSegment>,
    pub(super) active: Option<Active>,
    /// A roll that got as far as the rename: finished before anything else.
    pub(super) named: Option<LiveSegment>,
    /// Epoch of the group before the next.
    pub(super) previous_epoch: u64,
    /// Checksum of its certificate.
    pub(super) link: u32,
    pub(super) last_is_mark: bool,
    /// Bytes of the group before the next.
    pub(super) last_length: u64,
    pub(super) durable: u64,
    pub(super) highest_seq: u64,
    pub(super) next_size: u64,
    /// The next spare was asked for since the last roll.
    pub(super) prepared: bool,
    /// In place of segments.
    pub(super) file: Option<Box<dyn RecordFile>>,
    /// Where the last group stands in it.
    pub(super) file_place: GroupPlace,
    /// Records that the state knows of already come in again, from a file that
    /// was the log: the last of them.
    pub(super) importing: Option<u64>,
}

impl LogWriter {
    pub(super) fn first_size(options: &LogOptions) -> u64 {
        FIRST_SEGMENT.min(options.segment_size)
    }

    /// The segment behind one of `size` is twice that, up to the configured size.
    pub(super) fn grow_from(&mut self, size: u64) {
        self.next_size = (size * 2)
            .min(self.options.segment_size)
            .max(Self::first_size(&self.options));
    }

    /// Whether epochs on the disk are durable. A single file has none.
    pub(super) fn claims(&self) -> bool {
        self.options.policy != SyncPolicy::Off && !self.options.single_file
    }

    /// Bytes of groups in live segments, or of the file.
    pub(crate) fn log_bytes(&self) -> u64 {
        let file = self.file.as_ref().map(|file| file.extent());
        match file {
            Some(extent) => extent.end - extent.start,
            None => self.live.iter().map(|s| s.used).sum(),
        }
    }

    /// Live segments and spares.
    pub(crate) fn segment_counts(&self) -> (u64, u64) {
        let live = self.live.len() as u64 + u64::from(self.file.is_some());
        (live, self.spares.ready() as u64)
    }

    /// The highest commit sequence in the log.
    pub(crate) fn highest_seq(&self) -> u64 {
        self.highest_seq
    }

    /// How groups reach the disk, after the probe.
    pub(crate) fn sync_style(&self) -> SyncStyle {
        match self.style {
            Style::Direct if !self.options.version_one && self.file.is_none() => SyncStyle::Direct,
            _ => SyncStyle::Buffered,
        }
    }

    /// The checkpoint floor.
    pub(crate) fn floor(&self) -> Option<u64> {
        self.state.state().floor
    }

    /// Tells readers how far the log is durable: by epochs, or by the records in
    /// the file.
    pub(crate) fn publish(&self, durable: Option<u64>) {
        let records = self.file.as_ref().map(|file| file.last_lsn());
        self.lock.publish(records.or(durable));
    }

    /// Where the last group appended in this format stands.
    pub(crate) fn last_group(&self) -> GroupPlace {
        if self.file.is_some() {
            return self.file_place;
        }
        let end = self.active.as_ref().map_or(0, |a| a.pos);
        GroupPlace {
            segment: self.live.last().map_or(0, |s| s.first_epoch),
            position: end.saturating_sub(self.last_length),
            length: self.last_length,
        }
    }

    /// Writes a group and makes it durable. Gives the bytes written.
    ///
    /// An error that [`heals`] leaves the log as it was: the same group may be
    /// appended again. Any other is final: the log must not be used any more.
    pub(crate) fn append(&mut self, input: &mut GroupInput<'_>) -> Result<u64> {
        debug_assert!(input.epoch > self.previous_epoch);
        self.check_records(input.summary)?;
        let written = if self.options.version_one {
            self.append_one(input)?
        } else if let Some(file) = &mut self.file {
            let payload = &input.buffer[GROUP_HEADER..GROUP_HEADER + input.payload_len];
            self.file_place = file.append(payload)?;
            self.file_place.length
        } else {
            self.append_two(input)?
        };
        self.previous_epoch = input.epoch;
        self.last_is_mark = false;
        self.durable = input.epoch;
        self.highest_seq = self.highest_seq.max(input.summary.seq_high);
        if let Some(last) = &mut self.importing {
            *last = input.summary.seq_high;
        }
        self.note_terms(input.summary);
        Ok(written)
    }

    fn append_one(&mut self, input: &mut GroupInput<'_>) -> Result<u64> {
        let payload = &input.buffer[GROUP_HEADER..GROUP_HEADER + input.payload_len];
        let written = v1_writer::write_epoch(&self.disk, &self.names, input.epoch, payload)?;
        // An epoch without records leaves no file.
        let Some((path, size)) = written else {
            return Ok(0);
        };
        self.link = 0;
        self.active = None;
        self.live.push(LiveSegment {
            path,
            first_epoch: input.epoch,
            last_epoch: input.epoch,
            generation: 0,
            size,
            used: size,
        });
        Ok(size)
    }

    fn append_two(&mut self, input: &mut GroupInput<'_>) -> Result<u64> {
        let length = group_len(input.payload_len as u64, input.summary.lanes.len());
        // A block stays free for the mark of a clean close.
        let need = length + BLOCK;
        let room = |active: &Active, segment: &LiveSegment| segment.size - active.pos >= need;
        let fits = match (&self.active, self.live.last()) {
            (Some(active), Some(segment)) => room(active, segment),
            _ => false,
        };
        if !fits {
            self.roll(input.epoch, need)?;
        }
        let kind = self.names.kind();
        let crc = self.write_group(
            &mut input.buffer[..length as usize],
            kind,
            input.epoch,
            input.payload_len as u64,
            input.summary,
            input.flags,
            input.lane_count,
        )?;
        self.link = crc;
        let segment = self.live.last_mut().expect("an active segment is live");
        segment.last_epoch = input.epoch;
        segment.used += length;
        self.last_length = length;
        let pos = self.active.as_ref().map_or(0, |a| a.pos);
        if pos > segment.size / 2 && !self.prepared {
            self.prepared = true;
            self.spares.prepare_ahead(self.next_size);
        }
        Ok(length)
    }

    #[allow(clippy::too_many_arguments)] // the fields of a header
    fn write_group(
        &mut self,
        group: &mut [u8],
        kind: GroupKind,
        epoch: u64,
        payload_len: u64,
        summary: &Summary,
        flags: CertificateFlags,
        lane_count: u32,
    ) -> Result<u32> {
        let segment = self.live.last().expect("an active segment is live");
        let active = self.active.as_mut().expect("rolled before");
        let header = GroupHeader {
            epoch,
            items: summary.items,
            kind,
            link: self.link,
            log_id: self.state.state().log_id,
            generation: segment.generation,
            segment_epoch: segment.first_epoch,
            segment_size: segment.size,
            position: active.pos,
            length: group.len() as u64,
            payload_len,
            watermark: match self.options.policy {
                SyncPolicy::Off => self.state.state().watermark,
                _ if wrong::is(Wrong::WatermarkTooHigh) => epoch,
                _ if wrong::is(Wrong::NoWatermark) => 0,
                _ => self.durable,
            },
            previous_epoch: self.previous_epoch,
        };
        let crc = seal(group, &header, summary, flags, lane_count);
        active.file.write_group(&segment.path, group, active.pos)?;
        active.pos += group.len() as u64;
        Ok(crc)
    }

    /// Goes on to a new segment with room for `need` bytes, named by the
    /// epoch that it will start with: the file, its size and its name are
    /// durable, and the state file knows it, before the first group is written.
    fn roll(&mut self, epoch: u64, need: u64) -> Result<()> {
        if self
            .named
            .as_ref()
            .is_some_and(|n| n.size < need || n.first_epoch != epoch)
        {
            return Err(Error::corrupt("roll: another group than before"));
        }
        if self.named.is_none() {
            let path = self.names.segment(epoch);
            match self.disk.open(&path, OpenMode::Read) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io("look for a segment of the name", &path, &e)),
                Ok(_) => {
                    let why = "roll: there is a segment of this name";
                    return Err(Error::corrupt(why).in_file(&path));
                }
            }
            let spare = self.spares.take(need, self.next_size)?;
            if let Err(e) = self.disk.rename(&spare.path, &path) {
                let error = Error::io("rename a spare to a segment", &spare.path, &e);
                self.spares.put_back(spare);
                return Err(error);
            }
            self.named = Some(LiveSegment {
                path,
                first_epoch: epoch,
                // What it will hold at least: no checkpoint lets it go before.
                last_epoch: epoch,
                generation: self.state.state().newest_generation + 1,
                size: spare.size,
                used: 0,
            });
        }
        let segment = self.named.clone().expect("named above");
        let file = SegmentFile::open(&self.disk, &segment.path, self.style, self.options.policy)?;
        if self.claims() && !wrong::is(Wrong::NoDirectorySync) {
            sync_dir(&self.disk, self.names.dir())?;
        }
        let (durable, seq) = (self.durable, self.highest_seq);
        let claims = self.claims();
        self.state.save(|s| {
            s.newest_generation = segment.generation;
            s.newest_epoch = segment.first_epoch;
            s.highest_seq = s.highest_seq.max(seq);
            if claims {
                s.watermark = s.watermark.max(durable);
            }
        })?;
        self.grow_from(segment.size);
        self.active = Some(Active { file, pos: 0 });
        self.live.push(segment);
        self.named = None;
        self.prepared = false;
        self.retire_what_readers_held()
    }

    /// The clean end: a mark whose watermark covers all groups, and the state
    /// with the next epoch that a session may hand out.
    pub(crate) fn close(&mut self, next_epoch: u64) -> Result<()> {
        self.spares.settle();
        self.write_mark()?;
        let (durable, seq, claims) = (self.durable, self.highest_seq, self.claims());
        let single_file = self.known_in_file();
        self.state.save(|s| {
            s.clean = true;
            s.next_epoch = next_epoch;
            s.highest_seq = s.highest_seq.max(seq);
            s.records.single_file = single_file;
            if claims {
                s.watermark = s.watermark.max(durable);
            }
        })
    }

    /// Writes a mark behind the last group, unless there is one already.
    pub(super) fn write_mark(&mut self) -> Result<()> {
        let fits = match (&self.active, self.live.last()) {
            (Some(active), Some(segment)) => segment.size - active.pos >= BLOCK,
            _ => false,
        };
        if !fits || !self.claims() || self.last_is_mark || self.previous_epoch == 0 {
            return Ok(());
        }
        let mut block = MarkBlock([0; BLOCK as usize]);
        let (epoch, none) = (self.previous_epoch, Summary::default());
        let flags = CertificateFlags::default();
        self.link = self.write_group(&mut block.0, GroupKind::Mark, epoch, 0, &none, flags, 1)?;
        self.last_is_mark = true;
        Ok(())
    }
}

#[repr(align(4096))]
struct MarkBlock([u8; BLOCK as usize]);

/// Whether what failed may be tried again and healed: for want of disk space, or
/// of descriptors or memory for now. A failed sync never is.
pub(crate) fn heals(error: &Error) -> bool {
    let passing = matches!(
        error.os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN)
    );
    error.kind() == ErrorKind::NoSpace || (passing && !error.is_lasting())
}
