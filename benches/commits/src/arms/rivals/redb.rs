//! redb: a copy-on-write tree, one writer at a time, one sync per commit.

use super::page;
use crate::arms::Arm;
use redb::{Database, TableDefinition};
use std::path::Path;
use turns::text;

const PAGES: TableDefinition<u32, &[u8]> = TableDefinition::new("pages");

pub struct Redb {
    database: Database,
}

impl Redb {
    pub fn open(dir: &Path) -> Result<Redb, String> {
        let database = Database::create(dir.join("pages.redb")).map_err(text)?;
        Ok(Redb { database })
    }
}

impl Arm for Redb {
    fn commit(&self, thread: usize, batch: &[&[u8]]) -> Result<(), String> {
        // Its durability is Immediate where nothing else is said.
        let write = self.database.begin_write().map_err(text)?;
        {
            let mut pages = write.open_table(PAGES).map_err(text)?;
            for (index, frame) in batch.iter().enumerate() {
                let number = page(thread, batch.len(), index);
                pages.insert(number, *frame).map_err(text)?;
            }
        }
        write.commit().map_err(text)
    }
}
