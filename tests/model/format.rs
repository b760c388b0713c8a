//! Items and groups: what is encoded is decoded.

use epochwal::batch::BatchHead;
use epochwal::format::group::{
    self, BLOCK, Certificate, CertificateFlags, GROUP_HEADER, GroupHeader, GroupKind, LaneCounts,
    Summary,
};
use epochwal::format::item::{self, ItemHead, ItemKind, Plan};
use epochwal::format::state::{State, StateError};
use epochwal::{Frame, FrameSource};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
struct Item {
    lane: u16,
    seq: u64,
    /// None: its writer failed.
    batch: Option<Content>,
}

#[derive(Clone, Debug)]
struct Content {
    txn_id: u64,
    txn_epoch: u32,
    metadata: Vec<u8>,
    frames: Vec<(u32, u32, Vec<u8>)>,
}

fn frame() -> impl Strategy<Value = (u32, u32, Vec<u8>)> {
    let small = vec(any::<u8>(), 1..200);
    let large = (any::<u8>(), 1..=65_536_usize).prop_map(|(byte, len)| vec![byte; len]);
    let data = prop_oneof![6 => small, 1 => large];
    (1..=u32::MAX, prop_oneof![Just(0), any::<u32>()], data)
}

/// Numbers that are often equal: then what comes after them decides an order.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![5 => 1..4_u64, 1 => 1..=u64::MAX]
}

fn content() -> impl Strategy<Value = Content> {
    let frames = vec(frame(), 1..5);
    (number(), any::<u32>(), vec(any::<u8>(), 0..70), frames).prop_map(
        |(txn_id, txn_epoch, metadata, frames)| Content {
            txn_id,
            txn_epoch,
            metadata,
            frames,
        },
    )
}

fn item() -> impl Strategy<Value = Item> {
    let lane = prop_oneof![0..4_u16, any::<u16>()];
    let seq = prop_oneof![9 => number(), 1 => Just(0)];
    (lane, seq, proptest::option::weighted(0.9, content())).prop_map(|(lane, seq, batch)| Item {
        lane,
        seq,
        batch,
    })
}

fn frames(content: &Content) -> Vec<Frame<'_>> {
    let frames = content.frames.iter();
    frames
        .map(|(page_number, db_size_if_commit, data)| Frame {
            page_number: *page_number,
            db_size_if_commit: *db_size_if_commit,
            data,
        })
        .collect()
}

fn encode(items: &[Item]) -> Vec<u8> {
    let mut payload = Vec::new();
    for item in items {
        let at = payload.len();
        let Some(content) = &item.batch else {
            payload.resize(at + 64, 0xee);
            item::encode_void(&mut payload[at..], item.lane, item.seq);
            continue;
        };
        let frames = frames(content);
        let head = BatchHead {
            txn_id: content.txn_id,
            txn_epoch: content.txn_epoch,
            commit_seq: item.seq,
            metadata: &content.metadata,
        };
        let plan = Plan::of(&head, &frames[..], u64::MAX).unwrap();
        payload.resize(at + plan.len, 0xee);
        let out = &mut payload[at..];
        assert!(item::encode(
            out,
            &plan,
            item.lane,
            item.seq,
            &head,
            &frames[..]
        ));
    }
    payload
}

fn assert_item(item: &Item, head: &ItemHead, bytes: &[u8]) {
    assert_eq!((head.lane, head.commit_seq), (item.lane, item.seq));
    let Some(content) = &item.batch else {
        assert_eq!(head.kind, ItemKind::Void);
        return;
    };
    assert_eq!(head.kind, ItemKind::Pages);
    assert_eq!(
        (head.txn_id, head.txn_epoch),
        (content.txn_id, content.txn_epoch)
    );
    let (metadata, found) = head.body(bytes).unwrap();
    assert_eq!(metadata, content.metadata);
    assert_eq!(found, frames(content));
}

/// What the certificate must say, counted without the library.
fn assert_summary(items: &[Item], summary: &Summary) {
    let batches = || {
        items
            .iter()
            .filter_map(|i| Some((i.seq, i.batch.as_ref()?)))
    };
    let mut lanes = BTreeMap::new();
    for item in items {
        *lanes.entry(u32::from(item.lane)).or_insert(0_u32) += 1;
    }
    let seqs = || items.iter().map(|i| i.seq).filter(|seq| *seq != 0);
    let pages: usize = batches().map(|(_, c)| c.frames.len()).sum();
    assert_eq!(summary.items as usize, items.len());
    assert_eq!(summary.pages, pages as u64);
    assert_eq!(summary.seq_low, seqs().min().unwrap_or(0));
    assert_eq!(summary.seq_high, seqs().max().unwrap_or(0));
    assert_eq!(summary.lanes, lanes.into_iter().collect::<Vec<_>>());
    let mut replay: Vec<_> = batches().collect();
    replay.sort_by_key(|(seq, content)| (*seq, content.txn_id, content.frames[0].0));
    let sizes = replay.iter().flat_map(|(_, content)| &content.frames);
    let last = sizes.map(|frame| frame.1).rfind(|size| *size != 0);
    assert_eq!(summary.db_size, last.unwrap_or(0));
}

