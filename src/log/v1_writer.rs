//! Epochs written in version 1: one file each.

use super::Disk;
use crate::error::{Error, Result};
use crate::format::item::{ItemHead, ItemKind};
use crate::format::names::Names;
use crate::format::v1::{Record, encoded_len};
use crate::segment::write_segment_on;
use std::path::PathBuf;

/// Writes the epoch's items as a version 1 segment and makes it durable;
/// gives its path and size, none where there was nothing to
/// write. Write order, `db_size_if_commit` and metadata have
/// no place in version 1.
pub(crate) fn write_epoch(
    disk: &Disk,
    names: &Names,
    epoch: u64,
    payload: &[u8],
) -> Result<Option<(PathBuf, u64)>> {
    let bad = |why: &str| Error::corrupt(format!("staged bytes: {why}"));
    let mut records = Vec::new();
    let mut at = 0;
    while at < payload.len() {
        let head = ItemHead::parse(&payload[at..]).map_err(bad)?;
        let item = &payload[at..at + head.len];
        at += head.len;
        if head.kind == ItemKind::Void {
            continue;
        }
        let (_, frames) = head.body(item).map_err(bad)?;
        records.extend(frames.iter().map(|frame| Record {
            txn_id: head.txn_id,
            txn_epoch: head.txn_epoch,
            epoch,
            page_number: frame.page_number,
            begin_seq: head.commit_seq,
            end_seq: Some(head.commit_seq),
            before: &[],
            after: frame.data,
        }));
    }
    if records.is_empty() {
        return Ok(None);
    }
    let db_path = names.dir().join(names.database());
    let size = encoded_len(&records) as u64;
    let path = write_segment_on(&**disk, &db_path, epoch, &records)?;
    Ok(Some((path, size)))
}
