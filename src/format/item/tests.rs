use super::*;

/// Two frames and three bytes of metadata: 92 bytes, and 4 of padding.
fn encoded() -> Vec<u8> {
    let frames = [frame(7, 0, b"page"), frame(9, 11, b"other page")];
    let head = BatchHead {
        txn_id: 0x0102_0304_0506_0708,
        txn_epoch: 0x1112_1314,
        commit_seq: 77,
        metadata: b"tag",
    };
    let plan = Plan::of(&head, &frames[..], 14).unwrap();
    let expected = Plan {
        len: 96,
        frames: 2,
        bytes: 14,
        db_size: 11,
    };
    assert_eq!(plan, expected);
    let mut out = vec![0xee; plan.len];
    assert!(encode(&mut out, &plan, 0x2122, 5, &head, &frames[..]));
    out
}

fn frame(page_number: u32, db_size_if_commit: u32, data: &[u8]) -> Frame<'_> {
    Frame {
        page_number,
        db_size_if_commit,
        data,
    }
}

fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn the_layout_is_that_of_the_document() {
    let mut expected = vec![0; 4];
    expected.extend_from_slice(b"\x60\0\0\0\x01\0\x22\x21\x14\x13\x12\x11");
    expected.extend_from_slice(b"\x08\x07\x06\x05\x04\x03\x02\x01");
    expected.extend_from_slice(b"\x05\0\0\0\0\0\0\0\x02\0\0\0\x03\0\0\0\x0b\0\0\0\0\0\0\0tag");
    expected.extend_from_slice(b"\x07\0\0\0\0\0\0\0\x04\0\0\0page");
    expected.extend_from_slice(b"\x09\0\0\0\x0b\0\0\0\x0a\0\0\0other page");
    expected.resize(96, 0);
    assert_eq!(encoded(), with_crc(expected));
}

#[test]
fn a_void_has_a_lane_a_length_and_a_sequence() {
    let mut out = vec![0xee; 64];
    encode_void(&mut out, 3, 9);
    let mut expected = vec![0; 64];
    expected[4] = 64;
    expected[10] = 3;
    expected[24] = 9;
    assert_eq!(out, with_crc(expected));
    let head = ItemHead::parse(&out).unwrap();
    assert_eq!(head.kind, ItemKind::Void);
    assert_eq!(head.check_body(GroupKind::Pages, &out), Ok(()));
}

/// The same frame, so many times.
struct Many<'a>(usize, Frame<'a>);

impl FrameSource for Many<'_> {
    fn count(&self) -> usize {
        self.0
    }

    fn frame(&self, _: usize) -> Frame<'_> {
        self.1
    }
}

fn plan(txn_id: u64, metadata: &[u8], frames: &impl FrameSource, max_bytes: u64) -> Result<Plan> {
    let head = BatchHead {
        txn_id,
        metadata,
        ..BatchHead::default()
    };
    Plan::of(&head, frames, max_bytes)
}

#[test]
fn each_limit_of_a_batch_holds_exactly() {
    let long = vec![1; MAX_FRAME_BYTES + 1];
    let whole = frame(1, 0, &long[..MAX_FRAME_BYTES]);
    let short = frame(1, 0, b"x");
    let one = Many(1, short);
    assert_eq!(plan(1, b"", &one, 1).unwrap().len, 64);
    let largest = plan(1, &long[..MAX_METADATA_BYTES], &Many(2, whole), 131_072).unwrap();
    assert_eq!((largest.frames, largest.bytes), (2, 131_072));
    for (refused, kind, word) in [
        (plan(0, b"", &one, 1), ErrorKind::Invalid, "txn_id"),
        (plan(1, &long, &one, 1), ErrorKind::TooLarge, "metadata"),
        (
            plan(1, b"", &Many(0, short), 1),
            ErrorKind::Invalid,
            "frames:",
        ),
        // One that is refused for its count alone is not looked at.
        (
            plan(1, b"", &Many(usize::MAX, frame(0, 0, b"")), 9),
            ErrorKind::TooLarge,
            "frames of a byte",
        ),
        (
            plan(1, b"", &Many(1 << 32, frame(0, 0, b"")), u64::MAX),
            ErrorKind::TooLarge,
            "frames of a byte",
        ),
        (
            plan(1, b"", &Many(1, frame(0, 0, b"x")), 1),
            ErrorKind::Invalid,
            "frames[0].page_number",
        ),
        (
            plan(1, b"", &Many(1, frame(1, 0, b"")), 1),
            ErrorKind::Invalid,
            "frames[0].data",
        ),
        (
            plan(1, b"", &Many(1, frame(1, 0, &long)), 1 << 20),
            ErrorKind::TooLarge,
            "frames[0].data",
        ),
        (
            plan(1, b"", &Many(2, frame(1, 0, b"xx")), 3),
            ErrorKind::TooLarge,
            "the first 2 frames, 4 bytes",
        ),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(word), "{error}");
    }
}

