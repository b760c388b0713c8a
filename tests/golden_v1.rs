//! Version 1 segments made by another implementation, what must be read from
//! each, and what any other bytes must not do.

#[path = "golden_v1/wrong.rs"]
mod wrong;

use epochwal::ErrorKind;
use epochwal::format::prelude;
use epochwal::format::v1::{self, Reason, Record};
use epochwal::segment;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

/// The system's allocator, noting the largest request of each thread.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to `System` unchanged. The note is a
// constant-initialized cell without a destructor: it never allocates.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|l| l.set(l.get().max(layout.size())));
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above; `ptr` came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// The largest single allocation of this thread while `f` runs.
fn largest_allocation<T>(f: impl FnOnce() -> T) -> (T, usize) {
    LARGEST.set(0);
    let result = f();
    (result, LARGEST.get())
}

fn golden(which: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/pwal-v1")
        .join(which)
}

fn manifest(which: &str) -> serde_json::Map<String, Value> {
    let text = fs::read(golden(which).join("manifest.json")).unwrap();
    match serde_json::from_slice(&text).unwrap() {
        Value::Object(map) => map,
        other => panic!("manifest is {other}"),
    }
}

/// The names of the segment files in a golden directory, sorted.
fn segment_files(which: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(golden(which))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("-wal-seg-"))
        .collect();
    names.sort();
    names
}

fn assert_record(file: &str, record: &Record<'_>, expected: &Value) {
    let image = |image: &[u8], name: &str| {
        [
            (format!("{name}_len"), Value::from(image.len())),
            (format!("{name}_crc32"), Value::from(crc32fast::hash(image))),
        ]
    };
    let mut found = serde_json::Map::from_iter([
        ("txn_id".into(), record.txn_id.into()),
        ("txn_epoch".into(), record.txn_epoch.into()),
        ("epoch".into(), record.epoch.into()),
        ("page_number".into(), record.page_number.into()),
        ("begin_seq".into(), record.begin_seq.into()),
        ("end_seq".into(), record.end_seq.into()),
    ]);
    found.extend(image(record.before, "before"));
    found.extend(image(record.after, "after"));
    assert_eq!(&Value::Object(found), expected, "{file}");
}

#[test]
fn good_files_are_read_as_their_manifest_says() {
    let manifest = manifest("good");
    let files = segment_files("good");
    assert_eq!(files, manifest.keys().cloned().collect::<Vec<_>>());
    assert!(files.len() >= 6);
    for (name, expected) in &manifest {
        let file = segment::read_segment_file(&golden("good").join(name)).unwrap();
        assert_eq!(Value::from(file.epoch), expected["epoch"], "{name}");
        let records = expected["records"].as_array().unwrap();
        assert_eq!(file.records.len(), records.len(), "{name}");
        for (record, expected) in file.records.iter().zip(records) {
            assert_record(name, &record.as_record(), expected);
        }
    }
}

#[test]
fn good_files_are_found_by_database_and_epoch() {
    for (database, epochs) in [("basic.db", [1, 2, 3]), ("gap.db", [0, 1, 3])] {
        let db = golden("good").join(database);
        let listed = segment::list(&db).unwrap();
        assert_eq!(listed.iter().map(|s| s.epoch).collect::<Vec<_>>(), epochs);
        for segment in listed {
            let read = segment::read_segment(&db, segment.epoch).unwrap();
            assert_eq!(read.epoch, segment.epoch);
            assert_eq!(
                segment.path.file_name(),
                segment::segment_path(&db, segment.epoch).file_name()
            );
        }
    }
    let e = segment::read_segment(&golden("good").join("gap.db"), 2).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
}

#[test]
fn good_files_are_written_back_byte_for_byte() {
    for name in segment_files("good") {
        let bytes = fs::read(golden("good").join(&name)).unwrap();
        let segment = v1::decode(&bytes, None).unwrap();
        let again = v1::encode(segment.epoch, &segment.records).unwrap();
        assert!(again == bytes, "{name} differs");
    }
}

