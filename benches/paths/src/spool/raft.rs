//! raft-engine with the same records: entries of a group, numbered from 1.

use super::{GROUP, bytes};
use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};
use std::path::Path;
use turns::text;

const REGION: u64 = 1;

/// An entry that begins with its number.
struct Numbered;

impl MessageExt for Numbered {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        let number = entry.value.first_chunk();
        number.map_or(0, |number| u64::from_le_bytes(*number))
    }
}

pub struct Raft(Engine);

impl Raft {
    pub fn open(dir: &Path) -> Result<Raft, String> {
        let config = Config {
            dir: dir.to_string_lossy().into_owned(),
            // The entries do not compress, so trying to would be lost time.
            batch_compression_threshold: ReadableSize(0),
            ..Config::default()
        };
        Engine::open(config).map(Raft).map_err(text)
    }

    /// Writes entries from 1 to `count`, as many to a batch as the spool has in
    /// a group, and closes it.
    pub fn write(dir: &Path, count: u64, payload: usize) -> Result<(), String> {
        let raft = Raft::open(dir)?;
        let payload = bytes(0, payload);
        let entry = |number: u64| {
            let mut entry = BytesValue::new();
            entry.value = payload.clone();
            entry.value[..8].copy_from_slice(&number.to_le_bytes());
            entry
        };
        for first in (1..=count).step_by(GROUP as usize) {
            let numbers = first..(first + GROUP).min(count + 1);
            let entries: Vec<_> = numbers.map(entry).collect();
            let mut batch = LogBatch::default();
            batch
                .add_entries::<Numbered>(REGION, &entries)
                .map_err(text)?;
            raft.0.write(&mut batch, false).map_err(text)?;
        }
        raft.0.sync().map_err(text)
    }

    /// Reads up to `count` entries above a number; says how many.
    pub fn read_since(&self, number: u64, count: u64) -> Result<u64, String> {
        let last = self.0.last_index(REGION).unwrap_or(0);
        let end = (number + count).min(last) + 1;
        let mut entries = Vec::new();
        let got = self
            .0
            .fetch_entries_to::<Numbered>(REGION, number + 1, end, None, &mut entries);
        match entries.last().map(Numbered::index) {
            Some(got) if got != end - 1 => Err(format!("entry {got} instead of {}", end - 1)),
            _ => got.map(|n| n as u64).map_err(text),
        }
    }
}
