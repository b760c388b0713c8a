//! Handles: numbers with a generation, and the table that they point into.
//!
//! A handle is a slot's index, the table's kind and the slot's generation in
//! one `u64`. A slot's generation rises each time it is used, so a stale
//! handle never meets a later object; a slot whose generations are used up is
//! never used again.
//!
//! A call pins its slot: it adds one to a counter of the slot, checks the
//! generation, and subtracts one at its end. Closing marks the slot; whoever
//! then leaves last frees the object. The counters are sharded by thread, each
//! in cache lines of its own, so threads that use one handle at once do not
//! pass a line between their processors: a pin costs two atomic additions to
//! memory that the processor mostly owns already, and one load. Plain stores
//! instead, with membarrier(2) in the close, would save a submit at most 20
//! cycles, which is not worth a second scheme for systems without it.
//!
//! There is no lock anywhere, so a `fork()` in any other thread's middle of a
//! call leaves the child's table usable. (A slot that was pinned then stays
//! pinned in the child, and its memory with it.)

use crate::error::{Error, ErrorKind, Result};
use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

const INDEX_BITS: u32 = 24;
const KIND_BITS: u32 = 4;
const GENERATION_SHIFT: u32 = INDEX_BITS + KIND_BITS;
const LAST_GENERATION: u64 = (1 << (64 - GENERATION_SHIFT)) - 1;

/// The first chunk's slots; each next chunk is twice as large.
const FIRST_CHUNK: u32 = 32;
const CHUNKS: usize = (INDEX_BITS - FIRST_CHUNK.ilog2()) as usize;

// What a slot is doing, in the low bits of its state below the generation.
const VACANT: u64 = 0;
const OPEN: u64 = 1;
const CLOSING: u64 = 2;
const FREEING: u64 = 3;
const PHASE_BITS: u32 = 2;

fn state(generation: u64, phase: u64) -> u64 {
    generation << PHASE_BITS | phase
}

fn phase(state: u64) -> u64 {
    state & ((1 << PHASE_BITS) - 1)
}

/// One counter of pins. The alignment keeps two shards, and the neighbouring
/// line that processors fetch along, apart.
#[repr(align(128))]
struct Pins(AtomicU32);

struct Slot<T, const SHARDS: usize> {
    state: AtomicU64,
    /// The free list's next index plus one; 0 at its end.
    next_free: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
    pins: [Pins; SHARDS],
}

impl<T, const SHARDS: usize> Slot<T, SHARDS> {
    fn new() -> Self {
        Slot {
            state: AtomicU64::new(state(0, VACANT)),
            next_free: AtomicU32::new(0),
            value: UnsafeCell::new(MaybeUninit::uninit()),
            pins: [const { Pins(AtomicU32::new(0)) }; SHARDS],
        }
    }
}

/// All objects of one kind that C has handles of.
pub(super) struct Table<T, const SHARDS: usize> {
    kind: u64,
    what: &'static str,
    chunks: [AtomicPtr<Slot<T, SHARDS>>; CHUNKS],
    /// Indices handed out so far.
    used: AtomicU32,
    /// The free list's first index plus one, below a tag that every change
    /// raises (another thread's pop and push in between is noticed).
    free: AtomicU64,
}

// SAFETY: the table gives out `&T` to any thread and drops T on any thread;
// everything else in it is atomic.
unsafe impl<T: Send + Sync, const SHARDS: usize> Sync for Table<T, SHARDS> {}

impl<T, const SHARDS: usize> Table<T, SHARDS> {
    /// An empty table; `kind` is 1 to 15 and differs between tables, `what`
    /// names its objects in messages.
    pub(super) const fn new(kind: u64, what: &'static str) -> Self {
        assert!(kind > 0 && kind < 1 << KIND_BITS);
        Table {
            kind,
            what,
            chunks: [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS],
            used: AtomicU32::new(0),
            free: AtomicU64::new(0),
        }
    }

