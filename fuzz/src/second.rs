//! A second decoder of groups, state copies and version 1 segments, written
//! from `docs/format.md` alone and as plainly as can be: no speed, no reuse.
//! It shares nothing with the library but the checksum.

use super::fix::{u32_at, u64_at};
use crc32c::crc32c;
use std::collections::BTreeMap;

/// A batch as it stands in a group or a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub txn_id: u64,
    pub txn_epoch: u32,
    pub commit_seq: u64,
    pub metadata: Vec<u8>,
    /// Page number, `db_size_if_commit`, data.
    pub frames: Vec<(u32, u32, Vec<u8>)>,
}

/// A logical record as it stands in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logical {
    pub term: u64,
    pub lsn: u64,
    pub timestamp: u64,
    pub payload: Vec<u8>,
}

/// What is in a group: batches in replay order, or records in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub batches: Vec<Batch>,
    pub records: Vec<Logical>,
}

/// Where batches of equal keys keep their order.
pub fn replay(batches: &mut [Batch]) {
    batches.sort_by_key(|b| (b.commit_seq, b.txn_id, b.frames[0].0));
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn prelude(bytes: &[u8], version: u16) -> Option<(u64, u32)> {
    let right = bytes.len() >= 24
        && u32_at(bytes, 0) == 0x5057_414C
        && u16_at(bytes, 4) == version
        && u16_at(bytes, 6) == 0
        && u32_at(bytes, 20) == crc32c(&bytes[..20]);
    right.then(|| (u64_at(bytes, 8), u32_at(bytes, 16)))
}

/// An item: what the certificate counts, and what it holds where it is no void.
struct Item {
    crc: u32,
    lane: u32,
    seq: u64,
    db_size: u32,
    batch: Option<Batch>,
    record: Option<Logical>,
}

/// What is in the group in front; none where it is not whole and right in
/// itself.
pub fn group(bytes: &[u8]) -> Option<Contents> {
    let (epoch, count) = prelude(bytes, 2)?;
    if bytes.len() < 128 || u32_at(bytes, 124) != crc32c(&bytes[..124]) {
        return None;
    }
    let (kind, size) = (bytes[24], u64_at(bytes, 64));
    let (position, length, payload) = (u64_at(bytes, 72), u64_at(bytes, 80), u64_at(bytes, 88));
    let blocks = length != 0 && length.is_multiple_of(4096) && position.is_multiple_of(4096);
    let inside = position.checked_add(length)? <= size && length <= bytes.len() as u64;
    let room = payload.is_multiple_of(8) && payload.checked_add(128 + 96)? <= length;
    let items_fit = match kind {
        1 | 2 => count > 0,
        3 => count == 0 && payload == 0 && length == 4096,
        _ => false,
    };
    if !(blocks && inside && room && items_fit) {
        return None;
    }
    let bytes = &bytes[..length as usize];
    let (body, trailer) = bytes[128..].split_at(payload as usize);
    let items = items(body, kind)?;
    let certificate = &trailer[trailer.len() - 96..];
    let header = [epoch, u64_at(bytes, 56), u64::from(count), payload];
    let told = [
        u64_at(certificate, 8),
        u64_at(certificate, 32),
        u64::from(u32_at(certificate, 48)),
        u64_at(certificate, 64),
    ];
    let right = header == told
        && items.len() == count as usize
        && u32_at(certificate, 76) == u32_at(bytes, 124)
        && (kind != 2 || certificate[6] & 2 == 0)
        && certificate_agrees(trailer, certificate, &items);
    if !right {
        return None;
    }
    let mut contents = Contents::default();
    for item in items {
        contents.batches.extend(item.batch);
        contents.records.extend(item.record);
    }
    replay(&mut contents.batches);
    let mut pairs = contents.records.windows(2);
    pairs
        .all(|pair| pair[0].lsn < pair[1].lsn && pair[0].term <= pair[1].term)
        .then_some(contents)
}

fn items(mut body: &[u8], kind: u8) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    while !body.is_empty() {
        if body.len() < 48 {
            return None;
        }
        let len = u32_at(body, 4) as usize;
        if len < 48 || !len.is_multiple_of(8) || len > body.len() {
            return None;
        }
        items.push(item(&body[..len], kind)?);
        body = &body[len..];
    }
    Some(items)
}