fn header(epochs: (u64, u64), items: u32, payload_len: usize, lanes: usize) -> GroupHeader {
    let length = group::group_len(payload_len as u64, lanes);
    GroupHeader {
        epoch: epochs.0,
        items,
        kind: GroupKind::Pages,
        link: 0x1234_5678,
        log_id: *b"a log's identity",
        generation: 3,
        segment_epoch: epochs.1,
        segment_size: 8 * BLOCK + length,
        position: 2 * BLOCK,
        length,
        payload_len: payload_len as u64,
        watermark: epochs.1,
        previous_epoch: epochs.1,
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_group_gives_back_its_items(
        items in vec(item(), 1..12),
        epochs in any::<(u64, u64)>(),
        (fallback, assigned) in any::<(bool, bool)>(),
        flip in any::<prop::sample::Index>(),
    ) {
        let payload = encode(&items);
        let mut lanes = LaneCounts::default();
        let mut at = 0;
        let summary = Summary::walk(&payload, true, &mut lanes, |offset, head| {
            assert_eq!(offset, at);
            let item = &items[items_before(&payload, offset)];
            assert_item(item, head, &payload[offset..offset + head.len]);
            at += head.len;
            Ok(())
        }).unwrap();
        assert_summary(&items, &summary);
        let header = header(epochs, summary.items, payload.len(), summary.lanes.len());
        let mut bytes = vec![0xee; header.length as usize];
        bytes[GROUP_HEADER..GROUP_HEADER + payload.len()].copy_from_slice(&payload);
        let flags = CertificateFlags { fallback, assigned };
        let crc = group::seal(&mut bytes, &header, &summary, flags, 65_536);
        let (found, certificate) = open(&bytes).unwrap();
        prop_assert_eq!(found, header);
        prop_assert_eq!(certificate.flags, flags);
        prop_assert_eq!(certificate.crc, crc);
        // Every byte is under a checksum.
        bytes[flip.index(header.length as usize)] ^= 1;
        prop_assert!(open(&bytes).is_err());
    }

    /// What a caller changes while it is copied must not make a group that no
    /// reader takes: others' batches are in it.
    #[test]
    fn a_source_that_changes_its_mind_gives_no_item(
        content in content(),
        mut other in content(),
        (size, page) in any::<(u32, u32)>(),
        how in 0..3,
    ) {
        let planned = frames(&content);
        if how > 0 {
            // The same lengths, so that nothing but the fields tells.
            other = content.clone();
            let frame = other.frames.last_mut().unwrap();
            match how {
                1 => frame.1 = size,
                2 => frame.0 = page % 3,
                _ => {}
            }
        }
        let found = frames(&other);
        let head = BatchHead { txn_id: 1, ..BatchHead::default() };
        let plan = Plan::of(&head, &planned[..], u64::MAX).unwrap();
        let mut out = vec![0xee; plan.len];
        let source = Fickle { count: plan.frames as usize, found: &found };
        if item::encode(&mut out, &plan, 0, 1, &head, &source) {
            let head = ItemHead::parse(&out).unwrap();
            prop_assert!(head.verify(&out));
            prop_assert_eq!(head.check_body(GroupKind::Pages, &out), Ok(()));
        }
    }

    #[test]
    fn the_state_comes_back(
        numbers in any::<[u64; 8]>(),
        floor in any::<Option<u64>>(),
        (log_id, database_id) in any::<([u8; 16], [u8; 16])>(),
        (records, clean) in any::<(bool, bool)>(),
        flip in 0..4096_usize,
    ) {
        let state = State {
            update: numbers[0] >> 1,
            next_epoch: numbers[1],
            retired_epoch: numbers[2],
            retired_generation: numbers[3] >> 1,
            newest_generation: numbers[4] >> 1,
            newest_epoch: numbers[5],
            highest_seq: numbers[6],
            watermark: numbers[7],
            kind: if records { GroupKind::Records } else { GroupKind::Pages },
            floor,
            clean,
            ..State::new(GroupKind::Pages, log_id, database_id)
        };
        let mut bytes = state.encode();
        prop_assert_eq!(State::parse(&bytes), Ok(state));
        bytes[flip] ^= 1;
        prop_assert_eq!(State::parse(&bytes), Err(StateError::Damaged));
    }
}

/// One frame that is longer than any may be, and another as much shorter.
#[test]
fn a_source_that_gives_too_long_a_frame_gives_no_item() {
    let data = vec![1; 70_000];
    let frame = |len| Frame {
        page_number: 1,
        db_size_if_commit: 0,
        data: &data[..len],
    };
    let head = BatchHead {
        txn_id: 1,
        ..BatchHead::default()
    };
    let plan = Plan::of(&head, &[frame(65_536), frame(100)][..], u64::MAX).unwrap();
    let found = [frame(65_537), frame(99)];
    let source = Fickle {
        count: 2,
        found: &found,
    };
    let mut out = vec![0xee; plan.len];
    assert!(!item::encode(&mut out, &plan, 0, 1, &head, &source));
}

/// How many items stand before `offset`, by their lengths alone.
fn items_before(payload: &[u8], offset: usize) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < offset {
        at += u32::from_le_bytes(payload[at + 4..at + 8].try_into().unwrap()) as usize;
        count += 1;
    }
    count
}

fn open(bytes: &[u8]) -> Result<(GroupHeader, Certificate), String> {
    let (header, crc) = GroupHeader::parse(bytes).map_err(|e| format!("{e:?}"))?;
    let end = GROUP_HEADER + header.payload_len as usize;
    let certificate = Certificate::parse(&bytes[end..], &header, crc)?;
    let mut lanes = LaneCounts::default();
    let items = &bytes[GROUP_HEADER..end];
    let counted = Summary::walk(items, true, &mut lanes, |_, _| Ok(()))
        .map_err(|(at, why)| format!("{why} at {at}"))?;
    certificate.agrees_with(&counted)?;
    Ok((header, certificate))
}

/// Promises one number of frames and gives others.
struct Fickle<'a> {
    count: usize,
    found: &'a [Frame<'a>],
}

impl FrameSource for Fickle<'_> {
    fn count(&self) -> usize {
        self.count
    }

    fn frame(&self, index: usize) -> Frame<'_> {
        self.found[index % self.found.len()]
    }
}
