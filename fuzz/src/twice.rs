//! The same bytes through the library and through a second decoder
//! ([`super::second`]): both take them or neither does, and both find the same
//! in them. The first byte: bits 0 and 1 say what the rest is, bits 2 and 3
//! whether checksums and counts are made right.

use super::fix;
use super::group;
use super::second::{self, Batch, Contents, Logical};
use epochwal::format::group::{
    Certificate, GROUP_HEADER, GroupHeader, GroupKind, LaneCounts, Summary,
};
use epochwal::format::item::ItemKind;
use epochwal::format::record::Record;
use epochwal::format::state::{STATE_COPY, State};
use epochwal::format::v1;

pub fn run(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    match mode & 3 {
        0 | 1 => {
            let mut bytes = group::unpack(data);
            match mode >> 2 & 3 {
                0 => {}
                1 => fix::group(&mut bytes),
                _ => fix::reseal(&mut bytes),
            }
            assert_eq!(by_library(&bytes), second::group(&bytes));
        }
        2 => {
            let mut bytes = data.to_vec();
            bytes.resize(STATE_COPY, 0);
            if mode & 4 != 0 {
                bytes[..8].copy_from_slice(b"EWALSTAT");
                fix::state(&mut bytes);
            }
            let state = State::parse(&bytes).ok();
            assert_eq!(state.as_ref().map(numbers), second::state(&bytes));
        }
        _ => {
            let mut bytes = data.to_vec();
            if mode & 4 != 0 {
                fix::prelude(&mut bytes);
            }
            let found = v1::decode(&bytes, None).ok();
            assert_eq!(found.as_ref().map(batches), second::version_one(&bytes));
        }
    }
}

/// As a reader of the log goes about it.
fn by_library(bytes: &[u8]) -> Option<Contents> {
    let (header, header_crc) = GroupHeader::parse(bytes).ok()?;
    if header.length > bytes.len() as u64 {
        return None;
    }
    let (payload, trailer) =
        bytes[GROUP_HEADER..header.length as usize].split_at(header.payload_len as usize);
    let certificate = Certificate::parse(trailer, &header, header_crc).ok()?;
    let mut contents = Contents::default();
    let counted = Summary::walk(payload, true, &mut LaneCounts::default(), |at, head| {
        let item = &payload[at..at + head.len];
        head.check_body(header.kind, item)?;
        if head.kind == ItemKind::Void {
            return Ok(());
        }
        if head.kind == ItemKind::Record {
            let record = Record::read(item)?;
            contents.records.push(Logical {
                term: record.term,
                lsn: record.lsn,
                timestamp: record.timestamp_ms,
                payload: record.payload.to_vec(),
            });
            return Ok(());
        }
        let (metadata, frames) = head.body(item)?;
        contents.batches.push(Batch {
            txn_id: head.txn_id,
            txn_epoch: head.txn_epoch,
            commit_seq: head.commit_seq,
            metadata: metadata.to_vec(),
            frames: frames
                .iter()
                .map(|f| (f.page_number, f.db_size_if_commit, f.data.to_vec()))
                .collect(),
        });
        Ok(())
    });
    let counted = counted.ok()?;
    certificate.agrees_with(&counted).ok()?;
    second::replay(&mut contents.batches);
    counted.out_of_order.is_none().then_some(contents)
}

fn numbers(state: &State) -> Vec<u64> {
    let mut numbers = vec![
        u64::from(state.floor.is_some()) | u64::from(state.clean) << 1,
        state.update,
        u64::from(state.kind.code()),
        state.next_epoch,
        state.floor.unwrap_or(0),
        state.retired_epoch,
        state.retired_generation,
        state.newest_generation,
        state.newest_epoch,
        state.highest_seq,
        state.watermark,
    ];
    if state.kind == GroupKind::Records {
        numbers.extend([state.records.pruned_through, state.records.quorum_lsn]);
        let terms = state.records.terms.entries().iter();
        numbers.extend(terms.flat_map(|e| [e.term, e.first_lsn]));
    }
    numbers
}

fn batches(segment: &v1::Segment<'_>) -> (u64, Vec<Batch>) {
    let batches = segment.batches();
    let batches = batches.iter().map(|b| Batch {
        txn_id: b.txn_id,
        txn_epoch: b.txn_epoch,
        commit_seq: b.commit_seq,
        metadata: Vec::new(),
        frames: b
            .frames
            .iter()
            .map(|f| (f.page_number, f.db_size_if_commit, f.data.to_vec()))
            .collect(),
    });
    (segment.epoch, batches.collect())
}
