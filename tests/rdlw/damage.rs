//! Damage of each kind, and the verdict that it must get.

use super::common::{Got, encode, lsns, scan_bytes, word};
use super::oracle::check;
use epochwal::ErrorKind;
use epochwal::format::rdlw::{Layout, Reason};
use epochwal::spool::rdlw::{Cause, Verdict};
use std::path::Path;

const TIME: u64 = 1_700_000_000_000;
use Layout::{One, Three33, Three41, Two};

/// Records 1.. of these layouts, and where each begins.
fn file(layouts: &[Layout]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut starts = Vec::new();
    for (i, layout) in layouts.iter().enumerate() {
        starts.push(bytes.len());
        let lsn = i as u64 + 1;
        let payload = vec![b'a' + i as u8; [5, 0, 24, 9, 13][i % 5]];
        bytes.extend(encode(*layout, 1, lsn, TIME + lsn, &payload));
    }
    starts.push(bytes.len());
    (bytes, starts)
}

fn plain(lsn: u64, payload: &[u8]) -> Vec<u8> {
    encode(Three33, 1, lsn, TIME, payload)
}

fn files() -> Vec<(Vec<u8>, Vec<usize>)> {
    [
        &[Two; 4][..],
        &[Three33; 4],
        &[Three41; 4],
        &[One; 4],
        &[One, Two, Three33, Three41, Three33, Two],
        &[Three33],
        &[Three41],
        &[Two],
        &[One],
    ]
    .map(file)
    .to_vec()
}

#[test]
fn layouts_may_be_mixed() {
    for (bytes, starts) in files() {
        let (got, report) = check(&bytes, &|| "whole".into());
        assert_eq!(report.verdict, Verdict::Clean);
        let offsets: Vec<usize> = got.iter().map(|r| r.offset as usize).collect();
        assert_eq!(offsets, starts[..starts.len() - 1]);
    }
}

#[test]
fn a_file_cut_at_any_length_is_clean_or_torn() {
    for (bytes, starts) in files() {
        for len in 0..bytes.len() {
            let (got, report) = check(&bytes[..len], &|| format!("cut to {len}"));
            let whole = starts.iter().filter(|start| **start <= len).count() - 1;
            assert_eq!(got.len(), whole, "cut to {len}");
            assert_eq!(report.end as usize, starts[whole], "cut to {len}");
            let expected = if starts.contains(&len) {
                "clean"
            } else {
                "torn"
            };
            assert_eq!(word(&report.verdict), expected, "cut to {len}");
            assert!(report.verdict.error(Path::new("x")).is_none());
        }
    }
}

/// Zeros, as a crash leaves where a size reached the disk and bytes did not.
#[test]
fn a_tail_of_zeros_is_torn() {
    let (bytes, starts) = file(&[Three33; 4]);
    for len in [0, 1, 4, 5, 33, 40] {
        for from in [0, starts[3]] {
            let mut bytes = bytes[..from + len].to_vec();
            bytes[from..].fill(0);
            let (_, report) = check(&bytes, &|| format!("{len} zeros"));
            let expected = if len == 0 { "clean" } else { "torn" };
            assert_eq!(word(&report.verdict), expected, "{len} zeros at {from}");
        }
    }
}

/// Where a checksum stands over it, one flipped bit costs one record: it is
/// corruption, or torn where it is in the last, and salvage has all others.
#[test]
fn every_bit_of_a_file() {
    for (good, starts) in files() {
        let all = scan_bytes(&good, false).0;
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (got, report) = check(&bytes, &|| format!("bit {bit} of {starts:?}"));
            let hit = starts.iter().filter(|start| **start <= bit / 8).count() - 1;
            assert_eq!(got[..hit], all[..hit], "bit {bit}");
            if all[hit].layout == One {
                continue;
            }
            assert_eq!(got.len(), hit, "bit {bit}");
            let last = hit + 1 == all.len();
            let too_long = matches!(
                report.verdict,
                Verdict::Corrupt {
                    cause: Cause::Damage(Reason::TooLong(_)),
                    ..
                }
            );
            let expected = if last && !too_long { "torn" } else { "corrupt" };
            assert_eq!(word(&report.verdict), expected, "bit {bit} of {starts:?}");
            let at = bit / 8 - starts[hit] + 4;
            let head = all[hit].layout.header_len();
            assert!(
                !last || !too_long || (head..head + 4).contains(&at),
                "bit {bit}"
            );
            let others: Vec<Got> = all
                .iter()
                .filter(|r| r.lsn != hit as u64 + 1)
                .cloned()
                .collect();
            assert_eq!(
                scan_bytes(&bytes, true).0,
                others,
                "bit {bit} of {starts:?}"
            );
        }
    }
}

