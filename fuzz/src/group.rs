//! One group: header, items, lane table, certificate. The first byte: bit 0
//! makes the checksums right, bit 1 the certificate's counts too.
//!
//! The input leaves out the zeros in front of the lane table: a u16 says how
//! many bytes stand at the end of the group, the rest at its beginning.

use super::fix;
use super::memory::within;
use epochwal::batch::BatchHead;
use epochwal::format::group::{
    self, BLOCK, CERTIFICATE, Certificate, GROUP_HEADER, GroupHeader, LaneCounts, Summary,
};
use epochwal::format::item::{self, ItemHead, ItemKind, Plan};
use epochwal::format::record::{Record, encode_record, record_len};

/// Groups longer than this are not built.
const MAX_BLOCKS: usize = 32;
/// A frame is at least 13 bytes, and takes a slice and two numbers.
const FACTOR: usize = 8;

pub fn run(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    let mut bytes = unpack(data);
    match mode & 3 {
        0 => {}
        1 => fix::group(&mut bytes),
        _ => fix::reseal(&mut bytes),
    }
    // Counting lanes takes four bytes for each that there can be.
    let limit = FACTOR * bytes.len() + (1 << 20);
    within(limit, || read(&bytes));
}

/// The input of a group, for the corpus.
pub fn pack(mode: u8, group: &[u8]) -> Vec<u8> {
    let (length, payload) = fix::extent(group).expect("a whole group");
    let middle = &group[GROUP_HEADER + payload..length];
    let zeros = middle.iter().take_while(|b| **b == 0).count();
    let tail = &middle[zeros..];
    let mut out = vec![mode];
    out.extend_from_slice(&(tail.len() as u16).to_le_bytes());
    out.extend_from_slice(tail);
    out.extend_from_slice(&group[..GROUP_HEADER + payload]);
    out
}

/// The group that an input, without its first byte, stands for.
pub fn unpack(data: &[u8]) -> Vec<u8> {
    let mut input = super::input::Input(data);
    let tail_len = input.u16() as usize;
    let tail = input.take(tail_len);
    let mut bytes = input.0.to_vec();
    let least = (bytes.len() + tail.len()).next_multiple_of(BLOCK as usize);
    let length = bytes.get(80..88).map_or(0, |b| fix::u64_at(b, 0) as usize);
    let most = MAX_BLOCKS * BLOCK as usize;
    bytes.resize(
        if (least..=most).contains(&length) {
            length
        } else {
            least
        },
        0,
    );
    let at = bytes.len() - tail.len();
    bytes[at..].copy_from_slice(tail);
    bytes
}

/// As a reader of the log goes about it.
fn read(bytes: &[u8]) {
    let (header, header_crc) = match GroupHeader::parse(bytes) {
        Ok(parsed) => parsed,
        Err(_) => return,
    };
    let mut again = [0; GROUP_HEADER];
    header.encode(&mut again);
    let (parsed, _) = GroupHeader::parse(&again).expect("what was read can be written");
    assert_eq!(parsed, header);
    if header.length > bytes.len() as u64 {
        return;
    }
    let end = GROUP_HEADER + header.payload_len as usize;
    let payload = &bytes[GROUP_HEADER..end];
    let trailer = &bytes[end..header.length as usize];
    assert!(trailer.len() >= CERTIFICATE);
    let certificate = Certificate::parse(trailer, &header, header_crc);
    let mut lanes = LaneCounts::default();
    let mut heads = Vec::new();
    let counted = Summary::walk(payload, true, &mut lanes, |at, head| {
        heads.push((at, *head));
        Ok(())
    });
    for (at, head) in &heads {
        read_item(&payload[*at..*at + head.len], head);
    }
    let (Ok(certificate), Ok(counted)) = (certificate, counted) else {
        return;
    };
    // A reader takes a group with blocks of zeros in it; no writer makes one.
    let tight = header.length == group::group_len(header.payload_len, counted.lanes.len());
    if tight && certificate.agrees_with(&counted).is_ok() {
        write_again(bytes, &header, &certificate, &counted);
    }
}

fn read_item(item: &[u8], head: &ItemHead) {
    match head.kind {
        ItemKind::Pages => {}
        ItemKind::Record => return read_record(item, head),
        ItemKind::Void => return,
    }
    let Ok((metadata, frames)) = head.body(item) else {
        return;
    };
    let batch = BatchHead {
        txn_id: head.txn_id,
        txn_epoch: head.txn_epoch,
        commit_seq: head.commit_seq,
        metadata,
    };
    let plan = Plan::of(&batch, &frames[..], u64::MAX).expect("a batch that was written");
    assert_eq!(plan.len, item.len());
    assert_eq!(plan.frames, head.frames);
    let mut again = vec![0xee; plan.len];
    let seq = head.commit_seq;
    assert!(item::encode(
        &mut again,
        &plan,
        head.lane,
        seq,
        &batch,
        &frames[..]
    ));
    let other = ItemHead::parse(&again).expect("what was written can be read");
    assert!(other.verify(&again));
    assert_eq!(other.body(&again), Ok((metadata, frames)));
}

fn read_record(item: &[u8], head: &ItemHead) {
    let Ok(record) = Record::parse(item) else {
        return;
    };
    let mut again = vec![0xee; record_len(record.payload.len()).expect("as it was read")];
    encode_record(&mut again, head.lane, &record);
    assert_eq!(Record::read(&again), Ok(record));
}

/// A group that a reader takes is one that a writer can write.
fn write_again(bytes: &[u8], header: &GroupHeader, found: &Certificate, counted: &Summary) {
    let length = header.length as usize;
    let mut again = bytes[..length].to_vec();
    let crc = group::seal(&mut again, header, counted, found.flags, found.lane_count);
    let (_, header_crc) = GroupHeader::parse(&again).expect("a header");
    let end = GROUP_HEADER + header.payload_len as usize;
    let other = Certificate::parse(&again[end..], header, header_crc).expect("a certificate");
    assert_eq!(other.crc, crc);
    assert_eq!(other.flags, found.flags);
    assert_eq!(other.agrees_with(counted), Ok(()));
}
