//! A log of records on the simulated disk, for the tests: what is written, and
//! what a reader gives back.

use crate::error::Result;
use crate::format::group::{CertificateFlags, GROUP_HEADER, LaneCounts, Summary, group_len};
use crate::format::item::encode_void;
use crate::format::names::Names;
use crate::format::record::{Record, encode_record, record_len};
use crate::format::state::State;
use crate::format::terms::Terms;
use crate::log::open::OpenedLog;
use crate::log::policy::{Knobs, SyncPolicy, SyncStyle};
use crate::log::{Disk, End, GroupInput, LogFiles, LogOptions, LogWriter, Step, Walker, open_log};
use crate::storage::sim::SimStorage;
use std::path::Path;
use std::sync::Arc;

/// Term and LSN.
pub(super) type Id = (u64, u64);

pub(super) fn names() -> Names {
    Names::spool(Path::new("/app.db"))
}

pub(super) fn disk(sim: &SimStorage) -> Disk {
    Arc::new(sim.clone())
}

/// Segments of three blocks for groups and one for the mark.
pub(super) fn options(style: SyncStyle) -> LogOptions {
    LogOptions {
        policy: SyncPolicy::Full,
        style,
        segment_size: 4 * 4096,
        version_one: false,
        single_file: false,
        database_id: None,
        salvage: false,
        knobs: Knobs {
            spares_in_line: true,
            ..Knobs::default()
        },
    }
}

pub(super) fn open_with(sim: &SimStorage, options: LogOptions) -> Result<Session> {
    let opened = open_log(&disk(sim), &names(), options, &mut |_, _| Ok(()))?;
    Ok(Session {
        epoch: opened.next_epoch,
        opened,
    })
}

pub(super) fn open(sim: &SimStorage) -> Session {
    open_with(sim, options(SyncStyle::Buffered)).unwrap()
}

/// A log open for writing, and the epoch to give out next.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) opened: OpenedLog,
    pub(super) epoch: u64,
}

impl Session {
    /// Prunes, and removes what is gone.
    pub(super) fn prune(
        &mut self,
        lsn: u64,
        through: Option<u64>,
        in_use: &dyn Fn(u64) -> bool,
    ) -> Result<()> {
        self.log().prune(lsn, through, in_use)?.remove()
    }

    pub(super) fn log(&mut self) -> &mut LogWriter {
        &mut self.opened.writer
    }

    /// Appends a group of these records.
    pub(super) fn append(&mut self, records: &[Id]) -> Result<()> {
        self.append_as(records, |_| {}, CertificateFlags::default())
    }

    /// As [`Session::append`], where the summary says what `change` makes of it.
    pub(super) fn append_as(
        &mut self,
        records: &[Id],
        change: impl FnOnce(&mut Summary),
        flags: CertificateFlags,
    ) -> Result<()> {
        let payload = payload(records);
        let mut lanes = LaneCounts::default();
        let mut summary =
            Summary::walk(&payload, false, &mut lanes, |_, _| Ok(())).expect("items just made");
        change(&mut summary);
        let length = group_len(payload.len() as u64, summary.lanes.len()) as usize;
        // Direct writes want whole blocks at whole blocks.
        let mut memory = vec![0; length + 4096];
        let aligned = memory.as_ptr().align_offset(4096);
        let buffer = &mut memory[aligned..aligned + length];
        buffer[GROUP_HEADER..GROUP_HEADER + payload.len()].copy_from_slice(&payload);
        let mut input = GroupInput {
            buffer,
            payload_len: payload.len(),
            epoch: self.epoch,
            summary: &summary,
            flags,
            lane_count: 4,
        };
        self.opened.writer.append(&mut input)?;
        self.epoch += 1;
        Ok(())
    }

    pub(super) fn close(mut self) -> Result<()> {
        let next = self.epoch;
        self.log().close(next)
    }
}

/// The items of a group: the records, in turn in two lanes, and a void.
fn payload(records: &[Id]) -> Vec<u8> {
    let mut out = vec![0; 48];
    encode_void(&mut out, 3, 0);
    for (n, (term, lsn)) in records.iter().enumerate() {
        let text = text(*lsn);
        let at = out.len();
        out.resize(at + record_len(text.len()).unwrap(), 0);
        let record = Record {
            term: *term,
            lsn: *lsn,
            timestamp_ms: lsn * 1000,
            payload: text.as_bytes(),
        };
        encode_record(&mut out[at..], (n % 2) as u16, &record);
    }
    out
}

fn text(lsn: u64) -> String {
    format!("record {lsn}").repeat((lsn % 4) as usize)
}

/// What a reader of the whole log finds.
#[derive(Debug)]
pub(super) struct Found {
    /// Records that count: live, and above what was pruned.
    pub(super) live: Vec<Id>,
    /// Of those that count, the epochs and LSNs.
    pub(super) epochs: Vec<(u64, u64)>,
    /// All records, in the order of the log.
    pub(super) all: Vec<Id>,
    pub(super) terms: Terms,
    pub(super) state: Option<State>,
    pub(super) highest: u64,
    pub(super) end: End,
}

/// Follows the log as a reader that has no writer beside it.
pub(super) fn read(sim: &SimStorage) -> Result<Found> {
    read_as(sim, &names())
}

pub(super) fn read_as(sim: &SimStorage, names: &Names) -> Result<Found> {
    let files = LogFiles::list(&disk(sim), names)?;
    let mut walker = Walker::new(disk(sim), files, None);
    let mut all = Vec::new();
    let mut epochs = Vec::new();
    let end = loop {
        match walker.step(true)? {
            Step::Group(group) => {
                let (payload, items) = walker.payload()?;
                for (at, head) in items {
                    if let Ok(record) = Record::parse(&payload[*at..*at + head.len]) {
                        assert_eq!(record.payload, text(record.lsn).as_bytes());
                        assert_eq!(record.timestamp_ms, record.lsn * 1000);
                        all.push((record.term, record.lsn));
                        epochs.push(group.header.epoch);
                    }
                }
            }
            Step::Epoch(..) => panic!("a log of records has no version 1"),
            Step::End(end) => break *end,
        }
    };
    let terms = walker.order.terms.clone();
    let state = walker.files.state.clone();
    let pruned = state.as_ref().map_or(0, |s| s.records.pruned_through);
    let counts = |(term, lsn): &Id| terms.is_live(*term, *lsn) && *lsn > pruned;
    let counted = epochs.into_iter().zip(&all).filter(|(_, id)| counts(id));
    Ok(Found {
        epochs: counted.map(|(epoch, id)| (epoch, id.1)).collect(),
        live: all.iter().copied().filter(counts).collect(),
        all,
        highest: walker.highest_seq,
        terms,
        state,
        end,
    })
}

/// The entries of a history.
pub(super) fn listed(terms: &Terms) -> Vec<Id> {
    let entries = terms.entries().iter();
    entries.map(|e| (e.term, e.first_lsn)).collect()
}

/// How many files there are whose names hold `part`.
pub(super) fn count_files(sim: &SimStorage, part: &str) -> usize {
    let list = disk(sim).list(Path::new("/")).unwrap();
    let named = |name: &&std::ffi::OsString| name.to_str().unwrap().contains(part);
    list.iter().filter(named).count()
}
