//! Reading the slot store, and the verdict on how it ends. Repairs nothing.

use crate::error::{Error, ErrorKind, Result};
use crate::format::slot_journal::{
    Change, FRAME_HEAD, FRAME_MAX, Frame, FrameError, FrameKind, Meta, Slot, claimed_len,
};
use crate::log::Disk;
use crate::storage::{File, OpenMode, read_up_to};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

/// What is behind the last good frame.
#[derive(Debug)]
pub(super) enum Ending {
    /// Nothing but zeros.
    Clean,
    /// Bytes of a save that was never acknowledged.
    Torn(Range<u64>),
    /// Damage to what was acknowledged.
    Corrupt(Error),
}

/// What could be read of a slot store.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) slots: BTreeMap<String, Slot>,
    pub(super) meta: Meta,
    /// Number of the last good save.
    pub(super) sequence: u64,
    /// The end of the last good save.
    pub(super) end: u64,
    /// The last good save where nothing behind it says that it is durable.
    pub(super) unconfirmed: Option<(u64, Vec<u8>)>,
    pub(super) ending: Ending,
}

impl Reading {
    fn nothing() -> Reading {
        Reading {
            slots: BTreeMap::new(),
            meta: Meta::default(),
            sequence: 0,
            end: 0,
            unconfirmed: None,
            ending: Ending::Clean,
        }
    }

    /// The slots, where nothing is wrong with what was acknowledged.
    pub(super) fn sound(self) -> Result<Reading> {
        match self.ending {
            Ending::Corrupt(error) => Err(error),
            Ending::Clean | Ending::Torn(_) => Ok(self),
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Put(slot) => _ = self.slots.insert(slot.id.clone(), slot),
            Change::Dropped(id) => _ = self.slots.remove(&id),
        }
    }
}

/// Reads the store; none where there is no file. An I/O error is no verdict,
/// and a newer format is refused whatever else is in the file.
pub(super) fn read(disk: &Disk, path: &Path) -> Result<Option<Reading>> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("open the slot store", path, &e)),
    };
    let len = file
        .len()
        .map_err(|e| Error::io("measure the slot store", path, &e))?;
    let base = read_range(&*file, path, 0, base_len(&*file, path, len)?)?;
    let mut reading = Reading::nothing();
    let corrupt = |reading: &mut Reading, at: u64, what: &str| {
        let error = Error::corrupt(format!("slot store: {what}")).at(path, at);
        reading.ending = Ending::Corrupt(error);
    };
    match Frame::parse(&base).and_then(|f| Ok((f, f.changes()?))) {
        Ok((frame, changes)) if frame.kind == FrameKind::Base => {
            reading.meta = frame.meta;
            reading.sequence = frame.sequence;
            reading.end = frame.len as u64;
            changes.into_iter().for_each(|c| reading.apply(c));
        }
        Err(FrameError::Newer(version)) => return Err(newer(path, 0, version)),
        Ok(_) => corrupt(&mut reading, 0, "the first frame is not one of all slots"),
        Err(FrameError::Nonsense(what)) => corrupt(&mut reading, 0, what),
        // It was synced before it got its name.
        Err(FrameError::Invalid) => corrupt(&mut reading, 0, "the first frame is damaged"),
    }
    if matches!(reading.ending, Ending::Corrupt(_)) {
        return Ok(Some(reading));
    }
    if reading.meta.file_len != len {
        let what = format!("{len} bytes long, not {}", reading.meta.file_len);
        corrupt(&mut reading, len, &what);
        // What was cut off is not known, what is left is.
    }
    let rest = read_range(&*file, path, reading.end, len - reading.end)?;
    follow(&mut reading, &rest, path)?;
    Ok(Some(reading))
}

/// How many bytes the base frame has, or may have.
fn base_len(file: &dyn File, path: &Path, len: u64) -> Result<u64> {
    let head = read_range(file, path, 0, len.min(FRAME_HEAD as u64))?;
    Ok(claimed_len(&head).map_or(head.len() as u64, |claimed| len.min(claimed as u64)))
}