fn item(bytes: &[u8], kind: u8) -> Option<Item> {
    if u32_at(bytes, 0) != crc32c(&bytes[4..]) {
        return None;
    }
    let mut item = Item {
        crc: u32_at(bytes, 0),
        lane: u32::from(u16_at(bytes, 10)),
        seq: u64_at(bytes, 24),
        db_size: 0,
        batch: None,
        record: None,
    };
    match bytes[8] {
        0 if kind == 2 && item.seq != 0 => return None,
        0 => return Some(item),
        2 if kind == 2 => {
            item.record = Some(logical(bytes)?);
            return Some(item);
        }
        1 if kind == 1 => {}
        _ => return None,
    }
    let (count, metadata) = (u32_at(bytes, 32), u32_at(bytes, 36) as usize);
    let txn_id = u64_at(bytes, 16);
    if txn_id == 0 || count == 0 || metadata > 65_536 || metadata > bytes.len() - 48 {
        return None;
    }
    let mut at = 48 + metadata;
    let mut frames = Vec::new();
    for _ in 0..count {
        if bytes.len() - at < 12 {
            return None;
        }
        let (page, size, len) = (
            u32_at(bytes, at),
            u32_at(bytes, at + 4),
            u32_at(bytes, at + 8),
        );
        at += 12;
        if page == 0 || !(1..=65_536).contains(&len) || len as usize > bytes.len() - at {
            return None;
        }
        frames.push((page, size, bytes[at..at + len as usize].to_vec()));
        at += len as usize;
        if size != 0 {
            item.db_size = size;
        }
    }
    let padding = &bytes[at..];
    if padding.len() > 7 || padding.iter().any(|b| *b != 0) || item.db_size != u32_at(bytes, 40) {
        return None;
    }
    item.batch = Some(Batch {
        txn_id,
        txn_epoch: u32_at(bytes, 12),
        commit_seq: item.seq,
        metadata: bytes[48..48 + metadata].to_vec(),
        frames,
    });
    Some(item)
}

fn logical(bytes: &[u8]) -> Option<Logical> {
    let (lsn, len) = (u64_at(bytes, 24), u32_at(bytes, 36) as usize);
    if lsn == 0 || lsn == u64::MAX || len > 256 << 20 || len > bytes.len() - 48 {
        return None;
    }
    let padding = &bytes[48 + len..];
    (padding.len() < 8 && padding.iter().all(|b| *b == 0)).then(|| Logical {
        term: u64_at(bytes, 16),
        lsn,
        timestamp: u64_at(bytes, 40),
        payload: bytes[48..48 + len].to_vec(),
    })
}

fn certificate_agrees(trailer: &[u8], certificate: &[u8], items: &[Item]) -> bool {
    let mut lanes: BTreeMap<u32, u32> = BTreeMap::new();
    for item in items {
        *lanes.entry(item.lane).or_default() += 1;
    }
    let seqs = || items.iter().map(|i| i.seq).filter(|seq| *seq != 0);
    let mut batches: Vec<&Item> = items.iter().filter(|i| i.batch.is_some()).collect();
    let pages: usize = batches
        .iter()
        .map(|i| i.batch.as_ref().unwrap().frames.len())
        .sum();
    batches.sort_by_key(|i| {
        let batch = i.batch.as_ref().unwrap();
        (i.seq, batch.txn_id, batch.frames[0].0)
    });
    let size = batches.iter().map(|i| i.db_size).rfind(|size| *size != 0);
    let crcs: Vec<u8> = items.iter().flat_map(|i| i.crc.to_le_bytes()).collect();
    let front = &trailer[..trailer.len() - 96];
    let entries = u32_at(certificate, 56) as usize;
    if entries > front.len() / 8 {
        return false;
    }
    let (zeros, table) = front.split_at(front.len() - 8 * entries);
    let table = table.chunks(8).map(|e| (u32_at(e, 0), u32_at(e, 4)));
    let end = trailer.len() - 4;
    u32_at(trailer, end) == crc32c(&trailer[..end])
        && u32_at(certificate, 0) == 0x5452_4543
        && u16_at(certificate, 4) == 1
        && u16_at(certificate, 6) <= 3
        && u64_at(certificate, 16) == seqs().min().unwrap_or(0)
        && u64_at(certificate, 24) == seqs().max().unwrap_or(0)
        && u64_at(certificate, 40) == pages as u64
        && lanes.keys().all(|lane| *lane < u32_at(certificate, 52))
        && u32_at(certificate, 60) == size.unwrap_or(0)
        && u32_at(certificate, 72) == crc32c(&crcs)
        && zeros.iter().all(|b| *b == 0)
        && table.eq(lanes)
}

