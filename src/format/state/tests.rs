use super::super::lost::LostRange;
use super::*;

fn sample() -> State {
    State {
        update: 0x0102_0304_0506_0708,
        log_id: *b"a log's identity",
        database_id: *b"its database's..",
        next_epoch: 0x11,
        floor: Some(0x12),
        retired_epoch: 0x13,
        retired_generation: 0x14,
        newest_generation: 0x15,
        newest_epoch: 0x16,
        highest_seq: 0x17,
        // Of a log in a single file: the floor.
        watermark: 0x12,
        kind: GroupKind::Records,
        clean: true,
        records: RecordsState {
            slots: true,
            single_file: Some(0x23),
            pruned_through: 0x21,
            quorum_lsn: 0x22,
            terms: terms(2),
            lost: lost(),
        },
    }
}

fn lost() -> Lost {
    let mut lost = Lost::default();
    for (after, through) in [(0x31, 0x33), (0x35, 0x36)] {
        lost.add(LostRange { after, through });
    }
    lost
}

/// So many terms, each a hundred LSNs long.
fn terms(count: u64) -> Terms {
    let mut terms = Terms::default();
    for n in 1..=count {
        terms.push(n, 100 * n, 0).unwrap();
    }
    terms
}

fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&bytes[..4092]);
    put_u32(&mut bytes, 4092, crc);
    bytes
}

/// The sample with a patch, its checksum made right again.
fn patched(at: usize, patch: &[u8]) -> Result<State, StateError> {
    let mut bytes = sample().encode().into_vec();
    bytes[at..at + patch.len()].copy_from_slice(patch);
    State::parse(&with_crc(bytes))
}

#[test]
fn the_layout_is_that_of_the_document() {
    let mut expected = b"EWALSTAT\x02\0\0\0\x0f\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01".to_vec();
    expected.extend_from_slice(b"a log's identityits database's..");
    // A single file's last LSN stands where the watermark does.
    for number in (0x11..=0x17).chain([0x23_u64]) {
        expected.extend_from_slice(&number.to_le_bytes());
    }
    expected.push(2);
    expected.resize(128, 0);
    for number in [0x21, 0x22, 2, 1, 100, 2, 200_u64] {
        expected.extend_from_slice(&number.to_le_bytes());
    }
    expected.resize(3992, 0);
    for number in [0x31, 0x33, 0x35, 0x36_u64] {
        expected.extend_from_slice(&number.to_le_bytes());
    }
    expected.resize(4096, 0);
    let expected = with_crc(expected);
    assert_eq!(&*sample().encode(), expected);
    assert_eq!(State::parse(&expected), Ok(sample()));
    assert_eq!((STATE_FILE, SCRATCH_OFFSET), (12_288, 8192));
}

#[test]
fn each_flag_means_one_thing() {
    for (floor, clean) in [
        (None, false),
        (Some(0), false),
        (None, true),
        (Some(7), true),
    ] {
        let state = State {
            floor,
            clean,
            kind: GroupKind::Pages,
            records: RecordsState::default(),
            ..sample()
        };
        assert_eq!(State::parse(&state.encode()), Ok(state));
    }
}

#[test]
fn what_is_newer_is_told_from_what_is_damaged() {
    assert_eq!(patched(8, &[3]), Err(StateError::Version(3)));
    assert_eq!(patched(12, &[16]), Err(StateError::Version(2)));
    assert_eq!(patched(15, &[1]), Err(StateError::Version(2)));
    assert_eq!(patched(0, b"e"), Err(StateError::Damaged));
    // A log of pages has no slots.
    assert_eq!(patched(120, &[1]), Err(StateError::Version(2)));
    for kind in [0, 3, 4] {
        assert!(patched(120, &[kind]).is_err());
    }
    let good = sample().encode();
    for at in [0, 8, 200, 4091, 4095] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x80;
        assert_eq!(State::parse(&bytes), Err(StateError::Damaged), "{at}");
    }
    // Lost ranges that no writer writes.
    assert_eq!(patched(3992, &[0x33]), Err(StateError::Damaged));
    assert_eq!(patched(4008, &[0x33]), Err(StateError::Damaged));
    for len in [0, 7, 8, 4095] {
        assert_eq!(
            State::parse(&good[..len]),
            Err(StateError::Damaged),
            "{len}"
        );
    }
    assert!(State::parse(&[&good[..], b"scratch"].concat()).is_ok());
}

#[test]
fn what_is_counted_on_stays_below_its_end() {
    let most = (u64::MAX >> 1).to_le_bytes();
    let more = (1_u64 << 63).to_le_bytes();
    for at in [16, 80, 88] {
        assert!(patched(at, &most).is_ok(), "{at}");
        assert_eq!(patched(at, &more), Err(StateError::Damaged), "{at}");
    }
}

#[test]
fn no_lsn_is_above_the_last_one() {
    let (most, more) = ((u64::MAX - 1).to_le_bytes(), u64::MAX.to_le_bytes());
    for at in [104, 128, 136] {
        assert!(patched(at, &most).is_ok(), "{at}");
        assert_eq!(patched(at, &more), Err(StateError::Damaged), "{at}");
    }
}

#[test]
fn a_new_log_has_no_past() {
    let state = State::new(GroupKind::Pages, [1; 16], [2; 16]);
    assert_eq!((state.update, state.next_epoch, state.floor), (0, 1, None));
    assert_eq!((state.log_id, state.database_id), ([1; 16], [2; 16]));
    assert_eq!((state.watermark, state.clean), (0, false));
}

#[test]
fn a_log_of_pages_has_nothing_of_records() {
    let state = State {
        kind: GroupKind::Pages,
        ..sample()
    };
    let bytes = state.encode();
    assert!(bytes[121..4092].iter().all(|b| *b == 0));
    // Reserved, so not looked at.
    let mut later = bytes.into_vec();
    later[121..4092].fill(0xff);
    let read = State::parse(&with_crc(later)).unwrap();
    assert_eq!(read.records, RecordsState::default());
}

#[test]
fn the_longest_history_of_terms_fits() {
    let mut state = sample();
    state.records.terms = terms(240);
    assert_eq!(State::parse(&state.encode()), Ok(state));
    // One more than fits, and one that falls.
    assert_eq!(patched(144, &[241]), Err(StateError::Damaged));
    assert_eq!(patched(144, &[3]), Err(StateError::Damaged));
    assert_eq!(patched(168, &[1]), Err(StateError::Damaged));
    assert_eq!(patched(176, &[100]), Err(StateError::Damaged));
    assert!(patched(176, &[101]).is_ok());
}
