use super::*;

const EPOCH: u64 = 0x0102_0304_0506_0708;

fn record(txn_id: u64, page_number: u32, begin_seq: u64, after: &[u8]) -> Record<'_> {
    Record {
        txn_id,
        txn_epoch: 3,
        epoch: EPOCH,
        page_number,
        begin_seq,
        end_seq: Some(begin_seq),
        before: &[],
        after,
    }
}

fn aborted<'a>(record: Record<'a>) -> Record<'a> {
    Record {
        end_seq: None,
        ..record
    }
}

/// One committed record with a before-image of 2 and an after-image of 3
/// bytes: the record begins at 28 and is 54 bytes long.
fn small() -> Vec<u8> {
    let r = Record {
        before: b"be",
        ..record(7, 9, 5, b"aft")
    };
    encode(EPOCH, &[r]).unwrap()
}

/// Writes the checksum again after a change to the header.
fn reseal(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[..20]);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
}

/// `small` with `patch` at `at`, and how it is refused.
fn refused(at: usize, patch: &[u8]) -> (u64, Reason) {
    let mut bytes = small();
    bytes[at..at + patch.len()].copy_from_slice(patch);
    reseal(&mut bytes);
    let e = decode(&bytes, Some(EPOCH)).unwrap_err();
    (e.offset, e.reason)
}

#[test]
fn the_layout_is_that_of_the_document() {
    let bytes = small();
    let mut expected = Vec::new();
    expected.extend_from_slice(b"LAWP\x01\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01\x01\0\0\0");
    expected.extend_from_slice(&crc32c::crc32c(&expected).to_le_bytes());
    expected.extend_from_slice(&54u32.to_le_bytes());
    expected.extend_from_slice(b"\x07\0\0\0\0\0\0\0");
    expected.extend_from_slice(b"\x03\0\0\0");
    expected.extend_from_slice(b"\x08\x07\x06\x05\x04\x03\x02\x01");
    expected.extend_from_slice(b"\x09\0\0\0");
    expected.extend_from_slice(b"\x05\0\0\0\0\0\0\0");
    expected.extend_from_slice(b"\x01\x05\0\0\0\0\0\0\0");
    expected.extend_from_slice(b"\x02\0\0\0be\x03\0\0\0aft");
    assert_eq!(bytes, expected);
}

#[test]
fn limits_are_those_of_the_format() {
    assert_eq!(MIN_RECORD_BYTES, 41);
    assert_eq!(MAX_RECORD_BYTES, 41 + 8 + 2 * 65536);
    let image = vec![1; MAX_IMAGE_BYTES];
    let largest = Record {
        before: &image,
        ..record(1, 1, 1, &image)
    };
    let smallest = aborted(record(1, 2, 1, b""));
    assert_eq!(largest.encoded_len(), MAX_RECORD_BYTES);
    assert_eq!(smallest.encoded_len(), MIN_RECORD_BYTES);
    let bytes = encode(EPOCH, &[largest, smallest]).unwrap();
    assert_eq!(decode(&bytes, None).unwrap().records, [largest, smallest]);
}

#[test]
fn each_broken_rule_has_its_reason_and_offset() {
    let header = |reason| Reason::Header(reason);
    assert_eq!(
        refused(0, b"X"),
        (0, header(PreludeError::Magic(0x5057_4158)))
    );
    assert_eq!(refused(4, &[2]), (4, Reason::Version(2)));
    assert_eq!(refused(6, &[0, 1]), (6, Reason::Flags(256)));
    let name = Reason::NameEpoch {
        header: 0x0102_0304_0506_0709,
        name: EPOCH,
    };
    assert_eq!(refused(8, &[9]), (8, name));
    assert_eq!(refused(16, &[2]), (16, Reason::Count { count: 2, room: 1 }));
    assert_eq!(refused(16, &[0]), (24, Reason::TrailingInFile(58)));
    assert_eq!(refused(24, &[40]), (24, Reason::RecordLength(40)));
    assert_eq!(
        refused(24, &[0xff; 4]),
        (24, Reason::RecordLength(u32::MAX))
    );
    assert_eq!(
        refused(24, &[55]),
        (28, Reason::ShortRecord { need: 55, left: 54 })
    );
    assert_eq!(
        refused(24, &[53]),
        (79, Reason::RecordTooShort { need: 3, left: 2 })
    );
    assert_eq!(refused(28, &[0]), (28, Reason::ZeroTxnId));
    let epoch = Reason::RecordEpoch {
        record: 0x0102_0304_0506_0700,
        segment: EPOCH,
    };
    assert_eq!(refused(40, &[0]), (40, epoch));
    assert_eq!(refused(48, &[0]), (48, Reason::ZeroPage));
    assert_eq!(refused(60, &[2]), (60, Reason::EndFlag(2)));
    assert_eq!(refused(69, &[1, 0, 1]), (69, Reason::ImageTooLarge(65537)));
    assert_eq!(
        refused(69, &[50]),
        (73, Reason::RecordTooShort { need: 50, left: 9 })
    );
    assert_eq!(refused(75, &[2]), (81, Reason::TrailingInRecord(1)));
}

#[test]
fn an_error_says_what_and_where() {
    let mut bytes = small();
    bytes.push(0);
    let e = decode(&bytes, None).unwrap_err();
    assert_eq!(
        e.to_string(),
        "1 trailing bytes after the last record (offset 82)"
    );
}

