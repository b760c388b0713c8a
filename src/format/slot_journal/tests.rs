use super::*;

fn slots() -> Vec<Slot> {
    let mut odd = Slot::new(
        "ä replica, with (marks)",
        u64::MAX - 1,
        Origin::Acknowledged,
        7,
    );
    odd.confirmed_lsn = u64::MAX;
    odd.region = Some("eu".into());
    odd.invalidation = Some(Invalidation {
        cause: Cause::IdleTimeout,
        at_ms: 99,
    });
    odd.registered = true;
    let mut long = Slot::new(&"x".repeat(255), 1 << 53, Origin::Given, 1);
    long.region = Some("y".repeat(255));
    long.rebootstrapping = true;
    vec![Slot::new("a", 0, Origin::Pinned, 0), odd, long]
}

fn meta() -> Meta {
    Meta {
        log_id: *b"0123456789abcdef",
        file_len: 65_536,
        topology_bound: 5,
        generation_bound: 6,
        quorum_lsn: 7,
    }
}

fn frame() -> Vec<u8> {
    let mut writer = FrameWriter::new(FrameKind::Changes);
    slots().iter().for_each(|s| writer.put(s));
    writer.drop_slot("gone");
    let len = writer.len();
    let bytes = writer.finish(42, &meta());
    assert_eq!(bytes.len(), len);
    bytes
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&bytes[8..]);
    put_u32(&mut bytes, 4, crc);
    bytes
}

#[test]
fn what_was_put_comes_back() {
    let bytes = frame();
    let frame = Frame::parse(&bytes).unwrap();
    assert_eq!(frame.kind, FrameKind::Changes);
    assert_eq!((frame.sequence, frame.len), (42, bytes.len()));
    assert_eq!(frame.meta, meta());
    let mut expected: Vec<_> = slots().into_iter().map(Change::Put).collect();
    expected.push(Change::Dropped("gone".into()));
    assert_eq!(frame.changes().unwrap(), expected);
    for cause in Cause::ALL {
        assert_eq!(Cause::of_name(cause.name()), Some(cause));
        assert_eq!(Cause::of_code(Cause::code(Some(cause))), Some(Some(cause)));
    }
    assert_eq!(Cause::of_name("horizon "), None);
}

#[test]
fn the_bytes_are_those_of_the_document() {
    let mut writer = FrameWriter::new(FrameKind::Base);
    let mut slot = slots().remove(1);
    slot.id = "r1".into();
    writer.put(&slot);
    let bytes = writer.finish(3, &meta());
    assert_eq!(bytes.len(), 80 + 56);
    assert_eq!(&bytes[..4], b"EWSL");
    assert_eq!(crc32c(&bytes[8..]), get_u32(&bytes, 4));
    assert_eq!(&bytes[8..16], [136, 0, 0, 0, 1, 1, 0, 0]);
    assert_eq!(get_u64(&bytes, 16), 3);
    assert_eq!(&bytes[24..40], b"0123456789abcdef");
    let numbers = [40, 48, 56, 64].map(|at| get_u64(&bytes, at));
    assert_eq!(numbers, [65_536, 5, 6, 7]);
    assert_eq!((get_u32(&bytes, 72), get_u32(&bytes, 76)), (1, 0));
    let entry = &bytes[80..];
    assert_eq!(entry[..8], [56, 0, 1, 1, 2, 3, 2, 2]);
    let numbers = [8, 16, 24, 32, 40].map(|at| get_u64(entry, at));
    assert_eq!(numbers, [u64::MAX - 1, u64::MAX, 7, 7, 99]);
    assert_eq!(&entry[48..], b"r1eu\0\0\0\0");
}

#[test]
fn no_flipped_bit_and_no_cut_is_taken() {
    let bytes = frame();
    for bit in 0..bytes.len() * 8 {
        let mut wrong = bytes.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            Frame::parse(&wrong).unwrap_err(),
            FrameError::Invalid,
            "bit {bit}"
        );
    }
    for len in 0..bytes.len() {
        assert!(Frame::parse(&bytes[..len]).is_err(), "cut to {len}");
    }
}

/// Right checksums around wrong fields.
#[test]
fn nonsense_is_named() {
    let entry = FRAME_HEAD;
    let cases: [(usize, u8, &str); 9] = [
        (12, 0, "kind"),
        (12, 4, "kind"),
        (72, 9, "number"),
        (entry, 64, "length"),
        (entry + 2, 3, "type"),
        (entry + 3, 4, "flag"),
        (entry + 4, 3, "origin"),
        (entry + 5, 4, "cause"),
        (entry + 48, 7, "id"),
    ];
    for (at, value, word) in cases {
        let mut bytes = frame();
        bytes[at] = value;
        let bytes = sealed(bytes);
        let error = Frame::parse(&bytes).and_then(|f| f.changes()).unwrap_err();
        match error {
            FrameError::Nonsense(what) => assert!(what.contains(word), "{at}: {what}"),
            other => panic!("{at} = {value}: {other:?}"),
        }
    }
    for (at, value) in [(13, 2), (13, 0), (14, 1)] {
        let mut bytes = frame();
        bytes[at] = value;
        let bytes = sealed(bytes);
        assert!(matches!(Frame::parse(&bytes), Err(FrameError::Newer(_))));
    }
    // A length that is no frame's, or that the bytes are too short for.
    for len in [0, 79, 81, FRAME_MAX as u32 + 8, u32::MAX] {
        let mut bytes = frame();
        put_u32(&mut bytes, 8, len);
        assert_eq!(
            Frame::parse(&sealed(bytes)).unwrap_err(),
            FrameError::Invalid
        );
    }
}

#[test]
fn names_have_bounds() {
    for good in ["a", "ä", "a b", "\u{1F980}", &"x".repeat(255)] {
        assert_eq!(name_fault(good), None, "{good}");
    }
    for bad in ["", "a\0", "\n", "a\u{7f}", "\u{85}", &"x".repeat(256)] {
        assert!(name_fault(bad).is_some(), "{bad:?}");
    }
}

/// As a base has them: what they were, and what becomes of each with it.
#[test]
fn the_most_slots_fit_one_frame_twice() {
    let entry = (ENTRY_HEAD + 2 * NAME_MAX).next_multiple_of(8);
    const { assert!(NAME_MAX <= u8::MAX as usize) };
    assert!(FRAME_HEAD + 2 * SLOTS_MAX * entry <= FRAME_MAX);
}