#[test]
fn lsns_that_do_not_rise_are_corrupt_and_the_first_is_kept() {
    let rows: [(&[u64], usize, &[u64]); 8] = [
        (&[1, 2, 2, 3], 2, &[1, 2, 3]),
        (&[1, 2, 3, 2, 3, 4], 3, &[1, 2, 3, 4]),
        (&[5, 3, 4, 6], 1, &[5, 6]),
        (&[1, 2, 1], 2, &[1, 2]),
        (&[7, 7], 1, &[7]),
        (&[0], 0, &[]),
        (&[1, u64::MAX, 2], 1, &[1, 2]),
        (
            &[1 << 53, (1 << 53) + 1, u64::MAX - 1, u64::MAX],
            3,
            &[1 << 53, (1 << 53) + 1, u64::MAX - 1],
        ),
    ];
    for (given, sound, kept) in rows {
        for layout in Layout::ALL {
            let records = given
                .iter()
                .map(|lsn| encode(layout, 1, *lsn, TIME, b"payload"));
            let bytes = records.collect::<Vec<_>>().concat();
            let (got, report) = check(&bytes, &|| format!("{given:?} {layout:?}"));
            assert_eq!(got.len(), sound, "{given:?} {layout:?}");
            assert!(
                matches!(
                    report.verdict,
                    Verdict::Corrupt {
                        cause: Cause::Lsn { .. },
                        ..
                    }
                ),
                "{given:?} {layout:?}: {:?}",
                report.verdict
            );
            assert_eq!(
                lsns(&scan_bytes(&bytes, true).0),
                kept,
                "{given:?} {layout:?}"
            );
        }
    }
}

#[test]
fn a_term_that_falls_is_corrupt() {
    for layouts in [
        [Three33, Three41, Three33, Three33],
        [Three33, Two, Three33, Three41],
        [Three33, One, Three33, Three33],
    ] {
        let terms = [2, 1, 2, 3];
        let records = (0..4).map(|i| encode(layouts[i], terms[i], i as u64 + 1, TIME, b"x"));
        let bytes = records.collect::<Vec<_>>().concat();
        let (got, report) = check(&bytes, &|| format!("{layouts:?}"));
        assert_eq!(lsns(&got), [1]);
        let Verdict::Corrupt { cause, beyond, .. } = report.verdict else {
            panic!("{layouts:?}");
        };
        assert_eq!(cause, Cause::Term { term: 1, after: 2 });
        assert_eq!(beyond.lsns, [3, 4]);
        assert_eq!(lsns(&scan_bytes(&bytes, true).0), [1, 3, 4]);
    }
}

/// A length that swallows what follows hides nothing, also where it ends
/// exactly at a later record.
#[test]
fn a_false_length_swallows_nothing() {
    let payload = [b'p'; 27];
    let record = plain(1, &payload).len();
    let good: Vec<u8> = (1..=6).flat_map(|lsn| plain(lsn, &payload)).collect();
    let lengths = (0..=6 * record).chain([1 << 27, (256 << 20) - 1, 256 << 20, u32::MAX as usize]);
    for len in lengths.filter(|len| *len != payload.len()) {
        for hit in 0..5 {
            let mut bytes = good.clone();
            bytes[hit * record + 29..][..4].copy_from_slice(&(len as u32).to_le_bytes());
            let (got, report) = check(&bytes, &|| format!("record {hit}, length {len}"));
            assert_eq!((got.len(), word(&report.verdict)), (hit, "corrupt"));
            let expected: Vec<u64> = (1..=6).filter(|lsn| *lsn != hit as u64 + 1).collect();
            let saved = lsns(&scan_bytes(&bytes, true).0);
            assert_eq!(saved, expected, "record {hit}, length {len}");
        }
    }
}