fn read_range(file: &dyn File, path: &Path, from: u64, len: u64) -> Result<Vec<u8>> {
    // Three times the longest base, and some: no store is longer.
    if len > 4 * FRAME_MAX as u64 {
        let what = format!("slot store: {len} bytes are more than any has");
        return Err(Error::corrupt(what).at(path, from));
    }
    let mut bytes = vec![0; len as usize];
    let got = read_up_to(file, &mut bytes, from)
        .map_err(|e| Error::io("read the slot store", path, &e))?;
    bytes.truncate(got);
    Ok(bytes)
}

fn newer(path: &Path, at: u64, version: u8) -> Error {
    let what = format!("slot store: version {version} or its flags are newer than this library");
    Error::new(ErrorKind::Format, what).at(path, at)
}

/// Follows the frames behind the base, to the mark or to the first that is
/// none; `bytes` are all behind the base.
fn follow(reading: &mut Reading, bytes: &[u8], path: &Path) -> Result<()> {
    let base = reading.end;
    let mut pos = 0;
    let verdict = loop {
        let at = base + pos as u64;
        match Frame::parse(&bytes[pos..]).and_then(|f| Ok((f, f.changes()?))) {
            Ok((frame, changes)) => {
                if let Some(what) = misplaced(reading, &frame) {
                    break Some(what);
                }
                let next = pos + frame.len;
                if frame.kind == FrameKind::Mark {
                    reading.unconfirmed = None;
                    pos = next;
                    break look_on(reading, &bytes[pos..]).then_some("a frame behind the mark");
                }
                reading.meta = frame.meta;
                reading.sequence = frame.sequence;
                reading.unconfirmed = Some((at, bytes[pos..next].to_vec()));
                changes.into_iter().for_each(|c| reading.apply(c));
                reading.end = base + next as u64;
                pos = next;
            }
            Err(FrameError::Newer(version)) => return Err(newer(path, at, version)),
            Err(FrameError::Nonsense(what)) => break Some(what),
            Err(FrameError::Invalid) => {
                let later = look_on(reading, &bytes[pos..]);
                break later.then_some("a frame is damaged, and a later one is not");
            }
        }
    };
    if matches!(reading.ending, Ending::Corrupt(_)) {
        return Ok(());
    }
    let at = base + pos as u64;
    let used = base
        + bytes
            .iter()
            .rposition(|b| *b != 0)
            .map_or(0, |p| p as u64 + 1);
    reading.ending = match verdict {
        Some(what) => Ending::Corrupt(Error::corrupt(format!("slot store: {what}")).at(path, at)),
        None if used > at => Ending::Torn(at..used),
        None => Ending::Clean,
    };
    Ok(())
}

/// Why a right frame can't be the next one; none: it is.
fn misplaced(reading: &Reading, frame: &Frame<'_>) -> Option<&'static str> {
    if frame.kind == FrameKind::Base {
        Some("a frame of all slots that is not the first")
    } else if reading.sequence.checked_add(1) != Some(frame.sequence) {
        Some("a frame is missing")
    } else if frame.meta.log_id != reading.meta.log_id {
        Some("a frame of another log")
    } else if frame.meta.file_len != reading.meta.file_len {
        Some("a frame of another file")
    } else {
        None
    }
}

/// Whether a right frame of this store is anywhere in `bytes`. A save is
/// written only once the one before is durable: so what stands before a right
/// frame was acknowledged.
fn look_on(reading: &Reading, bytes: &[u8]) -> bool {
    (0..bytes.len()).step_by(8).any(|at| {
        let behind = &bytes[at..];
        match Frame::parse(behind) {
            Ok(frame) => frame.meta.log_id == reading.meta.log_id,
            Err(FrameError::Invalid) => false,
            Err(FrameError::Newer(_) | FrameError::Nonsense(_)) => true,
        }
    })
}
