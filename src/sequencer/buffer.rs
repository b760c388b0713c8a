//! Memory that threads fill in parallel and the flusher writes as it is:
//! page-aligned, so that direct I/O takes it without a copy.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{
    AtomicBool, AtomicU32, AtomicU64, Ordering, Watched, futex_wait, futex_wake, spins,
};
use std::ptr::NonNull;

/// What stays resident of a buffer after a flush, at most; more is given back.
const KEEP_RESIDENT: usize = 8 << 20;
/// And this part of the whole, so that memory held is memory allowed: one
/// buffer is full while the other keeps this.
const KEEP_PART: usize = 32;
/// A huge page where small ones have 4 KiB; elsewhere nothing is won or lost.
pub(crate) const HUGE_PAGE: usize = 2 << 20;
/// Groups above this make huge pages worth their memory.
const LARGE_GROUP: usize = 32 << 10;
/// How much of the memory a model checker watches, in parts of eight bytes.
const WATCHED: usize = 16;
const PART: usize = 8;

/// Pages straight from the kernel, zeroed, only those resident that were touched.
///
/// A direct write hands the kernel one piece of memory per run of neighbouring
/// physical pages, so that huge pages make writing a large group cheaper. They
/// would take 2 MiB where a group of a few small pages would do; so they come
/// only with the first large group.
#[derive(Debug)]
pub(crate) struct Pages {
    /// The mapping: more than the pages, to begin at a huge page's boundary.
    map: NonNull<libc::c_void>,
    map_len: usize,
    base: NonNull<u8>,
    len: usize,
    huge: AtomicBool,
    /// Bytes that stay resident when trimmed.
    keep: usize,
    watched: Watched,
}

// SAFETY: the mapping belongs to this value alone; access goes through
// `slice`, whose callers keep their ranges apart.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    pub(crate) fn new(len: usize) -> Result<Pages> {
        let len = len.next_multiple_of(4096);
        let map_len = len + HUGE_PAGE;
        // SAFETY: an anonymous mapping at an address of the kernel's choice.
        let map = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                map_len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        let Some(map) = NonNull::new(map).filter(|m| m.as_ptr() != libc::MAP_FAILED) else {
            return Err(Error::new(
                ErrorKind::NoMemory,
                format!("no memory for a buffer of {len} bytes"),
            ));
        };
        let bytes = map.cast::<u8>();
        let start = bytes.as_ptr() as usize;
        // SAFETY: less than the huge page that was asked for in addition.
        let base = unsafe { bytes.add(start.next_multiple_of(HUGE_PAGE) - start) };
        Ok(Pages {
            map,
            map_len,
            base,
            len,
            huge: AtomicBool::new(false),
            keep: (len / KEEP_PART).next_multiple_of(4096).min(KEEP_RESIDENT),
            watched: Watched::new(WATCHED),
        })
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
        self.watched
            .touch(offset / PART..(offset + len).div_ceil(PART));
        // SAFETY: within the mapping; the caller keeps slices apart.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(offset), len) }
    }

    /// Between two epochs, the last of so many bytes: gives memory beyond what
    /// is kept back to the system. The content is lost.
    pub(crate) fn trim(&self, used: usize) {
        // A huge page too many is little of what is kept.
        let may_be_huge = self.keep >= HUGE_PAGE;
        if used > LARGE_GROUP && may_be_huge && !self.huge.load(Ordering::Relaxed) {
            // Small pages that are there already would stay.
            self.advise(0, libc::MADV_DONTNEED);
            self.use_huge_pages();
        } else if used > self.keep {
            self.advise(self.keep, libc::MADV_DONTNEED);
        }
    }

    /// Asks for huge pages where none were touched yet.
    pub(crate) fn use_huge_pages(&self) {
        self.huge.store(true, Ordering::Relaxed);
        self.advise(0, libc::MADV_HUGEPAGE);
    }

    /// Advice on all from an offset, which may lose the content and be refused.
    fn advise(&self, from: usize, advice: libc::c_int) {
        if from < self.len {
            // SAFETY: within the mapping; nobody reads what an unused buffer held.
            unsafe { libc::madvise(self.base.as_ptr().add(from).cast(), self.len - from, advice) };
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing borrows it any more.
        unsafe {
            libc::munmap(self.map.as_ptr(), self.map_len);
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
    /// When its first batch was staged, in nanoseconds of the sequencer's clock.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trimmed_buffer_can_be_filled_again_and_what_was_not_kept_is_zero() {
        for (len, kept) in [
            (64 << 10, 4 << 10),
            (16 << 20, 512 << 10),
            (64 << 20, 2 << 20),
            (300 << 20, KEEP_RESIDENT),
        ] {
            let pages = Pages::new(len).unwrap();
            assert_eq!(pages.keep, kept);
            assert!((pages.base.as_ptr() as usize).is_multiple_of(HUGE_PAGE));
            let most = (kept + 4096).max(LARGE_GROUP + 1);
            for used in [4096, LARGE_GROUP + 1, most] {
                // SAFETY: no other slice lives.
                let all = unsafe { pages.slice(0, most) };
                assert!(all[kept..].iter().all(|b| *b == 0));
                all[..used].fill(7);
                pages.trim(used);
            }
            // SAFETY: no other slice lives.
            let all = unsafe { pages.slice(0, most) };
            assert!(all[kept..].iter().all(|b| *b == 0));
        }
    }
}
