//! The rules of `docs/format.md`, as plainly as can be: every byte is looked
//! at as the start of a record, and every checksum is summed bit by bit.

use super::common::{Got, lsns, scan_bytes, slow_crc32, word};
use epochwal::format::rdlw::Layout;
use epochwal::spool::rdlw::{Report, Verdict};
use epochwal::storage::sim::SimRng;

const LIMIT: u64 = 256 << 20;

/// What a scan without salvage must say.
pub struct Expected {
    pub records: Vec<Got>,
    pub verdict: &'static str,
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// The record at `at` as this layout has it, whatever its first five bytes;
/// the length it claims where it has no room, or too much.
fn fields(bytes: &[u8], at: usize, layout: Layout) -> Result<(Got, usize), Option<u64>> {
    let rest = &bytes[at..];
    let (lsn, time, len, head) = match layout {
        Layout::One => (5, 0, 13, 21),
        Layout::Two => (5, 13, 21, 25),
        Layout::Three33 => (13, 21, 29, 33),
        Layout::Three41 => (21, 29, 37, 41),
    };
    if rest.len() < head {
        return Err(None);
    }
    let claimed = number(&rest[len..head]);
    let trailer = if layout == Layout::One { 0 } else { 4 };
    if claimed > LIMIT || (rest.len() - head) as u64 != claimed.max((rest.len() - head) as u64) {
        return Err(Some(claimed));
    }
    let end = head + claimed as usize;
    if rest.len() < end + trailer {
        return Err(Some(claimed));
    }
    let got = Got {
        layout,
        offset: at as u64,
        term: match layout.version() {
            3 => number(&rest[5..13]),
            _ => 1,
        },
        lsn: number(&rest[lsn..lsn + 8]),
        timestamp: match time {
            0 => 0,
            at => number(&rest[at..at + 8]),
        },
        payload: rest[head..end].to_vec(),
    };
    Ok((got, at + end + trailer))
}

fn sum_is_right(bytes: &[u8], at: usize, end: usize, version: u8) -> bool {
    let summed = [&[version], &bytes[at + 5..end - 4]].concat();
    number(&bytes[end - 4..end]) == u64::from(slow_crc32(&summed))
}

/// Whether the file ends at `at`, or its bytes there could begin a record.
fn begins(bytes: &[u8], at: usize) -> bool {
    let front = &bytes[at..bytes.len().min(at + 5)];
    let magic = front.len().min(4);
    front[..magic] == b"RDLW"[..magic] && (front.len() < 5 || (1..=3).contains(&front[4]))
}

/// Whether only the first five bytes of the record at `at` are damaged.
fn only_the_prefix_is_damaged(bytes: &[u8], at: usize, last: u64) -> bool {
    let magic = bytes[at..].starts_with(b"RDLW");
    let version = bytes.get(at + 4).copied().unwrap_or(0);
    Layout::ALL.into_iter().any(|layout| {
        let as_said = version == layout.version();
        if magic && as_said {
            return false;
        }
        match fields(bytes, at, layout) {
            Err(_) => false,
            Ok((got, end)) if layout == Layout::One => {
                (magic || as_said) && got.lsn > last && begins(bytes, end)
            }
            Ok((_, end)) => sum_is_right(bytes, at, end, layout.version()),
        }
    })
}

/// The sound record at `at`.
fn record(bytes: &[u8], at: usize, last: u64) -> Option<(Got, usize)> {
    if !bytes[at..].starts_with(b"RDLW") {
        return None;
    }
    let version = *bytes.get(at + 4)?;
    let layouts = Layout::ALL.into_iter().filter(|l| l.version() == version);
    layouts
        .filter_map(|layout| fields(bytes, at, layout).ok())
        .find(|(got, end)| match got.layout {
            Layout::One => begins(bytes, *end) || !only_the_prefix_is_damaged(bytes, at, last),
            _ => sum_is_right(bytes, at, *end, version),
        })
}

/// Whether what is at `at`, which is no sound record, is nothing a crash
/// leaves.
fn is_no_crash(bytes: &[u8], at: usize, last: u64) -> bool {
    if only_the_prefix_is_damaged(bytes, at, last) {
        return false;
    }
    let rest = &bytes[at..];
    if !rest.starts_with(&b"RDLW"[..rest.len().min(4)]) {
        return at == 0 && rest.len() >= 4 && rest[..4] != [0; 4];
    }
    let Some(version) = rest.get(4) else {
        return false;
    };
    let layouts = Layout::ALL.into_iter().filter(|l| l.version() == *version);
    let mut claims = layouts.map(|l| fields(bytes, at, l)).peekable();
    match claims.peek() {
        None => *version > 3,
        Some(_) => claims.all(|c| matches!(c, Err(Some(len)) if len > LIMIT)),
    }
}

pub fn judge(bytes: &[u8]) -> Expected {
    let mut records: Vec<Got> = Vec::new();
    let (mut at, mut last, mut term) = (0, 0, 0);
    let verdict = loop {
        if at == bytes.len() {
            break "clean";
        }
        let Some((got, end)) = record(bytes, at, last) else {
            let above = |place| {
                let found = record(bytes, place, last);
                found.is_some_and(|(got, _)| got.lsn > last && got.lsn != u64::MAX)
            };
            let any = (at + 1..bytes.len()).any(above);
            break match any || is_no_crash(bytes, at, last) {
                true => "corrupt",
                false => "torn",
            };
        };
        if got.lsn <= last || got.lsn == u64::MAX || got.term < term {
            break "corrupt";
        }
        (at, last, term) = (end, got.lsn, got.term);
        records.push(got);
    };
    Expected { records, verdict }
}

/// Scans both ways and holds the results against the rules and each other.
pub fn check(bytes: &[u8], what: &dyn Fn() -> String) -> (Vec<Got>, Report) {
    let expected = judge(bytes);
    let (got, report) = scan_bytes(bytes, false);
    assert_eq!(word(&report.verdict), expected.verdict, "{}", what());
    assert_eq!(got, expected.records, "{}", what());
    let (saved, salvage) = scan_bytes(bytes, true);
    let front = &saved[..got.len()];
    assert_eq!(front, got, "{}", what());
    assert_eq!(word(&salvage.verdict), expected.verdict, "{}", what());
    for pair in saved.windows(2) {
        let in_order = pair[0].lsn < pair[1].lsn && pair[0].term <= pair[1].term;
        assert!(in_order, "{}", what());
    }
    // What is not given is told of: every byte is one or the other.
    let mut places: Vec<(u64, u64)> = salvage.skipped.iter().map(|s| (s.offset, s.len)).collect();
    places.extend(saved.iter().map(|r| {
        let len = r.layout.header_len() + r.payload.len() + r.layout.trailer_len();
        (r.offset, len as u64)
    }));
    places.sort_unstable();
    let end = places.iter().fold(0, |end, (offset, len)| {
        assert_eq!(*offset, end, "{}", what());
        end + len
    });
    assert_eq!(end, bytes.len() as u64, "{}", what());
    let skipped: u64 = salvage.skipped.iter().map(|s| s.len).sum();
    assert_eq!(skipped, salvage.skipped_bytes, "{}", what());
    if let Verdict::Corrupt { offset, beyond, .. } = &report.verdict {
        assert_eq!(*offset, report.end, "{}", what());
        let rest = lsns(&saved[got.len()..]);
        // Where nothing is left to go on with, copies in a payload are named.
        assert!(beyond.lsns == rest || rest.is_empty(), "{}", what());
        assert_eq!(beyond.count, beyond.lsns.len() as u64, "{}", what());
    }
    (got, report)
}

/// A few records of random layouts, in order unless it happens otherwise.
fn any_file(rng: &mut SimRng) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut lsn, mut term) = (rng.below(3), 1);
    for _ in 0..1 + rng.below(5) {
        lsn = match rng.below(20) {
            0 => lsn.saturating_sub(1),
            1 => lsn,
            _ => lsn + 1 + rng.below(3),
        };
        term += rng.below(8) / 7;
        let layout = Layout::ALL[rng.below(4) as usize];
        let len = [0, 1, 7, 40, 1100][rng.below(5) as usize];
        let mut payload = vec![rng.below(256) as u8; len];
        if rng.chance(1, 6) {
            let copy = super::common::encode(layout, term, lsn + rng.below(5), 9, b"copy");
            payload.extend(copy);
        }
        let time = 1_700_000_000_000 + rng.below(1 << 33);
        bytes.extend(super::common::encode(layout, term, lsn, time, &payload));
    }
    bytes
}

