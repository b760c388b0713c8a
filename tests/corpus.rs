//! The fuzz targets' bodies over the committed corpus, so that what the
//! fuzzer once found stays mended, on a stable compiler and without it.

// Some of the targets go through the C ABI.
#![cfg(feature = "capi")]

#[path = "../fuzz/src/lib.rs"]
mod bodies;

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

fn files_of(target: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let entries = fs::read_dir(root.join(target)).expect("the corpus of a target");
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

fn replay(target: &str) {
    let mut targets = bodies::TARGETS.iter();
    let (_, body) = targets.find(|(name, _)| *name == target).expect("a target");
    let files = files_of(target);
    assert!(files.len() >= 4, "{target}: the corpus is missing");
    let mut failed = Vec::new();
    for file in files {
        let data = fs::read(&file).unwrap();
        // Cut inputs and ones with a changed byte, too.
        let variants = variants(&data);
        if panic::catch_unwind(|| variants.iter().for_each(|v| body(v))).is_err() {
            failed.push(file);
        }
    }
    assert!(failed.is_empty(), "{target} fails on {failed:#?}");
}

/// The input, and a few of its neighbours: what is there is not only what
/// passed when it was committed.
fn variants(data: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![data.to_vec()];
    for i in 0..6 {
        let at = data.len() * (2 * i + 1) / 12;
        all.push(data[..at].to_vec());
        let mut changed = data.to_vec();
        if let Some(byte) = changed.get_mut(at) {
            *byte ^= 1 << i;
        }
        all.push(changed);
    }
    all
}

#[test]
fn prelude() {
    replay("prelude");
}

#[test]
fn names() {
    replay("names");
}

#[test]
fn v1() {
    replay("v1");
}

#[test]
fn group() {
    replay("group");
}

#[test]
fn state() {
    replay("state");
}

#[test]
fn rdlw() {
    replay("rdlw");
}

#[test]
fn slots_json() {
    replay("slots_json");
}

#[test]
fn log() {
    replay("log");
}

#[test]
fn twice() {
    replay("twice");
}

#[test]
fn abi_append() {
    replay("abi_append");
}

#[test]
fn abi_spool_options() {
    replay("abi_spool_options");
}

#[test]
fn abi_options() {
    replay("abi_options");
}

#[test]
fn abi_recovery() {
    replay("abi_recovery");
}

#[test]
fn abi_submit() {
    replay("abi_submit");
}

/// The seeds stand for what they were made from.
#[test]
fn a_log_packs_again() {
    for file in files_of("log") {
        let data = fs::read(&file).unwrap();
        let (mode, files) = bodies::image::unpack(&data);
        // Packed bytes have had their checksums fixed; fixing changes nothing then.
        let again = bodies::image::unpack(&bodies::image::pack(mode, &files));
        assert!(again == (mode, files), "{}", file.display());
    }
}

#[test]
fn a_group_packs_again() {
    use epochwal::format::group::{CertificateFlags, GroupHeader, GroupKind, Summary, seal};
    let header = GroupHeader {
        epoch: 5,
        items: 0,
        kind: GroupKind::Mark,
        link: 1,
        log_id: [7; 16],
        generation: 1,
        segment_epoch: 5,
        segment_size: 1 << 14,
        position: 4096,
        length: 4096,
        payload_len: 0,
        watermark: 4,
        previous_epoch: 5,
    };
    let mut mark = vec![0; 4096];
    let flags = CertificateFlags::default();
    seal(&mut mark, &header, &Summary::default(), flags, 2);
    assert_eq!(
        bodies::group::unpack(&bodies::group::pack(0, &mark)[1..]),
        mark
    );
}

/// A target that is added here is added to the tests above, too.
#[test]
fn every_target_has_a_corpus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut found: Vec<String> = fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut named: Vec<&str> = bodies::TARGETS.iter().map(|t| t.0).collect();
    named.sort_unstable();
    assert_eq!(found, named);
}
