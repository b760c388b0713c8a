//! What happens to open files when the process forks.
//!
//! A forked child inherits every descriptor. If it kept them, a database
//! whose owner died would stay locked for as long as the child lives, since
//! the open-file-description locks belong to what both share. So the child
//! closes them, before `fork` returns in it, and never unlocks, which would
//! take the lock from the parent.
//!
//! The child's handler may do only what is safe after a fork of a process
//! with threads: it loads and stores atomics and calls `close`. Hence a table
//! of descriptors without locks, in chunks that are never freed.
//!
//! Between the moment when a descriptor exists and the moment when the table
//! knows it, no fork may copy the process. [`enter`] guards these stretches:
//! a fork waits until no thread is inside one. It waits for a second at most,
//! because a call on a dead network file system may never end; a descriptor
//! that slips through stays open in the child until it executes or exits.
//!
//! Handlers don't run for `vfork`, `posix_spawn` and bare `clone` calls; all
//! descriptors are close-on-exec, which covers the first two.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};

/// A slot that holds no descriptor.
const FREE: RawFd = -1;

/// Counts the forks that lie between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Whether the handlers are registered.
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Forks that are under way (in units of `FORK`), and threads inside a
/// guarded stretch (in units of 1).
static GATE: AtomicU32 = AtomicU32::new(0);
const FORK: u32 = 1 << 16;

/// A piece of the descriptor table.
struct Chunk {
    slots: [AtomicI32; 64],
    next: AtomicPtr<Chunk>,
}

impl Chunk {
    const fn new() -> Self {
        Chunk {
            slots: [const { AtomicI32::new(FREE) }; 64],
            next: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// The chunk after this one.
    fn next(&self) -> Option<&'static Chunk> {
        // SAFETY: null, or a leaked box that `grow` published; never freed.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }

    /// The chunk after this one, made where there is none.
    fn grow(&self) -> &'static Chunk {
        if let Some(next) = self.next() {
            return next;
        }
        let fresh = Box::into_raw(Box::new(Chunk::new()));
        match self.next.compare_exchange(
            std::ptr::null_mut(),
            fresh,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            // SAFETY: `fresh` is from `Box::into_raw` and now lives forever.
            Ok(_) => unsafe { &*fresh },
            Err(theirs) => {
                // SAFETY: `fresh` was not published, so it is ours to free;
                // `theirs` was, so it lives forever.
                unsafe {
                    drop(Box::from_raw(fresh));
                    &*theirs
                }
            }
        }
    }
}

static TABLE: Chunk = Chunk::new();

/// How often this process, or an ancestor since the library was first used,
/// has been the child of a fork. What was opened in an older generation is
/// the parent's, and must not be touched.
///
/// Never blocks once the first file has been opened.
pub fn fork_generation() -> u32 {
    // Out of memory for the handlers is reported by the first open.
    let _ = register();
    GENERATION.load(Ordering::Relaxed)
}

/// Registers the handlers, once. Two threads may both do it; the handlers
/// stand being run twice.
pub(super) fn register() -> io::Result<()> {
    if REGISTERED.load(Ordering::Acquire) {
        return Ok(());
    }
    // SAFETY: the three are plain functions that never unwind.
    let error = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    REGISTERED.store(true, Ordering::Release);
    Ok(())
}

/// While it lives, no fork copies the process.
pub(super) struct Guard(());

/// Begins a stretch that no fork may cut in two. Keep it to a few calls.
pub(super) fn enter() -> Guard {
    let admitted = |gate: u32| (gate < FORK).then_some(gate + 1);
    while GATE
        .fetch_update(Ordering::Acquire, Ordering::Relaxed, admitted)
        .is_err()
    {
        std::thread::yield_now();
    }
    Guard(())
}

impl Drop for Guard {
    fn drop(&mut self) {
        GATE.fetch_sub(1, Ordering::Release);
    }
}

/// Enters a descriptor into the table.
pub(super) fn add(_: &Guard, fd: RawFd) -> &'static AtomicI32 {
    let mut chunk: &'static Chunk = &TABLE;
    loop {
        for slot in &chunk.slots {
            let taken = slot.compare_exchange(FREE, fd, Ordering::AcqRel, Ordering::Relaxed);
            if taken.is_ok() {
                return slot;
            }
        }
        chunk = chunk.grow();
    }
}

/// Takes a descriptor out of the table; the caller closes it under the same
/// guard.
pub(super) fn remove(_: &Guard, slot: &'static AtomicI32) {
    slot.store(FREE, Ordering::Release);
}

extern "C" fn prepare() {
    GATE.fetch_add(FORK, Ordering::AcqRel);
    let pause = libc::timespec {
        tv_sec: 0,
        tv_nsec: 50_000,
    };
    for _ in 0..20_000 {
        if GATE.load(Ordering::Acquire).is_multiple_of(FORK) {
            return;
        }
        // SAFETY: `pause` is valid, and the rest of the time is not asked for.
        unsafe { libc::nanosleep(&pause, std::ptr::null_mut()) };
    }
}

extern "C" fn parent() {
    GATE.fetch_sub(FORK, Ordering::Release);
}

extern "C" fn child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // Nobody else lives here: threads inside the gate stayed in the parent.
    GATE.store(0, Ordering::Relaxed);
    let mut next = Some(&TABLE);
    while let Some(chunk) = next {
        for slot in &chunk.slots {
            let fd = slot.swap(FREE, Ordering::Relaxed);
            if fd != FREE {
                // SAFETY: the table's descriptors are open and owned by files
                // of the older generation, which no longer use or close them.
                unsafe { libc::close(fd) };
            }
        }
        next = chunk.next();
    }
}
