//! Version 1 segments. The first byte: bit 0 makes the header's checksum
//! right, bit 1 gives the file the name of its epoch.

use super::fix;
use super::memory::within;
use epochwal::format::v1::{self, Record};

/// A record takes more in memory than its smallest form in a file, and a
/// batch comes on top of it.
const FACTOR: usize = 16;

pub fn run(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    let mut bytes = data.to_vec();
    if mode & 1 != 0 {
        fix::prelude(&mut bytes);
    }
    let name = (mode & 2 != 0 && bytes.len() >= 16).then(|| fix::u64_at(&bytes, 8));
    let limit = FACTOR * bytes.len() + 4096;
    within(limit, || read(&bytes, name));
}

fn read(bytes: &[u8], name: Option<u64>) {
    let header = v1::decode_header(bytes, bytes.len() as u64, name);
    let segment = match v1::decode(bytes, name) {
        Ok(segment) => segment,
        Err(error) => {
            assert!(error.offset <= bytes.len() as u64, "{error}");
            return;
        }
    };
    let header = header.expect("the header of a segment that was read");
    assert_eq!(header.count as usize, segment.records.len());
    let batches = segment.batches();
    let frames: usize = batches.iter().map(|b| b.frames.len()).sum();
    assert!(frames <= segment.records.len());
    assert!(batches.iter().all(|b| !b.frames.is_empty()));
    if segment.records.is_empty() {
        return;
    }
    let mut sorted = segment.records.clone();
    sorted.sort_by_key(Record::replay_key);
    let again = v1::encode(segment.epoch, &segment.records).expect("what was read can be written");
    assert_eq!(again.len(), bytes.len());
    let again = v1::decode(&again, Some(segment.epoch)).expect("what was written can be read");
    assert_eq!(again.records, sorted);
    assert_eq!(again.batches(), batches);
}
