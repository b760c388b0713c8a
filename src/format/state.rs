//! The state file: what the segments can't say (`docs/format.md`, "State file").

use super::bytes::{get_u32, get_u64, put_u32, put_u64};
use super::crc::crc32c;
use super::group::{BLOCK, GroupKind};
use super::lost::{LOST_BYTES, Lost};
use super::record::MAX_LSN;
use super::terms::{TERMS_BYTES, Terms};

/// Bytes of one copy.
pub const STATE_COPY: usize = BLOCK as usize;
/// Bytes of the file: two copies and a scratch block.
pub const STATE_FILE: u64 = 3 * BLOCK;
/// Where the direct I/O probe may write.
pub const SCRATCH_OFFSET: u64 = 2 * BLOCK;
const MAGIC: &[u8; 8] = b"EWALSTAT";
const VERSION: u32 = 2;
const TERMS_AT: usize = 144;
const LOST_AT: usize = TERMS_AT + TERMS_BYTES;
const _: () = assert!(LOST_AT + LOST_BYTES <= STATE_COPY - 4);
const FLAG_FLOOR: u32 = 1;
const FLAG_CLEAN: u32 = 2;
const FLAG_SLOTS: u32 = 4;
const FLAG_SINGLE_FILE: u32 = 8;
const WATERMARK_AT: usize = 112;

/// The fields of the state file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as in docs/format.md
pub struct State {
    pub update: u64,
    pub log_id: [u8; 16],
    pub database_id: [u8; 16],
    pub next_epoch: u64,
    pub floor: Option<u64>,
    pub retired_epoch: u64,
    pub retired_generation: u64,
    pub newest_generation: u64,
    pub newest_epoch: u64,
    pub highest_seq: u64,
    pub watermark: u64,
    pub kind: GroupKind,
    /// The log was closed, and not opened since.
    pub clean: bool,
    /// Of a log of records.
    pub records: RecordsState,
}

/// What only a log of records has in its state; all of it 0 in a log of pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // named as in docs/format.md
pub struct RecordsState {
    pub pruned_through: u64,
    pub quorum_lsn: u64,
    pub terms: Terms,
    /// A slot store was made beside the log: if it is not there, it is lost.
    pub slots: bool,
    /// What salvages have lost, and pruning has not passed.
    pub lost: Lost,
    /// The records are in one file of the RDLW format; the LSN of the last one
    /// that is known to be durable there, 0 for none.
    pub single_file: Option<u64>,
}

/// Why a copy does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError {
    /// Wrong bytes.
    Damaged,
    /// Right bytes of a version that this library does not know.
    Version(u32),
}

impl State {
    /// The state of a log that has just been made.
    pub fn new(kind: GroupKind, log_id: [u8; 16], database_id: [u8; 16]) -> Self {
        State {
            update: 0,
            log_id,
            database_id,
            next_epoch: 1,
            floor: None,
            retired_epoch: 0,
            retired_generation: 0,
            newest_generation: 0,
            newest_epoch: 0,
            highest_seq: 0,
            watermark: 0,
            kind,
            clean: false,
            records: RecordsState::default(),
        }
    }

    /// No epoch is on the disk where the records are in a single file.
    fn watermark_or_lsn(&self) -> u64 {
        match self.records.single_file {
            Some(lsn) if self.kind == GroupKind::Records => lsn,
            _ => self.watermark,
        }
    }

    /// One copy's bytes.
    pub fn encode(&self) -> Box<[u8]> {
        let mut out = vec![0; STATE_COPY].into_boxed_slice();
        out[..8].copy_from_slice(MAGIC);
        put_u32(&mut out, 8, VERSION);
        let floor = if self.floor.is_some() { FLAG_FLOOR } else { 0 };
        let clean = if self.clean { FLAG_CLEAN } else { 0 };
        let own = match self.kind {
            GroupKind::Records => self.records.flags(),
            _ => 0,
        };
        put_u32(&mut out, 12, floor | clean | own);
        put_u64(&mut out, 16, self.update);
        out[24..40].copy_from_slice(&self.log_id);
        out[40..56].copy_from_slice(&self.database_id);
        for (at, value) in [
            (56, self.next_epoch),
            (64, self.floor.unwrap_or(0)),
            (72, self.retired_epoch),
            (80, self.retired_generation),
            (88, self.newest_generation),
            (96, self.newest_epoch),
            (104, self.highest_seq),
            (WATERMARK_AT, self.watermark_or_lsn()),
        ] {
            put_u64(&mut out, at, value);
        }
        out[120] = self.kind.code();
        if self.kind == GroupKind::Records {
            put_u64(&mut out, 128, self.records.pruned_through);
            put_u64(&mut out, 136, self.records.quorum_lsn);
            self.records.terms.encode(&mut out[TERMS_AT..]);
            self.records.lost.encode(&mut out[LOST_AT..]);
        }
        let crc = crc32c(&out[..STATE_COPY - 4]);
        put_u32(&mut out, STATE_COPY - 4, crc);
        out
    }

