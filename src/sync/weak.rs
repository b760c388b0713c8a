//! The atomics, the futex and the memory of the world that loom runs.
//!
//! Loom knows the orderings below `SeqCst` and the fences of C11. Of a
//! `SeqCst` load, store or exchange it knows only that it acquires and
//! releases: it would let two threads that each write one word and then look
//! at the other's both see nothing, which `SeqCst` forbids, and on which
//! sleepers and wakers rest. So each question is asked in a world of its own,
//! which see [`World`]. Time stands still, and a limit never runs out: limits
//! are shuttle's part.

use ::loom::cell::UnsafeCell;
use ::loom::sync::{Condvar, Mutex, atomic};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum World {
    /// Who sees whose bytes. `SeqCst` acquires and releases and no more, which
    /// is weaker than it is: what passes is true. Nobody sleeps on a futex,
    /// as each sleep may end for no reason.
    #[cfg_attr(not(test), allow(dead_code))] // a test asks
    Bytes,
    /// Who is woken. A `SeqCst` operation has a fence as well, as processors
    /// have that know no such operation: each schedule is tried with the fence
    /// in front of it, and with one behind each that writes. Both are stronger
    /// than the language, whose relaxed neighbours no fence orders; each shows
    /// weakenings that the other hides, of the looks and of the writes.
    Sleep,
    /// Who is woken, where a look at what another thread wrote stands for a
    /// write of one's own. Fences behind writes alone would let two threads see
    /// the writes of a third and a fourth in different orders, which `SeqCst`
    /// forbids: here a look has its fence behind it, too.
    #[cfg_attr(not(test), allow(dead_code))] // a test asks
    Crowd,
}

/// Where a `SeqCst` operation has its fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
enum Fence {
    Nowhere,
    Before,
    /// That writes.
    BehindWrites,
    Behind,
}

std::thread_local! {
    // All threads of an execution are one to the system.
    static WORLD: Cell<World> = const { Cell::new(World::Sleep) };
    static FENCE: Cell<Fence> = const { Cell::new(Fence::Before) };
    // Not one of loom's statics: threads that end late outlive those.
    static TABLE: RefCell<Option<Arc<Table>>> = const { RefCell::new(None) };
}

/// Runs `test` under every schedule that takes a thread off at most so many
/// times where it could go on, and says how many there are.
#[cfg(test)]
pub(crate) fn explore(
    world: World,
    preemptions: impl Into<Option<usize>>,
    test: impl Fn() + Send + Sync + 'static,
) {
    use std::sync::atomic::AtomicU64;
    let (test, preemptions) = (Arc::new(test), preemptions.into());
    let fences: &[Fence] = match world {
        World::Bytes => &[Fence::Nowhere],
        World::Sleep => &[Fence::Before, Fence::BehindWrites],
        World::Crowd => &[Fence::Before, Fence::Behind],
    };
    for &fence in fences {
        let schedules = Arc::new(AtomicU64::new(0));
        let mut builder = ::loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(preemptions);
        builder.max_branches = 20_000;
        let (count, test) = (schedules.clone(), test.clone());
        WORLD.set(world);
        FENCE.set(fence);
        builder.check(move || {
            count.fetch_add(1, Ordering::Relaxed);
            TABLE.set(Some(Arc::default()));
            test();
        });
        let name = std::thread::current().name().unwrap_or("test").to_string();
        let schedules = schedules.load(Ordering::Relaxed);
        eprintln!("{name}, {world:?}, fences {fence:?}: {schedules} schedules");
    }
}

fn fence(order: Ordering, places: &[Fence]) {
    if order == Ordering::SeqCst && places.contains(&FENCE.get()) {
        atomic::fence(Ordering::SeqCst);
    }
}

/// An operation that writes, with its fence.
fn writing<T>(order: Ordering, run: impl FnOnce() -> T) -> T {
    fence(order, &[Fence::Before]);
    let result = run();
    fence(order, &[Fence::BehindWrites, Fence::Behind]);
    result
}