#[test]
fn bytes_after_the_last_record_are_refused() {
    let mut bytes = small();
    bytes.extend_from_slice(&[0; 3]);
    let e = decode(&bytes, None).unwrap_err();
    assert_eq!((e.offset, e.reason), (82, Reason::TrailingInFile(3)));
    assert_eq!(e.kind(), ErrorKind::Corrupt);
}

#[test]
fn only_a_sound_header_can_be_newer() {
    let mut bytes = small();
    bytes[4] = 3;
    assert_eq!(decode(&bytes, None).unwrap_err().kind(), ErrorKind::Corrupt);
    reseal(&mut bytes);
    assert_eq!(decode(&bytes, None).unwrap_err().kind(), ErrorKind::Format);
    bytes[4] = 1;
    bytes[7] = 0x80;
    assert_eq!(decode(&bytes, None).unwrap_err().kind(), ErrorKind::Corrupt);
    reseal(&mut bytes);
    assert_eq!(decode(&bytes, None).unwrap_err().kind(), ErrorKind::Format);
}

#[test]
fn a_header_alone_bounds_the_file_from_both_sides() {
    let bytes = small();
    assert!(decode_header(&bytes, bytes.len() as u64, None).is_ok());
    let most = (prelude::LEN + LENGTH_BYTES + MAX_RECORD_BYTES) as u64;
    assert!(decode_header(&bytes, most, None).is_ok());
    let e = decode_header(&bytes, most + 1, None).unwrap_err();
    assert_eq!(e.reason, Reason::TrailingInFile(1));
    let e = decode_header(&bytes, u64::MAX, None).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Corrupt);
    let e = decode_header(&bytes, 0, None).unwrap_err();
    assert_eq!(e.reason, Reason::Count { count: 1, room: 0 });
}

#[test]
fn a_segment_without_records_is_read() {
    let mut head = [0; prelude::LEN];
    let empty = Prelude {
        version: 1,
        flags: 0,
        epoch: 4,
        count: 0,
    };
    prelude::write(&mut head, &empty);
    let segment = decode(&head, Some(4)).unwrap();
    assert!(segment.records.is_empty() && segment.batches().is_empty());
    assert_eq!(segment.highest_commit_seq(), None);
}

#[test]
fn what_version_1_cannot_hold_is_refused_by_name() {
    let good = record(1, 1, 1, b"x");
    let large = vec![0; MAX_IMAGE_BYTES + 1];
    for (bad, kind, text) in [
        (
            Record { txn_id: 0, ..good },
            ErrorKind::Invalid,
            "transaction id 0",
        ),
        (
            Record {
                page_number: 0,
                ..good
            },
            ErrorKind::Invalid,
            "page number 0",
        ),
        (
            Record { epoch: 1, ..good },
            ErrorKind::Invalid,
            "record of epoch 1 ",
        ),
        (
            Record {
                before: &large,
                ..good
            },
            ErrorKind::TooLarge,
            "before-image of 65537",
        ),
        (
            Record {
                after: &large,
                ..good
            },
            ErrorKind::TooLarge,
            "after-image of 65537",
        ),
    ] {
        let e = encode(EPOCH, &[good, bad]).unwrap_err();
        assert_eq!(e.kind(), kind, "{e}");
        assert!(e.message().starts_with("record 1: "), "{e}");
        assert!(e.message().contains(text), "{e}");
    }
    assert_eq!(encode(EPOCH, &[]).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn writing_sorts_stably_into_replay_order() {
    let records = [
        record(2, 1, 9, b"last"),
        record(5, 2, 3, b"page 2"),
        record(5, 1, 3, b"first image"),
        record(5, 1, 3, b"second image"),
        record(4, 9, 3, b"lower txn"),
        aborted(record(8, 1, 1, b"first")),
    ];
    let bytes = encode(EPOCH, &records).unwrap();
    let images: Vec<&[u8]> = decode(&bytes, None)
        .unwrap()
        .records
        .iter()
        .map(|r| r.after)
        .collect();
    let expected: [&[u8]; 6] = [
        b"first",
        b"lower txn",
        b"first image",
        b"second image",
        b"page 2",
        b"last",
    ];
    assert_eq!(images, expected);
}

/// Commit sequence, token, and the frames as page number and image.
type Shape<'a> = (u64, u64, u32, Vec<(u32, &'a [u8])>);

#[test]
fn batches_are_what_was_committed_in_replay_order() {
    let mut other_token = record(5, 3, 3, b"other token");
    other_token.txn_epoch = 4;
    // As another writer may have left them: not sorted.
    let segment = Segment {
        epoch: EPOCH,
        records: vec![
            record(2, 1, 9, b"late"),
            aborted(record(2, 3, 9, b"never")),
            record(5, 4, 3, b"page 4"),
            other_token,
            record(5, 2, 3, b"page 2"),
            record(5, 3, 3, b""),
            record(6, 1, 12, b""),
            aborted(record(7, 1, 99, b"never")),
        ],
    };
    let batches = segment.batches();
    let shape: Vec<_> = batches
        .iter()
        .map(|b| {
            let frames: Vec<_> = b.frames.iter().map(|f| (f.page_number, f.data)).collect();
            (b.commit_seq, b.txn_id, b.txn_epoch, frames)
        })
        .collect();
    let expected: Vec<Shape<'_>> = vec![
        (3, 5, 3, vec![(2, b"page 2"), (4, b"page 4")]),
        (3, 5, 4, vec![(3, b"other token")]),
        (9, 2, 3, vec![(1, b"late")]),
    ];
    assert_eq!(shape, expected);
    assert_eq!(segment.highest_commit_seq(), Some(12));
}
