//! What `inspect` prints, independent of how the library finds it.

use epochwal::recovery::{SegmentInfo, SuspectFile, Verdict, list_segments};
use epochwal::{Recovery, RecoveryOptions};
use std::path::Path;

/// A log, taken apart.
#[derive(Debug)]
pub struct Inspection {
    pub state: Option<StateInfo>,
    pub segments: Vec<SegmentInspection>,
    pub verdict: Verdict,
    pub suspects: Vec<SuspectFile>,
}

/// The valid copy of the state file.
#[derive(Debug)]
pub struct StateInfo {
    pub update: u64,
    pub log_id: [u8; 16],
    pub database_id: Option<[u8; 16]>,
    pub next_epoch: u64,
    pub floor: Option<u64>,
    pub retired_first_epoch: u64,
    pub retired_generation: u64,
    pub newest_generation: u64,
    pub newest_first_epoch: u64,
    pub highest_commit_seq: u64,
    pub watermark: u64,
    pub kind: &'static str,
}

/// A segment file and its groups, in their order.
#[derive(Debug)]
pub struct SegmentInspection {
    pub info: SegmentInfo,
    pub groups: Vec<GroupInfo>,
}

/// A group's header and certificate.
#[derive(Debug)]
pub struct GroupInfo {
    pub epoch: u64,
    pub offset: u64,
    pub length: u64,
    pub kind: &'static str,
    pub items: u32,
    pub watermark: u64,
    pub previous_epoch: u64,
    pub generation: u64,
    pub commit_seq_low: u64,
    pub commit_seq_high: u64,
    pub pages: u64,
    pub db_size: u32,
    /// Lane and number of its items.
    pub lanes: Vec<(u32, u32)>,
    pub fallback: bool,
    /// The certificate's own checksum, which the next group links to.
    pub checksum: u32,
}

/// Takes apart the log of `db`.
pub fn inspect(db: &Path) -> epochwal::Result<Inspection> {
    let segments = list_segments(db)?
        .into_iter()
        .map(|info| SegmentInspection {
            info,
            groups: Vec::new(),
        })
        .collect();
    let options = RecoveryOptions {
        durable_prefix: true,
        verify_only: true,
        ..RecoveryOptions::default()
    };
    let mut recovery = Recovery::open(db, &options)?;
    while recovery.next_batch()?.is_some() {}
    let report = recovery.report();
    Ok(Inspection {
        state: None,
        segments,
        verdict: report.verdict,
        suspects: report.suspects.clone(),
    })
}
