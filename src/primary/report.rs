//! Slots as they are on the disk, read from outside: beside their primary, in
//! any process, or where none lives. Takes no lock, and repairs nothing.

use super::load::{Ending, read};
use super::slot::Slot;
use super::spool::{in_older_layout, older_slots, older_store_path, slot_store_path};
use super::store;
use crate::error::{Error, Result};
use crate::log::{Disk, LogFiles, writer_lives};
use crate::recovery::{SuspectFile, Verdict};
use crate::spool::spool_names;
use crate::storage::RealStorage;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How often a store in motion is looked at again.
const LOOKS: usize = 100;

/// What a slot store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// A primary's.
    Native,
    /// The JSON file of other software, which no primary has taken in yet.
    Json,
}

/// The slots beside a spool, as their store has them. What a living primary has
/// been told since its last save is not in it.
#[derive(Clone, Debug)]
pub struct SlotReport {
    /// Whether there is a spool of this library.
    pub spool: bool,
    /// Whether a writer has that open.
    pub writer: bool,
    /// Records of it at or below this LSN are gone.
    pub pruned_through: u64,
    /// The slot store, and what it is; none where there never was one.
    pub store: Option<(PathBuf, StoreKind)>,
    /// What could be read, by id. Temporary slots are in no store.
    pub slots: Vec<Slot>,
    /// The highest LSN that a commit wait called reached.
    pub quorum_lsn: u64,
    /// The last save is whole, but only the next open makes sure that it is
    /// durable.
    pub unconfirmed: bool,
    /// How the store ends.
    pub verdict: Verdict,
    /// Where and why, unless it is clean.
    pub suspects: Vec<SuspectFile>,
    /// Why nothing may rely on `slots`: a damaged store, or one of another log.
    pub error: Option<Error>,
}

impl SlotReport {
    /// Reads the slots of the data file at `path`. A damaged store is no error
    /// of the call: [`SlotReport::error`] has it, beside what could be read.
    ///
    /// An [I/O error](crate::ErrorKind::Io) where the disk gives one, a [format
    /// error](crate::ErrorKind::Format) for a newer format, and
    /// [corrupt](crate::ErrorKind::Corrupt) for an older store or a spool's state
    /// that can't be read. Blocks on reads.
    pub fn read(path: &Path) -> Result<SlotReport> {
        SlotReport::read_on(Arc::new(RealStorage), path)
    }

    /// [`SlotReport::read`] on a given storage.
    pub fn read_on(disk: Disk, path: &Path) -> Result<SlotReport> {
        let mut report = look(&disk, path)?;
        // A primary may be in the middle of a save: what looks cut short or
        // damaged is so when it looks the same twice.
        for _ in 0..LOOKS {
            if report.verdict == Verdict::Clean {
                break;
            }
            let again = look(&disk, path)?;
            let same = again.suspects == report.suspects;
            report = again;
            if same {
                break;
            }
        }
        Ok(report)
    }

    /// The LSN that no prune goes beyond, that of the lowest valid slot; none
    /// where there is none.
    pub fn floor(&self) -> Option<u64> {
        store::floor(&self.slots)
    }

    /// The slots in the layout of the older store: a JSON file.
    pub fn export(&self) -> Vec<u8> {
        in_older_layout(&self.slots)
    }

    fn end_with(&mut self, verdict: Verdict, path: &Path, offset: u64, reason: &str) {
        self.verdict = verdict;
        self.suspects = vec![SuspectFile {
            path: path.to_path_buf(),
            offset,
            verdict,
            reason: reason.to_owned(),
        }];
    }

    fn damaged(&mut self, path: &Path, error: Error) {
        let offset = error.offset().unwrap_or(0);
        self.end_with(Verdict::Corrupt, path, offset, error.message());
        self.error = Some(error);
    }
}

/// One look at it.
fn look(disk: &Disk, path: &Path) -> Result<SlotReport> {
    let names = spool_names(disk, path)?;
    let state = LogFiles::read_state(disk, &names)?;
    let mut report = SlotReport {
        spool: state.is_some(),
        writer: writer_lives(disk, &names.lock())?,
        pruned_through: state.as_ref().map_or(0, |s| s.records.pruned_through),
        store: None,
        slots: Vec::new(),
        quorum_lsn: state.as_ref().map_or(0, |s| s.records.quorum_lsn),
        unconfirmed: false,
        verdict: Verdict::Clean,
        suspects: Vec::new(),
        error: None,
    };
    let path = slot_store_path(&names);
    let Some(reading) = read(disk, &path)? else {
        if state.is_some_and(|s| s.records.slots) {
            report.store = Some((path.clone(), StoreKind::Native));
            report.damaged(&path, store::is_lost(&path));
            return Ok(report);
        }
        let path = older_store_path(&names);
        if let Some(slots) = older_slots(disk, &path)? {
            report.slots = slots;
            report.slots.sort_unstable_by(|a, b| a.id.cmp(&b.id));
            report.store = Some((path, StoreKind::Json));
        }
        return Ok(report);
    };
    report.slots = reading.slots.into_values().collect();
    report.quorum_lsn = report.quorum_lsn.max(reading.meta.quorum_lsn);
    report.unconfirmed = reading.unconfirmed.is_some();
    match reading.ending {
        Ending::Corrupt(error) => report.damaged(&path, error),
        _ if state.is_none_or(|s| s.log_id != reading.meta.log_id) => {
            let what = "slot store: of another log than the one beside it";
            report.damaged(&path, Error::corrupt(what).at(&path, 24));
        }
        Ending::Torn(torn) => {
            let what = "slot store: a save that was not finished";
            report.end_with(Verdict::Torn, &path, torn.start, what);
        }
        Ending::Clean => {}
    }
    report.store = Some((path, StoreKind::Native));
    Ok(report)
}
