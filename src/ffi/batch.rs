//! What a committer hands in: slices, frames, batches; and what it gets: a
//! ticket.

use super::struct_size::{self, Sized32};
use crate::batch::{BatchHead, Frame, FrameSource, MAX_FRAME_BYTES};
use crate::error::{Error, ErrorKind, Result, Ticket};
use std::ffi::c_void;

/// Bytes somewhere in memory, laid out as struct iovec. `data` may be NULL
/// where `len` is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_slice {
    /// The first byte.
    pub data: *const c_void,
    /// How many there are.
    pub len: usize,
}

/// One page image. The library copies it before the call returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_frame {
    /// The page's number, from 1.
    pub page_number: u32,
    /// Database size in pages on the frame that commits a transaction, else 0.
    pub db_size_if_commit: u32,
    /// The image, 1 to 65536 bytes.
    pub data: ewal_slice,
}

/// The frames of one transaction, in write order. Begin with EWAL_BATCH_INIT.
/// A batch is durable as a whole or not at all.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_batch {
    /// sizeof(ewal_batch).
    pub struct_size: u32,
    /// Transaction epoch: the second half of the caller's token.
    pub txn_epoch: u32,
    /// Transaction id, not 0.
    pub txn_id: u64,
    /// Commit sequence, from 1; 0 where the coordinator assigns it.
    pub commit_seq: u64,
    /// At least one frame.
    pub frames: *const ewal_frame,
    /// How many there are.
    pub frame_count: usize,
    /// Opaque bytes kept with the batch, up to 64 KiB; may be empty.
    pub metadata: ewal_slice,
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_batch {
    const NAME: &'static str = "batch";
    const FIRST: usize = std::mem::offset_of!(ewal_batch, metadata);
}

/// What a staged batch was given. Begin with all zeros or nothing at all; the
/// library fills it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_ticket {
    /// The epoch that the batch becomes durable with; wait for it.
    pub epoch: u64,
    /// Its commit sequence, the caller's or the assigned one.
    pub commit_seq: u64,
}

impl From<Ticket> for ewal_ticket {
    fn from(ticket: Ticket) -> Self {
        ewal_ticket {
            epoch: ticket.epoch,
            commit_seq: ticket.commit_seq,
        }
    }
}

impl ewal_slice {
    /// Bytes of a Rust slice, for the way out.
    pub(super) fn of(bytes: &[u8]) -> Self {
        ewal_slice {
            data: bytes.as_ptr().cast(),
            len: bytes.len(),
        }
    }

    /// The bytes, after checks of everything that can be checked.
    ///
    /// # Safety
    /// Where `data` is not NULL, `len` bytes are readable there for `'a`.
    #[inline]
    pub(super) unsafe fn bytes<'a>(self, name: &str) -> Result<&'a [u8]> {
        if self.len == 0 {
            return Ok(&[]);
        }
        if self.data.is_null() || isize::try_from(self.len).is_err() {
            return Err(self.refuse(name));
        }
        // SAFETY: not NULL, not longer than memory, and the caller vouches
        // for the bytes.
        Ok(unsafe { std::slice::from_raw_parts(self.data.cast(), self.len) })
    }

    #[cold]
    #[inline(never)]
    fn refuse(self, name: &str) -> Error {
        let len = self.len;
        if self.data.is_null() {
            return Error::invalid(format!("{name}: NULL with a length of {len}"));
        }
        Error::invalid(format!("{name}: {len} bytes do not fit into memory"))
    }
}

/// The most frames there can be: each takes a byte of a batch, which is never
/// larger than `max_batch_bytes` can be, and all of them fit into memory.
const MAX_FRAMES: usize = {
    let fit = isize::MAX as usize / size_of::<ewal_frame>();
    if fit < 1 << 30 { fit } else { 1 << 30 }
};

/// The caller's array of frames, read in place.
#[derive(Clone, Copy)]
pub(super) struct Frames {
    base: *const ewal_frame,
    count: usize,
}

impl Frames {
    /// Checks what must hold before any frame is read.
    ///
    /// # Safety
    /// Where `base` is not NULL, `count` frames are readable there, and each
    /// one's slice, for as long as the value is used.
    #[inline]
    unsafe fn new(base: *const ewal_frame, count: usize) -> Result<Self> {
        if (base.is_null() && count > 0) || count > MAX_FRAMES {
            return Err(Self::refuse(base, count));
        }
        Ok(Frames { base, count })
    }

    #[cold]
    #[inline(never)]
    fn refuse(base: *const ewal_frame, count: usize) -> Error {
        if base.is_null() {
            return Error::invalid(format!("frames: NULL with a frame_count of {count}"));
        }
        if count > isize::MAX as usize / size_of::<ewal_frame>() {
            return Error::invalid(format!(
                "frame_count: {count} frames do not fit into memory"
            ));
        }
        Error::new(
            ErrorKind::TooLarge,
            format!("frame_count: {count} is above {MAX_FRAMES}"),
        )
    }

    /// What the engine refused, in the caller's terms: of a slice that is no
    /// frame's it saw no bytes, or one too many.
    #[cold]
    #[inline(never)]
    pub(super) fn explain(&self, error: Error) -> Error {
        if !matches!(error.kind(), ErrorKind::Invalid | ErrorKind::TooLarge) {
            return error;
        }
        let slices = (0..self.count).map(|index| (index, self.raw(index).data));
        for (index, ewal_slice { data, len }) in slices {
            if data.is_null() && len > 0 {
                return Error::invalid(format!(
                    "frames[{index}].data: NULL with a length of {len}"
                ));
            }
            if len > MAX_FRAME_BYTES {
                return Error::new(
                    ErrorKind::TooLarge,
                    format!("frames[{index}].data: {len} bytes are above {MAX_FRAME_BYTES}"),
                );
            }
        }
        error
    }

    #[inline]
    fn raw(&self, index: usize) -> ewal_frame {
        assert!(index < self.count);
        // SAFETY: within the array that the caller vouches for.
        unsafe { self.base.add(index).read_unaligned() }
    }
}

impl FrameSource for Frames {
    #[inline]
    fn count(&self) -> usize {
        self.count
    }

    #[inline]
    fn frame(&self, index: usize) -> Frame<'_> {
        let frame = self.raw(index);
        // Neither is a frame that the engine takes, whether the caller meant it
        // so or changes the array meanwhile.
        let data: &[u8] = match frame.data.data.is_null() {
            true => &[],
            false => {
                let len = frame.data.len.min(MAX_FRAME_BYTES + 1);
                // SAFETY: not NULL, and the caller vouches for the bytes.
                unsafe { std::slice::from_raw_parts(frame.data.data.cast(), len) }
            }
        };
        Frame {
            page_number: frame.page_number,
            db_size_if_commit: frame.db_size_if_commit,
            data,
        }
    }
}

/// Reads a batch: its head, and its frames where they lie.
///
/// # Safety
/// `batch` and everything that it points to is readable for `'a`, as the
/// header says.
#[inline]
pub(super) unsafe fn read<'a>(batch: *const ewal_batch) -> Result<(BatchHead<'a>, Frames)> {
    // SAFETY: as promised by our caller.
    let batch = unsafe { struct_size::read(batch) }?;
    let head = BatchHead {
        txn_id: batch.txn_id,
        txn_epoch: batch.txn_epoch,
        commit_seq: batch.commit_seq,
        // SAFETY: as promised by our caller.
        metadata: unsafe { batch.metadata.bytes("metadata") }?,
    };
    // SAFETY: as promised by our caller.
    let frames = unsafe { Frames::new(batch.frames, batch.frame_count) }?;
    Ok((head, frames))
}
