//! A look at a log for people: segments, groups, certificates.

use super::report::{SegmentInfo, SuspectFile, Verdict};
use super::{list_log, real};
use crate::error::Result;
use crate::format::group::GroupKind;
use crate::format::names::Names;
use crate::log::{Disk, Step, names_of, read_walker};
use crate::spool::spool_names;
use std::collections::BTreeMap;
use std::path::Path;

/// The state file's fields; see `docs/format.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateInfo {
    /// Identity of the log.
    pub log_id: [u8; 16],
    /// Identity of the database; none where none was given.
    pub database_id: Option<[u8; 16]>,
    /// No epoch at or above it was handed out before the last session began.
    pub next_epoch: u64,
    /// Epochs at or below it are checkpointed.
    pub floor: Option<u64>,
    /// Generation of the last segment that left the log.
    pub retired_generation: u64,
    /// Generation of the newest segment.
    pub newest_generation: u64,
    /// Highest commit sequence when it was written.
    pub highest_commit_seq: u64,
    /// Highest epoch known durable when it was written.
    pub watermark: u64,
    /// Whether the log was closed and not opened since.
    pub clean: bool,
}

/// One group and its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its epoch.
    pub epoch: u64,
    /// Where it stands in its file.
    pub offset: u64,
    /// Its bytes, a multiple of 4096.
    pub length: u64,
    /// "pages", "records" or "mark".
    pub kind: &'static str,
    /// Items in it.
    pub items: u32,
    /// The watermark of its header.
    pub watermark: u64,
    /// The epoch of the group before.
    pub previous_epoch: u64,
    /// The generation of its file.
    pub generation: u64,
    /// Lowest commit sequence.
    pub commit_seq_low: u64,
    /// Highest commit sequence.
    pub commit_seq_high: u64,
    /// Frames in it.
    pub pages: u64,
    /// Database size in pages after it; 0 where it does not say.
    pub db_size: u32,
    /// Items per lane.
    pub lanes: Vec<(u32, u32)>,
    /// Lanes configured when it was written.
    pub lane_count: u32,
    /// Whether a fallback was active.
    pub fallback: bool,
    /// Whether the coordinator assigned the sequences.
    pub assigned: bool,
    /// The checksum of its certificate.
    pub checksum: u32,
}

/// A segment and what can be read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInspection {
    /// The file.
    pub info: SegmentInfo,
    /// Its groups; none in version 1.
    pub groups: Vec<GroupInfo>,
}

/// A log as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The state file; none where there is none.
    pub state: Option<StateInfo>,
    /// The segments in the order of their epochs.
    pub segments: Vec<SegmentInspection>,
    /// How the log ends.
    pub verdict: Verdict,
    /// The last epoch that can be read, or the checkpoint's.
    pub last_epoch: Option<u64>,
    /// Where and why it ends there, unless it is clean.
    pub suspects: Vec<SuspectFile>,
}

/// Reads the whole log and tells what is in it. Damage is reported, not an error,
/// unless the state file is gone or unreadable.
pub fn inspect(db_path: &Path) -> Result<Inspection> {
    inspect_on(real(), db_path)
}

/// [`inspect`] on a given storage.
pub fn inspect_on(disk: Disk, db_path: &Path) -> Result<Inspection> {
    let names = names_of(&disk, db_path)?;
    inspect_log(&disk, &names)
}

/// As [`inspect`], of the data file's spool: items are records, and the
/// sequences their LSNs. Records that a later term has cut off are counted.
pub fn inspect_spool(db_path: &Path) -> Result<Inspection> {
    inspect_spool_on(real(), db_path)
}

/// [`inspect_spool`] on a given storage.
pub fn inspect_spool_on(disk: Disk, db_path: &Path) -> Result<Inspection> {
    let names = spool_names(&disk, db_path)?;
    inspect_log(&disk, &names)
}

fn inspect_log(disk: &Disk, names: &Names) -> Result<Inspection> {
    let infos = list_log(disk, names)?;
    let mut walker = read_walker(disk, names)?;
    let mut groups: BTreeMap<usize, Vec<GroupInfo>> = BTreeMap::new();
    let end = loop {
        match walker.step(true)? {
            Step::Group(group) => {
                let header = &group.header;
                let sum = &group.certificate.summary;
                groups.entry(group.segment).or_default().push(GroupInfo {
                    epoch: header.epoch,
                    offset: header.position,
                    length: header.length,
                    kind: match header.kind {
                        GroupKind::Pages => "pages",
                        GroupKind::Records => "records",
                        GroupKind::Mark => "mark",
                    },
                    items: header.items,
                    watermark: header.watermark,
                    previous_epoch: header.previous_epoch,
                    generation: header.generation,
                    commit_seq_low: sum.seq_low,
                    commit_seq_high: sum.seq_high,
                    pages: sum.pages,
                    db_size: sum.db_size,
                    lanes: sum.lanes.clone(),
                    lane_count: group.certificate.lane_count,
                    fallback: group.certificate.flags.fallback,
                    assigned: group.certificate.flags.assigned,
                    checksum: group.certificate.crc,
                });
            }
            Step::Epoch(..) => {}
            Step::End(end) => break end,
        }
    };
    let files = &walker.files;
    let mut segments = Vec::new();
    for info in infos {
        let index = files.segments.iter().position(|s| s.path == info.path);
        let groups = index.and_then(|i| groups.remove(&i)).unwrap_or_default();
        segments.push(SegmentInspection { info, groups });
    }
    let verdict = if end.newer_format {
        Verdict::Corrupt
    } else {
        end.verdict
    };
    let suspects = if verdict == Verdict::Clean {
        Vec::new()
    } else {
        vec![SuspectFile {
            path: end.path.clone(),
            offset: end.offset,
            verdict,
            reason: end.reason.clone(),
        }]
    };
    let state = files.state.as_ref().map(|s| StateInfo {
        log_id: s.log_id,
        database_id: (s.database_id != [0; 16]).then_some(s.database_id),
        next_epoch: s.next_epoch,
        floor: s.floor,
        retired_generation: s.retired_generation,
        newest_generation: s.newest_generation,
        highest_commit_seq: s.highest_seq,
        watermark: s.watermark,
        clean: s.clean,
    });
    Ok(Inspection {
        state,
        segments,
        verdict,
        last_epoch: walker.last(),
        suspects,
    })
}