    /// Reads one copy.
    pub fn parse(bytes: &[u8]) -> Result<State, StateError> {
        if bytes.len() < STATE_COPY || &bytes[..8] != MAGIC {
            return Err(StateError::Damaged);
        }
        if crc32c(&bytes[..STATE_COPY - 4]) != get_u32(bytes, STATE_COPY - 4) {
            return Err(StateError::Damaged);
        }
        // Counting on from these must not wrap; nothing that counted gets there.
        if [16, 80, 88]
            .iter()
            .any(|at| get_u64(bytes, *at) > u64::MAX >> 1)
        {
            return Err(StateError::Damaged);
        }
        let version = get_u32(bytes, 8);
        let flags = get_u32(bytes, 12);
        let of_records = bytes[120] == GroupKind::Records.code();
        let own = match of_records {
            true => FLAG_SLOTS | FLAG_SINGLE_FILE,
            false => 0,
        };
        if version != VERSION || flags & !(FLAG_FLOOR | FLAG_CLEAN | own) != 0 {
            return Err(StateError::Version(version));
        }
        let (kind, records) = match bytes[120] {
            1 => (GroupKind::Pages, RecordsState::default()),
            2 => (GroupKind::Records, RecordsState::parse(bytes)?),
            _ => return Err(StateError::Damaged),
        };
        let floor = (flags & FLAG_FLOOR != 0).then(|| get_u64(bytes, 64));
        Ok(State {
            update: get_u64(bytes, 16),
            log_id: bytes[24..40].try_into().expect("16 bytes"),
            database_id: bytes[40..56].try_into().expect("16 bytes"),
            next_epoch: get_u64(bytes, 56),
            floor,
            retired_epoch: get_u64(bytes, 72),
            retired_generation: get_u64(bytes, 80),
            newest_generation: get_u64(bytes, 88),
            newest_epoch: get_u64(bytes, 96),
            highest_seq: get_u64(bytes, 104),
            watermark: match records.single_file {
                // What it says there is another thing.
                Some(_) => floor.unwrap_or(0),
                None => get_u64(bytes, WATERMARK_AT),
            },
            kind,
            clean: flags & FLAG_CLEAN != 0,
            records,
        })
    }
}

impl RecordsState {
    /// Records at or below `lsn` are pruned, if they were not.
    pub fn pruned_to(&mut self, lsn: u64) {
        self.pruned_through = self.pruned_through.max(lsn);
        self.lost.forget(self.pruned_through);
    }

    fn flags(&self) -> u32 {
        let slots = if self.slots { FLAG_SLOTS } else { 0 };
        match self.single_file {
            Some(_) => slots | FLAG_SINGLE_FILE,
            None => slots,
        }
    }

    fn parse(copy: &[u8]) -> Result<RecordsState, StateError> {
        // No record has a higher one, so nothing that goes on from it wraps.
        if [104, 128, 136]
            .iter()
            .any(|at| get_u64(copy, *at) > MAX_LSN)
        {
            return Err(StateError::Damaged);
        }
        Ok(RecordsState {
            pruned_through: get_u64(copy, 128),
            quorum_lsn: get_u64(copy, 136),
            terms: Terms::parse(&copy[TERMS_AT..]).ok_or(StateError::Damaged)?,
            lost: Lost::parse(&copy[LOST_AT..]).ok_or(StateError::Damaged)?,
            slots: get_u32(copy, 12) & FLAG_SLOTS != 0,
            single_file: (get_u32(copy, 12) & FLAG_SINGLE_FILE != 0)
                .then(|| get_u64(copy, WATERMARK_AT)),
        })
    }
}

#[cfg(test)]
mod tests;