#[test]
fn the_largest_item_has_two_gigabytes() {
    // Frames of a byte less than the largest, and metadata for the rest.
    let data = vec![1; MAX_FRAME_BYTES - 1];
    let count = 32_762;
    let rest = MAX_ITEM as usize - ITEM_HEADER - count * (FRAME_HEADER + data.len());
    let frames = Many(count, frame(1, 0, &data));
    let largest = plan(1, &data[..rest], &frames, u64::MAX).unwrap();
    assert_eq!(largest.len as u64, MAX_ITEM);
    let error = plan(1, &data[..rest + 1], &frames, u64::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
}

#[test]
fn the_last_size_that_a_batch_says_counts() {
    let sizes = |sizes: [u32; 3]| {
        let frames = sizes.map(|size| frame(1, size, b"x"));
        let head = BatchHead {
            txn_id: 1,
            ..BatchHead::default()
        };
        Plan::of(&head, &frames[..], 3).unwrap().db_size
    };
    assert_eq!(sizes([5, 4, 0]), 4);
    assert_eq!(sizes([0, 0, 0]), 0);
}

/// Frames that are not those that the plan counted.
fn encoded_otherwise(planned: Frame<'_>, given: &[Frame<'_>]) -> bool {
    let head = BatchHead {
        txn_id: 1,
        ..BatchHead::default()
    };
    let plan = Plan::of(&head, &Many(given.len(), planned), u64::MAX).unwrap();
    let mut out = vec![0; plan.len];
    encode(&mut out, &plan, 0, 1, &head, given)
}

#[test]
fn frames_that_changed_since_the_plan_are_refused() {
    let planned = frame(1, 0, b"abcd");
    assert!(encoded_otherwise(planned, &[planned]));
    // To the last byte of the padding is room, and not beyond it.
    assert!(encoded_otherwise(
        frame(1, 0, b"a"),
        &[frame(1, 0, b"abcd")]
    ));
    assert!(!encoded_otherwise(planned, &[frame(1, 0, b"abcde")]));
    assert!(!encoded_otherwise(planned, &[frame(1, 0, &[1; 9])]));
    assert!(!encoded_otherwise(
        frame(1, 0, &[1; 12]),
        &[frame(1, 0, b"abcd")]
    ));
    assert!(!encoded_otherwise(planned, &[frame(1, 0, b"")]));
    assert!(!encoded_otherwise(planned, &[frame(0, 0, b"abcd")]));
}

#[test]
fn items_longer_than_one_stretch_have_the_checksum_of_the_whole() {
    let data = vec![7; CHECKSUM_STRETCH - FRAME_HEADER];
    let head = BatchHead {
        txn_id: 1,
        metadata: b"m",
        ..BatchHead::default()
    };
    for count in 1..5 {
        let frames = Many(count, frame(1, 0, &data));
        let plan = Plan::of(&head, &frames, u64::MAX).unwrap();
        let mut out = vec![0xee; plan.len];
        assert!(encode(&mut out, &plan, 0, 1, &head, &frames));
        let parsed = ItemHead::parse(&out).unwrap();
        assert!(parsed.verify(&out), "{count} frames");
        assert_eq!(parsed.body(&out).unwrap().1.len(), count);
    }
}

#[test]
fn an_impossible_length_is_refused() {
    let item = encoded();
    let with_len = |len: u32| {
        let mut bytes = item.clone();
        bytes.resize(104, 0);
        bytes[4..8].copy_from_slice(&len.to_le_bytes());
        ItemHead::parse(&bytes).map(|head| head.len)
    };
    for len in [48, 56, 96, 104] {
        assert_eq!(with_len(len), Ok(len as usize));
    }
    for len in [0, 8, 40, 47, 49, 95, 112, u32::MAX] {
        assert_eq!(with_len(len), Err("item: impossible length"), "{len}");
    }
    assert!(ItemHead::parse(&item[..ITEM_HEADER]).is_err());
    assert!(ItemHead::parse(&item[..ITEM_HEADER - 1]).is_err());
    let mut alone = item[..ITEM_HEADER].to_vec();
    alone[4] = 48;
    assert_eq!(ItemHead::parse(&alone).unwrap().len, 48);
}

#[test]
fn a_type_that_nobody_knows_is_refused() {
    let kind = |code: u8| {
        let mut bytes = encoded();
        bytes[8] = code;
        ItemHead::parse(&bytes)
            .map(|head| (head.kind, head.check_body(GroupKind::Pages, &bytes).is_ok()))
    };
    assert_eq!(kind(0), Ok((ItemKind::Void, true)));
    assert_eq!(kind(1), Ok((ItemKind::Pages, true)));
    assert_eq!(kind(2), Ok((ItemKind::Record, false)));
    assert!(kind(3).is_err() && kind(255).is_err());
}