    /// Takes the object in and gives its handle.
    pub(super) fn insert(&self, value: T) -> Result<u64> {
        let index = match self.pop_free() {
            Some(index) => index,
            None => self.grow()?,
        };
        let slot = self.slot(index).expect("an index handed out has its chunk");
        let generation = (slot.state.load(SeqCst) >> PHASE_BITS) + 1;
        // SAFETY: the slot is vacant and taken off the free list, so it is
        // this thread's alone until its state says open.
        unsafe { (*slot.value.get()).write(value) };
        slot.state.store(state(generation, OPEN), SeqCst);
        Ok(generation << GENERATION_SHIFT | self.kind << INDEX_BITS | u64::from(index))
    }

    /// The object behind a handle, kept alive until the pin is dropped.
    #[inline(always)]
    pub(super) fn pin(&self, id: u64) -> Result<Pin<'_, T, SHARDS>> {
        let Some((index, generation)) = self.split(id) else {
            return Err(self.refuse(id));
        };
        let Some(slot) = self.slot(index) else {
            return Err(self.refuse(id));
        };
        let pins = &slot.pins[shard_of_thread() % SHARDS].0;
        pins.fetch_add(1, SeqCst);
        // Made before the check: from here on its drop gives the pin back,
        // whether or not the slot is the one that was meant.
        let pin = Pin {
            table: self,
            slot,
            index,
            pins,
        };
        // Sequentially consistent on both sides: either this load sees that
        // the slot is closing, or whoever closes it sees this pin.
        if slot.state.load(SeqCst) != state(generation, OPEN) {
            return Err(self.refuse(id));
        }
        Ok(pin)
    }

    /// Ends the handle: from now on it is closed for every call that has not
    /// pinned it yet. The object is dropped by whoever unpins it last, which
    /// may be this call. True for exactly one caller.
    pub(super) fn close(&self, id: u64) -> bool {
        let Some((index, generation)) = self.split(id) else {
            return false;
        };
        let Some(slot) = self.slot(index) else {
            return false;
        };
        let won = slot
            .state
            .compare_exchange(
                state(generation, OPEN),
                state(generation, CLOSING),
                SeqCst,
                SeqCst,
            )
            .is_ok();
        if won {
            self.free_if_unpinned(slot, index);
        }
        won
    }

    #[inline]
    fn split(&self, id: u64) -> Option<(u32, u64)> {
        let kind = id >> INDEX_BITS & ((1 << KIND_BITS) - 1);
        (kind == self.kind).then(|| {
            let index = (id & ((1 << INDEX_BITS) - 1)) as u32;
            (index, id >> GENERATION_SHIFT)
        })
    }

    #[cold]
    #[inline(never)]
    fn refuse(&self, id: u64) -> Error {
        if id == 0 {
            return Error::invalid(format!("the {} handle is null", self.what));
        }
        let kind = id >> INDEX_BITS & ((1 << KIND_BITS) - 1);
        if kind == self.kind {
            Error::new(ErrorKind::Closed, format!("the {} is closed", self.what))
        } else {
            Error::invalid(format!("{id:#x} is no handle of a {}", self.what))
        }
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&Slot<T, SHARDS>> {
        let (chunk, at) = place(index);
        let base = self.chunks.get(chunk)?.load(Acquire);
        if base.is_null() {
            return None;
        }
        // SAFETY: a chunk once published is never freed or moved, and has
        // `FIRST_CHUNK << chunk` slots, above `at`.
        Some(unsafe { &*base.add(at) })
    }

    /// Frees a closing slot that nobody pins. Called after closing and after
    /// each unpin of a closing slot: the last of them finds all shards at zero.
    ///
    /// A shard that reads zero after the state said closing has no pin that
    /// saw the slot open: such a pin was added before, and stays until its
    /// call ends. Pins added later see the state and never touch the object.
    #[cold]
    fn free_if_unpinned(&self, slot: &Slot<T, SHARDS>, index: u32) {
        let seen = slot.state.load(SeqCst);
        if phase(seen) != CLOSING || slot.pins.iter().any(|p| p.0.load(SeqCst) != 0) {
            return;
        }
        let generation = seen >> PHASE_BITS;
        if slot
            .state
            .compare_exchange(seen, state(generation, FREEING), SeqCst, SeqCst)
            .is_err()
        {
            return;
        }
        // SAFETY: the exchange made this thread the only one to free this
        // generation, nobody holds a reference (see above), and the value was
        // written before the state said open.
        let value = unsafe { (*slot.value.get()).assume_init_read() };
        slot.state.store(state(generation, VACANT), SeqCst);
        if generation < LAST_GENERATION {
            self.push_free(slot, index);
        }
        // Last, so that a destructor that panics leaves the table whole.
        drop(value);
    }

    fn pop_free(&self) -> Option<u32> {
        let mut head = self.free.load(SeqCst);
        loop {
            let index = (head as u32).checked_sub(1)?;
            let next = self.slot(index)?.next_free.load(Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(next);
            match self.free.compare_exchange(head, new, SeqCst, SeqCst) {
                Ok(_) => return Some(index),
                Err(now) => head = now,
            }
        }
    }

    fn push_free(&self, slot: &Slot<T, SHARDS>, index: u32) {
        let mut head = self.free.load(SeqCst);
        loop {
            slot.next_free.store(head as u32, Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(index + 1);
            match self.free.compare_exchange(head, new, SeqCst, SeqCst) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// A slot that was never used, with its chunk.
    fn grow(&self) -> Result<u32> {
        let index = self
            .used
            .fetch_update(SeqCst, SeqCst, |n| (place(n).0 < CHUNKS).then_some(n + 1))
            .map_err(|_| {
                let text = format!("too many handles of a {}", self.what);
                Error::new(ErrorKind::NoMemory, text)
            })?;
        let (chunk, _) = place(index);
        let cell = &self.chunks[chunk];
        if cell.load(Acquire).is_null() {
            let slots: Box<[Slot<T, SHARDS>]> =
                (0..FIRST_CHUNK << chunk).map(|_| Slot::new()).collect();
            let fresh = Box::into_raw(slots);
            if cell
                .compare_exchange(std::ptr::null_mut(), fresh.cast(), SeqCst, SeqCst)
                .is_err()
            {
                // SAFETY: another thread was first; nobody has seen this one.
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
        Ok(index)
    }
}

/// The chunk that an index lies in, and where in it.
#[inline]
fn place(index: u32) -> (usize, usize) {
    let n = index + FIRST_CHUNK;
    let chunk = n.ilog2() - FIRST_CHUNK.ilog2();
    (chunk as usize, (n - (FIRST_CHUNK << chunk)) as usize)
}

/// A number of the calling thread's own, given out in turn. A plain cell
/// without a destructor: it works while a thread ends, too.
#[inline]
fn shard_of_thread() -> usize {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    thread_local!(static MINE: Cell<u32> = const { Cell::new(u32::MAX) });
    MINE.with(|mine| {
        if mine.get() == u32::MAX {
            mine.set(NEXT.fetch_add(1, Relaxed) & 0xffff);
        }
        mine.get() as usize
    })
}

/// A use of an object by one call.
pub(super) struct Pin<'a, T, const SHARDS: usize> {
    table: &'a Table<T, SHARDS>,
    slot: &'a Slot<T, SHARDS>,
    index: u32,
    /// The shard that counts it.
    pins: &'a AtomicU32,
}

impl<T, const SHARDS: usize> Deref for Pin<'_, T, SHARDS> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `Table::pin` gives a pin out only where the slot was open
        // after it was counted; the value is not freed while it is.
        unsafe { (*self.slot.value.get()).assume_init_ref() }
    }
}

impl<T, const SHARDS: usize> Drop for Pin<'_, T, SHARDS> {
    #[inline]
    fn drop(&mut self) {
        self.pins.fetch_sub(1, SeqCst);
        if phase(self.slot.state.load(SeqCst)) == CLOSING {
            self.table.free_if_unpinned(self.slot, self.index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    type Small = Table<Arc<()>, 4>;

    #[test]
    fn indices_fill_the_chunks_one_after_another() {
        let (mut chunk, mut at) = (0, 0);
        for index in 0..10_000 {
            assert_eq!(place(index), (chunk, at));
            at += 1;
            if at == (FIRST_CHUNK as usize) << chunk {
                (chunk, at) = (chunk + 1, 0);
            }
        }
    }

    #[test]
    fn a_million_handles_use_one_slot_and_never_alias() {
        static TABLE: Small = Small::new(1, "thing");
        let token = Arc::new(());
        let mut stale = Vec::new();
        for round in 0..1_000_000 {
            let id = TABLE.insert(token.clone()).unwrap();
            if round % 1000 == 0 {
                stale.push(id);
            }
            assert!(TABLE.close(id));
            assert!(!TABLE.close(id));
        }
        assert_eq!(TABLE.used.load(SeqCst), 1);
        assert_eq!(Arc::strong_count(&token), 1);
        let live = TABLE.insert(token.clone()).unwrap();
        assert_eq!(stale.iter().collect::<HashSet<_>>().len(), stale.len());
        for id in stale {
            assert_eq!(TABLE.pin(id).err().unwrap().kind(), ErrorKind::Closed);
        }
        assert!(TABLE.pin(live).is_ok());
    }

    #[test]
    fn a_slot_at_its_last_generation_is_retired() {
        static TABLE: Small = Small::new(1, "thing");
        let first = TABLE.insert(Arc::new(())).unwrap();
        assert!(TABLE.close(first));
        let slot = TABLE.slot(0).unwrap();
        slot.state.store(state(LAST_GENERATION - 1, VACANT), SeqCst);
        let last = TABLE.insert(Arc::new(())).unwrap();
        assert_eq!(last >> GENERATION_SHIFT, LAST_GENERATION);
        assert!(TABLE.close(last));
        let next = TABLE.insert(Arc::new(())).unwrap();
        assert_ne!(next & 0xff_ffff, last & 0xff_ffff);
    }

    #[test]
    fn null_foreign_and_unknown_numbers_are_refused() {
        static TABLE: Small = Small::new(1, "thing");
        static OTHER: Small = Small::new(2, "other");
        let id = OTHER.insert(Arc::new(())).unwrap();
        let kind = |id| TABLE.pin(id).err().unwrap().kind();
        assert_eq!(kind(0), ErrorKind::Invalid);
        assert_eq!(kind(id), ErrorKind::Invalid);
        assert_eq!(kind(u64::MAX), ErrorKind::Invalid);
        assert_eq!(kind(1 << INDEX_BITS | 77), ErrorKind::Closed);
        assert!(!TABLE.close(0) && !TABLE.close(id) && !TABLE.close(u64::MAX));
    }

    #[test]
    fn a_pin_keeps_a_closed_object_until_it_is_dropped() {
        static TABLE: Small = Small::new(1, "thing");
        let token = Arc::new(());
        let id = TABLE.insert(token.clone()).unwrap();
        let pin = TABLE.pin(id).unwrap();
        assert!(TABLE.close(id));
        assert_eq!(Arc::strong_count(&pin), 2);
        assert!(TABLE.pin(id).is_err());
        drop(pin);
        assert_eq!(Arc::strong_count(&token), 1);
    }

    /// Drops are counted; a value used after its drop is seen as such.
    struct Canary {
        alive: AtomicUsize,
        drops: &'static AtomicUsize,
    }

    impl Drop for Canary {
        fn drop(&mut self) {
            self.alive.store(0, SeqCst);
            self.drops.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn threads_that_pin_and_close_at_once_free_each_object_once() {
        static TABLE: Table<Canary, 2> = Table::new(1, "canary");
        static DROPS: AtomicUsize = AtomicUsize::new(0);
        static CURRENT: AtomicU64 = AtomicU64::new(0);
        const ROUNDS: usize = 20_000;
        let fresh = || Canary {
            alive: AtomicUsize::new(7),
            drops: &DROPS,
        };
        CURRENT.store(TABLE.insert(fresh()).unwrap(), SeqCst);
        let closed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while closed.load(SeqCst) < ROUNDS {
                        if let Ok(pin) = TABLE.pin(CURRENT.load(SeqCst)) {
                            assert_eq!(pin.alive.load(SeqCst), 7);
                        }
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    while closed.load(SeqCst) < ROUNDS {
                        let id = CURRENT.load(SeqCst);
                        if TABLE.close(id) {
                            closed.fetch_add(1, SeqCst);
                            CURRENT.store(TABLE.insert(fresh()).unwrap(), SeqCst);
                        }
                    }
                });
            }
        });
        assert!(TABLE.close(CURRENT.load(SeqCst)));
        assert_eq!(DROPS.load(SeqCst), closed.load(SeqCst) + 1);
    }
}