/// Copies of records in a payload: a damaged record that holds some is
/// corruption, and they are not taken for records of the file.
#[test]
fn records_inside_a_payload_are_not_believed() {
    let copies = [plain(2, b"copy"), plain(3, b"copy"), plain(9, b"copy")].concat();
    let holder = plain(2, &copies);
    let good = [
        plain(1, b"one"),
        holder.clone(),
        plain(3, b"three"),
        plain(4, b"four"),
    ]
    .concat();
    let start = plain(1, b"one").len();
    check(&good, &|| "whole".into());
    for bit in 0..holder.len() * 8 {
        let mut bytes = good.clone();
        bytes[start + bit / 8] ^= 1 << (bit % 8);
        let (got, report) = check(&bytes, &|| format!("bit {bit}"));
        assert_eq!(
            (lsns(&got), word(&report.verdict)),
            (vec![1], "corrupt"),
            "bit {bit}"
        );
        // Not where the length is damaged: then nothing tells the two apart.
        if !(29..33).contains(&(bit / 8)) {
            assert_eq!(lsns(&scan_bytes(&bytes, true).0), [1, 3, 4], "bit {bit}");
        }
    }
}

#[test]
fn a_torn_record_that_holds_records() {
    let rows = [
        (plain(9, b"copy"), "corrupt"),
        (plain(1, b"copy"), "torn"),
        (encode(Two, 1, 9, TIME, b"copy"), "corrupt"),
        (encode(Three41, 1, 2, TIME, b"copy"), "corrupt"),
        (encode(One, 1, 1, TIME, b"copy"), "torn"),
    ];
    for (copy, verdict) in rows {
        let payload = [&copy[..], b"more"].concat();
        let bytes = [plain(1, b"one"), plain(2, &payload)].concat();
        for cut in 1..8 {
            let (_, report) = check(&bytes[..bytes.len() - cut], &|| format!("cut {cut}"));
            assert_eq!(word(&report.verdict), verdict, "{copy:?}");
        }
        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let (_, report) = check(&flipped, &|| "flipped".into());
        assert_eq!(word(&report.verdict), verdict, "{copy:?}");
        // The length is right, so that the copy is known for one.
        assert_eq!(lsns(&scan_bytes(&flipped, true).0), [1]);
    }
}

#[test]
fn old_records_behind_damage_are_part_of_the_torn_tail() {
    let bytes = [
        plain(5, b"x"),
        b"RDLW\x03 torn".to_vec(),
        plain(5, b"y"),
        plain(4, b"z"),
    ]
    .concat();
    let (got, report) = check(&bytes, &|| "old".into());
    assert_eq!((lsns(&got), word(&report.verdict)), (vec![5], "torn"));
}

#[test]
fn newer_versions_and_other_files_are_refused_and_never_cut() {
    let mut newer = plain(2, b"payload");
    newer[4] = 4;
    let sum = super::common::slow_crc32(&newer[4..newer.len() - 4]);
    let end = newer.len() - 4;
    newer[end..].copy_from_slice(&sum.to_le_bytes());
    for (bytes, sound) in [
        (newer.clone(), 0),
        ([plain(1, b"one"), newer.clone()].concat(), 1),
        (b"SQLite format 3\0".to_vec(), 0),
        (b"{\"slots\": []}".to_vec(), 0),
    ] {
        let (got, report) = check(&bytes, &|| "newer".into());
        assert_eq!(got.len(), sound);
        let e = report.verdict.error(Path::new("x")).unwrap();
        assert_eq!(e.kind(), ErrorKind::Format, "{e}");
        assert_eq!(e.offset(), Some(report.end));
    }
    // In the middle it is damage like any other, whatever follows.
    for term in [0, 1] {
        let behind = encode(Three33, term, 3, TIME, b"three");
        let bytes = [&plain(1, b"one")[..], &newer, &behind].concat();
        let (_, report) = check(&bytes, &|| "middle".into());
        let e = report.verdict.error(Path::new("x")).unwrap();
        assert_eq!(e.kind(), ErrorKind::Corrupt, "{e}");
        assert!(e.message().contains("LSN 3"), "{e}");
    }
}

/// Version 1 has no checksum: what can be found is found, and the rest is
/// this format's known weakness.
#[test]
fn damage_to_version_one() {
    let (good, starts) = file(&[One; 4]);
    let (mut unseen, mut clean_but_for_the_payload) = (0, true);
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (got, report) = check(&bytes, &|| format!("bit {bit}"));
        if report.verdict != Verdict::Clean {
            continue;
        }
        unseen += 1;
        assert_eq!(got.len(), 4, "bit {bit}");
        let hit = starts.iter().filter(|start| **start <= bit / 8).count() - 1;
        let at = bit / 8 - starts[hit];
        clean_but_for_the_payload &= at >= 21 || (5..13).contains(&at);
    }
    assert!(unseen > 0 && clean_but_for_the_payload);
}
