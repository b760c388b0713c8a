//! SQLite: write-ahead log, `synchronous=FULL`, pages as blobs.
//!
//! All threads share one connection: with one each they would meet in the busy
//! handler, which sleeps.

use super::page;
use crate::arms::Arm;
use parking_lot::Mutex;
use rusqlite::{Connection, TransactionBehavior, params};
use std::path::Path;
use turns::text;

pub struct Sqlite {
    connection: Mutex<Connection>,
}

impl Sqlite {
    pub fn open(dir: &Path) -> Result<Sqlite, String> {
        let connection = Connection::open(dir.join("pages.db")).map_err(text)?;
        let mode: String = connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .map_err(text)?;
        if mode != "wal" {
            return Err(format!("journal mode {mode}, not wal"));
        }
        connection
            .execute_batch(
                "PRAGMA synchronous = FULL;
                 CREATE TABLE pages (number INTEGER PRIMARY KEY, image BLOB)",
            )
            .map_err(text)?;
        Ok(Sqlite {
            connection: Mutex::new(connection),
        })
    }
}

impl Arm for Sqlite {
    fn commit(&self, thread: usize, batch: &[&[u8]]) -> Result<(), String> {
        let mut connection = self.connection.lock();
        let write = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(text)?;
        {
            let mut put = write
                .prepare_cached("REPLACE INTO pages VALUES (?1, ?2)")
                .map_err(text)?;
            for (index, frame) in batch.iter().enumerate() {
                let number = page(thread, batch.len(), index);
                put.execute(params![number, frame]).map_err(text)?;
            }
        }
        write.commit().map_err(text)
    }
}
