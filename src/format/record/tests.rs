use super::*;
use crate::format::group::GroupKind;
use crate::format::item::encode_void;

const RECORD: Record<'_> = Record {
    term: 0x0102_0304_0506_0708,
    lsn: 0x1112_1314_1516_1718,
    timestamp_ms: 0x2122_2324_2526_2728,
    payload: b"ten bytes.",
};

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut out = vec![0xee; record_len(record.payload.len()).unwrap()];
    encode_record(&mut out, 0x3132, record);
    out
}

fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The record with a patch, its checksum made right again.
fn patched(at: usize, patch: &[u8]) -> std::result::Result<(), &'static str> {
    let mut bytes = encoded(&RECORD);
    bytes[at..at + patch.len()].copy_from_slice(patch);
    let bytes = with_crc(bytes);
    let read = Record::read(&bytes).map(drop);
    // The walk along a group comes to the same.
    if let Ok(head) = ItemHead::parse(&bytes)
        && head.len == bytes.len()
        && head.kind == ItemKind::Record
    {
        assert_eq!(head.check_body(GroupKind::Records, &bytes), read);
    }
    read
}

#[test]
fn the_layout_is_that_of_the_document() {
    let mut expected = vec![0; 4];
    expected.extend_from_slice(b"\x40\0\0\0\x02\0\x32\x31\0\0\0\0");
    expected.extend_from_slice(b"\x08\x07\x06\x05\x04\x03\x02\x01");
    expected.extend_from_slice(b"\x18\x17\x16\x15\x14\x13\x12\x11");
    expected.extend_from_slice(b"\0\0\0\0\x0a\0\0\0");
    expected.extend_from_slice(b"\x28\x27\x26\x25\x24\x23\x22\x21");
    expected.extend_from_slice(b"ten bytes.\0\0\0\0\0\0");
    assert_eq!(encoded(&RECORD), with_crc(expected));
}

#[test]
fn every_length_of_a_payload_comes_back() {
    let bytes: Vec<u8> = (0..40_000_u32).map(|i| (i * 7 + i / 251) as u8).collect();
    let around = [CHECKSUM_STRETCH, 2 * CHECKSUM_STRETCH]
        .into_iter()
        .flat_map(|n| n - 9..n + 9);
    for len in (0..80).chain(around) {
        let record = Record {
            payload: &bytes[..len],
            ..RECORD
        };
        let out = encoded(&record);
        assert!(out.len().is_multiple_of(8) && out.len() - 48 - len < 8);
        assert_eq!(Record::read(&out), Ok(record), "{len}");
        assert_eq!(Record::parse(&out), Ok(record), "{len}");
        assert_eq!(out, with_crc(out.clone()), "{len}");
        let head = RecordHead::parse(&out[..ITEM_HEADER]).unwrap();
        let expected = RecordHead {
            crc: get_u32(&out, 0),
            len: out.len(),
            lane: 0x3132,
            term: RECORD.term,
            lsn: RECORD.lsn,
            timestamp_ms: RECORD.timestamp_ms,
            payload_len: len,
        };
        assert_eq!(head, expected);
    }
}

#[test]
fn each_bit_and_each_byte_counts() {
    let whole = encoded(&RECORD);
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::read(&bytes).is_err(), "bit {bit}");
    }
    for len in 0..whole.len() {
        assert!(Record::read(&whole[..len]).is_err(), "cut to {len}");
        assert!(Record::parse(&whole[..len]).is_err(), "cut to {len}");
    }
    let longer = [&whole[..], &[0; 8]].concat();
    assert!(Record::read(&longer).is_err());
}

#[test]
fn fields_that_no_writer_writes_are_refused() {
    let length = Err("record: impossible payload length");
    assert_eq!(patched(36, &[11]), Ok(()));
    assert_eq!(patched(36, &[16]), Ok(()));
    // 8 zeros behind it would be a word too many.
    assert_eq!(patched(36, &[8]), length);
    assert_eq!(patched(36, &[17]), length);
    assert_eq!(patched(36, &[0xff; 4]), length);
    assert_eq!(patched(36, &[9]), Err("record: bytes behind its payload"));
    assert_eq!(patched(63, &[1]), Err("record: bytes behind its payload"));
    let lsn = Err("record: impossible LSN");
    assert_eq!(patched(24, &[0; 8]), lsn);
    assert_eq!(patched(24, &[0xff; 8]), lsn);
    assert_eq!(patched(24, &MAX_LSN.to_le_bytes()), Ok(()));
    assert_eq!(patched(16, &[0; 8]), Ok(()));
    for kind in [0, 1, 3] {
        assert_eq!(patched(8, &[kind]), Err("item: no record"));
    }
    // Reserved bytes are not looked at.
    assert_eq!(patched(9, &[1]), Ok(()));
    assert_eq!(patched(12, &[1; 4]), Ok(()));
    assert_eq!(patched(32, &[1; 4]), Ok(()));
}

#[test]
fn the_largest_payload_is_the_documents() {
    assert_eq!(record_len(0).unwrap(), 48);
    assert_eq!(record_len(1).unwrap(), 56);
    assert_eq!(record_len(MAX_PAYLOAD).unwrap(), 48 + (256 << 20));
    for more in [MAX_PAYLOAD + 1, usize::MAX] {
        assert_eq!(record_len(more).unwrap_err().kind(), ErrorKind::TooLarge);
    }
    // A header alone tells, whatever memory its payload would take.
    let mut header = encoded(&RECORD)[..ITEM_HEADER].to_vec();
    for (payload, item, read) in [
        (MAX_PAYLOAD, 48 + MAX_PAYLOAD, true),
        (MAX_PAYLOAD + 8, 56 + MAX_PAYLOAD, false),
        (u32::MAX as usize, 48, false),
    ] {
        put_u32(&mut header, 4, item as u32);
        put_u32(&mut header, 36, payload as u32);
        assert_eq!(RecordHead::parse(&header).is_ok(), read, "{payload}");
    }
}

#[test]
fn an_item_has_its_place_in_one_kind_of_group() {
    let record = encoded(&RECORD);
    let head = ItemHead::parse(&record).unwrap();
    let expected = ItemHead {
        crc: get_u32(&record, 0),
        len: 64,
        kind: ItemKind::Record,
        lane: 0x3132,
        txn_epoch: 0,
        txn_id: RECORD.term,
        commit_seq: RECORD.lsn,
        frames: 0,
        metadata_len: 10,
        db_size: 0,
    };
    assert_eq!(head, expected);
    assert!(head.verify(&record));
    assert_eq!(head.check_body(GroupKind::Records, &record), Ok(()));
    assert!(head.check_body(GroupKind::Pages, &record).is_err());
    let mut pages = record.clone();
    pages[8] = 1;
    let head = ItemHead::parse(&pages).unwrap();
    let refused = head.check_body(GroupKind::Records, &pages);
    assert_eq!(refused, Err("item: a page batch in a log of records"));
    let void = |seq: u64| {
        let mut out = vec![0; 64];
        encode_void(&mut out, 1, seq);
        let head = ItemHead::parse(&out).unwrap();
        [GroupKind::Pages, GroupKind::Records].map(|kind| head.check_body(kind, &out).is_ok())
    };
    assert_eq!(void(0), [true, true]);
    assert_eq!(void(1), [true, false]);
}