macro_rules! stand_in {
    ($name:ident, $value:ty $(, $arithmetic:ident)*) => {
        #[derive(Debug, Default)]
        pub(crate) struct $name(atomic::$name);

        #[allow(dead_code)] // each type has what some other needs
        impl $name {
            #[track_caller]
            pub(crate) fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            #[track_caller]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                fence(order, &[Fence::Before]);
                let value = self.0.load(order);
                fence(order, &[Fence::Behind]);
                value
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                writing(order, || self.0.store(value, order));
            }

            #[track_caller]
            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                writing(order, || self.0.swap(value, order))
            }

            #[track_caller]
            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let order = match failure {
                    Ordering::SeqCst => failure,
                    _ => success,
                };
                writing(order, || {
                    self.0.compare_exchange(current, new, success, failure)
                })
            }

            #[track_caller]
            pub(crate) fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }

            #[track_caller]
            pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                writing(order, || self.0.fetch_or(value, order))
            }

            $(
                #[track_caller]
                pub(crate) fn $arithmetic(&self, value: $value, order: Ordering) -> $value {
                    writing(order, || self.0.$arithmetic(value, order))
                }
            )*
        }
    };
}

stand_in!(AtomicBool, bool);
stand_in!(AtomicU8, u8, fetch_add, fetch_sub);
stand_in!(AtomicU32, u32, fetch_add, fetch_sub);
stand_in!(AtomicU64, u64, fetch_add, fetch_sub, fetch_max);

/// Loom's own knows no `const`.
macro_rules! locals {
    ($(static $name:ident: $of:ty = const { $init:expr };)*) => {
        $(::loom::thread_local! { static $name: $of = $init; })*
    };
}
pub(crate) use locals as thread_local;

/// One look is as good as many: what happens between two of them happens
/// between a look and a sleep as well.
pub(crate) const fn spins(_count: u32) -> u32 {
    1
}

/// Time stands still.
pub(crate) const fn now() -> Duration {
    Duration::ZERO
}

/// Who sleeps, on which word, in the order in which they came: the kernel's
/// table, whose lock makes the look at a word and the falling asleep one step.
#[derive(Default)]
struct Sleepers {
    /// Address of the word, and a number of the sleeper's own.
    asleep: Vec<(usize, u64)>,
    next: u64,
}

#[derive(Default)]
struct Table {
    sleepers: Mutex<Sleepers>,
    bell: Condvar,
}

fn table() -> Arc<Table> {
    TABLE.with_borrow(|table| table.clone().expect("inside `explore`"))
}

/// Sleeps while `word` is `expected`. No limit runs out.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, _timeout: Option<Duration>) {
    if WORLD.get() == World::Bytes {
        return ::loom::thread::yield_now();
    }
    let table = table();
    let mut sleepers = table
        .sleepers
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    // To the kernel an ordinary look, in the order that its table's lock makes.
    if word.0.load(Ordering::Relaxed) != expected {
        return;
    }
    let me = sleepers.next;
    sleepers.next += 1;
    sleepers.asleep.push((std::ptr::from_ref(word).addr(), me));
    while sleepers.asleep.iter().any(|s| s.1 == me) {
        sleepers = table
            .bell
            .wait(sleepers)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

/// Wakes up to `count` threads that wait on `word`, those first that came first;
/// whether there were any.
pub(crate) fn futex_wake(word: &AtomicU32, count: i32) -> bool {
    let word = std::ptr::from_ref(word).addr();
    let mut left = count;
    let table = table();
    let mut sleepers = table
        .sleepers
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    sleepers.asleep.retain(|s| {
        let wakes = s.0 == word && left > 0;
        left -= i32::from(wakes);
        !wakes
    });
    let any = left < count;
    if any {
        table.bell.notify_all();
    }
    any
}

/// Memory of which each part is used by one thread at a time.
#[derive(Debug)]
pub(crate) struct Watched(Box<[UnsafeCell<()>]>);

// SAFETY: nothing is in the cells; that their uses are ordered is what loom
// is asked.
unsafe impl Send for Watched {}
// SAFETY: as above.
unsafe impl Sync for Watched {}

impl Watched {
    #[track_caller]
    pub(crate) fn new(parts: usize) -> Watched {
        Watched((0..parts).map(|_| UnsafeCell::new(())).collect())
    }

    /// The caller alone uses these parts from here on, or did till now. Parts
    /// that don't exist are not watched.
    #[track_caller]
    pub(crate) fn touch(&self, parts: Range<usize>) {
        let end = parts.end.min(self.0.len());
        for cell in &self.0[parts.start.min(end)..end] {
            cell.with_mut(|_| ());
        }
    }
}
