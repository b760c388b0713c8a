use super::*;
use crate::batch::{BatchHead, Frame};
use crate::format::item::{self, Plan};
use crate::format::record::{Record, encode_record};

const HEADER: GroupHeader = GroupHeader {
    epoch: 0x0102_0304_0506_0708,
    items: 3,
    kind: GroupKind::Pages,
    link: 0x1112_1314,
    log_id: *b"a log's identity",
    generation: 0x2122,
    segment_epoch: 0x3132,
    segment_size: 0x6000,
    position: 0x4000,
    length: 0x2000,
    payload_len: 0x40,
    watermark: 0x4142,
    previous_epoch: 0x5152,
};

fn encoded(header: &GroupHeader) -> [u8; GROUP_HEADER] {
    let mut out = [0xee; GROUP_HEADER];
    let crc = header.encode(&mut out);
    assert_eq!(get_u32(&out, 124), crc);
    out
}

/// Reads what a header is written as.
fn read(header: GroupHeader) -> Result<GroupHeader, HeaderError> {
    GroupHeader::parse(&encoded(&header)).map(|(header, _)| header)
}

#[test]
fn the_layout_of_a_header_is_that_of_the_document() {
    let mut expected = [0; GROUP_HEADER];
    expected[..20].copy_from_slice(b"LAWP\x02\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01\x03\0\0\0");
    let crc = crc32c(&expected[..20]);
    expected[20..24].copy_from_slice(&crc.to_le_bytes());
    expected[24] = 1;
    expected[28..32].copy_from_slice(b"\x14\x13\x12\x11");
    expected[32..48].copy_from_slice(b"a log's identity");
    for (at, bytes) in [
        (48, b"\x22\x21"),
        (56, b"\x32\x31"),
        (64, b"\x00\x60"),
        (72, b"\x00\x40"),
        (80, b"\x00\x20"),
        (88, b"\x40\x00"),
        (96, b"\x42\x41"),
        (104, b"\x52\x51"),
    ] {
        expected[at..at + 2].copy_from_slice(bytes);
    }
    let crc = crc32c(&expected[..124]);
    expected[124..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(encoded(&HEADER), expected);
    assert_eq!(GroupHeader::parse(&expected), Ok((HEADER, crc)));
}

#[test]
fn a_header_is_refused_for_its_own_reason() {
    let bytes = encoded(&HEADER);
    assert_eq!(
        GroupHeader::parse(&bytes[..23]),
        Err(HeaderError::NotAHeader)
    );
    assert_eq!(
        GroupHeader::parse(&bytes[..127]),
        Err(HeaderError::NotAHeader)
    );
    assert_eq!(GroupHeader::parse(&[0; 128]), Err(HeaderError::NotAHeader));
    for at in [8, 30, 127] {
        let mut changed = bytes;
        changed[at] ^= 1;
        assert_eq!(
            GroupHeader::parse(&changed),
            Err(HeaderError::Checksum),
            "{at}"
        );
    }
    for (version, flags, reason) in [
        (1, 0, HeaderError::Version(1)),
        (3, 1, HeaderError::Version(3)),
        (2, 0x8000, HeaderError::Flags(0x8000)),
    ] {
        let mut other = bytes;
        let prelude = Prelude {
            version,
            flags,
            epoch: 1,
            count: 1,
        };
        prelude::write(other.first_chunk_mut().unwrap(), &prelude);
        // Told from the prelude alone, whatever a later version has behind it.
        assert_eq!(GroupHeader::parse(&other[..24]), Err(reason));
    }
}

#[test]
fn every_kind_comes_back_and_no_other() {
    let mark = GroupHeader {
        items: 0,
        payload_len: 0,
        length: BLOCK,
        kind: GroupKind::Mark,
        ..HEADER
    };
    let records = GroupHeader {
        kind: GroupKind::Records,
        ..HEADER
    };
    for header in [HEADER, mark, records] {
        assert_eq!(read(header), Ok(header));
    }
    for code in [0, 4, 255] {
        let mut bytes = encoded(&HEADER);
        bytes[24] = code;
        let crc = crc32c(&bytes[..124]);
        put_u32(&mut bytes, 124, crc);
        assert_eq!(GroupHeader::parse(&bytes), Err(HeaderError::Field("kind")));
    }
    let wrong = Err(HeaderError::Field("mark with items"));
    assert_eq!(read(GroupHeader { items: 1, ..mark }), wrong);
    assert_eq!(
        read(GroupHeader {
            payload_len: 8,
            ..mark
        }),
        wrong
    );
    assert_eq!(
        read(GroupHeader {
            length: 2 * BLOCK,
            ..mark
        }),
        wrong
    );
    for header in [HEADER, records] {
        let none = GroupHeader { items: 0, ..header };
        assert_eq!(read(none), Err(HeaderError::Field("items")));
    }
}

#[test]
fn lengths_of_a_header_agree_with_each_other() {
    let length = |length, payload_len| {
        read(GroupHeader {
            length,
            payload_len,
            segment_size: u64::MAX,
            ..HEADER
        })
        .map(drop)
    };
    let wrong = Err(HeaderError::Field("length"));
    assert_eq!(length(BLOCK, 4096 - 224), Ok(()));
    assert_eq!(length(BLOCK, 4096 - 216), wrong);
    assert_eq!(length(BLOCK, u64::MAX - 7), wrong);
    assert_eq!(length(2 * BLOCK, 8), Ok(()));
    assert_eq!(length(MAX_GROUP, 8), Ok(()));
    assert_eq!(length(MAX_GROUP + BLOCK, 8), wrong);
    assert_eq!(length(MAX_GROUP + 2 * BLOCK, 8), wrong);
    assert_eq!(length(0, 8), wrong);
    assert_eq!(length(BLOCK + 2048, 8), wrong);
    assert_eq!(length(2048, 8), wrong);
    assert_eq!(length(BLOCK, 4), Err(HeaderError::Field("payload length")));
}

#[test]
fn a_group_lies_within_its_segment() {
    let at = |position, segment_size| {
        read(GroupHeader {
            position,
            segment_size,
            ..HEADER
        })
        .map(drop)
    };
    let wrong = Err(HeaderError::Field("position"));
    assert_eq!(at(0x4000, 0x6000), Ok(()));
    assert_eq!(at(0x4000, 0x7000), Ok(()));
    assert_eq!(at(0x4000, 0x5fff), wrong);
    assert_eq!(at(0x4001, 0x7000), wrong);
    assert_eq!(at(u64::MAX - 0xfff, u64::MAX), wrong);
}

/// A payload of two batches and a void: its bytes, and what they come to.
fn payload() -> (Vec<u8>, Summary) {
    let mut out = Vec::new();
    for (lane, seq, db_size) in [(5, 8, 30), (2, 9, 0)] {
        let frames = [Frame {
            page_number: 1,
            db_size_if_commit: db_size,
            data: b"data",
        }];
        let head = BatchHead {
            txn_id: 1,
            ..BatchHead::default()
        };
        let plan = Plan::of(&head, &frames[..], 4).unwrap();
        let at = out.len();
        out.resize(at + plan.len, 0);
        assert!(item::encode(
            &mut out[at..],
            &plan,
            lane,
            seq,
            &head,
            &frames[..]
        ));
    }
    let at = out.len();
    out.resize(at + 48, 0);
    item::encode_void(&mut out[at..], 5, 7);
    let crcs: Vec<u8> = [0, 64, 128]
        .iter()
        .flat_map(|at| get_u32(&out, *at).to_le_bytes())
        .collect();
    let summary = Summary {
        items: 3,
        pages: 2,
        db_size: 30,
        seq_low: 7,
        seq_high: 9,
        payload_crc: crc32c(&crcs),
        lanes: vec![(2, 1), (5, 2)],
        runs: Vec::new(),
        out_of_order: None,
        db_size_key: (8, 1, 1),
    };
    (out, summary)
}

fn walk(payload: &[u8], verify: bool) -> Result<Summary, (usize, &'static str)> {
    Summary::walk(payload, verify, &mut LaneCounts::default(), |_, _| Ok(()))
}

#[test]
fn a_walk_counts_everything() {
    let (payload, expected) = payload();
    assert_eq!(walk(&payload, true), Ok(expected));
    // Without a sequence: then both ends of the range are 0.
    assert_eq!(walk(&[], true).map(|s| (s.seq_low, s.seq_high)), Ok((0, 0)));
    let mut void = vec![0; 48];
    item::encode_void(&mut void, 0, 0);
    let summary = walk(&void, true).unwrap();
    assert_eq!(
        (summary.items, summary.seq_low, summary.seq_high),
        (1, 0, 0)
    );
}

/// A payload of records, each (term, LSN), and a void in front of each.
fn records(of: &[(u64, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (term, lsn) in of {
        let at = out.len();
        out.resize(at + 48 + 56, 0);
        item::encode_void(&mut out[at..at + 48], 1, 0);
        let record = Record {
            term: *term,
            lsn: *lsn,
            timestamp_ms: u64::MAX,
            payload: b"payload",
        };
        encode_record(&mut out[at + 48..], 2, &record);
    }
    out
}

#[test]
fn a_walk_along_records_gives_their_terms() {
    let run = |term, first_lsn, last_lsn| TermRun {
        term,
        first_lsn,
        last_lsn,
    };
    let sum = walk(&records(&[(3, 5), (3, 9), (4, 10), (8, 11), (8, 12)]), true).unwrap();
    assert_eq!(sum.runs, [run(3, 5, 9), run(4, 10, 10), run(8, 11, 12)]);
    assert_eq!((sum.seq_low, sum.seq_high), (5, 12));
    assert_eq!((sum.items, sum.pages, sum.db_size), (10, 0, 0));
    assert_eq!(sum.lanes, [(1, 5), (2, 5)]);
    assert_eq!(sum.out_of_order, None);
}

#[test]
fn a_walk_finds_the_first_record_out_of_order() {
    let first = |of: &[(u64, u64)]| walk(&records(of), true).unwrap().out_of_order;
    assert_eq!(first(&[(3, 5), (3, 5)]), Some(152));
    assert_eq!(first(&[(3, 5), (3, 6), (3, 4), (3, 3)]), Some(256));
    // A term falls; one that rises begins above, within a group.
    assert_eq!(first(&[(3, 5), (2, 6)]), Some(152));
    assert_eq!(first(&[(3, 5), (4, 5)]), Some(152));
    assert_eq!(first(&[(3, 5), (4, 6)]), None);
}

#[test]
fn a_walk_says_which_item_is_wrong() {
    let (mut payload, _) = payload();
    payload[64 + 20] ^= 1;
    assert_eq!(walk(&payload, true), Err((64, "item: checksum")));
    assert!(walk(&payload, false).is_ok());
    let mut lanes = LaneCounts::default();
    let refused = Summary::walk(&payload, false, &mut lanes, |at, head| {
        assert!(at < 128 || head.kind == ItemKind::Void);
        if at == 128 { Err("no") } else { Ok(()) }
    });
    assert_eq!(refused, Err((128, "no")));
    lanes.clear();
    assert_eq!(lanes.take(), []);
    payload[64 + 4] = 3;
    assert_eq!(walk(&payload, false), Err((64, "item: impossible length")));
}

#[test]
fn the_database_size_is_that_of_the_last_in_replay_order() {
    let size_of = |batches: &[(u64, u64, u32)]| {
        let mut out = Vec::new();
        for (seq, txn_id, db_size) in batches {
            let frames = [Frame {
                page_number: 1,
                db_size_if_commit: *db_size,
                data: b"data",
            }];
            let head = BatchHead {
                txn_id: *txn_id,
                ..BatchHead::default()
            };
            let plan = Plan::of(&head, &frames[..], 4).unwrap();
            let at = out.len();
            out.resize(at + plan.len, 0);
            assert!(item::encode(
                &mut out[at..],
                &plan,
                0,
                *seq,
                &head,
                &frames[..]
            ));
        }
        walk(&out, true).unwrap().db_size
    };
    assert_eq!(size_of(&[(2, 1, 20), (1, 9, 10)]), 20);
    assert_eq!(size_of(&[(1, 9, 10), (2, 1, 20)]), 20);
    assert_eq!(size_of(&[(1, 9, 10), (1, 8, 20)]), 10);
    // Of one transaction the later item in the log.
    assert_eq!(size_of(&[(1, 9, 10), (1, 9, 20)]), 20);
    assert_eq!(size_of(&[(2, 1, 20), (3, 1, 0)]), 20);
}

const FLAGS: CertificateFlags = CertificateFlags {
    fallback: false,
    assigned: true,
};

/// The payload as a whole group, and its header.
fn group() -> (Vec<u8>, GroupHeader) {
    let (payload, summary) = payload();
    let header = GroupHeader {
        items: 3,
        length: BLOCK,
        payload_len: payload.len() as u64,
        ..HEADER
    };
    let mut out = vec![0xee; BLOCK as usize];
    out[GROUP_HEADER..GROUP_HEADER + payload.len()].copy_from_slice(&payload);
    let crc = seal(&mut out, &header, &summary, FLAGS, 6);
    assert_eq!(get_u32(&out, 4092), crc);
    (out, header)
}

/// The trailer of `group`, and its header with its checksum.
fn trailer() -> (Vec<u8>, GroupHeader, u32) {
    let (bytes, header) = group();
    let at = GROUP_HEADER + header.payload_len as usize;
    (bytes[at..].to_vec(), header, get_u32(&bytes, 124))
}

#[test]
fn the_layout_of_a_trailer_is_that_of_the_document() {
    let (bytes, header) = group();
    let (_, summary) = payload();
    let payload_end = GROUP_HEADER + 176;
    assert_eq!(&bytes[..GROUP_HEADER], encoded(&header));
    assert_eq!(&bytes[GROUP_HEADER..payload_end], payload().0);
    assert!(bytes[payload_end..4096 - 112].iter().all(|b| *b == 0));
    let mut expected = b"\x02\0\0\0\x01\0\0\0\x05\0\0\0\x02\0\0\0".to_vec();
    expected.extend_from_slice(b"CERT\x01\0\x02\0\x08\x07\x06\x05\x04\x03\x02\x01");
    expected.extend_from_slice(b"\x07\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0");
    expected.extend_from_slice(b"\x32\x31\0\0\0\0\0\0\x02\0\0\0\0\0\0\0");
    expected.extend_from_slice(b"\x03\0\0\0\x06\0\0\0\x02\0\0\0\x1e\0\0\0");
    expected.extend_from_slice(b"\xb0\0\0\0\0\0\0\0");
    expected.extend_from_slice(&summary.payload_crc.to_le_bytes());
    expected.extend_from_slice(&bytes[124..128]);
    expected.extend_from_slice(&[0; 12]);
    assert_eq!(&bytes[4096 - 112..4092], expected);
    assert_eq!(get_u32(&bytes, 4092), crc32c(&bytes[payload_end..4092]));
}

#[test]
fn a_certificate_comes_back() {
    let (bytes, header, crc) = trailer();
    let read = Certificate::parse(&bytes, &header, crc).unwrap();
    let (_, summary) = payload();
    let expected = Certificate {
        flags: FLAGS,
        epoch: header.epoch,
        segment_epoch: header.segment_epoch,
        lane_count: 6,
        payload_len: 176,
        header_crc: crc,
        summary: Summary {
            db_size_key: (0, 0, 0),
            ..summary.clone()
        },
        crc: get_u32(&bytes, bytes.len() - 4),
    };
    assert_eq!(read, expected);
    assert_eq!(read.agrees_with(&summary), Ok(()));
}

/// Reads the trailer with a patch, its checksum made right again. `at` counts
/// from the certificate's first byte.
fn patched(at: isize, patch: &[u8]) -> Result<(), &'static str> {
    let (mut bytes, header, crc) = trailer();
    let at = (bytes.len() - CERTIFICATE).checked_add_signed(at).unwrap();
    bytes[at..at + patch.len()].copy_from_slice(patch);
    let end = bytes.len() - 4;
    let sum = crc32c(&bytes[..end]);
    put_u32(&mut bytes, end, sum);
    Certificate::parse(&bytes, &header, crc).map(drop)
}

#[test]
fn each_broken_rule_of_a_certificate_is_found() {
    let another = Err("certificate: of another header");
    for (at, patch, expected) in [
        (0, 0x43, Ok(())),
        (0, 0x44, Err("certificate: magic or version")),
        (3, 0, Err("certificate: magic or version")),
        (4, 2, Err("certificate: magic or version")),
        (5, 1, Err("certificate: magic or version")),
        (6, 3, Ok(())),
        (6, 4, Err("certificate: unknown flags")),
        (7, 1, Err("certificate: unknown flags")),
        (8, 9, another),
        (32, 0, another),
        (48, 4, another),
        (64, 0xb8, another),
        (56, 1, Err("certificate: bytes in the padding")),
        (-17, 1, Err("certificate: bytes in the padding")),
        // Reserved: not looked at.
        (80, 1, Ok(())),
        (91, 1, Ok(())),
    ] {
        assert_eq!(patched(at, &[patch]), expected, "{patch} at {at}");
    }
    let (bytes, header, crc) = trailer();
    assert_eq!(
        Certificate::parse(&bytes, &header, crc ^ 1).map(drop),
        another
    );
    assert_eq!(
        Certificate::parse(&bytes[1..], &header, crc).map(drop),
        Err("certificate: checksum")
    );
    // Whatever fills the room may be the table, and no more.
    let room = (bytes.len() - CERTIFICATE) / LANE_ENTRY;
    assert_eq!(patched(56, &(room as u32).to_le_bytes()), Ok(()));
    let longer = Err("certificate: lane table longer than the group");
    assert_eq!(patched(56, &(room as u32 + 1).to_le_bytes()), longer);
    assert_eq!(patched(56, &[0xff; 4]), longer);
}

#[test]
fn a_trailer_is_at_least_a_certificate() {
    let header = GroupHeader {
        items: 0,
        kind: GroupKind::Mark,
        payload_len: 0,
        length: BLOCK,
        ..HEADER
    };
    let mut bytes = vec![0; BLOCK as usize];
    seal(&mut bytes, &header, &Summary::default(), FLAGS, 1);
    let crc = get_u32(&bytes, 124);
    let mut alone = bytes[BLOCK as usize - CERTIFICATE..].to_vec();
    let sum = crc32c(&alone[..92]);
    put_u32(&mut alone, 92, sum);
    assert!(Certificate::parse(&alone, &header, crc).is_ok());
    for len in 0..CERTIFICATE {
        assert_eq!(
            Certificate::parse(&alone[..len], &header, crc).map(drop),
            Err("certificate: no room")
        );
    }
}

#[test]
fn flags_are_told_apart() {
    for (fallback, assigned) in [(false, false), (true, false), (false, true), (true, true)] {
        let (mut bytes, header) = group();
        let flags = CertificateFlags { fallback, assigned };
        seal(&mut bytes, &header, &payload().1, flags, 6);
        let trailer = &bytes[GROUP_HEADER + 176..];
        let read = Certificate::parse(trailer, &header, get_u32(&bytes, 124)).unwrap();
        assert_eq!(read.flags, flags);
    }
}

#[test]
fn a_certificate_agrees_with_its_items_alone() {
    let (bytes, header, crc) = trailer();
    let certificate = Certificate::parse(&bytes, &header, crc).unwrap();
    let (_, good) = payload();
    let refused = |counted: Summary| certificate.agrees_with(&counted).unwrap_err();
    let counts = "certificate: counts";
    let range = "certificate: sequence range";
    assert_eq!(
        refused(Summary {
            payload_crc: 1,
            ..good.clone()
        }),
        "certificate: payload checksum"
    );
    assert_eq!(
        refused(Summary {
            items: 2,
            ..good.clone()
        }),
        counts
    );
    assert_eq!(
        refused(Summary {
            pages: 3,
            ..good.clone()
        }),
        counts
    );
    assert_eq!(
        refused(Summary {
            lanes: vec![(2, 1), (4, 2)],
            ..good.clone()
        }),
        counts
    );
    assert_eq!(
        refused(Summary {
            seq_low: 6,
            ..good.clone()
        }),
        range
    );
    assert_eq!(
        refused(Summary {
            seq_high: 8,
            ..good.clone()
        }),
        range
    );
    assert_eq!(
        refused(Summary {
            db_size: 0,
            ..good.clone()
        }),
        "certificate: database size"
    );
    // Lane 5 is the sixth.
    let fewer = Certificate {
        lane_count: 5,
        ..certificate.clone()
    };
    assert_eq!(
        fewer.agrees_with(&good),
        Err("certificate: lane above the lane count")
    );
    assert_eq!(certificate.agrees_with(&good), Ok(()));
}

#[test]
fn a_group_is_as_long_as_its_parts() {
    // 4096 less the header, the certificate and two entries.
    assert_eq!(group_len(4096 - 240, 2), BLOCK);
    assert_eq!(group_len(4096 - 232, 2), 2 * BLOCK);
    assert_eq!(group_len(4096 - 240, 3), 2 * BLOCK);
    assert_eq!(group_len(0, 0), BLOCK);
}

#[test]
fn any_padding_has_the_checksum_of_its_zeros() {
    for len in (0..BLOCK as usize).step_by(8) {
        assert_eq!(zeros_crc(len), crc32c(&vec![0; len]), "{len}");
    }
}

#[test]
fn lanes_are_counted_anew_for_each_group() {
    let mut lanes = LaneCounts::default();
    for lane in [9, 0, 9, 65_535] {
        lanes.add(lane);
    }
    assert_eq!(lanes.take(), [(0, 1), (9, 2), (65_535, 1)]);
    lanes.add(9);
    assert_eq!(lanes.take(), [(9, 1)]);
}

#[test]
fn a_magic_is_four_bytes() {
    assert!(has_magic(&encoded(&HEADER)));
    assert!(has_magic(b"LAWP"));
    assert!(!has_magic(b"LAW") && !has_magic(b"") && !has_magic(b"LAWQ...."));
}
