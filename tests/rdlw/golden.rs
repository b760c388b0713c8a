//! Files made elsewhere, and what must be read from each.

use super::common::{encode, lsns, scan, word};
use epochwal::ErrorKind;
use epochwal::format::rdlw::Layout;
use epochwal::spool::rdlw::{ScanOptions, Verdict};
use epochwal::storage::RealStorage;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rdlw")
}

fn manifest() -> serde_json::Map<String, Value> {
    let text = fs::read(golden().join("manifest.json")).unwrap();
    match serde_json::from_slice(&text).unwrap() {
        Value::Object(map) => map,
        other => panic!("manifest is {other}"),
    }
}

fn file(name: &str) -> PathBuf {
    golden().join(format!("{name}.rdb.logical.wal"))
}

fn layout(name: &str) -> Layout {
    match name {
        "1" => Layout::One,
        "2" => Layout::Two,
        "3" => Layout::Three33,
        "3b" => Layout::Three41,
        other => panic!("layout {other}"),
    }
}

#[test]
fn each_file_is_read_as_its_manifest_says() {
    let manifest = manifest();
    let files = fs::read_dir(golden()).unwrap();
    let ends_wal = |name: &str| name.ends_with(".logical.wal");
    let files = files.filter(|e| ends_wal(e.as_ref().unwrap().file_name().to_str().unwrap()));
    assert_eq!(files.count(), manifest.len());
    for (name, expected) in &manifest {
        let path = file(name);
        let (got, report) = scan(Arc::new(RealStorage), &path, ScanOptions::default());
        assert_eq!(word(&report.verdict), expected["verdict"], "{name}");
        let records = expected["records"].as_array().unwrap();
        assert_eq!(got.len(), records.len(), "{name}");
        assert_eq!(report.records, got.len() as u64, "{name}");
        for (got, expected) in got.iter().zip(records) {
            let found = serde_json::json!({
                "lsn": got.lsn,
                "term": got.term,
                "timestamp": got.timestamp,
                "len": got.payload.len(),
                "payload_crc32": crc32fast::hash(&got.payload),
                "offset": got.offset,
                "layout": expected["layout"],
            });
            assert_eq!(&found, expected, "{name}");
            assert_eq!(got.layout, layout(expected["layout"].as_str().unwrap()));
        }
        let error = report.verdict.error(&path);
        assert_eq!(error.is_some(), expected["verdict"] == "corrupt", "{name}");
    }
}

#[test]
fn clean_files_are_written_back_byte_for_byte() {
    for name in ["v1", "v2", "v3", "v3-41-byte-header"] {
        let (got, report) = scan(Arc::new(RealStorage), &file(name), ScanOptions::default());
        assert_eq!(report.verdict, Verdict::Clean, "{name}");
        // Nothing here writes the ownership epoch: its bytes are copied.
        let bytes = fs::read(file(name)).unwrap();
        let mut again = Vec::new();
        for r in &got {
            let one = match r.layout {
                Layout::Three33 => {
                    let mut out = Vec::new();
                    epochwal::format::rdlw::encode(&r.record(), &mut out).unwrap();
                    out
                }
                Layout::Three41 => {
                    let len = r.layout.header_len() + r.payload.len() + 4;
                    bytes[r.offset as usize..][..len].to_vec()
                }
                older => encode(older, 1, r.lsn, r.timestamp, &r.payload),
            };
            again.extend(one);
        }
        assert!(again == bytes, "{name} differs");
    }
}

#[test]
fn damage_is_told_with_what_lies_beyond_and_salvaged() {
    let path = file("flip-in-the-middle");
    let (got, report) = scan(Arc::new(RealStorage), &path, ScanOptions::default());
    let Verdict::Corrupt { offset, beyond, .. } = &report.verdict else {
        panic!("{report:?}");
    };
    assert_eq!(*offset, report.end);
    assert_eq!(beyond.lsns, (16..=30).collect::<Vec<_>>());
    let e = report.verdict.error(&path).unwrap();
    assert_eq!(e.kind(), ErrorKind::Corrupt);
    assert_eq!(
        (e.path(), e.offset()),
        (Some(path.as_path()), Some(*offset))
    );
    assert!(e.message().contains("LSNs 16 to 30"), "{e}");

    let salvage = ScanOptions {
        salvage: true,
        term_of: None,
    };
    let (saved, report) = scan(Arc::new(RealStorage), &path, salvage);
    assert_eq!(saved[..14], got);
    assert_eq!(lsns(&saved), (1..=14).chain(16..=30).collect::<Vec<_>>());
    assert_eq!(report.skips, 1);
    assert_eq!(report.skipped[0].offset, *offset);
    assert_eq!(
        report.skipped[0].offset + report.skipped[0].len,
        saved[14].offset
    );
}
