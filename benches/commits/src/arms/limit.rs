//! limit-dsync: the fastest way known to make groups durable on one file.
//!
//! Leader and followers over one aligned buffer; `O_DIRECT|O_DSYNC` over
//! written blocks, so that the write is the sync; one futex wake per group.
//! Before each commit stand 64 bytes that mean nothing, so that as many blocks
//! are written as a log must write.

use super::Arm;
use super::ring::{Cursor, Ring};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};

const BLOCK: usize = 4096;
/// Bytes that a group may have.
const CAPACITY: usize = 4 << 20;
const HEADER: [u8; 64] = [0; 64];
/// Groups that are waited for at a time are neighbours.
const WORDS: usize = 16;

pub struct Dsync {
    ring: Ring,
    filling: Mutex<Filling>,
    /// The group that the filling buffer will be. Changes under the lock.
    group: AtomicU64,
    durable: AtomicU64,
    writing: AtomicBool,
    failed: AtomicBool,
    words: [AtomicU32; WORDS],
}

struct Filling {
    buffer: Buffer,
    spare: Option<Buffer>,
    cursor: Cursor,
}

impl Dsync {
    pub fn open(dir: &Path) -> Result<Dsync, String> {
        Ok(Dsync {
            ring: Ring::direct(dir)?,
            filling: Mutex::new(Filling {
                buffer: Buffer::new(),
                spare: Some(Buffer::new()),
                cursor: Cursor::default(),
            }),
            group: AtomicU64::new(1),
            durable: AtomicU64::new(0),
            writing: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            words: Default::default(),
        })
    }

    fn word(&self, group: u64) -> &AtomicU32 {
        &self.words[group as usize % WORDS]
    }

    fn wake(&self, group: u64, count: i32) {
        self.word(group).fetch_add(1, Release);
        futex_wake(self.word(group), count);
    }

    /// Writes what the buffer has. Called with `writing` won.
    fn lead(&self) {
        let taken = {
            let mut filling = self.filling.lock();
            let spare = filling.spare.take().expect("one writes at a time");
            let mut full = std::mem::replace(&mut filling.buffer, spare);
            full.pad();
            let at = filling.cursor.take(full.len);
            // Nothing is left where another has led since.
            let some = full.len > 0;
            (full, at, some.then(|| self.group.fetch_add(1, AcqRel)))
        };
        let (mut full, at, group) = taken;
        if let Some(group) = group {
            if self.ring.write(full.bytes(), at).is_err() {
                self.failed.store(true, Release);
            }
            self.durable.store(group, Release);
        }
        // The next group's leader first, then those who are done.
        full.len = 0;
        let next = {
            let mut filling = self.filling.lock();
            filling.spare = Some(full);
            self.writing.store(false, Release);
            (filling.buffer.len > 0).then(|| self.group.load(Relaxed))
        };
        if let Some(next) = next {
            self.wake(next, 1);
        }
        if let Some(group) = group {
            self.wake(group, i32::MAX);
        }
    }
}

impl Arm for Dsync {
    fn commit(&self, _thread: usize, batch: &[&[u8]]) -> Result<(), String> {
        let mine = {
            let mut filling = self.filling.lock();
            filling.buffer.push(&HEADER);
            for frame in batch {
                filling.buffer.push(frame);
            }
            self.group.load(Relaxed)
        };
        loop {
            let seen = self.word(mine).load(Acquire);
            if self.failed.load(Acquire) {
                return Err("a write failed".into());
            }
            if self.durable.load(Acquire) >= mine {
                return Ok(());
            }
            if self.group.load(Acquire) == mine && !self.writing.swap(true, AcqRel) {
                self.lead();
                continue;
            }
            futex_wait(self.word(mine), seen);
        }
    }

    fn groups(&self) -> Option<u64> {
        Some(self.durable.load(Acquire))
    }
}

/// Bytes that start at a multiple of a block, as direct writes want them.
struct Buffer {
    memory: Box<[u8]>,
    start: usize,
    len: usize,
}

impl Buffer {
    fn new() -> Buffer {
        // Written, so that no page is first touched within a measurement.
        let memory = vec![1; CAPACITY + BLOCK].into_boxed_slice();
        let start = memory.as_ptr().align_offset(BLOCK);
        Buffer {
            memory,
            start,
            len: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        assert!(end <= CAPACITY, "a group larger than its buffer");
        self.memory[self.start..][self.len..end].copy_from_slice(bytes);
        self.len = end;
    }

    fn pad(&mut self) {
        let end = self.len.next_multiple_of(BLOCK);
        self.memory[self.start..][self.len..end].fill(0);
        self.len = end;
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..][..self.len]
    }
}

fn futex_wait(word: &AtomicU32, seen: u32) {
    let forever = std::ptr::null::<libc::timespec>();
    let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word lives as long as the reference, and the kernel only
    // reads it; there is no timeout to read.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), wait, seen, forever) };
}

fn futex_wake(word: &AtomicU32, count: i32) {
    let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word lives as long as the reference; waking reads no memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), wake, count) };
}
