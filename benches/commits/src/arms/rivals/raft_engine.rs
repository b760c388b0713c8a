//! raft-engine: the log of TiKV. Writers join a group, whose leader writes and
//! syncs for all.

use super::page;
use crate::arms::Arm;
use raft_engine::{Config, Engine, LogBatch, ReadableSize};
use std::path::Path;
use turns::text;

pub struct RaftEngine {
    engine: Engine,
}

impl RaftEngine {
    pub fn open(dir: &Path) -> Result<RaftEngine, String> {
        let config = Config {
            dir: dir.join("log").to_string_lossy().into_owned(),
            // The frames do not compress, so trying to would be lost time.
            batch_compression_threshold: ReadableSize(0),
            // Old files are used again, as by default, but sooner.
            purge_threshold: ReadableSize::mb(256),
            ..Config::default()
        };
        let engine = Engine::open(config).map_err(text)?;
        Ok(RaftEngine { engine })
    }
}

impl Arm for RaftEngine {
    fn commit(&self, thread: usize, batch: &[&[u8]]) -> Result<(), String> {
        let mut log = LogBatch::with_capacity(batch.len());
        for (index, frame) in batch.iter().enumerate() {
            let key = page(thread, batch.len(), index).to_be_bytes().to_vec();
            log.put(thread as u64 + 1, key, frame.to_vec())
                .map_err(text)?;
        }
        self.engine.write(&mut log, true).map_err(text)?;
        Ok(())
    }

    fn settle(&self) -> Result<(), String> {
        self.engine.purge_expired_files().map_err(text)?;
        Ok(())
    }
}