#[test]
fn damaged_files_get_their_verdict() {
    let mut verdicts = manifest("damaged");
    let renamed = serde_json::json!({"verdict": "corrupt", "why": "another epoch"});
    verdicts.insert("renamed".into(), renamed);
    let files = segment_files("damaged");
    assert_eq!(files.len(), verdicts.len());
    for name in files {
        let path = golden("damaged").join(&name);
        let key = name.split(".db-wal-seg-").next().unwrap();
        let expected = match verdicts[key]["verdict"].as_str() {
            Some("corrupt") => ErrorKind::Corrupt,
            Some("format") => ErrorKind::Format,
            other => panic!("{name}: verdict {other:?}"),
        };
        let e = segment::read_segment_file(&path).unwrap_err();
        assert_eq!(e.kind(), expected, "{name}: {e}");
        assert_eq!(e.path(), Some(path.as_path()), "{name}");
        assert!(e.offset().is_some(), "{name}: {e}");
        let bytes = fs::read(&path).unwrap();
        let reason = v1::decode(&bytes, epoch_of(&name)).unwrap_err().reason;
        let as_expected = match key {
            "bad-magic" | "header-checksum" | "truncated-header" => {
                matches!(reason, Reason::Header(_))
            }
            "newer-version" => matches!(reason, Reason::Version(9)),
            "truncated-record" => matches!(reason, Reason::ShortRecord { .. }),
            "count-too-large" | "count-without-room" => matches!(reason, Reason::Count { .. }),
            "trailing-bytes" => matches!(reason, Reason::TrailingInFile(4)),
            "renamed" => reason == Reason::NameEpoch { header: 5, name: 3 },
            _ => true,
        };
        assert!(as_expected, "{name}: {reason:?}");
    }
}

fn epoch_of(name: &str) -> Option<u64> {
    epochwal::format::names::segment_epoch(Path::new(name))
}

#[test]
fn a_count_takes_no_memory() {
    let mut head = [0; prelude::LEN];
    for count in [u32::MAX, 1 << 30, 1 << 16] {
        let lie = prelude::Prelude {
            version: 1,
            flags: 0,
            epoch: 1,
            count,
        };
        prelude::write(&mut head, &lie);
        let mut bytes = head.to_vec();
        bytes.resize(4096, 0);
        let (result, largest) = largest_allocation(|| v1::decode(&bytes, None).map(|_| ()));
        assert!(matches!(result.unwrap_err().reason, Reason::Count { .. }));
        assert_eq!(largest, 0);
    }
    let path = golden("damaged").join("count-too-large.db-wal-seg-0000000000000001");
    let (result, largest) = largest_allocation(|| segment::read_segment_file(&path));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(largest < 4096, "{largest} bytes at once");
}

#[test]
fn a_sparse_file_takes_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db-wal-seg-0000000000000001");
    let small = golden("good").join("gap.db-wal-seg-0000000000000001");
    fs::copy(small, &path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let (result, largest) = largest_allocation(|| segment::read_segment_file(&path));
    let e = result.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Corrupt, "{e}");
    assert!(largest < 4096, "{largest} bytes at once");
}

/// Small, with every kind of record.
fn sample() -> Vec<u8> {
    let record = Record {
        txn_id: 3,
        txn_epoch: 1,
        epoch: 6,
        page_number: 2,
        begin_seq: 10,
        end_seq: Some(11),
        before: b"old",
        after: b"new image",
    };
    let records = [
        record,
        Record {
            end_seq: None,
            page_number: 3,
            ..record
        },
        Record {
            before: b"",
            after: b"",
            page_number: 4,
            ..record
        },
    ];
    v1::encode(6, &records).unwrap()
}

