//! fjall: a log-structured tree; a batch is synced under the journal's lock.

use super::{page, until_idle};
use crate::arms::Arm;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;
use turns::text;

pub struct Fjall {
    database: Database,
    pages: Keyspace,
}

impl Fjall {
    pub fn open(dir: &Path) -> Result<Fjall, String> {
        let database = Database::builder(dir.join("db"))
            // The frames do not compress, so trying to would be lost time.
            .journal_compression(CompressionType::None)
            .open()
            .map_err(text)?;
        let pages = database
            .keyspace("pages", KeyspaceCreateOptions::default)
            .map_err(text)?;
        Ok(Fjall { database, pages })
    }
}

impl Arm for Fjall {
    fn commit(&self, thread: usize, batch: &[&[u8]]) -> Result<(), String> {
        // fdatasync, the quicker one of its two durable modes.
        let mut write = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for (index, frame) in batch.iter().enumerate() {
            let key = page(thread, batch.len(), index).to_be_bytes();
            write.insert(&self.pages, key, *frame);
        }
        write.commit().map_err(text)
    }

    fn settle(&self) -> Result<(), String> {
        until_idle(|| {
            self.database.outstanding_flushes() == 0 && self.database.active_compactions() == 0
        });
        Ok(())
    }
}