/// One random damage.
fn spoil(rng: &mut SimRng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.below(bytes.len() as u64) as usize;
    let len = 1 + rng.below(60) as usize;
    let end = bytes.len().min(at + len);
    match rng.below(7) {
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes[at..end].fill(0),
        2 => bytes[at..end].fill_with(|| rng.next_u64() as u8),
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(at..end)),
        5 => {
            let piece = bytes[at..end].to_vec();
            let to = rng.below(bytes.len() as u64 + 1) as usize;
            bytes.splice(to..to, piece);
        }
        _ => {
            let piece = b"RDLW\x03RDLW\x01"[..1 + rng.below(10) as usize].to_vec();
            bytes.splice(at..at, piece);
        }
    }
}

/// Random files with random damage, by the rules. `EPOCHWAL_RDLW_SEED` and
/// `EPOCHWAL_RDLW_ROUNDS` say which and how many.
#[test]
fn random_damage_gets_the_verdict_of_the_rules() {
    let number = |name, default| std::env::var(name).map_or(default, |v| v.parse().unwrap());
    let first: u64 = number("EPOCHWAL_RDLW_SEED", 1);
    let rounds: u64 = number("EPOCHWAL_RDLW_ROUNDS", 4000);
    let mut verdicts = std::collections::BTreeMap::new();
    for seed in first..first + rounds {
        let mut rng = SimRng::new(seed);
        let mut bytes = any_file(&mut rng);
        for _ in 0..rng.below(4) {
            spoil(&mut rng, &mut bytes);
        }
        let (_, report) = check(&bytes, &|| format!("EPOCHWAL_RDLW_SEED={seed}"));
        *verdicts.entry(word(&report.verdict)).or_insert(0) += 1;
    }
    assert_eq!(verdicts.len(), 3, "{verdicts:?}");
    assert!(verdicts.values().all(|n| *n > rounds / 50), "{verdicts:?}");
}
