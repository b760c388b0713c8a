//! How bytes reach a segment: the sync style, and what a failure means.

use super::Disk;
use super::policy::{SyncPolicy, SyncStyle};
use super::state_file::sync_failed;
use crate::error::{Error, ErrorKind, Result, is_no_space};
use crate::format::group::BLOCK;
use crate::format::state::SCRATCH_OFFSET;
use crate::storage::{File, OpenMode, uninterrupted, write_all_at};
use crate::wrong::{self, Wrong};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The style in use, after the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `O_DIRECT|O_DSYNC`: the write is the sync.
    Direct,
    /// A buffered write, then a sync call.
    Buffered,
}

#[repr(align(4096))]
struct Block([u8; BLOCK as usize]);

/// Decides the style: asks the file system where the configuration does.
/// `scratch` is a file with a scratch block (the state file).
pub(crate) fn choose_style(
    disk: &Disk,
    scratch: &Path,
    style: SyncStyle,
    policy: SyncPolicy,
) -> Result<Style> {
    match style {
        SyncStyle::Buffered => Ok(Style::Buffered),
        // Without syncs there is nothing to write through to.
        SyncStyle::Probe if policy == SyncPolicy::Off => Ok(Style::Buffered),
        SyncStyle::Probe => Ok(probe(disk, scratch).unwrap_or(Style::Buffered)),
        SyncStyle::Direct => probe(disk, scratch).map_err(|e| {
            Error::new(
                ErrorKind::Unsupported,
                format!("sync_style direct: the file system refuses it: {e}"),
            )
            .in_file(scratch)
        }),
    }
}

fn probe(disk: &Disk, scratch: &Path) -> io::Result<Style> {
    let file = disk.open(scratch, OpenMode::DirectSync)?;
    let block = Block([0; BLOCK as usize]);
    write_all_at(&*file, &block.0, SCRATCH_OFFSET, BLOCK as usize)?;
    Ok(Style::Direct)
}

/// A segment open for writing groups.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    file: Arc<dyn File>,
    style: Style,
    policy: SyncPolicy,
}

impl SegmentFile {
    pub(crate) fn open(
        disk: &Disk,
        path: &Path,
        style: Style,
        policy: SyncPolicy,
    ) -> Result<SegmentFile> {
        let mode = match style {
            Style::Direct => OpenMode::DirectSync,
            Style::Buffered => OpenMode::Write,
        };
        let file = disk
            .open(path, mode)
            .map_err(|e| Error::io("open a segment for writing", path, &e))?;
        Ok(SegmentFile {
            file,
            style,
            policy,
        })
    }

    /// Writes a group and makes it durable as the policy says.
    ///
    /// "No space" means that the group is not durable and may be written
    /// again, all of it: a direct write leaves nothing in the page cache, and
    /// a buffered one was not synced yet, so that writing again makes every
    /// page dirty again. Any other error is final.
    pub(crate) fn write_group(&self, path: &Path, bytes: &[u8], offset: u64) -> Result<()> {
        let align = match self.style {
            Style::Direct => BLOCK as usize,
            Style::Buffered => 1,
        };
        write_all_at(&*self.file, bytes, offset, align).map_err(|e| {
            let what = "write a group";
            if is_no_space(&e) || self.style == Style::Buffered {
                Error::io(what, path, &e).at(path, offset)
            } else {
                sync_failed(what, path, &e)
            }
        })?;
        uninterrupted(|| match (self.style, self.policy) {
            _ if wrong::is(Wrong::AckBeforeSync) => Ok(()),
            (Style::Direct, _) | (Style::Buffered, SyncPolicy::Off) => Ok(()),
            (Style::Buffered, SyncPolicy::Full) => self.file.sync_all(),
            (Style::Buffered, SyncPolicy::Normal) => self.file.sync_data(),
        })
        .map_err(|e| sync_failed("sync a group", path, &e))
    }
}
