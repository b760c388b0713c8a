//! Memory that threads fill in parallel and the flusher writes as it is:
//! page-aligned, so that direct I/O takes it without a copy.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicU32, AtomicU64, Ordering, futex_wait, futex_wake, spins};
use std::ptr::NonNull;

/// What stays resident of a buffer after a flush; more is given back.
const KEEP_RESIDENT: usize = 8 << 20;

/// Pages straight from the kernel, zeroed, only those resident that were touched.
#[derive(Debug)]
pub(crate) struct Pages {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone; access goes through
// `slice`, whose callers keep their ranges apart.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    pub(crate) fn new(len: usize) -> Result<Pages> {
        let len = len.next_multiple_of(4096);
        // SAFETY: an anonymous mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        match NonNull::new(base.cast::<u8>()) {
            Some(base) if base.as_ptr().cast() != libc::MAP_FAILED => Ok(Pages { base, len }),
            _ => Err(Error::new(
                ErrorKind::NoMemory,
                format!("no memory for a buffer of {len} bytes"),
            )),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A part of the memory.
    ///
    /// # Safety
    /// No two slices that overlap may live at a time.
    #[allow(clippy::mut_from_ref)] // ranges are handed out by the staging word
    pub(crate) unsafe fn slice(&self, offset: usize, len: usize) -> &mut [u8] {
        assert!(offset <= self.len && len <= self.len - offset);
        // SAFETY: within the mapping; the caller keeps slices apart.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(offset), len) }
    }

    /// Gives memory beyond what is kept back to the system; its content is lost.
    pub(crate) fn trim(&self, used: usize) {
        if used <= KEEP_RESIDENT || self.len <= KEEP_RESIDENT {
            return;
        }
        // SAFETY: within the mapping; nobody reads what an unused buffer held.
        unsafe {
            libc::madvise(
                self.base.as_ptr().add(KEEP_RESIDENT).cast(),
                self.len - KEEP_RESIDENT,
                libc::MADV_DONTNEED,
            );
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing borrows it any more.
        unsafe {
            libc::munmap(self.base.as_ptr().cast(), self.len);
        }
    }
}

/// One of the two epochs in memory: the one being filled, or the one in flight.
#[derive(Debug)]
pub(crate) struct EpochBuffer {
    pub(crate) pages: Pages,
    /// The epoch that it holds.
    pub(crate) epoch: AtomicU64,
    /// The sequence that its first batch is assigned.
    pub(crate) base_seq: AtomicU64,
    /// When its first batch was staged, in nanoseconds of the coordinator's clock.
    pub(crate) started: AtomicU64,
    /// How many reservations are filled: a futex word.
    filled: AtomicU32,
    flusher_waits: AtomicU32,
}

impl EpochBuffer {
    pub(crate) fn new(capacity: usize) -> Result<Self> {
        Ok(EpochBuffer {
            pages: Pages::new(capacity)?,
            epoch: AtomicU64::new(0),
            base_seq: AtomicU64::new(0),
            started: AtomicU64::new(0),
            filled: AtomicU32::new(0),
            flusher_waits: AtomicU32::new(0),
        })
    }

    /// Makes the buffer ready for an epoch. Nobody uses it meanwhile.
    pub(crate) fn prepare(&self, epoch: u64, base_seq: u64) {
        self.epoch.store(epoch, Ordering::Relaxed);
        self.base_seq.store(base_seq, Ordering::Relaxed);
        self.started.store(0, Ordering::Relaxed);
        self.filled.store(0, Ordering::Relaxed);
    }

    /// A reservation is filled.
    pub(crate) fn fill_one(&self) {
        self.filled.fetch_add(1, Ordering::SeqCst);
        if self.flusher_waits.load(Ordering::SeqCst) != 0 {
            futex_wake(&self.filled, 1);
        }
    }

    /// Waits until `count` reservations are filled: those that the seal found.
    pub(crate) fn wait_filled(&self, count: u32) {
        for _ in 0..spins(64) {
            if self.filled.load(Ordering::Acquire) == count {
                return;
            }
            std::hint::spin_loop();
        }
        self.flusher_waits.store(1, Ordering::SeqCst);
        loop {
            let filled = self.filled.load(Ordering::SeqCst);
            if filled == count {
                break;
            }
            futex_wait(&self.filled, filled, None);
        }
        self.flusher_waits.store(0, Ordering::SeqCst);
    }
}