/// `encoded` with a patch, and whether its body is read.
fn body(at: usize, patch: &[u8]) -> std::result::Result<usize, &'static str> {
    let mut bytes = encoded();
    bytes[at..at + patch.len()].copy_from_slice(patch);
    let head = ItemHead::parse(&bytes).unwrap();
    let read = head.body(&bytes).map(|(metadata, frames)| {
        assert_eq!(metadata.len(), head.metadata_len);
        frames.len()
    });
    assert_eq!(head.check_body(GroupKind::Pages, &bytes), read.map(drop));
    read
}

#[test]
fn each_broken_rule_of_a_body_is_found() {
    assert_eq!(body(16, &[8]), Ok(2));
    assert_eq!(body(16, &[0; 8]), Err("item: transaction id 0"));
    assert_eq!(body(32, &[0]), Err("item: no frames"));
    assert_eq!(body(36, &[49]), Err("item: impossible metadata length"));
    assert_eq!(
        body(36, &[0, 0, 0, 1]),
        Err("item: impossible metadata length")
    );
    // All of the item is metadata: then there is no room for frames.
    assert_eq!(body(36, &[48]), Err("item: more frames than bytes"));
    assert_eq!(body(32, &[4]), Err("item: more frames than bytes"));
    assert_eq!(body(32, &[0xff; 4]), Err("item: more frames than bytes"));
    // 48 bytes are room for four frames' headers, and for three frames.
    assert_eq!(
        body(32, &[4, 0, 0, 0, 0]),
        Err("item: more frames than bytes")
    );
    assert_eq!(body(32, &[3]), Err("frame: no room for its header"));
    let other_size = Err("item: another database size than its frames");
    assert_eq!(body(32, &[1]), other_size);
    assert_eq!(body(40, &[10]), other_size);
    assert_eq!(body(40, &[0]), other_size);
    assert_eq!(body(51, &[0]), Err("frame: page number 0"));
    assert_eq!(body(59, &[0]), Err("frame: impossible length"));
    // The last frame may take the padding, and no more.
    assert_eq!(body(75, &[17]), Ok(2));
    assert_eq!(body(75, &[18]), Err("frame: impossible length"));
    assert_eq!(body(75, &[0xff; 4]), Err("frame: impossible length"));
    assert_eq!(body(95, &[1]), Err("item: bytes behind its last frame"));
}

#[test]
fn a_frame_is_a_header_and_a_byte_or_more() {
    let mut bytes = [0; FRAME_HEADER + 1];
    (bytes[0], bytes[8]) = (1, 1);
    assert!(parse_frame(&bytes).is_ok());
    let alone = parse_frame(&bytes[..FRAME_HEADER]);
    assert_eq!(alone, Err("frame: impossible length"));
    let less = parse_frame(&bytes[..FRAME_HEADER - 1]);
    assert_eq!(less, Err("frame: no room for its header"));
}

#[test]
fn eight_zeros_behind_the_frames_are_no_padding() {
    let behind = |zeros: usize| {
        let mut bytes = encoded();
        bytes[75] = 6;
        bytes[83..].fill(0);
        // The second frame ends at 85.
        bytes[85..].fill(0);
        bytes.resize(85 + zeros, 0);
        let len = bytes.len() as u32;
        bytes[4..8].copy_from_slice(&len.to_le_bytes());
        let head = ItemHead {
            len: bytes.len(),
            ..ItemHead::parse(&encoded()).unwrap()
        };
        head.body(&bytes).map(drop)
    };
    assert_eq!(behind(0), Ok(()));
    assert_eq!(behind(7), Ok(()));
    assert_eq!(behind(8), Err("item: bytes behind its last frame"));
}

#[test]
fn the_largest_frame_and_metadata_are_read() {
    let data = vec![1; MAX_FRAME_BYTES + 8];
    let head = BatchHead {
        txn_id: 1,
        metadata: &data[..MAX_METADATA_BYTES],
        ..BatchHead::default()
    };
    let frames = [frame(1, 0, &data[..MAX_FRAME_BYTES])];
    let plan = Plan::of(&head, &frames[..], u64::MAX).unwrap();
    let mut out = vec![0; plan.len + 8];
    assert!(encode(
        &mut out[..plan.len],
        &plan,
        0,
        1,
        &head,
        &frames[..]
    ));
    let parsed = ItemHead::parse(&out[..plan.len]).unwrap();
    assert_eq!(
        parsed.body(&out[..plan.len]),
        Ok((head.metadata, frames.to_vec()))
    );
    // A byte more of either is too much, though there is room for it.
    let at = ITEM_HEADER + MAX_METADATA_BYTES + 8;
    put_u32(&mut out, at, MAX_FRAME_BYTES as u32 + 1);
    assert_eq!(parsed.body(&out), Err("frame: impossible length"));
    let more = ItemHead {
        metadata_len: MAX_METADATA_BYTES + 1,
        ..parsed
    };
    assert_eq!(more.body(&out), Err("item: impossible metadata length"));
}