fn inputs() -> Vec<Vec<u8>> {
    let small = golden("good").join("gap.db-wal-seg-0000000000000001");
    vec![sample(), fs::read(small).unwrap()]
}

/// What was read obeys the format: it can be written, and reads the same.
fn assert_sound(segment: &v1::Segment<'_>) {
    let mut sorted = segment.records.clone();
    sorted.sort_by_key(Record::replay_key);
    let bytes = v1::encode(segment.epoch, &segment.records).unwrap();
    assert_eq!(v1::decode(&bytes, None).unwrap().records, sorted);
}

#[test]
fn no_truncation_is_read() {
    for bytes in inputs() {
        for len in 0..bytes.len() {
            let e = v1::decode(&bytes[..len], None).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Corrupt, "cut to {len}: {e}");
            assert!(e.offset <= len as u64, "cut to {len}: {e}");
        }
    }
}

#[test]
fn a_flipped_bit_is_refused_or_leaves_the_structure_whole() {
    for good in inputs() {
        let mut read = 0;
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match v1::decode(&bytes, None) {
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::Corrupt, "bit {bit}: {e}");
                    assert!(e.offset <= bytes.len() as u64, "bit {bit}: {e}");
                }
                Ok(segment) => {
                    assert!(bit >= prelude::LEN * 8, "bit {bit} of the header");
                    assert_sound(&segment);
                    read += 1;
                }
            }
        }
        // Version 1 does not checksum its records: this is its known weakness.
        assert!(read > 0);
    }
}

fn any_record(epoch: u64) -> impl Strategy<Value = OwnedRecord> {
    let image = || prop_oneof![9 => vec(any::<u8>(), 0..64), 1 => vec(any::<u8>(), 65535..=65536)];
    // Few values, so that keys collide and stability shows.
    let key = (1u64..4, 0u32..3, 1u32..4, 0u64..4);
    (key, any::<Option<u64>>(), image(), image()).prop_map(move |(key, end_seq, before, after)| {
        segment::SegmentRecord {
            txn_id: key.0,
            txn_epoch: key.1,
            epoch,
            page_number: key.2,
            begin_seq: key.3,
            end_seq,
            before,
            after,
        }
    })
}

type OwnedRecord = segment::SegmentRecord;

fn any_segment() -> impl Strategy<Value = (u64, Vec<OwnedRecord>)> {
    any::<u64>().prop_flat_map(|epoch| (Just(epoch), vec(any_record(epoch), 1..12)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read((epoch, owned) in any_segment()) {
        let mut records: Vec<Record<'_>> = owned.iter().map(OwnedRecord::as_record).collect();
        let bytes = v1::encode(epoch, &records).unwrap();
        let segment = v1::decode(&bytes, Some(epoch)).unwrap();
        records.sort_by_key(|r| (r.begin_seq, r.txn_id, r.page_number));
        prop_assert_eq!(&segment.records, &records);

        let frames: usize = segment.batches().iter().map(|b| b.frames.len()).sum();
        let committed = records.iter().filter(|r| r.end_seq.is_some() && !r.after.is_empty());
        prop_assert_eq!(frames, committed.count());
        prop_assert!(v1::decode(&bytes, Some(epoch ^ 1)).is_err());
    }

    #[test]
    fn any_body_behind_a_right_header_is_judged(
        count in 0u32..5,
        body in vec(prop_oneof![Just(0u8), Just(1), Just(41), any::<u8>()], 0..300),
    ) {
        let mut head = [0; prelude::LEN];
        let said = prelude::Prelude { version: 1, flags: 0, epoch: 0, count };
        prelude::write(&mut head, &said);
        let bytes = [&head[..], &body].concat();
        match v1::decode(&bytes, None) {
            Ok(segment) if segment.records.is_empty() => prop_assert!(body.is_empty()),
            Ok(segment) => assert_sound(&segment),
            Err(e) => prop_assert!(e.offset <= bytes.len() as u64),
        }
    }
}