/// The numbers of a valid copy of the state, as they stand from byte 16 on,
/// without the identities; the floor only where it is set, and of a log of
/// records its own numbers and its terms. None for a copy that does not count,
/// or of a newer format.
pub fn state(copy: &[u8]) -> Option<Vec<u64>> {
    let whole = copy.len() >= 4096
        && copy.starts_with(b"EWALSTAT")
        && u32_at(copy, 4092) == crc32c(&copy[..4092]);
    if !whole || u32_at(copy, 8) != 2 || u32_at(copy, 12) > 3 || !(1..=2).contains(&copy[120]) {
        return None;
    }
    let flags = u64::from(u32_at(copy, 12));
    let mut numbers = vec![flags, u64_at(copy, 16), u64::from(copy[120])];
    numbers.extend((56..120).step_by(8).map(|at| u64_at(copy, at)));
    if flags & 1 == 0 {
        numbers[4] = 0;
    }
    let counts = [numbers[1], numbers[6], numbers[7]];
    if copy[120] == 2 {
        let count = u32_at(copy, 144) as usize;
        if count > 240 {
            return None;
        }
        let term = |n: usize| (u64_at(copy, 152 + 16 * n), u64_at(copy, 160 + 16 * n));
        let terms: Vec<(u64, u64)> = (0..count).map(term).collect();
        let mut pairs = terms.windows(2);
        let rising = pairs.all(|p| p[0].0 < p[1].0 && p[0].1 < p[1].1);
        if !rising || terms.iter().any(|t| t.1 == 0 || t.1 == u64::MAX) {
            return None;
        }
        numbers.extend([u64_at(copy, 128), u64_at(copy, 136)]);
        numbers.extend(terms.into_iter().flat_map(|(term, first)| [term, first]));
    }
    counts.iter().all(|n| n >> 63 == 0).then_some(numbers)
}

/// The batches of a version 1 segment in replay order; none where it does not
/// parse. The epoch is the header's.
pub fn version_one(bytes: &[u8]) -> Option<(u64, Vec<Batch>)> {
    let (epoch, count) = prelude(bytes, 1)?;
    let mut rest = &bytes[24..];
    let mut records = Vec::new();
    for _ in 0..count {
        if rest.len() < 4 {
            return None;
        }
        let len = u32_at(rest, 0) as usize;
        if len > rest.len() - 4 {
            return None;
        }
        records.extend(record(&rest[4..4 + len], epoch)?);
        rest = &rest[4 + len..];
    }
    if !rest.is_empty() {
        return None;
    }
    records.sort_by_key(|r| (r.commit_seq, r.txn_id, r.frames[0].0));
    let mut batches: Vec<Batch> = Vec::new();
    for record in records {
        let token = |b: &Batch| (b.txn_id, b.txn_epoch, b.commit_seq);
        match batches.iter_mut().find(|b| token(b) == token(&record)) {
            Some(batch) => batch.frames.extend(record.frames),
            None => batches.push(record),
        }
    }
    Some((epoch, batches))
}

/// A record as a batch of one frame; the inner option is none for one that
/// was aborted or changes no page.
fn record(bytes: &[u8], epoch: u64) -> Option<Option<Batch>> {
    if bytes.len() < 33 {
        return None;
    }
    let (txn_id, page) = (u64_at(bytes, 0), u32_at(bytes, 20));
    if txn_id == 0 || u64_at(bytes, 12) != epoch || page == 0 || bytes[32] > 1 {
        return None;
    }
    let committed = bytes[32] == 1;
    let mut rest = bytes.get(33 + if committed { 8 } else { 0 }..)?;
    let mut images = Vec::new();
    for _ in 0..2 {
        if rest.len() < 4 {
            return None;
        }
        let len = u32_at(rest, 0) as usize;
        if len > 65_536 || len > rest.len() - 4 {
            return None;
        }
        images.push(rest[4..4 + len].to_vec());
        rest = &rest[4 + len..];
    }
    if !rest.is_empty() {
        return None;
    }
    let after = images.pop()?;
    Some((committed && !after.is_empty()).then(|| Batch {
        txn_id,
        txn_epoch: u32_at(bytes, 8),
        commit_seq: u64_at(bytes, 24),
        metadata: Vec::new(),
        frames: vec![(page, 0, after)],
    }))
}
